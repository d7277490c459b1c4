"""What is asked of the workers before the first region: memory, the driver's versions, a GPU."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import jax
from dask.utils import format_bytes
from distributed import Client, Worker, WorkerPlugin

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster.memory import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Cluster

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
