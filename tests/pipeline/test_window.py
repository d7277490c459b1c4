"""Tasks in flight: in which order regions go, what ends a run, and how it is asked to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from threading import Event
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from fdgrad_dask.errors import ClusterError, OutputError
from fdgrad_dask.pipeline.config.cluster import Threads
from fdgrad_dask.pipeline.execute import window
from fdgrad_dask.pipeline.execute.task import Attempt
from fdgrad_dask.pipeline.execute.window import Pending, fly, in_threads, stoppable
from fdgrad_dask.pipeline.planning.cutting import Halo
from fdgrad_dask.pipeline.planning.regions import Plan


def pending(count: int, **sizes: int) -> Pending:
    """Regions of a point along `x`, where none reads another, and along `y`, where each does."""
    sizes = sizes or {"x": count}
    plan = Plan(sizes, dict.fromkeys(sizes, 1), 0, 0, 0, 0)
    halos = {dim: Halo(1, 1) if dim == "y" else Halo() for dim in sizes}
    return Pending(halos, plan, range(count))


def numbers(attempts: Sequence[Attempt]) -> list[int]:
    return [each.region for each in attempts]


def results(count: int, seconds: float = 0.0) -> list[Any]:
    return [(SimpleNamespace(seconds=seconds), None)] * count


def test_a_region_that_failed_goes_next_and_alone() -> None:
    left = pending(100)
    first = left.take(1)
    assert (numbers(first), first[0].number) == ([0], 1)
    left.finish(first, results(1))
    pair = left.take(1)
    assert numbers(pair) == [1, 2]
    assert len(left) == 97
    left.finish(pair, results(1))  # that of 2 failed
    assert len(left) == 98
    (again,) = left.take(1)
    assert (again.region, again.number) == (2, 2)
    left.finish([again], results(1))
    four = left.take(1)
    assert numbers(four) == [3, 4]  # twice as many as the last task had
    left.finish(four, results(2))
    more = left.take(1)
    assert numbers(more) == [5, 6, 7, 8]
    left.finish(more, results(2))  # 7 failed, and 8 was not tried
    assert numbers(left.take(1)) == [7]
    (eight, *_) = left.take(1)
    assert (eight.region, eight.number) == (8, 1)


def test_those_that_are_put_back_are_next_in_their_order() -> None:
    left = pending(10)
    for _ in range(3):
        left.take(4)
    left.put_back([Attempt(1, {}), Attempt(2, {})])
    assert [(each.region, each.number) for _ in "abc" for each in left.take(4)] == [
        *((1, 2), (2, 2), (3, 1))
    ]
    left.put_back([Attempt(2, {}), Attempt(0, {})], alone=True)
    left.put_back([Attempt(1, {})])
    assert len(left) == 6 + 2 + 1
    assert [numbers(left.take(1)) for _ in "abc"] == [[2], [0], [1]]
    left.put_back([Attempt(1, {})], tried=False)
    assert left.take(4)[0].number == 3


def test_a_task_is_a_part_of_a_row_of_regions_that_do_not_read_each_other() -> None:
    """Of 3 × 4, numbered along x: a column of y would read its neighbours."""
    left = pending(48, y=3, x=16)
    left.finish(left.take(1), results(1))
    left.finish(left.take(1), results(2))
    assert numbers(left.take(1)) == [3, 4, 5, 6]
    columns = pending(48, x=3, y=16)
    columns.finish(columns.take(1), results(1))
    assert numbers(columns.take(1)) == [1, 17]
    # Where all read each other any will do.
    whole = pending(30, y=30)
    whole.finish(whole.take(1), results(1))
    assert numbers(whole.take(1)) == [1, 2]


def test_a_row_goes_around_what_is_done() -> None:
    left = pending(40)
    left.finish(left.take(1), results(1))
    left.finish(left.take(1), results(2))
    for number in (4, 5):
        del left._left[number]
    assert numbers(left.take(1)) == [3, 6, 7, 8]


def test_tasks_are_no_longer_than_a_fair_share_of_what_is_there() -> None:
    left = pending(9)
    left.finish(left.take(1), results(100))  # twice a hundred, were there as many
    assert numbers(left.take(2)) == [1, 2]  # of 8, two in flight, and as many again
    assert numbers(left.take(2)) == [3]


def flown(left: Pending, outcome: Callable[[int], Any], width: int = 2, **more: Any) -> Any:
    """A flight whose tasks end as they are submitted."""

    def submit(tasks: Any) -> Iterator[Future[Any]]:
        for attempts in tasks:
            future: Future[Any] = Future()
            try:
                future.set_result(outcome(attempts[0].region))
            except Exception as error:
                future.set_exception(error)
            yield future

    failed = more.pop("failed", lambda future, attempts, error: error)
    return fly(left, submit, lambda: width, more.pop("stop", Event()), failed, **more)


def test_an_error_ends_a_run_after_what_is_in_flight() -> None:
    left, seen = pending(10), []

    def outcome(number: int) -> Any:
        seen.append(number)
        if number == 2:
            raise OutputError("enough")
        return results(1, 1.0)

    done: list[Any] = []
    with pytest.raises(OutputError, match="enough"):
        done.extend(flown(left, outcome))
    assert seen == [0, 1, 2, 3]
    assert len(done) == 3
    assert len(left) == 6


def test_the_first_error_is_kept_where_others_are_forgiven() -> None:
    errors = {1: OutputError("first"), 2: None}

    def outcome(number: int) -> Any:
        if number in errors:
            raise ValueError(number)
        return results(1, 1.0)

    def failed(future: Any, attempts: Any, error: Exception) -> Any:
        return errors[attempts[0].region]

    with pytest.raises(OutputError, match="first"):
        list(flown(pending(10), outcome, 4, failed=failed))


def test_no_task_is_started_once_the_run_is_asked_to_stop() -> None:
    left, stop = pending(10), Event()
    flight = flown(left, lambda number: results(1, 1.0), stop=stop)
    next(flight)
    stop.set()
    assert len(list(flight)) == 1
    assert len(left) == 8


def test_a_flight_that_is_broken_off_puts_back_what_was_in_the_air() -> None:
    left = pending(10)
    flight = flown(left, lambda number: results(1, 1.0), 4)
    next(flight)
    flight.close()
    assert len(left) == 9
    assert numbers(left.take(4)) == [1]


def test_tasks_that_have_ended_are_gathered_at_once() -> None:
    counts: list[int] = []

    def gather(futures: Sequence[Any]) -> Iterator[Any]:
        counts.append(len(futures))
        return window.outcomes(futures)

    list(flown(pending(6), lambda number: results(1, 1.0), width=3, gather=gather))
    assert counts == [3, 3]


def test_nothing_to_do_is_done() -> None:
    assert list(flown(pending(0), lambda number: results(1))) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_to_stop_and_a_second_one_interrupts(number: signal.Signals) -> None:
    def mine(*_: object) -> None:
        pytest.fail("the handler of the caller is not for the run")

    before = signal.signal(number, mine)
    try:
        with stoppable() as stop:
            assert not stop.is_set()
            signal.raise_signal(number)
            assert stop.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert signal.getsignal(number) is mine
    finally:
        signal.signal(number, before)


def test_a_terminal_that_closes_stops_nothing_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_are_those_of_the_main_thread() -> None:
    found: list[Any] = []

    def run() -> None:
        with stoppable() as stop:
            found.append((stop.is_set(), signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(False, before)]


def test_the_command_leaves_gpus_alone_unless_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(jax.config, "update", lambda *given: said.append(given))
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    window.keep_to_cpu()
    assert said == []
    monkeypatch.delenv("JAX_PLATFORMS")
    window.keep_to_cpu()
    assert said == [("jax_platforms", "cpu")]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (MemoryError("8 GiB"), ClusterError, r"ran out of memory \(8 GiB\); lower cluster.workers"),
        (OutputError("full"), OutputError, "full"),
    ],
)
def test_what_goes_wrong_in_a_thread_is_said_and_the_region_put_back(
    error: Exception, kind: type[Exception], words: str
) -> None:
    names: set[str] = set()

    def compute(attempts: Any) -> Any:
        names.add(threading.current_thread().name)
        if attempts[0].region == 1:
            raise error
        return results(1, 1.0)

    left, task = pending(4), SimpleNamespace(compute=compute)
    cluster = Threads(workers=1, threads=1)
    with pytest.raises(kind, match=words):
        list(in_threads(task, left, Event(), cluster))  # type: ignore[arg-type]
    assert len(left) == 3
    (attempt,) = left.take(1)
    assert (attempt.region, attempt.number) == (1, 2)
    (name,) = names
    assert f":{os.getpid()}" in name
