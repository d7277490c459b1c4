"""Find longitude and latitude among the coordinates of a field, and check their values."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.coordinate import find_cf_names, find_own_coordinates
from fdgrad_dask.grids.projections import find_grid_mapping

LATITUDES = ("lat", "latitude")
LONGITUDES = ("lon", "longitude")
# Names of dimensions along which unstructured models and HEALPix list their cells.
_CELLS = {"cell", "cells", "ncells", "ncol", "node", "nod2", "nele", "values", "npix", "healpix"}


def find_1d(
    field: xr.DataArray, key: str, standard: str, names: tuple[str, ...]
) -> Hashable | None:
    """Find the one 1-D coordinate that is ``key`` by its attributes, or clearly by its name."""
    found = [
        n for k in (key, standard) for n in find_cf_names(field, k) if field.coords[n].ndim == 1
    ]
    if not found:
        found = [
            name
            for name, coordinate in field.coords.items()
            if str(name).lower() in names
            and coordinate.ndim == 1
            and coordinate.attrs.get("units") in (None, "", "degrees", "degree", "deg")
        ]
    found = list(dict.fromkeys(found))
    if len(found) > 1:  # dimension coordinates and the field's own take precedence
        found = [name for name in found if name in field.dims] or found
        own = find_own_coordinates(field)
        found = [name for name in found if name in own] or found
    if len(found) > 1:
        raise CoordinateError(
            f"{field.name!r} has {len(found)} coordinates that are a {key}: "
            f"{', '.join(map(repr, found))}; drop those that are not its axis: .drop_vars(…)"
        )
    return found[0] if found else None


def find_2d(field: xr.DataArray, key: str) -> xr.DataArray | None:
    """Find the 2-D coordinate that is ``key``: the field's own if there are several.

    Raises
    ------
    CoordinateError
        Several differ, and the field does not say which is its own; or it has three dimensions.
    """
    names = list_candidates(field, key, 2)
    if not names:
        if deep := [] if list_candidates(field, key, 1) else list_candidates(field, key, 3):
            _refuse_three_dimensions(field.coords[deep[0]])
        return None
    first: xr.DataArray = field.coords[names[0]]
    if any(not has_same_values(first, field.coords[name]) for name in names[1:]):
        raise CoordinateError(
            f"{field.name!r} has {len(names)} coordinates that are a {key} over {first.dims}: "
            f"{', '.join(map(repr, names))}; drop those of other points: .drop_vars(…), or say "
            f"which are its own: .encoding['coordinates'] = 'lat lon' with their names"
        )
    return first


def list_candidates(field: xr.DataArray, key: str, ndim: int) -> list[Hashable]:
    """List the coordinates of ``ndim`` dimensions that are ``key``, or only the field's own."""
    names = [*find_cf_names(field, key), *(n for n in (key, key[:3]) if n in field.coords)]
    names = [n for n in dict.fromkeys(names) if field.coords[n].ndim == ndim]
    own = find_own_coordinates(field)
    return [name for name in names if name in own] or names


def require_same_places(one: xr.DataArray, other: xr.DataArray) -> None:
    """Raise if the 2-D latitude or longitude of two fields is not the same."""
    for key in ("latitude", "longitude"):
        first, second = find_2d(one, key), find_2d(other, key)
        if first is not None and second is not None and not has_same_values(first, second):
            raise CoordinateError(
                f"{one.name!r} and {other.name!r} lie on different points, as on a staggered grid: "
                f"the {key} of one is {first.name!r}, and of the other {second.name!r} with other "
                "values; interpolate them to the same points first, or if they are the same "
                f"points, give both the same coordinates: .assign_coords({first.name}=…)"
            )


def has_same_values(one: xr.DataArray, other: xr.DataArray) -> bool:
    """True if two coordinates are known to hold the same values, without computing any."""
    if one.variable._data is other.variable._data:
        return True
    if one.dims != other.dims or one.shape != other.shape:
        return False
    if one.chunks is not None or other.chunks is not None:
        return bool(getattr(one.data, "name", 0) == getattr(other.data, "name", 1))
    return bool(np.array_equal(one.values, other.values, equal_nan=True))


def _refuse_three_dimensions(coordinate: xr.DataArray) -> None:
    """Raise for a grid whose positions vary along a third dimension, as in WRF output."""
    name, dim = coordinate.name, coordinate.dims[0]
    raise CoordinateError(
        f"{name!r} has three dimensions {coordinate.dims}, but a horizontal grid has two; select "
        f"one of {dim!r}: .isel({dim}=0), or if the grid is the same for all, make its latitude "
        f"and longitude two-dimensional: .assign_coords({name}=….{name}.isel({dim}=0, drop=True))"
    )


def require_angles(lat: xr.DataArray, lon: xr.DataArray) -> None:
    """Raise unless latitude and longitude are in degrees and within their range.

    Values of lazy ones are checked when computed: impossible ones become NaN.
    """
    for coordinate, most in ((lat, 90.0), (lon, 720.0)):
        _require_degrees(coordinate, most)
    # Positions computed from a map projection have neither names nor units.
    if any(one.name is None or one.attrs.get("units") or one.chunks for one in (lat, lon)):
        return
    turns = ((lat, np.pi / 2), (lon, 2 * np.pi))
    if all(not (np.abs(one.values) > turn * (1 + 1e-6)).any() for one, turn in turns):
        raise CoordinateError(
            f"{lat.name!r} and {lon.name!r} have no units, and values so small that they may be "
            f"radians; set units: .assign_coords({lat.name}=….{lat.name}.assign_attrs("
            f"units='degrees_north'), {lon.name}=….{lon.name}.assign_attrs(units='degrees_east'))"
        )


def _require_degrees(coordinate: xr.DataArray, most: float) -> None:
    name, units = coordinate.name, str(coordinate.attrs.get("units", ""))
    if "rad" in units:
        raise CoordinateError(
            f"{name!r} is in {units}; turn it into degrees first: np.rad2deg, and units 'degrees'"
        )
    if coordinate.chunks is not None:
        return
    values = np.asarray(coordinate.values, np.float64)
    wrong = np.isfinite(values) & (np.abs(values) > most + 1e-4)
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), wrong.shape)
        where = {dim: int(i) for dim, i in zip(coordinate.dims, place, strict=True)}
        raise CoordinateError(
            f"{name!r} is {values[place]:g} at {where}, which is no angle of at most {most:g} "
            f"degrees; if that stands for a missing value, mask it: .assign_coords({name}="
            f"….{name}.where(abs(….{name}) <= {most:g}))"
        )


def refuse_unstructured(field: xr.DataArray, lon: Hashable, lat: Hashable) -> None:
    """Raise if longitude and latitude share one dimension: unstructured cells, or a track."""
    if field.coords[lon].dims == field.coords[lat].dims:
        raise CoordinateError(
            f"{lon!r} and {lat!r} both run along {field.coords[lon].dims[0]!r}: this is an "
            "unstructured grid or a track, and along a track there is no gradient across it; "
            "interpolate the field to a grid of two dimensions first"
        )


def refuse_without_axes(field: xr.DataArray) -> NoReturn:
    """Raise an error that says which of the horizontal axes is missing, and why."""
    mapping = find_grid_mapping(field)
    cells = [dim for dim in field.dims if str(dim).lower() in _CELLS]
    if cells or (mapping is not None and mapping.kind == "healpix"):
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
        f"the horizontal axes of {field.name!r} cannot be told from its coordinates "
        f"{tuple(field.coords)}; give them units (degrees_east, degrees_north; m) or a CF axis"
    )


def mask_fill_places(lat: Any, lon: Any) -> tuple[Any, Any]:
    """Replace latitude and longitude by NaN where they are fill values, infinite or beyond ±90°.

    Ocean models that skip processors over land write one position for all of their points. So a
    point at the same position as a neighbour along both axes counts as missing; at 0° N 0° E, where
    zeros are fill values, a neighbour along one axis is enough. Along one axis alone positions may
    repeat, as in a row at a pole.
    """
    both = lat + 1j * lon
    if hasattr(both, "map_overlap"):  # of dask
        both = both.map_overlap(_mask_fills, depth=1, boundary="none")
    else:
        both = _mask_fills(both)
    return both.real, both.imag


def _mask_fills(places: Any) -> Any:
    """Mask fill values of latitude + i longitude, (ny, nx)."""
    repeated = []
    for axis in (0, 1):
        same = np.diff(places, axis=axis) == 0
        pads = [[(0, 0), (0, 0)], [(0, 0), (0, 0)]]
        pads[0][axis], pads[1][axis] = (1, 0), (0, 1)
        repeated.append(np.pad(same, pads[0]) | np.pad(same, pads[1]))
    along_y, along_x = repeated
    fills = (along_y & along_x) | ((places == 0) & (along_y | along_x))
    known = np.isfinite(places) & (np.abs(places.real) <= 90 + 1e-4) & ~fills
    return np.where(known, places, complex(np.nan, np.nan))
