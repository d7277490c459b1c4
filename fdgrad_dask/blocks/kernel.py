"""Programs, jitted: on one tile, or on a whole block.

A kernel knows rows, walls and a tile; chunks and labels it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial, reduce
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax

from fdgrad_dask.blocks.arithmetic import Reader, Weights, derivative, rounded
from fdgrad_dask.blocks.joined import Joined
from fdgrad_dask.blocks.program import Number, Operand, Program
from fdgrad_dask.blocks.shards import Divided, Shard
from fdgrad_dask.blocks.views import Direct, Frame, Ranges, Spread, View, Whole


class Interned:
    """What a kernel is compiled for, the same object each time: to compare it runs no Python.

    JAX looks for it in C, where an exception out of Python, of Ctrl-C say, becomes another one.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


interned = lru_cache(maxsize=4096)(Interned)


@partial(jax.jit, static_argnames="program", donate_argnames="spent", keep_unused=True)
def on_tile(
    views: list[View],
    weights: list[Weights],
    zero: jax.Array,
    spent: list[jax.Array],
    *,
    program: Interned,
) -> list[jax.Array]:
    """The outputs of a program on one tile: all its terms in one pass.

    They come to lie where ``spent`` did, outputs of another tile that are copied out by now: fresh
    memory would cost more than the arithmetic.
    """
    return evaluate(views, weights, zero, program.value)


@partial(
    jax.jit,
    static_argnames=("programs", "boxes", "frame"),
    donate_argnames="spent",
    keep_unused=True,
)
def on_sweep(
    views: Sequence[Whole | Spread],
    weights: Sequence[Sequence[Weights]],
    zero: jax.Array,
    spent: list[jax.Array],
    *,
    frame: Frame,
    programs: tuple[Interned, ...],
    boxes: tuple[Ranges, ...],
) -> tuple[list[jax.Array], list[list[jax.Array]]]:
    """The outputs of a program on a block, by rows and columns; and those of each of its boxes.

    The first of ``programs`` and of ``weights`` is that of the inside.
    """

    def spread(column: jax.Array, axis: int) -> jax.Array:
        return frame.spread(
            jnp.expand_dims(column, [i for i in range(len(frame.shape)) if i != axis])
        )

    spreads: list[Weights] = [
        ([w if w is None else [spread(column, d.axis) for column in w] for w in windows], [], [])
        for d, (windows, _, _) in zip(programs[0].value.derivatives, weights[0], strict=True)
    ]
    margins = [(frame.margin, frame.margin, 0), (0, 0, 0)]
    # A test for each row, not for each element, as the ends of any other axis would need.
    inside = [
        lax.pad(output, jnp.zeros((), output.dtype), margins)
        for output in evaluate(views, spreads, zero, programs[0].value)
    ]
    # Set in their places here, XLA would compute all twice or copy it.
    parts = [
        evaluate([view.box(box) for view in views], columns, zero, program.value)
        for box, program, columns in zip(boxes, programs[1:], weights[1:], strict=True)
    ]
    return inside, parts


def evaluate(
    views: Sequence[View | Joined],
    weights: Sequence[Weights],
    zero: jax.Array | None,
    program: Program,
) -> list[jax.Array]:
    """The outputs of a program, all its terms in one pass.

    ``zero`` is an integer nought that the compiler cannot see through (`rounded`), or None.
    """

    operand = partial(_reader, views, zero)
    derivatives = [
        derivative(
            operand(program.operands[d.operand], d.axis),
            columns,
            d.stencil,
            axis=d.axis,
            zero=zero,
            z=None if d.z is None else operand(((d.z, None),), d.axis),
            divide=program.formula is None,
        )
        for d, columns in zip(program.derivatives, weights, strict=True)
    ]
    if program.formula is None:
        return derivatives
    here = [view.at(0, 0) for view in views]

    def number(value: jax.Array) -> Number:
        return Number(value, lambda a, b: rounded(a * b, zero), jnp)

    outputs = program.formula(list(map(number, here)), list(map(number, derivatives)))
    shape = jnp.broadcast_shapes(*(value.shape for value in here))
    return [jnp.broadcast_to(output.value, shape) for output in outputs]


def _reader(
    views: Sequence[View | Joined], zero: jax.Array | None, parts: Operand, axis: int
) -> Reader:
    """How to reach the values of an operand along an axis."""

    def total(read: Callable[[View | Joined], jax.Array]) -> jax.Array:
        terms = []
        for field, factor in parts:
            term = read(views[field])
            if factor is not None:
                term = rounded(term * read(views[factor]), zero)
            terms.append(term)
        return reduce(jnp.add, terms)

    def row(view: View | Joined, position: int) -> jax.Array:
        assert not isinstance(view, Direct | Spread | Whole), "rows are read in a window"
        return view.row(axis, position)

    def edge_row(position: int, at: int) -> jax.Array:
        return total(lambda view: cast(Shard | Divided, view).edge_row(axis, position, at))

    reader = Reader(
        lambda offset: total(lambda view: view.at(axis, offset)),
        lambda position: total(lambda view: row(view, position)),
    )
    first = views[parts[0][0]]
    if isinstance(first, Shard | Divided):
        return reader._replace(edge_row=edge_row, place=partial(first.place, axis))
    return reader
