"""Keeping freed memory in this process, so that large arrays need not fault in every page.

By default glibc returns every array above some MB to the system as soon as it is freed. The next
array of that size costs a page fault for each page, which can take longer than computing it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from functools import cache
from pathlib import Path

from fdgrad_dask.errors import OptionError

_MOST = 2**31 - 1  # what an int of C holds, which is how mallopt takes its bytes
# malloc.h of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_GROWN = 32 << 20  # bytes; glibc keeps blocks up to this size once it has seen some of them
_SMALL = 16  # blocks; as many would be kept
_OTHERS = ("jemalloc", "tcmalloc", "mimalloc")
_tuned = 0  # bytes


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
        return
    global _tuned
    _tuned = keep


def _warn(reason: str) -> None:
    message = f"tune_memory cannot make this process keep freed memory: {reason}"
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def keeps(size: int) -> bool:
    """True where memory of ``size`` bytes that an array leaves behind is there for the next one.

    What XLA takes is larger by its alignment than what NumPy leaves, so that two or three blocks
    more may be held. Where the environment says what is kept, a block is to be small beside that.
    """
    return size <= max(_tuned, _kept_from_start())


def maps(size: int) -> bool:
    """True where memory of ``size`` bytes is a mapping of its own, fresh and given back at once."""
    if _other_allocator():
        return False
    mmap, _ = _given()
    return size > max(_tuned, _GROWN if is_left_alone() else mmap or 0)


def is_left_alone() -> bool:
    """True where nobody has said what memory is to be kept, and what given back."""
    return not _tuned and _given() == (None, None)


def _kept_from_start() -> int:
    if _other_allocator():
        return sys.maxsize
    # Left alone, both grow with what is freed; not so if one is set, as dask does for its workers.
    if _given() == (None, None):
        return _GROWN
    return min(each or 0 for each in _given()) // _SMALL


@cache
def _given() -> tuple[int | None, int | None]:
    """From how many bytes on memory is mapped, and given back, as the environment has it."""
    tunables = os.environ.get("GLIBC_TUNABLES", "").split(":")
    given = dict(tunable.partition("=")[::2] for tunable in tunables)

    def number(name: str) -> int | None:
        value = os.environ.get(f"MALLOC_{name.upper()}_", given.get(f"glibc.malloc.{name}"))
        return None if value is None else int(value) if value.isdecimal() else 0

    return number("mmap_threshold"), number("trim_threshold")


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
