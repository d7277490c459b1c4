"""Small blocks and central differences without a program, beside values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.blocks import buffers, central, compute
from fdgrad_dask.blocks.central import differentiate_centrally, suits_central
from fdgrad_dask.blocks.program import Block, Derivative, Program, single
from fdgrad_dask.blocks.small import (
    compute_in_numpy,
    compute_in_slices,
    has_large_integers,
    slice_field,
)
from fdgrad_dask.stencils.table import stencil

F8, F4 = np.dtype("f8"), np.dtype("f4")
EVEN = (0.5, 0.5)
SQUARES = np.arange(12.0) ** 2


def test_integers_that_float64_does_not_have():
    limit = 2**53
    for core, wanted in (
        ([limit, 0], True),
        ([limit - 1, 0], False),
        ([-limit, 1], True),
        ([1 - limit, 1], False),
        ([], False),
    ):
        block = Block(np.array(core, "i8"))
        assert has_large_integers(block) is wanted
        assert has_large_integers(Block(np.zeros(2, "i4"), {0: block.core})) is wanted
        assert has_large_integers(Block(np.zeros(2, "i4"), {}, {0: block.core})) is wanted
        assert not has_large_integers(Block(np.ma.array(block.core)))
        assert not has_large_integers(Block(block.core.astype("f8")))
    assert has_large_integers(Block(np.array([2**63], "u8")))
    assert not has_large_integers(Block(np.array([2**31], "u4")))


def test_fields_in_the_dtype_of_their_computation():
    table = stencil(0.5, 3, boundary=(2, 2.5))
    program, large = single(table, 0), np.array([2**60, 1, 2])
    made = slice_field(0, Block(large), program, F4)
    assert made.core is large
    low, high = made.beyond[0]
    assert (low.dtype.kind, low.item(), high.dtype, high.item()) == ("i", 2, "f4", 2.5)
    made = slice_field(0, Block(np.arange(3)), program, F4)
    assert (made.core.dtype, made.beyond[0][0].dtype) == ("f4", "f4")
    both = Program((((0, None), (1, None)),), (Derivative(0, 0, table),))
    assert slice_field(0, Block(large), both, F8).core.dtype == "f8"
    levels = single(stencil(None, 3), 0, 1)
    assert slice_field(1, Block(np.arange(3.0)), levels, F4).core.dtype == "f8"
    assert slice_field(0, Block(np.arange(3.0)), levels, F4).core.dtype == "f4"
    days = np.array(["2000-01-01", "2000-01-03"], "M8[D]")
    made = slice_field(0, Block(days), program, F8)
    assert made.core.dtype == "m8[D]"
    assert np.diff(made.core)[0] == np.timedelta64(2, "D")
    spans = days - days[0]
    assert slice_field(0, Block(spans), program, F8).core is spans


def test_fields_that_are_as_they_shall_be_are_not_copied():
    program = single(stencil(0.5, 12), 0)
    assert slice_field(0, Block(SQUARES), program, F8).core is SQUARES


RANDOM = np.random.default_rng(1).standard_normal(50)
UNEVEN = np.cumsum(0.1 + np.random.default_rng(2).random(50))


def test_weights_are_as_wide_as_their_data():
    """But for masked arrays, which get the bits of `numpy.gradient`."""
    program, f = single(stencil(UNEVEN, 50), 0), RANDOM.astype("f4")
    (made,) = compute_in_numpy({0: Block(np.ma.array(f))}, (50,), program, F4)
    assert_array_equal(made, np.gradient(np.ma.array(f), UNEVEN))
    assert (made.dtype, type(made)) == (F4, np.ma.MaskedArray)
    (made,) = compute_in_numpy({0: Block(f)}, (50,), program, F4)
    assert made.dtype == F4
    assert_allclose(made, np.gradient(RANDOM, UNEVEN), rtol=1e-5, atol=1e-5)
    assert (made != np.gradient(f, UNEVEN)).any()
    spans = np.array([0, 2, 8], "m8[s]")
    (made,) = compute_in_numpy({0: Block(spans)}, (3,), single(stencil(2.0, 3), 0), spans.dtype)
    assert_array_equal(made, np.gradient(spans, 2.0))


def test_slices_have_the_bits_of_numpy_and_their_results_are_not_remembered():
    program, remembered = single(stencil(UNEVEN, 50), 0), len(buffers._results)
    used = {0: Block(RANDOM.astype("f4"))}
    (made,) = compute_in_slices(used, (50,), program, F4)
    (wanted,) = compute_in_numpy(used, (50,), program, F4)
    assert_array_equal(made, wanted)
    assert made.dtype == F4
    assert len(buffers._results) == remembered


def add_one(values, slopes):
    return [slopes[0] + 1, slopes[0] * values[0]]


def test_programs_in_numpy():
    program = single(stencil(1.0, 12), 0)
    (made,) = compute_in_numpy({0: Block(SQUARES)}, (12,), program, F8)
    assert_array_equal(made, np.gradient(SQUARES))
    followed = Program(program.operands, program.derivatives, add_one, 2)
    first, second = compute_in_numpy({0: Block(SQUARES)}, (3, 12), followed, F4)
    assert first.dtype == second.dtype == "f4"
    assert_array_equal(first, [np.gradient(SQUARES) + 1] * 3)
    assert_array_equal(second, [np.gradient(SQUARES) * SQUARES] * 3)
    masked = np.ma.masked_equal(SQUARES.astype("f4"), 9)
    (made,) = compute_in_numpy({0: Block(masked)}, (12,), single(stencil(0.1, 12), 0), F4)
    assert_array_equal(np.flatnonzero(made.mask), [2, 4])


def test_where_central_differences_are_taken_without_a_program():
    small, f = compute.SMALL, np.zeros((20, 30))

    def suits(f=f, axes=(0,), steps=(EVEN,), edge_order=1):
        return suits_central(f, axes, steps, edge_order)

    assert suits()
    assert suits(edge_order=2)
    assert not suits(edge_order=3)
    assert not suits(f=[1.0, 2.0])
    assert not suits(f=f[:0])
    assert not suits(axes=())
    assert suits(f=f.astype("f4"))
    assert not suits(f=f.astype("f4"), edge_order=2)
    assert not suits(f=f.astype("i4"))
    assert suits(f=f[:2])
    assert not suits(f=f[:1])
    assert not suits(f=f[:2], edge_order=2)
    assert suits(f=f[:3], edge_order=2)
    assert suits(f=np.broadcast_to(0.0, (2 * small,)))
    assert not suits(f=np.broadcast_to(0.0, (2 * small + 1,)))
    assert suits(f=np.broadcast_to(0.0, (7, small)))
    assert not suits(f=np.broadcast_to(0.0, (8, small)))
    assert not suits(f=np.broadcast_to(0.0, (7, small)), axes=(0, 1), steps=(EVEN, EVEN))


def test_steps_of_central_differences(monkeypatch):
    monkeypatch.setattr(compute, "SMALL", 20)

    def suits(*step, size=20, dtype="f8"):
        return suits_central(np.zeros(size, dtype), [0], [step or None], 1)

    assert not suits()
    assert suits(0.5, 2.0)
    assert suits(-2.0, -0.5)
    assert not suits(-1.0, 2.0)
    assert not suits(0.0, 2.0)
    assert not suits(-2.0, 0.0)
    assert not suits(0.5, 2.0, size=21)
    assert suits(0.5, 0.5, size=21)
    assert not suits(0.5, 2.0, dtype="f4")
    assert not suits(0.0, 0.0)
    for sign in (1, -1):
        assert suits(sign * 1e-29, sign * 1e-29)
        assert not suits(sign * 1e-31, sign * 1e-31)
        assert not suits(sign * 1e31, sign * 1e31)
    assert not suits(1e-31, 1.0)
    assert not suits(1.0, 1e31)
    monkeypatch.setattr(compute, "SMALL", 0)
    assert not suits(0.5, 0.5, size=5)


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("axis", [0, 1])
def test_central_differences_have_the_bits_of_numpy(axis, edge_order):
    f = np.random.default_rng(1).standard_normal((6, 7))
    n = f.shape[axis]
    even, uneven = np.arange(n) * 0.5, np.arange(n) ** 2.0
    for points, steps in ((even, EVEN), (uneven, (1.0, 2.0 * n - 3))):
        got = differentiate_centrally(f, axis, points, steps, edge_order)
        wanted = np.gradient(f, points, axis=axis, edge_order=edge_order)
        assert_allclose(got, wanted, rtol=1e-13, atol=1e-13)
    got = differentiate_centrally(f.astype("f4"), axis, even, EVEN, edge_order)
    assert got.dtype == "f4"


@pytest.mark.parametrize("strip", [1, 5, 40])
@pytest.mark.parametrize("n", [3, 4, 12])
def test_strips_and_short_axes(monkeypatch, strip, n):
    """Also where the strips do not fill the axis, and where there is but one row between."""
    f = np.random.default_rng(2).standard_normal((n, 3))
    even, uneven = np.arange(n) * 0.5, np.cumsum(1 + np.arange(n) % 3.0)
    monkeypatch.setattr(central, "STRIP", 3 * strip)
    for points, steps in ((even, EVEN), (uneven, (1.0, 3.0))):
        got = differentiate_centrally(f, 0, points, steps, 1)
        assert_allclose(got, np.gradient(f, points, axis=0), rtol=1e-13, atol=1e-13)
