"""One fused evaluation over labelled fields: what all operators share.

The fields over the same labels, the program of their equations, and the labels of the results.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.program import Derivative as PlannedDerivative
from fdgrad_dask.blocks.program import Formula, Operand, PoleRow, Program
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.attributes import check_result_name
from fdgrad_dask.grids.coordinate import Axis, find_own_coordinates
from fdgrad_dask.grids.times import as_numbers
from fdgrad_dask.grids.units import divide_units
from fdgrad_dask.grids.vertical import describe_not_monotonic
from fdgrad_dask.halo.compute import compute, concatenate, expand
from fdgrad_dask.operators.expression import (
    Derivative,
    Expression,
    Factor,
    Field,
    compile_equation,
    linear_terms,
)
from fdgrad_dask.stencils.table import StencilTable

# XLA has no long doubles.
_COMPUTED: dict[Any, Any] = {
    np.dtype(np.longdouble): np.dtype(np.float64),
    np.dtype(np.clongdouble): np.dtype(np.complex128),
}


class FusedPass:
    """One evaluation of equations over fields that share their labels.

    ``fields`` are their leaves in equations, ``labelled`` the fields as they are computed, and
    ``data`` their arrays, followed by those of the factors. Results have the labels of ``outer``.
    ``levels`` is the last field, if it is given: a coordinate that varies along other axes too.
    """

    def __init__(
        self,
        *fields: xr.DataArray,
        plane: tuple[Axis, ...] = (),
        is_metric: bool = True,
        levels: xr.DataArray | None = None,
    ) -> None:
        given = [as_numbers(field, None) for field in fields]
        aligned = align_fields(given if levels is None else [*given, levels])
        self.outer = aligned[0]
        dims = self.outer.dims
        self.labelled = [f if f.dims == dims else f.transpose(*dims) for f in aligned]
        count = len(fields)  # a coordinate keeps its own dtype
        self.dtype = np.result_type(*(field.dtype for field in aligned[:count]))
        self.compute_dtype = _compute_dtype(self.dtype) if is_metric else self.dtype
        self.data: list[Any] = [field.data for field in self.labelled]
        self.plane = plane  # (y, x), along which the arrays in equations vary
        self.repeated: Axis | None = None
        self.repeats = 0
        leaves: list[Any] = [Field(i) for i in range(len(aligned))]
        self.fields = leaves[:count]
        self.levels = leaves[-1]  # the last field, if no ``levels`` are given
        self._operands: list[Operand] = [((i, None),) for i in range(len(leaves))]
        self._operand_numbers: dict[Expression, int] = {field: field.number for field in leaves}
        self._factors: dict[int, tuple[Any, int]] = {}  # by id, which holds while the array lives
        self._leaves: dict[tuple[Expression, int, int], Derivative] = {}
        self._derivatives: list[PlannedDerivative] = []

    @property
    def template(self) -> xr.DataArray:
        """The first field, as it is computed."""
        return self.labelled[0]

    def leave_out_last(self, axis: Axis, count: int) -> None:
        """Leaves out the last points along ``axis``, which repeat the first, as results do."""
        self.repeated, self.repeats = axis, count
        self.labelled = [field.isel({axis.dim: slice(None, -count)}) for field in self.labelled]
        self.data = [field.data for field in self.labelled]

    def differentiate(
        self, operand: Expression, axis: Axis, table: StencilTable, *, by_levels: bool = False
    ) -> Derivative:
        """∂operand/∂axis, which is computed only if an output contains it, and then once.

        ``by_levels``: with respect to the values of ``levels`` along the axis.
        """
        z, text = None, ""
        if by_levels:
            z, text = self.levels.number, describe_not_monotonic(axis)
        leaf = Derivative(operand, axis.number, table, z, text)
        return self._leaves.setdefault((operand, axis.number, id(table)), leaf)

    def solve(
        self, *outputs: Expression, poles: Mapping[int, Mapping[int, Any]] | None = None
    ) -> list[Any]:
        """The arrays of the outputs.

        ``poles`` are the rows at poles, which have equations of their own: output → end of y (0 or
        -1) → its row, (…, 1, 1).
        """
        self._derivatives.clear()  # those of another call
        formula: Formula | None = None
        derivatives = [output for output in outputs if isinstance(output, Derivative)]
        if len(derivatives) == len(outputs):  # alone they are rounded as `numpy.gradient` does
            for derivative in derivatives:
                self._place(derivative)
        else:
            formula = compile_equation(outputs, self._place)
        rows = []
        for output, ends in (poles or {}).items():
            for end, row in ends.items():
                # They lie behind the factors, since the equation does not see them.
                self.data.append(row)
                rows.append(PoleRow(output, self.plane[0].number, end, len(self.data) - 1))
        operands, planned = tuple(self._operands), tuple(self._derivatives)
        program = Program(operands, planned, formula, len(outputs), tuple(rows))
        return compute(self.data, program, self.compute_dtype)

    def _place(self, leaf: Factor | Derivative) -> int:
        """The number of a factor among the data, or of a derivative among the derivatives."""
        if isinstance(leaf, Factor):
            if id(leaf.values) not in self._factors:
                self._factors[id(leaf.values)] = leaf.values, len(self.data)
                self.data.append(self._expand(leaf.values, leaf.axes or self.plane))
            return self._factors[id(leaf.values)][1]
        operand = leaf.operand
        if operand not in self._operand_numbers:  # a sum of fields, each times a factor
            terms = linear_terms(operand).items()
            parts = tuple(
                (n, None if factor is None else self._place(factor)) for n, factor in terms
            )
            self._operand_numbers[operand] = len(self._operands)
            self._operands.append(parts)
        number = self._operand_numbers[operand]
        planned = PlannedDerivative(number, leaf.axis, leaf.table, leaf.z, leaf.error_text)
        self._derivatives.append(planned)
        return len(self._derivatives) - 1

    def _expand(self, values: Any, axes: tuple[Axis, ...]) -> Any:
        """An array that varies along ``axes``, over the dimensions of the fields."""
        if values.size == 1:
            # XLA multiplies a number by the step of an even axis first, which rounds otherwise;
            # a column it multiplies in the order of the equation.
            axes = self.plane[:1]
            values = np.broadcast_to(values.reshape(1), self.template.sizes[axes[0].dim])
        numbers = tuple(axis.number for axis in axes)
        return expand(values, numbers, self.template.ndim)

    def as_wide(self, data: Any) -> Any:
        """An output in the dtype of the fields, if that is wider than what it is computed in.

        Outputs of half precision stay float32: float16 has no digits for a vorticity of 1e-5 s-1.
        """
        is_wider = self.dtype.itemsize > self.compute_dtype.itemsize
        return data.astype(self.dtype) if is_wider else data

    def per_metre(self, power: int = 1, times: Any = None) -> str | None:
        """The units of the first field per metre to the ``power``, ``times`` other units."""
        units = self.template.attrs.get("units")
        if times is not None:
            units = divide_units(times, units, -1)
        return divide_units(units, "m", power)

    def label(self, data: Any, name: Hashable, attrs: dict[str, Any]) -> xr.DataArray:
        """One output with the labels of the fields."""
        data = self.as_wide(data)
        if self.repeated is not None:
            number = self.repeated.number
            first = data[(slice(None),) * number + (slice(self.repeats),)]
            data = concatenate([data, first], number)
            if self.outer.chunks is not None:
                data = data.rechunk(self.outer.chunks)
        return label(self.outer, data, name, attrs)

    def to_dataset(self, results: Iterable[xr.DataArray]) -> xr.Dataset:
        """Outputs as one Dataset; xarray would compare their coordinates, which are the same."""
        return xr.Dataset({one.name: one.variable for one in results}, coords=self.outer.coords)


def label(field: xr.DataArray, data: Any, name: Hashable, attrs: dict[str, Any]) -> xr.DataArray:
    """A result with the coordinates of ``field``, whose values are shared and not copied.

    The constructor copies and checks them, which takes longer than small differences.
    """
    check_result_name(name, field)
    if any(isinstance(size, float) for size in field.shape):  # NaN: dask's unknown chunks
        return xr.DataArray(data, field.coords, field.dims, name, attrs)
    result = field.copy(deep=False, data=data)
    result.name, result.attrs, result.encoding = name, attrs, {}
    if own := find_own_coordinates(field) & field.coords.keys():  # among those of other points
        result.encoding = {"coordinates": " ".join(sorted(own))}
    return result


def align_fields(fields: Sequence[xr.DataArray]) -> tuple[xr.DataArray, ...]:
    """The fields over the dimensions of the largest of them.

    Raises
    ------
    CoordinateError
        They lie on different points: no field has the dimensions of all others, or they have other
        labels there.
    """
    first, *others = fields
    if all(field.dims == first.dims and _shares_indexes(field, first) for field in others):
        return tuple(fields)
    names = " and ".join(repr(field.name) for field in fields)
    largest = max(fields, key=lambda field: field.ndim)
    if any(not set(field.dims) <= set(largest.dims) for field in fields):
        dims = ", ".join(f"{field.name!r} {field.dims}" for field in fields)
        raise CoordinateError(
            f"{names} lie on different points, as on a staggered grid: they have the dimensions "
            f"{dims}; say where each lies on its cells, geometry=fdgrad_dask.Grid(…), or "
            "interpolate them to the same points first; if they are the same points, rename the "
            "dimensions alike: .rename(…)"
        )
    for field in fields:
        single = [dim for dim in largest.dims if dim not in field.dims and dim in field.coords]
        if single:
            raise CoordinateError(
                f"{field.name!r} lies at one {single[0]!r} and {largest.name!r} at many; select "
                "the same of both, or if it is the same everywhere, drop that coordinate: "
                f".drop_vars({single[0]!r})"
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


def _shares_indexes(field: xr.DataArray, other: xr.DataArray) -> bool:
    """True for fields of one dataset: `xarray.align`, which compares labels, has nothing to do."""
    indexes, others = dict(field.xindexes), dict(other.xindexes)
    is_alike = field.shape == other.shape and indexes.keys() == others.keys()
    return is_alike and all(index is others[name] for name, index in indexes.items())


def _suggest_alignment(fields: Sequence[xr.DataArray]) -> str:
    """What to do with fields of other labels; a selection loses those that differ by rounding."""
    first = fields[0]
    for field in fields[1:]:
        for dim in set(first.dims) & set(field.dims) & set(first.indexes) & set(field.indexes):
            labels, other = first.indexes[dim], field.indexes[dim]
            kinds = labels.dtype.kind + other.dtype.kind
            if len(labels) != len(other) or labels.equals(other) or not set(kinds) <= set("fiu"):
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
