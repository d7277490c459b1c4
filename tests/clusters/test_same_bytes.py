"""The same workflow on every cluster: the same bytes, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil

from tests.clusters.conftest import Ended, Workflow
from tests.clusters.namespaces import Namespaces
from tests.clusters.services import Slurm, Sshd, until

Same = Callable[[str, Ended], None]


def jobs(python: str, **more: Any) -> dict[str, Any]:
    """A section of kind slurm."""
    return {
        "kind": "slurm",
        "jobs": 2,
        "cores": 1,
        "memory": "2 GiB",
        "walltime": "00:10:00",
        "interface": "lo",
        "python": python,
        "wait": "60 s",
        **more,
    }


def dask_processes() -> list[str]:
    """The command lines of schedulers and workers on this machine."""
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "dask_spec" in line or "dask_worker" in line or "distributed.cli" in line:
            lines.append(line)
    return lines


def test_slurm(slurm: Slurm, workflow: Workflow, python: str, same: Same) -> None:
    same("slurm", workflow.run("slurm", jobs(python)))
    until(lambda: slurm.jobs() == [], "no job is left")
    assert list((workflow.folder / "fdgrad-jobs").glob("tls-*")) == []


def test_slurm_without_the_gpus_that_it_promised(
    slurm: Slurm, workflow: Workflow, python: str
) -> None:
    ended = workflow.run("no-gpu", jobs(python, gpus=1))
    assert ended.code == 5, ended.told
    assert "was to have a GPU, and JAX finds none" in ended.told
    assert "CUDA_VISIBLE_DEVICES is 0)" in ended.told or "is 1)" in ended.told
    assert not workflow.target("no-gpu").exists()
    until(lambda: slurm.jobs() == [], "no job is left")


def test_a_job_that_slurm_refuses(slurm: Slurm, workflow: Workflow, python: str) -> None:
    ended = workflow.run("refused", jobs(python, queue="nowhere"))
    assert ended.code == 5, ended.told
    assert "sbatch refuses the job: " in ended.told
    assert "invalid partition specified: nowhere" in ended.told


def test_ssh(sshd: Sshd, workflow: Workflow, python: str, same: Same) -> None:
    section = {
        "kind": "ssh",
        "hosts": ["127.0.0.1", "127.0.0.1"],
        "threads": 1,
        "memory_limit": "2 GiB",
        "user": "root",
        "port": sshd.port,
        "key": str(sshd.key),
        "known_hosts": str(sshd.known_hosts),
        "python": python,
    }
    same("ssh", workflow.run("ssh", section))
    until(lambda: dask_processes() == [], f"no process is left: {dask_processes()}")
    assert list((workflow.folder / "fdgrad-hosts").glob("tls-*")) == []
    stranger = workflow.run("stranger", {**section, "key": str(sshd.folder / "host")})
    assert stranger.code == 5, stranger.told
    assert "nothing can be started on 127.0.0.1, 127.0.0.1 by SSH" in stranger.told
    assert "Permission denied for user root" in stranger.told


def test_address(namespaces: Namespaces, workflow: Workflow, same: Same) -> None:
    files = {"ca": str(namespaces.ca), "cert": str(namespaces.cert), "key": str(namespaces.key)}
    section = {
        "kind": "address",
        "address": namespaces.address,
        "workers": 2,
        "threads": 1,
        "memory_limit": "2 GiB",
        "wait": "60 s",
        "tls": files,
    }
    same("address", workflow.run("address", section))
    assert namespaces.processes("one") != []
