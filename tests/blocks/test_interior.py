"""Blocks as rows and columns: which elements these are, and how factors broadcast against them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks import interior
from fdgrad_dask.blocks.fields import SlicedField
from fdgrad_dask.blocks.interior import Broadcast, Frame, InPlace

SHAPE = (4, 3, 5)
VARYING = [(1, 1, 1), (4, 1, 1), (1, 3, 1), (1, 1, 5), (4, 3, 1), (1, 3, 5), (4, 1, 5), SHAPE]


@pytest.fixture(autouse=True)
def columns(monkeypatch):
    monkeypatch.setattr(interior, "COLUMNS", 8)


def test_rows_and_columns_by_hand():
    assert Frame(SHAPE, 1, 1).full == (4, 15)
    assert Frame(SHAPE, 1, 1).inner == (2, 15)
    assert Frame(SHAPE, 1, 1).start == 15
    assert Frame(SHAPE, 2, 3).full == (12, 5)
    assert Frame(SHAPE, 2, 3).inner == (6, 5)
    assert Frame(SHAPE, 2, 3).start == 15
    assert Frame(SHAPE, 0, 2).full == (8, 8)  # 60 elements, and 4 behind them
    assert Frame(SHAPE, 0, 2).inner == (3, 8)
    assert Frame(SHAPE, 0, 2).start == 16
    assert Frame((4, 4, 4), 0, 0).full == (8, 8)


def inside(frame, array):
    """The elements of an array that fills the block, where the frame computes."""
    first = frame.start
    flat = np.broadcast_to(array, frame.shape).ravel()
    return flat[first : first + np.prod(frame.inner)].reshape(frame.inner)


@pytest.mark.parametrize("split", [0, 1, 2])
def test_factors_broadcast_against_rows_and_columns(split):
    """No larger than they must be: one row, one column or one number where that is all."""
    frame = Frame(SHAPE, split, 1)
    arrays = [np.random.default_rng(1).random(shape, "f4") for shape in VARYING]
    made = jax.jit(lambda given: [frame.broadcast(array) for array in given])(arrays)
    for array, got in zip(arrays, made, strict=True):
        assert_array_equal(np.broadcast_to(got, frame.inner), inside(frame, array))
        if split:
            many = np.prod(array.shape[:split]) > 1, np.prod(array.shape[split:]) > 1
            assert (got.shape[0] > 1, got.shape[1] > 1) == many
    assert made[0].shape == (1, 1)


def test_factors_of_two_rows_or_columns_vary():
    for shape, varying in (((2, 3, 5), (2, 1, 5)), ((3, 4, 2), (3, 1, 2))):
        frame, array = Frame(shape, 2, 1), np.random.default_rng(3).random(varying, "f4")
        got = np.broadcast_to(frame.broadcast(jnp.asarray(array)), frame.inner)
        assert_array_equal(got, inside(frame, array))


@pytest.mark.parametrize("split", [0, 1, 2])
def test_steps_along_an_axis_are_constant_offsets(split):
    frame = Frame(SHAPE, split, [2, 1, 3][split])
    memory = np.arange(3.0 + 60 + 16, dtype="f4")
    view = InPlace(jnp.asarray(memory), np.int64(3), frame)
    strides = (15, 5, 1)
    for axis, stride in enumerate(strides):
        for offset in (-1, 0, 1):
            first = 3 + frame.start + offset * stride
            want = memory[first : first + np.prod(frame.inner)].reshape(frame.inner)
            assert_array_equal(view.at(axis, offset, (0, 0)), want)


def test_a_field_of_some_axes_is_read_as_it_is_and_then_broadcast():
    frame, core = Frame(SHAPE, 1, 1), np.random.default_rng(2).random((1, 3, 5), "f4")
    view = Broadcast(SlicedField(jnp.asarray(core), {}, ()), frame)
    assert view.core is view.given.core
    assert_array_equal(np.broadcast_to(view.at(1, 1, (0, 0)), (2, 15)), inside(frame, core))
