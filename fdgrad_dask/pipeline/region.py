"""What a worker does with regions: it opens source and target once, and computes them in rows.

One opaque task for the cluster, of one region or of some small ones.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import xarray as xr
from distributed import Worker, WorkerPlugin

from fdgrad_dask.pipeline.plan import Span
from fdgrad_dask.pipeline.row import Row
from fdgrad_dask.pipeline.source import open_files
from fdgrad_dask.pipeline.targets.opening import store_of
from fdgrad_dask.pipeline.targets.store import Store
from fdgrad_dask.pipeline.travelling import travelling
from fdgrad_dask.pipeline.work import Attempt, Result, Work


@dataclass(frozen=True)
class _Open:
    source: xr.Dataset
    store: Store


_open: dict[str, _Open] = {}
_opening = threading.Lock()


class Opened(WorkerPlugin):
    """Gives each worker the source as the driver has opened it, and has it rehearse a region.

    What is opened says where things lie and holds no values. To find that out may take a look into
    thousands of files, which a thousand workers need not repeat. Rehearsed, the first region does
    not wait for a compiler.
    """

    name = "fdgrad-source"

    def __init__(self, work: Work, source: xr.Dataset, like: Span) -> None:
        self._work, self._source, self._like = work, pickle.dumps(source), like

    async def setup(self, worker: Worker) -> None:
        """In a thread, so that the worker answers meanwhile."""
        await asyncio.to_thread(self._rehearse)

    def _rehearse(self) -> None:
        # What goes wrong here goes wrong in a region too, which tells it.
        with suppress(Exception), np.errstate(all="ignore"):
            source = _opened(self._work, self._source).source
            Row(self._work, source, [self._like]).rehearsed(self._like)


def compute(work: Work, attempts: Sequence[Attempt]) -> list[Result]:
    """Computes and writes regions, one after another; fewer where one behind the first fails.

    That one is tried once more, as the first, and its error told then: what is finished is kept.
    """
    done: list[Result] = []
    with travelling():
        opened = _opened(work)
        try:
            for _, beside in groupby(attempts, partial(_shared, work)):
                together = list(beside)
                row = Row(work, opened.source, [each.span for each in together])
                for each in together:
                    done.append(row.computed(each, opened.store.writer()))
        except Exception:
            if not done:
                raise
    return done


def _shared(work: Work, attempt: Attempt) -> list[tuple[int, int]]:
    """What the spans of regions in a row have in common: where a region reads another."""
    return [ends for dim, ends in attempt.span.items() if not work.halos[dim].alone]


def _opened(work: Work, handed: bytes | None = None) -> _Open:
    """The source and the target, opened once in a process and run."""
    with _opening:
        if work.run not in _open:
            _open.clear()
            source = pickle.loads(handed) if handed else open_files(work.config.source)
            _open[work.run] = _Open(source, store_of(work.config.target))
        return _open[work.run]
