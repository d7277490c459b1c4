"""What a run leaves behind in writing: one record of itself, and one of every finished region."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from fdgrad_dask.pipeline.planning.cutting import Span


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

    Examples
    --------
    >>> key_of({"time": (0, 24), "latitude": (0, 5)})
    '{"time": [0, 24], "latitude": [0, 5]}'
    """
    return json.dumps(span)
