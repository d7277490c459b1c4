"""Refuse fields, lengths and areas that do not belong to the same cells."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.coordinate import find_cf_names
from fdgrad_dask.grids.fold import Points, locate
from fdgrad_dask.grids.places import list_candidates
from fdgrad_dask.grids.staggered import IS_BELOW, POINTS, Grid, is_on_face
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import is_dask

_PROBES = 8  # rows and columns at which places are looked at


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


def to_metres(given: xr.DataArray, needed: str) -> xr.Variable:
    """Lengths in metres, or areas in m²; those without units are so already."""
    units = given.attrs.get("units", needed)
    factor = conversion_factor(units, needed)
    if factor is None:
        raise CoordinateError(
            f"{given.name!r} of the grid is in {units!r}, but {needed} is needed; convert it, or "
            f"correct its units: .assign_attrs(units={needed!r})"
        )
    return given.variable if factor == 1 else given.variable * factor


def check_places(grid: Grid, templates: Mapping[str, xr.DataArray]) -> None:
    """Check how points follow each other, as their 2-D latitude and longitude in memory say.

    Raises CoordinateError unless faces lie about midway between the two cells that share them,
    which they do not after selecting every second one or turning an axis around, and if y lies to
    the right of x.
    """
    found = {point: find_places(here) for point, here in templates.items()}
    known = {
        point: [one.transpose(*templates[point].dims) for one in places]
        for point, places in found.items()
        if places
    }
    shape = np.min([lat.shape for lat, _ in known.values()], axis=0) if known else (0, 0)
    if min(shape) < 2:
        return
    probes = (np.unique(np.linspace(0, n - 2, _PROBES, dtype=int)) for n in shape)
    rows, columns = (np.stack([first, first + 1], 1) for first in probes)

    @cache  # since a file may not be loaded; centres and corners suffice for both axes
    def look(point: str) -> Points:
        """Some points, each with the next: [row, this or next, column, this or next, xyz]."""
        lat, lon = (one[rows.ravel(), columns.ravel()].values for one in known[point])
        lat = np.where(abs(lat) <= 90, lat, np.nan)  # others are fill values, or kilometres
        return locate(lat, lon).reshape(len(rows), 2, len(columns), 2, 3)

    point = next(iter(known))
    here, labels = look(point)[:, 0, :, 0], templates[point].indexes.values()
    turn = np.cross(look(point)[:, 0, :, 1] - here, look(point)[:, 1, :, 0] - here)
    falls = any(one.is_monotonic_decreasing and len(one) > 1 for one in labels)
    if not falls and _find_median(turn, here, turn) < 0:
        _refuse_mirror(*grid.dims(point))
    for axis in "xy":
        pairs = [
            ((cell, face) != ("center", "corner"), cell, face)
            for cell, face in product(known, known)
            if is_on_face(face, axis) and not is_on_face(cell, axis)
        ]
        if pairs:
            _, cell, face = min(pairs)
            share = _find_share(grid, axis, {point: look(point) for point in (cell, face)})
            if abs(share - 0.5) > 0.2:
                _refuse_places(grid, axis, face, share)


def _find_share(grid: Grid, axis: str, at: Mapping[str, Points]) -> float:
    """How much of the way to the next cell lies before the face between both, along an axis.

    Where one of the two kinds of points, ``at`` which places are known, lies on faces along the
    other axis, the mean of two neighbours of the other kind does, too.
    """
    (cell, centers), (face, faces) = at.items()
    other = "y" if axis == "x" else "x"
    above = {one: int(IS_BELOW[grid.face(one)]) for one in "xy"}
    is_aside = is_on_face(cell, other), is_on_face(face, other)

    def take(points: Points, number: int, on_face: bool) -> Points:
        turned = points if axis == "x" else points.transpose(2, 3, 0, 1, 4)
        line = turned[:, :, :, number]
        if is_aside[0] == is_aside[1]:
            return line[:, 0]
        mean: Points = line.mean(1)
        return line[:, above[other]] if on_face else mean

    here = take(centers, 0, is_aside[0])
    step = take(centers, 1, is_aside[0]) - here
    return _find_median(take(faces, above[axis], is_aside[1]) - here, step, step)


def find_places(here: xr.DataArray) -> tuple[xr.Variable, ...]:
    """2-D latitude and longitude, if they are in memory and no others are there."""
    names = [list_candidates(here, key, 2) for key in ("latitude", "longitude")]
    if any(len(one) != 1 for one in names):
        return ()
    places = tuple(here.coords.variables[name] for (name,) in names)
    return () if any(is_dask(one._data) or is_jax(one._data) for one in places) else places


def _find_median(one: Points, other: Points, size: Points) -> float:
    """The median of one · other / size², of vectors that are known and not zero."""
    square = (size * size).sum(-1)
    shares = ((one * other).sum(-1) / np.where(square > 0, square, np.nan)).ravel()
    shares = shares[np.isfinite(shares)]
    return float(np.median(shares)) if shares.size else np.nan


def _refuse_places(grid: Grid, axis: str, face: str, share: float) -> None:
    dim = grid.dims(face)["yx".index(axis)]
    found = f"{share:.0%} of the way from the cell before them to the next one"
    way = "select ranges without a step, since lengths are those of single cells"
    if not 0 < share < 1:
        position = grid.face(axis)
        way = (
            f"if {axis} has been turned around, turn it back: .isel({dim}=slice(None, None, -1)) "
            f"for cells and faces; else correct the position {position!r} in the Grid"
        )
    raise CoordinateError(
        f"faces along {dim!r} lie half way between two cells, but latitude and longitude say that "
        f"they lie {found}; {way}"
    )


def _refuse_mirror(y: Hashable, x: Hashable) -> None:
    raise CoordinateError(
        f"latitude and longitude say that {y!r} runs to the right of {x!r}, but components and "
        "lengths of a staggered grid are those of a y to the left of x; turn the one that has been "
        f"turned around back, for cells and faces: .isel({y}=slice(None, None, -1)), or {x}"
    )
