"""What a task computes and refuses: edge rows, the order of outputs, levels, foreign arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ducks import Duck
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks.program import Block, Derivative, Program, single
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.halo import tasks
from fdgrad_dask.halo.fields import Expansion
from fdgrad_dask.halo.parameters import ChunkParameters, Halo
from fdgrad_dask.halo.tasks import ChunkTask, check_levels, concatenate, is_duck, take_edge_rows
from fdgrad_dask.stencils.table import stencil

F8 = np.dtype("f8")
F = np.random.default_rng(1).standard_normal((6, 5))
ROWS, COLUMNS = stencil(2.0, 6), stencil(0.5, 5)


def test_edge_rows_are_copied_only_from_chunks_that_have_more():
    rows = take_edge_rows(F, {0: 2})
    assert_array_equal(rows[0], F[[0, 1, 4, 5]])
    assert not np.shares_memory(rows[0], F)
    assert take_edge_rows(F, {0: 3})[0] is F
    rows = take_edge_rows(F[:, 0], {1: 1}, Expansion((1,), 2))
    assert_array_equal(rows[1], F[None, [0, 5], 0])


def test_chunks_are_joined_as_what_they_are():
    masked = np.ma.masked_less(F, 0)
    joined = concatenate([masked, masked], 1)
    assert_array_equal(joined.mask, np.tile(masked.mask, 2))
    with jax.enable_x64(True):
        there = jnp.asarray(F)
    joined = concatenate([there, F], 0)
    assert isinstance(joined, jax.Array)
    assert joined.dtype == F8
    assert_array_equal(joined, np.tile(F, (2, 1)))


def test_a_chunk_with_the_edge_rows_of_its_neighbours():
    """Rows 2 and 3 of six; the derivatives come in the order of their numbers, not of axes."""
    program = Program((((0, None),),), (Derivative(0, 1, COLUMNS), Derivative(0, 0, ROWS)), None, 2)
    here = {0: program.derivatives[0]}, {1: program.derivatives[1]._replace(stencil=ROWS.cut(2, 4))}
    halos = [Halo(0, 0, "low", 1, 0), Halo(0, 0, "high", 1, 2)]
    parameters = [ChunkParameters(here[1], {}, halos), ChunkParameters(here[0], {}, [])]
    task = ChunkTask(program, F8, (None,))
    edges = [take_edge_rows(F[:2], {0: 1}), take_edge_rows(F[4:], {0: 1})]
    along_columns, along_rows = task.compute_attached(F[2:4], *edges, parameters)
    assert_array_equal(along_columns, np.gradient(F, 0.5, axis=1)[2:4])
    assert_array_equal(along_rows, np.gradient(F, 2.0, axis=0)[2:4])
    alone = ChunkTask(single(ROWS, 0), F8, (None,))
    whole = [ChunkParameters({0: alone.program.derivatives[0]}, {}, [])]
    assert_array_equal(alone.compute_attached(F, whole), np.gradient(F, 2.0, axis=0))
    turned = ChunkTask(single(ROWS, 0), F8, (Expansion((1, 0), 2),))
    assert_array_equal(turned.compute_alone(F.T), np.gradient(F, 2.0, axis=0))


@pytest.mark.parametrize("fixed", [0, 1])
def test_fields_that_the_graph_carries_are_counted(fixed):
    """Of a product either factor may come with the parameters, at its own number."""
    program = Program((((0, 1),),), (Derivative(0, 0, ROWS),))
    given = [F, 1 + F**2]
    parameters = [
        ChunkParameters({0: program.derivatives[0]}, {fixed: Block(given[fixed])}, []),
        ChunkParameters({}, {}, []),
    ]
    made = ChunkTask(program, F8, (None, None)).compute_attached(given[1 - fixed], parameters)
    assert_array_equal(made, np.gradient(F * (1 + F**2), 2.0, axis=0))


def test_dask_is_told_how_to_join_what_no_metadata_said_is_jax(monkeypatch):
    told, there = [], jnp.asarray(F, "f4")
    monkeypatch.setattr(tasks, "register_jax", told.append)
    task = ChunkTask(single(ROWS, 0), np.dtype("f4"))
    task.compute([Block(F.astype("f4"))])
    assert not told
    task.compute([Block(there)])
    assert told == [type(there)]


# -- coordinates of several dimensions ---------------------------------------------------------

LEVELS = np.array([[1.0, 5.0, 9.0], [2.0, 5.5, 8.0]])


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("sign", [1, -1])
def test_levels_rise_or_fall(kind, sign):
    z = sign * LEVELS
    check_levels(kind(z), 1, "no")
    gaps = z.copy()
    gaps[0, 1] = gaps[1, 0] = np.nan
    check_levels(kind(gaps), 1, "no")
    for value in (z[1, 0], z[1, 0] - sign, sign * np.inf):
        wrong = z.copy()
        wrong[1, 1] = value
        with pytest.raises(CoordinateError, match="no: it goes from") as error:
            check_levels(kind(wrong), 1, "no")
        if value == z[1, 0]:
            assert f"from {value} to {value} at (1, 0); sort the levels" in str(error.value)
    with pytest.raises(CoordinateError, match=r"at \(0, 1\) of its chunk; sort"):
        check_levels(kind(z[:, [0, 1, 1]]), 1, "no", " of its chunk")
    check_levels(kind(z.T), 0, "no")
    with pytest.raises(CoordinateError):
        check_levels(kind(z[::2].repeat(2, 0)), 0, "no")


def test_levels_of_integers_neither_wrap_around_nor_lose_digits():
    check_levels(np.array([200, 100, 3], "u1"), 0, "no")
    check_levels(np.array([2**62, 2**62 + 1, 2**62 + 2]), 0, "no")
    check_levels(np.array([100, -100, -128], "i1"), 0, "no")
    with pytest.raises(CoordinateError):
        check_levels(np.array([2**62, 2**62 + 1, 2**62 + 1]), 0, "no")


def test_levels_that_are_traced_are_not_looked_at():
    def check(z):
        check_levels(z, 0, "no")
        return z

    assert jax.jit(check)(jnp.zeros(3)).shape == (3,)


@pytest.mark.parametrize("side", ["low", "high"])
def test_levels_are_also_compared_with_those_of_the_neighbours(side):
    program = single(stencil(None, 9).cut(3, 6), 0, 1, "levels of T")
    z, t = np.arange(9.0), np.arange(9.0) ** 2
    near = {"low": {0: z[2:3]}, "high": {0: z[6:7]}}
    rows = {"low": {0: t[2:3]}, "high": {0: t[6:7]}}
    task = ChunkTask(program, F8)
    (made,) = task.compute([Block(t[3:6], **rows), Block(z[3:6], **near)])
    assert_array_equal(made, [6, 8, 10])
    near[side] = {0: np.array([4.0])}
    other = ({"low", "high"} - {side}).pop()
    one_sided = Block(z[3:6], **{side: near[side], other: {}})
    with pytest.raises(CoordinateError, match="levels of T"):
        task.compute([Block(t[3:6], **rows), one_sided])
    with pytest.raises(CoordinateError, match=r"levels of T: it goes from .* of its chunk"):
        task.compute([Block(t[3:6], **rows), Block(z[3:6], **near)])


# -- arrays of others --------------------------------------------------------------------------


class Half:
    """What answers to NumPy's functions, and not to its operations."""

    def __array_function__(self, *args):
        return NotImplemented


class WithUnits(Duck):
    units = "m"


def test_what_numpys_functions_work_on():
    assert is_duck(Duck(F))
    assert not is_duck(WithUnits(F))
    assert not is_duck(Half())
    assert not is_duck(F)
    assert not is_duck(np.ma.array(F))
    assert not is_duck(3.0)


def test_arrays_that_arithmetic_would_rob_of_something_are_refused():
    task = ChunkTask(single(ROWS, 0), F8, (None,))
    for call in (lambda f: task.compute([Block(f)]), lambda f: take_edge_rows(f, {0: 1})):
        with pytest.raises(TypeError, match=r"the data are of numpy\.matrix, of which no"):
            call(F.view(np.matrix))
        call(np.ma.array(F))
        call(jnp.asarray(F))
