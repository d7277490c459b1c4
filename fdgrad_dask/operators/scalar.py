"""Operators of one scalar field on the horizontal grid that it lies on."""

from __future__ import annotations

from typing import Unpack

import xarray as xr

from fdgrad_dask.errors import OptionError, did_you_mean
from fdgrad_dask.grids.attributes import choose_long_name, choose_name, name_derivative
from fdgrad_dask.grids.earth import GRAVITY
from fdgrad_dask.grids.geometry import Curvilinear
from fdgrad_dask.grids.metric_terms import inverse
from fdgrad_dask.grids.staggered import POINTS, Grid
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.expression import hypot
from fdgrad_dask.operators.horizontal import HorizontalPass
from fdgrad_dask.operators.interpolation import interpolate_to
from fdgrad_dask.operators.options import (
    CoriolisOptions,
    InterpolationOptions,
    LevelOptions,
)
from fdgrad_dask.operators.staggered_scalar import solve_gradient, solve_magnitude


@takes_fields
def horizontal_gradient(field: xr.DataArray, **options: Unpack[LevelOptions]) -> xr.Dataset:
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
        See `gradient`; a longitude that goes around the globe is periodic by itself. On grids of
        2-D latitude and longitude y may be ``(None, "fold")``, with the fold of a tripolar grid
        beyond its last row, found from where the rows lie (``"fold-T"``, ``"fold-F"`` name the
        pivot where that is unknown); and a dimension of faces may say how they are connected, as
        xgcm does: ``{"face": {0: {"X": (None, (1, "X", False))}, …}}``.
    geometry
        `Sphere`, `Plane` or `Curvilinear`, instead of the one that the coordinates tell. With a
        staggered `Grid` the other options do not apply.
    constant
        What is held constant on levels that are not level: ``"pressure"`` or ``"height"``, from
        their formula terms (see `fdgrad_dask.vertical_coordinate`), or a field of it, such as
        ``ds.pressure``. Then (∂f/∂x)_p = (∂f/∂x)_level − ∂f/∂p (∂p/∂x)_level (Kasahara 1974).
        Without it derivatives are along the levels.
    vertical
        The level coordinate, or its dimension, if CF attributes do not tell.

    Returns
    -------
    Dataset
        ``d{name}_dx`` and ``d{name}_dy``, with the dims, coords and chunks of the field. NaN at
        a pole, where east has no direction. Their attributes say which geometry and radius
        were used, and which axis is periodic. On a staggered grid the difference of two cells over
        their distance along x, at the face between them, and likewise along y: of a field at
        centres they lie at the points u and v. NaN on a wall.

    Raises
    ------
    CoordinateError
        The horizontal axes or their geometry cannot be inferred.
    """
    if isinstance(options.get("geometry"), Grid):
        return solve_gradient(field, **options)
    fused = HorizontalPass(field, **options)
    made = fused.solve(*fused.gradient(fused.fields[0]))
    sides = ("eastward", "northward") if fused.grid.is_east else ("along x", "along y")
    of = f"derivative of {choose_long_name(field.attrs, field.name)} per metre"
    return fused.to_dataset(
        fused.named(data, name_derivative(field.name, axis), f"{of} {side}", fused.per_metre())
        for data, axis, side in zip(made, "xy", sides, strict=True)
    )


@takes_fields
def gradient_magnitude(field: xr.DataArray, **options: Unpack[LevelOptions]) -> xr.DataArray:
    """|∇f| = √( (1/h_x ∂f/∂x)² + (1/h_y ∂f/∂y)² ), in units of the field per metre.

    Parameters, scale factors and errors are those of `horizontal_gradient`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of the field. NaN at a pole. On a staggered grid of the means
        of the two derivatives on both sides of each point; NaN beside a wall.
    """
    if isinstance(options.get("geometry"), Grid):
        return solve_magnitude(field, **options)
    fused = HorizontalPass(field, is_directed=False, **options)
    (data,) = fused.solve(hypot(*fused.gradient(fused.fields[0])))
    long_name = f"magnitude of the gradient of {choose_long_name(field.attrs, field.name)}"
    name = f"{choose_name(field.name)}_gradient_magnitude"
    return fused.named(data, name, long_name, fused.per_metre())


@takes_fields
def interpolate(field: xr.DataArray, **options: Unpack[InterpolationOptions]) -> xr.DataArray:
    """The mean of two neighbours, at another point of a staggered grid.

    Parameters
    ----------
    field
        At any point of the grid; other dimensions in any order.
    to
        ``"center"``, ``"u"``, ``"v"`` or ``"corner"``: along x, then along y, where these differ.
    geometry
        The `Grid`; of a field by name, by default that which its dataset is recognised to have.

    Returns
    -------
    DataArray
        The field with its name and attributes, and the dims and coords of that point. NaN on
        walls between centres, and the boundary of the grid at faces that the data do not have.

    Raises
    ------
    OptionError
        The geometry is no `Grid`, or the point has no such name.
    CoordinateError
        The field does not lie at one point of the grid.
    """
    grid, point = options.get("geometry"), options.get("to", "center")
    if not isinstance(grid, Grid):
        raise OptionError(
            f"geometry is {grid!r}, but points to interpolate between are those of a staggered "
            "grid; give geometry=fdgrad_dask.Grid(…)"
        )
    if point not in POINTS:
        raise OptionError(f"to is {point!r}; {did_you_mean(str(point), POINTS)}")
    return interpolate_to(field, grid, point)


@takes_fields
def geostrophic_wind(field: xr.DataArray, **options: Unpack[CoriolisOptions]) -> xr.Dataset:
    """(u_g, v_g) = (−(1/f) ∂Φ/∂y, (1/f) ∂Φ/∂x), in m s-1.

    Φ is the geopotential, or g times a geopotential height: the units tell. f = 2 Ω sin φ; where
    it is zero, on the equator, there is no such wind: NaN (Holton and Hakim 2013, eq. 2.23).

    Parameters
    ----------
    field
        Geopotential (units of m2 s-2) or geopotential height (of m, gpm, gpdm …).
    coriolis
        f in s-1, where y is no latitude.
    edge_order, accuracy, boundary, skipna, geometry, constant, vertical
        See `horizontal_gradient`.

    Returns
    -------
    Dataset
        ``ug`` and ``vg``, with the dims, coords and chunks of the field.

    Raises
    ------
    CoordinateError
        The horizontal axes, their geometry or a latitude cannot be inferred.
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
    fused = HorizontalPass(field, **options)
    over_f = scale * inverse(fused.coriolis())
    s_x, s_y = fused.gradient(fused.fields[0])
    made = fused.solve(-(over_f * s_y), over_f * s_x)
    is_oblique = isinstance(fused.grid.geometry, Curvilinear) and not fused.grid.is_east
    is_named = not (fused.grid.is_rotated or is_oblique)
    results = []
    for data, name, axis, side in zip(made, ("ug", "vg"), "xy", ("east", "north"), strict=True):
        standard_name = f"geostrophic_{side}ward_wind" if is_named else None
        words = f"geostrophic {side}ward wind" if is_named else f"geostrophic wind along {axis}"
        results.append(fused.named(data, name, words, "m s-1", standard_name))
    return fused.to_dataset(results)
