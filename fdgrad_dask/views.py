"""How a kernel reaches the values of a field: in a window with its halo, or where they lie.

Both know the values at an offset from every point of the tile. Rows beside a wall are read in
windows only: tiles that are read where they lie are far from all walls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import jax
from jax import lax

_static = {"static": True}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Padded:
    """A tile of a field with its halo: (…, halo + m + halo, …).

    m = 1 without a halo along an axis on which the field does not vary.
    """

    array: jax.Array
    halo: tuple[int, ...] = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        return self._rows(axis, offset, self.array.shape[axis] - 2 * self.halo[axis])

    def row(self, axis: int, position: int) -> jax.Array:
        """One row: from the low wall, from the high one where ``position`` is negative."""
        rows = self.array.shape[axis] - 2 * self.halo[axis]
        return self._rows(axis, position if position >= 0 else rows + position, 1)

    def _rows(self, axis: int, first: int, count: int) -> jax.Array:
        array = self.array
        for i, (size, halo) in enumerate(zip(array.shape, self.halo, strict=True)):
            start, rows = (halo + first, count) if i == axis else (halo, size - 2 * halo)
            if size > 1:
                array = lax.slice_in_dim(array, start, start + rows, axis=i)
        return array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Direct:
    """A tile of a field in the memory of its block, which is one contiguous run of it.

    A step along an axis is a step of its stride. At the ends of an axis that the tile holds whole,
    that leads to other rows: who uses it must set those anew.
    """

    memory: jax.Array
    start: Any
    shape: tuple[int, ...] = field(metadata=_static)
    strides: tuple[int, ...] = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        start = self.start + offset * self.strides[axis]
        return lax.dynamic_slice(self.memory, (start,), (math.prod(self.shape),)).reshape(
            self.shape
        )


View = Padded | Direct
