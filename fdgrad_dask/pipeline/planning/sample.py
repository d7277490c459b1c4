"""One region of a config, measured here: how long it reads, computes, and compresses."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any, Literal

import dask.threaded
import xarray as xr
from dask.core import flatten
from dask.utils import format_bytes

from fdgrad_dask.pipeline.planning.graph import Region, culled
from fdgrad_dask.pipeline.planning.job import Job
from fdgrad_dask.pipeline.store.encoding import codecs, stored

Profile = Literal["fast", "archive"]


def sampled(job: Job) -> list[str]:
    """A table of what the first region takes, on one thread of this machine."""
    region = Region(job.config, job.source, [job.plan.span(0)], job.pieces, job.halos)
    parts = {name: (dims, part) for name, dims, part in region.results()}
    tasks = culled([part for _, part in parts.values()])
    reads = [key for key in tasks if key[0] in region.read]
    seconds, blocks = _timed(lambda: dask.threaded.get(tasks, reads, num_workers=1))
    held = {**tasks, **dict(zip(reads, blocks, strict=True))}
    keys = list(flatten([part.__dask_keys__() for _, part in parts.values()]))
    dask.threaded.get(held, keys, num_workers=1)  # compiles
    again, _ = _timed(lambda: dask.threaded.get(held, keys, num_workers=1))
    arrays = {
        name: (dims, part.compute(scheduler="threads")) for name, (dims, part) in parts.items()
    }
    results = xr.Dataset(arrays)
    return [
        f"sample   the first region, on one thread of this machine: {format_bytes(results.nbytes)}",
        _line("read", seconds, sum(block.nbytes for block in blocks)),
        _line("compute", again, results.nbytes),
        _written("fast", results, job),
        _written("archive", results, job),
    ]


def _written(profile: Profile, results: xr.Dataset, job: Job) -> str:
    target = job.config.target.model_copy(update={"compression": profile})
    packed = results.map(lambda array: array.copy(data=stored(array.values, target)))
    for array in packed.data_vars.values():
        chunks = tuple(min(job.layout.chunks[str(dim)], n) for dim, n in array.sizes.items())
        array.encoding = {"chunks": chunks, **codecs(target)}
    with tempfile.TemporaryDirectory() as folder:
        seconds, _ = _timed(lambda: packed.to_zarr(folder, zarr_format=3, consolidated=False))
        files = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
        size = sum(map(os.path.getsize, files))
    return f"{_line(f'write {profile}', seconds, packed.nbytes)}, {packed.nbytes / size:.2f} : 1"


def _timed(does: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = does()
    return time.perf_counter() - began, result


def _line(what: str, seconds: float, nbytes: int) -> str:
    rate = format_bytes(int(nbytes / max(seconds, 1e-9)))
    return f"         {what:14} {seconds:8.3f} s  {format_bytes(nbytes):>12}  {rate:>12}/s"
