"""The dask graph of a program: one task per chunk, and one for its edge rows along each axis.

A chunk needs a few rows of its neighbours along each axis that is differentiated. These edge rows
are cut off where the chunk lies, so that only they travel. A chunk takes its halos out of the edge
rows of its neighbours. Each derivative runs along one axis, so that halos form a star: no corners
are exchanged, and 2 neighbours per axis are enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from operator import getitem
from typing import Any

import dask
import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Task, TaskRef

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.blocks.program import Program
from fdgrad_dask.errors import ChunkError, OptionError
from fdgrad_dask.halo.fields import (
    Expanded,
    find_expansion,
    find_kind,
    is_dask,
    is_lazy,
    merge_chunks,
    rechunk_field,
)
from fdgrad_dask.halo.overlap import overlap_chunks
from fdgrad_dask.halo.parameters import ChunkParameters, cut_parameters
from fdgrad_dask.halo.tasks import ChunkTask, is_duck, register_jax, take_edge_rows

Key = tuple[Any, ...]
Place = tuple[int, ...]

# Bytes. One task takes the edge rows along all axes if they are no more than this: a network
# carries rows that one neighbour does not need faster than a scheduler handles one more task.
TOGETHER = 1 << 20
# How chunks get their halos: by tasks of our own, or by dask's `map_overlap`.
MECHANISMS = ("attach", "map_overlap")


class Shared(Task):
    """A task with several outputs, which dask must not fuse into those that take one of them.

    `dask.optimize` looks at one result at a time: fused, the chunk would be computed for each.
    """

    __slots__ = ()

    @property
    def block_fusion(self) -> bool:
        return True


def compute_chunks(fields: Sequence[Any], task: ChunkTask) -> list[da.Array]:
    """The outputs as dask arrays, in the chunks of the first field that has the full shape."""
    program = task.program
    shape = _shape(fields, program)
    full = next((f for f in fields if is_lazy(f) and f.shape == shape), None)
    chunks = (
        da.core.normalize_chunks("auto", shape, dtype=task.dtype) if full is None else full.chunks
    )
    merged = list(chunks)
    for axis in program.axes:
        stencils = program.stencils(axis)
        merged[axis] = merge_chunks(
            chunks[axis],
            max(s.min_chunk_size(s.low) for s in stencils),
            max(s.halo_width for s in stencils),
            max(s.min_chunk_size(s.high) for s in stencils),
        )
    needs_halo = program.outputs > 1 or any(len(merged[axis]) > 1 for axis in program.axes)
    arrays = [rechunk_field(f, merged, keep_lines=needs_halo) for f in fields]
    mechanism = _halo_mechanism()
    if any(is_duck(find_kind(f)) for f in fields if is_lazy(f)):
        mechanism = "map_overlap"  # which cuts and joins arrays of all kinds that dask knows
    if mechanism == "map_overlap":
        arrays = [f.to_dask() if isinstance(f, Expanded) else f for f in arrays]
    task = replace(task, expansions=tuple(map(find_expansion, arrays)))
    names = [f.name if is_dask(f) else f for f in arrays]
    name = "fdgrad-" + tokenize(names, program, task.dtype, mechanism)
    meta = make_meta(fields, len(shape), task.dtype)
    if not needs_halo:
        results = [_compute_without_halos(arrays, task, name, meta)]
    elif mechanism == "map_overlap":
        parameters = cut_parameters(program, arrays, merged)
        results = overlap_chunks(arrays, merged, parameters, task, name, meta)
    else:
        results = _attach_halos(arrays, merged, task, name, meta)
    if all(merged[axis] == chunks[axis] for axis in program.axes):
        return results
    return [result.rechunk(chunks) for result in results]


def _halo_mechanism() -> str:
    """The value of the key ``fdgrad.halo`` in dask's configuration."""
    mechanism = dask.config.get("fdgrad.halo", "attach")
    if mechanism not in MECHANISMS:
        raise OptionError(
            f"the key 'fdgrad.halo' of dask's configuration is {mechanism!r}, but it must be "
            "'attach' or 'map_overlap'; set one of them: dask.config.set({'fdgrad.halo': 'attach'})"
        )
    return str(mechanism)


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


def _compute_without_halos(arrays: list[Any], task: ChunkTask, name: str, meta: Any) -> Any:
    """One blockwise layer, which dask fuses with what comes before and after it."""
    index = tuple(range(meta.ndim))
    pairs = [
        part
        for f in arrays
        for part in ((f.values, f.expansion.axes) if isinstance(f, Expanded) else (f, index))
    ]
    return da.blockwise(task.compute_alone, index, *pairs, name=name, meta=meta, align_arrays=False)


def _attach_halos(
    arrays: list[Any], chunks: list[tuple[int, ...]], task: ChunkTask, name: str, meta: Any
) -> list[da.Array]:
    """Tasks of dask in a plain dict, instead of its public functions.

    `Array.blocks` and `concatenate` would do the same with 7 to 12 tasks a chunk, and take ten
    times as long to build a graph.
    """
    graph = _Graph(arrays, chunks, task, name)
    lazy = list(graph.lazy.values())
    return make_arrays(name, graph.tasks(), lazy, task.program.outputs, chunks, meta)


def make_arrays(
    name: str,
    tasks: dict[Any, Task],
    lazy: list[Any],
    outputs: int,
    chunks: Sequence[tuple[int, ...]],
    meta: Any,
) -> list[da.Array]:
    """The arrays of ``outputs`` that the tasks give: each its one output, or a list of them."""
    graph = HighLevelGraph.from_collections(name, tasks, dependencies=lazy)
    if outputs == 1:
        return [da.Array(graph, name, chunks=chunks, meta=meta)]
    results = []
    for number in range(outputs):
        output = f"{name}-{number}"
        taken = {
            (output, *place): Task((output, *place), getitem, TaskRef((name, *place)), number)
            for place in list_places(chunks)
        }
        layers: dict[str, Any] = {**graph.layers, output: taken}
        dependencies = {**graph.dependencies, output: {name}}
        results.append(
            da.Array(HighLevelGraph(layers, dependencies), output, chunks=chunks, meta=meta)
        )
    return results


class _Graph:
    """The tasks of all chunks. Those with the same index along an axis share its parameters."""

    def __init__(
        self, arrays: list[Any], chunks: list[tuple[int, ...]], task: ChunkTask, name: str
    ) -> None:
        self.name, self.chunks = name, chunks
        self.expansions = task.expansions
        self.lazy: dict[int, da.Array] = {
            i: f.values if isinstance(f, Expanded) else f
            for i, f in enumerate(arrays)
            if is_lazy(f)
        }
        self.parameters = cut_parameters(task.program, arrays, chunks)
        self.edges = {i: self._edge_layers(i, arrays[i], task.program) for i in self.lazy}
        self.axes = {i: self._find_axes(i) for i in self.lazy}
        self.kind = Task if task.program.outputs == 1 else Shared
        # The derivatives come with the parameters: no worker is sent the table of a whole axis.
        self.run = replace(task, program=replace(task.program, derivatives=())).compute_attached
        # What a large graph costs is mostly the garbage collector, which walks through all
        # objects again and again: so tasks share their references.
        self.references: dict[Key, TaskRef] = {}

    def _find_axes(self, i: int) -> tuple[int | None, ...]:
        """By dimension of a lazy field the axis whose chunks it has; None if it has only one."""
        expansion, numblocks = self.expansions[i], self.lazy[i].numblocks
        axes = range(len(numblocks)) if expansion is None else expansion.axes
        along = zip(axes, numblocks, strict=True)
        return tuple(axis if n == len(self.chunks[axis]) else None for axis, n in along)

    def _edge_layers(
        self, i: int, f: da.Array | Expanded, program: Program
    ) -> dict[int, tuple[str, dict[int, int]]]:
        """axis → the name of the tasks with the edge rows along it, and axis → width of theirs.

        They are named by what they hold, so that all programs over the same chunks share them.
        """

        def named(widths: dict[int, int]) -> tuple[str, dict[int, int]]:
            return f"edges-fdgrad-{tokenize(self.lazy[i].name, widths, self.expansions[i])}", widths

        widths = {axis: n for axis, n in program.halo(i).items() if len(f.chunks[axis]) > 1}
        longest = [max(sizes) for sizes in f.chunks]
        size = math.prod(longest)
        points = sum(2 * width * size // longest[axis] for axis, width in widths.items())
        if points * self.lazy[i].dtype.itemsize <= TOGETHER:
            return dict.fromkeys(widths, named(widths))
        return {axis: named({axis: width}) for axis, width in widths.items()}

    def tasks(self) -> dict[Any, Task]:
        """The tasks of the edge rows, and of the chunks."""
        made: dict[Any, Task] = {}
        for i, layers in self.edges.items():
            for name, widths in dict(layers.values()).items():
                for place in list_places(self.lazy[i].chunks):
                    key, chunk = (name, *place), self._refer((self.lazy[i].name, *place))
                    made[key] = Task(key, take_edge_rows, chunk, widths, self.expansions[i])
        for place in list_places(self.chunks):
            parameters = tuple([each[place[axis]] for axis, each in self.parameters.items()])
            key = (self.name, *place)
            made[key] = self.kind(key, self.run, *self._inputs(place, parameters), parameters)
        return made

    def _inputs(self, place: Place, parameters: Sequence[ChunkParameters]) -> Iterator[TaskRef]:
        """The chunks of the fields, then the edge rows that the halos are taken from."""
        fixed = {i for each in parameters for i in each.fixed}
        for i, f in self.lazy.items():
            if i not in fixed:
                yield self._refer(self._key(f.name, i, place))
        for each in parameters:
            for i, axis, _, _, neighbour in each.halos:
                beside = (*place[:axis], neighbour, *place[axis + 1 :])
                yield self._refer(self._key(self.edges[i][axis][0], i, beside))

    def _key(self, name: str, i: int, place: Place) -> Key:
        """That of a chunk of a field: the only one along axes on which the field does not vary."""
        return (name, *[0 if axis is None else place[axis] for axis in self.axes[i]])

    def _refer(self, key: Key) -> TaskRef:
        found = self.references.get(key)
        if found is None:
            found = self.references[key] = TaskRef(key)
        return found


def list_places(chunks: Sequence[tuple[int, ...]]) -> Iterator[Place]:
    """The place of each chunk in the grid of chunks."""
    return product(*[range(len(sizes)) for sizes in chunks])


def make_meta(fields: Sequence[Any], ndim: int, dtype: np.dtype[Any]) -> Any:
    """An empty array of the kind that the chunks of a result are."""
    kinds = [find_kind(f) for f in fields]
    if any(map(is_jax, kinds)):
        with jax.enable_x64(True):
            meta = jnp.zeros((0,) * ndim, dtype)
        register_jax(type(meta))
        return meta
    like = kinds[0] if is_dask(fields[0]) else np.empty(0)
    return np.empty_like(like, dtype, shape=(0,) * ndim)
