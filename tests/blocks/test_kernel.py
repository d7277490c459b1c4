"""Programs at all points: sums of products, rows beside boundaries, formulas, given rows."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.blocks.device import compute_on_device
from fdgrad_dask.blocks.kernel import interned
from fdgrad_dask.blocks.program import Block, Derivative, PoleRow, Program, single
from fdgrad_dask.blocks.small import compute_in_numpy
from fdgrad_dask.stencils.table import stencil

N = 9
POINTS = np.cumsum(1 + np.arange(N) % 3.0)
FIELDS = np.random.default_rng(1).standard_normal((3, 2, N))
F4, F8 = np.dtype("f4"), np.dtype("f8")


def compute(program, *fields):
    shape = np.broadcast_shapes(*(f.shape for f in fields))
    return compute_in_numpy(dict(enumerate(map(Block, fields))), shape, program, F8)


def test_the_same_program_is_the_same_object_each_time():
    program = single(stencil(1.0, N), 1).structure()
    again = single(stencil(2.0, N), 1).structure()
    assert interned(program) is interned(again)
    assert interned(program).value == program


@pytest.mark.parametrize("points", [0.5, POINTS], ids=["even", "uneven"])
@pytest.mark.parametrize("edge_order", [1, 2])
def test_operands_are_sums_of_products(points, edge_order):
    """In one pass: f·g + h along one axis, and h beside it."""
    f, g, h = FIELDS
    table = stencil(points, N, edge_order=edge_order)
    program = Program(
        (((0, 1), (2, None)), ((2, None),)), (Derivative(0, 1, table), Derivative(1, 1, table))
    )
    got = compute(program, f, g, h)
    for made, operand in zip(got, (f * g + h, h), strict=True):
        want = np.gradient(operand, points, axis=1, edge_order=edge_order)
        assert_allclose(made, want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n", [2, 3, N])
def test_axes_of_edge_rows_alone(n):
    f, table = FIELDS[0][:, :n], stencil(POINTS[:n], n)
    assert_allclose(compute(single(table, 1), f)[0], np.gradient(f, POINTS[:n], axis=1))


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize(("start", "stop"), [(0, 5), (2, 7), (5, 9)])
def test_pieces_of_an_axis(edge_order, start, stop):
    """With edge rows at one end, at none, and at the other; arrays of NumPy and of JAX."""
    f = FIELDS[0].astype("f4")
    want = np.gradient(f, POINTS, axis=1, edge_order=edge_order)[:, start:stop]
    program = single(stencil(POINTS, N, edge_order=edge_order).cut(start, stop), 1)
    low = {1: f[:, start - 1 : start]} if start else {}
    high = {1: f[:, stop : stop + 1]} if stop < N else {}
    block = Block(f[:, start:stop], low, high)
    (got,) = compute_in_numpy({0: block}, want.shape, program, F4)
    assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    there = Block(jnp.asarray(block.core), *(jax.tree.map(jnp.asarray, x) for x in (low, high)))
    (made,) = compute_on_device([there], program, F4)
    assert_array_equal(made, got)


def test_windows_step_around_what_is_missing():
    nan = np.nan
    f = np.array([nan, 1.0, 4.0, 9.0, nan, 25.0, nan, 49.0, 64.0])
    program = single(stencil(1.0, N, skipna=True), 0)
    want = [nan, 3, 4, 5, nan, nan, nan, 15, 15]
    assert_array_equal(compute(program, f)[0], want)
    (made,) = compute_on_device([Block(jnp.asarray(f, "f4"))], program, F4)
    assert_array_equal(made, want)


def test_a_missing_value_leaves_its_own_slope():
    """As in NumPy: the centred difference does not read the point itself."""
    f = np.array([1.0, np.nan, 5.0, 6.0, 9.0, np.inf, 2.0, 0.0, 1.0])
    program = single(stencil(1.0, N), 0)
    want = np.gradient(f)
    assert want[1] == 2
    assert_array_equal(compute(program, f)[0], want)
    (made,) = compute_on_device([Block(jnp.asarray(f, "f4"))], program, F4)
    assert_array_equal(made, want)


def test_rows_of_poles_are_given():
    f, rows = FIELDS[0].astype("f4"), [np.full((2, 1), 7, "f4"), np.full((2, 1), 9, "f4")]
    poles = PoleRow(0, 1, 0, 1), PoleRow(0, 1, -1, 2)
    derivative = Derivative(0, 1, stencil(1.0, N))
    program = Program((((0, None),),), (derivative,), pole_rows=poles)
    (made,) = compute_on_device([Block(jnp.asarray(each)) for each in (f, *rows)], program, F4)
    want = np.gradient(f, axis=1)
    want[:, 0], want[:, -1] = 7, 9
    assert_allclose(made, want, rtol=1e-5, atol=1e-5)


def test_a_coordinate_that_varies():
    f, z = FIELDS[0], np.cumsum(1 + FIELDS[1] ** 2, axis=1)
    want = [np.gradient(a, b) for a, b in zip(f, z, strict=True)]
    assert_allclose(compute(single(stencil(None, N), 1, 1), f, z)[0], want, rtol=1e-12)


def test_weights_with_exponents_are_cut_as_others_are():
    """Steps of 1e-310, whose weights have no room in float64, beside long doubles."""
    x, f = POINTS * 1e-310, FIELDS[0] * 1e-9
    table = stencil(x, N, edge_order=2)
    assert single(table, 1).is_scaled
    want = np.gradient(f.astype("longdouble"), x.astype("longdouble"), axis=1, edge_order=2)
    assert_allclose(compute(single(table, 1), f)[0], want.astype("f8"), rtol=1e-12)


def test_formulas_are_given_values_and_slopes():
    f, g, _ = FIELDS
    for axis in (0, 1):
        table = stencil(2.0, f.shape[axis])
        derivatives = tuple(Derivative(i, axis, table) for i in (0, 1))
        program = Program((((0, None),), ((1, None),)), derivatives, _cross, 2)
        first, second = compute(program, f, g)
        slopes = np.gradient(f, 2.0, axis=axis), np.gradient(g, 2.0, axis=axis)
        assert_allclose(first, f * slopes[1] - g * slopes[0], rtol=1e-12, atol=1e-14)
        assert_array_equal(second, f)


def _cross(values, slopes):
    return [values[0] * slopes[1] - values[1] * slopes[0], values[0]]
