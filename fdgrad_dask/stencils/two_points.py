"""Differences and means of two neighbours, between the points of a staggered grid.

Both points lie half a step off the result: they are number i and i + 1 of their own where these
begin below the results, and i − 1 and i where they begin above.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fdgrad_dask.stencils.boundary import EndBoundary
from fdgrad_dask.stencils.stencil import Stencil, Term
from fdgrad_dask.stencils.table import DomainBoundary, StencilTable

Ends = tuple[EndBoundary, EndBoundary]


def difference(n: int, *, is_forward: bool, ends: Ends) -> StencilTable:
    """f[i + 1] − f[i], or f[i] − f[i − 1], for ``n`` results; ``ends`` stand outside the data."""
    offsets = (0, 1) if is_forward else (-1, 0)
    return _table(n, Stencil(offsets, 0, (Term(offsets[1], offsets[0]),), np.ones((1, 1))), ends)


def mean(n: int, *, is_forward: bool, ends: Ends) -> StencilTable:
    """½ (f[i] + f[i + 1]), or ½ (f[i − 1] + f[i]), for ``n`` results."""
    offsets = (0, 1) if is_forward else (-1, 0)
    terms, halves = tuple(map(Term, offsets)), np.full((2, 1), 0.5)
    return _table(n, Stencil(offsets, 0, terms, halves, adds_to_zero=False), ends)


def neighbour(n: int, *, is_forward: bool, ends: Ends) -> StencilTable:
    """f[i + 1], or f[i − 1]: the other of the two points, beside f[i]."""
    offset = 1 if is_forward else -1
    one: Any = Stencil((offset,), 0, (Term(offset),), np.ones((1, 1)), adds_to_zero=False)
    return _table(n, one, ends)


def _table(n: int, window: Stencil, ends: Ends) -> StencilTable:
    """The table of one window; what is unknown outside is NaN, since no row is one-sided."""
    low, high = (DomainBoundary((), float("nan") if end is None else end) for end in ends)
    return StencilTable(n, 1, 1, (window,), low, high)
