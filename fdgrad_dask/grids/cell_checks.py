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

    Raises CoordinateError if sizes or labels differ, if the sense of an axis is not that of given
    lengths, or if labels show that faces lie on the other side of their cells.
    """
    known: dict[tuple[Hashable, bool], tuple[Hashable, Any]] = {}
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
            falls = labels.is_monotonic_decreasing and len(labels) > 1
            if falls and (grid.dx or grid.dy or grid.area) and dim in (x, y):
                _require_count(array, dim)
    for axis, positions in (("x", grid.x), ("y", grid.y)):
        found = [known.get((dim, name != "center")) for name, dim in positions.items()]
        if None not in found:
            labels_of = {name: one[1] for name, one in zip(positions, found, strict=True) if one}
            _require_position(axis, grid.face(axis), labels_of)


def _require_position(axis: str, face: str, labels: Mapping[str, Any]) -> None:
    """Raise if the labels of faces at the left are those at the right, or the reverse."""
    centers, faces = labels["center"], labels[face]
    other = {"left": "right", "right": "left"}.get(face)
    is_numeric = all(one.dtype.kind in "iuf" for one in (centers, faces))
    if other is None or min(len(centers), len(faces)) < 2 or not is_numeric:
        return
    # Between the first two cells lies the first of the faces at the right, the second at the left.
    low, high = sorted(centers[:2])
    if low < faces[0 if face == "left" else 1] < high:
        raise CoordinateError(
            f"faces along {axis} are said to lie at the {face!r} of their cells, but their labels "
            f"{faces[0]:g}, {faces[1]:g}, … and those of cells {centers[0]:g}, {centers[1]:g}, … "
            f"say {other!r}; correct the Grid: {axis}={{'center': …, {other!r}: …}}"
        )


def _require_count(array: xr.DataArray, dim: Hashable) -> None:
    """Raise if labels that fall are places: lengths and areas that are given are positive."""
    if dim in find_cf_names(array, "latitude", "longitude", "X", "Y"):
        raise CoordinateError(
            f"{dim!r} falls along its index, but the lengths and areas of the grid are those of "
            "cells that follow each other in the sense of the components; turn all of them around: "
            f".isel({dim}=slice(None, None, -1)), and the positions left and right with them"
        )
