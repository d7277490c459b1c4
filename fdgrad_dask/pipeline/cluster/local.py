"""Clusters of this machine: a process for each worker, or for each GPU."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.cluster.memory import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Gpu, Local
from fdgrad_dask.pipeline.config.section import visible_gpus


@contextmanager
def local(cluster: Local | Gpu) -> Iterator[Client]:
    """Processes on this machine."""
    scheduler = {"host": "127.0.0.1", "dashboard_address": resources.dashboard()}
    # The nanny's env= is set in the child, too late for its malloc: that goes before the spawn.
    spawn = {"distributed.nanny.pre-spawn-environ": resources.allocator(cluster)}
    with (
        dask.config.set(spawn | resources.PATIENT),
        SpecCluster(
            workers(cluster),
            {"cls": Scheduler, "options": scheduler},
            silence_logs=logging.CRITICAL,
        ) as running,
        Client(running) as client,
    ):
        yield client


def workers(cluster: Local | Gpu) -> dict[int, dict[str, Any]]:
    """A nanny for each process; one that it restarts has the same GPU again."""
    options = {
        "nthreads": 1,
        "memory_limit": bytes_per_worker(cluster),
        "host": "127.0.0.1",
        "dashboard_address": resources.HERE,
        "silence_logs": logging.CRITICAL,
    }
    environment = resources.libraries(cluster)
    own: list[dict[str, Any]] = [{"env": environment}] * cluster.workers
    if isinstance(cluster, Gpu):
        own = [
            {"env": {**environment, "CUDA_VISIBLE_DEVICES": name}, "resources": {"GPU": 1}}
            for name in _gpus(cluster.workers)
        ]
    return {n: {"cls": Nanny, "options": {**options, **its}} for n, its in enumerate(own)}


def _gpus(wanted: int) -> list[str]:
    gpus = visible_gpus()
    if len(gpus) < wanted:
        named = ", ".join(gpus) or "neither CUDA_VISIBLE_DEVICES nor /dev/nvidia* names one"
        raise ClusterError(
            f"this machine shows {len(gpus)} GPUs ({named}), cluster.workers asks for "
            f"{wanted}; ask for fewer, run where the GPUs are, or take kind: local"
        )
    return gpus[:wanted]
