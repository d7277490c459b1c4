"""How far a computation is: a bar on a terminal, else a line every few seconds.

Tasks are counted on the scheduler, by state, so that nothing is added to the tasks themselves.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

from distributed import Client, Future, Scheduler
from tqdm import tqdm

_POLL = 0.1  # seconds
_LINE = 5.0  # seconds between two lines where there is no terminal
_AHEAD = {"waiting", "queued", "no-worker", "processing"}


class _Shown(Protocol):
    def show(self, done: int, total: int) -> None: ...
    def close(self) -> None: ...


def follow(client: Client, future: Future[Any]) -> None:
    """Shows progress on stderr until ``future`` is finished, failed or cancelled."""
    shown: _Shown = Bar(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr)
    total = 0
    try:
        while not future.done():
            ahead, seen = client.run_on_scheduler(count)
            total = max(total, seen)
            if total:  # none while the scheduler still unpacks the graph
                shown.show(total - ahead, total)
            time.sleep(_POLL)
        if future.status == "finished":
            shown.show(max(total, 1), max(total, 1))
    finally:
        shown.close()


def count(dask_scheduler: Scheduler) -> tuple[int, int]:
    """Tasks still to be done, and tasks in all; runs on the scheduler."""
    states = [group.states for group in dask_scheduler.task_groups.values()]
    counts = [(name, number) for state in states for name, number in state.items()]
    return sum(n for name, n in counts if name in _AHEAD), sum(n for _, n in counts)


class Lines:
    """A plain line at the start, at the end, and every few seconds between."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = time.monotonic()
        self._last = float("-inf")

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last < _LINE:
            return
        self._last = now
        rate = done / max(now - self._began, _POLL)
        left = f", about {(total - done) / rate:.0f} s left" if 0 < done < total else ""
        print(
            f"computed {done} of {total} tasks ({100 * done // total} %), {rate:.1f} tasks/s{left}",
            file=self._stream,
            flush=True,
        )

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """tqdm's bar, with rate and time left."""

    def __init__(self, stream: TextIO) -> None:
        self._bar = tqdm(desc="computing", unit=" tasks", file=stream)

    def show(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()
