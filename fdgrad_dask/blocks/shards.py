"""How a kernel reaches the values of a field that lies on several devices.

`Shard` is the part on one device with the halo rows that its neighbours sent; `Divided` a complete
field of which only the compiler knows where its parts lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.blocks.fields import Edges, ShiftedField
from fdgrad_dask.blocks.rows import pad


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shard(ShiftedField):
    """One shard of a field. ``is_end`` says by axis if it is the first one, and if the last one."""

    is_end: dict[int, tuple[jax.Array, jax.Array]] = field(default_factory=dict)

    def in_slices(self) -> Shard:
        """Itself: which rows are edge rows is known on the devices only."""
        return self

    def place(self, axis: int, out: jax.Array, edge: jax.Array, at: int) -> jax.Array:
        """``out`` with edge row ``at`` in its place, if this shard is at that end of the domain."""
        placed = super().place(axis, out, edge, at)
        # All shards run the same program; those inside compute this row for nothing.
        return jnp.where(self.is_end[axis][at < 0], placed, out) if axis in self.is_end else placed


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Divided(ShiftedField):
    """A complete field that the compiler divides among devices as it likes.

    Only shifts of the complete field and selections between them. The compiler turns these into
    sends between neighbours; a slice or a join of few rows would involve all devices.
    """

    is_shifted_apart: ClassVar[bool] = False  # each output would have sends of its own

    def in_slices(self) -> Divided:
        """Itself: slices would involve all devices."""
        return self

    def at(self, axis: int, offset: int, edges: Edges) -> Any:
        """The values ``offset`` rows further along ``axis``."""
        ends = self.ends_along(axis)
        if self.is_halved or not offset or ends is None:
            return super().at(axis, offset, edges)
        side, n = int(offset > 0), self.core.shape[axis]
        kind, value = ends.kinds[side], self.beyond[axis][side]
        if kind == "periodic":
            rows = partial(lax.slice_in_dim, self.core, axis=axis)
            return lax.concatenate([rows(offset % n, n), rows(0, offset % n)], axis)
        out = self._shifted(axis, offset)
        if kind is None:
            return out  # edge rows overwrite what is read outside
        for i in range(abs(offset)):
            # Row i from the end reads a ghost cell, whose value stands `source` rows from the end.
            source = abs(offset) - i if kind == "reflect" else 0
            if kind == "number":
                ghost = jnp.broadcast_to(value, out.shape)
            else:
                ghost = self._shifted(axis, i - source if side else source - i)
            out = self._select(axis, out, ghost, -1 - i if side else i)
        return out

    def row(self, axis: int, position: int, at: int) -> Any:
        """One row, for edge row ``at``: in that place of an array of all rows."""
        if self.is_halved:
            return self.in_halves(lambda half: half.row(axis, position, at))
        n = self.core.shape[axis]
        return self._shifted(axis, position % n - at % n)

    def place(self, axis: int, out: jax.Array, edge: jax.Array, at: int) -> jax.Array:
        """``out`` with edge row ``at`` in its place."""
        return self._select(axis, out, jnp.broadcast_to(edge, out.shape), at)

    def _shifted(self, axis: int, offset: int) -> jax.Array:
        return pad(self.core, axis, -offset, offset) if offset else self.core

    @staticmethod
    def _select(axis: int, out: jax.Array, row: jax.Array, at: int) -> jax.Array:
        number = lax.broadcasted_iota(np.int32, out.shape, axis)
        return jnp.where(number == np.int32(at % out.shape[axis]), row, out)
