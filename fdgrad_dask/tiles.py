"""A NumPy block streams through small scratch buffers into the kernel.

Three things make JAX slow on a CPU: fresh memory, NumPy arrays that it has to copy in, and
results that cannot be written to. Scratch buffers of a few MB, filled with a piece of each field
and its halo, cure all three: they stay in the cache, they are aligned so that XLA takes them
without a copy, and the result is copied from cache into an array that belongs to NumPy.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.kernels import on_windows, wide
from fdgrad_dask.plain import ghosts
from fdgrad_dask.program import Program, weights_of
from fdgrad_dask.stencil import Wall

# Measured in benchmarks/gradients.py: below 1 MB the calls cost, above 8 MB the cache is left.
TILE_BYTES = 2 << 20
# On a GPU a tile is one transfer: large enough to fill the bus, small beside the memory.
TILE_BYTES_GPU = 256 << 20
RUN = 4096  # elements; the shortest contiguous run worth a tile of its own
LEAST = 16  # rows; no tile is cut shorter along a differentiated axis
ALIGNMENT = 64  # bytes; XLA copies a host buffer that starts elsewhere

_scratch = threading.local()


@dataclass(frozen=True)
class Block:
    """One chunk of a field, and by axis the rows of its neighbours: before it, and behind it.

    The block is of size 1 along axes on which the field does not vary.
    """

    core: NDArray[Any]
    low: dict[int, NDArray[Any]] = field(default_factory=dict)
    high: dict[int, NDArray[Any]] = field(default_factory=dict)


def compute_block(
    blocks: Sequence[Block], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The outputs of ``program`` on one chunk, each of its whole shape and of ``dtype``."""
    shape = np.broadcast_shapes(*(block.core.shape for block in blocks))
    outputs = [np.empty(shape, dtype) for _ in range(program.outputs)]
    if math.prod(shape) == 0:
        return outputs
    order = _memory_order(blocks, shape)
    if order != tuple(range(len(shape))):
        return _in_order(order, blocks, program, dtype)
    capped = {cap.field for cap in program.caps}
    used = [i for i in range(len(blocks)) if i not in capped]
    whole = sum(blocks[i].core.shape == shape for i in used)
    steps = _steps(shape, program, whole * dtype.itemsize)
    groups = _groups([blocks[i].core.shape for i in used], program.axes)
    place = {axis: g for g, axes in enumerate(groups) for axis in axes}
    pieces: dict[tuple[tuple[int, int], ...], Any] = {}
    # float64 holds inside this block and this thread; the user's own switch stays as it is.
    with jax.enable_x64(True):
        windows = [_Window(i, blocks[i], shape, steps, program, groups, dtype) for i in used]
        halos = tuple(window.group_halo for window in windows)
        for tile in tiles(shape, steps):
            rows = {axis: (tile[axis].start, tile[axis].stop) for axis in program.axes}
            key = tuple(rows.values())
            if key not in pieces:
                piece = program.cut(rows)
                weights = [
                    weights_of(d.stencil, lambda w: np.asarray(w, wide(dtype)))
                    for d in piece.derivatives
                ]
                pieces[key] = weights, piece.bare().each(lambda d: d._replace(axis=place[d.axis]))
            weights, bare = pieces[key]
            results = on_windows(
                [window.filled(tile) for window in windows],
                weights,
                np.uint64(0),
                program=bare,
                halos=halos,
            )
            for output, result in zip(outputs, results, strict=True):
                output[tile] = np.asarray(result).reshape(steps)
    for cap in program.caps:
        if (program.stencils(cap.axis)[0].low, program.stencils(cap.axis)[0].high)[cap.end]:
            row = (slice(None),) * cap.axis + (slice(cap.end, cap.end + 1 or None),)
            outputs[cap.output][row] = blocks[cap.field].core
    return outputs


def _memory_order(blocks: Sequence[Block], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes from the longest stride to the shortest, of the first field that has them all."""
    strides = next((b.core.strides for b in blocks if b.core.shape == shape), None)
    axes = range(len(shape))
    if strides is None:
        return tuple(axes)
    return tuple(sorted(axes, key=lambda i: -abs(strides[i]) if shape[i] > 1 else -np.inf))


def _in_order(
    order: tuple[int, ...], blocks: Sequence[Block], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The same for transposed blocks, so that runs are long: in the order of their memory."""
    place = {axis: i for i, axis in enumerate(order)}

    def turned(slabs: dict[int, NDArray[Any]]) -> dict[int, NDArray[Any]]:
        return {place[axis]: slab.transpose(order) for axis, slab in slabs.items()}

    made = compute_block(
        [Block(b.core.transpose(order), turned(b.low), turned(b.high)) for b in blocks],
        program.moved(place),
        dtype,
    )
    back = tuple(place[axis] for axis in range(len(order)))
    return [output.transpose(back) for output in made]


def result_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of a derivative: integers become float64, as in NumPy."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float64) if dtype.kind in "iuO" else dtype.newbyteorder("=")


def _steps(shape: tuple[int, ...], program: Program, itemsize: int) -> tuple[int, ...]:
    bytes_ = TILE_BYTES if jax.default_backend() == "cpu" else TILE_BYTES_GPU
    steps = list(tile_shape(shape, program.axes[0], max(1, bytes_ // itemsize)))
    for axis in program.axes:
        if steps[axis] < LEAST:
            steps[axis] = shape[axis] if shape[axis] < 2 * LEAST else LEAST
    return tuple(steps)


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


def _groups(shapes: list[tuple[int, ...]], axes: tuple[int, ...]) -> list[list[int]]:
    """Neighbouring axes that a kernel can take for one: not differentiated, varied on by the same.

    >>> _groups([(5, 4, 3, 2), (1, 1, 3, 1)], (2,))
    [[0, 1], [2], [3]]
    """
    groups: list[list[int]] = []
    for i in range(len(shapes[0])):
        alike = groups and all((s[i] == 1) == (s[i - 1] == 1) for s in shapes)
        if alike and i not in axes and i - 1 not in axes:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


class _Window:
    """A view of this thread's scratch, of the shape of a tile of one field and its halo."""

    def __init__(
        self,
        number: int,
        block: Block,
        shape: tuple[int, ...],
        steps: tuple[int, ...],
        program: Program,
        groups: list[list[int]],
        dtype: np.dtype[Any],
    ) -> None:
        self.block, self.halo = block, program.halo(number)
        self.varies = [size == full for size, full in zip(block.core.shape, shape, strict=True)]
        self.walls = {axis: _ends(program, axis, program.is_factor(number)) for axis in self.halo}
        # A coordinate keeps its digits: its differences are what weights are made of.
        dtype = np.dtype(float) if any(d.z == number for d in program.derivatives) else dtype
        inner = [step if full else 1 for step, full in zip(steps, self.varies, strict=True)]
        sizes = [size + 2 * self.halo.get(i, 0) for i, size in enumerate(inner)]
        self.array = _aligned(number, math.prod(sizes) * dtype.itemsize).view(dtype).reshape(sizes)
        self.inner = tuple(
            slice(self.halo.get(i, 0), self.halo.get(i, 0) + n) for i, n in enumerate(inner)
        )
        # The kernel sees few axes, so that one compilation serves all ranks.
        self.flat = self.array.reshape([math.prod(sizes[i] for i in group) for group in groups])
        self.group_halo = tuple(self.halo.get(group[0], 0) for group in groups)
        self.shared = jnp.from_dlpack(self.flat) if jax.default_backend() == "cpu" else None

    def filled(self, tile: tuple[slice, ...]) -> jax.Array:
        """The tile and its halo, which is a star: corners are not read. On the device."""
        source = tuple(
            s if full else slice(0, 1) for s, full in zip(tile, self.varies, strict=True)
        )
        self.array[self.inner] = self.block.core[source]
        for axis in self.halo:
            self._fill_ends(axis, source)
        return jax.device_put(self.flat) if self.shared is None else self.shared

    def _fill_ends(self, axis: int, source: tuple[slice, ...]) -> None:
        """The rows before and behind the tile: of the block, of a neighbour, or ghosts."""
        reach, n = self.halo[axis], self.block.core.shape[axis]
        start, stop = source[axis].start, source[axis].stop
        scratch = np.moveaxis(
            self.array[(*self.inner[:axis], slice(None), *self.inner[axis + 1 :])], axis, 0
        )
        across = (*source[:axis], slice(None), *source[axis + 1 :])

        def rows_of(array: NDArray[Any]) -> NDArray[Any]:
            return np.moveaxis(array[across], axis, 0)

        rows = rows_of(self.block.core)
        low, high = self.walls[axis]
        if start >= reach:
            scratch[:reach] = rows[start - reach : start]
        else:
            before = axis in self.block.low
            scratch[:reach] = (
                rows_of(self.block.low[axis])[-reach:] if before else ghosts(low, rows, reach)
            )
        if stop + reach <= n:
            scratch[-reach:] = rows[stop : stop + reach]
        elif axis in self.block.high:
            scratch[-reach:] = rows_of(self.block.high[axis])[:reach]
        else:  # seen from the far end, the rows above are the rows below
            scratch[-reach:][::-1] = ghosts(high, rows[::-1], reach)


def _ends(program: Program, axis: int, factor: bool) -> tuple[Wall | None, Wall | None]:
    """The walls of a field along ``axis``; a factor goes on where a fixed value stands outside."""
    stencil = program.stencils(axis)[0]

    def wall(end: Wall | None) -> Wall | None:
        fixed = end is not None and not isinstance(end.fill, str)
        return None if factor and fixed else end

    return wall(stencil.low), wall(stencil.high)


def _aligned(slot: int, size: int) -> NDArray[np.uint8]:
    """``size`` bytes of this thread's scratch number ``slot``, at a multiple of 64."""
    buffers: dict[int, NDArray[np.uint8]] = _scratch.__dict__.setdefault("buffers", {})
    raw = buffers.get(slot)
    if raw is None or raw.size < size + ALIGNMENT:
        raw = buffers[slot] = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
