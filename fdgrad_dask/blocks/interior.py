"""The interior of a block, computed where it lies in memory: far enough from all its boundaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.blocks.arithmetic import Arithmetic, Weights
from fdgrad_dask.blocks.fields import Edges, SlicedField
from fdgrad_dask.blocks.kernel import Interned, evaluate

_static = {"static": True}
COLUMNS = 1024  # elements; loops over much shorter rows do not vectorise well


class Frame(NamedTuple):
    """A contiguous block of ``shape`` as rows and columns: the axes before ``split``, and the rest.

    In its memory a step along any axis is a constant offset, so a stencil is a sum of shifted
    copies of one flat array. Two dimensions are left because the loop that XLA makes of them
    vectorises along columns, and because factors that vary along rows or along columns broadcast.
    At the ends of an axis a step leads to unrelated elements, so those rows are wrong and must be
    computed again. The first and the last ``margin`` rows are left out, since from there a step may
    lead out of the memory.

    If ``split`` is 0, rows are runs of the memory that have nothing to do with the shape, and the
    last one may be longer than the rest of the block.
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
        varies = max(array.shape[: self.split]) > 1, max(array.shape[self.split :]) > 1
        if varies == (False, True):
            return jnp.broadcast_to(array, (*(1,) * self.split, *behind)).reshape(1, -1)
        # Metric terms over (y, x) are the same at all levels: XLA finds their rows by a modulo.
        rows = jnp.broadcast_to(array, (*before, *(behind if varies[1] else (1,) * len(behind))))
        rows = rows.reshape(math.prod(before), -1)
        return lax.slice_in_dim(rows, self.margin, len(rows) - self.margin)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Broadcast:
    """A field that varies along some axes only, seen from a block of rows and columns."""

    given: SlicedField
    frame: Frame = field(metadata=_static)

    @property
    def core(self) -> jax.Array:
        """The field itself."""
        core: jax.Array = self.given.core
        return core

    def at(self, axis: int, offset: int, edges: Edges) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        return self.frame.broadcast(self.given.at(axis, offset, edges))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class InPlace:
    """A field that fills a block, and begins at ``offset`` in the memory ``core``."""

    core: jax.Array
    offset: Any
    frame: Frame = field(metadata=_static)

    def at(self, axis: int, offset: int, edges: Edges) -> jax.Array:
        """The values ``offset`` rows further along ``axis``."""
        frame = self.frame
        start = self.offset + frame.start + offset * math.prod(frame.shape[axis + 1 :])
        values = lax.dynamic_slice(self.core, (start,), (math.prod(frame.inner),))
        return values.reshape(frame.inner)


@partial(
    jax.jit,
    static_argnames=("program", "frame", "dtype"),
    donate_argnames="donated",
    keep_unused=True,
)
def compute_interior(
    fields: Sequence[InPlace | Broadcast],
    weights: Sequence[Weights],
    runtime_zero: jax.Array,
    donated: list[jax.Array],
    *,
    program: Interned,
    frame: Frame,
    dtype: np.dtype[Any],
) -> list[jax.Array]:
    """The outputs of a program on a block, in rows and columns; its edge rows are wrong.

    They are written into the buffers of ``donated``, if there are any.
    """

    def broadcast(column: jax.Array, axis: int) -> jax.Array:
        others = [i for i in range(len(frame.shape)) if i != axis]
        return frame.broadcast(jnp.expand_dims(column, others))

    columns: list[Weights] = [
        ([w if w is None else [broadcast(column, d.axis) for column in w] for w in windows], [], [])
        for d, (windows, _, _) in zip(program.value.derivatives, weights, strict=True)
    ]
    # Padded here, the result has the shape of the block: to place it in a larger array afterwards
    # would be a second pass. The loop tests once for each row, not for each element.
    pads = [(frame.margin, frame.full[0] - frame.inner[0] - frame.margin, 0), (0, 0, 0)]
    return [
        lax.pad(jnp.broadcast_to(output, frame.inner).astype(dtype), jnp.zeros((), dtype), pads)
        for output in evaluate(fields, columns, Arithmetic(jnp, runtime_zero), program.value)
    ]
