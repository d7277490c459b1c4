"""Spacings, periods and ends of an axis, each alone: closed forms, and numpy.polyfit."""

from __future__ import annotations

from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.errors import OptionError
from fdgrad_dask.stencils.boundary import (
    boundary_pair,
    check_options,
    check_period,
    extended,
    floats,
    full_turn,
    regular_points,
    spacing,
    step_range,
)

AROUND = "periodic"

# -- conditions ------------------------------------------------------------------------------


def test_one_condition_is_that_of_both_ends():
    assert boundary_pair("extend") == ("extend", "extend")
    assert boundary_pair(["reflect", None]) == ("reflect", None)
    for number in (np.array(2.5), jnp.array(2.5, "f4"), np.array(5)):
        for end in boundary_pair(number) + boundary_pair((number, number)):
            assert isinstance(end, np.number)
            assert end == number
    assert type(boundary_pair(np.array(2.5, "f4"))[0]) is np.float32
    assert type(boundary_pair(jnp.array(2.5, "bfloat16"))[0]) is np.float64
    for other in (np.array([1.0, 2.0]), np.array(True), np.float32(2), Decimal(2)):
        assert boundary_pair((None, other))[1] is other
    with pytest.raises(OptionError, match="a pair for two"):
        boundary_pair((1, 2, 3))


def test_what_may_stand_outside():
    for end in (
        1,
        2.5,
        1j,
        np.float32(3),
        np.array(2.0),
        jnp.array(2),
        np.array(1, "u1"),
        "reflect",
    ):
        check_options(1, 2, 1, end, None)
        check_options(2, 8, 2, None, end)
    for end in (True, np.array(True), np.array([1.0]), np.array("x"), "fold", "wrap", object()):
        with pytest.raises(OptionError, match="the number that stands outside"):
            check_options(1, 2, 1, end, None)
        with pytest.raises(OptionError, match="the number that stands outside"):
            check_options(1, 2, 1, None, end)


def test_a_period_belongs_to_an_axis_that_is_periodic():
    for boundary in (AROUND, (AROUND, AROUND), {"lat": None, "lon": AROUND}):
        check_period(boundary, 360.0)
    for boundary in (None, "reflect", {"lat": "extend"}, {}, AROUND):
        check_period(boundary, None)
    for boundary in (None, "reflect", (None, 2.0), {"lat": "extend"}, {}):
        with pytest.raises(OptionError, match="say boundary='periodic' too"):
            check_period(boundary, 360.0)


# -- spacings --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.5, -0.5])
def test_an_even_axis_is_its_step(step):
    points = 3 + step * np.arange(8)
    for given in (step, points, points.astype("f4")):
        for periodic, period in ((False, None), (True, None), (True, 4.0), (True, 4.0 + 4e-7)):
            got, even = spacing(given, 8, periodic, period, "x")
            assert got == step
            assert even is True
    assert spacing(None, 8, False, None, "x") == (None, False)
    got, even = spacing(np.arange(8, dtype="u1")[::-1], 8, False, None, "x")
    assert (got, even) == (-1, True)


@pytest.mark.parametrize("period", [4.5, 4.0 + 6e-7, 3.6])
def test_a_period_that_leaves_a_gap_makes_an_axis_uneven(period):
    for given in (0.5, 0.5 * np.arange(8)):
        points, even = spacing(given, 8, True, period, "x")
        assert even is False
        assert_array_equal(points, 0.5 * np.arange(8))


def test_points_whose_steps_differ_by_a_bit_are_uneven():
    off = 0.1 * np.arange(9)
    points, even = spacing(off, 9, False, None, "x")
    assert even is False
    assert_array_equal(points, off)
    of_float32 = (1 / 3 * np.arange(5)).astype("f4")
    points, even = spacing(of_float32, 5, False, None, "x")
    assert points.dtype == np.float64
    assert_array_equal(points, of_float32)


def test_points_without_values_are_floats():
    """Integers of 4 bytes are counted from the first one, others are cast."""
    decided = []

    def trace(points):
        floats, even = spacing(points, 4, True, 9.0, "x")
        decided.append(even)
        return floats

    with jax.enable_x64(True):
        large = np.array([2**30 + 5, 2**30 + 6, 2**30 - 2**17, -(2**31)], "i4")
        points = jax.jit(trace)(large)
        assert points.dtype == np.float64
        assert_array_equal(points, [0, 1, -(2**17) - 5, -(2**31) - 2**30 - 5])
        for shape, is_even in (((4,), False), ((), True)):
            for given, wanted in {"i4": "f8", "i2": "f4", "f2": "f4", "f4": "f4"}.items():
                made = jax.eval_shape(trace, jax.ShapeDtypeStruct(shape, given))
                assert made == jax.ShapeDtypeStruct(shape, wanted)
                assert decided[-1] is is_even
    with pytest.raises(OptionError, match="no values yet; give period="):
        spacing(points, 4, True, None, "x")


# -- periods, regular points, and large integers ----------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_the_full_turn_is_a_step_more_than_the_span(dtype):
    for points in (np.arange(0, 360, 3), np.arange(357, -3, -3)):
        assert full_turn(points.astype(dtype)) == 360.0
    assert full_turn(np.array([0, 1, 2, 4]).astype(dtype)) is None
    assert full_turn(np.full(4, 7).astype(dtype)) is None


def test_steps_may_differ_by_the_rounding_of_a_coordinate():
    points = np.arange(10.0)
    for off, turn in ((0.9e-4, 10.0), (1.1e-4, None)):
        points[4] = 4 + off
        assert full_turn(points) == turn
    coarse = (1000 + np.arange(8) / 64).astype("f4")
    coarse[3] += np.float32(2.0**-13)  # two units of the last place
    assert full_turn(coarse) == 8 / 64
    coarse[3] += np.float32(2.0**-14)
    assert full_turn(coarse) is None
    assert full_turn((1000 + np.arange(8) / 1024).astype("f4")) is None


@pytest.mark.parametrize("step", [0.07, -0.07])
def test_regular_points_lie_on_the_line_of_least_squares(step):
    points = (300 + np.arange(40) * step).astype("f4")
    rebuilt = regular_points(points)
    slope, start = np.polyfit(np.arange(40), points.astype("f8"), 1)
    assert_allclose(rebuilt, start + slope * np.arange(40), rtol=1e-13)
    assert rebuilt.dtype == np.float64
    of_three = np.array([1, 4 / 3, 5 / 3], "f4")
    assert_allclose(
        regular_points(of_three), np.polyval(np.polyfit([0, 1, 2], of_three, 1), [0, 1, 2])
    )
    unit = np.spacing(points.max())
    far = points.copy()
    far[7] += 3 * unit
    narrow = (300 + np.arange(40) * 3.7 * float(unit)).astype("f4")
    wide = (300 + np.arange(40) * 4.6 * float(unit)).astype("f4")
    assert regular_points(wide) is not wide
    for other in (far, narrow, points.astype("f8"), points[:2], 0.5 * np.arange(9, dtype="f4")):
        assert regular_points(other) is other
    # float64 has no need of it, and of less than three points any are even.
    for other in (0.1 * np.arange(40), np.array([3, 4, 5, 7]), np.array([1.5], "f4")):
        assert regular_points(other) is other


@pytest.mark.parametrize(("dtype", "first"), [("i8", -(2**62)), ("u8", 2**63 + 3), ("i8", 2**53)])
def test_large_integers_are_counted_from_the_first(dtype, first):
    steps = [0, 1, 2**33 + 1, 2**34 - 1, 5]
    integers = np.array([first + each for each in steps], dtype)
    assert_array_equal(floats(integers), steps)
    assert_array_equal(floats(np.stack([integers, integers + 3])), [steps, np.add(steps, 3)])


def test_integers_that_float64_has_are_left_alone():
    for integers in (np.array([2**53, 3]), np.array([-7, 200]), np.array([3, 4], "u4")):
        assert_array_equal(floats(integers), integers)
    assert floats(np.array([], "i8")).shape == (0,)


@pytest.mark.parametrize("turn", [1, -1])
def test_what_stands_beyond_the_ends_of_a_coordinate(turn):
    x = turn * np.array([10.0, 11.0, 13.0, 16.0, 20.0])
    wrapped = turn * np.array([4, 8, 10, 11, 13, 16, 20, 22, 23.0])
    assert_array_equal(extended(x, 2, "periodic", 12.0), wrapped)
    mirrored = turn * np.array([7, 9, 10, 11, 13, 16, 20, 24, 27.0])
    assert_array_equal(extended(x, 2, "reflect", None), mirrored)
    assert_array_equal(extended(x, 2, None, None), mirrored)


def test_a_turn_leads_from_the_first_point_to_the_last():
    """Also where the points between them are on the other side of the first."""
    x = np.array([2.0, 1.0, 4.0, 0.0, 5.0])
    assert_array_equal(extended(x, 2, "periodic", 10.0), [-10, -5, 2, 1, 4, 0, 5, 12, 11])
    x = np.array([3.0, 4.0, 0.0, 5.0, 1.0])
    assert_array_equal(extended(x, 2, "periodic", 10.0), [15, 11, 3, 4, 0, 5, 1, -7, -6])


def test_the_range_of_steps():
    assert step_range(0.5) == step_range(np.float64(0.5)) == (0.5, 0.5)
    assert step_range(np.array([1.0, 2.0, 5.0, 5.5])) == (0.5, 3.0)
    assert step_range(np.array([4, 1, -1], "i2")) == (-3.0, -2.0)
    assert step_range(np.array([3, 1], "u1")) == (-2.0, -2.0)
    last = 2**53  # the last integer up to which float64 has all
    assert step_range(np.array([0, last])) == (last, last)
    assert step_range(np.array([-last, 0])) == (last, last)
    unknown = [np.array([0, last + 1]), np.array([-last - 1, 0]), np.float32(2), 1, None]
    unknown += [np.array([0.0, 1.0, end]) for end in (np.inf, -np.inf, np.nan)]
    unknown += [np.array([0, 1], "f4"), np.array([1.0]), np.zeros((2, 2)), [0.0, 1.0]]
    for x in unknown:
        assert step_range(x) is None
