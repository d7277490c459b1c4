"""One run at a time: a lock beside the target that outlives no owner.

It holds who has it and when that was last seen alive. One whose process is gone from this host,
or that has not been heard of for minutes, is taken over.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import psutil

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.journal import write_whole

_BEAT = 15.0  # seconds between two signs of life
_STALE = 180.0  # seconds without one, after which the owner is taken for dead


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


@contextmanager
def locked(folder: str, shown: str) -> Iterator[None]:
    """Holds the lock of a journal's ``folder``; ``shown`` is how a message names the target.

    Raises
    ------
    OutputError
        Another run has it.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "lock.json")
    now = time.time()
    pid = os.getpid()
    mine = Owner(socket.gethostname(), pid, _born(pid) or now, now, now, uuid4().hex)
    while not _taken(path, mine):
        other = owner(folder)
        if other and _lives(other):
            raise OutputError(
                f"the target {shown} is locked by {other.host}:{other.pid} since "
                f"{datetime.fromtimestamp(other.since, UTC):%Y-%m-%d %H:%M:%S} UTC; wait for that "
                f"run, or stop it (if it is surely gone, delete {path})"
            )
        _cleared(path, other, mine.token)
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, mine, over), daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        if (last := owner(folder)) and last.token == mine.token:
            os.unlink(path)
        with suppress(OSError):
            os.rmdir(folder)  # where nothing was begun, nothing is left


def owner(folder: str) -> Owner | None:
    """Who holds the lock; None where nobody does, or the file is torn."""
    try:
        with open(os.path.join(folder, "lock.json")) as file:
            return Owner(**json.load(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _taken(path: str, mine: Owner) -> bool:
    """Whether the lock is ours now: a link is made whole, and by one process only."""
    own = f"{path}.{mine.token}"
    write_whole(own, asdict(mine))
    try:
        os.link(own, path)
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(own)


def _cleared(path: str, dead: Owner | None, token: str) -> None:
    """Moves a dead owner's lock aside, and puts it back if another took it meanwhile."""
    aside = f"{path}.{token}.dead"
    with suppress(FileNotFoundError):
        os.rename(path, aside)
        with open(aside) as file, suppress(ValueError, TypeError):
            moved = Owner(**json.load(file))
            if dead is None or moved.token != dead.token:
                with suppress(FileExistsError):
                    os.link(aside, path)
        os.unlink(aside)


def _beat(path: str, mine: Owner, over: threading.Event) -> None:
    while not over.wait(_BEAT):
        with suppress(OSError):
            write_whole(path, asdict(replace(mine, seen=time.time())))


def _lives(other: Owner) -> bool:
    if other.host == socket.gethostname():
        born = _born(other.pid)
        return born is not None and abs(born - other.born) < 2
    return time.time() - other.seen < _STALE


def _born(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
