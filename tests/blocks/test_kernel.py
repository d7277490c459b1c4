"""Programs at all points: sums of products, rows beside boundaries, formulas, given rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.blocks.kernel import interned
from fdgrad_dask.blocks.program import Block, Derivative, Program, single
from fdgrad_dask.blocks.small import compute_in_numpy
from fdgrad_dask.stencils.table import stencil

N = 9
POINTS = np.cumsum(1 + np.arange(N) % 3.0)
FIELDS = np.random.default_rng(1).standard_normal((3, 2, N))
F8 = np.dtype("f8")


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
    program = Program(
        (((0, None),), ((1, None),)),
        tuple(Derivative(i, 1, stencil(2.0, N)) for i in (0, 1)),
        _cross,
        2,
    )
    first, second = compute(program, f, g)
    slopes = np.gradient(f, 2.0, axis=1), np.gradient(g, 2.0, axis=1)
    assert_allclose(first, f * slopes[1] - g * slopes[0], rtol=1e-12, atol=1e-14)
    assert_array_equal(second, f)


def _cross(values, slopes):
    return [values[0] * slopes[1] - values[1] * slopes[0], values[0]]
