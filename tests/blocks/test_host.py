"""A block that is computed in place has the bits of NumPy, wherever its memory begins."""

from __future__ import annotations

from inspect import signature

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from counting import CALLS, compilations, sources
from numpy.testing import assert_array_equal

from fdgrad_dask import gradient, operators
from fdgrad_dask.blocks import compute as blocks
from fdgrad_dask.blocks import host, interior, zero_copy
from fdgrad_dask.blocks.host import cut_block
from fdgrad_dask.blocks.interior import compute_interior
from fdgrad_dask.blocks.kernel import run_kernel
from fdgrad_dask.blocks.program import Block, Derivative, Program, single
from fdgrad_dask.stencils.table import stencil

pytestmark = pytest.mark.usefixtures("kernels")

F = np.random.default_rng(1).standard_normal((12, 13, 14))
DIMS = ("time", "y", "x")
UNEVEN = np.cumsum(0.2 + np.random.default_rng(2).random(14))
OPTIONS = {
    "": {},
    "edges of second order": {"edge_order": 2},
    "second derivative": {"order": 2},
    "accuracy 4": {"accuracy": 4},
    "periodic": {"boundary": "periodic"},
    "mirrored, extended": {"boundary": ("reflect", "extend")},
    "numbers outside": {"boundary": (2.0, -1.0)},
    "one-sided beside gaps": {"skipna": "one-sided"},
}


@pytest.fixture(params=["by rows and columns", "by runs of memory", "by rows, edges in strips"])
def in_place(monkeypatch, request):
    """Blocks of any size are computed in place; how many kernels of either kind were compiled."""
    monkeypatch.setattr(interior, "COLUMNS", 8)
    monkeypatch.setattr(host, "STRIP", 40 if "strips" in request.param else host.STRIP)
    monkeypatch.setattr(host, "MIN_COLUMNS", 1 if "rows" in request.param else 1 << 60)
    compute_interior.clear_cache()
    run_kernel.clear_cache()
    return lambda: (compute_interior._cache_size(), run_kernel._cache_size())


def in_numpy(call, *args, **options):
    """The truth, which compiles nothing; `test_plain` shows that one window has these bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SMALL", 1 << 40)
        return call(*args, **options)


def as_window(call, *args, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "_find_frame", lambda *args: None)
        return call(*args, **options)


def differentiate(data, axis, points=None, **options):
    """By the accessor, which has all options."""
    points = np.arange(data.shape[axis]) if points is None else points
    field = xr.DataArray(data, dims=DIMS, coords={DIMS[axis]: points})
    return field.fdgrad.gradient(DIMS[axis], **options).compute(scheduler="synchronous").values


def same(got, want):
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("axis", "dtype"), [(0, "f8"), (1, "c8"), (2, "f4")])
def test_every_stencil_on_every_axis(in_place, options, axis, dtype):
    f = F.astype(dtype)
    f[3, 4, 5] = np.nan
    for points in (None, UNEVEN[: f.shape[axis]]):
        if points is None or options.get("boundary") != "periodic":
            got = differentiate(f, axis, points, **options)
            same(got, in_numpy(differentiate, f, axis, points, **options))
    assert in_place()[0] > 0


CUTS = [(12, 13, 7), (6, (7, 6), 7)]


@pytest.mark.parametrize("name", OPTIONS)
def test_chunks_with_rows_of_their_neighbours(in_place, name):
    """Of the two cuts every other one: all axes and all options meet both."""
    options, first = OPTIONS[name], list(OPTIONS).index(name)
    for axis in range(3):
        lazy = da.from_array(F, chunks=CUTS[(first + axis) % 2])
        got = differentiate(lazy, axis, **options)
        same(got, in_numpy(differentiate, F, axis, **options))
    assert in_place()[0] > 0 or "accuracy" in options  # a chunk may be too thin


@pytest.mark.parametrize("name", CALLS)
def test_every_operator(in_place, name):
    """In chunks along time and longitude, as those of a climate model."""
    operator, names = CALLS[name]

    def run():
        result = operator(*sources(*names, chunks=(6, 60, 60))[1])
        result = result if isinstance(result, xr.Dataset) else result.to_dataset(name="f")
        return result.compute(scheduler="synchronous")

    xr.testing.assert_identical(run(), in_numpy(run))
    # Rotations differentiate nothing, and spherical harmonics are not of these kernels.
    is_spectral = "truncation" in signature(operator).parameters
    assert (in_place()[0] > 0) == (not name.startswith("rotate") and not is_spectral)


def test_factors_that_vary_along_rows_and_columns(in_place):
    """Scale factors of a curvilinear grid, of (y, time, x): no cut into rows and columns fits."""
    lat, lon = np.meshgrid(np.linspace(40, 60, 13), np.linspace(0, 30, 14), indexing="ij")
    f = xr.DataArray(F, dims=("time", "y", "x"), attrs={"units": "K"}).assign_coords(
        lat=(("y", "x"), lat, {"units": "degrees_north"}),
        lon=(("y", "x"), lon + lat / 9, {"units": "degrees_east"}),
    )
    for dims in (("time", "y", "x"), ("y", "time", "x")):
        turned = f.transpose(*dims).copy()
        got = operators.gradient_magnitude(turned)
        same(got.values, in_numpy(operators.gradient_magnitude, turned).values)
    assert in_place()[0] > 0


def test_complex_operators_have_the_bits_of_chunks(in_place):
    """Products of complex numbers: NumPy has other last bits, so it must not compute the edges."""
    _counted, (u, v) = sources("u", "v")
    u, v = (f.load() * (1 + 2j) for f in (u, v))
    got = operators.kinematics(u, v, which=["divergence", "vorticity"])
    want = as_window(operators.kinematics, u, v, which=["divergence", "vorticity"])
    xr.testing.assert_identical(got, want)


def at_every_offset(f):
    """The same numbers, beginning everywhere between two multiples of 64 bytes, and otherwise."""
    raw = np.empty(f.nbytes + 128, np.uint8)
    for start in range(0, 64, f.itemsize):
        begin = -raw.ctypes.data % 64 + start
        array = raw[begin : begin + f.nbytes].view(f.dtype).reshape(f.shape)
        array[...] = f
        yield array
    between = raw[1 : f.nbytes + 1].view(f.dtype).reshape(f.shape)
    between[...] = f
    yield between
    yield np.repeat(f, 2, axis=1)[:, ::2]
    yield f.astype(f.dtype.newbyteorder())
    locked = f.copy()
    locked.flags.writeable = False
    yield locked


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_memory_may_begin_anywhere(in_place, dtype):
    f = F.astype(dtype)
    want = in_numpy(gradient, f, axis=1)
    for array in at_every_offset(f):
        before = array.tobytes()
        got = gradient(array, axis=1)
        same(got, want)
        assert got.flags.writeable
        got[...] = 0
        assert array.tobytes() == before
    assert in_place() == (1, 0)


def test_one_compilation_serves_chunks_everywhere_on_an_axis(in_place):
    for _ in range(2):
        lazy = da.from_array(np.random.default_rng().standard_normal((40, 6, 8)), chunks=(8, 6, 8))
        gradient(lazy, axis=0).compute(scheduler="synchronous")
        assert in_place() == (1, 0)


def test_nothing_else_is_compiled(in_place):
    with compilations() as seen:
        gradient(F, axis=1)
    assert len(seen) == 1


def test_integers_and_half_precision(in_place):
    integers = (F * 100).astype("i2")
    same(gradient(integers, axis=2), np.gradient(integers, axis=2))
    half = F.astype("f2")
    same(gradient(half, axis=0), np.gradient(half, axis=0))


def test_results_outlive_what_they_were_made_of(in_place):
    got = gradient(F.copy(), axis=0)
    for _ in range(8):
        gradient(np.zeros_like(F), axis=0)
    same(got, np.gradient(F, axis=0))


ENDS = {"nothing": None, "periodic": "periodic"}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("beside", [False, True])
def test_part_of_a_block_has_the_rows_beside_it_as_halos(end, beside):
    f = np.arange(42.0).reshape(7, 6)
    tables = [stencil(1.0, n, accuracy=4, boundary=(end, end)) for n in f.shape]
    program = Program(
        (((0, None),),), (Derivative(0, 0, tables[0]), Derivative(0, 1, tables[1])), None, 2
    )
    given = (-f[:2], -f[2:4]) if beside else (None, None)
    block = Block(f, *({0: rows} if beside else {} for rows in given))
    for start, stop in ((0, 2), (2, 5), (5, 7), (0, 7)):
        part = cut_block(block, ((start, stop), (2, 4)), program, 0)
        assert_array_equal(part.core, f[start:stop, 2:4])
        wrapped = end is not None and stop - start < 7
        low = f[start - 2 : start] if start else given[0] if beside else f[5:] if wrapped else None
        high = f[stop : stop + 2] if stop < 7 else given[1]
        high = f[:2] if high is None and wrapped else high
        for got, want in ((part.low, low), (part.high, high)):
            assert (0 in got) == (want is not None)
            if want is not None:
                assert_array_equal(got[0], want[:, 2:4])
        assert_array_equal(part.low[1], f[start:stop, :2])
        assert_array_equal(part.high[1], f[start:stop, 4:])
    thin = cut_block(Block(f), ((1, 7), (0, 6)), single(stencil(1.0, 7), 0), 0)
    assert_array_equal(thin.low[0], f[:1])
    line = f[:1]
    part = cut_block(Block(line), ((5, 7), (2, 6)), program, 0)
    assert_array_equal(part.core, line[:, 2:])
    assert (list(part.low), list(part.high)) == ([1], [1] if end else [])


def test_results_lie_in_memory_as_the_fields_do(in_place):
    for axes in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        f = np.ascontiguousarray(F).transpose(axes)
        got = gradient(f, axis=axes.index(1))
        assert got.strides == f.strides
        same(got, np.gradient(f, axis=axes.index(1)))


SHORT = [(2, 60), (3, 60), (60, 2), (4, 3, 5), (30,), (1, 60), (2, 5, 30)]


@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_short_axes(in_place, shape):
    f = np.random.default_rng(3).standard_normal(shape)
    for axis in range(f.ndim):
        if shape[axis] > 1:
            same(gradient(f, axis=axis), np.gradient(f, axis=axis))
            same(gradient(f.T, axis=-1 - axis), np.gradient(f.T, axis=-1 - axis))


def times_factor(values, slopes):
    return [slopes[0] * values[1]]


def test_edges_are_as_wide_as_rows_of_memory_and_as_stencils(in_place):
    """Along an axis whose rows fill rows of the memory; with a factor, and in a formula."""
    f, factor = F[:, :4, :8], F[:, :1, :1]
    table = stencil(1.0, 12, accuracy=4)
    program = Program((((0, None),),), (Derivative(0, 0, table),), times_factor)
    given = [Block(f.copy()), Block(factor)], program, f.dtype
    (got,), (want,) = blocks.compute_block(*given), in_numpy(blocks.compute_block, *given)
    same(got, want)
    np.testing.assert_allclose(got, gradient(f, axis=0, accuracy=4) * factor, rtol=1e-13)
    assert in_place() == (2, 0)


# -- what XLA reads --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "accuracy", "points", "parts"),
    [
        ((2, 12, 14), 2, 2 * 2 * 14, 6),
        ((24, 12, 1), 2, 4 * 12, 6),
        ((1, 1, 14), 2, 14, 1),
        ((2, 12, 14), 8, 2 * 7 * 14, 2),  # of five rows at least, and the last one of the rest
        ((2, 19, 14), 8, 2 * 9 * 14, 3),
    ],
)
def test_an_edge_in_strips(monkeypatch, sizes, accuracy, points, parts):
    """No larger than a cache, but for what stencils need; together they are the edge."""
    monkeypatch.setattr(host, "STRIP", 60)
    program = single(stencil(1.0, 40, accuracy=accuracy), 1)
    seen = np.zeros((25, 23, 17), int)
    strips = list(host._strips(tuple((1, 1 + size) for size in sizes), program))
    for strip in strips:
        seen[tuple(slice(*rows) for rows in strip)] += 1
    counts = [np.prod([stop - start for start, stop in strip]) for strip in strips]
    assert (max(counts), len(strips)) == (points, parts)
    assert seen.max() == 1
    assert seen[tuple(slice(1, 1 + size) for size in sizes)].sum() == seen.sum() == np.prod(sizes)


@pytest.mark.parametrize(
    ("whole", "rows", "accuracy", "parts"),
    [
        ((0, 12), 5, 2, [(0, 5), (5, 10), (10, 12)]),
        ((0, 12), 1, 4, [(0, 3), (3, 6), (6, 9), (9, 12)]),
        ((2, 12), 4, 4, [(2, 6), (6, 12)]),
        ((4, 6), 9, 4, [(4, 6)]),
        ((0, 3), 0, 2, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_rows_in_parts(whole, rows, accuracy, parts):
    """Of which the last takes what is too little for a part; an axis of its own has no least."""
    program = single(stencil(1.0, 40, accuracy=accuracy), 0)
    assert host.cut_rows(whole, rows, 0, program) == parts
    assert host.cut_rows((0, 3), 1, 1, program) == [(0, 1), (1, 2), (2, 3)]


def test_the_input_is_let_go_of_before_the_call_returns(in_place):
    for _ in range(40):
        raw = bytearray(np.ones((60, 50, 40)).tobytes())
        f = np.frombuffer(raw).reshape(60, 50, 40)
        gradient(f, axis=0)
        del f
        raw.append(0)  # a BufferError while anybody holds it
    assert not any(memory() is not None for memory in zero_copy._in_use)
