"""The halo mechanism that dask itself has: `overlap` and `map_blocks`, which make `map_overlap`.

It gives the same bits as the graph of `halo.chunks`, by another way: so it is the oracle of that
graph, and what serves arrays of kinds that only dask knows how to cut and join. It costs about
twice the tasks, ten times the time to build a graph, and a copy of every chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from operator import getitem
from typing import Any

import dask.array as da
import numpy as np

from fdgrad_dask.blocks.program import Block
from fdgrad_dask.halo.parameters import ChunkParameters
from fdgrad_dask.halo.tasks import ChunkTask


def overlap_chunks(
    arrays: Sequence[Any],
    chunks: Sequence[tuple[int, ...]],
    parameters: dict[int, list[ChunkParameters]],
    task: ChunkTask,
    name: str,
    meta: Any,
) -> list[da.Array]:
    """The outputs of ``task`` in ``chunks``, computed from chunks that dask has overlapped."""
    lazy = {i: f for i, f in enumerate(arrays) if isinstance(f, da.Array)}
    overlapped = [_overlap(f, i, parameters) for i, f in lazy.items()]
    tables = [
        _as_array(each, axis, len(chunks), f"parameters-{name}-{axis}")
        for axis, each in parameters.items()
    ]
    run = replace(task, program=replace(task.program, derivatives=()))
    outputs = task.program.outputs
    computed = da.map_blocks(
        partial(_compute_overlapped, run, tuple(lazy)),
        *overlapped,
        *tables,
        name=name,
        chunks=tuple(chunks),
        meta=meta if outputs == 1 else np.empty((0,) * len(chunks), object),
    )
    if outputs == 1:
        return [computed]
    return [da.map_blocks(getitem, computed, i, meta=meta) for i in range(outputs)]


def _overlap(f: da.Array, i: int, parameters: dict[int, list[ChunkParameters]]) -> da.Array:
    """Field ``i`` in chunks that hold their halos too.

    At the ends of the domain dask adds nothing, since the kernel knows what to do there; but on a
    periodic axis the halo of the first chunk is the end of the last.
    """
    depth, boundary = {}, {}
    for axis, each in parameters.items():
        widths = [halo.width for one in each for halo in one.halos if halo.field == i]
        if widths:
            depth[axis] = widths[0]
            boundary[axis] = "periodic" if each[0].halos[0].side == "low" else "none"
    return da.overlap.overlap(f, depth, boundary) if depth else f


def _as_array(parameters: list[ChunkParameters], axis: int, ndim: int, name: str) -> da.Array:
    """One parameter per chunk along ``axis``, so that each task is sent its own only."""
    table = np.empty(len(parameters), object)
    table[:] = parameters
    shape = [1] * ndim
    shape[axis] = len(parameters)
    lazy: da.Array = da.from_array(table.reshape(shape), chunks=1, name=name)
    return lazy


def _compute_overlapped(task: ChunkTask, numbers: tuple[int, ...], *given: Any) -> Any:
    """Cut the halos off the chunks of the fields ``numbers`` again, and compute."""
    parameters = [table.item() for table in given[len(numbers) :]]
    blocks = {}
    for i, chunk in zip(numbers, given, strict=False):
        halos = [halo for each in parameters for halo in each.halos if halo.field == i]
        inner = [slice(None)] * chunk.ndim
        for _, axis, side, width, _ in halos:
            start, stop = inner[axis].start, inner[axis].stop
            inner[axis] = slice(width, stop) if side == "low" else slice(start, -width)
        blocks[i] = Block(chunk[tuple(inner)])
        for _, axis, side, width, _ in halos:
            # Rows of the halo without its corners, as those beside a chunk are.
            outer = slice(width) if side == "low" else slice(-width, None)
            rows = chunk[(*inner[:axis], outer, *inner[axis + 1 :])]
            getattr(blocks[i], side)[axis] = rows
    return task.compute_part(blocks, parameters)
