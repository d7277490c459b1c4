"""The one entry to what runs: whole arrays, or dask chunks with the rows of their neighbours.

Boundaries are closed at the ends of the domain only, so the chunks of a result are those of the
input, and its bits do not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from fdgrad_dask.blocks import sharded
from fdgrad_dask.blocks.device import in_double, is_jax
from fdgrad_dask.blocks.device import result_dtype as jax_dtype
from fdgrad_dask.blocks.program import Block, Derivative, Program, single
from fdgrad_dask.errors import ChunkError
from fdgrad_dask.halo.chunks import compute_chunks, map_chunks
from fdgrad_dask.halo.fields import expand as expand
from fdgrad_dask.halo.fields import find_kind, is_lazy
from fdgrad_dask.halo.fields import is_dask as is_dask
from fdgrad_dask.halo.tasks import ChunkTask, is_duck, register_jax
from fdgrad_dask.stencils.dtypes import needs_numpy, result_dtype
from fdgrad_dask.stencils.table import StencilTable


def length(f: Any, axis: int) -> int:
    """The number of points along ``axis``.

    Raises
    ------
    ChunkError
        The sizes of the chunks along it are unknown.
    """
    if isinstance(f.shape[axis], float):  # NaN; a size that JAX knows by its name is none
        raise ChunkError(
            f"the chunks of axis {axis} have unknown sizes, but a halo needs to know where they "
            "end; call compute_chunk_sizes() on the array first"
        )
    return int(f.shape[axis])


def differentiate(
    f: Any, axis: int, stencil: StencilTable, z: Any = None, error_text: str = ""
) -> Any:
    """The derivative of ``f`` along ``axis``: NumPy, JAX or dask, as ``f`` is.

    ``z``, of the shape of ``f``, is the coordinate where it varies along other axes too;
    ``error_text`` is raised if it is not monotonic. The result is lazy if either is.
    """
    fields = [f] if z is None else [f, z]
    return compute(fields, single(stencil, axis, None if z is None else 1, error_text))[0]


def differentiate_all(
    fields: Sequence[Any], along: Sequence[tuple[int, StencilTable]]
) -> list[list[Any]]:
    """The derivatives of all fields along each of some axes, in one pass over them."""
    count = len(fields)
    derivatives = tuple(Derivative(i, axis, table) for axis, table in along for i in range(count))
    operands = tuple(((i, None),) for i in range(count))
    made = compute(fields, Program(operands, derivatives, None, len(derivatives)))
    return [made[first : first + count] for first in range(0, len(made), count)]


def compute(fields: Sequence[Any], program: Program, dtype: Any = None) -> list[Any]:
    """The outputs of ``program`` over ``fields``: lazy or JAX if any of them is, else NumPy.

    The fields have the same dimensions in the same order, and size 1 along those on which they
    do not vary. The outputs have ``dtype``, or that of the first field.
    """
    dtype = choose_dtype(fields, dtype)
    task = ChunkTask(program, dtype)
    kind = find_kind(fields[0])
    in_numpy = needs_numpy(kind) or is_duck(kind)
    if in_numpy and any(d.z is not None for d in program.derivatives):
        raise TypeError(
            f"a coordinate of several dimensions goes with float32 and float64, not with "
            f"{dtype}; convert the field: .astype('float64')"
        )
    if any(map(is_lazy, fields)):
        return compute_chunks(fields, task)
    return task.compute([Block(f) for f in fields])


def choose_dtype(fields: Sequence[Any], dtype: Any = None) -> np.dtype[Any]:
    """The dtype of a result that is computed in ``dtype``, or in that of the first field."""
    kinds = [find_kind(f) for f in fields]
    if any(map(is_jax, kinds)):
        return jax_dtype(kinds, dtype)
    return result_dtype(fields[0].dtype if dtype is None else dtype)


def average_row(f: Any, axis: int, index: int, along: int) -> Any:
    """The mean along ``along`` of row ``index`` of ``axis``: in 64 bits, or as JAX has it.

    Both axes stay with size 1. Of a dask array it is the mean of one chunk: a mean of means would
    depend on how the array is cut. It is taken on the host, where it has the bits of NumPy for all
    kinds of chunks.
    """
    dtype = np.dtype(np.complex128 if f.dtype.kind == "c" else np.float64)
    if is_jax(f):
        return sharded.average_row(f, axis, index, along, jax_dtype([f], dtype))
    row = f[(slice(None),) * axis + (slice(index, index + 1 or None),)]
    if not is_dask(f):
        return row.mean(along, dtype=dtype, keepdims=True)
    joined = row.rechunk({along: -1})
    chunks = (*joined.chunks[:along], (1,), *joined.chunks[along + 1 :])
    meta = np.empty(0, dtype) if is_jax(f._meta) else f._meta.astype(dtype)
    return joined.map_blocks(_average_on_host, along, dtype, chunks=chunks, meta=meta)


def scale(data: Any, factor: Any, offset: Any = None) -> Any:
    """Multiply the data, and add an offset if there is one; in their own dtype, lazy as they are.

    Threads of dask's pool know nothing of 64 bits in JAX unless each chunk says so.
    """
    if is_dask(data) and is_jax(data._meta):
        return data.map_blocks(_scale_chunk, factor, offset, meta=data._meta)
    return data * factor if offset is None else data * factor + offset


def concatenate(parts: Sequence[Any], axis: int) -> Any:
    """Join arrays along an axis: lazy or JAX if any of them is, in the chunks of the parts."""
    if any(map(is_dask, parts)):
        metas = [part._meta for part in parts if is_dask(part)]
        kind = next(filter(is_jax, metas), None)
        if kind is not None:
            register_jax(type(kind))
        joined = da.concatenate(list(parts), axis=axis)
        # Of JAX arrays dask makes NumPy's when it looks at what kind the result is.
        return (
            joined if kind is None else da.Array(joined.dask, joined.name, joined.chunks, meta=kind)
        )
    leader = next(filter(is_jax, parts), None)
    namespace = np if leader is None else leader.__array_namespace__()
    return namespace.concatenate(list(parts), axis=axis)


def apply_pointwise(function: Callable[..., Any], *arrays: Any) -> Any:
    """``function`` of arrays of as many dimensions each, which broadcast, at every point.

    Lazy if an array is, with one task per chunk; JAX arrays have 64 bits as in `scale`.
    """
    if not any(map(is_dask, arrays)):
        return _apply_to_chunks(*arrays, function=function)
    lazy = [f if is_dask(f) else da.from_array(f, chunks=-1) for f in arrays]
    index = tuple(range(lazy[0].ndim))
    pairs = [part for f in lazy for part in (f, index)]
    return da.blockwise(_apply_to_chunks, index, *pairs, function=function)


def apply_together(function: Callable[..., Any], outputs: int, *arrays: Any) -> list[Any]:
    """The float64 arrays that ``function`` makes of arrays of one shape, at every point.

    Lazy if an array is, with one task a chunk for all of them; JAX arrays have 64 bits.
    """
    first = next(filter(is_dask, arrays), None)
    if first is None:
        return list(_apply_to_chunks(*arrays, function=function))
    lazy = [
        f.rechunk(first.chunks) if is_dask(f) else da.from_array(f, chunks=first.chunks)
        for f in arrays
    ]
    apply = partial(_apply_to_chunks, function=function)
    return list(map_chunks(apply, lazy, outputs, np.empty((0,) * first.ndim)))


def _apply_to_chunks(*chunks: Any, function: Callable[..., Any]) -> Any:
    with in_double(chunks), np.errstate(all="ignore"):
        made = function(*chunks)
    if is_jax(made):
        register_jax(type(made))
    return made


def _scale_chunk(chunk: Any, factor: Any, offset: Any) -> Any:
    with in_double([chunk]):
        return scale(chunk, factor, offset)


def _average_on_host(chunk: Any, axis: int, dtype: Any) -> Any:
    chunk = np.asanyarray(chunk)
    if isinstance(chunk, np.ma.MaskedArray):
        chunk = np.ma.filled(chunk.astype(dtype), np.nan)  # as in `ChunkTask.compute`
    return chunk.mean(axis, dtype=dtype, keepdims=True)
