"""Scale factors, poles and what is said of a geometry, each alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.geometry import (
    Curvilinear,
    Geometry,
    Plane,
    Sphere,
    coriolis_parameter,
    is_pole,
)
from fdgrad_dask.grids.horizontal import find_horizontal_grid, recognise_circle

LAT = np.array([-90.0, -60.0, 0.0, 45.0, 90.0])
A = 6371229.0


def test_scale_factors_are_metres_in_one_unit():
    h_x, h_y = Sphere(A).scale_factors(LAT)
    assert_allclose(h_x, A * np.pi / 180 * np.array([0, 0.5, 1, np.sqrt(0.5), 0]), rtol=1e-14)
    assert_allclose(h_y, np.full(5, A * np.pi / 180), rtol=1e-14)
    assert (h_x == 0).sum() == 2
    tangent = Sphere(2.0).tangent(LAT)
    assert_allclose(tangent, [np.nan, -np.sqrt(3) / 2, 0, 0.5, np.nan], rtol=1e-14)
    for plane, metres in ((Plane(), 1.0), (Plane(1e3), 1e3)):
        for h in plane.scale_factors(LAT):
            assert_array_equal(h, np.full(5, metres))
        assert_array_equal(plane.tangent(LAT), np.zeros(5))


def test_poles_and_the_equator_are_so_to_the_rounding_of_float32():
    near, far = 5e-6, 2e-5
    latitudes = np.array([90 - near, near - 90, 90 - far, far - 90, 0.0, 89.0])
    assert_array_equal(is_pole(latitudes), [True, True, False, False, False, False])
    f = coriolis_parameter(np.array([1e-6, 1e-5, 30.0, -90.0]))
    assert f[0] == 0
    assert_allclose(f[1:], 7.292115e-5 * np.array([2 * np.deg2rad(1e-5), 1, -2]), rtol=1e-12)


def over(lon: int) -> xr.DataArray:
    """A field over five latitudes and so many longitudes."""
    coords = {"lat": ("lat", LAT), "lon": ("lon", np.arange(lon) * 90.0)}
    return xr.DataArray(np.zeros((5, lon)), coords, name="t")


METRES = {name: (name, np.arange(4.0), {"units": "m"}) for name in "yx"}
FLAT = xr.DataArray(np.zeros((4, 4)), METRES, ("y", "x"), "t")
GEOMETRIES = [
    (over(3), Sphere(A), {"geometry": "sphere", "earth_radius": A}),
    (over(4), Sphere(A), {"geometry": "sphere", "earth_radius": A, "periodic": "lon"}),
    (FLAT, Plane(), {"geometry": "plane"}),
    (over(3), Curvilinear(dx=2.0, dy=3.0), {"geometry": "curvilinear"}),
]


@pytest.mark.parametrize(("field", "geometry", "said"), GEOMETRIES)
def test_a_result_says_what_its_numbers_hang_on(
    field: xr.DataArray, geometry: Geometry, said: dict[str, object]
):
    assert find_horizontal_grid(field, geometry).attrs() == said


def test_the_coriolis_parameter_needs_a_latitude():
    grid = find_horizontal_grid(over(3), Sphere(A))
    assert_allclose(grid.coriolis("t")[3], 2 * 7.292115e-5 * np.sqrt(0.5), rtol=1e-12)
    with pytest.raises(CoordinateError, match="give coriolis= in s-1"):
        find_horizontal_grid(FLAT, Plane()).coriolis("t")


def test_a_region_on_a_plane_or_of_given_cells_closes_nowhere():
    for field, geometry in ((FLAT, Plane()), (over(3), Curvilinear(dx=2.0, dy=3.0))):
        grid = find_horizontal_grid(field, geometry)
        assert not grid.repeats
        assert not grid.is_rotated
        assert grid.poles == grid.periodic == (False, False)
        assert grid.orientation == (1, 1)
        assert grid.is_certain


def test_the_radius_of_a_spheroid_is_that_of_its_equator():
    grid = replace(find_horizontal_grid(over(3), Sphere(A)), radii=(6378137.0, 6356752.0))
    assert grid.attrs()["earth_radius"] == 6378137


CIRCLES = {
    "a quarter each": ([0, 90, 180, 270], (True, False), None),
    "falling": ([270, 180, 90, 0], (True, False), None),
    "uneven": ([0, 60, 180, 270], (True, False), None),
    "the first again": ([0, 90, 180, 270, 360], (False, True), None),
    "the first of two again": ([-180, 0, 180], (False, True), None),
    "one turn of two points": ([0, 360], (False, False), None),
    "a region": ([0, 80, 160, 240], (False, False), None),
    "rounded": ([1, 92, 183, 274], (True, False), [1, 91, 181, 271]),
    "rounded and falling": ([274, 183, 92, 1], (True, False), [274, 184, 94, 4]),
    "rounded less than a thousandth": ([0, 90.01, 180.02, 270.03], (True, False), None),
    "rounded and the first again": ([0, 91, 182, 273, 364], (False, True), None),
    "uneven and no circle": ([0, 60, 180, 274.5], (False, False), None),
    "uneven by more than a tenth": ([0, 79, 180, 270.5], (False, False), None),
    "uneven by less than a tenth": ([0, 83, 180, 271], (True, False), [0, 90, 180, 270]),
    "even, but half a step is missing": ([0, 80, 160, 240, 320], (False, False), None),
}


@pytest.mark.parametrize(("points", "found", "even"), CIRCLES.values(), ids=CIRCLES)
def test_a_full_circle_is_recognised_to_the_rounding_of_files(points, found, even):
    points = np.array(points, np.float64)
    made, *flags = recognise_circle(points)
    assert tuple(flags) == found
    if even is None:
        assert made is points
    else:
        assert_allclose(made, even, rtol=1e-14)
