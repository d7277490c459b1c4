"""East and north on rotated grids, and winds along them (F11; cases 8c, 8f)."""

from __future__ import annotations

import curved
import numpy as np
import pytest
import xarray as xr
from model_grids import (
    EAST,
    LAMBERT,
    NORTH,
    OMEGA,
    PER_DEGREE,
    projected,
    right_or_refused,
    rotation_on,
    worst,
)

from fdgrad_dask.errors import FdgradError

POLE = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
}
RLON, RLAT = np.linspace(-20, 20, 31), np.linspace(-20, 20, 25)
LAT, LON = curved.rotated_pole(*np.meshgrid(RLON / 20, RLAT / 20))
NAMES = {
    "rlat": {"units": "degrees", "standard_name": "grid_latitude", "axis": "Y"},
    "rlon": {"units": "degrees", "standard_name": "grid_longitude", "axis": "X"},
}
INSIDE = (slice(1, -1), slice(1, -1))


def domain(*, places: bool = False, pole: bool = True) -> xr.Dataset:
    """The latitude, and a rotation to the east and north, on rotated axes."""
    dims = ("rlat", "rlon")
    ds = rotation_on(LAT, LON, dims).assign(tas=(dims, LAT, {"units": "K"}))
    ds = ds.assign_coords(rlat=("rlat", RLAT, NAMES["rlat"]), rlon=("rlon", RLON, NAMES["rlon"]))
    if places:
        ds = ds.assign_coords(lat=(dims, LAT, NORTH), lon=(dims, LON, EAST))
    if pole:
        ds = ds.assign_coords(rotated_pole=((), 0, POLE))
        for name in ("u", "v", "tas"):
            ds[name].attrs["grid_mapping"] = "rotated_pole"
    return ds


def assert_north(g: xr.Dataset) -> None:
    np.testing.assert_allclose(g.dtas_dy[INSIDE], PER_DEGREE, rtol=5e-3)
    assert abs(g.dtas_dx[INSIDE]).max() < 5e-3 * PER_DEGREE


@pytest.mark.parametrize("places", [False, True])
def test_east_and_north_by_the_pole_of_the_file(places):
    g = domain(places=places).tas.fdgrad.horizontal_gradient()
    assert_north(g)
    assert "eastward" in g.dtas_dx.attrs["long_name"]


def test_east_and_north_by_the_command(run):
    ds = domain()[["tas", "rotated_pole"]].reset_coords("rotated_pole")
    made = run(ds, ("horizontal_gradient", ["tas"], ["dtas_dx", "dtas_dy"]))
    assert_north(made)


def test_without_a_pole_nothing_is_called_east():
    def judge(g):
        assert "east" not in g.dtas_dx.attrs["long_name"]
        assert "north" not in g.dtas_dy.attrs["long_name"]

    f = domain(pole=False).tas
    right_or_refused(f.fdgrad.horizontal_gradient, "pole|grid_mapping", judge)


@pytest.mark.parametrize("places", [False, True])
def test_a_wind_to_the_east_and_north(places):
    ds = domain(places=places)
    z = ds.fdgrad.vorticity("u", "v")
    assert worst(z[INSIDE], ds.true[INSIDE]) < 5e-3
    f = ds.fdgrad.absolute_vorticity("u", "v") - z
    np.testing.assert_allclose(f, 2 * OMEGA * np.sin(np.deg2rad(LAT)), atol=1e-11)


@pytest.mark.parametrize("places", [False, True])
def test_a_wind_along_the_grid(places):
    ds = domain(places=places)
    turned = curved.along_the_grid(ds[["u", "v"]].drop_vars(ds.coords), curved.rotated_pole)
    ds = ds.assign(
        u=ds.u.copy(data=turned.u).assign_attrs(standard_name="grid_eastward_wind"),
        v=ds.v.copy(data=turned.v).assign_attrs(standard_name="grid_northward_wind"),
    )
    z = ds.fdgrad.vorticity("u", "v")
    assert worst(z[INSIDE], ds.true[INSIDE]) < 5e-3


@pytest.mark.parametrize("places", [False, True])
def test_a_wind_that_does_not_say_along_what(places):
    ds = domain(places=places)
    for name in "uv":
        del ds[name].attrs["standard_name"]
    with pytest.raises(FdgradError, match="standard_name"):
        ds.fdgrad.vorticity("u", "v")
    ds.u.attrs["standard_name"], ds.v.attrs["standard_name"] = "eastward_wind", "northward_wind"
    assert worst(ds.fdgrad.vorticity("u", "v")[INSIDE], ds.true[INSIDE]) < 5e-3


@pytest.mark.parametrize("named", [True, False])
def test_a_flag_of_grib_that_contradicts_the_name(named):
    """Components along the grid by the flag, eastward by the name that a reader gave them."""
    _, lat, lon = projected(LAMBERT)
    ds = rotation_on(lat, lon)
    ds = ds.assign_coords(latitude=(("y", "x"), lat, NORTH), longitude=(("y", "x"), lon, EAST))
    low, high = np.deg2rad(LAMBERT["standard_parallel"])
    cone = np.log(np.cos(low) / np.cos(high)) / np.log(
        np.tan(np.pi / 4 + high / 2) / np.tan(np.pi / 4 + low / 2)
    )
    turn = np.deg2rad((lon - 10) * cone)
    u, v = ds.u.values, ds.v.values
    grid = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    ds = ds.assign(
        u=(("y", "x"), grid[0], ds.u.attrs | {"GRIB_uvRelativeToGrid": 1}),
        v=(("y", "x"), grid[1], ds.v.attrs | {"GRIB_uvRelativeToGrid": 1}),
    )
    if not named:
        for name in "uv":
            del ds[name].attrs["standard_name"]

    def judge(z):
        assert worst(z[INSIDE], ds.true[INSIDE]) < 0.02

    right_or_refused(
        lambda: ds.fdgrad.vorticity("u", "v"), "GRIB_uvRelativeToGrid|standard_name", judge
    )
    for name, standard in (("u", "x_wind"), ("v", "y_wind")):  # the remedy
        ds[name].attrs["standard_name"] = standard
    judge(ds.fdgrad.vorticity("u", "v"))


def test_a_wind_on_two_dimensional_places_without_a_name():
    ds = domain(places=True, pole=False).drop_vars(["rlat", "rlon"])
    for name in "uv":
        del ds[name].attrs["standard_name"]
    with pytest.raises(FdgradError, match="standard_name"):
        ds.fdgrad.vorticity("u", "v")
