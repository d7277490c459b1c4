"""A folder as the place of small objects, and what a file system says when it takes no more."""

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import IO
from uuid import uuid4

from dask.utils import format_bytes

from fdgrad_dask.errors import FdgradError, OutputError
from fdgrad_dask.pipeline.source import remote
from fdgrad_dask.pipeline.store.bucket import answering

_FULL = 2**20  # bytes free; HDF5 says only that something went wrong, so this tells
_CLAIM = 30.0  # seconds after which whoever was to replace an object is taken for dead
_IN_TEXT = re.compile(r"\(os error (\d+)\)")  # as icechunk has the number of an error
_POLL = 0.01  # seconds
_PRIVATE = 0o700
_TRIES = 9
_PRIVATELY = partial(os.open, mode=0o600)


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
            cause = next(iter(str(error).strip().splitlines()), type(error).__name__)
            cause = (
                advice(error, path) if _IN_TEXT.search(str(error)) else f"{cause}; see its storage"
            )
        elif str(error).startswith("NetCDF: "):  # a RuntimeError
            cause = advice(error, path)
        else:
            raise
        raise OutputError(f"{path} cannot be written: {cause}") from error


def advice(error: Exception, path: str) -> str:
    """What went wrong with ``path``, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    if said := _IN_TEXT.search(str(error)):
        number = int(said[1])
    if number in (errno.ENOSPC, errno.EDQUOT) or (number is None and room(path) < _FULL):
        free = format_bytes(room(path))
        return f"the disk is full, {free} are free; make room, or name a target on another disk"
    if number == errno.EROFS:
        return "its file system is read-only; mount it for writing, or name another target"
    if number in (errno.EACCES, errno.EPERM):
        return "permission denied; fix the permissions of the folder, or name another target"
    if number == errno.EFBIG:
        return (
            "a file may not be as large; raise ulimit -f, or lower target.shards or target.chunks"
        )
    reason = error.strerror if isinstance(error, OSError) else number and os.strerror(number)
    return f"{reason or error}; fix the path, or name another target"


def room(path: str) -> int:
    """Bytes that are free where ``path`` is, or is to be."""
    folder = os.path.abspath(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


class Folder:
    """Objects by key, like ``run.json``: each is there complete or not at all.

    The folder is made by the first that comes into it. ``store.bucket.Bucket`` does the same.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, key: str) -> bytes | None:
        """What the object holds; None where there is none."""
        file = os.path.join(self.path, key)
        try:
            return Path(file).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise OutputError(
                f"{file} cannot be read: permission denied; it is private to who made the run, so "
                "call fdgrad as that user"
            ) from error

    def write(self, key: str, content: bytes) -> None:
        """Puts an object, in place of one of the same key."""
        file = os.path.join(self.path, key)
        with writing(file):
            os.replace(self._unfinished(file, content), file)

    def append(self, key: str, content: bytes) -> None:
        """Adds to the end of an object, which need not be there; one process at a time does.

        What an earlier process was killed in the middle of may be its torn end.
        """
        # No fsync: what the system has taken outlives this process. Where the whole machine goes
        # down, shards are lost too, which nobody syncs: a record that outlived its shard is worse.
        file = os.path.join(self.path, key)
        with writing(file), self._open(file, "ab") as grown:
            grown.write(content)

    def create(self, key: str, content: bytes) -> bool:
        """Puts an object where there is none; whether there was none."""
        file = os.path.join(self.path, key)
        # A hard link would come with its content, but gcsfuse, blobfuse and CIFS have none.
        with writing(file), suppress(FileExistsError), self._open(file, "xb") as made:
            try:
                made.write(content)
                made.flush()
            except OSError:  # of a full disk: an empty object would stand for somebody
                os.unlink(file)
                raise
            return True
        return False

    def replace(self, key: str, seen: bytes, content: bytes) -> bool:
        """Puts an object in place of one that holds ``seen``; whether it did.

        Of several that try at once, one does, and at no moment is there none. That is who makes
        the claim. Where he dies, it stays, and names the claim that is to be made next: to delete
        it before could be to delete that of another, who was quicker.
        """
        file, mine = os.path.join(self.path, key), uuid4().hex.encode()
        claim, dead = f"{key}.claim", dict[str, bytes]()
        watched: bytes | None = None
        end = 0.0
        while (is_same := self.read(key) == seen) and not self.create(claim, mine):
            if (found := self.read(claim)) != watched:
                watched, end = found, time.monotonic() + _CLAIM
            elif found is not None and time.monotonic() > end:
                dead[claim] = found
                claim = f"{key}.claim.{len(dead)}.{found.hex()}"
            time.sleep(_POLL)
        if not is_same:
            return False
        try:
            with writing(file):
                unfinished = self._unfinished(file, content)
                if is_same := self.read(key) == seen:
                    os.replace(unfinished, file)
                else:
                    os.unlink(unfinished)
            return is_same
        finally:
            for name, held in {**dead, claim: mine}.items():
                if self.read(name) == held:
                    self.delete(name)

    def delete(self, key: str) -> None:
        """Removes an object, which may be gone already; the folder goes with the last of them."""
        file = os.path.join(self.path, key)
        with writing(file), suppress(FileNotFoundError):
            os.unlink(file)
            with suppress(OSError):
                os.rmdir(os.path.dirname(file))

    def _unfinished(self, file: str, content: bytes) -> str:
        """A file beside ``file`` that holds what is to be there."""
        unfinished = f"{file}.{os.getpid()}.tmp"
        with self._open(unfinished, "wb") as made:
            made.write(content)
            made.flush()
            # Else a machine that loses its power may keep the new name and not the content.
            os.fsync(made.fileno())
        return unfinished

    def _open(self, file: str, mode: str) -> IO[bytes]:
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):  # whoever deleted the last object took it away
                try:
                    os.makedirs(self.path, _PRIVATE, exist_ok=True)
                except FileExistsError:
                    os.listdir(self.path)  # which says that it is no folder, or is gone by now
                with suppress(PermissionError):  # of somebody else
                    os.chmod(self.path, _PRIVATE)
                return open(file, mode, opener=_PRIVATELY)
        return open(file, mode, opener=_PRIVATELY)
        return open(file, mode, opener=_PRIVATELY)
