"""How a kernel reaches the values of a field that lies on several devices.

`Shard` is the part on one device with the halo rows that its neighbours sent; `Divided` a complete
array of which only the compiler knows where its parts lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fdgrad_dask.blocks.joined import Joined


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shard(Joined):
    """One shard of a field. ``is_end`` says by axis if it is the first one, and if the last one."""

    is_end: dict[int, tuple[jax.Array, jax.Array]] = field(default_factory=dict)

    def at(self, axis: int, offset: int) -> Any:
        """The values ``offset`` rows further along ``axis``."""
        end = self.ends_along(axis)
        if self.core.dtype.kind in "iu" or not offset or end is None or axis not in self.is_end:
            return super().at(axis, offset)
        side, count, n = int(offset > 0), abs(offset), self.core.shape[axis]
        halo = self.outside(axis, end[0], "halo", side)
        start = 0 if side else end[0] - count
        rows = lax.slice_in_dim(halo, start, start + count, axis=axis)
        # A selection is fused into the sum; to concatenate would cost a copy of the shard.
        pads = [(0, 0, 0)] * self.core.ndim
        pads[axis] = (n - count, 0, 0) if side else (0, n - count, 0)
        row = lax.broadcasted_iota(jnp.int32, self.core.shape, axis)
        is_own = row < n - count if side else row >= count
        zero = jnp.zeros((), rows.dtype)
        return jnp.where(is_own, shift(self.core, axis, offset), lax.pad(rows, zero, pads))

    def edge_row(self, axis: int, position: int, at: int) -> Any:
        """One row, whichever edge row reads it."""
        return self.row(axis, position)

    def place(self, axis: int, out: jax.Array, edge: jax.Array, at: int) -> jax.Array:
        """``out`` with edge row ``at`` in its place, if this shard is at that end of the domain."""
        if axis in self.is_end:
            number = at % out.shape[axis]
            row = lax.slice_in_dim(out, number, number + 1, axis=axis)
            edge = jnp.where(self.is_end[axis][at < 0], edge, row)
        return super().place(axis, out, edge, at)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Divided(Joined):
    """A complete field that the compiler divides among devices as it likes.

    Only shifts of the complete array and selections between them. The compiler turns these into
    sends between neighbours; a slice or a join of few rows would involve all devices.
    """

    def at(self, axis: int, offset: int) -> Any:
        """The values ``offset`` rows further along ``axis``."""
        end = self.ends_along(axis)
        if self.core.dtype.kind in "iu" or not offset or end is None:
            return super().at(axis, offset)
        side, n = int(offset > 0), self.core.shape[axis]
        fill, value = end[1 + side], self.beyond[axis][side]
        if fill == "periodic":
            part = partial(lax.slice_in_dim, self.core, axis=axis)
            return lax.concatenate([part(offset % n, n), part(0, offset % n)], axis)
        out = shift(self.core, axis, offset)
        if fill is None:
            return out  # edge rows replace what is read outside
        inwards = -1 if side else 1
        for i in range(abs(offset)):
            # Row i from the end reads a ghost cell, whose value stands `source` rows from the end.
            source = abs(offset) - i if fill == "reflect" else 0
            if fill == "number":
                ghost = jnp.broadcast_to(value, out.shape)
            else:
                ghost = shift(self.core, axis, (source - i) * inwards)
            out = self._select(axis, out, ghost, -1 - i if side else i)
        return out

    def edge_row(self, axis: int, position: int, at: int) -> Any:
        """One row, for edge row ``at``: in that place of an array of all rows."""
        if self.core.dtype.kind in "iu":
            return self.in_halves(lambda half: half.edge_row(axis, position, at))
        if self.ends_along(axis) is None:
            return self.core
        n = self.core.shape[axis]
        return shift(self.core, axis, position % n - at % n)

    def place(self, axis: int, out: jax.Array, edge: jax.Array, at: int) -> jax.Array:
        """``out`` with edge row ``at`` in its place."""
        return self._select(axis, out, edge, at)

    @staticmethod
    def _select(axis: int, out: jax.Array, row: jax.Array, at: int) -> jax.Array:
        number = lax.broadcasted_iota(jnp.int32, out.shape, axis)
        return jnp.where(number == at % out.shape[axis], row, out)


def shift(f: jax.Array, axis: int, offset: int) -> jax.Array:
    """``f`` seen ``offset`` rows further along ``axis``; zero outside."""
    if not offset:
        return f
    pads = [(0, 0, 0)] * f.ndim
    pads[axis] = (-offset, offset, 0)
    return lax.pad(f, jnp.zeros((), f.dtype), pads)
