"""One pass: no read while building, one per chunk and field, few tasks, few compilations."""

from __future__ import annotations

from collections import Counter

import dask
import pytest
import xarray as xr
from counting import BLOCKS, CALLS, LATITUDES, sources
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op
from fdgrad_dask.blocks.kernel import compute_window
from fdgrad_dask.grids.geometry import Sphere
from fdgrad_dask.halo import tasks as tasks_module

pytestmark = pytest.mark.usefixtures("kernels")


def test_every_operator_is_called_here():
    assert {name.split()[0] for name in CALLS} | {"curl"} == set(op.__all__)


@pytest.mark.parametrize("lat", LATITUDES)
@pytest.mark.parametrize("name", CALLS)
def test_building_reads_nothing_and_computes_nothing(name, lat, lazily):
    operator, names = CALLS[name]
    counted, fields = sources(*names, lat=lat)
    with lazily():
        result = operator(*fields)
        repr(result)
        outputs = result.values() if isinstance(result, xr.Dataset) else [result]
        assert all(output.chunks == fields[0].chunks for output in outputs)
    assert not any(source.reads for source in counted)


@pytest.mark.parametrize("lat", LATITUDES)
@pytest.mark.parametrize("name", ["vorticity", "kinematics", "laplacian", "potential_vorticity"])
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


# --- tasks ------------------------------------------------------------------------------------


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
def test_tasks_per_chunk(name, counts):
    operator, names = CALLS[name]
    made = tasks(operator(*sources(*names)[1]))
    of_sources = len(names)  # each is a task of its own, for all chunks
    assert (made["all"] - of_sources) / BLOCKS == pytest.approx(counts[0])
    with_poles = tasks(operator(*sources(*names, lat="poles")[1]))
    assert (with_poles["all"] - made["all"]) / BLOCKS <= counts[1]


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


def test_part_of_a_result_reads_that_part_and_its_halo():
    counted, (u, v) = sources("u", "v", lat="poles", chunks=(12, 15, 30))
    part = {"lat": slice(30, 45), "lon": slice(30, 60)}
    op.vorticity(u, v).isel(part).compute(scheduler="synchronous")
    u_reads, v_reads = (source.reads for source in counted)
    assert len(v_reads) == 3  # its chunk, and those beside it along the circle
    assert len(u_reads) == 3  # its chunk, and those beside it along the meridian


# --- compilations -----------------------------------------------------------------------------


@pytest.fixture
def compiled():
    """How many kernels were compiled since the test began."""
    compute_window.clear_cache()
    return compute_window._cache_size


@pytest.mark.parametrize(
    ("name", "chunks", "kernels"),
    [
        ("vorticity", (1, 20, 30), 3),  # first, inner and last rows: walls of three kinds
        ("kinematics", (1, 20, 30), 3),
        ("vorticity", (1, 60, 30), 1),
        ("vorticity", (1, 60, 120), 1),
        ("vorticity", (2, 20, 30), 3),
        ("vorticity", (1, 20, (40, 50, 30)), 9),  # three widths, walls of three kinds
        ("gradient of two", (1, 20, 30), 9),  # no circle: nine places of a chunk in a plane
        ("laplacian", (1, 20, 30), 3),
    ],
    ids=str,
)
def test_one_compilation_for_each_shape_and_kind_of_wall(compiled, name, chunks, kernels):
    operator, names = CALLS[name]
    operator(*sources(*names, chunks=chunks)[1]).compute(scheduler="synchronous")
    assert compiled() == kernels


def test_what_was_compiled_serves_again(compiled):
    """Other values, times and radii need no compilation of their own."""
    _, (u, v) = sources("u", "v")
    op.vorticity(u, v).compute(scheduler="synchronous")
    before = compiled()
    moved = [2 * f for f in (v, u)]
    result = op.vorticity(*moved, geometry=Sphere(1e6)).isel(time=slice(3))
    result.compute(scheduler="synchronous")
    assert compiled() == before > 0
