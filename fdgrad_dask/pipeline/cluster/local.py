"""Clusters of this machine: a process for each worker, or for each GPU."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import Client, LocalCluster, Nanny, Scheduler, SpecCluster

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.cluster.memory import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Gpu, Local
from fdgrad_dask.pipeline.config.measures import visible_gpus


@contextmanager
def local(cluster: Local) -> Iterator[Client]:
    """Processes on this machine."""
    # The nanny's env= is set in the child, too late for its malloc: that goes before the spawn.
    spawn = {"distributed.nanny.pre-spawn-environ": resources.allocator(cluster)}
    with (
        dask.config.set(spawn),
        LocalCluster(
            n_workers=cluster.workers,
            threads_per_worker=1,
            memory_limit=bytes_per_worker(cluster),
            host="127.0.0.1",
            dashboard_address=resources.dashboard(),
            silence_logs=logging.CRITICAL,
            env=resources.libraries(cluster),
        ) as running,
        Client(running) as client,
    ):
        yield client


@contextmanager
def gpu(cluster: Gpu) -> Iterator[Client]:
    """A process for each GPU; a nanny that restarts one gives it the same GPU."""
    gpus = visible_gpus()
    if len(gpus) < cluster.workers:
        named = ", ".join(gpus) or "neither CUDA_VISIBLE_DEVICES nor /dev/nvidia* names one"
        raise ClusterError(
            f"this machine shows {len(gpus)} GPUs ({named}), cluster.workers asks for "
            f"{cluster.workers}; ask for fewer, run where the GPUs are, or take kind: local"
        )
    options = {
        "nthreads": 1,
        "memory_limit": bytes_per_worker(cluster),
        "host": "127.0.0.1",
        "dashboard_address": resources.HERE,
        "silence_logs": logging.CRITICAL,
        "resources": {"GPU": 1},
    }
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                **options,
                "env": {**resources.libraries(cluster), "CUDA_VISIBLE_DEVICES": name},
            },
        }
        for number, name in enumerate(gpus[: cluster.workers])
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "dashboard_address": resources.dashboard()},
    }
    spawn = {"distributed.nanny.pre-spawn-environ": resources.allocator(cluster)}
    with (
        dask.config.set(spawn),
        SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL) as running,
        Client(running) as client,
    ):
        yield client
