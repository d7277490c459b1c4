"""The laplacian: of a plane, of a sphere, of a curvilinear grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import xarray as xr

from fdgrad_dask.grids.attributes import choose_long_name, choose_name
from fdgrad_dask.grids.coordinate import select_for_axis
from fdgrad_dask.grids.geometry import Curvilinear, Plane
from fdgrad_dask.grids.metric_terms import OrthogonalMetric, changes
from fdgrad_dask.grids.staggered import Grid
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.fused_pass import FusedPass
from fdgrad_dask.operators.horizontal import HorizontalPass, metric_tables
from fdgrad_dask.operators.options import HorizontalOptions
from fdgrad_dask.operators.pole_rows import find_poles
from fdgrad_dask.operators.staggered_scalar import solve_laplacian
from fdgrad_dask.stencils.boundary import boundary_pair, extended
from fdgrad_dask.stencils.flux import flux_stencil
from fdgrad_dask.stencils.table import StencilTable


@takes_fields
def laplacian(field: xr.DataArray, **options: Unpack[HorizontalOptions]) -> xr.DataArray:
    """∇²f = 1/h_x² ∂²f/∂x² + 1/(h_x h_y) ∂/∂y (h_x/h_y ∂f/∂y), in units of the field per m².

    In the compact flux form, which is not blind to a checkerboard as a derivative taken twice
    is; on a curvilinear grid with the mixed derivatives of oblique axes. At a pole: the flux
    through the circle half a row off it, over the area of its cap. On a staggered `Grid`: the
    fluxes through the open parts of the faces of a cell, over its open area; none through walls.
    Parameters and errors are those of `horizontal_gradient`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of the field.
    """
    if isinstance(options.get("geometry"), Grid):
        return solve_laplacian(field, **options)
    fused = HorizontalPass(field, is_directed=False, is_smooth=True, **options)
    is_curved = isinstance(fused.grid.geometry, Curvilinear)
    data = _solve_curvilinear(fused) if is_curved else _solve_along_axes(fused)
    of = choose_long_name(field.attrs, field.name)
    return fused.named(
        data, f"{choose_name(field.name)}_laplacian", f"laplacian of {of}", fused.per_metre(2)
    )


def _solve_along_axes(fused: HorizontalPass) -> Any:
    """1/h_x² ∂²s/∂x² + 1/h_y² ∂²s/∂y², on a sphere in the flux form along y, which its table holds.

    At a pole: the flux through the circle half a row off it, over the area of its cap.
    """
    s, grid, metric = fused.fields[0], fused.grid, fused.metric
    assert isinstance(metric, OrthogonalMetric)
    s_xx, s_yy = fused.d(s, "x", order=2), fused.d(s, "y", order=2)
    if not isinstance(grid.geometry, Plane):
        s_yy = fused.differentiate(s, grid.y, _flux_table(fused))
    rows = {}
    for end, beside, _ in find_poles(grid):
        # Angles from the pole: their tangents keep the digits that 1 − sin φ loses.
        near = abs(float(grid.y.points[end]) - float(grid.y.points[beside]))
        step, half = np.deg2rad(near), np.deg2rad(near / 2)
        radius = grid.h_y[0] / np.deg2rad(1.0)
        flux = fused.mean_around(s, beside) - fused.mean_around(s, end)
        rows[end] = flux * (1 / (step * radius**2 * np.tan(half / 2)))
    x, y = metric.per_x, metric.per_y
    return fused.solve(x * (x * s_xx) + y * (y * s_yy), poles={0: rows})[0]


def _solve_curvilinear(fused: HorizontalPass) -> Any:
    """∇²s = 1/J [ ∂(J g^xx s_x + J g^xy s_y)/∂x + ∂(J g^xy s_x + J g^yy s_y)/∂y ].

    The fluxes of s along its own axis are compact. Those across it are differenced twice: where
    the axes are not known to be at right angles they are fields of a pass before this one.
    """
    field, grid, s = fused.template, fused.grid, fused.fields[0]
    over_area, across = fused.metric.over_area, fused.metric.contravariant()[2]
    fluxes = []
    if not isinstance(across, int):
        made = fused.solve(across * fused.d(s, "y"), across * fused.d(s, "x"))
        fluxes = [field.copy(data=data) for data in made]
    second = FusedPass(field, *fluxes, plane=fused.plane)
    s, *flux_fields = second.fields
    laplacian: Any = 0
    for axis, (k, slope) in zip((grid.x, grid.y), _coefficients(fused), strict=True):
        for factor, order in ((k, 2), (slope, 1)):
            table = replace(fused.options, order=order).make_table_on(grid, axis, field)
            laplacian += factor * second.differentiate(s, axis, table)
    options = replace(fused.options, boundary=_zero_outside(fused.options.boundary))
    for flux, axis in zip(flux_fields, (grid.x, grid.y), strict=False):
        table = options.make_table_on(grid, axis, field)
        laplacian += over_area * second.differentiate(flux, axis, table)
    return second.solve(laplacian)[0]


def _coefficients(fused: HorizontalPass) -> list[tuple[Any, Any]]:
    """The factors of s_xx and s_x, of s_yy and s_y; those of first derivatives may be 0.

    With k = J g^xx, the flux k ∂s/∂x half a step off, with the mean of k there, differenced once
    more, is (k + δ²k/4) δ²s + δk δs: compact, and conserving.
    """
    grid, field, options, metric = fused.grid, fused.template, fused.options, fused.metric
    tables = metric_tables(grid, field, options)
    seconds = metric_tables(grid, field, options, order=2) if options.accuracy == 2 else None
    factors = []
    for k, axis in zip(metric.contravariant()[:2], (1, 0), strict=True):
        slope = changes(k, axis, tables)
        if not isinstance(slope, int):
            slope = metric.over_area * slope
            k = k if seconds is None else k + changes(k, axis, seconds) / 4
        factors.append((k * metric.over_area, slope))
    return factors


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
