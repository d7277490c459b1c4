"""What batch queues are asked for: the job scripts, read line by line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import dask
import pytest
from pydantic import TypeAdapter, ValidationError

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.cluster import batch, resources
from fdgrad_dask.pipeline.cluster.open import opened
from fdgrad_dask.pipeline.cluster.resources import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Batch, Cluster

pytest.importorskip("dask_jobqueue", reason="pip install 'fdgrad_dask[jobqueue]'")

ASKED = {
    "jobs": 3,
    "cores": 8,
    "memory": "32 GiB",
    "processes": 2,
    "walltime": "1-02:30:00",
    "queue": "climate",
    "account": "ab123",
    "interface": "ib0",
    "prologue": ["module load python"],
    "directives": ["--mail-type=FAIL"],
    "encrypted": False,
}


def section(kind: str, **more: Any) -> Batch:
    made: Batch = TypeAdapter(Cluster).validate_python({"kind": kind, **ASKED, **more})
    return made


def script(kind: str, **more: Any) -> list[str]:
    """The lines of the job script."""
    return lines_of(section(kind, **more))


def lines_of(cluster: Batch) -> list[str]:
    made = batch._class_of(cluster)
    told = batch._keywords(cluster, None)
    del told["security"], told["scheduler_options"], told["silence_logs"]
    job = made.job_cls("tls://10.0.0.1:8786", name="fdgrad-0", **told)
    return [str(line) for line in job.job_script().splitlines() if line.strip()]


HEADS = {
    "slurm": [
        "#SBATCH -p climate",
        "#SBATCH -A ab123",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=32G",
        "#SBATCH -t 26:30:00",
        "#SBATCH --mail-type=FAIL",
    ],
    "pbs": [
        "#PBS -q climate",
        "#PBS -A ab123",
        "#PBS -l select=1:ncpus=8:mem=34359738368b",
        "#PBS -l walltime=26:30:00",
        "#PBS --mail-type=FAIL",
    ],
    "lsf": [
        "#BSUB -q climate",
        '#BSUB -P "ab123"',
        "#BSUB -n 8",
        '#BSUB -R "span[hosts=1]"',
        "#BSUB -W 26:30",
        "#BSUB --mail-type=FAIL",
    ],
    "sge": [
        "#$ -q climate",
        "#$ -P ab123",
        "#$ -l mem_free=4294967296",
        "#$ -l h_rt=26:30:00",
        "#$ -pe smp 8",
        "#$ --mail-type=FAIL",
    ],
}
GPUS = {
    "slurm": "#SBATCH --gres=gpu:1",
    "pbs": "#PBS -l select=1:ncpus=8:mem=34359738368b:ngpus=1",
    "lsf": '#BSUB -gpu "num=1"',
    "sge": "#$ -l mem_free=4294967296,gpu=1",
}


@pytest.mark.parametrize("kind", HEADS)
def test_the_queue_is_asked_for_what_the_section_says(kind: str) -> None:
    lines = script(kind)
    assert [line for line in HEADS[kind] if line not in lines] == []
    assert section(kind).workers == 6
    assert section(kind).threads == 4


@pytest.mark.parametrize("kind", HEADS)
def test_the_environment_is_set_before_the_worker_starts(kind: str) -> None:
    lines = script(kind)
    keep = str(4 * 2**30)  # a quarter of the 16 GiB of a worker
    exported = [
        "module load python",
        "export MALLOC_ARENA_MAX=1",
        f"export MALLOC_TRIM_THRESHOLD_={keep}",
        "export NPROC=4",
        "export ZARR_ASYNC__CONCURRENCY=4",
        "export ZARR_THREADING__MAX_WORKERS=4",
        "export JAX_PLATFORMS=cpu",
    ]
    places = [lines.index(line) for line in exported]
    assert places == sorted(places)
    assert "distributed.cli.dask_worker" in lines[-1]


@pytest.mark.parametrize("kind", HEADS)
def test_workers_leave_before_the_walltime_and_take_one_region_at_a_time(kind: str) -> None:
    words = shlex.split(script(kind)[-1])
    given = {word: words[place + 1] for place, word in enumerate(words) if word.startswith("--")}
    walltime = 26.5 * 3600
    lifetime, stagger = (int(given[f"--{n}"][:-1]) for n in ("lifetime", "lifetime-stagger"))
    assert walltime - 600 <= lifetime + stagger < walltime
    assert given["--nthreads"] == "1"  # the last one given counts
    assert given["--nworkers"] == "2"
    assert given["--memory-limit"] == "16.00GiB"
    assert given["--interface"] == "ib0"
    assert given["--dashboard-address"] == "127.0.0.1:0"


SITE = {
    "account": "site1",
    "project": "site1",
    "job-extra-directives": ["--qos=site"],
    "job-script-prologue": ["module load site"],
    "worker-extra-args": ["--local-directory", "/scratch"],
    "scheduler-options": {"host": "10.0.0.9"},
}
MARKS = {"slurm": ("#SBATCH", "-A site1"), "pbs": ("#PBS", "-A site1")}
MARKS |= {"lsf": ("#BSUB", '-P "site1"'), "sge": ("#$", "-P site1")}


@pytest.mark.parametrize("kind", HEADS)
def test_what_the_section_leaves_out_is_taken_from_the_configuration_of_the_site(kind: str) -> None:
    left_out = {"account", "prologue", "directives", "interface"}
    least = {name: value for name, value in ASKED.items() if name not in left_out}
    cluster = TypeAdapter(Cluster).validate_python({"kind": kind, **least})
    mark, account = MARKS[kind]
    of_others = "account" if kind in ("lsf", "sge") else "project"  # an old name, which warns
    site = {name: value for name, value in SITE.items() if name != of_others}
    with dask.config.set({f"jobqueue.{kind}": dask.config.get(f"jobqueue.{kind}") | site}):
        lines = lines_of(cluster)
        scheduler = batch._keywords(cluster, None)["scheduler_options"]
        own = script(kind)
        none = script(kind, prologue=None, directives=None)
    assert {f"{mark} {account}", f"{mark} --qos=site"} <= set(lines)
    assert lines.index("module load site") < lines.index("export NPROC=4")
    assert "--local-directory /scratch" in lines[-1]
    assert lines[-1].rindex("--nthreads 1") > lines[-1].index("--nthreads 4")
    assert scheduler["host"] == "10.0.0.9"
    assert scheduler["dashboard_address"].startswith("127.0.0.1:")
    # What stands in the section counts.
    assert {f"{mark} --mail-type=FAIL", "module load python"} <= set(own)
    assert not any("qos" in line or "site" in line for line in own[:-1])
    assert {f"{mark} --qos=site", "module load site"} <= set(none)


def test_options_go_to_dask_jobqueue_as_they_are() -> None:
    options = {
        "shebang": "#!/bin/zsh",
        "job_mem": "33G",
        "worker_extra_args": ["--no-reconnect"],
        "scheduler_options": {"port": 8786},
    }
    lines = script("slurm", options=options)
    assert lines[0] == "#!/bin/zsh"
    assert "#SBATCH --mem=33G" in lines
    assert "--no-reconnect" in lines[-1]
    assert lines[-1].rindex("--nthreads 1") > lines[-1].index("--nthreads 4")
    told = batch._keywords(section("slurm", options=options), None)["scheduler_options"]
    assert told == {"dashboard_address": told["dashboard_address"], "port": 8786}
    assert "#PBS -l select=2" in script("pbs", options={"resource_spec": "select=2"})


@pytest.mark.parametrize(
    ("option", "key"),
    [("cores", "cores"), ("project", "account"), ("security", "tls"), ("job_extra", "directives")],
)
def test_an_option_that_the_section_has_a_key_for(option: str, key: str) -> None:
    with pytest.raises(ValidationError, match=rf"{option} is not an option; write {key} instead"):
        section("slurm", options={option: "1"})


WRONG = {"shebang": "#!/bin/sh", "job-mem": "33G"}


def test_an_option_that_dask_jobqueue_does_not_know() -> None:
    message = r"options.job-mem is no keyword of dask-jobqueue; did you mean 'job_mem'\?$"
    with pytest.raises(ClusterError, match=message), opened(section("slurm", options=WRONG)):
        pass


@pytest.mark.parametrize("key", ["parallel_environment", "memory_resource"])
def test_a_key_of_grid_engine_alone(key: str) -> None:
    with pytest.raises(ValidationError, match=r"only kind: sge has this; take it away"):
        section("slurm", **{key: "smp"})


@pytest.mark.parametrize("walltime", ["1 min", "10 min", "00:30:00", "2 days"])
def test_a_worker_lives_at_least_half_of_its_job(walltime: str) -> None:
    cluster = section("slurm", walltime=walltime)
    lifetime, stagger = (int(word[:-1]) for word in batch._arguments(cluster)[1:4:2])
    seconds = batch.seconds(walltime)
    assert seconds / 2 <= lifetime
    assert lifetime + stagger < seconds


@pytest.mark.parametrize("kind", GPUS)
def test_a_job_with_a_gpu_has_one_process_that_is_not_told_which(kind: str) -> None:
    lines = script(kind, gpus=1, processes=1)
    assert GPUS[kind] in lines
    assert "export JAX_PLATFORMS=cuda" in lines
    assert "export XLA_PYTHON_CLIENT_MEM_FRACTION=0.75" in lines
    assert "--resources GPU=1" in lines[-1]
    assert not any("CUDA_VISIBLE_DEVICES" in line for line in lines)


@pytest.mark.parametrize(("cores", "wide"), [(2, 4), (8, 4), (64, 32)])
def test_the_pools_of_zarr_are_as_wide_as_the_threads_of_a_worker(cores: int, wide: int) -> None:
    told = resources.libraries(section("slurm", cores=cores))
    assert told["ZARR_THREADING__MAX_WORKERS"] == told["ZARR_ASYNC__CONCURRENCY"] == str(wide)


def test_memory_of_a_worker_is_its_share_of_the_job() -> None:
    assert bytes_per_worker(section("slurm")) == 16 * 2**30


def test_a_queue_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    message = r"qsub is not on this machine, so no job can be sent; run fdgrad on a login node"
    with pytest.raises(ClusterError, match=message), opened(section("pbs")):
        pass


def test_a_package_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dask_jobqueue", None)
    message = re.escape(
        "cluster.kind lsf needs the package dask-jobqueue; pip install 'fdgrad_dask[lsf]'"
    )
    with pytest.raises(ClusterError, match=message), opened(section("lsf")):
        pass


def test_credentials_of_a_run_are_for_its_owner_and_go_with_it(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    cluster = section("slurm", encrypted=True, folder=str(tmp_path / "jobs"))
    with resources.credentials(cluster) as security:
        assert security is not None
        assert security.require_encryption
        key = Path(security.tls_worker_key)
        assert key.parent.parent == tmp_path / "jobs"
        assert key.parent.stat().st_mode & 0o077 == 0
        assert key.stat().st_mode & 0o077 == 0
        assert "PRIVATE KEY" in key.read_text()
    assert not key.parent.exists()


def test_credentials_that_are_not_there(tmp_path: Path) -> None:
    files = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    cluster = section("slurm", encrypted=True, tls=files)
    with (
        pytest.raises(ClusterError, match=r"no file .*/ca.pem of cluster.tls; fix the path"),
        resources.credentials(cluster),
    ):
        pass


def test_certificates_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    cluster = section("slurm", encrypted=True, folder=str(tmp_path))
    with (
        pytest.raises(ClusterError, match=r"pip install cryptography, or give your own files as"),
        resources.credentials(cluster),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
