"""Refuse fields, lengths and areas that do not belong to the same cells."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.coordinate import find_cf_names
from fdgrad_dask.grids.staggered import POINTS, Grid


def check_arrays(
    grid: Grid,
    placed: Sequence[tuple[xr.DataArray, str]],
    sizes: Mapping[str, tuple[int, int]],
) -> None:
    """Check arrays and their points against the sizes (ny, nx) of each point, and one another.

    Raises CoordinateError if sizes or labels differ, or if the sense of an axis is not that of
    given lengths.
    """
    known: dict[tuple[Hashable, bool], tuple[Hashable, Any]] = {}
    is_given = bool(grid.dx or grid.dy or grid.area)
    for array, point in placed:
        on_x, on_y = POINTS[point]
        for dim, n in zip(grid.dims(point), sizes[point], strict=True):
            if array.sizes.get(dim, 1) not in (1, n):
                raise CoordinateError(
                    f"{array.name!r} has {array.sizes[dim]} points along {dim!r} at {point!r}, but "
                    f"the grid has {n} there; select the same of both"
                )
        y, x = grid.dims(point)
        for dim, labels in array.indexes.items():
            is_face = (dim == x and on_x) or (dim == y and on_y)
            name, other = known.setdefault((dim, is_face), (array.name, labels))
            if len(other) == len(labels) and not other.equals(labels):
                raise CoordinateError(
                    f"{name!r} and {array.name!r} have different labels along {dim!r}; select the "
                    "points that both have"
                )
            if is_given and dim in (x, y) and labels.is_monotonic_decreasing and len(labels) > 1:
                _require_count(array, dim)


def _require_count(array: xr.DataArray, dim: Hashable) -> None:
    """Raise if labels that fall are places: lengths and areas that are given are positive."""
    if dim in find_cf_names(array, "latitude", "longitude", "X", "Y"):
        raise CoordinateError(
            f"{dim!r} falls along its index, but the lengths and areas of the grid are those of "
            "cells that follow each other in the sense of the components; turn all of them around: "
            f".isel({dim}=slice(None, None, -1)), and the positions left and right with them"
        )
