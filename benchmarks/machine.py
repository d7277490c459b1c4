"""The machine that a measurement was made on, in words, and the environments of its processes."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

# glibc gives every large array back and faults it in again; these keep it, as for the workers of
# `fdgrad run`.
KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
DEFAULT, TUNED = "default allocator", "tuned allocator"


def environment(memory: str) -> dict[str, str]:
    """The variables of a process with the default allocator, or one that keeps its memory."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD"))
    }
    return plain | (KEEP_MEMORY if memory == TUNED else {})


def described() -> str:
    """One line: processor, cores, memory, versions, and how busy it was before."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ("numpy", "jax", "dask", "distributed", "xarray", "zarr")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{cpu}, {cores()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f} before; "
        f"Python {platform.python_version()}, {versions}"
    )


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_to(count: int) -> None:
    """Keeps this process, and all that it starts later, to so many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
