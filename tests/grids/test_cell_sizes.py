"""Which dimensions are x and y, in which sense they run, and lengths that are given."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.cell_sizes import find_dims, find_orientation, order_dims

EITHER = {
    ("y", "x"): ("y", "x"),
    ("x", "y"): ("y", "x"),
    ("y", "b"): ("y", "b"),
    ("b", "y"): ("y", "b"),
    ("x", "b"): ("b", "x"),
    ("b", "x"): ("b", "x"),
    ("a", "b"): None,
    ("x", "lon"): None,
}


@pytest.mark.parametrize(("dims", "found"), EITHER.items())
def test_one_name_tells_both_dimensions(dims, found):
    size = xr.DataArray(np.ones((3, 4)), dims=dims)
    f = size.expand_dims(time=2).rename("f")
    made = order_dims(f, dims)
    assert made.is_certain == (found is not None)
    assert (made.y, made.x) == (found or dims)
    if found:
        assert find_dims(f, (size, 2.0))[:2] == find_dims(f, (size.T, None))[:2] == found
    else:
        with pytest.raises(CoordinateError, match="of 'f' are x and y cannot be inferred from"):
            find_dims(f, (size,))


@pytest.mark.parametrize("n", [2, 3])
def test_axes_that_fall_along_their_index(n):
    """Also of two points, and where only one of them falls."""
    x = {"units": "m", "standard_name": "projection_x_coordinate"}
    f = xr.DataArray(
        np.zeros((3, n)), {"y": [5.0, 6.0, 7.0], "x": ("x", 9.0 - np.arange(n), x)}, ("y", "x")
    )
    for dim, sense in (("x", (-1, 1)), ("y", (1, 1))):
        turned = f if dim == "x" else f.isel(x=slice(None, None, -1))
        assert find_orientation(turned, order_dims(turned, ("y", "x"))) == sense
    falls = f.isel(y=slice(None, None, -1))
    assert find_orientation(falls, order_dims(falls, ("y", "x"))) == (-1, -1)


def test_a_lazy_coordinate_is_not_computed_for_the_sign_of_a_length(lazily):
    f = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("y", "x"), name="f")
    lon = ("x", da.from_array(np.arange(4.0), chunks=2), {"units": "degrees_east"})
    lazy = f.assign_coords(lon=lon)
    geometry = fd.Curvilinear(dx=xr.DataArray([-2.0] * 4, dims="x"), dy=3.0)
    with lazily():
        made = op.horizontal_gradient(lazy, geometry=geometry)
    np.testing.assert_allclose(made.df_dx, -0.5)
    with pytest.raises(CoordinateError, match=r"dx is -2\.0, but 'lon' rises along 'x'"):
        op.horizontal_gradient(lazy.load().assign_coords(lon=lazy.lon.load()), geometry=geometry)
