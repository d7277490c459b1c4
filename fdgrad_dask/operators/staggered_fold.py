"""Operators on staggered grids across the fold of a tripolar grid.

Faces lie half a cell off the centres, so each point of a cell has a mirror of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.cells import Cells
from fdgrad_dask.grids.fold import Fold, count_repeated_columns, find_fold
from fdgrad_dask.grids.places import find_2d
from fdgrad_dask.grids.staggered import EXTRA, IS_BELOW, POINTS, Grid, find_point, is_on_face
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.fold import Across
from fdgrad_dask.operators.ghosts import find_carried, join, varying

_GHOSTS = 4  # rows: differences of differences, of means


def goes_around(geometry: Any) -> bool:
    """True for a staggered grid whose x is periodic: it may have a fold, or columns twice."""
    return (isinstance(geometry, Grid) and "periodic" in geometry.ends("x")) or _has_fold(geometry)


def _has_fold(geometry: Any) -> bool:
    return isinstance(geometry, Grid) and geometry.ends("y")[1] == "fold"


def solve_around(operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any]) -> Any:
    """What ``operator`` makes of its arguments ``given``, whose geometry goes around the globe."""
    grid: Grid = given["geometry"]
    named = {name: given[name] for name in fields if isinstance(given.get(name), xr.DataArray)}
    points = {name: find_point(one, grid) for name, one in named.items()}
    cells = Cells(grid, list(named.values()), list(points.values()))
    fold = _find_fold(grid, cells) if _has_fold(grid) else _find_circle(grid, cells)
    if fold is None:
        return operator(**given)
    folded = _Folded(grid, cells, fold)
    arrays: dict[str, Any] = {
        kind: {p: folded.extend(one, p) for p, one in getattr(grid, kind).items()}
        for kind in ("dx", "dy", "area", "fraction")
    }
    low, high = grid.ends("y")
    ends = {**grid.boundary, "y": (low, None if high == "fold" else high)}
    vectors: set[str] = set()
    if folded.is_folded:
        vectors = ({"u", "v"} & named.keys()) | {*find_carried(named, points)}
    made = operator(
        **{**given, "geometry": replace(grid, boundary=ends, **arrays)}
        | {n: folded.extend(one, points[n], n in vectors) for n, one in named.items()}
    )
    first = next(iter(named.values()))
    if isinstance(made, xr.Dataset):
        return xr.Dataset({name: folded.cut(one, first) for name, one in made.data_vars.items()})
    return folded.cut(made, first)


def _find_fold(grid: Grid, cells: Cells) -> Fold:
    """The fold of the centres, from latitude and longitude at any point."""
    for point, lat, lon in _places(cells):
        fold = find_fold(lat, lon)
        if fold is None:
            raise CoordinateError(
                f"no fold is found beyond the last row of {grid.dims(point)}: as points in space, "
                "its last rows neither repeat one another, mirrored along x, nor go on as one "
                "another; give fields with all columns and the last rows, or leave that end open: "
                "Grid(…, boundary={'y': (…, None)})"
            )
        rows, columns = (_half_steps(grid, point, axis) for axis in "yx")
        return fold.shifted(-rows, -columns)
    raise CoordinateError(
        "the pivot of a tripolar fold is found from latitude and longitude, and no field, length "
        "or area has them over two dimensions in memory; give one these coordinates, or load them"
    )


def _find_circle(grid: Grid, cells: Cells) -> Fold | None:
    """Columns that repeat others, as files of NEMO have, on a grid without a fold."""
    for _, lat, lon in _places(cells) if EXTRA[grid.face("x")] == 0 else ():
        if repeated := count_repeated_columns(lat, lon):
            ny, nx = cells.counts["y"], cells.counts["x"]
            return Fold(4 * ny, 0, repeated // 2, nx - repeated)  # its rows lie beyond all others
        return None
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


def _half_steps(grid: Grid, point: str, axis: str) -> int:
    """How many half steps point number i lies above centre number i."""
    if not is_on_face(point, axis):
        return 0
    return -1 if IS_BELOW[grid.face(axis)] else 1


class _Folded:
    """The arrays of a staggered grid beyond its fold."""

    def __init__(self, grid: Grid, cells: Cells, fold: Fold) -> None:
        self.grid, self.cells, self.fold = grid, cells, fold
        self.is_folded = _has_fold(grid)
        self.coords: dict[Hashable, xr.Variable] = {}
        for point in POINTS:
            self.coords = cells.coords(point) | self.coords
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

    def extend(self, array: xr.DataArray, point: str, is_along: bool = False) -> xr.DataArray:
        """An array at a point beyond the fold, where components point backwards."""
        grid, (y, x) = self.grid, self.grid.dims(point)
        fold = self.fold.shifted(*(_half_steps(grid, point, axis) for axis in "yx"))
        extra = EXTRA[grid.face("y")] * is_on_face(point, "y")
        rows = self.cells.counts["y"] + extra + (_GHOSTS if self.is_folded else 0)
        if self.is_folded and y in array.dims and array.sizes[y] < fold.height:
            raise CoordinateError(
                f"{array.name!r} has no row on the fold itself, where {point!r} lies with faces at "
                f"{grid.face('y')!r}; give the faces above the cells: 'right' or 'outer'"
            )
        # Nominal 1-D positions are no latitudes here.
        lines = {n: one for n, one in varying(array, (y, x)).items() if one.ndim == 1}
        bare = array.drop_vars(list(lines))
        made = Across(fold, (y, x), rows).extend(bare, is_along)
        if EXTRA[grid.face("x")] == 1 and is_on_face(point, "x") and made.sizes.get(x, 1) > 1:
            made = made.isel({x: np.append(np.arange(made.sizes[x]), 0)})  # the first once more
        return made

    def cut(self, made: xr.DataArray, field: xr.DataArray) -> xr.DataArray:
        """A result at the points of the grid, with the coordinates that these have."""
        grid, cells = self.grid, self.cells
        at = next(p for p in POINTS if {*grid.dims(p)} <= {*made.dims})
        y, x = grid.dims(at)
        one = made.variable.isel({y: slice(cells.size(at, "y"))})
        before, n = self.fold.first, one.sizes[x]
        ends = slice(n - before, None), slice(cells.size(at, "x") - n - before)
        one = join([one.isel({x: ends[0]}), one, one.isel({x: ends[1]})], x, one)
        if is_dask(one._data):
            chunks = dict(one.chunksizes)
            for dim, own in zip((y, x), grid.dims(find_point(field, grid)), strict=True):
                sizes = field.variable.chunksizes.get(own, ())
                chunks[dim] = sizes if sum(sizes) == one.sizes[dim] else chunks[dim]
            one = one.chunk(chunks)
        mirrored = list(varying(made, (y, x)))
        result = xr.DataArray(one, made.drop_vars(mirrored).coords, name=made.name)
        lines = {n for n, c in self.coords.items() if c.ndim == 1 and c.dims[0] in (y, x)}
        coords = {name: self.coords[name] for name in (*mirrored, *lines)}
        decided = {"fold": f"y, {self.fold.pivot} pivot"} if self.is_folded else {}
        return result.assign_coords(coords).assign_attrs(decided)
