"""Find a curvilinear grid: by 2-D latitude and longitude, a projection, or given dx and dy."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.cell_sizes import (
    CellSize,
    HorizontalDims,
    find_dims,
    order_dims,
    read_cell_size,
    read_rotation,
)
from fdgrad_dask.grids.coordinate import Axis, find_cf_names, index_axis
from fdgrad_dask.grids.geometry import EARTH_RADIUS, Curvilinear, Geometry
from fdgrad_dask.grids.places import (
    find_1d,
    find_2d,
    list_candidates,
    mask_fill_places,
    require_angles,
)
from fdgrad_dask.grids.projections import find_grid_mapping


@dataclass(frozen=True)
class CurvilinearGrid:
    """What is known about a curvilinear grid; arrays are over (y, x).

    Parameters
    ----------
    x, y
        Its axes, counted in steps.
    radii
        Of the equator and of the poles, in metres.
    orientation
        -1 where x, or y, falls along its index, else 1.
    is_certain
        True if x and y were identified by name or attributes, not by position.
    places
        Latitude and longitude in degrees; None where dx and dy are given.
    cell_sizes
        dx and dy; None where the places are known.
    rotation
        Cosine and sine of the angle from east to x.
    latitude
        In degrees, for the Coriolis parameter.
    is_east
        True if results are along east and north, not along x and y.
    """

    x: Axis
    y: Axis
    geometry: Curvilinear
    radii: tuple[float, float]
    orientation: tuple[int, int]
    is_certain: bool
    places: tuple[Any, Any] | None = None
    cell_sizes: tuple[CellSize, CellSize] | None = None
    rotation: tuple[Any, Any] | None = None
    latitude: Any = None
    is_east: bool = True


def find_curvilinear_grid(
    field: xr.DataArray, geometry: Geometry | None, is_directed: bool = True
) -> CurvilinearGrid | None:
    """Find the curvilinear grid of ``field``; None if it lies on another kind of grid.

    ``is_directed``: the result, or a wind, points east and north.

    Raises
    ------
    CoordinateError
        `Curvilinear` is asked for, but the field has no coordinates of such a grid, or dx and dy do
        not fit; or latitude and longitude are ambiguous or impossible.
    OptionError
        Only one of dx and dy is given.
    """
    if geometry is not None and not isinstance(geometry, Curvilinear):
        return None
    if geometry is not None and not (geometry.dx is None and geometry.dy is None):
        return _grid_of_cell_sizes(field, geometry)
    lat, lon = (find_2d(field, key) for key in ("latitude", "longitude"))
    if lat is None or lon is None or set(lat.dims) != set(lon.dims):
        found = _invert_projection(field, is_directed or geometry is not None)
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
        return None  # the 2-D coordinates repeat the 1-D ones
    require_angles(lat, lon)
    geometry = geometry or Curvilinear(earth_radii(field)[0])
    dims = order_dims(field, lat.dims)
    places = mask_fill_places(*(one.transpose(dims.y, dims.x).data for one in (lat, lon)))
    return CurvilinearGrid(
        _index_axis(field, dims.x),
        _index_axis(field, dims.y),
        geometry,
        earth_radii(field, geometry.radius),
        _find_orientation(field, dims),
        dims.is_certain,
        places=places,
        rotation=None if geometry.angle is None else read_rotation(field, geometry.angle, dims),
        latitude=places[0],
    )


def _is_nominal(field: xr.DataArray, lat: xr.DataArray, lon: xr.DataArray) -> bool:
    """True unless 1-D longitude and latitude agree with the 2-D ones everywhere.

    On tripolar grids they agree up to some latitude, but not beyond it.
    """
    names = [find_1d(field, key, "", ()) for key in ("latitude", "longitude")]
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
    # A small part of a step is rounding; more means another position.
    return any(
        bool((abs(off) > 0.05 * _least_step(axis)).any()) for off, axis in ((off_y, y), (off_x, x))
    )


def _least_step(axis: xr.DataArray) -> float:
    return float(np.abs(np.diff(axis.values.astype(np.float64))).min(initial=np.inf))


def _grid_of_cell_sizes(field: xr.DataArray, geometry: Curvilinear) -> CurvilinearGrid:
    """Make the grid of given dx and dy; x points east if x and y are longitude and latitude."""
    if geometry.dx is None or geometry.dy is None:
        given, missing = ("dx", "dy") if geometry.dy is None else ("dy", "dx")
        raise OptionError(f"{given} is given without {missing}; give both")
    dims = find_dims(field, (geometry.dx, geometry.dy, geometry.angle))
    dx, dy = (read_cell_size(field, n, getattr(geometry, n), dims) for n in ("dx", "dy"))
    lon, lat = (find_1d(field, key, "", (key, key[:3])) for key in ("longitude", "latitude"))
    straight = bool(lon and lat) and [field.coords[name].dims for name in (lat, lon)] == [
        (dims.y,),
        (dims.x,),
    ]
    places = list_candidates(field, "latitude", 2)
    latitude = field.coords[lat].data[:, None] if straight else None
    if len(places) == 1 and set(field.coords[places[0]].dims) == {dims.y, dims.x}:
        latitude = field.coords[places[0]].transpose(dims.y, dims.x).data
    level = geometry.angle is None or (np.ndim(geometry.angle) == 0 and geometry.angle == 0)
    rotation = None if level else read_rotation(field, geometry.angle, dims)
    return CurvilinearGrid(
        _index_axis(field, dims.x),
        _index_axis(field, dims.y),
        geometry,
        earth_radii(field, geometry.radius),
        (1, 1),
        is_certain=True,
        cell_sizes=(dx, dy),
        rotation=rotation,
        latitude=latitude,
        is_east=straight or geometry.angle is not None,
    )


def _find_orientation(field: xr.DataArray, dims: HorizontalDims) -> tuple[int, int]:
    """Return 1, or -1 where the coordinate of x, or of y, falls along its index."""

    def sense(dim: Hashable, keys: tuple[str, ...]) -> int:
        names = [name for key in keys for name in find_cf_names(field, key)]
        for name in (*names, dim):
            points = field.coords.get(name)
            if points is None or points.dims != (dim,) or points.chunks is not None:
                continue
            if points.dtype.kind in "iuf":
                return -1 if points.values[-1] < points.values[0] else 1
        return 1

    return (
        sense(dims.x, ("projection_x_coordinate", "grid_longitude", "X")),
        sense(dims.y, ("projection_y_coordinate", "grid_latitude", "Y")),
    )


def earth_radii(field: xr.DataArray, given: float = EARTH_RADIUS) -> tuple[float, float]:
    """Return the equatorial and polar radius: as given, else those of the grid mapping."""
    mapping = find_grid_mapping(field)
    major, minor = (EARTH_RADIUS, EARTH_RADIUS) if mapping is None else mapping.radii()
    return (major, minor) if given in (EARTH_RADIUS, major) else (given, given)


def _invert_projection(
    field: xr.DataArray, is_directed: bool
) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Compute latitude and longitude of 1-D x and y on a projection, or about a rotated pole.

    Results without direction can be computed on the sphere about the rotated pole itself.
    """
    mapping = find_grid_mapping(field)
    if mapping is None or not mapping.is_described or mapping.kind == "latitude_longitude":
        return None
    if mapping.kind == "rotated_latitude_longitude":
        names = [find_1d(field, f"grid_{key}", "", ()) for key in ("longitude", "latitude")]
        if not is_directed or None in names:
            return None
    else:
        names = [find_1d(field, axis, f"projection_{axis.lower()}_coordinate", ()) for axis in "XY"]
    if None in names:
        return None
    x, y = (field.coords[name] for name in names)
    return mapping.places(x, y)


def _index_axis(field: xr.DataArray, dim: Hashable) -> Axis:
    if dim not in field.dims:
        raise CoordinateError(
            f"the grid extends along {dim!r}, but {field.name!r} has {field.dims}; select "
            "both alike"
        )
    return index_axis(field, dim)
