"""A staggered grid is checked when it is made, and knows where fields lie."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.cells import Cells
from fdgrad_dask.grids.staggered import EXTRA, IS_BELOW, across, find_point, is_on_face

X, Y = {"center": "XC", "left": "XG"}, {"center": "YC", "left": "YG"}
SHARED = {"x": {"center": "x", "right": "x"}, "y": {"center": "y", "right": "y"}}


def on(*dims, name="f"):
    return xr.DataArray(np.zeros((3,) * len(dims)), dims=dims, name=name)


def test_dimensions_tell_the_point():
    grid = fd.Grid(X, Y)
    fields = {
        "center": on("YC", "XC"),
        "u": on("t", "YC", "XG"),
        "v": on("XC", "YG"),
        "corner": on("YG", "XG"),
    }
    assert {point: find_point(field, grid) for point, field in fields.items()} == {
        point: point for point in fields
    }


def test_points_tell_where_dimensions_are_the_same():
    grid = fd.Grid(**SHARED, points={"UVEL": "corner"})
    assert find_point(on("y", "x", name="UVEL"), grid) == "corner"
    with pytest.raises(CoordinateError, match=r"several points.*points={'TEMP': 'center'}"):
        find_point(on("y", "x", name="TEMP"), grid)
    with pytest.raises(CoordinateError, match="not the point 'corner'"):
        find_point(on("y", name="UVEL"), grid)
    with pytest.raises(CoordinateError, match="no point of the grid; there are"):
        find_point(on("YC", "XC"), grid)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": {"centre": "XC", "left": "XG"}}, "did you mean 'center'"),
        ({"x": {"center": "XC"}}, "needs 'center' and one of"),
        ({"boundary": {"X": 0.0}}, "an axis of boundary is 'X'"),
        ({"boundary": {"x": "wall"}}, "0.0 is a wall"),
        ({"boundary": {"x": ("periodic", 0.0)}}, "at both ends or at neither"),
        ({"boundary": {"y": ("fold", None)}}, "upper end of y"),
        (
            {"x": {"center": "XC", "inner": "XG"}, "boundary": {"x": "periodic"}},
            "lack that between",
        ),
        ({"points": {"U": "face"}}, "the point of 'U' is 'face'"),
        ({"dx": {"t": on("YC", "XC")}}, "a point of dx is 't'"),
        ({"dx": on("YC", "XC")}, "dx of a Grid is a DataArray.*dict by point"),
        ({"area": 1.0}, "area of a Grid is a float.*dict by point"),
    ],
)
def test_unknown_words_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        fd.Grid(**{"x": X, "y": Y, **options})


@pytest.mark.parametrize(
    ("metric", "message"),
    [(on("YC", "XC"), "name the point it is at"), (np.ones((3, 3)), "xr.DataArray")],
)
def test_lengths_at_other_points_are_refused(metric, message):
    with pytest.raises(CoordinateError, match=message):
        fd.Grid(X, Y, dy={"u": metric})


def test_how_many_faces_there_are_and_which_is_the_first():
    """Of three cells: left and right have three faces, inner two and outer four."""
    assert EXTRA == {"left": 0, "right": 0, "inner": -1, "outer": 1}
    assert IS_BELOW == {"left": True, "right": False, "inner": False, "outer": True}


STEPS = {("center", "u"): "x", ("center", "v"): "y", ("u", "corner"): "y", ("v", "corner"): "x"}


@pytest.mark.parametrize(("pair", "axis"), STEPS.items())
def test_half_a_step_leads_from_a_point_to_its_neighbour_and_back(pair, axis):
    for one, other in (pair, pair[::-1]):
        assert across(one, axis) == other
    assert [is_on_face(point, axis) for point in pair] == [False, True]


def test_points_have_the_dimensions_of_their_faces():
    grid = fd.Grid(X, Y)
    wanted = {"center": ("YC", "XC"), "u": ("YC", "XG"), "v": ("YG", "XC"), "corner": ("YG", "XG")}
    assert {point: grid.dims(point) for point in wanted} == wanted
    assert grid.face("x") == grid.face("y") == "left"


def test_a_share_may_vary_with_depth_and_a_length_over_faces_only():
    connected = {"tile": {0: {"X": (None, None)}}}
    share, length = on("Z", "YC", "XC"), on("tile", "YC", "XC")
    assert fd.Grid(X, Y, fraction={"center": share}).fraction["center"] is share
    assert fd.Grid(X, Y, dx={"center": length}, boundary=connected).dx["center"] is length
    for options in (
        {"dx": {"center": share}},
        {"dx": {"center": length}},
        {"fraction": {"center": on("Z", "YC", "XG")}},
    ):
        with pytest.raises(CoordinateError, match="name the point it is at"):
            fd.Grid(X, Y, **options)


def test_ends_of_an_axis_are_one_for_both_or_a_pair():
    grid = fd.Grid(X, Y, boundary={"x": "periodic", "y": (0.0, "fold")})
    assert grid.ends("x") == ("periodic", "periodic")
    assert grid.ends("y") == (0.0, "fold")
    assert fd.Grid(X, Y).ends("x") == (None, None)
    with pytest.raises(OptionError, match="a fold lies at the upper end of y"):
        fd.Grid(X, Y, boundary={"x": (None, "fold")})
    inner = {"center": "XC", "inner": "XG"}
    assert fd.Grid(inner, Y, boundary={"x": 0.0}).ends("x") == (0.0, 0.0)


# --- cells ----------------------------------------------------------------------------------------

R = 2e6
LON, LAT = [1.0, 3.0, 6.0, 10.0], [-2.0, 2.0, 7.0]  # faces lie halfway between, from 0 to 12 …
EDGES = np.array([-4.0, 0.0, 4.5, 9.5])  # … and so
STEPS_X = {
    "left": [2, 2, 3, 4],
    "right": [2, 3, 4, 4],
    "inner": [2, 3, 4],
    "outer": [2, 2, 3, 4, 4],
}
STEPS_Y = {"left": [4, 4, 5], "right": [4, 5, 5], "inner": [4, 5], "outer": [4, 4, 5, 5]}


def located(lon, lat, names=("XC", "YC"), name="f"):
    """A field at these longitudes and latitudes."""
    x, y = names
    coords = {x: (x, lon, {"units": "degrees_east"}), y: (y, lat, {"units": "degrees_north"})}
    return xr.DataArray(np.zeros((len(lat), len(lon))), coords, (y, x), name)


def cells(position="left", fields=None, **options):
    x, y = {"center": "XC", position: "XG"}, {"center": "YC", position: "YG"}
    fields = fields or {"center": located(LON, LAT)}
    return Cells(fd.Grid(x, y, radius=R, **options), list(fields.values()), list(fields))


@pytest.mark.parametrize("position", STEPS_X)
def test_cells_of_longitude_and_latitude(position):
    made = cells(position)
    cosine = np.cos(np.deg2rad(LAT))[:, None]
    assert made.has_lines
    assert_allclose(made.latitude("u"), LAT)
    assert_allclose(made.dx("center"), R * cosine * np.deg2rad([2, 2.5, 3.5, 4]), rtol=1e-12)
    assert_allclose(made.dy("center"), R * np.deg2rad([4, 4.5, 5]), rtol=1e-12)
    assert_allclose(made.dx("u"), R * cosine * np.deg2rad(STEPS_X[position]), rtol=1e-12)
    assert_allclose(made.dy("v"), R * np.deg2rad(STEPS_Y[position]), rtol=1e-12)
    bands = np.diff(np.sin(np.deg2rad(EDGES)))[:, None]
    area = R**2 * bands * np.deg2rad([2, 2.5, 3.5, 4])
    assert_allclose(made.area("center"), area, rtol=1e-12)
    for axis, n in (("x", 4), ("y", 3)):
        assert made.size("center", axis) == n
        assert made.size("corner", axis) == n + EXTRA[position]


def test_two_cells_suffice_and_one_does_not():
    two = cells(fields={"center": located(LON[:2], LAT[:2])})
    assert_allclose(two.dy("center"), R * np.deg2rad([4, 4]), rtol=1e-12)
    one = cells(fields={"center": located(LON[:1], LAT[:1])})
    with pytest.raises(CoordinateError, match="dy at the point 'center' is not given"):
        one.dy("center")


@pytest.mark.parametrize("sense", [1, -1])
def test_a_circle_goes_on_beyond_its_ends(sense):
    faces = located(sense * np.array([-45.0, 45, 145, 250]), LAT, ("XG", "YC"))
    centers = located(sense * np.array([0.0, 90, 200, 300]), LAT)
    made = cells(fields={"center": centers, "u": faces}, boundary={"x": "periodic"})
    cosine = R * np.cos(np.deg2rad(LAT))[:, None]
    made._lines["x", True] = faces.XG.values
    for point, steps in (("u", [60, 90, 110, 100]), ("center", [90, 100, 105, 65])):
        assert_allclose(made.dx(point), sense * cosine * np.deg2rad(steps), rtol=1e-12)


def test_cells_may_cross_the_date_line():
    corner = located([175.0, 177, 179, -179], [-4.0, 0, 4.5], ("XG", "YG"))
    centers = located([176.0, 178, -180, -178], LAT)
    made = cells(fields={"center": centers, "corner": corner})
    wanted = R * np.cos(np.deg2rad(LAT))[:, None] * np.deg2rad([2.0] * 4)
    assert_allclose(made.dx("center"), wanted, rtol=1e-12)


def test_cells_that_are_given_come_in_metres():
    given = {"dx": 2 * on("YC", "XC") + 2, "dy": on("YC", "XC") + 3, "area": on("YG", "XG") + 5}
    for name, units in (("dx", "km"), ("area", "km2")):
        given[name].attrs["units"] = units
    share = {"center": on("YC", "XC") + 0.25}
    fields = {"center": on("YC", "XC")}
    metrics = {name: {"corner" if name == "area" else "center": one} for name, one in given.items()}
    made = cells(fields=fields, fraction=share, **metrics)
    assert not made.has_lines
    assert made.latitude("center") is None
    assert_allclose(made.dx("center"), 2000)
    assert_allclose(made.dy("center"), 3)
    assert_allclose(made.area("center"), 6000)
    assert_allclose(made.area("corner"), 5e6)
    assert_allclose(made.open(made.dy("center"), "center"), 0.75)
    assert made.open(made.area("corner"), "corner") is not None
    with pytest.raises(CoordinateError, match="dx at the point 'u' is not given"):
        made.dx("u")
    wrong = cells(fields=fields, dx={"center": on("YC", "XC").assign_attrs(units="K")})
    with pytest.raises(CoordinateError, match="is in 'K', but m is needed"):
        wrong.dx("center")
    only_dx = cells(dx={"center": located(LON, LAT) + 7})
    assert_allclose(only_dx.area("center"), 7 * R * np.deg2rad([[4], [4.5], [5]]) * np.ones(4))


def test_fields_of_different_numbers_of_cells_are_refused():
    fields = {"center": on("YC", "XC"), "u": on("YC", "XG")}
    assert cells(fields=fields).counts == {"x": 3, "y": 3}
    with pytest.raises(CoordinateError, match="'f' has 3 cells along x and 'f' has 2"):
        cells("outer", fields=fields)


def test_places_in_two_dimensions_are_great_circles_apart():
    """On a meridian and along the equator these are the steps themselves."""
    xs, ys = {False: LON, True: [0.0, 2.0, 4.5, 8.0]}, {False: [0.0, 3.0], True: [-1.0, 1.5]}
    places = {}
    for point, dims in {"center": ("YC", "XC"), "u": ("YC", "XG"), "v": ("YG", "XC")}.items():
        lat, lon = np.meshgrid(ys["YG" in dims], xs["XG" in dims], indexing="ij")
        coords = {
            f"lat_{point}": (dims, lat, {"units": "degrees_north"}),
            f"lon_{point}": (dims, lon, {"units": "degrees_east"}),
        }
        places[point] = xr.DataArray(0 * lat, coords, dims, point)
    made = cells(fields=places)
    assert not made.has_lines
    assert_allclose(made.latitude("v")[:, 0], [-1, 1.5])
    assert_allclose(made.dx("center")[0], R * np.deg2rad([2, 2.5, 3.5, 4]), rtol=1e-12)
    assert_allclose(made.dx("u")[0], R * np.deg2rad([2, 2, 3, 4]), rtol=1e-12)
    assert_allclose(made.dy("center")[:, 1], R * np.deg2rad([2.5, 3]), rtol=1e-12)
    assert_allclose(made.dy("v")[:, 1], R * np.deg2rad([2, 3]), rtol=1e-12)
    assert_allclose(made.area("center"), made.dx("center") * made.dy("center"))


def test_where_faces_alone_are_known_cells_go_on_as_the_faces_do():
    faces = located([2.0, 4.5, 8.0, 12.0], [-1.0, 1.0, 4.0], ("XG", "YG"))
    made = cells("right", {"center": on("YC", "XC")[:, [0, 1, 2, 2]], "corner": faces})
    assert_allclose(made.dy("center"), R * np.deg2rad([2, 2, 3]), rtol=1e-12)
    made = cells("left", {"center": on("YC", "XC")[:, [0, 1, 2, 2]], "corner": faces})
    assert_allclose(made.dy("center"), R * np.deg2rad([2, 3, 3]), rtol=1e-12)


def in_two(point, dims, lon, lat):
    """A field with these longitudes and latitudes over both dimensions."""
    lat, lon = np.meshgrid(lat, lon, indexing="ij")
    coords = {
        f"lat_{point}": (dims, lat, {"units": "degrees_north"}),
        f"lon_{point}": (dims, lon, {"units": "degrees_east"}),
    }
    return xr.DataArray(0 * lat, coords, dims, point)


def test_great_circles_go_around_the_globe():
    lon, lat = {"C": [0.0, 90, 200, 300], "G": [-45.0, 45, 145, 250]}, {"C": [0.0, 3], "G": [-1, 2]}
    points = {"center": "CC", "u": "CG", "v": "GC"}
    fields = {
        point: in_two(point, (f"Y{y}", f"X{x}"), lon[x], lat[y]) for point, (y, x) in points.items()
    }
    made = cells(fields=fields, boundary={"x": "periodic"})
    assert_allclose(made.dx("u")[0], R * np.deg2rad([60, 90, 110, 100]), rtol=1e-12)
    assert_allclose(made.dx("center")[0], R * np.deg2rad([90, 100, 105, 65]), rtol=1e-12)
    assert_allclose(made.dy("v")[:, 0], R * np.deg2rad([2, 3]), rtol=1e-12)
    assert_allclose(made.dy("center")[:, 0], R * np.deg2rad([3, 2]), rtol=1e-12)


@pytest.mark.parametrize("off", [0.0, 1.0])
def test_lines_count_unless_places_in_two_dimensions_differ(off):
    places = in_two("center", ("YC", "XC"), LON, LAT)
    places["lat_center"] = places.lat_center + off * np.arange(4) * (places.lat_center * 0 + 1)
    places.lat_center.attrs["units"] = "degrees_north"
    field = located(LON, LAT).assign_coords(places.coords)
    assert cells(fields={"center": field}).has_lines == (off == 0)


def test_fields_with_different_labels_are_refused():
    made = [located(LON, LAT), located(LON, [0.0, 2.0, 7.0], name="g")]
    grid = fd.Grid(X, Y)
    with pytest.raises(CoordinateError, match="have different labels along 'YC'"):
        Cells(grid, made, ["center", "center"])
