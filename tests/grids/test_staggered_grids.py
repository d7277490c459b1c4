"""A staggered grid is checked when it is made, and knows where fields lie."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError, OptionError
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
