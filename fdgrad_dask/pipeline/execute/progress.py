"""How far a run is: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

from dask.utils import format_bytes
from tqdm import tqdm

from fdgrad_dask.pipeline.console import has_bar, say

_LINE = 5.0  # seconds between two lines where there is no terminal


class Shown(Protocol):
    """Regions that are finished, in all and by this process, and the bytes of the latter."""

    def show(self, done: int, total: int, new: int, nbytes: int) -> None: ...
    def close(self) -> None: ...


def shown(stream: TextIO | None = None) -> Shown:
    """What suits the stream; stderr if none is given."""
    stream = stream or sys.stderr  # None where the process was started without
    return Bar(stream) if has_bar(stream) else Lines()


class Lines:
    """A plain line at the start, at the end, and every few seconds between."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._last = float("-inf")

    def show(self, done: int, total: int, new: int, nbytes: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last < _LINE:
            return
        self._last = now
        seconds = max(now - self._began, 0.1)
        left = f", about {(total - done) * seconds / new:.0f} s left" if 0 < new < total else ""
        say(
            f"computed {done} of {total} regions ({100 * done // max(total, 1)} %), "
            f"{format_bytes(nbytes)}, {format_bytes(int(nbytes / seconds))}/s"
            f"{left if done < total else ''}"
        )

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """tqdm's bar, with rate and time left."""

    def __init__(self, stream: TextIO) -> None:
        self._began = time.monotonic()
        self._bar = tqdm(desc="computing", unit=" regions", file=stream)

    def show(self, done: int, total: int, new: int, nbytes: int) -> None:
        self._bar.total = total
        self._bar.initial = done - new
        seconds = max(time.monotonic() - self._began, 0.1)
        rate = f"{format_bytes(nbytes)}, {format_bytes(int(nbytes / seconds))}/s"
        self._bar.set_postfix_str(rate, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()
