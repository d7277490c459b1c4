"""Curvilinear grids: of 2-D latitude and longitude, of a projection, of given dx and dy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.cell_sizes import (
    find_dims,
    find_orientation,
    order_dims,
    read_cell_size,
    read_rotation,
)
from fdgrad_dask.grids.coordinate import Axis, index_axis, select_for_axis
from fdgrad_dask.grids.geometry import Curvilinear, HorizontalGrid
from fdgrad_dask.grids.places import LATITUDES, LONGITUDES, find_1d, list_candidates
from fdgrad_dask.grids.projections import earth_radii
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.stencils.boundary import boundary_pair


def grid_of_places(
    field: xr.DataArray,
    geometry: Curvilinear | None,
    boundary: Any,
    lat: xr.Variable,
    lon: xr.Variable,
) -> HorizontalGrid:
    """Make the grid of latitude and longitude over two dimensions."""
    geometry = geometry or Curvilinear(earth_radii(field)[0])
    dims = order_dims(field, lat.dims)
    x, y = index_axis(field, dims.x), index_axis(field, dims.y)
    _require_change(field, lat, lon)
    places = _mask_fill_places(*(one.transpose(dims.y, dims.x).data for one in (lat, lon)))
    return HorizontalGrid(
        x=x,
        y=y,
        geometry=geometry,
        is_east=True,
        periodic=_find_periodic(field, x, y, boundary),
        radii=earth_radii(field, geometry.radius),
        latitude=places[0],
        places=places,
        rotation=None if geometry.angle is None else read_rotation(field, geometry.angle, dims),
        orientation=find_orientation(field, dims),
        is_certain=dims.is_certain,
    )


def _require_change(field: xr.DataArray, *places: xr.Variable) -> None:
    """Raise if latitude and longitude change along one of their two dimensions only."""
    if any(is_dask(one._data) for one in places):
        return
    same = []
    for dim in places[0].dims:
        rows = [one.transpose(dim, ...).values for one in places]
        # The first two rows tell most grids; only in others all are compared.
        if all((one[:n] == one[:1]).all() for n in (2, None) for one in rows):
            same.append(dim)
    if len(same) == 1 and field.sizes[same[0]] > 1:
        raise CoordinateError(
            f"latitude and longitude of {field.name!r} are the same all along {same[0]!r}; if that "
            f"is no horizontal axis, select one of it: .isel({same[0]}=0), and if it is one, give "
            "lengths: geometry=Curvilinear(dx=…, dy=…)"
        )


def grid_of_cell_sizes(field: xr.DataArray, geometry: Curvilinear, boundary: Any) -> HorizontalGrid:
    """Make the grid of given dx and dy; x points east if x and y are longitude and latitude."""
    if geometry.dx is None or geometry.dy is None:
        given, missing = ("dx", "dy") if geometry.dy is None else ("dy", "dx")
        raise OptionError(f"{given} is given without {missing}; give both")
    coords, angle = field.coords.variables, geometry.angle
    dims = find_dims(field, (geometry.dx, geometry.dy, angle))
    x, y = index_axis(field, dims.x), index_axis(field, dims.y)
    cell_sizes = (
        read_cell_size(field, "dx", geometry.dx, dims),
        read_cell_size(field, "dy", geometry.dy, dims),
    )
    axes = [
        find_1d(field, "latitude", names=LATITUDES),
        find_1d(field, "longitude", names=LONGITUDES),
    ]
    is_straight = None not in axes and [coords[n].dims for n in axes] == [(dims.y,), (dims.x,)]
    latitude = coords[axes[0]].data[:, None] if is_straight else None
    places = list_candidates(field, "latitude", 2)
    if len(places) == 1 and set(coords[places[0]].dims) == {dims.y, dims.x}:
        latitude = coords[places[0]].transpose(dims.y, dims.x).data
    is_level = angle is None or (np.ndim(angle) == 0 and angle == 0)
    return HorizontalGrid(
        x=x,
        y=y,
        geometry=geometry,
        is_east=is_straight or angle is not None,
        periodic=_find_periodic(field, x, y, boundary),
        radii=earth_radii(field, geometry.radius),
        latitude=latitude,
        cell_sizes=cell_sizes,
        rotation=None if is_level else read_rotation(field, angle, dims),
    )


def _find_periodic(field: xr.DataArray, x: Axis, y: Axis, boundary: Any) -> tuple[bool, bool]:
    """Whether y, x of a curvilinear grid are periodic, which only ``boundary`` can say."""
    for key in boundary if isinstance(boundary, Mapping) else ():
        if not any(select_for_axis({key: True}, axis, field) for axis in (x, y)):
            raise OptionError(
                f"boundary names {key!r}; on a curvilinear grid it is for the dimensions "
                f"{y.dim!r} and {x.dim!r}"
            )
    closed_y, closed_x = (is_periodic(select_for_axis(boundary, one, field)) for one in (y, x))
    return closed_y, closed_x


def is_periodic(ends: Any) -> bool:
    return bool(boundary_pair(ends)[0] == "periodic")


def _mask_fill_places(lat: Any, lon: Any) -> tuple[Any, Any]:
    """Replace latitude and longitude by NaN where they are fill values, infinite or beyond ±90°.

    Ocean models that skip processors over land write one position for all of their points. So a
    point at the same position as a neighbour along both axes counts as missing; at 0° N 0° E, where
    zeros are fill values, a neighbour along one axis is enough. Along one axis alone positions may
    repeat, as in a row at a pole.
    """
    both = lat + (lon.map_blocks(_turn) if hasattr(lon, "map_blocks") else _turn(lon))
    if hasattr(both, "map_overlap"):  # of dask
        both = both.map_overlap(_mask_fills, depth=1, boundary="none")
    else:
        both = _mask_fills(both)
    return both.real, both.imag


def _turn(values: Any) -> Any:
    """i times real values; NumPy would warn of infinite ones."""
    with np.errstate(invalid="ignore"):
        return 1j * values


def _mask_fills(places: Any) -> Any:
    """Mask fill values of latitude + i longitude, (ny, nx)."""
    same_y, same_x = places[1:] == places[:-1], places[:, 1:] == places[:, :-1]
    along_y = np.pad(same_y, ((1, 0), (0, 0))) | np.pad(same_y, ((0, 1), (0, 0)))
    along_x = np.pad(same_x, ((0, 0), (1, 0))) | np.pad(same_x, ((0, 0), (0, 1)))
    fills = (along_y & along_x) | ((places == 0) & (along_y | along_x))
    known = np.isfinite(places) & (np.abs(places.real) <= 90 + 1e-4) & ~fills
    return np.where(known, places, complex(np.nan, np.nan))
