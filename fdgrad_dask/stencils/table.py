"""Finite-difference weights along one axis, made once on the host in float64.

A stencil is a table: row i holds the weights of the points used at point i. Spacing, edge order,
accuracy, derivative order and periodic wrap all end in the table; the arithmetic that reads it
knows none of them. A weight that is absent does not read its value, since 0 · NaN is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.stencils.boundary import (
    ACCURACIES,
    EndBoundary,
    check_options,
    extended,
    full_turn,
    regular_points,
    spacing,
)
from fdgrad_dask.stencils.stencil import Axis, Stencil, is_extreme


@dataclass(frozen=True)
class DomainBoundary:
    """A closed end of the domain: rows of its own, or values to stand outside (``fill``)."""

    rows: tuple[Stencil, ...] = ()
    fill: EndBoundary = None


@dataclass(frozen=True)
class StencilTable:
    """What one block needs to know: how far it looks, its windows, its two ends.

    ``windows`` are tried in turn; there is more than one only when missing values are to be
    stepped around. A boundary that is None is open: ``reach`` rows of a neighbour are attached.
    """

    n: int
    order: int
    halo_width: int
    windows: tuple[Stencil, ...]
    low: DomainBoundary | None
    high: DomainBoundary | None

    def cut(self, start: int, stop: int) -> StencilTable:
        """The stencil of the chunk ``start`` to ``stop``: a smaller world with open ends."""
        whole = start == 0 and stop == self.n
        wrapped = self.low is not None and self.low.fill == "periodic"
        return replace(
            self,
            n=stop - start,
            windows=tuple(window.cut(start, stop) for window in self.windows),
            low=self.low if whole or (start == 0 and not wrapped) else None,
            high=self.high if whole or (stop == self.n and not wrapped) else None,
        )

    def min_chunk_size(self, boundary: DomainBoundary | None) -> int:
        """The fewest points that a chunk beside ``boundary`` can hold."""
        rows = boundary.rows if boundary else ()
        widths = [p + 1 if p >= 0 else -p for row in rows for p in row.offsets]
        mirrored = self.halo_width + 1 if boundary and boundary.fill == "reflect" else 0
        return max(1, self.halo_width, max(widths, default=0) - self.halo_width, mirrored)


def stencil(
    points: Any,
    n: int,
    *,
    order: int = 1,
    accuracy: int = 2,
    edge_order: int = 1,
    boundary: tuple[EndBoundary, EndBoundary] = (None, None),
    period: float | None = None,
    skipna: bool = False,
    name: str = "the axis",
) -> StencilTable:
    """The table of the derivative of ``order`` along an axis of ``n`` points.

    Parameters
    ----------
    points
        The coordinate, (n,), or the distance between points, a scalar; None leaves the weights
        to be formed beside the data. Anything with an array namespace, so JAX tracers too.
    n
        Number of points.
    order, accuracy, edge_order
        1 or 2; 2, 4, 6 or 8; 1 or 2. ``edge_order`` holds at accuracy 2, above it the edges
        have the order of the interior.
    boundary
        For the lower and the upper end: None, a word, or the number held outside.
    period
        Length of a periodic axis in units of the coordinate; n steps if the spacing is even.
    skipna
        Add the windows to fall back on beside a missing value.
    name
        How messages call the axis.

    Raises
    ------
    OptionError
        An option has no such value.
    CoordinateError
        The axis is too short for the stencil.

    Notes
    -----
    Weights by Fornberg (1988), Math. Comp. 51, 699-706. With three points or fewer they are
    the closed forms, in the arithmetic of numpy.gradient, so that float64 has its bits.
    """
    low, high = boundary
    check_options(order, accuracy, edge_order, low, high)
    order, accuracy, edge_order = int(order), int(accuracy), int(edge_order)
    edge = order + (edge_order if accuracy == 2 else accuracy)
    half = accuracy // 2
    centred = tuple(range(-half, half + 1))
    sets = _fallbacks(order, accuracy, edge_order) if skipna else [centred]
    reach = max(max(-offsets[0], offsets[-1]) for offsets in sets)
    needed = max(edge if low is None or high is None else len(centred), reach + 1)
    if n < needed:
        ends = repr(low) if low == high else f"({low!r}, {high!r})"
        closed = low is None or high is None or accuracy > 2
        what = None if closed else f"boundary {ends}"
        raise CoordinateError(_too_short(name, n, order, accuracy, edge_order, needed, what))
    if order == 2 and isinstance(points, np.ndarray) and points.ndim:
        points = regular_points(points)
    given = points
    points, even = spacing(points, n, low == "periodic", period, name)
    if period is None and low == "periodic" and not even and points is not None:
        period = full_turn(np.asarray(given))
    axis = Axis(points, even, order, is_extreme(points, order))
    nodes: Any = [None] * len(sets)
    if not (points is None or even):
        nodes = _nodes(sets, reach, points, given, low, period)
    windows = tuple(axis.window(offsets, 0, x) for offsets, x in zip(sets, nodes, strict=True))
    closed_ends = []
    for fill, side in ((low, 1), (high, -1)):
        rows: tuple[Stencil, ...] = ()
        if fill is None and not skipna:
            rows = axis.edge_rows(side, half, edge)
        elif fill is None:
            fill = float("nan")
        closed_ends.append(DomainBoundary(rows, fill))
    return StencilTable(n, order, reach, windows, *closed_ends)


def _fallbacks(order: int, accuracy: int, edge_order: int) -> list[tuple[int, ...]]:
    """Windows in the order in which they are tried beside missing values.

    Centred first, then the same accuracy pushed aside, then less accurate, and at the end the
    fewest points that have a derivative.
    """
    sets: list[tuple[int, ...]] = []
    for acc in range(accuracy, 0, -2):
        sets.append(tuple(range(-(acc // 2), acc // 2 + 1)))
        widths = [order + acc] if acc > 2 else range(order + edge_order, order, -1)
        if acc == 2 and accuracy > 2:
            widths = [order + 2, order + 1]
        for width in widths:
            starts = sorted(range(1 - width, 1), key=lambda s: (abs(2 * s + width - 1), -s))
            if acc == 2:
                starts = [0, 1 - width]
            sets += [tuple(range(s, s + width)) for s in starts]
    return list(dict.fromkeys(sets))


def _nodes(
    sets: list[tuple[int, ...]], reach: int, points: Any, given: Any, low: EndBoundary, period: Any
) -> list[list[Any]]:
    """The nodes of each set as seen from every point: k arrays (n,).

    Around a seam of its own length a spacing that is a number gives steps: differences of places
    would be rounded by as much as the last place is.
    """
    if np.ndim(given) == 0:
        n, step = len(points), np.float64(given)
        seam = np.sign(step) * (period - n * abs(step))  # by how much it is longer than a step
        return [[i * step + seam * ((np.arange(n) + i) // n) for i in offsets] for offsets in sets]
    beyond = extended(points, reach, low, period)
    return [[beyond[reach + i : reach + i + len(points)] for i in offsets] for offsets in sets]


def _too_short(
    name: str, n: int, order: int, accuracy: int, edge_order: int, needed: int, what: str | None
) -> str:
    """Write the error message, which suggests the highest accuracy that would fit."""
    best = [a for a in ACCURACIES if a < accuracy and order + (edge_order if a == 2 else a) <= n]
    if what is None:
        what = f"accuracy {accuracy}" if accuracy > 2 else f"edge order {edge_order}"
        what += " of the second derivative" if order == 2 else ""
    if best:
        advice = f"lower accuracy to {best[-1]}, or give a longer axis"
    elif edge_order == 2 and n > order and needed == order + edge_order:
        advice = "lower edge_order to 1, or give a longer axis"
    else:
        advice = "give a longer axis"
    points = "point" if n == 1 else "points"
    return f"{name} has {n} {points}, but {what} needs {needed}; {advice}"
