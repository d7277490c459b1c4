"""How the values of a field are reached: shifted along an axis, beyond the ends of the block too.

There is one description of a field: its block, and what stands before and behind it. NumPy and the
kernels of NumPy blocks read it in slices (`SlicedField`). JAX arrays are read as sums of complete
arrays (`ShiftedField`), which XLA fuses into one pass; on several devices `shards` has two ways
more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.blocks.program import Block, Program
from fdgrad_dask.blocks.rows import concatenate, cut, flip, pad, repeat, set_rows
from fdgrad_dask.stencils.stencil import Halves

Edges = tuple[int, int]  # how many rows at the low and the high end have stencils of their own


class Ends(NamedTuple):
    """What stands beyond the low and the high end of an axis.

    "halo" rows of a neighbour, a "number", a word of `boundary`, or None where edge rows read
    nothing beyond.
    """

    axis: int
    halo_width: int
    kinds: tuple[str | None, str | None]


@dataclass(frozen=True)
class Field:
    """A field of a block, and what stands before and behind it along some axes."""

    core: Any
    beyond: dict[int, tuple[Any, Any]]  # axis → halo rows or numbers at its two ends
    ends: tuple[Ends, ...] = field(metadata={"static": True})
    is_shifted_apart: ClassVar[bool] = False

    @classmethod
    def of(
        cls,
        number: int,
        block: Block,
        program: Program,
        cast: Callable[[Any], Any],
        cast_number: Callable[[Any], Any],
    ) -> Self:
        """Field ``number`` of a program, whose rows and numbers are cast to what they shall be."""
        ends, beyond = [], {}
        for axis, halo_width in program.halo(number).items():
            kinds: list[str | None] = []
            rows: list[Any] = []
            fills = program.fills(axis, number)
            for halos, fill in zip((block.low, block.high), fills, strict=True):
                if axis in halos:
                    kinds.append("halo")
                    rows.append(cast(halos[axis]))
                elif fill is None or isinstance(fill, str):
                    kinds.append(fill)
                    rows.append(None)
                else:
                    kinds.append("number")
                    rows.append(cast_number(fill))
            ends.append(Ends(axis, halo_width, (kinds[0], kinds[1])))
            beyond[axis] = rows[0], rows[1]
        return cls(cast(block.core), beyond, tuple(ends))

    def ends_along(self, axis: int) -> Ends | None:
        """The ends of ``axis``; None where the field does not vary along it."""
        for ends in self.ends:
            if ends.axis == axis and (self.core.shape[axis] > 1 or "halo" in ends.kinds):
                return ends
        return None

    def outside(self, ends: Ends, side: int) -> Any:
        """The halo or the ghost cells at one end."""
        axis, width, kind = ends.axis, ends.halo_width, ends.kinds[side]
        given, n, core = self.beyond[axis][side], self.core.shape[axis], self.core
        if kind == "halo":
            first = 0 if side else given.shape[axis] - width
            return cut(given, axis, first, first + width)
        if kind == "periodic":
            return cut(core, axis, 0, width) if side else cut(core, axis, n - width, n)
        if kind == "reflect":
            first = n - width - 1 if side else 1
            return flip(cut(core, axis, first, first + width), axis)
        if kind == "number":
            shape = (*core.shape[:axis], width, *core.shape[axis + 1 :])
            return (jnp if isinstance(core, jax.Array) else np).broadcast_to(given, shape)
        return repeat(cut(core, axis, n - 1, n) if side else cut(core, axis, 0, 1), width, axis)

    @property
    def is_halved(self) -> bool:
        """True for integers that are kept as they are, since floats do not have all of them."""
        return self.core.dtype.kind in "iu"

    def in_halves(self, read: Callable[[Self], Any]) -> Halves:
        """What is read, as floats of its upper and its lower bits."""
        high, low = self.halves()
        return Halves(read(high), read(low), 4 * self.core.dtype.itemsize)

    def halves(self) -> list[Self]:
        """The upper and the lower bits of integers, of which floats have all differences."""
        bits = 4 * self.core.dtype.itemsize

        def split(number: Any, upper: bool) -> Any:
            if number is None:
                return None
            if number.dtype.kind in "iu":
                # A number that stands outside may be narrower than the field, or wider.
                width = max(2 * bits, 8 * number.dtype.itemsize)
                number = number.astype(f"{number.dtype.kind}{width // 8}")
                half = number >> bits if upper else number & (2**bits - 1)
                return half.astype(f"int{width}").astype(np.float64)
            top = number // 2.0**bits
            return top if upper else number - top * 2**bits

        return [
            replace(
                self,
                core=split(self.core, upper),
                beyond={
                    axis: (split(before, upper), split(behind, upper))
                    for axis, (before, behind) in self.beyond.items()
                },
            )
            for upper in (True, False)
        ]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SlicedField(Field):
    """A field that is read in slices. Only what crosses an end of the block is copied.

    ``joined`` has by axis the block with both its ends.
    """

    joined: dict[Any, Any] = field(default_factory=dict)

    def at(self, axis: int, offset: int, edges: Edges) -> Any:
        """The values ``offset`` rows further along ``axis``, for all rows but the edges."""
        return self._rows(axis, edges[0] + offset, self.core.shape[axis] - sum(edges))

    def row(self, axis: int, position: int, at: int) -> Any:
        """One row: counted from the low end, or from the high one if ``position`` is negative."""
        return self._rows(axis, position if position >= 0 else self.core.shape[axis] + position, 1)

    def assemble(
        self, axis: int, n: int, inner: Any, low: Sequence[Any], high: Sequence[Any]
    ) -> Any:
        """All ``n`` rows: the inner ones, and the edge rows inwards from either end."""
        count = n - len(low) - len(high)
        if inner is not None and inner.shape[axis] != count:  # of what does not vary
            inner = repeat(inner, count, axis)
        parts = [*low, *([] if inner is None else [inner]), *reversed(high)]
        return parts[0] if len(parts) == 1 else concatenate(parts, axis)

    def for_kernel(self, *, in_full: bool) -> SlicedField:
        """The same with its ends joined, whatever they are, so that one kernel serves them all.

        Unless ``in_full`` this leaves out the ends beyond which edge rows read nothing.
        """
        ends = [each for each in self.ends if self.ends_along(each.axis)]
        joined = [each for each in ends if in_full or each.kinds != (None, None)]
        alike = [each._replace(kinds=("halo", "halo")) if each in joined else each for each in ends]
        beyond = {each.axis: (None, None) for each in ends}
        return SlicedField(
            self.core, beyond, tuple(alike), {each.axis: self._join(each) for each in joined}
        )

    def halves(self) -> list[SlicedField]:
        """The upper and the lower bits of integers, of which floats have all differences."""
        if "halves" not in self.joined:
            self.joined["halves"] = [replace(half, joined={}) for half in super().halves()]
        made: list[SlicedField] = self.joined["halves"]
        return made

    def _join(self, ends: Ends) -> Any:
        if ends.axis not in self.joined:
            parts = [self.outside(ends, 0), self.core, self.outside(ends, 1)]
            self.joined[ends.axis] = concatenate(parts, ends.axis)
        return self.joined[ends.axis]

    def _rows(self, axis: int, first: int, count: int) -> Any:
        """``count`` rows, of which the first is number ``first`` of the block, or before it."""
        ends, n, stop = self.ends_along(axis), self.core.shape[axis], first + count
        if self.is_halved:
            return self.in_halves(lambda half: half._rows(axis, first, count))
        if ends is None:
            return self.core  # the same all along
        reach = ends.halo_width
        if axis not in self.joined:
            if first >= 0 and stop <= n:
                return cut(self.core, axis, first, stop)
            if stop <= 0:
                return cut(self.outside(ends, 0), axis, reach + first, reach + stop)
            if first >= n:
                return cut(self.outside(ends, 1), axis, first - n, stop - n)
        return cut(self._join(ends), axis, reach + first, reach + stop)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ShiftedField(Field):
    """A field that is read in complete arrays, whose edge rows are then replaced.

    ``unread`` fills what is replaced: shifts that differ in it are not one array to XLA.
    """

    unread: int = field(default=0, kw_only=True, metadata={"static": True})
    is_shifted_apart: ClassVar[bool] = True  # by each output

    def at(self, axis: int, offset: int, edges: Edges) -> Any:
        """The values ``offset`` rows further along ``axis``, for all rows, ``edges`` or not."""
        if self.is_halved:
            return self.in_halves(lambda half: half.at(axis, offset, edges))
        ends, n, count = self.ends_along(axis), self.core.shape[axis], abs(offset)
        if not offset or ends is None:
            return self.core
        moved, side = pad(self.core, axis, -offset, offset, self.unread), int(offset > 0)
        if ends.kinds[side] is None:  # edge rows overwrite what is read from here
            return moved
        first = 0 if side else ends.halo_width - count
        rows = cut(self.outside(ends, side), axis, first, first + count)
        return set_rows(moved, rows, axis, n - count if side else 0)

    def row(self, axis: int, position: int, at: int) -> Any:
        """One row, for edge row ``at``: from the low end, from the high one where negative."""
        if self.is_halved:
            return self.in_halves(lambda half: half.row(axis, position, at))
        ends, n = self.ends_along(axis), self.core.shape[axis]
        if ends is None:
            return self.core
        if -n <= position < n:
            return cut(self.core, axis, position % n, position % n + 1)
        # The edge row of a short block reads rows of the neighbour on its other side, too.
        side = int(position > 0)
        first = position - n if side else ends.halo_width + n + position
        return cut(self.outside(ends, side), axis, first, first + 1)

    def assemble(
        self, axis: int, n: int, inner: Any, low: Sequence[Any], high: Sequence[Any]
    ) -> Any:
        """``inner`` with the edge rows in their places, inwards from either end."""
        for i, edge in enumerate(low):
            inner = self.place(axis, inner, edge, i)
        for i, edge in reversed(list(enumerate(high))):
            inner = self.place(axis, inner, edge, -1 - i)
        return inner

    def in_slices(self) -> Field:
        """The same as a field that is read in slices."""
        return SlicedField(self.core, self.beyond, self.ends)

    def place(self, axis: int, out: jax.Array, edge: jax.Array, at: int) -> jax.Array:
        """``out`` with ``edge`` as its row ``at``, from the high end where that is negative."""
        at %= out.shape[axis]
        row = jnp.broadcast_to(edge, (*out.shape[:axis], 1, *out.shape[axis + 1 :]))
        row = row.astype(out.dtype)
        if axis < out.ndim - 1:
            return set_rows(out, row, axis, at)
        # Within the innermost loop a choice between two values has no branch.
        is_there = lax.broadcasted_iota(np.int32, out.shape, axis) == np.int32(at)
        return lax.select(is_there, jnp.broadcast_to(row, out.shape), out)
