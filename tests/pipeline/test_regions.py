"""T22: what is computed region by region has the bits of the accessor, and those of NumPy."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from counting import compilations
from hypothesis import given, settings
from hypothesis import strategies as st

from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.execute.task import Attempt, Task
from fdgrad_dask.pipeline.planning.cutting import Halo
from fdgrad_dask.pipeline.planning.job import looked_at
from fdgrad_dask.pipeline.planning.steps import build
from fdgrad_dask.pipeline.store.open import store_of

DIMS = ("time", "lat", "lon")


def by_regions(folder: Path, data: xr.Dataset, **sections: Any) -> tuple[xr.Dataset, int]:
    """What a run writes, some regions by each call in this process, and how many there were."""
    chunks, halos = sections.pop("stored"), sections.pop("halos", None)
    together = sections.pop("together")
    encoding = {
        name: {"chunks": tuple(chunks[dim] for dim in each.dims)}
        for name, each in data.data_vars.items()
    }
    data.to_zarr(folder / "in.zarr", encoding=encoding, zarr_format=3, consolidated=False)
    target = {"path": str(folder / "out.zarr"), **sections.pop("target", {})}
    config = Config.model_validate(
        {"source": {"path": str(folder / "in.zarr")}, "target": target, **sections}
    )
    job, store = looked_at(config), store_of(config.target)
    if halos:  # any halo is right, so that these need not be looked for
        read = {name for step in config.steps for name in step.inputs} & set(data.data_vars)
        job = replace(job, halos=halos, read=read)
    task = Task(config, job.source, job.workload.shards, job.halos, job.pieces, threads=2)
    store.lay_out(job.template)
    attempts = [Attempt(number, job.plan.span(number)) for number in range(job.plan.count)]
    for first in range(0, job.plan.count, together):
        given = attempts[first : first + together]
        results = task.compute(given)
        assert [record.number for record, _ in results] == [each.region for each in given]
        for record, parcel in results:
            store.accept(parcel)
            assert record.checksums == {key: store.checksum(key) for key in record.checksums}
    store.publish([], {})
    return xr.open_zarr(folder / "out.zarr", decode_timedelta=False), job.plan.count


def field(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape)


def globe(times: int, lats: int, lons: int, *, poles: bool, seed: int = 0) -> xr.Dataset:
    edge = 90.0 if poles else 90.0 - 90.0 / lats
    units = {"lat": "degrees_north", "lon": "degrees_east", "time": "1"}
    labels = {
        "time": np.cumsum(1 + np.arange(times) % 3).astype(float),
        "lat": np.linspace(-edge, edge, lats),
        "lon": np.arange(lons) * 360.0 / lons,
    }
    winds = {
        name: (DIMS, field(times, lats, lons, seed=seed + n), {"units": "m s-1"})
        for n, name in enumerate("uv")
    }
    coords = {dim: (dim, labels[dim], {"units": units[dim]}) for dim in DIMS}
    flat = {"w": (("lat", "lon"), field(lats, lons, seed=seed + 2))}
    return xr.Dataset({**winds, **flat}, coords=coords)


@st.composite
def cuttings(draw: st.DrawFn) -> dict[str, Any]:
    """Sizes, chunks of the source, and chunks, shards and regions of the target."""
    sizes = {"time": draw(st.integers(3, 7)), "lat": draw(st.integers(5, 14)), "lon": 4}
    sizes["lon"] = 2 * draw(st.integers(4, 8))  # a circle must have points across the pole
    stored, chunks, shards, regions, halos = {}, {}, {}, {}, {}
    for dim, size in sizes.items():
        stored[dim] = draw(st.integers(size // 5 or 1, size))
        chunks[dim] = draw(st.integers(size // 5 or 1, size))
        shards[dim] = chunks[dim] * draw(st.integers(1, 3))
        regions[dim] = max(shards[dim], -(-size // draw(st.integers(1, 2))))
        halos[dim] = draw(st.builds(Halo, st.integers(1, 3), st.integers(0, 2), st.booleans()))
    sharded = draw(st.booleans())
    target = {"chunks": chunks, "regions": regions, **({"shards": shards} if sharded else {})}
    together = draw(st.integers(1, 4))
    return {
        "sizes": sizes, "stored": stored, "target": target, "halos": halos, "together": together
    }  # fmt: skip


OPERATORS: list[list[dict[str, Any]]] = [
    [{"operator": "gradient", "inputs": ["u"], "options": {"dim": ["time", "lat", "lon"]}}],
    [{"operator": "gradient", "inputs": ["u"], "options": {"dim": "lat", "edge_order": 2}}],
    [{"operator": "gradient", "inputs": ["u"], "options": {"dim": "lat", "accuracy": 4}}],
    [{"operator": "gradient", "inputs": ["u"], "options": {"dim": "lon", "boundary": "periodic"}}],
    [{"operator": "gradient", "inputs": ["w"], "options": {"dim": "lon", "order": 2}},
     {"operator": "gradient", "inputs": ["v"], "options": {"dim": "time"}}],
    [{"operator": "vorticity", "inputs": ["u", "v"], "output": "z"},
     {"operator": "gradient", "inputs": ["z"], "options": {"dim": "lat"}}],
    [{"operator": "kinematics", "inputs": ["u", "v"]},
     {"operator": "laplacian", "inputs": ["u"]}],
]  # fmt: skip


@settings(max_examples=2)
@pytest.mark.parametrize("steps", OPERATORS, ids=lambda s: f"{s[0]['operator']}-{len(s)}")
@given(cut=cuttings(), poles=st.booleans(), seed=st.integers(0, 9))
def test_the_bits_of_the_accessor(
    steps: list[dict[str, Any]], cut: dict[str, Any], poles: bool, seed: int
) -> None:
    data = globe(*cut.pop("sizes").values(), poles=poles, seed=seed)
    folder = Path(tempfile.mkdtemp())
    try:
        found, _ = by_regions(folder, data, steps=steps, **cut)
        config = Config.model_validate(
            {"source": {"path": "in"}, "steps": steps, "target": {"path": "out.zarr"}}
        )
        wanted = build(config, data)
        assert set(found.data_vars) == set(wanted.data_vars)
        for name in wanted.data_vars:
            np.testing.assert_array_equal(found[name].values, wanted[name].values, strict=True)
            assert found[name].attrs == wanted[name].attrs
    finally:
        shutil.rmtree(folder)


@settings(max_examples=3)
@given(cut=cuttings(), edge_order=st.sampled_from([1, 2]))
def test_the_bits_of_numpy(cut: dict[str, Any], edge_order: int) -> None:
    data = globe(*cut.pop("sizes").values(), poles=False)
    options = {"dim": list(DIMS), "edge_order": edge_order}
    steps = [{"operator": "gradient", "inputs": ["u"], "options": options}]
    folder = Path(tempfile.mkdtemp())
    try:
        found, _ = by_regions(folder, data, steps=steps, **cut)
        points = [data[dim].values for dim in DIMS]
        wanted = np.gradient(data.u.values, *points, edge_order=edge_order)
        for dim, values in zip(DIMS, wanted, strict=True):
            np.testing.assert_array_equal(found[f"du_d{dim}"].values, values, strict=True)
    finally:
        shutil.rmtree(folder)


def test_all_regions_of_one_shape_run_one_kernel(tmp_path: Path, kernels: None) -> None:
    """Those at the edges of the domain too: a worker compiles once."""
    data = globe(2, 24, 300, poles=False)
    cut = {
        "stored": {"time": 2, "lat": 8, "lon": 300},
        "target": {"chunks": {"lat": 8}, "regions": {"lat": 8}},
    }
    steps = [{"operator": "gradient", "inputs": ["u"], "options": {"dim": "lat"}}]
    with compilations() as seen:
        _, count = by_regions(tmp_path, data, steps=steps, together=1, **cut)
    assert (count, len(seen)) == (3, 1)
