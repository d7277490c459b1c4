"""Fields beyond the end of their grid: operators across the fold of a tripolar grid.

The fields, their coordinates and the arrays of the geometry get some rows more, which are slices of
their own last rows. The operator computes on these as on any other grid, and the rows are cut off.
So all operators have a fold, at any accuracy, and only the last chunks are touched for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.coordinate import select_for_axis
from fdgrad_dask.grids.fold import Fold, find_fold, make_fold
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, HorizontalGrid
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.grids.places import list_candidates
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import is_dask, scale
from fdgrad_dask.operators.fused_pass import namespace
from fdgrad_dask.operators.roles import choose_components, is_along_grid
from fdgrad_dask.operators.terms import COORDINATES
from fdgrad_dask.stencils.boundary import boundary_pair

FOLDS = ("fold", "fold-T", "fold-F")
_WAY = "say boundary={'x': 'periodic', 'y': (None, 'fold')}, with the names of your dimensions"
Plane = tuple[Hashable, Hashable]


def has_fold(boundary: Any) -> bool:
    """True if the option ``boundary`` names a fold, at any end of any axis."""
    given = boundary.values() if isinstance(boundary, Mapping) else [boundary]
    ends = [end for one in given for end in (one if isinstance(one, (tuple, list)) else [one])]
    return any(isinstance(end, str) and end in FOLDS for end in ends)


def solve_across_fold(
    operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any]
) -> Any:
    """What ``operator`` makes of its arguments ``given``, whose ``boundary`` names a fold."""
    if "dim" in given or operator.__name__ == "gradient":
        raise OptionError(
            "gradient is along one axis, and knows no fold; take horizontal_gradient, or leave "
            "that end open: boundary=None"
        )
    key, pivot, boundary = _without_fold(given["boundary"])
    arrays = [*fields, *COORDINATES]
    named = {name: given[name] for name in arrays if isinstance(given.get(name), xr.DataArray)}
    first = next(iter(named.values()))
    geometry: Geometry | None = given.get("geometry")
    grid = find_horizontal_grid(first, geometry, boundary)
    if not select_for_axis({key: True}, grid.y, first) or not isinstance(
        grid.geometry, Curvilinear
    ):
        raise OptionError(
            f"boundary names a fold at {key!r}, but a fold lies at the upper end of y of a grid of "
            f"two-dimensional latitude and longitude; of {first.name!r} y is {grid.y.dim!r}, on a "
            f"{type(grid.geometry).__name__.lower()} grid"
        )
    fold = _recognise(first, grid, pivot)
    if fold.width < first.sizes[grid.x.dim] and not grid.periodic[1]:
        raise OptionError(
            f"the first and last columns of {first.name!r} along {grid.x.dim!r} are the same, so "
            f"{grid.x.dim!r} is periodic: boundary={{{grid.x.dim!r}: 'periodic', …}}"
        )
    plane = (grid.y.dim, grid.x.dim)
    # The widest stencils are those of the laplacian, whose fluxes are differenced once more.
    rows = first.sizes[grid.y.dim] + 2 * int(given.get("accuracy", 2))
    if rows - fold.height > fold.height - 2:
        raise CoordinateError(
            f"{first.name!r} has {first.sizes[grid.y.dim]} points along {grid.y.dim!r}, but beyond "
            f"a fold {rows - first.sizes[grid.y.dim]} rows are needed; lower the accuracy"
        )
    signs = _signs(named, grid)
    across = _Across(fold, plane, rows)
    made = operator(
        **{**given, "boundary": boundary, "geometry": across.extend_geometry(geometry)}
        | {name: across.extend(one, signs[name]) for name, one in named.items()}
    )
    return across.trim(made, first, {"fold": f"{grid.y.name}, {fold.pivot} pivot"})


def _without_fold(boundary: Any) -> tuple[Hashable, str, dict[Any, Any]]:
    """The axis with the fold, its name, and the option with that end open."""
    if not isinstance(boundary, Mapping):
        raise OptionError(f"boundary is {boundary!r}, but a fold is at one end of y: {_WAY}")
    found = {key: boundary_pair(ends) for key, ends in boundary.items() if has_fold(ends)}
    key, (low, high) = next(iter(found.items()))
    if len(found) > 1 or has_fold(low):
        raise OptionError(
            f"boundary is {boundary!r}, but a fold lies beyond the last row of y alone: {_WAY}; if "
            "it lies before the first row, turn y around: .isel(y=slice(None, None, -1))"
        )
    return key, str(high), {**boundary, key: (low, None)}


def _recognise(field: xr.DataArray, grid: HorizontalGrid, pivot: str) -> Fold:
    """The fold that latitude and longitude show, or the named one if they are not known."""
    dims = grid.y.dim, grid.x.dim
    ny, nx = (field.sizes[dim] for dim in dims)
    names = [list_candidates(field, key, 2) for key in ("latitude", "longitude")]
    places = grid.places
    if places is None and all(len(found) == 1 for found in names):
        coords = field.coords.variables
        places = (
            coords[names[0][0]].transpose(*dims).data,
            coords[names[1][0]].transpose(*dims).data,
        )
    named = pivot.removeprefix("fold").removeprefix("-")
    if places is None or any(map(is_dask, places)):
        if not named:
            why = "has no" if places is None else "has only lazy"
            raise CoordinateError(
                f"{field.name!r} {why} latitude and longitude over {dims}, from which the pivot of "
                "the fold is found; load them, or name it: 'fold-T' if the last row is mirrored "
                "onto itself, 'fold-F' if the fold lies half a row beyond it"
            )
        if nx % 2:
            raise CoordinateError(
                f"{field.name!r} has {nx} columns, but a fold needs an even number of them; leave "
                f"out columns that repeat others: .isel({grid.x.dim}=slice(1, -1))"
            )
        return make_fold(named, ny, nx)
    fold = find_fold(*places)
    if fold is None:
        raise CoordinateError(
            f"no fold is found beyond the last row of {field.name!r}: as points in space, its last "
            f"rows along {grid.y.dim!r} neither repeat one another, mirrored along {grid.x.dim!r}, "
            "nor go on as one another within a quarter of a cell; select all columns and the last "
            f"rows of the grid, or leave that end open: boundary={{{grid.y.dim!r}: None}}"
        )
    if named and named != fold.pivot:
        raise CoordinateError(
            f"boundary says {pivot!r}, but the latitude and longitude of {field.name!r} show a "
            f"{fold.pivot} pivot; say 'fold'"
        )
    return fold


def _signs(named: Mapping[str, xr.DataArray], grid: HorizontalGrid) -> dict[str, int]:
    """−1 for fields that are components along the grid, which point backwards beyond a fold."""
    signs = dict.fromkeys(named, 1)
    if {"u", "v"} <= named.keys():
        if choose_components(named["u"], named["v"], grid) == "grid":
            signs |= {"u": -1, "v": -1}
    elif is_along_grid(named["field"]):
        signs["field"] = -1
    return signs


class _Across:
    """Arrays over the plane (y, x), extended across a fold to a number of ``rows``."""

    def __init__(self, fold: Fold, plane: Plane, rows: int) -> None:
        self.fold, self.plane, self.rows = fold, plane, rows

    def extend(self, field: xr.DataArray, sign: int = 1) -> xr.DataArray:
        """A field and its coordinates beyond the fold."""
        moved = self._moved(field)
        bare = field.drop_vars(list(moved)).coords
        made = xr.DataArray(self._extend(field.variable, sign), bare, name=field.name)
        made.encoding = field.encoding
        coords = {name: self._extend_coordinate(one) for name, one in moved.items()}
        return made.assign_coords({n: one for n, one in coords.items() if one is not None})

    def _moved(self, field: xr.DataArray) -> dict[Hashable, xr.Variable]:
        """The coordinates that vary along y or x."""
        variables = field.coords.variables
        return {name: one for name, one in variables.items() if {*one.dims} & {*self.plane}}

    def _extend_coordinate(self, one: xr.Variable) -> xr.Variable | None:
        y, x = self.plane
        one = one.to_base_variable()
        if y not in one.dims or x in one.dims:
            return self._extend(one)
        if one.ndim > 1 or one.dtype.kind not in "iuf" or is_dask(one._data):
            return None
        # Labels of rows beyond the fold. Where these lie is known from the 2-D coordinates.
        points = one.values[: self.fold.height].astype(np.float64)
        beyond = np.arange(1, self.rows - len(points) + 1)
        more = points[-1] + beyond * (points[-1] - points[-2])
        return xr.Variable(one.dims, np.concatenate([points, more]), one.attrs)

    def _extend(self, one: xr.Variable, sign: int = 1) -> xr.Variable:
        y, x = self.plane
        fold = self.fold
        varies = {dim for dim in self.plane if dim in one.dims and one.sizes[dim] > 1}
        if x in varies:
            one = one.isel({x: slice(fold.first, fold.first + fold.width)})
        if y not in varies:
            return one
        last = fold.rows - fold.height
        ghost = one.isel({y: slice(last, last - (self.rows - fold.height), -1)})
        if x in varies:
            parts = slice(fold.columns, None, -1), slice(None, fold.columns, -1)
            ghost = _join([ghost.isel({x: part}) for part in parts], x)
        if is_dask(ghost._data):
            ghost = ghost.chunk({y: -1} | {dim: one.chunksizes[dim] for dim in varies & {x}})
        if sign == -1:
            ghost = xr.Variable(ghost.dims, scale(ghost.data, -1))
        return _join([one.isel({y: slice(fold.height)}), ghost], y)

    def extend_geometry(self, geometry: Geometry | None) -> Geometry | None:
        """A geometry with its arrays beyond the fold, where x points the other way."""
        if not isinstance(geometry, Curvilinear):
            return geometry
        made: dict[str, Any] = {}
        for name in ("dx", "dy", "angle"):
            value = getattr(geometry, name)
            if isinstance(value, xr.DataArray):
                made[name] = self.extend(value)
        if "angle" in made:
            half = 180 / (
                conversion_factor(made["angle"].attrs.get("units", "degree"), "degree") or 1
            )
            beyond = xr.Variable(self.plane[:1], half * (np.arange(self.rows) >= self.fold.height))
            made["angle"] = made["angle"].copy(data=(made["angle"].variable + beyond).data)
        elif geometry.angle is not None:
            raise OptionError(
                f"angle is {geometry.angle}, but beyond a fold x points the other way; give the "
                "angle as a DataArray over y and x"
            )
        return replace(geometry, **made)

    def trim(self, made: Any, field: xr.DataArray, attrs: dict[str, Any]) -> Any:
        """A result at the points of ``field``."""
        if isinstance(made, xr.Dataset):
            results = {name: self.trim(one, field, attrs) for name, one in made.data_vars.items()}
            coords = next(iter(results.values())).coords
            return xr.Dataset({name: one.variable for name, one in results.items()}, coords)
        y, x = self.plane
        one = made.variable.isel({y: slice(field.sizes[y])})
        before = self.fold.first
        behind = field.sizes[x] - before - self.fold.width
        if before or behind:
            repeated = one.isel({x: slice(self.fold.width - before, None)})
            one = _join([repeated, one, one.isel({x: slice(behind)})], x)
        if is_dask(one._data) and field.chunks is not None:
            one = one.chunk({dim: field.chunksizes[dim] for dim in self.plane})
        kept = made.drop_vars(list(self._moved(made))).coords
        result = xr.DataArray(one, kept, name=made.name, attrs=one.attrs | attrs)
        return result.assign_coords(self._moved(field))


def _join(parts: list[xr.Variable], dim: Hashable) -> xr.Variable:
    """Parts of an array along one dimension, of any kind."""
    parts = [part for part in parts if part.sizes[dim]]
    first, axis = parts[0], parts[0].dims.index(dim)
    if len(parts) == 1:
        return first
    data = [part.data for part in parts]
    return xr.Variable(first.dims, namespace(data[0]).concatenate(data, axis=axis), first.attrs)
