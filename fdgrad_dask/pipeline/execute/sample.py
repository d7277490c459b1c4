"""One region of a config, measured here: how long it reads, computes, and compresses."""

from __future__ import annotations

import os
import tempfile

from dask.utils import format_bytes

from fdgrad_dask.pipeline.execute.journal import RegionRecord
from fdgrad_dask.pipeline.execute.task import Attempt, Task
from fdgrad_dask.pipeline.planning.job import Job
from fdgrad_dask.pipeline.planning.layout import template


def sampled(job: Job) -> list[str]:
    """A table of what the first region takes, on one thread of this machine."""
    lines = []
    for profile in ("fast", "archive"):
        record, size = _measure(job, profile)
        nbytes = record.bytes_written
        line = _line(f"write {profile}", record.write_seconds, nbytes)
        lines.append(f"{line}, {nbytes / size:.2f} : 1")
    seconds = record.seconds - record.read_seconds - record.write_seconds
    return [
        f"sample   the first region, on one thread of this machine: {format_bytes(nbytes)}",
        _line("read", record.read_seconds, record.bytes_read),
        _line("compute", seconds, nbytes),
        *lines,
    ]


def _measure(job: Job, compression: str) -> tuple[RegionRecord, int]:
    """The record of the region, and the bytes of its shards, compressed like this."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {"path": os.path.join(folder, "out.zarr"), "compression": compression}
        target = job.config.target.model_copy(update=changes)
        config = job.config.model_copy(update={"target": target})
        shards, halos, pieces = job.workload.shards, job.halos, job.pieces
        task = Task(config, job.source, shards, halos, pieces, threads=1)
        task.store.lay_out(template(job.result, job.layout, target))
        for _ in range(2):  # the first time it compiles
            [(record, _)] = task.compute([Attempt(0, job.plan.span(0))])
        written = [f"{target.path}.partial/{key}" for key in record.checksums]
        return record, sum(map(os.path.getsize, written))


def _line(what: str, seconds: float, nbytes: int) -> str:
    rate = format_bytes(int(nbytes / max(seconds, 1e-9)))
    return f"         {what:14} {seconds:8.3f} s  {format_bytes(nbytes):>12}  {rate:>12}/s"
