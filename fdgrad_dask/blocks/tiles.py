"""A NumPy block goes through the kernel: in one sweep, or in tiles.

Three things make JAX slow on a CPU: fresh memory, NumPy arrays that it has to copy in, and
results that cannot be written to. Where memory is kept or handed over (`pages`), a `sweep` cures
the others. Elsewhere tiles of a few MB cure all three: the inside of a contiguous block is read
where it lies, the rows beside its walls and all other blocks by way of a scratch (`scratch`), and
the result is copied from cache into an array that belongs to NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.allocator import keeps
from fdgrad_dask.blocks.kernel import interned, on_tile
from fdgrad_dask.blocks.pages import gives
from fdgrad_dask.blocks.program import Block, Program, numbers
from fdgrad_dask.blocks.scratch import Field, Outputs, Tile, on_cpu
from fdgrad_dask.blocks.sweep import frame_of, sweep
from fdgrad_dask.stencils.dtypes import wide

# Measured in benchmarks/kernel.py: below 1 MB the calls cost, above 8 MB the cache is left.
TILE_BYTES = 4 << 20
# On a GPU a tile is one transfer: large enough to fill the bus, small beside the memory.
TILE_BYTES_GPU = 256 << 20
RUN = 4096  # elements; the shortest contiguous run worth a tile of its own
LEAST = 16  # rows; no tile in a scratch is cut shorter along a differentiated axis
SWEPT = 2 << 20  # bytes; a smaller block goes through the scratch
WORTH = 4  # tiles; a smaller block goes through the scratch whole


class Box(NamedTuple):
    """A part of a block, the shape of its tiles, and whether it is far from all walls."""

    ranges: tuple[tuple[int, int], ...]
    steps: tuple[int, ...]
    inside: bool

    def tiles(self) -> Iterator[Tile]:
        """Its tiles, in the numbers of the block."""
        for tile in tiles(tuple(stop - start for start, stop in self.ranges), self.steps):
            yield tuple(
                slice(start + s.start, start + s.stop)
                for s, (start, _) in zip(tile, self.ranges, strict=True)
            )


def compute_tiles(
    used: dict[int, Block], shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The outputs of ``program`` on one chunk, but for the rows at poles that it is given."""
    order = _memory_order(list(used.values()), shape)
    if order != tuple(range(len(shape))):
        return _in_order(order, used, shape, program, dtype)
    size = math.prod(shape) * dtype.itemsize
    kept = keeps(size)
    swept = size >= SWEPT and on_cpu() and (kept or gives(size))
    frame = frame_of(used, shape, program) if swept else None
    if frame:
        return sweep(used, frame, program, dtype, kept=kept)
    outputs = [np.empty(shape, dtype) for _ in range(program.outputs)]
    for box in _boxes(used, shape, program, dtype):
        _compute_box(box, used, shape, program, outputs)
    return outputs


def _compute_box(
    box: Box,
    used: dict[int, Block],
    shape: tuple[int, ...],
    program: Program,
    outputs: list[NDArray[Any]],
) -> None:
    dtype = outputs[0].dtype
    groups = _groups([block.core.shape for block in used.values()], program.axes)
    place = {axis: g for g, axes in enumerate(groups) for axis in axes}
    fields = [
        Field(i, block, shape, box.steps, box.inside, program, groups, dtype)
        for i, block in used.items()
    ]
    pieces: dict[tuple[tuple[int, int], ...], Any] = {}
    kernel_shape = tuple(math.prod(box.steps[i] for i in group) for group in groups)
    memory = Outputs(len(outputs), kernel_shape, dtype)
    made: tuple[Tile, list[jax.Array]] | None = None
    for tile in box.tiles():
        rows = {axis: (tile[axis].start, tile[axis].stop) for axis in program.axes}
        key = tuple(rows.values())
        if key not in pieces:
            piece = program.cut(rows)
            piece = piece.interior() if box.inside else piece
            weights = numbers(piece, wide(dtype))
            pieces[key] = (
                weights,
                piece.structure().map_derivatives(lambda d: d._replace(axis=place[d.axis])),
            )
        weights, bare = pieces[key]
        views = [field.direct(tile) or field.padded(tile) for field in fields]
        results = on_tile(views, weights, np.uint64(0), memory.take(), program=interned(bare))
        # The kernel runs beside this thread, which meanwhile copies out what the last one made.
        if made:
            _copy_out(*made, outputs, memory)
        made = tile, results
    if made:
        _copy_out(*made, outputs, memory)


def _copy_out(
    tile: Tile, results: list[jax.Array], outputs: list[NDArray[Any]], memory: Outputs
) -> None:
    for output, result in zip(outputs, results, strict=True):
        part = output[tile]
        part[...] = np.asarray(result).reshape(part.shape)
    memory.give_back(results)


def _boxes(
    used: dict[int, Block], shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> Iterator[Box]:
    """The inside of a block in runs of its memory, and strips beside its walls; or all in one."""
    whole = [block.core for block in used.values() if block.core.shape == shape]
    elements = _room(dtype.itemsize * len(whole))
    everything = tuple((0, n) for n in shape)
    inner = list(everything)
    for axis in program.axes:
        inner[axis] = (program.edge(axis, 0), shape[axis] - program.edge(axis, 1))
    steps = _run_shape(tuple(stop - start for start, stop in inner), shape, elements)
    held = tuple(
        full if step == n else part
        for full, part, step, n in zip(everything, inner, steps, shape, strict=True)
    )
    most = all(2 * (stop - start) >= n for (start, stop), n in zip(held, shape, strict=True))
    plain = any(core.flags.c_contiguous and core.dtype == dtype for core in whole)
    if not (most and plain) or math.prod(shape) < WORTH * elements or not on_cpu():
        yield Box(everything, _steps(shape, program, elements), False)
        return
    yield Box(held, steps, True)
    for axis in program.axes:
        for rows in ((0, inner[axis][0]), (inner[axis][1], shape[axis])):
            ranges = (*everything[:axis], rows, *everything[axis + 1 :])
            strip = tuple(stop - start for start, stop in ranges)
            yield Box(ranges, _steps(strip, program, elements), False)


def _room(itemsize: int) -> int:
    """The elements of a tile."""
    return max(1, (TILE_BYTES if on_cpu() else TILE_BYTES_GPU) // max(1, itemsize))


def _run_shape(inner: tuple[int, ...], shape: tuple[int, ...], elements: int) -> tuple[int, ...]:
    """A tile that is one run of the memory of a block: the last axes whole, one of them cut.

    >>> _run_shape((22, 719, 1438), (24, 721, 1440), 262144)
    (1, 180, 1440)
    """
    steps = [1] * len(shape)
    for i in range(len(shape) - 1, -1, -1):
        if shape[i] > elements:
            steps[i] = _even_step(max(1, inner[i]), elements)
            break
        steps[i] = shape[i]
        elements //= shape[i]
    return tuple(steps)


def _memory_order(blocks: Sequence[Block], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes from the longest stride to the shortest, of the first field that has them all."""
    strides = next((b.core.strides for b in blocks if b.core.shape == shape), None)
    axes = range(len(shape))
    if strides is None:
        return tuple(axes)
    return tuple(sorted(axes, key=lambda i: -abs(strides[i]) if shape[i] > 1 else -np.inf))


def _in_order(
    order: tuple[int, ...],
    used: dict[int, Block],
    shape: tuple[int, ...],
    program: Program,
    dtype: np.dtype[Any],
) -> list[NDArray[Any]]:
    """The same for transposed blocks, so that runs are long: in the order of their memory."""
    place = {axis: i for i, axis in enumerate(order)}

    def turned(slabs: dict[int, NDArray[Any]]) -> dict[int, NDArray[Any]]:
        return {place[axis]: slab.transpose(order) for axis, slab in slabs.items()}

    made = compute_tiles(
        {i: Block(b.core.transpose(order), turned(b.low), turned(b.high)) for i, b in used.items()},
        tuple(shape[axis] for axis in order),
        program.transposed(place),
        dtype,
    )
    back = tuple(place[axis] for axis in range(len(order)))
    return [output.transpose(back) for output in made]


def _steps(shape: tuple[int, ...], program: Program, elements: int) -> tuple[int, ...]:
    steps = list(tile_shape(shape, program.axes[0], elements))
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
