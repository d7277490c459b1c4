"""Processes, jobs and links that die on the way: the run goes on, to the bytes of a clean one.

They come last by name: the link that goes down stays down.
"""

from __future__ import annotations

import os
import signal
import subprocess

from tests.clusters.conftest import LIMIT, ROOT, Workflow
from tests.clusters.namespaces import MEMBERS, Namespaces
from tests.clusters.services import Slurm, Sshd, dask_processes, until

Bytes = dict[str, str]
SOON = 40  # regions


def more(workflow: Workflow, name: str, regions: int = SOON) -> None:
    """Waits for some more regions."""
    target = workflow.finished(name) + regions
    until(lambda: workflow.finished(name) >= target, f"{target} regions of {name}", LIMIT)


def ended(started: subprocess.Popen[str]) -> str:
    """What a run that ended well has told."""
    told, _ = started.communicate(timeout=LIMIT)
    assert started.returncode == 0, told
    return told


def test_a_worker_and_then_the_scheduler_are_killed(
    sshd: Sshd, long: Workflow, long_clean: Bytes, python: str
) -> None:
    with long.start("killed", sshd.section(python)) as run:
        more(long, "killed")
        worker = next(p for p, line in dask_processes() if "spawn_main" in line)
        os.kill(worker, signal.SIGKILL)
        more(long, "killed")
        scheduler = next(p for p, line in dask_processes() if "distributed.Scheduler" in line)
        os.kill(scheduler, signal.SIGKILL)
        told = ended(run)
    assert "cluster lost, rebuilding (1/3)" in told
    assert long.bytes_of("killed") == long_clean
    until(lambda: dask_processes() == [], "no process is left", LIMIT)


def test_the_job_of_the_only_worker_and_then_the_driver_are_stopped(
    slurm: Slurm, long: Workflow, long_clean: Bytes, python: str
) -> None:
    """The driver is a job too, which Slurm asks to stop as it does before the time is up."""
    section = long.cluster("stopped", slurm.section(python, jobs=1))
    (commands := long.folder / "bin").mkdir()
    (commands / "fdgrad").write_text(
        "#!/bin/sh\nexport DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT=3s\n"  # 15 s else
        f'exec {python} -m fdgrad_dask.cli "$@"\n'
    )
    (commands / "fdgrad").chmod(0o755)
    log = long.folder / "driver.log"
    driver = slurm.ask(
        *("sbatch", "--parsable", f"--chdir={long.folder}", f"--output={log}"),
        f"--export=ALL,PATH={commands}:{os.environ['PATH']}",
        ROOT / "workflows" / "slurm" / "fdgrad.sbatch",
        *(long.config("stopped"), "--cluster", section),
    )
    more(long, "stopped")
    (first,) = set(slurm.jobs()) - {driver}
    slurm.ask("scancel", first)
    more(long, "stopped", 1 + SOON)
    (second,) = set(slurm.jobs()) - {driver}
    assert second != first
    slurm.ask("scancel", "--batch", "--signal=TERM", driver)
    until(lambda: slurm.restarts(driver) == "1", "the driver starts again", LIMIT)
    until(lambda: slurm.jobs() == [], "the driver ends", LIMIT)
    assert "regions are finished and kept. To resume: fdgrad run" in log.read_text()
    assert long.bytes_of("stopped") == long_clean


def test_the_link_of_a_worker_goes_down(
    namespaces: Namespaces, long: Workflow, long_clean: Bytes
) -> None:
    with long.start("cut", namespaces.section()) as run:
        more(long, "cut")
        namespaces.cut("two")
        ended(run)
    hosts = {record.worker.split(":")[1] for record in long.records("cut")}
    assert hosts == {f"//{MEMBERS[name]}" for name in ("one", "two")}  # it had begun
    assert long.bytes_of("cut") == long_clean
