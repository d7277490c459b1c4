"""The weights of one window, for any derivative and any number of points.

Pure arithmetic on whatever holds the nodes: Python numbers, NumPy arrays on the host, JAX arrays
inside a kernel. So the same lines serve coordinates of one, two and three dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def weigh(x: Sequence[Any], at: int, order: int) -> list[Any]:
    """Weights of the nodes ``x`` for the derivative at ``x[at]``; one per tap of the window.

    ``x`` holds k numbers or k arrays of one shape; only arithmetic is done on them. For two
    nodes the one weight is their distance, by which the difference is divided.
    """
    if len(x) == 2:
        return [x[1] - x[0]]
    if len(x) == 3:
        h1, h2 = x[1] - x[0], x[2] - x[1]
        if order == 2:
            return [2 / (h1 * (h1 + h2)), -2 / (h1 * h2), 2 / (h2 * (h1 + h2))]
        if at == 0:
            return [
                -(2 * h1 + h2) / (h1 * (h1 + h2)),
                (h1 + h2) / (h1 * h2),
                -h1 / (h2 * (h1 + h2)),
            ]
        if at == 1:
            return [-h2 / (h1 * (h1 + h2)), (h2 - h1) / (h1 * h2), h1 / (h2 * (h1 + h2))]
        return [
            h2 / (h1 * (h1 + h2)),
            -(h2 + h1) / (h1 * h2),
            (2 * h2 + h1) / (h2 * (h1 + h2)),
        ]
    return _fornberg([node - x[at] for node in x], order)


def _fornberg(x: Sequence[Any], order: int) -> list[Any]:
    """Weights of the nodes ``x``, counted from the point wanted (Fornberg 1988, page 704)."""
    one = x[0] * 0 + 1
    weights: list[list[Any]] = [[one] + [0 * one] * order]
    c1 = one
    for i in range(1, len(x)):
        c2 = one
        for j in range(i):
            c3 = x[i] - x[j]
            c2 = c2 * c3
            row = weights[j]
            if j == i - 1:
                fresh = [
                    c1 * (m * (row[m - 1] if m else 0) - x[i - 1] * row[m]) / c2
                    for m in range(order + 1)
                ]
            weights[j] = [
                (x[i] * row[m] - m * (row[m - 1] if m else 0)) / c3 for m in range(order + 1)
            ]
        weights.append(fresh)
        c1 = c2
    return [row[order] for row in weights]
