"""From the kind of a cluster to a client of it: one function and one row a kind."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker

import dask
from dask.utils import format_bytes, parse_bytes
from distributed import Client, KilledWorker, LocalCluster
from distributed.comm.core import CommClosedError
from distributed.system import MEMORY_LIMIT

from fdgrad_dask.errors import ClusterError, ClusterLostError
from fdgrad_dask.pipeline.sections.cluster import Cluster
from fdgrad_dask.pipeline.worker import Ready

_DASHBOARD = 8787


def bytes_per_worker(cluster: Cluster) -> int:
    """Memory of one worker in bytes."""
    share: int = MEMORY_LIMIT // cluster.workers
    return (
        share
        if cluster.memory_limit == "auto"
        else min(parse_bytes(cluster.memory_limit), MEMORY_LIMIT)
    )


def _allocator(memory: int) -> dict[str, str]:
    """glibc keeps large blocks instead of faulting each in again; read when a process starts."""
    keep = str(min(memory // 4, 4 * 2**30))
    return {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": keep,
        "MALLOC_TRIM_THRESHOLD_": keep,
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }


def _threads(cluster: Cluster) -> dict[str, str]:
    """XLA's pool takes its size from NPROC; zarr's pools would each be as wide as the machine."""
    return {
        "NPROC": str(cluster.threads),
        "ZARR_ASYNC__CONCURRENCY": "4",
        "ZARR_THREADING__MAX_WORKERS": "4",
    }


def _dashboard() -> str:
    """The usual port on loopback, or any where that one is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", _DASHBOARD))
        except OSError:
            return "127.0.0.1:0"
    return f"127.0.0.1:{_DASHBOARD}"


def _local(cluster: Cluster) -> LocalCluster:
    memory = bytes_per_worker(cluster)
    # The nanny's env= is set in the child, too late for its malloc: that goes before the spawn.
    spawn = {"distributed.nanny.pre-spawn-environ": _allocator(memory)}
    with dask.config.set(spawn):
        return LocalCluster(
            n_workers=cluster.workers,
            threads_per_worker=1,
            memory_limit=memory,
            host="127.0.0.1",
            dashboard_address=_dashboard(),
            silence_logs=logging.CRITICAL,
            env=_threads(cluster),
        )


OPEN: dict[str, Callable[[Cluster], LocalCluster]] = {"local": _local}


@contextmanager
def opened(cluster: Cluster) -> Iterator[Client]:
    """A client of the cluster, both closed at the end.

    Raises
    ------
    ClusterError
        The workers do not start, or are lost.
    """
    with ExitStack() as stack:
        try:
            with _deaf_to_interrupts():
                running = stack.enter_context(OPEN[cluster.kind](cluster))
                client = stack.enter_context(Client(running))
        except (OSError, RuntimeError) as error:
            raise ClusterError(
                f"the {cluster.kind} cluster of {cluster.workers} workers does not start "
                f"({error}); ask for fewer workers, or mend what the message names"
            ) from error
        client.register_plugin(Ready())
        yield client


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Threads and processes born here leave Ctrl-C, which a terminal sends to all, to the driver.

    They inherit the signal mask, and so do the processes that a nanny starts anew later.
    """
    resource_tracker.ensure_running()  # multiprocessing would unblock the signal to start it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def computing(cluster: Cluster) -> Iterator[None]:
    """Turns the loss of workers, seen by the driver, into a ClusterError."""
    limit = format_bytes(bytes_per_worker(cluster))
    try:
        yield
    except (KilledWorker, MemoryError) as error:
        what = (
            f"{error.allowed_failures + 1} workers died of one task, {error.task}"
            if isinstance(error, KilledWorker)
            else f"a worker ran out of memory ({error})"
        )
        raise ClusterError(
            f"{what}; each has {limit}, which is too little in most such cases: raise "
            "cluster.memory_limit, or lower cluster.workers, cluster.threads or source.chunks"
        ) from error
    except (CommClosedError, CancelledError, asyncio.CancelledError, TimeoutError) as error:
        raise ClusterLostError(
            f"the cluster was lost ({type(error).__name__}: {error}); run again, with fewer "
            f"workers if the machine is short of memory (each has {limit})"
        ) from error
