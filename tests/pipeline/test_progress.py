"""Progress: a bar on a terminal, lines elsewhere, counted in regions and bytes."""

from __future__ import annotations

import io
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from fdgrad_dask.pipeline.execute import progress
from fdgrad_dask.pipeline.execute.journal import Event, Journal, RegionRecord, RunRecord, key_of
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.store.folder import Folder


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_at_the_start_the_end_and_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fdgrad_dask")
    clock = iter([0.0, 1.0, 2.0, 6.5, 7.0, 10.0])
    # Its name for the module, not the module: the event loops of other threads read that clock.
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = progress.Progress(io.StringIO())
    for done in (10, 20, 40, 45, 80):
        lines.show(done, 80, done - 10, (done - 10) * 2**20)
    lines.close()
    assert caplog.messages == [
        "computed 10 of 80 regions (12 %), 0 B, 0 B/s",
        "computed 40 of 80 regions (50 %), 30.00 MiB, 4.62 MiB/s, about 9 s left",
        "computed 80 of 80 regions (100 %), 70.00 MiB, 7.00 MiB/s",
    ]


def test_a_bar_has_rate_and_time_left() -> None:
    stream = Terminal()
    bar = progress.Progress(stream)
    bar.show(40, 80, 30, 2**20)
    bar.show(80, 80, 70, 2**30)
    bar.close()
    last = stream.getvalue().split("\r")[-1]
    assert "computing: 100%" in last
    assert "80/80" in last
    assert "1.00 GiB" in last


def test_a_bar_of_a_resumed_run_begins_where_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 14.0, 14.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    stream = Terminal()
    bar = progress.Progress(stream)
    assert bar._bar is not None
    shown: list[bool] = []
    monkeypatch.setattr(bar._bar, "refresh", lambda *_, **__: shown.append(True))
    bar.show(40, 80, 30, 8 * 2**20)
    assert (bar._bar.n, bar._bar.total, bar._bar.initial) == (40, 80, 10)
    assert bar._bar.postfix == "8.00 MiB, 2.00 MiB/s"
    bar.show(41, 80, 31, 8 * 2**20)
    assert bar._bar.n == 41
    assert len(shown) <= 2  # once for a step at most, by its own clock
    bar.close()
    assert bar._bar.disable


def test_lines_come_after_five_seconds_to_the_second(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "fdgrad_dask")
    clock = iter([100.0, 100.0, 104.9, 105.0, 109.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = progress.Progress(io.StringIO())
    lines.show(0, 0, 0, 0)
    caplog.clear()
    for done in (1, 2, 3):
        lines.show(done, 8, done, done * 2**10)
    assert caplog.messages == ["computed 2 of 8 regions (25 %), 2.00 kiB, 409 B/s, about 15 s left"]


NOW = 1_000_000.0
DAY = "1970-01-12"


PLAN = Plan({"x": 8}, {"x": 1}, 0, 0, 0, 0)


def begun(ended: float | None = None, events: int = 0) -> Journal:
    """The journal of a run of eight regions."""
    journal = Journal(Folder("out.zarr.journal"))
    texts: dict[str, Any] = {"digest": "", "called": "", "identity": {}, "config": {}}
    texts |= {"versions": {}, "inputs": {}}
    journal.begin(RunRecord(**texts, regions=8, plan=asdict(PLAN), began=NOW - 100))
    noted = [Event(NOW + number, "kind", f"event {number}") for number in range(events)]
    journal.amend(ended=ended, events=noted)
    return journal


def region(number: int, began: float) -> RegionRecord:
    return RegionRecord(
        number=number,
        key=key_of(PLAN.span(number)),
        worker="",
        began=began,
        seconds=1.0,
        read_seconds=0.0,
        write_seconds=0.0,
        bytes_read=3 * 2**19,
        bytes_written=2**19,
        peak_memory=0,
        attempt=1,
        checksums={},
    )


def standing() -> tuple[progress.Standing, list[str]]:
    """What is said, without the line of the target."""
    sections = {
        "source": {"path": "in.zarr"},
        "steps": [{"operator": "gradient", "inputs": ["a"], "options": {"dim": "x"}}],
        "target": {"path": "out.zarr"},
    }
    found = progress.status(sections)
    first, *lines = str(found).splitlines()
    assert first == f"target   {found.target}"
    return found, lines


def test_a_run_that_nobody_began() -> None:
    found, lines = standing()
    assert lines == ["state    not begun"]
    assert (found.state, found.regions, found.finished) == ("not begun", 0, 0)


def test_a_run_that_is_over() -> None:
    journal = begun(ended=NOW, events=5)
    journal.finish(*[region(number, NOW - 50) for number in range(8)])
    found, lines = standing()
    assert (found.state, found.regions, found.finished) == ("complete", 8, 8)
    assert lines == [
        f"state    complete since {DAY} 13:46:40 UTC",
        "regions  8 of 8 (100 %)",
        "bytes    16.00 MiB read and written",
        *(f"event    {DAY} 13:46:4{n} UTC: event {n}" for n in (2, 3, 4)),
    ]


@pytest.mark.parametrize(("ended", "finished"), [(None, 8), (NOW, 3), (None, 3)])
def test_a_run_that_was_broken_off(ended: float | None, finished: int) -> None:
    begun(ended).finish(*[region(number, NOW) for number in range(finished)])
    found, lines = standing()
    assert found.state == "interrupted"
    assert lines == [
        "state    interrupted; fdgrad run goes on",
        f"regions  {finished} of 8 ({100 * finished // 8} %)",
        f"bytes    {2.0 * finished:.2f} MiB read and written",
    ]


def test_a_run_at_work_has_a_rate_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 regions another run did the first, this one two since its beginning 20 s ago."""
    owner = SimpleNamespace(host="here", pid=7, since=NOW - 20)
    monkeypatch.setattr(progress, "living_owner", lambda place: owner)
    monkeypatch.setattr(progress, "time", SimpleNamespace(time=lambda: NOW))
    assert standing()[1] == [f"state    running by here:7 since {DAY} 13:46:20 UTC"]
    records = [region(0, NOW - 60), region(1, NOW - 20), region(2, NOW - 10)]
    journal = begun()
    journal.finish(*records[:1])
    assert standing()[1][1:] == ["regions  1 of 8 (12 %)", "bytes    2.00 MiB read and written"]
    journal.finish(*records[1:])
    found, lines = standing()
    assert (found.state, found.finished) == ("running", 3)
    assert lines == [
        f"state    running by here:7 since {DAY} 13:46:20 UTC",
        "regions  3 of 8 (37 %)",
        "bytes    6.00 MiB read and written",
        "rate     204.80 kiB/s, about 50.00 s left",
    ]
