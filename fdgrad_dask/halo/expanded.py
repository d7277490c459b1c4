"""Factors over some axes of a pass: tasks expand their chunks, so that this costs none of its own.

A length of a cell is over (y, x) and a field over (time, level, y, x). As layers of dask, a
transposition, a reshape and one over the values would be three tasks for each chunk of a factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import dask.array as da

from fdgrad_dask.blocks.device import in_double

Change = Callable[[Any], Any]


class Expansion(NamedTuple):
    """On which of ``ndim`` axes the dimensions of an array lie, and how its values change first."""

    axes: tuple[int, ...]
    ndim: int
    change: Change | None = None

    def apply(self, array: Any) -> Any:
        """The array over all axes, of size 1 along those on which it does not vary."""
        order = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        with in_double([array]):
            changed = array if self.change is None else self.change(array)
            return changed.transpose(order).reshape(self.spread(array.shape, 1))

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


def expand(array: Any, axes: tuple[int, ...], ndim: int, change: Change | None = None) -> Any:
    """An array whose dimensions are ``axes`` over all of ``ndim``; a dask array as `Expanded`."""
    expansion = Expansion(axes, ndim, change)
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
