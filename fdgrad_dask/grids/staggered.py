"""Staggered grids: where on its cells a field lies, and the lengths and areas of these cells."""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError, did_you_mean
from fdgrad_dask.grids.earth import EARTH_RADIUS
from fdgrad_dask.stencils.boundary import boundary_pair

POSITIONS = ("center", "left", "right", "inner", "outer")
# Whether a point lies on a face across x, and on one across y.
POINTS = {
    "center": (False, False),
    "u": (True, False),
    "v": (False, True),
    "corner": (True, True),
}

# Whether the face below the first centre, and that above the last one, are left out.
LEFT_OUT = {
    "left": (False, True),
    "right": (True, False),
    "inner": (True, True),
    "outer": (False, False),
}
# How many more faces than cells there are; whether the first face lies below the first centre.
EXTRA = {position: 1 - sum(ends) for position, ends in LEFT_OUT.items()}
IS_BELOW = {position: not below for position, (below, _) in LEFT_OUT.items()}


@dataclass(frozen=True, eq=False)
class Grid:
    """A staggered grid (Arakawa B or C): its dimensions, cell sizes and walls.

    A field lies at one of four points of a cell: ``"center"``; ``"u"`` on the face across x and
    ``"v"`` on the face across y, where a C grid has the two components of a velocity; ``"corner"``
    where both faces meet, where a B grid has both components. Operators of scalars and of the two
    components of such a velocity are those of finite volumes: fluxes through the faces of a cell,
    circulations around it, differences between two neighbours. All other operators interpolate
    fields at several points to centres first, and difference fields at one point there.

    Parameters
    ----------
    x, y
        Position → dimension. Positions are ``"center"`` and one of ``"left"``, ``"right"`` (as
        many faces as cells; the lower or the upper face of each), ``"inner"`` (one fewer, without
        the two ends) and ``"outer"`` (one more, with both). Both may name the same dimension;
        ``points`` then says where a field lies.
    dx, dy, area
        Point → lengths along x and along y in metres, and areas in m², as DataArrays over the
        dimensions of the point. Those that are missing are computed from longitude and latitude.
    fraction
        Point (``"center"``, ``"u"``, ``"v"``) → the open share of a cell or face (hFacC, hFacW,
        hFacS), which may vary with depth.
    boundary
        ``"x"`` and ``"y"`` → what lies on a face that the data do not have: None for nothing that
        is known (NaN), a number (0.0 is a wall, through which nothing flows), ``"periodic"``; or
        a pair for the two ends. ``"fold"`` at the upper end of y is a tripolar fold. A dimension
        of faces → how they are connected, as xgcm has it: ``{"tile": {0: {"X": (None, (1, "Y",
        False))}, …}}``, each side None or (face, its axis, True if the axes run against one
        another); the sides that are left open have the conditions of x and y.
    points
        Name of a field → its point, where dimensions do not tell.
    radius
        Radius of the sphere in metres, for lengths and areas that are computed.
    source
        What the grid was recognised from, in words.

    Raises
    ------
    OptionError
        A position, point, axis or boundary has no such name, or is missing.
    CoordinateError
        Lengths, areas or fractions have dimensions that their point does not have.

    Examples
    --------
    MITgcm, on a domain that goes around the globe and has walls in the north and south:

    >>> grid = Grid(
    ...     x={"center": "XC", "left": "XG"},
    ...     y={"center": "YC", "left": "YG"},
    ...     boundary={"x": "periodic", "y": 0.0},
    ... )
    >>> grid.dims("u")
    ('YC', 'XG')
    """

    x: Mapping[str, Hashable]
    y: Mapping[str, Hashable]
    dx: Mapping[str, xr.DataArray] = field(default_factory=dict)
    dy: Mapping[str, xr.DataArray] = field(default_factory=dict)
    area: Mapping[str, xr.DataArray] = field(default_factory=dict)
    fraction: Mapping[str, xr.DataArray] = field(default_factory=dict)
    boundary: Mapping[Any, Any] = field(default_factory=dict)
    points: Mapping[Hashable, str] = field(default_factory=dict)
    radius: float = EARTH_RADIUS
    source: str = ""

    def __post_init__(self) -> None:
        for axis in ("x", "y"):
            _check_positions(axis, getattr(self, axis))
        for name in ("dx", "dy", "area", "fraction"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise OptionError(
                    f"{name} of a Grid is a {type(given).__name__}, but each point has its own; "
                    f"give a dict by point: {name}={{'center': …, 'u': …, 'v': …, 'corner': …}}"
                )
            for point, values in given.items():
                self._check_metric(name, point, values)
        for named, point in self.points.items():
            _require_known(f"the point of {named!r}", point, POINTS)
        for axis in self.boundary:
            if isinstance(self.boundary[axis], Mapping):  # connections of faces
                continue
            _require_known("an axis of boundary", axis, ("x", "y"))
            _check_ends(axis, *self.ends(axis))
            if self.face(axis) == "inner" and self.ends(axis)[0] == "periodic":
                raise OptionError(
                    f"{axis} is periodic, but the faces at the position 'inner' lack that between "
                    "its last cell and its first; give fields with it, at 'left' or 'right', or "
                    "the boundary 0.0 if it is a wall"
                )

    def face(self, axis: str) -> str:
        """Where faces lie along ``axis``: left, right, inner or outer."""
        positions = self.x if axis == "x" else self.y
        return next(position for position in positions if position != "center")

    def dims(self, point: str) -> tuple[Hashable, Hashable]:
        """The dimensions y and x of a point."""
        on_x, on_y = POINTS[point]
        return (
            self.y[self.face("y") if on_y else "center"],
            self.x[self.face("x") if on_x else "center"],
        )

    def ends(self, axis: str) -> tuple[Any, Any]:
        """The boundary at the lower and at the upper end of ``axis``."""
        return boundary_pair(self.boundary.get(axis))

    def _check_metric(self, name: str, point: str, values: Any) -> None:
        _require_known(f"a point of {name}", point, POINTS)
        if not isinstance(values, xr.DataArray):
            raise CoordinateError(
                f"{name}[{point!r}] is a {type(values).__name__}, but a DataArray over "
                f"{self.dims(point)} is needed; label it: xr.DataArray(…, dims={self.dims(point)})"
            )
        of_grid = {*self.x.values(), *self.y.values()}
        wrong = (set(values.dims) & of_grid) - set(self.dims(point))
        other = {d for d in values.dims if not isinstance(self.boundary.get(d), Mapping)} - of_grid
        if wrong or (other and name != "fraction"):
            raise CoordinateError(
                f"{name}[{point!r}] has the dimensions {values.dims}, but the point has "
                f"{self.dims(point)}; give the {name} at that point, or name the point it is at"
            )


def across(point: str, axis: str) -> str:
    """The point half a step further along ``axis``.

    >>> across("center", "x"), across("u", "y")
    ('u', 'corner')
    """
    on_x, on_y = POINTS[point]
    wanted = (not on_x, on_y) if axis == "x" else (on_x, not on_y)
    return next(name for name, on in POINTS.items() if on == wanted)


def is_on_face(point: str, axis: str) -> bool:
    """True if a point lies on a face across ``axis``, not between two of them."""
    return POINTS[point]["xy".index(axis)]


def find_point(field: xr.DataArray, grid: Grid) -> str:
    """Find at which point of a grid a field lies: by ``grid.points``, or by its dimensions.

    Raises
    ------
    CoordinateError
        It has not one dimension of the grid along x and one along y, or several points have these.
    """
    found = [point for point in POINTS if set(grid.dims(point)) <= set(field.dims)]
    named = grid.points.get(field.name)
    if named in found:
        return str(named)
    if len(found) == 1 and named is None:
        return found[0]
    points = ", ".join(f"{point!r} {grid.dims(point)}" for point in POINTS)
    if named is not None or not found:
        at = "no point" if named is None else f"not the point {named!r}"
        raise CoordinateError(
            f"{field.name!r} has the dimensions {field.dims}, which are those of {at} of the grid; "
            f"there are {points}: correct x, y or points of the Grid, or select ranges, not single "
            "positions, of the field"
        )
    raise CoordinateError(
        f"{field.name!r} has the dimensions {field.dims}, which several points of the grid have: "
        f"{points}; say which, Grid(…, points={{{field.name!r}: {found[0]!r}}}), or another of "
        f"{', '.join(map(repr, found))}"
    )


def _check_positions(axis: str, positions: Mapping[str, Hashable]) -> None:
    for position in positions:
        _require_known(f"a position along {axis}", position, POSITIONS)
    if "center" not in positions or len(positions) != 2:
        raise OptionError(
            f"{axis} has the positions {list(positions)}, but it needs 'center' and one of "
            f"{', '.join(map(repr, POSITIONS[1:]))}; give both: "
            f"{axis}={{'center': …, 'left': …}}"
        )


def _check_ends(axis: str, low: Any, high: Any) -> None:
    for end in (low, high):
        if not (end is None or end in ("periodic", "fold") or isinstance(end, numbers.Number)):
            raise OptionError(
                f"the boundary of {axis} is {end!r}; choose None, a number (0.0 is a wall), "
                "'periodic', or 'fold' at the upper end of y; or a pair of them for the two ends"
            )
    if (low == "periodic") != (high == "periodic"):
        raise OptionError(
            f"the boundary of {axis} is ({low!r}, {high!r}); an axis is periodic at both ends or "
            "at neither"
        )
    if low == "fold" or (high == "fold" and axis == "x"):
        raise OptionError(
            f"the boundary of {axis} is ({low!r}, {high!r}), but a fold lies at the upper end of y "
            "only; give boundary={'y': (None, 'fold')}"
        )


def _require_known(what: str, name: Any, known: Any) -> None:
    if name not in known:
        raise OptionError(f"{what} is {name!r}; {did_you_mean(str(name), known)}")
