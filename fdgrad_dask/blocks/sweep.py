"""A whole block in one sweep: XLA reads the fields where they lie, and what it makes is the result.

That is as fast as memory, where the result does not lie in fresh memory in small pages: in a
process that keeps what arrays leave behind (`memory`), or where XLA is handed other memory
(`pages`).
The rows beside walls, and beside other chunks, are boxes of their own in the same call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.kernel import interned, on_sweep
from fdgrad_dask.blocks.pages import owned, take
from fdgrad_dask.blocks.program import Block, Program, numbers
from fdgrad_dask.blocks.scratch import Field, memory_of
from fdgrad_dask.blocks.views import Frame, Ranges, Spread, Whole
from fdgrad_dask.stencils.dtypes import wide

COLUMNS = 256  # elements; shorter rows cost more than they save
# Of longer programs, and of wider stencils, XLA keeps parts that are used more than once: as large
# as a block, where those of a tile stay in the cache.
DERIVATIVES, REACH = 4, 1


def frame_of(used: Mapping[int, Block], shape: tuple[int, ...], program: Program) -> Frame | None:
    """The block as rows and columns, so that factors vary along either; None if that is not so."""
    widest = max(d.stencil.halo_width for d in program.derivatives)
    thin = any(program.edge(a, 0) + program.edge(a, 1) > shape[a] // 2 for a in program.axes)
    if thin or len(program.derivatives) > DERIVATIVES or widest > REACH:
        return None
    reach = widest * max(math.prod(shape[axis + 1 :]) for axis in program.axes)
    parts = [b.core.shape for b in used.values() if b.core.shape != shape]
    for split in range(len(shape) - 1, 0, -1):
        rows, columns = math.prod(shape[:split]), math.prod(shape[split:])
        margin = math.ceil(reach / columns)
        mixed = any(max(part[:split]) > 1 and max(part[split:]) > 1 for part in parts)
        if columns >= COLUMNS and 4 * margin <= rows and not mixed:
            return Frame(shape, split, margin)
    return None


def sweep(
    used: Mapping[int, Block], frame: Frame, program: Program, dtype: np.dtype[Any], *, kept: bool
) -> list[NDArray[Any]]:
    """The outputs of ``program`` on a block; they lie in ``pages`` if memory is not kept."""
    shape = frame.shape
    views = [_view(i, block, frame, program, dtype) for i, block in used.items()]
    boxes = tuple(_boxes(frame, program))
    pieces = [program.cut({axis: box[axis] for axis in program.axes}) for box in boxes]
    programs = [program.interior(), *pieces]
    spent = [] if kept else take(program.outputs, frame.whole, dtype)
    results, parts = on_sweep(
        views,
        [numbers(each, wide(dtype)) for each in programs],
        np.uint64(0),
        spent,
        frame=frame,
        programs=tuple(interned(each.structure()) for each in programs),
        boxes=boxes,
    )
    outputs = [owned(result, again=not kept).reshape(shape) for result in results]
    for box, made in zip(boxes, parts, strict=True):
        place = tuple(slice(*rows) for rows in box)
        for output, part in zip(outputs, made, strict=True):
            output[place] = part
    return outputs


def _view(
    number: int, block: Block, frame: Frame, program: Program, dtype: np.dtype[Any]
) -> Whole | Spread:
    """A field as the sweep reads it: in its own memory, or with a halo if it is a factor."""
    shape = frame.shape
    field = Field(
        number, block, shape, shape, False, program, [[i] for i in range(len(shape))], dtype
    )
    if block.core.shape != shape:
        return Spread(field.padded(tuple(slice(0, n) for n in shape)), frame)
    core = np.ascontiguousarray(block.core, field.dtype)
    core = core if core.ctypes.data % core.itemsize == 0 else core.copy()
    memory, lead = memory_of(core)
    outside: list[list[Any]] = [[None, None] for _ in shape]
    kinds: list[list[str | None]] = [[None, None] for _ in shape]
    for axis in field.halo:
        for end, slabs in enumerate((block.low, block.high)):
            wall = field.walls[axis][end]
            fill = wall.fill if wall else None
            if axis in slabs:
                outside[axis][end], kinds[axis][end] = slabs[axis].astype(field.dtype), "slab"
            elif fill is None or isinstance(fill, str):
                kinds[axis][end] = fill
            else:
                outside[axis][end], kinds[axis][end] = np.asarray(fill, field.dtype), "number"
    halo = tuple(field.halo.get(axis, 0) for axis in range(len(shape)))
    return Whole(memory, np.int64(lead), outside, frame, halo, tuple((a, b) for a, b in kinds))


def _boxes(frame: Frame, program: Program) -> Iterator[Ranges]:
    """The parts of a block that are not like its inside: beside its ends, and its margins."""
    shape = frame.shape
    everything = tuple((0, n) for n in shape)
    beside: list[Ranges] = []
    for axis in program.axes:
        low, high = program.edge(axis, 0), shape[axis] - program.edge(axis, 1)
        for rows in ((0, low), (high, shape[axis])):
            beside.append((*everything[:axis], rows, *everything[axis + 1 :]))
    yield from beside
    for end in _margins(frame):
        if not any(_contains(box, end) for box in beside):
            yield end


def _contains(box: Ranges, other: Ranges) -> bool:
    pairs = zip(box, other, strict=True)
    return all(a <= start and stop <= b for (a, b), (start, stop) in pairs)


def _margins(frame: Frame) -> Iterator[Ranges]:
    """The ranges of the first and of the last rows of a frame: planes, then rows of a plane."""
    shape, rows = frame.shape, frame.margin
    low: Ranges = ()
    high: Ranges = ()
    for i, n in enumerate(shape[: frame.split]):
        count, rows = divmod(rows, math.prod(shape[i + 1 : frame.split]))
        rest = tuple((0, m) for m in shape[i + 1 :])
        if count:
            yield (*low, (0, count), *rest)
            yield (*high, (n - count, n), *rest)
        low, high = (*low, (count, count + 1)), (*high, (n - count - 1, n - count))
