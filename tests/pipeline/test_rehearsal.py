"""A worker rehearses a region: its kernels are compiled, nothing is read, nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from counting import compilations

from fdgrad_dask.pipeline.config.schema import load
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.region import Opened, compute
from fdgrad_dask.pipeline.execute.row import Row
from fdgrad_dask.pipeline.execute.work import Attempt, Work
from fdgrad_dask.pipeline.plan.job import looked_at
from fdgrad_dask.pipeline.store.folder import Folder
from fdgrad_dask.pipeline.store.open import store_of

# Small blocks are computed in NumPy, and never compiled.
pytestmark = pytest.mark.usefixtures("kernels")

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

STEPS: list[list[dict[str, Any]]] = [
    [{"operator": "gradient", "inputs": ["a"], "options": {"dim": ["t", "y"]}}],
    [{"operator": "gradient", "inputs": ["a"], "options": {"dim": "y"}, "output": "slope"},
     {"operator": "gradient", "inputs": ["slope"], "options": {"dim": "x"}}],
    [{"operator": "gradient", "inputs": ["a"], "options": {"dim": "x", "coordinate": "z"}}],
]  # fmt: skip


@pytest.fixture
def fields() -> str:
    """The path of a field, and of one that may be its coordinate, in chunks of 2 × 6 × 5."""
    z = np.cumsum(1 + np.random.default_rng(2).random((4, 6, 10)), 2)
    both = {"a": (("t", "y", "x"), z**2), "z": (("t", "y", "x"), z)}
    coords = {"t": np.arange(4.0), "y": np.arange(6.0)}
    xr.Dataset(both, coords).chunk(t=2, x=5).to_zarr("in.zarr", zarr_format=3, consolidated=False)
    return "in.zarr"


@pytest.mark.parametrize("steps", STEPS, ids=["one", "two", "coordinate"])
def test_what_was_rehearsed_is_not_compiled_again(
    steps: list[dict[str, Any]], write: Write, fields: str
) -> None:
    target = {"path": "out.zarr", "regions": {"t": 2, "x": 10}}
    job = looked_at(load(write(source={"path": fields}, steps=steps, target=target)))
    work = Work("rehearsed", job.config, job.workload.shards, job.halos, job.pieces, threads=1)
    Opened(work, job.source, job.plan.middle).hand_over()
    store_of(job.config.target).lay_out(job.template)
    chunks, laid_out = Path(fields, "a", "c"), sorted(Path("out.zarr.partial").rglob("*"))
    with compilations() as compiled:
        chunks.rename("elsewhere")
        Row(work, job.source, [job.plan.middle]).rehearsed(job.plan.middle)
        count = len(compiled)
        assert count
        assert sorted(Path("out.zarr.partial").rglob("*")) == laid_out
        Path("elsewhere").rename(chunks)
        compute(work.run, [Attempt(1, job.plan.middle)])
        assert len(compiled) == count


@pytest.mark.usefixtures("threads_only")
def test_a_worker_rehearses_once_and_one_that_cannot_works_all_the_same(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []

    def fails(row: Row, span: Any) -> None:
        tried.append(span)
        raise ValueError("these values are made up")

    monkeypatch.setattr(Row, "rehearsed", fails)
    code, _, err = fdgrad("run", write(target={"path": "out.zarr", "regions": {"time": 2}}))
    assert code == 0, err
    assert "made up" not in err
    assert tried == [{"time": (2, 4), "latitude": (0, 5), "longitude": (4, 8)}]
    assert len(Journal(Folder("out.zarr.journal")).regions()) == 4
