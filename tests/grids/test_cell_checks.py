"""Which fields, lengths and areas are on the same cells."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.cells import Cells

CENTER, U, V = ("yc", "xc"), ("yc", "xf"), ("yf", "xc")
UP, DOWN = {"units": "degrees_north"}, {"axis": "Z", "positive": "down"}


def on(dims, name="f", n=3, **labels):
    """Ones over some dimensions, with labels: values, or values and attributes."""
    coords = {d: (d, *(one if isinstance(one, tuple) else (one,))) for d, one in labels.items()}
    shape = [len(coords[d][1]) if d in coords else n for d in dims]
    return xr.DataArray(np.ones(shape), coords, dims, name)


def check(fields, position="left", **options):
    """The cells of fields by their points; dx, dy, … of options are at the centres."""
    grid = fd.Grid(
        {"center": "xc", position: "xf"},
        {"center": "yc", position: "yf"},
        **{name: {"center": one} for name, one in options.items()},
    )
    return Cells(grid, list(fields.values()), list(fields))


ALIKE = {
    "a length of every row": ({"center": on(CENTER)}, {"dx": on(["yc"])}),
    "a length of one for all": ({"center": on(CENTER)}, {"dy": on(CENTER, n=1)}),
    "a label of one for all": ({"center": on(CENTER, yc=[0, 1, 2])}, {"dx": on(["yc"], yc=[7])}),
    "one row that cannot fall": ({"center": on(CENTER, yc=([3.0], UP))}, {"dx": on(["xc"])}),
    "rows that rise": ({"center": on(CENTER, yc=([3.0, 4.0], UP))}, {"dx": on(["xc"])}),
    "levels that fall": ({"center": on(("z", *CENTER), z=([3, 1], DOWN))}, {"dx": on(["xc"])}),
    "numbers that fall": ({"center": on(CENTER, yc=[3, 2, 1])}, {"dx": on(["xc"])}),
    "rows that fall, of no lengths": ({"center": on(CENTER, yc=([4.0, 3.0], UP))}, {}),
    "words": ({"center": on(CENTER, xc=["a", "b"]), "u": on(U, xf=["b", "c"])}, {}),
    "one cell": ({"center": on(CENTER, xc=[5]), "u": on(U, xf=[8])}, {}),
    "both count": ({"center": on(CENTER, xc=[0, 1, 2]), "u": on(U, xf=[0, 1, 2])}, {}),
}


@pytest.mark.parametrize(("fields", "sizes"), ALIKE.values(), ids=ALIKE)
def test_what_is_on_the_same_cells_is_taken(fields, sizes):
    check(fields, **sizes)


@pytest.mark.parametrize("position", ["left", "right", "inner", "outer"])
def test_centres_and_faces_that_count_from_zero_say_nothing(position):
    faces = np.arange(4 + {"inner": -1, "outer": 1}.get(position, 0))
    check({"center": on(CENTER, xc=np.arange(4)), "u": on(U, xf=faces)}, position)


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize(("said", "true"), [("left", "right"), ("right", "left")])
def test_labels_say_on_which_side_faces_lie(said, true, n, sense):
    """Also of two cells, and of labels that fall; the rows of y as the columns of x."""
    cells = sense * np.arange(float(n))
    faces = cells + sense * {"left": -0.5, "right": 0.5}[true]
    along_x = {"center": on(CENTER, xc=cells), "u": on(U, xf=faces)}
    along_y = {"center": on(CENTER, yc=cells), "v": on(V, yf=faces)}
    for axis, fields in (("x", along_x), ("y", along_y)):
        check(fields, true)
        cure = f"correct the Grid: {axis}={{'center': …, {true!r}: …}}"
        with pytest.raises(
            CoordinateError, match=f"said to lie at the {said!r}.*say {true!r}"
        ) as e:
            check(fields, said)
        assert cure in str(e.value)


@pytest.mark.parametrize("name", ["dx", "dy", "area"])
def test_lengths_or_areas_that_are_given_need_rows_that_rise(name):
    for n in (2, 3):
        falls = on(CENTER, yc=(np.arange(float(n))[::-1], UP))
        with pytest.raises(CoordinateError, match=r"'yc' falls along its index.*isel\(yc=slice"):
            check({"center": falls}, **{name: on(["xc"])})
    check({"center": falls.isel(yc=slice(None, None, -1))}, **{name: on(["xc"])})


@pytest.mark.parametrize("n", [2, 4])
def test_lengths_of_more_or_fewer_cells_are_refused(n):
    with pytest.raises(CoordinateError, match=f"'f' has {n} points along 'xc' at 'center', but"):
        check({"center": on(CENTER)}, dx=on(CENTER, n=3, xc=np.arange(n)))


def test_centres_and_faces_that_share_a_dimension_have_labels_of_their_own():
    """As those of two files of POP or NEMO; those of one point have to be the same."""
    grid = fd.Grid(
        {"center": "x", "right": "x"}, {"center": "y", "right": "y"}, points={"s": "center"}
    )
    cells, faces = [0.0, 1.0, 2.0], [0.5, 1.5, 2.5]
    labels = {"center": (cells, cells), "u": (cells, faces), "v": (faces, cells)}
    made = {point: on(("y", "x"), point, y=y, x=x) for point, (y, x) in labels.items()}
    Cells(grid, list(made.values()), list(made))
    corner = on(("y", "x"), "corner", y=faces, x=faces)
    Cells(grid, [made["u"], made["v"], corner], ["u", "v", "corner"])
    for point, dim in (("u", "x"), ("v", "y"), ("center", "x"), ("center", "y")):
        other = made[point].assign_coords({dim: made[point][dim] + 0.25}).rename("other")
        with pytest.raises(CoordinateError, match=f"'other' have different labels along '{dim}'"):
            Cells(grid, [made[point], other], [point, point])


def skewed(position, points, slope=0.0, stretch=1.0, step=1, sense=1):
    """Ones at points of cells whose y leans to x, and is so many times as long."""
    ends = {"left": (0, -1), "right": (1, None), "inner": (1, -1), "outer": (0, None)}[position]
    cells, faces = np.arange(12) + 0.5, np.arange(13.0)[slice(*ends)]
    made = {}
    for point in points:
        y, x = POINTS[point]
        dims = "yf" if y else "yc", "xf" if x else "xc"
        i, j = np.meshgrid(faces if x else cells, faces if y else cells)
        lon, lat = i + slope * stretch * j, stretch * j
        east, north = {"units": "degrees_east"}, {"units": "degrees_north"}
        coords = {f"lon_{point}": (dims, 0.1 * lon, east), f"lat_{point}": (dims, 0.1 * lat, north)}
        one = xr.DataArray(np.ones(lon.shape), coords, dims, point)
        made[point] = one[:: sense * step, ::step]
    return made


POINTS = {"center": (0, 0), "u": (0, 1), "v": (1, 0), "corner": (1, 1)}


@pytest.mark.parametrize("points", [("center", "corner"), ("u", "v"), ("center", "u"), POINTS])
@pytest.mark.parametrize("position", ["left", "right", "inner", "outer"])
def test_cells_may_lean_and_be_long(position, points):
    """Faces are half way from cell to cell; not where every second one is selected."""
    for slope, stretch in ((0.0, 1.0), (0.5, 1.0), (-0.1, 12.0), (0.3, 0.2)):
        check(skewed(position, points, slope, stretch), position)
        with pytest.raises(CoordinateError, match=r"turned around, turn it back|the right of"):
            check(skewed(position, points, slope, stretch, sense=-1), position)
    if position in ("left", "right"):
        with pytest.raises(CoordinateError, match=r"[27]5% of the way"):
            check(skewed(position, points, step=2), position)
