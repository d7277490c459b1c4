"""How NumPy reaches the values of a block: those of a field and its neighbours, and of operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.program import Block, Operand, Program
from fdgrad_dask.stencils.table import ghosts


class Field:
    """A field of a block with what stands about it along each axis, as a kernel is shown it."""

    def __init__(
        self,
        number: int,
        block: Block,
        shape: tuple[int, ...],
        program: Program,
        dtype: np.dtype[Any],
        outside: Callable[[Any], Any] = lambda fill: fill,
    ) -> None:
        self.block, self.shape, self.program = block, shape, program
        self.is_factor, self.halo = program.is_factor(number), program.halo(number)
        # A coordinate keeps its digits: its differences are what weights are made of.
        is_z = any(d.z == number for d in program.derivatives)
        self.dtype = np.dtype(np.float64) if is_z else dtype
        self.core = self._cast(block.core)
        self._beyond: dict[tuple[int, int], Any] = {}
        self._joined: dict[int, Any] = {}
        self.outside = outside  # what this field has of a number that stands there

    def _cast(self, rows: NDArray[Any]) -> Any:
        if rows.dtype.kind == "M":  # as durations, as NumPy takes them
            return rows.view(rows.dtype.str.replace("M", "m"))
        return rows if rows.dtype.kind in "mO" else rows.astype(self.dtype, copy=False)

    def rows(self, axis: int, first: int, count: int) -> Any:
        """``count`` rows, of which the first is number ``first`` of the block, or before it."""
        n, reach, stop = self.shape[axis], self.halo.get(axis, 0), first + count
        if self.core.shape[axis] != n:
            return self.core  # the same all along
        if first >= 0 and stop <= n:
            return _slice(self.core, axis, first, stop)
        if stop <= 0:
            return _slice(self.beyond(axis, 0), axis, reach + first, reach + stop)
        if first >= n:
            return _slice(self.beyond(axis, 1), axis, first - n, stop - n)
        if axis not in self._joined:
            join = np.ma.concatenate if self._is_masked() else np.concatenate
            parts = [self.beyond(axis, 0), self.core, self.beyond(axis, 1)]
            self._joined[axis] = join(parts, axis)
        return _slice(self._joined[axis], axis, reach + first, reach + stop)

    def beyond(self, axis: int, end: int) -> Any:
        """The halo at the low (0) or the high ``end`` (1): rows of a neighbour, or ghost cells."""
        if (axis, end) not in self._beyond:
            self._beyond[axis, end] = self._find_beyond(axis, end)
        return self._beyond[axis, end]

    def _find_beyond(self, axis: int, end: int) -> Any:
        reach, given = self.halo[axis], (self.block.low, self.block.high)[end]
        if axis in given:
            rows = self._cast(given[axis])
            n = rows.shape[axis]
            return _slice(rows, axis, *((0, reach) if end else (n - reach, n)))
        boundary = self.program.boundaries(axis, self.is_factor)[end]
        rows = np.moveaxis(self.core, axis, 0)
        rows = rows[::-1] if end else rows  # seen from the far end, rows above are rows below
        fill = ghosts(boundary, rows, reach)
        made = np.empty_like(rows, shape=(reach, *rows.shape[1:]))
        made[...] = fill if isinstance(fill, np.ndarray) else self.outside(fill)
        return np.moveaxis(made[::-1] if end else made, 0, axis)

    def _is_masked(self) -> bool:
        return isinstance(self.core, np.ma.MaskedArray)


def _slice(array: Any, axis: int, start: int, stop: int) -> Any:
    return array[(slice(None),) * axis + (slice(start, stop),)]


class Reader(NamedTuple):
    """How to reach the values of an operand: the sum of fields, each times its factor."""

    fields: Mapping[int, Field]
    operand: Operand
    axis: int

    @property
    def ndim(self) -> int:
        """The dimensions of the block."""
        return len(next(iter(self.fields.values())).shape)

    @property
    def n(self) -> int:
        """The rows of the block."""
        return next(iter(self.fields.values())).shape[self.axis]

    def row(self, position: int) -> Any:
        """One row: from the low end, from the high one where ``position`` is negative."""
        return self.rows(position if position >= 0 else self.n + position, 1)

    def rows(self, first: int, count: int) -> Any:
        """``count`` rows, of which the first is number ``first`` of the block, or before it."""
        terms = []
        for field, factor in self.operand:
            term = self.fields[field].rows(self.axis, first, count)
            if factor is not None:
                term = term * self.fields[factor].rows(self.axis, first, count)
            terms.append(term)
        return reduce(np.add, terms)


def has_large_integers(block: Block) -> bool:
    """True for integers that float64 does not have all of, so that conversion may lose them."""
    rows = [block.core, *block.low.values(), *block.high.values()]
    return any(
        part.dtype.kind in "iu"
        and not isinstance(part, np.ma.MaskedArray)
        and part.dtype.itemsize == 8
        and part.size > 0
        and max(abs(int(part.min())), abs(int(part.max()))) >= 2**53
        for part in rows
    )


def halves_of(
    block: Block, shape: tuple[int, ...], program: Program, axis: int
) -> tuple[Reader, Reader]:
    """The upper and the lower 32 bits of integers, which float64 has all of."""

    def half(take: Callable[[Any], Any]) -> Reader:
        slabs = ({i: take(rows) for i, rows in ends.items()} for ends in (block.low, block.high))
        taken = Block(take(block.core), *slabs)
        field = Field(0, taken, shape, program, np.dtype(np.float64), take)
        return Reader({0: field}, ((0, None),), axis)

    return half(lambda rows: rows // 2**32), half(lambda rows: rows % 2**32)
