"""One-sided edge rows with the truncation error of the interior.

They are for metric terms, which are differentiated a second time. An ordinary one-sided row of the
same order has another error than the rows inside: a jump, whose difference is one order worse, so
that a laplacian beside the edge would be of first order.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fdgrad_dask.stencils.stencil import Stencil, Term
from fdgrad_dask.stencils.table import DomainBoundary, StencilTable
from fdgrad_dask.stencils.weights import weigh


def smooth_ends(table: StencilTable, n: int, accuracy: int) -> StencilTable:
    """``table``, of a first derivative in steps of 1, with its open ends so; or as it is if short.

    Row i of the first reach is the polynomial through the accuracy + 1 centred rows behind them.
    """
    reach = table.halo_width
    if n < 2 * reach + accuracy + 1 or table.low is None or table.low.fill is not None:
        return table
    centred = weigh([float(offset) for offset in range(-reach, reach + 1)], reach, 1)
    known = range(reach, reach + accuracy + 1)
    offsets = tuple(range(2 * reach + accuracy + 1))
    low, high = [], []
    for i in range(reach):
        weights = np.zeros(len(offsets))
        for k in known:
            others = [j for j in known if j != k]
            share = np.prod([(i - j) / (k - j) for j in others])
            weights[k - reach : k + reach + 1] += share * np.array(centred)
        low.append(_row(offsets, i, weights))
        high.append(_row(tuple(-1 - offset for offset in offsets), -1 - i, -weights))
    return replace(table, low=DomainBoundary(tuple(low)), high=DomainBoundary(tuple(high)))


def _row(offsets: tuple[int, ...], origin: int, weights: np.ndarray) -> Stencil:
    return Stencil(
        offsets, origin, tuple(Term(offset) for offset in offsets), weights.reshape(-1, 1)
    )
