"""The allocator of this process keeps large blocks, instead of faulting each in anew.

glibc gives every array above some MB back to the system as soon as it is free; the next one of
that size costs a page fault for each of its pages, which can take longer than what is computed.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from fdgrad_dask.errors import OptionError

_MOST = 2**31 - 1  # what an int of C holds, which is how mallopt takes its bytes
# malloc.h of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_OTHERS = ("jemalloc", "tcmalloc", "mimalloc")
_tuned = 0  # bytes


def tune_memory(keep: int = _MOST) -> str:
    """Makes glibc keep memory that arrays leave behind; a sentence that says what was done.

    Blocks of up to ``keep`` bytes come from one heap, of which up to ``keep`` free bytes stay with
    the process. It then holds on to about as much as it ever used at once: watch its resident
    memory. Call it first, before there are other threads. Elsewhere than on glibc nothing is done.
    The workers of `fdgrad run` need no call: they are started with such an allocator.

    Parameters
    ----------
    keep
        Bytes; at most 2 GiB less one, which is what is taken if not given.

    Raises
    ------
    OptionError
        ``keep`` is no such number.
    """
    if not 0 < keep <= _MOST:
        raise OptionError(
            f"keep is {keep} bytes, but the allocator takes 1 to {_MOST}; give a number in between"
        )
    if not _is_glibc():
        return "memory: left alone, the C library of this process is not glibc"
    if other := _other_allocator():
        return f"memory: left alone, {other} allocates it and keeps it in its own way"
    mallopt = ctypes.CDLL(None).mallopt
    wanted = {_MMAP_THRESHOLD: keep, _TRIM_THRESHOLD: keep, _ARENA_MAX: 1}
    refused = [number for number, value in wanted.items() if not mallopt(number, value)]
    if refused:
        return f"memory: glibc refused the parameters {refused} of mallopt, and has set the others"
    global _tuned
    _tuned = keep
    return f"memory: glibc keeps blocks of up to {keep / 2**20:.0f} MiB in one arena"


def is_default() -> bool:
    """True if glibc allocates as it does by default: nobody said what it should keep or return."""
    is_set = any(name.startswith("MALLOC_") for name in os.environ)
    is_set = is_set or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    return not (_tuned or is_set or _other_allocator())


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):  # no such name, or no such function
        return False


@cache
def _other_allocator() -> str:
    """The allocator that stands in for glibc's, as by LD_PRELOAD."""
    try:
        loaded = Path("/proc/self/maps").read_text()
    except OSError:
        loaded = os.environ.get("LD_PRELOAD", "")
    return next((name for name in _OTHERS if f"lib{name}" in loaded), "")
