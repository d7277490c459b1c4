"""One fused evaluation over labelled fields: what all operators share.

Their options, the fields over the same labels, the program of their equations, and the labels of
the results.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.blocks.program import Derivative as PlannedDerivative
from fdgrad_dask.blocks.program import Formula, Operand, PoleRow, Program
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.attributes import check_result_name
from fdgrad_dask.grids.coordinate import Axis, select_for_axis
from fdgrad_dask.grids.geometry import Curvilinear, HorizontalGrid
from fdgrad_dask.grids.times import as_numbers, convert_period
from fdgrad_dask.halo.compute import compute, length
from fdgrad_dask.operators.expression import (
    Derivative,
    Expression,
    Factor,
    Field,
    compile_equation,
    linear_terms,
)
from fdgrad_dask.operators.options import Skip
from fdgrad_dask.stencils.boundary import Boundary, Period, boundary_pair, check_period, full_turn
from fdgrad_dask.stencils.table import StencilTable, stencil

# XLA has no long doubles.
_COMPUTED: dict[Any, Any] = {
    np.dtype(np.longdouble): np.dtype(np.float64),
    np.dtype(np.clongdouble): np.dtype(np.complex128),
}


@dataclass(frozen=True)
class Options:
    """The options of a derivative, as the caller gave them."""

    edge_order: int = 1
    accuracy: int = 2
    order: int = 1
    boundary: Boundary = None
    period: Period = None
    datetime_unit: str | None = None
    skipna: Skip = None

    def make_table(self, axis: Axis, field: xr.DataArray) -> StencilTable:
        """The stencil table for one axis of ``field``."""
        if self.skipna not in (None, "one-sided"):
            raise OptionError(f"skipna is {self.skipna!r}; choose None or 'one-sided'")
        check_period(self.boundary, self.period)
        low, high = boundary_pair(select_for_axis(self.boundary, axis, field))
        period = convert_period(select_for_axis(self.period, axis, field), axis.units, axis.is_time)
        if period is None and low == "periodic" and axis.period is not None:
            _require_gap(axis)
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

    def make_table_on(self, grid: HorizontalGrid, axis: Axis, field: xr.DataArray) -> StencilTable:
        """`make_table`, where a longitude around the globe and an even plane have a period."""
        options = self
        low, _ = boundary_pair(select_for_axis(self.boundary, axis, field))
        if not isinstance(grid.geometry, Curvilinear) and (axis is grid.x or axis is grid.y):
            if grid.periodic[1] and axis is grid.x:
                options = replace(self, boundary="periodic", period=360.0)
            elif low == "periodic" and axis.period is None:
                options = replace(self, boundary="periodic", period=_full_period(axis))
        return options.make_table(axis, field)


class FusedPass:
    """One evaluation of equations over fields that share their labels.

    ``fields`` are their leaves in equations, ``template`` is the first of them as it is computed,
    and ``data`` are the arrays of the fields, followed by those of the factors.
    """

    def __init__(
        self, *fields: xr.DataArray, plane: tuple[Axis, ...] = (), is_metric: bool = True
    ) -> None:
        fields = align_fields([as_numbers(field, None) for field in fields])
        self.dtype = np.result_type(*(field.dtype for field in fields))
        self.compute_dtype = _compute_dtype(self.dtype) if is_metric else self.dtype
        if self.compute_dtype != self.dtype:
            fields = tuple(field.astype(self.compute_dtype) for field in fields)
        self.plane = plane  # (y, x), along which the arrays in equations vary
        self.template = self.outer = fields[0]
        self.repeated: Axis | None = None
        dims = self.template.dims
        self.labelled = [f if f.dims == dims else f.transpose(*dims) for f in fields]
        self.data: list[Any] = [field.data for field in self.labelled]
        self.fields: list[Any] = [Field(i) for i in range(len(fields))]
        self._operands: list[Operand] = [((i, None),) for i in range(len(fields))]
        self._operand_numbers: dict[Expression, int] = {}
        self._factors: dict[int, tuple[Any, int]] = {}  # by id, which holds while the array lives
        self._leaves: dict[tuple[Expression, int, int], Derivative] = {}
        self._derivatives: list[PlannedDerivative] = []

    def leave_out_last(self, axis: Axis) -> None:
        """Leaves out the last point along ``axis``, which repeats the first, as its result does."""
        self.repeated = axis
        self.labelled = [field.isel({axis.dim: slice(None, -1)}) for field in self.labelled]
        self.template = self.labelled[0]
        self.data = [field.data for field in self.labelled]

    def differentiate(self, operand: Expression, axis: Axis, table: StencilTable) -> Derivative:
        """∂operand/∂axis, which is computed only if an output contains it, and then once."""
        leaf = Derivative(operand, axis.number, table)
        return self._leaves.setdefault((operand, axis.number, id(table)), leaf)

    def solve(
        self, *outputs: Expression, poles: Mapping[int, Mapping[int, Any]] | None = None
    ) -> list[Any]:
        """The arrays of the outputs.

        ``poles`` are the rows at poles, which have equations of their own: output → end of y (0 or
        -1) → its row, (…, 1, 1).
        """
        equation = compile_equation(outputs, self._place)
        rows = []
        for output, ends in (poles or {}).items():
            for end, row in ends.items():
                # They lie behind the factors, since the equation does not see them.
                self.data.append(row)
                rows.append(PoleRow(output, self.plane[0].number, end, len(self.data) - 1))
        return self._run(equation, len(outputs), tuple(rows))

    def solve_without_equation(self, *derivatives: Derivative) -> list[Any]:
        """The arrays of derivatives alone, rounded as `numpy.gradient` does."""
        for leaf in derivatives:
            self._place(leaf)
        return self._run(None, len(derivatives))

    def _run(
        self, formula: Formula | None, outputs: int, pole_rows: tuple[PoleRow, ...] = ()
    ) -> list[Any]:
        operands, derivatives = tuple(self._operands), tuple(self._derivatives)
        program = Program(operands, derivatives, formula, outputs, pole_rows)
        return compute(self.data, program, self.compute_dtype)

    def _place(self, leaf: Factor | Derivative) -> int:
        """The number of a factor among the data, or of a derivative among the derivatives."""
        if isinstance(leaf, Factor):
            return self._place_factor(leaf.values, leaf.axes or self.plane)
        operand = self._place_operand(leaf.operand)
        self._derivatives.append(PlannedDerivative(operand, leaf.axis, leaf.table))
        return len(self._derivatives) - 1

    def _place_operand(self, operand: Expression) -> int:
        """The number of a sum of fields, each times a factor."""
        if isinstance(operand, Field):
            return operand.number
        if operand not in self._operand_numbers:
            parts = [
                (field, None if factor is None else self._place(factor))
                for field, factor in linear_terms(operand).items()
            ]
            self._operands.append(tuple(parts))
            self._operand_numbers[operand] = len(self._operands) - 1
        return self._operand_numbers[operand]

    def _place_factor(self, values: Any, axes: tuple[Axis, ...]) -> int:
        """The number of an array that varies along ``axes``, in their order."""
        key = id(values)
        if key not in self._factors:
            self._factors[key] = values, len(self.data)
            if values.size == 1:
                # XLA multiplies a number by the step of an even axis first, which rounds otherwise;
                # a column it multiplies in the order of the equation.
                axes, n = self.plane[:1], self.template.sizes[self.plane[0].dim]
                values = np.broadcast_to(values.reshape(1), n)
            order = sorted(range(len(axes)), key=lambda i: axes[i].number)
            sizes = {axis.number: n for axis, n in zip(axes, values.shape, strict=True)}
            shape = [sizes.get(number, 1) for number in range(self.template.ndim)]
            self.data.append(values.transpose(order).reshape(shape))
        return self._factors[key][1]

    def label(self, data: Any, name: Hashable, attrs: dict[str, Any]) -> xr.DataArray:
        """One output with the labels of the fields.

        Outputs of half precision stay float32: float16 has no digits for a vorticity of 1e-5 s-1.
        """
        check_result_name(name, self.outer)
        if self.compute_dtype.itemsize < self.dtype.itemsize:
            data = data.astype(self.dtype)
        if self.repeated is not None:
            number = self.repeated.number
            first = data[(slice(None),) * number + (slice(1),)]
            data = namespace(data).concatenate([data, first], axis=number)
            if self.outer.chunks is not None:
                data = data.rechunk(self.outer.chunks)
        return xr.DataArray(
            data, coords=self.outer.coords, dims=self.outer.dims, name=name, attrs=attrs
        )


def choose_name(field: xr.DataArray) -> Hashable:
    """The name of a field in those of results; f if it has none."""
    return "f" if field.name is None else field.name


def namespace(data: Any) -> Any:
    """The module whose functions keep the kind of an array; NumPy hands over to dask itself."""
    return data.__array_namespace__() if is_jax(data) else np


def align_fields(fields: Sequence[xr.DataArray]) -> tuple[xr.DataArray, ...]:
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
            f"{names} lie on different points; {_suggest_alignment(fields)} ({error})"
        ) from None
    if any(set(field.dims) != set(aligned[0].dims) for field in aligned):
        aligned = xr.broadcast(*aligned)
    return aligned


def _suggest_alignment(fields: Sequence[xr.DataArray]) -> str:
    """What to do with fields of other labels; a selection loses those that differ by rounding."""
    first = fields[0]
    for field in fields[1:]:
        for dim in set(first.dims) & set(field.dims) & set(first.indexes) & set(field.indexes):
            labels, other = first.indexes[dim], field.indexes[dim]
            if len(labels) != len(other) or labels.equals(other) or "f" not in labels.dtype.kind:
                continue
            step = np.abs(np.diff(labels)).min(initial=np.inf)
            if np.abs(np.asarray(labels) - np.asarray(other)).max() < 1e-2 * step:
                return (
                    f"the labels of {dim!r} differ by rounding only: {field.name} = "
                    f"{field.name}.assign_coords({dim}={first.name}.{dim})"
                )
    return "select those that all have: xr.align(…, join='inner')"


def _compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What metres are computed in: those of a degree do not fit into half precision."""
    # Half precision that is not NumPy's, such as bfloat16, is of the kind V.
    if dtype.kind in "fV" and dtype.itemsize < 4:
        return np.dtype(np.float32)
    found: np.dtype[Any] = _COMPUTED.get(dtype, dtype)
    return found


def _require_gap(axis: Axis) -> None:
    """Raises if both ends of a longitude are the same meridian, or have passed each other."""
    span = abs(float(axis.points[-1]) - float(axis.points[0]))
    if axis.period is not None and span >= axis.period:
        raise CoordinateError(
            f"the period {axis.period:g} of {axis.name!r} must be longer than the {span:g} from "
            "its first point to its last; if these are the same place, drop one of them: "
            f".isel({axis.dim}=slice(None, -1))"
        )


def _full_period(axis: Axis) -> float:
    """The length of a periodic axis that is even but for the rounding of its coordinate."""
    turn = full_turn(axis.points)
    if turn is None:
        raise OptionError(
            f"{axis.name!r} is periodic but unevenly spaced, so the gap from its last point to its "
            "first is unknown; interpolate to even spacing, or leave its ends open: "
            "boundary=None"
        )
    return turn
