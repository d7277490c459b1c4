"""Proves a target complete and intact: every shard is there, with the bytes that were written."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config import Config
from fdgrad_dask.pipeline.journal import Journal
from fdgrad_dask.pipeline.targets.opening import store_of
from fdgrad_dask.pipeline.targets.store import Store

_READERS = 8
_SHOWN = 20


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it was written, and the region that wrote it."""

    key: str
    what: str
    region: int | None

    def __str__(self) -> str:
        return f"{self.key} {self.what}"


def faults(store: Store, journal: Journal) -> list[Fault]:
    """All that is missing or not what was written, by the checksums of the stored bytes."""
    run, records = journal.run(), journal.regions()
    if run is None:
        return []
    missing = [
        Fault(f"region {number}", "was not finished", number)
        for number in range(run.regions)
        if number not in records
    ]
    written: list[tuple[str, str, int | None]] = [
        (key, checksum, None) for key, checksum in run.labels.items()
    ]
    for number, record in records.items():
        written += [(key, checksum, number) for key, checksum in record.checksums.items()]

    def checked(one: tuple[str, str, int | None]) -> Iterator[Fault]:
        key, checksum, region = one
        found = store.checksum(key)
        if found is None:
            yield Fault(key, "is missing", region)
        elif found != checksum:
            empty = bool(store.absent([key]))
            yield Fault(key, "is empty" if empty else "has other bytes than were written", region)

    with ThreadPoolExecutor(_READERS) as readers:
        return [*missing, *(fault for found in readers.map(checked, written) for fault in found)]


def verify(config: Config) -> str:
    """A sentence that says the target is whole.

    Raises
    ------
    OutputError
        It is not there, or not finished, or broken; with the keys of what is.
    """
    store, path = store_of(config.target), config.target.path
    journal = Journal(path)
    run, state = journal.run(), store.state()
    if state == "absent":
        raise OutputError(f"there is no target {path}; fdgrad run makes it")
    if run is None:
        raise OutputError(f"{path} has no journal {journal.folder} that says what was written")
    if state != "finished":
        done = len(journal.regions())
        raise OutputError(
            f"{path} is not finished, {done} of {run.regions} regions are; fdgrad run goes on"
        )
    found = faults(store, journal)
    if found:
        more = [f"… and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        lines = "\n  ".join([*map(str, found[:_SHOWN]), *more])
        raise OutputError(f"{path} is broken, fdgrad run --repair writes these anew:\n  {lines}")
    shards = sum(len(record.checksums) for record in journal.regions().values())
    return f"{path} is whole: {shards} shards of {run.regions} regions, each as it was written"
