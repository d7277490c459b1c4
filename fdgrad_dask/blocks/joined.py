"""A field of a block of JAX arrays, as a kernel sees it: joined to its halo and its ghost cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.blocks.views import ghosts
from fdgrad_dask.stencils.stencil import Halves


class Ends(NamedTuple):
    """What stands beyond the low and the high end of an axis.

    "halo" rows of a neighbour, a "number", a word of `boundary`, or None where edge rows read
    nothing beyond.
    """

    axis: int
    halo_width: int
    kinds: tuple[str | None, str | None]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Joined:
    """A field of a block on a device, and what stands before and behind it along some axes."""

    core: jax.Array
    beyond: dict[int, tuple[Any, Any]]  # axis → halo rows or numbers at its two ends
    ends: tuple[Ends, ...] = field(metadata={"static": True})

    def at(self, axis: int, offset: int) -> Any:
        """The values ``offset`` rows further along ``axis``."""
        if self.core.dtype.kind in "iu":
            return self._in_halves(lambda half: half.at(axis, offset))
        ends, n, count = self._ends_along(axis), self.core.shape[axis], abs(offset)
        if not offset or ends is None:
            return self.core
        moved, side = pad(self.core, axis, -offset, offset), int(offset > 0)
        if ends.kinds[side] is None:  # edge rows overwrite what is read from here
            return moved
        outside = self.outside(ends, side)
        first = 0 if side else ends.halo_width - count
        rows = lax.slice_in_dim(outside, first, first + count, axis=axis)
        return set_rows(moved, rows, axis, n - count if side else 0)

    def row(self, axis: int, position: int) -> Any:
        """One row: from the low end of the block, from the high one where it is negative."""
        if self.core.dtype.kind in "iu":
            return self._in_halves(lambda half: half.row(axis, position))
        ends, n = self._ends_along(axis), self.core.shape[axis]
        if ends is None:
            return self.core
        if -n <= position < n:
            return lax.slice_in_dim(self.core, position % n, position % n + 1, axis=axis)
        # The edge row of a short block reads rows of the neighbour on its other side, too.
        side = int(position > 0)
        first = position - n if side else ends.halo_width + n + position
        halo = self.outside(ends, side)
        return lax.slice_in_dim(halo, first, first + 1, axis=axis)

    def place(self, axis: int, out: jax.Array, edge: jax.Array, at: int) -> jax.Array:
        """``out`` with ``edge`` as its row ``at``, from the high end where that is negative."""
        return place_row(out, edge, axis, at)

    def _ends_along(self, axis: int) -> Ends | None:
        """The ends of ``axis``; None where the field does not vary along it."""
        for ends in self.ends:
            if ends.axis == axis and (self.core.shape[axis] > 1 or "halo" in ends.kinds):
                return ends
        return None

    def outside(self, ends: Ends, side: int) -> jax.Array:
        """The halo or the ghost cells at one end."""
        axis, halo_width, kind = ends.axis, ends.halo_width, ends.kinds[side]
        given, n = self.beyond[axis][side], self.core.shape[axis]
        if kind == "halo":
            first = given.shape[axis] - halo_width if side == 0 else 0
            return lax.slice_in_dim(given, first, first + halo_width, axis=axis)
        rows = partial(lax.slice_in_dim, self.core, axis=axis)
        return ghosts(rows, n, axis, halo_width, kind, given, low=side == 0)

    def _in_halves(self, read: Any) -> Halves:
        """Integers by halves, whose differences floats have where they do not have the integers."""
        bits = 4 * self.core.dtype.itemsize
        signed, real = f"int{2 * bits}", jnp.float64

        def split(number: Any, upper: bool) -> Any:
            if number is None:
                return None
            if jnp.issubdtype(number.dtype, jnp.integer):
                half = number >> bits if upper else number & (2**bits - 1)
                return half.astype(signed).astype(real)
            top = jnp.floor(number / 2**bits)
            return top if upper else number - top * 2**bits

        high, low = (
            replace(
                self,
                core=split(self.core, upper),
                beyond={
                    axis: (split(before, upper), split(behind, upper))
                    for axis, (before, behind) in self.beyond.items()
                },
            )
            for upper in (True, False)
        )
        return Halves(read(high), read(low), bits)


def place_row(out: jax.Array, row: jax.Array, axis: int, at: int) -> jax.Array:
    """``out`` with one row in its place, from the high end where ``at`` is negative."""
    at %= out.shape[axis]
    row = jnp.broadcast_to(row, (*out.shape[:axis], 1, *out.shape[axis + 1 :])).astype(out.dtype)
    if axis < out.ndim - 1:
        return set_rows(out, row, axis, at)
    # Within the innermost loop a choice between two values has no branch.
    is_there = lax.broadcasted_iota(np.int32, out.shape, axis) == np.int32(at)
    return lax.select(is_there, jnp.broadcast_to(row, out.shape), out)


def set_rows(out: jax.Array, rows: jax.Array, axis: int, start: int) -> jax.Array:
    """``out`` with ``rows`` from row ``start`` on.

    XLA makes it part of the loop that reads it: one branch for each row, beyond which LLVM knows
    that no shift leaves the array, and can use vectors. To concatenate is a pass over memory.
    """
    return lax.dynamic_update_slice_in_dim(out, rows, np.int32(start), axis)


def pad(array: jax.Array, axis: int, before: int, behind: int) -> jax.Array:
    """``array`` with so many rows more, which nobody reads, or less where they are negative."""
    pads = [(0, 0, 0)] * array.ndim
    pads[axis] = (before, behind, 0)
    return lax.pad(array, np.zeros((), array.dtype), pads)
