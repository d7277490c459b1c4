"""Finds latitude and longitude of a curvilinear grid: in the coordinates, or by a projection."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.geometry import EARTH_RADIUS, Curvilinear, Geometry
from fdgrad_dask.grid import Axis, cf_names

Found = tuple[Axis, Axis, tuple[Any, Any], Curvilinear]


def curved_grid(field: xr.DataArray, geometry: Geometry | None) -> Found | None:
    """x, y, (latitude, longitude) over (y, x), and the geometry; None if it is not one.

    Raises
    ------
    CoordinateError
        `Curvilinear` is asked for and the coordinates of such a grid are not there.
    """
    if geometry is not None and not isinstance(geometry, Curvilinear):
        return None
    lat, lon = (two_dimensional(field, key) for key in ("latitude", "longitude"))
    if lat is None or lon is None or lat.dims != lon.dims:
        mapped = _mapped(field)
        if mapped is not None:
            lat, lon = mapped
        elif geometry is not None:
            raise CoordinateError(
                f"{field.name!r} has no latitude and longitude over the same two dimensions "
                f"among its coordinates {tuple(field.coords)}; set them"
            )
        else:
            return None
    for coordinate in (lat, lon):
        if "rad" in str(coordinate.attrs.get("units")):
            raise CoordinateError(
                f"{coordinate.name!r} is in {coordinate.attrs['units']}; turn it into degrees "
                "first: np.rad2deg"
            )
    y, x = lat.dims
    straight = one_of(field, "longitude", "", ()), one_of(field, "latitude", "", ())
    if geometry is None and None not in straight:
        return None  # beside 1-D coordinates the 2-D ones are a convenience
    geometry = geometry or Curvilinear(radii_of(field)[0])
    return _index(field, x), _index(field, y), (lat.data, lon.data), geometry


def two_dimensional(field: xr.DataArray, key: str) -> xr.DataArray | None:
    """The coordinate of two dimensions that CF attributes call ``key``."""
    names = [name for name in cf_names(field, key) if field.coords[name].ndim == 2]
    names += [n for n in (key, key[:3]) if n in field.coords and field.coords[n].ndim == 2]
    return field.coords[names[0]] if names else None


def one_of(field: xr.DataArray, key: str, standard: str, names: tuple[str, ...]) -> Hashable | None:
    """The one 1-D coordinate that is ``key`` by its attributes, or unmistakably by its name."""
    found = [n for k in (key, standard) for n in cf_names(field, k) if field.coords[n].ndim == 1]
    if not found:
        found = [
            name
            for name, coordinate in field.coords.items()
            if str(name).lower() in names
            and coordinate.ndim == 1
            and coordinate.attrs.get("units") in (None, "degrees", "degree")
        ]
    return found[0] if found else None


def mapping_of(field: xr.DataArray) -> tuple[Any, dict[str, Any]]:
    """The name of the grid mapping, and its attributes if the field carries it."""
    name = field.attrs.get("grid_mapping", field.encoding.get("grid_mapping"))
    return name, dict(field.coords[name].attrs) if name in field.coords else {}


def radii_of(field: xr.DataArray, given: float = EARTH_RADIUS) -> tuple[float, float]:
    """Those of the equator and the poles in the grid mapping, if the field carries it."""
    _, attrs = mapping_of(field)
    major = float(attrs.get("earth_radius", attrs.get("semi_major_axis", EARTH_RADIUS)))
    if given not in (EARTH_RADIUS, major):
        return given, given
    minor = float(attrs.get("semi_minor_axis", major))
    if attrs.get("inverse_flattening"):
        minor = major * (1 - 1 / float(attrs["inverse_flattening"]))
    return major, minor


def _mapped(field: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Latitude and longitude of 1-D projected x and y, by the grid mapping."""
    mapping, attrs = mapping_of(field)
    names = [one_of(field, axis, f"projection_{axis.lower()}_coordinate", ()) for axis in "XY"]
    kind = attrs.get("grid_mapping_name", "latitude_longitude")
    if None in names or kind in ("latitude_longitude", "rotated_latitude_longitude"):
        return None
    try:
        import pyproj
    except ImportError:
        raise CoordinateError(
            f"{field.name!r} lies on the projection {kind!r}, which needs pyproj, and that is not "
            "installed: pip install 'fdgrad_dask[projection]'"
        ) from None
    try:
        crs = pyproj.CRS.from_cf(attrs)
    except (KeyError, pyproj.exceptions.CRSError) as error:
        raise CoordinateError(
            f"{field.name!r} lies on the projection {mapping!r}, whose attributes are not "
            f"understood ({type(error).__name__}: {error}); mend them, or take the map for the "
            "ground: geometry=Plane()"
        ) from None
    geographic = crs.geodetic_crs
    assert geographic is not None
    x, y = (field.coords[name] for name in names)
    across, along = np.meshgrid(x.values.astype(float), y.values.astype(float))
    turn = pyproj.Transformer.from_crs(crs, geographic, always_xy=True)
    lon, lat = turn.transform(across, along)
    dims = (*y.dims, *x.dims)
    return xr.DataArray(lat, dims=dims), xr.DataArray(lon, dims=dims)


def _index(field: xr.DataArray, dim: Hashable) -> Axis:
    """The axis of a dimension that is counted in steps."""
    if dim not in field.dims:
        raise CoordinateError(
            f"the grid extends along {dim!r}, but {field.name!r} has {field.dims}; select "
            "both alike"
        )
    return Axis(dim, dim, dim, field.dims.index(dim), 1.0, f"index of {dim}", units="1")
