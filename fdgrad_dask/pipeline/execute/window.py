"""A bounded number of tasks in flight; results are yielded as tasks finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any

from fdgrad_dask.pipeline.execute.pending import Pending
from fdgrad_dask.pipeline.execute.task import Attempt, Result

_POLL = 0.2  # seconds


def fly(
    pending: Pending,
    submit: Callable[[Sequence[Attempt]], Any],
    width: Callable[[], int],
    stop: threading.Event,
    failed: Callable[[Any, Sequence[Attempt], Exception], Exception | None],
) -> Generator[Result, None, None]:
    """Compute pending regions until none is left, one fails or the run is stopped.

    Parameters
    ----------
    pending : Pending
        Regions to compute; unfinished ones are put back.
    submit : callable
        Starts a task; its future has ``result()`` and ``add_done_callback``.
    width : callable
        How many tasks may be in flight now.
    stop : Event
        Once it is set, no task is started.
    failed : callable
        Receives a future that raised; returns the error that ends the run, or None.

    Raises
    ------
    Exception
        What went wrong in a region, once those in flight are finished.
    """
    flying: dict[int, list[Attempt]] = {}
    landed: SimpleQueue[tuple[Any, int]] = SimpleQueue()
    error: Exception | None = None
    try:
        while True:
            # The width is asked for also where nothing is pending: whoever knows it looks around.
            while len(flying) < width() and pending and not (stop.is_set() or error):
                attempts = pending.take(width())
                flying[attempts[0].region] = attempts
                first = attempts[0].region
                submit(attempts).add_done_callback(lambda done, at=first: landed.put((done, at)))
            if not flying:
                break
            try:
                future, first = landed.get(timeout=_POLL)
            except Empty:
                continue
            attempts = flying.pop(first)
            try:
                results = future.result()
            except Exception as raised:
                error = failed(future, attempts, raised) or error
            else:
                pending.finish(attempts, results)
                yield from results
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
