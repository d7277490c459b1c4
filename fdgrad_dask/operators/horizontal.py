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
)
from fdgrad_dask.grids.places import require_same_places
from fdgrad_dask.grids.steps import lat_lon_metric
from fdgrad_dask.grids.vertical import align_levels, find_level_dim, resolve_levels
from fdgrad_dask.halo.compute import average_row, length
from fdgrad_dask.operators.expression import Derivative, Expression, hypot
from fdgrad_dask.operators.fused_pass import FusedPass
from fdgrad_dask.operators.options import Options
from fdgrad_dask.operators.pole_rows import close_at_poles, find_poles
from fdgrad_dask.operators.roles import choose_components, is_eastward, match_components
from fdgrad_dask.stencils.boundary import boundary_pair
from fdgrad_dask.stencils.edge_rows import smooth_ends
from fdgrad_dask.stencils.table import StencilTable, stencil

Metric = OrthogonalMetric | LatLonMetric


class HorizontalPass(FusedPass):
    """A pass over fields on a horizontal grid, with derivatives per metre to the east and north.

    ``levels`` is the pressure or height of the levels, along which derivatives are taken, or where
    it is constant if the option ``constant`` gives it.
    """

    def __init__(
        self,
        *fields: xr.DataArray,
        is_directed: bool = True,
        is_smooth: bool = False,
        levels: xr.DataArray | None = None,
        **options: Any,
    ) -> None:
        self.options = Options(**options)
        if (constant := self.options.constant) is not None:
            levels = resolve_levels(fields[0], constant, self.options.vertical, "constant")
        super().__init__(*fields, levels=levels)
        asked = self.options.geometry, self.options.boundary, is_directed
        self.grid = find_horizontal_grid(self.template, *asked)
        if self.grid.repeats:  # meridians that are present twice are computed once
            self.leave_out_last(self.grid.x, self.grid.repeats)
            self.grid = find_horizontal_grid(self.template, *asked)
        if self.grid.places is not None:
            for other in self.labelled[1:]:
                require_same_places(self.template, other)
        self.plane = self.grid.y, self.grid.x
        self.metric = build_metric(
            self.grid, self.template, self.options, self.find_components(), is_smooth=is_smooth
        )
        self._tables: dict[tuple[int, int, bool], StencilTable] = {}
        self.level_axis: Any = None
        if levels is not None:
            self._take_levels(levels)

    def _take_levels(self, levels: xr.DataArray) -> None:
        """Find the axis along which ``levels`` is a coordinate, and its stencils."""
        template, options = self.template, self.options
        dim = find_level_dim(template, levels, {a.dim for a in self.plane}, options.vertical)
        _, z, self.level_axis = align_levels(template, self.labelled[-1], dim)
        self.labelled[-1], self.data[-1] = z, z.data
        if options.skipna is not None:
            self.data[:-1] = [field.where(z.notnull()).data for field in self.labelled[:-1]]
        self._level_table = options.make_level_table(self.level_axis, self.plane, template)

    def find_components(self) -> str:
        """What vectors among the fields are along: ``"earth"`` or ``"grid"``."""
        return "earth"

    def d(
        self, operand: Any, axis: Axis | str, *, order: int = 1, is_flux: bool = False
    ) -> Expression:
        """∂operand/∂axis per unit of the axis, which ``"x"`` and ``"y"`` name too.

        ``is_flux``: the operand vanishes at poles, as h_x · u does. Along ``level_axis`` it is
        ∂f/∂p, p that of levels, and where p is constant (∂f/∂x)_p = ∂f/∂x − ∂f/∂p ∂p/∂x.
        """
        if not isinstance(axis, str) and axis is self.level_axis:
            return self.differentiate(operand, axis, self._level_table, by_levels=True)
        along = self.d_along_level(operand, axis, order=order, is_flux=is_flux)
        if self.options.constant is None or not isinstance(axis, str):
            return along
        slope: Expression = self.d(operand, self.level_axis) * self.d_along_level(self.levels, axis)
        return along - slope

    def d_along_level(
        self, operand: Any, axis: Axis | str, *, order: int = 1, is_flux: bool = False
    ) -> Derivative:
        """∂operand/∂axis from point to point of the grid."""
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

    def named(
        self,
        data: Any,
        name: Hashable,
        long_name: str,
        units: str | None,
        standard_name: str | None = None,
    ) -> xr.DataArray:
        """One output with its attributes and those of the grid."""
        if self.options.constant is not None:
            long_name += f" at constant {self.level_axis.title}"
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
        # A circle of the grid is no circle at one pressure.
        poles = find_poles(self.grid) if self.options.constant is None else []
        for end, beside, side in poles:
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
