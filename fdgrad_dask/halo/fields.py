"""Lazy fields of a program: what kind their chunks are, how they are expanded and cut alike.

A length of a cell is over (y, x) and a wind over (time, level, y, x). Tasks expand the chunks of
such a factor, since dask would have tasks for it: to transpose and to reshape each chunk.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import dask.array as da
import numpy as np

from fdgrad_dask.blocks.device import in_double


class Expansion(NamedTuple):
    """On which of ``ndim`` axes the dimensions of an array lie."""

    axes: tuple[int, ...]
    ndim: int

    def apply(self, array: Any) -> Any:
        """The array over all axes, of size 1 along those on which it does not vary."""
        order = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        with in_double([array]):
            return array.transpose(order).reshape(self.spread(array.shape, 1))

    def spread(self, values: Sequence[Any], elsewhere: Any) -> tuple[Any, ...]:
        """One value per axis, of one per dimension."""
        own = dict(zip(self.axes, values, strict=True))
        return tuple(own.get(axis, elsewhere) for axis in range(self.ndim))


@dataclass(frozen=True)
class Expanded:
    """A dask array as it is once its chunks are expanded."""

    values: da.Array
    expansion: Expansion

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """The sizes of its chunks along all axes."""
        return self.expansion.spread(self.values.chunks, (1,))

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size along all axes."""
        return self.expansion.spread(self.values.shape, 1)

    def rechunk(self, chunks: Sequence[tuple[int, ...]]) -> Expanded:
        """The same in other chunks, given along all axes."""
        own = tuple(chunks[axis] for axis in self.expansion.axes)
        return replace(self, values=self.values.rechunk(own))

    def to_dask(self) -> da.Array:
        """The expanded dask array."""
        expanded: da.Array = self.expansion.apply(self.values)
        return expanded


def expand(array: Any, axes: tuple[int, ...], ndim: int) -> Any:
    """An array whose dimensions are ``axes`` over all of ``ndim``; a dask array as `Expanded`."""
    expansion = Expansion(axes, ndim)
    return Expanded(array, expansion) if is_dask(array) else expansion.apply(array)


def is_dask(f: Any) -> bool:
    """True for dask arrays."""
    return isinstance(f, da.Array)


def is_lazy(f: Any) -> bool:
    """True for dask arrays, expanded or not."""
    return isinstance(f, da.Array | Expanded)


def find_kind(f: Any) -> Any:
    """An array of the kind and dtype that the chunks of a lazy array have; others are it."""
    if isinstance(f, Expanded):
        f = f.values
    return f._meta if is_dask(f) else f


def find_expansion(f: Any) -> Expansion | None:
    """How tasks expand the chunks of a field; None if they have all axes."""
    return f.expansion if isinstance(f, Expanded) else None


def rechunk_field(f: Any, chunks: Sequence[tuple[int, ...]], *, keep_lines: bool) -> Any:
    """``f`` in the chunks of all; a NumPy array that varies along one axis at most may stay one."""
    if not is_lazy(f) and keep_lines and sum(n > 1 for n in f.shape) <= 1:
        return np.asanyarray(f)
    own = tuple((1,) if n == 1 else sizes for n, sizes in zip(f.shape, chunks, strict=True))
    if not is_lazy(f):
        return da.from_array(f, chunks=own)
    return f if any(map(math.isnan, f.shape)) else f.rechunk(own)


def merge_chunks(sizes: Sequence[int], first: int, inner: int, last: int) -> tuple[int, ...]:
    """Join neighbouring chunks until each holds what its stencil needs.

    A halo comes from one neighbour, which must have as many rows; and the one-sided rows at a
    boundary must lie in one chunk with all that they read. The first chunk must hold ``first``
    points, the last ``last`` and all others ``inner``. Chunks that are large enough stay as they
    are.

    >>> merge_chunks((1, 1, 1, 5), 2, 1, 2)
    (2, 1, 5)
    >>> merge_chunks((4, 4, 1), 2, 1, 2)
    (4, 5)
    """
    merged: list[int] = []
    for size in sizes:
        least = first if len(merged) <= 1 else inner
        if merged and merged[-1] < least:
            merged[-1] += size
        else:
            merged.append(size)
    while len(merged) > 1 and merged[-1] < max(last, inner):
        tail = merged.pop()
        merged[-1] += tail
    return tuple(merged)
