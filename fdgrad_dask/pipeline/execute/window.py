"""A bounded number of tasks in flight, of the regions that are left; and their executor here."""

import os
import signal
import socket
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any

import jax

from fdgrad_dask.errors import ClusterError
from fdgrad_dask.pipeline.config.cluster import Threads
from fdgrad_dask.pipeline.execute.task import Attempt, Result, Task
from fdgrad_dask.pipeline.planning.cutting import Halo
from fdgrad_dask.pipeline.planning.regions import Plan

# Seconds of a task that has several regions, which is what a worker that dies may lose. It costs
# client and scheduler some milliseconds, so that where many are in flight each lasts longer.
_TASK, _FEW, _LONGEST = 0.25, 10, 10.0
_MOST = 64  # regions of a task
_POLL = 0.2  # seconds
Attempts = Sequence[Attempt]
Results = list[Result]


class Pending:
    """Regions that are not computed, handed out in tasks of one, or of some small ones."""

    def __init__(self, halos: Mapping[str, Halo], plan: Plan, numbers: Sequence[int]) -> None:
        self._plan = plan
        self._left = OrderedDict.fromkeys(numbers)
        self._alone: deque[int] = deque()  # these go first: one kills workers, or fails
        self._beside = [dim for dim in plan.sizes if halos[dim].alone] or list(plan.sizes)
        self._together, self._length = 1, _TASK
        self.tries: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._alone) + len(self._left)

    def take(self, width: int) -> list[Attempt]:
        """The regions of the next task, where ``width`` are in flight.

        In rows, since those beside each other share a graph; and at the end fewer and fewer, so
        that nobody waits for another who has many.
        """
        self._length = min(_TASK * max(1.0, width / _FEW), _LONGEST)
        numbers = [self._alone.popleft()] if self._alone else self._row(width)
        self.tries.update(numbers)
        return [Attempt(each, self._plan.span(each), self.tries[each]) for each in numbers]

    def _row(self, width: int) -> list[int]:
        most = max(1, min(self._together, len(self._left) // (2 * width)))
        taken: list[int] = []
        while self._left and len(taken) < most:
            row = self._plan.row(next(iter(self._left)), self._beside)
            for number in row[: most - len(taken)]:
                if number in self._left:
                    del self._left[number]
                    taken.append(number)
        return taken

    def finish(self, attempts: Sequence[Attempt], results: Sequence[Result]) -> None:
        """The first of a task are done; the next one failed, and tells its error when alone."""
        seconds = sum(record.seconds for record, _ in results) / len(results)
        fitting = int(self._length / max(seconds, self._length / _MOST))
        self._together = max(1, min(fitting, 2 * len(attempts)))  # those to come may be larger
        if len(results) < len(attempts):
            failed, *untried = attempts[len(results) :]
            self._alone.append(failed.region)
            self.put_back(untried, tried=False)

    def put_back(
        self, attempts: Sequence[Attempt], *, tried: bool = True, alone: bool = False
    ) -> None:
        """These are next, in this order; ``alone`` where one of them kills workers."""
        numbers = [each.region for each in attempts]
        if not tried:
            self.tries.subtract(numbers)
        if alone:
            self._alone.extend(numbers)
            return
        for number in reversed(numbers):
            self._left[number] = None
            self._left.move_to_end(number, last=False)


def outcomes(futures: Iterable[Any]) -> Iterator[Results | Exception]:
    """What each future gives, or its error."""
    for future in futures:
        try:
            yield future.result()
        except Exception as raised:
            yield raised


def fly(
    pending: Pending,
    submit: Callable[[Sequence[Attempts]], Iterable[Any]],
    width: Callable[[], int],
    stop: threading.Event,
    failed: Callable[[Any, Attempts, Exception], Exception | None],
    gather: Callable[[Sequence[Any]], Iterable[Results | Exception]] = outcomes,
) -> Generator[Results, None, None]:
    """Compute pending regions until none is left, one fails or the run is stopped.

    In rounds: tasks that have ended are gathered at once, and as many are submitted at once.

    Parameters
    ----------
    pending : Pending
        Regions to compute; unfinished ones are put back.
    submit, gather : callable
        Start tasks, whose futures have ``add_done_callback``; what some of these give, or raise.
    width : callable
        How many tasks may be in flight now.
    stop : Event
        Once it is set, no task is started.
    failed : callable
        Receives a future that raised; returns the error that ends the run, or None.

    Yields
    ------
    list of Result
        Of a task.

    Exception: what went wrong in a region, once those in flight are finished.
    """
    flying: dict[int, Attempts] = {}
    landed: SimpleQueue[tuple[Any, int]] = SimpleQueue()
    error: Exception | None = None
    try:
        while True:
            # The width is asked for also where nothing is pending: whoever knows it looks around.
            new: dict[int, Attempts] = {}
            while len(flying) < width() and pending and not (stop.is_set() or error):
                taken = pending.take(width())
                flying[taken[0].region] = new[taken[0].region] = taken
            if new:
                for first, future in zip(new, submit([*new.values()]), strict=True):
                    future.add_done_callback(lambda done, at=first: landed.put((done, at)))
            if not flying:
                break
            ended = []
            with suppress(Empty):  # all that have arrived, once one has or a moment has passed
                ended.append(landed.get(timeout=_POLL))
                while True:
                    ended.append(landed.get_nowait())
            outcomes_of = gather([future for future, _ in ended])
            for (future, first), outcome in zip(ended, outcomes_of, strict=True):
                attempts = flying.pop(first)
                if isinstance(outcome, Exception):
                    error = failed(future, attempts, outcome) or error
                else:
                    pending.finish(attempts, outcome)
                    yield outcome
    finally:
        pending.put_back(sorted(chain.from_iterable(flying.values())))
    if error:
        raise error


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM or a terminal that closes sets; a second one interrupts."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {
        number: signal.signal(number, ask)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # as nohup has it
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_to_cpu() -> None:
    """Leave the GPUs of this machine alone, as its workers do: they are for the kind gpu.

    For a process that only runs the command; ``JAX_PLATFORMS`` says otherwise.
    """
    if "JAX_PLATFORMS" not in os.environ:
        jax.config.update("jax_platforms", "cpu")


def in_threads(
    task: Task, pending: Pending, stop: threading.Event, cluster: Threads
) -> Generator[Results, None, None]:
    """Compute pending regions in this process.

    FdgradError: what went wrong in a region, once those in flight are finished.
    """

    def submit(tasks: Sequence[Attempts]) -> list[Future[Results]]:
        return [pool.submit(task.compute, attempts) for attempts in tasks]

    def failed(future: Future[Results], attempts: Attempts, error: Exception) -> Exception:
        pending.put_back(attempts)
        if isinstance(error, MemoryError):
            return ClusterError(
                f"this process ran out of memory ({error}); lower cluster.workers, "
                "cluster.threads or source.chunks"
            )
        return error

    here = f"{socket.gethostname()}:{os.getpid()}"
    with ThreadPoolExecutor(cluster.workers, thread_name_prefix=here) as pool:
        yield from fly(pending, submit, lambda: cluster.workers, stop, failed)
