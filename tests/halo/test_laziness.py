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
from counting import BLOCKS, CALLS, LATITUDES, Source, sources
from distributed.protocol import deserialize, serialize
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask import gradient
from fdgrad_dask import operators as op
from fdgrad_dask.halo import tasks as tasks_module

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


# --- the graph ------------------------------------------------------------------------------

TASKS = {  # dims, shape, chunks, options; tasks per chunk, that of the source included
    "axis in one chunk": (["lat"], (120, 20, 30), (10, 20, 30), {}, 1.1),
    "that is periodic": (["lon"], (120, 20, 30), (10, 20, 30), {"boundary": "periodic"}, 1.1),
    "one chunked axis": (["lat"], (12, 200, 30), (12, 10, 30), {}, 3),
    "edge order 2": (["lat"], (12, 200, 30), (12, 10, 30), {"edge_order": 2}, 3),
    "accuracy 8": (["lat"], (12, 200, 30), (12, 10, 30), {"accuracy": 8}, 3),
    "a periodic axis": (["lon"], (12, 20, 300), (12, 20, 30), {"boundary": "periodic"}, 3),
    "two chunked axes": (["lat", "lon"], (12, 100, 150), (12, 10, 15), {}, 5),
    "three chunked axes": (["time", "lat", "lon"], (60, 50, 75), (6, 5, 15), {}, 6),
}


@pytest.mark.parametrize(("dims", "shape", "chunks", "options", "most"), TASKS.values(), ids=TASKS)
def test_tasks_per_chunk(dims, shape, chunks, options, most):
    data = da.zeros(shape, chunks=chunks)
    field = xr.DataArray(data, dims=DIMS, name="t")
    field = field.assign_coords({d: np.arange(float(n)) for d, n in field.sizes.items()})
    (optimised,) = dask.optimize(field.fdgrad.gradient(dims, **options))
    tasks = len(dict(optimised.__dask_graph__())) / data.npartitions
    assert 1 <= tasks <= most


@pytest.mark.parametrize(("most", "kinds"), [(10399, 3), (10400, 1)])
def test_edge_rows_along_all_axes_travel_together_where_they_are_small(monkeypatch, most, kinds):
    monkeypatch.setattr("fdgrad_dask.halo.chunks.TOGETHER", most)
    field = labelled(da.from_array(VALUES, chunks=CHUNKS["all axes"]))
    result = WAYS["three together"](field)
    (optimised,) = dask.optimize(result)
    names = {key[0] for key in dict(optimised.__dask_graph__()) if key[0].startswith("edges-")}
    assert len(names) == kinds
    assert result.compute(scheduler="sync").identical(WAYS["three together"](labelled(VALUES)))


@pytest.mark.parametrize("dims", [["lat"], ["lat", "lon"]], ids=str)
def test_part_of_a_result_has_the_tasks_of_that_part_only(dims):
    """The chunk and what is taken of it; and of each neighbour its reading and its edge rows."""
    _, field = source_and_field((12, 10, 10))
    result = first_chunk(field.fdgrad.gradient(dims)).data
    (part,) = dask.optimize(result[:, 20:30, 40:50])
    assert len(dict(part.dask)) <= 2 * 2 * len(dims) + 6


def test_no_task_carries_the_table_of_an_axis():
    """A task of an uneven axis of 10,000 points is as small as one of 100 points."""
    sizes = []
    for n in (100, 10_000):
        x = np.cumsum(1.0 + np.random.default_rng(0).random(n))
        lazy = gradient(da.zeros((n, 4), chunks=(10, 4)), x, axis=0)
        sizes.append([len(pickle.dumps(task)) for task in lazy.dask.layers[lazy.name].values()])
    assert max(sizes[1]) < 1.1 * max(sizes[0])


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


# --- all operators --------------------------------------------------------------------------


def test_every_operator_is_called_here():
    assert {name.split()[0] for name in CALLS} | {"curl", "interpolate"} == set(op.__all__)


@pytest.mark.parametrize("lat", LATITUDES)
@pytest.mark.parametrize("name", CALLS)
def test_building_an_operator_reads_nothing_and_computes_nothing(name, lat, lazily):
    operator, names = CALLS[name]
    counted, fields = sources(*names, lat=lat)
    with lazily():
        result = operator(*fields)
        repr(result)
        assert all(output.chunks == fields[0].chunks for output in variables(result))
    assert not any(source.reads for source in counted)


@pytest.mark.parametrize("lat", LATITUDES)
@pytest.mark.parametrize(
    "name", ["vorticity", "kinematics", "laplacian", "potential_vorticity", "helmholtz"]
)
def test_every_chunk_of_every_field_is_read_once(name, lat):
    operator, names = CALLS[name]
    counted, fields = sources(*names, lat=lat)
    operator(*fields).compute(scheduler="synchronous")
    for source in counted:
        assert len(source.reads) == BLOCKS
        assert set(source.reads.values()) == {1}


def test_operators_asked_for_together_read_once():
    counted, (u, v, s) = sources("u", "v", "s", lat="poles")
    together = (op.vorticity(u, v), op.kinematics(u, v), op.advection(u, v, s), op.laplacian(s))
    dask.compute(*together, scheduler="synchronous")
    for source in counted:
        assert len(source.reads) == BLOCKS
        assert set(source.reads.values()) == {1}


def test_part_of_a_wind_operator_reads_that_part_and_its_halo():
    counted, (u, v) = sources("u", "v", lat="poles", chunks=(12, 15, 30))
    part = {"lat": slice(30, 45), "lon": slice(30, 60)}
    op.vorticity(u, v).isel(part).compute(scheduler="synchronous")
    u_reads, v_reads = (source.reads for source in counted)
    assert len(v_reads) == 3  # its chunk, and those beside it along the circle
    assert len(u_reads) == 3  # its chunk, and those beside it along the meridian


def tasks(result):
    """How many tasks of each kind the optimised graph of a result has."""
    (optimised,) = dask.optimize(result)
    kinds = Counter()
    for key in dict(optimised.__dask_graph__()):
        name = key[0] if isinstance(key, tuple) else key
        kinds["all"] += 1
        kinds["edges"] += "edges-fdgrad" in name
    return kinds


@pytest.fixture
def runs(monkeypatch):
    """How many blocks were computed since the test began: a list, one entry for each."""
    done = []
    compute_block = tasks_module.compute_block

    def counting(*args):
        done.append(1)
        return compute_block(*args)

    monkeypatch.setattr(tasks_module, "compute_block", counting)
    return done


# One of the kernel, one for each field that is read and one for its edge rows, and one for each of
# several outputs. Behind that, what a row of means around each pole costs, at most.
PER_CHUNK = {
    "vorticity": (1 + 2 * 2, 1.7),
    "divergence": (1 + 2 * 2, 1.7),
    "deformation": (1 + 2 * 2 + 3, 0),
    "horizontal_gradient": (1 + 1 * 2 + 2, 0),
    "kinematics": (1 + 2 * 2 + 5, 3.4),
    "laplacian": (1 + 1 * 2, 3.4),
}


@pytest.mark.parametrize(("name", "counts"), PER_CHUNK.items(), ids=PER_CHUNK)
def test_tasks_per_chunk_of_an_operator(name, counts):
    operator, names = CALLS[name]
    made = tasks(operator(*sources(*names)[1]))
    of_sources = len(names)  # each is a task of its own, for all chunks
    assert (made["all"] - of_sources) / BLOCKS == pytest.approx(counts[0])
    with_poles = tasks(operator(*sources(*names, lat="poles")[1]))
    assert (with_poles["all"] - made["all"]) / BLOCKS <= counts[1]


def test_lazy_latitude_and_longitude_cost_a_few_tasks_a_chunk(lazily):
    """Points of their own, masked with those beside them; then vectors, steps and their inverse."""
    lat = np.linspace(20, 30, 40)[:, None] + np.linspace(0, 2, 60)
    lon = np.linspace(0, 20, 60) + np.linspace(0, 3, 40)[:, None]
    values = np.random.default_rng(2).random((4, 40, 60))
    units = "degrees_north", "degrees_east"
    s = xr.DataArray(Source(values).chunked((1, 20, 20)), dims=("t", "y", "x"), name="s")
    known, lazy = (
        s.assign_coords(
            {
                name: (("y", "x"), cut(places), {"units": unit})
                for name, places, unit in zip(("lat", "lon"), (lat, lon), units, strict=True)
            }
        )
        for cut in (np.asarray, lambda places: Source(places).chunked((20, 20)))
    )
    with lazily():
        made = op.horizontal_gradient(lazy)
    expected = op.horizontal_gradient(known)
    more = len(dict(made.__dask_graph__())) - len(dict(expected.__dask_graph__()))
    assert more / 6 <= 41  # the graph that is built; optimised it is smaller
    xr.testing.assert_identical(made.compute(), expected.compute())


@pytest.mark.parametrize("name", ["vorticity", "kinematics", "gradient of two", "q_vector"])
def test_each_chunk_is_computed_in_one_go(runs, name):
    operator, names = CALLS[name]
    operator(*sources(*names)[1]).compute(scheduler="synchronous")
    assert len(runs) == BLOCKS


def test_five_outputs_cost_no_more_edge_tasks_than_one():
    _, (u, v) = sources("u", "v")
    one, five = (
        tasks(op.kinematics(u, v, **asked)) for asked in ({"which": ["total_deformation"]}, {})
    )
    assert one["edges"] == five["edges"]
    assert five["all"] - one["all"] == 5 * BLOCKS  # to take them apart


def test_operators_of_the_same_fields_share_edge_rows():
    _, (u, v) = sources("u", "v", chunks=(1, 20, 120))
    made = (op.divergence(u, v), op.vorticity(u, v), op.deformation(u, v), op.laplacian(u))
    keys = set().union(*(dict(each.__dask_graph__()) for each in dask.optimize(*made)))
    assert sum("edges-fdgrad" in key[0] for key in keys) == 2 * 12 * 3  # fields, their chunks
    alone = [each.compute(scheduler="synchronous") for each in made]
    for each, wanted in zip(dask.compute(*made, scheduler="synchronous"), alone, strict=True):
        xr.testing.assert_identical(each, wanted)


def test_each_chunk_is_computed_in_one_go_where_outputs_were_optimised_one_by_one(runs):
    """`dask.optimize` does so, and would fuse the pass into each of the outputs."""
    _, (s,) = sources("s")
    outputs = [output.data for output in op.gradient(s, ["lat", "lon"]).values()]
    optimised = dask.optimize(*outputs)
    dask.compute(*optimised, scheduler="synchronous")
    assert len(runs) == BLOCKS


def test_gradient_of_two_dims_is_one_pass():
    counted, (s,) = sources("s")
    found = op.gradient(s, ["lat", "lon"]).compute(scheduler="synchronous")
    assert set(counted[0].reads.values()) == {1}
    assert_allclose(found["ds_dlat"], s.compute().differentiate("lat"), rtol=1e-12, atol=1e-14)
    assert_allclose(found["ds_dlon"], s.compute().differentiate("lon"), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["vorticity", "laplacian", "horizontal_gradient"])
def test_chunks_that_hold_whole_planes_need_no_edge_rows(runs, name):
    operator, names = CALLS[name]
    result = operator(*sources(*names, chunks=(1, 60, 120))[1])
    made = tasks(result)
    assert made["edges"] == 0
    assert made["all"] <= 12 * 4 + 6
    result.compute(scheduler="synchronous")
    assert len(runs) == 12


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
