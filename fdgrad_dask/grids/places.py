"""Find longitude and latitude of a field, and check their values.

They are 1-D coordinates, 2-D coordinates, or computed from a map projection.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.attributes import refuse_radians, require_decoded
from fdgrad_dask.grids.coordinate import find_cf_names, find_own_coordinates
from fdgrad_dask.grids.projections import find_grid_mapping
from fdgrad_dask.grids.units import is_degrees
from fdgrad_dask.halo.compute import is_dask

LATITUDES = ("lat", "latitude")
LONGITUDES = ("lon", "longitude")
# What names or attributes of latitudes and longitudes have in them, and of few other variables.
_PLACE = re.compile("lat|lon|degree")
_TIMES = ("time", "t", "time_counter")


def find_1d(field: xr.DataArray, *keys: str, names: tuple[str, ...] = ()) -> Hashable | None:
    """Find the one 1-D coordinate that is ``keys`` by its attributes, or clearly by its name."""
    coords = field.coords.variables
    found = [name for name in find_cf_names(field, *keys) if coords[name].ndim == 1]
    if not found and names:
        found = [
            name
            for name, one in coords.items()
            if str(name).lower() in names and one.ndim == 1 and is_degrees(one.attrs.get("units"))
        ]
    if len(found) > 1:  # dimension coordinates and the field's own take precedence
        found = [name for name in found if name in field.dims] or found
        found = _prefer_own(field, found)
    if len(found) > 1:
        raise CoordinateError(
            f"{field.name!r} has {len(found)} coordinates that are a {keys[0]}: "
            f"{', '.join(map(repr, found))}; drop those that are not its axis: .drop_vars(…)"
        )
    return found[0] if found else None


def find_2d(field: xr.DataArray, key: str) -> Hashable | None:
    """Find the 2-D coordinate that is ``key``: the field's own if there are several.

    Raises CoordinateError if several differ, and the field does not say which is its own.
    """
    coords = field.coords.variables
    names = list_candidates(field, key, 2)
    if not names:
        return None
    first = coords[names[0]]
    if any(not has_same_values(first, coords[name]) for name in names[1:]):
        raise CoordinateError(
            f"{field.name!r} has {len(names)} coordinates that are a {key} over {first.dims}: "
            f"{', '.join(map(repr, names))}; drop those of other points: .drop_vars(…), or say "
            f"which are its own: .encoding['coordinates'] = 'lat lon' with their names"
        )
    return names[0]


def list_candidates(field: xr.DataArray, key: str, ndim: int) -> list[Hashable]:
    """List the coordinates of ``ndim`` dimensions that are ``key``, or only the field's own."""
    coords = field.coords.variables
    if all(one.ndim != ndim for one in coords.values()):  # nothing to ask cf-xarray about
        return []
    names = [*find_cf_names(field, key), *(n for n in (key, key[:3]) if n in coords)]
    return _prefer_own(field, [n for n in dict.fromkeys(names) if coords[n].ndim == ndim])


def carry_places(field: xr.DataArray, dataset: xr.Dataset) -> xr.DataArray:
    """Give a field of a dataset its 2-D latitude and longitude, where those are variables there.

    Several pairs are given for a message, where no axis tells its places, and nothing if the field
    may lie on other points.
    """
    variables = {
        name: one
        for name, one in dataset.variables.items()
        if one.ndim == 2
        and name not in (*dataset.coords, *field.dims)
        and {*one.dims} <= {*field.dims}
        and _PLACE.search(f"{name} {' '.join(map(str, one.attrs.values()))}".lower())
    }
    if not variables:
        return field
    dims = find_shared_dims(field, dataset)
    variables = {name: one for name, one in variables.items() if {*one.dims} <= dims}
    offered = field.assign_coords({n: one for n, one in variables.items() if n not in field.coords})
    found = [list_candidates(offered, key, 2) for key in ("latitude", "longitude")]
    places = {name: offered.coords.variables[name] for names in found for name in names}
    if not all(found) or len({frozenset(one.dims) for one in places.values()}) > 1:
        return field
    axes = [field.coords[dim] for dim in places[found[0][0]].dims if dim in field.coords]
    is_told = list_candidates(field, "latitude", 1) or any("units" in one.attrs for one in axes)
    return field if len(places) > 2 and is_told else field.assign_coords(places)


def find_shared_dims(field: xr.DataArray, dataset: xr.Dataset) -> set[Hashable]:
    """Find the dimensions along which a field surely has the points of a dataset."""
    there = dataset.variables.get(field.name)
    if there is not None and there._data is field.variable._data:
        return {*field.dims}
    known = {*field.indexes} & {*dataset.indexes}
    return {dim for dim in known if field.indexes[dim].equals(dataset.indexes[dim])}


def _prefer_own(field: xr.DataArray, names: list[Hashable]) -> list[Hashable]:
    return [name for name in names if name in find_own_coordinates(field)] or names


def find_places(
    field: xr.DataArray, is_asked: bool, is_directed: bool
) -> tuple[xr.Variable, xr.Variable] | None:
    """Find latitude and longitude over two dimensions: given, or computed from a projection.

    None where the axes themselves tell the places, unless a curvilinear grid ``is_asked`` for.
    ``is_directed``: the result, or a wind, points east and north.
    """
    field = hold_still(field)
    coords = field.coords.variables
    lat, lon = (find_2d(field, key) for key in ("latitude", "longitude"))
    if lat is None or lon is None or set(coords[lat].dims) != set(coords[lon].dims):
        found = _invert_projection(field, is_directed or is_asked)
        if found is None and is_asked:
            raise CoordinateError(
                f"{field.name!r} has no latitude and longitude over the same two dimensions "
                f"among its coordinates {tuple(field.coords)}; set them, or give dx and dy"
            )
        return found
    if not is_asked and repeat_axes(field, lat, lon):
        return None
    require_angles(field, lat, lon)
    return coords[lat], coords[lon]


def repeat_axes(field: xr.DataArray, lat: Hashable, lon: Hashable) -> bool:
    """True if 2-D latitude and longitude agree with the 1-D ones everywhere.

    On tripolar grids they agree up to some latitude, but not beyond it.
    """
    coords = field.coords.variables
    y, x = (find_1d(field, key) for key in ("latitude", "longitude"))
    if x is None or y is None:
        return False
    if {*coords[y].dims, *coords[x].dims} != set(coords[lat].dims):
        return True
    for two in (lat, lon):
        if is_dask(coords[two]._data):
            raise CoordinateError(
                f"{field.name!r} has 1-D {x!r} and {y!r} and 2-D {lon!r} and {lat!r}, and as a "
                f"dask array {two!r} cannot be compared with them before anything is computed; "
                f"load it: .assign_coords({two}=….{two}.load()), or drop the pair that does not "
                "count: .drop_vars(…)"
            )
    off_y = coords[lat] - coords[y]
    off_x = ((coords[lon] - coords[x] + 180) % 360 - 180) * np.cos(np.deg2rad(coords[lat]))
    steps = [np.abs(np.diff(coords[axis].values.astype(np.float64))) for axis in (y, x)]
    least = [0.05 * one.min(initial=np.inf) for one in steps]  # less is rounding
    return not ((abs(off_y) > least[0]).any() or (abs(off_x) > least[1]).any())


def _invert_projection(
    field: xr.DataArray, is_directed: bool
) -> tuple[xr.Variable, xr.Variable] | None:
    """Compute latitude and longitude of 1-D x and y on a projection, or about a rotated pole.

    Results without direction can be computed on the sphere about the rotated pole itself.
    """
    mapping = find_grid_mapping(field)
    if mapping is None or not mapping.is_described or mapping.kind == "latitude_longitude":
        return None
    keys: list[tuple[str, ...]] = [
        ("X", "projection_x_coordinate"),
        ("Y", "projection_y_coordinate"),
    ]
    if mapping.kind == "rotated_latitude_longitude":
        keys = [("grid_longitude",), ("grid_latitude",)] if is_directed else []
    names = [find_1d(field, *key) for key in keys]
    is_found = names and None not in names
    return mapping.places(*(field.coords[name] for name in names)) if is_found else None


def require_same_places(one: xr.DataArray, other: xr.DataArray) -> None:
    """Raise if the 2-D latitude or longitude of two fields is not the same."""
    one, other = hold_still(one), hold_still(other)
    for key in ("latitude", "longitude"):
        first, second = find_2d(one, key), find_2d(other, key)
        if first is None or second is None:
            continue
        if not has_same_values(one.coords.variables[first], other.coords.variables[second]):
            raise CoordinateError(
                f"{one.name!r} and {other.name!r} lie on different points, as on a staggered grid: "
                f"the {key} of one is {first!r}, and of the other {second!r} with other "
                "values; say where each lies on its cells, geometry=fdgrad_dask.Grid(…), or "
                "interpolate them to the same points first; if they are the same points, give both "
                f"the same coordinates: .assign_coords({first}=…)"
            )


def has_same_values(one: xr.Variable, other: xr.Variable) -> bool:
    """True if two coordinates are known to hold the same values, without computing any."""
    if one._data is other._data:
        return True
    if one.sizes != other.sizes:
        return False
    other = other.transpose(*one.dims)  # that of a field that was transposed
    if is_dask(one._data) or is_dask(other._data):
        return bool(getattr(one._data, "name", 0) == getattr(other._data, "name", 1))
    return bool(np.array_equal(one.values, other.values, equal_nan=True))


def hold_still(field: xr.DataArray) -> xr.DataArray:
    """The field with the first of latitudes and longitudes that are the same at all times.

    Dask arrays are not compared before they are computed: see `take_first`.

    Raises CoordinateError if they change, or may change along a dimension that is no time.
    """
    first: dict[Hashable, xr.Variable] = {}
    if all(one.ndim != 3 for one in field.coords.variables.values()):
        return field
    for key in ("latitude", "longitude"):
        if not (list_candidates(field, key, 1) or list_candidates(field, key, 2)):
            for name in list_candidates(field, key, 3):
                first[name] = _hold_still(name, field.coords.variables[name])
    return field.assign_coords(first) if first else field


def _hold_still(name: Hashable, place: xr.Variable) -> xr.Variable:
    lead = place.dims[0]
    if not is_dask(place._data):
        values = place.values
        if all(np.array_equal(values[0], other, equal_nan=True) for other in values[1:]):
            return place[0]
    elif str(lead).lower() in _TIMES:
        return take_first(place, lead)
    raise CoordinateError(
        f"{name!r} has three dimensions {place.dims}, but a horizontal grid has two, and stands "
        f"still; select one of {lead!r}: .isel({lead}=0), or if the grid is the same for all, make "
        "its latitude and longitude two-dimensional: "
        f".assign_coords({name}=….{name}.isel({lead}=0, drop=True))"
    )


def take_first(values: xr.Variable, dim: Hashable) -> xr.Variable:
    """What a grid has at all times: its first values, and NaN where the last are others.

    WRF writes its grid with every time. A nest that moves has no places that hold for all times.
    """
    first = values.isel({dim: 0})
    still: xr.Variable = first.where(first == values.isel({dim: -1}))
    return still


def require_angles(field: xr.DataArray, lat: Hashable, lon: Hashable) -> None:
    """Raise unless latitude and longitude are in degrees and within their range.

    Values of lazy ones are checked when computed: impossible ones become NaN.
    """
    places = [field.coords.variables[name] for name in (lat, lon)]
    for name, place, most in zip((lat, lon), places, (90.0, 720.0), strict=True):
        _require_degrees(name, place, most)
    if any(one.attrs.get("units") or is_dask(one._data) for one in places):
        return
    turns = zip(places, (np.pi / 2, 2 * np.pi), strict=True)
    if all(not (np.abs(one.values) > turn * (1 + 1e-6)).any() for one, turn in turns):
        raise CoordinateError(
            f"{lat!r} and {lon!r} have no units, and values so small that they may be radians; "
            f"set units: .assign_coords({lat}=….{lat}.assign_attrs(units='degrees_north'), "
            f"{lon}=….{lon}.assign_attrs(units='degrees_east'))"
        )


def _require_degrees(name: Hashable, coordinate: xr.Variable, most: float) -> None:
    require_decoded(name, coordinate.attrs, may_lack=False)
    units = str(coordinate.attrs.get("units", ""))
    if "rad" in units:
        raise CoordinateError(
            f"{name!r} is in {units}; turn it into degrees first: np.rad2deg, and units 'degrees'"
        )
    if is_dask(coordinate._data):
        return
    refuse_radians(name, coordinate.values, units)
    values = np.asarray(coordinate.values, np.float64)
    if (wrong := np.isfinite(values) & (np.abs(values) > most + 1e-4)).any():
        place = np.unravel_index(int(wrong.argmax()), wrong.shape)
        where = {dim: int(i) for dim, i in zip(coordinate.dims, place, strict=True)}
        raise CoordinateError(
            f"{name!r} is {values[place]:g} at {where}, which is no angle of at most {most:g} "
            f"degrees; if that stands for a missing value, mask it: .assign_coords({name}="
            f"….{name}.where(abs(….{name}) <= {most:g}))"
        )
