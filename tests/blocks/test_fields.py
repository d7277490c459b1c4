"""How the values of a field are reached, beside `numpy.pad`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ducks import Duck, plain
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks.fields import Ends, ShiftedField, SlicedField
from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.blocks.rows import concatenate, cut, flip, pad, repeat, set_rows
from fdgrad_dask.stencils.stencil import Halves
from fdgrad_dask.stencils.table import stencil

F = np.arange(24.0, dtype="f4").reshape(2, 6, 2) ** 2
BESIDE = -F[:, :3]  # three rows of a neighbour, of which the nearest two are read
PADS = {"periodic": "wrap", "reflect": "reflect", "extend": "edge", "number": "constant"}


def field_of(kind, end, f=F, halos=None):
    """A field with ``end`` on both sides of axis 1, or halos, read two rows far."""
    table = stencil(1.0, 6, accuracy=4, boundary=(end, end))
    block = Block(kind(f), *([{1: kind(halos)}] * 2 if halos is not None else ()))
    as_number = (jnp if kind is jnp.asarray else np).float32
    cls = ShiftedField if kind is jnp.asarray else SlicedField
    return cls.of(0, block, single(table, 1), kind, as_number)


def padded(end):
    """Two rows more at each end."""
    if end == "halo":
        return np.concatenate([BESIDE[:, 1:], F, BESIDE[:, :2]], axis=1)
    options = {"constant_values": 7} if end == "number" else {}
    return np.pad(F, ((0, 0), (2, 2), (0, 0)), PADS[end], **options)


def end_of(end):
    return {"halo": "extend", "number": 7.0}.get(end, end)


ENDS = [*PADS, "halo"]


@pytest.mark.parametrize("end", ENDS)
def test_rows_of_slices(end):
    plain = field_of(np.asarray, end_of(end), halos=BESIDE if end == "halo" else None)
    wanted = padded(end)
    for made in (plain, plain.for_kernel(in_full=True), plain.for_kernel(in_full=False)):
        for offset in range(-2, 3):
            assert_array_equal(made.at(1, offset, (0, 0)), wanted[:, 2 + offset : 8 + offset])
            assert_array_equal(made.at(1, offset, (2, 1)), wanted[:, 4 + offset : 7 + offset])
        for position in range(6):
            assert_array_equal(made.row(1, position, 0), F[:, [position]])
            assert_array_equal(made.row(1, position - 6, 0), F[:, [position]])
        for first in (-2, -1, 6, 7):
            assert_array_equal(made._rows(1, first, 1), wanted[:, [2 + first]])


def test_only_what_crosses_an_end_is_copied():
    made = field_of(np.asarray, "reflect")
    for rows in (made.at(1, 0, (0, 0)), made.at(1, 2, (0, 2)), made.at(1, -2, (2, 0))):
        assert np.shares_memory(rows, F)
    for position in (0, 5, -1, -6):
        assert np.shares_memory(made.row(1, position, 0), F)


def test_one_kernel_serves_all_ends():
    """It is shown rows at both, whatever they are; none where nothing is read, unless in full."""
    for end in ENDS:
        halos = BESIDE if end == "halo" else None
        made = field_of(np.asarray, end_of(end), halos=halos).for_kernel(in_full=False)
        assert made.ends == (Ends(1, 2, ("halo", "halo")),)
        assert list(made.joined) == [1]
    nothing = field_of(np.asarray, None)
    assert nothing.for_kernel(in_full=False).joined == {}
    assert nothing.for_kernel(in_full=False).ends == (Ends(1, 2, (None, None)),)
    assert list(nothing.for_kernel(in_full=True).joined) == [1]


@pytest.mark.parametrize("end", ENDS)
def test_rows_of_complete_arrays(end):
    halos = BESIDE if end == "halo" else None
    made, wanted = field_of(jnp.asarray, end_of(end), halos=halos), padded(end)
    offsets, positions = (-2, 0, 1), (0, 5, -1, -6, 7, -8)

    @jax.jit
    def read(field):
        rows = [field.row(1, position, 0) for position in positions]
        return [field.at(1, offset, (1, 1)) for offset in offsets], rows

    shifted, rows = read(made)
    for offset, got in zip(offsets, shifted, strict=True):
        assert_array_equal(got, wanted[:, 2 + offset : 8 + offset])
    for position, got in zip(positions, rows, strict=True):
        at = 2 + position if position >= 0 else 8 + position
        assert_array_equal(got, wanted[:, [at]])


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_rows_beside_a_single_one(kind):
    """Those of the neighbours that lie nearest, on either side."""
    made = field_of(kind, "extend", F[:, :1], BESIDE)
    for position, wanted in ((0, F[:, :1]), (1, BESIDE[:, :1]), (2, BESIDE[:, 1:2])):
        got = made.row(1, position, 0) if kind is jnp.asarray else made.at(1, position, (0, 0))
        assert_array_equal(got, wanted)
    assert_array_equal(made.at(1, -1, (0, 0)), BESIDE[:, 2:])


def test_edge_rows_in_their_places():
    sliced, shifted = field_of(np.asarray, None), field_of(jnp.asarray, None)
    low, high = [-F[:, [0]], -F[:, [1]]], [-F[:, [5]]]
    wanted = np.concatenate([-F[:, :2], F[:, 2:5], -F[:, 5:]], axis=1)
    assert_array_equal(sliced.assemble(1, 6, F[:, 2:5], low, high), wanted)
    same = sliced.assemble(1, 6, F[:, :1], low, high)
    assert_array_equal(same[:, 2:5], np.repeat(F[:, :1], 3, axis=1))
    assert_array_equal(sliced.assemble(1, 3, None, low, high), wanted[:, [0, 1, 5]])
    assert sliced.assemble(1, 6, F, [], []) is F
    edge, places = np.full((1, 1, 1), 9.0), ((2, 1), (2, -1), (1, -6), (0, 1))

    @jax.jit
    def compute(f):
        placed = [shifted.place(axis, f, edge, at) for axis, at in places]
        return placed, shifted.assemble(1, 6, f, low, high)

    placed, assembled = compute(F)
    assert_array_equal(assembled, wanted)
    for (axis, at), got in zip(places, placed, strict=True):
        out = F.copy()
        out[(slice(None),) * axis + (at,)] = 9
        assert_array_equal(got, out)
        assert got.dtype == "f4"


def test_what_does_not_vary_is_the_same_everywhere():
    for kind in (np.asarray, jnp.asarray):
        made = field_of(kind, "extend", F[:, :1])
        assert made.ends_along(1) is None
        assert made.ends_along(0) is None
        assert made.at(1, 2, (1, 0)) is made.core
        assert made.row(1, 3, 0) is made.core
        assert field_of(kind, "extend", F[:, :1], BESIDE).ends_along(1) is not None


def test_integers_in_halves():
    """The upper and the lower 32 bits of each, also of what stands outside."""
    f = np.array([[[2**60 + 5, -3]] * 6])
    table = stencil(1.0, 6, boundary=(2**53 + 1, 2.5))
    made = SlicedField.of(0, Block(f), single(table, 1), np.asarray, np.asarray)
    assert made.is_halved
    read = made.at(1, 0, (0, 0))
    assert isinstance(read, Halves)
    assert read.bits == 32
    assert_array_equal(read.high[0, 0], [2**28, -1])
    assert_array_equal(read.low[0, 0], [5, 2**32 - 3])
    assert read.high.dtype == read.low.dtype == "f8"
    before, behind = made.at(1, -1, (0, 0)), made.at(1, 1, (0, 0))
    assert (before.high[0, 0, 0], before.low[0, 0, 0]) == (2**21, 1)
    assert (behind.high[0, -1, 0], behind.low[0, -1, 0]) == (0, 2.5)
    assert_array_equal((read - before)[0, 0], [2**60 + 4 - 2**53, -4 - 2**53])
    assert made.halves() is made.halves()
    large = stencil(1.0, 6, boundary=(2.0**62, None))
    core = np.full((1, 6, 1), 2**62 + 1)
    made = SlicedField.of(0, Block(core), single(large, 1), np.asarray, np.asarray)
    assert (made.at(1, 0, (0, 0)) - made.at(1, -1, (0, 0)))[0, 0, 0] == 1
    plain = single(stencil(1.0, 6), 0)
    high, low = SlicedField.of(0, Block(np.int8([-77])), plain, np.asarray, np.int8).halves()
    assert (high.core.item(0), low.core.item(0)) == (-5, 3)


def test_rows_of_either_kind_of_array():
    def move(f):
        return cut(f, 1, 2, 4), flip(f, 1), repeat(f[:, :1], 3, 1), concatenate([f, f[:, :1]], 1)

    joined = np.concatenate([F, F[:, :1]], axis=1)
    wanted = F[:, 2:4], F[:, ::-1], np.repeat(F[:, :1], 3, axis=1), joined
    for got in (move(F), jax.jit(move)(F)):
        for made, each in zip(got, wanted, strict=True):
            assert_array_equal(made, each)
    assert {type(each) for each in move(F)} == {np.ndarray}
    for made, each in zip(move(Duck(F)), wanted, strict=True):
        assert type(made) is Duck
        assert_array_equal(plain(made), each)
    masked = np.ma.masked_equal(F, 4)
    assert concatenate([F, masked], 1).mask.sum() == 1

    @jax.jit
    def shift(f):
        return pad(f, 1, -1, 1)[:, :5], pad(f, 1, 1, -1)[:, 1:], set_rows(f, f[:, :2], 1, 2)

    changed = F.copy()
    changed[:, 2:4] = F[:, :2]
    for made, each in zip(shift(F), (F[:, 1:], F[:, :5], changed), strict=True):
        assert_array_equal(made, each)


def test_kinds_of_ends():
    program = single(stencil(1.0, 6, boundary=("reflect", 3.0)), 1)
    made = SlicedField.of(0, Block(F), program, np.asarray, np.float32)
    assert made.ends == (Ends(1, 1, ("reflect", "number")),)
    assert made.beyond == {1: (None, 3.0)}
    beside = SlicedField.of(0, Block(F, {}, {1: BESIDE}), program, np.asarray, np.float32)
    assert beside.ends == (Ends(1, 1, ("reflect", "halo")),)
