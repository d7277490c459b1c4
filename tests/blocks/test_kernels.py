"""What is compiled, how often, and that it is the arithmetic of the plain road."""

from __future__ import annotations

import dask.array as da
import jax.numpy as jnp
import numpy as np
import pytest
from counting import compilations

from fdgrad_dask import gradient
from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.blocks.small import compute_in_numpy
from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.table import stencil

pytestmark = pytest.mark.usefixtures("kernels")

UNEVEN = np.cumsum(0.2 + np.random.default_rng(5).random(40))
F = np.random.default_rng(6).standard_normal((40, 3))


def differentiate_block(f, axis, piece, lo=0, hi=0):
    """By the kernel and in NumPy: a block of which ``lo`` and ``hi`` rows are its neighbours'."""
    low, core, high = np.split(f, [lo, f.shape[axis] - hi], axis)
    block = Block(core, {axis: low} if lo else {}, {axis: high} if hi else {})
    program = single(piece, axis)
    by_kernel = compute_block([block], program, f.dtype)[0]
    return by_kernel, compute_in_numpy({0: block}, core.shape, program, f.dtype)[0]


def compute(f, *args, chunks, **options):
    d = da.from_array(f, chunks=chunks)
    return gradient(d, *args, axis=0, **options).compute(scheduler="sync")


@pytest.mark.parametrize("args", [(), (UNEVEN,)], ids=["even", "uneven"])
@pytest.mark.parametrize("options", [{}, {"edge_order": 2}, {"accuracy": 4}], ids=str)
def test_ten_equal_chunks_need_three_kernels_low_open_and_high(args, options):
    with compilations() as seen:
        compute(F, *args, chunks=(4, 3), **options)
    assert len(seen) == 3


CHEAP = {  # what is computed first, what then; how many compilations at most, and how many more
    "the same again": ({}, {}, 3, 0),
    "another coordinate": ({"x": UNEVEN}, {"x": UNEVEN**2}, 3, 0),
    "a descending coordinate": ({"x": UNEVEN}, {"x": -UNEVEN}, 3, 0),
    "another step": ({"x": 1.0}, {"x": 2.5}, 3, 0),
    "another even coordinate": ({"x": 1.0}, {"x": np.arange(40) / 4}, 3, 0),
    "other data": ({}, {"f": -F}, 3, 0),
    "integers": ({}, {"f": np.arange(120).reshape(40, 3)}, 3, 0),
    "other numbers outside": ({"boundary": 1.0}, {"boundary": (2.0, -3)}, 3, 0),
    "a word for a number outside": ({"boundary": 1.0}, {"boundary": "reflect"}, 3, 0),
    "a periodic axis": ({"boundary": 1.0}, {"boundary": "periodic"}, 3, 0),
    "a ragged last chunk": ({}, {"chunks": ((4,) * 9 + (3, 1), 3)}, 3, 2),
    "another dtype": ({}, {"f": F.astype("f4")}, 3, 3),
    "another stencil": ({}, {"edge_order": 2}, 3, 2),
}


@pytest.mark.parametrize(("first", "second", "count", "more"), CHEAP.values(), ids=CHEAP)
def test_only_shapes_and_walls_are_compiled_for(first, second, count, more):
    def run(f=F, x=1.0, chunks=(4, 3), **options):
        got = compute(f, x, chunks=chunks, **options)
        np.testing.assert_array_equal(got, gradient(f, x, axis=0, **options))

    def chunked_only(f=F, x=1.0, chunks=(4, 3), **options):
        compute(f, x, chunks=chunks, **options)

    with compilations() as seen:
        chunked_only(**first)
        assert 1 <= len(seen) <= count
        del seen[:]
        chunked_only(**second)
        assert len(seen) <= more
    run(**second)


def test_a_jax_array_is_compiled_for_once_per_shape():
    f, g = jnp.arange(12.0) ** 2, jnp.arange(12.0) ** 3
    x, y = np.arange(12.0) ** 2, np.arange(12.0) ** 3
    with compilations() as seen:
        gradient(f, x, boundary=(1.0, None))
        assert len(seen) == 1
        got = gradient(g, y, boundary=(2.0, None))
    assert len(seen) == 1
    np.testing.assert_allclose(got[1:], np.gradient(np.asarray(g), y)[1:], rtol=1e-6)
    assert got[0] == (g[1] - 2.0) / (2 * (y[1] - y[0]))


# -- one arithmetic --------------------------------------------------------------------------

PERIODIC = {"boundary": ("periodic", "periodic"), "period": 99.0}
STENCILS = [
    {},
    {"edge_order": 2},
    {"order": 2},
    {"order": 2, "edge_order": 2},
    {"accuracy": 4},
    {"accuracy": 8},
    {"order": 2, "accuracy": 4},
    PERIODIC,
    {"boundary": ("reflect", "extend")},
    {"boundary": (None, 3.0)},
]


@pytest.mark.parametrize(
    ("options", "points"),
    [(options, (0.3, -UNEVEN[:12])[n % 2]) for n, options in enumerate(STENCILS)],
    ids=str,
)
def test_the_kernel_has_the_bits_of_the_plain_arithmetic(points, options):
    """Also on pieces whose walls are open, where neighbours are attached."""
    f = np.random.default_rng(1).standard_normal((2, 12, 3)) * 100
    table = stencil(points, 12, **options)
    by_kernel, whole = differentiate_block(f, 1, table)
    np.testing.assert_array_equal(by_kernel, whole)
    if options is PERIODIC:
        f = np.concatenate([f[:, -1:], f, f[:, :1]], 1)
    reach = table.halo_width
    for start, stop in [(reach, 12 - reach), (1 + reach, 12), (0, 12 - reach)]:
        piece = table.cut(start, stop)
        shift = 1 if options is PERIODIC else 0
        lo, hi = (0 if wall else reach for wall in (piece.low, piece.high))
        block = f[:, start - lo + shift : stop + hi + shift]
        want = whole[:, start:stop]
        for part in differentiate_block(block, 1, piece, lo, hi):
            np.testing.assert_array_equal(part, want)


@pytest.mark.parametrize("accuracy", [2, 4])
def test_every_dtype_is_served_by_one_arithmetic_within_its_rounding(accuracy):
    f = np.random.default_rng(2).standard_normal(40)
    table = stencil(UNEVEN, 40, accuracy=accuracy)
    for dtype, complexes in (("f2", False), ("f4", False), ("c8", True), ("c16", True)):
        g = (f + 1j * f[::-1] if complexes else f).astype(dtype)
        want = differentiate(g.real.astype("f8"), 0, table)
        got = differentiate(g, 0, table)
        assert got.dtype == g.dtype
        worst = abs(got.real - want).max() / abs(want).max()
        assert worst < 8 * np.finfo(dtype).eps
        if complexes:
            np.testing.assert_allclose(got.imag, differentiate(g.imag.copy(), 0, table), rtol=1e-5)


def test_missing_values_are_stepped_around_as_the_windows_say():
    nan = np.nan
    f = np.array([nan, 1.0, 4.0, 9.0, nan, 25.0, nan, 49.0, 64.0, 81.0])
    x = np.arange(10.0) + 100
    got = differentiate(f, 0, stencil(x, 10, skipna=True))
    want = [nan, 3, 4, 5, nan, nan, nan, 15, 16, 17]
    np.testing.assert_array_equal(got, want)
    got = differentiate(f, 0, stencil(x, 10, edge_order=2, skipna=True))
    want = [nan, 2, 4, 6, nan, nan, nan, 14, 16, 18]
    np.testing.assert_allclose(got, want)


@pytest.mark.parametrize("options", [{}, {"edge_order": 2}, {"accuracy": 4}, {"order": 2}], ids=str)
def test_where_nothing_is_missing_stepping_around_changes_nothing(options):
    """Up to rounding at the ends, where the same weights are summed in another order."""
    f = UNEVEN[:12] ** 3
    for points in (0.5, UNEVEN[:12]):
        strict = differentiate(f, 0, stencil(points, 12, **options))
        around = differentiate(f, 0, stencil(points, 12, skipna=True, **options))
        np.testing.assert_allclose(around, strict, rtol=1e-9)
