"""Operators of one scalar field on the horizontal grid that it lies on."""

from __future__ import annotations

import xarray as xr

from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.attributes import choose_long_name, name_derivative
from fdgrad_dask.grids.geometry import GRAVITY, Curvilinear, Geometry
from fdgrad_dask.grids.metric_terms import inverse
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.expression import hypot
from fdgrad_dask.operators.fused_pass import Options, choose_name
from fdgrad_dask.operators.horizontal import HorizontalPass, coriolis_parameter
from fdgrad_dask.operators.options import Skip
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
        The horizontal axes or their geometry cannot be determined.
    """
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    fused = HorizontalPass(field, options=options, geometry=geometry)
    s_x, s_y = fused.gradient(fused.fields[0])
    results = {}
    for data, axis in zip(fused.solve(s_x, s_y), "xy", strict=True):
        east = {"x": "eastward", "y": "northward"}[axis]
        side = east if fused.grid.is_east else f"along {axis}"
        long_name = f"derivative of {choose_long_name(field.attrs, field.name)} per metre {side}"
        name = name_derivative(field.name, axis)
        results[name] = fused.label_per_metre(data, field, name, long_name)
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
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    fused = HorizontalPass(field, options=options, geometry=geometry, is_directed=False)
    s_x, s_y = fused.gradient(fused.fields[0])
    (data,) = fused.solve(hypot(s_x, s_y))
    long_name = f"magnitude of the gradient of {choose_long_name(field.attrs, field.name)}"
    return fused.label_per_metre(data, field, f"{choose_name(field)}_gradient_magnitude", long_name)


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
        The horizontal axes, their geometry or a latitude cannot be determined.
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
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    fused = HorizontalPass(field, options=options, geometry=geometry)
    over_f = scale * inverse(coriolis_parameter(fused.grid, coriolis, field.name))
    s_x, s_y = fused.gradient(fused.fields[0])
    made = fused.solve(-(over_f * s_y), over_f * s_x)
    grid = fused.grid
    is_named = not (
        grid.is_rotated or (isinstance(grid.geometry, Curvilinear) and not grid.is_east)
    )
    results = {}
    for data, name, axis, side in zip(made, ("ug", "vg"), "xy", ("east", "north"), strict=True):
        result = fused.label_per_metre(data, field, name, f"geostrophic wind along {axis}")
        result.attrs["units"] = "m s-1"
        if is_named:
            standard_name = f"geostrophic_{side}ward_wind"
            long_name = standard_name.replace("_", " ")
            result.attrs |= {"long_name": long_name, "standard_name": standard_name}
        results[name] = result
    return xr.Dataset(results)
