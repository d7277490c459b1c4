"""Operators on staggered grids across a fold, and across the faces of an LLC grid or a cube."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.cells import Cells
from fdgrad_dask.grids.fold import Fold, count_repeated_columns, find_fold
from fdgrad_dask.grids.places import find_2d
from fdgrad_dask.grids.staggered import EXTRA, IS_BELOW, POINTS, Grid, find_point, is_on_face
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.connected import connect_faces, has_faces, match_across
from fdgrad_dask.operators.extended import (
    find_components,
    ghost_width,
    restore,
    solve_extended,
)
from fdgrad_dask.operators.ghosts import Ghosts, Points, list_varying

_NEMO = {"x_c", "x_f"}  # what xnemogcm calls the dimensions along x


def goes_around(geometry: Any) -> bool:
    """True for a staggered grid with faces, or whose x is periodic: it may have a fold then."""
    return isinstance(geometry, Grid) and (
        "periodic" in geometry.ends("x")
        or geometry.ends("y")[1] == "fold"
        or has_faces(geometry.boundary)
    )


def solve_around(operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any]) -> Any:
    """What ``operator`` makes of its arguments ``given``, whose geometry goes around the globe."""
    grid: Grid = given["geometry"]
    named = {name: given[name] for name in fields if isinstance(given.get(name), xr.DataArray)}
    if is_faced := has_faces(grid.boundary):
        named = match_across(named, {*grid.x.values(), *grid.y.values()})
    points = {name: find_point(one, grid) for name, one in named.items()}
    cells = Cells(grid, list(named.values()), list(points.values()))
    connect = _connect_faces if is_faced else _connect_circle
    ghosts, decided = connect(grid, cells, named, ghost_width(given))
    if ghosts is None:
        return operator(**given)
    along = find_components(named, ghosts, points) if decided else {}
    if is_faced and along and (points["u"], points["v"]) not in (("u", "v"), ("center", "center")):
        raise OptionError(
            f"{named['u'].name!r} lies at {points['u']!r} and {named['v'].name!r} at "
            f"{points['v']!r}, but across faces components are needed at 'u' and 'v', or both at "
            "the centres of cells; interpolate them on each face first: interpolate"
        )

    ends = {axis: grid.ends(axis) for axis in "yx"}
    made = solve_extended(operator, given, ghosts, named, points, along, ends, {})
    first = next(iter(named.values()))
    coords = list_varying(first, [ghosts.dim])
    for point in reversed(POINTS):
        coords |= cells.coords(point)
    return restore(ghosts, made, first, coords, decided)


def _connect_faces(
    grid: Grid, cells: Cells, named: Mapping[str, xr.DataArray], width: int
) -> tuple[Ghosts, dict[str, str]]:
    """What lies beyond the faces that the boundary of the grid connects."""
    if len({grid.dims(point) for point in POINTS}) < len(POINTS) or "fold" in grid.ends("y"):
        raise OptionError(
            "boundary connects faces, but points of cells share their dimensions, or y has a fold; "
            "rename those of u, v and corners, as MITgcm has them, i and i_g, j and j_g, and "
            "connect the face with itself instead of a fold"
        )
    ends = {axis: 2 * n for axis, n in cells.counts.items()}
    points = {p: _list_points(grid, cells, p, ends) for p in POINTS}
    ghosts = connect_faces(
        grid.boundary, named, points, width, [*grid.area.values(), *grid.dx.values()]
    )
    return ghosts, {"faces": str(ghosts.dim)}


def _connect_circle(
    grid: Grid, cells: Cells, _: Any, width: int
) -> tuple[Ghosts | None, dict[str, str]]:
    """What lies beyond a fold, and which columns are others once more; None if none are."""
    is_folded = grid.ends("y")[1] == "fold"
    fold, at = _find_fold(grid, cells, is_folded)
    if fold is None:
        return None, {}
    _check_columns(grid, fold, cells)
    links, end = fold.connect(*(_first(grid, at, axis) for axis in "yx"))
    ends = {"y": end if is_folded else 2 * cells.counts["y"], "x": 2 * fold.width}
    points = {p: _list_points(grid, cells, p, ends, fold.width) for p in POINTS}
    ghosts = Ghosts(links, points, {"y": width * is_folded, "x": 0}, before=fold.first)
    return ghosts, {"fold": f"y, {fold.pivot} pivot"} if is_folded else {}


def _find_fold(grid: Grid, cells: Cells, is_folded: bool) -> tuple[Fold | None, str]:
    """The fold of a grid, by latitude and longitude at any point, and that point.

    Without a fold the columns that repeat others, as in files of NEMO; None if none do. Those of
    POP and CICE do not.
    """
    known = list(_places(cells))
    in_memory = (each for each in known if not any(is_dask(one._data) for one in each[1].values()))
    at, found = next(in_memory, ("", {}))
    places = tuple(one.data for one in found.values())
    if not is_folded:
        is_like_nemo = grid.dims("center") == grid.dims("corner") or {*grid.x.values()} == _NEMO
        if known and not at and is_like_nemo and not grid.source.startswith(("POP", "CICE")):
            lat, lon = known[0][1]
            raise CoordinateError(
                "x is periodic, and whether its last columns are the first ones once more, as in "
                f"files of NEMO, is found from latitude and longitude; {lat!r} and {lon!r} are "
                f"dask arrays: load both, ds[{lat!r}].load() and ds[{lon!r}].load()"
            )
        repeated = count_repeated_columns(*places) if at and EXTRA[grid.face("x")] == 0 else 0
        return Fold(0, 0, repeated // 2, cells.counts["x"] - repeated) if repeated else None, at
    if not at:
        raise CoordinateError(
            "the pivot of a tripolar fold is found from latitude and longitude, and no field, "
            "length or area has them over two dimensions in memory; give one these coordinates, or "
            "load them"
        )
    fold = find_fold(*places)
    if fold is None:
        raise CoordinateError(
            f"no fold is found beyond the last row of {grid.dims(at)}: as points in space, its "
            "last rows neither repeat one another, mirrored along x, nor go on as one another; "
            "give fields with all columns and the last rows, or leave that end open: "
            "Grid(…, boundary={'y': (…, None)})"
        )
    return fold, at


def _places(cells: Cells) -> Iterator[tuple[str, dict[Hashable, xr.Variable]]]:
    """The points of a cell whose 2-D latitude and longitude are known, with these."""
    for point in POINTS:
        if all(one.ndim < 2 for one in cells.coords(point).values()):
            continue  # as most have none, and a template of all its coordinates takes a while
        here = cells.template(point)
        names = [find_2d(here, key) for key in ("latitude", "longitude")]
        if None not in names:
            yield point, {n: here.coords.variables[n].transpose(*here.dims) for n in names if n}


def _first(grid: Grid, point: str, axis: str) -> int:
    """Where the first point lies along an axis, in half steps from the end of the first cell."""
    if not is_on_face(point, axis):
        return 1
    return 0 if IS_BELOW[grid.face(axis)] else 2


def _list_points(
    grid: Grid, cells: Cells, point: str, ends: Mapping[str, int], columns: int = 0
) -> Points:
    """One kind of points; so many ``columns`` differ on a grid that goes around the globe."""
    dims = dict(zip("yx", grid.dims(point), strict=True))
    first = {axis: _first(grid, point, axis) for axis in "yx"}
    counts = {axis: cells.size(point, axis) for axis in "yx"}
    is_closed = bool(columns) and EXTRA[grid.face("x")] == 1 and is_on_face(point, "x")
    differing = counts | ({"x": columns} if columns else {})
    return Points(dims, first, differing, ends, counts["x"], is_closed)


def _check_columns(grid: Grid, fold: Fold, cells: Cells) -> None:
    """Raise unless the columns of a grid that goes around the globe can be distinguished."""
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
