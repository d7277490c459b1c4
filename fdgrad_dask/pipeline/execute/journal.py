"""The journal beside a target: which regions are finished, and what was computed how.

A folder of small files, each written whole or not at all, so that a run can die at any moment and
go on later. It stays when the run is over, as provenance and for ``fdgrad verify``.
"""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fdgrad_dask.pipeline.config.redaction import scrub_all
from fdgrad_dask.pipeline.execute.record import (
    Event,
    Record,
    RegionRecord,
    RunRecord,
    as_json,
    from_json,
)
from fdgrad_dask.pipeline.store.files import writing

_PRIVATE = 0o700


class Journal:
    """The journal of the target at ``path``; nothing is made before ``begin``."""

    def __init__(self, path: str) -> None:
        self.folder = path + ".journal"
        self._run = os.path.join(self.folder, "run.json")
        self._regions = os.path.join(self.folder, "regions")

    def run(self) -> RunRecord | None:
        """The run, or None where none was begun."""
        return _read(RunRecord, self._run)

    def regions(self) -> dict[int, RegionRecord]:
        """Finished regions by number; a torn file is a region that is not finished."""
        found = (_read(RegionRecord, file) for file in self._files())
        return {record.number: record for record in found if record}

    def begin(self, run: RunRecord) -> None:
        """Starts again: what an earlier run finished is forgotten, and nothing else is touched."""
        with writing(self.folder):
            for file in self._files():
                os.unlink(file)
            for folder in (self.folder, self._regions):
                make_folder(folder)
                with suppress(PermissionError):  # of somebody else
                    os.chmod(folder, _PRIVATE)
        write_whole(self._run, scrub_all(as_json(run)))

    def finish(self, record: RegionRecord) -> None:
        """One region is finished."""
        write_whole(self._file(record.number), as_json(record))

    def forget(self, numbers: Iterable[int]) -> None:
        """These regions are to be computed again."""
        for number in numbers:
            if os.path.lexists(self._file(number)):
                os.unlink(self._file(number))

    def amend(self, **changes: Any) -> None:
        """Changes fields of the run's record."""
        if run := self.run():
            write_whole(self._run, scrub_all(as_json(replace(run, **changes))))

    def note(self, kind: str, text: str) -> None:
        """Adds an event to the run."""
        if run := self.run():
            self.amend(events=[*run.events, Event(time=time.time(), kind=kind, text=text)])

    def end(self) -> None:
        """The run is over; the journal stays."""
        self.amend(ended=time.time())

    def _files(self) -> list[str]:
        """Those that we wrote: others may keep notes beside them."""
        return sorted(glob.glob(os.path.join(glob.escape(self._regions), f"r{'[0-9]' * 6}*.json")))

    def _file(self, number: int) -> str:
        return os.path.join(self._regions, f"r{number:06d}.json")


def make_folder(path: str) -> None:
    """A folder that only its owner looks into, unless it is there already."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(path, _PRIVATE)


def write_whole(path: str, content: object) -> None:
    """A JSON file that is there whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written, because the disk is full or for another reason.
    """
    unfinished = f"{path}.{os.getpid()}.tmp"
    with writing(path):
        make_folder(os.path.dirname(path))
        made = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(made, "w") as file:
            json.dump(content, file, indent=1)
        os.replace(unfinished, path)


def _read(kind: type[Record], path: str) -> Record | None:
    try:
        with open(path) as file:
            return from_json(kind, json.load(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None
