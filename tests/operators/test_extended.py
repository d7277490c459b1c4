"""Fields with ghost points, and results without: what goes there and back is the same."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.grids.fold import Fold
from fdgrad_dask.operators.extended import restore
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
    links, end = Fold(11, 7, 1, 8).connect()
    dims, one = dict(zip(DIMS, DIMS, strict=True)), {"y": 1, "x": 1}
    points = Points(dims, one, {"y": 6, "x": 8}, {"y": end, "x": 16}, 10)
    ghosts = Ghosts(links, {"center": points}, {"y": 2, "x": 0}, before=1)
    made = ghosts.extend(0, field, "center")
    assert (made.sizes["y"], made.sizes["x"]) == (8, 8)
    return restore(ghosts, [change(made)], field, list_varying(field, DIMS), {"fold": "y"})


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
    back = there_and_back(field)
    assert back.chunks == field.chunks
    xr.testing.assert_identical(back.compute(), make_field().assign_attrs(fold="y"))


def test_datasets_and_what_has_fewer_coordinates():
    field = make_field()
    made = there_and_back(field, lambda made: xr.Dataset({"a": made, "b": 2 * made}))
    assert [*made] == ["a", "b"]
    xr.testing.assert_equal(made.b, 2 * field.rename("b"))
    bare = there_and_back(field, lambda made: made.drop_vars(["lat", "y", "step"]))
    assert {*bare.coords} == {"y", "name"}  # positions of the result are its own
