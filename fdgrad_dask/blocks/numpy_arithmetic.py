"""Programs in NumPy: with the bits of the kernels, and for the dtypes that XLA does not have.

Small blocks are computed here, which costs microseconds where a kernel costs compilations; so is
all of a child of `fork`, in which XLA hangs. Dates and durations, masked arrays, long doubles and
objects take this road too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.program import (
    Block,
    Derivative,
    Number,
    Program,
    Scaled,
    numbers,
    single,
)
from fdgrad_dask.blocks.readers import Field, Reader, halves_of, has_large_integers
from fdgrad_dask.stencils.dtypes import has_kernel, result_dtype, wide
from fdgrad_dask.stencils.stencil import Halves, Stencil, Term
from fdgrad_dask.stencils.table import StencilTable
from fdgrad_dask.stencils.weights import inverse_power, weigh_scaled


def compute_plain(
    blocks: Mapping[int, Block], shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The outputs of ``program`` on one chunk, but for the rows at poles that it is given."""
    fields = {i: Field(i, block, shape, program, dtype) for i, block in blocks.items()}
    masked = any(isinstance(block.core, np.ma.MaskedArray) for block in blocks.values())
    real = wide(dtype) if has_kernel(dtype) and not masked else np.dtype(np.float64)
    with np.errstate(all="ignore"):
        made = []
        for d, weights in zip(program.derivatives, numbers(program, real), strict=True):
            operand = program.operands[d.operand]
            f = Reader(fields, operand, d.axis)
            z = None if d.z is None else Reader(fields, ((d.z, None),), d.axis)
            halves = None
            if operand == ((0, None),) and has_large_integers(blocks[0]):
                halves = halves_of(blocks[0], shape, program, d.axis)
            derivative = _Derivative(d, f, z, dtype, real, program.formula is None, halves)
            made.append(derivative.rows(weights))
        if program.formula is None:
            return made

        def number(value: Any) -> Number:
            return Number(value, np.multiply, np)

        here = [number(field.core) for field in fields.values()]
        outputs = program.formula(here, list(map(number, made)))
        return [_filled(output.value, shape, dtype) for output in outputs]


def differentiate_plain(block: Any, axis: int, stencil: StencilTable) -> Any:
    """The derivative of one array along ``axis``, which holds the rows beyond open ends too."""
    dtype = result_dtype(block.dtype)
    lo, hi = (0 if boundary else stencil.halo_width for boundary in (stencil.low, stencil.high))
    n = block.shape[axis] - lo - hi
    across = (slice(None),) * axis
    low, core, high = (
        block[(*across, rows)] for rows in (slice(lo), slice(lo, lo + n), slice(lo + n, None))
    )
    given = Block(core, {axis: low} if lo else {}, {axis: high} if hi else {})
    return compute_plain({0: given}, core.shape, single(stencil, axis), dtype)[0]


def _filled(value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array of its own: of the shape of the block, to be written to."""
    filled = np.empty_like(value, dtype, shape=shape)
    filled[...] = value
    return filled


_Read = Callable[[Reader, int], Any]  # what a reader has at an offset, or at a position


class _Derivative(NamedTuple):
    """One derivative of an operand ``f``, along a coordinate ``z`` if that varies otherwise too."""

    it: Derivative
    f: Reader
    z: Reader | None
    dtype: np.dtype[Any]
    real: np.dtype[Any]
    divide: bool
    halves: tuple[Reader, Reader] | None = None

    def rows(self, weights: Sequence[Any]) -> Any:
        """All rows: those beside domain boundaries by stencils of their own, the rest by windows.

        Each row is computed once, so rows beside a boundary need no ghost cells.
        """
        stencil, axis, n = self.it.stencil, self.it.axis, self.f.n
        edges = {}
        for boundary, columns, step in (
            (stencil.low, weights[1], 1),
            (stencil.high, weights[2], -1),
        ):
            for i, (window, w) in enumerate(
                zip(boundary.rows if boundary else (), columns, strict=True)
            ):
                edges[i if step == 1 else n - 1 - i] = self._sum(window, w, Reader.row)
        low = len(stencil.low.rows) if stencil.low else 0
        if not edges:
            return self._windows(weights[0], 0, n)
        inner = self._windows(weights[0], low, n - len(edges)) if len(edges) < n else None
        part = edges[0] if inner is None else inner
        out = np.empty_like(part, shape=(*part.shape[:axis], n, *part.shape[axis + 1 :]))
        across = (slice(None),) * axis
        if inner is not None:
            out[(*across, slice(low, low + n - len(edges)))] = inner
        for place, row in edges.items():
            out[(*across, slice(place, place + 1))] = row
        return out

    def _windows(self, weights: Sequence[Any], first: int, count: int) -> Any:
        """``count`` rows from number ``first`` on, far enough from all domain boundaries."""

        def read(reader: Reader, offset: int) -> Any:
            return reader.rows(first + offset, count)

        columns = [_part(w, first, count) for w in weights]
        sums = [
            self._sum(window, w, read)
            for window, w in zip(self.it.stencil.windows, columns, strict=True)
        ]
        return sums[0] if len(sums) == 1 else self._first_complete(sums, read)

    def _first_complete(self, sums: Sequence[Any], read: _Read) -> Any:
        """The sum of the first window that misses nothing; NaN where all do, or the point."""
        here = ~np.isnan(read(self.f, 0))
        out = np.full_like(sums[0], np.nan)
        for window, total in reversed(list(zip(self.it.stencil.windows, sums, strict=True))):
            complete = here
            for offset in window.offsets:
                if offset != 0:
                    complete = complete & ~np.isnan(read(self.f, offset))
            out = np.where(complete, total, out)
        return out

    def _sum(self, window: Stencil, weights: Any, read: _Read) -> Any:
        """Σ over the terms of one window, as `arithmetic` has it, rounded to the result's dtype."""
        exponent = None
        if self.z is not None:
            points = [read(self.z, offset) for offset in window.offsets]
            at, order = window.offsets.index(window.origin), self.it.stencil.order
            factors, exponent = weigh_scaled(points, at, order)
            factors = [factor.astype(self.real) for factor in factors]
        else:
            if isinstance(weights, Scaled):
                weights, exponent = weights
                exponent = self._along(exponent)
            factors = [self._along(column) for column in weights]
        total = self._total(window, factors, partial(read, self.f))
        if self.halves:
            total = self._by_halves(window, factors, read, total)
        if exponent is not None:
            total = _times_power(total, exponent)
        # Differences of dates are durations, of which the dtype says the unit.
        return total if self.dtype.kind in "mM" else total.astype(self.dtype, copy=False)

    def _by_halves(self, window: Stencil, factors: list[Any], read: _Read, total: Any) -> Any:
        """``total``; of integers that float64 does not have, from their differences if it has them.

        All others are as NumPy has them, which converts first.
        """
        assert self.halves
        high, low = self.halves
        terms, by, divide = window.terms, factors, self.divide
        if terms[0].minus is None:
            others = [i for i, offset in enumerate(window.offsets) if offset != window.origin]
            terms = tuple(Term(window.offsets[i], window.origin) for i in others)
            by, divide = [factors[i] for i in others], False

        def halves(offset: int) -> Halves:
            return Halves(read(high, offset), read(low, offset), 32)

        value = partial(read, self.f)
        pairs = [(plus, window.origin if minus is None else minus) for plus, minus in terms]
        is_known = [abs(halves(plus) - halves(minus)) < 2.0**53 for plus, minus in pairs]
        is_large = [abs(value(offset)) >= 2.0**53 for pair in pairs for offset in pair]
        usable = reduce(np.logical_and, is_known) & reduce(np.logical_or, is_large)
        return np.where(usable, _added(halves, terms, by, divide=divide), total)

    def _total(self, window: Stencil, factors: list[Any], f: Callable[[int], Any]) -> Any:
        divide = self.divide or self.z is not None
        if window.terms[0].minus is not None:
            return _added(f, window.terms, factors, divide=divide)
        if self.real.itemsize >= 8:
            return _added(f, window.terms, factors, divide=False)
        if window.adds_to_zero:
            others = [i for i, offset in enumerate(window.offsets) if offset != window.origin]
            terms = [Term(window.offsets[i], window.origin) for i in others]
            less = _added(f, terms, [factors[i] for i in others], divide=False)
            usual = np.isfinite(less)
            if usual.all():
                return less
        by, power = inverse_power(reduce(np.add, map(abs, factors)))
        total = _added(f, window.terms, [factor * (by / 2) for factor in factors], divide=False)
        total = _times_power(total, power + 1)
        return np.where(usual, less, total) if window.adds_to_zero else total

    def _along(self, column: Any) -> Any:
        """What varies along the axis alone, with as many dimensions as the values have."""
        return column.reshape((-1,) + (1,) * (self.f.ndim - self.it.axis - 1))


def _part(weights: Any, first: int, count: int) -> Any:
    """The weights of some rows; they may be the same for all rows."""
    if weights is None:
        return None
    if isinstance(weights, Scaled):
        return Scaled(*(_part(each, first, count) for each in weights))
    return weights if weights.shape[-1] == 1 else weights[..., first : first + count]


def _added(
    f: Callable[[int], Any], terms: Sequence[Term], by: Sequence[Any], *, divide: bool
) -> Any:
    """Σ value · by, or Σ value / by."""
    summands = []
    for (plus, minus), weight in zip(terms, by, strict=True):
        value = f(plus) if minus is None else f(plus) - f(minus)
        summands.append(_scaled(value, weight, divide=divide))
    return reduce(np.add, summands)


def _scaled(value: Any, by: Any, *, divide: bool) -> Any:
    """value · by or value / by; half precision is widened after the difference."""
    scale = np.divide if divide else np.multiply
    if value.dtype.kind != "c" or not has_kernel(value.dtype):
        if has_kernel(value.dtype):
            value = value.astype(by.dtype, copy=False)
        return scale(value, by)
    # A real number times a complex one, as NumPy has it: (by + 0i)(x + iy). The zeros do
    # nothing but carry inf · 0 = NaN from one part to the other.
    x, y = value.real, value.imag
    if divide:
        return _complex(scale(x + y * 0, by), scale(y - x * 0, by))
    return _complex(scale(x, by) - y * 0, scale(y, by) + x * 0)


def _complex(real: Any, imag: Any) -> Any:
    made = np.empty(real.shape, np.result_type(real.dtype, np.complex64))
    made.real, made.imag = real, imag
    return made


def _times_power(number: Any, exponent: Any) -> Any:
    if number.dtype.kind == "c":
        return _complex(np.ldexp(number.real, exponent), np.ldexp(number.imag, exponent))
    return np.ldexp(number, exponent)
