"""On a worker with a GPU: fields go up once for a region, steps run there, results come down."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.halo import transfer
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.execute import task as tasks
from fdgrad_dask.pipeline.execute.task import Attempt, Task
from fdgrad_dask.pipeline.planning.job import looked_at
from fdgrad_dask.pipeline.store.open import store_of

# Integers are computed block by block; one step takes what another one gives.
STEPS: list[dict[str, Any]] = [
    {"operator": "vorticity", "inputs": ["u", "v"], "output": "zeta"},
    {"operator": "gradient", "inputs": ["zeta"], "options": {"dim": "lat"}},
    {"operator": "gradient_magnitude", "inputs": ["u"]},
    {"operator": "gradient", "inputs": ["n"], "options": {"dim": "lon"}},
]
TARGET = {"chunks": {"time": 2, "lat": 4, "lon": 12}, "regions": {"time": 2, "lat": 8}}


def globe(folder: Path, dtype: str) -> None:
    """Wind and whole numbers, written as Zarr in chunks that fit no region."""
    coords = {
        "time": ("time", np.arange(2.0)),
        "lat": ("lat", np.linspace(-90, 90, 13), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(12) * 30.0, {"units": "degrees_east"}),
    }
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal((2, 13, 12)).astype(dtype) for name in "uv"}
    values["n"] = rng.integers(-9, 9, (2, 13, 12), "int32")
    units = {"u": "m s-1", "v": "km h-1", "n": "m"}  # v is converted between two kernels
    data = xr.Dataset(
        {name: (tuple(coords), f, {"units": units[name]}) for name, f in values.items()}, coords
    )
    data.chunk(time=2, lat=5).to_zarr(folder / "in.zarr", zarr_format=3, consolidated=False)


def regions(folder: Path, steps: list[dict[str, Any]], threads: int) -> tuple[Task, list[Attempt]]:
    """What a worker is handed for each region of a run from in.zarr to out.zarr."""
    config = Config.model_validate(
        {
            "source": {"path": str(folder / "in.zarr")},
            "steps": steps,
            "target": {"path": str(folder / "out.zarr"), **TARGET},
        }
    )
    job = looked_at(config)
    task = Task(config, job.source, job.workload.shards, job.halos, job.pieces, threads)
    store_of(config.target).lay_out(job.template)
    return task, [Attempt(i, job.plan.span(i)) for i in range(job.plan.count)]


def seen_kinds(dtype: str, monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, type]]:
    """Chunks of a dtype, by what made them, and the kind that they are of."""
    kinds = Counter[tuple[str, type]]()
    end = tasks._Meter.end

    def watched(meter: Any, key: Any, result: Any, *others: Any) -> None:
        for array in result if isinstance(result, list) else [result]:
            is_mean = getattr(array, "shape", ())[1:] == (1, 1)  # of a row beside a pole
            if getattr(array, "dtype", None) == dtype and not is_mean:
                kind = jax.Array if isinstance(array, jax.Array) else type(array)
                kinds[key[0].partition("-")[0], kind] += 1
        end(meter, key, result, *others)

    monkeypatch.setattr(tasks._Meter, "end", watched)
    return kinds


@pytest.mark.parametrize(("dtype", "threads"), [("f4", 1), ("f8", 2)])
def test_fields_go_up_once_and_results_come_down_once(
    dtype: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    globe(tmp_path, dtype)
    up: list[int] = []
    down: list[tuple[str, Any]] = []
    put, write = transfer._put, tasks._write

    def counted_put(array: Any, device: Any = None) -> jax.Array:
        up.append(array.size)
        return put(array, device)

    def counted_write(writer: Any, name: str, place: Any, values: Any) -> Any:
        if name != "dn_dlon":
            assert isinstance(values, jax.Array)
            assert values.dtype == dtype
            down.append((name, place))
        return write(writer, name, place, values)

    # The derivative of integers is of 64 bits, as what else is there in the other case.
    steps = STEPS if dtype == "f4" else STEPS[:-1]
    task, attempts = regions(tmp_path, steps, threads)
    on_host = [record.checksums for record, _ in task.compute(attempts)]
    monkeypatch.setattr(tasks, "is_accelerated", lambda: True)
    monkeypatch.setattr(transfer, "_put", counted_put)
    monkeypatch.setattr(tasks, "_write", counted_write)
    kinds = seen_kinds(dtype, monkeypatch)
    for attempt, checksums in zip(attempts, on_host, strict=True):
        up.clear()
        down.clear()
        kinds.clear()
        [(record, _)] = task.compute([attempt])
        assert record.checksums == checksums
        read = kinds.pop(("read", np.ndarray))
        assert len([size for size in up if size]) == read
        assert {kind for _, kind in kinds} == {jax.Array}
        assert len(set(down)) == len(down) > 0
        assert len(down) == len([key for key in record.checksums if "dn_dlon" not in key])


def test_what_has_no_room_there_goes_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    globe(tmp_path, "f4")
    asked: list[int] = []
    down: list[type] = []
    write = tasks._write

    def counted_write(writer: Any, name: str, place: Any, values: Any) -> Any:
        down.append(type(values))
        return write(writer, name, place, values)

    task, attempts = regions(tmp_path, STEPS[:1], 1)
    monkeypatch.setattr(tasks, "is_accelerated", lambda: True)
    monkeypatch.setattr(tasks, "has_room", lambda nbytes: asked.append(nbytes))
    monkeypatch.setattr(tasks, "_write", counted_write)
    task.compute(attempts[:1])
    assert asked == [3 * 2 * 8 * 12 * 4]  # u, v and ζ: times, latitudes, longitudes, bytes
    assert set(down) == {np.ndarray}
