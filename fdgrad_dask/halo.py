"""The one place that knows chunks: whole arrays, or dask chunks with the rows of their neighbours.

A chunk is computed in one task for all that is asked of it. Along each axis that is
differentiated it is handed ``reach`` rows of the chunk before and of the chunk behind, cut off
there so that only they travel, and the piece of the stencils that is its own. Walls are closed at
the ends of the domain only, so the chunks of the result are those of the input, and its bits do
not depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from operator import getitem
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from fdgrad_dask.errors import ChunkError, CoordinateError
from fdgrad_dask.plain import differentiate_plain, needs_numpy
from fdgrad_dask.program import Program, single
from fdgrad_dask.stencil import Stencil
from fdgrad_dask.tiles import Block, compute_block, result_dtype
from fdgrad_dask.whole import differentiate_jax, is_jax


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
    if is_jax(f) and z is None:
        return differentiate_jax(f, axis, stencil)
    fields = [f] if z is None else [f, z]
    return compute(fields, single(stencil, axis, None if z is None else 1))[0]


def compute(fields: Sequence[Any], program: Program, dtype: Any = None) -> list[Any]:
    """The outputs of ``program`` over ``fields``: NumPy, or lazy if any of them is.

    The fields have the same dimensions in the same order, and size 1 along those on which they
    do not vary. The outputs have ``dtype``, or that of the first field.
    """
    dtype = result_dtype(fields[0].dtype if dtype is None else dtype)
    meta = fields[0]._meta if is_dask(fields[0]) else fields[0]
    task = _Task(program, dtype, needs_numpy(meta))
    if any(is_dask(f) for f in fields):
        return _lazy(fields, task)
    return task.outputs([Block(np.asanyarray(f)) for f in fields])


@dataclass(frozen=True)
class _Task:
    """What is done with one chunk; ``fixed`` are fields that the graph itself carries."""

    program: Program
    dtype: np.dtype[Any]
    in_numpy: bool
    fixed: dict[int, Block] = field(default_factory=dict)
    slabs: tuple[tuple[int, int, str], ...] = ()

    def __call__(self, cores: Sequence[Any], slabs: Sequence[Any] = ()) -> Any:
        """The one output, or a list of several."""
        numbers = [i for i in range(len(cores) + len(self.fixed)) if i not in self.fixed]
        blocks = {i: Block(core) for i, core in zip(numbers, cores, strict=True)} | self.fixed
        for (i, axis, side), slab in zip(self.slabs, slabs, strict=True):
            getattr(blocks[i], side)[axis] = slab
        outputs = self.outputs([blocks[i] for i in sorted(blocks)])
        return outputs[0] if len(outputs) == 1 else outputs

    def outputs(self, blocks: Sequence[Block]) -> list[Any]:
        for d in self.program.derivatives:
            if d.z is not None:
                check_levels(blocks[d.z].core, d.axis)
        if not self.in_numpy:
            return list(compute_block(blocks, self.program, self.dtype))
        return [
            differentiate_plain(_joined(blocks[d.operand], d.axis), d.axis, d.stencil)
            for d in self.program.derivatives
        ]


def _joined(block: Block, axis: int) -> Any:
    """A block and its slabs as one array."""
    parts = [block.low.get(axis), block.core, block.high.get(axis)]
    join = np.ma.concatenate if isinstance(block.core, np.ma.MaskedArray) else np.concatenate
    return join([part for part in parts if part is not None], axis)


def _lazy(fields: Sequence[Any], task: _Task) -> list[da.Array]:
    """One task per chunk, and one per slab that travels."""
    program = task.program
    shape = np.broadcast_shapes(*(f.shape for f in fields))
    whole = next((f for f in fields if is_dask(f) and f.shape == shape), None)
    chunks = (
        da.core.normalize_chunks("auto", shape, dtype=task.dtype) if whole is None else whole.chunks
    )
    merged = list(chunks)
    for axis in program.axes:
        stencils = program.stencils(axis)
        merged[axis] = merge(
            chunks[axis],
            max(s.least(s.low) for s in stencils),
            max(s.reach for s in stencils),
            max(s.least(s.high) for s in stencils),
        )
    arrays = [_chunked(f, shape, merged) for f in fields]
    name = "fdgrad-" + tokenize([getattr(f, "name", f) for f in arrays], program, task.dtype)
    meta = _meta(fields[0], len(shape), task)
    if program.outputs == 1 and all(len(merged[axis]) == 1 for axis in program.axes):
        index = tuple(range(len(shape)))
        arrays = [f if is_dask(f) else da.from_array(f, chunks=-1) for f in arrays]
        pairs = [part for f in arrays for part in (f, index)]
        results = [
            da.blockwise(
                _together, index, *pairs, name=name, meta=meta, align_arrays=False, task=task
            )
        ]
    else:
        results = _by_hand(arrays, merged, task, name, meta)
    return [result.rechunk(chunks) for result in results]


def _together(*cores: Any, task: _Task) -> Any:
    return task(cores)


def _by_hand(
    arrays: list[Any], chunks: list[tuple[int, ...]], task: _Task, name: str, meta: Any
) -> list[da.Array]:
    """The graph of chunks that need their neighbours' rows."""
    program = task.program
    layer: dict[Any, Any] = {}
    ends = [np.cumsum((0, *sizes)).tolist() for sizes in chunks]
    lazy = [i for i, f in enumerate(arrays) if is_dask(f)]
    pieces: dict[tuple[int, ...], Program] = {}
    for place in product(*(range(len(sizes)) for sizes in chunks)):
        along = tuple(place[axis] for axis in program.axes)
        if along not in pieces:
            rows = {
                axis: (ends[axis][i], ends[axis][i + 1])
                for axis, i in zip(program.axes, along, strict=True)
            }
            pieces[along] = program.cut(rows)
        fixed = {i: _cut(f, i, program, ends, place) for i, f in enumerate(arrays) if i not in lazy}
        wanted = [
            (i, axis, side, key)
            for i in lazy
            for axis, reach in program.halo(i).items()
            for side, key in _slabs(layer, name, arrays[i], i, axis, reach, place, pieces[along])
        ]
        piece = replace(
            task, program=pieces[along], fixed=fixed, slabs=tuple(w[:3] for w in wanted)
        )
        cores = [_key(arrays[i], place) for i in lazy]
        layer[(name, *place)] = (piece, cores, [w[3] for w in wanted])
    dependencies = [arrays[i] for i in lazy]
    if program.outputs == 1:
        graph = HighLevelGraph.from_collections(name, layer, dependencies=dependencies)
        return [da.Array(graph, name, chunks=chunks, meta=meta)]
    both = HighLevelGraph.from_collections(name, layer, dependencies=dependencies)
    results = []
    for number in range(program.outputs):
        one = f"{name}-{number}"
        taken = {
            (one, *place): (getitem, (name, *place), number)
            for place in product(*(range(len(sizes)) for sizes in chunks))
        }
        layers: dict[str, Any] = {**both.layers, one: taken}
        graph = HighLevelGraph(layers, {**both.dependencies, one: {name}})
        results.append(da.Array(graph, one, chunks=chunks, meta=meta))
    return results


def _slabs(
    layer: dict[Any, Any],
    name: str,
    f: da.Array,
    number: int,
    axis: int,
    reach: int,
    place: tuple[int, ...],
    piece: Program,
) -> Iterator[tuple[str, Any]]:
    """Keys of the rows before and behind a chunk where its walls are open; makes their tasks."""
    stencil = piece.stencils(axis)[0]
    count = f.numblocks[axis]
    for side, wall, step, rows in (
        ("low", stencil.low, -1, slice(-reach, None)),
        ("high", stencil.high, 1, slice(0, reach)),
    ):
        if wall is not None:
            continue
        neighbour = (*place[:axis], (place[axis] + step) % count, *place[axis + 1 :])
        source = _key(f, neighbour)
        key = (f"{name}-{side}-{number}-{axis}", *source[1:])
        layer.setdefault(key, (getitem, source, (slice(None),) * axis + (rows,)))
        yield side, key


def _key(f: da.Array, place: tuple[int, ...]) -> tuple[Any, ...]:
    return (f.name, *(i if count > 1 else 0 for i, count in zip(place, f.numblocks, strict=True)))


def _chunked(f: Any, shape: tuple[int, ...], chunks: Sequence[tuple[int, ...]]) -> Any:
    """``f`` in the chunks of all; a NumPy array that varies along one axis at most stays one."""
    own = tuple(
        sizes if n == full else (1,) for n, full, sizes in zip(f.shape, shape, chunks, strict=True)
    )
    if is_dask(f):
        return f.rechunk(own)
    if sum(n > 1 for n in f.shape) <= 1:
        return np.asanyarray(f)
    return da.from_array(f, chunks=own)


def _cut(
    f: NDArray[Any], number: int, program: Program, ends: list[list[int]], place: tuple[int, ...]
) -> Block:
    """The block of an array in memory, with its slabs."""
    ranges = [
        (ends[i][place[i]], ends[i][place[i] + 1]) if n > 1 else (0, 1)
        for i, n in enumerate(f.shape)
    ]
    block = Block(f[tuple(slice(*r) for r in ranges)])
    for axis, reach in program.halo(number).items():
        start, stop = ranges[axis]
        n = f.shape[axis]
        if n > 1 and stop - start < n:
            around = [slice(*r) for r in ranges]
            around[axis] = None  # type: ignore[call-overload]
            for side, rows in (
                ("low", range(start - reach, start)),
                ("high", range(stop, stop + reach)),
            ):
                index = tuple(np.array(rows) % n if s is None else s for s in around)
                getattr(block, side)[axis] = f[index]
    return block


def _meta(f: Any, ndim: int, task: _Task) -> Any:
    dtype = task.dtype
    if dtype.kind == "M":
        dtype = np.dtype(dtype.str.replace("M", "m"))
    like = f._meta if is_dask(f) else np.empty(0)
    return (
        np.ma.empty((0,) * ndim, dtype)
        if isinstance(like, np.ma.MaskedArray)
        else np.empty((0,) * ndim, dtype)
    )


def check_levels(z: NDArray[Any], axis: int) -> None:
    """Raises unless ``z`` rises, or falls, strictly along ``axis`` everywhere it has values."""
    steps = np.diff(z, axis=axis)
    rises = steps > 0
    wrong = ~(rises | np.isnan(steps)) if rises.any() else ~((steps < 0) | np.isnan(steps))
    if wrong.any():
        place = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
        after = tuple(p + (i == axis) for i, p in enumerate(place))
        raise CoordinateError(
            f"the coordinate is not strictly monotonic along axis {axis}: it goes from "
            f"{z[place]} to {z[after]} at {place} of its chunk; sort the levels, or "
            "mask these points"
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
