"""What the records of regions add up to: sums, and curves over time of a size that is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdgrad_dask.pipeline.execute.record import RegionRecord

Array = np.ndarray[Any, np.dtype[np.float64]]

_BINS = 120  # of a curve; more cannot be told apart on a page
_PAUSE = 10.0  # seconds without a region, from which on a run was not at work but interrupted


@dataclass(frozen=True)
class Clock:
    """Seconds of work: unix time without the pauses in which no region was computed."""

    begins: Array
    """Unix time at which each stretch of work begins."""
    ends: Array

    @classmethod
    def of(cls, regions: Sequence[RegionRecord]) -> Clock:
        """The clock of at least one region."""
        ordered = sorted(regions, key=lambda region: region.began)
        began = np.array([region.began for region in ordered])
        ended = np.maximum.accumulate([region.began + region.seconds for region in ordered])
        resumed = np.flatnonzero(began[1:] - ended[:-1] > _PAUSE) + 1
        return cls(began[[0, *resumed]], ended[[*(resumed - 1), -1]])

    @property
    def starts(self) -> Array:
        """Seconds of work that were done before each stretch."""
        return np.concatenate([[0.0], np.cumsum(self.ends - self.begins)[:-1]])

    @property
    def length(self) -> float:
        """Seconds of work in all, at least a millisecond."""
        return max(float((self.ends - self.begins).sum()), 1e-3)

    def seconds(self, times: Array) -> Array:
        """Seconds of work that were done at these unix times."""
        stretch = np.searchsorted(self.begins, times, side="right") - 1
        return np.asarray(self.starts[stretch] + times - self.begins[stretch])


@dataclass(frozen=True)
class Course:
    """A run over seconds of work, in bins."""

    edges: Array
    """(n + 1,)"""
    read: Array
    """(n,) decoded bytes in a second; a region's are spread evenly over its time."""
    written: Array
    busy: Array
    """(workers, n), the share of each bin that a worker spent on regions."""
    workers: tuple[str, ...]
    """In the order in which they began."""
    peaks: tuple[tuple[Array, Array], ...]
    """Of each worker: seconds of work, and bytes that it had held at most by then."""
    repeated: Array
    """(2, m) seconds of work at which a repeated region began, and the number of its worker."""


def course(regions: Sequence[RegionRecord], clock: Clock) -> Course:
    """How a run of at least one region went."""
    ordered = sorted(regions, key=lambda region: region.began)
    workers = tuple(dict.fromkeys(region.worker for region in ordered))
    place = {worker: number for number, worker in enumerate(workers)}
    owner = np.array([place[region.worker] for region in ordered])
    began = clock.seconds(np.array([region.began for region in ordered]))
    took = np.array([max(region.seconds, 1e-9) for region in ordered])
    read, written, peak = (
        np.array([getattr(region, name) for region in ordered], float)
        for name in ("bytes_read", "bytes_written", "peak_memory")
    )
    edges = np.linspace(0, clock.length, _BINS + 1)
    # All that was done before each edge; the differences are what was done in a bin.
    done = np.zeros((3, edges.size))
    spent = np.zeros((len(workers), edges.size))
    for number, edge in enumerate(edges):
        inside = np.clip(edge - began, 0, took)
        spent[:, number] = np.bincount(owner, inside, len(workers))
        done[:2, number] = (inside / took) @ np.stack([read, written], 1)
    width = np.diff(edges)
    ended = began + took
    again = np.flatnonzero([region.attempt > 1 for region in ordered])
    peaks = []
    for worker in range(len(workers)):
        own = np.flatnonzero(owner == worker)
        own = own[np.argsort(ended[own])]
        peaks.append((ended[own], np.maximum.accumulate(peak[own])))
    return Course(
        edges=edges,
        read=np.diff(done[0]) / width,
        written=np.diff(done[1]) / width,
        busy=np.clip(np.diff(spent) / width, 0, 1),
        workers=workers,
        peaks=tuple(peaks),
        repeated=np.stack([began[again], owner[again]]),
    )


def crew(regions: Sequence[RegionRecord], clock: Clock) -> tuple[int, float]:
    """How many workers there were at once, and the share of their time spent on regions.

    Those of a stretch of work are counted for that stretch: a run that is resumed has others.
    """
    stretches: list[set[str]] = [set() for _ in clock.begins]
    for region in regions:
        stretches[int(np.searchsorted(clock.begins, region.began, side="right")) - 1].add(
            region.worker
        )
    counts = np.array([len(workers) for workers in stretches])
    there = float(counts @ (clock.ends - clock.begins))
    return int(counts.max()), sum(region.seconds for region in regions) / max(there, 1e-9)


def slowest(regions: Sequence[RegionRecord], most: int) -> list[RegionRecord]:
    """The regions that took longest, longest first."""
    return sorted(regions, key=lambda region: -region.seconds)[:most]


def repeated(regions: Sequence[RegionRecord]) -> list[RegionRecord]:
    """The regions that were not done at the first attempt."""
    return [region for region in regions if region.attempt > 1]
