"""Grids whose x and y are counted in steps: their metres, and what makes of a wind on them.

A step along either axis of such a grid is a vector. Its components to the east and to the north,
x_e, x_n and y_e, y_n, are all that an operator of first derivatives needs; the area of a cell is
J = x_e y_n − x_n y_e. Nothing is assumed of angles or of the sense of the axes, and since points
are differenced as vectors in space, there is no seam in longitude.

Where a factor is nought everywhere, or one, it is the number 0 or 1 and no array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fdgrad_dask.halo.compute import differentiate, is_dask
from fdgrad_dask.stencils.table import StencilTable

Pair = tuple[Any, Any]
Tables = tuple[StencilTable, StencilTable]
PLAIN: tuple[Pair, Pair] = ((1, 0), (0, 1))
# Steps shorter than this, in metres, and axes closer to parallel than this angle, have no area.
_SHORT, _PARALLEL = 1e-3, 1e-9


@dataclass(frozen=True)
class OnEarth:
    """A grid of known places. Steps in metres per index, (ny, nx).

    ``east`` and ``north`` are these directions as vectors in space. ``along`` are the components
    to the east and north, (E, N), of the directions of x and of y, if those of a wind are along
    them and not to the east and north.
    """

    x_e: Any
    x_n: Any
    y_e: Any
    y_n: Any
    east: tuple[Any, Any, Any]
    north: tuple[Any, Any, Any]
    along: tuple[Pair, Pair] | None = None

    @cached_property
    def area(self) -> Any:
        """J, in m² per index²; negative if the grid is left-handed, NaN where cells have none."""
        area = self.x_e * self.y_n - self.x_n * self.y_e
        h_x, h_y = np.hypot(self.x_e, self.x_n), np.hypot(self.y_e, self.y_n)
        there = (abs(area) > _PARALLEL * h_x * h_y) & (h_x > _SHORT) & (h_y > _SHORT)
        return np.where(there, area, np.nan)

    @cached_property
    def over_area(self) -> Any:
        """1/J"""
        return 1 / self.area

    @property
    def winds(self) -> tuple[Pair, Pair]:
        """What makes the wind to the east, and to the north, of u and v."""
        if self.along is None:
            return PLAIN
        (x_e, x_n), (y_e, y_n) = self.along
        return (x_e, y_e), (x_n, y_n)

    @cached_property
    def slopes(self) -> tuple[Pair, Pair]:
        """What makes ∂f/∂east, and ∂f/∂north, of ∂f/∂i and ∂f/∂j."""
        area = self.area
        return (self.y_n / area, -self.x_n / area), (-self.y_e / area, self.x_e / area)

    def fluxes(self) -> tuple[Pair, Pair]:
        """Factors of u and v in the flux across i, and in that across j."""
        return self.of_winds((self.y_n, -self.y_e)), self.of_winds((-self.x_n, self.x_e))

    def circulations(self) -> tuple[Pair, Pair]:
        """Factors of u and v in the flow along j, and in that against i."""
        return self.of_winds((self.y_e, self.y_n)), self.of_winds((-self.x_e, -self.x_n))

    def in_space(self) -> Sequence[Pair]:
        """Factors of u and v in the three parts of the wind along the axes of space."""
        return [self.of_winds(pair) for pair in zip(self.east, self.north, strict=True)]

    def of_winds(self, pair: Pair) -> Pair:
        """Factors of u and v for those of the wind to the east and to the north."""
        return _through(pair, self.winds)

    def conductances(self) -> tuple[Any, Any, Any]:
        """J g^ii, J g^jj and J g^ij of the contravariant metric."""
        area = self.area
        across = -(self.x_e * self.y_e + self.x_n * self.y_n) / area
        squares = (self.y_e**2 + self.y_n**2) / area, (self.x_e**2 + self.x_n**2) / area
        return (*squares, across)


@dataclass(frozen=True)
class Given:
    """A grid of known spacings, its axes at right angles: y is x turned counter-clockwise.

    ``h_x`` and ``h_y`` in metres per index, negative where x or y falls with its index; (ny, nx),
    or 1 along an axis on which they do not vary. ``turn`` are cosine and sine of the angle from
    east to x; without it results are along x and y. ``is_turned``: the wind is to the east and
    north, not along x and y.
    """

    h_x: Any
    h_y: Any
    tables: Tables
    turn: Pair | None = None
    is_turned: bool = False

    @cached_property
    def area(self) -> Any:
        """J, in m² per index²."""
        return _nonzero(self.h_x) * _nonzero(self.h_y)

    @cached_property
    def over_area(self) -> Any:
        """1/J"""
        return 1 / self.area

    @property
    def winds(self) -> tuple[Pair, Pair]:
        """What makes the wind to the east and north, or along x and y without a turn."""
        if self.turn is None or self.is_turned:
            return PLAIN
        c, s = self.turn
        return (c, -s), (s, c)

    @property
    def along(self) -> tuple[Pair, Pair]:
        """What makes the wind along x, and along y, of u and v."""
        if self.turn is None or not self.is_turned:
            return PLAIN
        c, s = self.turn
        return (c, s), (-s, c)

    @cached_property
    def slopes(self) -> tuple[Pair, Pair]:
        """What makes ∂f/∂east, and ∂f/∂north, of ∂f/∂i and ∂f/∂j."""
        x, y = self.metres
        if self.turn is None:
            return (x, 0), (0, y)
        c, s = self.turn
        return (c * x, -s * y), (s * x, c * y)

    @cached_property
    def metres(self) -> Pair:
        """1/h_x and 1/h_y."""
        return 1 / _nonzero(self.h_x), 1 / _nonzero(self.h_y)

    def bends(self) -> Pair:
        """How fast the axes turn, in m-1: along x −∂h_x/∂j / J, along y ∂h_y/∂i / J."""
        h_x, h_y = _changes(self.h_x, 0, self.tables), _changes(self.h_y, 1, self.tables)
        return _times(-self.over_area, h_x), _times(self.over_area, h_y)

    def fluxes(self) -> tuple[Pair, Pair]:
        """Factors of u and v in the flux across i, and in that across j."""
        return _through((self.h_y, 0), self.along), _through((0, self.h_x), self.along)

    def circulations(self) -> tuple[Pair, Pair]:
        """Factors of u and v in the flow along j, and in that against i."""
        return _through((0, self.h_y), self.along), _through((-self.h_x, 0), self.along)

    def of_winds(self, pair: Pair) -> Pair:
        """Factors of u and v for those of the wind to the east and to the north."""
        return _through(pair, self.winds)

    def conductances(self) -> tuple[Any, Any, Any]:
        """J g^ii, J g^jj and J g^ij of the contravariant metric."""
        x, y = self.metres
        return self.h_y * x, self.h_x * y, 0


Metrics = OnEarth | Given


def on_earth(
    lat: Any,
    lon: Any,
    radii: tuple[float, float],
    tables: Tables,
    *,
    smooth: Tables | None = None,
    senses: tuple[int, int] = (1, 1),
) -> OnEarth:
    """The metrics of the points ``lat``, ``lon`` in degrees, (ny, nx); lazy if they are.

    Parameters
    ----------
    radii
        Of the equator and of the poles, in metres: a sphere has two equal ones.
    tables
        The stencils along x and along y.
    smooth
        Those for the directions of x and y, if the components of a wind lie along them: these are
        differenced with the wind.
    senses
        -1 where x, or y, falls with its index: the components then point against it.
    """
    phi, lam = (np.deg2rad(array.astype(np.float64)) for array in (lat, lon))
    sin_p, cos_p, sin_l, cos_l = np.sin(phi), np.cos(phi), np.sin(lam), np.cos(lam)
    east = (-sin_l, cos_l, 0)
    north = (-sin_p * cos_l, -sin_p * sin_l, cos_p)
    a, b = radii
    curved = a**2 / np.sqrt((a * cos_p) ** 2 + (b * sin_p) ** 2)  # radius of the prime vertical
    place = (curved * cos_p * cos_l, curved * cos_p * sin_l, (b / a) ** 2 * curved * sin_p)

    def steps(tables: Tables) -> list[Pair]:
        found = []
        for axis, table in zip((1, 0), tables, strict=True):
            step = [differentiate(part, axis, table) for part in place]
            e = sum(p * q for p, q in zip(step[:2], east[:2], strict=True))
            found.append((e, sum(p * q for p, q in zip(step, north, strict=True))))
        return found

    (x_e, x_n), (y_e, y_n) = steps(tables)
    along = None
    if smooth is not None:
        along_x, along_y = (
            (_over(e, sense * np.hypot(e, n)), _over(n, sense * np.hypot(e, n)))
            for (e, n), sense in zip(steps(smooth), senses, strict=True)
        )
        along = along_x, along_y
    return OnEarth(x_e, x_n, y_e, y_n, east, north, along)


def at_points(spacing: Any, axis: int, table: StencilTable) -> Any:
    """Spacings between points, one fewer than these, as metres per index at the points.

    They are the steps of a place that is their sum. A lazy one is summed along whole rows, since
    to sum the chunks apart would round otherwise.
    """
    if is_dask(spacing):
        spacing = spacing.rechunk({axis: -1})
    first = spacing[:, :1] if axis == 1 else spacing[:1]
    place = np.concatenate([0 * first, np.cumsum(spacing, axis=axis)], axis=axis)
    return differentiate(place, axis, table)


def conduction(metrics: Metrics, tables: Tables, seconds: Tables | None) -> tuple[Any, ...]:
    """The laplacian as factors of (f_ii, f_i, f_jj, f_j), then 1/J and J g^ij, which may be 0.

    With k = J g^ii, the flux k ∂f/∂i half a step off, with the mean of k there, differenced once
    more, is (k + δ²k/4) δ²f + δk δf: compact, and conserving. ``seconds`` are the stencils of δ².
    """
    k_x, k_y, across = metrics.conductances()
    over_area = metrics.over_area
    factors = []
    for k, axis in ((k_x, 1), (k_y, 0)):
        slope = _changes(k, axis, tables)
        if seconds is not None and not isinstance(slope, int):
            k = k + _changes(k, axis, seconds) / 4
        factors += [k * over_area, _times(over_area, slope)]
    return (*factors, over_area, across)


def _changes(values: Any, axis: int, tables: Tables) -> Any:
    """The derivative along ``axis``, or 0 where nothing varies."""
    return 0 if values.shape[axis] == 1 else differentiate(values, axis, tables[1 - axis])


def _through(pair: Pair, rows: tuple[Pair, Pair]) -> Pair:
    """p (a u + b v) + q (c u + d v) as factors of u and v."""
    (p, q), ((a, b), (c, d)) = pair, rows
    return _plus(_times(p, a), _times(q, c)), _plus(_times(p, b), _times(q, d))


def _times(one: Any, other: Any) -> Any:
    for a, b in ((one, other), (other, one)):
        if isinstance(a, int):
            return b if a == 1 else 0
    return one * other


def _plus(one: Any, other: Any) -> Any:
    if isinstance(one, int) and one == 0:
        return other
    return one if isinstance(other, int) and other == 0 else one + other


def _nonzero(values: Any) -> Any:
    return np.where(values == 0, np.nan, values)


def _over(values: Any, length: Any) -> Any:
    return values / np.where(abs(length) > _SHORT, length, np.nan)
