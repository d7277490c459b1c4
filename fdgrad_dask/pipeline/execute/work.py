"""What travels to the workers and back, for all regions of a run and for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.execute.record import RegionRecord
from fdgrad_dask.pipeline.plan.cutting import Chunks, Halo, Span


@dataclass(frozen=True)
class Work:
    """What all regions of a run share, which each worker is handed once."""

    run: str
    """Names the run: what a process keeps open belongs to it."""
    config: Config
    shards: dict[str, int]
    halos: dict[str, Halo]
    pieces: dict[str, Chunks]
    threads: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What each file of the source is to the driver: a worker must see the same."""
    first: int | None = None
    """The region whose worker compares them."""


class Attempt(NamedTuple):
    """One region that is to be computed, where it lies, and how often it was tried."""

    region: int
    span: Span
    number: int = 1


Result = tuple[RegionRecord, Any]
"""The record of a region, and what the target's store wants of it."""
