"""Single windows: how they are cut, and when they need units of a power of two."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.stencil import Halves, columns, is_extreme
from fdgrad_dask.stencils.table import stencil

X = np.array([0.0, 0.3, 1.0, 1.2, 2.1, 2.9, 3.3, 4.4, 4.9])
H1, H2 = np.diff(X)[:-1], np.diff(X)[1:]
INSIDE = np.array([-H2 / (H1 * (H1 + H2)), (H2 - H1) / (H1 * H2), H1 / (H2 * (H1 + H2))])
"""The weights of the first derivative at the points 1 to 7, by their closed form."""


@pytest.mark.parametrize("size", [1.0, 1e200, 1e-200])
def test_a_window_is_cut_to_the_weights_of_its_rows(size):
    window = stencil(X * size, len(X)).windows[0]
    for part in (window.cut(3, 6), window.cut(2, 8).cut(1, 4), window.cut(2, 5).cut(1, 4)):
        rows = part.weights.shape[1]
        unit = size if part.exponent is None else size * 2.0**part.exponent
        assert part.exponent is None or part.exponent.shape == (rows,)
        assert_allclose(part.weights * unit, INSIDE[:, 2 : 2 + rows], rtol=1e-13)
    of_two = window.cut(3, 5)
    assert_array_equal(of_two.cut(1, 2).weights, window.weights[:, 4:5])
    same_for_all = stencil(size, len(X)).windows[0]
    assert same_for_all.cut(3, 5) is same_for_all


@pytest.mark.parametrize("step", [1e200, -1e-200])
@pytest.mark.parametrize("accuracy", [2, 4])
def test_steps_whose_powers_leave_float64(step, accuracy):
    f = np.arange(9.0) ** 2
    slopes = differentiate(f, 0, stencil(step, 9, accuracy=accuracy, edge_order=2)) * step
    assert_allclose(slopes, 2 * np.arange(9), rtol=1e-12, atol=1e-12)
    scaled = f * 2.0 ** (500 if abs(step) > 1 else -500)
    for points in (step, step * np.arange(9)):
        table = stencil(points, 9, order=2, accuracy=accuracy, edge_order=2)
        curved = differentiate(scaled, 0, table)
        assert_allclose(curved * step, 2 * scaled[1] / step, rtol=1e-11)


@pytest.mark.parametrize("order", [1, 2])
def test_sizes_are_extreme_beyond_a_power_of_two(order):
    most = 2.0 ** (112 // order)
    for size in (most, 1 / most, -most, 1.0):
        assert not is_extreme(size, order)
        assert not is_extreme(np.array([0.0, size, 2 * size]), order)
    for size in (np.nextafter(most, np.inf), np.nextafter(1 / most, 0), -2 * most):
        assert is_extreme(size, order)
        assert is_extreme(np.array([0.0, 1.0, 1.0 + size, size]), order) == (abs(size) > 1)
    # A point that stands twice or has no value says nothing about the sizes of the others.
    assert not is_extreme(np.array([0.0, 0.0, 1.0, np.nan, 2.0, np.inf]), order)
    assert not is_extreme(None, order)
    assert is_extreme(jax.ShapeDtypeStruct((9,), "f4"), order)  # it has no values yet


def test_integers_in_halves_have_all_differences():
    integers = [2**62 + 5, -(2**62) + 9, 7]
    high, low = np.array([divmod(each, 2**32) for each in integers], "f8").T
    halves = Halves(high, low, 32)
    assert_array_equal(halves.total, np.array(integers, "f8"))
    others = Halves(high, low - np.array([1, 2, 3]), 32)
    assert_array_equal(halves - others, [1, 2, 3])
    lower = Halves(high - np.array([1, 1, 2]), low, 32)
    assert_array_equal(halves - lower, np.array([1, 1, 2]) * 2.0**32)


def test_weights_are_stacked_where_they_are():
    """Numbers of the host stay on it; beside one array of JAX all are of JAX."""
    by_hand = np.array([[1.0, 2.0], [3.0, 5.0]])
    of_jax = columns([jnp.array(by_hand[0]), jnp.array(by_hand[1])])
    assert isinstance(of_jax, jax.Array)
    for stacked in (of_jax, columns(list(by_hand)), columns([by_hand[0], jnp.array(by_hand[1])])):
        assert_array_equal(stacked, by_hand)
    assert_array_equal(columns([2.0, np.float32(3.0), np.array(4.0)]), [[2.0], [3.0], [4.0]])
    assert isinstance(columns([2.0, np.float32(3.0)]), np.ndarray)
