"""How far a run is, from its journal and its lock; neither source nor target is looked at."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from dask.utils import format_bytes, format_time

from fdgrad_dask.pipeline.config.schema import AnyConfig, load
from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord
from fdgrad_dask.pipeline.execute.lock import Owner, living_owner
from fdgrad_dask.pipeline.store.open import beside
from fdgrad_dask.pipeline.summary import Standing

_EVENTS = 3  # the last so many are shown


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
            *(_speed(records, owner, regions) if owner else []),
            *(f"event    {_date(each.time)}: {each.text}" for each in run.events[-_EVENTS:]),
        ]
    return Standing("\n".join(lines), path, state, regions, finished)


def _speed(records: list[RegionRecord], owner: Owner, regions: int) -> list[str]:
    """Rate and time left, by what the process that runs now has done."""
    new = [record for record in records if record.began >= owner.since]
    if not new:
        return []
    seconds = max(time.time() - owner.since, 0.1)
    left = (regions - len(records)) * seconds / len(new)
    return [
        f"rate     {format_bytes(int(_bytes(new) / seconds))}/s, about {format_time(left)} left"
    ]


def _bytes(records: list[RegionRecord]) -> int:
    return sum(record.bytes_read + record.bytes_written for record in records)


def _date(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
