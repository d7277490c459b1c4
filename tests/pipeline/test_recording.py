"""Whoever records what is read has all that it read itself, and nothing of another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.execute.task import _execute
from fdgrad_dask.pipeline.planning.job import Layout, template
from fdgrad_dask.pipeline.source import open as sources
from fdgrad_dask.pipeline.source.open import chunked, open_files
from fdgrad_dask.pipeline.source.versions import recording

CHUNKS = {"time": 1, "latitude": 5, "longitude": 8}


@pytest.fixture
def store(sst: xr.Dataset) -> xr.Dataset:
    """Four chunks, one for each time."""
    chunks = tuple(CHUNKS[str(dim)] for dim in sst.sst.dims)
    sst.to_zarr("in.zarr", encoding={"sst": {"chunks": chunks}}, consolidated=False)
    return open_files(Source(path=("in.zarr",)))


def in_two_threads(does: Callable[[int], dict[str, str]]) -> list[set[str]]:
    with ThreadPoolExecutor(2) as pool:
        return [set(seen) for seen in pool.map(does, range(2))]


def keys(*times: int) -> set[str]:
    return {f"0/sst/c/{time}/0/0" for time in times}


def test_two_threads_that_read_at_once_through_the_loop_of_zarr(store: xr.Dataset) -> None:
    both = threading.Barrier(2, timeout=30)

    def record(number: int) -> dict[str, str]:
        with recording() as seen:
            both.wait()
            store.sst[number].load()
            both.wait()
            store.sst[number + 2].load()
        return seen

    assert in_two_threads(record) == [keys(0, 2), keys(1, 3)]


@pytest.mark.parametrize(("threads", "on_device"), [(1, False), (2, False), (1, True), (2, True)])
def test_two_regions_that_are_computed_at_once(
    threads: int, on_device: bool, store: xr.Dataset
) -> None:
    field = chunked(store, {}).sst.data
    both = threading.Barrier(2, timeout=30)

    def record(number: int) -> dict[str, str]:
        mine = field[number::2]
        tasks = dict(mine.__dask_graph__())

        def wait(*read: np.ndarray[Any, Any]) -> float:
            both.wait()  # until the other region has read too
            return float(sum(part.sum() for part in read))

        unmetered: Any = SimpleNamespace(begin=lambda *_: None, end=lambda *_: None)
        tasks["all"] = (wait, *((mine.name, place, 0, 0) for place in range(2)))
        with recording() as outer, recording() as seen:
            [total] = _execute(tasks, ["all"], threads, on_device, unmetered)
        assert outer == seen
        np.testing.assert_allclose(total, store.sst[number::2].sum())
        return seen

    assert in_two_threads(record) == [keys(0, 2), keys(1, 3)]


def test_what_nobody_records_is_read_all_the_same(store: xr.Dataset, sst: xr.Dataset) -> None:
    with recording() as seen:
        pass
    np.testing.assert_array_equal(store.sst, sst.sst)
    assert not seen


def test_large_labels_of_a_result_are_inputs(
    sst: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are dask arrays, and read when the target is laid out."""
    monkeypatch.setattr(sources, "IN_MEMORY", 0)
    depth = sst.assign_coords(depth=(("latitude", "longitude"), np.ones((5, 8))))
    depth.to_zarr("in.zarr", consolidated=False)
    result = chunked(open_files(Source(path=("in.zarr",))), {})
    sizes = {str(dim): size for dim, size in result.sizes.items()}
    assert result.depth.chunks
    with recording() as seen, dask.config.set(scheduler="threads"):
        template(result[["sst"]], Layout(sizes, sizes), Target(path="out.zarr"))
    assert "0/depth/c/0/0" in seen
