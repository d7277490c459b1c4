"""What a worker does with one region: reads it, computes it, writes whole shards, all at once.

One opaque task for the cluster; inside it a small graph on threads of its own, so that reading,
computing and writing overlap. A shard is written as soon as it is complete.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import dask.array as da
import dask.threaded
import numpy as np
import xarray as xr
from dask.callbacks import Callback
from distributed import Worker, WorkerPlugin, get_worker
from numpy.typing import NDArray

from fdgrad_dask.pipeline.config import Config
from fdgrad_dask.pipeline.lazy import Region, culled
from fdgrad_dask.pipeline.plan import Chunks, Halo, Span
from fdgrad_dask.pipeline.record import RegionRecord
from fdgrad_dask.pipeline.source import open_files
from fdgrad_dask.pipeline.targets.opening import store_of
from fdgrad_dask.pipeline.targets.store import Shard, Store, Writer
from fdgrad_dask.pipeline.travelling import travelling


@dataclass(frozen=True)
class Work:
    """What all regions of a run share; a few kilobytes that travel with each."""

    run: str
    """Names the run: what a process keeps open belongs to it."""
    config: Config
    shards: dict[str, int]
    halos: dict[str, Halo]
    pieces: dict[str, Chunks]
    threads: int


@dataclass(frozen=True)
class _Open:
    source: xr.Dataset
    store: Store


_open: dict[str, _Open] = {}
_handed: dict[str, bytes] = {}
_opening = threading.Lock()


class Handed(WorkerPlugin):
    """Gives each worker the source as the driver has opened it.

    What is opened says where things lie and holds no values. To find that out may take a look into
    thousands of files, which a thousand workers need not repeat.
    """

    name = "fdgrad-source"

    def __init__(self, run: str, source: xr.Dataset) -> None:
        self._run, self._source = run, pickle.dumps(source)

    def setup(self, worker: Worker) -> None:
        """Keeps it until the first region asks."""
        _handed.clear()
        _handed[self._run] = self._source


def compute(work: Work, number: int, span: Span, attempt: int) -> tuple[RegionRecord, Any]:
    """Computes and writes one region; its record, and what the target's store wants of it."""
    with travelling():
        return _computed(work, number, span, attempt)


def _computed(work: Work, number: int, span: Span, attempt: int) -> tuple[RegionRecord, Any]:
    began, clock = time.time(), time.perf_counter()
    opened = _opened(work)
    region = Region(work.config, opened.source, span, work.pieces, work.halos)
    writer = opened.store.writer()
    tasks, keys = _writing(region, writer, work.shards)
    with _Meter(set(region.read)) as meter:
        shards: tuple[Shard, ...] = dask.threaded.get(tasks, keys, num_workers=work.threads)
    record = RegionRecord(
        number=number,
        key=json.dumps(span),
        worker=_worker(),
        began=began,
        seconds=time.perf_counter() - clock,
        read_seconds=meter.read_seconds,
        write_seconds=meter.write_seconds,
        bytes_read=meter.bytes_read,
        bytes_written=meter.bytes_written,
        peak_memory=peak_memory(),
        attempt=attempt,
        checksums={shard.key: shard.checksum for shard in shards},
    )
    return record, writer.parcel()


def _opened(work: Work) -> _Open:
    """The source and the target, opened once in a process and run."""
    with _opening:
        if work.run not in _open:
            _open.clear()
            handed = _handed.pop(work.run, None)
            source = pickle.loads(handed) if handed else open_files(work.config.source)
            _open[work.run] = _Open(source, store_of(work.config.target))
        return _open[work.run]


def _writing(
    region: Region, writer: Writer, shards: Mapping[str, int]
) -> tuple[dict[Any, Any], list[Any]]:
    """The graph of a region, in which each shard is written once it is put together."""
    tasks: dict[Any, Any] = {}
    arrays: list[da.Array] = []
    for name, dims, part in region.results():
        if any(start for dim, (start, _) in region.span.items() if dim not in dims):
            continue  # it does not vary along this dimension, and the first region writes it
        corner = [region.span[dim][0] // shards[dim] for dim in dims]
        whole = part.rechunk(tuple(shards[dim] for dim in dims), method="tasks")
        arrays.append(whole)
        for place in product(*map(range, whole.numblocks)):
            there = tuple(c + i for c, i in zip(corner, place, strict=True))
            key = (f"write-{name}", *place)
            tasks[key] = (_write, writer, name, there, (whole.name, *place))
    return {**culled(arrays), **tasks}, list(tasks)


def _write(writer: Writer, name: str, place: tuple[int, ...], values: NDArray[Any]) -> Shard:
    return writer.write(name, place, np.asarray(values))


class _Meter(Callback):
    """Adds up what the tasks of a graph read, and how long they read and wrote."""

    def __init__(self, read: set[str]) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            pretask=self._before, posttask=self._after
        )
        self._read = read
        self._began: dict[Any, float] = {}
        self.bytes_read = self.bytes_written = 0
        self.read_seconds = self.write_seconds = 0.0

    def _before(self, key: Any, dsk: Any, state: Any) -> None:
        self._began[key] = time.perf_counter()

    def _after(self, key: Any, result: Any, dsk: Any, state: Any, worker: Any) -> None:
        seconds = time.perf_counter() - self._began.pop(key)
        if key[0] in self._read:
            self.read_seconds += seconds
            self.bytes_read += result.nbytes
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
