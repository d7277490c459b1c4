"""Numbers of formulas, beside NumPy's own, and their derivatives by closed forms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.blocks.arithmetic import Arithmetic
from fdgrad_dask.blocks.number import Number

HOST = Arithmetic(np)


def test_arithmetic_is_numpys():
    a, b = np.array([3.0, -2.0, 0.5]), np.array(-5.0)
    one, two = Number(a, HOST), Number(b, HOST)
    assert_array_equal((-(one * two - one) / two + 1).value, -(a * -5 - a) / -5 + 1)
    assert_array_equal((2 * one + 1).value, 2 * a + 1)


def test_lengths_neither_overflow_nor_vanish():
    a = np.array([3e200, 3e-200, 0.0, -5.0, np.inf, 1.0, np.nan])
    b = np.array([-4e200, 4e-200, 0.0, 0.0, np.nan, -np.inf, 1.0])
    with np.errstate(invalid="ignore"):
        got = Number(a, HOST).length(Number(b, HOST)).value
    assert_allclose(got[:4], [5e200, 5e-200, 0, 5], rtol=1e-15)
    assert got[5] == np.inf
    assert np.isnan(got[6])


def length(a, b):
    smooth = Arithmetic(jnp, is_smooth=True)
    return Number(a, smooth).length(Number(b, smooth)).value


@pytest.mark.parametrize(
    ("a", "b"), [(3.0, -4.0), (4.0, 4.0), (3e30, 4e30), (3e-30, -4e-30), (0.0, 2.0), (-2.0, 0.0)]
)
def test_the_derivative_of_a_length_is_its_direction(a, b):
    """Where both are alike, too, and where their squares have no float32."""
    size = np.hypot(a, b)
    assert_allclose(length(jnp.float32(a), jnp.float32(b)), size, rtol=1e-6)
    got = jax.grad(length, (0, 1))(jnp.float32(a), jnp.float32(b))
    assert_allclose(got, (a / size, b / size), rtol=1e-6)


def test_no_length_has_no_direction():
    got = jax.grad(length, (0, 1))(0.0, 0.0)
    assert_array_equal(got, (0, 0))


def test_second_derivatives_of_a_length():
    """(δ_ij − e_i e_j) / r, e the direction."""
    got = np.array(jax.hessian(lambda x: length(x[0], x[1]))(jnp.array([3.0, -4.0])))
    assert_allclose(got, [[0.64 / 5, 0.48 / 5], [0.48 / 5, 0.36 / 5]], rtol=1e-5)
