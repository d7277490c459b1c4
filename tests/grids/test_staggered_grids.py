"""A staggered grid is checked when it is made, and knows where fields lie."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.staggered import find_point

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
