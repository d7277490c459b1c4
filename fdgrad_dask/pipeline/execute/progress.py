"""How far a run is: a bar on a terminal, else a line every few seconds."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from dask.utils import format_bytes, format_time
from tqdm import tqdm

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.schema import AnyConfig, load
from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.console import has_bar, say
from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord, RunRecord
from fdgrad_dask.pipeline.execute.lock import living_owner
from fdgrad_dask.pipeline.execute.verify import require_ours
from fdgrad_dask.pipeline.planning.describe import Summary
from fdgrad_dask.pipeline.store.open import beside, store_of

_LINE = 5.0  # seconds between two lines where there is no terminal
_EVENTS = 3  # the last so many are shown


class Progress:
    """A bar on a terminal; elsewhere a line at the start, at the end, and every few seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr  # None where the process was started without
        self._began, self._last = time.monotonic(), float("-inf")
        bar = has_bar(stream)
        self._bar = tqdm(desc="computing", unit=" regions", file=stream) if bar else None

    def show(self, done: int, total: int, new: int, nbytes: int) -> None:
        """Regions that are finished, in all and by this process, and the bytes of the latter."""
        now = time.monotonic()
        seconds = max(now - self._began, 0.1)
        rate = f"{format_bytes(nbytes)}, {format_bytes(int(nbytes / seconds))}/s"
        if self._bar is not None:
            self._bar.total, self._bar.initial = total, done - new
            self._bar.set_postfix_str(rate, refresh=False)
            self._bar.update(done - self._bar.n)
        elif done == total or now - self._last >= _LINE:
            self._last = now
            left = f", about {(total - done) * seconds / new:.0f} s left" if new else ""
            said = f"computed {done} of {total} regions ({100 * done // max(total, 1)} %), {rate}"
            say(f"{said}{left if done < total else ''}")

    def close(self) -> None:
        """Leaves the bar where it is."""
        if self._bar is not None:
            self._bar.close()


@dataclass(frozen=True)
class Standing(Summary):
    """How far a run is: "not begun", "running", "interrupted" or "complete"."""

    state: str
    regions: int
    finished: int


def status(config: AnyConfig, *, settings: Sequence[str] = ()) -> Standing:
    """Find out how far a run is, which another process may compute; see ``run``.

    Raises
    ------
    OutputError
        The bucket of the target does not answer.
    """
    target = load(config, settings).target
    journal, path = Journal(beside(target)), target.path
    run, owner = journal.run(), living_owner(journal.place)
    records = list(journal.numbered().values())
    regions, finished = run.regions if run else 0, len(records)
    if owner:
        state, more = "running", f" by {owner.host}:{owner.pid} since {_date(owner.since)}"
    elif obstacle := _why_not_begun(run, journal, target):
        run, regions, finished = None, 0, 0
        state, more = "not begun", f"; {obstacle}"
    elif run is None:
        state, more = "not begun", ""
    elif run.ended is not None and finished == regions:
        state, more = "complete", f" since {_date(run.ended)}"
    else:
        state, more = "interrupted", "; fdgrad run goes on"
    lines = [f"target   {path}", f"state    {state}{more}"]
    if run:
        lines += [
            f"regions  {finished} of {regions} ({100 * finished // max(regions, 1)} %)",
            f"bytes    {format_bytes(_bytes(records))} read and written",
        ]
    # Rate and time left, by what the process that runs now has done.
    if owner and (new := [record for record in records if record.began >= owner.since]):
        seconds = max(time.time() - owner.since, 0.1)
        left = format_time((regions - finished) * seconds / len(new))
        rate = format_bytes(int(_bytes(new) / seconds))
        lines.append(f"rate     {rate}/s, about {left} left")
    events = run.events[-_EVENTS:] if run else []
    lines += [f"event    {_date(each.time)}: {each.text}" for each in events]
    return Standing("\n".join(lines), path, state, regions, finished)


def _why_not_begun(run: RunRecord | None, journal: Journal, target: Target) -> str:
    """What lies at the target that is not ours, or that nothing is left of a run; else nothing."""
    try:
        held = require_ours(store_of(target), journal)
    except OutputError as error:
        return str(error)
    if held != "absent" or run is None or not run.laid_out:
        return ""
    return f"the target that {journal.place.path} is about is gone; fdgrad run starts over"


def _bytes(records: list[RegionRecord]) -> int:
    return sum(record.bytes_read + record.bytes_written for record in records)


def _date(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
