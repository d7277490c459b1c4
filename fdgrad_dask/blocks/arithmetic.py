"""The arithmetic of a stencil: sums of shifted values, each rounded before it is added.

Rows are sums of shifted slices; the few rows beside a closed wall are then set in place. How a
neighbour is reached is not known here: `views` know that, and for a whole JAX array `whole`.
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
    """How to reach values: at an offset from every row, or at a position counted from a wall."""

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
    zero: jax.Array | None = None,
    z: Reader | None = None,
    divide: bool = True,
) -> jax.Array:
    """All rows by the windows, then the rows beside closed walls in their places."""
    total = partial(_sum, order=shape.order, axis=axis, zero=zero, divide=divide)
    low, high = (
        [
            total(window, w, f.beside(window.at), z=z and z.beside(window.at))
            for window, w in zip(wall.rows if wall else (), columns, strict=True)
        ]
        for wall, columns in ((shape.low, weights[1]), (shape.high, weights[2]))
    )
    edges = [*low, *reversed(high)]
    if f.edge_row is None and edges and len(edges) == _total(f.at(0)).shape[axis]:
        return edges[0] if len(edges) == 1 else lax.concatenate(edges, axis)
    sums = [
        total(window, w, f.at, z=z and z.at)
        for window, w in zip(shape.windows, weights[0], strict=True)
    ]
    out = sums[0] if len(sums) == 1 else _first_whole(f, shape.windows, sums)
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
    zero: jax.Array | None,
    z: Callable[[int], jax.Array] | None,
    divide: bool,
) -> jax.Array:
    """Σ over the taps of one window: weight · value, or difference / step."""
    value = f(window.at)
    here = _total(value)
    real, exponent = wide(here.dtype), None
    if z is None:
        if isinstance(weights, Scaled):
            weights, exponent = weights
            exponent = _along(exponent, axis, here.ndim)
        terms = [_along(column, axis, here.ndim) for column in weights]
    else:
        # Of float64 coordinates; weights that float32 data are to be multiplied by may leave its
        # range, though the result does not.
        weighed = weigh_scaled if real.itemsize < 8 else _weighed
        terms, exponent = weighed(
            [z(node) for node in window.nodes], window.nodes.index(window.at), order
        )
    terms = [term.astype(real) for term in terms]
    added = partial(_added, f, zero)
    if window.taps[0].minus is not None:
        total = added(window.taps, terms, divide=divide or z is not None)
    elif real.itemsize == 8 and not isinstance(value, Halves):
        total = added(window.taps, terms, divide=False)
    else:
        total = _narrow(window, terms, added)
    total = total if exponent is None else _times_power(total, exponent)
    return total.astype(here.dtype)


def _narrow(window: Stencil, terms: list[Any], added: Callable[..., jax.Array]) -> jax.Array:
    """Σ weight · value where the digits of one are not many more than those of a difference."""
    # By a power of two the products are kept from an overflow that their sum does not have.
    by, power = inverse_power(sum(abs(term) for term in terms))
    parts = [term * (by / 2) for term in terms]
    total = _times_power(added(window.taps, parts, divide=False), power + 1, steps=1)
    if not window.adds_to_zero:
        return total
    # The weights add up to zero, so the value here can be taken off first. That saves
    # the digits that a sum of large and nearly equal float32 products would lose.
    others = [i for i, node in enumerate(window.nodes) if node != window.at]
    less = added(
        [Term(window.nodes[i], window.at) for i in others],
        [terms[i] for i in others],
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
    zero: jax.Array | None,
    taps: Sequence[Term],
    by: Sequence[jax.Array],
    *,
    divide: bool,
) -> jax.Array:
    """Σ value · by, or Σ value / by."""
    terms = []
    for (plus, minus), weight in zip(taps, by, strict=True):
        value = f(plus) if minus is None else f(plus) - f(minus)
        value = _total(value)
        term = _scaled(value, weight, zero, divide=divide)
        terms.append(term if len(taps) == 1 else rounded(term, zero))
    return reduce(jnp.add, terms)


def _scaled(value: jax.Array, by: jax.Array, zero: jax.Array | None, *, divide: bool) -> jax.Array:
    """value · by or value / by; half precision is widened after the difference, as NumPy does."""

    def scale(part: jax.Array) -> jax.Array:
        if not divide:
            return part * by
        if zero is None:
            return part / by
        # A divisor that hangs on nothing but a number would become a product with its
        # reciprocal, which rounds twice; let it seem to hang on the dividend.
        bits = jnp.dtype(f"uint{part.dtype.itemsize * 8}")
        return part / _mixed(by, lax.bitcast_convert_type(part, bits) & zero.astype(bits))

    if not jnp.iscomplexobj(value):
        return scale(value.astype(by.dtype))
    # A real number times a complex one, as NumPy has it: (by + 0i)(x + iy). The noughts do
    # nothing but carry inf · 0 = NaN from one part to the other.
    x, y = value.real, value.imag
    if divide:
        return lax.complex(scale(x + y * 0), scale(y - x * 0))
    return lax.complex(scale(x) - y * 0, scale(y) + x * 0)


def rounded(term: jax.Array, zero: jax.Array | None) -> jax.Array:
    """The term, rounded to its dtype before it is added; without ``zero`` it may not be.

    Compilers contract a·b + c into one instruction that rounds once, here and not there, as
    the processor and the shape of the loop suggest. Bits that do not depend on the chunk, the
    worker or the vector width, and that are NumPy's, need both roundings. To mix in an integer
    nought which is only known at run time is a barrier that XLA and LLVM respect.
    """
    if zero is None:
        return term
    if jnp.iscomplexobj(term):
        return lax.complex(rounded(term.real, zero), rounded(term.imag, zero))
    return _mixed(term, zero)


def _mixed(number: jax.Array, nought: jax.Array) -> jax.Array:
    bits = jnp.dtype(f"uint{number.dtype.itemsize * 8}")
    mixed = lax.bitcast_convert_type(number, bits) | nought.astype(bits)
    return lax.bitcast_convert_type(mixed, number.dtype)


def _first_whole(f: Reader, windows: tuple[Stencil, ...], sums: list[jax.Array]) -> jax.Array:
    """The sum of the first window that misses nothing; NaN where all do, or the point itself."""
    here = ~jnp.isnan(f.at(0))
    out = jnp.full_like(sums[0], jnp.nan)
    for window, total in reversed(list(zip(windows, sums, strict=True))):
        whole = here
        for node in window.nodes:
            if node != 0:
                whole &= ~jnp.isnan(f.at(node))
        out = jnp.where(whole, total, out)
    return out
