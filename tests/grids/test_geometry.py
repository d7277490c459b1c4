"""Scale factors, poles and what is said of a geometry, each alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.geometry import (
    Curvilinear,
    Geometry,
    Plane,
    Sphere,
    coriolis_parameter,
    is_pole,
)
from fdgrad_dask.grids.horizontal import find_horizontal_grid, recognise_circle
from fdgrad_dask.operators import horizontal_gradient

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
    (over(3), Sphere(A), {"horizontal_geometry": "sphere", "earth_radius": A}),
    (over(4), Sphere(A), {"horizontal_geometry": "sphere", "earth_radius": A, "periodic": "lon"}),
    (FLAT, Plane(), {"horizontal_geometry": "plane"}),
    (over(3), Curvilinear(dx=2.0, dy=3.0), {"horizontal_geometry": "curvilinear"}),
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
    "uneven and the first again": ([0, 60, 180, 270, 360], (False, True), None),
    "uneven by rounding too": ([0, 60, 180, 270.05], (True, False), None),
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


def plane(x: str | None, y: str | None) -> xr.DataArray:
    """A field over x and y in these units."""
    units = {"x": x, "y": y}
    coords = {n: (n, np.arange(4.0), {"axis": n.upper()}) for n in units}
    field = xr.DataArray(np.zeros((4, 4)), coords, ("y", "x"), "t")
    for name, unit in units.items():
        if unit is not None:
            field[name].attrs["units"] = unit
    return field


PLANES = [
    (plane("km", "km"), None, 1000.0),
    (plane("km", "km"), Plane(), 1000.0),
    (plane("km", "km"), Plane(2.0), 2.0),
    (plane(None, None), Plane(2.0), 2.0),
    (plane(None, None), Plane(), 1.0),
    (plane("1", "1"), Plane(), 1.0),
]


@pytest.mark.parametrize(("field", "geometry", "metres"), PLANES)
def test_the_units_of_a_plane_are_its_metres_unless_these_are_given(field, geometry, metres):
    assert_array_equal(find_horizontal_grid(field, geometry).h_x, np.full(4, metres))


@pytest.mark.parametrize("field", [plane("km", "m"), plane(None, None), plane("m", None)])
def test_a_plane_of_no_one_unit_is_refused(field):
    with pytest.raises(CoordinateError, match="one unit of length for both"):
        find_horizontal_grid(field)


ROTATED = {
    "rlat": ("rlat", LAT / 3, {"standard_name": "grid_latitude", "units": "degrees"}),
    "rlon": ("rlon", np.arange(5.0), {"standard_name": "grid_longitude", "units": "degrees"}),
    "pole": (
        (),
        0,
        {
            "grid_mapping_name": "rotated_latitude_longitude",
            "grid_north_pole_latitude": 40.0,
            "grid_north_pole_longitude": 10.0,
        },
    ),
}
ABOUT_A_POLE = xr.DataArray(np.zeros((5, 5)), ROTATED, ("rlat", "rlon"), "t")


def test_results_are_along_east_on_a_sphere_only():
    assert find_horizontal_grid(over(3)).is_east
    assert not find_horizontal_grid(FLAT).is_east
    rotated = find_horizontal_grid(ABOUT_A_POLE, is_directed=False)
    assert rotated.is_rotated
    assert not rotated.is_east
    assert rotated.latitude is None
    assert isinstance(find_horizontal_grid(ABOUT_A_POLE).geometry, Curvilinear)


def test_latitude_and_longitude_in_two_dimensions_are_curvilinear():
    places = {"lat": np.add.outer(np.arange(4.0), np.arange(4.0) / 9)}
    places["lon"] = np.add.outer(-np.arange(4.0) / 9, np.arange(4.0))
    units = {"lat": "degrees_north", "lon": "degrees_east"}
    coords = {name: (("j", "i"), one, {"units": units[name]}) for name, one in places.items()}
    field = xr.DataArray(np.zeros((4, 4)), coords, ("j", "i"), "t")
    grid = find_horizontal_grid(field)
    assert isinstance(grid.geometry, Curvilinear)
    assert_array_equal(grid.places[0], places["lat"])


def test_rows_at_a_pole_have_their_circle_only_around_the_globe():
    for rows, poles in ((slice(None), (True, True)), (slice(1, None), (False, True))):
        assert find_horizontal_grid(over(4)[rows]).poles == poles
        assert find_horizontal_grid(over(3)[rows]).poles == (False, False)


def test_a_circle_is_not_closed_where_its_ends_are_named():
    free = [None, "periodic", {"lat": 0.0}, {"lon": "periodic"}]
    for boundary in (*free, {"lon": 0.0}, 0.0):
        grid = find_horizontal_grid(over(4), boundary=boundary)
        assert grid.periodic == (False, boundary in free)
    with pytest.raises(OptionError, match="names 'depth'"):
        find_horizontal_grid(over(4), boundary={"depth": 0.0})


def test_without_two_axes_it_is_said_which_are_missing():
    bare = xr.DataArray(np.zeros((3, 4)), dims=("a", "b"), name="t")
    mapped = {
        kind: bare.assign_coords(crs=((), 0, {"grid_mapping_name": kind}))
        for kind in ("mercator", "healpix")
    }
    cells = xr.DataArray(np.zeros((3, 4)), dims=("time", "nCells"), name="t")
    messages = {
        "cannot be inferred": (bare, mapped["mercator"]),
        "lies on an unstructured grid": (cells, mapped["healpix"]),
        "'lon' of 't' is a single value": (over(3)[:, 0],),
        "and no longitude": (over(3)[:, 0].drop_vars("lon"),),
        "and no latitude": (over(3)[0].drop_vars("lat"),),
    }
    for message, fields in messages.items():
        for field in fields:
            with pytest.raises(CoordinateError, match=message):
                find_horizontal_grid(field)
    projected = plane("m", "m").assign_attrs(grid_mapping="crs")
    with pytest.raises(CoordinateError, match="lies on the projection 'crs'"):
        find_horizontal_grid(projected)
    assert find_horizontal_grid(projected, Plane()).h_x[0] == 1


@pytest.mark.parametrize("plane", [Plane(), Plane(1000.0)])
@pytest.mark.parametrize("attrs", [{}, {"units": "1"}])
def test_a_plane_that_is_given_has_axes_by_their_names(attrs, plane):
    """Of x and y without attributes; without a plane, nothing says what one unit of them is."""
    coords = {"x": ("x", np.arange(4.0), attrs), "y": ("y", np.arange(3.0), attrs)}
    h = xr.DataArray(np.add.outer(2 * np.arange(3.0), np.arange(4.0)), coords, ("y", "x"), "h")
    made = horizontal_gradient(h, geometry=plane)
    assert_allclose(made.dh_dx, 1 / (plane.metres or 1))
    assert_allclose(made.dh_dy, 2 / (plane.metres or 1))
    with pytest.raises(CoordinateError, match="cannot be inferred"):
        horizontal_gradient(h)
