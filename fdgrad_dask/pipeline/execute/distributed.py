"""Regions in flight: a bounded window of them, tried again when a worker dies, drained at the end.

Nothing here knows what a region is; the cluster sees one opaque task at a time for each worker, of
one region, or of as many as make up a quarter of a second.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

from dask.utils import format_bytes
from distributed import Client, Future, KilledWorker
from distributed.comm.core import CommClosedError

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.execute import region
from fdgrad_dask.pipeline.execute.record import RegionRecord
from fdgrad_dask.pipeline.execute.work import Attempt, Result, Work
from fdgrad_dask.pipeline.plan.regions import Plan

_AHEAD = 2  # tasks in flight for each worker: one that is computed, one that waits
_TASK = 0.25  # seconds of a task that has several regions: what a worker that dies may lose
_MOST = 64  # regions of a task
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
        self._todo = OrderedDict.fromkeys(todo)
        self._again: deque[int] = deque()  # these go first, each alone: one kills workers, or fails
        self._beside = [dim for dim in plan.sizes if work.halos[dim].alone] or list(plan.sizes)
        self._together = 1
        self._tries: Counter[int] = Counter()
        self._dead: Counter[str] = Counter()
        self._names = count()
        self._error: BaseException | None = None

    @property
    def left(self) -> int:
        """How many regions are not computed."""
        return len(self._again) + len(self._todo)

    def on(self, client: Client) -> None:
        """Computes on this cluster all that is left.

        Raises
        ------
        FdgradError
            What went wrong in a region, once those in flight are finished.
        """
        flying: dict[Any, list[int]] = {}
        landed: SimpleQueue[Future[Any]] = SimpleQueue()
        width, looked = 0, float("-inf")
        try:
            while flying or (self.left and not self._over()):
                if time.monotonic() - looked > _LOOK:
                    workers = client.scheduler_info(n_workers=-1)["workers"]
                    width, looked = _AHEAD * max(1, len(workers)), time.monotonic()
                while self.left and len(flying) < width and not self._over():
                    numbers = self._taken(width)
                    future = self._submitted(client, numbers)
                    flying[future.key] = numbers
                    future.add_done_callback(landed.put)
                try:
                    future = landed.get(timeout=_POLL)
                except Empty:
                    continue
                self._land(future, flying.pop(future.key))
        finally:
            self._back(sorted(number for numbers in flying.values() for number in numbers))
        if self._error:
            raise self._error

    def _over(self) -> bool:
        return self._stop.is_set() or self._error is not None

    def _taken(self, width: int) -> list[int]:
        """The regions of the next task.

        In rows, since those beside each other share a graph; and at the end fewer and fewer, so
        that no worker waits for another that has many.
        """
        if self._again:
            return [self._again.popleft()]
        most = max(1, min(self._together, len(self._todo) // (2 * width)))
        taken: list[int] = []
        while self._todo and len(taken) < most:
            row = self._plan.row(next(iter(self._todo)), self._beside)
            for number in row[: most - len(taken)]:
                if number in self._todo:
                    del self._todo[number]
                    taken.append(number)
        return taken

    def _back(self, numbers: Sequence[int]) -> None:
        """These are next."""
        for number in reversed(numbers):
            self._todo[number] = None
            self._todo.move_to_end(number, last=False)

    def _submitted(self, client: Client, numbers: Sequence[int]) -> Future[Any]:
        self._tries.update(numbers)
        return client.submit(
            region.compute,
            self._work.run,
            [Attempt(each, self._plan.span(each), self._tries[each]) for each in numbers],
            key=f"region-{self._work.run}-{numbers[0]}-{next(self._names)}",
            pure=False,
        )

    def _land(self, future: Future[Any], numbers: list[int]) -> None:
        """Takes what regions gave; what killed its worker is tried again."""
        try:
            self._take(future.result(), numbers)
        except KilledWorker as error:
            self._died(str(getattr(error.last_worker, "address", None)), numbers)
        except CommClosedError:  # the scheduler is gone: an error of the cluster, not the region's
            self._back(numbers)
            raise
        except Exception as error:
            self._back(numbers)
            if future.status in ("cancelled", "lost"):
                raise
            self._error = self._error or error

    def _take(self, results: Sequence[Result], numbers: list[int]) -> None:
        """Those of the first regions; the one behind failed, and tells its error when alone."""
        for result in results:
            self._finished(*result)
        seconds = sum(record.seconds for record, _ in results) / len(results)
        fitting = int(_TASK / max(seconds, _TASK / _MOST))
        self._together = max(1, min(fitting, 2 * len(numbers)))  # those to come may be larger
        if len(results) < len(numbers):
            failed, *untried = numbers[len(results) :]
            self._again.append(failed)
            self._tries.subtract(untried)
            self._back(untried)

    def _died(self, worker: str, numbers: list[int]) -> None:
        self._dead[worker] += 1
        if 1 < self._dead[worker] <= _AHEAD:  # they waited behind those that were computed
            self._tries.subtract(numbers)
            self._back(numbers)
            return
        self._again.extend(numbers)
        which = f"region {numbers[0]}"
        if len(numbers) > 1:
            which = f"one of the regions {', '.join(map(str, numbers))}"
        self._note("worker lost", f"the worker {worker} died of {which}, or was killed")
        for number in numbers:
            if self._tries[number] >= _TRIES:
                self._error = self._given_up(number)

    def _given_up(self, number: int) -> ClusterError:
        return ClusterError(
            f"{_TRIES} workers died of region {number}; by plan a region needs "
            f"{format_bytes(self._plan.memory)}, and a worker has {format_bytes(self._limit)}. "
            "Where that is short, lower target.regions or cluster.threads, or raise "
            "cluster.memory_limit; else see why the workers die"
        )
