"""Workers for ours and theirs: processes of one thread whose allocator keeps its memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_bytes
from distributed import Client, LocalCluster

from benchmarks.machine import KEEP_MEMORY


@contextmanager
def workers(count: int, memory: str | int = 0) -> Iterator[Client]:
    """A client of ``count`` workers; ``memory`` of each, 0 for no limit.

    They keep what they free, up to a quarter of that, as the workers of `fdgrad run`.
    """
    keep = str(parse_bytes(memory) // 4)
    limited = {name: keep for name in KEEP_MEMORY if memory and name.endswith("_THRESHOLD_")}
    spawn = {"distributed.nanny.pre-spawn-environ": KEEP_MEMORY | limited}
    with (
        dask.config.set(spawn),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=memory,
            dashboard_address=None,
            silence_logs=logging.ERROR,
            env={"NPROC": "1", "ZARR_THREADING__MAX_WORKERS": "4"},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def peak_memory() -> int:
    """Resident bytes of this process at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def spilled(dask_worker: Any) -> float:
    """MB that a worker has written to its disk for want of memory."""
    counted = getattr(dask_worker.data, "cumulative_metrics", {})
    return sum(n for key, n in counted.items() if key == ("disk-write", "bytes")) / 1e6
