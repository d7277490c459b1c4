"""Derivatives along one axis: the derivative of the polynomial through the points beside it.

The weights are those of Lagrange's polynomials, multiplied out: Π (t − d_k) up to t².
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oracle.sized import LONG, Sized

Array = np.ndarray


@dataclass(frozen=True)
class Line:
    """The points of an axis (n,), how accurate, and what stands beyond its ends.

    ``low`` and ``high`` are None, "periodic", "reflect", "extend" or a number. ``zero_low`` and
    ``zero_high`` are places beyond the ends where what is differentiated is known to be zero.
    """

    points: Array
    accuracy: int = 2
    edge_order: int = 1
    low: Any = None
    high: Any = None
    period: float | None = None
    zero_low: float | None = None
    zero_high: float | None = None
    is_rounded: bool = False  # the points themselves are known to their rounding

    @property
    def is_even(self) -> bool:
        """Whether the distances are the same to the bit, in the dtype of the coordinate."""
        x = self.points
        steps = np.diff(x.astype(np.float64) if x.dtype.kind in "iu" else x)
        if self.low != "periodic":
            return bool((steps == steps[0]).all())
        gap = self.turn - abs(LONG(x[-1]) - LONG(x[0]))
        return bool((steps == steps[0]).all()) and abs(gap - abs(steps[0])) < 1e-6 * gap

    @property
    def turn(self) -> Any:
        """The length of a periodic axis; that of an even one is n steps."""
        x = self.points.astype(LONG)
        return abs(x[-1] - x[0]) * len(x) / (len(x) - 1) if self.period is None else self.period

    def needs(self, order: int) -> int:
        """The fewest points that it can have."""
        edge = order + (self.edge_order if self.accuracy == 2 else self.accuracy)
        is_open = self.low is None or self.high is None
        return max(edge if is_open else self.accuracy + 1, self.accuracy // 2 + 1)


def weights(x: Array, at: Any, order: int) -> tuple[Array, Array]:
    """Weights (rows, k) of the nodes ``x`` (rows, k) for the derivative at ``at`` (rows,).

    And their sizes: what the terms of a weight amount to.
    """
    d = x - at[:, None]
    k = x.shape[1]
    value, size = np.zeros((3, *x.shape), LONG), np.zeros((3, *x.shape), LONG)
    value[0] = size[0] = 1
    below = np.ones(x.shape, LONG)
    for m in range(k):
        others = np.arange(k) != m
        root = d[:, m : m + 1]
        for c, r in ((value, -root), (size, abs(root))):
            one = c[:, :, others]
            c[2][:, others] = r * one[2] + one[1]
            c[1][:, others] = r * one[1] + one[0]
            c[0][:, others] = r * one[0]
        below[:, others] *= d[:, others] - root
    return order * value[order] / below, order * size[order] / abs(below)


def extended(f: Sized, line: Line, count: int) -> tuple[Array, Sized, int]:
    """Points and values (…, n) with the ghosts beyond closed ends, and how many lie before."""
    x, n = line.points.astype(LONG), len(line.points)
    values, sizes, points = [f.value], [f.size], [x]
    before = 0
    ends = (line.low, 0, 1, line.zero_low), (line.high, n - 1, -1, line.zero_high)
    for fill, end, inward, zero in ends:
        rows = [end + inward * j for j in range(1, count + 1)]
        places = 2 * x[end] - x[rows] if fill != "periodic" and fill is not None else None
        if zero is not None:
            rows, places, given = [end], np.array([zero], LONG), 0.0
        elif fill is None:
            continue
        elif fill == "periodic":
            rows = [(end - inward * j) % n for j in range(1, count + 1)]
            side = np.sign(x[-1] - x[0]) * -inward
            places, given = x[rows] + side * LONG(line.turn), None
        else:
            given = None if isinstance(fill, str) else fill
            rows = [end] * count if fill == "extend" else rows
        value, size = f.value[..., rows], f.size[..., rows]
        if given is not None:
            value, size = np.full_like(value, given), np.full_like(size, abs(given))
        flip = slice(None, None, -1) if inward == 1 else slice(None)
        at = 0 if inward == 1 else len(values)
        for parts, new in ((values, value[..., flip]), (sizes, size[..., flip])):
            parts.insert(at, new)
        points.insert(at, places[flip])
        before += len(rows) if inward == 1 else 0
    joined = Sized(np.concatenate(values, -1), np.concatenate(sizes, -1))
    return np.concatenate(points), joined, before


def differentiate(
    f: Sized, axis: int, line: Line, order: int = 1, *, points_of: int | None = None
) -> Sized:
    """∂f/∂x, or ∂²f/∂x², along ``axis``; at the ends of the polynomial that ``points_of`` has."""
    moved = Sized(np.moveaxis(f.value, axis, -1), np.moveaxis(f.size, axis, -1))
    made = _along_last(moved, line, order, points_of or order)
    return Sized(np.moveaxis(made.value, -1, axis), np.moveaxis(made.size, -1, axis))


def _along_last(f: Sized, line: Line, order: int, points_of: int) -> Sized:
    n, half = len(line.points), line.accuracy // 2
    x, v, before = extended(f, line, half)
    width = points_of + (line.edge_order if line.accuracy == 2 else line.accuracy)
    # Beyond the ends places are known to the rounding of the largest of them.
    inside = (np.arange(len(x)) >= before) & (np.arange(len(x)) < before + n)
    zeros = np.zeros(len(x), bool)
    zeros[0], zeros[-1] = line.zero_low is not None, line.zero_high is not None
    shift = 1 + abs(x).max() / abs(np.diff(x)).min()
    value, size = np.empty_like(v.value[..., :n]), np.empty_like(v.size[..., :n])
    rows = np.arange(n) + before
    centred = (rows >= half) & (rows + half < len(x))
    for kind in (True, False):
        own = rows[centred == kind]
        if not len(own):
            continue
        if kind:
            read = own[:, None] + np.arange(-half, half + 1)
        else:
            start = np.where(own < half, 0, len(x) - width)
            read = start[:, None] + np.arange(width)
        w, s = weights(x[read], x[own], order)
        s = s * np.where(inside[read].all(1) & (not line.is_rounded), 1, shift)[:, None]
        seen = np.ones(read.shape, bool)
        if kind and order == 1 and line.is_even:  # the centre has no weight, and is not read
            seen[:, half] = (zeros[read]).any(1)
        total, most = 0, 0
        for t in range(read.shape[1]):
            total = total + np.where(seen[:, t], w[:, t] * v.value[..., read[:, t]], 0)
            most = most + np.where(seen[:, t], s[:, t] * v.size[..., read[:, t]], 0)
        value[..., own - before], size[..., own - before] = total, most
    return Sized(value, size)


def closed_at(line: Line, low: float | None, high: float | None) -> Line:
    """The line with zeros at ``low`` and ``high``, where its ends are open."""
    return replace(
        line,
        zero_low=low if line.low is None else None,
        zero_high=high if line.high is None else None,
    )
