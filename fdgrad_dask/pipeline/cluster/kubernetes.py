"""Pods in a Kubernetes cluster, kept alive by dask's operator."""

import getpass
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.cluster.resources import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Kubernetes

_SCHEDULER = {"cpu": "1", "memory": "4Gi"}  # a few regions a worker are all it keeps


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
