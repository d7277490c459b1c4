"""What a worker does with regions: it opens source and target once, and computes them in rows.

One opaque task for the cluster, of one region or of some small ones.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from itertools import groupby
from typing import ClassVar

import numpy as np
import xarray as xr
from distributed import Worker, WorkerPlugin

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.execute.picklable_errors import travelling
from fdgrad_dask.pipeline.execute.row import Row
from fdgrad_dask.pipeline.execute.work import Attempt, Result, Work
from fdgrad_dask.pipeline.plan.cutting import Span
from fdgrad_dask.pipeline.source.open import fingerprint
from fdgrad_dask.pipeline.source.versions import recording
from fdgrad_dask.pipeline.store.base import Store
from fdgrad_dask.pipeline.store.open import store_of


class Opened(WorkerPlugin):
    """Gives each worker the source as the driver has opened it, and has it rehearse a region.

    What is opened says where things lie and holds no values. To find that out may take a look into
    thousands of files, which a thousand workers need not repeat, and no task carries. Rehearsed,
    the first region does not wait for a compiler.
    """

    def __init__(self, work: Work, source: xr.Dataset, like: Span) -> None:
        self.name = f"fdgrad-source-{work.run}"
        self.work, self._source, self._like = work, pickle.dumps(source), like

    async def setup(self, worker: Worker) -> None:
        """In a thread, so that the worker answers meanwhile."""
        await asyncio.to_thread(self._rehearse)

    def teardown(self, worker: Worker) -> None:
        """The run is over."""
        _Open.runs.pop(self.work.run, None)

    def hand_over(self) -> _Open:
        """What regions of the run find in this process from now on."""
        opened = _Open.runs[self.work.run] = _Open(self.work, self._source)
        return opened

    def _rehearse(self) -> None:
        opened = self.hand_over()
        # What goes wrong here goes wrong in a region too, which tells it.
        with suppress(Exception), np.errstate(all="ignore"):
            Row(self.work, opened.source, [self._like]).rehearsed(self._like)


class _Open:
    """The source and the target of a run, opened when they are used first."""

    runs: ClassVar[dict[str, _Open]] = {}
    """By what names a run: several may share the workers of one scheduler."""

    def __init__(self, work: Work, handed: bytes) -> None:
        self.work, self._handed = work, handed

    @cached_property
    def source(self) -> xr.Dataset:
        opened: xr.Dataset = pickle.loads(self._handed)
        return opened

    @cached_property
    def store(self) -> Store:
        return store_of(self.work.config.target)


def compute(run: str, attempts: Sequence[Attempt]) -> list[Result]:
    """Computes and writes regions, one after another; fewer where one behind the first fails.

    That one is tried once more, as the first, and its error told then: what is finished is kept.
    """
    done: list[Result] = []
    with travelling():
        opened = _Open.runs[run]
        work = opened.work
        try:
            if any(each.region == work.first for each in attempts):
                _require_same_source(work)
            for _, beside in groupby(attempts, partial(_shared, work)):
                together = list(beside)
                with recording() as shared:  # labels are read once for them all
                    row = Row(work, opened.source, [each.span for each in together])
                for each in together:
                    with recording() as own:
                        record, parcel = row.computed(each, opened.store.writer())
                    done.append((replace(record, inputs={**own, **shared}), parcel))
        except Exception:
            if not done:
                raise
    return done


def _shared(work: Work, attempt: Attempt) -> list[tuple[int, int]]:
    """What the spans of regions in a row have in common: where a region reads another."""
    return [ends for dim, ends in attempt.span.items() if not work.halos[dim].alone]


def _require_same_source(work: Work) -> None:
    """Refuses a source that is another one here than where the driver is."""
    here = fingerprint(work.config.source)
    for file, seen in work.inputs.items():
        if here.get(file) != seen:
            raise InputError(
                f"{socket.gethostname()} sees another {file} than the driver ({here.get(file)}, "
                f"there {seen}); all machines must see one and the same, and nothing may write it "
                "while a run reads it"
            )
