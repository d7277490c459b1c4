"""Tasks of a cluster that take far longer than others: reported once, and left alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from statistics import median

from dask.utils import format_time

_TIMES = 5  # as long as the median of what is finished
_LEAST = 60.0  # seconds
_REMEMBERED = 1000  # finished regions, of which the median is taken


class Straggling:
    """Knows which tasks are in flight and since when; ``note`` receives each straggler."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        self._note = note
        self._flying: dict[str, tuple[Sequence[int], float]] = {}
        self._free: dict[str, float] = {}  # by worker, when it last finished a region
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._reported: set[str] = set()

    def begin(self, key: str, numbers: Sequence[int]) -> None:
        """A task is on its way to a worker, where it may wait behind another."""
        self._flying[key] = (numbers, time.monotonic())

    def end(self, key: str) -> None:
        """It is over, one way or the other."""
        self._flying.pop(key, None)

    def finish(self, worker: str, seconds: float) -> None:
        """A worker has finished a region."""
        self._seconds.append(seconds)
        self._free[worker] = time.monotonic()

    def look(self, processing: Callable[[], Mapping[str, Collection[str]]]) -> None:
        """Report tasks that have become stragglers.

        Parameters
        ----------
        processing : callable
            Which tasks the scheduler has given to each worker; asked where one may straggle.
        """
        now, flying = time.monotonic(), self._flying.copy()
        if not self._seconds or all(now - since <= _LEAST for _, since in flying.values()):
            return
        usual = median(self._seconds)
        for worker, given in processing().items():
            # The first is computed, others wait behind it.
            key = next((key for key in flying if key in given), None)
            if key is None or key in self._reported:
                continue
            numbers, since = flying[key]
            taken = now - max(since, self._free.get(worker, since))
            if taken > max(_LEAST, _TIMES * usual * len(numbers)):
                self._reported.add(key)
                which = f"region{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
                self._note(
                    "straggler",
                    f"{which} on {worker} has taken {format_time(taken)} so far, others "
                    f"{format_time(usual)} each; see what slows that worker or its input",
                )
