"""The derivative of a whole JAX array, traceable: under ``jit``, ``vmap`` and ``grad``."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fdgrad_dask.program import bare, weights_of
from fdgrad_dask.stencil import Stencil
from fdgrad_dask.sums import Reader, Weights, derivative, wide
from fdgrad_dask.views import ghosts


def differentiate_jax(f: jax.Array, axis: int, stencil: Stencil) -> jax.Array:
    """The derivative of a whole JAX array; traceable, and its weights may be traced too."""
    if not jnp.issubdtype(f.dtype, jnp.inexact):
        f = f.astype(jnp.result_type(float))
    f = f.astype(jax.dtypes.canonicalize_dtype(f.dtype))  # float64 may come from under the switch
    real = wide(f.dtype)
    fills: list[Any] = []
    values: list[Any] = []
    for wall in (stencil.low, stencil.high):
        fill = wall.fill if wall else None
        number = not (fill is None or isinstance(fill, str))
        fills.append("number" if number else fill)
        values.append(jnp.asarray(fill, f.dtype) if number else None)
    weights = weights_of(stencil, lambda w: jnp.asarray(w, real))
    result: jax.Array = _on_whole(
        f, weights, values, shape=bare(stencil), axis=axis, fills=tuple(fills)
    )
    return result


@partial(jax.jit, static_argnames=("shape", "axis", "fills"))
def _on_whole(
    f: jax.Array, weights: Weights, values: list[Any], *, shape: Stencil, axis: int, fills: Any
) -> jax.Array:
    n = f.shape[axis]
    part = partial(lax.slice_in_dim, axis=axis)
    if fills == (None, None):
        # A shift by padding fuses into the sum. Padding once and slicing does not, and to
        # concatenate thin edges costs a second pass when the axis is the last one.
        def at(i: int) -> jax.Array:
            pads = [(0, 0, 0)] * f.ndim
            pads[axis] = (-i, i, 0)
            return lax.pad(f, jnp.zeros((), f.dtype), pads)
    else:
        rows = partial(part, f)
        ends = [
            ghosts(rows, n, axis, shape.reach, fill, value, low=i == 0)
            for i, (fill, value) in enumerate(zip(fills, values, strict=True))
        ]
        window = lax.concatenate([ends[0], f, ends[1]], axis)

        def at(i: int) -> jax.Array:
            return part(window, shape.reach + i, shape.reach + i + n)

    def row(p: int) -> jax.Array:
        return part(f, p % n, p % n + 1)

    return derivative(Reader(at, row), weights, shape, axis=axis)


def is_jax(f: Any) -> bool:
    """True for JAX arrays, traced ones too."""
    return isinstance(f, jax.Array)


def is_traced(f: jax.Array) -> bool:
    """True inside ``jit``, ``vmap`` or ``grad``, where an array has no values yet."""
    return isinstance(f, jax.core.Tracer)


def as_jax(f: Any) -> jax.Array:
    """``f`` as a JAX array."""
    return jnp.asarray(f)
