"""From the kind of a cluster to a client of it: one function and one row a kind."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import Any

from dask.utils import format_bytes
from distributed import Client, KilledWorker
from distributed.comm.core import CommClosedError

from fdgrad_dask.errors import ClusterError, ClusterLostError
from fdgrad_dask.pipeline.cluster import resources, worker
from fdgrad_dask.pipeline.cluster.batch import batch
from fdgrad_dask.pipeline.cluster.kubernetes import kubernetes
from fdgrad_dask.pipeline.cluster.local import local
from fdgrad_dask.pipeline.cluster.memory import bytes_per_worker
from fdgrad_dask.pipeline.cluster.ssh import ssh
from fdgrad_dask.pipeline.config.cluster import Address, Batch, Cluster, Kubernetes
from fdgrad_dask.pipeline.config.section import seconds
from fdgrad_dask.pipeline.console import warn


@contextmanager
def address(cluster: Address) -> Iterator[Client]:
    """A client of a scheduler that somebody else started; closing that is all that is closed."""
    tls = cluster.tls
    security = resources.security(tls) if tls else None
    with Client(cluster.address, security=security, timeout=30) as client:
        yield client


OPEN: dict[str, Callable[[Any], AbstractContextManager[Client]]] = {
    "local": local,
    "gpu": local,
    "slurm": batch,
    "pbs": batch,
    "lsf": batch,
    "sge": batch,
    "ssh": ssh,
    "kubernetes": kubernetes,
    "address": address,
}


@contextmanager
def opened(cluster: Cluster) -> Iterator[Client]:
    """A client of the cluster, whose workers are ready; both are closed at the end.

    Raises
    ------
    ClusterError
        The workers do not start, or are not what the driver needs.
    """
    stack = ExitStack()
    try:
        try:
            with _deaf_to_interrupts():
                client = stack.enter_context(OPEN[cluster.kind](cluster))
        except ClusterError:
            raise
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"the {cluster.kind} cluster of {cluster.workers} workers does not start "
                f"({error}); ask for fewer workers, or fix what the message names"
            ) from error
        with computing(cluster):
            _wait(client, cluster)
            worker.make_ready(client, cluster)
        yield client
    finally:
        _close(stack, cluster)


def _close(stack: ExitStack, cluster: Cluster) -> None:
    """Closes what was opened; what goes wrong with that hides no error of the run."""
    try:
        stack.close()
    except (OSError, RuntimeError) as error:
        warn(
            f"the {cluster.kind} cluster did not close ({type(error).__name__}: {error}); see "
            "whether it left jobs or processes behind"
        )


def _wait(client: Client, cluster: Cluster) -> None:
    """Returns when a worker is there; the rest of them may come while the run goes on."""
    if not isinstance(cluster, Batch | Kubernetes | Address):
        return  # their workers were waited for, one by one
    needed = cluster.workers if isinstance(cluster, Address) else 1
    try:
        client.wait_for_workers(needed, timeout=seconds(cluster.wait))
    except TimeoutError as error:
        hints = {
            "kubernetes": "see `kubectl describe pods`",
            "address": "start more, or lower cluster.workers",
        }
        there = len(client.scheduler_info(n_workers=-1)["workers"])
        look = hints.get(cluster.kind, "see the queue, and the logs in cluster.folder")
        raise ClusterError(
            f"{there} of {needed} workers came within cluster.wait, {cluster.wait}; {look}, or "
            "wait longer"
        ) from error


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Threads and processes born here leave Ctrl-C, which a terminal sends to all, to the driver.

    They inherit the signal mask, and so do the processes that a nanny restarts later.
    """
    resource_tracker.ensure_running()  # multiprocessing would unblock the signal to start it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def computing(cluster: Cluster) -> Iterator[None]:
    """Turns the loss of workers, seen by the driver, into a ClusterError.

    It is a ClusterLostError where another cluster could go on.
    """
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
