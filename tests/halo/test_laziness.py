"""Building computes nothing and reads nothing; computing reads every chunk of the source once."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import ClassVar

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from counting import Source
from distributed.protocol import deserialize, serialize
from numpy.testing import assert_array_equal

import fdgrad_dask  # noqa: F401  (registers .fdgrad)

DIMS = ("time", "lat", "lon")
SHAPE = (12, 60, 120)
VALUES = np.random.default_rng(0).normal(size=SHAPE)
VALUES[3, 10:20, 30:40] = np.nan
COORDS = {
    "time": np.arange("2000-01", "2001-01", dtype="M8[M]").astype("M8[ns]"),
    "lat": ("lat", np.linspace(-88.5, 88.5, 60), {"units": "degrees_north"}),
    "lon": ("lon", np.arange(0.0, 360, 3), {"units": "degrees_east"}),
}
CHUNKS = {
    "all axes": (1, 20, 30),
    "ragged": (4, (17, 42, 1), 70),
    "one axis": (12, 60, 30),
    "time steps": (1, 60, 120),
    "one": (12, 60, 120),
}
WAYS = {
    "three together": lambda f: f.fdgrad.gradient(list(DIMS)),
    "as a dataset": lambda f: f.to_dataset().fdgrad.gradient(),
    "along time": lambda f: f.fdgrad.gradient("time"),
    "along lon": lambda f: f.fdgrad.gradient("lon", boundary="periodic"),
    "accuracy 8": lambda f: f.fdgrad.gradient(["time", "lat"], accuracy=8),
    "second derivative": lambda f: f.fdgrad.gradient(["lat", "lon"], order=2),
    "coasts": lambda f: f.fdgrad.gradient(["lat", "lon"], skipna="one-sided"),
    "magnitude": lambda f: f.fdgrad.gradient_magnitude(),
    "levels": lambda f: f.fdgrad.gradient("time", coordinate=HEIGHTS),
}
HEIGHTS = xr.DataArray(
    np.arange(12.0)[:, None] + np.arange(60) / 100, dims=("time", "lat"), name="z"
).assign_coords({k: COORDS[k] for k in ("time", "lat")})


def labelled(data):
    return xr.DataArray(data, dims=DIMS, coords=COORDS, name="t", attrs={"units": "K"})


def source_and_field(chunks):
    source = Source(VALUES)
    return source, labelled(source.chunked(chunks))


def first_chunk(result):
    return result if isinstance(result, xr.DataArray) else next(iter(result.values()))


# --- reads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_building_reads_nothing_and_computes_nothing(chunks, way, lazily):
    source, field = source_and_field(chunks)
    with lazily():
        result = way(field)
        repr(result)
        assert first_chunk(result).chunks == field.chunks
    assert not source.reads


@pytest.mark.parametrize(
    ("chunks", "ways"),
    [
        ("all axes", ["three together", "magnitude"]),
        ("ragged", ["as a dataset"]),
        ("one axis", ["three together", "along lon", "levels", "coasts", "second derivative"]),
        ("time steps", ["along time", "accuracy 8"]),
        ("one", ["three together"]),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_every_chunk_is_read_once(chunks, ways):
    for way in ways:
        source, field = source_and_field(CHUNKS[chunks])
        result = WAYS[way](field).compute(scheduler="synchronous")
        assert len(source.reads) == field.data.npartitions, way
        assert set(source.reads.values()) == {1}, way
        assert np.isfinite(first_chunk(result).values).any()


def test_two_results_computed_together_read_once_too():
    source, field = source_and_field(CHUNKS["all axes"])
    results = [field.fdgrad.gradient(dim) for dim in DIMS]
    computed = dask.compute(*results, scheduler="synchronous")
    assert set(source.reads.values()) == {1}
    for dim, result in zip(DIMS, computed, strict=True):
        assert_array_equal(result.values, labelled(VALUES).fdgrad.gradient(dim).values)


class Store(zarr.storage.MemoryStore):
    """A Zarr store in memory that counts how often each key is read."""

    reads: ClassVar[Counter[str]] = Counter()

    async def get(self, key, prototype=None, byte_range=None):
        Store.reads[key] += 1
        return await super().get(key, prototype, byte_range)

    @classmethod
    def chunks_read(cls, name):
        return {key: n for key, n in cls.reads.items() if key.startswith(f"{name}/c")}


@pytest.fixture(params=["all axes", "one axis"])
def store(request):
    store = Store()
    chunks = CHUNKS[request.param]
    dataset = labelled(VALUES).to_dataset()
    dataset.to_zarr(store, encoding={"t": {"chunks": chunks}}, consolidated=False)
    Store.reads.clear()
    yield store, int(np.prod([n // c for n, c in zip(SHAPE, chunks, strict=True)]))
    Store.reads.clear()


def test_a_zarr_store_is_read_once(store, lazily):
    store, chunks = store
    dataset = xr.open_zarr(store, consolidated=False)
    with lazily():
        result = dataset.fdgrad.gradient(list(DIMS))
        magnitude = dataset["t"].fdgrad.gradient_magnitude()
    assert not Store.chunks_read("t")
    result, magnitude = dask.compute(result, magnitude, scheduler="synchronous")
    assert len(Store.chunks_read("t")) == chunks
    assert set(Store.chunks_read("t").values()) == {1}
    for dim in DIMS:
        expected = labelled(VALUES).fdgrad.gradient(dim)
        assert_array_equal(result[f"dt_d{dim}"].values, expected.values)
    assert_array_equal(magnitude.values, labelled(VALUES).fdgrad.gradient_magnitude().values)


def test_part_of_a_result_reads_that_part_and_its_halo():
    source, field = source_and_field((12, 10, 120))
    field.fdgrad.gradient("lat").isel(lat=slice(20, 30)).compute(scheduler="synchronous")
    assert len(source.reads) == 3  # its chunk and the two beside it


# --- the graph ------------------------------------------------------------------------------

TASKS = {  # way, shape, chunks, tasks per chunk with the source after optimisation, at most
    "axis in one chunk": (["lat"], (120, 20, 30), (10, 20, 30), 1.1),
    "one chunked axis": (["lat"], (12, 200, 30), (12, 10, 30), 3),
    "two chunked axes": (["lat", "lon"], (12, 100, 150), (12, 10, 15), 5),
    "three chunked axes": (["time", "lat", "lon"], (60, 50, 75), (6, 5, 15), 6),
}


@pytest.mark.parametrize(("dims", "shape", "chunks", "most"), TASKS.values(), ids=TASKS)
def test_tasks_per_chunk(dims, shape, chunks, most):
    data = da.zeros(shape, chunks=chunks)
    field = xr.DataArray(data, dims=DIMS, name="t")
    field = field.assign_coords({d: np.arange(float(n)) for d, n in field.sizes.items()})
    (optimised,) = dask.optimize(field.fdgrad.gradient(dims))
    tasks = len(dict(optimised.__dask_graph__())) / data.npartitions
    assert 1 <= tasks <= most


@pytest.mark.parametrize(("most", "rims"), [(10399, 3), (10400, 1)])
def test_rims_along_all_axes_travel_together_where_they_are_small(monkeypatch, most, rims):
    monkeypatch.setattr("fdgrad_dask.halo.chunks.TOGETHER", most)
    field = labelled(da.from_array(VALUES, chunks=CHUNKS["all axes"]))
    result = WAYS["three together"](field)
    (optimised,) = dask.optimize(result)
    names = {key[0] for key in dict(optimised.__dask_graph__()) if key[0].startswith("rim-")}
    assert len(names) == rims
    assert result.compute(scheduler="sync").identical(WAYS["three together"](labelled(VALUES)))


@pytest.mark.parametrize("dims", [["lat"], ["lat", "lon"]], ids=str)
def test_part_of_a_result_makes_the_tasks_of_that_part_only(dims):
    """The chunk and what is taken of it; and of each neighbour its reading and its rim."""
    _, field = source_and_field((12, 10, 10))
    result = first_chunk(field.fdgrad.gradient(dims)).data
    (part,) = dask.optimize(result[:, 20:30, 40:50])
    assert len(dict(part.dask)) <= 2 * 2 * len(dims) + 6
    layers = [layer for name, layer in result.dask.layers.items() if name.startswith("fdgrad")]
    assert len(layers) == len(dims)  # one output, or two and what both are taken of
    assert not any(layer.is_materialized() for layer in layers)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_same_call_has_the_same_keys(way):
    """So that dask knows a result which it has, and a cluster one which it holds."""
    field = labelled(da.from_array(VALUES, chunks=CHUNKS["all axes"], name="t-0"))
    names = [[v.data.name for v in variables(way(field))] for _ in range(2)]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


def variables(result):
    return [result] if isinstance(result, xr.DataArray) else list(result.values())


def test_other_options_have_other_keys():
    field = labelled(da.from_array(VALUES, chunks=CHUNKS["all axes"], name="t-0"))
    doubled = field.assign_coords(lat=field.lat * 0.5)
    results = [
        field.fdgrad.gradient("lat"),
        field.fdgrad.gradient("lon"),
        field.fdgrad.gradient("lat", edge_order=2),
        field.fdgrad.gradient("lat", accuracy=4),
        field.fdgrad.gradient("lat", order=2),
        field.fdgrad.gradient("lat", boundary="extend"),
        field.fdgrad.gradient("lat", boundary=0.0),
        field.fdgrad.gradient("lat", boundary=1.0),
        field.fdgrad.gradient("lat", skipna="one-sided"),
        doubled.fdgrad.gradient("lat"),
        (field + 1).fdgrad.gradient("lat"),
    ]
    assert len({result.data.name for result in results}) == len(results)


# --- elsewhere ------------------------------------------------------------------------------

SMALL = labelled(VALUES).isel(lat=slice(20), lon=slice(16))


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("protocol", ["cloudpickle", "distributed"])
def test_a_lazy_result_survives_the_journey_to_a_worker(protocol, dim):
    result = SMALL.chunk(time=4, lat=7, lon=16).fdgrad.gradient(dim, accuracy=4)
    if protocol == "cloudpickle":
        arrived = pickle.loads(cloudpickle.dumps(result))
    else:
        arrived = deserialize(*serialize(result))
    expected = SMALL.fdgrad.gradient(dim, accuracy=4)
    assert arrived.compute(scheduler="synchronous").identical(expected)


@pytest.mark.parametrize("way", ["three together", "coasts", "magnitude"])
def test_threads_give_the_bits_of_one_thread(way):
    """What one thread lends to XLA, or gets from it, is no concern of another."""
    way = WAYS[way]
    field = labelled(da.from_array(VALUES, chunks=CHUNKS["all axes"]))
    one = way(field).compute(scheduler="synchronous")
    assert way(field).compute(scheduler="threads", num_workers=8).identical(one)


def test_persisted_fields_are_taken_as_they_are():
    field = SMALL.chunk(lat=7).persist(scheduler="synchronous")
    result = field.fdgrad.gradient("lat").compute(scheduler="synchronous")
    assert result.identical(SMALL.fdgrad.gradient("lat"))
