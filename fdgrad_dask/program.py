"""What is computed in one pass over some fields: operands, their derivatives, and a formula.

An operand is a sum of fields, each times a factor; a derivative is a stencil along one axis of an
operand; a formula makes the outputs out of the values and derivatives at a point. Nothing here
knows chunks or devices: it is the plan that blocks, tiles and kernels are handed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fdgrad_dask.stencil import Stencil, Wall, Window

# Σ field · factor, as the numbers of the fields; no factor is None.
Operand = tuple[tuple[int, int | None], ...]
# The values of all fields and the derivatives, at the points → the outputs.
Formula = Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]


class Derivative(NamedTuple):
    """A stencil along ``axis`` of an operand.

    ``z`` is the field that is its coordinate, and ``told`` what to say if that folds.
    """

    operand: int
    axis: int
    stencil: Stencil
    z: int | None = None
    told: str = ""


class Cap(NamedTuple):
    """The row at the ``end`` (0 or -1) of ``axis`` of an output is not computed but given."""

    output: int
    axis: int
    end: int
    field: int


@dataclass(frozen=True)
class Program:
    """The plan of one pass. A formula is a function of a module, so that it travels to workers."""

    operands: tuple[Operand, ...]
    derivatives: tuple[Derivative, ...]
    formula: Formula | None = None
    outputs: int = 1
    caps: tuple[Cap, ...] = ()

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which something is differentiated."""
        return tuple(sorted({d.axis for d in self.derivatives}))

    def stencils(self, axis: int) -> list[Stencil]:
        """The stencils along one axis."""
        return [d.stencil for d in self.derivatives if d.axis == axis]

    def halo(self, field: int) -> dict[int, int]:
        """axis → rows of its neighbours that ``field`` needs there."""
        rows: dict[int, int] = {}
        for d in self.derivatives:
            used = {d.z} | {number for part in self.operands[d.operand] for number in part}
            if field in used:
                rows[d.axis] = max(rows.get(d.axis, 0), d.stencil.reach)
        return rows

    def is_factor(self, field: int) -> bool:
        """True if ``field`` only ever multiplies, so that its ghosts are never a fixed value."""
        return all(field != part[0] for operand in self.operands for part in operand)

    def cut(self, rows: Mapping[int, tuple[int, int]]) -> Program:
        """The program of the rows ``start`` to ``stop`` of each of its axes."""
        return self.each(lambda d: d._replace(stencil=d.stencil.cut(*rows[d.axis])))

    def each(self, change: Callable[[Derivative], Derivative]) -> Program:
        """The program with every derivative changed."""
        return replace(self, derivatives=tuple(change(d) for d in self.derivatives))

    def open(self) -> Program:
        """The program of rows that lie far enough from all walls."""
        return self.each(lambda d: d._replace(stencil=replace(d.stencil, low=None, high=None)))

    def edge(self, axis: int, end: int) -> int:
        """The rows at the ``end`` (0 or 1) of ``axis`` that are not like those further in."""
        stencils = self.stencils(axis)
        return max(s.least((s.low, s.high)[end]) for s in stencils)

    def moved(self, place: Mapping[int, int]) -> Program:
        """The program for transposed blocks: axis i has become axis ``place[i]``."""
        caps = tuple(cap._replace(axis=place[cap.axis]) for cap in self.caps)
        return replace(self.each(lambda d: d._replace(axis=place[d.axis])), caps=caps)

    def bare(self) -> Program:
        """The program without its numbers: what a kernel is compiled for."""
        stripped = self.each(lambda d: d._replace(stencil=bare(d.stencil), told=""))
        return replace(stripped, caps=())


def single(stencil: Stencil, axis: int, z: int | None = None, told: str = "") -> Program:
    """The program of one derivative of field 0."""
    return Program((((0, None),),), (Derivative(0, axis, stencil, z, told),))


def bare(stencil: Stencil) -> Stencil:
    """A stencil without its numbers."""

    def stripped(windows: tuple[Window, ...]) -> tuple[Window, ...]:
        return tuple(replace(window, weights=None) for window in windows)

    def wall(end: Wall | None) -> Wall | None:
        return end and Wall(stripped(end.rows))

    return replace(
        stencil,
        n=0,
        windows=stripped(stencil.windows),
        low=wall(stencil.low),
        high=wall(stencil.high),
    )


def weights_of(
    stencil: Stencil, cast: Callable[[Any], Any], inverted: bool = False
) -> tuple[list[Any], ...]:
    """The numbers of a stencil: of its windows, of the low rows, of the high rows.

    ``inverted`` gives one over each step by which a difference is divided.
    """

    def number(window: Window) -> Any:
        if window.weights is None:
            return None
        if inverted and window.taps[0].minus is not None:
            with np.errstate(divide="ignore"):  # the step of a pole row, which has a cap instead
                return cast(1 / window.weights)
        return cast(window.weights)

    def numbers(windows: tuple[Window, ...]) -> list[Any]:
        return [number(window) for window in windows]

    low, high = (wall.rows if wall else () for wall in (stencil.low, stencil.high))
    return numbers(stencil.windows), numbers(low), numbers(high)
