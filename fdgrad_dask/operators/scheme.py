"""How a derivative is taken, and one pass over labelled fields.

What the operators share: their options, the fields of a pass over the same labels, the factors
that vary along one axis, and the labels of what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from fdgrad_dask.curvilinear import Metrics, on_earth
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.formulas import Turned
from fdgrad_dask.grid import Axis, of_axis
from fdgrad_dask.halo import compute, length
from fdgrad_dask.horizontal import Horizontal
from fdgrad_dask.program import Cap, Derivative, Formula, Operand, Program
from fdgrad_dask.spacing import boundary_pair, check_period
from fdgrad_dask.stencil import Stencil, Tap, Wall, Window, stencil
from fdgrad_dask.times import as_numbers
from fdgrad_dask.weights import weigh

# Metres of a degree do not fit into half precision, and XLA has no long doubles.
_WORK: dict[Any, Any] = {
    np.dtype(np.float16): np.dtype(np.float32),
    np.dtype(np.longdouble): np.dtype(np.float64),
    np.dtype(np.clongdouble): np.dtype(np.complex128),
}

Skip = Literal["one-sided"] | None


@dataclass(frozen=True)
class Scheme:
    """The options of a derivative, as the caller gave them."""

    edge_order: int = 1
    accuracy: int = 2
    order: int = 1
    boundary: Any = None
    period: Any = None
    datetime_unit: str | None = None
    skipna: Skip = None

    def stencil(self, axis: Axis, field: xr.DataArray) -> Stencil:
        """The table for one axis of ``field``."""
        if self.skipna not in (None, "one-sided"):
            raise OptionError(f"skipna is {self.skipna!r}; choose None or 'one-sided'")
        check_period(self.boundary, self.period)
        low, high = boundary_pair(of_axis(self.boundary, axis, field))
        period = of_axis(self.period, axis, field)
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

    def along(self, grid: Horizontal, axis: Axis) -> Scheme:
        """The scheme for one of the horizontal axes: a longitude around the globe has no ends."""
        if grid.wraps and axis is grid.x:
            period = None if grid.curved is not None else 360.0
            return replace(self, boundary="periodic", period=period)
        return self


class Pass:
    """One pass over fields that share their labels: they, factors, and what is done with them."""

    def __init__(self, *fields: xr.DataArray, is_metric: bool = True) -> None:
        fields = tuple(as_numbers(field, None) for field in fields)
        try:
            fields = xr.align(*fields, join="exact", copy=False)
        except ValueError as error:
            names = ", ".join(repr(field.name) for field in fields)
            raise CoordinateError(
                f"{names} do not lie on the same points; select those that all have: "
                f"xr.align(…, join='inner') ({error})"
            ) from None
        if any(set(field.dims) != set(fields[0].dims) for field in fields):
            fields = xr.broadcast(*fields)
        self.dtype = np.result_type(*(field.dtype for field in fields))
        self.work = _WORK.get(self.dtype, self.dtype) if is_metric else self.dtype
        if self.work != self.dtype:
            fields = tuple(field.astype(self.work) for field in fields)
        self.like = fields[0]
        self.labelled = [field.transpose(*self.like.dims) for field in fields]
        self.data: list[Any] = [field.data for field in self.labelled]
        self.operands: list[Operand] = [((i, None),) for i in range(len(fields))]
        self.derivatives: list[Derivative] = []
        self.caps: list[Cap] = []

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

    def run_along(
        self,
        grid: Horizontal,
        metrics: Metrics | None,
        formula: Formula,
        *pairs: tuple[int, int],
        outputs: int = 1,
    ) -> list[Any]:
        """`run`, with these pairs of derivatives turned to east and north if they are not so."""
        if metrics is None:
            return self.run(formula, outputs)
        for slope in metrics.slopes():
            self.factor(slope, grid.y, grid.x)
        return self.run(Turned(formula, pairs), outputs)

    def derive(self, operand: int, axis: Axis, table: Stencil) -> None:
        """One more derivative."""
        self.derivatives.append(Derivative(operand, axis.number, table))

    def cap(self, output: int, grid: Horizontal, end: int, value: xr.DataArray) -> None:
        """The row at a pole of one output: the same all around, (…, 1, 1)."""
        expanded = value.expand_dims([grid.x.dim, grid.y.dim]).transpose(*self.like.dims)
        self.data.append(expanded.data)
        self.caps.append(Cap(output, grid.y.number, end, len(self.data) - 1))

    def run(self, formula: Formula | None = None, outputs: int = 1) -> list[Any]:
        """The data of the outputs."""
        program = Program(
            tuple(self.operands), tuple(self.derivatives), formula, outputs, tuple(self.caps)
        )
        return compute(self.data, program, self.work)

    def label(self, data: Any, name: str, attrs: dict[str, Any]) -> xr.DataArray:
        """One output with the labels of the fields."""
        data = data if self.work == self.dtype else data.astype(self.dtype)
        return xr.DataArray(
            data, coords=self.like.coords, dims=self.like.dims, name=name, attrs=attrs
        )


def metrics_of(grid: Horizontal, scheme: Scheme) -> Metrics | None:
    """The metrics of a curvilinear grid; None where x and y are east and north."""
    if grid.curved is None:
        return None
    along_y, along_x = (
        stencil(
            1.0,
            n,
            accuracy=scheme.accuracy,
            edge_order=2,
            boundary=("periodic", "periodic") if closed else (None, None),
            name=repr(axis.dim),
        )
        for n, closed, axis in zip(grid.curved[0].shape, grid.closed, (grid.y, grid.x), strict=True)
    )
    return on_earth(*grid.curved, grid.radii, along_x, along_y)


def row(field: xr.DataArray, grid: Horizontal, index: int) -> xr.DataArray:
    """The mean of ``field`` around the circle of latitude number ``index``."""
    circle: xr.DataArray = field.isel({grid.y.dim: index}, drop=True)
    if circle.chunks:  # a mean of means would depend on the chunks
        circle = circle.chunk({grid.x.dim: -1})
    dtype = np.complex128 if field.dtype.kind == "c" else np.float64
    return circle.mean([grid.x.dim], skipna=False, dtype=dtype).reset_coords(drop=True)


def pole_ends(grid: Horizontal) -> Sequence[tuple[int, int, float]]:
    """(end, row beside it, +1 in the north or −1 in the south) for the rows that are poles."""
    ends = zip((0, -1), (1, -2), grid.poles, strict=True)
    return [(end, beside, float(np.sign(grid.y.points[end]))) for end, beside, pole in ends if pole]


def closed_at_poles(table: Stencil, grid: Horizontal) -> Stencil:
    """The table along y of a field that is nought at the poles, as h_x · u is.

    Where the last row of a whole circle lies beside a pole and not on it, the pole is one more
    point, of known value. Without it the row would be a one-sided difference of something small
    over something small: wrong by its own size, at any resolution.
    """
    y = grid.y.points
    if not grid.wraps or len(table.windows) > 1 or table.reach > 1:
        return table
    ends = {}
    for side, near, far in (("low", 0, 1), ("high", -1, -2)):
        here, beyond = float(y[near]), float(y[far])
        pole = float(np.copysign(90.0, here))
        wall = getattr(table, side)
        beside = 1e-5 < abs(pole - here) <= abs(here - beyond) * (1 + 1e-6)
        if wall is None or wall.fill is not None or not beside:
            continue
        nodes = (pole, here, beyond) if side == "low" else (beyond, here, pole)
        weights = weigh(nodes, 1, 1)
        known = slice(1, 3) if side == "low" else slice(0, 2)
        read = (0, 1) if side == "low" else (-2, -1)
        columns = np.array(weights[known]).reshape(2, 1)
        ends[side] = Wall((Window(read, near, tuple(map(Tap, read)), columns),))
    return replace(table, low=ends.get("low", table.low), high=ends.get("high", table.high))


def over_y(grid: Horizontal) -> Any:
    """1/h_y along y, NaN at a pole: a gradient has no direction there."""
    return np.where(grid.h_x == 0, np.nan, 1 / grid.h_y)


def inverse(values: Any) -> Any:
    """1/values, NaN where they are nought: there is no direction, or no such wind."""
    if not isinstance(values, np.ndarray):
        return 1.0 / values
    return np.divide(1.0, values, out=np.full_like(values, np.nan), where=values != 0)


def _require_room(axis: Axis) -> None:
    """Raises if both ends of a longitude are the same meridian, or have passed each other."""
    span = abs(float(axis.points[-1]) - float(axis.points[0]))
    if axis.period is not None and span >= axis.period:
        raise CoordinateError(
            f"the period {axis.period:g} of {axis.name!r} must be longer than the {span:g} from "
            "its first point to its last; if these are the same place, drop one of them: "
            f".isel({axis.dim}=slice(None, -1))"
        )
