"""Transforms that need all points along some axes at once: one task a chunk of the other axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import dask.array as da

from fdgrad_dask.blocks.harmonics import Transform
from fdgrad_dask.halo.chunks import make_meta, map_chunks
from fdgrad_dask.halo.compute import length
from fdgrad_dask.halo.fields import is_dask
from fdgrad_dask.halo.tasks import fill_masked, refuse_complex, refuse_foreign


def transform_planes(fields: Sequence[Any], transform: Transform) -> list[Any]:
    """The outputs of ``transform`` over fields of one shape: lazy or JAX if any of them is.

    The chunks of a plane are joined for it, and results are cut as the first lazy field was.
    """
    ndim = fields[0].ndim
    first = next((f for f in fields if is_dask(f)), None)
    if first is None:
        return transform.compute(*fields)
    axes = [axis % ndim for axis in transform.rings.axes]
    for axis in axes:
        length(first, axis)
    whole = dict.fromkeys(axes, -1)
    joined = first.rechunk(whole)
    is_unknown = any(map(math.isnan, first.shape))
    arrays = [
        f.rechunk(whole if is_unknown else joined.chunks)
        if is_dask(f)
        else da.from_array(f, chunks=joined.chunks)
        for f in fields
    ]
    meta = make_meta(fields, ndim, transform.dtype)
    results = map_chunks(partial(_transform_chunk, transform), arrays, transform.count, meta)
    return [result.rechunk({axis: first.chunks[axis] for axis in axes}) for result in results]


def _transform_chunk(transform: Transform, *chunks: Any) -> Any:
    for chunk in chunks:
        refuse_foreign(chunk)
    refuse_complex(chunks, transform.dtype)
    return transform.compute_in_task(*map(fill_masked, chunks))
