"""Find the coordinate of an axis, and read its points, units and period.

Whatever would silently give a wrong number is refused here; messages say where, and what to do.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cf_xarray  # noqa: F401  (registers .cf)
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.errors import CoordinateError, OptionError, did_you_mean
from fdgrad_dask.grids.attributes import choose_long_name, require_decoded, require_points
from fdgrad_dask.grids.times import YEARS, count_time, is_time, restore_even_step, unbox_numbers
from fdgrad_dask.grids.units import is_degrees
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.stencils.boundary import regular_points, step_range

# A query of cf-xarray takes milliseconds, and an operator asks many times for the same answer.
_cf_cache: dict[tuple[Any, ...], dict[str, list[Hashable]]] = {}
_CF_CACHE_SIZE = 256


@dataclass(frozen=True)
class Axis:
    """One axis of a field, ready for a stencil.

    Parameters
    ----------
    asked
        The name by which the caller asked for it.
    dim, name, number
        Its dimension, its coordinate, and its position among the dimensions of the field.
    points
        The coordinate (n,) in its own dtype; 1.0 for a dimension without one.
    title
        Its name in words.
    units
        What a derivative is per; None if the coordinate does not say.
    period
        The length of a full circle, if it is a longitude.
    is_time
        True if the coordinate holds dates or durations.
    steps
        The least and the greatest step between the points, if they are counted in float64.
    """

    asked: Hashable
    dim: Hashable
    name: Hashable
    number: int
    points: Any
    title: str
    units: str | None = None
    period: float | None = None
    is_time: bool = False
    steps: tuple[float, float] | None = None


def find_axis(field: xr.DataArray, dim: Hashable, *, datetime_unit: str | None = None) -> Axis:
    """Find the axis that ``dim`` names: a dimension, a 1-D coordinate along one, or a CF name.

    Raises CoordinateError if there is none, or it cannot be differentiated along.
    """
    name = find_coordinate(field, dim)
    if name is None:
        return index_axis(field, dim)
    coordinate = field.coords.variables[name]
    along = coordinate.dims[0]
    index = field.xindexes.get(name)
    if isinstance(index, xr.indexes.PandasMultiIndex):
        raise CoordinateError(
            f"coordinate {name!r} is part of a MultiIndex, whose points lie on no line; take "
            f"the dimensions apart first: .unstack({along!r})"
        )
    points, units, is_dated = _read_points(coordinate, index, name, datetime_unit)
    steps = step_range(points)
    if steps is None or not (steps[0] > 0 or steps[1] < 0):
        _check_monotonic(points, coordinate.values if is_dated else points, name, along)
    is_in_years = is_dated and datetime_unit in YEARS
    return Axis(
        asked=dim,
        dim=along,
        name=name,
        number=field.dims.index(along),
        points=restore_even_step(points) if is_in_years else regular_points(points),
        title=choose_long_name(coordinate.attrs, name),
        units=units,
        period=360.0 if is_longitude(coordinate.attrs) else None,
        is_time=is_dated,
        steps=None if is_in_years else steps,
    )


def index_axis(field: xr.DataArray, dim: Hashable) -> Axis:
    """Make the axis of a dimension that is counted in steps."""
    title, steps = f"index of {dim}", (1.0, 1.0)
    return Axis(dim, dim, dim, field.dims.index(dim), 1.0, title, "1", steps=steps)


def find_coordinate(field: xr.DataArray, dim: Hashable) -> Hashable | None:
    """Find the 1-D coordinate that ``dim`` names; None for a dimension without one."""
    if not isinstance(dim, Hashable):
        raise OptionError(
            f"dim is a {type(dim).__name__}, but it names a dimension or a coordinate; to "
            "differentiate with respect to an array give it as coordinate= beside dim"
        )
    coords = field.coords.variables
    if dim in field.dims:
        return dim if dim in coords else None
    name = dim if dim in coords else _resolve_cf_name(field, dim)
    if coords[name].ndim != 1:
        raise CoordinateError(
            f"coordinate {name!r} has dimensions {coords[name].dims}, but a derivative along it "
            "needs one; name one of its dimensions, or pass it as coordinate= beside dim"
        )
    return name


def find_cf_names(field: xr.DataArray, *keys: Hashable) -> list[Hashable]:
    """Find the coordinates whose CF axis, kind or standard_name is one of ``keys``."""
    table = _query_cf(field)
    found = [name for key in keys if isinstance(key, str) for name in table.get(key, ())]
    return list(dict.fromkeys(found))


def find_names_along(field: xr.DataArray, dim: Hashable, *keys: Hashable) -> list[Hashable]:
    """Find those of `find_cf_names` that run along ``dim`` alone."""
    return [n for n in find_cf_names(field, *keys) if field.coords.variables[n].dims == (dim,)]


def _query_cf(field: xr.DataArray) -> dict[str, list[Hashable]]:
    """Ask cf-xarray for all axes, kinds and standard names; once for each set of coordinates."""
    coords = field.coords.variables
    # The variable's own list restricts what cf-xarray finds, so two fields may have two answers.
    own = find_own_coordinates(field)
    of_each = ((name, one.dims, repr(one.attrs)) for name, one in coords.items())
    described = (field.dims, own, *of_each)
    if described not in _cf_cache:
        if len(_cf_cache) >= _CF_CACHE_SIZE:
            _cf_cache.clear()
        table: dict[str, list[Hashable]] = {}
        for found in (field.cf.axes, field.cf.coordinates, field.cf.standard_names):
            for key, names in found.items():
                table.setdefault(key, []).extend(name for name in names if name in coords)
        _cf_cache[described] = table
    return _cf_cache[described]


def find_own_coordinates(field: xr.DataArray | xr.Variable) -> frozenset[str]:
    """Read the attribute ``coordinates``, by which a variable names its own coordinates."""
    named = field.encoding.get("coordinates", field.attrs.get("coordinates"))
    return frozenset(named.split()) if isinstance(named, str) else frozenset()


def has_axis(field: xr.DataArray, dim: Hashable) -> bool:
    """True if ``dim`` names something along which ``field`` extends."""
    if dim in field.dims:
        return True
    coords = field.coords.variables
    names = [dim] if dim in coords else find_cf_names(field, dim)
    return any(coords[name].ndim for name in names)


def _resolve_cf_name(field: xr.DataArray, dim: Hashable) -> Hashable:
    """Find the one 1-D coordinate whose CF axis, kind or standard_name is ``dim``."""
    names = find_cf_names(field, dim)
    along = [name for name in names if field.coords.variables[name].ndim == 1] or names
    if len(along) == 1:
        return along[0]
    if along:
        raise CoordinateError(
            f"{dim!r} may be any of {', '.join(map(repr, along))} of {field.name!r}; name one"
        )
    raise CoordinateError(
        f"no dimension {dim!r}; {field.name!r} has the dimensions {field.dims} and the "
        f"coordinates {tuple(field.coords)}; "
        f"{did_you_mean(str(dim), [*map(str, field.dims), *map(str, field.coords)])}"
    )


def _read_points(
    coordinate: xr.Variable, index: Any, name: Hashable, datetime_unit: str | None
) -> tuple[NDArray[Any], str | None, bool]:
    """Read a coordinate as numbers with their units; also say whether it holds dates.

    Dates and durations of any calendar count from the earliest, in seconds or ``datetime_unit``.
    """
    require_decoded(name, coordinate.attrs, may_lack=False)
    if is_dask(coordinate._data):
        raise CoordinateError(
            f"coordinate {name!r} is a dask array, but weights are formed from its values before "
            f"anything is computed; load it first: .assign_coords({name}=….{name}.load())"
        )
    # The array that pandas holds, which xarray would convert to the dtype that it mostly has.
    held: Any = getattr(index, "index", coordinate)
    is_alike = isinstance(held.dtype, np.dtype) and held.dtype == coordinate.dtype
    values = unbox_numbers((held if is_alike else coordinate).values)
    if is_time(values):
        if values.dtype.kind in "mM" and (missing := np.isnat(values)).any():
            _refuse_nan(int(missing.argmax()), name, coordinate.dims[0], "NaT")
        return *count_time(values, datetime_unit), True
    units = coordinate.attrs.get("units")
    require_points(name, values, units)
    return values, units if isinstance(units, str) and units.strip() else None, False


def _check_monotonic(points: Any, shown: Any, name: Hashable, dim: Hashable) -> None:
    """Raise unless ``points`` (n,) are finite and strictly monotonic; messages show the dates."""
    if (n := len(points)) < 2:
        raise CoordinateError(
            f"coordinate {name!r} has {n} point{'s' if n != 1 else ''}, but a derivative needs "
            f"two or more; do not select a single {dim!r} before differentiating"
        )
    # Compared, not subtracted: large integers may differ by less than float64 resolves.
    before, after = points[:-1], points[1:]
    is_strict = (before < after).all() or (before > after).all()
    if is_strict and np.isfinite(points[[0, -1]]).all():  # then those between are finite too
        return
    if (broken := ~np.isfinite(points)).any():
        _refuse_nan(int(broken.argmax()), name, dim, points[broken][0])
    if (before == after).any():
        i = int((before == after).argmax())
        cure = f".drop_duplicates({dim!r})" if name == dim else f".drop_isel({dim}=[{i + 1}])"
        raise CoordinateError(
            f"coordinate {name!r} repeats {shown[i]} at positions {i} and {i + 1}; "
            f"drop one of them: {cure}"
        )
    i = int(((before < after) != (before[0] < after[0])).argmax())
    cure = _suggest_fix(points, name) if shown is points else f"sort it (.sortby({name!r}))"
    raise CoordinateError(
        f"coordinate {name!r} is not monotonic: it turns at position {i} "
        f"({', '.join(map(str, shown[i - 1 : i + 2]))}); {cure}"
    )


def _suggest_fix(points: NDArray[Any], name: Hashable) -> str:
    """Say how to make a coordinate monotonic: sort it, or unwrap an angle."""
    exact = points.astype(np.float64)
    if np.abs(np.diff(exact)).max() > 180 and np.abs(exact).max() <= 720:
        ways = {
            f"….{name} % 360": exact % 360,
            f"(….{name} + 180) % 360 - 180": (exact + 180) % 360 - 180,
        }
        for words, unwound in ways.items():
            steps = np.diff(unwound)
            if (steps > 0).all() or (steps < 0).all():
                return f"it passes a full turn there: .assign_coords({name}={words})"
    return (
        f"sort it (.sortby({name!r})), or, if it is an angle that wraps around, add or subtract "
        "the full turn first"
    )


def _refuse_nan(position: int, name: Hashable, dim: Hashable, what: Any) -> None:
    there = "notnull()" if str(what) in ("NaT", "nan") else "pipe(np.isfinite)"
    raise CoordinateError(
        f"coordinate {name!r} holds {what} at position {position}; give it a value there, or drop "
        f"the point: .isel({dim}=….{name}.{there})"
    )


def is_longitude(attrs: Mapping[Any, Any]) -> bool:
    """True for a longitude in degrees; one without units is taken to be in degrees."""
    units = attrs.get("units")
    spelt = str(units).lower().replace("_", "").replace(" ", "")
    return spelt in ("degreeseast", "degreeeast", "degreese", "degreee") or (
        attrs.get("standard_name") in ("longitude", "grid_longitude") and is_degrees(units)
    )


def select_for_axis(option: Any, axis: Axis, field: xr.DataArray) -> Any:
    """Select the value of an option for one axis: one for all, or by name in a mapping."""
    if not isinstance(option, Mapping):
        return option
    for key, value in option.items():
        if key in (axis.asked, axis.name, axis.dim) or axis.name in find_cf_names(field, key):
            return value
    return None


def check_axis_names(option: Any, fields: Sequence[xr.DataArray]) -> None:
    """Raise if a mapping names an axis that none of ``fields`` has."""
    for key in option if isinstance(option, Mapping) else ():
        if not any(has_axis(field, key) for field in fields):
            dims = sorted({str(dim) for field in fields for dim in field.dims})
            raise OptionError(
                f"{option!r} names {key!r}, but there are the dimensions {dims}; name one of "
                "them, or a coordinate along one"
            )
