"""Columns at the end of a periodic x that are the first ones once more, as in files of NEMO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from fdgrad_dask.grids.cell_checks import find_places
from fdgrad_dask.grids.coordinate import index_axis, select_for_axis
from fdgrad_dask.grids.fold import Fold, count_repeated_columns
from fdgrad_dask.grids.geometry import Curvilinear
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.operators.extended import list_centers, restore, solve_extended
from fdgrad_dask.operators.ghosts import Ghosts, list_varying
from fdgrad_dask.operators.options import COORDINATES
from fdgrad_dask.stencils.boundary import boundary_pair


def find_repeated_columns(field: Any, given: Mapping[str, Any]) -> int:
    """How many columns of a curvilinear grid repeat others, where the option boundary closes x.

    By 2-D latitude and longitude in memory: 0 where these are lazy or unknown.
    """
    boundary, geometry = given.get("boundary"), given.get("geometry")
    is_named = isinstance(boundary, Mapping) and isinstance(field, xr.DataArray)
    if not is_named or not (geometry is None or isinstance(geometry, Curvilinear)):
        return 0
    if not (places := find_places(field)):
        return 0
    closed = [
        dim
        for dim in places[0].dims
        if boundary_pair(select_for_axis(boundary, index_axis(field, dim), field))[0] == "periodic"
    ]
    if len(closed) != 1 or {*places[0].dims} != {*places[1].dims}:
        return 0
    return count_repeated_columns(*(one.transpose(..., *closed) for one in places))


def solve_without_columns(
    operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any], repeated: int
) -> Any:
    """What ``operator`` makes of its arguments ``given``, ``repeated`` columns being others."""
    named = {
        name: given[name]
        for name in (*fields, *COORDINATES)
        if isinstance(given.get(name), xr.DataArray)
    }
    first, boundary = next(iter(named.values())), given["boundary"]
    grid = find_horizontal_grid(first, given.get("geometry"), boundary)
    ny, nx = (first.sizes[axis.dim] for axis in (grid.y, grid.x))
    if not grid.periodic[1]:  # y is: nothing is known of it
        return operator(**given)
    fold = Fold(0, 0, repeated // 2, nx - repeated)
    centers = list_centers(first, grid, {"y": 2 * ny, "x": 2 * fold.width})
    ghosts = Ghosts(fold.connect()[0], centers, {"y": 0, "x": 0}, before=fold.first)
    ends = {
        key: boundary_pair(select_for_axis(boundary, axis, first))
        for key, axis in (("y", grid.y), ("x", grid.x))
    }
    made = solve_extended(
        operator, given, ghosts, named, dict.fromkeys(named, "center"), {}, ends, {}
    )
    dims = ghosts.dim, *centers["center"].dims.values()
    return restore(ghosts, made, first, list_varying(first, dims), {})
