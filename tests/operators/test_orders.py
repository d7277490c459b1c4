"""Orders of accuracy, measured: how fast the error falls from grid to grid, and its signs."""

from __future__ import annotations

import numpy as np
import pytest
from cases import BY_NAME, CASES, points
from numpy.testing import assert_allclose

from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.table import stencil

# Coarse enough that rounding, about 1e-15 / h², stays far below the error of the finest grid.
SIZES = {2: (32, 64, 128), 4: (32, 64, 128), 6: (48, 64, 96), 8: (48, 64, 96)}
accuracies = pytest.mark.parametrize("accuracy", SIZES)
orders = pytest.mark.parametrize("order", [1, 2])
spacings = pytest.mark.parametrize("spacing", ["even", "uneven"])


def error(n, spacing, case, rows=slice(None), **options):
    """The largest error over ``rows``; axes with a boundary are periodic."""
    periodic = "boundary" in options
    x = points(n, spacing, case.period if periodic else None)
    got = differentiate(
        case.f(x), 0, stencil(x, n, period=case.period if periodic else None, **options)
    )
    return abs(got - case.derivative(options["order"])(x))[rows].max()


def measured(accuracy, *args, **options):
    """The exponents between neighbouring sizes."""
    sizes = np.array(SIZES[accuracy])
    errors = [error(n, *args, accuracy=accuracy, **options) for n in sizes]
    return -np.diff(np.log(errors)) / np.diff(np.log(sizes))


@accuracies
@orders
@spacings
@pytest.mark.parametrize(
    ("case", "ends"),
    [("bumps", {"boundary": ("periodic", "periodic")}), ("decay", {"edge_order": 2})],
    ids=["periodic", "closed"],
)
def test_the_error_falls_with_the_promised_order(accuracy, order, spacing, case, ends):
    found = measured(accuracy, spacing, BY_NAME[case], order=order, **ends)
    assert_allclose(found, accuracy, atol=0.4 if accuracy < 8 else 0.9)
    assert abs(found[-1] - accuracy) < 0.06 * accuracy


@spacings
def test_edge_order_1_is_first_order_at_the_ends_and_second_inside(spacing):
    wave = BY_NAME["bumps"]
    ends = measured(2, spacing, wave, rows=[0, -1], order=1, edge_order=1)
    inside = measured(2, spacing, wave, rows=slice(1, -1), order=1, edge_order=1)
    assert_allclose(ends, 1, atol=0.2)
    assert_allclose(inside, 2, atol=0.2)


def test_the_compact_second_derivative_sees_the_checkerboard():
    """Differentiating twice does not: every second point is all that it reads."""
    checkers = (-1.0) ** np.arange(12)
    got = differentiate(checkers, 0, stencil(1.0, 12, order=2))
    assert_allclose(got[1:-1], -4 * checkers[1:-1])
    twice = stencil(1.0, 12)
    assert_allclose(differentiate(differentiate(checkers, 0, twice), 0, twice)[2:-2], 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("spacing", ["even", "even descending", "uneven", "uneven descending"])
@pytest.mark.parametrize(("order", "accuracy"), [(1, 2), (1, 4), (2, 2), (2, 4)])
def test_values_and_signs_are_those_of_the_closed_forms(case, spacing, order, accuracy):
    n = 96
    x = points(n, spacing)
    got = differentiate(case.f(x), 0, stencil(x, n, order=order, accuracy=accuracy, edge_order=2))
    want = case.derivative(order)(x)
    assert_allclose(got, want, atol={2: 0.1, 4: 3e-3}[accuracy])
    sure = abs(want) > 0.05
    assert (np.sign(got[sure]) == np.sign(want[sure])).all()


@accuracies
@pytest.mark.parametrize("spacing", ["even", "even descending", "uneven", "uneven descending"])
def test_a_rising_field_has_a_positive_slope_and_a_hill_bends_down(accuracy, spacing):
    n = 24
    x = points(n, spacing)
    first = stencil(x, n, accuracy=accuracy, edge_order=2)
    second = stencil(x, n, accuracy=accuracy, edge_order=2, order=2)
    assert_allclose(differentiate(x, 0, first), 1, rtol=1e-9)
    assert_allclose(differentiate(-(x**2), 0, first), -2 * x, atol=1e-9)
    assert_allclose(differentiate(-(x**2), 0, second), -2, atol=1e-6)
    assert_allclose(differentiate(x, 0, second), 0, atol=1e-6)
