"""Latitudes beyond the poles, fills in coordinates, radians (F14; cases 9a to 9f, 9k, 9l)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import CIRCLE, DEGREE, EAST, HALF_STEP, NORTH, A, flow_on, right_or_refused, worst

from fdgrad_dask.errors import FdgradError

LAT, LON = np.meshgrid(np.arange(5.0, 35), np.arange(10.0, 40), indexing="ij")
HOLE = np.zeros(LAT.shape, bool)
HOLE[10:16, 12:20] = True
BESIDE = HOLE.copy()
for _axis, _step in ((0, 1), (0, -1), (1, 1), (1, -1)):
    BESIDE |= np.roll(HOLE, _step, _axis)


def with_fill(fill: float) -> xr.DataArray:
    """sin φ on places that are not known in a hole."""
    lat, lon = (np.where(HOLE, fill, a) for a in (LAT, LON))
    dims = ("y", "x")
    return xr.DataArray(
        np.sin(DEGREE * LAT),
        dims=dims,
        name="f",
        attrs={"units": "1"},
        coords={"nav_lat": (dims, lat, NORTH), "nav_lon": (dims, lon, EAST)},
    )


def assert_right_but_for_the_hole(g: xr.Dataset) -> None:
    true = np.cos(DEGREE * LAT) / A
    error = abs(g.df_dy.values - true) / true.max()
    assert np.isnan(error[HOLE]).all()
    assert np.isfinite(error[~BESIDE]).all()
    assert np.nanmax(error[1:-1, 1:-1]) < 1e-3
    assert np.nanmax(abs(g.df_dx.values)) < 1e-2 / A


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_places_of_processors_that_were_left_out(fill):
    f = with_fill(fill)
    right_or_refused(
        f.fdgrad.horizontal_gradient, "repeat|same place|NaN|fill", assert_right_but_for_the_hole
    )


def test_the_remedy_places_that_are_missing():
    f = with_fill(0.0)
    known = (f.nav_lat != 0) | (f.nav_lon != 0)
    f = f.assign_coords(nav_lat=f.nav_lat.where(known), nav_lon=f.nav_lon.where(known))
    assert_right_but_for_the_hole(f.fdgrad.horizontal_gradient())


@pytest.mark.parametrize("fill", [-999.0, 9999.0, 1e20, 91.0])
def test_fills_that_no_attribute_names(fill):
    with pytest.raises(FdgradError, match=r"(?i)latitude|nav_lat|90"):
        with_fill(fill).fdgrad.horizontal_gradient()


@pytest.mark.parametrize("name", ["vorticity", "divergence", "kinematics"])
def test_a_latitude_beyond_the_pole(name):
    ds = flow_on(np.arange(60.0, 101, 5), np.arange(0.0, 60, 5))
    with pytest.raises(FdgradError, match=r"90"):
        getattr(ds.fdgrad, name)("u", "v")
    inside = ds.isel(lat=ds.lat < 88)
    assert worst(inside.fdgrad.vorticity("u", "v")[1:-1, 1:-1], inside.true[1:-1, 1:-1]) < 0.02


def test_a_latitude_beyond_the_pole_by_the_command(check):
    ds = flow_on(np.arange(60.0, 101, 5), np.arange(0.0, 60, 5))[["u", "v"]]
    code, message = check(ds, ("vorticity", ["u", "v"], "z"))
    assert code == 3
    assert "90" in message


def test_radians_without_units():
    ds = flow_on(HALF_STEP, CIRCLE)
    ds = ds.assign_coords(lat=np.deg2rad(ds.lat.values), lon=np.deg2rad(ds.lon.values))
    with pytest.raises((FdgradError, Warning), match=r"(?i)rad"):
        ds.fdgrad.vorticity("u", "v")
    ds = ds.assign_coords(lat=np.rad2deg(ds.lat.values), lon=np.rad2deg(ds.lon.values))
    assert worst(ds.fdgrad.vorticity("u", "v"), ds.true) < 0.02


ANGLES = {
    "radians": ("radians", "radians", DEGREE),
    "radian": ("radian", "radian", DEGREE),
    "deg": ("deg", "deg", 1.0),
    "degN": ("degN", "degE", 1.0),
    "°": ("°", "°", 1.0),
    "in words": ("degrees north", "degrees east", 1.0),
    "blanks": ("degrees_north ", "degrees_east ", 1.0),
}


@pytest.mark.parametrize("units", ANGLES)
@pytest.mark.parametrize("standard", [True, False])
def test_units_of_angle_that_are_no_cf(units, standard):
    ds = flow_on(HALF_STEP, CIRCLE)
    north, east, per = ANGLES[units]
    attrs = {"lat": {"units": north}, "lon": {"units": east}}
    if standard:
        attrs["lat"]["standard_name"], attrs["lon"]["standard_name"] = "latitude", "longitude"
    ds = ds.assign_coords({k: (k, per * ds[k].values, attrs[k]) for k in ("lat", "lon")})

    def judge(made):
        assert worst(made, ds.true) < 0.02

    right_or_refused(lambda: ds.fdgrad.vorticity("u", "v"), "degrees|units", judge)


def test_a_rolled_longitude():
    ds = flow_on(HALF_STEP, CIRCLE).roll(lon=36, roll_coords=True)
    with pytest.raises(FdgradError, match=r"lon \+ 180\) % 360 - 180"):
        ds.fdgrad.vorticity("u", "v")
    turned = ds.assign_coords(lon=((ds.lon + 180) % 360 - 180).assign_attrs(ds.lon.attrs))
    for cured in (ds.sortby("lon"), turned):
        assert worst(cured.fdgrad.vorticity("u", "v"), cured.true) < 0.02


@pytest.mark.parametrize("name", ["horizontal_gradient", "laplacian"])
@pytest.mark.parametrize("dim", ["lat", "lon"])
def test_one_row_or_column(name, dim):
    f = flow_on(HALF_STEP, CIRCLE).u
    with pytest.raises(FdgradError, match=r"(?i)1 point|one point|single"):
        getattr(f.isel({dim: [3]}).fdgrad, name)()
    with pytest.raises(FdgradError, match=rf"(?i){dim}") as caught:
        getattr(f.isel({dim: 3}).fdgrad, name)()
    assert "give them units" not in str(caught.value)
    assert any(word in str(caught.value) for word in ("scalar", "dimension", "one value", "single"))
