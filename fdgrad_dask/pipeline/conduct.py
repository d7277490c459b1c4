"""Regions in flight: a bounded window of them, tried again when a worker dies, drained at the end.

Nothing here knows what a region is; the cluster sees one opaque task at a time for each worker.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

from dask.utils import format_bytes
from distributed import Client, Future, KilledWorker
from distributed.comm.core import CommClosedError

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline import region
from fdgrad_dask.pipeline.plan import Plan
from fdgrad_dask.pipeline.record import RegionRecord
from fdgrad_dask.pipeline.region import Work

_AHEAD = 2  # regions in flight for each worker: one that is computed, one that waits
_TRIES = 4  # a region that killed this many workers is given up
_POLL = 0.2  # seconds
_LOOK = 2.0  # seconds between two looks at how many workers there are

Finished = Callable[[RegionRecord, Any], None]
Note = Callable[[str, str], None]


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second one interrupts at once."""
    stop = threading.Event()

    def asked(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Conductor:
    """Computes regions on one client after another, until none is left or somebody stops it."""

    def __init__(
        self,
        work: Work,
        plan: Plan,
        todo: Sequence[int],
        limit: int,
        stop: threading.Event,
        finished: Finished,
        note: Note,
    ) -> None:
        self._work, self._plan, self._limit = work, plan, limit
        self._stop, self._finished, self._note = stop, finished, note
        self.todo = deque(todo)
        self._tries: Counter[int] = Counter()
        self._dead: Counter[str] = Counter()
        self._names = count()
        self._error: BaseException | None = None

    def on(self, client: Client) -> None:
        """Computes on this cluster all that is left.

        Raises
        ------
        FdgradError
            What went wrong in a region, once those in flight are finished.
        """
        flying: dict[Any, int] = {}
        landed: SimpleQueue[Future[Any]] = SimpleQueue()
        width, looked = 0, float("-inf")
        try:
            while flying or (self.todo and not self._over()):
                if time.monotonic() - looked > _LOOK:
                    workers = client.scheduler_info(n_workers=-1)["workers"]
                    width, looked = _AHEAD * max(1, len(workers)), time.monotonic()
                while self.todo and len(flying) < width and not self._over():
                    number = self.todo.popleft()
                    future = self._submitted(client, number)
                    flying[future.key] = number
                    future.add_done_callback(landed.put)
                try:
                    future = landed.get(timeout=_POLL)
                except Empty:
                    continue
                self._land(future, flying.pop(future.key))
        finally:
            self.todo.extendleft(sorted(flying.values(), reverse=True))
        if self._error:
            raise self._error

    def _over(self) -> bool:
        return self._stop.is_set() or self._error is not None

    def _submitted(self, client: Client, number: int) -> Future[Any]:
        self._tries[number] += 1
        return client.submit(
            region.compute,
            self._work,
            number,
            self._plan.span(number),
            self._tries[number],
            key=f"region-{self._work.run}-{number}-{next(self._names)}",
            pure=False,
        )

    def _land(self, future: Future[Any], number: int) -> None:
        """Takes what a region gave; what killed its worker is tried again."""
        try:
            self._finished(*future.result())
        except KilledWorker as error:
            worker = str(getattr(error.last_worker, "address", None))
            self.todo.appendleft(number)
            self._dead[worker] += 1
            if 1 < self._dead[worker] <= _AHEAD:  # it waited behind the one that was computed
                self._tries[number] -= 1
                return
            self._note("worker lost", f"the worker {worker} died of region {number}, or was killed")
            if self._tries[number] >= _TRIES:
                self._error = self._given_up(number)
        except CommClosedError:  # the scheduler is gone: an error of the cluster, not the region's
            self.todo.appendleft(number)
            raise
        except Exception as error:
            if future.status in ("cancelled", "lost"):
                self.todo.appendleft(number)
                raise
            self.todo.appendleft(number)
            self._error = self._error or error

    def _given_up(self, number: int) -> ClusterError:
        return ClusterError(
            f"{_TRIES} workers died of region {number}; by plan a region needs "
            f"{format_bytes(self._plan.memory)}, and a worker has {format_bytes(self._limit)}. "
            "Where that is short, lower target.regions or cluster.threads, or raise "
            "cluster.memory_limit; else see why the workers die"
        )
