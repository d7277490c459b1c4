"""What makes slopes in metres of derivatives by degree or by index, at one point.

A recipe is called as a formula is, with values f and derivatives d, and gives numbers of its own:
those of an equation in `formulas`. A term is the number of a factor in f, or None for one, and
the position of what it multiplies; a row is a sum of terms. What is nought has no term, since
0 · NaN is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Numbers = Sequence[Any]
Term = tuple[int | None, int]
Row = tuple[Term, ...]
Recipe = Callable[[Numbers, Numbers], Numbers]


@dataclass(frozen=True)
class Metric:
    """An equation whose derivatives come out of recipes, in their order."""

    equation: Callable[[Numbers, Numbers], Numbers]
    recipes: tuple[Recipe, ...]

    def __call__(self, f: Numbers, d: Numbers) -> Numbers:
        return self.equation(f, [number for recipe in self.recipes for number in recipe(f, d)])


@dataclass(frozen=True)
class Slopes:
    """Sums of derivatives, each times a factor."""

    rows: tuple[Row, ...]

    def __call__(self, f: Numbers, d: Numbers) -> Numbers:
        return [_sum(f, row, d) for row in self.rows]


@dataclass(frozen=True)
class Values:
    """Sums of fields, each times a factor."""

    rows: tuple[Row, ...]

    def __call__(self, f: Numbers, d: Numbers) -> Numbers:
        return [_sum(f, row, f) for row in self.rows]


@dataclass(frozen=True)
class Bent:
    """∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y on a grid of which the metres along either axis are known.

    Of the components U and V along its axes, whose derivatives these are (U_i, U_j, V_i, V_j):
    ∂U/∂x = x U_i − b_i V, ∂V/∂x = x V_i + b_i U, and b_j likewise along y. The ``bends`` are how
    fast the axes turn along themselves: tan φ / a and nought on a sphere. ``turn`` holds cosine and
    sine of the angle from east to the x axis, if the result is to be along east and north.
    """

    derivatives: tuple[int, int, int, int]
    metres: tuple[int, int]
    bends: tuple[int | None, int | None]
    winds: tuple[Row, Row]
    turn: tuple[int, int] | None = None

    def __call__(self, f: Numbers, d: Numbers) -> Numbers:
        x, y = (f[number] for number in self.metres)
        u_i, u_j, v_i, v_j = (d[number] for number in self.derivatives)
        u_x, u_y, v_x, v_y = x * u_i, y * u_j, x * v_i, y * v_j
        u, v = (_sum(f, row, f) for row in self.winds)
        b_i, b_j = self.bends
        if b_i is not None:
            u_x, v_x = u_x - f[b_i] * v, v_x + f[b_i] * u
        if b_j is not None:
            u_y, v_y = u_y - f[b_j] * v, v_y + f[b_j] * u
        if self.turn is None:
            return [u_x, u_y, v_x, v_y]
        c, s = (f[number] for number in self.turn)
        along_x = (
            c * u_x - s * v_x,
            s * u_x + c * v_x,
        )  # the wind to east and north by x of the grid
        along_y = c * u_y - s * v_y, s * u_y + c * v_y
        u_e, v_e = (c * i - s * j for i, j in zip(along_x, along_y, strict=True))
        u_n, v_n = (s * i + c * j for i, j in zip(along_x, along_y, strict=True))
        return [u_e, u_n, v_e, v_n]


@dataclass(frozen=True)
class InSpace:
    """∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y of a wind that is differenced as a vector in space.

    Its parts along the axes of space have smooth derivatives wherever the wind is smooth, at a pole
    too; seen from the east and the north of the point itself they are those of u and v, without a
    term in tan φ. ``along`` are their positions, by i and by j; ``east`` and ``north`` the factors
    of these parts, and ``slopes`` what makes ∂/∂east and ∂/∂north of ∂/∂i and ∂/∂j.
    """

    along: tuple[tuple[int, ...], tuple[int, ...]]
    east: Row
    north: Row
    slopes: tuple[Row, Row]

    def __call__(self, f: Numbers, d: Numbers) -> Numbers:
        parts = [[d[number] for number in axis] for axis in self.along]
        u_i, u_j = (_sum(f, self.east, part) for part in parts)
        v_i, v_j = (_sum(f, self.north, part) for part in parts)
        return [_sum(f, row, pair) for pair in ((u_i, u_j), (v_i, v_j)) for row in self.slopes]


def _sum(f: Numbers, row: Row, of: Numbers) -> Any:
    total = None
    for factor, position in row:
        part = of[position] if factor is None else f[factor] * of[position]
        total = part if total is None else total + part
    return total
