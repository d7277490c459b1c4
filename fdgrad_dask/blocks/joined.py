"""A field of a block of JAX arrays, as a kernel sees it: joined to its halo and its ghost cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.blocks.views import ghosts
from fdgrad_dask.stencils.stencil import Halves

# What stands beyond each end of an axis, as (axis, halo width, low end, high end): "halo" rows of
# a neighbour, a "number", a word of `boundary`, or None where edge rows read nothing beyond.
Ends = tuple[tuple[int, int, str | None, str | None], ...]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Joined:
    """A field of a block on a device, and what stands before and behind it along some axes."""

    core: jax.Array
    beyond: dict[int, tuple[Any, Any]]  # axis → halo rows or numbers at its two ends
    ends: Ends = field(metadata={"static": True})

    def at(self, axis: int, offset: int) -> Any:
        """The values ``offset`` rows further along ``axis``."""
        if self.core.dtype.kind in "iu":
            return self.in_halves(lambda half: half.at(axis, offset))
        end = self.ends_along(axis)
        if not offset or end is None:
            return self.core
        halo_width, low, high = end
        if low is None and high is None:
            # A shift by padding is fused into the sum; to concatenate would cost a second pass.
            pads = [(0, 0, 0)] * self.core.ndim
            pads[axis] = (-offset, offset, 0)
            return lax.pad(self.core, jnp.zeros((), self.core.dtype), pads)
        n = self.core.shape[axis]
        rows = [self.outside(axis, halo_width, low, 0), self.core]
        rows.append(self.outside(axis, halo_width, high, 1))
        window = lax.concatenate(rows, axis)
        start = halo_width + offset
        return lax.slice_in_dim(window, start, start + n, axis=axis)

    def row(self, axis: int, position: int) -> Any:
        """One row: from the low end of the domain, from the high one where it is negative."""
        if self.core.dtype.kind in "iu":
            return self.in_halves(lambda half: half.row(axis, position))
        end = self.ends_along(axis)
        if end is None:
            return self.core
        n = self.core.shape[axis]
        place = position if position >= 0 else n + position
        if 0 <= place < n:
            return lax.slice_in_dim(self.core, place, place + 1, axis=axis)
        # A one-sided stencil may reach through a thin chunk into the halo at its other end.
        halo_width, low, high = end
        side, kind = (0, low) if place < 0 else (1, high)
        place = halo_width + place if place < 0 else place - n
        rows = self.outside(axis, halo_width, kind, side)
        return lax.slice_in_dim(rows, place, place + 1, axis=axis)

    def place(self, axis: int, out: jax.Array, edge: jax.Array, at: int) -> jax.Array:
        """``out`` with row ``at`` in its place, from the high end where that is negative."""
        return lax.dynamic_update_slice_in_dim(out, edge, np.int32(at % out.shape[axis]), axis)

    def ends_along(self, axis: int) -> tuple[int, str | None, str | None] | None:
        """Halo width and ends of ``axis``; None where the field does not vary along it."""
        for along, halo_width, low, high in self.ends:
            if along == axis and (self.core.shape[axis] > 1 or "halo" in (low, high)):
                return halo_width, low, high
        return None

    def outside(self, axis: int, halo_width: int, end: str | None, side: int) -> jax.Array:
        """The halo or the ghost cells at one end."""
        given, n = self.beyond[axis][side], self.core.shape[axis]
        if end == "halo":
            first = given.shape[axis] - halo_width if side == 0 else 0
            return lax.slice_in_dim(given, first, first + halo_width, axis=axis)
        rows = partial(lax.slice_in_dim, self.core, axis=axis)
        return ghosts(rows, n, axis, halo_width, end, given, low=side == 0)

    def in_halves(self, read: Any) -> Halves:
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
