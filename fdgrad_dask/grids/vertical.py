"""A coordinate that varies along other axes too: the height of model levels over terrain."""

from __future__ import annotations

from collections.abc import Hashable, Set

import xarray as xr

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.attributes import choose_long_name
from fdgrad_dask.grids.coordinate import Axis, find_axis, find_cf_names, find_coordinate
from fdgrad_dask.grids.parametric import compute_levels, find_parametric_level
from fdgrad_dask.halo.tasks import check_levels

# Words for the coordinate that formula terms give.
LEVELS = ("pressure", "height")


def align_levels(
    field: xr.DataArray, coordinate: xr.DataArray, dim: Hashable
) -> tuple[xr.DataArray, xr.DataArray, Axis]:
    """Broadcast ``field`` and ``coordinate`` to the same dimensions, and find their axis ``dim``.

    Raises CoordinateError if the coordinate lacks ``dim``, has other labels than the field, or does
    not rise or fall strictly. A lazy one is checked chunk by chunk when it is computed; one that
    JAX traces has no values, and is not checked.
    """
    name, dim = "z" if coordinate.name is None else coordinate.name, _find_dim(field, dim)
    if dim not in coordinate.dims:
        raise CoordinateError(
            f"coordinate {name!r} has dimensions {coordinate.dims} and {field.name!r} has "
            f"{field.dims}; both need {dim!r} for a derivative along it"
        )
    own, other = set(field.dims), set(coordinate.dims)
    if not (own <= other or other <= own):
        raise CoordinateError(
            f"coordinate {name!r} has dimensions {coordinate.dims} and {field.name!r} has "
            f"{field.dims}: neither has all of the other, so they lie on different points; "
            "interpolate one to the points of the other, or rename its dimensions alike"
        )
    if coordinate.dtype.kind not in "iuf":
        raise CoordinateError(
            f"coordinate {name!r} holds {coordinate.dtype}; heights need to be real numbers"
        )
    # A small or unsigned type cannot hold its own differences.
    if coordinate.dtype.kind in "iu" and not is_jax(coordinate.data):
        coordinate = coordinate.astype("float64")
    field, coordinate = xr.broadcast(*_align(field, coordinate, name))
    number = field.dims.index(dim)
    if field.shape[number] < 2:
        raise CoordinateError(
            f"coordinate {name!r} has {field.shape[number]} point along {dim!r}, but a "
            f"derivative needs two or more; do not select a single {dim!r} first"
        )
    attrs = coordinate.attrs
    axis = Axis(dim, dim, name, number, None, choose_long_name(attrs, name), attrs.get("units"))
    if coordinate.chunks is None:
        check_levels(coordinate.data, number, describe_not_monotonic(axis))
    return field, coordinate, axis


def make_axis(
    field: xr.DataArray, coordinate: xr.DataArray, dim: Hashable, datetime_unit: str | None
) -> Axis:
    """Make the axis ``dim`` with another coordinate of one dimension."""
    name, dim = "z" if coordinate.name is None else coordinate.name, _find_dim(field, dim)
    if coordinate.dims != (dim,):
        raise CoordinateError(
            f"coordinate {name!r} runs along {coordinate.dims[0]!r}, but the derivative is asked "
            f"for along {dim!r}; name the same"
        )
    _, coordinate = _align(field, coordinate, name)
    replaced = field.drop_vars([name], errors="ignore").assign_coords({name: coordinate.variable})
    return find_axis(replaced, name, datetime_unit=datetime_unit)


def find_level_dim(
    field: xr.DataArray, levels: xr.DataArray, plane: Set[Hashable], vertical: Hashable | None
) -> Hashable:
    """Find the dimension of ``field`` along which ``levels`` follow each other.

    It is the one named, or the one that CF attributes tell, or the only one of ``levels`` that is
    neither in the horizontal ``plane`` nor time.
    """
    if vertical is not None:
        return _find_dim(field, vertical)
    coords = field.coords.variables
    vertical_dims = {dim for n in find_cf_names(field, "Z", "vertical") for dim in coords[n].dims}
    times = {dim for n in find_cf_names(field, "T", "time") for dim in coords[n].dims}
    own = [dim for dim in levels.dims if dim in field.dims and dim not in plane]
    found = [dim for dim in own if dim in vertical_dims] or [dim for dim in own if dim not in times]
    if len(found) != 1:
        raise CoordinateError(
            f"along which of its dimensions {levels.dims} the values of {levels.name!r} follow "
            f"each other cannot be inferred; name it: vertical="
        )
    return found[0]


def _find_dim(field: xr.DataArray, dim: Hashable) -> Hashable:
    """Find the dimension that ``dim`` names: itself, that of a 1-D coordinate, or a CF name."""
    name = find_coordinate(field, dim)
    return dim if name is None else field.coords.variables[name].dims[0]


def describe_not_monotonic(axis: Axis) -> str:
    """Write the message about a coordinate that is not strictly monotonic."""
    return f"coordinate {axis.name!r} is not strictly monotonic along {axis.dim!r}"


def resolve_levels(
    field: xr.DataArray, given: object, dim: Hashable | None, option: str = "coordinate"
) -> xr.DataArray:
    """The coordinate of the levels of a field: a DataArray, or in a word from formula terms."""
    if isinstance(given, xr.DataArray):
        return given
    if not isinstance(given, str) or given not in LEVELS:
        kind = repr(given) if isinstance(given, str) else f"a {type(given).__name__}"
        raise CoordinateError(
            f"{option} is {kind}; give a DataArray, such as ds.height, or where the levels have "
            "formula_terms 'pressure' or 'height'"
        )
    return compute_levels(field, find_parametric_level(field, dim), given)


def _align(
    field: xr.DataArray, coordinate: xr.DataArray, name: Hashable
) -> tuple[xr.DataArray, xr.DataArray]:
    try:
        field, coordinate = xr.align(field, coordinate, join="exact", copy=False)
    except ValueError as error:
        raise CoordinateError(
            f"coordinate {name!r} and {field.name!r} do not have the same labels; select the "
            f"points that both have: xr.align({field.name}, {name}, join='inner') ({error})"
        ) from None
    return field, coordinate
