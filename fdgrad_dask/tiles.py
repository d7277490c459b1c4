"""A NumPy block streams through a small scratch buffer into the kernel.

Three things make JAX slow on a CPU: fresh memory, NumPy arrays that it has to copy in, and
results that cannot be written to. A scratch of a few MB, filled with a piece of the block and
its halo, cures all three: it stays in the cache, it is aligned so that XLA takes it without a
copy, and the result is copied from cache into an array that belongs to NumPy.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.kernels import on_window, shape_of, weights_of, wide
from fdgrad_dask.plain import ghosts
from fdgrad_dask.stencil import Stencil

# Measured in benchmarks/kernel.py: below 1 MB the calls cost, above 8 MB the cache is left.
TILE_BYTES = 2 << 20
# On a GPU a tile is one transfer: large enough to fill the bus, small beside the memory.
TILE_BYTES_GPU = 256 << 20
RUN = 4096  # elements; the shortest contiguous run worth a tile of its own
ALIGNMENT = 64  # bytes; XLA copies a host buffer that starts elsewhere

_scratch = threading.local()


def differentiate_block(
    block: NDArray[Any], axis: int, stencil: Stencil, z: NDArray[Any] | None = None
) -> NDArray[Any]:
    """The derivative of one block along ``axis``: (…, lo + m + hi, …) → (…, m, …).

    ``lo`` and ``hi`` are the reach of the stencil where its wall is open, else 0. Integers
    become float64, all other dtypes are kept. ``z`` is the coordinate if it varies along other
    axes too, of the shape of the block.
    """
    dtype = result_dtype(block.dtype)
    lo = 0 if stencil.low else stencil.reach
    hi = 0 if stencil.high else stencil.reach
    rows = block.shape[axis] - lo - hi
    out = np.empty((*block.shape[:axis], rows, *block.shape[axis + 1 :]), dtype)
    if out.size == 0:
        return out
    on_cpu = jax.default_backend() == "cpu"
    elements = (TILE_BYTES if on_cpu else TILE_BYTES_GPU) // dtype.itemsize
    steps = tile_shape(out.shape, axis, elements)
    pieces: dict[tuple[int, int], Any] = {}
    # float64 holds inside this block and this thread; the user's own switch stays as it is.
    with jax.enable_x64(True):
        real = wide(dtype)
        window = _Window(0, dtype, steps, axis, stencil.reach)
        window_z = (
            _Window(1, np.dtype(float), steps, axis, stencil.reach) if z is not None else None
        )
        for tile in tiles(out.shape, steps):
            start, stop = tile[axis].start, tile[axis].stop
            if (start, stop) not in pieces:
                piece = stencil.cut(start, stop)
                pieces[start, stop] = (
                    weights_of(piece, lambda w: np.asarray(w, real)),
                    shape_of(piece),
                )
            weights, shape = pieces[start, stop]
            source = (*tile[:axis], slice(start + lo, stop + lo), *tile[axis + 1 :])
            result = on_window(
                window.filled(block, source, stencil),
                weights,
                np.uint64(0),
                None if z is None or window_z is None else window_z.filled(z, source, stencil),
                shape=shape,
            )
            out[tile] = np.asarray(result).reshape(steps)
    return out


def result_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of a derivative: integers become float64, as in NumPy."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float64) if dtype.kind in "iu" else dtype


def tile_shape(shape: tuple[int, ...], axis: int, elements: int) -> tuple[int, ...]:
    """How large a tile is along each axis, for at most about ``elements`` in all.

    The axes behind ``axis`` come first, so that runs stay long; then ``axis`` itself, which
    costs a halo when it is cut; then the axes before it.

    >>> tile_shape((10, 100, 1000), 1, 500_000)
    (5, 100, 1000)
    >>> tile_shape((1_000_000,), 0, 500_000)
    (500000,)
    """
    steps = [1] * len(shape)
    room = max(1, min(elements, max(elements // shape[axis], RUN)))
    for i in range(len(shape) - 1, axis, -1):
        steps[i] = _even_step(shape[i], room)
        room //= steps[i]
    room = max(1, elements // math.prod(steps))
    for i in [axis, *range(axis - 1, -1, -1)]:
        steps[i] = _even_step(shape[i], room)
        room = max(1, room // steps[i])
    return tuple(steps)


def _even_step(size: int, most: int) -> int:
    """The largest step of at most ``most`` that cuts ``size`` into nearly equal pieces."""
    return math.ceil(size / math.ceil(size / max(1, most)))


def tiles(shape: tuple[int, ...], steps: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Covers ``shape`` with tiles that all have the shape ``steps``.

    The last tile of an axis is moved back instead of being cut short: one shape, one
    compilation. Its first rows are computed twice, to the same bits.

    >>> list(tiles((5,), (3,)))
    [(slice(0, 3, None),), (slice(2, 5, None),)]
    """
    starts = [
        [min(start, size - step) for start in range(0, size, step)]
        for size, step in zip(shape, steps, strict=True)
    ]
    for corner in product(*starts):
        yield tuple(slice(s, s + step) for s, step in zip(corner, steps, strict=True))


class _Window:
    """A view of this thread's scratch, of the shape of a tile and its halo."""

    def __init__(
        self, slot: int, dtype: np.dtype[Any], steps: tuple[int, ...], axis: int, reach: int
    ) -> None:
        shape = (*steps[:axis], reach + steps[axis] + reach, *steps[axis + 1 :])
        self.axis, self.reach = axis, reach
        self.array = _aligned(slot, math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)
        # The kernel sees three axes, so that one compilation serves all ranks.
        self.flat = self.array.reshape(
            math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        )
        self.shared = jnp.from_dlpack(self.flat) if jax.default_backend() == "cpu" else None

    def filled(self, block: NDArray[Any], source: tuple[slice, ...], stencil: Stencil) -> jax.Array:
        """The rows ``source`` of the block and ``reach`` more on either side, on the device."""
        first, last = source[self.axis].start - self.reach, source[self.axis].stop + self.reach
        whole = (*source[: self.axis], slice(None), *source[self.axis + 1 :])
        rows = np.moveaxis(block[whole], self.axis, 0)
        scratch = np.moveaxis(self.array, self.axis, 0)
        a, b = max(first, 0), min(last, len(rows))
        scratch[a - first : b - first] = rows[a:b]
        if first < 0:
            scratch[:-first] = ghosts(stencil.low, rows, -first)
        if last > len(rows):
            # Seen from the far end, the rows above are the rows below.
            scratch[b - first :][::-1] = ghosts(stencil.high, rows[::-1], last - b)
        return jax.device_put(self.flat) if self.shared is None else self.shared


def _aligned(slot: int, size: int) -> NDArray[np.uint8]:
    """``size`` bytes of this thread's scratch number ``slot``, at a multiple of 64."""
    buffers: dict[int, NDArray[np.uint8]] = _scratch.__dict__.setdefault("buffers", {})
    raw = buffers.get(slot)
    if raw is None or raw.size < size + ALIGNMENT:
        raw = buffers[slot] = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
