"""Clusters of this machine, a process for each worker or GPU; or of others, started by SSH."""

import asyncio
import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, Nanny, Scheduler, Security, SpecCluster, SSHCluster

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.cluster.resources import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Gpu, Local, Ssh
from fdgrad_dask.pipeline.config.section import visible_gpus

_WITHOUT = 60  # seconds that a worker which starts looks for its scheduler
_ANSWER = 5.0  # seconds in which a scheduler that is there answers


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
        gpus, wanted = visible_gpus(), cluster.workers
        if len(gpus) < wanted:
            named = ", ".join(gpus) or "neither CUDA_VISIBLE_DEVICES nor /dev/nvidia* names one"
            raise ClusterError(
                f"this machine shows {len(gpus)} GPUs ({named}), cluster.workers asks for "
                f"{wanted}; ask for fewer, run where the GPUs are, or take kind: local"
            )
        own = [
            {"env": {**environment, "CUDA_VISIBLE_DEVICES": name}, "resources": {"GPU": 1}}
            for name in gpus[:wanted]
        ]
    return {n: {"cls": Nanny, "options": {**options, **its}} for n, its in enumerate(own)}


@contextmanager
def ssh(cluster: Ssh) -> Iterator[Client]:
    """The first host has the scheduler too, unless another is named."""
    if not importlib.util.find_spec("asyncssh"):
        raise ClusterError(
            "cluster.kind ssh needs the package asyncssh; pip install 'fdgrad_dask[ssh]'"
        )
    # distributed hands its configuration to the hosts, where the nannies read this.
    environment = {**resources.allocator(cluster), **resources.libraries(cluster)}
    spawn = {"distributed.nanny.pre-spawn-environ": environment, **resources.PATIENT}
    with (
        resources.credentials(cluster) as security,
        dask.config.set(spawn),
        _ended(_started(cluster, security)) as running,
        Client(running) as client,
    ):
        yield client


def _started(cluster: Ssh, security: Security | None) -> Any:
    both = {
        "dashboard_address": resources.HERE,
        **({"interface": cluster.interface} if cluster.interface else {}),
        **({"protocol": "tls", "security": _as_json(security)} if security else {}),
    }
    try:
        return SSHCluster(
            [cluster.scheduler or cluster.hosts[0], *cluster.hosts],
            connect_options={
                "port": cluster.port,
                **({"username": cluster.user} if cluster.user else {}),
                **({"client_keys": [cluster.key]} if cluster.key else {}),
                **({"known_hosts": cluster.known_hosts} if cluster.known_hosts else {}),
            },
            worker_options={
                **both,
                "nthreads": 1,
                "n_workers": cluster.processes,
                "memory_limit": bytes_per_worker(cluster),
                "death_timeout": _WITHOUT,
                **({"resources": {"GPU": 1}} if cluster.gpus else {}),
            },
            scheduler_options={**both, "port": 0},
            remote_python=cluster.python,
            security=security,
            silence_logs=logging.CRITICAL,
        )
    except (RuntimeError, OSError) as error:
        raise ClusterError(
            f"nothing can be started on {', '.join(cluster.hosts)} by SSH ({error}); try `ssh HOST "
            "PYTHON -c 'import fdgrad_dask'` by hand, and see cluster.user, .port, .key, "
            ".known_hosts and .python"
        ) from error


@contextmanager
def _ended(running: Any) -> Iterator[Any]:
    """Closes the cluster, also where its scheduler is gone.

    The scheduler sends the workers home; SSH itself carries no signal to them everywhere. Without
    a scheduler they leave by themselves, and distributed would look for it for minutes.
    """

    async def alone() -> bool:
        try:
            await asyncio.wait_for(running.scheduler_comm.identity(), _ANSWER)
        except (OSError, TimeoutError):
            for process in (*running.workers.values(), running.scheduler):
                await process.close()
            return True
        return False

    try:
        yield running
    finally:
        if running.sync(alone):
            running.shutdown_scheduler = False  # it is
        running.close()


def _as_json(security: Security) -> dict[str, Any]:
    """What ``Security`` was made of: paths, which the command line of a process may show."""
    names = ["tls_ca_file"]
    names += [f"tls_{role}_{part}" for role in ("scheduler", "worker") for part in ("cert", "key")]
    return {"require_encryption": True, **{name: getattr(security, name) for name in names}}
