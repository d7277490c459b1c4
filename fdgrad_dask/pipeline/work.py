"""What travels to the workers and back, for all regions of a run and for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from fdgrad_dask.pipeline.config import Config
from fdgrad_dask.pipeline.plan import Chunks, Halo, Span
from fdgrad_dask.pipeline.record import RegionRecord


@dataclass(frozen=True)
class Work:
    """What all regions of a run share; a few kilobytes that travel with each task."""

    run: str
    """Names the run: what a process keeps open belongs to it."""
    config: Config
    shards: dict[str, int]
    halos: dict[str, Halo]
    pieces: dict[str, Chunks]
    threads: int


class Attempt(NamedTuple):
    """One region that is to be computed, where it lies, and how often it was tried."""

    region: int
    span: Span
    number: int = 1


Result = tuple[RegionRecord, Any]
"""The record of a region, and what the target's store wants of it."""
