"""What a worker does with a region: reads it, computes it, writes whole shards, all at once.

One opaque task for the cluster, of one region or of some small ones; inside it a small graph for
each on threads of its own, so that reading, computing and writing overlap. A shard is written as
soon as it is complete.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

import dask.local
import dask.threaded
import numpy as np
import xarray as xr
from dask.callbacks import Callback
from dask.optimization import cull
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


class Attempt(NamedTuple):
    """One region that is to be computed, where it lies, and how often it was tried."""

    region: int
    span: Span
    number: int = 1


Result = tuple[RegionRecord, Any]
"""The record of a region, and what the target's store wants of it."""


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


def compute(work: Work, attempts: Sequence[Attempt]) -> list[Result]:
    """Computes and writes regions, one after another; fewer where one behind the first fails.

    That one is tried once more, as the first, and its error told then: what is finished is kept.
    """
    done: list[Result] = []
    with travelling():
        try:
            for _, row in groupby(attempts, partial(_row, work)):
                for result in _Row(work, list(row)).computed():
                    done.append(result)
        except Exception:
            if not done:
                raise
    return done


def _row(work: Work, attempt: Attempt) -> list[tuple[int, int]]:
    """What the spans of regions that do not read each other have in common."""
    return [ends for dim, ends in attempt.span.items() if not work.halos[dim].alone]


class _Row:
    """Regions in a row, along a dimension on which none reads another; they share a graph.

    Steps, labels and stencils are looked at once for them all. That is most of what a small
    region costs.
    """

    def __init__(self, work: Work, attempts: Sequence[Attempt]) -> None:
        self._began, self._clock = time.time(), time.perf_counter()
        self._work, self._attempts = work, attempts
        self._opened = _opened(work)
        spans = [attempt.span for attempt in attempts]
        region = Region(work.config, self._opened.source, spans, work.pieces, work.halos)
        self._read, self._span = set(region.read), region.span
        self._results = list(region.shards(work.shards))
        self._tasks = culled([whole for _, _, whole in self._results])

    def computed(self) -> Iterator[Result]:
        """Each region in turn. What they share is a part of the first."""
        for attempt in self._attempts:
            yield self._computed(attempt)
            self._began, self._clock = time.time(), time.perf_counter()

    def _computed(self, attempt: Attempt) -> Result:
        writer = self._opened.store.writer()
        tasks, keys = self._writing(attempt.span, writer)
        with _Meter(self._read) as meter:
            shards = _executed(tasks, keys, self._work.threads)
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
        return record, writer.parcel()

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


def _opened(work: Work) -> _Open:
    """The source and the target, opened once in a process and run."""
    with _opening:
        if work.run not in _open:
            _open.clear()
            handed = _handed.pop(work.run, None)
            source = pickle.loads(handed) if handed else open_files(work.config.source)
            _open[work.run] = _Open(source, store_of(work.config.target))
        return _open[work.run]


def _executed(tasks: dict[Any, Any], keys: list[Any], threads: int) -> tuple[Shard, ...]:
    """What the tasks of ``keys`` give; where there is one thread it is that which waits."""
    shards: tuple[Shard, ...] = (
        dask.local.get_sync(tasks, keys)
        if threads == 1
        else dask.threaded.get(tasks, keys, num_workers=threads)
    )
    return shards


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
