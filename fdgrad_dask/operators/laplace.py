"""The laplacian: of a plane, of a sphere, of a curvilinear grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.grids.coordinate import select_for_axis
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, Plane
from fdgrad_dask.grids.horizontal import HorizontalGrid
from fdgrad_dask.grids.metric_terms import conduction
from fdgrad_dask.operators import formulas
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.metric import (
    OnGrid,
    circle,
    inverse,
    metrics_of,
    name_of,
    per_metre,
    pole_ends,
    tables_of,
    words_of,
)
from fdgrad_dask.operators.options import Skip
from fdgrad_dask.operators.scheme import Scheme
from fdgrad_dask.operators.slopes import Slopes, Term
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
    scheme = Scheme(edge_order, accuracy, 2, boundary, skipna=skipna)
    one = OnGrid(field, scheme=scheme)
    one.lie_on(geometry, is_directed=False)
    grid = one.grid
    attrs = per_metre(field, grid, f"laplacian of {words_of(field)}", power=2)
    name = f"{name_of(field)}_laplacian"
    if grid.curvilinear is not None:
        return one.label(_curved(one.like, grid, replace(scheme, order=1)), name, attrs)
    one.factor(inverse(grid.h_x), grid.y)
    one.factor(1 / grid.h_y, grid.y)
    x, y = grid.x, grid.y
    one.derive(0, x, scheme.along(grid, x, one.like))
    if isinstance(grid.geometry, Plane):
        one.derive(0, y, scheme.along(grid, y, one.like))
    else:
        one.derive(0, y, _flux_along_y(one.like, grid, scheme))
    for end, beside, _ in pole_ends(grid):
        points = np.deg2rad(y.points.astype(np.float64))
        half = abs(points[end] + points[beside]) / 2
        step = abs(points[end] - points[beside])
        radius = grid.h_y[0] / np.deg2rad(1.0)
        flux = circle(one.data[0], grid, beside) - circle(one.data[0], grid, end)
        one.pole_row(0, grid, end, flux * (np.cos(half) / (step * radius**2 * (1 - np.sin(half)))))
    return one.label(one.run(formulas.laplacian)[0], name, attrs)


def _curved(like: xr.DataArray, grid: HorizontalGrid, scheme: Scheme) -> Any:
    """∇²f = 1/J [ ∂(J g^ii f_i + J g^ij f_j)/∂i + ∂(J g^ij f_i + J g^jj f_j)/∂j ].

    The fluxes of f along its own axis are compact. Those across it are differenced twice: where
    the axes are not known to be at right angles they are fields of a pass before this one.
    """
    x, y = grid.x, grid.y
    metrics = metrics_of(grid, like, scheme, smooth=True)
    assert metrics is not None
    tables = tables_of(grid, like, scheme)
    seconds = tables_of(grid, like, scheme, order=2) if scheme.accuracy == 2 else None
    *factors, over_area, across = conduction(metrics, tables, seconds)
    fluxes = [] if isinstance(across, int) else _fluxes_across(like, grid, scheme, across)
    one = OnGrid(like, *fluxes, scheme=scheme)
    one.grid = grid
    terms: list[Term] = []
    for i, axis in enumerate((x, y)):
        second = replace(scheme, order=2).along(grid, axis, one.like)
        numbers = one.derive(0, axis, second), one.along(axis, 0)
        terms += one.row(factors[2 * i : 2 * i + 2], numbers)
    outside = replace(scheme, boundary=_nought_outside(scheme.boundary))
    for i, axis in enumerate((x, y)[: len(fluxes)]):
        number = one.derive(i + 1, axis, outside.along(grid, axis, one.like))
        terms += one.row((over_area,), (number,))
    one.recipes.append(Slopes((tuple(terms),)))
    return one.solve(formulas.same)[0]


def _fluxes_across(
    field: xr.DataArray, grid: HorizontalGrid, scheme: Scheme, across: Any
) -> list[xr.DataArray]:
    """J g^ij f_j, to be differenced along x, and J g^ij f_i, along y."""
    one = OnGrid(field, scheme=scheme)
    one.grid = grid
    numbers = [one.along(axis, 0) for axis in (grid.y, grid.x)]
    factor = one.over_grid(across)
    one.recipes.append(Slopes(tuple((((factor, number),)) for number in numbers)))
    return [field.copy(data=data) for data in one.solve(formulas.same, 2)]


def _nought_outside(boundary: Any) -> Any:
    """Where a field is held outside, nothing flows along the edge."""
    if isinstance(boundary, Mapping):
        return {key: _nought_outside(ends) for key, ends in boundary.items()}
    if isinstance(boundary, (tuple, list)):
        return tuple(_nought_outside(end) for end in boundary)
    return boundary if boundary is None or isinstance(boundary, str) else 0.0 * boundary


def _flux_along_y(field: xr.DataArray, grid: HorizontalGrid, scheme: Scheme) -> StencilTable:
    """∂/∂y (h_x ∂f/∂y) / h_x as a table."""
    y = grid.y.points.astype(np.float64)
    around = extended(y, 1, None, None)
    before, behind = ((around[:-2] + y) / 2, (around[2:] + y) / 2)
    geometry = grid.geometry
    assert not isinstance(geometry, Curvilinear)
    at, low_half, high_half = (np.abs(geometry.scale_factors(p)[0]) for p in (y, before, behind))
    low, high = boundary_pair(select_for_axis(scheme.boundary, grid.y, field))
    with np.errstate(divide="ignore", invalid="ignore"):  # rows at a pole, which are capped
        return flux_stencil(
            y,
            (at, low_half, high_half),
            -grid.tangent * grid.h_y,
            accuracy=scheme.accuracy,
            edge_order=scheme.edge_order,
            boundary=(low, high),
            skipna=scheme.skipna is not None,
            name=repr(grid.y.name),
        )
