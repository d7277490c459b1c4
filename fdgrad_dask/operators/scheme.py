"""How a derivative is taken, and one pass over labelled fields.

What the operators share: their options, the fields of a pass over the same labels, the factors
that vary along one axis, and the labels of what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.program import Derivative, Formula, Operand, PoleRow, Program
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.attributes import check_result_name
from fdgrad_dask.grids.coordinate import Axis, select_for_axis
from fdgrad_dask.grids.horizontal import HorizontalGrid
from fdgrad_dask.grids.times import as_numbers, convert_period
from fdgrad_dask.halo.compute import compute, concatenate, length
from fdgrad_dask.operators.options import Skip
from fdgrad_dask.stencils.boundary import Boundary, Period, boundary_pair, check_period, full_turn
from fdgrad_dask.stencils.table import StencilTable, stencil

# XLA has no long doubles.
_WORK: dict[Any, Any] = {
    np.dtype(np.longdouble): np.dtype(np.float64),
    np.dtype(np.clongdouble): np.dtype(np.complex128),
}


@dataclass(frozen=True)
class Scheme:
    """The options of a derivative, as the caller gave them."""

    edge_order: int = 1
    accuracy: int = 2
    order: int = 1
    boundary: Boundary = None
    period: Period = None
    datetime_unit: str | None = None
    skipna: Skip = None

    def stencil(self, axis: Axis, field: xr.DataArray) -> StencilTable:
        """The table for one axis of ``field``."""
        if self.skipna not in (None, "one-sided"):
            raise OptionError(f"skipna is {self.skipna!r}; choose None or 'one-sided'")
        check_period(self.boundary, self.period)
        low, high = boundary_pair(select_for_axis(self.boundary, axis, field))
        period = convert_period(select_for_axis(self.period, axis, field), axis.units, axis.is_time)
        if period is None and low == "periodic" and axis.period is not None:
            _require_room(axis)
        return stencil(
            axis.points,
            length(field, axis.number),
            order=self.order,
            accuracy=self.accuracy,
            edge_order=self.edge_order,
            boundary=(low, high),
            period=axis.period if period is None else period,
            skipna=self.skipna is not None,
            name=repr(axis.name),
        )

    def along(self, grid: HorizontalGrid, axis: Axis, field: xr.DataArray) -> StencilTable:
        """`stencil`, for which a longitude around the globe has no ends, and a plane a period."""
        scheme = self
        low, _ = boundary_pair(select_for_axis(self.boundary, axis, field))
        if grid.curvilinear is None and (axis is grid.x or axis is grid.y):
            if grid.wraps and axis is grid.x:
                scheme = replace(self, boundary="periodic", period=360.0)
            elif low == "periodic" and axis.period is None:
                scheme = replace(self, boundary="periodic", period=_turn(axis))
        return scheme.stencil(axis, field)


class Pass:
    """One pass over fields that share their labels: they, factors, and what is done with them."""

    def __init__(self, *fields: xr.DataArray, is_metric: bool = True) -> None:
        fields = tuple(as_numbers(field, None) for field in fields)
        fields = on_same_points(fields)
        self.dtype = np.result_type(*(field.dtype for field in fields))
        self.work = _work(self.dtype) if is_metric else self.dtype
        if self.work != self.dtype:
            fields = tuple(field.astype(self.work) for field in fields)
        self.like = self.outer = fields[0]
        self.repeated: Axis | None = None
        dims = self.like.dims
        self.labelled = [f if f.dims == dims else f.transpose(*dims) for f in fields]
        self.data: list[Any] = [field.data for field in self.labelled]
        self.operands: list[Operand] = [((i, None),) for i in range(len(fields))]
        self.derivatives: list[Derivative] = []
        self.pole_rows: list[PoleRow] = []

    def leave_out_last(self, axis: Axis) -> None:
        """Computes without the last point along ``axis``, which is the first one again.

        Its result, too, is that of the first.
        """
        self.repeated = axis
        self.labelled = [field.isel({axis.dim: slice(None, -1)}) for field in self.labelled]
        self.like = self.labelled[0]
        self.data = [field.data for field in self.labelled]

    def factor(self, values: Any, *axes: Axis) -> int:
        """The number of a factor that varies along ``axes``, in their order."""
        order = sorted(range(len(axes)), key=lambda i: axes[i].number)
        shape = [1] * self.like.ndim
        for axis, n in zip(axes, values.shape[: len(axes)], strict=True):
            shape[axis.number] = n
        self.data.append(values.transpose(order or None).reshape(shape))
        return len(self.data) - 1

    def operand(self, *parts: tuple[int, int | None]) -> int:
        """The number of the operand Σ field · factor."""
        self.operands.append(parts)
        return len(self.operands) - 1

    def derive(self, operand: int, axis: Axis, table: StencilTable) -> int:
        """The number of one more derivative."""
        self.derivatives.append(Derivative(operand, axis.number, table))
        return len(self.derivatives) - 1

    def pole_row(self, output: int, grid: HorizontalGrid, end: int, value: Any) -> None:
        """The row at a pole of one output: the same all around, (…, 1, 1)."""
        self.data.append(value)
        self.pole_rows.append(PoleRow(output, grid.y.number, end, len(self.data) - 1))

    def run(self, formula: Formula | None = None, outputs: int = 1) -> list[Any]:
        """The data of the outputs."""
        program = Program(
            tuple(self.operands), tuple(self.derivatives), formula, outputs, tuple(self.pole_rows)
        )
        return compute(self.data, program, self.work)

    def label(self, data: Any, name: str, attrs: dict[str, Any]) -> xr.DataArray:
        """One output with the labels of the fields.

        Of half precision it stays float32: a vorticity of 1e-5 s-1 has no digits left in float16.
        """
        check_result_name(name, self.outer)
        if self.work.itemsize < self.dtype.itemsize:
            data = data.astype(self.dtype)
        if self.repeated is not None:
            number = self.repeated.number
            first = data[(slice(None),) * number + (slice(1),)]
            data = concatenate([data, first], number)
            if self.outer.chunks is not None:
                data = data.rechunk(self.outer.chunks)
        return xr.DataArray(
            data, coords=self.outer.coords, dims=self.outer.dims, name=name, attrs=attrs
        )


def on_same_points(fields: Sequence[xr.DataArray]) -> tuple[xr.DataArray, ...]:
    """The fields over the dimensions of the largest of them.

    Raises
    ------
    CoordinateError
        They lie on different points: no field has the dimensions of all others, or they have other
        labels there.
    """
    names = " and ".join(repr(field.name) for field in fields)
    largest = max(fields, key=lambda field: field.ndim)
    if any(not set(field.dims) <= set(largest.dims) for field in fields):
        dims = ", ".join(f"{field.name!r} {field.dims}" for field in fields)
        raise CoordinateError(
            f"{names} lie on different points, as on a staggered grid: they have the dimensions "
            f"{dims}; interpolate them to the same points first, or if they are the same points, "
            "rename the dimensions alike: .rename(…)"
        )
    try:
        aligned = xr.align(*fields, join="exact", copy=False)
    except ValueError as error:
        raise CoordinateError(
            f"{names} lie on different points; {_cure(fields)} ({error})"
        ) from None
    if any(set(field.dims) != set(aligned[0].dims) for field in aligned):
        aligned = xr.broadcast(*aligned)
    return aligned


def _cure(fields: Sequence[xr.DataArray]) -> str:
    """What to do with fields of other labels; a selection loses those that differ by rounding."""
    first = fields[0]
    for field in fields[1:]:
        for dim in set(first.dims) & set(field.dims) & set(first.indexes) & set(field.indexes):
            one, other = first.indexes[dim], field.indexes[dim]
            if len(one) != len(other) or one.equals(other) or "f" not in one.dtype.kind:
                continue
            step = np.abs(np.diff(one)).min(initial=np.inf)
            if np.abs(np.asarray(one) - np.asarray(other)).max() < 1e-2 * step:
                return (
                    f"the labels of {dim!r} differ by rounding only: {field.name} = "
                    f"{field.name}.assign_coords({dim}={first.name}.{dim})"
                )
    return "select those that all have: xr.align(…, join='inner')"


def _work(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What metres are computed in: those of a degree do not fit into half precision.

    Types of half precision that are not NumPy's, as bfloat16, are of the kind V.
    """
    if dtype.kind in "fV" and dtype.itemsize < 4:
        return np.dtype(np.float32)
    found: np.dtype[Any] = _WORK.get(dtype, dtype)
    return found


def _require_room(axis: Axis) -> None:
    """Raises if both ends of a longitude are the same meridian, or have passed each other."""
    span = abs(float(axis.points[-1]) - float(axis.points[0]))
    if axis.period is not None and span >= axis.period:
        raise CoordinateError(
            f"the period {axis.period:g} of {axis.name!r} must be longer than the {span:g} from "
            "its first point to its last; if these are the same place, drop one of them: "
            f".isel({axis.dim}=slice(None, -1))"
        )


def _turn(axis: Axis) -> float:
    """The length of a periodic axis that is even but for the rounding of its coordinate."""
    turn = full_turn(axis.points)
    if turn is None:
        raise OptionError(
            f"{axis.name!r} is periodic but unevenly spaced, so the gap from its last point to its "
            "first cannot be told; interpolate to even spacing, or leave its ends open: "
            "boundary=None"
        )
    return turn
