"""Differences and means of two neighbours: each written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.two_points import difference, mean, neighbour

F = np.array([3.0, 7.0, -2.0, 11.0])
FORMS = {  # by hand, with 5 before the first value and 9 behind the last
    (difference, True): [4.0, -9.0, 13.0, -2.0],
    (difference, False): [-2.0, 4.0, -9.0, 13.0],
    (mean, True): [5.0, 2.5, 4.5, 10.0],
    (mean, False): [4.0, 5.0, 2.5, 4.5],
    (neighbour, True): [7.0, -2.0, 11.0, 9.0],
    (neighbour, False): [5.0, 3.0, 7.0, -2.0],
}
forms = pytest.mark.parametrize(
    ("make", "is_forward", "expected"),
    [(*key, values) for key, values in FORMS.items()],
    ids=[f"{make.__name__} {'after' if after else 'before'}" for make, after in FORMS],
)


@forms
def test_two_points_by_hand(make, is_forward, expected):
    table = make(4, is_forward=is_forward, ends=(5.0, 9.0))
    assert_array_equal(differentiate(F, 0, table), expected)
    unknown = differentiate(F, 0, make(4, is_forward=is_forward, ends=(None, None)))
    outside = -1 if is_forward else 0
    assert np.isnan(unknown[outside])
    assert_array_equal(np.delete(unknown, outside), np.delete(expected, outside))


@forms
def test_what_a_table_of_two_points_says_of_itself(make, is_forward, expected):
    """Of the first order and one point to either side; only differences have no constant."""
    table = make(4, is_forward=is_forward, ends=(None, None))
    assert (table.n, table.order, table.halo_width) == (4, 1, 1)
    (window,) = table.windows
    assert window.origin == 0
    around = make(4, is_forward=is_forward, ends=("periodic", "periodic"))
    is_zero = not differentiate(np.ones(4), 0, around).any()
    assert window.adds_to_zero is is_zero is (make is difference)
