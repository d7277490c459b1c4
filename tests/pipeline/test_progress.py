"""Progress: a bar on a terminal, lines elsewhere, counted in regions and bytes."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from fdgrad_dask.pipeline.execute import progress


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
