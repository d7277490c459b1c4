"""The arithmetic of a stencil: sums of shifted values, each rounded before it is added.

Rows are sums of shifted slices; the few rows beside a closed boundary are then set in place. How a
neighbour is reached is not known here: `views` and `joined` know that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.blocks.program import Scaled
from fdgrad_dask.stencils.dtypes import wide
from fdgrad_dask.stencils.stencil import Halves, Stencil, Term
from fdgrad_dask.stencils.table import StencilTable
from fdgrad_dask.stencils.weights import inverse_power, power_of_two, weigh, weigh_scaled

Weights = tuple[list[Any], ...]


class Reader(NamedTuple):
    """How to reach values: at an offset from every row, or at a position from a boundary."""

    at: Callable[[int], Any]
    row: Callable[[int], Any]
    # What sets an edge row in its place, which is negative from the high end.
    place: Callable[[jax.Array, jax.Array, int], jax.Array] | None = None
    # Of a field on several devices: a position as edge row `at` reads it.
    edge_row: Callable[[int, int], Any] | None = None

    def beside(self, at: int) -> Callable[[int], Any]:
        """How edge row ``at`` reaches a position."""
        edge_row = self.edge_row
        return self.row if edge_row is None else lambda position: edge_row(position, at)


def derivative(
    f: Reader,
    weights: Weights,
    shape: StencilTable,
    *,
    axis: int,
    runtime_zero: jax.Array | None = None,
    z: Reader | None = None,
    divide: bool = True,
) -> jax.Array:
    """All rows by the windows, then the rows beside closed ends in their places."""
    total = partial(_sum, order=shape.order, axis=axis, runtime_zero=runtime_zero, divide=divide)
    low, high = (
        [
            total(window, w, f.beside(window.origin), z=z and z.beside(window.origin))
            for window, w in zip(boundary.rows if boundary else (), columns, strict=True)
        ]
        for boundary, columns in ((shape.low, weights[1]), (shape.high, weights[2]))
    )
    edges = [*low, *reversed(high)]
    if f.edge_row is None and edges and len(edges) == _total(f.at(0)).shape[axis]:
        return edges[0] if len(edges) == 1 else lax.concatenate(edges, axis)
    sums = [
        total(window, w, f.at, z=z and z.at)
        for window, w in zip(shape.windows, weights[0], strict=True)
    ]
    out = sums[0] if len(sums) == 1 else _first_complete(f, shape.windows, sums)
    for i, edge in enumerate(edges):
        at = i if i < len(low) else i - len(edges)
        if f.place is not None:
            out = f.place(out, edge, at)
        else:
            place = np.int32(at % out.shape[axis])
            out = lax.dynamic_update_slice_in_dim(out, edge, place, axis)
    return out


def _sum(
    window: Stencil,
    weights: Any,
    f: Callable[[int], Any],
    *,
    order: int,
    axis: int,
    runtime_zero: jax.Array | None,
    z: Callable[[int], jax.Array] | None,
    divide: bool,
) -> jax.Array:
    """Σ over the terms of one window: weight · value, or difference / step."""
    value = f(window.origin)
    here = _total(value)
    real, exponent = wide(here.dtype), None
    if z is None:
        if isinstance(weights, Scaled):
            weights, exponent = weights
            exponent = _along(exponent, axis, here.ndim)
        factors = [_along(column, axis, here.ndim) for column in weights]
    else:
        # Of float64 coordinates; weights that float32 data are to be multiplied by may leave its
        # range, though the result does not.
        weighed = weigh_scaled if real.itemsize < 8 else _weighed
        factors, exponent = weighed(
            [z(offset) for offset in window.offsets], window.offsets.index(window.origin), order
        )
    factors = [factor.astype(real) for factor in factors]
    added = partial(_added, f, runtime_zero)
    if window.terms[0].minus is not None:
        total = added(window.terms, factors, divide=divide or z is not None)
    elif real.itemsize == 8 and not isinstance(value, Halves):
        total = added(window.terms, factors, divide=False)
    else:
        total = _narrow(window, factors, added)
    total = total if exponent is None else _times_power(total, exponent)
    return total.astype(here.dtype)


def _narrow(window: Stencil, factors: list[Any], added: Callable[..., jax.Array]) -> jax.Array:
    """Σ weight · value where the digits of one are not many more than those of a difference."""
    # By a power of two the products are kept from an overflow that their sum does not have.
    by, power = inverse_power(sum(abs(factor) for factor in factors))
    parts = [factor * (by / 2) for factor in factors]
    total = _times_power(added(window.terms, parts, divide=False), power + 1, steps=1)
    if not window.adds_to_zero:
        return total
    # The weights add up to zero, so the value here can be taken off first. That saves
    # the digits that a sum of large and nearly equal float32 products would lose.
    others = [i for i, offset in enumerate(window.offsets) if offset != window.origin]
    less = added(
        [Term(window.offsets[i], window.origin) for i in others],
        [factors[i] for i in others],
        divide=False,
    )
    return jnp.where(jnp.isfinite(less), less, total)


def _total(value: Any) -> Any:
    return value.total if isinstance(value, Halves) else value


def _weighed(x: Sequence[Any], at: int, order: int) -> tuple[list[Any], None]:
    return weigh(x, at, order), None


def _along(column: jax.Array, axis: int, ndim: int) -> jax.Array:
    """What varies along ``axis`` alone, with as many dimensions as the values have."""
    column = jnp.asarray(column)
    if column.ndim == ndim:
        return column
    return jnp.expand_dims(column, tuple(i for i in range(ndim) if i != axis))


def _times_power(number: jax.Array, exponent: jax.Array, steps: int = 3) -> jax.Array:
    """number · 2^exponent, in steps that are numbers of its dtype, and none of them subnormal.

    Three of them lead from the smallest number beyond the largest one.
    """
    if jnp.iscomplexobj(number):
        parts = (_times_power(part, exponent, steps) for part in (number.real, number.imag))
        return lax.complex(*parts)
    most = np.finfo(number.dtype).maxexp - 1
    for _ in range(steps):
        part = jnp.clip(exponent, 1 - most, most)
        number = number * power_of_two(part, number.dtype)
        exponent = exponent - part
    return number


def _added(
    f: Callable[[int], Any],
    runtime_zero: jax.Array | None,
    terms: Sequence[Term],
    by: Sequence[jax.Array],
    *,
    divide: bool,
) -> jax.Array:
    """Σ value · by, or Σ value / by."""
    summands = []
    for (plus, minus), weight in zip(terms, by, strict=True):
        value = f(plus) if minus is None else f(plus) - f(minus)
        value = _total(value)
        term = _scaled(value, weight, runtime_zero, divide=divide)
        # A single product is rounded by itself too, since a formula may add it to another one.
        is_last = divide and len(terms) == 1
        summands.append(term if is_last else no_fma(term, runtime_zero))
    return reduce(jnp.add, summands)


def _scaled(
    value: jax.Array, by: jax.Array, runtime_zero: jax.Array | None, *, divide: bool
) -> jax.Array:
    """value · by or value / by; half precision is widened after the difference, as NumPy does."""

    def scale(part: jax.Array) -> jax.Array:
        if not divide:
            return part * by
        if runtime_zero is None:
            return part / by
        # A divisor that hangs on nothing but a number would become a product with its
        # reciprocal, which rounds twice; let it seem to hang on the dividend.
        bits = jnp.dtype(f"uint{part.dtype.itemsize * 8}")
        return part / _mix_in(by, lax.bitcast_convert_type(part, bits) & runtime_zero.astype(bits))

    if not jnp.iscomplexobj(value):
        return scale(value.astype(by.dtype))
    # A real number times a complex one, as NumPy has it: (by + 0i)(x + iy). The zeros do
    # nothing but carry inf · 0 = NaN from one part to the other.
    x, y = value.real, value.imag
    if divide:
        return lax.complex(scale(x + y * 0), scale(y - x * 0))
    return lax.complex(scale(x) - y * 0, scale(y) + x * 0)


def no_fma(term: jax.Array, runtime_zero: jax.Array | None) -> jax.Array:
    """Keep the compiler from fusing the term with the sum that it enters; not so without a zero.

    LLVM contracts a·b + c into one instruction (FMA) that rounds once, in some loops and not in
    others, depending on the processor and on how the loop was vectorised. Then the last bit would
    depend on the chunk, and differ from NumPy's, which rounds twice. We OR the bits of the product
    with an integer zero that is an argument of the kernel: the value stays the same, but neither
    XLA nor LLVM can know that, so they must form the product first. `lax.optimization_barrier` and
    `lax.reduce_precision` do not stop the contraction. It costs no time that we could measure.
    """
    if runtime_zero is None:
        return term
    if jnp.iscomplexobj(term):
        return lax.complex(no_fma(term.real, runtime_zero), no_fma(term.imag, runtime_zero))
    return _mix_in(term, runtime_zero)


def _mix_in(number: jax.Array, zero: jax.Array) -> jax.Array:
    bits = jnp.dtype(f"uint{number.dtype.itemsize * 8}")
    mixed = lax.bitcast_convert_type(number, bits) | zero.astype(bits)
    return lax.bitcast_convert_type(mixed, number.dtype)


def _first_complete(f: Reader, windows: tuple[Stencil, ...], sums: list[jax.Array]) -> jax.Array:
    """The sum of the first window that misses nothing; NaN where all do, or the point itself."""
    here = ~jnp.isnan(f.at(0))
    out = jnp.full_like(sums[0], jnp.nan)
    for window, total in reversed(list(zip(windows, sums, strict=True))):
        complete = here
        for offset in window.offsets:
            if offset != 0:
                complete &= ~jnp.isnan(f.at(offset))
        out = jnp.where(complete, total, out)
    return out
