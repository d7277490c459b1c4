"""Compute a NumPy block on the host: its interior in place, its edge rows apart.

The interior of a block is computed by one jitted call, which reads the fields where they lie and
whose output buffer becomes the result. The rows next to the two ends of each axis are small blocks
of their own: slices of the fields, whose halos are the rows beside them. NumPy computes them, in
microseconds and without a compilation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks import buffers
from fdgrad_dask.blocks.interior import Broadcast, Frame, InPlace, compute_interior
from fdgrad_dask.blocks.kernel import interned
from fdgrad_dask.blocks.program import Block, Program, numbers
from fdgrad_dask.blocks.small import Blocks, compute_in_numpy, compute_in_slices, slice_field
from fdgrad_dask.blocks.zero_copy import lend
from fdgrad_dask.stencils.dtypes import wide

MIN_COLUMNS = 256  # elements; loops over shorter rows do not vectorise well
STRIP = 1 << 19  # points of an edge, times derivatives, at a time: so many stay in a cache

Box = tuple[tuple[int, int], ...]  # (start, stop) along each axis


def compute_on_host(
    used: Blocks, shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The outputs of ``program`` on one block, except for given pole rows."""
    order = _memory_order(used.values(), shape)
    if order != tuple(range(len(shape))):
        return _compute_in_order(order, used, shape, program, dtype)
    frame = _find_frame(shape, program)
    if frame is None:
        return compute_in_slices(used, shape, program, dtype)
    # The kernel runs in a thread of XLA's, so the edge rows are computed at the same time.
    interior = _start_interior(used, frame, program, dtype)
    strips = (box for edge in _edges(frame, program) for box in _strips(edge, program))
    edges = [(box, _compute_edge(used, shape, program, dtype, box)) for box in strips]
    outputs = [_as_block(array, frame) for array in interior]
    for box, parts in edges:
        place = tuple(slice(*rows) for rows in box)
        for output, part in zip(outputs, parts, strict=True):
            output[place] = part
    return outputs


def _memory_order(blocks: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes from the longest stride to the shortest, of the first field that has them all."""
    strides = next((b.core.strides for b in blocks if b.core.shape == shape), None)
    axes = range(len(shape))
    if strides is None:
        return tuple(axes)
    return tuple(sorted(axes, key=lambda i: -abs(strides[i]) if shape[i] > 1 else -np.inf))


def _compute_in_order(
    order: tuple[int, ...],
    used: Blocks,
    shape: tuple[int, ...],
    program: Program,
    dtype: np.dtype[Any],
) -> list[NDArray[Any]]:
    """Compute transposed blocks in the order of their memory, so that they are contiguous."""
    place = {axis: i for i, axis in enumerate(order)}

    def turned(halo: dict[int, NDArray[Any]]) -> dict[int, NDArray[Any]]:
        return {place[axis]: rows.transpose(order) for axis, rows in halo.items()}

    made = compute_on_host(
        {i: Block(b.core.transpose(order), turned(b.low), turned(b.high)) for i, b in used.items()},
        tuple(shape[axis] for axis in order),
        program.transposed(place),
        dtype,
    )
    back = tuple(place[axis] for axis in range(len(order)))
    return [output.transpose(back) for output in made]


# -- the interior ------------------------------------------------------------------------------


def _find_frame(shape: tuple[int, ...], program: Program) -> Frame | None:
    """The block as rows and columns; None if it has no interior."""
    reach = max(d.stencil.halo_width * math.prod(shape[d.axis + 1 :]) for d in program.derivatives)
    for split in range(len(shape) - 1, -1, -1):
        columns = Frame(shape, split, 0).full[1]
        if split == 0 or columns >= MIN_COLUMNS:
            frame = Frame(shape, split, math.ceil(reach / columns))
            edges = _edge_sizes(frame, program)
            if frame.inner[0] > 0 and all(sum(edges[axis]) < shape[axis] for axis in edges):
                return frame
    return None


def _start_interior(
    used: Blocks, frame: Frame, program: Program, dtype: np.dtype[Any]
) -> list[Any]:
    """Start the kernel; its results are ready when somebody asks for their values."""
    interior = program.interior()
    size = math.prod(frame.shape) * dtype.itemsize
    donated = buffers.take(program.outputs, frame.full, dtype) if buffers.is_reused(size) else []
    started: list[Any] = compute_interior(
        [_view(i, block, frame, program, dtype) for i, block in used.items()],
        numbers(interior, wide(dtype)),
        np.uint64(0),
        donated,
        program=interned(interior.structure()),
        frame=frame,
        dtype=dtype,
    )
    return started


def _view(
    number: int, block: Block, frame: Frame, program: Program, dtype: np.dtype[Any]
) -> InPlace | Broadcast:
    if block.core.shape != frame.shape:
        return Broadcast(slice_field(number, block, program, dtype).for_kernel(in_full=True), frame)
    dtype = np.dtype(np.float64) if program.is_coordinate(number) else dtype
    core = np.ascontiguousarray(block.core, dtype)
    core = core if core.ctypes.data % core.itemsize == 0 else core.copy()
    memory, offset = lend(core)
    return InPlace(memory, np.int64(offset), frame)


def _as_block(array: Any, frame: Frame) -> NDArray[Any]:
    values = buffers.as_numpy(array, is_reused=buffers.is_reused(array.nbytes))
    return values.reshape(-1)[: math.prod(frame.shape)].reshape(frame.shape)


# -- its edges ---------------------------------------------------------------------------------


def _edge_sizes(frame: Frame, program: Program) -> dict[int, tuple[int, int]]:
    """By axis the number of rows at the low and at the high end that are computed apart."""
    shape = frame.shape
    sizes = {axis: (program.edge(axis, 0), program.edge(axis, 1)) for axis in program.axes}
    if frame.split == 0:
        step = math.prod(shape[1:])
        low, high = sizes.get(0, (0, 0))
        behind = frame.start + math.prod(frame.inner)
        sizes[0] = max(low, -(-frame.start // step)), max(high, shape[0] - behind // step)
    return sizes


def _edges(frame: Frame, program: Program) -> Iterator[Box]:
    """What the interior leaves out, or computes from unrelated elements."""
    shape, split = frame.shape, frame.split
    everything = tuple((0, n) for n in shape)
    for axis, (low, high) in _edge_sizes(frame, program).items():
        for rows in ((0, low), (shape[axis] - high, shape[axis])):
            yield (*everything[:axis], rows, *everything[axis + 1 :])
    # If an axis before the split is differentiated, its edges hold the margins of the frame.
    if 0 < split <= min(program.axes):
        yield (*((0, 1) for _ in range(split)), *everything[split:])
        yield (*((n - 1, n) for n in shape[:split]), *everything[split:])


def _strips(box: Box, program: Program) -> Iterator[Box]:
    """An edge in parts: NumPy makes an array of each operation, and a plane is a large one."""
    sizes = [stop - start for start, stop in box]
    parts = -(-math.prod(sizes) * len(program.derivatives) // STRIP)
    axis = next((i for i, n in enumerate(sizes) if n >= parts), 0)
    for part in cut_rows(box[axis], sizes[axis] // max(parts, 1), axis, program):
        yield (*box[:axis], part, *box[axis + 1 :])


def cut_rows(
    whole: tuple[int, int], rows: int, axis: int, program: Program
) -> list[tuple[int, int]]:
    """The rows of a block in parts of ``rows``, or of as many as its stencils need."""
    (start, stop), ends = whole, (0, 1) if axis in program.axes else ()
    least = max([1, *(program.edge(axis, end) for end in ends)])
    starts = range(start, max(stop - least, start) + 1, max(rows, least))
    return list(zip(starts, [*starts[1:], stop], strict=True))


def _compute_edge(
    used: Blocks, shape: tuple[int, ...], program: Program, dtype: np.dtype[Any], box: Box
) -> list[NDArray[Any]]:
    blocks = {i: cut_block(block, box, program, i) for i, block in used.items()}
    part = program.cut({axis: box[axis] for axis in program.axes})
    sizes = tuple(stop - start for start, stop in box)
    compute = compute_in_numpy if program.has_numpy_bits(dtype) else compute_in_slices
    return compute(blocks, sizes, part, dtype)


def cut_block(block: Block, box: Box, program: Program, number: int) -> Block:
    """Part of a block as a block, whose halos are the rows beside it."""
    sizes = block.core.shape
    place = tuple(slice(*rows) if n > 1 else slice(n) for rows, n in zip(box, sizes, strict=True))

    def rows(array: NDArray[Any], axis: int, start: int, stop: int | None) -> NDArray[Any]:
        return array[(*place[:axis], slice(start, stop), *place[axis + 1 :])]

    low, high = {}, {}
    for axis, reach in program.halo(number).items():
        n, (start, stop) = sizes[axis], box[axis]
        end = program.stencils(axis)[0].low
        is_periodic = end is not None and end.fill == "periodic" and stop - start < n
        if n == 1:
            continue
        if start > 0:
            low[axis] = rows(block.core, axis, start - reach, start)
        elif axis in block.low:
            low[axis] = rows(block.low[axis], axis, 0, None)
        elif is_periodic:
            low[axis] = rows(block.core, axis, n - reach, n)
        if stop < n:
            high[axis] = rows(block.core, axis, stop, stop + reach)
        elif axis in block.high:
            high[axis] = rows(block.high[axis], axis, 0, None)
        elif is_periodic:
            high[axis] = rows(block.core, axis, 0, reach)
    return Block(block.core[place], low, high)
