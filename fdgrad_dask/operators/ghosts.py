"""Ghost points beyond the ends of a grid: slices of the same fields, turned as they are connected.

A table says what lies beyond each end: another face of an LLC grid or a cubed sphere; beyond a fold
the same end once more. Places are counted in half steps from the lower end of the first cell, so
that centres and faces of cells differ only in where they begin.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.faces import Link, Side, across, describe_side, is_regular_corner
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import concatenate, is_dask, scale

_TURNED = {"u": "v", "v": "u"}
_DEEPEST = 3  # connections to go along: beyond a side, its corner, and the line on which both meet


class Points(NamedTuple):
    """Points of cells by axis, y and x: their dimensions, the place of the first, their number.

    ``ends`` are the places of the upper ends of the grid, and ``columns`` is how many points there
    are along x with those that repeat others. A grid that goes around the globe ``is_closed`` where
    its last column is its first.
    """

    dims: Mapping[str, Hashable]
    first: Mapping[str, int]
    counts: Mapping[str, int]
    ends: Mapping[str, int]
    columns: int
    is_closed: bool = False

    def core(self, axis: str) -> int:
        """The number of points that do not lie beyond the upper end."""
        return min(self.counts[axis], (self.ends[axis] - self.first[axis]) // 2 + 1)

    def gap(self, axis: str, end: int) -> int:
        """How far the first ghost point lies from an end: 0 where it is the one on the end."""
        first = self.first[axis]
        return first + 2 * self.core(axis) - self.ends[axis] if end else 2 - first


class Quantity(NamedTuple):
    """What is extended: the component ``own`` of arrays that go on as one another.

    ``arrays`` are given by component and point; ``kind`` says how they turn: as a ``"vector"``, a
    ``"length"`` or an ``"angle"``.
    """

    arrays: Mapping[tuple[str, str], xr.DataArray]
    own: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Ghosts:
    """What lies beyond the ends of the faces of a grid, or of its only one.

    ``links`` are the connections, ``width`` is how many ghost points there are by axis. Columns
    ``before`` and behind the others repeat these: they are left out of what is extended.
    """

    links: Mapping[Side, Link]
    points: Mapping[str, Points]
    width: Mapping[str, int]
    faces: Sequence[Hashable] = (0,)
    dim: Hashable = None
    before: int = 0

    def extend(
        self, face: Hashable, array: xr.DataArray, point: str, what: Quantity | None = None
    ) -> xr.DataArray:
        """One face of an array and its coordinates with their ghost points."""
        dims = self.points[point].dims
        moved = list_varying(array, dims.values())
        bare = self.select(array.drop_vars(list(moved)), face, point)
        variable = self._surround(face, point, what or Quantity({("", point): array}))
        made = xr.DataArray(variable, bare.coords)
        made.name, made.encoding = array.name, array.encoding
        coords = {}
        # On faces of cells y would go on as x; 1-D positions of a staggered grid are nominal.
        has_labels = len(self.points) == 1
        is_turned = any(link.axis != side[1] for side, link in self.links.items())
        for name, one in moved.items():
            place = array.coords[name]
            along = [axis for axis, dim in dims.items() if dim in one.dims]
            if len(along) == 2 and not (point in _TURNED and is_turned):
                coords[name] = self._surround(face, point, Quantity({("", point): place}))
            elif (
                has_labels and one.ndim == 1 and one.dtype.kind in "iuf" and not is_dask(one._data)
            ):
                # Evenly: where points lie is known from 2-D coordinates.
                labels, added = self.select(place, face, point), self.count(face, along[0])
                values = np.pad(labels.astype(float), added, "reflect", reflect_type="odd")
                coords[name] = xr.Variable(one.dims, values, one.attrs)
        return made.assign_coords(coords)

    def select(self, array: xr.DataArray, face: Hashable, point: str) -> xr.DataArray:
        """One face of an array, without columns that repeat others."""
        if self.dim in array.dims:
            array = array.isel({self.dim: list(self.faces).index(face)})
        x, n = self.points[point].dims["x"], self.points[point].counts["x"]
        is_wider = array.sizes.get(x, 1) > n
        return array.isel({x: slice(self.before, self.before + n)}) if is_wider else array

    def count(self, face: Hashable, axis: str) -> tuple[int, int]:
        """The number of points by which arrays are longer at both ends."""
        low, high = (self.width[axis] * ((face, axis, end) in self.links) for end in (0, 1))
        return low, high

    def _surround(self, face: Hashable, point: str, what: Quantity) -> xr.Variable:
        made, points = self.select(what.arrays[what.own, point], face, point).variable, self.points
        margins = 0, 0
        for axis, dim in points[point].dims.items():  # first along y, then along x with the corners
            low, high = self.count(face, axis)
            if made.sizes.get(dim, 1) > 1:
                core = points[point].core(axis)
                high += made.sizes[dim] - core  # rows beyond a fold are others once more
                high += points[point].is_closed and axis == "x"
                made = made.isel({dim: slice(core)})
                before, behind = (
                    [self.look((face, axis, end), point, what, n, margins)] if n else []
                    for end, n in enumerate((low, high))
                )
                made = join([*before, made, *behind], dim, made)
            margins = low, high
        return made

    def look(
        self,
        side: Side,
        point: str,
        what: Quantity,
        count: int,
        margins: tuple[int, int] = (0, 0),
        depth: int = 1,
    ) -> xr.Variable:
        """So many rows of points beyond one side of a face, with the axes of this one.

        They are as long as the side and the ``margins`` before and behind it.
        """
        link = self.links[side]
        other, axis, _ = link.lands(side[2])
        beside = across(axis)
        turned = point if axis == side[1] else _TURNED.get(point, point)
        here, there = self.points[point], self.points[turned]
        own, sign = link.signs(side[1], what.own) if what.own else ("", 1)
        if (own, turned) not in what.arrays:
            raise CoordinateError(
                f"what lies over {tuple(here.dims.values())} goes on over "
                f"{tuple(there.dims.values())} on another face, but nothing is given there; give "
                "both, or interpolate to the centres of cells"
            )
        array = what.arrays[own, turned]
        made = self.select(array, other, turned).variable
        rows = _find_rows(link, side, here, there, count)
        if depth == 1:
            self._check_rows(side, point, array.name, rows, made.sizes[there.dims[axis]])
        made = made.isel({there.dims[axis]: rows})
        if made.sizes.get(there.dims[beside], 1) > 1:
            low, high = _find_span(link, side, here, there, margins)
            n = there.core(beside)
            made = made.isel({there.dims[beside]: slice(max(low, 0), max(min(high, n), 0))})
            corners = []
            for end, missing in enumerate((-low, high - n)):
                known = self._count_known(side, there, end, missing) if depth < _DEEPEST else 0
                parts = [_fill(made, there.dims[beside], missing - known, what.kind)]
                if known:
                    corner = other, beside, end
                    of_other = what._replace(own=own)
                    strip = self.look(corner, turned, of_other, known, depth=depth + 1)
                    parts.insert(1 - end, strip.isel({there.dims[axis]: rows}))
                corners.append(parts)
            made = join([*corners[0], made, *corners[1]], there.dims[beside], made)
        made = _turn(made, link, side, here, there)
        if what.kind == "vector" and sign == -1:
            made = xr.Variable(made.dims, scale(made.data, -1))
        if what.kind == "angle":
            made = made.copy(data=made.data + _find_angle(link, side[1], array))
        return made

    def _count_known(self, side: Side, there: Points, end: int, missing: int) -> int:
        """How many of some missing points beyond a corner exist: all, or those on the line."""
        link = self.links[side]
        beside = across(link.axis)
        if missing <= 0 or (link.face, beside, end) not in self.links:
            return 0
        if is_regular_corner(self.links, side, 1 - end if link.is_flipped else end):
            return missing
        return int(there.gap(beside, end) == 0)

    def _check_rows(self, side: Side, point: str, name: Any, rows: slice, n: int) -> None:
        """Raise if the other face lacks the row on the side itself, or is too narrow."""
        where = "the fold" if self.dim is None else describe_side(side)
        needed = rows.stop - rows.start
        if self.points[point].gap(*side[1:]) == 0 and not 0 <= rows.start < rows.stop <= n:
            way = "above the cells: 'right' or 'outer'"
            raise CoordinateError(
                f"{name!r} has no row on {where} itself, where {point!r} lies; give the faces "
                f"{way if self.dim is None else 'at both ends of the cells: outer'}"
            )
        if needed >= n or rows.start < 0 or rows.stop > n:
            raise CoordinateError(
                f"{name!r} has {n} points along {self.points[point].dims[side[1]]!r}, but {needed} "
                f"beside {where} are needed beyond it; select more of them, or lower the accuracy"
            )


def _find_rows(link: Link, side: Side, here: Points, there: Points, count: int) -> slice:
    """The rows of another face that are the first ones beyond a side of this one."""
    _, axis, end = link.lands(side[2])
    gap, first = here.gap(*side[1:]), there.first[axis]
    if not end:
        return slice((gap - first) // 2, (gap - first) // 2 + count)
    last = (there.ends[axis] - gap - first) // 2
    return slice(last - count + 1, last + 1)


def _find_span(
    link: Link, side: Side, here: Points, there: Points, margins: tuple[int, int]
) -> tuple[int, int]:
    """Where a side with its margins begins and ends, in numbers of the points of the other face."""
    beside = across(side[1])
    own, other = here.first[beside], there.first[across(link.axis)]
    before, behind = margins[0], here.core(beside) + margins[1]
    if not link.is_flipped:
        return (own - other) // 2 - before, (own - other) // 2 + behind
    mirror = here.ends[beside] if link.mirror is None else link.mirror
    mirrored = (mirror - own - other) // 2
    return mirrored - behind + 1, mirrored + before + 1


def _turn(made: xr.Variable, link: Link, side: Side, here: Points, there: Points) -> xr.Variable:
    """Points of another face with the axes of this one."""
    along, aside = there.dims[link.axis], there.dims[across(link.axis)]
    turns = {along: link.is_reversed, aside: link.is_flipped}
    back = {dim: slice(None, None, -1) for dim, is_back in turns.items() if is_back}
    made = made.isel(back, missing_dims="ignore")
    if link.axis == side[1]:
        return made
    names = {along: here.dims[side[1]], aside: here.dims[across(side[1])]}
    return xr.Variable([names.get(dim, dim) for dim in made.dims], made.data)


def _find_angle(link: Link, axis: str, array: xr.DataArray) -> float:
    """The angle from x to that of another face, in the units of an array."""
    x, sense = link.signs(axis, "x")
    half_turn = conversion_factor("180 degree", array.attrs.get("units", "degree")) or 180.0
    return (sense if x == "y" else 1 - sense) * half_turn / 2


def list_varying(field: Any, dims: Iterable[Hashable]) -> dict[Hashable, xr.Variable]:
    """The coordinates that vary along ``dims``."""
    variables = field.coords.variables
    return {n: one.to_base_variable() for n, one in variables.items() if {*one.dims} & {*dims}}


def join(parts: Sequence[xr.Variable], dim: Hashable, like: xr.Variable) -> xr.Variable:
    """Parts of an array along one dimension, in the chunks of ``like`` along all others."""
    parts = [part.transpose(*like.dims) for part in parts if part.sizes.get(dim, 1)]
    if len(parts) == 1:
        return parts[0]
    if is_dask(like._data):
        chunks: dict[Any, Any] = {**like.chunksizes, dim: -1}
        parts = [part if part._data is like._data else part.chunk(chunks) for part in parts]
    data = concatenate([part.data for part in parts], like.dims.index(dim))
    return xr.Variable(like.dims, data, like.attrs)


def _fill(like: xr.Variable, dim: Hashable, count: int, kind: str) -> xr.Variable:
    """Points beyond a corner where three faces meet, which do not exist.

    Given lengths and angles are read along both axes only, never there; positions are missing.
    """
    shape = [max(count, 0) if d == dim else n for d, n in like.sizes.items()]
    fill = 1.0 if kind in ("length", "angle") else np.nan
    return xr.Variable(like.dims, np.full(shape, fill, np.result_type(like.dtype, np.float32)))
