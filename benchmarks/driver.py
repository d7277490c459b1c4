"""How many workers one driver keeps busy: client and scheduler as they are, workers that pretend.

Many workers share one process and only wait for as long as a region takes; what they send back is
what real ones send. So two cores are enough to see what a region costs the driver where hundreds
of workers are connected. ``python -m benchmarks.driver WORKERS REGIONS MOST`` is one such run, with
MOST regions to a task, and prints one line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask
import psutil
from distributed import Client, Scheduler, SpecCluster, Worker

from benchmarks.machine import DEFAULT, environment
from benchmarks.rows import Row, spread
from fdgrad_dask.pipeline.cluster import open as clusters
from fdgrad_dask.pipeline.config.cluster import Local
from fdgrad_dask.pipeline.execute import window
from fdgrad_dask.pipeline.execute.distributed import on_cluster
from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord, key_of
from fdgrad_dask.pipeline.execute.task import Attempt, Result
from fdgrad_dask.pipeline.planning.cutting import Halo
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.store.folder import Folder

SIZES = {"quick": (8, 200), "usual": (200, 16_000), "long": (200, 100_000)}
SECONDS = 1.1  # of a region of 512 MiB, as they are measured
TOGETHER, ALONE = 64, 1


@dataclass(frozen=True)
class Pretended:
    """In place of ``execute.task.Task``."""

    worker: str = ""

    def compute(self, attempts: Sequence[Attempt]) -> list[Result]:
        time.sleep(SECONDS * len(attempts))
        return [(self._record(each), None) for each in attempts]

    def _record(self, each: Attempt) -> RegionRecord:
        return RegionRecord(
            number=each.region,
            key=key_of(each.span),
            worker=self.worker,
            began=time.time(),
            seconds=SECONDS,
            read_seconds=SECONDS / 4,
            write_seconds=SECONDS / 4,
            bytes_read=2**28,
            bytes_written=2**28,
            peak_memory=2**30,
            attempt=each.number,
            checksums={f"dt_dx/c/{each.region}/0/0": "r01234567"},
            inputs={f"0 t/c/{each.region}/0/0": "268435456 2026-01-01T00:00:00.000000"},
        )


def rows(size: str) -> Iterator[Row]:
    """A task for each region, and as many to a task as last ten seconds, in turn."""
    workers, regions = SIZES[size]
    for most, how in ((ALONE, "a task for each"), (TOGETHER, "some to a task")):
        count = regions if most == TOGETHER else regions // 8
        ran = _apart(workers, count, most)
        case = f"{workers} workers that pretend, {SECONDS} s a region, {how}"
        first, *_, last = ran["memory"]
        note = f"{count} regions in {ran['tasks']} tasks; {first} MB, then {last} MB"
        busy = ran["rate"] * SECONDS / workers
        for what, value, unit in (
            ("driver of many: processor time of a region", 1e3 * ran["processor"], "ms"),
            ("driver of many: regions in a second of its processor", 1 / ran["processor"], ""),
            ("driver of many: memory that a region leaves", 1e6 * (last - first) / count, "B"),
            ("driver of many: share of their time that workers work", busy, ""),
        ):
            yield Row(what, case, "", "", **spread([value]), unit=unit, note=note)


def _apart(workers: int, regions: int, most: int) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.driver"]
    command += [str(workers), str(regions), str(most)]
    told = subprocess.run(command, env=environment(DEFAULT), capture_output=True, check=True)
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


def drive(workers: int, regions: int, most: int) -> dict[str, Any]:
    """What a region takes of this process from a tenth of them to half, and all that it keeps."""
    window._MOST = most
    plan = Plan({"x": regions}, {"x": 1}, 0, 0, 0, 0)
    left = Pretended(), window.Pending({"x": Halo()}, plan, range(regions))
    clusters.OPEN["local"] = _many
    me, tasks, done, memory = psutil.Process(), 0, 0, []
    looks: list[tuple[int, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Folder(folder))
        cluster = Local(kind="local", workers=workers, threads=1)
        given = on_cluster(*left, threading.Event(), cluster, 0, lambda *_: None)  # type: ignore[arg-type]
        for results in given:
            journal.finish(*(record for record, _ in results))
            tasks, done = tasks + 1, done + len(results)
            if done >= (len(memory) + 1) * regions // 20:
                memory.append(me.memory_info().rss // 10**6)
                looks.append((done, time.perf_counter(), time.process_time()))
    (first, began, before), (last, ended, after) = looks[1], looks[9]
    return {
        "tasks": tasks,
        "rate": (last - first) / (ended - began),
        "processor": (after - before) / (last - first),
        "memory": memory,
    }


@contextmanager
def _many(cluster: Local) -> Iterator[Client]:
    """A scheduler in this process, and all workers in one other."""
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": options}
    with SpecCluster({}, scheduler, silence_logs=logging.CRITICAL) as running:
        address = running.scheduler_address
        command = [sys.executable, "-m", "benchmarks.driver", address, str(cluster.workers)]
        with Client(running) as client, subprocess.Popen(command) as process:
            try:
                client.wait_for_workers(cluster.workers, timeout=600)
                yield client
            finally:
                process.kill()


async def _pretend(address: str, count: int) -> None:
    options: dict[str, Any] = {"nthreads": 1, "memory_limit": 0, "dashboard": False}
    started = [await Worker(address, host="127.0.0.1", **options) for _ in range(count)]
    await asyncio.gather(*(worker.finished() for worker in started))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        # As hosts of their own would: what a process does for itself is not done for each worker.
        quiet = {"distributed.worker.profile.enabled": False}
        with dask.config.set(quiet | {"distributed.admin.system-monitor.interval": "60s"}):
            asyncio.run(_pretend(sys.argv[1], int(sys.argv[2])))
    else:
        print(json.dumps(drive(*map(int, sys.argv[1:]))))
