"""Chunks never change the answer; and what they cost: nothing computed early, few tasks."""

from __future__ import annotations

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from counting import CALLS, sources
from hypothesis import given, settings
from hypothesis import strategies as st

from fdgrad_dask import gradient
from fdgrad_dask.blocks import compute as blocks
from fdgrad_dask.errors import ChunkError
from fdgrad_dask.halo import tasks
from fdgrad_dask.halo.chunks import MECHANISMS
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


LAYOUTS = [  # axis, and the chunks along all axes: a dozen, as every shape of a block is compiled
    (0, ((11,),)),
    (0, ((1,) * 11,)),
    (0, ((10, 1),)),
    (0, ((4, 0, 3, 4),)),
    (0, ((5, 4, 2), (1, 2))),
    (0, ((1, 9, 1), (3,))),
    (0, ((0, 11, 0), (3,))),
    (1, ((3,), (11,))),
    (1, ((1, 2), (1,) * 11)),
    (1, ((1, 2), (10, 1), (2,))),
    (1, ((3,), (4, 4, 3), (1, 1))),
    (1, ((3,), (2, 9), (2,))),
]


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
    """(f, chunks, axis, the stencil)."""
    axis, chunks = draw(st.sampled_from(LAYOUTS))
    shape = tuple(map(sum, chunks))
    n = shape[axis]
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
    return field(shape, draw(st.sampled_from(DTYPES))), chunks, axis, table


@settings(max_examples=8)  # each shape is a compilation
@given(situations())
def test_chunks_never_change_the_answer(situation):
    never_changed(*situation)


@given(situations())
def test_chunks_never_change_the_answer_of_small_blocks(situation):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SMALL", 1 << 16)
        never_changed(*situation)


def never_changed(f, chunks, axis, table):
    """By either halo mechanism: that of dask itself is the oracle of ours."""
    want = differentiate(f, axis, table)
    for mechanism in MECHANISMS:
        with dask.config.set({"fdgrad.halo": mechanism}):
            chunked = differentiate(da.from_array(f, chunks=chunks), axis, table)
        assert chunked.chunks == chunks
        assert_same_bits(chunked.compute(scheduler="sync"), want)


ONE_BY_ONE = [  # all accuracies meet both orders and both boundaries, if not together
    (2, 1, 1, (None, None)),
    (2, 2, 2, PERIODIC),
    (4, 1, 1, PERIODIC),
    (4, 2, 2, (None, None)),
    (6, 1, 1, (None, None)),
    (6, 2, 2, PERIODIC),
    (8, 1, 1, PERIODIC),
    (8, 2, 2, (None, None)),
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
    never_changed(f, ((1,) * n,), 0, table)


@pytest.mark.parametrize("chunks", [(3, 4), (1, 1), (6, 8), ((1, 5), (7, 1)), ((2, 0, 4), (8,))])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_gradient_along_all_axes_keeps_all_chunks(mechanism, chunks):
    f = field((6, 8), "float64")
    d = da.from_array(f, chunks=chunks)
    args = (0.5, np.arange(8) ** 2)
    with dask.config.set({"fdgrad.halo": mechanism}):
        lazy = gradient(d, *args)
    for got, want in zip(lazy, gradient(f, *args), strict=True):
        assert got.chunks == d.chunks
        assert_same_bits(got.compute(), want)


def test_threads_and_a_journey_to_a_worker_change_no_bits():
    d = da.from_array(field((24, 10), "float64"), chunks=(3, 5))
    lazy = gradient(d, np.cumsum(RNG.random(24)), axis=0)
    want = lazy.compute(scheduler="sync")
    assert_same_bits(lazy.compute(scheduler="threads", num_workers=8), want)
    travelled = pickle.loads(pickle.dumps(lazy))  # as to a worker
    assert_same_bits(travelled.compute(scheduler="sync"), want)


# -- what a chunk is handed ------------------------------------------------------


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


@pytest.mark.parametrize(
    ("dtype", "chunks"), [*((dtype, 4) for dtype in DTYPES), ("float32", 1), ("complex64", 12)]
)
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


# -- beside dask, and on a globe ---------------------------------------------------------------


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("x", [0.25, np.cumsum(1.0 + RNG.random(12))], ids=["even", "uneven"])
def test_halos_give_what_dask_gives(mechanism, axis, x):
    """`da.gradient` is `map_overlap` of `numpy.gradient`: the same, to the bit."""
    f = da.from_array(RNG.standard_normal((12, 12)), chunks=(4, 3))
    oracle = da.gradient(f, x, axis=axis)
    with dask.config.set({"fdgrad.halo": mechanism}):
        lazy = gradient(f, x, axis=axis)
    np.testing.assert_array_equal(lazy.compute(), oracle.compute())


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("name", ["kinematics", "laplacian", "potential_vorticity"])
def test_operators_on_a_globe_have_the_bits_of_one_chunk(mechanism, name):
    operator, names = CALLS[name]
    _, fields = sources(*names, lat="poles", chunks=(12, 30, 60))
    want = operator(*[field.compute() for field in fields])
    with dask.config.set({"fdgrad.halo": mechanism}):
        got = operator(*fields)
    assert got.compute(scheduler="sync").identical(want)
