"""The dask graph of a program: one task per chunk, and one per slab that travels.

Along each axis that is differentiated a chunk is handed ``reach`` rows of the chunk before and of
the chunk behind, cut off where they lie so that only they travel, and the piece of the program
that is its own. A star of slabs: no corners.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from operator import getitem
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Task as Node
from dask.task_spec import TaskRef
from numpy.typing import NDArray

from fdgrad_dask.errors import ChunkError
from fdgrad_dask.program import Program
from fdgrad_dask.scratch import Block
from fdgrad_dask.tasks import Task


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
    return task(*cores)


def _by_hand(
    arrays: list[Any], chunks: list[tuple[int, ...]], task: Task, name: str, meta: Any
) -> list[da.Array]:
    """The graph of chunks that need their neighbours' rows."""
    places = list(product(*(range(len(sizes)) for sizes in chunks)))
    layer = _Layer(arrays, chunks, task, name)
    for place in places:
        layer.add(place)
    dependencies = [f for f in arrays if is_dask(f)]
    both = HighLevelGraph.from_collections(name, layer.tasks, dependencies=dependencies)
    if task.program.outputs == 1:
        return [da.Array(both, name, chunks=chunks, meta=meta)]
    results = []
    for number in range(task.program.outputs):
        one = f"{name}-{number}"
        taken = {
            (one, *place): Node((one, *place), getitem, TaskRef((name, *place)), number)
            for place in places
        }
        layers: dict[str, Any] = {**both.layers, one: taken}
        graph = HighLevelGraph(layers, {**both.dependencies, one: {name}})
        results.append(da.Array(graph, one, chunks=chunks, meta=meta))
    return results


class _Slab(NamedTuple):
    """The rows of a neighbour of a chunk that travel: which, and how they are cut out of it."""

    field: int
    axis: int
    side: str
    step: int
    rows: tuple[slice, ...]


class _Layer:
    """The tasks of the chunks. Chunks that are alike share what is done with them."""

    def __init__(
        self, arrays: list[Any], chunks: list[tuple[int, ...]], task: Task, name: str
    ) -> None:
        self.arrays, self.task, self.name = arrays, task, name
        self.ends = [np.cumsum((0, *sizes)).tolist() for sizes in chunks]
        self.counts = {i: f.numblocks for i, f in enumerate(arrays) if is_dask(f)}
        self.halos = {i: task.program.halo(i) for i in self.counts}
        self.axes = task.program.axes
        self.varying = [
            axis
            for axis in range(len(chunks))
            if axis in self.axes
            or any(f.shape[axis] > 1 for i, f in enumerate(arrays) if i not in self.counts)
        ]
        self.pieces: dict[tuple[int, ...], tuple[Task, list[int], list[_Slab]]] = {}
        self.tasks: dict[Any, Node] = {}

    def add(self, place: tuple[int, ...]) -> None:
        """The task of one chunk, and those of the slabs that it is the first to need."""
        alike = tuple(place[axis] for axis in self.varying)
        if alike not in self.pieces:
            self.pieces[alike] = self._piece(place)
        piece, handed, slabs = self.pieces[alike]
        refs = [TaskRef(self._key(i, place)) for i in handed]
        refs += [TaskRef(self._slab(slab, place)) for slab in slabs]
        key = (self.name, *place)
        self.tasks[key] = Node(key, piece, *refs)

    def _piece(self, place: tuple[int, ...]) -> tuple[Task, list[int], list[_Slab]]:
        """What is done with a chunk, the fields that it is handed, and its slabs."""
        rows = {axis: (self.ends[axis][i], self.ends[axis][i + 1]) for axis, i in enumerate(place)}
        program = self.task.program.cut(rows)
        ends = {
            axis: (program.stencils(axis)[0].low, program.stencils(axis)[0].high)
            for axis in self.axes
        }
        # The mean around a pole that is no row of this chunk: it need not wait for that.
        afar = {cap.field for cap in program.caps if ends[cap.axis][cap.end] is None}
        fixed = {
            i: _cut(f, i, program, self.ends, place)
            for i, f in enumerate(self.arrays)
            if i not in self.counts
        }
        fixed |= {i: Block(np.empty((1,) * len(place))) for i in afar if i in self.counts}
        handed = [i for i in self.counts if i not in afar]
        slabs = [
            _Slab(i, axis, side, step, (slice(None),) * axis + (cut,))
            for i in handed
            for axis, reach in self.halos[i].items()
            for side, wall, step, cut in (
                ("low", ends[axis][0], -1, slice(-reach, None)),
                ("high", ends[axis][1], 1, slice(0, reach)),
            )
            if wall is None
        ]
        told = tuple((slab.field, slab.axis, slab.side) for slab in slabs)
        return replace(self.task, program=program, fixed=fixed, slabs=told), handed, slabs

    def _key(self, i: int, place: tuple[int, ...]) -> tuple[Any, ...]:
        """The chunk of a field; the one there is along axes on which it does not vary."""
        counts = self.counts[i]
        return (self.arrays[i].name, *[p if n > 1 else 0 for p, n in zip(place, counts)])  # noqa: B905

    def _slab(self, slab: _Slab, place: tuple[int, ...]) -> tuple[Any, ...]:
        """The key of a slab, whose task is made if it is not there."""
        axis, count = slab.axis, self.counts[slab.field][slab.axis]
        neighbour = (*place[:axis], (place[axis] + slab.step) % count, *place[axis + 1 :])
        source = self._key(slab.field, neighbour)
        key = (f"{self.name}-{slab.side}-{slab.field}-{axis}", *source[1:])
        if key not in self.tasks:
            self.tasks[key] = Node(key, getitem, TaskRef(source), slab.rows)
        return key


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
