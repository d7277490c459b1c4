"""Values as a file holds them: packed, or with numbers that stand for missing ones.

`xarray.open_dataset` decodes them, unless ``mask_and_scale=False``; rioxarray does not unless it
is asked to. The attributes are then still there.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from model_grids import EAST, NORTH, A

from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError

X = np.arange(8.0) * 500
RISE = 0.02  # K m-1
PACKINGS = {
    "scale and offset": {"dtype": "f8", "scale_factor": 0.01, "add_offset": 273.15},
    "offset": {"dtype": "f8", "add_offset": 273.15},
    "integers with a fill": {"dtype": "i2", "scale_factor": 0.5, "_FillValue": np.int16(-32767)},
    "floats with a fill": {"dtype": "f4", "_FillValue": np.float32(-9999)},
    "the older name": {"dtype": "f4", "missing_value": np.float32(1e20)},
    "unsigned": {"dtype": "u1", "_Unsigned": "true", "_FillValue": np.uint8(255)},
}


def plane() -> xr.DataArray:
    """0.02 K m⁻¹ · x, which lacks one value."""
    t = xr.DataArray(RISE * X, dims="x", coords={"x": ("x", X, {"units": "m"})}, name="t")
    return t.where(t.x != 3000).assign_attrs(units="K")


def assert_rise(made: xr.DataArray) -> None:
    assert made.attrs["units"] == "K m-1"
    np.testing.assert_allclose(made[:5], RISE, rtol=1e-6)
    assert np.isnan(made[[5, 7]]).all()


@pytest.mark.parametrize("chunks", [None, {"x": 3}], ids=["array", "chunks"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_what_was_opened_without_decoding_is_refused(packing, chunks, tmp_path):
    encoding = PACKINGS[packing]
    t = plane() if {"_FillValue", "missing_value"} & {*encoding} else plane().fillna(60.0)
    t.to_netcdf(tmp_path / "t.nc", encoding={"t": encoding}, engine="h5netcdf")
    with xr.open_dataset(tmp_path / "t.nc", mask_and_scale=False, chunks=chunks) as ds:
        with pytest.raises(CoordinateError, match=r"'t' is not decoded: .*decode_cf") as refused:
            ds.t.fdgrad.gradient("x")
        with pytest.raises(CoordinateError, match="'t' is not decoded"):
            ds.fdgrad.gradient("x")
        made = xr.decode_cf(ds).t.fdgrad.gradient("x")  # as the message says
        (said,) = re.findall(r"attributes say (\w+) = ", str(refused.value))
        assert said in encoding
        if encoding.keys() & {"_FillValue", "missing_value"}:
            assert_rise(made)
        else:
            np.testing.assert_allclose(made, RISE, rtol=1e-5)  # float32, near 300


@pytest.mark.parametrize(
    "attrs",
    [
        {"scale_factor": 1.0, "add_offset": 0.0},  # rioxarray sets them where there are none
        {"scale_factor": np.array([1.0]), "add_offset": [0]},
        {"_FillValue": np.nan},
        {"_FillValue": np.float32(np.nan), "missing_value": [np.nan]},
        {"_FillValue": None},
    ],
    ids=str,
)
def test_attributes_that_leave_nothing_to_decode(attrs):
    assert_rise(plane().assign_attrs(attrs).fdgrad.gradient("x"))


def test_what_was_decoded_by_hand():
    raw = plane().fillna(-999.0).assign_attrs(missing_value=-999.0)
    t = raw.where(raw != -999.0)
    with pytest.raises(CoordinateError) as refused:
        t.fdgrad.gradient("x")
    (key,) = re.findall(r"del ….attrs\['(\w+)'\]", str(refused.value))
    del t.attrs[key]
    assert_rise(t.fdgrad.gradient("x"))


@pytest.mark.parametrize("which", ["u", "v", "theta"])
def test_each_field_of_an_operator(which):
    x = {"x": ("x", X, {"units": "m"}), "y": ("y", X, {"units": "m"})}
    f = xr.DataArray(np.ones((8, 8)), dims=("y", "x"), coords=x, attrs={"units": "m s-1"})
    fields = {name: f.rename(name) for name in ("u", "v", "theta")}
    fields[which] = fields[which].assign_attrs(scale_factor=0.1)
    with pytest.raises(CoordinateError, match=f"'{which}' is not decoded"):
        op.advection(fields["u"], fields["v"], fields["theta"])


def test_a_packed_axis():
    """As in files of GOES, whose x and y are angles in 16 bits."""
    packed = {"units": "m", "scale_factor": 500.0, "add_offset": 0.0}
    t = plane().assign_coords(x=("x", np.arange(8, dtype="i2"), packed))
    with pytest.raises(CoordinateError, match=r"'x' is not decoded: .*scale_factor = 500"):
        t.fdgrad.gradient("x")
    assert_rise(xr.decode_cf(t.to_dataset()).t.fdgrad.gradient("x"))


def test_an_axis_without_gaps_may_name_a_value_for_them():
    t = plane()
    t.x.attrs["_FillValue"] = -999.0
    assert_rise(t.fdgrad.gradient("x"))


def test_packed_places():
    lat, lon = np.meshgrid(np.arange(10.0, 18), np.arange(20.0, 28), indexing="ij")
    dims, half = ("y", "x"), {"scale_factor": 0.5}
    f = xr.DataArray(
        np.sin(np.deg2rad(lat)),
        dims=dims,
        name="f",
        coords={"nav_lat": (dims, 2 * lat, {**NORTH, **half}), "nav_lon": (dims, lon, EAST)},
    )
    with pytest.raises(CoordinateError, match="'nav_lat' is not decoded"):
        f.fdgrad.horizontal_gradient()
    made = xr.decode_cf(f.to_dataset()).f.fdgrad.horizontal_gradient().df_dy
    np.testing.assert_allclose(made[1:-1], (np.cos(np.deg2rad(lat)) / A)[1:-1], rtol=1e-4)


@pytest.mark.parametrize("units", ["day as %Y%m%d.%f", "day as %Y%m%d"])
def test_dates_as_digits(units):
    """An absolute time axis of CDO; between the first two points lies one day, not 70."""
    days = np.array([20000131.0, 20000201.0, 20000203.0])
    t = xr.DataArray([0.0, 1.0, 3.0], dims="time", coords={"time": ("time", days)}, name="t")
    t.time.attrs["units"] = units
    with pytest.raises(CoordinateError, match="dates as digits") as refused:
        t.fdgrad.gradient("time")
    (remedy,) = re.findall(r"assign_coords\(time=(.*)\), which", str(refused.value))
    dates = eval(remedy.replace("….", "t."), {"pandas": pd, "t": t})
    made = t.assign_coords(time=dates).fdgrad.gradient("time", datetime_unit="D")
    np.testing.assert_allclose(made, 1)
