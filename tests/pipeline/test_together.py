"""Small regions that travel in one task: in which rows, what they share, what is kept of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import KilledWorker

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.schema import load
from fdgrad_dask.pipeline.execute import window
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.task import Attempt, Row, Task
from fdgrad_dask.pipeline.execute.window import Pending, fly, outcomes
from fdgrad_dask.pipeline.planning import steps
from fdgrad_dask.pipeline.planning.cutting import Halo
from fdgrad_dask.pipeline.planning.job import looked_at
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.store.folder import Folder
from fdgrad_dask.pipeline.store.open import store_of

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

# Forty regions, numbered along time, latitude and longitude; none along time reads another.
SHAPE = {"time": 1, "latitude": 1, "longitude": 4}
TARGET = {"path": "out.zarr", "chunks": SHAPE, "regions": SHAPE}
LOCAL = {"kind": "local", "workers": 1, "threads": 1}


@pytest.fixture
def tasks(on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The regions of each task that is handed out: at most five, however long they take."""
    handed: list[list[int]] = []
    take = Pending.take

    def told(waiting: Pending, width: int) -> list[Attempt]:
        attempts = take(waiting, width)
        handed.append([each.region for each in attempts])
        return attempts

    monkeypatch.setattr(Pending, "take", told)
    monkeypatch.setattr(window, "_MOST", 5)
    monkeypatch.setattr(window, "_TASK", 1e6)
    return handed


def test_tasks_grow_along_rows_and_shrink_at_the_end(
    fdgrad: Called, write: Write, tasks: list[list[int]]
) -> None:
    code, _, err = fdgrad("run", write(target=TARGET, cluster=LOCAL))
    assert code == 0, err
    assert tasks[:6] == [[0], [1], [2, 12], [3, 13], [4, 14, 24, 34], [5, 15, 25, 35]]
    assert tasks[6] == [6, 16, 26, 36, 7]
    assert [len(some) for some in tasks[-6:]] == [1] * 6
    assert sorted(number for some in tasks for number in some) == list(range(40))
    assert len(Journal(Folder("out.zarr.journal")).regions()) == 40


def test_regions_that_take_long_travel_alone(
    fdgrad: Called, write: Write, tasks: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "_TASK", 0.0)
    assert fdgrad("run", write(target=TARGET, cluster=LOCAL))[0] == 0
    assert tasks == [[number] for number in range(40)]


def test_a_row_shares_a_graph_and_reads_no_more(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []
    build = steps.build
    job = looked_at(load(write(target=TARGET)))
    task = Task(job.config, job.source, job.workload.shards, job.halos, job.pieces, threads=1)
    store_of(job.config.target).lay_out(job.template)

    def counted(*arguments: Any) -> Any:
        built.append(arguments)
        return build(*arguments)

    def read(*numbers: int) -> list[int]:
        attempts = [Attempt(number, job.plan.span(number)) for number in numbers]
        return [record.bytes_read for record, _ in task.compute(attempts)]

    monkeypatch.setattr(steps, "build", counted)
    together = read(0, 10, 30, 4)
    assert len(built) == 2
    assert together == [read(number)[0] for number in (0, 10, 30, 4)]


def test_what_is_finished_before_a_failure_is_kept(
    fdgrad: Called, write: Write, tasks: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Row.compute

    def fails(row: Row, attempt: Attempt, writer: Any) -> Any:
        if attempt.region == 24:
            raise OutputError("enough")
        return compute(row, attempt, writer)

    monkeypatch.setattr(Row, "compute", fails)
    code, _, err = fdgrad("run", write(target=TARGET, cluster=LOCAL))
    assert code == 4
    assert "fdgrad: enough" in err
    assert [some for some in tasks if 24 in some] == [[4, 14, 24, 34], [24]]
    records = Journal(Folder("out.zarr.journal")).numbered()
    assert {4, 14, 24} & records.keys() == {4, 14}
    assert {record.attempt for record in records.values()} == {1}
    monkeypatch.setattr(Row, "compute", compute)
    assert fdgrad("run", "config.yaml")[0] == 0
    assert len(Journal(Folder("out.zarr.journal")).regions()) == 40


def test_a_worker_that_dies_of_one_of_several(
    fdgrad: Called,
    write: Write,
    tasks: list[list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Task.compute

    def kills(task: Task, attempts: list[Attempt]) -> Any:
        if len(attempts) > 1 and attempts[0].region == 4:
            died = SimpleNamespace(address="tcp://1")
            raise KilledWorker("region", died, 0)  # type: ignore[arg-type]
        return original(task, attempts)

    monkeypatch.setattr(Task, "compute", kills)
    code, _, err = fdgrad("run", write(target=TARGET, cluster=LOCAL))
    assert code == 0, err
    assert "tcp://1 died of one of the regions 4, 14, 24, 34, or was killed" in err
    assert all([number] in tasks for number in (4, 14, 24, 34))
    again = {
        n
        for n, record in Journal(Folder("out.zarr.journal")).numbered().items()
        if record.attempt == 2
    }
    assert again == {4, 14, 24, 34}
    assert Path("out.zarr").is_dir()


def in_tasks(width: int, seconds: float) -> list[int]:
    """How many regions each task has where each takes so long and ``width`` are in flight."""
    plan = Plan({"x": 20_000}, {"x": 1}, 0, 0, 0, 0)
    left, sizes = Pending({"x": Halo()}, plan, range(plan.count)), []
    record = SimpleNamespace(seconds=seconds)
    while left:
        attempts = left.take(width)
        left.finish(attempts, [(record, None)] * len(attempts))  # type: ignore[list-item]
        sizes.append(len(attempts))
    return sizes


@pytest.mark.parametrize(
    ("width", "seconds", "most"),
    [
        (4, 1.0, 1),  # a quarter of a second at most, so that little is lost
        (4, 0.01, 25),
        (40, 0.25, 4),  # longer where many workers are to be kept busy by one driver
        (400, 1.0, 10),
        (4000, 3.0, 2),  # but not for more than ten seconds
        (40, 0.001, 64),
        (400, 20.0, 1),
    ],
)
def test_a_task_lasts_longer_where_more_are_in_flight(
    width: int, seconds: float, most: int
) -> None:
    sizes = in_tasks(width, seconds)
    assert max(sizes) == most
    assert sum(sizes) == 20_000
    assert sizes[-1] == 1


def test_tasks_that_have_ended_are_gathered_and_replaced_by_one_request_each() -> None:
    """And where one of them failed it is this one alone that is computed again."""
    plan = Plan({"x": 40}, {"x": 1}, 0, 0, 0, 0)
    left = Pending({"x": Halo()}, plan, range(40))
    requests: list[tuple[str, int]] = []
    failing = {13}

    def submit(tasks: Any) -> list[Future[Any]]:
        requests.append(("submit", len(tasks)))
        futures: list[Future[Any]] = [Future() for _ in tasks]
        for future, attempts in zip(futures, tasks, strict=True):
            if failing.intersection(numbers := [each.region for each in attempts]):
                failing.clear()
                future.set_exception(OSError("once"))
            else:
                future.set_result([(SimpleNamespace(number=n, seconds=1), None) for n in numbers])
        return futures

    def gather(futures: Any) -> Any:
        requests.append(("gather", len(futures)))
        return outcomes(futures)

    def failed(future: Any, attempts: Any, error: Exception) -> None:
        left.put_back(attempts)

    given = fly(left, submit, lambda: 8, Event(), failed, gather)
    numbers = [record.number for results in given for record, _ in results]
    assert requests == [("submit", 8), ("gather", 8)] * 5 + [("submit", 1), ("gather", 1)]
    assert sorted(numbers) == list(range(40))
    assert left.tries[13] == 2
    assert left.tries.total() == 41


def test_the_target_is_the_same_in_tasks_of_one_region_and_of_many(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    monkeypatch.setattr(window, "_TASK", 1e6)
    stored: list[dict[str, bytes]] = []
    appended: list[int] = []
    append = Folder.append

    def counted(folder: Folder, key: str, content: bytes) -> None:
        appended.append(content.count(b"\n"))
        append(folder, key, content)

    monkeypatch.setattr(Folder, "append", counted)
    for most in (1, 5):
        monkeypatch.setattr(window, "_MOST", most)
        config = write(target=TARGET)
        assert fdgrad("run", config)[0] == 0
        folder = Path("out.zarr")
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        stored.append({str(file): file.read_bytes() for file in files})
        assert max(appended) == most  # lines that are written to the journal together
        assert sum(appended) == 40
        appended.clear()
        shutil.rmtree(folder)
        shutil.rmtree("out.zarr.journal")
    assert stored[0] == stored[1]
