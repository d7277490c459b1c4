"""`fdgrad run` as a user calls it: a config in, and what its journal says of the time it took."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import psutil
import yaml

from benchmarks.machine import AS_IT_COMES, environment

_LOOK = 0.25  # seconds between two looks at the memory of the driver


@dataclass(frozen=True)
class Ran:
    """One run, all in seconds but for the memory."""

    whole: float
    """Of the command, with the start of Python and of the workers."""
    regions: int
    working: float
    """From the first region to the last."""
    closing: float
    """After the last region: what is proved and renamed."""
    inside: float
    """A region on its worker, on average."""
    handling: float
    """Of that reading and writing."""
    driver: float
    """Processor time of client and scheduler, which are one process, for a region."""
    memory: list[tuple[float, int]]
    """Resident bytes of that process, over the time since the first region."""


def run(folder: Path, source: str, target: str, sections: dict[str, Any]) -> Ran:
    """Runs the config with these sections, and replaces the target."""
    for old in (target, f"{target}.partial", f"{target}.journal"):
        shutil.rmtree(folder / old, ignore_errors=True)
    config = {
        "source": {"path": str(folder / source)},
        **sections,
        "target": {"path": str(folder / target), **sections.get("target", {})},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    began = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "fdgrad_dask.cli", "run", str(folder / "config.yaml")],
        env=environment(AS_IT_COMES),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen: list[tuple[float, int, float]] = []
    watch = threading.Thread(target=_watch, args=(process.pid, seen))
    watch.start()
    said, _ = process.communicate()
    watch.join()
    ended = time.time()
    if process.returncode:
        raise RuntimeError(f"fdgrad run ended with {process.returncode}:\n{said}")
    return _ran(folder / f"{target}.journal", began, ended, seen)


def _watch(pid: int, seen: list[tuple[float, int, float]]) -> None:
    """Time, resident bytes and processor time of the driver, until it ends."""
    try:
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            times = process.cpu_times()
            seen.append((time.time(), process.memory_info().rss, times.user + times.system))
            time.sleep(_LOOK)
    except psutil.Error:  # it has ended between two looks
        pass


def _ran(journal: Path, began: float, ended: float, seen: list[tuple[float, int, float]]) -> Ran:
    records = [json.loads(file.read_text()) for file in (journal / "regions").iterdir()]
    first = min(record["began"] for record in records)
    last = max(record["began"] + record["seconds"] for record in records)
    during = [each for each in seen if first <= each[0] <= last] or seen[-1:]
    return Ran(
        whole=ended - began,
        regions=len(records),
        working=last - first,
        closing=ended - last,
        inside=mean(record["seconds"] for record in records),
        handling=mean(record["read_seconds"] + record["write_seconds"] for record in records),
        driver=(during[-1][2] - during[0][2]) / len(records),
        memory=[(at - first, rss) for at, rss, _ in during],
    )
