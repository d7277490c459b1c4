"""What a file system says when it takes no more, in words and with an exit code."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from dask.utils import format_bytes

from fdgrad_dask.errors import FdgradError, OutputError
from fdgrad_dask.pipeline.source import remote
from fdgrad_dask.pipeline.store.bucket import answering

_FULL = 2**20  # bytes free; HDF5 says only that something went wrong, so this tells


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns what file system, bucket or library say of a write to ``path`` into an OutputError."""
    try:
        with answering(path) if remote.is_bucket(path) else nullcontext():
            yield
    except FdgradError:
        raise
    except OSError as error:
        place = error.filename or path
        raise OutputError(f"{place} cannot be written: {advice(error, path)}") from error
    except Exception as error:
        if type(error).__module__.startswith("icechunk"):
            full = "os error 28" in str(error)
            cause = next(iter(str(error).strip().splitlines()), type(error).__name__)
            cause = advice(OSError(errno.ENOSPC, ""), path) if full else f"{cause}; see its storage"
        elif str(error).startswith("NetCDF: "):  # a RuntimeError
            cause = advice(error, path)
        else:
            raise
        raise OutputError(f"{path} cannot be written: {cause}") from error


def advice(error: Exception, path: str) -> str:
    """What went wrong with ``path``, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT) or (number is None and room(path) < _FULL):
        free = format_bytes(room(path))
        return f"the disk is full, {free} are free; make room, or name a target on another disk"
    if number == errno.EROFS:
        return "its file system is read-only; mount it for writing, or name another target"
    if number in (errno.EACCES, errno.EPERM):
        return "permission denied; fix the permissions of the folder, or name another target"
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{reason or error}; fix the path, or name another target"


def room(path: str) -> int:
    """Bytes that are free where ``path`` is, or is to be."""
    folder = os.path.abspath(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free
