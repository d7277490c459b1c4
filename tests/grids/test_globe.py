"""Which rows and columns are those of a complete sphere, and what is said of others."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import degrees
from numpy.polynomial.legendre import leggauss

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.globe import check_truncation, find_rings
from fdgrad_dask.grids.horizontal import find_horizontal_grid

pytest.importorskip("ducc0", reason="spherical harmonics are those of ducc0")
CIRCLE = np.arange(0, 360, 30.0)
BOTH = np.linspace(90, -90, 13)
GAUSSIAN = np.rad2deg(np.arcsin(leggauss(12)[0]))[::-1]


def rings(lat, lon=CIRCLE, **sizes):
    """What is found of a field; ``sizes`` of dimensions before and after latitude and longitude."""
    grid = degrees(lat, lon)
    f = xr.DataArray(np.zeros((len(lat), len(lon))), grid.coords, ("lat", "lon"), "f")
    if sizes:
        f = f.expand_dims(sizes).transpose("time", "lon", "level", "lat")
    return find_rings(f, find_horizontal_grid(f))


ROWS = {  # from the north, where the first ring of each kind is
    "CC": BOTH,
    "F1": np.arange(85, -90, -10.0),
    "F2": np.arange(75, -90, -15.0),
    "DH": np.arange(90, -90, -15.0),
    "GL": GAUSSIAN,
}


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("mirror", [1, -1])
@pytest.mark.parametrize("kind", ROWS)
def test_rows_are_recognised_in_either_order(kind, mirror, turn):
    """One pole has to come first, and is the south pole if that is there."""
    lat = mirror * ROWS[kind][::turn]
    made = rings(lat)
    assert (made.kind, made.rows, made.columns) == (kind, len(lat), 12)
    assert made.is_reversed == (kind == "DH" and turn == -1)
    first_to_last = lat[::-1] if made.is_reversed else lat
    assert made.senses == (1 if first_to_last[-1] > first_to_last[0] else -1, 1)


def test_axes_are_counted_from_the_last():
    made = rings(BOTH, CIRCLE[::-1], time=2, level=3)
    assert made.axes == (-1, -3)
    assert made.senses == (-1, -1)


@pytest.mark.parametrize("kind", ROWS)
def test_rows_may_be_off_by_a_twentieth_of_a_step(kind):
    lat = ROWS[kind].copy()
    step = 180 / len(lat)
    lat[4] += 0.045 * step
    assert rings(lat).kind == kind
    lat[4] += 0.01 * step
    with pytest.raises(CoordinateError, match="neither evenly spaced from pole to pole nor Gauss"):
        rings(lat)


@pytest.mark.parametrize("sense", [1, -1])
def test_columns_may_be_off_by_a_twentieth_of_a_step(sense):
    lon = CIRCLE + 5
    lon[4] += 0.045 * 30
    assert rings(BOTH, lon[::sense]).senses == (-1, sense)
    lon[4] += 0.01 * 30
    low, high = (5, 335)[::sense]
    with pytest.raises(CoordinateError, match=f"from {low} to {high} degrees, unevenly spaced, wh"):
        rings(BOTH, lon[::sense])


def test_a_sector_is_no_globe():
    words = "the 11 longitudes of 'f' go from 0 to 300 degrees, which is no full circle of even"
    with pytest.raises(CoordinateError, match=words):
        rings(BOTH, CIRCLE[:-1])


def test_geometries_without_longitudes_of_the_earth_are_refused():
    f = xr.DataArray(np.zeros((3, 4)), degrees([-90, 0, 90], [0, 90, 180, 270]).coords, name="f")
    for name, key in (("lat", "grid_latitude"), ("lon", "grid_longitude")):
        f[name].attrs = {"units": "degrees", "standard_name": key}
    rotated = find_horizontal_grid(f, is_directed=False)
    with pytest.raises(
        CoordinateError, match=r"^the longitudes of 'f' are about a rotated pole, b"
    ):
        find_rings(f, rotated)
    metres = {name: (name, np.arange(4.0), {"units": "m"}) for name in "yx"}
    flat = xr.DataArray(np.zeros((4, 4)), metres, ("y", "x"), "f")
    with pytest.raises(CoordinateError, match=r"^the geometry of 'f' is Plane, but"):
        find_rings(flat, find_horizontal_grid(flat))


def test_three_rows_and_columns_are_enough():
    assert rings([90.0, 0.0, -90.0], [0.0, 120, 240]).limit == 1
    with pytest.raises(CoordinateError, match="has 2 latitudes and 3 longitudes, which resolve no"):
        rings([90.0, -90.0], [0.0, 120, 240])


UNEVEN = np.linspace(-80, 80, 17) + np.sin(np.arange(17))  # of steps up to 10.96
UNEVEN[0], UNEVEN[-1] = -80.0, 80.0
STEP = np.diff(UNEVEN).max()


@pytest.mark.parametrize("mirror", [1, -1])
@pytest.mark.parametrize(("gap", "way"), [(1.04, "interpolate to"), (1.06, "take all rows from")])
def test_what_to_do_with_other_rows_depends_on_how_far_the_poles_are(gap, way, mirror):
    lat = UNEVEN.copy()
    lat[0] = -90 + gap * STEP
    assert np.diff(lat).max() == STEP
    with pytest.raises(CoordinateError, match=f"the 17 latitudes of 'f', .*; {way}"):
        rings((mirror * lat)[::mirror])


def test_even_rows_have_one_on_the_equator():
    rows = np.concatenate([[-90.0], np.linspace(-80, 80, 16), [90.0]])
    for lat, n in ((rows, 19), (np.delete(rows, 9), 17)):
        with pytest.raises(CoordinateError, match=rf"numpy.linspace\(-90, 90, {n}\)"):
            rings(lat)


def test_a_truncation_is_a_whole_number_up_to_the_largest():
    found = rings(BOTH, CIRCLE)
    assert check_truncation(None, found, "f") == found.limit == 5
    for most in (0, 1, 5, np.int32(3)):
        assert check_truncation(most, found, "f") == most
    for wrong in (-1, 6, 2.0, True, "3"):
        with pytest.raises(OptionError, match=r"the 13 latitudes \(equi.*of 0 to 5; give a whole"):
            check_truncation(wrong, found, "f")
