"""Chunks never change the answer; and what they cost: nothing computed early, few tasks."""

from __future__ import annotations

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from counting import Source
from hypothesis import given, settings
from hypothesis import strategies as st

from fdgrad_dask import gradient
from fdgrad_dask.blocks import compute as blocks
from fdgrad_dask.errors import ChunkError
from fdgrad_dask.halo import tasks
from fdgrad_dask.halo.chunks import merge
from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.table import stencil

pytestmark = pytest.mark.usefixtures("kernels")

RNG = np.random.default_rng(20)


def assert_same_bits(got, want):
    """Equal values, NaN in the same places, and the sign of every nought."""
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    for part, other in ((got.real, want.real), (got.imag, want.imag)):
        sure = ~np.isnan(part)
        assert (np.signbit(part) == np.signbit(other))[sure].all()


# -- the property ----------------------------------------------------------------------------


@st.composite
def chunkings(draw, n):
    """Chunks of 1, one chunk, a last chunk of 1, or ragged ones, some of them empty."""
    kind = draw(st.sampled_from(["ones", "whole", "last of 1", "ragged"]))
    if kind == "ones":
        return (1,) * n
    if kind == "whole":
        return (n,)
    if kind == "last of 1":
        return (n - 1, 1)
    cuts = sorted(draw(st.lists(st.integers(0, n), min_size=1, max_size=3)))
    return tuple(np.diff([0, *cuts, n]).tolist())


def field(shape, dtype, seed=0):
    """Numbers of both signs; NaN here and there where the dtype has it."""
    rng = np.random.default_rng(seed)
    f = 100 * rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        f = f + 100j * rng.standard_normal(shape)
    f = f.astype(dtype)
    if f.dtype.kind != "i":
        f[rng.random(shape) < 0.1] = np.nan
    return f


def coordinate(kind, n):
    x = np.cumsum(0.5 + np.random.default_rng(n).random(n))
    return {"scalar": 2.5, "even": 0.3 * np.arange(n), "uneven": x, "descending": -x}[kind]


DTYPES = ["float16", "float32", "float64", "int32", "complex64", "complex128"]
PERIODIC = ("periodic", "periodic")
BOUNDARIES = [
    (None, None),
    PERIODIC,
    ("reflect", "reflect"),
    ("extend", 3.0),
    (None, "reflect"),
    (-1, None),
]


@st.composite
def situations(draw):
    """(f, chunks, axis, the stencil): small, since every shape of a block is compiled."""
    shape = draw(st.sampled_from([(11,), (3, 9), (9, 2), (2, 9, 3)]))
    axis = int(np.argmax(shape))
    n = shape[axis]
    chunks = [(size,) for size in shape]
    chunks[axis] = draw(chunkings(n))
    if len(shape) > 1:
        other = draw(st.sampled_from([i for i in range(len(shape)) if i != axis]))
        chunks[other] = draw(st.sampled_from([(shape[other],), (1, shape[other] - 1)]))
    boundary = draw(st.sampled_from(BOUNDARIES))
    accuracy, order, skipna = draw(
        st.sampled_from(
            [(2, 1, False), (2, 1, True), (2, 2, False), (4, 1, False), (4, 2, True), (8, 1, False)]
        )
    )
    table = stencil(
        coordinate(draw(st.sampled_from(["scalar", "even", "uneven", "descending"])), n),
        n,
        order=order,
        accuracy=accuracy,
        edge_order=draw(st.sampled_from([1, 2])),
        boundary=boundary,
        period=30.0 if boundary == PERIODIC else None,
        skipna=skipna,
    )
    return field(shape, draw(st.sampled_from(DTYPES))), tuple(chunks), axis, table


@settings(max_examples=20)  # each shape is a compilation
@given(situations())
def test_chunks_never_change_the_answer(situation):
    never_changed(*situation)


@given(situations())
def test_chunks_never_change_the_answer_of_small_blocks(situation):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SMALL", 1 << 16)
        never_changed(*situation)


def never_changed(f, chunks, axis, table):
    chunked = differentiate(da.from_array(f, chunks=chunks), axis, table)
    assert chunked.chunks == chunks
    assert_same_bits(chunked.compute(scheduler="sync"), differentiate(f, axis, table))


ONE_BY_ONE = [
    (accuracy, order, edge_order, boundary)
    for accuracy in (2, 4, 6, 8)
    for order, edge_order in ((1, 1), (2, 2))
    for boundary in ((None, None), PERIODIC)
]


@pytest.mark.parametrize(("accuracy", "order", "edge_order", "boundary"), ONE_BY_ONE)
def test_chunks_of_one_point_are_served_by_every_stencil(accuracy, order, edge_order, boundary):
    """`da.gradient` and xarray refuse them; here they get halos of several chunks."""
    n = 12
    f = field((n,), "float64")
    table = stencil(
        coordinate("uneven", n),
        n,
        order=order,
        accuracy=accuracy,
        edge_order=edge_order,
        boundary=boundary,
        period=20.0 if boundary == PERIODIC else None,
    )
    chunked = differentiate(da.from_array(f, chunks=1), 0, table)
    assert chunked.chunks == ((1,) * n,)
    assert_same_bits(chunked.compute(), differentiate(f, 0, table))


@pytest.mark.parametrize("chunks", [(3, 4), (1, 1), (6, 8), ((1, 5), (7, 1)), ((2, 0, 4), (8,))])
def test_gradient_along_all_axes_keeps_all_chunks(chunks):
    f = field((6, 8), "float64")
    d = da.from_array(f, chunks=chunks)
    args = (0.5, np.arange(8) ** 2)
    for got, want in zip(gradient(d, *args), gradient(f, *args), strict=True):
        assert got.chunks == d.chunks
        assert_same_bits(got.compute(), want)


def test_threads_and_a_journey_to_a_worker_change_no_bits():
    d = da.from_array(field((24, 10), "float64"), chunks=(3, 5))
    lazy = gradient(d, np.cumsum(RNG.random(24)), axis=0)
    want = lazy.compute(scheduler="sync")
    assert_same_bits(lazy.compute(scheduler="threads", num_workers=8), want)
    travelled = pickle.loads(pickle.dumps(lazy))  # as to a worker
    assert_same_bits(travelled.compute(scheduler="sync"), want)


# -- laziness, and what the graph costs ------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"edge_order": 2}, {"accuracy": 8}, {"boundary": "periodic"}, {"boundary": 1.0}],
    ids=str,
)
@pytest.mark.parametrize("chunks", [1, 4, 12, ((11, 1), (5, 7))])
def test_building_computes_nothing_and_reads_nothing(lazily, options, chunks):
    source = Source(field((12, 12), "float64"))
    with lazily():
        d = source.chunked(chunks)
        lazy = gradient(d, 0.5, **options)
        assert [part.chunks for part in lazy] == [d.chunks] * 2
    assert not source.reads


def test_every_source_chunk_is_read_once_for_three_gradients_asked_together():
    f = field((8, 6, 4), "float64")
    source = Source(f)
    d = source.chunked((2, 3, 4))
    results = dask.compute(*gradient(d), scheduler="sync")
    assert source.reads.total() == d.npartitions
    for got, want in zip(results, gradient(f), strict=True):
        assert_same_bits(got, want)


def tasks_per_chunk(*lazy):
    optimised = dask.optimize(*lazy)
    keys = set().union(*(part.__dask_graph__() for part in optimised))
    return len(keys) / optimised[0].npartitions


COSTS = [  # shape, chunks, axis, options; tasks per chunk, those of the source included
    ((12, 40), (12, 4), 0, {}, 2),  # one chunk along the axis: the source, and one task
    ((12, 40), (12, 4), 0, {"boundary": "periodic"}, 2),
    ((12, 40), (12, 4), 0, {"accuracy": 8}, 2),
    ((80,), (8,), 0, {}, 3),
    ((80, 8), (8, 4), 0, {"edge_order": 2}, 3),
    ((80, 8), (8, 4), 0, {"accuracy": 8}, 3),
    ((80, 8), (8, 4), 0, {"boundary": "reflect"}, 3),
    ((80, 8), (8, 4), 0, {"boundary": "periodic"}, 3),
]


@pytest.mark.parametrize(("shape", "chunks", "axis", "options", "most"), COSTS)
def test_a_chunk_costs_few_tasks(shape, chunks, axis, options, most):
    d = da.from_array(np.zeros(shape), chunks=chunks)
    assert 1 < tasks_per_chunk(gradient(d, axis=axis, **options)) <= most


def test_a_source_that_fuses_costs_no_task_of_its_own():
    d = da.ones((12, 40), chunks=(12, 4))
    assert tasks_per_chunk(gradient(d, axis=0)) == 1


def blocks_seen(monkeypatch, lazy):
    shapes, inner = [], tasks.compute_block

    def record(blocks, *args):
        (block,) = blocks
        slabs = [*block.low.values(), *block.high.values()]
        shapes.append((block.core.shape, max([slab.shape for slab in slabs], default=None)))
        return inner(blocks, *args)

    monkeypatch.setattr(tasks, "compute_block", record)
    lazy.compute(scheduler="sync")
    return shapes


@pytest.mark.parametrize(
    ("options", "reach"), [({}, 1), ({"boundary": "periodic"}, 1), ({"accuracy": 6}, 3)]
)
def test_no_block_is_larger_than_a_chunk_with_its_halo(monkeypatch, options, reach):
    d = da.from_array(field((48, 6), "float64"), chunks=(6, 2))
    shapes = blocks_seen(monkeypatch, gradient(d, axis=0, **options))
    assert len(shapes) == d.npartitions
    assert max(shapes) == ((6, 2), (reach, 2))


@pytest.mark.parametrize("kind", [np.asarray, np.ma.masked_invalid])
def test_edge_rows_are_those_of_both_ends(kind):
    f = kind(field((5, 3), "float64"))
    rows = tasks.take_edge_rows(f, {0: 2, 1: 1})
    assert list(rows) == [0, 1]
    for got, want in ((rows[0], f[[0, 1, 3, 4]]), (rows[1], f[:, [0, 2]])):
        assert type(got) is type(f)
        np.testing.assert_array_equal(got, want)
    assert tasks.take_edge_rows(f, {1: 2})[1] is f  # a chunk that has no more than that


def test_chunks_too_small_are_joined_only_as_far_as_needed(monkeypatch):
    d = da.from_array(field((48,), "float64"), chunks=1)
    shapes = blocks_seen(monkeypatch, gradient(d, accuracy=6))
    assert max(shapes) == ((5,), (3,))  # the last, which has 7 points to read


def test_the_same_call_has_the_same_name_and_another_call_another():
    f = da.from_array(np.arange(12.0), chunks=4)
    x = np.arange(12.0) ** 2
    calls = [
        lambda: gradient(f),
        lambda: gradient(f, 2.0),
        lambda: gradient(f, x),
        lambda: gradient(f, x + 1e-9 * x**2),
        lambda: gradient(f, edge_order=2),
        lambda: gradient(f, accuracy=4),
        lambda: gradient(f, boundary="periodic"),
        lambda: gradient(f, boundary="extend"),
        lambda: gradient(f, boundary=0.0),
        lambda: gradient(f, boundary=1.0),
        lambda: gradient(f + 1),
    ]
    names = [call().name for call in calls]
    assert names == [call().name for call in calls]
    assert len(set(names)) == len(calls)


def test_axes_of_one_array_have_names_of_their_own():
    f = da.from_array(np.arange(16.0).reshape(4, 4), chunks=4)
    first, second = gradient(f)
    assert first.name != second.name


# -- what comes out --------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [2, 6])
@pytest.mark.parametrize("dtype", [*DTYPES, "int8", "uint64", "longdouble", "m8[s]", "M8[s]"])
def test_dtype_and_meta_are_known_before_anything_is_computed(dtype, chunks):
    f = np.arange(6).astype("i8").astype(dtype)
    lazy = gradient(da.from_array(f, chunks=chunks))
    want = np.gradient(f)
    assert lazy.dtype == lazy._meta.dtype == want.dtype
    assert type(lazy._meta) is np.ndarray
    assert lazy._meta.ndim == 1
    assert lazy.compute(scheduler="sync").dtype == want.dtype


@pytest.mark.parametrize("chunks", [1, 4, 12])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_chunk_of_the_result_may_be_written_to(dtype, chunks):
    f = field((12,), dtype)
    blocks = dask.compute(*gradient(da.from_array(f, chunks=chunks)).to_delayed().ravel())
    for block in blocks:
        block += 1
    assert_same_bits(np.concatenate(blocks) - 1, gradient(f) + 1 - 1)


# -- chunks of unknown size ------------------------------------------------------------------


@pytest.fixture
def unknown():
    """(?, 4), of which 5 rows are left; the second axis is in one chunk."""
    d = da.from_array(np.arange(24.0).reshape(6, 4) ** 2, chunks=(2, 4))
    return d[d[:, 0] > 0]


def test_unknown_chunks_along_the_axis_are_refused_with_the_way_out(unknown):
    text = (
        "the chunks of axis 0 have unknown sizes, but a halo needs to know where they end; "
        "call compute_chunk_sizes() on the array first"
    )
    for call in (lambda: gradient(unknown), lambda: gradient(unknown, axis=0)):
        with pytest.raises(ChunkError) as error:
            call()
        assert str(error.value) == text
        assert isinstance(error.value, ValueError)


def test_the_way_out_of_unknown_chunks_works(unknown):
    known = unknown.compute_chunk_sizes()
    want = np.gradient(np.arange(24.0).reshape(6, 4)[1:] ** 2, axis=0)
    assert_same_bits(gradient(known, axis=0).compute(), want)


def test_unknown_chunks_along_another_axis_do_no_harm(unknown):
    want = np.gradient(np.arange(24.0).reshape(6, 4)[1:] ** 2, axis=1)
    assert_same_bits(gradient(unknown, axis=1).compute(), want)


def test_unknown_chunks_along_another_axis_are_named_where_a_halo_has_to_be_cut(lazily):
    d = da.from_array(np.arange(24.0).reshape(6, 4), chunks=(2, 2))
    d = d[d[:, 0] > 0]
    with lazily(), pytest.raises(ChunkError, match=r"compute_chunk_sizes\(\)"):
        gradient(d, axis=1)


# -- merge -----------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=9),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_merge_joins_what_is_too_small_and_leaves_the_rest(sizes, first, inner, last):
    merged = merge(sizes, first, inner, last)
    cuts, old = np.cumsum(merged), np.cumsum(sizes)
    assert set(cuts) <= set(old)
    assert cuts[-1] == old[-1]
    if len(merged) > 1:
        assert merged[0] >= first
        assert merged[-1] >= last
        assert min(merged[1:]) >= inner
    for i, (size, end) in enumerate(zip(merged[:-1], cuts, strict=False)):
        joined = [s for s, cut in zip(sizes, old, strict=True) if end - size < cut <= end]
        assert len(joined) == 1 or sum(joined[:-1]) < (inner if i else first)
    if sizes[0] >= first and sizes[-1] >= max(last, inner) and min(sizes) >= inner:
        assert merged == tuple(sizes)


@pytest.mark.parametrize(
    ("sizes", "least", "want"),
    [
        ((5, 5, 5), (2, 1, 2), (5, 5, 5)),
        ((1, 1, 1, 1), (2, 1, 2), (2, 2)),
        ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
        ((1, 1, 1), (2, 1, 2), (3,)),
        ((2, 1, 2), (2, 2, 2), (2, 3)),
        ((0, 2, 0, 2), (1, 1, 1), (2, 2)),
        ((7,), (9, 9, 9), (7,)),
    ],
)
def test_merge_by_hand(sizes, least, want):
    assert merge(sizes, *least) == want


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("x", [0.25, np.cumsum(1.0 + RNG.random(12))], ids=["even", "uneven"])
def test_slabs_give_what_map_overlap_gives(axis, x):
    """dask's own halos, with NumPy on each block, are the oracle of ours: to the bit."""
    f = da.from_array(RNG.standard_normal((12, 12)), chunks=(4, 3))
    oracle = da.gradient(f, x, axis=axis)  # map_overlap of numpy.gradient
    np.testing.assert_array_equal(gradient(f, x, axis=axis).compute(), oracle.compute())
