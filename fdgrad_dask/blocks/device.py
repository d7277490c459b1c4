"""The derivative of a whole JAX array, traceable: under ``jit``, ``vmap`` and ``grad``."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.blocks.arithmetic import Reader, Weights, derivative
from fdgrad_dask.blocks.kernel import Interned, interned
from fdgrad_dask.blocks.program import structure_of, weights_of
from fdgrad_dask.blocks.views import ghosts
from fdgrad_dask.stencils.dtypes import wide
from fdgrad_dask.stencils.stencil import Halves
from fdgrad_dask.stencils.table import StencilTable


def differentiate_jax(f: jax.Array, axis: int, stencil: StencilTable) -> jax.Array:
    """The derivative of a whole JAX array; traceable, and its weights may be traced too."""
    is_float = jnp.issubdtype(f.dtype, jnp.inexact)
    own = jax.dtypes.canonicalize_dtype(f.dtype)  # 64 bits may come from under the switch
    dtype = np.dtype(own if is_float else jnp.result_type(float))
    if is_float:
        f = f.astype(jnp.float32 if own.itemsize == 1 else own)
    elif f.dtype.itemsize < 4 or f.dtype != own:
        f = f.astype(dtype)
    real = wide(dtype)
    fills: list[Any] = []
    values: list[Any] = []
    for wall in (stencil.low, stencil.high):
        fill = wall.fill if wall else None
        number = not (fill is None or isinstance(fill, str))
        fills.append("number" if number else fill)
        values.append(_on_device(fill, f.dtype if is_float else dtype) if number else None)
    # Explicitly, as even the strictest guard of transfers has it.
    weights = weights_of(stencil, lambda w: _on_device(w, real))
    result: jax.Array = _on_whole(
        f, weights, values, shape=interned(structure_of(stencil)), axis=axis, fills=tuple(fills)
    )
    return result.astype(dtype)


def _on_device(numbers: Any, dtype: Any) -> jax.Array:
    if isinstance(numbers, jax.Array):
        return numbers.astype(dtype)
    placed: jax.Array = jax.device_put(np.asarray(numbers, dtype))
    return placed


@partial(jax.jit, static_argnames=("shape", "axis", "fills"))
def _on_whole(
    f: jax.Array, weights: Weights, values: list[Any], *, shape: Interned, axis: int, fills: Any
) -> jax.Array:
    table = shape.value
    if jnp.issubdtype(f.dtype, jnp.inexact):
        return derivative(_reader(f, values, table, axis, fills), weights, table, axis=axis)
    # Halves of integers, whose differences floats have where they do not have the integers.
    bits, real = 4 * f.dtype.itemsize, jnp.result_type(float)
    signed = f"int{2 * bits}"
    high = (f >> bits).astype(signed).astype(real)
    low = (f & (2**bits - 1)).astype(signed).astype(real)
    tops = [value if value is None else jnp.floor(value / 2**bits) for value in values]
    rests = [
        value if value is None else value - top * 2**bits
        for value, top in zip(values, tops, strict=True)
    ]
    upper = _reader(high, tops, table, axis, fills)
    lower = _reader(low, rests, table, axis, fills)

    counted = Reader(
        lambda i: Halves(upper.at(i), lower.at(i), bits),
        lambda p: Halves(upper.row(p), lower.row(p), bits),
    )
    return derivative(counted, weights, table, axis=axis)


def _reader(f: jax.Array, values: list[Any], table: StencilTable, axis: int, fills: Any) -> Reader:
    """How to reach the values of ``f``, and what stands outside of its ends."""
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
            ghosts(rows, n, axis, table.halo_width, fill, value, low=i == 0)
            for i, (fill, value) in enumerate(zip(fills, values, strict=True))
        ]
        window = lax.concatenate([ends[0], f, ends[1]], axis)

        def at(i: int) -> jax.Array:
            return part(window, table.halo_width + i, table.halo_width + i + n)

    def row(p: int) -> jax.Array:
        return part(f, p % n, p % n + 1)

    return Reader(at, row)


def is_jax(f: Any) -> bool:
    """True for JAX arrays, traced ones too."""
    return isinstance(f, jax.Array)


def is_traced(f: jax.Array) -> bool:
    """True inside ``jit``, ``vmap`` or ``grad``, where an array has no values yet."""
    return isinstance(f, jax.core.Tracer)


def as_jax(f: Any) -> jax.Array:
    """``f`` as a JAX array."""
    return jnp.asarray(f)
