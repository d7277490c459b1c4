"""A program on one block: in NumPy, or as a function that is compiled once for each structure.

A kernel knows rows and domain boundaries, but neither chunks nor labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fdgrad_dask.blocks.arithmetic import (
    Arithmetic,
    Weights,
    first_complete,
    sum_rows,
    total_of,
)
from fdgrad_dask.blocks.fields import Edges, SlicedField
from fdgrad_dask.blocks.number import Number
from fdgrad_dask.blocks.program import Operand, Program, Scaled
from fdgrad_dask.stencils.table import StencilTable


class Interned:
    """What a kernel is compiled for, the same object each time: to compare it runs no Python.

    JAX looks for it in C, where an exception out of Python, of Ctrl-C say, becomes another one.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


interned = lru_cache(maxsize=4096)(Interned)


class Reader(NamedTuple):
    """How to reach the values of an operand along an axis: a sum of fields, each times its factor.

    ``edges`` are the rows at either end that have stencils of their own.
    """

    fields: Sequence[Any]
    operand: Operand
    axis: int
    arithmetic: Arithmetic
    edges: Edges = (0, 0)

    def at(self, offset: int) -> Any:
        """The values ``offset`` rows further."""
        return self._total(lambda field: field.at(self.axis, offset, self.edges))

    def beside(self, at: int) -> Callable[[int], Any]:
        """How edge row ``at`` reaches the row at a position."""
        return lambda position: self._total(lambda field: field.row(self.axis, position, at))

    def in_slices(self) -> Reader:
        """The same, of fields in slices where they can be."""
        return self._replace(fields=[field.in_slices() for field in self.fields])

    def _total(self, read: Callable[[Any], Any]) -> Any:
        times, add, fields = self.arithmetic.times, self.arithmetic.xp.add, self.fields
        return reduce(
            add,
            [
                read(fields[i]) if factor is None else times(read(fields[i]), read(fields[factor]))
                for i, factor in self.operand
            ],
        )


def evaluate(
    fields: Sequence[Any],
    weights: Sequence[Weights],
    arithmetic: Arithmetic,
    program: Program,
    made: Sequence[Any] = (),
) -> list[Any]:
    """The outputs of a program, all its terms in one pass; the first of them may be ``made``."""
    slopes = []
    for d, columns in zip(program.derivatives, weights, strict=True):
        f = Reader(fields, program.operands[d.operand], d.axis, arithmetic)
        z = None if d.z is None else Reader(fields, ((d.z, None),), d.axis, arithmetic)
        slopes.append(_differentiate(f, z, columns, d.stencil, program.formula is None))
    if program.formula is None:
        return slopes
    here = [total_of(field.at(0, 0, (0, 0))) for field in fields]
    here, slopes, known = (
        [Number(value, arithmetic) for value in values] for values in (here, slopes, made)
    )
    return [output.value for output in program.formula(here, slopes, *known)]


def _differentiate(
    f: Reader, z: Reader | None, weights: Weights, table: StencilTable, divide: bool
) -> Any:
    """All rows by the windows of a table, but for those beside closed ends, which have their own.

    Of fields in slices each row is computed once. Complete arrays are computed in all rows by the
    windows, which XLA can fuse; transposed, slices become paddings, which it can fuse as well.
    """
    if f.arithmetic.is_smooth and any(weights[1:]):
        f, z = f.in_slices(), z and z.in_slices()
    xp, fields = f.arithmetic.xp, f.fields
    first = fields[f.operand[0][0]]
    total = partial(
        sum_rows, f.arithmetic, like=first.core, table=table, axis=f.axis, divide=divide
    )
    low, high = (
        [
            total(row, w, f.beside(row.origin), z and z.beside(row.origin))
            for row, w in zip(boundary.rows if boundary else (), columns, strict=True)
        ]
        for boundary, columns in ((table.low, weights[1]), (table.high, weights[2]))
    )
    edges, inner, columns = (len(low), len(high)), None, weights[0]
    is_sliced = isinstance(first, SlicedField) and sum(edges) > 0
    if not is_sliced or table.n > sum(edges):
        if is_sliced:
            f, z = f._replace(edges=edges), z and z._replace(edges=edges)
            columns = [_without(edges, w) for w in columns]
        sums = [
            total(window, w, f.at, z and z.at)
            for window, w in zip(table.windows, columns, strict=True)
        ]
        inner = sums[0] if len(sums) == 1 else first_complete(xp, f.at, table.windows, sums)
    return first.assemble(f.axis, table.n, inner, low, high) if sum(edges) else inner


def _without(edges: tuple[int, int], weights: Any) -> Any:
    """The weights of the rows in between; they may be the same for all rows."""
    if isinstance(weights, Scaled):
        return Scaled(*(_without(edges, each) for each in weights))
    if weights is None or weights.shape[-1] == 1:
        return weights
    return weights[..., edges[0] : weights.shape[-1] - edges[1]]


def run(
    fields: Sequence[Any],
    weights: Sequence[Weights],
    runtime_zero: jax.Array | None,
    pole_rows: Sequence[jax.Array],
    *,
    program: Interned,
    places: tuple[tuple[int, int, int], ...],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    is_smooth: bool = False,
) -> list[jax.Array]:
    """The outputs of a program, of ``shape``; rows at poles are set where they are given.

    Each of several outputs computes its derivatives for itself. XLA makes an array of what two of
    them share, and to write and read that can take twice as long as all the rest.
    """
    arithmetic, plan = Arithmetic(jnp, runtime_zero, is_smooth), program.value
    is_apart = plan.formula is not None and all(field.is_shifted_apart for field in fields)
    made: list[Any] = []
    for i in range(plan.outputs if is_apart else 0):
        own = [replace(field, unread=i) for field in fields]
        made.append(evaluate(own, weights, arithmetic, plan, made)[i])
    made = made or evaluate(fields, weights, arithmetic, plan)
    outputs = [jnp.broadcast_to(output, shape).astype(dtype) for output in made]
    for (number, axis, end), row in zip(places, pole_rows, strict=True):
        outputs[number] = fields[0].place(axis, outputs[number], row, end)
    return outputs


run_kernel = jax.jit(run, static_argnames=("program", "places", "shape", "dtype", "is_smooth"))
