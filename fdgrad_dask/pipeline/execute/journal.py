"""The journal beside a target: which regions are finished, and what was computed how.

``run.json`` is whole or not there. ``journal.jsonl`` grows by a line a region: a run can die at any
moment and go on later, for a line counts once its end is there. Both stay when the run is over, as
provenance and for ``fdgrad verify``.
"""

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fdgrad_dask.pipeline.config.redaction import scrub_all
from fdgrad_dask.pipeline.planning.cutting import Span
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.store.open import Place

_RUN, _LINES = "run.json", "journal.jsonl"


@dataclass(frozen=True)
class RegionRecord:
    """One finished region: where it lies, who computed it when, and what was stored."""

    number: int
    """In the plan of the run."""
    key: str
    """Where it lies, as ``key_of`` has it."""
    worker: str
    began: float
    """Unix time."""
    seconds: float
    read_seconds: float
    """Summed over threads, as is ``write_seconds``."""
    write_seconds: float
    bytes_read: int
    """Decoded: whole chunks of the source, as often as they were read."""
    bytes_written: int
    """Decoded."""
    peak_memory: int
    """Resident peak of the worker so far, in bytes."""
    attempt: int
    checksums: dict[str, str]
    """By the key of an object in the target, ``checksum_of`` the stored bytes."""
    inputs: dict[str, str] = field(default_factory=dict)
    """The version of every object that was read: by the number of a file of the source, or that
    and the key of an object in a store."""


@dataclass(frozen=True)
class Event:
    """What happened to a run: a worker died, the cluster was lost, somebody interrupted."""

    time: float
    kind: str
    text: str


@dataclass(frozen=True)
class RunRecord:
    """One run, over all its interruptions."""

    digest: str
    identity: dict[str, str]
    """What the digest is made of: all that decides what is computed, not where."""
    config: dict[str, Any]
    called: str
    """The command that began it."""
    versions: dict[str, str]
    inputs: dict[str, str]
    """What each file of the source was: its size and time of change, or its metadata."""
    regions: int
    plan: dict[str, Any]
    """The numbers that ``fdgrad plan`` prints."""
    began: float
    laid_out: bool = False
    """Whether the target's metadata is complete, so that regions can be written into it."""
    read: dict[str, str] = field(default_factory=dict)
    """The version of every object that was read for labels too large to be compared, as those of
    a region."""
    names: list[str] = field(default_factory=list)
    """The arrays of the target: what else lies in it is somebody else's."""
    replaces: dict[str, list[str]] = field(default_factory=dict)
    """By its digest, the arrays of a finished target of ours in whose place this one comes."""
    grown_from: str | None = None
    """Where records of an earlier run count for this one, of a shorter source: the digest of the
    target that it published, or nothing where it was interrupted."""
    labels: dict[str, str] = field(default_factory=dict)
    """Checksums of that metadata and of the coordinates, as those of a region."""
    ended: float | None = None
    events: list[Event] = field(default_factory=list)


def key_of(span: Span) -> str:
    """What a region is known by, which stays the same where others come to lie beside it.

    >>> key_of({"time": (0, 24), "latitude": (0, 5)})
    '{"time": [0, 24], "latitude": [0, 5]}'
    """
    return json.dumps(span)


class Journal:
    """The journal that lies, or is to lie, at a place; nothing is made before ``begin``."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._is_whole = False  # whether the last line is known to have its end

    def run(self) -> RunRecord | None:
        """The run, or None where none was begun."""
        try:
            held = json.loads(self.place.read(_RUN) or b"")
            return RunRecord(**held | {"events": [Event(**each) for each in held["events"]]})
        except (ValueError, TypeError, KeyError):
            return None

    def regions(self) -> dict[str, RegionRecord]:
        """Finished regions by where they lie; of what was written twice, what came last."""
        found: dict[str, RegionRecord] = {}
        held = self.place.read(_LINES) or b""
        for line in held.decode(errors="replace").split("\n")[:-1]:
            with suppress(
                ValueError, TypeError, AttributeError
            ):  # torn: a region that is not finished
                entry = json.loads(line)
                for key in entry.get("forgotten", ()):
                    found.pop(key, None)
                if "forgotten" not in entry:
                    found[entry["key"]] = RegionRecord(**entry)
        return found

    def numbered(self) -> dict[int, RegionRecord]:
        """Those of the plan of the run, by their number in it."""
        if (run := self.run()) is None:
            return {}
        plan, found = Plan(**run.plan), self.regions()
        records = ((number, found.get(key_of(plan.span(number)))) for number in range(plan.count))
        return {number: record for number, record in records if record}

    def begin(self, run: RunRecord) -> None:
        """Starts again: what an earlier run finished is forgotten, and nothing else is touched."""
        self.place.delete(_LINES)
        self._write(run)

    def finish(self, *records: RegionRecord) -> None:
        """Some regions are finished."""
        self._append(*map(vars, records))

    def forget(self, keys: Iterable[str]) -> None:
        """These regions are to be computed again."""
        self._append({"forgotten": [*keys]})

    def amend(self, **changes: Any) -> None:
        """Changes fields of the run's record."""
        if run := self.run():
            self._write(replace(run, **changes))

    def note(self, kind: str, text: str) -> None:
        """Adds an event to the run."""
        if run := self.run():
            self.amend(events=[*run.events, Event(time=time.time(), kind=kind, text=text)])

    def end(self) -> None:
        """The run is over; the journal stays."""
        self.amend(ended=time.time())

    def _write(self, run: RunRecord) -> None:
        self.place.write(_RUN, json.dumps(scrub_all(asdict(run)), indent=1).encode())

    def _append(self, *entries: dict[str, Any]) -> None:
        held = b"" if self._is_whole else self.place.read(_LINES) or b""
        if torn := held.rpartition(b"\n")[2]:  # it would spoil the next line
            self.place.write(_LINES, held.removesuffix(torn))
        self._is_whole = False
        self.place.append(_LINES, b"".join(json.dumps(each).encode() + b"\n" for each in entries))
        self._is_whole = True
