"""From the kind of a cluster to a client of it: one function and one row a kind."""

import asyncio
import logging
import os
import platform
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, ClassVar, cast

import dask
import jax
from dask.utils import format_bytes
from distributed import Client, KilledWorker, Worker, WorkerPlugin
from distributed.comm.core import CommClosedError

from fdgrad_dask.errors import ClusterError, ClusterLostError
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.cluster.batch import batch, kubernetes
from fdgrad_dask.pipeline.cluster.machines import local, ssh
from fdgrad_dask.pipeline.cluster.resources import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Address, Batch, Cluster, Kubernetes
from fdgrad_dask.pipeline.config.section import seconds
from fdgrad_dask.pipeline.console import warn

_LOST = (CommClosedError, CancelledError, asyncio.CancelledError, TimeoutError)
# How many numbers of a version must agree: all where the bits of a result hang on them.
_AGREE = {
    **dict.fromkeys(("fdgrad_dask", "jax", "jaxlib", "numpy"), None),
    **dict.fromkeys(("dask", "distributed", "xarray", "zarr", "python"), 2),
}


def make_ready(client: Client, cluster: Cluster) -> None:
    """Checks the workers that are there, and sets up each that comes."""
    _require_fit(client, cluster)
    _require_versions(client)
    try:
        client.register_plugin(Ready(gpus=cluster.gpus))
    except (ClusterError, OSError):  # the latter is a loss of the connection
        raise
    except Exception as error:  # what a worker cannot unpickle comes as a bare Exception
        raise ClusterError(
            f"a worker cannot compute ({type(error).__name__}: {error}); try "
            "`python -c 'import fdgrad_dask'` there, and install what is missing"
        ) from error


@dataclass
class Ready(WorkerPlugin):
    """Sets a worker up, again after a restart, and keeps its tracebacks off the terminal."""

    name: ClassVar[str] = "fdgrad-ready"
    gpus: int = 0

    async def setup(self, worker: Worker) -> None:
        """In a thread, so that the worker answers meanwhile; errors reach the driver."""
        # The driver reports a failed task, once and in words.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        # What a worker holds is the region that it computes, and memory kept for the next: it must
        # not pause for that, or it may wait for ever; nor is there anything to spill.
        watching = worker.memory_manager
        watching.memory_spill_fraction = watching.memory_pause_fraction = False
        if self.gpus:
            await asyncio.to_thread(require_gpu)


def require_gpu() -> None:
    """Returns where JAX computes on a GPU."""
    try:
        seen = jax.default_backend()
    except (RuntimeError, AssertionError) as error:  # the latter where JAX came without CUDA
        seen = str(error).partition("\n")[0] or "jax without CUDA"
    if seen != "gpu":
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise ClusterError(
            f"the worker on {platform.node()} was to have a GPU, and JAX finds none ({seen}; "
            f"CUDA_VISIBLE_DEVICES is {given}); install jax[cuda12] and a driver there, or ask "
            "for no GPU"
        )


def _require_fit(client: Client, cluster: Cluster) -> None:
    """One region at a time on each worker, and the memory that it was planned for."""
    needed = bytes_per_worker(cluster)
    for where, found in client.scheduler_info(n_workers=-1)["workers"].items():
        if found["nthreads"] != 1:
            raise ClusterError(
                f"the worker {where} would take {found['nthreads']} regions at once, and its "
                "memory is planned for one; start it with --nthreads 1, cluster.threads says how "
                "many threads a region has"
            )
        if 0 < found["memory_limit"] < 0.99 * needed:  # the command line rounds
            raise ClusterError(
                f"the worker {where} has {format_bytes(found['memory_limit'])} of memory, the "
                f"section cluster says {format_bytes(needed)}; write what the smallest has"
            )


def _require_versions(client: Client) -> None:
    """The same packages as here, as far as results hang on them.

    ``get_versions(check=True)`` would only warn, and of packages that change no number, too.
    """
    found = cast(dict[str, Any], client.get_versions(packages=[*_AGREE.keys() - {"python"}]))
    here = found["client"]["packages"]
    differ: dict[str, None] = {}  # in order, each once
    for seen in found["workers"].values():
        for name, numbers in _AGREE.items():
            mine, other = here.get(name), seen["packages"].get(name)
            if str(mine).split(".")[:numbers] != str(other).split(".")[:numbers]:
                differ[f"{name} {other or 'is missing'} (here {mine})"] = None
    if differ:
        raise ClusterError(
            f"workers differ from the driver: {', '.join(differ)}; install the driver's versions "
            "there, or start fdgrad from their environment"
        )


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
    **dict.fromkeys(("slurm", "pbs", "lsf", "sge"), batch),
    "ssh": ssh,
    "kubernetes": kubernetes,
    "address": address,
}


@contextmanager
def opened(cluster: Cluster) -> Iterator[Client]:
    """A client of the cluster, whose workers are ready; both are closed at the end.

    ClusterError: the workers do not start, or are not what the driver needs.
    """
    stack = ExitStack()
    try:
        try:
            stack.enter_context(dask.config.set(resources.NO_PROFILER))
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
            make_ready(client, cluster)
        yield client
    finally:
        try:
            stack.close()
        except (OSError, RuntimeError) as error:  # it hides no error of the run
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
    except (*_LOST, OSError) as error:
        # That nobody answers dask says by a bare OSError.
        if not isinstance(error, _LOST) and not str(error).startswith("Timed out trying to conn"):
            raise
        raise ClusterLostError(
            f"the cluster was lost ({type(error).__name__}: {error}); run again, with fewer "
            f"workers if the machine is short of memory (each has {limit})"
        ) from error
