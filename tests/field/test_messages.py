"""Messages whose remedy, obeyed, makes it right (F17; cases 9j, 9l, 9m, 11h)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import CIRCLE, HALF_STEP, flow_on, worst

from fdgrad_dask import operators as op
from fdgrad_dask.errors import FdgradError

INSIDE = (slice(1, -1), slice(1, -1))


def test_longitudes_across_the_date_line():
    """Where degrees turn by 360, the full turn comes first, for sorting would open a gap."""
    ds = flow_on(np.arange(20.0, 50, 2), np.arange(164.0, 196, 2))
    wrapped = ds.assign_coords(lon=("lon", (ds.lon.values + 180) % 360 - 180, ds.lon.attrs))
    with pytest.raises(FdgradError, match=r"360") as caught:
        wrapped.fdgrad.vorticity("u", "v")
    message = str(caught.value)
    assert "sortby" not in message or message.index("360") < message.index("sortby")
    turned = wrapped.assign_coords(lon=("lon", wrapped.lon.values % 360, ds.lon.attrs))
    assert worst(turned.fdgrad.vorticity("u", "v")[INSIDE], ds.true[INSIDE]) < 5e-3


def test_labels_that_differ_by_their_rounding():
    lat, lon = np.arange(200) * 0.1 + 20, np.arange(0.0, 20, 2)
    ds = flow_on(lat, lon)
    v = ds.v.assign_coords(lat=("lat", lat.astype("f4"), ds.lat.attrs))
    with pytest.raises(FdgradError, match=r"(?i)assign_coords|reindex|round") as caught:
        op.vorticity(ds.u, v)
    assert "lat" in str(caught.value)
    same = v.assign_coords(lat=ds.lat)
    assert worst(op.vorticity(ds.u, same)[INSIDE], ds.true[INSIDE]) < 5e-3


def test_labels_that_differ_still_advise_a_selection():
    ds = flow_on(HALF_STEP, CIRCLE)
    with pytest.raises(FdgradError, match=r"points"):
        op.vorticity(ds.u, ds.v.isel(lat=slice(1, None)))
    u, v = xr.align(ds.u, ds.v.isel(lat=slice(1, None)), join="inner")
    assert op.vorticity(u, v).sizes["lat"] == len(HALF_STEP) - 1


@pytest.mark.parametrize("dim", ["lat", "lon"])
def test_a_scalar_coordinate_is_named(dim):
    ds = flow_on(HALF_STEP, CIRCLE).isel({dim: 5})
    with pytest.raises(FdgradError, match=dim) as caught:
        ds.fdgrad.vorticity("u", "v")
    assert "give them units" not in str(caught.value)


def test_a_scalar_coordinate_by_the_command(check):
    ds = flow_on(HALF_STEP, CIRCLE).isel(lat=5)[["u", "v"]]
    code, message = check(ds, ("vorticity", ["u", "v"], "z"))
    assert code in (2, 3)
    assert "give them units" not in message


def test_a_level_without_units_by_the_command(check, tmp_path):
    """The units that the message asks for can be set in the config."""
    ds = flow_on(HALF_STEP, CIRCLE)[["u", "v"]].expand_dims(level=[1000.0, 850, 500])
    ds = ds.assign(t=(250 + 0 * ds.u).assign_attrs(units="K"))
    ds.level.attrs.update(positive="down", axis="Z")
    step = ("potential_vorticity", ["u", "v", "t"], "pv")
    code, message = check(ds, step)
    assert code in (2, 3)
    assert "set its units" in message
    units = {"attrs": {"level": {"units": "hPa"}}}
    ds.to_netcdf(tmp_path / "again.nc")
    assert check(tmp_path / "again.nc", step, source=units)[0] == 0


def test_a_geometry_of_a_wrong_type():
    ds = flow_on(HALF_STEP, CIRCLE)
    with pytest.raises(FdgradError, match=r"Sphere"):
        ds.fdgrad.vorticity("u", "v", geometry="sphere")


def test_repeated_and_missing_places_are_named():
    ds = flow_on(HALF_STEP, CIRCLE)
    values = ds.lat.values.copy()
    values[4] = np.nan
    with pytest.raises(FdgradError, match=r"lat.*4"):
        ds.assign_coords(lat=("lat", values, ds.lat.attrs)).fdgrad.vorticity("u", "v")


def test_a_projection_is_no_reason_for_a_plane():
    """A plane in Web Mercator at 60° is wrong by the factor 2, which its result shows."""
    y = 8.4e6 + np.arange(6) * 1e4
    names = [{"standard_name": f"projection_{k}_coordinate", "units": "m"} for k in "xy"]
    f = xr.DataArray(
        np.zeros((6, 6)),
        dims=("y", "x"),
        name="f",
        coords={"x": ("x", np.arange(6) * 1e4, names[0]), "y": ("y", y, names[1])},
        attrs={"units": "K", "grid_mapping": "crs"},
    ).assign_coords(crs=((), 0, {"some_tool": "EPSG:3857"}))
    with pytest.raises(FdgradError, match=r"grid_mapping_name|crs_wkt") as caught:
        f.fdgrad.gradient_magnitude()
    assert "Plane" not in str(caught.value)
