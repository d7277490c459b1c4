"""What the target is to look like: its chunks, its shards, and a template without values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask.array as da
import xarray as xr

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.planning.cutting import Chunks


@dataclass(frozen=True)
class Layout:
    """Points of a chunk and of a shard, for every dimension of the results."""

    chunks: dict[str, int]
    shards: dict[str, int]

    def shards_of(self, array: xr.DataArray) -> tuple[int, ...]:
        return tuple(self.shards[str(dim)] for dim in array.dims)


def laid_out(
    result: xr.Dataset, target: Target, source: Source, pieces: Mapping[str, Chunks]
) -> Layout:
    """The layout that the config asks for, elsewhere that in which the source is read."""
    dims = {
        str(dim): size for array in result.data_vars.values() for dim, size in array.sizes.items()
    }
    if dim := target.extend if target.extend in dims else None:  # so that it stays as it grows
        dims[dim] = max(dims[dim], target.chunks[dim], target.shards.get(dim, 0))
    for section in ("chunks", "shards", "regions"):
        for dim in getattr(target, section):
            if dim not in dims:
                raise ConfigError(
                    f"target.{section}: no dimension {dim!r}; {did_you_mean(dim, dims)}"
                )
    wanted = {**source.chunks, **target.chunks}
    chunks = {dim: min(n, dims[dim]) for dim, n in _chunks(result, wanted, pieces, dims).items()}
    shards = {}
    for dim, chunk in chunks.items():
        points = target.shards.get(dim, chunk)
        shards[dim] = min(points, math.ceil(dims[dim] / chunk) * chunk)
        if shards[dim] % chunk:
            raise ConfigError(
                f"target.shards: {points} points along {dim!r} are no whole number of chunks of "
                f"{chunk}; choose {max(1, points // chunk) * chunk}, or another target.chunks"
            )
    return Layout(chunks, shards)


def _chunks(
    result: xr.Dataset,
    wanted: Mapping[str, Any],
    pieces: Mapping[str, Chunks],
    dims: Mapping[str, int],
) -> dict[str, int]:
    known: dict[str, Any] = {}
    for dim in dims:
        piece = wanted.get(dim, pieces.get(dim, "auto"))
        known[dim] = max(piece) if isinstance(piece, tuple) else piece
    widest = max((array.dtype for array in result.data_vars.values()), key=lambda d: d.itemsize)
    sizes = da.core.normalize_chunks(tuple(known.values()), tuple(dims.values()), dtype=widest)
    return dict(zip(dims, map(max, sizes), strict=True))


def template(result: xr.Dataset, layout: Layout, target: Target) -> xr.Dataset:
    """The results with their labels and encoding, and one task in place of their values."""
    arrays = {}
    for name, array in result.data_vars.items():
        dummy = da.zeros(array.shape, dtype=array.dtype, chunks=array.shape)
        arrays[name] = array.copy(data=dummy)
        encoding: dict[str, Any] = {"chunks": tuple(layout.chunks[str(d)] for d in array.dims)}
        if layout.shards != layout.chunks and array.ndim:
            encoding["shards"] = layout.shards_of(array)
        arrays[name].encoding = encoding
        if target.round_bits is not None and array.dtype.kind == "f":
            attribute = "_QuantizeBitRoundNumberOfSignificantBits"  # as the netCDF library has it
            arrays[name].attrs[attribute] = target.round_bits
    labelled = result.assign(arrays)
    # In this thread, where versions are noted: threads of dask before 2026 would note nothing.
    coords = {name: c.load(scheduler="sync") for name, c in labelled.coords.items()}
    return labelled.assign_coords(coords)
