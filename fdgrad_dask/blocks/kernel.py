"""Programs as jitted functions: on a window with its halo, or on the interior of a block.

A kernel knows rows and domain boundaries, but neither chunks nor labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial, reduce
from operator import truediv
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax

from fdgrad_dask.blocks.arithmetic import Reader, Weights, derivative, no_fma
from fdgrad_dask.blocks.joined import Joined
from fdgrad_dask.blocks.program import Number, Operand, Program
from fdgrad_dask.blocks.shards import Divided, Shard
from fdgrad_dask.blocks.views import Frame, View, Window


class Interned:
    """What a kernel is compiled for, the same object each time: to compare it runs no Python.

    JAX looks for it in C, where an exception out of Python, of Ctrl-C say, becomes another one.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


interned = lru_cache(maxsize=4096)(Interned)


@partial(jax.jit, static_argnames="program")
def compute_window(
    views: list[Window], weights: list[Weights], runtime_zero: jax.Array, *, program: Interned
) -> list[jax.Array]:
    """The outputs of a program on a small or thin block, its edge rows included."""
    return evaluate(views, weights, runtime_zero, program.value)


@partial(jax.jit, static_argnames=("program", "frame"), donate_argnames="donated", keep_unused=True)
def compute_interior(
    views: list[Any],
    weights: list[Weights],
    runtime_zero: jax.Array,
    donated: list[jax.Array],
    *,
    program: Interned,
    frame: Frame,
) -> list[jax.Array]:
    """The outputs of a program on a block, in rows and columns; its edge rows are wrong.

    They are written into the buffers of ``donated``, if there are any.
    """

    def broadcast(column: jax.Array, axis: int) -> jax.Array:
        others = [i for i in range(len(frame.shape)) if i != axis]
        return frame.broadcast(jnp.expand_dims(column, others))

    columns: list[Weights] = [
        ([w if w is None else [broadcast(column, d.axis) for column in w] for w in windows], [], [])
        for d, (windows, _, _) in zip(program.value.derivatives, weights, strict=True)
    ]
    # Padded here, the result has the shape of the block: to place it in a larger array afterwards
    # would be a second pass. The loop tests once for each row, not for each element.
    pads = [(frame.margin, frame.full[0] - frame.inner[0] - frame.margin, 0), (0, 0, 0)]
    return [
        lax.pad(output, jnp.zeros((), output.dtype), pads)
        for output in evaluate(views, columns, runtime_zero, program.value)
    ]


def evaluate(
    views: Sequence[View],
    weights: Sequence[Weights],
    runtime_zero: jax.Array | None,
    program: Program,
    over: Callable[[Any, Any], Any] = truediv,
) -> list[jax.Array]:
    """The outputs of a program, all its terms in one pass.

    ``runtime_zero`` is an integer zero that the compiler cannot see through (`no_fma`), or None.
    ``over`` is how a formula divides.
    """

    operand = partial(_reader, views, runtime_zero)
    derivatives = [
        derivative(
            operand(program.operands[d.operand], d.axis),
            columns,
            d.stencil,
            axis=d.axis,
            runtime_zero=runtime_zero,
            z=None if d.z is None else operand(((d.z, None),), d.axis),
            divide=program.formula is None,
        )
        for d, columns in zip(program.derivatives, weights, strict=True)
    ]
    if program.formula is None:
        return derivatives
    here = [view.at(0, 0) for view in views]

    def number(value: jax.Array) -> Number:
        return Number(value, lambda a, b: no_fma(a * b, runtime_zero), jnp, over)

    outputs = program.formula(list(map(number, here)), list(map(number, derivatives)))
    shape = jnp.broadcast_shapes(*(value.shape for value in here))
    return [jnp.broadcast_to(output.value, shape) for output in outputs]


def _reader(
    views: Sequence[View], runtime_zero: jax.Array | None, parts: Operand, axis: int
) -> Reader:
    """How to reach the values of an operand along an axis."""

    def total(read: Callable[[View], jax.Array]) -> jax.Array:
        terms = []
        for field, factor in parts:
            term = read(views[field])
            if factor is not None:
                term = no_fma(term * read(views[factor]), runtime_zero)
            terms.append(term)
        return reduce(jnp.add, terms)

    def edge_row(position: int, at: int) -> jax.Array:
        return total(lambda view: cast(Shard | Divided, view).edge_row(axis, position, at))

    first = views[parts[0][0]]
    return Reader(
        lambda offset: total(lambda view: view.at(axis, offset)),
        lambda position: total(lambda view: view.row(axis, position)),
        partial(first.place, axis) if isinstance(first, Joined) else None,
        edge_row if isinstance(first, Shard | Divided) else None,
    )
