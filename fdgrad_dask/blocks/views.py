"""How a kernel reaches the values of a field: in a window with its halo, or where they lie.

Both know the values at an offset from every point of the tile. Rows beside a wall are read in
windows only: tiles that are read where they lie are far from all walls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from numpy.typing import NDArray

_static = {"static": True}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Padded:
    """A tile of a field with its halo: (…, halo + m + halo, …).

    m = 1 without a halo along an axis on which the field does not vary.
    """

    array: jax.Array | NDArray[Any]
    halo: tuple[int, ...] = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        return self._rows(axis, offset, self.array.shape[axis] - 2 * self.halo[axis])

    def row(self, axis: int, position: int) -> jax.Array:
        """One row: from the low wall, from the high one where ``position`` is negative."""
        rows = self.array.shape[axis] - 2 * self.halo[axis]
        return self._rows(axis, position if position >= 0 else rows + position, 1)

    def _rows(self, axis: int, first: int, count: int) -> jax.Array:
        array = jnp.asarray(self.array)
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


Ranges = tuple[tuple[int, int], ...]


class Frame(NamedTuple):
    """A block of ``shape`` as rows and columns: the axes before ``split``, and those behind.

    ``margin`` rows at both ends are left out, so that from all others a step leads into the block.
    """

    shape: tuple[int, ...]
    split: int
    margin: int

    @property
    def columns(self) -> int:
        return math.prod(self.shape[self.split :])

    @property
    def whole(self) -> tuple[int, int]:
        """All rows and columns."""
        return math.prod(self.shape[: self.split]), self.columns

    @property
    def inner(self) -> tuple[int, int]:
        """The rows and columns that are left."""
        rows, columns = self.whole
        return rows - 2 * self.margin, columns

    def spread(self, array: jax.Array) -> jax.Array:
        """What varies along rows or along columns, as (rows, 1) or (1, columns)."""
        split, margin = self.split, self.margin
        if max(array.shape[:split]) > 1:
            behind = (1,) * (len(self.shape) - split)
            whole = jnp.broadcast_to(array, (*self.shape[:split], *behind)).reshape(-1, 1)
            return lax.slice_in_dim(whole, margin, len(whole) - margin)
        columns = self.shape[split:] if max(array.shape[split:]) > 1 else array.shape[split:]
        return jnp.broadcast_to(array, (*(1,) * split, *columns)).reshape(1, -1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Spread:
    """A field that varies along some axes only, seen from a block that is rows and columns."""

    padded: Padded
    frame: Frame = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        return self.frame.spread(self.padded.at(axis, offset))

    def box(self, ranges: Ranges) -> Padded:
        """A part of it, with its halo."""
        array, halo = jnp.asarray(self.padded.array), self.padded.halo
        for axis, (start, stop) in enumerate(ranges):
            if array.shape[axis] > 1:
                array = lax.slice_in_dim(array, start, stop + 2 * halo[axis], axis=axis)
        return Padded(array, halo)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Whole:
    """A field that fills a block, in whose memory it begins at ``lead``.

    Beyond the ends of an axis stands what ``kinds`` say: ``outside`` has it, or the field itself.
    """

    memory: jax.Array
    lead: Any
    outside: list[list[Any]]
    frame: Frame = field(metadata=_static)
    halo: tuple[int, ...] = field(metadata=_static)
    kinds: tuple[tuple[str | None, str | None], ...] = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``, of all rows but those in the margins.

        At both ends of an axis behind the first that leads to other rows, which are boxes' to set.
        """
        frame = self.frame
        step = offset * math.prod(frame.shape[axis + 1 :])
        start = self.lead + frame.margin * frame.columns + step
        return lax.dynamic_slice(self.memory, (start,), (math.prod(frame.inner),)).reshape(
            frame.inner
        )

    def box(self, ranges: Ranges) -> Star:
        """A part of it, with what is about it."""
        shape = self.frame.shape
        array = lax.dynamic_slice(self.memory, (self.lead,), (math.prod(shape),)).reshape(shape)

        def rows(axis: int, start: int, stop: int, of: jax.Array = array) -> jax.Array:
            across = [*ranges[:axis], (start, stop), *ranges[axis + 1 :]]
            return lax.slice(of, *zip(*across, strict=True))

        core = rows(0, *ranges[0])
        arms = {}
        for axis, reach in enumerate(self.halo):
            if reach:
                start, stop = ranges[axis]
                low = start >= reach
                high = stop + reach <= shape[axis]
                arms[axis] = [
                    rows(axis, start - reach, start) if low else self._beyond(axis, 0, rows),
                    core,
                    rows(axis, stop, stop + reach) if high else self._beyond(axis, 1, rows),
                ]
        return Star(core, arms, self.halo)

    def _beyond(self, axis: int, end: int, rows: Callable[..., jax.Array]) -> jax.Array:
        """The rows of the halo that stand outside of one end of ``axis``."""
        kind, reach, n = self.kinds[axis][end], self.halo[axis], self.frame.shape[axis]
        if kind == "slab":
            slab = self.outside[axis][end]
            start = slab.shape[axis] - reach if end == 0 else 0
            return rows(axis, start, start + reach, slab)
        value = self.outside[axis][end] if kind == "number" else None
        return ghosts(partial(rows, axis), n, axis, reach, kind, value, low=end == 0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Star:
    """A box of a field, and by axis the rows before it, itself, and the rows behind it."""

    core: jax.Array
    arms: dict[int, list[jax.Array]]
    halo: tuple[int, ...] = field(metadata=_static)

    def at(self, axis: int, offset: int) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        return self._rows(axis, offset, self.core.shape[axis]) if offset else self.core

    def row(self, axis: int, position: int) -> jax.Array:
        """One row: from the low wall, from the high one where ``position`` is negative."""
        return self._rows(axis, position if position >= 0 else self.core.shape[axis] + position, 1)

    def _rows(self, axis: int, first: int, count: int) -> jax.Array:
        """Out of the parts that have them.

        Joined by selection, which is fused with all else; to concatenate takes kernels of its own.
        """
        start, made = self.halo[axis] + first, None
        for part in self.arms[axis]:
            n = part.shape[axis]
            low, high = max(start, 0), min(start + count, n)
            if low < high:
                rows = lax.slice_in_dim(part, low, high, axis=axis)
                made = rows if made is None else _joined(made, rows, axis)
            start -= n
        assert made is not None
        return made


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


def _joined(first: jax.Array, second: jax.Array, axis: int) -> jax.Array:
    """The rows of one array, then those of the other."""
    n, m = first.shape[axis], second.shape[axis]
    nought = jnp.zeros((), first.dtype)

    def widened(array: jax.Array, before: int, behind: int) -> jax.Array:
        pads = [(0, 0, 0)] * array.ndim
        pads[axis] = (before, behind, 0)
        return lax.pad(array, nought, pads)

    here = widened(first, 0, m)
    is_first = lax.broadcasted_iota(jnp.int32, here.shape, axis) < n
    return lax.select(is_first, here, widened(second, n, 0))


View = Padded | Direct | Spread | Whole | Star
