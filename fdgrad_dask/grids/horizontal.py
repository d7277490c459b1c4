"""Which two axes of a field are horizontal, and in which geometry they lie."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.coordinate import (
    Axis,
    check_axis_names,
    find_axis,
    find_cf_names,
    select_for_axis,
)
from fdgrad_dask.grids.curvilinear import grid_of_cell_sizes, grid_of_places, is_periodic
from fdgrad_dask.grids.geometry import (
    EARTH_RADIUS,
    Curvilinear,
    Geometry,
    HorizontalGrid,
    Plane,
    Sphere,
    is_pole,
)
from fdgrad_dask.grids.places import (
    LATITUDES,
    LONGITUDES,
    find_1d,
    find_places,
    require_angles,
)
from fdgrad_dask.grids.projections import earth_radii, find_grid_mapping, label_axes
from fdgrad_dask.grids.staggered import Grid
from fdgrad_dask.grids.units import conversion_factor

# Names of dimensions along which unstructured models and HEALPix list their cells.
_CELLS = re.compile(
    r"(.*_)?n?(cells?|col|nodes?|nod2|ele|elem|edges?|faces|vertices|pix)|values|healpix"
)


def find_horizontal_grid(
    field: xr.DataArray,
    geometry: Geometry | None = None,
    boundary: Any = None,
    is_directed: bool = True,
) -> HorizontalGrid:
    """Find the horizontal axes of ``field`` in the given geometry, or in that of its coordinates.

    1-D longitude and latitude mean a sphere; 1-D x and y with a unit of length mean a plane, or the
    projection that their grid mapping describes; 2-D longitude and latitude, or given dx and dy,
    mean a curvilinear grid. A longitude around the globe is periodic unless ``boundary`` names it.
    ``is_directed``: the result, or a wind, points east and north, which about a rotated pole is not
    along the axes.

    Raises CoordinateError if the field has no two such axes, or their geometry cannot be inferred.
    """
    check_axis_names(boundary, [field])
    assert not isinstance(geometry, Grid)  # whose operators are `operators.staggered`
    field = label_axes(field)
    if isinstance(geometry, Curvilinear) and not (geometry.dx is None and geometry.dy is None):
        return grid_of_cell_sizes(field, geometry, boundary)
    if geometry is None or isinstance(geometry, Curvilinear):
        places = find_places(field, geometry is not None, is_directed)
        if places is not None:
            return grid_of_places(field, geometry, boundary, *places)
    assert not isinstance(geometry, Curvilinear)
    return _grid_of_axes(field, geometry, boundary)


def _grid_of_axes(
    field: xr.DataArray, geometry: Plane | Sphere | None, boundary: Any
) -> HorizontalGrid:
    """Make the grid of 1-D longitude and latitude, or of x and y on a plane."""
    lon = find_1d(field, "longitude", "grid_longitude", names=LONGITUDES)
    lat = find_1d(field, "latitude", "grid_latitude", names=LATITUDES)
    if lon is not None and lat is not None:
        _refuse_unstructured(field, lon, lat)
        x, y = find_axis(field, lon), find_axis(field, lat)
        require_angles(field, lat, lon)
        geometry = geometry or Sphere(earth_radii(field)[0])
    else:
        x, y = _find_planar_axes(field, isinstance(geometry, Plane))
    geometry = _check_geometry(field, geometry, x, y)
    is_sphere = isinstance(geometry, Sphere)
    is_rotated = field.coords.variables[y.name].attrs.get("standard_name") == "grid_latitude"
    around, repeats = False, 0
    if is_sphere and lon is not None and _is_free(field, x, boundary):
        points, around, repeats = recognise_circle(x.points)
        x = replace(x, points=points)
    h_x, h_y = geometry.scale_factors(y.points)
    first, last = is_pole(y.points[[0, -1]])
    return HorizontalGrid(
        x=x,
        y=y,
        geometry=geometry,
        is_east=is_sphere and not is_rotated,
        periodic=(False, around),
        radii=(geometry.radius,) * 2 if isinstance(geometry, Sphere) else (EARTH_RADIUS,) * 2,
        latitude=y.points if is_sphere and not is_rotated else None,
        repeats=repeats,
        is_rotated=is_rotated,
        poles=(bool(around and first), bool(around and last)),
        h_x=h_x,
        h_y=h_y,
        tangent=geometry.tangent(y.points),
    )


def _is_free(field: xr.DataArray, x: Axis, boundary: Any) -> bool:
    """True unless ``boundary`` sets the ends of x to something other than periodic."""
    if not isinstance(boundary, Mapping):
        return boundary is None or is_periodic(boundary)
    named = [ends for key, ends in boundary.items() if select_for_axis({key: True}, x, field)]
    return all(map(is_periodic, named))


def recognise_circle(points: NDArray[Any]) -> tuple[NDArray[Any], bool, int]:
    """Recognise longitudes (n,) that are a full circle, or how many of the last repeat the first.

    Rounding is allowed for, as files write 0.083333 for a twelfth of a degree. Where it exceeds a
    thousandth of a step, the points are replaced by those of the even circle.
    """
    exact = points.astype(np.float64)
    steps = np.diff(exact)
    span = abs(exact[-1] - exact[0])
    step = span / len(steps)
    is_even = bool((abs(abs(steps) - step) <= 0.1 * step).all())
    near = 0.1 * step if is_even else 1e-3 * step
    beyond = max(round((span - 360.0) / step), 0) if is_even else 0
    repeats = beyond + 1
    if abs(span - 360.0 - beyond * step) <= near and 2 < len(points) >= 2 * repeats:
        return points, False, repeats
    off = abs(span + step - 360.0)
    if off > near:
        return points, False, 0
    if off >= 1e-3 * step:
        turn = np.copysign(360.0 / len(points), steps[0])
        points = exact[0] + turn * np.arange(len(points))
    return points, True, 0


def _find_planar_axes(field: xr.DataArray, is_plane: bool) -> tuple[Axis, Axis]:
    x, y = (_find_planar_name(field, name, is_plane) for name in ("x", "y"))
    if x is None or y is None:
        _refuse_without_axes(field)
    return find_axis(field, x), find_axis(field, y)


def _find_planar_name(field: xr.DataArray, name: str, is_plane: bool) -> Hashable | None:
    """Find x or y by its attributes, or by that name if it has a unit of length, or ``is_plane``.

    A given plane says what its units are.
    """
    known = find_1d(field, name.upper(), f"projection_{name}_coordinate")
    named = field.coords.variables.get(name)
    if known is not None or named is None or named.ndim != 1:
        return known
    is_length = conversion_factor(named.attrs.get("units"), "m") is not None
    return name if is_plane or is_length else None


def _check_geometry(
    field: xr.DataArray, geometry: Plane | Sphere | None, x: Axis, y: Axis
) -> Plane | Sphere:
    """Check a geometry against the units of the coordinates; by default it is a plane."""
    metres = {axis.units: conversion_factor(axis.units, "m") for axis in (x, y)}
    units = f"{x.name!r} and {y.name!r} have the units {x.units!r} and {y.units!r}"
    if isinstance(geometry, Sphere):
        if any(one is not None for one in metres.values()):
            raise CoordinateError(
                f"{units}, but a sphere needs longitude and latitude in degrees; for lengths give "
                "geometry=Plane()"
            )
        return geometry
    if geometry is not None and (geometry.metres is not None or metres.keys() in ({None}, {"1"})):
        return geometry
    if geometry is None and (mapping := find_grid_mapping(field)) is not None:
        raise CoordinateError(
            f"{field.name!r} lies on the projection {mapping.name!r}, where a step of the map is "
            "not a step on the ground, but "
            + (
                f"{units}, which its axes have not; correct them, or if they are lengths on the "
                "ground, give geometry=Plane()"
                if mapping.is_described
                else "its attributes have neither a grid_mapping_name with parameters nor crs_wkt; "
                "set them: pyproj.CRS(…).to_cf()"
                if mapping.is_carried
                else "that variable is not among its coordinates; take it along: "
                f".set_coords({mapping.name!r}) of the dataset, or open that with "
                "decode_coords='all'"
            )
        )
    length = metres.get(x.units)
    if length is None or len(metres) > 1:
        raise CoordinateError(
            f"{units}, but a plane needs one unit of length for both; set them, or give "
            "geometry=Plane(metres)"
        )
    return Plane(length)


def _refuse_unstructured(field: xr.DataArray, lon: Hashable, lat: Hashable) -> None:
    """Raise if longitude and latitude share one dimension: unstructured cells, or a track."""
    (dim,) = field.coords.variables[lon].dims
    if field.coords.variables[lat].dims == (dim,):
        raise CoordinateError(
            f"{lon!r} and {lat!r} both run along {dim!r}: this is an "
            "unstructured grid or a track, and along a track there is no gradient across it; "
            "interpolate the field to a grid of two dimensions first"
        )


def _refuse_without_axes(field: xr.DataArray) -> NoReturn:
    """Raise an error that says which of the horizontal axes is missing, and why."""
    mapping = find_grid_mapping(field)
    cells = [dim for dim in field.dims if _CELLS.fullmatch(str(dim).lower())]
    if cells or "mesh" in field.attrs or (mapping is not None and mapping.kind == "healpix"):
        raise CoordinateError(
            f"{field.name!r} lies on an unstructured grid (dimensions {field.dims}), which has no "
            "two axes; interpolate it to a grid of two dimensions first"
        )
    keys = {"longitude": LONGITUDES, "latitude": LATITUDES}
    known = {
        key: [*find_cf_names(field, key), *(name for name in names if name in field.coords)]
        for key, names in keys.items()
    }
    for key, found in known.items():
        if found and field.coords[found[0]].ndim == 0:
            raise CoordinateError(
                f"{found[0]!r} of {field.name!r} is a single value, but a horizontal operator "
                f"needs two or more along {key}; select a range of it, or differentiate along the "
                "other axis alone: gradient(dim)"
            )
        if not found and any(known.values()):
            raise CoordinateError(
                f"{field.name!r} has the dimensions {field.dims} and no {key}, but a horizontal "
                f"operator needs both axes; keep the {key} when selecting, or differentiate along "
                "the other axis alone: gradient(dim)"
            )
    raise CoordinateError(
        f"the horizontal axes of {field.name!r} cannot be inferred from its coordinates "
        f"{tuple(field.coords)}; give them units (degrees_east, degrees_north; m) or a CF axis"
    )
