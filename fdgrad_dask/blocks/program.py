"""What is computed in one pass over some fields: operands, their derivatives, and a formula.

An operand is a sum of fields, each times a factor; a derivative is a stencil along one axis of an
operand; a formula makes the outputs out of the values and derivatives at a point. Nothing here
knows chunks or devices: it is the plan that blocks, tiles and kernels are handed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from fdgrad_dask.stencils.boundary import EndBoundary
from fdgrad_dask.stencils.stencil import Stencil
from fdgrad_dask.stencils.table import DomainBoundary, StencilTable

# Σ field · factor, as the numbers of the fields; no factor is None.
Operand = tuple[tuple[int, int | None], ...]
# The values of all fields and derivatives at the points, and outputs made before → the outputs.
Formula = Callable[..., Sequence[Any]]


class Derivative(NamedTuple):
    """A stencil along ``axis`` of an operand.

    ``z`` is the field that is its coordinate; ``error_text`` is raised if that is not monotonic.
    """

    operand: int
    axis: int
    stencil: StencilTable
    z: int | None = None
    error_text: str = ""


class Scaled(NamedTuple):
    """Weights of a sum that is in units of 2^``exponent``."""

    weights: Any
    exponent: Any


@dataclass(frozen=True)
class Block:
    """One chunk of a field, and by axis the rows of its neighbours: before it, and behind it.

    The block is of size 1 along axes on which the field does not vary.
    """

    core: Any  # NumPy or JAX, as its neighbours' rows are
    low: dict[int, Any] = field(default_factory=dict)
    high: dict[int, Any] = field(default_factory=dict)


class PoleRow(NamedTuple):
    """The row at the ``end`` (0 or -1) of ``axis`` of an output is not computed but given."""

    output: int
    axis: int
    end: int
    field: int


@dataclass(frozen=True)
class Program:
    """The plan of one pass. Its formula is hashable, to compile a kernel for it, and picklable."""

    operands: tuple[Operand, ...]
    derivatives: tuple[Derivative, ...]
    formula: Formula | None = None
    outputs: int = 1
    pole_rows: tuple[PoleRow, ...] = ()

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which something is differentiated."""
        return tuple(sorted({d.axis for d in self.derivatives}))

    @property
    def ends(self) -> list[DomainBoundary]:
        """The domain boundaries of all stencils."""
        tables = [d.stencil for d in self.derivatives]
        return [end for table in tables for end in (table.low, table.high) if end]

    @property
    def windows(self) -> list[Stencil]:
        """The stencils of all rows, those beside boundaries too."""
        windows = [window for d in self.derivatives for window in d.stencil.windows]
        return windows + [row for end in self.ends for row in end.rows]

    @property
    def poles_here(self) -> list[PoleRow]:
        """The given rows of poles at which the block lies."""

        def is_here(pole: PoleRow) -> bool:
            table = self.stencils(pole.axis)[0]
            return (table.low, table.high)[pole.end] is not None

        return list(filter(is_here, self.pole_rows))

    @property
    def is_scaled(self) -> bool:
        """True if weights have exponents of their own, for which kernels have no room."""
        return any(window.exponent is not None for window in self.windows)

    @property
    def reads_nan(self) -> bool:
        """True if gaps have to be NaN: in formulas, and where stencils step around them."""
        return self.formula is not None or any(len(d.stencil.windows) > 1 for d in self.derivatives)

    def has_numpy_bits(self, dtype: np.dtype[Any]) -> bool:
        """True if NumPy and XLA compute the same bits.

        Compilers contract what is not rounded by itself: products of complex numbers, and weights
        that are made of many levels. There the two may differ in the last bit.
        """
        along_levels = [d.stencil for d in self.derivatives if d.z is not None]
        many = any(len(window.offsets) > 3 for table in along_levels for window in table.windows)
        return not many and (dtype.kind != "c" or self.formula is None)

    def stencils(self, axis: int) -> list[StencilTable]:
        """The stencils along one axis."""
        return [d.stencil for d in self.derivatives if d.axis == axis]

    def halo(self, number: int) -> dict[int, int]:
        """axis → rows of its neighbours that field ``number`` needs there."""
        rows: dict[int, int] = {}
        for d in self._readers.get(number, ()):
            rows[d.axis] = max(rows.get(d.axis, 0), d.stencil.halo_width)
        return rows

    @cached_property
    def _readers(self) -> dict[int | None, list[Derivative]]:
        """Field number → the derivatives that read it, which each edge of each block asks for."""
        readers: dict[int | None, list[Derivative]] = {}
        for d in self.derivatives:
            for number in {d.z, *chain.from_iterable(self.operands[d.operand])}:
                readers.setdefault(number, []).append(d)
        return readers

    def is_factor(self, number: int) -> bool:
        """True if a field only ever multiplies, so that its ghosts are never a fixed value."""
        return all(number != part[0] for operand in self.operands for part in operand)

    def is_coordinate(self, number: int) -> bool:
        """True for a field whose differences weights are made of: it keeps all its digits."""
        return any(d.z == number for d in self.derivatives)

    def is_alone(self, number: int) -> bool:
        """True if a field is neither multiplied nor added to others before it is differentiated."""
        parts = [operand for operand in self.operands if any(number in part for part in operand)]
        return bool(parts) and all(operand == ((number, None),) for operand in parts)

    def fills(self, axis: int, number: int) -> tuple[EndBoundary, EndBoundary]:
        """What stands outside a field; a factor goes on where that is a fixed value.

        All derivatives of a field along an axis have the same ends, but two fields may differ.
        """
        own = (d.stencil for d in self._readers[number] if d.axis == axis)
        table, is_factor = next(own), self.is_factor(number)
        low, high = (end.fill if end else None for end in (table.low, table.high))
        low, high = (
            "extend" if is_factor and not (fill is None or isinstance(fill, str)) else fill
            for fill in (low, high)
        )
        return low, high

    def cut(self, rows: Mapping[int, tuple[int, int]]) -> Program:
        """The program of the rows ``start`` to ``stop`` of each of its axes."""
        return self.map_derivatives(lambda d: d._replace(stencil=d.stencil.cut(*rows[d.axis])))

    def map_derivatives(self, change: Callable[[Derivative], Derivative]) -> Program:
        """The program with every derivative changed."""
        return replace(self, derivatives=tuple(change(d) for d in self.derivatives))

    def interior(self) -> Program:
        """The program of rows that lie far enough from all boundaries."""
        return self.map_derivatives(
            lambda d: d._replace(stencil=replace(d.stencil, low=None, high=None))
        )

    def edge(self, axis: int, end: int) -> int:
        """The rows at the ``end`` (0 or 1) of ``axis`` that are not like those further in."""
        stencils = self.stencils(axis)
        return max(s.min_chunk_size((s.low, s.high)[end]) for s in stencils)

    def transposed(self, place: Mapping[int, int]) -> Program:
        """The program for transposed blocks: axis i has become axis ``place[i]``."""
        rows = tuple(pole._replace(axis=place[pole.axis]) for pole in self.pole_rows)
        return replace(
            self.map_derivatives(lambda d: d._replace(axis=place[d.axis])), pole_rows=rows
        )

    def structure(self) -> Program:
        """The program without its numbers: what a kernel is compiled for."""
        stripped = self.map_derivatives(
            lambda d: d._replace(stencil=structure_of(d.stencil), error_text="")
        )
        return replace(stripped, pole_rows=())


def single(stencil: StencilTable, axis: int, z: int | None = None, error_text: str = "") -> Program:
    """The program of one derivative of field 0."""
    return Program((((0, None),),), (Derivative(0, axis, stencil, z, error_text),))


def structure_of(stencil: StencilTable) -> StencilTable:
    """A stencil without its numbers."""

    def stripped(windows: tuple[Stencil, ...]) -> tuple[Stencil, ...]:
        return tuple(replace(window, weights=None, exponent=None) for window in windows)

    def boundary(end: DomainBoundary | None) -> DomainBoundary | None:
        return end and DomainBoundary(stripped(end.rows))

    return replace(
        stencil,
        windows=stripped(stencil.windows),
        low=boundary(stencil.low),
        high=boundary(stencil.high),
    )


def numbers(program: Program, real: np.dtype[Any]) -> list[Any]:
    """What the stencils of a program multiply by, or divide by, as reals of such a dtype.

    What a formula follows is multiplied by one over each step.
    """
    inverted = program.formula is not None
    return [
        weights_of(d.stencil, lambda w: np.asarray(w, real), inverted) for d in program.derivatives
    ]


def weights_of(
    stencil: StencilTable, cast: Callable[[Any], Any], inverted: bool = False
) -> tuple[list[Any], ...]:
    """The numbers of a stencil: of its windows, of the low rows, of the high rows.

    ``inverted`` gives one over each step by which a difference is divided.
    """

    def number(window: Stencil) -> Any:
        if window.weights is None:
            return None
        weights = window.weights
        if inverted and window.terms[0].minus is not None:
            with np.errstate(divide="ignore"):  # the step of a pole row, which is given instead
                weights = 1 / weights
        if window.exponent is None:
            return cast(weights)
        return Scaled(cast(weights), window.exponent)

    def numbers(windows: tuple[Stencil, ...]) -> list[Any]:
        return [number(window) for window in windows]

    low, high = (boundary.rows if boundary else () for boundary in (stencil.low, stencil.high))
    return numbers(stencil.windows), numbers(low), numbers(high)
