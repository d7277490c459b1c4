"""What dies while a run goes on, and what the target is in the end: that of a clean run.

Real drivers and workers, killed by their process numbers; T1 to T4 and T7.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import pytest
import xarray as xr
from distributed import Client

from fdgrad_dask import cli
from fdgrad_dask.pipeline.cluster import open as cluster
from fdgrad_dask.pipeline.execute import distributed
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.store.folder import Folder

Write = Callable[..., str]

MOMENT = {"SOURCE_DATE_EPOCH": "1000000000"}
HARMLESS = "ignore:numpy.ndarray size changed"  # of netCDF4 with an older NumPy
TIMES = 12
LOCAL = "{workers: 1, threads: 1, memory_limit: 2 GiB}"
THREADS = "{kind: threads, workers: 1, threads: 1}"
SLOW = """
import sys, time
from fdgrad_dask import cli
from fdgrad_dask.pipeline.execute import window

def slowed(original):
    def slow(task, attempts):  # pickled by value, since it is of no module
        time.sleep(0.25 * len(attempts))
        return original(task, attempts)
    return slow

if __name__ == "__main__":
    if "kind: threads" in open("config.yaml").read():
        window.Task.compute = slowed(window.Task.compute)
    else:
        from fdgrad_dask.pipeline.execute import distributed
        distributed.compute = slowed(distributed.compute)
    sys.exit(cli.main())
"""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of what a run writes that nobody disturbs."""
    folder = tmp_path_factory.mktemp("clean")
    prepare(folder)
    finish(folder)
    return contents(folder / "out.zarr")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    prepare(tmp_path)
    return tmp_path


def prepare(folder: Path) -> None:
    """A source of twelve times, a config with a region for each, and a slow command."""
    values = np.random.default_rng(7).standard_normal((TIMES, 6, 10)).astype(np.float32)
    labels = {"t": np.arange(float(TIMES)), "x": np.arange(10.0)}
    data = xr.Dataset({"a": (("t", "y", "x"), values, {"units": "K"})}, coords=labels)
    data.chunk(t=1).to_zarr(folder / "in.zarr", zarr_format=3, consolidated=False)
    (folder / "slow.py").write_text(SLOW)
    configure(folder, LOCAL)


def configure(folder: Path, cluster: str) -> None:
    (folder / "config.yaml").write_text(
        "source: {path: in.zarr}\n"
        "steps: [{operator: gradient, inputs: [a], options: {dim: [t, x]}}]\n"
        "target: {path: out.zarr, chunks: {t: 1, y: 3}, regions: {t: 1, y: 6}}\n"
        f"cluster: {cluster}\n"
    )


def finish(folder: Path) -> None:
    """What is missing is computed in this process, which nobody disturbs."""
    configure(folder, THREADS)
    with chdir(folder), patch.dict(os.environ, MOMENT):
        assert cli.main(["run", "config.yaml"]) == 0


@contextmanager
def running(
    *arguments: str, cwd: Path, told: str = ""
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, once it has said ``told``; killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-W", HARMLESS, "slow.py", *arguments],
        cwd=cwd,
        env={**os.environ, **MOMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = ""
    try:
        assert process.stderr is not None
        while told not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        yield process, said
    finally:
        for each in psutil.Process(process.pid).children(True) if process.poll() is None else ():
            each.kill()
        process.kill()
        process.communicate()


def contents(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def finished(folder: Path, least: int) -> None:
    """Returns when so many regions are in the journal."""
    journal = Journal(Folder(f"{folder}/out.zarr.journal"))
    for _ in range(4800):
        if len(journal.regions()) >= least:
            return
        time.sleep(0.05)
    raise AssertionError(f"{len(journal.regions())} regions")


def workers(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """Processes that distributed's nannies have spawned."""
    children = psutil.Process(driver.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_t1_a_worker_is_killed(
    here: Path, clean: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer to come back than a cluster of distributed waits for it."""
    monkeypatch.setenv("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "10ms")
    with running("run", "config.yaml", cwd=here, told="dashboard") as (process, _):
        finished(here, 2)
        for worker in workers(process):
            worker.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    assert contents(here / "out.zarr") == clean
    journal = Journal(Folder(f"{here}/out.zarr.journal"))
    run, records = journal.run(), journal.regions().values()
    assert run is not None
    assert [event.kind for event in run.events] == ["worker lost"]
    assert "the worker tcp://127.0.0.1:" in err
    told = re.search(r" died of (?:region|one of the regions) ([\d, ]+), or was killed", err)
    assert told, err
    lost = {int(number) for number in told[1].split(", ")}  # small regions travel together
    assert {record.number for record in records if record.attempt == 2} == lost
    assert {record.attempt for record in records} == {1, 2}


def test_t2_the_driver_is_killed_again_and_again(here: Path, clean: dict[str, str]) -> None:
    """Thrice with its worker, which is not even there the first time, twice with its threads."""
    luck = random.Random(11)
    done = 0
    for moment, section in enumerate([LOCAL, LOCAL, THREADS, LOCAL, THREADS]):
        configure(here, section)
        with running("run", "config.yaml", cwd=here, told="computed") as (process, said):
            assert done == 0 or f"resuming {here}/out.zarr: {done} of {TIMES}" in said
            if moment:
                finished(here, done + 1)
            time.sleep(luck.uniform(0, 0.3))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        done = len(Journal(Folder(f"{here}/out.zarr.journal")).regions())
        assert not (here / "out.zarr").exists()
        assert (here / "out.zarr.journal" / "lock.json").exists()
    assert 4 <= done < TIMES
    finish(here)
    assert contents(here / "out.zarr") == clean
    assert not (here / "out.zarr.journal" / "lock.json").exists()


def test_t3_a_run_that_is_asked_to_stop(here: Path, clean: dict[str, str]) -> None:
    """As by a batch queue; Ctrl-C is in test_cli."""
    with running("run", "config.yaml", "--fresh", cwd=here, told="dashboard") as (process, _):
        finished(here, 2)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 6, err
    done = len(Journal(Folder(f"{here}/out.zarr.journal")).regions())
    last = err.splitlines()[-1]
    assert last == (
        f"fdgrad: interrupted, {done} of {TIMES} regions are finished and kept. "
        "To resume: fdgrad run config.yaml"
    )
    assert 2 < done < TIMES  # those in flight were waited for
    assert not (here / "out.zarr").exists()
    assert not (here / "out.zarr.journal" / "lock.json").exists()
    finish(here)
    differ = contents(here / "out.zarr").items() ^ clean.items()
    assert {key for key, _ in differ} == {"zarr.json"}  # its history tells of --fresh


@contextmanager
def apart(_: Any) -> Iterator[Client]:
    """A scheduler and a worker, each a process of its own as on another host."""
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    module = "distributed.cli.dask_{} --scheduler-file scheduler.json --no-dashboard "
    started = [
        subprocess.Popen([sys.executable, "-m", *arguments.split()], **silent)
        for arguments in (
            module.format("scheduler") + "--host 127.0.0.1 --port 0",
            module.format("worker") + "--no-nanny --nthreads 1 --death-timeout 60",
        )
    ]
    SCHEDULER.append(started[0])
    try:
        for _ in range(600):
            if Path("scheduler.json").exists():
                break
            time.sleep(0.05)
        # So long a client hopes that its scheduler answers, and answers again.
        with Client(scheduler_file="scheduler.json", timeout=8) as client:
            client.wait_for_workers(1, timeout=60)
            yield client
    finally:
        for process in started:
            process.kill()
            process.wait()
        Path("scheduler.json").unlink(missing_ok=True)


SCHEDULER: list[subprocess.Popen[bytes]] = []


def test_t4_the_scheduler_is_killed(
    here: Path,
    clean: dict[str, str],
    on_a_cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original = distributed.compute

    def slow(*arguments: Any) -> Any:
        time.sleep(0.25)
        return original(*arguments)

    def kill() -> None:
        finished(here, 2)
        monkeypatch.setattr(distributed, "compute", original)
        SCHEDULER[0].kill()

    SCHEDULER.clear()
    monkeypatch.setattr(distributed, "compute", slow)
    opened = iter([apart, cluster.OPEN["local"]])
    monkeypatch.setitem(cluster.OPEN, "local", lambda section: next(opened)(section))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", MOMENT["SOURCE_DATE_EPOCH"])
    killer = Thread(target=kill)
    killer.start()
    assert cli.main(["run", "config.yaml"]) == 0
    killer.join()
    assert "cluster lost, rebuilding (1/3): the cluster was lost" in capsys.readouterr().err
    assert next(opened, None) is None
    assert contents(here / "out.zarr") == clean


def mounted(folder: Path) -> bool:
    """A file system of two megabytes, where we may mount one."""
    folder.mkdir()
    if os.getuid():
        return False
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    return subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0


def test_t7_the_disk_is_full(
    here: Path, on_a_cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a worker; test_target_formats has it for threads and every format."""
    if not mounted(here / "small"):
        pytest.skip("to mount a small file system takes root")
    try:
        values = np.random.default_rng(0).random((8, 500, 250))
        data = xr.Dataset({"a": (("t", "y", "x"), values)})
        data.chunk(t=1).to_zarr(here / "large.zarr", zarr_format=3, consolidated=False)
        (here / "config.yaml").write_text(
            "source: {path: large.zarr}\n"
            "steps: [{operator: gradient, inputs: [a], options: {dim: x}}]\n"
            "target: {path: small/out.zarr, regions: {t: 1}}\n"
            "cluster: {workers: 1, threads: 1}\n"
        )
        assert cli.main(["run", "config.yaml"]) == 4
        err = capsys.readouterr().err
        assert (
            f"7.63 MiB are to be written beside {here}/small/out.zarr, and only 2.00 MiB are" in err
        )
        told = err.splitlines()[-1]
        assert "small/out.zarr.partial" in told
        assert "cannot be written: the disk is full, " in told
        assert not Path("small/out.zarr").exists()
        done = len(Journal(Folder("small/out.zarr.journal")).regions())
        assert done >= 1
        subprocess.run(["mount", "-o", "remount,size=20m", str(here / "small")], check=True)
        assert cli.main(["run", "config.yaml"]) == 0
        assert f"resuming {here}/small/out.zarr: {done} of 8" in capsys.readouterr().err
        np.testing.assert_array_equal(
            xr.open_zarr("small/out.zarr").da_dx, np.gradient(values, axis=2)
        )
    finally:
        subprocess.run(["umount", str(here / "small")], check=False)
