"""What a program says of its fields, its rows and its numbers, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks.program import (
    Derivative,
    PoleRow,
    Program,
    Scaled,
    numbers,
    single,
    structure_of,
    weights_of,
)
from fdgrad_dask.stencils.table import stencil

F8 = np.dtype("f8")
PLAIN = stencil(0.5, 12)
WIDE = stencil(0.5, 12, accuracy=4)
OUTSIDE = stencil(0.5, 12, boundary=(2.0, "reflect"))
LEVELS = stencil(None, 12)


def nothing(values, slopes):
    return slopes


# Field 0 times field 1, plus field 3, along axis 1; field 3 alone along axis 0 by the levels of
# field 2; field 4 alone along axis 1, further.
MIXED = Program(
    (((0, 1), (3, None)), ((3, None),), ((4, None),)),
    (Derivative(0, 1, OUTSIDE), Derivative(1, 0, LEVELS, 2, "no"), Derivative(2, 1, WIDE)),
    nothing,
    2,
    (PoleRow(0, 1, 0, 5), PoleRow(1, 1, -1, 6)),
)


def test_axes_and_halos():
    assert MIXED.axes == (0, 1)
    assert [MIXED.halo(i) for i in range(6)] == [{1: 1}, {1: 1}, {0: 1}, {0: 1, 1: 1}, {1: 2}, {}]
    twice = Program((((0, None),),), (Derivative(0, 1, PLAIN), Derivative(0, 1, WIDE)))
    assert twice.halo(0) == {1: 2}
    assert twice.axes == (1,)
    assert [len(MIXED.stencils(axis)) for axis in range(3)] == [1, 2, 0]


def test_roles_of_fields():
    assert [MIXED.is_factor(i) for i in range(5)] == [False, True, True, False, False]
    assert [MIXED.is_coordinate(i) for i in range(5)] == [False, False, True, False, False]
    assert [MIXED.is_alone(i) for i in range(6)] == [False, False, False, False, True, False]


def test_a_factor_goes_on_where_a_number_is_held():
    assert MIXED.fills(1, 0) == (2.0, "reflect")
    assert MIXED.fills(1, 1) == ("extend", "reflect")
    assert MIXED.fills(1, 4) == (None, None)
    assert single(OUTSIDE.cut(3, 12), 0).fills(0, 0) == (None, "reflect")
    both = Program((((0, None),),), (Derivative(0, 0, OUTSIDE), Derivative(0, 1, PLAIN)))
    assert both.fills(1, 0) == (None, None)


def test_ends_and_windows():
    """One window inside each; WIDE has two rows at each end, LEVELS one, OUTSIDE none."""
    assert len(MIXED.ends) == 6
    assert len(MIXED.windows) == 3 + 2 + 4
    assert len(MIXED.interior().windows) == 3
    assert MIXED.interior().ends == []
    assert len(MIXED.cut({0: (1, 11), 1: (1, 12)}).ends) == 2


def test_rows_unlike_those_further_in():
    """Edge rows of WIDE read five points, three beyond its halo; a mirror needs one more."""
    assert (MIXED.edge(0, 0), MIXED.edge(0, 1)) == (1, 1)
    assert (MIXED.edge(1, 0), MIXED.edge(1, 1)) == (3, 3)
    assert (single(OUTSIDE, 0).edge(0, 0), single(OUTSIDE, 0).edge(0, 1)) == (1, 2)


def test_poles_at_which_a_block_lies():
    assert MIXED.poles_here == list(MIXED.pole_rows)
    assert MIXED.cut({0: (0, 12), 1: (0, 6)}).poles_here == [MIXED.pole_rows[0]]
    assert MIXED.cut({0: (0, 12), 1: (6, 12)}).poles_here == [MIXED.pole_rows[1]]
    assert MIXED.cut({0: (0, 12), 1: (3, 9)}).poles_here == []
    alone = replace(single(PLAIN, 0), pole_rows=(PoleRow(0, 0, 0, 1), PoleRow(0, 0, -1, 1)))
    assert alone.outputs == 1
    assert alone.poles_here == list(alone.pole_rows)


def test_axes_of_transposed_blocks():
    turned = MIXED.transposed({0: 1, 1: 0})
    assert [d.axis for d in turned.derivatives] == [0, 1, 0]
    assert [pole.axis for pole in turned.pole_rows] == [0, 0]
    assert [pole.end for pole in turned.pole_rows] == [0, -1]


def test_where_compilers_have_the_bits_of_numpy():
    levels = single(LEVELS, 0, 1)
    four = stencil(None, 12, order=2, edge_order=2, skipna=True)
    assert max(len(window.offsets) for window in four.windows) == 4
    assert not single(four, 0, 1).has_numpy_bits(np.dtype("f4"))
    many = single(stencil(None, 12, accuracy=4), 0, 1)
    real, complex_numbers = np.dtype("f4"), np.dtype("c8")
    assert levels.has_numpy_bits(real)
    assert levels.has_numpy_bits(complex_numbers)
    assert not many.has_numpy_bits(real)
    assert single(WIDE, 0).has_numpy_bits(real)
    assert MIXED.has_numpy_bits(real)
    assert not MIXED.has_numpy_bits(complex_numbers)


def test_a_structure_has_no_numbers():
    bare = MIXED.structure()
    assert bare.pole_rows == ()
    assert [d.error_text for d in bare.derivatives] == ["", "", ""]
    assert all(window.weights is None for window in bare.windows)
    assert len(bare.windows) == len(MIXED.windows)
    ends = structure_of(OUTSIDE).low, structure_of(OUTSIDE).high
    assert [(end.rows, end.fill) for end in ends] == [((), None), ((), None)]
    open_ends = structure_of(OUTSIDE.cut(1, 11))
    assert (open_ends.low, open_ends.high) == (None, None)


def test_what_stencils_multiply_and_divide_by():
    """Differences are divided by two steps inside, and by one at an end."""
    windows, low, high = weights_of(PLAIN, np.asarray)
    assert [each[0].tolist() for each in (windows, low, high)] == [[[1.0]], [[0.5]], [[0.5]]]
    windows, low, high = weights_of(PLAIN, np.asarray, inverted=True)
    assert [each[0].tolist() for each in (windows, low, high)] == [[[1.0]], [[2.0]], [[2.0]]]
    # Two differences, divided by the square of a step; and three values, which are multiplied.
    second = stencil(0.5, 12, order=2)
    assert_array_equal(weights_of(second, np.asarray, inverted=True)[0][0], [[4], [4]])
    parabola = stencil(0.5, 12, edge_order=2)
    assert_array_equal(weights_of(parabola, np.asarray, inverted=True)[1][0], [[-3], [4], [-1]])
    assert weights_of(LEVELS, np.asarray) == ([None], [None], [None])
    assert weights_of(PLAIN.cut(1, 11), np.asarray)[1:] == ([], [])


def test_numbers_follow_the_formula():
    plain = single(PLAIN, 0)
    assert numbers(plain, F8)[0][1][0].tolist() == [[0.5]]
    assert numbers(plain, np.dtype("f4"))[0][1][0].dtype == "f4"
    followed = Program(plain.operands, plain.derivatives, nothing)
    assert numbers(followed, F8)[0][1][0].tolist() == [[2.0]]


def test_weights_in_units_of_a_power_of_two():
    """Of steps of 1e-200 the second derivative has weights of 1e400."""
    extreme = single(stencil(np.arange(5) * 1e-200, 5, order=2), 0)
    assert extreme.is_scaled
    assert not MIXED.is_scaled
    made = weights_of(extreme.derivatives[0].stencil, np.asarray)[0][0]
    assert isinstance(made, Scaled)
    assert np.isfinite(made.weights).all()
    assert (np.abs(np.log10(np.abs(made.weights)) + made.exponent * np.log10(2) - 400) < 1).all()
