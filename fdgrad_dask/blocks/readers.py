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
        self._joined: dict[int, Any] = {}
        self.outside = outside  # what this field has of a number that stands there

    def _cast(self, rows: NDArray[Any]) -> Any:
        if rows.dtype.kind == "M":  # as durations, as NumPy takes them
            return rows.view(rows.dtype.str.replace("M", "m"))
        return rows if rows.dtype.kind in "mO" else rows.astype(self.dtype, copy=False)

    def rows(self, axis: int, first: int, count: int) -> Any:
        """So many rows, of which the first is number ``first`` of the block, or before it."""
        if self.core.shape[axis] != self.shape[axis]:
            return self.core  # the same all along
        if first >= 0 and first + count <= self.shape[axis]:
            return self.core[(slice(None),) * axis + (slice(first, first + count),)]
        if axis not in self._joined:
            self._joined[axis] = self._with_ends(axis)
        start = first + self.halo[axis]
        return self._joined[axis][(slice(None),) * axis + (slice(start, start + count),)]

    def _with_ends(self, axis: int) -> Any:
        """The field with the rows of its neighbours, or with what stands outside of its ends."""
        reach, rows = self.halo[axis], np.moveaxis(self.core, axis, 0)
        low, high = self.program.walls(axis, self.is_factor)
        parts = []
        for slabs, wall, own in ((self.block.low, low, rows), (self.block.high, high, rows[::-1])):
            if axis in slabs:
                slab = np.moveaxis(self._cast(slabs[axis]), axis, 0)
                parts.append(slab[-reach:] if slabs is self.block.low else slab[:reach])
            else:
                outside = np.ma.empty if isinstance(own, np.ma.MaskedArray) else np.empty
                part = outside((reach, *own.shape[1:]), own.dtype)
                fill = ghosts(wall, own, reach)
                part[...] = fill if isinstance(fill, np.ndarray) else self.outside(fill)
                parts.append(part if own is rows else part[::-1])
        join = np.ma.concatenate if isinstance(rows, np.ma.MaskedArray) else np.concatenate
        return np.moveaxis(join([parts[0], rows, parts[1]]), 0, axis)


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

    def at(self, offset: int) -> Any:
        """All rows, ``offset`` further along the axis."""
        return self._rows(offset, self.n)

    def row(self, position: int) -> Any:
        """One row: from the low wall, from the high one where ``position`` is negative."""
        return self._rows(position if position >= 0 else self.n + position, 1)

    def _rows(self, first: int, count: int) -> Any:
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
