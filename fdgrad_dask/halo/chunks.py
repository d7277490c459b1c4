"""The dask graph of a program: a task per chunk, and one for its rim.

The rim of a chunk is what its neighbours need of it, cut off where it lies so that only that
travels: the first and the last ``reach`` rows along each axis that is differentiated. A chunk is
handed the rims of its neighbours, of which it takes its slabs, and the pieces of the program that
are its own. A star of slabs: no corners.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from operator import getitem
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from fdgrad_dask.blocks.program import Block, Program
from fdgrad_dask.errors import ChunkError
from fdgrad_dask.halo.graphs import Key, Lazy, Node, Place, Shared
from fdgrad_dask.halo.tasks import Piece, Slab, Task, rim
from fdgrad_dask.stencils.table import DomainBoundary

# Bytes. Rims that are no larger hold the rows along all axes, more than any one neighbour needs:
# a network carries that in less time than a scheduler takes for a task more.
TOGETHER = 1 << 20


def is_dask(f: Any) -> bool:
    """True for dask arrays."""
    return isinstance(f, da.Array)


def lazy(fields: Sequence[Any], task: Task) -> list[da.Array]:
    """One task per chunk, and those of the rims."""
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
            max(s.min_chunk_size(s.low) for s in stencils),
            max(s.halo_width for s in stencils),
            max(s.min_chunk_size(s.high) for s in stencils),
        )
    arrays = [_chunked(f, shape, merged) for f in fields]
    name = "fdgrad-" + tokenize([getattr(f, "name", f) for f in arrays], program, task.dtype)
    meta = _meta(fields[0], len(shape), task)
    if program.outputs == 1 and all(len(merged[axis]) == 1 for axis in program.axes):
        index = tuple(range(len(shape)))
        arrays = [f if is_dask(f) else da.from_array(f, chunks=-1) for f in arrays]
        pairs = [part for f in arrays for part in (f, index)]
        results = [
            da.blockwise(task.whole, index, *pairs, name=name, meta=meta, align_arrays=False)
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


def _by_hand(
    arrays: list[Any], chunks: list[tuple[int, ...]], task: Task, name: str, meta: Any
) -> list[da.Array]:
    """The graph of chunks that need their neighbours' rows, or have several outputs."""
    places = tuple(map(len, chunks))
    layer = Lazy(name, places, _Chunks(arrays, chunks, task, name).tasks)
    dependencies = [f for f in arrays if is_dask(f)]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=dependencies)
    if task.program.outputs == 1:
        return [da.Array(graph, name, chunks=chunks, meta=meta)]
    results = []
    for number in range(task.program.outputs):
        one = f"{name}-{number}"
        layers = {**graph.layers, one: Lazy(one, places, partial(_taken, name, one, number))}
        taken = HighLevelGraph(layers, {**graph.dependencies, one: {name}})
        results.append(da.Array(taken, one, chunks=chunks, meta=meta))
    return results


def _taken(name: str, one: str, number: int, places: Iterable[Place]) -> dict[Key, Node]:
    """One of several outputs of the chunks."""
    keys = [((one, *place), (name, *place)) for place in places]
    return {key: Node(key, getitem, (outputs,), number) for key, outputs in keys}


class _Chunks:
    """The tasks of the chunks. Those that are at one place along an axis share its piece."""

    def __init__(
        self, arrays: list[Any], chunks: list[tuple[int, ...]], task: Task, name: str
    ) -> None:
        program = task.program
        self.name = name
        self.names = {i: f.name for i, f in enumerate(arrays) if is_dask(f)}
        self.single = {
            i: {axis for axis, n in enumerate(arrays[i].numblocks) if n < len(chunks[axis])}
            for i in self.names
        }
        self.node = Node if program.outputs == 1 else Shared
        # The derivatives come with the pieces: no worker is sent the table of a whole axis.
        self.run = replace(task, program=replace(program, derivatives=())).piecewise
        cut = [axis for axis in program.axes if len(chunks[axis]) > 1]
        self.rims = {
            i: _rims(f"rim-{name}-{i}", arrays[i], program.halo(i), cut) for i in self.names
        }
        fixed: dict[int, dict[int, Any]] = {axis: {} for axis in program.axes}
        for i, f in enumerate(arrays):
            if i not in self.names:
                axis = next((axis for axis, n in enumerate(f.shape) if n > 1), program.axes[0])
                fixed.setdefault(axis, {})[i] = f
        self.pieces = {
            axis: _pieces(program, chunks, axis, fields, list(self.names))
            for axis, fields in fixed.items()
        }

    def tasks(self, places: Iterable[Place]) -> dict[Key, Node]:
        """Those of some chunks, and of the rims of their neighbours."""
        made: dict[Key, Node] = {}
        for place in places:
            pieces = tuple([pieces[place[axis]] for axis, pieces in self.pieces.items()])
            fixed = {i for piece in pieces for i in piece.fixed}
            parts = [self._key(name, i, place) for i, name in self.names.items() if i not in fixed]
            parts += [self._rim(slab, place, made) for piece in pieces for slab in piece.slabs]
            key = (self.name, *place)
            made[key] = self.node(key, self.run, tuple(parts), pieces)
        return made

    def _rim(self, slab: Slab, place: Place, made: dict[Key, Node]) -> Key:
        """The rim that a slab is cut out of, whose task is made if it is not there."""
        i, axis = slab.field, slab.axis
        beside = (*place[:axis], slab.at, *place[axis + 1 :])
        name, reaches = self.rims[i][axis]
        key = self._key(name, i, beside)
        if key not in made:
            made[key] = Node(key, rim, (self._key(self.names[i], i, beside),), reaches)
        return key

    def _key(self, name: str, i: int, place: Place) -> Key:
        """The chunk of a field, or its rim: the one there is along axes on which it is single."""
        single = self.single[i]
        if not single:
            return (name, *place)
        return (name, *[0 if axis in single else at for axis, at in enumerate(place)])


def _rims(
    name: str, f: da.Array, halo: dict[int, int], cut: list[int]
) -> dict[int, tuple[str, dict[int, int]]]:
    """axis → the name of the rims with its rows, and axis → reach of all rows that they hold."""
    reaches = {axis: reach for axis, reach in halo.items() if axis in cut}
    sizes = f.chunksize
    points = sum(
        2 * reach * math.prod(sizes[:axis] + sizes[axis + 1 :]) for axis, reach in reaches.items()
    )
    if points * f.dtype.itemsize <= TOGETHER:
        return dict.fromkeys(reaches, (name, reaches))
    return {axis: (f"{name}-{axis}", {axis: reach}) for axis, reach in reaches.items()}


def _pieces(
    program: Program,
    chunks: list[tuple[int, ...]],
    axis: int,
    fixed: dict[int, Any],
    handed: list[int],
) -> list[Piece]:
    """What the chunks share that are at one place along ``axis``, place by place."""
    halo = {i: reach for i in (*fixed, *handed) if (reach := program.halo(i).get(axis))}
    count = len(chunks[axis])
    pieces = []
    for at, rows in enumerate(pairwise(np.cumsum((0, *chunks[axis])).tolist())):
        derivatives = {
            n: d._replace(stencil=d.stencil.cut(*rows))
            for n, d in enumerate(program.derivatives)
            if d.axis == axis
        }
        stencils = [d.stencil for d in derivatives.values()]
        walls = [stencils[0].low, stencils[0].high] if stencils else []
        slabs = [
            Slab(i, axis, side, halo[i], (at + step) % count)
            for side, step, wall in zip(("low", "high"), (-1, 1), walls, strict=False)
            if wall is None
            for i in handed
            if i in halo
        ]
        blocks = {i: _cut(f, axis, rows, halo.get(i, 0), walls) for i, f in fixed.items()}
        # The mean around a pole that is no row of these chunks: they need not wait for that.
        blocks |= {
            cap.field: Block(np.empty((1,) * len(chunks)))
            for cap in program.pole_rows
            if cap.axis == axis and cap.field in handed and walls[cap.end] is None
        }
        pieces.append(Piece(derivatives, blocks, slabs))
    return pieces


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
    f: NDArray[Any],
    axis: int,
    rows: tuple[int, int],
    reach: int,
    walls: Sequence[DomainBoundary | None],
) -> Block:
    """The block of an array in memory that varies along ``axis`` at most, with its slabs.

    It has a slab only at an interface. At a domain boundary the kernel makes the ghost rows of a
    factor itself; rows of the other end of the domain would be taken for them.
    """
    (start, stop), n = rows, f.shape[axis]
    if n == 1 or stop - start == n:
        return Block(f)
    block = Block(f[(slice(None),) * axis + (slice(start, stop),)])
    if reach and walls[0] is None:
        block.low[axis] = f.take(range(start - reach, start), axis, mode="wrap")
    if reach and walls[1] is None:
        block.high[axis] = f.take(range(stop, stop + reach), axis, mode="wrap")
    return block


def _meta(f: Any, ndim: int, task: Task) -> Any:
    dtype = task.dtype
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
