"""Fields on several devices, as one device sees them; and how an array is divided among many."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.blocks.sharded import Division, find_division, is_on_many
from fdgrad_dask.blocks.shards import Divided, Shard
from fdgrad_dask.stencils.table import stencil

F = np.arange(24.0, dtype="f4").reshape(2, 6, 2) ** 2
PADS = {"periodic": "wrap", "reflect": "reflect", "extend": "edge", "number": "constant"}


def divided(end, f=F):
    """A field with ``end`` on both sides of axis 1, read two rows far."""
    outside = 7.0 if end == "number" else end
    table = stencil(1.0, 6, accuracy=4, boundary=(outside, outside))
    return Divided.of(0, Block(jnp.asarray(f)), single(table, 1), jnp.asarray, jnp.float32)


@pytest.mark.parametrize("end", PADS)
def test_shifts_of_a_complete_field(end):
    options = {"constant_values": 7} if end == "number" else {}
    wanted = np.pad(F, ((0, 0), (2, 2), (0, 0)), PADS[end], **options)
    offsets = range(-2, 3)
    made = jax.jit(lambda field: [field.at(1, offset, (0, 0)) for offset in offsets])(divided(end))
    for offset, got in zip(offsets, made, strict=True):
        assert_array_equal(got, wanted[:, 2 + offset : 8 + offset])
    one = divided(end, F[:, :1])
    assert one.at(1, 1, (0, 0)) is one.core
    assert one.row(1, 3, 0) is one.core


def test_shifts_beyond_an_end_where_edge_rows_read_nothing():
    made = jax.jit(lambda field: [field.at(1, offset, (0, 0)) for offset in (-1, 2)])(divided(None))
    assert_array_equal(made[0][:, 1:], F[:, :5])
    assert_array_equal(made[1][:, :4], F[:, 2:])


def test_rows_in_the_places_of_edge_rows():
    """Row ``position``, in place ``at`` of an array of all rows."""
    field, asked = divided(None), [(0, 0), (2, 0), (1, 1), (-1, -1), (-3, -1), (-2, -2), (3, -1)]

    def read(field):
        rows = [field.row(1, position, at) for position, at in asked]
        return rows, [field.place(1, field.core, -field.core, at) for at in (0, 2, -1, -6)]

    rows, placed = jax.jit(read)(field)
    for (position, at), got in zip(asked, rows, strict=True):
        assert_array_equal(got[:, at], F[:, position])
    for at, got in zip((0, 2, -1, -6), placed, strict=True):
        want = F.copy()
        want[:, at] *= -1
        assert_array_equal(got, want)
    wide = jax.jit(lambda field: field.place(1, field.core, field.core[:, :1], 2))(field)
    assert_array_equal(wide[:, 2], F[:, 0])


def test_integers_in_halves():
    with jax.enable_x64(True):
        core = jnp.asarray(np.full((1, 6, 1), 2**60 + 5))
        program = single(stencil(1.0, 6, accuracy=4), 1)
        field = Divided.of(0, Block(core), program, jnp.asarray, jnp.float64)
        read, row = field.at(1, 1, (0, 0)), field.row(1, 2, 2)
        assert (read.high[0, 0, 0], read.low[0, 0, 0]) == (2**28, 5)
        assert (row.high[0, 2, 0], row.low[0, 2, 0]) == (2**28, 5)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_last", [True, False])
def test_edge_rows_are_those_of_the_shards_at_the_ends(is_first, is_last):
    is_end = {1: (jnp.asarray(is_first), jnp.asarray(is_last))}
    shard = Shard(jnp.asarray(F), {}, (), is_end)
    edge = jnp.full((1, 1, 1), 9.0)
    first, last, other = jax.jit(
        lambda s: [s.place(1, s.core, edge, at) for at in (0, -1)] + [s.place(0, s.core, edge, 1)]
    )(shard)
    low, high, across = F.copy(), F.copy(), F.copy()
    low[:, 0] = 9 if is_first else low[:, 0]
    high[:, -1] = 9 if is_last else high[:, -1]
    across[1] = 9
    for got, want in ((first, low), (last, high), (other, across)):
        assert_array_equal(got, want)


# -- how an array is divided -------------------------------------------------------------------

MESH = SimpleNamespace(shape={"a": 2, "b": 3, "c": 4}, axis_names=("a", "b", "c"))
DIVISION = Division(MESH, (12, 5, 24), (("a",), (), ("c", "b")))


def test_shards_are_counted_in_the_order_of_the_mesh():
    assert [DIVISION.count(axis) for axis in range(3)] == [2, 1, 12]
    assert DIVISION.order(0) == (("a",), [0, 1])
    names, numbers = DIVISION.order(2)  # shard 3·c + b is device 4·b + c
    assert names == ("b", "c")
    assert numbers == [4 * b + c for c in range(4) for b in range(3)]


def test_how_fields_and_weights_are_sharded():
    spec, of_weights = DIVISION.spec, DIVISION.weights_spec
    assert spec(np.empty((12, 5, 24))) == PartitionSpec("a", None, ("c", "b"))
    assert spec(np.empty((12, 5, 1))) == PartitionSpec("a", None, None)
    assert spec(np.empty(())) == PartitionSpec()
    assert of_weights(2, np.empty((3, 24))) == PartitionSpec(None, ("c", "b"))
    assert of_weights(2, np.empty((3, 1))) == PartitionSpec(None, None)
    assert of_weights(1, np.empty((3, 5))) == PartitionSpec(None, None)


@pytest.mark.parametrize(
    ("axis", "shape", "options", "wanted"),
    [
        (2, (12, 5, 24), {}, True),
        (2, (12, 5, 12), {}, True),
        (2, (12, 5, 12), {"accuracy": 4}, False),
        (2, (12, 5, 36), {"accuracy": 4}, True),
        (2, (12, 5, 23), {}, False),
        (0, (13, 5, 24), {}, False),
        (2, (12, 5, 48), {"accuracy": 8, "boundary": ("reflect", "extend")}, False),
        (2, (12, 5, 48), {"accuracy": 8, "boundary": ("extend", "reflect")}, False),
        (2, (12, 5, 60), {"accuracy": 8, "boundary": ("reflect", "extend")}, True),
        (2, (12, 5, 48), {"accuracy": 8, "boundary": ("extend", "extend")}, True),
        (1, (12, 2, 24), {}, True),
    ],
    ids=str,
)
def test_where_shards_are_alike_and_large_enough(axis, shape, options, wanted):
    division = Division(MESH, shape, DIVISION.names)
    assert division.has_room(single(stencil(1.0, shape[axis], **options), axis)) is wanted


def test_one_device_is_not_many():
    there = jnp.asarray(F)
    assert not is_on_many(there)
    assert not is_on_many(F)
    assert find_division([F, there], F.shape) is None
    mesh = jax.make_mesh((1,), ("x",))
    sharding = NamedSharding(mesh, PartitionSpec("x"))
    assert find_division([jax.device_put(F, sharding)], F.shape) is None
    assert jax.jit(lambda f: f * is_on_many(f))(there).sum() == 0
