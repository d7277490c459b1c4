"""Fields with ghost points, and results without: what goes there and back is the same."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.grids.fold import Fold
from fdgrad_dask.operators.connected import connect_faces
from fdgrad_dask.operators.extended import replace_at_corners, restore
from fdgrad_dask.operators.ghosts import Ghosts, Points, list_varying

DIMS = ("y", "x")


def make_field():
    """Eight columns with the last before the first and the first behind the last, as NEMO has."""
    values = np.random.default_rng(0).normal(size=(6, 8))
    values = np.concatenate([values[:, -1:], values, values[:, :1]], 1)
    coords = {
        "lat": (DIMS, 2 * values),
        "y": 5 + np.arange(6),
        "name": ("x", [*"abcdefghij"]),
        "step": 3,
    }
    return xr.DataArray(values, coords, DIMS, "f", {"units": "K"})


def there_and_back(field, change=lambda made: made):
    ghosts = make_ghosts()
    made = ghosts.extend(0, field, "center")
    assert (made.sizes["y"], made.sizes["x"]) == (8, 8)
    return restore(ghosts, [change(made)], field, list_varying(field, DIMS), {"fold": "y"})


def make_ghosts():
    links, end = Fold(11, 7, 1, 8).connect()
    dims, one = dict(zip(DIMS, DIMS, strict=True)), {"y": 1, "x": 1}
    points = Points(dims, one, {"y": 6, "x": 8}, {"y": end, "x": 16}, 10)
    return Ghosts(links, {"center": points}, {"y": 2, "x": 0}, before=1)


@pytest.mark.parametrize("order", [("y", "x"), ("x", "time", "y")])
def test_in_memory(order):
    field = make_field().expand_dims(time=[0.5, 1.5]) if "time" in order else make_field()
    field = field.transpose(*order)
    back = there_and_back(field)
    xr.testing.assert_identical(back, field.assign_attrs(fold="y"))
    assert type(back.variable._data) is np.ndarray
    turned = there_and_back(field, lambda made: made.transpose())
    xr.testing.assert_identical(turned, back)


@pytest.mark.parametrize("chunks", [{"y": 4, "x": 5}, {"y": (1, 5), "x": -1}, {"x": (1, 2, 7)}])
def test_chunks_stay(chunks):
    field = make_field().chunk(chunks)
    made, back = make_ghosts().extend(0, field, "center"), there_and_back(field)
    assert made.chunksizes["y"] == (*field.chunksizes["y"], 2)
    assert back.chunks == field.chunks
    xr.testing.assert_identical(back.compute(), make_field().assign_attrs(fold="y"))


def test_datasets_and_what_has_fewer_coordinates():
    field = make_field()
    made = there_and_back(field, lambda made: xr.Dataset({"a": made, "b": 2 * made}))
    assert [*made] == ["a", "b"]
    xr.testing.assert_equal(made.b, 2 * field.rename("b"))
    bare = there_and_back(field, lambda made: made.drop_vars(["lat", "y", "step"]))
    assert {*bare.coords} == {"y", "name"}  # positions of the result are its own


def test_the_corner_where_three_faces_meet_is_replaced():
    """On the caps of three faces, whose other sides are open; no other point is."""
    connections = {
        0: {"X": (None, (1, "X", False)), "Y": (None, (2, "X", False))},
        1: {"X": ((0, "X", False), None), "Y": (None, (2, "Y", False))},
        2: {"X": ((0, "Y", False), None), "Y": ((1, "Y", False), None)},
    }
    ends = {"y": 8, "x": 8}
    dims = {"corner": ("jg", "ig"), "u": ("j", "ig"), "center": ("j", "i")}
    first = {"corner": {"y": 0, "x": 0}, "u": {"y": 1, "x": 0}, "center": {"y": 1, "x": 1}}
    counts = {p: {axis: 5 - n for axis, n in one.items()} for p, one in first.items()}
    points = {
        p: Points(dict(zip("yx", dims[p], strict=True)), first[p], counts[p], ends, counts[p]["x"])
        for p in dims
    }
    some = xr.DataArray(np.ones((3, 4, 4)), dims=("face", "j", "i"))
    ghosts = connect_faces({"face": connections}, {"f": some}, points, 2)
    corner = xr.DataArray(np.ones((7, 7)), dims=dims["corner"])
    expected = np.ones((7, 7))
    expected[4, 4] = 0
    made = replace_at_corners(ghosts, 0, corner, "corner", 0.0)
    np.testing.assert_array_equal(made, expected)
    u = xr.DataArray(np.ones((6, 7)), dims=dims["u"])
    expected = np.ones((6, 7))
    expected[4:, 4] = 0  # on the line of the corner, beyond y
    np.testing.assert_array_equal(replace_at_corners(ghosts, 0, u, "u", 0.0), expected)
