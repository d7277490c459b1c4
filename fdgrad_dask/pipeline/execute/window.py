"""A bounded number of tasks in flight; results are yielded as tasks finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any

from fdgrad_dask.pipeline.execute.pending import Pending
from fdgrad_dask.pipeline.execute.task import Attempt, Result

_POLL = 0.2  # seconds

Attempts = Sequence[Attempt]
Results = list[Result]


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
    submit : callable
        Starts tasks; their futures have ``result()`` and ``add_done_callback``.
    width : callable
        How many tasks may be in flight now.
    stop : Event
        Once it is set, no task is started.
    failed : callable
        Receives a future that raised; returns the error that ends the run, or None.
    gather : callable
        What each of some futures gives, or its error.

    Yields
    ------
    list of Result
        Of a task.

    Raises
    ------
    Exception
        What went wrong in a region, once those in flight are finished.
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
            ended = [*_arrived(landed)]
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


def _arrived(landed: SimpleQueue[tuple[Any, int]]) -> Iterator[tuple[Any, int]]:
    """All that have arrived, once one has or a moment has passed."""
    with suppress(Empty):
        yield landed.get(timeout=_POLL)
        while True:
            yield landed.get_nowait()


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
