"""Finite volumes on Arakawa's C and B grids, by all the faces that a row of cells has.

Cells are numbered 0 … n − 1, and the faces on both sides of them 0 … n. A field has some of the
faces; others are those of the boundary: known again around a circle, a number, or unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.sized import LONG, Sized, hypot

HAS = {"left": (0, -1), "right": (1, None), "inner": (1, -1), "outer": (0, None)}
ON_FACE = {"center": "", "u": "x", "v": "y", "corner": "xy"}


@dataclass
class Row:
    """Cells along one axis: how many, which faces a field has, and what lies at both ends."""

    axis: int
    n: int
    position: str
    low: Any = None
    high: Any = None

    @property
    def own(self) -> slice:
        return slice(*HAS[self.position])

    def count(self, on_face: bool) -> int:
        return len(range(self.n + 1)[self.own]) if on_face else self.n

    def faces(self, f: Sized, low: Any, high: Any) -> Sized:
        """All n + 1 faces; where one is missing, ``low`` and ``high`` say what is there."""
        a = at_end(f, self.axis)
        start, stop = HAS[self.position]
        parts = [a]
        if start == 1:
            parts.insert(0, self._beyond(low, a[..., -1:], a[..., :1]))
        if stop == -1:
            parts.append(self._beyond(high, a[..., :1], a[..., -1:]))
        return back(join(parts), self.axis)

    def _beyond(self, what: Any, around: Sized, near: Sized) -> Sized:
        if what == "periodic":
            return around
        if what == "extend":
            return near
        return like(near, np.nan if what is None else what)

    def cells(self, f: Sized, low: Any = None, high: Any = None) -> Sized:
        """All cells, with one more at both ends."""
        a = at_end(f, self.axis)
        ghosts = (
            self._beyond(low, a[..., -1:], a[..., :1]),
            self._beyond(high, a[..., :1], a[..., -1:]),
        )
        return back(join([ghosts[0], a, ghosts[1]]), self.axis)

    def unknown(self) -> tuple[Any, Any]:
        """What lies at both ends where a number is not of the field."""
        return ("periodic",) * 2 if self.low == "periodic" else (None, None)

    def given(self, f: Sized) -> Sized:
        """Those of all faces that a field has."""
        return back(at_end(f, self.axis)[..., self.own], self.axis)


def at_end(f: Sized, axis: int) -> Sized:
    return Sized.of(np.moveaxis(f.value, axis, -1), np.moveaxis(f.size, axis, -1))


def back(f: Sized, axis: int) -> Sized:
    return Sized.of(np.moveaxis(f.value, -1, axis), np.moveaxis(f.size, -1, axis))


def join(parts: list[Sized]) -> Sized:
    return Sized.of(
        np.concatenate([one.value for one in parts], -1),
        np.concatenate([one.size for one in parts], -1),
    )


def like(f: Sized, number: float) -> Sized:
    return Sized(np.full(f.value.shape, number, LONG))


def ends_of(f: Sized, axis: int, *, add: bool) -> Sized:
    """The sum, or the difference, of neighbours along an axis."""
    a = at_end(f, axis)
    low, high = a[..., :-1], a[..., 1:]
    return back(high + low if add else high - low, axis)


@dataclass
class Cells:
    """A grid: its rows of cells, and lengths and areas in metres, and open shares, by point."""

    y: Row
    x: Row
    dx: dict[str, Any]
    dy: dict[str, Any]
    area: dict[str, Any]
    fraction: dict[str, Any]

    def row(self, axis: str) -> Row:
        return self.x if axis == "x" else self.y

    def length(self, axis: str, at: str) -> Sized:
        return Sized((self.dx if axis == "x" else self.dy)[at])

    def open(self, f: Sized, at: str) -> Sized:
        return f * Sized(self.fraction[at]) if at in self.fraction else f

    def over(self, f: Sized) -> Sized:
        """One over lengths or areas; unknown where these are zero."""
        safe = np.where(f.value == 0, np.nan, f.value)
        return 1 / Sized(safe)

    def move(
        self,
        f: Sized,
        axis: str,
        at: str,
        times: Sized | None = None,
        *,
        add: bool = False,
        wall: Any = "said",
    ) -> Sized:
        """The difference of ``times`` f, or the sum of f, half a step off along an axis.

        ``wall`` is what stands at walls instead of what the boundary says of a field on faces. The
        lengths ``times`` go on there as they are beside it.
        """
        row = self.row(axis)
        if axis in ON_FACE[at]:
            low, high = row.low, row.high
            if wall != "said" and low != "periodic":
                low, high = (None if end is None else wall for end in (low, high))
            f = row.faces(f, low, high)
            around = row.unknown() if row.low == "periodic" else ("extend", "extend")
            times = None if times is None else row.faces(times, *around)
            return ends_of(f if times is None else times * f, row.axis, add=add)
        f = f if times is None else times * f
        return row.given(ends_of(row.cells(f, *row.unknown()), row.axis, add=add))

    def mean(self, f: Sized, axis: str, at: str, wall: Any = "said") -> Sized:
        return self.move(f, axis, at, add=True, wall=wall) * LONG(0.5)

    def interpolate(self, f: Sized, at: str, to: str) -> Sized:
        for axis in "xy":
            if (axis in ON_FACE[at]) != (axis in ON_FACE[to]):
                f = self.mean(f, axis, at)
                at = across(at, axis)
        return f

    # -- scalars -------------------------------------------------------------------------------

    def gradient(self, s: Sized, at: str) -> tuple[Sized, Sized]:
        """δx s / dx and δy s / dy, each half a step off."""
        x, y = (
            self.move(s, axis, at) * self.over(self.length(axis, across(at, axis))) for axis in "xy"
        )
        return x, y

    def magnitude(self, s: Sized, at: str) -> Sized:
        x, y = self.gradient(s, at)
        x = self.mean(x, "x", across(at, "x"), wall=None)
        y = self.mean(y, "y", across(at, "y"), wall=None)
        return hypot(x, y)

    def laplacian(self, s: Sized) -> Sized:
        """What flows through the faces of a cell, over its area; nothing does through a wall."""
        total = None
        for axis, at, other in (("x", "u", "y"), ("y", "v", "x")):
            row = self.row(axis)
            around = row.unknown()
            walls = [None if end is None else "extend" for end in (row.low, row.high)]
            ghosts = around if row.low == "periodic" else walls
            steps = ends_of(row.cells(s, *ghosts), row.axis, add=False)
            ends = around if row.low == "periodic" else ("extend", "extend")
            side = row.faces(self.open(self.length(other, at), at), *ends)
            along = row.faces(self.length(axis, at), *ends)
            made = ends_of(side * steps * self.over(along), row.axis, add=False)
            total = made if total is None else total + made
        assert total is not None
        return total * self.over(self.open(Sized(self.area["center"]), "center"))

    # -- winds ---------------------------------------------------------------------------------

    def divergence(self, u: Sized, v: Sized) -> Sized:
        """Of components through the faces, u at the point u and v at v."""
        out_x = self.move(u, "x", "u", self.open(self.length("y", "u"), "u"))
        out_y = self.move(v, "y", "v", self.open(self.length("x", "v"), "v"))
        return (out_x + out_y) * self.over(self.open(Sized(self.area["center"]), "center"))

    def vorticity(self, u: Sized, v: Sized, at_u: str, at_v: str) -> Sized:
        """The circulation around what lies half a step off both, over its area."""
        along_y = self.move(v, "x", at_v, self.length("y", at_v))
        along_x = self.move(u, "y", at_u, self.length("x", at_u))
        return (along_y - along_x) * self.over(Sized(self.area[across(at_v, "x")]))

    def stretching(self, u: Sized, v: Sized) -> Sized:
        by_y = self.move(u, "x", "u", self.over(self.length("y", "u")))
        by_x = self.move(v, "y", "v", self.over(self.length("x", "v")))
        return by_y * self._aspect("center") - by_x * (1 / self._aspect("center"))

    def shearing(self, u: Sized, v: Sized, at_u: str, at_v: str) -> Sized:
        at = across(at_v, "x")
        by_y = self.move(v, "x", at_v, self.over(self.length("y", at_v)))
        by_x = self.move(u, "y", at_u, self.over(self.length("x", at_u)))
        return by_y * self._aspect(at) + by_x * (1 / self._aspect(at))

    def _aspect(self, at: str) -> Sized:
        return self.length("y", at) / self.length("x", at)

    def total(self, stretching: Sized, shearing: Sized, at: str) -> Sized:
        """√(stretching² + shearing²) at centres; of corners the mean of the four squares."""
        square = shearing * shearing
        if at == "corner":
            square = self.mean(square, "x", "corner", wall=None)
            square = self.mean(square, "y", "v", wall=None)
        value = np.sqrt(stretching.value**2 + square.value)
        return Sized.of(value, stretching.size + np.sqrt(square.size))


def across(at: str, axis: str) -> str:
    """The point half a step off."""
    wanted = set(ON_FACE[at]) ^ {axis}
    return next(name for name, on in ON_FACE.items() if set(on) == wanted)
