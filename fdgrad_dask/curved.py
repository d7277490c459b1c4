"""Finds the places of a curvilinear grid, or its spacings: in the field, a projection, a call."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.geometry import EARTH_RADIUS, Curvilinear, Geometry
from fdgrad_dask.grid import Axis, cf_names
from fdgrad_dask.spacings import Sides, Spacing, angle_of, sides, spaced, spacing


@dataclass(frozen=True)
class Curved:
    """What is known of a curvilinear grid; arrays are over (y, x).

    ``places`` are latitude and longitude in degrees, ``spacings`` dx and dy: one of them is there.
    ``turn`` are cosine and sine of the angle from east to x, ``latitude`` is that of the Coriolis
    parameter. ``senses`` are -1 where x, or y, falls along its index; ``told`` says that they are x
    and y not by their order alone, ``is_east`` that results are along east and north.
    """

    x: Axis
    y: Axis
    geometry: Curvilinear
    radii: tuple[float, float]
    senses: tuple[int, int]
    told: bool
    places: tuple[Any, Any] | None = None
    spacings: tuple[Spacing, Spacing] | None = None
    turn: tuple[Any, Any] | None = None
    latitude: Any = None
    is_east: bool = True


def curved_grid(field: xr.DataArray, geometry: Geometry | None) -> Curved | None:
    """The grid of ``field`` if it is a curvilinear one.

    Raises
    ------
    CoordinateError
        `Curvilinear` is asked for, and neither the coordinates of such a grid nor spacings that fit
        are there.
    OptionError
        Of dx and dy only one is given.
    """
    if geometry is not None and not isinstance(geometry, Curvilinear):
        return None
    if geometry is not None and not (geometry.dx is None and geometry.dy is None):
        return _spaced_grid(field, geometry)
    lat, lon = (two_dimensional(field, key) for key in ("latitude", "longitude"))
    if lat is None or lon is None or set(lat.dims) != set(lon.dims):
        mapped = _mapped(field)
        if mapped is not None:
            lat, lon = mapped
        elif geometry is not None:
            raise CoordinateError(
                f"{field.name!r} has no latitude and longitude over the same two dimensions "
                f"among its coordinates {tuple(field.coords)}; set them, or give dx and dy"
            )
        else:
            return None
    for coordinate in (lat, lon):
        if "rad" in str(coordinate.attrs.get("units")):
            raise CoordinateError(
                f"{coordinate.name!r} is in {coordinate.attrs['units']}; turn it into degrees "
                "first: np.rad2deg"
            )
    straight = one_of(field, "longitude", "", ()), one_of(field, "latitude", "", ())
    if geometry is None and None not in straight:
        return None  # beside 1-D coordinates the 2-D ones are a convenience
    geometry = geometry or Curvilinear(radii_of(field)[0])
    at = sides(field, lat.dims)
    lat, lon = (coordinate.transpose(at.y, at.x) for coordinate in (lat, lon))
    return Curved(
        _index(field, at.x),
        _index(field, at.y),
        geometry,
        radii_of(field, geometry.radius),
        _senses(field, at),
        at.told,
        places=(lat.data, lon.data),
        turn=None if geometry.angle is None else angle_of(field, geometry.angle, at),
        latitude=lat.data,
    )


def _spaced_grid(field: xr.DataArray, geometry: Curvilinear) -> Curved:
    """The grid of given dx and dy. Where x and y are longitude and latitude, its x is east."""
    if geometry.dx is None or geometry.dy is None:
        one, other = ("dx", "dy") if geometry.dy is None else ("dy", "dx")
        raise OptionError(f"{one} is given without {other}; give both")
    at = spaced(field, (geometry.dx, geometry.dy, geometry.angle))
    dx, dy = (spacing(field, n, getattr(geometry, n), at) for n in ("dx", "dy"))
    lon, lat = (one_of(field, key, "", (key, key[:3])) for key in ("longitude", "latitude"))
    straight = bool(lon and lat) and [field.coords[name].dims for name in (lat, lon)] == [
        (at.y,),
        (at.x,),
    ]
    places = two_dimensional(field, "latitude")
    latitude = field.coords[lat].data[:, None] if straight else None
    if places is not None and set(places.dims) == {at.y, at.x}:
        latitude = places.transpose(at.y, at.x).data
    level = geometry.angle is None or (np.ndim(geometry.angle) == 0 and geometry.angle == 0)
    turn = None if level else angle_of(field, geometry.angle, at)
    return Curved(
        _index(field, at.x),
        _index(field, at.y),
        geometry,
        radii_of(field, geometry.radius),
        (1, 1),
        told=True,
        spacings=(dx, dy),
        turn=turn,
        latitude=latitude,
        is_east=straight or geometry.angle is not None,
    )


def _senses(field: xr.DataArray, at: Sides) -> tuple[int, int]:
    """1, or -1 where the coordinate of x, or of y, falls along its index."""

    def sense(dim: Hashable, keys: tuple[str, ...]) -> int:
        names = [name for key in keys for name in cf_names(field, key)]
        for name in (*names, dim):
            points = field.coords.get(name)
            if points is None or points.dims != (dim,) or points.chunks is not None:
                continue
            if points.dtype.kind in "iuf":
                return -1 if points.values[-1] < points.values[0] else 1
        return 1

    return (
        sense(at.x, ("projection_x_coordinate", "grid_longitude", "X")),
        sense(at.y, ("projection_y_coordinate", "grid_latitude", "Y")),
    )


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
