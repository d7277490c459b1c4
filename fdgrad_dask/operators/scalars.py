"""Operators of one scalar field on the horizontal grid that it lies on."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.attributes import name_derivative
from fdgrad_dask.grids.geometry import GRAVITY, Geometry
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.operators import formulas
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.metric import OnGrid, inverse, metrics_of, name_of, per_metre, words_of
from fdgrad_dask.operators.options import Skip
from fdgrad_dask.operators.scheme import Scheme
from fdgrad_dask.stencils.boundary import Boundary


@takes_fields
def horizontal_gradient(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.Dataset:
    """∇f = (1/h_x ∂f/∂x, 1/h_y ∂f/∂y), east and north, in units of the field per metre.

    On a sphere of radius a, h_x = a cos φ and h_y = a (Batchelor 1967, appendix 2).

    Parameters
    ----------
    field
        Longitude and latitude in degrees, of one dimension or of two, or x and y with a unit of
        length, found by their CF attributes; other dimensions in any order.
    edge_order, accuracy, skipna
        See `gradient`.
    boundary
        See `gradient`; a longitude that goes around the globe is periodic by itself.
    geometry
        `Sphere`, `Plane` or `Curvilinear`, instead of the one that the coordinates tell.

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
    one = _pass_of(field, Scheme(edge_order, accuracy, 1, boundary, skipna=skipna), geometry)
    one.slopes(0)
    results = {}
    for data, axis in zip(one.solve(formulas.same, 2), "xy", strict=True):
        east = {"x": "eastward", "y": "northward"}[axis]
        side = east if one.grid.is_east else f"along {axis}"
        attrs = per_metre(field, one.grid, f"derivative of {words_of(field)} per metre {side}")
        name = name_derivative(field.name, axis)
        results[name] = one.label(data, name, attrs)
    return xr.Dataset(results)


@takes_fields
def gradient_magnitude(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
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
    scheme = Scheme(edge_order, accuracy, 1, boundary, skipna=skipna)
    one = _pass_of(field, scheme, geometry, is_directed=False)
    one.slopes(0)
    attrs = per_metre(field, one.grid, f"magnitude of the gradient of {words_of(field)}")
    data = one.solve(formulas.magnitude)[0]
    return one.label(data, f"{name_of(field)}_gradient_magnitude", attrs)


@takes_fields
def geostrophic_wind(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
    coriolis: float | None = None,
) -> xr.Dataset:
    """(u_g, v_g) = (−(1/f) ∂Φ/∂y, (1/f) ∂Φ/∂x), in m s-1.

    Φ is the geopotential, or g times a geopotential height: the units tell. f = 2 Ω sin φ; where
    it is zero, on the equator, there is no such wind: NaN (Holton and Hakim 2013, eq. 2.23).

    Parameters
    ----------
    field
        Geopotential (units of m2 s-2) or geopotential height (of m, gpm, gpdm …).
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
    metres, geopotential = conversion_factor(units, "m"), conversion_factor(units, "m2 s-2")
    if metres is None and geopotential is None:
        raise OptionError(
            f"{field.name!r} has the units {units!r}; a geostrophic wind needs a geopotential "
            "(m2 s-2) or a geopotential height (m): set them"
        )
    scale = geopotential if metres is None else metres * GRAVITY
    one = _pass_of(field, Scheme(edge_order, accuracy, 1, boundary, skipna=skipna), geometry)
    f = one.grid.coriolis(field.name) if coriolis is None else np.full(1, coriolis)
    one.over_grid(scale * inverse(f))
    one.slopes(0)
    results = {}
    made = one.solve(formulas.geostrophic, 2)
    for data, name, side in zip(made, ("ug", "vg"), ("east", "north"), strict=True):
        flat = one.grid.is_rotated or (one.grid.curvilinear is not None and not one.grid.is_east)
        words = f"along {'x' if side == 'east' else 'y'}" if flat else ""
        attrs = per_metre(field, one.grid, f"geostrophic wind {words}")
        if not flat:
            named = f"geostrophic_{side}ward_wind"
            attrs |= {"long_name": named.replace("_", " "), "standard_name": named}
        results[name] = one.label(data, name, attrs | {"units": "m s-1"})
    return xr.Dataset(results)


def _pass_of(
    field: xr.DataArray, scheme: Scheme, geometry: Geometry | None, *, is_directed: bool = True
) -> OnGrid:
    one = OnGrid(field, scheme=scheme)
    one.lie_on(geometry, is_directed=is_directed)
    one.metrics = metrics_of(one.grid, one.like, scheme)
    return one
