"""Derivatives of programs: what is not finite at a point spoils none beside it."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fdgrad_dask.arrays import gradient
from fdgrad_dask.blocks.arithmetic import Arithmetic
from fdgrad_dask.blocks.device import compute_on_device
from fdgrad_dask.blocks.program import Block, Derivative, Program
from fdgrad_dask.stencils.table import stencil

N = 6
TABLE = stencil(0.5, N)


def test_quotients_that_are_not_are_their_numerator():
    a, b = jnp.array([6.0, 5.0]), jnp.array([2.0, 0.0])
    over = Arithmetic(jnp, is_smooth=True).over
    value, (along_a, along_b) = over(a, b), jax.jacobian(over, (0, 1))(a, b)
    assert value.tolist() == [3, 5]
    assert jnp.diag(along_a).tolist() == [0.5, 1]
    assert jnp.diag(along_b).tolist() == [-1.5, 0]


def _quotient(values, slopes):
    """1, or 0 / 0 where f does not change."""
    return [slopes[0] * slopes[0] / (slopes[0] * slopes[0])]


def derivative(program, *others):
    """Of the sum of the outputs by the first field, and the outputs themselves."""

    def total(f):
        blocks = [Block(f), *(Block(np.asarray(each, "f4")) for each in others)]
        made = compute_on_device(blocks, program, np.dtype("f4"))[0]
        return jnp.where(jnp.isfinite(made), made, 0).sum(), made

    return jax.grad(total, has_aux=True)


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_factors_that_are_not_finite(wrong):
    """As metric terms at a pole: the value is not finite, the derivatives beside it are."""
    factor = np.arange(1.0, 1 + N)
    factor[0] = wrong
    program = Program((((0, 1),),), (Derivative(0, 0, TABLE),))
    f = np.linspace(1, 2, N).astype("f4")
    by_f, made = derivative(program, factor)(jnp.asarray(f))
    assert_allclose(made[2:], np.gradient(f * factor, 0.5)[2:], rtol=1e-5)
    assert not np.isfinite(made[:2]).any()
    # Rows 2 to 5 of the table, transposed; what reads the pole has no derivative along it.
    rows = np.gradient(np.eye(N), 0.5, axis=0)
    rows[:2] = 0
    want = rows.sum(0) * np.where(np.isfinite(factor), factor, 0)
    assert_allclose(by_f, want, rtol=1e-5, atol=1e-5)


def test_finite_programs_have_the_derivative_of_the_table():
    program = Program((((0, 1),),), (Derivative(0, 0, TABLE),))
    factor = np.arange(1.0, 1 + N)
    by_f, _ = derivative(program, factor)(jnp.ones(N))
    want = np.gradient(np.eye(N), 0.5, axis=0).sum(0) * factor
    assert_allclose(by_f, want, rtol=1e-5, atol=1e-5)


def _slopes(f, factor):
    """Those of the first field times the second one, which may be NumPy's or traced."""
    blocks = [Block(factor), Block(f)]
    program = Program((((1, 0),),), (Derivative(0, 0, TABLE),))
    return compute_on_device(blocks, program, np.dtype("f4"))[0]


def test_a_factor_before_the_field_is_its_factor():
    factor = np.array([np.inf, 2, 3, 4, 5, 6], "f4")
    got = jax.jacobian(_slopes)(jnp.ones(N), factor)
    want = np.gradient(np.eye(N), 0.5, axis=0) * np.where(np.isfinite(factor), factor, 0)
    assert_allclose(got[2:], want[2:], rtol=1e-5)


def test_a_factor_that_is_traced_has_a_derivative_too():
    f = np.linspace(1, 2, N).astype("f4")
    by_f, by_factor = jax.jacobian(_slopes, (0, 1))(jnp.asarray(f), jnp.asarray(f[::-1].copy()))
    rows = np.gradient(np.eye(N), 0.5, axis=0)
    assert_allclose(by_f, rows * f[::-1], rtol=1e-5, atol=1e-6)
    assert_allclose(by_factor, rows * f, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "points"), [("f8", np.cumsum(1 + np.arange(N) % 3.0)), ("f4", 0.5)]
)
def test_a_gradient_is_linear_to_jax(dtype, points):
    """Where its sums have one way only, as solvers transpose it: float32 by weights has two."""
    program = Program((((0, None),),), (Derivative(0, 0, stencil(points, N)),))

    def run(f):
        return compute_on_device([Block(f)], program, np.dtype(dtype))[0]

    with jax.enable_x64(True):
        f = jnp.zeros(N, dtype)
        rows = np.array([jax.linear_transpose(run, f)(each)[0] for each in jnp.eye(N, dtype=dtype)])
    assert_allclose(rows, np.gradient(np.eye(N), points, axis=0), rtol=1e-6, atol=1e-12)


def test_formulas_may_divide_by_zero():
    """Where the slope vanishes 0 / 0 has no value, and no derivative, and the others have."""
    program = Program((((0, None),),), (Derivative(0, 0, TABLE),), _quotient)
    f = jnp.array([3.0, 3.0, 3.0, 4.0, 6.0, 9.0])
    by_f, made = derivative(program)(f)
    assert np.isnan(np.asarray(made)).tolist() == [True, True] + [False] * 4
    assert np.isfinite(np.asarray(by_f)).all()
    assert_allclose(by_f, np.zeros(N), atol=1e-5)


def test_forward_and_reverse_agree():
    program = Program((((0, None),),), (Derivative(0, 0, TABLE),), _squared)
    run = partial(_only, program)
    f = jnp.asarray(np.linspace(1, 3, N) ** 2, "f4")
    forward, reverse = jax.jacfwd(run)(f), jax.jacrev(run)(f)
    rows = np.gradient(np.eye(N), 0.5, axis=0)
    want = 2 * (rows @ np.asarray(f))[:, None] * rows
    assert_allclose(forward, want, rtol=1e-4, atol=1e-4)
    assert_allclose(reverse, want, rtol=1e-4, atol=1e-4)


def _only(program, f):
    return compute_on_device([Block(f)], program, np.dtype("f4"))[0]


def _squared(values, slopes):
    return [slopes[0] * slopes[0]]


def test_nothing_that_is_traced_is_kept_by_the_rule():
    """Where there are two ways, as beside edges of second order: JAX's own check for leaks."""
    with jax.checking_leaks():
        slopes = jax.jit(lambda f: gradient(f, 0.5, edge_order=2))(jnp.arange(6.0) ** 2)
    assert slopes.tolist() == [0, 4, 8, 12, 16, 20]
