"""Finds the places of a curvilinear grid, or its spacings: in the field, a projection, a call."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.cell_sizes import Sides, Spacing, angle_of, sides, spaced, spacing
from fdgrad_dask.grids.coordinate import Axis, cf_names
from fdgrad_dask.grids.geometry import EARTH_RADIUS, Curvilinear, Geometry
from fdgrad_dask.grids.places import (
    candidates,
    known_places,
    one_of,
    require_angles,
    two_dimensional,
)
from fdgrad_dask.grids.projections import find_grid_mapping


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


def curved_grid(
    field: xr.DataArray, geometry: Geometry | None, is_directed: bool = True
) -> Curved | None:
    """The grid of ``field`` if it is a curvilinear one.

    ``is_directed`` says that the result, or a wind, points to the east and north.

    Raises
    ------
    CoordinateError
        `Curvilinear` is asked for, and neither the coordinates of such a grid nor spacings that fit
        are there; or latitude and longitude are ambiguous, or impossible.
    OptionError
        Of dx and dy only one is given.
    """
    if geometry is not None and not isinstance(geometry, Curvilinear):
        return None
    if geometry is not None and not (geometry.dx is None and geometry.dy is None):
        return _spaced_grid(field, geometry)
    lat, lon = (two_dimensional(field, key) for key in ("latitude", "longitude"))
    if lat is None or lon is None or set(lat.dims) != set(lon.dims):
        found = _projected(field, is_directed or geometry is not None)
        if found is not None:
            lat, lon = found
        elif geometry is not None:
            raise CoordinateError(
                f"{field.name!r} has no latitude and longitude over the same two dimensions "
                f"among its coordinates {tuple(field.coords)}; set them, or give dx and dy"
            )
        else:
            return None
    elif geometry is None and not _is_nominal(field, lat, lon):
        return None  # the same places as the 1-D coordinates
    require_angles(lat, lon)
    geometry = geometry or Curvilinear(radii_of(field)[0])
    at = sides(field, lat.dims)
    places = known_places(*(one.transpose(at.y, at.x).data for one in (lat, lon)))
    return Curved(
        _index(field, at.x),
        _index(field, at.y),
        geometry,
        radii_of(field, geometry.radius),
        _senses(field, at),
        at.told,
        places=places,
        turn=None if geometry.angle is None else angle_of(field, geometry.angle, at),
        latitude=places[0],
    )


def _is_nominal(field: xr.DataArray, lat: xr.DataArray, lon: xr.DataArray) -> bool:
    """False if 1-D longitude and latitude give the very places of the 2-D ones.

    Those of models on tripolar grids do so up to some latitude; what lies beyond is elsewhere.
    """
    names = [one_of(field, key, "", ()) for key in ("latitude", "longitude")]
    if None in names:
        return True
    y, x = (field.coords[name] for name in names)
    if {*y.dims, *x.dims} != set(lat.dims):
        return False
    for two in (lat, lon):
        if two.chunks is not None:
            raise CoordinateError(
                f"{field.name!r} has 1-D {x.name!r} and {y.name!r} and 2-D {lon.name!r} and "
                f"{lat.name!r}, and as a dask array {two.name!r} cannot be compared with them "
                f"before anything is computed; load it: .assign_coords({two.name}="
                f"….{two.name}.load()), or drop the pair that does not count: .drop_vars(…)"
            )
    off_y = lat - y
    off_x = ((lon - x + 180) % 360 - 180) * np.cos(np.deg2rad(lat))
    # A small part of a step is rounding; more than that is another place.
    return any(
        bool((abs(off) > 0.05 * _least_step(axis)).any()) for off, axis in ((off_y, y), (off_x, x))
    )


def _least_step(axis: xr.DataArray) -> float:
    return float(np.abs(np.diff(axis.values.astype(np.float64))).min(initial=np.inf))


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
    places = candidates(field, "latitude", 2)
    latitude = field.coords[lat].data[:, None] if straight else None
    if len(places) == 1 and set(field.coords[places[0]].dims) == {at.y, at.x}:
        latitude = field.coords[places[0]].transpose(at.y, at.x).data
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


def radii_of(field: xr.DataArray, given: float = EARTH_RADIUS) -> tuple[float, float]:
    """The radii of the equator and of the poles: those given, else those of the grid mapping."""
    mapping = find_grid_mapping(field)
    major, minor = (EARTH_RADIUS, EARTH_RADIUS) if mapping is None else mapping.radii()
    return (major, minor) if given in (EARTH_RADIUS, major) else (given, given)


def _projected(field: xr.DataArray, is_directed: bool) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Latitude and longitude of 1-D x and y on a map projection, or about a rotated pole.

    Where nothing points to the east or to the north, the sphere about the rotated pole will do.
    """
    mapping = find_grid_mapping(field)
    if mapping is None or not mapping.is_described or mapping.kind == "latitude_longitude":
        return None
    if mapping.kind == "rotated_latitude_longitude":
        names = [one_of(field, f"grid_{key}", "", ()) for key in ("longitude", "latitude")]
        if not is_directed or None in names:
            return None
    else:
        names = [one_of(field, axis, f"projection_{axis.lower()}_coordinate", ()) for axis in "XY"]
    if None in names:
        return None
    x, y = (field.coords[name] for name in names)
    return mapping.places(x, y)


def _index(field: xr.DataArray, dim: Hashable) -> Axis:
    """The axis of a dimension that is counted in steps."""
    if dim not in field.dims:
        raise CoordinateError(
            f"the grid extends along {dim!r}, but {field.name!r} has {field.dims}; select "
            "both alike"
        )
    return Axis(dim, dim, dim, field.dims.index(dim), 1.0, f"index of {dim}", units="1")
