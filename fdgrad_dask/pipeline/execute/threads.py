"""The executor of this process: regions side by side, each on threads of its own."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import jax

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.config.cluster import Threads
from fdgrad_dask.pipeline.execute.task import Task
from fdgrad_dask.pipeline.execute.window import Attempts, Pending, Results, fly


def keep_to_cpu() -> None:
    """Leave the GPUs of this machine alone, as its workers do: they are for the kind gpu.

    For a process that only runs the command; ``JAX_PLATFORMS`` says otherwise.
    """
    if "JAX_PLATFORMS" not in os.environ:
        jax.config.update("jax_platforms", "cpu")


def in_threads(
    task: Task, pending: Pending, stop: threading.Event, cluster: Threads
) -> Generator[Results, None, None]:
    """Compute pending regions in this process.

    Raises
    ------
    FdgradError
        What went wrong in a region, once those in flight are finished.
    """

    def submit(tasks: Sequence[Attempts]) -> list[Future[Results]]:
        return [pool.submit(task.compute, attempts) for attempts in tasks]

    def failed(future: Future[Results], attempts: Attempts, error: Exception) -> Exception:
        pending.put_back(attempts)
        if isinstance(error, MemoryError):
            out_of_memory = ClusterError(
                f"this process ran out of memory ({error}); lower cluster.workers, "
                "cluster.threads or source.chunks"
            )
            out_of_memory.__cause__ = error
            return out_of_memory
        return error

    here = f"{socket.gethostname()}:{os.getpid()}"
    with ThreadPoolExecutor(cluster.workers, thread_name_prefix=here) as pool:
        yield from fly(pending, submit, lambda: cluster.workers, stop, failed)
