"""Operators of one scalar field on the horizontal grid that it lies on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask import formulas
from fdgrad_dask.attributes import derivative_name, derived, quotient, ratio, title
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.flux import flux_stencil
from fdgrad_dask.geometry import GRAVITY, Curvilinear, Geometry, Plane
from fdgrad_dask.grid import of_axis
from fdgrad_dask.horizontal import Horizontal, horizontal
from fdgrad_dask.operators.scheme import (
    Pass,
    Scheme,
    Skip,
    inverse,
    metrics_of,
    over_y,
    pole_ends,
    row,
)
from fdgrad_dask.spacing import boundary_pair, extended
from fdgrad_dask.stencil import Stencil


def horizontal_gradient(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.Dataset:
    """∇f = (1/h_x ∂f/∂x, 1/h_y ∂f/∂y), east and north, in units of the field per metre.

    On a sphere of radius a, h_x = a cos φ and h_y = a (Batchelor 1967, appendix 2).

    Parameters
    ----------
    field
        Longitude and latitude in degrees, or x and y with a unit of length, found by their CF
        attributes; other dimensions in any order.
    edge_order, accuracy, skipna
        See `gradient`.
    boundary
        See `gradient`; a longitude that goes around the globe is periodic by itself.
    geometry
        `Sphere` or `Plane`, instead of the one that the coordinates tell.

    Returns
    -------
    Dataset
        ``d{name}_dx`` and ``d{name}_dy``, with the dims, coords and chunks of the field. NaN at
        a pole, where east has no direction. Their attributes say which geometry and radius
        were used, and which axis is periodic.

    Raises
    ------
    CoordinateError
        The horizontal axes or their geometry cannot be told.
    """
    grid = horizontal(field, geometry, boundary)
    one, run = _slopes(field, grid, Scheme(edge_order, accuracy, 1, boundary, skipna=skipna))
    results = {}
    flat = isinstance(grid.geometry, Plane)
    for data, axis in zip(run(formulas.components, 2), "xy", strict=True):
        side = f"along {axis}" if flat else {"x": "eastward", "y": "northward"}[axis]
        attrs = _per_metre(field, grid, f"derivative of {_title(field)} per metre {side}")
        name = derivative_name(field.name, axis)
        results[name] = one.label(data, name, attrs)
    return xr.Dataset(results)


def gradient_magnitude(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.DataArray:
    """|∇f| = √( (1/h_x ∂f/∂x)² + (1/h_y ∂f/∂y)² ), in units of the field per metre.

    Parameters, scale factors and errors are those of `horizontal_gradient`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of the field. NaN at a pole.
    """
    grid = horizontal(field, geometry, boundary)
    one, run = _slopes(field, grid, Scheme(edge_order, accuracy, 1, boundary, skipna=skipna))
    attrs = _per_metre(field, grid, f"magnitude of the gradient of {_title(field)}")
    return one.label(run(formulas.magnitude, 1)[0], f"{_name(field)}_gradient_magnitude", attrs)


def laplacian(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.DataArray:
    """∇²f = 1/h_x² ∂²f/∂x² + 1/(h_x h_y) ∂/∂y (h_x/h_y ∂f/∂y), in units of the field per m².

    In the compact flux form, which is not blind to a checkerboard as a derivative taken twice
    is. At a pole: the flux through the circle half a row off it, over the area of its cap.
    Parameters and errors are those of `horizontal_gradient`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of the field.
    """
    grid = horizontal(field, geometry, boundary)
    scheme = Scheme(edge_order, accuracy, 2, boundary, skipna=skipna)
    attrs = _per_metre(field, grid, f"laplacian of {_title(field)}", power=2)
    if grid.curved is not None:
        raise CoordinateError(
            "the laplacian is not known on a curvilinear grid; interpolate to 1-D latitudes and "
            "longitudes first"
        )
    one = Pass(field)
    one.factor(inverse(grid.h_x), grid.y)
    one.factor(1 / grid.h_y, grid.y)
    x, y = grid.x, grid.y
    one.derive(0, x, scheme.along(grid, x).stencil(x, one.like))
    flat = isinstance(grid.geometry, Plane)
    one.derive(0, y, scheme.stencil(y, one.like) if flat else _flux_along_y(one.like, grid, scheme))
    for end, beside, _ in pole_ends(grid):
        points = np.deg2rad(y.points.astype(np.float64))
        half = abs(points[end] + points[beside]) / 2
        step = abs(points[end] - points[beside])
        radius = grid.h_y[0] / np.deg2rad(1.0)
        flux = row(one.like, grid, beside) - row(one.like, grid, end)
        one.cap(0, grid, end, flux * (np.cos(half) / (step * radius**2 * (1 - np.sin(half)))))
    return one.label(one.run(formulas.laplacian)[0], f"{_name(field)}_laplacian", attrs)


def geostrophic_wind(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
    coriolis: float | None = None,
) -> xr.Dataset:
    """(u_g, v_g) = (−(1/f) ∂Φ/∂y, (1/f) ∂Φ/∂x), in m s-1.

    Φ is the geopotential, or g times a geopotential height: the units tell. f = 2 Ω sin φ; where
    it is nought, on the equator, there is no such wind: NaN (Holton and Hakim 2013, eq. 2.23).

    Parameters
    ----------
    field
        Geopotential (units of m2 s-2) or geopotential height (of m).
    coriolis
        f in s-1, where y is no latitude.
    edge_order, accuracy, boundary, skipna, geometry
        See `horizontal_gradient`.

    Returns
    -------
    Dataset
        ``ug`` and ``vg``, with the dims, coords and chunks of the field.

    Raises
    ------
    CoordinateError
        The horizontal axes, their geometry or a latitude cannot be told.
    OptionError
        The units are neither those of a geopotential nor those of a height.
    """
    units = field.attrs.get("units")
    metres, geopotential = ratio(units, "m"), ratio(units, "m2 s-2")
    if metres is None and geopotential is None:
        raise OptionError(
            f"{field.name!r} has the units {units!r}; a geostrophic wind needs a geopotential "
            "(m2 s-2) or a geopotential height (m): set them"
        )
    scale = geopotential if metres is None else metres * GRAVITY
    grid = horizontal(field, geometry, boundary)
    f = grid.coriolis(field.name) if coriolis is None else np.full(1, coriolis)
    over_f = scale * inverse(f)
    scheme = Scheme(edge_order, accuracy, 1, boundary, skipna=skipna)
    one, run = _slopes(field, grid, scheme, over_f)
    results = {}
    for data, name, side in zip(
        run(formulas.geostrophic, 2), ("ug", "vg"), ("east", "north"), strict=True
    ):
        attrs = _per_metre(field, grid, f"geostrophic {side}ward wind")
        attrs |= {"units": "m s-1", "standard_name": f"geostrophic_{side}ward_wind"}
        results[name] = one.label(data, name, attrs)
    return xr.Dataset(results)


def _slopes(
    field: xr.DataArray, grid: Horizontal, scheme: Scheme, scale: Any = None
) -> tuple[Pass, Callable[[Any, int], list[Any]]]:
    """A pass with ∂f/∂x and ∂f/∂y and the factors that make them metric; and how to run it."""
    one = Pass(field)
    metrics = metrics_of(grid, scheme)
    scale = np.ones(1) if scale is None else scale
    if metrics is None:
        one.factor(scale * inverse(grid.h_x), grid.y)
        one.factor(scale * over_y(grid), grid.y)
    else:  # the turn to east and north brings the metres
        for _ in range(2):
            one.factor(scale, *(grid.y, grid.x)[-scale.ndim :])
    for axis in (grid.x, grid.y):
        one.derive(0, axis, scheme.along(grid, axis).stencil(axis, one.like))
    return one, lambda formula, outputs: one.run_along(
        grid, metrics, formula, (0, 1), outputs=outputs
    )


def _flux_along_y(field: xr.DataArray, grid: Horizontal, scheme: Scheme) -> Stencil:
    """∂/∂y (h_x ∂f/∂y) / h_x as a table."""
    y = grid.y.points.astype(np.float64)
    around = extended(y, 1, None, None)
    before, behind = ((around[:-2] + y) / 2, (around[2:] + y) / 2)
    geometry = grid.geometry
    assert not isinstance(geometry, Curvilinear)
    at, low_half, high_half = (np.abs(geometry.scale_factors(p)[0]) for p in (y, before, behind))
    low, high = boundary_pair(of_axis(scheme.boundary, grid.y, field))
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


def _per_metre(field: xr.DataArray, grid: Horizontal, words: str, power: int = 1) -> dict[str, Any]:
    units = quotient(field.attrs.get("units"), "m", power)
    return derived(field, units, words) | grid.attrs()


def _title(field: xr.DataArray) -> str:
    return title(field.attrs, field.name)


def _name(field: xr.DataArray) -> Hashable:
    return "f" if field.name is None else field.name
