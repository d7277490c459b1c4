"""The compact flux form of a second derivative with a metric, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.stencils.boundary import extended
from fdgrad_dask.stencils.stencil import Stencil, Term, columns
from fdgrad_dask.stencils.table import DomainBoundary, StencilTable, stencil
from fdgrad_dask.stencils.weights import weigh


def flux_stencil(
    points: NDArray[np.float64],
    conductance: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    slope: NDArray[np.float64],
    **options: Any,
) -> StencilTable:
    """The table of (1/k) d/dx (k df/dx), which is f'' + slope · f' with slope = k'/k.

    Interior rows of three points are the compact flux form, that sees a checkerboard and whose
    fluxes are the same seen from either side; all others are sums of two tables.

    Parameters
    ----------
    points
        The coordinate, (n,).
    conductance
        k at the points, and half a step before and behind each of them: three times (n,).
    slope
        k'/k at the points, (n,).
    **options
        Those of `stencil`, but for order.
    """
    n = len(points)
    table = stencil(points, n, order=2, **options)
    beyond = extended(points, table.halo_width, options["boundary"][0], options.get("period"))
    k, before, behind = conductance

    def mixed(window: Stencil, x: Sequence[Any], slope: Any) -> Stencil:
        if window.offsets == (-1, 0, 1):
            width = k * (x[2] - x[0]) / 2
            steps = [width * (x[2] - x[1]) / behind, -width * (x[0] - x[1]) / before]
            return replace(window, terms=(Term(1, 0), Term(-1, 0)), weights=columns(steps))
        at = window.offsets.index(window.origin)
        first, second = (weigh(x, at, order) for order in (1, 2))
        weights = [b + slope * a for a, b in zip(first, second, strict=True)]
        return replace(
            window, terms=tuple(Term(p) for p in window.offsets), weights=columns(weights)
        )

    def boundary(end: DomainBoundary | None) -> DomainBoundary | None:
        if end is None:
            return None
        rows = [mixed(r, [points[p] for p in r.offsets], slope[r.origin]) for r in end.rows]
        return DomainBoundary(tuple(rows), end.fill)

    windows = []
    for window in table.windows:
        x = [beyond[table.halo_width + p : table.halo_width + p + n] for p in window.offsets]
        windows.append(mixed(window, x, slope))
    return replace(
        table, windows=tuple(windows), low=boundary(table.low), high=boundary(table.high)
    )
