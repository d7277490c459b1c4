"""Derivatives along one axis: the derivative of the polynomial through the points beside it.

The weights are those of Lagrange's polynomials, multiplied out: Π (t − d_k) up to t².
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
    known: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

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
    own = np.eye(x.shape[1], dtype=bool)
    roots = np.where(own, 0, np.stack([-d, abs(d)])[..., None])
    # The coefficients of 1, t and t² in the product; the point's own factor is left out of it.
    ones, factors = (~own).astype(LONG), roots + own
    zero = np.zeros((2, *x.shape), LONG)
    c0, c1, c2 = zero + 1, zero, zero
    for m in range(x.shape[1]):
        r, t = factors[..., m, :], ones[m]
        if order == 2:
            c2 = r * c2 + t * c1
        c1 = r * c1 + t * c0
        c0 = r * c0
    below = np.where(own, 1, d[:, :, None] - d[:, None, :]).prod(2)
    value, size = c1 if order == 1 else 2 * c2
    return value / below, size / abs(below)


@dataclass(frozen=True)
class Ghosts:
    """An axis with the points beyond its closed ends.

    ``take`` are the rows of the field that stand at ``points``; ``low`` and ``high`` the places
    where something given stands instead, or None.
    """

    points: Array
    before: int
    take: Array
    low: slice | None
    high: slice | None


def _extend(line: Line, count: int) -> Ghosts:
    x, n = line.points.astype(LONG), len(line.points)
    points, rows = [x], [np.arange(n)]
    given: list[bool] = []
    before = 0
    ends = (line.low, 0, 1, line.zero_low), (line.high, n - 1, -1, line.zero_high)
    for fill, end, inward, zero in ends:
        read = end + inward * np.arange(1, count + 1)
        places = 2 * x[end] - x[read] if fill != "periodic" and fill is not None else None
        given.append(zero is not None or not (fill is None or isinstance(fill, str)))
        if zero is not None:
            read, places = np.array([end]), np.array([zero], LONG)
        elif fill is None:
            continue
        elif fill == "periodic":
            read = (end - inward * np.arange(1, count + 1)) % n
            side = np.sign(x[-1] - x[0]) * -inward
            places = x[read] + side * LONG(line.turn)
        elif fill != "reflect":
            read = np.full(count, end)
        flip = slice(None, None, -1) if inward == 1 else slice(None)
        at = 0 if inward == 1 else len(rows)
        rows.insert(at, read[flip])
        points.insert(at, places[flip])
        before += len(read) if inward == 1 else 0
    low = slice(before) if given[0] else None
    high = slice(before + n, None) if given[1] else None
    return Ghosts(np.concatenate(points), before, np.concatenate(rows), low, high)


def extended(
    f: Sized, line: Line, count: int, outside: tuple[Any, Any] = (None, None)
) -> tuple[Array, Sized, int]:
    """Points and values (…, n) with the ghosts beyond closed ends, and how many lie before.

    ``outside`` may have rows that stand where a number is beyond an end.
    """
    key = "ghosts", count
    if key not in line.known:
        line.known[key] = _extend(line, count)
    ghosts: Ghosts = line.known[key]
    if len(ghosts.points) == len(line.points):
        return ghosts.points, f, 0
    value, size = f.value[..., ghosts.take], f.size[..., ghosts.take]
    ends = (ghosts.low, line.low, line.zero_low), (ghosts.high, line.high, line.zero_high)
    for (place, fill, zero), row in zip(ends, outside, strict=True):
        if place is None:
            continue
        if zero is not None:
            value[..., place], size[..., place] = 0, 0
        elif row is not None:
            value[..., place], size[..., place] = row.value, row.size
        else:
            value[..., place], size[..., place] = fill, abs(fill)
    return ghosts.points, Sized.of(value, size), ghosts.before


def differentiate(
    f: Sized,
    axis: int,
    line: Line,
    order: int = 1,
    *,
    points_of: int | None = None,
    outside: tuple[Sized | None, Sized | None] = (None, None),
) -> Sized:
    """∂f/∂x, or ∂²f/∂x², along ``axis``; at the ends of the polynomial that ``points_of`` has.

    ``outside`` are rows, of length 1 along ``axis``, that stand where a number is beyond an end.
    """
    rows = tuple(None if row is None else _at_last(row, axis) for row in outside)
    _, v, _ = extended(_at_last(f, axis), line, line.accuracy // 2, rows)
    key = "rows", order, points_of or order
    if key not in line.known:
        line.known[key] = _weigh_rows(line, order, points_of or order)
    made: Rows = line.known[key]
    terms, sizes = made.weights * v.value[..., made.read], made.sizes * v.size[..., made.read]
    if made.unseen is not None:
        terms[..., made.unseen], sizes[..., made.unseen] = 0, 0
    total, most = terms.sum(-1), sizes.sum(-1)
    return Sized.of(np.moveaxis(total, -1, axis), np.moveaxis(most, -1, axis))


def _at_last(f: Sized, axis: int) -> Sized:
    return Sized.of(np.moveaxis(f.value, axis, -1), np.moveaxis(f.size, axis, -1))


def flux(make: Callable[..., Sized], fields: Sequence[Sized], axis: int, line: Line) -> Sized:
    """The derivative of what ``make`` makes of fields: of metric terms times them.

    Where a number is beyond an end each of the fields has it, and the metric terms of the end.
    """
    rows: list[Sized | None] = []
    for end, at in ((line.low, 0), (line.high, -1)):
        if end is None or isinstance(end, str):
            rows.append(None)
            continue
        beyond = make(*(Sized(np.full_like(f.value, end)) for f in fields))
        index = (slice(at, at + 1 or None),) + (slice(None),) * (-axis - 1)
        rows.append(beyond[(..., *index)])
    return differentiate(make(*fields), axis, line, outside=(rows[0], rows[1]))


@dataclass(frozen=True)
class Rows:
    """What each point reads (n, k), and by which weights; ``unseen`` are not read at all."""

    read: Array
    weights: Array
    sizes: Array
    unseen: Array | None


def _weigh_rows(line: Line, order: int, points_of: int) -> Rows:
    n, half = len(line.points), line.accuracy // 2
    ghosts: Ghosts = line.known["ghosts", half]
    x, before = ghosts.points, ghosts.before
    # Beyond the ends places are known to the rounding of the largest of them.
    inside = (np.arange(len(x)) >= before) & (np.arange(len(x)) < before + n)
    shift = 1 + abs(x).max() / abs(np.diff(x)).min()
    kinds = choose_windows(line, points_of, len(x), before)
    shape = n, max(read.shape[1] for _, read, _ in kinds)
    all_read, unseen = np.zeros(shape, int), np.ones(shape, bool)
    all_weights, all_sizes = np.zeros(shape, LONG), np.zeros(shape, LONG)
    for own, read, is_centred in kinds:
        w, s = weights(x[read], x[own], order)
        s = s * np.where(inside[read].all(1) & (not line.is_rounded), 1, shift)[:, None]
        seen = np.ones(read.shape, bool)
        if is_centred and order == 1 and line.is_even:  # the centre has no weight: it is not read
            zero = (own + half == len(x) - 1) & (line.zero_high is not None)
            seen[:, half] = zero | ((own == half) & (line.zero_low is not None))
        at = own - before, slice(read.shape[1])
        all_read[at], all_weights[at], all_sizes[at], unseen[at] = read, w, s, ~seen
    return Rows(all_read, all_weights, all_sizes, unseen if unseen.any() else None)


def choose_windows(
    line: Line, points_of: int, count: int, before: int
) -> list[tuple[Array, Array, bool]]:
    """Rows, what they read of ``count`` points, and whether they are at the centre of it."""
    n, half = len(line.points), line.accuracy // 2
    width = points_of + (line.edge_order if line.accuracy == 2 else line.accuracy)
    rows = np.arange(n) + before
    centred = (rows >= half) & (rows + half < count)
    own, edge = rows[centred], rows[~centred]
    start = np.where(edge < half, 0, count - width)
    kinds = [(own, own[:, None] + np.arange(-half, half + 1), True)]
    kinds.append((edge, start[:, None] + np.arange(width), False))
    return [kind for kind in kinds if len(kind[0])]


def closed_at(line: Line, low: float | None, high: float | None) -> Line:
    """The line with zeros at ``low`` and ``high``, where its ends are open."""
    return replace(
        line,
        zero_low=low if line.low is None else None,
        zero_high=high if line.high is None else None,
    )
