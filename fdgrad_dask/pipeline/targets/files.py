"""What a file system says when it takes no more, in words and with an exit code."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from dask.utils import format_bytes

from fdgrad_dask.errors import FdgradError, OutputError


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns what the file system of ``path`` says, here or on a worker, into an OutputError."""
    try:
        yield
    except FdgradError:
        raise
    except OSError as error:
        place = error.filename or path
        raise OutputError(f"{place} cannot be written: {_advice(error, path)}") from error


def _advice(error: OSError, path: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = os.path.dirname(os.path.abspath(path))
        free = format_bytes(shutil.disk_usage(folder).free)
        return f"the disk is full, {free} are free; make room, or name a target on another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied; mend the rights of the folder, or name another target"
    return f"{error.strerror or error}; mend the path, or name another target"
