"""Operators on staggered grids across a fold, and across the faces of an LLC grid or a cube."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.cells import EXTRA, IS_BELOW, Cells, is_on_face
from fdgrad_dask.grids.fold import Fold, count_repeated_columns, find_fold
from fdgrad_dask.grids.places import find_2d
from fdgrad_dask.grids.staggered import POINTS, Grid, find_point
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.extended import find_carried, ghost_width, restore
from fdgrad_dask.operators.ghosts import Ghosts, Points, Quantity, list_varying


def goes_around(geometry: Any) -> bool:
    """True for a staggered grid whose x is periodic: it may have a fold, or columns twice."""
    return isinstance(geometry, Grid) and (
        "periodic" in geometry.ends("x") or geometry.ends("y")[1] == "fold"
    )


def solve_around(operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any]) -> Any:
    """What ``operator`` makes of its arguments ``given``, whose geometry goes around the globe."""
    grid: Grid = given["geometry"]
    named = {name: given[name] for name in fields if isinstance(given.get(name), xr.DataArray)}
    points = {name: find_point(one, grid) for name, one in named.items()}
    cells = Cells(grid, list(named.values()), list(points.values()))
    low, high = grid.ends("y")
    is_folded = high == "fold"
    found = (_find_fold if is_folded else _find_circle)(grid, cells)
    if found is None:
        return operator(**given)
    fold, at = found
    _check_columns(grid, fold, cells)
    links, end = fold.connect(*(_first(grid, at, axis) for axis in "yx"))
    ends = {"y": end if is_folded else 2 * cells.counts["y"], "x": 2 * fold.width}
    width = {"y": ghost_width(given) * is_folded, "x": 0}
    places = {p: _list_points(grid, cells, p, ends) for p in POINTS}
    ghosts = Ghosts(links, places, width, before=fold.first)
    along: dict[str, str] = {}
    if is_folded:
        along = {n: "xy"[n == "v"] for n in ("u", "v") if n in named}
        along |= dict.fromkeys(find_carried(named, points), "x")

    def extend(array: xr.DataArray, point: str, own: str = "") -> xr.DataArray:
        what = Quantity({(own, point): array}, own, "vector" if own else "")
        # Nominal 1-D positions are no latitudes here.
        dims = places[point].dims
        lines = [n for n, one in list_varying(array, dims.values()).items() if one.ndim == 1]
        made = ghosts.extend(0, array.drop_vars(lines), point, what)
        x = dims["x"]
        if EXTRA[grid.face("x")] * is_on_face(point, "x") == 1 and made.sizes.get(x, 1) > 1:
            made = made.isel({x: np.append(np.arange(made.sizes[x]), 0)})  # the first once more
        return made

    arrays: dict[str, Any] = {
        kind: {p: extend(one, p) for p, one in getattr(grid, kind).items()}
        for kind in ("dx", "dy", "area", "fraction")
    }
    arrays["boundary"] = {**grid.boundary, "y": (low, None if is_folded else high)}
    extended = {n: extend(one, points[n], along.get(n, "")) for n, one in named.items()}
    made = operator(**{**given, "geometry": replace(grid, **arrays)} | extended)
    coords: dict[Hashable, xr.Variable] = {}
    for point in POINTS:
        coords = cells.coords(point) | coords
    decided = {"fold": f"y, {fold.pivot} pivot"} if is_folded else {}
    return restore(ghosts, [made], next(iter(named.values())), coords, decided)


def _find_fold(grid: Grid, cells: Cells) -> tuple[Fold, str]:
    """The fold, from latitude and longitude at any point, and that point."""
    for point, lat, lon in _places(cells):
        fold = find_fold(lat, lon)
        if fold is None:
            raise CoordinateError(
                f"no fold is found beyond the last row of {grid.dims(point)}: as points in space, "
                "its last rows neither repeat one another, mirrored along x, nor go on as one "
                "another; give fields with all columns and the last rows, or leave that end open: "
                "Grid(…, boundary={'y': (…, None)})"
            )
        return fold, point
    raise CoordinateError(
        "the pivot of a tripolar fold is found from latitude and longitude, and no field, length "
        "or area has them over two dimensions in memory; give one these coordinates, or load them"
    )


def _find_circle(grid: Grid, cells: Cells) -> tuple[Fold, str] | None:
    """Columns that repeat others, as files of NEMO have, on a grid without a fold."""
    for point, lat, lon in _places(cells) if EXTRA[grid.face("x")] == 0 else ():
        repeated = count_repeated_columns(lat, lon)
        return (Fold(0, 0, repeated // 2, lat.shape[1] - repeated), point) if repeated else None
    return None


def _places(cells: Cells) -> Iterator[tuple[str, Any, Any]]:
    """The points of a cell whose 2-D latitude and longitude are in memory, with these."""
    for point in POINTS:
        here = cells.template(point)
        names = [find_2d(here, key) for key in ("latitude", "longitude")]
        if None not in names:
            found = [here.coords.variables[name].transpose(*here.dims) for name in names]
            if not any(is_dask(one._data) for one in found):
                yield point, found[0].data, found[1].data


def _first(grid: Grid, point: str, axis: str) -> int:
    """Where the first point lies along an axis, in half steps from the end of the first cell."""
    if not is_on_face(point, axis):
        return 1
    return 0 if IS_BELOW[grid.face(axis)] else 2


def _list_points(grid: Grid, cells: Cells, point: str, ends: Mapping[str, int]) -> Points:
    dims = dict(zip("yx", grid.dims(point), strict=True))
    first = {axis: _first(grid, point, axis) for axis in "yx"}
    counts = {"y": cells.size(point, "y"), "x": ends["x"] // 2}
    return Points(dims, first, counts, ends, cells.size(point, "x"))


def _check_columns(grid: Grid, fold: Fold, cells: Cells) -> None:
    """Raise unless the columns of a grid that goes around the globe can be told apart."""
    if fold.width < cells.counts["x"] and EXTRA[grid.face("x")]:
        raise CoordinateError(
            "the first and last columns of the centres are the same, but faces across x are "
            f"at {grid.face('x')!r}; leave out the columns that repeat others"
        )
    if grid.ends("x")[0] != "periodic":
        raise CoordinateError(
            "the grid has a fold, so it goes around the globe; let x be periodic too: "
            "Grid(…, boundary={'x': 'periodic', 'y': (…, 'fold')})"
        )
