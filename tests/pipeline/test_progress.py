"""Progress: a bar on a terminal, lines elsewhere, counted on the scheduler."""

from __future__ import annotations

import io
import re
import sys

import dask.array as da
import pytest

from fdgrad_dask.pipeline import cluster, progress
from fdgrad_dask.pipeline.sections.cluster import Local


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_at_the_start_the_end_and_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 2.0, 6.5, 7.0, 8.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = progress.Lines(stream)
    for done in (0, 10, 40, 45, 80):
        lines.show(done, 80)
    lines.close()
    assert stream.getvalue().splitlines() == [
        "computed 0 of 80 tasks (0 %), 0.0 tasks/s",
        "computed 40 of 80 tasks (50 %), 6.2 tasks/s, about 6 s left",
        "computed 80 of 80 tasks (100 %), 10.0 tasks/s",
    ]


def test_a_bar_has_rate_and_time_left() -> None:
    stream = Terminal()
    bar = progress.Bar(stream)
    bar.show(40, 80)
    bar.show(80, 80)
    bar.close()
    last = stream.getvalue().split("\r")[-1]
    assert "computing: 100%" in last
    assert "80/80" in last
    assert "tasks/s" in last


@pytest.mark.parametrize("terminal", [True, False])
def test_all_tasks_are_counted(
    terminal: bool, threads_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with cluster.opened(Local(workers=1, threads=1)) as client:
        future = client.compute(da.ones((40, 40), chunks=5).sum())
        progress.follow(client, future)
        assert future.result() == 1600
    counted = re.findall(r"(\d+)(?:/| of )(\d+)", stream.getvalue())
    assert counted[-1][0] == counted[-1][1]
    assert int(counted[-1][1]) >= 64


def test_a_failure_does_not_look_done(
    threads_only: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(block: object) -> None:
        raise KeyError(block)

    with cluster.opened(Local(workers=1, threads=1)) as client:
        future = client.compute(da.ones(4, chunks=1).map_blocks(fails, meta=da.ones(0)._meta))
        progress.follow(client, future)
        assert future.status == "error"
    assert "100 %" not in capsys.readouterr().err
