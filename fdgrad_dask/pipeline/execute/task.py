"""What computes regions, in this process or on a worker: read, computed, written in whole shards.

A small graph for each, on threads of its own, so that reading, computing and writing overlap. A
shard is written as soon as it is complete.
"""

import os
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

import dask.local
import dask.threaded
import jax
import numpy as np
import xarray as xr
from dask.optimization import cull
from dask.utils import format_bytes
from numpy.typing import NDArray

from fdgrad_dask.errors import InputError
from fdgrad_dask.halo.transfer import has_room, is_accelerated
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.execute.journal import RegionRecord, key_of
from fdgrad_dask.pipeline.planning.cutting import Chunks, Halo, Span
from fdgrad_dask.pipeline.planning.graph import Region, culled
from fdgrad_dask.pipeline.planning.job import Job, template
from fdgrad_dask.pipeline.source.open import fingerprint
from fdgrad_dask.pipeline.source.versions import ContextPool, recording
from fdgrad_dask.pipeline.store.base import Shard, Store, Writer
from fdgrad_dask.pipeline.store.open import store_of

_building = threading.Lock()  # xarray and dask change settings of the process meanwhile
Result = tuple[RegionRecord, Any]
"""The record of a region, and what the target's store wants of it."""


class Attempt(NamedTuple):
    """One region that is to be computed, where it lies, and how often it was tried."""

    region: int
    span: Span
    number: int = 1


@dataclass(frozen=True)
class Task:
    """Computes and writes regions of one run."""

    config: Config
    source: xr.Dataset
    """As the driver opened it: it says where things lie and holds no values. To find that out may
    take a look into thousands of files, which a thousand workers need not repeat."""
    shards: Mapping[str, int]
    halos: Mapping[str, Halo]
    pieces: Mapping[str, Chunks]
    threads: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What each file of the source is to the driver: a worker must see the same."""
    first: int | None = None
    """The region whose worker compares them."""
    worker: str = ""
    """Who computes, for the journal; without it the thread."""

    @cached_property
    def store(self) -> Store:
        return store_of(self.config.target)

    def compute(self, attempts: Sequence[Attempt]) -> list[Result]:
        """Computes and writes regions, one after another; fewer where one behind the first fails.

        That one is tried once more, as the first, and raises its error then: what is finished is
        kept.
        """
        done: list[Result] = []
        try:
            if any(each.region == self.first for each in attempts):
                self._require_same_source()
            # What the spans of regions in a row share: where a region reads another.
            for _, beside in groupby(
                attempts,
                lambda each: [ends for d, ends in each.span.items() if not self.halos[d].alone],
            ):
                together = list(beside)
                with _building, recording() as shared:  # labels are read once for them all
                    row = Row(self, [each.span for each in together])
                for each in together:
                    with recording() as own:
                        record, parcel = row.compute(each, self.store.writer())
                    done.append((replace(record, inputs={**own, **shared}), parcel))
        except Exception:
            if not done:
                raise
        return done

    def _require_same_source(self) -> None:
        """Refuses a source that is another one here than where the driver is."""
        here = fingerprint(self.config.source)
        for file, seen in self.inputs.items():
            if here.get(file) != seen:
                raise InputError(
                    f"{socket.gethostname()} sees another {file} than the driver "
                    f"({here.get(file)}, there {seen}); all machines must see one and the same, "
                    "and nothing may write it while a run reads it"
                )


class Row:
    """Regions in a row, along a dimension on which none reads another; they share a graph.

    Steps, labels and stencils are looked at once for them all. That is most of what a small
    region costs.
    """

    def __init__(self, task: Task, spans: Sequence[Span]) -> None:
        self._began, self._clock = time.time(), time.perf_counter()
        self._task = task
        given = (task.config, task.source, spans, task.pieces, task.halos)
        region = Region(*given, on_device=is_accelerated())
        # What is too large for the device goes there block by block, and each operator by itself.
        if region.on_device and not has_room(max(map(region.count_bytes, spans))):
            region = Region(*given)
        self._region, self._span = region, region.span
        self._results = list(region.shards(task.shards))
        self._tasks = culled([whole for _, _, whole in self._results])

    def compute(self, attempt: Attempt, writer: Writer) -> Result:
        """Reads, computes and writes one region; what they share is a part of the first."""
        tasks, keys = self._writing(attempt.span, writer)
        meter = _Meter(self._region)
        shards = _execute(tasks, keys, self._task.threads, self._region.on_device, meter)
        record = RegionRecord(
            number=attempt.region,
            key=key_of(attempt.span),
            worker=self._task.worker or threading.current_thread().name,
            began=self._began,
            seconds=time.perf_counter() - self._clock,
            **meter.sums,
            peak_memory=peak_memory(),
            attempt=attempt.number,
            checksums={shard.key: shard.checksum for shard in shards},
        )
        self._began, self._clock = time.time(), time.perf_counter()
        return record, writer.parcel()

    def _writing(self, span: Span, writer: Writer) -> tuple[dict[Any, Any], list[Any]]:
        """The graph of a region, in which each shard is written once it is put together."""
        writes: dict[Any, Any] = {}
        for name, dims, whole in self._results:
            if any(start for dim, (start, _) in span.items() if dim not in dims):
                continue  # it does not vary along this dimension, and the first region writes it
            sizes = [self._task.shards[dim] for dim in dims]
            first = [self._span[dim][0] // n for dim, n in zip(dims, sizes, strict=True)]
            places = (
                range(span[dim][0] // n, -(-span[dim][1] // n))
                for dim, n in zip(dims, sizes, strict=True)
            )
            for place in product(*places):
                corner = tuple(i * n for i, n in zip(place, sizes, strict=True))
                key = (whole.name, *(i - start for i, start in zip(place, first, strict=True)))
                writes[f"write-{name}", *place] = (_write, writer, name, corner, key)
        needed = [write[-1] for write in writes.values()]
        return {**cull(self._tasks, needed)[0], **writes}, list(writes)


def _execute(
    tasks: dict[Any, Any], keys: list[Any], threads: int, on_device: bool, meter: "_Meter"
) -> tuple[Shard, ...]:
    """What the tasks of ``keys`` give; where there is one thread it is that which waits."""
    shards: tuple[Shard, ...]
    # Not by a context: that would be one for all threads, and another may compute a region too.
    watched = {"callbacks": [(None, None, meter.begin, meter.end, None)]}
    if threads == 1 and not on_device:
        shards = dask.local.get_sync(tasks, keys, **watched)
    else:
        # What these threads read is noted for this region, and not for one beside it.
        with ContextPool(threads, initializer=_keep_64_bits if on_device else None) as pool:
            shards = dask.threaded.get(tasks, keys, pool=pool, **watched)
    return shards


def _keep_64_bits() -> None:
    """For as long as the thread lives: between operators JAX would make 32 of them."""
    jax.enable_x64(True).__enter__()


def _write(writer: Writer, name: str, corner: tuple[int, ...], values: NDArray[Any]) -> Shard:
    return writer.write(name, corner, np.asarray(values))


class _Meter:
    """Adds up what the tasks of a graph read, and how long they read and wrote."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._began: dict[Any, float] = {}
        self.sums: dict[str, Any] = {"read_seconds": 0.0, "write_seconds": 0.0}
        self.sums |= {"bytes_read": 0, "bytes_written": 0}

    def begin(self, key: Any, dsk: Any, state: Any) -> None:
        """A task is about to run."""
        self._began[key] = time.perf_counter()

    def end(self, key: Any, result: Any, dsk: Any, state: Any, worker: Any) -> None:
        """A task has run."""
        seconds = time.perf_counter() - self._began.pop(key)
        if key[0] in self._region.read:
            self.sums["read_seconds"] += seconds
            self.sums["bytes_read"] += self._region.decoded(key)
        elif isinstance(result, Shard):
            self.sums["write_seconds"] += seconds
            self.sums["bytes_written"] += result.nbytes


def peak_memory() -> int:
    """Resident bytes of this process at its peak so far."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # rusage is handed down by the parent, so it comes second
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def sampled(job: Job) -> list[str]:
    """A table of what the first region takes, on one thread of this machine."""
    lines = []
    for compression in ("fast", "archive"):
        with tempfile.TemporaryDirectory() as folder:
            changes = {"path": os.path.join(folder, "out.zarr"), "compression": compression}
            target = job.config.target.model_copy(update=changes)
            config = job.config.model_copy(update={"target": target})
            shards, halos, pieces = job.workload.shards, job.halos, job.pieces
            task = Task(config, job.source, shards, halos, pieces, threads=1)
            task.store.lay_out(template(job.result, job.layout, target))
            for _ in range(2):  # the first time it compiles
                [(record, _)] = task.compute([Attempt(0, job.plan.span(0))])
            size = sum(os.path.getsize(f"{target.path}.partial/{key}") for key in record.checksums)
        nbytes = record.bytes_written
        line = _line(f"write {compression}", record.write_seconds, nbytes)
        lines.append(f"{line}, {nbytes / size:.2f} : 1")
    seconds = record.seconds - record.read_seconds - record.write_seconds
    return [
        f"sample   the first region, on one thread of this machine: {format_bytes(nbytes)}",
        _line("read", record.read_seconds, record.bytes_read),
        _line("compute", seconds, nbytes),
        *lines,
    ]


def _line(what: str, seconds: float, nbytes: int) -> str:
    rate = format_bytes(int(nbytes / max(seconds, 1e-9)))
    return f"         {what:14} {seconds:8.3f} s  {format_bytes(nbytes):>12}  {rate:>12}/s"
