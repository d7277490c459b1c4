"""Ghost points of faces that a grid is cut into, and beyond its fold: those of the grid itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import xarray as xr
from faces import LLC, connect, cut, lat_lon_cap
from numpy.testing import assert_allclose, assert_array_equal
from tripolar import tripolar

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.fold import make_fold
from fdgrad_dask.operators.connected import connect_faces
from fdgrad_dask.operators.ghosts import Ghosts, Points, Quantity

M, N, WIDTH = 4, (8, 16), 2  # points of a face, of the grid that is cut; ghost points
TURNS = (0, 1, 2, 3, 3, 0, 1, 2)
DIMS = {"center": ("j", "i"), "u": ("j", "ig"), "v": ("jg", "i"), "corner": ("jg", "ig")}
ON_X, ON_Y = ("u", "corner"), ("v", "corner")


def grow(values, point="center", sign=1.0):
    """An array with two columns more at both ends, as x is periodic, and two rows beyond the fold.

    Below, where nothing lies, are as many rows that no face has.
    """
    on_x, on_y = point in ON_X, point in ON_Y
    above = sign * values[::-1, ::-1][on_y : WIDTH + on_y]
    if not on_x:
        rows = np.concatenate([values, above])
        rows = np.concatenate([rows[:, -WIDTH:], rows, rows[:, :WIDTH]], 1)
    else:  # the last column is the first
        rows = np.concatenate([values, above])
        rows = np.concatenate([rows[:, -WIDTH - 1 : -1], rows, rows[:, 1 : WIDTH + 1]], 1)
    return np.pad(rows, ((WIDTH, 0), (0, 0)))


def cut_out(by_point, point, width=0):
    """Eight faces of an array with ghost points, each turned; by point where those turn too."""
    faces = []
    for turn, (a, b) in zip(TURNS, np.ndindex(2, 4), strict=True):
        before = {"u": "v", "v": "u"}.get(point, point) if turn % 2 else point
        first = M * a + width * (a == 0), M * b
        last = (
            M * a + M + 2 * width + (before in ON_Y),
            M * b + M + 2 * width + (before in ON_X),
        )
        rows, columns = (slice(*one) for one in zip(first, last, strict=True))
        faces.append(np.rot90(by_point[before][rows, columns], turn))
    return faces


@cache
def find_connections():
    """Of a finer grid that is cut in the same way."""
    ds, _ = tripolar(48)
    return connect(*(cut(ds[name].values, 12, TURNS) for name in ("lat", "lon")))


def make_ghosts(points=("center",), connections=None, faces=8):
    by_point = {}
    for point in points:
        first = {"y": 1 - (point in ON_Y), "x": 1 - (point in ON_X)}
        counts = {axis: M + (not connections and not n) for axis, n in first.items()}
        dims = dict(zip("yx", DIMS[point], strict=True))
        by_point[point] = Points(dims, first, counts, {"y": 2 * M, "x": 2 * M}, counts["x"])
    some = over_faces(np.zeros((faces, M, M)))
    return connect_faces(connections or find_connections(), {"f": some}, by_point, WIDTH)


def over_faces(values, point="center", **attrs):
    return xr.DataArray(np.stack(values), dims=("face", *DIMS[point]), name="f", attrs=attrs)


def test_values_and_labels_go_on():
    whole = np.random.default_rng(0).normal(size=N)
    ghosts, expected = make_ghosts(), cut_out({"center": grow(whole)}, "center", WIDTH)
    labels = {"j": 10 + 2 * np.arange(M), "i": ("i", 0.5 * np.arange(M), {"axis": "X"})}
    labels |= {"face": [*"abcdefgh"], "name": ("i", [*"wxyz"])}
    faces = over_faces(cut_out({"center": whole}, "center")).assign_coords(labels)
    places = faces.drop_vars(labels).variable
    faces = faces.assign_coords(place=places)
    for face, values in enumerate(expected):
        made = ghosts.extend(face, faces, "center")
        assert_array_equal(made, values)
        assert_array_equal(made.place, values)
        low, high = ghosts.count(face, "y")
        assert_array_equal(made.j, 10 + 2 * np.arange(-low, M + high))
        low, high = ghosts.count(face, "x")
        assert_array_equal(made.i, 0.5 * np.arange(-low, M + high))
        assert made.i.attrs == {"axis": "X"}
        assert made.face == "abcdefgh"[face]
        assert "name" not in made.coords


def test_directions_turn():
    """Components change their axis and sign, lengths the axis, angles by quarters of a turn."""
    rng, ghosts = np.random.default_rng(1), make_ghosts()
    u, v = rng.normal(size=(2, *N))
    turn = [(-1j) ** turn for turn in TURNS]

    def cut_both(wind, width):
        faces = cut_out({"center": wind}, "center", width)
        return [face * t for face, t in zip(faces, turn, strict=True)]

    given, expected = cut_both(u + 1j * v, 0), cut_both(grow(u + 1j * v, sign=-1), WIDTH)
    arrays = {
        ("x", "center"): over_faces(np.real(given)),
        ("y", "center"): over_faces(np.imag(given)),
    }
    for face, wind in enumerate(expected):
        for own, values in (("x", wind.real), ("y", wind.imag)):
            what = Quantity(arrays, own, "vector")
            made = ghosts.extend(face, arrays[own, "center"], "center", what)
            assert_array_equal(made, values)
            what = Quantity({key: abs(one) for key, one in arrays.items()}, own, "length")
            made = ghosts.extend(face, arrays[own, "center"], "center", what)
            assert_array_equal(made, abs(values))


@pytest.mark.parametrize(("units", "turn"), [("degrees", 360.0), ("radian", 2 * np.pi), ("", 360)])
def test_angles_turn_by_their_units(units, turn):
    whole, ghosts = turn * np.random.default_rng(2).random(N), make_ghosts()
    beyond = grow(whole) + 0.5 * turn * (np.arange(N[0] + 2 * WIDTH) >= N[0] + WIDTH)[:, None]
    quarters = [turn / 4 * n for n in TURNS]
    attrs = {"units": units} if units else {}
    given, expected = (
        cut_out({"center": whole}, "center"),
        cut_out({"center": beyond}, "center", WIDTH),
    )
    faces = over_faces([f + q for f, q in zip(given, quarters, strict=True)], **attrs)
    for face, values in enumerate(expected):
        made = ghosts.extend(face, faces, "center", Quantity({("", "center"): faces}, "", "angle"))
        off = (made.values - values - quarters[face]) / turn
        assert_allclose(off, np.round(off), atol=1e-12)


def test_points_on_the_faces_of_cells_turn_too():
    """With corners; u and v are each other's on a turned face."""
    rng, ghosts = np.random.default_rng(3), make_ghosts(DIMS)
    u, v = rng.normal(size=(N[0], N[1] + 1)), rng.normal(size=(N[0] + 1, N[1]))
    corner = rng.normal(size=(N[0] + 1, N[1] + 1))
    u[:, -1], corner[:, -1] = u[:, 0], corner[:, 0]
    v[-1] -= v[-1, ::-1]  # what lies on the fold is its own mirror image
    corner[-1] += corner[-1, ::-1]
    signs = [one.real + one.imag for one in ((-1j) ** turn for turn in TURNS)]

    def cut_all(u, v, corner, width):
        wind = {
            "u": cut_out({"u": u, "v": -v}, "u", width),
            "v": cut_out({"u": u, "v": v}, "v", width),
        }
        turned = {p: [f * s for f, s in zip(one, signs, strict=True)] for p, one in wind.items()}
        return turned | {"corner": cut_out({"corner": corner}, "corner", width)}

    given = {p: over_faces(one, p) for p, one in cut_all(u, v, corner, 0).items()}
    beyond = grow(u, "u", -1), grow(v, "v", -1), grow(corner, "corner")
    expected = cut_all(*beyond, WIDTH)
    arrays = {("x", "u"): given["u"], ("y", "v"): given["v"]}
    for face in range(8):
        for own, point in arrays:
            what = Quantity(arrays, own, "vector")
            assert_array_equal(
                ghosts.extend(face, given[point], point, what), expected[point][face]
            )
        made = ghosts.extend(face, given["corner"], "corner")
        assert_array_equal(made, expected["corner"][face])
    with pytest.raises(CoordinateError, match=r"over \('j', 'ig'\) goes on over \('jg', 'i'\)"):
        ghosts.extend(0, given["u"], "u")


def test_where_three_faces_meet_only_the_corner_itself_is_known():
    """On the cap of an LLC grid, whose faces have one of two edges: some corner is of no face."""
    ghosts = make_ghosts(DIMS, LLC, 13)
    made = ghosts.extend(6, over_faces(lat_lon_cap(M)[0]), "center")
    beyond = np.zeros((M + 2 * WIDTH,) * 2, bool)
    beyond[np.ix_([0, 1, -2, -1], [0, 1, -2, -1])] = True
    assert_array_equal(np.isnan(made), beyond)
    assert_array_equal(ghosts.extend(1, over_faces(lat_lon_cap(M)[0]), "center").notnull(), True)
    latitude = over_faces(lat_lon_cap(M, "corner")[0], "corner")
    cap = ghosts.extend(6, latitude, "corner")[WIDTH : WIDTH + M + 1, WIDTH : WIDTH + M + 1]
    assert_allclose(cap.values[[0, 0, -1, -1], [0, -1, 0, -1]], [64, 64, np.nan, 64], atol=0.02)
    assert_allclose(cap[1:-1], cap[1:-1, ::-1], rtol=1e-8)
    assert_allclose(cap[:, 1:-1], cap[::-1, 1:-1], rtol=1e-8)
    length = Quantity({("", "center"): over_faces(np.full((13, M, M), 5.0))}, "", "length")
    made = ghosts.extend(6, length.arrays["", "center"], "center", length)
    assert_array_equal(made, np.where(beyond, 1, 5))


@pytest.mark.parametrize("pivot", "TF")
def test_beyond_a_fold_lie_the_last_rows(pivot):
    values = np.random.default_rng(4).normal(size=N)
    links, end = make_fold(pivot, *N).connect()
    points = {
        "center": Points(
            {"y": "y", "x": "x"}, {"y": 1, "x": 1}, {"y": 8, "x": 16}, {"y": end, "x": 32}, 16
        )
    }
    ghosts = Ghosts(links, points, {"y": WIDTH, "x": 0})
    given = xr.DataArray(values, dims=("y", "x"))
    made = ghosts.extend(0, given, "center")
    if pivot == "F":  # between the last row and the first beyond
        beyond = values[::-1, ::-1][:WIDTH]
    else:  # on the last row, about its first column
        beyond = values[-2:-4:-1, -np.arange(N[1]) % N[1]]
    assert_array_equal(made, np.concatenate([values, beyond]))
    angles = ghosts.extend(0, given, "center", Quantity({("", "center"): given}, "", "angle"))
    assert_array_equal(angles, np.concatenate([values, beyond + 180]))
    with pytest.raises(CoordinateError, match="but 8 beside the fold are needed beyond it; "):
        replace(ghosts, width={"y": 8, "x": 0}).extend(0, given, "center")


def test_faces_above_their_cells_that_are_not_turned():
    """Two side by side, of which the first has no face below its cells."""
    links = {0: {"X": (None, (1, "X", False))}, 1: {"X": ((0, "X", False), None)}}
    size, ends = {"y": M, "x": M}, {"y": 2 * M, "x": 2 * M}
    points = {
        p: Points(dict(zip("yx", DIMS[p], strict=True)), {"y": 1, "x": x}, size, ends, M)
        for p, x in (("center", 1), ("u", 2))
    }
    whole = np.random.default_rng(5).normal(size=(M, 2 * M))
    u = over_faces([whole[:, :M], whole[:, M:]], "u")
    center = over_faces(u.values)
    ghosts = connect_faces({"face": links}, {"f": center}, points, WIDTH)
    for what in (None, Quantity({("", "u"): u}, "", "angle")):
        assert_array_equal(ghosts.extend(1, u, "u", what), whole[:, M - WIDTH :])
        assert_array_equal(ghosts.extend(0, u, "u", what), whole[:, : M + WIDTH])
    narrow = "4 points along 'i', but 4 beside the upper end of X of face 0 are needed"
    with pytest.raises(CoordinateError, match=narrow):
        replace(ghosts, width={"y": M, "x": M}).extend(0, center, "center")
