"""The same workflow on every cluster: the same bytes, and nothing left behind."""

from __future__ import annotations

from tests.clusters.conftest import Workflow
from tests.clusters.namespaces import Namespaces
from tests.clusters.services import Slurm, Sshd, dask_processes, until

Bytes = dict[str, str]


def test_threads(workflow: Workflow, clean: Bytes) -> None:
    """What the command does unasked, in its own process; ``clean`` is of two other processes."""
    ended = workflow.run("threads", {"kind": "threads", "workers": 2})
    assert ended.code == 0, ended.told
    assert workflow.bytes_of("threads") == clean


def test_slurm(slurm: Slurm, workflow: Workflow, python: str, clean: Bytes) -> None:
    ended = workflow.run("slurm", slurm.section(python))
    assert ended.code == 0, ended.told
    assert workflow.bytes_of("slurm") == clean
    until(lambda: slurm.jobs() == [], "no job is left")
    assert list((workflow.folder / "fdgrad-jobs").glob("tls-*")) == []


def test_slurm_without_the_gpus_that_it_promised(
    slurm: Slurm, workflow: Workflow, python: str
) -> None:
    ended = workflow.run("no-gpu", slurm.section(python, gpus=1))
    assert ended.code == 5, ended.told
    assert "was to have a GPU, and JAX finds none" in ended.told
    assert "CUDA_VISIBLE_DEVICES is 0)" in ended.told or "is 1)" in ended.told
    assert workflow.finished("no-gpu") == 0
    assert not workflow.target("no-gpu").exists()
    until(lambda: slurm.jobs() == [], "no job is left")


def test_a_job_that_slurm_refuses(slurm: Slurm, workflow: Workflow, python: str) -> None:
    ended = workflow.run("refused", slurm.section(python, queue="nowhere"))
    assert ended.code == 5, ended.told
    assert "sbatch refuses the job: " in ended.told
    assert "invalid partition specified: nowhere" in ended.told


def test_ssh(sshd: Sshd, workflow: Workflow, python: str, clean: Bytes) -> None:
    ended = workflow.run("ssh", sshd.section(python))
    assert ended.code == 0, ended.told
    assert workflow.bytes_of("ssh") == clean
    until(lambda: dask_processes() == [], "no process is left")
    assert list((workflow.folder / "fdgrad-hosts").glob("tls-*")) == []


def test_ssh_with_a_key_that_no_host_knows(sshd: Sshd, workflow: Workflow, python: str) -> None:
    section = {**sshd.section(python), "key": str(sshd.folder / "host")}
    ended = workflow.run("stranger", section)
    assert ended.code == 5, ended.told
    assert "nothing can be started on 127.0.0.1, 127.0.0.1 by SSH" in ended.told
    assert "Permission denied for user root" in ended.told


def test_address(namespaces: Namespaces, workflow: Workflow, clean: Bytes) -> None:
    ended = workflow.run("address", namespaces.section())
    assert ended.code == 0, ended.told
    assert workflow.bytes_of("address") == clean
    assert namespaces.processes("one") != []  # they were there before
