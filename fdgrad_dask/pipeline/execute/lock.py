"""One run at a time: a lock beside the target that outlives no owner.

It holds who has it and when that was last seen alive. The lock of a process that is gone from this
machine is free at once; that of another machine is free when its lease is over, and until then it
is waited for.
"""

import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import psutil

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.console import warn
from fdgrad_dask.pipeline.store.open import Place

_KEY = "lock.json"
_BEAT = 15.0  # seconds between two signs of life
_LEASE = 180.0  # seconds without one, after which an owner elsewhere is taken for dead
_WATCH = 3 * _BEAT  # seconds of silence, by our own clock: two hosts may differ in what time it is
_TORN = 5.0  # seconds in which a lock that cannot be read may be one that is being written
_POLL = 0.5  # seconds


@dataclass(frozen=True)
class Owner:
    """Who holds a lock."""

    host: str
    pid: int
    born: float
    """Seconds between the start of the machine and that of the process, whose number is given to
    another some day; by no clock that somebody sets."""
    since: float
    seen: float
    token: str
    space: str = ""
    """Where the process has its number: one start of a machine, and one container of it."""


@contextmanager
def locked(place: Place, shown: str) -> Iterator[Callable[[], None]]:
    """Holds the lock of the run beside a target; ``shown`` is how a message names that.

    What is yielded raises an OutputError where the lock was lost meanwhile.

    OutputError: another run has it, and lives.
    """
    now, pid = time.time(), os.getpid()
    mine = Owner(socket.gethostname(), pid, _born(pid) or 0.0, now, now, uuid4().hex, _space())
    _acquire(place, mine, shown)
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(place, mine, over), daemon=True)
    beating.start()

    def require_held() -> None:
        if not _held_by(place, mine):
            raise OutputError(
                f"the lock {place.path}/{_KEY} was taken by another run while this one did not "
                f"answer for {_LEASE:.0f} s; wait for that run, then run again"
            )

    try:
        yield require_held
    finally:
        over.set()
        beating.join()
        if _held_by(place, mine):
            place.delete(_KEY)


def living_owner(place: Place) -> Owner | None:
    """Who holds the lock and lives, as far as can be seen from here."""
    found = owner_in(place.read(_KEY))
    return found if found and _left(found) else None


def owner_in(held: bytes | None) -> Owner | None:
    """Who holds a lock; None where nobody does, or what is there is torn."""
    try:
        return Owner(**json.loads(held or b""))
    except (ValueError, TypeError):
        return None


def _alive(mine: Owner) -> bytes:
    """What says that we live now."""
    return json.dumps(vars(replace(mine, seen=time.time()))).encode()


def _acquire(place: Place, mine: Owner, shown: str) -> None:
    """Takes the lock, from a dead owner too, once its lease is over."""
    waited_for: bytes | None = None
    deadline = 0.0
    # Who is held up between making it and writing into it may find that of another there.
    while not (place.create(_KEY, _alive(mine)) and _held_by(place, mine)):
        if (held := place.read(_KEY)) is None:
            continue
        if held != waited_for:
            other, before = owner_in(held), owner_in(waited_for)
            left = _left(other)
            if other and not _is_here(other):
                left = max(left, _WATCH)
            if other and (left == math.inf or (before and other.token == before.token)):
                since = datetime.fromtimestamp(other.since, UTC)
                raise OutputError(
                    f"the target {shown} is locked by {other.host}:{other.pid} since "
                    f"{since:%Y-%m-%d %H:%M:%S} UTC; wait for that run, or stop it (if it is "
                    f"surely gone, delete {place.path}/{_KEY})"
                )
            if other and left:
                warn(
                    f"{shown} is locked by {other.host}:{other.pid}; waiting up to {left:.0f} s "
                    "for a sign of life from there"
                )
            waited_for, deadline = held, time.monotonic() + left
        if time.monotonic() < deadline:
            time.sleep(_POLL)
        elif place.replace(_KEY, held, _alive(mine)):
            return


def _left(other: Owner | None) -> float:
    """Seconds until an owner is taken for dead, for ever where it is seen alive."""
    if other is None:
        return _TORN
    if _is_here(other):
        born = _born(other.pid)
        return math.inf if born is not None and abs(born - other.born) < 2 else 0.0
    # Its clock may differ from ours.
    return min(max(0.0, _LEASE - (time.time() - other.seen)), _LEASE)


def _is_here(other: Owner) -> bool:
    """Whether its process is one of those that we see."""
    return other.host == socket.gethostname() and other.space in ("", _space())


def _held_by(place: Place, mine: Owner) -> bytes | None:
    """What the lock holds, if it is ours."""
    held = place.read(_KEY)
    found = owner_in(held)
    return held if found and found.token == mine.token else None


def _beat(place: Place, mine: Owner, over: threading.Event) -> None:
    while not over.wait(_BEAT):
        with suppress(OSError, OutputError):
            if held := _held_by(place, mine):
                place.replace(_KEY, held, _alive(mine))


def _born(pid: int) -> float | None:
    """See `Owner.born`; None where it is gone, or dead and only not yet waited for."""
    try:
        started = psutil.boot_time()  # first: both move when the clock is set
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return float(process.create_time()) - started
    except psutil.NoSuchProcess:
        return None


def _space() -> str:
    """See `Owner.space`.

    The namespaces of two machines bear one number, and some machines one name. After a restart of
    a machine its old locks are those of another one, so that their lease has to end first.
    """
    found = []
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as start:
        found.append(start.read().strip())
    with suppress(OSError):
        found.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(found)
