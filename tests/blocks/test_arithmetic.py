"""The arithmetic of a stencil alone, beside NumPy's own."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.blocks.arithmetic import Arithmetic, first_complete, sum_rows
from fdgrad_dask.stencils.stencil import Halves, Stencil, Term
from fdgrad_dask.stencils.table import stencil

HOST = Arithmetic(np)
F = np.array([[3.0, -1.0, 4.0, 1.5, -9.0], [2.0, 6.0, np.inf, 3.0, -8.0]])


def reader(f):
    """The values at an offset from the three rows inside."""
    return lambda offset: f[..., 1 + offset : f.shape[-1] - 1 + offset]


def test_powers_of_two_are_taken_in_steps_of_the_dtype():
    numbers = np.array([1.5, -3.0, 2.0**-120, 2.0**120, 0.0, np.inf], "f4")
    powers = np.array([100, -100, 240, -240, 300, -300], "i4")
    assert_array_equal(HOST.times_power(numbers, powers), np.ldexp(numbers, powers))
    complex_numbers = numbers[:4] + 1j * numbers[:4][::-1]
    assert_array_equal(HOST.times_power(complex_numbers, np.int32(5)), complex_numbers * 32)
    jitted = jax.jit(Arithmetic(jnp).times_power)
    assert_array_equal(jitted(numbers, powers), np.ldexp(numbers, powers))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
def test_sums_of_products_and_quotients(dtype):
    f = F.astype(dtype) * (1 - 2j if dtype == "c8" else 1)
    f[1, 2] = 5
    read, by = reader(f), np.array([2.0, 4.0], "f4")
    before, at, behind = f[:, :3], f[:, 1:4], f[:, 2:]
    terms = (Term(1, -1), Term(1, 0))
    got = HOST.added(read, terms, by, divide=False)
    assert_array_equal(got, (behind - before) * 2 + (behind - at) * 4)
    got = HOST.added(read, terms, by, divide=True)
    assert_array_equal(got, (behind - before) / 2 + (behind - at) / 4)
    assert_array_equal(HOST.added(read, (Term(-1),), by[1:], divide=False), before * 4)
    assert got.dtype == dtype


def test_half_precision_is_widened_after_the_difference():
    """2048 + 1 is no number of float16; in float32 the difference would be another one."""
    f = np.array([0.0, 1.0, 2048.0, 0.5, 0.0], "f2")
    by = np.array([3.0], "f4")
    got = HOST.added(reader(f), (Term(1, -1),), by, divide=True)
    assert got.dtype == np.float32
    assert_array_equal(got, np.subtract(f[2:], f[:-2]).astype("f4") / np.float32(3))


def test_infinite_parts_of_complex_numbers_are_those_of_numpy():
    f = np.array([0, 0, complex(np.inf, 2), complex(3, -np.inf), 0], "c16")
    by = np.array([2.0])
    with np.errstate(invalid="ignore"):
        for divide, wanted in ((False, f * complex(2)), (True, f / complex(2))):
            got = HOST.added(reader(f), (Term(0),), by, divide=divide)
            for part, other in ((got.real, wanted.real), (got.imag, wanted.imag)):
                assert_array_equal(part, other[1:4])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("made_of_a_coordinate", [False, True])
def test_a_window_along_either_axis(axis, made_of_a_coordinate):
    x = np.array([0.0, 1.0, 3.0, 3.5, 6.0])
    f = np.random.default_rng(3).standard_normal((5, 5))
    table = stencil(x, 5)
    window = table.windows[0].cut(1, 4)
    along = (lambda a: a) if axis == 1 else (lambda a: a.T)
    read = reader(f)
    points = reader(np.broadcast_to(x, (5, 5)))
    got = sum_rows(
        HOST,
        window,
        list(window.weights),
        lambda offset: along(read(offset)),
        (lambda offset: along(points(offset))) if made_of_a_coordinate else None,
        like=np.empty((1, 1)),
        table=table,
        axis=axis,
        divide=False,
    )
    assert_allclose(along(got), np.gradient(f, x, axis=1)[:, 1:-1], rtol=1e-12)


def test_a_row_of_two_points_is_divided_by_their_distance():
    x, f = np.array([[0.0, 0.5, 3.0], [1.0, 5.0, 6.0]]), F[:, [0, 1, 3]]
    table = stencil(None, 3)
    slopes = np.diff(f) / np.diff(x)
    for end, wanted in ((table.low, slopes[:, :1]), (table.high, slopes[:, 1:])):
        got = sum_rows(
            HOST,
            end.rows[0],
            (),
            lambda at: f[:, [at]],
            lambda at: x[:, [at]],
            like=f,
            table=table,
            axis=1,
            divide=False,
        )
        assert_allclose(got, wanted, rtol=1e-15)


def test_a_compiler_rounds_as_numpy_does():
    a, b, c = np.random.default_rng(1).standard_normal((3, 1000)).astype("f4")

    def compute(a, b, c, zero):
        arithmetic = Arithmetic(jnp, zero)
        return arithmetic.times(a, b) + c, arithmetic.divide(a, jnp.float32(3))

    product, quotient = jax.jit(compute)(a, b, c, np.uint32(0))
    assert_array_equal(product, a * b + c)
    assert_array_equal(quotient, a / np.float32(3))


def centred(integers, x):
    """The derivative at the points inside, of integers that are read in halves."""
    high, low = (part.astype("f8") for part in np.divmod(integers, 2**32))
    n = len(integers)
    table = stencil(x, n)
    window = table.windows[0].cut(1, n - 1)
    return sum_rows(
        HOST,
        window,
        list(window.weights),
        lambda offset: Halves(reader(high)(offset), reader(low)(offset), 32),
        None,
        like=integers,
        table=table,
        axis=0,
        divide=np.ndim(x) == 0,
    )


@pytest.mark.parametrize("x", [1.0, np.array([0.0, 1.0, 3.0, 3.5, 6.0])], ids=["even", "uneven"])
def test_integers_that_no_float_has_keep_their_differences(x):
    steps = np.array([0, 1, 5, 3, 11])
    wanted = np.gradient(steps.astype("f8"), x)[1:-1]
    assert_allclose(centred(2**60 + steps, x), wanted, rtol=1e-13)


@pytest.mark.parametrize("integers", [[2**53 - 1, 2**54, 2**54 + 2], [3, 2**52, 2**53 - 1]])
def test_differences_that_no_float_has_are_those_of_numpy(integers):
    """2^54 + 2 is rounded before it is taken off 2^53 − 1: as halves, the last bit is another."""
    got = centred(np.array(integers), 1.0)
    assert_array_equal(got, np.gradient(np.array(integers, "f8"))[1:-1])


def test_the_first_window_that_misses_nothing():
    table = stencil(1.0, 5, skipna=True)
    f = np.array([np.nan, 1.0, 2.0, np.nan, 5.0, 6.0, np.nan, 7.0, np.nan])

    def read(offset):
        return np.roll(f, -offset)[1:-1]

    windows = table.windows
    assert [each.offsets for each in windows] == [(-1, 0, 1), (0, 1), (-1, 0)]
    sums = [np.full(7, 10.0), np.full(7, 20.0), np.full(7, 30.0)]
    wanted = [20, 30, np.nan, 20, 30, np.nan, np.nan]
    assert_array_equal(first_complete(np, read, windows, sums), wanted)


def sum_inside(f, window, weights, table, z=None, arithmetic=HOST):
    """The derivatives of rows at all points but the first and the last."""
    return sum_rows(
        arithmetic, window, weights, reader(f), z, like=f, table=table, axis=f.ndim - 1, divide=True
    )


def test_compilers_round_each_of_two_products():
    f = np.random.default_rng(2).standard_normal((2, 1002)).astype("f4")
    by = np.random.default_rng(3).standard_normal((2, 1000)).astype("f4")
    terms = (Term(1, -1), Term(0, 1))

    def add(f, by, zero, divide):
        return Arithmetic(jnp, zero).added(reader(f), terms, by, divide=divide)

    jitted = jax.jit(add, static_argnames="divide")
    for divide in (False, True):
        got = jitted(f, by, np.uint32(0), divide=divide)
        assert_array_equal(got, HOST.added(reader(f), terms, by, divide=divide))


def test_zeros_of_complex_numbers_have_the_signs_of_numpy():
    for number in (complex(1, -0.0), complex(-0.0, 1), complex(-0.0, 0.0), complex(-1, 0.0)):
        f = np.full(3, number, "c8")
        for divide, wanted in ((False, f * np.complex64(2)), (True, f / np.complex64(2))):
            got = HOST.added(reader(f), (Term(0),), np.array([2], "f4"), divide=divide)
            for part, other in ((got.real, wanted.real), (got.imag, wanted.imag)):
                assert_array_equal(np.signbit(part), np.signbit(other[1:2]))


def test_sums_in_float32_neither_lose_digits_nor_overflow():
    """Of 1e7 + 1 and the like no digit is lost, and half of 3e38 − 2 · 3e38 + 3e38 is zero."""
    table = stencil(1.0, 5)
    window = Stencil((-1, 0, 1), 0, (Term(-1), Term(0), Term(1)))
    weights = [np.full(1, each, "f4") for each in (0.5, -1, 0.5)]
    f = np.array([[1e7, 1e7 + 1, 1e7 + 5], [3e38, -1e38, -2e38], [3e38, 3e38, 3e38]], "f4")
    wanted = np.array([[1.5], [1.5e38], [0.0]], "f4")
    jitted = jax.jit(lambda f: sum_inside(f, window, weights, table, arithmetic=Arithmetic(jnp)))
    assert_allclose(jitted(f), wanted, rtol=1e-6)
    with np.errstate(over="ignore", invalid="ignore"):
        assert_allclose(sum_inside(f, window, weights, table), wanted, rtol=1e-6)
    beyond = replace(window, adds_to_zero=False)
    weights = [np.full(1, each, "f4") for each in (1, -4, 1)]
    f = np.array([[3e38, 1e38, 3e38], [1.0, 2.0, 4.0]], "f4")
    got = sum_inside(f, beyond, weights, table)
    assert_allclose(got, np.array([[2e38], [-3.0]], "f4"), rtol=1e-6)


def test_weights_that_are_cut_already_are_taken_as_they_are():
    """One step for each of two rows, and the derivative along the other axis."""
    f = np.array([[0.0, 1.0, 4.0, 9.0], [0.0, 2.0, 8.0, 18.0]])
    table = stencil(1.0, 4)
    got = sum_inside(f, table.windows[0], [np.array([[2.0], [4.0]])], table)
    assert_array_equal(got, [[2, 4], [2, 4]])


def test_weights_beyond_float64_of_a_coordinate():
    """The second derivative of 1e100 x² is 2e100, though weights for steps of 1e-200 are 1e400."""
    table = stencil(None, 3, order=2)
    x = np.array([[0.0, 1.0, 3.0]]) * 1e-200
    f = np.array([[0.0, 1e-300, 9e-300]])
    got = sum_inside(f, table.windows[0], (), table, reader(x))
    assert_allclose(got, [[2e100]])


def test_parts_of_complex_quotients_are_rounded_once():
    """NumPy multiplies by the reciprocal, which rounds twice."""
    real, imag = np.random.default_rng(4).standard_normal((2, 100))
    for dtype, by in (("c16", np.array([3.0])), ("c8", np.array([3], "f4"))):
        f = (real + 1j * imag).astype(dtype)
        got = HOST.added({0: f}.get, (Term(0),), by, divide=True)
        assert_array_equal(got.real, f.real / by)
        assert_array_equal(got.imag, f.imag / by)
