"""Which two axes of a field are horizontal, and in which geometry they lie."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.attributes import ratio
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.geometry import EARTH_RADIUS, Geometry, Plane, Sphere
from fdgrad_dask.grid import Axis, axis_of, cf_names, is_longitude

_LATITUDES = ("lat", "latitude")
_LONGITUDES = ("lon", "longitude")


def horizontal(
    field: xr.DataArray, geometry: Geometry | None = None
) -> tuple[Axis, Axis, Geometry]:
    """The axes x and y of ``field``, and the geometry: the one given, or that of the coordinates.

    1-D longitude and latitude lie on a sphere, 1-D x and y with a unit of length on a plane.

    Raises
    ------
    CoordinateError
        There are no such two axes, or their geometry cannot be told.
    """
    lon = _one(field, "longitude", "grid_longitude", _LONGITUDES)
    lat = _one(field, "latitude", "grid_latitude", _LATITUDES)
    if lon is not None and lat is not None:
        x, y = axis_of(field, lon), axis_of(field, lat)
        return x, y, geometry or Sphere(_radius(field))
    names = [_one(field, axis, f"projection_{axis.lower()}_coordinate", ()) for axis in "XY"]
    if names[0] is None or names[1] is None:
        raise CoordinateError(
            f"the horizontal axes of {field.name!r} cannot be told from its coordinates "
            f"{tuple(field.coords)}; give them units (degrees_east, degrees_north; m) or a CF axis"
        )
    x, y = axis_of(field, names[0]), axis_of(field, names[1])
    if geometry is not None:
        return x, y, geometry
    return x, y, _plane(field, x, y)


def is_global(field: xr.DataArray, x: Axis) -> bool:
    """True for a longitude whose span and one step more are the full turn."""
    if not is_longitude(field.coords[x.name]) and str(x.name).lower() not in _LONGITUDES:
        return False
    points = x.points.astype(np.float64)
    span = abs(points[-1] - points[0])
    step = span / (len(points) - 1)
    return bool(abs(span + step - 360.0) < 1e-3 * step)


def _one(field: xr.DataArray, key: str, standard: str, names: tuple[str, ...]) -> Hashable | None:
    """The one 1-D coordinate that is ``key`` by its attributes, or unmistakably by its name."""
    found = [n for k in (key, standard) for n in cf_names(field, k) if field.coords[n].ndim == 1]
    if not found:
        found = [
            name
            for name, coordinate in field.coords.items()
            if str(name).lower() in names
            and coordinate.ndim == 1
            and "units" not in coordinate.attrs
        ]
    return found[0] if found else None


def _radius(field: xr.DataArray) -> float:
    """That of the grid mapping, if the field carries it; else the mean Earth's."""
    mapping = field.attrs.get("grid_mapping", field.encoding.get("grid_mapping"))
    attrs: Any = field.coords[mapping].attrs if mapping in field.coords else {}
    return float(attrs.get("earth_radius", attrs.get("semi_major_axis", EARTH_RADIUS)))


def _plane(field: xr.DataArray, x: Axis, y: Axis) -> Plane:
    if "grid_mapping" in field.attrs:
        raise CoordinateError(
            f"{field.name!r} lies on the projection {field.attrs['grid_mapping']!r}, where a step "
            "of the map is not a step on the ground; geometry=Plane() takes it as if it were"
        )
    metres = ratio(x.units, "m")
    if metres is None or x.units != y.units:
        raise CoordinateError(
            f"{x.name!r} and {y.name!r} have the units {x.units!r} and {y.units!r}, but a "
            "plane needs one unit of length for both; set them, or give geometry=Plane(metres)"
        )
    return Plane(metres)
