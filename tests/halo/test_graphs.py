"""Graphs of programs, by either mechanism: values, chunks, tasks and the kind of what comes out."""

from __future__ import annotations

import dask
import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dask.task_spec import Task
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks.program import Derivative, PoleRow, Program, single
from fdgrad_dask.errors import ChunkError, OptionError
from fdgrad_dask.halo import chunks as module
from fdgrad_dask.halo.chunks import MECHANISMS, Shared, list_places, make_meta, map_chunks
from fdgrad_dask.halo.compute import compute, expand
from fdgrad_dask.stencils.table import stencil

RNG = np.random.default_rng(1)
F, H = RNG.standard_normal((2, 12, 10))
CHUNKS = ((4, 5, 3), (4, 6))
LINE, ROW = RNG.standard_normal((12, 1)), RNG.standard_normal((1, 10))
ENDS = {"nothing": None, "periodic": "periodic", "reflect": "reflect"}


@pytest.fixture(autouse=True)
def sequential():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(params=MECHANISMS)
def mechanism(request):
    with dask.config.set({"fdgrad.halo": request.param}):
        yield request.param


def lazily(f, chunks=CHUNKS):
    return da.from_array(
        f, chunks=tuple(c if n > 1 else 1 for n, c in zip(f.shape, chunks, strict=True))
    )


def plan(end=None, outputs=2):
    """Derivatives of f · factor + h: four rows far along axis 0, and one along axis 1."""
    tables = (
        stencil(1.0, 12, accuracy=4, boundary=(end, end)),
        stencil(0.5, 10, boundary=(end, end)),
    )
    derivatives = Derivative(0, 0, tables[0]), Derivative(0, 1, tables[1])
    return Program((((0, 1), (2, None)),), derivatives[:outputs], None, outputs)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("factor", [LINE, ROW, F], ids=["column", "row", "field"])
def test_programs_have_the_bits_of_one_block(mechanism, end, factor):
    want = compute([F, factor, H], plan(end))
    for given in (factor, lazily(factor)):
        got = compute([lazily(F), given, lazily(H)], plan(end))
        for made, each in zip(got, want, strict=True):
            assert made.chunks == CHUNKS
            assert_array_equal(made, each)


def test_chunks_too_small_for_a_stencil_are_joined_and_split_again(mechanism):
    thin = ((1,) * 12, (3, 7))
    for outputs in (1, 2):
        want = compute([F, LINE, H], plan(outputs=outputs))
        got = compute([lazily(F, thin), LINE, lazily(H)], plan(outputs=outputs))
        for made, each in zip(got, want, strict=True):
            assert made.chunks == thin
            assert made.dtype == made._meta.dtype == "f8"
            assert_array_equal(made, each)


def test_fields_of_other_axes_are_expanded_by_the_tasks(mechanism):
    """A factor over (x, y) of a field over (y, time, x), lazy; and one in one chunk."""
    f = RNG.standard_normal((4, 3, 5))
    area = RNG.standard_normal((5, 4))
    program = Program((((0, 1),),), (Derivative(0, 0, stencil(1.0, 4)),))
    (want,) = compute([f, area.T[:, None]], program)
    for chunks in ((5, 4), (2, 2)):
        factor = expand(da.from_array(area, chunks=chunks), (2, 0), 3)
        (got,) = compute([da.from_array(f, chunks=(2, 1, 3)), factor], program)
        assert got.chunks == ((2, 2), (1, 1, 1), (3, 2))
        assert_array_equal(got, want)


def test_rows_of_poles_are_waited_for_only_there(mechanism):
    pole = lazily(np.full((1, 10), 7.0))
    table = stencil(1.0, 12)
    program = Program(
        (((0, None),),), (Derivative(0, 0, table),), pole_rows=(PoleRow(0, 0, -1, 1),)
    )
    (got,) = compute([lazily(F), pole], program)
    want = np.gradient(F, axis=0)
    want[-1] = 7
    assert_array_equal(got, want)
    if mechanism == "attach":
        never = pole.map_blocks(refuse, dtype="f8", meta=np.empty((0, 0)))
        (got,) = compute([lazily(F), never], program)
        assert_array_equal(got[:9], want[:9])
        with pytest.raises(AssertionError):
            got[9:].compute()


def refuse(chunk):
    raise AssertionError


def outer(values, slopes):
    return [slopes[0] * values[1]]


def test_where_no_field_has_all_axes_dask_chooses_the_chunks():
    program = Program((((0, None),),), (Derivative(0, 0, stencil(1.0, 12)),), outer)
    with dask.config.set({"array.chunk-size": "480B"}):
        (got,) = compute([lazily(LINE), lazily(ROW)], program)
        assert got.chunks == da.core.normalize_chunks("auto", (12, 10), dtype="f8")
    assert got.npartitions > 1
    assert_array_equal(got, np.gradient(LINE, axis=0) * ROW)


def edge_tasks(result):
    return {key[0] for key in result.__dask_graph__() if "edges-fdgrad" in str(key[0])}


def test_edge_rows_of_all_axes_travel_together_if_they_are_few(monkeypatch):
    """Of a chunk of at most (5, 6): 2·2·6 rows and 2·1·5 columns of 8 bytes."""
    size = (2 * 2 * 6 + 2 * 1 * 5) * 8
    for limit, kinds in ((size, 1), (size - 1, 2)):
        monkeypatch.setattr(module, "TOGETHER", limit)
        got = compute([lazily(F), LINE, H], plan())
        assert len(edge_tasks(got[0])) == 2 * kinds  # of both fields
        assert_array_equal(got[1], compute([F, LINE, H], plan())[1])
    lines = ((4, 5, 3), (10,))
    got = compute([lazily(F, lines), LINE, lazily(H, lines)], plan())
    assert len(edge_tasks(got[0])) == 2  # none along an axis in one chunk


def test_one_task_a_chunk_computes_all_outputs():
    got = compute([lazily(F), LINE, lazily(H)], plan())
    name = got[0].name.rpartition("-")[0]
    layer = got[0].dask.layers[name]
    computing = [layer[name, *place] for place in list_places(CHUNKS)]
    assert {type(task) for task in computing} == {Shared}
    assert all(task.block_fusion for task in computing)
    assert sum(isinstance(task, Shared) for task in layer.values()) == len(computing)
    assert [array.name for array in got] == [f"{name}-0", f"{name}-1"]
    one = compute([lazily(F), LINE, lazily(H)], plan(outputs=1))[0]
    assert not any(isinstance(task, Shared) for task in one.dask.layers[one.name].values())


def test_chunks_that_need_no_halo_are_one_blockwise_layer():
    whole = lazily(F, ((12,), (4, 6)))
    (got,) = compute([whole, LINE, lazily(H)], plan(outputs=1))
    assert not edge_tasks(got)
    assert isinstance(got.dask.layers[got.name], dask.blockwise.Blockwise)
    assert_array_equal(got, compute([F, LINE, H], plan(outputs=1))[0])


def twice(a, b):
    return [a + b, a - b]


def test_functions_of_chunks():
    f, h = lazily(F), lazily(H)
    total, difference = map_chunks(twice, [f, h], 2, np.empty((0, 0)))
    assert_array_equal(total, F + H)
    assert_array_equal(difference, F - H)
    assert total.chunks == CHUNKS
    (one,) = map_chunks(np.add, [f, h], 1, np.empty((0, 0)))
    assert_array_equal(one, F + H)
    both = total.dask.layers[total.name.rpartition("-")[0]]
    assert {type(task) for task in both.values()} == {Shared}
    assert {type(task) for task in one.dask.layers[one.name].values()} == {Task}
    assert one.name != map_chunks(np.add, [h, f], 1, np.empty((0, 0)))[0].name


def test_what_the_chunks_of_a_result_are(monkeypatch):
    told = []
    monkeypatch.setattr(module, "register_jax", told.append)
    for fields, kind in (
        ([lazily(F)], np.ndarray),
        ([F, lazily(H)], np.ndarray),
        ([da.ma.masked_less(lazily(F), 0)], np.ma.MaskedArray),
        ([lazily(F), jnp.asarray(F)], jax.Array),
    ):
        told.clear()
        meta = make_meta(fields, 3, np.dtype("f8"))
        assert told == ([type(meta)] if kind is jax.Array else [])
        assert isinstance(meta, kind)
        assert (meta.shape, meta.dtype) == ((0, 0, 0), "f8")


def test_mechanisms_and_unknown_sizes():
    with (
        dask.config.set({"fdgrad.halo": "other"}),
        pytest.raises(OptionError, match=r"'fdgrad\.halo' of dask's configuration is 'other'"),
    ):
        compute([lazily(F)], single(stencil(1.0, 12), 0))
    lazy = lazily(F)
    unknown = lazy[:, lazy[0] > -9]
    with pytest.raises(ChunkError, match="chunks of unknown sizes, between which"):
        compute([unknown], single(stencil(1.0, 12), 0))
    with pytest.raises(ChunkError, match="chunks of unknown sizes, between which"):
        compute([unknown.rechunk({0: -1}), F], single(stencil(1.0, 12), 0))
    (got,) = compute([lazily(F, ((12,), (4, 6)))[:, lazy[0] > -9]], single(stencil(1.0, 12), 0))
    assert_array_equal(got, np.gradient(F, axis=0))
