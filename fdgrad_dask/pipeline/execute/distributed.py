"""The executor of clusters: opaque tasks on workers of dask, tried again when a worker dies.

The cluster sees two opaque tasks for each worker, of one region, or of several small ones.
"""

import pickle
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count
from statistics import median
from typing import Any, ClassVar
from uuid import uuid4

import dask
from dask.utils import format_bytes, format_time
from distributed import Client, Future, KilledWorker, Worker, WorkerPlugin
from distributed.comm.core import CommClosedError

from fdgrad_dask.errors import ClusterError, ClusterLostError, FdgradError
from fdgrad_dask.pipeline.cluster import open as clusters
from fdgrad_dask.pipeline.cluster.resources import bytes_per_worker
from fdgrad_dask.pipeline.config.cluster import Cluster
from fdgrad_dask.pipeline.console import say
from fdgrad_dask.pipeline.execute.task import Task
from fdgrad_dask.pipeline.execute.window import Attempts, Pending, Results, fly, outcomes

_AHEAD = 2  # tasks in flight for each worker: one that is computed, one that waits
_TRIES = 4  # a region that killed this many workers is given up
_LOOK = 2.0  # seconds between two looks at how many workers there are
_REBUILDS = 3
_SCHEDULER = {
    # A region that killed its worker comes back to us at once, and we say so.
    "distributed.scheduler.allowed-failures": 0,
    # The dashboard would remember the last 100 000 regions, of a kilobyte or more each.
    "distributed.scheduler.dashboard.tasks.task-stream-length": 1000,
}

Note = Callable[[str, str], None]
_TIMES = 5  # as long as the median of what is finished
_LEAST = 60.0  # seconds
_REMEMBERED = 1000  # finished regions, of which the median is taken


def on_cluster(
    task: Task, pending: Pending, stop: threading.Event, cluster: Cluster, memory: int, note: Note
) -> Generator[Results, None, None]:
    """Compute pending regions on a cluster, and on a new one if that is lost.

    Parameters
    ----------
    memory : int
        Bytes that a region needs by plan.
    note : callable
        Receives events of the cluster: a kind, and a sentence.

    FdgradError: what went wrong in a region, once those in flight are finished; or with the
    cluster.
    """
    handed = _Handed(task)
    for rebuilt in range(_REBUILDS + 1):
        say(f"starting {cluster.workers} workers, threads of each: {cluster.threads}")
        try:
            with (
                dask.config.set(_SCHEDULER),
                clusters.opened(cluster) as client,
                clusters.computing(cluster),
            ):
                client.register_plugin(handed)
                try:
                    say(f"dashboard at {client.dashboard_link}")
                    workers = _Workers(client, handed.run, pending, cluster, memory, note)
                    yield from workers.compute(stop)
                    return
                finally:
                    with suppress(Exception):  # the cluster may be lost, and with it the plugin
                        client.unregister_worker_plugin(handed.name)
        except ClusterLostError as error:
            if rebuilt == _REBUILDS:
                raise
            note("cluster lost", f"cluster lost, rebuilding ({rebuilt + 1}/{_REBUILDS}): {error}")


class _Handed(WorkerPlugin):
    """Gives each worker the task of a run once, so that no message carries it."""

    tasks: ClassVar[dict[str, Task]] = {}
    """By what names a run: several may share the workers of one scheduler."""

    def __init__(self, task: Task) -> None:
        self.run = uuid4().hex[:8]
        self.name = f"fdgrad-task-{self.run}"
        self._task = pickle.dumps(task)

    def setup(self, worker: Worker) -> None:
        """A run begins, or a worker comes late."""
        self.tasks[self.run] = replace(pickle.loads(self._task), worker=str(worker.address))

    def teardown(self, worker: Worker) -> None:
        """The run is over."""
        self.tasks.pop(self.run, None)


def compute(run: str, attempts: Attempts) -> Results:
    """What a worker does."""
    try:
        return _Handed.tasks[run].compute(attempts)
    except FdgradError as error:
        # distributed sends an error with its causes. Where one of them cannot be pickled, a text
        # without a class arrives, and the exit code is that of a bug. So they travel as text.
        if cause := error.__cause__ or error.__context__:
            error.add_note("".join(traceback.format_exception(cause)))
        error.__context__ = None
        raise error from None


class _Workers:
    """Computes pending regions on one client, as long as its cluster lives."""

    def __init__(
        self,
        client: Client,
        run: str,
        pending: Pending,
        cluster: Cluster,
        memory: int,
        note: Note,
    ) -> None:
        self._client, self._run, self._pending = client, run, pending
        self._cluster, self._memory, self._note = cluster, memory, note
        self._dead: Counter[str] = Counter()
        self._names = count()
        self._width, self._looked = 0, float("-inf")
        self._straggling = Straggling(note)

    def compute(self, stop: threading.Event) -> Generator[Results, None, None]:
        """What the regions give, those of a task together; see ``fly``."""
        flown = fly(self._pending, self._submit, self._count, stop, self._failed, self._gather)
        with closing(flown):
            for results in flown:
                for record, _ in results:
                    self._straggling.finish(record.worker, record.seconds)
                yield results

    def _count(self) -> int:
        if time.monotonic() - self._looked > _LOOK:
            workers = self._client.nthreads()
            self._width, self._looked = _AHEAD * max(1, len(workers)), time.monotonic()
            self._straggling.look(self._client.processing)
        return self._width

    def _submit(self, tasks: Sequence[Attempts]) -> "list[Future[Results]]":
        keys = [f"region-{self._run}-{each[0].region}-{next(self._names)}" for each in tasks]
        for key, attempts in zip(keys, tasks, strict=True):
            self._straggling.begin(key, [each.region for each in attempts])
        futures: list[Future[Results]] = self._client.map(
            compute, [self._run] * len(tasks), tasks, key=keys, pure=False
        )
        for future in futures:
            future.add_done_callback(lambda done: self._straggling.end(done.key))
        return futures

    def _gather(self, futures: "Sequence[Future[Results]]") -> Iterator[Results | Exception]:
        """By one request for them all: each takes its way through scheduler and worker and back."""
        given: dict[Any, Results] = {}
        with suppress(Exception):  # each says below what became of it
            given = self._client.gather({f.key: f for f in futures if f.status == "finished"})
        for future in futures:
            if future.key in given:
                yield given[future.key]
            else:
                yield from outcomes([future])

    def _failed(
        self, future: "Future[Results]", attempts: Attempts, error: Exception
    ) -> Exception | None:
        """What killed its worker is tried again."""
        if isinstance(error, KilledWorker):
            return self._died(str(getattr(error.last_worker, "address", None)), attempts)
        self._pending.put_back(attempts)
        if isinstance(error, CommClosedError) or future.status in ("cancelled", "lost"):
            raise error  # of the cluster, not the region's
        return error

    def _died(self, worker: str, attempts: Attempts) -> ClusterError | None:
        self._dead[worker] += 1
        if 1 < self._dead[worker] <= _AHEAD:  # they waited behind those that were computed
            self._pending.put_back(attempts, tried=False)
            return None
        self._pending.put_back(attempts, alone=True)
        numbers = [each.region for each in attempts]
        which = f"region {numbers[0]}"
        if len(numbers) > 1:
            which = f"one of the regions {', '.join(map(str, numbers))}"
        self._note("worker lost", f"the worker {worker} died of {which}, or was killed")
        given_up = [number for number in numbers if self._pending.tries[number] >= _TRIES]
        if not given_up:
            return None
        limit = bytes_per_worker(self._cluster)
        return ClusterError(
            f"{_TRIES} workers died of region {given_up[0]}; by plan a region needs "
            f"{format_bytes(self._memory)}, and a worker has {format_bytes(limit)}. "
            "Where that is short, lower target.regions or cluster.threads, or raise "
            "cluster.memory_limit; else see why the workers die"
        )


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
        """Report stragglers; ``processing`` says which tasks the scheduler gave to each worker,
        and is asked where one may be late.
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
