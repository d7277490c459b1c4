"""Clusters of a batch queue: the scheduler in this process, the workers in jobs."""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from distributed import Client, Security

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.cluster.jobs import Replacing, noting
from fdgrad_dask.pipeline.cluster.memory import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Jobs, Lsf, Pbs, Sge, Slurm
from fdgrad_dask.pipeline.config.measures import seconds

_NAME = "fdgrad"


@contextmanager
def queue(cluster: Jobs) -> Iterator[Client]:
    """Jobs that are replaced when they are lost, and cancelled at the end.

    Raises
    ------
    ClusterError
        The queue's commands or dask-jobqueue are not here, or it refuses the job.
    """
    made = _class_of(cluster)
    command = shlex.split(made.job_cls.submit_command)[0]
    if not shutil.which(command):
        raise ClusterError(
            f"{command} is not on this machine, so no job can be sent; run fdgrad on a login node "
            "or in a job, or take kind: local"
        )
    refused: list[str] = []
    job = noting(made.job_cls, refused)
    with (
        resources.credentials(cluster) as security,
        made(job_cls=job, **_told(cluster, security)) as running,
        Client(running) as client,
    ):
        _submit(running, cluster.jobs)
        if refused:
            raise ClusterError(
                f"{command} refuses the job: {refused[0]}; fix the section cluster, whose "
                "directives go to the queue as they stand"
            )
        # scale() never replaces a job that is lost; as many at least as at most does.
        running.adapt(minimum_jobs=cluster.jobs, maximum_jobs=cluster.jobs)
        yield client


def _submit(running: Any, jobs: int) -> None:
    """Sends the jobs, and returns when the queue has taken or refused them."""

    async def submitted() -> None:
        await running

    running.scale(jobs=jobs)
    running.sync(submitted)


def _class_of(cluster: Jobs) -> Any:
    try:
        found = getattr(importlib.import_module("dask_jobqueue"), f"{cluster.kind.upper()}Cluster")
    except ImportError as error:
        raise ClusterError(
            f"cluster.kind {cluster.kind} needs the package dask-jobqueue; "
            f"pip install 'fdgrad_dask[{cluster.kind}]'"
        ) from error
    return type(found.__name__, (Replacing, found), {})


def _told(cluster: Jobs, security: Security | None) -> dict[str, Any]:
    """What dask-jobqueue is told: what all queues have, and what this one calls its own."""
    exports = {**resources.allocator(cluster), **resources.libraries(cluster)}
    return {
        "cores": cluster.cores,
        "processes": cluster.processes,
        "memory": f"{bytes_per_worker(cluster) * cluster.processes} B",
        "queue": cluster.queue,
        "interface": cluster.interface,
        "python": cluster.python,
        "job_name": _NAME,
        "log_directory": os.path.abspath(cluster.folder),
        "job_script_prologue": [
            *cluster.prologue,
            *(f"export {name}={shlex.quote(value)}" for name, value in exports.items()),
        ],
        "worker_extra_args": _arguments(cluster),
        "security": security,
        "scheduler_options": {"dashboard_address": resources.dashboard()},
        "silence_logs": logging.CRITICAL,
        **_OWN[type(cluster)](cluster),
    }


def _arguments(cluster: Jobs) -> list[str]:
    """Workers leave before the queue ends them, not all at once; one region at a time on each."""
    walltime = seconds(cluster.walltime)
    margin = min(max(walltime // 10, 30), 600, walltime // 2)
    return [
        *("--lifetime", f"{walltime - margin}s", "--lifetime-stagger", f"{margin // 2}s"),
        *("--nthreads", "1"),  # stands after jobqueue's own, which says cores / processes
        *("--dashboard-address", resources.HERE),
        *(("--resources", "GPU=1") if cluster.gpus else ()),
    ]


def _slurm(cluster: Slurm) -> dict[str, Any]:
    gpus = [f"--gres=gpu:{cluster.gpus}"] if cluster.gpus else []
    return {
        "walltime": _clock(cluster),
        "account": cluster.account,
        "job_extra_directives": [*gpus, *cluster.directives],
    }


def _pbs(cluster: Pbs) -> dict[str, Any]:
    memory = bytes_per_worker(cluster) * cluster.processes
    gpus = f":ngpus={cluster.gpus}" if cluster.gpus else ""
    return {
        "walltime": _clock(cluster),
        "account": cluster.account,
        "resource_spec": f"select=1:ncpus={cluster.cores}:mem={memory}b{gpus}",
        "job_extra_directives": list(cluster.directives),
    }


def _lsf(cluster: Lsf) -> dict[str, Any]:
    gpus = [f'-gpu "num={cluster.gpus}"'] if cluster.gpus else []
    return {
        "walltime": _clock(cluster)[:-3],  # hours and minutes
        "project": cluster.account,
        "job_extra_directives": [*gpus, *cluster.directives],
    }


def _sge(cluster: Sge) -> dict[str, Any]:
    """Grid Engine counts memory and GPUs by the core."""
    memory = bytes_per_worker(cluster) * cluster.processes // cluster.cores
    gpus = f",gpu={cluster.gpus}" if cluster.gpus else ""
    return {
        "walltime": _clock(cluster),
        "project": cluster.account,
        "resource_spec": f"{cluster.memory_resource}={memory}{gpus}",
        "job_extra_directives": [
            f"-pe {cluster.parallel_environment} {cluster.cores}",
            *cluster.directives,
        ],
    }


def _clock(cluster: Jobs) -> str:
    """The walltime as ``HH:MM:SS``, which Slurm, PBS and Grid Engine read alike."""
    minutes, rest = divmod(seconds(cluster.walltime), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


_OWN: Mapping[type[Jobs], Any] = {Slurm: _slurm, Pbs: _pbs, Lsf: _lsf, Sge: _sge}
