"""Times two ways of doing one thing in turn, so that a noisy machine is noisy for both."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# glibc gives every large array back and faults it in again; these keep it.
KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
}


@dataclass(frozen=True)
class Pair:
    """Medians in seconds, and the ratio theirs / ours run by run."""

    ours: float
    theirs: float
    ratio: float
    lowest: float
    highest: float


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], runs: int = 7) -> Pair:
    """Ours, theirs, ours, theirs … after one run of each to warm up."""
    ours()
    theirs()
    seconds = [(_timed(ours), _timed(theirs)) for _ in range(runs)]
    ratios = [b / a for a, b in seconds]
    return Pair(
        statistics.median(a for a, _ in seconds),
        statistics.median(b for _, b in seconds),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def machine() -> str:
    """One line: processor, cores, memory, versions."""
    import dask
    import jax
    import numpy
    import xarray

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":")[1].strip()
            for line in info.read_text().splitlines()
            if "model name" in line
        ]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{m.__name__} {m.__version__}" for m in (numpy, jax, dask, xarray))
    python = platform.python_version()
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB; Python {python}, {versions}"


def lines_of(module: str, argument: str, environment: dict[str, str]) -> list[str]:
    """What a benchmark prints in a fresh process of this environment."""
    run = subprocess.run(
        [sys.executable, "-m", module, argument],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()
