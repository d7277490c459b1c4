"""Which of two dimensions is x, and the dx, dy and angle of a grid as they were given."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.attributes import ratio
from fdgrad_dask.grids.coordinate import cf_names

_KEYS = {
    "x": ("X", "longitude", "projection_x_coordinate", "grid_longitude"),
    "y": ("Y", "latitude", "projection_y_coordinate", "grid_latitude"),
}
_NAMED = {
    "x": re.compile(r"n?x\d?|n?i|jx|[xr]?n?lon(gitude)?|x[_cht].*|xi_.*|west_east.*|col(umn)?s?"),
    "y": re.compile(
        r"n?y\d?|n?j|iy|[yr]?n?lat(itude)?|y[_cht].*|eta_.*|south_north.*|rows?|lines?"
    ),
}


class Sides(NamedTuple):
    """The dimensions y and x; ``told`` unless it is only by their order that they are these."""

    y: Hashable
    x: Hashable
    told: bool = True


class Spacing(NamedTuple):
    """Metres of a step, (ny, nx), or 1 along an axis on which they do not vary."""

    values: Any
    between: bool


def sides(field: xr.DataArray, dims: tuple[Hashable, ...]) -> Sides:
    """Which of two dimensions is x: by CF attributes, or by name, or by order."""
    first, second = dims
    named = _side(field, first), _side(field, second)
    if named in (("x", "y"), ("x", None), (None, "y")):
        return Sides(second, first)
    return Sides(first, second, told=named[0] != named[1])


def _side(field: xr.DataArray, dim: Hashable) -> str | None:
    """``"x"`` or ``"y"``, by a 1-D coordinate along ``dim``, or by its name."""
    for side, keys in _KEYS.items():
        names = [name for key in keys for name in cf_names(field, key)]
        if any(field.coords[name].dims == (dim,) for name in names):
            return side
    for side, pattern in _NAMED.items():
        if pattern.fullmatch(str(dim).lower()):
            return side
    return None


def spaced(field: xr.DataArray, given: Iterable[Any]) -> Sides:
    """The horizontal dimensions of a field by those of what was given, or by their names.

    Raises
    ------
    CoordinateError
        They cannot be told.
    """
    arrays = [array for array in given if isinstance(array, xr.DataArray)]
    dims = tuple(dict.fromkeys(dim for array in arrays for dim in array.dims))
    missing = [dim for dim in dims if dim not in field.dims]
    if missing:
        raise CoordinateError(
            f"the grid extends along {missing[0]!r}, but {field.name!r} has {field.dims}; select "
            "both alike"
        )
    if len(dims) < 2:
        known = {side: [d for d in field.dims if _side(field, d) == side] for side in "yx"}
        lone = [dim for dim in dims if _side(field, dim) is None]
        if not lone and all(len(found) == 1 for found in known.values()):
            return Sides(known["y"][0], known["x"][0])
    elif len(dims) == 2:
        found = sides(field, dims)
        if found.told:
            return found
    raise CoordinateError(
        f"which dimensions of {field.name!r} are x and y cannot be told from {dims or field.dims}; "
        "rename them to x and y, or give each a coordinate with the attribute axis, 'X' or 'Y'"
    )


def spacing(field: xr.DataArray, name: str, value: Any, at: Sides) -> Spacing:
    """``dx`` or ``dy`` in metres, at the points or between them.

    Raises
    ------
    CoordinateError
        It has other dimensions, sizes, labels or units, or in memory a step of nought.
    """
    own = at.x if name == "dx" else at.y
    array = _array(name, value, at)
    metres = ratio(array.attrs.get("units", "m"), "m")
    if metres is None:
        raise CoordinateError(
            f"{name} is in {array.attrs['units']!r}, which is no length; give metres"
        )
    fits = {dim: (1, field.sizes[dim], field.sizes[dim] - (dim == own)) for dim in (at.y, at.x)}
    if any(array.sizes[dim] not in fits[dim] for dim in array.dims):
        raise CoordinateError(
            f"{name} has the sizes {dict(array.sizes)}, but {field.name!r} has "
            f"{_sizes(field, at)}; give {name} at these points, or between them, one fewer "
            f"along {own!r}"
        )
    between = 1 < field.sizes[own] == array.sizes.get(own, 0) + 1 and own in array.dims
    _check_labels(field, name, array)
    if array.chunks is None:
        _check_steps(field, name, array, own)
    values = _over_both(array, at)
    return Spacing(values.astype(np.float64) * metres, between)


def angle_of(field: xr.DataArray, value: Any, at: Sides) -> tuple[Any, Any]:
    """Cosine and sine of the angle from east to x, over (y, x)."""
    array = _array("angle", value, at)
    if any(array.sizes[dim] not in (1, field.sizes[dim]) for dim in array.dims):
        raise CoordinateError(
            f"angle has the sizes {dict(array.sizes)}, but {field.name!r} has "
            f"{_sizes(field, at)}; give the angle at these points"
        )
    _check_labels(field, "angle", array)
    radians = ratio(array.attrs.get("units", "degree"), "radian")
    if radians is None:
        raise CoordinateError(
            f"angle is in {array.attrs['units']!r}, which is no angle; give degrees or radians"
        )
    turned = _over_both(array, at).astype(np.float64) * radians
    return np.cos(turned), np.sin(turned)


def _sizes(field: xr.DataArray, at: Sides) -> dict[Hashable, int]:
    return {dim: field.sizes[dim] for dim in (at.y, at.x)}


def _array(name: str, value: Any, at: Sides) -> xr.DataArray:
    """A number, or a DataArray over y, x or both."""
    needed = f"{name} is to be a number or a DataArray over {at.y!r}, {at.x!r} or both"
    if not isinstance(value, xr.DataArray):
        if np.ndim(value) or not np.issubdtype(np.asarray(value).dtype, np.number):
            raise CoordinateError(
                f"{name} is a {type(value).__name__}, but {needed}: "
                f"xr.DataArray({name}, dims=({at.y!r}, {at.x!r}))"
            )
        value = xr.DataArray(value)
    array: xr.DataArray = value
    if array.dtype.kind not in "iuf" or not set(array.dims) <= {at.y, at.x}:
        raise CoordinateError(f"{name} has {array.dtype} over {array.dims}, but {needed}")
    return array


def _over_both(array: xr.DataArray, at: Sides) -> Any:
    there = tuple(dim for dim in (at.y, at.x) if dim in array.dims)
    data = array.transpose(*there).data
    return data.reshape([array.sizes.get(dim, 1) for dim in (at.y, at.x)])


def _check_labels(field: xr.DataArray, name: str, array: xr.DataArray) -> None:
    """Raises if both have labels along a dimension, as many, and others."""
    for dim in array.dims:
        ours, theirs = field.indexes.get(dim), array.indexes.get(dim)
        if ours is None or theirs is None or len(ours) != len(theirs) or ours.equals(theirs):
            continue
        raise CoordinateError(
            f"{name} and {field.name!r} have other labels along {dim!r}; select the points that "
            "both have"
        )


def _check_steps(field: xr.DataArray, name: str, array: xr.DataArray, own: Hashable) -> None:
    """Raises at a step of nought, one that is no number, or one against its coordinate."""
    values = np.asarray(array.values)
    bad = ~np.isfinite(values) | (values == 0)
    if bad.any():
        place = np.unravel_index(int(bad.argmax()), bad.shape)
        where = {dim: int(i) for dim, i in zip(array.dims, place, strict=True)}
        raise CoordinateError(
            f"{name} is {values[place]}{f' at {where}' if where else ''}, but a step has a length; "
            "give it one there, and mask the field instead"
        )
    for key in (*_KEYS["x"], *_KEYS["y"]):
        for coordinate in cf_names(field, key):
            points = field.coords[coordinate]
            if points.dims != (own,) or points.chunks is not None or points.size < 2:
                continue
            falls = bool(points.values[-1] < points.values[0])
            if ((values < 0) != falls).any():
                step = values[(values < 0) != falls].flat[0]
                raise CoordinateError(
                    f"{name} is {step}, but {coordinate!r} {'falls' if falls else 'rises'} along "
                    f"{own!r}; {name} is the step to the next point, negative where that is behind"
                )
