"""Clusters of this machine: what workers are told before they start, how their loss is told."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, KilledWorker, Worker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.system import MEMORY_LIMIT

from fdgrad_dask.errors import ClusterError, InputError
from fdgrad_dask.pipeline.cluster import open as cluster
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.cluster.machines import workers
from fdgrad_dask.pipeline.config.cluster import Cluster, Gpu, Local

ONE = Local(workers=1, threads=1, memory_limit="2 GiB")


def limits(dask_worker: Worker) -> tuple[float | bool, float | bool]:
    """At which share of its memory a worker spills, and at which it pauses."""
    manager = dask_worker.memory_manager
    return manager.memory_spill_fraction, manager.memory_pause_fraction


def profiled(dask_worker: Any = None, dask_scheduler: Any = None) -> bool:
    """Whether what its threads or its loop do is noted each second."""
    server = dask_worker or dask_scheduler
    return "profile" in server.periodic_callbacks or len(server.io_loop.profile) > 0


def test_workers_start_with_their_environment_and_are_set_up_after_a_restart_too() -> None:
    is_warm = "'jax' in __import__('sys').modules"
    with cluster.opened(ONE) as client:
        (environment,) = client.run(eval, "dict(__import__('os').environ)").values()
        (level,) = client.run(eval, "__import__('logging').getLogger('distributed').level").values()
        (warm,) = client.run(eval, is_warm).values()
        (watched,) = client.run(limits).values()
        is_profiled = [*client.run(profiled).values(), client.run_on_scheduler(profiled)]
        workers = client.scheduler_info()["workers"]
        (before,) = client.run(os.getpid).values()
        client.restart()
        (after,) = client.run(os.getpid).values()
        (warm_again,) = client.run(eval, is_warm).values()
    keep = str(2**29)
    expected = {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": keep,
        "MALLOC_TRIM_THRESHOLD_": keep,
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "NPROC": "1",
        "ZARR_ASYNC__CONCURRENCY": "4",
        "ZARR_THREADING__MAX_WORKERS": "4",
        "JAX_PLATFORMS": "cpu",
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert "NPROC" not in os.environ
    assert level == logging.CRITICAL
    assert warm
    assert before != after
    assert warm_again
    assert watched == (False, False)
    assert is_profiled == [False, False]
    assert [found["nthreads"] for found in workers.values()] == [1]
    assert [found["memory_limit"] for found in workers.values()] == [2**31]
    assert all(address.startswith("tcp://127.0.0.1:") for address in workers)


def test_the_dashboard_finds_another_port_where_its_own_is_taken() -> None:
    with socket.socket() as taken:
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", 8787))
        assert resources.dashboard() == "127.0.0.1:0"


def fails(*_: Any, **__: Any) -> None:
    raise ModuleNotFoundError("No module named 'jax'")


def cannot_be_loaded(_: cluster.Ready) -> tuple[Any, tuple[str]]:
    """Pickled here, it is imported where it arrives."""
    return importlib.import_module, ("jax.is_not_here",)


@pytest.mark.parametrize(
    ("method", "does"),
    [("setup", fails), ("__reduce__", cannot_be_loaded)],
    ids=["while it is set up", "before it can be"],
)
def test_an_error_of_a_worker_reaches_the_driver(
    on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch, method: str, does: Any
) -> None:
    monkeypatch.setattr(cluster.Ready, method, does)
    message = r"a worker cannot compute \(.*ModuleNotFoundError.*No module named 'jax.*; try"
    with pytest.raises(ClusterError, match=message), cluster.opened(ONE):
        pass


def test_each_gpu_has_a_process_that_sees_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5ee")
    section = Gpu(kind="gpu", memory_limit="1 GiB", gpu_memory=0.5)
    assert section.workers == 2
    nannies = [made["options"] for made in workers(section).values()]
    environments = [options["env"] for options in nannies]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in environments] == ["3", "GPU-5ee"]
    assert {e["JAX_PLATFORMS"] for e in environments} == {"cuda"}
    assert {e["XLA_PYTHON_CLIENT_MEM_FRACTION"] for e in environments} == {"0.5"}
    assert [options["resources"] for options in nannies] == [{"GPU": 1}, {"GPU": 1}]
    assert [options["nthreads"] for options in nannies] == [1, 1]
    # What the process of a worker has of these, one that was started shows above.
    own = {"env", "resources"}
    (of_one,) = (made["options"] for made in workers(ONE).values())
    assert nannies[0].keys() - own == of_one.keys() - own


def test_a_worker_without_the_gpu_that_it_was_to_have(
    on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setitem(cluster.OPEN, "gpu", cluster.OPEN["local"])
    message = r"was to have a GPU, and JAX finds none \(cpu; CUDA_VISIBLE_DEVICES is 3\)"
    section = Gpu(kind="gpu", memory_limit="1 GiB")
    with pytest.raises(ClusterError, match=message), cluster.opened(section):
        pass


def test_gpus_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    message = (
        r"shows 0 GPUs \(neither CUDA_VISIBLE_DEVICES nor /dev/nvidia\* names one\), "
        r"cluster.workers asks for 1; ask for fewer, run where the GPUs are, or take kind: local"
    )
    with pytest.raises(ClusterError, match=message), cluster.opened(Gpu(kind="gpu")):
        pass


@pytest.mark.parametrize("error", [OSError("no port"), RuntimeError("Nanny failed")])
def test_a_cluster_that_does_not_start(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Cluster) -> Any:
        raise error

    monkeypatch.setitem(cluster.OPEN, "local", fails)
    with (
        pytest.raises(
            ClusterError,
            match=rf"the local cluster of 1 workers does not start \({error}\); ask for fewer",
        ),
        cluster.opened(ONE),
    ):
        pass


TOLD = [
    (
        KilledWorker(("read-sst", 0), SimpleNamespace(address="tcp://1"), 3),  # type: ignore[arg-type]
        r"4 workers died of one task, \('read-sst', 0\); each has 2.00 GiB, which is too little in "
        r"most such cases: raise cluster.memory_limit, or lower .* or source.chunks",
    ),
    (MemoryError("8 GiB"), r"a worker ran out of memory \(8 GiB\); each has 2.00 GiB"),
    (
        FutureCancelledError("key", "scheduler-connection-lost"),
        r"the cluster was lost \(FutureCancelledError: .*connection-lost.*\); run again",
    ),
    (CommClosedError("closed"), r"the cluster was lost \(CommClosedError: closed\); run again"),
    (TimeoutError("30 s"), r"the cluster was lost \(TimeoutError: 30 s\)"),
    (
        OSError("Timed out trying to connect to tcp://1 after 30 s"),
        r"the cluster was lost \(OSError: Timed out trying to connect",
    ),
]


@pytest.mark.parametrize(("error", "message"), TOLD, ids=lambda case: type(case).__name__)
def test_the_loss_of_workers_is_told(error: Exception, message: str) -> None:
    with pytest.raises(ClusterError, match=message), cluster.computing(ONE):
        raise error


@pytest.mark.parametrize(
    "error",
    [InputError("damaged"), OSError(errno.EIO, "damaged"), OSError("damaged")],
    ids=["ours", "of a file", "of a library"],
)
def test_other_errors_pass(error: OSError) -> None:
    with pytest.raises(type(error), match="damaged"), cluster.computing(ONE):
        raise error


def test_threads_of_the_cluster_leave_ctrl_c_to_the_driver() -> None:
    import signal

    masks: list[set[int]] = []
    with cluster._deaf_to_interrupts():
        born = threading.Thread(
            target=lambda: masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
        )
        born.start()
        born.join()
    assert signal.SIGINT in masks[0]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_client_and_cluster_are_closed(on_a_cluster: Any) -> None:
    with cluster.opened(ONE) as client:
        assert isinstance(client, Client)
        running = client.cluster
    assert client.status == "closed"
    assert running is not None
    assert running.status.name == "closed"


def test_memory_is_counted_as_by_distributed() -> None:
    assert resources.of_machine() == MEMORY_LIMIT
