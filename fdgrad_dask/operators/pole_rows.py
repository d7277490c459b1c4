"""Poles as rows of a grid, and the stencils of rows beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fdgrad_dask.grids.geometry import HorizontalGrid, Sphere
from fdgrad_dask.stencils.stencil import Stencil, Term
from fdgrad_dask.stencils.table import StencilTable
from fdgrad_dask.stencils.weights import weigh


def find_poles(grid: HorizontalGrid) -> list[tuple[int, int, float]]:
    """(end, row beside it, +1 in the north or −1 in the south) for the rows that are poles."""
    ends = zip((0, -1), (1, -2), grid.poles, strict=True)
    return [(end, beside, float(np.sign(grid.y.points[end]))) for end, beside, pole in ends if pole]


def close_at_poles(table: StencilTable, grid: HorizontalGrid) -> StencilTable:
    """The table along y of a field that is zero at the poles, as h_x · u is.

    Where the last row lies beside a pole and not on it, the pole is one more point, of known value:
    on a circle as on a sector. Without it the row would be a one-sided difference of something
    small over something small: wrong by its own size, at any resolution.
    """
    y = grid.y.points
    if not isinstance(grid.geometry, Sphere) or table.windows[0].offsets != (-1, 0, 1):
        return table
    ends = {}
    for side, near, far in (("low", 0, 1), ("high", -1, -2)):
        here, beyond = float(y[near]), float(y[far])
        pole = float(np.copysign(90.0, here))
        wall = getattr(table, side)
        beside = 1e-5 < abs(pole - here) <= abs(here - beyond) * (1 + 1e-6)
        # Where missing values are stepped around, what lies outside is missing too.
        is_missing = len(table.windows) > 1 and wall.fill != wall.fill
        if not beside or not (wall.fill is None or is_missing):
            continue
        nodes = (pole, here, beyond) if side == "low" else (beyond, here, pole)
        weights = weigh(nodes, 1, 1)
        known = weights[1:] if side == "low" else weights[:-1]
        read = (0, 1) if side == "low" else (-2, -1)
        columns = np.array(known).reshape(2, 1)
        row = Stencil(read, near, tuple(map(Term, read)), columns, adds_to_zero=False)
        ends[side] = replace(wall, rows=(row,))
    return replace(table, low=ends.get("low", table.low), high=ends.get("high", table.high))
