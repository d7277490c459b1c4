"""How a kernel reaches the values of a field: in a window with its halo, or where they lie.

All views give the values at an offset from every point. Only a window has the rows beside a domain
boundary: what is computed in place lies far enough from all boundaries.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import lax
from numpy.typing import NDArray

_static = {"static": True}
COLUMNS = 1024  # elements; loops over much shorter rows do not vectorise well


class View(Protocol):
    """A field as a kernel reads it. Only views of interior points may do without `row`."""

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""

    def row(self, axis: int, position: int) -> jax.Array:
        """One row: counted from the low end, or from the high one if ``position`` is negative."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Window:
    """Part of a field with its halo: (…, halo + m + halo, …).

    m = 1 without a halo along an axis on which the field does not vary.
    """

    array: jax.Array | NDArray[Any]
    halo: tuple[int, ...] = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        return self._rows(axis, offset, self.array.shape[axis] - 2 * self.halo[axis])

    def row(self, axis: int, position: int) -> jax.Array:
        """One row: counted from the low end, or from the high one if ``position`` is negative."""
        rows = self.array.shape[axis] - 2 * self.halo[axis]
        return self._rows(axis, position if position >= 0 else rows + position, 1)

    def _rows(self, axis: int, first: int, count: int) -> jax.Array:
        array = jnp.asarray(self.array)
        for i, (size, halo) in enumerate(zip(array.shape, self.halo, strict=True)):
            start, rows = (halo + first, count) if i == axis else (halo, size - 2 * halo)
            if size > 1:
                array = lax.slice_in_dim(array, start, start + rows, axis=i)
        return array


class Frame(NamedTuple):
    """A contiguous block of ``shape`` as rows and columns: the axes before ``split``, and the rest.

    In its memory a step along any axis is a constant offset, so a stencil is a sum of shifted
    copies of one flat array. Two dimensions are left because the loop that XLA makes of them
    vectorises along columns, and because factors that vary along rows or along columns broadcast.
    At the ends of an axis a step leads to unrelated elements, so those rows are wrong and must be
    computed again. The first and the last ``margin`` rows are left out, since from there a step may
    lead out of the memory.

    If ``split`` is 0, rows are runs of the memory that have nothing to do with the shape, and the
    last one may be longer than what is left of the block.
    """

    shape: tuple[int, ...]
    split: int
    margin: int

    @property
    def full(self) -> tuple[int, int]:
        """The number of rows and of columns of the block."""
        if self.split == 0:
            return -(-math.prod(self.shape) // COLUMNS), COLUMNS
        return math.prod(self.shape[: self.split]), math.prod(self.shape[self.split :])

    @property
    def inner(self) -> tuple[int, int]:
        """The number of rows and of columns that are computed."""
        columns = self.full[1]
        return math.prod(self.shape) // columns - 2 * self.margin, columns

    @property
    def start(self) -> int:
        """The index of the first element that is computed."""
        return self.margin * self.full[1]

    def broadcast(self, array: jax.Array) -> jax.Array:
        """An array of size 1 along some axes, as it broadcasts against the inner rows."""
        before, behind = self.shape[: self.split], self.shape[self.split :]
        if array.size == 1:
            return array.reshape(1, 1)
        if self.split == 0:
            flat = jnp.broadcast_to(array, self.shape).reshape(-1)
            return lax.slice(flat, (self.start,), (self.start + math.prod(self.inner),)).reshape(
                self.inner
            )
        if max(array.shape[self.split :]) > 1:
            return jnp.broadcast_to(array, (*(1,) * self.split, *behind)).reshape(1, -1)
        rows = jnp.broadcast_to(array, (*before, *(1,) * len(behind))).reshape(-1, 1)
        return lax.slice_in_dim(rows, self.margin, len(rows) - self.margin)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Broadcast:
    """A field that varies along some axes only, seen from a block of rows and columns."""

    window: Window
    frame: Frame = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        return self.frame.broadcast(self.window.at(axis, offset))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class InPlace:
    """A field that fills a block, and begins at ``offset`` in its memory."""

    memory: jax.Array
    offset: Any
    frame: Frame = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        frame = self.frame
        start = self.offset + frame.start + offset * math.prod(frame.shape[axis + 1 :])
        values = lax.dynamic_slice(self.memory, (start,), (math.prod(frame.inner),))
        return values.reshape(frame.inner)


def ghosts(
    rows: Callable[[int, int], jax.Array],
    n: int,
    axis: int,
    reach: int,
    fill: str | None,
    value: Any,
    *,
    low: bool,
) -> jax.Array:
    """The ``reach`` rows outside one end of an axis of ``n``; ``value`` where it is no word."""
    if fill == "periodic":
        return rows(n - reach, n) if low else rows(0, reach)
    if fill == "reflect":
        return lax.rev(rows(1, reach + 1) if low else rows(n - reach - 1, n - 1), (axis,))
    edge = rows(0, 1) if low else rows(n - 1, n)
    outside = (*edge.shape[:axis], reach, *edge.shape[axis + 1 :])
    return jnp.broadcast_to(edge if value is None else value, outside)
