"""What a program is for one chunk: which neighbours it hears from, and its part of each factor."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks.program import Derivative, PoleRow, Program, single
from fdgrad_dask.halo.parameters import Halo, cut_parameters
from fdgrad_dask.stencils.table import stencil

CHUNKS = [(3, 6, 3), (2, 3)]
F = da.zeros((12, 5), chunks=CHUNKS)
LINE = np.arange(12.0).reshape(12, 1)


def along(axis, *, factor=False, boundary=(None, None), accuracy=2):
    """The program of one derivative: of field 0, or of field 0 times field 1."""
    table = stencil(1.0, (12, 5)[axis], boundary=boundary, accuracy=accuracy)
    operand = ((0, 1 if factor else None),)
    return Program((operand,), (Derivative(0, axis, table),))


def test_which_rows_of_a_neighbour_a_halo_is():
    rows = np.arange(7)
    assert rows[Halo(0, 0, "low", 2, 1).rows].tolist() == [5, 6]
    assert rows[Halo(0, 0, "high", 2, 1).rows].tolist() == [0, 1]


def test_neighbours_of_chunks():
    (axis,), (made,) = zip(*cut_parameters(along(0, accuracy=4), [F], CHUNKS).items(), strict=True)
    assert axis == 0
    assert [each.halos for each in made] == [
        [Halo(0, 0, "high", 2, 1)],
        [Halo(0, 0, "low", 2, 0), Halo(0, 0, "high", 2, 2)],
        [Halo(0, 0, "low", 2, 1)],
    ]
    cut = [each.derivatives[0].stencil for each in made]
    assert [table.n for table in cut] == [3, 6, 3]
    assert [table.low is None for table in cut] == [False, True, True]
    assert [table.high is None for table in cut] == [True, True, False]
    program = along(0, boundary=("periodic", "periodic"))
    around = cut_parameters(program, [F], CHUNKS)[0]
    assert [[halo.neighbour for halo in each.halos] for each in around] == [[2, 1], [0, 2], [1, 0]]


def test_no_halo_of_what_does_not_vary_or_is_not_differentiated():
    lazy = da.zeros((1, 5), chunks=((1,), CHUNKS[1]))
    made = cut_parameters(along(0, factor=True), [F, lazy], CHUNKS)[0]
    assert {halo.field for each in made for halo in each.halos} == {0}
    made = cut_parameters(along(0), [F, F], CHUNKS)[0]
    assert {halo.field for each in made for halo in each.halos} == {0}


@pytest.mark.parametrize("end", [None, "periodic"])
def test_factors_in_memory_come_with_their_halos(end):
    """At a domain boundary the kernel makes the ghosts; across a seam they are the other end's."""
    program = along(0, factor=True, boundary=(end, end), accuracy=4)
    made = cut_parameters(program, [F, LINE], CHUNKS)[0]
    starts = [0, 3, 9, 12]
    for i, each in enumerate(made):
        (block,) = each.fixed.values()
        start, stop = starts[i], starts[i + 1]
        assert list(each.fixed) == [1]
        assert_array_equal(block.core, LINE[start:stop])
        low = {} if end is None and i == 0 else {0: np.take(LINE, [start - 2, start - 1], 0)}
        beyond = [stop % 12, (stop + 1) % 12]
        high = {} if end is None and i == 2 else {0: LINE[beyond]}
        for got, want in ((block.low, low), (block.high, high)):
            assert list(got) == list(want)
            for rows in want:
                assert_array_equal(got[rows], want[rows])


def test_factors_that_no_derivative_runs_along():
    """They are cut too, but need no halo; a number, and an axis in one chunk, are handed whole."""
    across = np.arange(5.0).reshape(1, 5)
    number = np.ones((1, 1))
    made = cut_parameters(along(0, factor=True), [F, across, number], CHUNKS)
    assert list(made) == [0, 1]
    blocks = [each.fixed[1] for each in made[1]]
    assert [block.core.tolist() for block in blocks] == [[[0, 1]], [[2, 3, 4]]]
    assert [(block.low, block.high) for block in blocks] == [({}, {})] * 2
    assert [each.derivatives for each in made[1]] == [{}, {}]
    assert [each.halos for each in made[1]] == [[], []]
    assert [each.fixed[2].core is number for each in made[0]] == [True] * 3
    made = cut_parameters(along(0, factor=True), [F, LINE], [(12,), (2, 3)])
    assert made[0][0].fixed[1].core is LINE


def test_axes_of_two_points_vary():
    f, program = da.zeros((2, 5), chunks=(1, 5)), single(stencil(1.0, 2), 0)
    made = cut_parameters(program, [f], [(1, 1), (5,)])[0]
    assert [[halo.side for halo in each.halos] for each in made] == [["high"], ["low"]]
    factor = np.array([[1.0], [2.0]])
    made = cut_parameters(single(stencil(1.0, 5), 1), [f, factor], [(1, 1), (5,)])
    assert [each.fixed[1].core.tolist() for each in made[0]] == [[[1]], [[2]]]


def test_where_nothing_is_differentiated_numbers_come_along_axis_0():
    made = cut_parameters(Program((), ()), [F, np.ones((1, 1))], CHUNKS)
    assert [list(each.fixed) for each in made[0]] == [[1]] * 3


@pytest.mark.parametrize("end", [0, -1])
def test_only_chunks_at_a_pole_wait_for_its_row(end):
    program = Program(along(0).operands, along(0).derivatives, pole_rows=(PoleRow(0, 0, end, 1),))
    row = da.zeros((1, 5), chunks=((1,), CHUNKS[1]))
    made = cut_parameters(program, [F, row], CHUNKS)[0]
    has_row = [1 not in each.fixed for each in made]
    assert has_row == [end == 0, False, end == -1]
    assert {each.fixed[1].core.shape for each in made if each.fixed} == {(1, 1)}
    in_memory = cut_parameters(program, [F, np.zeros((1, 1))], CHUNKS)[0]
    assert [each.fixed[1].core.tolist() for each in in_memory] == [[[0.0]]] * 3


def test_each_axis_has_the_derivatives_along_it():
    tables = stencil(1.0, 12), stencil(1.0, 5)
    program = Program(
        (((0, None),),), (Derivative(0, 1, tables[1]), Derivative(0, 0, tables[0])), None, 2
    )
    made = cut_parameters(program, [F], CHUNKS)
    assert {axis: list(each[0].derivatives) for axis, each in made.items()} == {0: [1], 1: [0]}
    assert list(cut_parameters(single(tables[0], 0), [F], CHUNKS)) == [0]
