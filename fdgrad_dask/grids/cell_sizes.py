"""Identify the horizontal dimensions x and y, and read the given dx, dy and angle of a grid."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.coordinate import find_names_along
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import is_dask

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


class HorizontalDims(NamedTuple):
    """The dimensions y and x; ``is_certain`` if they are so by name or attributes, not by order."""

    y: Hashable
    x: Hashable
    is_certain: bool = True


class CellSize(NamedTuple):
    """The length of a step in metres, (ny, nx), or of size 1 along an axis where it is constant.

    ``is_between``: given between the points, one fewer than these.
    """

    values: Any
    is_between: bool


def order_dims(field: xr.DataArray, dims: tuple[Hashable, ...]) -> HorizontalDims:
    """Identify x among two dimensions: by CF attributes, else by name, else by order."""
    first, second = dims
    named = _guess_direction(field, first), _guess_direction(field, second)
    if named in (("x", "y"), ("x", None), (None, "y")):
        return HorizontalDims(second, first)
    return HorizontalDims(first, second, is_certain=named[0] != named[1])


def _guess_direction(field: xr.DataArray, dim: Hashable) -> str | None:
    """``"x"`` or ``"y"``, by a 1-D coordinate along ``dim``, or by its name."""
    named = (side for side, keys in _KEYS.items() if find_names_along(field, dim, *keys))
    alike = (side for side, names in _NAMED.items() if names.fullmatch(str(dim).lower()))
    return next(named, next(alike, None))


def find_orientation(field: xr.DataArray, dims: HorizontalDims) -> tuple[int, int]:
    """Return 1, or -1 where the coordinate of x, or of y, falls along its index."""

    def sense(dim: Hashable, *keys: str) -> int:
        for name in (*find_names_along(field, dim, *keys), dim):
            points = field.coords.variables.get(name)
            if points is not None and points.dtype.kind in "iuf" and not is_dask(points._data):
                return -1 if points.values[-1] < points.values[0] else 1
        return 1

    return (
        sense(dims.x, "projection_x_coordinate", "grid_longitude", "X"),
        sense(dims.y, "projection_y_coordinate", "grid_latitude", "Y"),
    )


def find_dims(field: xr.DataArray, given: Iterable[Any]) -> HorizontalDims:
    """Identify the horizontal dimensions of a field by those of given arrays, or by name."""
    arrays = [array for array in given if isinstance(array, xr.DataArray)]
    dims = tuple(dict.fromkeys(dim for array in arrays for dim in array.dims))
    missing = [dim for dim in dims if dim not in field.dims]
    if missing:
        raise CoordinateError(
            f"the grid extends along {missing[0]!r}, but {field.name!r} has {field.dims}; select "
            "both alike"
        )
    if len(dims) < 2:
        known = {
            side: [d for d in field.dims if _guess_direction(field, d) == side] for side in "yx"
        }
        lone = [dim for dim in dims if _guess_direction(field, dim) is None]
        if not lone and all(len(found) == 1 for found in known.values()):
            return HorizontalDims(known["y"][0], known["x"][0])
    elif len(dims) == 2:
        found = order_dims(field, dims)
        if found.is_certain:
            return found
    raise CoordinateError(
        f"which dimensions of {field.name!r} are x and y cannot be inferred from "
        f"{dims or field.dims}; rename them to x and y, or give each a coordinate with the "
        "attribute axis, 'X' or 'Y'"
    )


def read_cell_size(field: xr.DataArray, name: str, value: Any, dims: HorizontalDims) -> CellSize:
    """Read ``dx`` or ``dy`` in metres, at the points or between them; no step may be zero."""
    own = dims.x if name == "dx" else dims.y
    array = _read(field, name, value, dims, own)
    metres = conversion_factor(array.attrs.get("units", "m"), "m")
    if metres is None:
        raise CoordinateError(
            f"{name} is in {array.attrs['units']!r}, which is no length; give metres"
        )
    if array.chunks is None:
        _check_steps(field, name, array, own)
    is_between = own in array.dims and 1 < field.sizes[own] == array.sizes[own] + 1
    values = array.variable.set_dims((dims.y, dims.x)).data
    return CellSize(values.astype(np.float64) * metres, is_between)


def read_rotation(field: xr.DataArray, value: Any, dims: HorizontalDims) -> tuple[Any, Any]:
    """Return cosine and sine of the angle from east to x, over (y, x)."""
    array = _read(field, "angle", value, dims)
    radians = conversion_factor(array.attrs.get("units", "degree"), "radian")
    if radians is None:
        raise CoordinateError(
            f"angle is in {array.attrs['units']!r}, which is no angle; give degrees or radians"
        )
    turned = array.variable.set_dims((dims.y, dims.x)).data.astype(np.float64) * radians
    return np.cos(turned), np.sin(turned)


def _read(
    field: xr.DataArray, name: str, value: Any, dims: HorizontalDims, own: Hashable = None
) -> xr.DataArray:
    """Check a number or a DataArray over y, x or both; along ``own`` it may have a point less."""
    needed = f"{name} is to be a number or a DataArray over {dims.y!r}, {dims.x!r} or both"
    is_number = np.ndim(value) == 0 and np.issubdtype(np.asarray(value).dtype, np.number)
    if not (isinstance(value, xr.DataArray) or is_number):
        raise CoordinateError(
            f"{name} is a {type(value).__name__}, but {needed}: "
            f"xr.DataArray({name}, dims=({dims.y!r}, {dims.x!r}))"
        )
    array: xr.DataArray = value if isinstance(value, xr.DataArray) else xr.DataArray(value)
    if array.dtype.kind not in "iuf" or not set(array.dims) <= {dims.y, dims.x}:
        raise CoordinateError(f"{name} has {array.dtype} over {array.dims}, but {needed}")
    sizes = {dim: field.sizes[dim] for dim in (dims.y, dims.x)}
    if any(n not in (1, sizes[dim], sizes[dim] - (dim == own)) for dim, n in array.sizes.items()):
        wanted = f"{name} at these points, or between them, one fewer along {own!r}"
        raise CoordinateError(
            f"{name} has the sizes {dict(array.sizes)}, but {field.name!r} has {sizes}; give "
            f"{'the angle at these points' if own is None else wanted}"
        )
    for dim in set(array.dims) & set(field.indexes) & set(array.indexes):
        ours, theirs = field.indexes[dim], array.indexes[dim]
        if len(ours) == len(theirs) and not ours.equals(theirs):
            raise CoordinateError(
                f"{name} and {field.name!r} have different labels along {dim!r}; select the points "
                "that both have"
            )
    return array


def _check_steps(field: xr.DataArray, name: str, array: xr.DataArray, own: Hashable) -> None:
    """Raise if a step is zero or not finite, or its sign contradicts the coordinate."""
    values = np.asarray(array.values)
    bad = ~np.isfinite(values) | (values == 0)
    if bad.any():
        place = np.unravel_index(int(bad.argmax()), bad.shape)
        where = {dim: int(i) for dim, i in zip(array.dims, place, strict=True)}
        position = f" at {where}" if where else ""
        raise CoordinateError(
            f"{name} is {values[place]}{position}, but a step needs a finite length; give one "
            "there, and mask the field instead"
        )
    for coordinate in find_names_along(field, own, *_KEYS["x"], *_KEYS["y"]):
        points = field.coords.variables[coordinate]
        if not is_dask(points._data) and points.size > 1:
            falls = bool(points.values[-1] < points.values[0])
            if ((values < 0) != falls).any():
                step = values[(values < 0) != falls].flat[0]
                raise CoordinateError(
                    f"{name} is {step}, but {coordinate!r} {'falls' if falls else 'rises'} along "
                    f"{own!r}; {name} is the step to the next point, negative where that is behind"
                )
