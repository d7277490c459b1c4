"""How much memory who computes regions has."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

import psutil
from dask.utils import parse_bytes

from fdgrad_dask.pipeline.config.cluster import Batch, Cluster, Here


def bytes_per_worker(cluster: Cluster) -> int:
    """Memory of one worker in bytes."""
    if isinstance(cluster, Batch):
        return int(parse_bytes(cluster.memory) // cluster.processes)
    if not isinstance(cluster, Here):
        return int(parse_bytes(cluster.memory_limit))
    if cluster.memory_limit == "auto":
        return int(of_machine() // cluster.workers)
    return int(min(parse_bytes(cluster.memory_limit), of_machine()))


def of_machine() -> int:
    """Bytes of this machine, or what a container or the shell lets this process have of them.

    As distributed counts them, whose import takes a twentieth of a short run.
    """
    limits = [psutil.virtual_memory().total, resource.getrlimit(resource.RLIMIT_RSS)[0]]
    for file in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroups of version 2, and 1
        with suppress(OSError, ValueError):  # it is not there, or says "max"
            limits.append(int(Path("/sys/fs/cgroup", file).read_text()))
    return min(limit for limit in limits if limit > 0)
