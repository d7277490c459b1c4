"""Compute a NumPy block on the host: its interior in place, its edge rows apart.

The interior of a block is computed by one jitted call, which reads the fields where they lie and
whose output buffer becomes the result. The rows next to the two ends of each axis are small blocks
of their own: slices of the fields, whose halos are the rows beside them. NumPy computes them, in
microseconds and without a compilation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks import buffers
from fdgrad_dask.blocks.kernel import compute_interior, compute_window, interned
from fdgrad_dask.blocks.numpy_arithmetic import compute_plain
from fdgrad_dask.blocks.program import Block, Program, numbers
from fdgrad_dask.blocks.readers import Field
from fdgrad_dask.blocks.views import Broadcast, Frame, InPlace, Window
from fdgrad_dask.blocks.zero_copy import ALIGNMENT, lend
from fdgrad_dask.stencils.dtypes import wide

MIN_COLUMNS = 256  # elements; loops over shorter rows do not vectorise well

Blocks = Mapping[int, Block]
Box = tuple[tuple[int, int], ...]  # (start, stop) along each axis


def compute_on_host(
    used: Blocks, shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The outputs of ``program`` on one block, except for given pole rows."""
    order = _memory_order(used.values(), shape)
    if order != tuple(range(len(shape))):
        return _compute_in_order(order, used, shape, program, dtype)
    frame = _find_frame(used, shape, program)
    if frame is None:
        return _compute_window(used, shape, program, dtype)
    # The kernel runs in a thread of XLA's, so the edge rows are computed at the same time.
    interior = _start_interior(used, frame, program, dtype)
    edges = [
        (box, _compute_edge(used, shape, program, dtype, box)) for box in _edges(frame, program)
    ]
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


def _find_frame(used: Blocks, shape: tuple[int, ...], program: Program) -> Frame | None:
    """The block as rows and columns; None if it has no interior."""
    reach = max(d.stencil.halo_width * math.prod(shape[d.axis + 1 :]) for d in program.derivatives)
    parts = [b.core.shape for b in used.values() if b.core.shape != shape]
    for split in range(len(shape) - 1, -1, -1):
        columns = Frame(shape, split, 0).full[1]
        is_mixed = any(max(part[:split], default=1) > 1 and max(part[split:]) > 1 for part in parts)
        if split == 0 or (columns >= MIN_COLUMNS and not is_mixed):
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
    )
    return started


def _view(
    number: int, block: Block, frame: Frame, program: Program, dtype: np.dtype[Any]
) -> InPlace | Broadcast:
    if block.core.shape != frame.shape:
        return Broadcast(_window(number, block, frame.shape, program, dtype), frame)
    core = np.ascontiguousarray(block.core, _dtype_of(number, program, dtype))
    core = core if core.ctypes.data % core.itemsize == 0 else core.copy()
    memory, offset = lend(core)
    return InPlace(memory, np.int64(offset), frame)


def _dtype_of(number: int, program: Program, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Coordinates keep their digits: weights are made of their differences."""
    is_coordinate = any(d.z == number for d in program.derivatives)
    return np.dtype(np.float64) if is_coordinate else dtype


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


def _compute_edge(
    used: Blocks, shape: tuple[int, ...], program: Program, dtype: np.dtype[Any], box: Box
) -> list[NDArray[Any]]:
    blocks = {i: _cut(block, box, program.halo(i), program) for i, block in used.items()}
    part = program.cut({axis: box[axis] for axis in program.axes})
    sizes = tuple(stop - start for start, stop in box)
    compute = compute_plain if program.has_numpy_bits(dtype) else _compute_window
    return compute(blocks, sizes, part, dtype)


def _cut(block: Block, box: Box, halo: Mapping[int, int], program: Program) -> Block:
    """Part of a block as a block, whose halos are the rows beside it."""
    sizes = block.core.shape
    place = tuple(slice(*rows) if n > 1 else slice(n) for rows, n in zip(box, sizes, strict=True))

    def rows(array: NDArray[Any], axis: int, start: int, stop: int | None) -> NDArray[Any]:
        return array[(*place[:axis], slice(start, stop), *place[axis + 1 :])]

    low, high = {}, {}
    for axis, reach in halo.items():
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


# -- small and thin blocks -----------------------------------------------------------------------


def _compute_window(
    used: Blocks, shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """Copy each field and its halo into one array, which the kernel reads."""
    groups = _merged_axes([block.core.shape for block in used.values()], program.axes)
    place = {axis: i for i, group in enumerate(groups) for axis in group}
    windows = []
    for i, block in used.items():
        window = _window(i, block, shape, program, dtype)
        sizes = [math.prod(window.array.shape[axis] for axis in group) for group in groups]
        halo = tuple(window.halo[group[0]] for group in groups)
        windows.append(Window(window.array.reshape(sizes), halo))
    plan = program.structure().map_derivatives(lambda d: d._replace(axis=place[d.axis]))
    results = compute_window(
        windows, numbers(program, wide(dtype)), np.uint64(0), program=interned(plan)
    )
    return [buffers.as_numpy(result, is_reused=False).reshape(shape) for result in results]


def _window(
    number: int, block: Block, shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> Window:
    """A field and its halo, which is a star: the corners are not read."""
    field = Field(number, block, shape, program, dtype)
    reaches = tuple(
        field.halo.get(axis, 0) if n == full else 0
        for axis, (n, full) in enumerate(zip(block.core.shape, shape, strict=True))
    )
    sizes = [n + 2 * reach for n, reach in zip(block.core.shape, reaches, strict=True)]
    array = _aligned(sizes, field.dtype)
    inner = tuple(slice(r, r + n) for r, n in zip(reaches, block.core.shape, strict=True))
    array[inner] = field.core
    for axis, reach in enumerate(reaches):
        if reach:
            for end, rows in ((0, slice(reach)), (1, slice(-reach, None))):
                array[(*inner[:axis], rows, *inner[axis + 1 :])] = field.beyond(axis, end)
    return Window(array, reaches)


def _aligned(shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array that XLA reads without a copy."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def _merged_axes(shapes: list[tuple[int, ...]], axes: tuple[int, ...]) -> list[list[int]]:
    """Merge neighbouring axes that no derivative runs along: one compilation serves all ranks.

    >>> _merged_axes([(5, 4, 3, 2), (1, 1, 3, 1)], (2,))
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
