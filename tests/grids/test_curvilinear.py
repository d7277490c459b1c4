"""Places that are none, radii and angles of curvilinear grids."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.grids.horizontal import find_horizontal_grid

LAT, LON = np.meshgrid(np.arange(10.0, 17), np.arange(40.0, 48), indexing="ij")


def on_places(lat, lon, chunks=None, **coords):
    if chunks:
        lat, lon = (da.from_array(one, chunks=chunks) for one in (lat, lon))
    coords |= {"lat": (("y", "x"), lat, {"units": "degrees_north"})}
    coords |= {"lon": (("y", "x"), lon, {"units": "degrees_east"})}
    return xr.DataArray(np.array(LAT), coords, ("y", "x"), "f")


def fill(*places, lat=-1.0, lon=-1.0):
    return dict.fromkeys(places, (lat, lon))


BLOCK = [(j, i) for j in (2, 3, 4) for i in (3, 4, 5)]
ROW, COLUMN = [(3, i) for i in (2, 3, 4)], [(j, 7) for j in (4, 5, 6)]
CORNER = [(0, 0), (0, 1), (1, 0)]
MASKED = {  # what is written there, and whether it is no place
    "a block": (fill(*BLOCK), True),
    "three at a corner": (fill(*CORNER), [(0, 0)]),
    "a row": (fill(*ROW), False),
    "a column": (fill(*COLUMN), False),
    "a row of zeros": (fill(*ROW, lat=0.0, lon=0.0), True),
    "a column of zeros": (fill(*COLUMN, lat=0.0, lon=0.0), True),
    "one zero": (fill((3, 3), lat=0.0, lon=0.0), False),
    "a row of ones": (fill(*ROW, lat=1.0, lon=0.0), False),
    "on the equator": (fill(*ROW, lat=0.0, lon=7.0), False),
    "not a number": (fill((3, 3), (6, 7), lat=np.nan, lon=np.nan), True),
    "infinite": (fill((0, 0), (3, 3), lat=np.inf, lon=np.inf), True),
    "no longitude": (fill((0, 3), lon=np.nan, lat=5.0), True),
    "the pole": (fill((3, 3), lat=90.0), False),
    "the pole, rounded": (fill((3, 3), lat=-90.00005), False),
}
BEYOND = {
    "beyond a pole": (fill((3, 3), lat=90.5), True),
    "far beyond": (fill((0, 0), lat=-1e20, lon=-1e20), True),
}


@pytest.mark.parametrize("chunks", [None, 3, (2, 8)], ids=str)
@pytest.mark.parametrize("case", [*MASKED, *BEYOND])
def test_what_is_no_place(case, chunks):
    """Values beyond the poles are refused in memory, where they can be seen."""
    if case in BEYOND and not chunks:
        return
    written, masked = (MASKED | BEYOND)[case]
    lat, lon, known = LAT.copy(), LON.copy(), np.ones(LAT.shape, bool)
    for place, (phi, lam) in written.items():
        lat[place], lon[place] = phi, lam
        known[place] = masked is False if isinstance(masked, bool) else place not in masked
    made = find_horizontal_grid(on_places(lat, lon, chunks)).places
    for one, true in zip(made, (lat, lon), strict=True):
        np.testing.assert_array_equal(one, np.where(known, true, np.nan))


def test_the_radii_of_a_spheroid_are_those_of_its_mapping():
    spheroid = {"grid_mapping_name": "latitude_longitude", "semi_major_axis": 6378137.0}
    mapping = ((), 0, spheroid | {"inverse_flattening": 298.257223563})
    f = on_places(LAT, LON, crs=mapping).assign_attrs(grid_mapping="crs")
    for geometry in (None, fd.Curvilinear()):
        made = find_horizontal_grid(f, geometry)
        np.testing.assert_allclose(made.radii, [6378137.0, 6356752.314245], rtol=1e-12)
    assert find_horizontal_grid(f, fd.Curvilinear(7e6)).radii == (7e6, 7e6)


def test_an_angle_of_zero_turns_nothing_and_spreads_no_hole():
    values = np.arange(30.0).reshape(5, 6)
    values[2, 3] = np.nan
    f = xr.DataArray(values, dims=("y", "x"), name="f")
    made = op.horizontal_gradient(f, geometry=fd.Curvilinear(dx=2.0, dy=3.0, angle=0))
    alone = op.horizontal_gradient(f, geometry=fd.Curvilinear(dx=2.0, dy=3.0))
    for name in made:
        np.testing.assert_array_equal(made[name], alone[name])
    assert "east" in made.df_dx.attrs["long_name"]
    assert "east" not in alone.df_dx.attrs["long_name"]
    turned = op.horizontal_gradient(f, geometry=fd.Curvilinear(dx=2.0, dy=3.0, angle=1))
    cosine, sine = np.cos(np.deg2rad(1)), np.sin(np.deg2rad(1))
    np.testing.assert_allclose(turned.df_dx, cosine * alone.df_dx - sine * alone.df_dy)
    np.testing.assert_allclose(turned.df_dy, sine * alone.df_dx + cosine * alone.df_dy)
