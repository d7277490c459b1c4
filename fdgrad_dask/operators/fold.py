"""Operators across the fold of a tripolar grid, as the option ``boundary`` names it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.coordinate import select_for_axis
from fdgrad_dask.grids.fold import Fold, find_fold, make_fold
from fdgrad_dask.grids.geometry import Curvilinear, HorizontalGrid
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.grids.places import list_candidates
from fdgrad_dask.grids.staggered import Grid
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.extended import (
    ghost_width,
    list_centers,
    require_horizontal,
    solve_at_centers,
)
from fdgrad_dask.operators.ghosts import Ghosts
from fdgrad_dask.operators.terms import COORDINATES
from fdgrad_dask.stencils.boundary import boundary_pair

FOLDS = ("fold", "fold-T", "fold-F")
_WAY = "say boundary={'x': 'periodic', 'y': (None, 'fold')}, with the names of your dimensions"


def has_fold(boundary: Any) -> bool:
    """True if the option ``boundary`` names a fold, at any end of any axis."""
    given = boundary.values() if isinstance(boundary, Mapping) else [boundary]
    ends = [end for one in given for end in (one if isinstance(one, (tuple, list)) else [one])]
    return any(isinstance(end, str) and end in FOLDS for end in ends)


def suggest_fold(grid: HorizontalGrid) -> str:
    """What to say of y if a fold lies beyond its last row, or nothing; reads no lazy positions."""
    places = grid.places
    if places is None or any(map(is_dask, places)) or find_fold(*places) is None:
        return ""
    return f"y, with {describe_fold(grid.y.dim, grid.x.dim)}"


def describe_fold(y: Hashable, x: Hashable) -> str:
    """Say that there is a fold, and the option that uses it."""
    return f"a fold beyond its last row (boundary={ {x: 'periodic', y: (None, 'fold')} } uses it)"


def solve_across_fold(
    operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any]
) -> Any:
    """What ``operator`` makes of its arguments ``given``, whose ``boundary`` names a fold."""
    require_horizontal(operator, "a fold")
    if isinstance(given.get("geometry"), Grid):
        raise OptionError(
            f"boundary is {given['boundary']}, but a staggered grid has its own; give it there: "
            "Grid(…, boundary={'x': 'periodic', 'y': (0.0, 'fold')})"
        )
    key, pivot, boundary = _without_fold(given["boundary"])
    arrays = [*fields, *COORDINATES]
    named = {name: given[name] for name in arrays if isinstance(given.get(name), xr.DataArray)}
    first = next(iter(named.values()))
    grid = find_horizontal_grid(first, given.get("geometry"), boundary)
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
    links, end = fold.connect()
    points = list_centers(first, grid, {"y": end, "x": 2 * fold.width})
    width = {"y": ghost_width(given), "x": 0}
    ghosts = Ghosts(links, points, width, before=fold.first)
    decided = {"fold": f"{grid.y.name}, {fold.pivot} pivot"}
    return solve_at_centers(operator, given, ghosts, named, grid, lambda _: boundary, decided)


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
