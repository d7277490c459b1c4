"""Keeping freed memory in this process, so that large arrays need not fault in every page.

By default glibc returns every array above some MB to the system as soon as it is freed. The next
array of that size costs a page fault for each page, which can take longer than computing it.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from functools import cache
from pathlib import Path

from fdgrad_dask.errors import OptionError

_MOST = 2**31 - 1  # what an int of C holds, which is how mallopt takes its bytes
# malloc.h of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_OTHERS = ("jemalloc", "tcmalloc", "mimalloc")


def tune_memory(keep: int = _MOST) -> None:
    """Ask glibc to keep freed memory of this process for reuse.

    Blocks of up to ``keep`` bytes come from one heap, of which up to ``keep`` free bytes stay with
    the process. It then holds on to about as much as it ever used at once: watch its resident
    memory. Call it first, before other threads start. An allocator that was preloaded in place of
    glibc's, such as jemalloc, keeps memory in its own way and is left as it is. The workers of
    `fdgrad run` need no call: they are started with such an allocator.

    Parameters
    ----------
    keep
        Bytes, up to 2 GiB less one, which is the default.

    Raises
    ------
    OptionError
        ``keep`` is not in that range.

    Warns
    -----
    RuntimeWarning
        Nothing was changed, since the C library is not glibc, or glibc refused.
    """
    if not 0 < keep <= _MOST:
        raise OptionError(
            f"keep is {keep} bytes, but the allocator takes 1 to {_MOST}; give a number in between"
        )
    if not _is_glibc():
        _warn("the C library of this process is not glibc")
    if not _is_glibc() or _other_allocator():
        return
    mallopt = ctypes.CDLL(None).mallopt
    wanted = {_MMAP_THRESHOLD: keep, _TRIM_THRESHOLD: keep, _ARENA_MAX: 1}
    refused = [number for number, value in wanted.items() if not mallopt(number, value)]
    if refused:
        _warn(f"glibc refused the parameters {refused} of mallopt")


def _warn(reason: str) -> None:
    message = f"tune_memory cannot make this process keep freed memory: {reason}"
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def is_default() -> bool:
    """True if glibc allocates, and nothing in the environment says what it is to keep."""
    is_set = any(name.startswith("MALLOC_") for name in os.environ)
    is_set = is_set or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    return not (is_set or _other_allocator())


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
