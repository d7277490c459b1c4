"""Regions in a row, on a worker: read, computed, written in whole shards, all at once.

A small graph for each, on threads of its own, so that reading, computing and writing overlap. A
shard is written as soon as it is complete.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import dask.local
import dask.threaded
import jax
import numpy as np
import xarray as xr
from dask.callbacks import Callback
from dask.optimization import cull
from distributed import get_worker
from numpy.typing import NDArray

from fdgrad_dask.halo.transfer import has_room, is_accelerated
from fdgrad_dask.pipeline.execute.record import RegionRecord
from fdgrad_dask.pipeline.execute.work import Attempt, Result, Work
from fdgrad_dask.pipeline.plan.cutting import Span
from fdgrad_dask.pipeline.plan.graph import Region, culled, ends_of
from fdgrad_dask.pipeline.source.versions import ContextPool
from fdgrad_dask.pipeline.store.base import Shard, Writer


class Row:
    """Regions in a row, along a dimension on which none reads another; they share a graph.

    Steps, labels and stencils are looked at once for them all. That is most of what a small
    region costs.
    """

    def __init__(self, work: Work, source: xr.Dataset, spans: Sequence[Span]) -> None:
        self._began, self._clock = time.time(), time.perf_counter()
        self._work = work
        given = (work.config, source, spans, work.pieces, work.halos)
        region = Region(*given, on_device=is_accelerated())
        # What is too large for the device goes there block by block, and each operator by itself.
        if region.on_device and not has_room(max(map(region.count_bytes, spans))):
            region = Region(*given)
        self._region, self._read, self._span = region, region.read, region.span
        self._results = list(region.shards(work.shards))
        self._tasks = culled([whole for _, _, whole in self._results])

    def computed(self, attempt: Attempt, writer: Writer) -> Result:
        """Reads, computes and writes one region; what they share is a part of the first."""
        tasks, keys = self._writing(attempt.span, writer)
        with _Meter(self._region) as meter:
            shards = _execute(tasks, keys, self._work.threads, self._region.on_device)
        record = RegionRecord(
            number=attempt.region,
            key=json.dumps(attempt.span),
            worker=_worker(),
            began=self._began,
            seconds=time.perf_counter() - self._clock,
            read_seconds=meter.read_seconds,
            write_seconds=meter.write_seconds,
            bytes_read=meter.bytes_read,
            bytes_written=meter.bytes_written,
            peak_memory=peak_memory(),
            attempt=attempt.number,
            checksums={shard.key: shard.checksum for shard in shards},
        )
        self._began, self._clock = time.time(), time.perf_counter()
        return record, writer.parcel()

    def rehearsed(self, span: Span) -> None:
        """Computes one region of made-up values, and writes nothing: the kernels are compiled."""
        tasks, keys = self._writing(span, _Nowhere())
        for key in tasks:
            if key[0] in self._read:
                array = self._read[key[0]]
                tasks[key] = (_rising, ends_of(array.chunks, key[1:]), array.dtype)
        _execute(tasks, keys, self._work.threads, self._region.on_device)

    def _writing(self, span: Span, writer: Writer) -> tuple[dict[Any, Any], list[Any]]:
        """The graph of a region, in which each shard is written once it is put together."""
        writes: dict[Any, Any] = {}
        for name, dims, whole in self._results:
            if any(start for dim, (start, _) in span.items() if dim not in dims):
                continue  # it does not vary along this dimension, and the first region writes it
            sizes = [self._work.shards[dim] for dim in dims]
            first = [self._span[dim][0] // n for dim, n in zip(dims, sizes, strict=True)]
            places = (
                range(span[dim][0] // n, -(-span[dim][1] // n))
                for dim, n in zip(dims, sizes, strict=True)
            )
            for place in product(*places):
                key = (whole.name, *(i - start for i, start in zip(place, first, strict=True)))
                writes[f"write-{name}", *place] = (_write, writer, name, place, key)
        needed = [write[-1] for write in writes.values()]
        return {**cull(self._tasks, needed)[0], **writes}, list(writes)


def _execute(
    tasks: dict[Any, Any], keys: list[Any], threads: int, on_device: bool
) -> tuple[Shard, ...]:
    """What the tasks of ``keys`` give; where there is one thread it is that which waits."""
    shards: tuple[Shard, ...]
    if threads == 1 and not on_device:
        shards = dask.local.get_sync(tasks, keys)
    else:
        # What these threads read is noted for this region, and not for one beside it.
        with ContextPool(threads, initializer=_keep_64_bits if on_device else None) as pool:
            shards = dask.threaded.get(tasks, keys, pool=pool)
    return shards


def _keep_64_bits() -> None:
    """For as long as the thread lives: between operators JAX would make 32 of them."""
    jax.enable_x64(True).__enter__()


def _write(writer: Writer, name: str, place: tuple[int, ...], values: NDArray[Any]) -> Shard:
    return writer.write(name, place, np.asarray(values))


class _Nowhere:
    """A writer that writes nothing."""

    def write(self, name: str, place: tuple[int, ...], values: NDArray[np.generic]) -> Shard:
        return Shard(name, "", 0)

    def parcel(self) -> None:
        """There is none."""


def _rising(at: Sequence[tuple[int, int]], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values that rise along every axis from chunk to chunk, as a coordinate must."""
    return np.asarray(sum(np.ix_(*(np.arange(*ends) for ends in at))), dtype)


class _Meter(Callback):
    """Adds up what the tasks of a graph read, and how long they read and wrote."""

    def __init__(self, region: Region) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            pretask=self._before, posttask=self._after
        )
        self._region = region
        self._began: dict[Any, float] = {}
        self.bytes_read = self.bytes_written = 0
        self.read_seconds = self.write_seconds = 0.0

    def _before(self, key: Any, dsk: Any, state: Any) -> None:
        self._began[key] = time.perf_counter()

    def _after(self, key: Any, result: Any, dsk: Any, state: Any, worker: Any) -> None:
        seconds = time.perf_counter() - self._began.pop(key)
        if key[0] in self._region.read:
            self.read_seconds += seconds
            self.bytes_read += self._region.decoded(key)
        elif isinstance(result, Shard):
            self.write_seconds += seconds
            self.bytes_written += result.nbytes


def peak_memory() -> int:
    """Resident bytes of this process at its peak so far."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # rusage is handed down by the parent, so it comes second
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _worker() -> str:
    try:
        return str(get_worker().address)
    except ValueError:  # outside a cluster
        return f"{socket.gethostname()}:{os.getpid()}"
