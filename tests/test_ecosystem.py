"""Beside other libraries: what docs/ecosystem.md says, each *yes* with its test."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "ecosystem.md").read_text()
LAT = np.arange(-60.0, 61, 10)
TIME = np.datetime64("2000-01-15", "ns") + np.arange(24) * np.timedelta64(30, "D")
# T = 300 + φ², whose slope is 2 φ: a second-order difference of it has no error.
FIELD = xr.DataArray(
    np.broadcast_to(300 + LAT**2, (24, 13)).copy(),
    dims=("time", "lat"),
    coords={
        "time": TIME,
        "lat": ("lat", LAT, {"units": "degrees_north", "standard_name": "latitude"}),
    },
    name="t",
    attrs={"units": "K"},
)
SLOPE = np.broadcast_to(2 * LAT, (24, 13))


def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`(tests/\S+)::(\w+)`", PAGE)
    assert len(named) >= 15
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), (file, name)
    for row in PAGE.splitlines():
        if "| yes |" in row:
            assert "::test_" in row, row


def test_a_tree_of_datasets():
    tree = xr.DataTree.from_dict({"/cold": FIELD.to_dataset(), "/warm": (FIELD + 5).to_dataset()})

    def slope(ds):
        return ds.fdgrad.gradient("lat", edge_order=2) if ds else ds

    found = tree.map_over_datasets(slope)
    for name in ("cold", "warm"):
        np.testing.assert_allclose(found[name].dt_dlat, SLOPE, atol=1e-11)


def test_anomalies():
    groups = FIELD.groupby("time.month")
    anomalies = groups - 0.5 * groups.mean()
    anomalies.name = "t"
    np.testing.assert_allclose(anomalies.fdgrad.gradient("lat", edge_order=2), SLOPE / 2)


def test_map_blocks_cut_along_other_dimensions():
    lazy = FIELD.chunk(time=6)
    found = xr.map_blocks(
        lambda block: block.fdgrad.gradient("lat", edge_order=2), lazy, template=lazy
    )
    np.testing.assert_allclose(found.compute(), SLOPE, atol=1e-11)


def test_apply_ufunc():
    found = xr.apply_ufunc(
        lambda f: fd.gradient(f, LAT, axis=-1, edge_order=2),
        FIELD.chunk(time=6),
        input_core_dims=[["lat"]],
        output_core_dims=[["lat"]],
        dask="allowed",
    )
    np.testing.assert_allclose(found, SLOPE, atol=1e-11)


def test_map_of_a_dataset_keeps_the_units_of_the_inputs():
    ds = FIELD.to_dataset()
    with xr.set_options(keep_attrs=True):
        assert ds.map(lambda one: one.fdgrad.gradient("lat")).t.attrs["units"] == "K"
        made = ds.fdgrad.gradient("lat")
    assert made.dt_dlat.attrs["units"] == "K degree-1"


def test_results_are_cf_to_cf_xarray_and_to_xarray(tmp_path):
    """In CF an attribute ``geometry`` names a variable; a result that had it broke both."""
    lon = ("lon", np.arange(4.0), {"units": "degrees_east"})
    ds = FIELD.expand_dims(lon=4).assign_coords(lon=lon).to_dataset()
    slopes = ds.fdgrad.horizontal_gradient("t")
    assert "latitude" in repr(slopes.cf)
    assert slopes.cf["dt_dy"].attrs["horizontal_geometry"] == "sphere"
    slopes.to_netcdf(tmp_path / "slopes.nc")
    with xr.open_dataset(tmp_path / "slopes.nc", decode_coords="all") as found:
        xr.testing.assert_allclose(found, slopes)


@pytest.mark.parametrize("name", ["Y", "latitude", "lat"])
def test_names_of_cf(name):
    field = FIELD.assign_coords(lat=FIELD.lat.assign_attrs(axis="Y"))
    np.testing.assert_allclose(field.fdgrad.gradient(name, edge_order=2), SLOPE, atol=1e-11)


def test_a_cube_of_iris():
    pytest.importorskip("iris", reason="iris is a peer: make test-peers")
    cube = FIELD.to_iris()
    slope = xr.DataArray.from_iris(cube).fdgrad.gradient("lat", edge_order=2).to_iris()
    np.testing.assert_allclose(slope.data, SLOPE, atol=1e-11)
    assert str(slope.units) == "K degree-1"
