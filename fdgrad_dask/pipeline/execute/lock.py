"""One run at a time: a lock beside the target that outlives no owner.

It holds who has it and when that was last seen alive. The lock of a process that is gone from this
machine is free at once; that of another machine is free when its lease is over, and until then it
is waited for.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.console import say
from fdgrad_dask.pipeline.store.files import writing
from fdgrad_dask.pipeline.store.folder import Folder

_BEAT = 15.0  # seconds between two signs of life
_LEASE = 180.0  # seconds without one, after which an owner elsewhere is taken for dead
_TORN = 5.0  # seconds in which a lock that cannot be read may be one that is being written
_POLL = 0.2  # seconds


@dataclass(frozen=True)
class Owner:
    """Who holds a lock."""

    host: str
    pid: int
    born: float
    """When the process began: a number is given to another process some day."""
    since: float
    seen: float
    token: str
    space: str = ""
    """In which the process has its number: containers of one host have one each."""


@contextmanager
def locked(folder: str, shown: str) -> Iterator[Callable[[], None]]:
    """Holds the lock of a journal's ``folder``; ``shown`` is how a message names the target.

    What is yielded raises an OutputError where the lock was lost meanwhile.

    Raises
    ------
    OutputError
        Another run has it, and lives.
    """
    path = os.path.join(folder, "lock.json")
    now, pid = time.time(), os.getpid()
    mine = Owner(socket.gethostname(), pid, _born(pid) or now, now, now, uuid4().hex, _space())
    with writing(folder):
        _acquire(path, mine, shown)
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, mine, over), daemon=True)
    beating.start()

    def require_held() -> None:
        if (held := owner(folder)) is None or held.token != mine.token:
            raise OutputError(
                f"the lock {path} was taken by another run while this one did not answer for "
                f"{_LEASE:.0f} s; wait for that run, then run again"
            )

    try:
        yield require_held
    finally:
        over.set()
        beating.join()
        if (last := owner(folder)) and last.token == mine.token:
            os.unlink(path)
        with suppress(OSError):
            os.rmdir(folder)  # where nothing was begun, nothing is left


def owner(folder: str) -> Owner | None:
    """Who holds the lock; None where nobody does, or the file is torn."""
    return _read(os.path.join(folder, "lock.json"))


def _read(path: str) -> Owner | None:
    try:
        with open(path) as file:
            return Owner(**json.load(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _write(path: str, owner: Owner) -> None:
    folder, name = os.path.split(path)
    Folder(folder).write(name, json.dumps(asdict(owner)).encode())


def _acquire(path: str, mine: Owner, shown: str) -> None:
    """Takes the lock, from a dead owner too, once its lease is over."""
    first: Owner | None = None
    deadline: float | None = None
    while not _taken(path, mine):
        other = _read(path)
        if other and _is_near(other):
            if _lives(other):
                raise _held(other, shown, path)
        elif deadline is None or _token(other) != _token(first):
            first, deadline = other, time.monotonic() + _left(other)
            if other:
                say(
                    f"{shown} is locked by {other.host}:{other.pid}; waiting up to "
                    f"{_left(other):.0f} s for a sign of life from there"
                )
        elif other and first and other.seen != first.seen:
            raise _held(other, shown, path)
        if deadline is not None and time.monotonic() < deadline and not _is_near(other):
            time.sleep(_POLL)
            continue
        _clear(path, other, mine.token)


def _token(other: Owner | None) -> str | None:
    return other.token if other else None


def _left(other: Owner | None) -> float:
    """Seconds until an owner elsewhere is taken for dead; its clock may differ from ours."""
    if other is None:
        return _TORN
    return min(max(0.0, _LEASE - (time.time() - other.seen)), _LEASE)


def _held(other: Owner, shown: str, path: str) -> OutputError:
    return OutputError(
        f"the target {shown} is locked by {other.host}:{other.pid} since "
        f"{datetime.fromtimestamp(other.since, UTC):%Y-%m-%d %H:%M:%S} UTC; wait for that "
        f"run, or stop it (if it is surely gone, delete {path})"
    )


def _taken(path: str, mine: Owner) -> bool:
    """Whether the lock is ours now."""
    own = f"{path}.{mine.token}"
    _write(own, mine)
    try:
        return _placed(own, path)
    finally:
        os.unlink(own)


def _placed(own: str, path: str) -> bool:
    """Puts a file at ``path`` unless one is there: complete at once, where there are hard links."""
    try:
        os.link(own, path)
        return True
    except FileExistsError:
        return False
    except OSError:  # gcsfuse, blobfuse, CIFS have none
        try:
            made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(made, "wb") as file:
            file.write(Path(own).read_bytes())
        return True


def _clear(path: str, dead: Owner | None, token: str) -> None:
    """Moves a dead owner's lock aside, and puts it back if another took it meanwhile."""
    aside = f"{path}.{token}.dead"
    with suppress(FileNotFoundError):
        os.rename(path, aside)
        moved = _read(aside)
        if moved and (dead is None or moved.token != dead.token):
            _placed(aside, path)
        os.unlink(aside)


def _beat(path: str, mine: Owner, over: threading.Event) -> None:
    while not over.wait(_BEAT):
        with suppress(OSError):
            if (held := _read(path)) and held.token == mine.token:
                _write(path, replace(mine, seen=time.time()))


def _is_near(other: Owner | None) -> bool:
    """Whether the owner is a process whose number means something here."""
    return (
        other is not None and other.host == socket.gethostname() and other.space in ("", _space())
    )


def _lives(other: Owner) -> bool:
    born = _born(other.pid)
    return born is not None and abs(born - other.born) < 2


def _born(pid: int) -> float | None:
    """When a process began; None where it is gone, or dead and only not yet waited for."""
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
