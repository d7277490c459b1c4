"""The arithmetic of a stencil on one block, jitted.

A kernel knows rows, walls and a block that holds its halo; chunks and labels it does not know.
Rows are sums of shifted slices; the few rows beside a closed wall are then set in place. There
is one arithmetic and two ways to reach a neighbour: a slice of a window that holds its halo,
or a shift of a whole JAX array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.stencil import Stencil, Tap, Wall, Window
from fdgrad_dask.weights import weigh

Weights = tuple[list[Any], list[Any], list[Any]]


class _Reader(NamedTuple):
    """How to reach values: at an offset from every row, or at a position counted from a wall."""

    at: Callable[[int], jax.Array]
    row: Callable[[int], jax.Array]


@partial(jax.jit, static_argnames="shape")
def on_window(
    window: jax.Array, weights: Weights, zero: jax.Array, z: jax.Array | None, *, shape: Stencil
) -> jax.Array:
    """(outer, reach + m + reach, inner) → (outer, m, inner), the derivative along the middle.

    ``z`` is the coordinate where it varies along other axes too, float64 in the shape of the
    window; ``zero`` an integer nought that the compiler cannot see through (`_rounded`).
    """
    m = window.shape[1] - 2 * shape.reach

    def reader(array: jax.Array) -> _Reader:
        def part(start: int, size: int) -> jax.Array:
            start += shape.reach
            return lax.slice_in_dim(array, start, start + size, axis=1)

        return _Reader(lambda i: part(i, m), lambda p: part(p if p >= 0 else m + p, 1))

    return _derivative(
        reader(window), weights, shape, axis=1, zero=zero, z=None if z is None else reader(z)
    )


def differentiate_jax(f: jax.Array, axis: int, stencil: Stencil) -> jax.Array:
    """The derivative of a whole JAX array; traceable, and its weights may be traced too."""
    if not jnp.issubdtype(f.dtype, jnp.inexact):
        f = f.astype(jnp.result_type(float))
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
        f, weights, values, shape=shape_of(stencil), axis=axis, fills=tuple(fills)
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
        ends = [_ghosts(f, axis, shape.reach, fills[i], values[i], low=i == 0) for i in (0, 1)]
        window = lax.concatenate([ends[0], f, ends[1]], axis)

        def at(i: int) -> jax.Array:
            return part(window, shape.reach + i, shape.reach + i + n)

    def row(p: int) -> jax.Array:
        return part(f, p % n, p % n + 1)

    return _derivative(_Reader(at, row), weights, shape, axis=axis)


def _ghosts(
    f: jax.Array, axis: int, reach: int, fill: str | None, value: Any, *, low: bool
) -> jax.Array:
    """The ``reach`` rows that stand outside one end of ``f``."""
    n = f.shape[axis]
    part = partial(lax.slice_in_dim, f, axis=axis)
    if fill == "periodic":
        return part(n - reach, n) if low else part(0, reach)
    if fill == "reflect":
        return lax.rev(part(1, reach + 1) if low else part(n - reach - 1, n - 1), (axis,))
    edge = part(0, 1) if low else part(n - 1, n)
    outside = (*f.shape[:axis], reach, *f.shape[axis + 1 :])
    return jnp.broadcast_to(edge if value is None else value, outside)


def _derivative(
    f: _Reader,
    weights: Weights,
    shape: Stencil,
    *,
    axis: int,
    zero: jax.Array | None = None,
    z: _Reader | None = None,
) -> jax.Array:
    """All rows by the windows, then the rows beside closed walls in their places."""
    total = partial(_sum, order=shape.order, axis=axis, zero=zero)
    sums = [
        total(window, w, f.at, z=z and z.at)
        for window, w in zip(shape.windows, weights[0], strict=True)
    ]
    out = sums[0] if len(sums) == 1 else _first_whole(f, shape.windows, sums)
    last = out.shape[axis] - 1
    for wall, columns, start, step in (
        (shape.low, weights[1], 0, 1),
        (shape.high, weights[2], last, -1),
    ):
        for i, (window, w) in enumerate(zip(wall.rows if wall else (), columns, strict=True)):
            edge = total(window, w, f.row, z=z and z.row)
            out = lax.dynamic_update_slice_in_dim(out, edge, start + i * step, axis)
    return out


def _sum(
    window: Window,
    weights: Any,
    f: Callable[[int], jax.Array],
    *,
    order: int,
    axis: int,
    zero: jax.Array | None,
    z: Callable[[int], jax.Array] | None,
) -> jax.Array:
    """Σ over the taps of one window: weight · value, or difference / step."""
    here = f(window.at)
    if z is None:
        across = tuple(i for i in range(here.ndim) if i != axis)
        terms = [jnp.expand_dims(column, across) for column in weights]
    else:
        terms = weigh([z(node) for node in window.nodes], window.nodes.index(window.at), order)
    real = wide(here.dtype)
    terms = [term.astype(real) for term in terms]

    def added(taps: Sequence[Tap], by: Sequence[jax.Array], *, divide: bool) -> jax.Array:
        total = None
        for (plus, minus), weight in zip(taps, by, strict=True):
            value = f(plus) if minus is None else f(plus) - f(minus)
            term = _scaled(value, weight, zero, divide=divide)
            if zero is not None and len(taps) > 1:
                term = _rounded(term, zero)
            total = term if total is None else total + term
        assert total is not None
        return total

    if window.taps[0].minus is not None:
        return added(window.taps, terms, divide=True).astype(here.dtype)
    total = added(window.taps, terms, divide=False)
    if real.itemsize < 8:
        # The weights add up to nought, so the value here can be taken off first. That saves
        # the digits that a sum of large and nearly equal float32 products would lose.
        others = [i for i, node in enumerate(window.nodes) if node != window.at]
        less = added(
            [Tap(window.nodes[i], window.at) for i in others],
            [terms[i] for i in others],
            divide=False,
        )
        total = jnp.where(jnp.isfinite(less), less, total)
    return total.astype(here.dtype)


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


def _rounded(term: jax.Array, zero: jax.Array) -> jax.Array:
    """The term, rounded to its dtype before it is added.

    Compilers contract a·b + c into one instruction that rounds once, here and not there, as
    the processor and the shape of the loop suggest. Bits that do not depend on the chunk, the
    worker or the vector width, and that are NumPy's, need both roundings. To mix in an integer
    nought which is only known at run time is a barrier that XLA and LLVM respect.
    """
    if jnp.iscomplexobj(term):
        return lax.complex(_rounded(term.real, zero), _rounded(term.imag, zero))
    return _mixed(term, zero)


def _mixed(number: jax.Array, nought: jax.Array) -> jax.Array:
    bits = jnp.dtype(f"uint{number.dtype.itemsize * 8}")
    mixed = lax.bitcast_convert_type(number, bits) | nought.astype(bits)
    return lax.bitcast_convert_type(mixed, number.dtype)


def _first_whole(f: _Reader, windows: tuple[Window, ...], sums: list[jax.Array]) -> jax.Array:
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


def wide(dtype: Any) -> np.dtype[Any]:
    """The real dtype in which data of ``dtype`` is scaled: at least float32."""
    dtype = np.dtype(dtype)
    if dtype.itemsize == 2:
        return np.dtype(np.float32)
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def shape_of(stencil: Stencil) -> Stencil:
    """What a kernel is compiled for: the stencil without its numbers."""

    def bare(windows: tuple[Window, ...]) -> tuple[Window, ...]:
        return tuple(replace(window, weights=None) for window in windows)

    def wall(end: Wall | None) -> Wall | None:
        return end and Wall(bare(end.rows))

    return replace(
        stencil,
        n=0,
        windows=bare(stencil.windows),
        low=wall(stencil.low),
        high=wall(stencil.high),
    )


def weights_of(stencil: Stencil, cast: Callable[[Any], Any]) -> Weights:
    """The numbers of the stencil: of the windows, of the low rows, of the high rows."""

    def numbers(windows: tuple[Window, ...]) -> list[Any]:
        return [None if w.weights is None else cast(w.weights) for w in windows]

    low, high = (wall.rows if wall else () for wall in (stencil.low, stencil.high))
    return numbers(stencil.windows), numbers(low), numbers(high)


def is_jax(f: Any) -> bool:
    """True for JAX arrays, traced ones too."""
    return isinstance(f, jax.Array)


def is_traced(f: jax.Array) -> bool:
    """True inside ``jit``, ``vmap`` or ``grad``, where an array has no values yet."""
    return isinstance(f, jax.core.Tracer)
