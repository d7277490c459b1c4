"""The laplacian: of a plane, of a sphere, of a curvilinear grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.grids.attributes import choose_long_name
from fdgrad_dask.grids.coordinate import Axis, select_for_axis
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, Plane
from fdgrad_dask.grids.metric_terms import OrthogonalMetric, changes
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.fused_pass import FusedPass, Options, choose_name
from fdgrad_dask.operators.horizontal import HorizontalPass, find_poles, metric_tables
from fdgrad_dask.operators.options import Skip
from fdgrad_dask.stencils.boundary import Boundary, boundary_pair, extended
from fdgrad_dask.stencils.flux import flux_stencil
from fdgrad_dask.stencils.table import StencilTable


@takes_fields
def laplacian(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.DataArray:
    """∇²f = 1/h_x² ∂²f/∂x² + 1/(h_x h_y) ∂/∂y (h_x/h_y ∂f/∂y), in units of the field per m².

    In the compact flux form, which is not blind to a checkerboard as a derivative taken twice
    is; on a curvilinear grid with the mixed derivatives of oblique axes. At a pole: the flux
    through the circle half a row off it, over the area of its cap.
    Parameters and errors are those of `horizontal_gradient`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of the field.
    """
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    fused = HorizontalPass(
        field, options=options, geometry=geometry, is_directed=False, is_smooth=True
    )
    is_curved = isinstance(fused.grid.geometry, Curvilinear)
    solve = _solve_curvilinear if is_curved else _solve_along_axes
    name, of = f"{choose_name(field)}_laplacian", choose_long_name(field.attrs, field.name)
    return fused.label_per_metre(solve(fused), field, name, f"laplacian of {of}", power=2)


def _solve_along_axes(fused: HorizontalPass) -> Any:
    """1/h_x² ∂²s/∂x² + 1/h_y² ∂²s/∂y², on a sphere in the flux form along y, which its table holds.

    At a pole: the flux through the circle half a row off it, over the area of its cap.
    """
    s, grid, metric = fused.fields[0], fused.grid, fused.metric
    assert isinstance(metric, OrthogonalMetric)
    s_xx = fused.differentiate(s, grid.x, _second_table(fused, grid.x))
    is_flat = isinstance(grid.geometry, Plane)
    table_y = _second_table(fused, grid.y) if is_flat else _flux_table(fused)
    s_yy = fused.differentiate(s, grid.y, table_y)
    rows = {}
    for end, beside, _ in find_poles(grid):
        points = np.deg2rad(grid.y.points.astype(np.float64))
        half = abs(points[end] + points[beside]) / 2
        step = abs(points[end] - points[beside])
        radius = grid.h_y[0] / np.deg2rad(1.0)
        flux = fused.zonal_mean(s, beside) - fused.zonal_mean(s, end)
        rows[end] = flux * (np.cos(half) / (step * radius**2 * (1 - np.sin(half))))
    x, y = metric.per_x, metric.per_y
    return fused.solve(x * (x * s_xx) + y * (y * s_yy), poles={0: rows})[0]


def _solve_curvilinear(fused: HorizontalPass) -> Any:
    """∇²s = 1/J [ ∂(J g^xx s_x + J g^xy s_y)/∂x + ∂(J g^xy s_x + J g^yy s_y)/∂y ].

    The fluxes of s along its own axis are compact. Those across it are differenced twice: where
    the axes are not known to be at right angles they are fields of a pass before this one.
    """
    field, grid, s = fused.template, fused.grid, fused.fields[0]
    xx, x, yy, y = _coefficients(fused)
    over_area, across = fused.metric.over_area, fused.metric.contravariant()[2]
    fluxes = []
    if not isinstance(across, int):
        made = fused.solve(across * fused.d(s, "y"), across * fused.d(s, "x"))
        fluxes = [field.copy(data=data) for data in made]
    second = FusedPass(field, *fluxes, plane=fused.plane)
    s, *fields = second.fields

    def first_table(options: Options, axis: Axis) -> StencilTable:
        return options.make_table_on(grid, axis, field)

    s_xx, s_yy = (
        second.differentiate(s, axis, _second_table(fused, axis)) for axis in (grid.x, grid.y)
    )
    s_x, s_y = (
        second.differentiate(s, axis, first_table(fused.options, axis)) for axis in (grid.x, grid.y)
    )
    made = xx * s_xx + x * s_x + yy * s_yy + y * s_y
    options = replace(fused.options, boundary=_zero_outside(fused.options.boundary))
    for flux, axis in zip(fields, (grid.x, grid.y), strict=False):
        made += over_area * second.differentiate(flux, axis, first_table(options, axis))
    return second.solve(made)[0]


def _coefficients(fused: HorizontalPass) -> tuple[Any, ...]:
    """The factors of s_xx, s_x, s_yy and s_y, which may be 0.

    With k = J g^xx, the flux k ∂s/∂x half a step off, with the mean of k there, differenced once
    more, is (k + δ²k/4) δ²s + δk δs: compact, and conserving.
    """
    grid, field, options, metric = fused.grid, fused.template, fused.options, fused.metric
    tables = metric_tables(grid, field, options)
    seconds = metric_tables(grid, field, options, order=2) if options.accuracy == 2 else None
    factors: list[Any] = []
    for k, axis in zip(metric.contravariant()[:2], (1, 0), strict=True):
        slope = changes(k, axis, tables)
        if isinstance(slope, int):
            factors += [k * metric.over_area, 0]
            continue
        if seconds is not None:
            k = k + changes(k, axis, seconds) / 4
        factors += [k * metric.over_area, metric.over_area * slope]
    return tuple(factors)


def _second_table(fused: HorizontalPass, axis: Axis) -> StencilTable:
    """The table of ∂²/∂axis²."""
    options = replace(fused.options, order=2)
    return options.make_table_on(fused.grid, axis, fused.template)


def _zero_outside(boundary: Any) -> Any:
    """A constant boundary value has zero flux along the edge."""
    if isinstance(boundary, Mapping):
        return {key: _zero_outside(ends) for key, ends in boundary.items()}
    if isinstance(boundary, (tuple, list)):
        return tuple(_zero_outside(end) for end in boundary)
    return boundary if boundary is None or isinstance(boundary, str) else 0.0 * boundary


def _flux_table(fused: HorizontalPass) -> StencilTable:
    """The table of ∂/∂y (h_x ∂s/∂y) / h_x."""
    grid, options = fused.grid, fused.options
    y = grid.y.points.astype(np.float64)
    around = extended(y, 1, None, None)
    before, behind = ((around[:-2] + y) / 2, (around[2:] + y) / 2)
    geometry = grid.geometry
    assert not isinstance(geometry, Curvilinear)
    at, low_half, high_half = (np.abs(geometry.scale_factors(p)[0]) for p in (y, before, behind))
    low, high = boundary_pair(select_for_axis(options.boundary, grid.y, fused.template))
    with np.errstate(divide="ignore", invalid="ignore"):  # the rows at a pole are replaced
        return flux_stencil(
            y,
            (at, low_half, high_half),
            -grid.tangent * grid.h_y,
            accuracy=options.accuracy,
            edge_order=options.edge_order,
            boundary=(low, high),
            skipna=options.skipna is not None,
            name=repr(grid.y.name),
        )
