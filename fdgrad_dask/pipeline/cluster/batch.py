"""Clusters whose workers somebody else starts: jobs of a batch queue, or pods of Kubernetes."""

import asyncio
import getpass
import importlib
import inspect
import logging
import os
import shlex
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, Security, SpecCluster
from distributed.deploy.spec import ProcessInterface

from fdgrad_dask.errors import ClusterError, did_you_mean
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.cluster.resources import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Batch, Kubernetes
from fdgrad_dask.pipeline.config.section import seconds

_SCHEDULER = {"cpu": "1", "memory": "4Gi"}  # a few regions a worker are all it keeps


@contextmanager
def batch(cluster: Batch) -> Iterator[Client]:
    """Jobs that are replaced when they are lost, and cancelled at the end."""
    made = _class_of(cluster)
    _require_known(cluster.options, made, made.job_cls)
    command = shlex.split(made.job_cls.submit_command)[0]
    if not shutil.which(command):
        raise ClusterError(
            f"{command} is not on this machine, so no job can be sent; run fdgrad on a login node "
            "or in a job, or take kind: local"
        )
    refused: list[str] = []
    job = _noting(made.job_cls, refused)
    with (
        resources.credentials(cluster) as security,
        made(**_keywords(cluster, security), job_cls=job) as running,
        Client(running) as client,
    ):

        async def submitted() -> None:
            await running

        running.scale(jobs=cluster.jobs)
        running.sync(submitted)  # the queue has taken or refused them
        if refused:
            raise ClusterError(
                f"{command} refuses the job: {refused[0]}; fix the section cluster, whose "
                "directives go to the queue as they stand"
            )
        # scale() never replaces a job that is lost; as many at least as at most does.
        running.adapt(minimum_jobs=cluster.jobs, maximum_jobs=cluster.jobs)
        yield client


def _require_known(options: Iterable[str], *classes: type) -> None:
    """dask-jobqueue would say it too, with every keyword in the message."""
    makers = [vars(base).get("__init__", object) for of in classes for base in of.__mro__]
    known = {name for maker in makers for name in inspect.signature(maker).parameters}
    for name in options:
        if name not in known:
            raise ClusterError(
                f"cluster.options.{name} is no keyword of dask-jobqueue; "
                f"{did_you_mean(name, sorted(known))}"
            )


def _class_of(cluster: Batch) -> Any:
    try:
        found = getattr(importlib.import_module("dask_jobqueue"), f"{cluster.kind.upper()}Cluster")
    except ImportError as error:
        raise ClusterError(
            f"cluster.kind {cluster.kind} needs the package dask-jobqueue; "
            f"pip install 'fdgrad_dask[{cluster.kind}]'"
        ) from error
    return type(found.__name__, (_Replacing, found), {})


def _keywords(cluster: Batch, security: Security | None) -> dict[str, Any]:
    """The keywords for dask-jobqueue, which looks up what is None in the site's configuration.

    A list takes the place of the site's: what this package adds is put behind that.
    """
    site = dask.config.get(f"jobqueue.{cluster.options.get('config_name', cluster.kind)}")
    site = {name.replace("-", "_"): value for name, value in site.items()} | cluster.options
    total = bytes_per_worker(cluster) * cluster.processes
    spec, directives = _ask(cluster, total)
    exports = {**resources.allocator(cluster), **resources.libraries(cluster)}
    return {
        "cores": cluster.cores,
        "processes": cluster.processes,
        "memory": f"{total} B",
        "walltime": _clock(cluster),
        "queue": cluster.queue,
        "project" if cluster.kind in ("lsf", "sge") else "account": cluster.account,
        "interface": cluster.interface,
        "python": cluster.python,
        "job_name": "fdgrad",
        "log_directory": os.path.abspath(cluster.folder),
        "security": security,
        "silence_logs": logging.CRITICAL,
        **({"resource_spec": spec} if spec else {}),
        **cluster.options,
        "scheduler_options": {
            "dashboard_address": resources.dashboard(),
            **(site["scheduler_options"] or {}),
        },
        "job_script_prologue": [
            *(cluster.prologue or site["job_script_prologue"] or ()),
            *(f"export {name}={shlex.quote(value)}" for name, value in exports.items()),
        ],
        "job_extra_directives": [
            *directives,
            *(cluster.directives or site["job_extra_directives"] or ()),
        ],
        "worker_extra_args": [*(site["worker_extra_args"] or ()), *_arguments(cluster)],
    }


def _ask(cluster: Batch, memory: int) -> tuple[str, list[str]]:
    """What dask-jobqueue leaves out: the resources where it takes them, and directives."""
    gpus, cores = cluster.gpus, cluster.cores
    match cluster.kind:
        case "slurm":
            return "", ["--gres=gpu:1"] * gpus
        case "lsf":
            return "", ['-gpu "num=1"'] * gpus
        case "pbs":
            return f"select=1:ncpus={cores}:mem={memory}b" + ":ngpus=1" * gpus, []
        case "sge":  # counts memory by the core
            spec = f"{cluster.memory_resource}={memory // cores}" + ",gpu=1" * gpus
            return spec, [f"-pe {cluster.parallel_environment} {cores}"]


def _arguments(cluster: Batch) -> list[str]:
    """Workers leave before the queue ends them, not all at once; one region at a time on each."""
    walltime = seconds(cluster.walltime)
    margin = min(max(walltime // 10, 30), 600, walltime // 2)
    return [
        *("--lifetime", f"{walltime - margin}s", "--lifetime-stagger", f"{margin // 2}s"),
        *("--nthreads", "1"),  # stands after jobqueue's own, which says cores / processes
        *("--dashboard-address", resources.HERE),
        *(("--resources", "GPU=1") if cluster.gpus else ()),
    ]


def _clock(cluster: Batch) -> str:
    """The walltime as ``HH:MM:SS``, which all but LSF read alike: it has no seconds."""
    minutes, rest = divmod(seconds(cluster.walltime), 60)
    clock = f"{minutes // 60:02}:{minutes % 60:02}"
    return clock if cluster.kind == "lsf" else f"{clock}:{rest:02}"


def _noting(job: Any, refused: list[str]) -> Any:
    """The class of a job that notes why the queue does not take it, where others raise unseen."""

    async def start(self: Any) -> None:
        try:
            await job.start(self)
        except RuntimeError as error:
            refused.append(" ".join(str(error).rpartition("stderr:")[2].split()))
            await ProcessInterface.start(self)  # counts as started, and is closed like others

    return type(job.__name__, (job,), {"start": start})


class _Replacing(SpecCluster):
    """Gives up a job when none of its workers is left, so that another takes its place.

    Without it only a job whose single worker bears its own name is missed.
    """

    def _update_worker_status(self, op: str, msg: Any) -> None:
        lost = self.scheduler_info["workers"][msg]["name"] if op == "remove" else None
        super()._update_worker_status(op, msg)  # type: ignore[no-untyped-call]
        job = str(lost).rpartition("-")[0]
        if lost and "group" in self.worker_spec.get(job, {}):
            wait = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
            asyncio.get_running_loop().call_later(wait, self._give_up, job)

    def _give_up(self, job: str) -> None:
        names = [str(worker["name"]) for worker in self.scheduler_info["workers"].values()]
        if job in self.workers and not any(name.startswith(f"{job}-") for name in names):
            self._futures.add(asyncio.ensure_future(self.workers.pop(job).close()))


@contextmanager
def kubernetes(cluster: Kubernetes) -> Iterator[Client]:
    """Pods for a scheduler and the workers; the operator takes them away at the end."""
    made = manifest(cluster, f"fdgrad-{getpass.getuser()}-{uuid.uuid4().hex[:8]}")
    from dask_kubernetes.operator import KubeCluster

    with (
        KubeCluster(custom_cluster_spec=made, namespace=cluster.namespace, quiet=True) as running,
        Client(running) as client,
    ):
        yield client


def manifest(cluster: Kubernetes, name: str) -> dict[str, Any]:
    """The ``DaskCluster`` that the operator is handed."""
    try:
        from dask_kubernetes.operator import make_cluster_spec
    except ImportError as error:
        raise ClusterError(
            "cluster.kind kubernetes needs the package dask-kubernetes; "
            "pip install 'fdgrad_dask[kubernetes]'"
        ) from error
    made: dict[str, Any] = make_cluster_spec(
        name,
        image=cluster.image,
        n_workers=cluster.workers,
        env={**resources.allocator(cluster), **resources.libraries(cluster)},
    )
    # Not by its resources=, which would ask for a GPU for the scheduler too.
    (scheduler,) = made["spec"]["scheduler"]["spec"]["containers"]
    scheduler.update(env=[], resources={"requests": _SCHEDULER, "limits": _SCHEDULER})
    pod = made["spec"]["worker"]["spec"]
    (worker,) = pod["containers"]
    memory = bytes_per_worker(cluster)
    has = {"cpu": str(cluster.threads), "memory": str(memory)}
    has |= {"nvidia.com/gpu": str(cluster.gpus)} if cluster.gpus else {}
    worker.update(
        args=[
            *("dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1"),
            *("--memory-limit", str(memory), "--dashboard-address", resources.HERE),
            *(("--resources", "GPU=1") if cluster.gpus else ()),
        ],
        ports=[],
        resources={"requests": has, "limits": has},
        volumeMounts=[{"name": claim, "mountPath": path} for claim, path in cluster.claims.items()],
    )
    pod["volumes"] = [
        {"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in cluster.claims
    ]
    return made
