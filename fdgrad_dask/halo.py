"""The one place that knows chunks: a whole array, or dask blocks with their halos.

Along the axis that is differentiated every chunk is given ``reach`` rows of its neighbours, and
the piece of the stencil that is its own. Walls are closed at the ends of the domain only, so
the chunks of the result are those of the input, and its bits do not depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.array.overlap import overlap
from dask.base import tokenize
from dask.layers import ArrayBlockwiseDep
from numpy.typing import NDArray

from fdgrad_dask.errors import ChunkError, CoordinateError
from fdgrad_dask.kernels import differentiate_jax, is_jax
from fdgrad_dask.plain import differentiate_plain, needs_numpy
from fdgrad_dask.stencil import Stencil
from fdgrad_dask.tiles import differentiate_block, result_dtype


def is_dask(f: Any) -> bool:
    """True for dask arrays."""
    return isinstance(f, da.Array)


def length(f: Any, axis: int) -> int:
    """The number of points along ``axis``.

    Raises
    ------
    ChunkError
        The sizes of the chunks along it are unknown.
    """
    if math.isnan(f.shape[axis]):
        raise ChunkError(
            f"the chunks of axis {axis} have unknown sizes, but a halo needs to know where they "
            "end; call compute_chunk_sizes() on the array first"
        )
    return int(f.shape[axis])


def differentiate(f: Any, axis: int, stencil: Stencil, z: Any = None) -> Any:
    """The derivative of ``f`` along ``axis``: NumPy, JAX or dask, as ``f`` is.

    ``z``, of the shape of ``f``, is the coordinate where it varies along other axes too. The
    result is lazy if either is.
    """
    if is_dask(f) or is_dask(z):
        return _differentiate_dask(da.asarray(f), axis, stencil, z)
    if is_jax(f):
        return differentiate_jax(f, axis, stencil)
    return _block(f, stencil, z, axis=axis)


def _differentiate_dask(f: da.Array, axis: int, stencil: Stencil, z: Any) -> da.Array:
    sizes = f.chunks[axis]
    reach = stencil.reach
    merged = merge(sizes, stencil.least(stencil.low), reach, stencil.least(stencil.high))
    f = f.rechunk({axis: merged})
    fields = [f] if z is None else [f, da.broadcast_to(z, f.shape).rechunk(f.chunks)]
    if len(merged) > 1:
        wrapped = stencil.low is not None and stencil.low.fill == "periodic"
        ends = "periodic" if wrapped else "none"
        fields = [
            overlap(field, {axis: reach}, {axis: ends}, allow_rechunk=False) for field in fields
        ]
    dtype = f.dtype.str.replace("M", "m") if f.dtype.kind == "M" else result_dtype(f.dtype)
    index = tuple(range(f.ndim))
    pairs: list[Any] = [fields[0], index, _Pieces(merged, stencil), (axis,)]
    pairs += [fields[1], index] if z is not None else [None, None]
    result = da.blockwise(
        _block,
        index,
        *pairs,
        name="fdgrad-" + tokenize([field.name for field in fields], axis, stencil),
        adjust_chunks={axis: merged},
        align_arrays=False,
        meta=f._meta.astype(dtype),
        axis=axis,
    )
    chunked: da.Array = result.rechunk({axis: sizes})
    return chunked


class _Pieces(ArrayBlockwiseDep):
    """For each chunk along one axis its piece of the stencil, cut when its task is made."""

    def __init__(self, sizes: tuple[int, ...], stencil: Stencil) -> None:
        super().__init__((sizes,))
        self.stencil = stencil
        self.ends = np.cumsum((0, *sizes)).tolist()

    def __getitem__(self, index: tuple[int, ...]) -> Stencil:
        (i,) = index
        return self.stencil.cut(self.ends[i], self.ends[i + 1])

    def __repr__(self) -> str:
        return f"pieces-{tokenize(self.stencil)}"  # dask reads it, so it is short and stable


def _block(f: Any, stencil: Stencil, z: Any, *, axis: int) -> Any:
    if needs_numpy(f):
        return differentiate_plain(f, axis, stencil)
    if z is not None:
        check_levels(z, axis, "of the chunk")
    return differentiate_block(f, axis, stencil, z)


def check_levels(z: NDArray[Any], axis: int, name: str) -> None:
    """Raises unless ``z`` rises, or falls, strictly along ``axis`` everywhere it has values."""
    steps = np.diff(z, axis=axis)
    rises = steps > 0
    wrong = ~(rises | np.isnan(steps)) if rises.any() else ~((steps < 0) | np.isnan(steps))
    if wrong.any():
        place = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
        after = tuple(p + (i == axis) for i, p in enumerate(place))
        raise CoordinateError(
            f"coordinate {name} is not strictly monotonic along axis {axis}: it goes from "
            f"{z[place]} to {z[after]} at {place}; sort the levels, or mask these points"
        )


def merge(sizes: Sequence[int], first: int, inner: int, last: int) -> tuple[int, ...]:
    """Joins neighbouring chunks until each holds what its stencil needs.

    The first must hold ``first`` points, the last ``last`` and all others ``inner``. Chunks
    that are large enough stay as they are.

    >>> merge((1, 1, 1, 5), 2, 1, 2)
    (2, 1, 5)
    >>> merge((4, 4, 1), 2, 1, 2)
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
