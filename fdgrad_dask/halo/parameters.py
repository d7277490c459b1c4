"""What a program is for one chunk: its part of each table, its 1-D factors, and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.program import Block, Derivative, Program
from fdgrad_dask.halo.fields import is_lazy


class Halo(NamedTuple):
    """Rows that a chunk receives from a neighbour: of which field, along which axis, on which side.

    The neighbour is number ``neighbour`` along ``axis``.
    """

    field: int
    axis: int
    side: str
    width: int
    neighbour: int

    @property
    def rows(self) -> slice:
        """Where these rows lie in the neighbour: its last ones, or its first ones."""
        return slice(-self.width, None) if self.side == "low" else slice(self.width)


class ChunkParameters(NamedTuple):
    """What all chunks with the same index along an axis share.

    The derivatives along it by their number, the blocks of fields that the graph itself carries
    (1-D factors), and the halos on either side.
    """

    derivatives: dict[int, Derivative]
    fixed: dict[int, Block]
    halos: list[Halo]


def cut_parameters(
    program: Program, arrays: Sequence[Any], chunks: Sequence[tuple[int, ...]]
) -> dict[int, list[ChunkParameters]]:
    """axis → what the chunks with the same index along it share, index by index."""
    fixed: dict[int, dict[int, Any]] = {axis: {} for axis in program.axes}
    for i, f in enumerate(arrays):
        if not is_lazy(f):
            axis = next((axis for axis, n in enumerate(f.shape) if n > 1), (*program.axes, 0)[0])
            fixed.setdefault(axis, {})[i] = f
    lazy = {i: f.shape for i, f in enumerate(arrays) if is_lazy(f)}
    return {
        axis: _parameters_along(program, chunks, axis, fields, lazy)
        for axis, fields in fixed.items()
    }


def _parameters_along(
    program: Program,
    chunks: Sequence[tuple[int, ...]],
    axis: int,
    fixed: dict[int, Any],
    lazy: dict[int, tuple[int, ...]],
) -> list[ChunkParameters]:
    widths = {i: program.halo(i).get(axis, 0) for i in (*fixed, *lazy)}
    count = len(chunks[axis])
    parameters = []
    for at, rows in enumerate(pairwise(np.cumsum((0, *chunks[axis])).tolist())):
        derivatives = {
            n: d._replace(stencil=d.stencil.cut(*rows))
            for n, d in enumerate(program.derivatives)
            if d.axis == axis
        }
        table = next((d.stencil for d in derivatives.values()), None)
        ends = (table.low, table.high) if table else ()
        # No boundary at an end means an interface with a neighbour: on a periodic axis the first
        # chunk is a neighbour of the last.
        halos = [
            Halo(i, axis, side, widths[i], (at + step) % count)
            for side, step, end in zip(("low", "high"), (-1, 1), ends, strict=False)
            if end is None
            for i, shape in lazy.items()
            if widths[i] and shape[axis] > 1
        ]
        is_open = [end is None for end in ends]
        blocks = {i: _cut(f, axis, rows, widths[i], is_open) for i, f in fixed.items()}
        # The row at a pole takes the mean of the row beside it. Chunks that do not hold the pole
        # get an empty block instead, so that they need not wait for that mean.
        blocks |= {
            row.field: Block(np.empty((1,) * len(chunks)))
            for row in program.pole_rows
            if row.axis == axis and row.field in lazy and ends[row.end] is None
        }
        parameters.append(ChunkParameters(derivatives, blocks, halos))
    return parameters


def _cut(
    f: NDArray[Any], axis: int, rows: tuple[int, int], width: int, is_open: Sequence[bool]
) -> Block:
    """The block of an array in memory that varies along ``axis`` at most, with its halos.

    It has a halo at open ends only. At a domain boundary the kernel makes the ghost rows of a
    factor; the rows that follow it in the array are those of the other end of the domain.
    """
    (start, stop), n = rows, f.shape[axis]
    if n == 1 or stop - start == n:
        return Block(f)
    block = Block(f[(slice(None),) * axis + (slice(start, stop),)])
    if width and is_open[0]:
        block.low[axis] = f.take(range(start - width, start), axis, mode="wrap")
    if width and is_open[1]:
        block.high[axis] = f.take(range(stop, stop + width), axis, mode="wrap")
    return block
