"""One table of functions whose derivatives are known; every kind of test draws from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """f, f′ and f″ in closed form on [0, 2π]; ``period`` is None where f does not come back."""

    name: str
    f: Callable
    df: Callable
    d2f: Callable
    period: float | None = None

    def derivative(self, order):
        return {1: self.df, 2: self.d2f}[order]


CASES = [
    Case("sine", np.sin, np.cos, lambda x: -np.sin(x), period=2 * np.pi),
    Case(
        "bumps",  # all harmonics, no symmetry about either end
        lambda x: np.exp(np.sin(x + 0.3)),
        lambda x: np.cos(x + 0.3) * np.exp(np.sin(x + 0.3)),
        lambda x: (np.cos(x + 0.3) ** 2 - np.sin(x + 0.3)) * np.exp(np.sin(x + 0.3)),
        period=2 * np.pi,
    ),
    Case("line", lambda x: x, lambda x: np.ones_like(x), lambda x: np.zeros_like(x)),
    Case("hill", lambda x: -(x**2), lambda x: -2 * x, lambda x: np.full_like(x, -2.0)),
    Case("decay", lambda x: np.exp(-x), lambda x: -np.exp(-x), lambda x: np.exp(-x)),
]
BY_NAME = {case.name: case for case in CASES}


def points(n: int, spacing: str, period: float | None = None) -> np.ndarray:
    """(n,) points of [0, 2π], without the far end if ``period`` is given.

    ``spacing`` is "even", "uneven" (smoothly, so that orders can be measured), or either with
    " descending" behind it.
    """
    s = np.linspace(0, 2 * np.pi, n, endpoint=period is None)
    x = s if spacing.startswith("even") else s + 0.2 * np.sin(s)
    return x[::-1].copy() if spacing.endswith("descending") else x
