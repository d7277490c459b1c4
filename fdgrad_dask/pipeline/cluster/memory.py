"""How much memory who computes regions has."""

from __future__ import annotations

from dask.utils import parse_bytes

from fdgrad_dask.pipeline.config.cluster import Batch, Cluster, Here


def bytes_per_worker(cluster: Cluster) -> int:
    """Memory of one worker in bytes."""
    if isinstance(cluster, Batch):
        return int(parse_bytes(cluster.memory) // cluster.processes)
    if not isinstance(cluster, Here):
        return int(parse_bytes(cluster.memory_limit))
    from distributed.system import MEMORY_LIMIT  # slow to import, and not always needed

    if cluster.memory_limit == "auto":
        return int(MEMORY_LIMIT // cluster.workers)
    return int(min(parse_bytes(cluster.memory_limit), MEMORY_LIMIT))
