"""The arithmetic of a stencil: sums of shifted values, each rounded before it is added.

It is written once, for NumPy and for the kernels that XLA compiles. Rows are sums of shifted
values; the few rows beside a closed boundary have stencils of their own. How a neighbour is reached
is not known here: `fields` knows that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from fdgrad_dask.blocks.program import Scaled
from fdgrad_dask.stencils.dtypes import wide
from fdgrad_dask.stencils.stencil import Halves, Stencil, Term
from fdgrad_dask.stencils.table import StencilTable
from fdgrad_dask.stencils.weights import inverse_power, power_of_two, weigh, weigh_scaled

Weights = tuple[list[Any], ...]
Read = Callable[[int], Any]  # the values at an offset from all rows, or one row at a position


class Arithmetic(NamedTuple):
    """Operations that NumPy and a compiler are asked for in different ways.

    ``xp`` is `numpy` or `jax.numpy`. ``runtime_zero`` is an integer zero that the compiler cannot
    see through (see `rounded`), or None. ``is_smooth``: JAX differentiates it (`differentiable`),
    so that it takes no other way for numbers that would overflow or divide by zero.
    """

    xp: Any
    runtime_zero: Any = None
    is_smooth: bool = False

    def rounded(self, term: Any) -> Any:
        """Keep the compiler from fusing the term with the sum that it enters, if there is a zero.

        LLVM contracts a·b + c into one instruction (FMA) that rounds once, in some loops and not in
        others, depending on the processor and on how the loop was vectorised. Then the last bit
        would depend on the chunk, and differ from NumPy's, which rounds twice. We OR the bits of
        the product with an integer zero that is an argument of the kernel: the value stays the
        same, but neither XLA nor LLVM can know that, so they must form the product first.
        `lax.optimization_barrier` and `lax.reduce_precision` do not stop the contraction. It costs
        no time that we could measure.
        """
        if self.runtime_zero is None:
            return term
        if jnp.iscomplexobj(term):
            return lax.complex(self.rounded(term.real), self.rounded(term.imag))
        return _mix_in(term, self.runtime_zero)

    def times(self, a: Any, b: Any) -> Any:
        """``a · b``, rounded by itself."""
        return self.rounded(self.xp.multiply(a, b))

    def divide(self, a: Any, by: Any) -> Any:
        """``a / by``, rounded once."""
        if self.runtime_zero is None:
            return self.xp.divide(a, by)
        # A divisor that hangs on nothing but a number would become a product with its
        # reciprocal, which rounds twice; let it seem to hang on the dividend.
        bits = jnp.dtype(f"uint{a.dtype.itemsize * 8}")
        zero = lax.bitcast_convert_type(a, bits) & self.runtime_zero.astype(bits)
        return a / _mix_in(by, zero)

    def over(self, a: Any, by: Any) -> Any:
        """``a / by`` in a formula.

        If smooth, ``a`` itself where ``by`` is zero, and there no derivative along ``by``.
        """
        return a / (self.xp.where(by == 0, self.xp.ones_like(by), by) if self.is_smooth else by)

    def complex(self, real: Any, imag: Any) -> Any:
        """``real`` + i · ``imag``, of which NumPy's 1j * imag would lose the infinities."""
        if self.xp is not np:
            return lax.complex(real, imag)
        made = np.empty(real.shape, np.result_type(real.dtype, np.complex64))
        made.real, made.imag = real, imag
        return made

    def times_power(self, number: Any, exponent: Any, steps: int = 3) -> Any:
        """``number`` · 2^``exponent``.

        XLA takes it in steps that are numbers of its dtype, and none of them subnormal. Three of
        them lead from the smallest number beyond the largest one.
        """
        if number.dtype.kind == "c":
            parts = (self.times_power(part, exponent, steps) for part in (number.real, number.imag))
            return self.complex(*parts)
        if self.xp is np:
            return np.ldexp(number, exponent)
        most = np.finfo(number.dtype).maxexp - 1
        for _ in range(steps):
            part = jnp.clip(exponent, 1 - most, most)
            number = number * power_of_two(part, number.dtype)
            exponent = exponent - part
        return number

    def added(self, f: Read, terms: Sequence[Term], by: Sequence[Any], *, divide: bool) -> Any:
        """Σ value · by, or Σ value / by."""
        summands = []
        for (plus, minus), weight in zip(terms, by, strict=True):
            value = total_of(f(plus) if minus is None else f(plus) - f(minus))
            term = self._scaled(value, weight, divide)
            # A single product is rounded by itself too, since a formula may add it to another one.
            is_last = divide and len(terms) == 1
            summands.append(term if is_last else self.rounded(term))
        return reduce(self.xp.add, summands)

    def _scaled(self, value: Any, by: Any, divide: bool) -> Any:
        """value · by or value / by; half precision is widened after the difference, as NumPy."""
        scale = self.divide if divide else self.xp.multiply
        if value.dtype.kind != "c" or value.dtype.itemsize > 16:
            narrow = value.dtype.itemsize < by.dtype.itemsize
            return scale(value.astype(by.dtype) if narrow else value, by)
        # A real number times a complex one, as NumPy has it: (by + 0i)(x + iy). The zeros do
        # nothing but carry inf · 0 = NaN from one part to the other.
        x, y = value.real, value.imag
        if divide:
            return self.complex(scale(x + y * 0, by), scale(y - x * 0, by))
        return self.complex(scale(x, by) - y * 0, scale(y, by) + x * 0)


def _mix_in(number: Any, zero: Any) -> Any:
    bits = jnp.dtype(f"uint{number.dtype.itemsize * 8}")
    mixed = lax.bitcast_convert_type(number, bits) | zero.astype(bits)
    return lax.bitcast_convert_type(mixed, number.dtype)


def sum_rows(
    arithmetic: Arithmetic,
    window: Stencil,
    weights: Any,
    f: Read,
    z: Read | None,
    *,
    like: Any,
    table: StencilTable,
    axis: int,
    divide: bool,
) -> Any:
    """Σ over the terms of one window: weight · value, or difference / step.

    ``like`` has the dtype and the dimensions of what is read; integers are read in halves.
    ``weights`` vary along ``axis`` alone; where they are made of a coordinate, ``z`` reads that.
    """
    # A derivative of objects is of floats; of dates, a duration in the unit of their differences.
    dtype = np.dtype(np.float64) if like.dtype.kind in "iuO" else like.dtype
    exponent = None
    if z is None:
        if isinstance(weights, Scaled):
            weights, exponent = weights
            exponent = _along(exponent, axis, like.ndim)
        factors = [_along(column, axis, like.ndim) for column in weights]
    else:
        real = wide(dtype)
        points = [z(offset) for offset in window.offsets]
        at = window.offsets.index(window.origin)
        # Of float64 coordinates; weights that float32 data are to be multiplied by may leave its
        # range, though the result does not. In NumPy those of float64 are kept in theirs, too.
        if real.itemsize < 8 or arithmetic.xp is np:
            factors, exponent = weigh_scaled(points, at, table.order)
        else:
            factors = weigh(points, at, table.order)
        factors = [factor.astype(real) for factor in factors]
        divide = True
    divide = divide and window.terms[0].minus is not None
    added = partial(arithmetic.added, f)
    if like.dtype.kind in "iu":
        total = _sum_halves(arithmetic, window, factors, f, divide)
    elif window.terms[0].minus is not None or factors[0].dtype.itemsize >= 8:
        total = added(window.terms, factors, divide=divide)
    else:
        total = _sum_narrow(arithmetic, window, factors, added)
    total = total if exponent is None else arithmetic.times_power(total, exponent)
    return total.astype(dtype, copy=False)


def _differences(window: Stencil, factors: Sequence[Any]) -> tuple[tuple[Term, ...], list[Any]]:
    """The terms of a sum whose weights add up to zero, with the value here taken off first."""
    others = [i for i, offset in enumerate(window.offsets) if offset != window.origin]
    terms = tuple(Term(window.offsets[i], window.origin) for i in others)
    return terms, [factors[i] for i in others]


def _sum_narrow(
    arithmetic: Arithmetic, window: Stencil, factors: Sequence[Any], added: Callable[..., Any]
) -> Any:
    """Σ weight · value in float32, where the sum of large and nearly equal products loses digits.

    Differences keep them. Where these overflow, by a power of two the products are kept from an
    overflow that their sum does not have.
    """
    xp, less = arithmetic.xp, None
    if window.adds_to_zero:
        less = added(*_differences(window, factors), divide=False)
        if arithmetic.is_smooth or (xp is np and np.isfinite(less).all()):
            return less
    by, power = inverse_power(reduce(xp.add, map(abs, factors)))
    total = added(window.terms, [factor * (by / 2) for factor in factors], divide=False)
    total = arithmetic.times_power(total, power + 1, steps=1)
    return total if less is None else xp.where(xp.isfinite(less), less, total)


def _sum_halves(
    arithmetic: Arithmetic, window: Stencil, factors: list[Any], f: Read, divide: bool
) -> Any:
    """Σ of integers that float64 does not have, from their differences where it has those.

    All others are as NumPy has them, which converts first.
    """
    xp, terms, by = arithmetic.xp, window.terms, factors
    total = arithmetic.added(lambda at: total_of(f(at)), terms, by, divide=divide)
    if terms[0].minus is None:
        terms, by = _differences(window, factors)
    pairs = [(plus, window.origin if minus is None else minus) for plus, minus in terms]
    is_known = [abs(f(plus) - f(minus)) < 2.0**53 for plus, minus in pairs]
    is_large = [abs(f(offset).total) >= 2.0**53 for pair in pairs for offset in pair]
    usable = reduce(xp.logical_and, is_known) & reduce(xp.logical_or, is_large)
    return xp.where(usable, arithmetic.added(f, terms, by, divide=divide), total)


def total_of(value: Any) -> Any:
    """The integers that are read in halves, as floats; anything else as it is."""
    return value.total if isinstance(value, Halves) else value


def _along(column: Any, axis: int, ndim: int) -> Any:
    """What varies along ``axis`` alone, with as many dimensions as the values have."""
    if column.ndim > 1:
        return column  # already so
    return column.reshape((1,) * axis + (-1,) + (1,) * (ndim - axis - 1))


def first_complete(xp: Any, f: Read, windows: Sequence[Stencil], sums: Sequence[Any]) -> Any:
    """The sum of the first window that misses nothing; NaN where all do, or the point itself."""
    here = ~xp.isnan(total_of(f(0)))
    out = xp.full_like(sums[0], np.nan)
    for window, total in reversed(list(zip(windows, sums, strict=True))):
        complete = here
        for offset in window.offsets:
            if offset != 0:
                complete = complete & ~xp.isnan(total_of(f(offset)))
        out = xp.where(complete, total, out)
    return out
