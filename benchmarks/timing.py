"""Times two ways of doing one thing in turn, so that a noisy machine is noisy for both."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


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
