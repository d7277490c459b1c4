"""The regions that are left: in which order they are computed, how often each was tried."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence

from fdgrad_dask.pipeline.execute.task import Attempt, Result
from fdgrad_dask.pipeline.planning.cutting import Halo
from fdgrad_dask.pipeline.planning.regions import Plan

# Seconds of a task that has several regions, which is what a worker that dies may lose. It costs
# client and scheduler some milliseconds, so that where many are in flight each lasts longer.
_TASK, _FEW, _LONGEST = 0.25, 10, 10.0
_MOST = 64  # regions of a task


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
