"""Passes over fields on a horizontal grid: derivatives per metre, means around poles, winds."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.attributes import derive_attributes
from fdgrad_dask.grids.coordinate import Axis, select_for_axis
from fdgrad_dask.grids.geometry import HorizontalGrid, Plane, Sphere
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.grids.metric_terms import (
    LatLonMetric,
    OrthogonalMetric,
    Tables,
    at_points,
    lat_lon_metric,
)
from fdgrad_dask.grids.places import require_same_places
from fdgrad_dask.grids.units import divide_units
from fdgrad_dask.halo.compute import average_row, length
from fdgrad_dask.operators.expression import Derivative, hypot
from fdgrad_dask.operators.fused_pass import FusedPass
from fdgrad_dask.operators.options import Options
from fdgrad_dask.operators.roles import choose_components, is_eastward, match_components
from fdgrad_dask.stencils.boundary import boundary_pair
from fdgrad_dask.stencils.edge_rows import smooth_ends
from fdgrad_dask.stencils.stencil import Stencil, Term
from fdgrad_dask.stencils.table import StencilTable, stencil
from fdgrad_dask.stencils.weights import weigh

Metric = OrthogonalMetric | LatLonMetric


class HorizontalPass(FusedPass):
    """A pass over fields on a horizontal grid, with derivatives per metre to the east and north."""

    def __init__(
        self,
        *fields: xr.DataArray,
        is_directed: bool = True,
        is_smooth: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*fields)
        self.options = Options(**options)
        asked = self.options.geometry, self.options.boundary, is_directed
        self.grid = find_horizontal_grid(self.template, *asked)
        if self.grid.repeats:  # a meridian that is present twice is computed once
            self.leave_out_last(self.grid.x)
            self.grid = find_horizontal_grid(self.template, *asked)
        if self.grid.places is not None:
            for other in self.labelled[1:]:
                require_same_places(self.template, other)
        self.plane = self.grid.y, self.grid.x
        self.metric = build_metric(
            self.grid, self.template, self.options, self.find_components(), is_smooth=is_smooth
        )
        self._tables: dict[tuple[int, int, bool], StencilTable] = {}

    def find_components(self) -> str:
        """What vectors among the fields are along: ``"earth"`` or ``"grid"``."""
        return "earth"

    def d(
        self, operand: Any, axis: Axis | str, *, order: int = 1, is_flux: bool = False
    ) -> Derivative:
        """∂operand/∂axis per unit of the axis, which ``"x"`` and ``"y"`` name too.

        ``is_flux``: the operand vanishes at poles, as h_x · u does.
        """
        if isinstance(axis, str):
            axis = self.grid.x if axis == "x" else self.grid.y
        key = axis.number, order, is_flux
        if key not in self._tables:
            options = replace(self.options, order=order)
            table = options.make_table_on(self.grid, axis, self.template)
            closes = is_flux and axis is self.grid.y
            self._tables[key] = close_at_poles(table, self.grid) if closes else table
        return self.differentiate(operand, axis, self._tables[key])

    def gradient(self, s: Any) -> tuple[Any, Any]:
        """∂s/∂x and ∂s/∂y per metre, to the east and north where these are known."""
        return self.metric.gradient(s, self.d)

    def mean_around(self, field: Any, index: int) -> Any:
        """The mean of a field around the circle of latitude number ``index``, (…, 1, 1)."""
        data, grid = self.data[field.number], self.grid
        return average_row(data, grid.y.number, index, grid.x.number)

    def coriolis(self) -> Any:
        """f in s-1 over (y, x): the one given, or that of the latitude."""
        if self.options.coriolis is not None:
            return np.full((1, 1), self.options.coriolis)
        f = self.grid.coriolis(self.template.name)
        return f[:, None] if f.ndim == 1 else f

    def per_metre(self, power: int = 1, times: Any = None) -> str | None:
        """The units of the first field per metre to the ``power``, ``times`` other units."""
        units = self.template.attrs.get("units")
        if times is not None:
            units = divide_units(times, units, -1)
        return divide_units(units, "m", power)

    def named(
        self,
        data: Any,
        name: Hashable,
        long_name: str,
        units: str | None,
        standard_name: str | None = None,
    ) -> xr.DataArray:
        """One output with its attributes and those of the grid."""
        attrs = derive_attributes(self.outer, units, long_name)
        if standard_name:
            attrs["standard_name"] = standard_name
        return self.label(data, name, attrs | self.grid.attrs())


class Wind(HorizontalPass):
    """A pass over a wind u, v and other fields on the same points, in the geometry of u."""

    def __init__(
        self,
        u: xr.DataArray,
        v: xr.DataArray,
        *others: xr.DataArray,
        is_directed: bool = False,
        **options: Any,
    ) -> None:
        u, v = match_components(u, v, others)
        super().__init__(u, v, *others, is_directed=is_directed or is_eastward(u), **options)
        self.u, self.v, *_ = self.fields

    def find_components(self) -> str:
        return choose_components(self.template, self.labelled[1], self.grid)

    def to_earth(self, u: Any, v: Any) -> tuple[Any, Any]:
        """Components like those of the wind, turned to the east and north where these are known."""
        return self.metric.to_earth(u, v)

    def divergence(self) -> Any:
        """The divergence of the wind, of fluxes through the sides of a cell."""
        return self.metric.divergence(self.u, self.v, self.d)

    def vorticity(self) -> Any:
        """The vorticity of the wind, of circulations around a cell."""
        return self.metric.vorticity(self.u, self.v, self.d)

    def velocity_gradient(self) -> tuple[Any, Any, Any, Any]:
        """∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y per metre, in the directions of `gradient`."""
        return self.metric.velocity_gradient(self.u, self.v, self.d)

    @cached_property
    def deformation(self) -> tuple[Any, Any]:
        """Stretching ∂u/∂x − ∂v/∂y and shearing ∂v/∂x + ∂u/∂y."""
        u_x, u_y, v_x, v_y = self.velocity_gradient()
        return u_x - v_y, v_x + u_y

    def total_deformation(self) -> Any:
        """√(stretching² + shearing²)"""
        return hypot(*self.deformation)

    def polar_divergence(self) -> dict[int, Any]:
        """The divergence at the poles: the flux −v̄ through the first circle, over its area."""
        return self._at_poles(self.v, -1)

    def polar_vorticity(self) -> dict[int, Any]:
        """The vorticity at the poles: the circulation ū around the first circle, over its area."""
        return self._at_poles(self.u, 1)

    def _at_poles(self, component: Any, sign: int) -> dict[int, Any]:
        """± cos φ₁ mean / (a (1 − |sin φ₁|)) by end of y, φ₁ the circle beside the pole."""
        rows = {}
        for end, beside, side in find_poles(self.grid):
            radius = self.grid.h_y[0] / np.deg2rad(1.0)
            # cos φ / (1 − |sin φ|), by the angle from the pole, which keeps more digits.
            angle = np.deg2rad(90.0 - abs(float(self.grid.y.points[beside])))
            over_area = 1 / (radius * np.tan(angle / 2))
            rows[end] = self.mean_around(component, beside) * (sign * side * over_area)
        return rows


def build_metric(
    grid: HorizontalGrid,
    field: xr.DataArray,
    options: Options,
    components: str,
    *,
    is_smooth: bool = False,
) -> Metric:
    """The metric of the grid of ``field``, for a wind that is along the earth's or its axes."""
    if isinstance(grid.geometry, Plane):
        return OrthogonalMetric(grid.h_x[:1, None], grid.h_y[:1, None])
    if isinstance(grid.geometry, Sphere):
        # At a pole y has no direction either.
        h_y = np.where(grid.h_x == 0, np.nan, grid.h_y)
        return OrthogonalMetric(grid.h_x[:, None], h_y[:, None], tangent=grid.tangent[:, None])
    tables = metric_tables(grid, field, options, is_smooth=is_smooth)
    if grid.cell_sizes is not None:
        for name, spacing, closed in zip(
            ("dy", "dx"), grid.cell_sizes[::-1], grid.periodic, strict=True
        ):
            if spacing.is_between and closed:
                raise CoordinateError(
                    f"{name} between points knows no gap of a closed axis; give it at the points"
                )
        h_x, h_y = (
            at_points(spacing.values, axis, table) if spacing.is_between else spacing.values
            for spacing, axis, table in zip(grid.cell_sizes, (1, 0), tables, strict=True)
        )
        return OrthogonalMetric(h_x, h_y, tables, grid.rotation, components)
    assert grid.places is not None
    is_along = components == "grid"
    directions = None
    if is_along and grid.rotation is None:
        directions = metric_tables(grid, field, options, is_smooth=True)
    metric = lat_lon_metric(
        *grid.places, grid.radii, tables, smooth=directions, senses=grid.orientation
    )
    if is_along and grid.rotation is not None:
        c, s = grid.rotation
        metric = replace(metric, along=((c, s), (-s, c)))
    return metric


def metric_tables(
    grid: HorizontalGrid,
    field: xr.DataArray,
    options: Options,
    *,
    order: int = 1,
    is_smooth: bool = False,
) -> Tables:
    """The stencils of metric terms along x and y, as accurate as those of the field.

    A boundary condition is one of the field. The grid goes on beyond it, so metric terms are
    one-sided at all ends but periodic ones. ``is_smooth``: they are differentiated once more.
    """

    def make_table(axis: Axis, is_closed: bool) -> StencilTable:
        n = length(field, axis.number)
        ends = boundary_pair(select_for_axis(options.boundary, axis, field))
        is_open = ends[0] is None and ends[1] is None
        made = stencil(
            1.0,
            n,
            order=order,
            accuracy=options.accuracy,
            edge_order=max(1, min(options.edge_order if is_open else 2, n - order)),
            boundary=("periodic", "periodic") if is_closed else (None, None),
            name=repr(axis.dim),
        )
        return smooth_ends(made, n, options.accuracy) if is_smooth else made

    closed_y, closed_x = grid.periodic
    return make_table(grid.x, closed_x), make_table(grid.y, closed_y)


def find_poles(grid: HorizontalGrid) -> list[tuple[int, int, float]]:
    """(end, row beside it, +1 in the north or −1 in the south) for the rows that are poles."""
    ends = zip((0, -1), (1, -2), grid.poles, strict=True)
    return [(end, beside, float(np.sign(grid.y.points[end]))) for end, beside, pole in ends if pole]


def close_at_poles(table: StencilTable, grid: HorizontalGrid) -> StencilTable:
    """The table along y of a field that is zero at the poles, as h_x · u is.

    Where the last row lies beside a pole and not on it, the pole is one more point, of known value:
    on a circle as on a sector. Without it the row would be a one-sided difference of something
    small over something small: wrong by its own size, at any resolution.
    """
    y = grid.y.points
    if not isinstance(grid.geometry, Sphere) or table.windows[0].offsets != (-1, 0, 1):
        return table
    ends = {}
    for side, near, far in (("low", 0, 1), ("high", -1, -2)):
        here, beyond = float(y[near]), float(y[far])
        pole = float(np.copysign(90.0, here))
        wall = getattr(table, side)
        beside = 1e-5 < abs(pole - here) <= abs(here - beyond) * (1 + 1e-6)
        # Where missing values are stepped around, what lies outside is missing too.
        is_missing = len(table.windows) > 1 and wall is not None and wall.fill != wall.fill
        if wall is None or not (wall.fill is None or is_missing) or not beside:
            continue
        nodes = (pole, here, beyond) if side == "low" else (beyond, here, pole)
        weights = weigh(nodes, 1, 1)
        known = slice(1, 3) if side == "low" else slice(0, 2)
        read = (0, 1) if side == "low" else (-2, -1)
        columns = np.array(weights[known]).reshape(2, 1)
        row = Stencil(read, near, tuple(map(Term, read)), columns, adds_to_zero=False)
        ends[side] = replace(wall, rows=(row,))
    return replace(table, low=ends.get("low", table.low), high=ends.get("high", table.high))
