"""The dask graph of a program: one task per chunk, and one per slab that travels.

Along each axis that is differentiated a chunk is handed ``reach`` rows of the chunk before and of
the chunk behind, cut off where they lie so that only they travel, and the piece of the program
that is its own. A star of slabs: no corners.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from operator import getitem
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from fdgrad_dask.errors import ChunkError
from fdgrad_dask.program import Program
from fdgrad_dask.tasks import Task
from fdgrad_dask.tiles import Block


def is_dask(f: Any) -> bool:
    """True for dask arrays."""
    return isinstance(f, da.Array)


def lazy(fields: Sequence[Any], task: Task) -> list[da.Array]:
    """One task per chunk, and one per slab that travels."""
    program = task.program
    shape = _shape(fields, program)
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
    if all(merged[axis] == chunks[axis] for axis in program.axes):
        return results
    return [result.rechunk(chunks) for result in results]


def _shape(fields: Sequence[Any], program: Program) -> tuple[int, ...]:
    """The shape of all fields together; sizes may be unknown where no halo has to be cut."""
    unknown = any(math.isnan(n) for f in fields for n in f.shape)
    if not unknown:
        return np.broadcast_shapes(*(f.shape for f in fields))
    if len(fields) == 1 and all(fields[0].numblocks[axis] == 1 for axis in program.axes):
        return tuple(fields[0].shape)
    raise ChunkError(
        "the array has chunks of unknown sizes, between which no halo can be cut; call "
        "compute_chunk_sizes() on it first"
    )


def _together(*cores: Any, task: Task) -> Any:
    return task(cores)


def _by_hand(
    arrays: list[Any], chunks: list[tuple[int, ...]], task: Task, name: str, meta: Any
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
        afar = _caps_afar(pieces[along])
        fixed |= {i: Block(np.empty((1,) * len(chunks))) for i in afar if i in lazy}
        handed = [i for i in lazy if i not in afar]
        wanted = [
            (i, axis, side, key)
            for i in handed
            for axis, reach in program.halo(i).items()
            for side, key in _slabs(layer, name, arrays[i], i, axis, reach, place, pieces[along])
        ]
        piece = replace(
            task, program=pieces[along], fixed=fixed, slabs=tuple(w[:3] for w in wanted)
        )
        cores = [_key(arrays[i], place) for i in handed]
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


def _caps_afar(piece: Program) -> set[int]:
    """The means around poles that no row of this chunk is: it need not wait for them."""
    ends = {
        axis: (piece.stencils(axis)[0].low, piece.stencils(axis)[0].high) for axis in piece.axes
    }
    return {cap.field for cap in piece.caps if ends[cap.axis][cap.end] is None}


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
    count = len(f.chunks[axis])
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
    single = map(len, f.chunks)  # numblocks costs much more, and this is asked very often
    return (f.name, *(i if count > 1 else 0 for i, count in zip(place, single, strict=True)))


def _chunked(f: Any, shape: tuple[int, ...], chunks: Sequence[tuple[int, ...]]) -> Any:
    """``f`` in the chunks of all; a NumPy array that varies along one axis at most stays one."""
    own = tuple(
        sizes if n == full else (1,) for n, full, sizes in zip(f.shape, shape, chunks, strict=True)
    )
    if is_dask(f):
        return f if any(map(math.isnan, shape)) else f.rechunk(own)
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


def _meta(f: Any, ndim: int, task: Task) -> Any:
    dtype = task.dtype
    if dtype.kind == "M":
        dtype = np.dtype(dtype.str.replace("M", "m"))
    like = f._meta if is_dask(f) else np.empty(0)
    return (
        np.ma.empty((0,) * ndim, dtype)
        if isinstance(like, np.ma.MaskedArray)
        else np.empty((0,) * ndim, dtype)
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
