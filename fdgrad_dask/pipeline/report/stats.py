"""Statistics of a run, from the records of its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fdgrad_dask.pipeline.execute.journal import RegionRecord

Array = np.ndarray[Any, np.dtype[np.float64]]

_BINS = 120  # of a curve; a page has no room to show more
_PAUSE = 10.0  # seconds; a longer time without any region means that the run was interrupted


@dataclass(frozen=True)
class History:
    """When each region was computed, in seconds of run time, which excludes interruptions."""

    regions: pd.DataFrame
    """The fields of the records, with ``start`` and ``end`` in seconds of run time; one row per
    region, in the order in which they began."""
    resumed: Array
    """Seconds of run time at which an interrupted run went on."""
    seconds: float
    """Run time, at least a millisecond."""
    workers: int
    """How many workers were in use at the same time."""
    busy: float
    """Share of the workers' run time that they spent on regions."""

    @property
    def edges(self) -> Array:
        """Edges of the bins of a curve, in seconds of run time."""
        return np.linspace(0, self.seconds, _BINS + 1)


def summarize(records: Sequence[RegionRecord]) -> History:
    """Leave the interruptions of a run out, and count its workers.

    Parameters
    ----------
    records : sequence of RegionRecord
        At least one.
    """
    regions = pd.DataFrame([vars(record) for record in records])
    regions = regions.sort_values("began", kind="stable", ignore_index=True)
    began, ended = regions.began, regions.began + regions.seconds
    session = (began - ended.cummax().shift() > _PAUSE).cumsum()
    first, last = began.groupby(session).min(), ended.groupby(session).max()
    length = last - first
    before = length.cumsum() - length
    regions["start"] = began - session.map(first - before)
    regions["end"] = regions.start + regions.seconds
    # A resumed run has other workers, so those of each session are counted for its time alone.
    workers = regions.worker.groupby(session).nunique()
    return History(
        regions=regions,
        resumed=before.to_numpy()[1:],
        seconds=max(length.sum(), 1e-3),
        workers=int(workers.max()),
        busy=regions.seconds.sum() / max((workers * length).sum(), 1e-9),
    )


def compute_rate(regions: pd.DataFrame, column: str, edges: Array) -> Array:
    """Amount per second in each bin, with that of a region spread evenly over its time."""
    # What is done by a given time is linear between the starts and ends of regions.
    rate = regions[column] / regions.seconds.clip(1e-6)
    times = np.concatenate([regions.start, regions.start + regions.seconds.clip(1e-6)])
    change = pd.Series(np.concatenate([rate, -rate]), times).sort_index()
    slope, times = change.cumsum().to_numpy(), change.index.to_numpy()
    done = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(times))])
    return np.asarray(np.diff(np.interp(edges, times, done)) / np.diff(edges))
