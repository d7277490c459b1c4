"""Reads the coordinate of an axis: which it is, its points as numbers, its units, its period.

Whatever would give a wrong number in silence is refused here, with the place and the remedy.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import cf_xarray  # noqa: F401  (registers .cf)
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.attributes import title
from fdgrad_dask.errors import CoordinateError, OptionError

# UDUNITS names of what numpy calls datetime units; seconds are the default.
TIME_UNITS = {
    "W": "week",
    "D": "day",
    "h": "h",
    "m": "min",
    "s": "s",
    "ms": "ms",
    "us": "us",
    "ns": "ns",
    "ps": "ps",
    "fs": "fs",
    "as": "as",
}
# Days in a year of each CF calendar; those of the Gregorian ones are the mean over 400 years.
YEAR_DAYS = {
    "360_day": 360.0,
    "noleap": 365.0,
    "365_day": 365.0,
    "all_leap": 366.0,
    "366_day": 366.0,
    "julian": 365.25,
    "standard": 365.2425,
    "gregorian": 365.2425,
    "proleptic_gregorian": 365.2425,
}
YEARS = {"year": 1, "decade": 10, "century": 100}


@dataclass(frozen=True)
class Axis:
    """One axis of a field, ready for a stencil.

    ``points`` is (n,), in the dtype of the coordinate, or 1.0 where the dimension has none.
    ``units`` is what a derivative is per; None if the coordinate does not say.
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


def axis_of(field: xr.DataArray, dim: Hashable, *, datetime_unit: str | None = None) -> Axis:
    """The axis that ``dim`` names: a dimension, a 1-D coordinate along one, or a CF name.

    Raises
    ------
    CoordinateError
        There is none such, or it cannot be differentiated along.
    OptionError
        ``datetime_unit`` is not a unit of time.
    """
    coordinate = find(field, dim)
    if coordinate is None:
        number = field.dims.index(dim)
        return Axis(dim, dim, dim, number, 1.0, f"index of {dim}", units="1")
    along = coordinate.dims[0]
    name = along if coordinate.name is None else coordinate.name
    points, units = numbers(coordinate, datetime_unit)
    check_monotonic(points, name, along)
    return Axis(
        asked=dim,
        dim=along,
        name=name,
        number=field.dims.index(along),
        points=points,
        title=title(coordinate.attrs, name),
        units=units,
        period=360.0 if is_longitude(coordinate) else None,
        is_time=coordinate.dtype.kind in "mMO",
    )


def find(field: xr.DataArray, dim: Hashable) -> xr.DataArray | None:
    """The 1-D coordinate that ``dim`` names, or None for a dimension without one."""
    if dim in field.dims:
        index: xr.DataArray | None = field.coords.get(dim)
        return index
    name = dim if dim in field.coords else _cf_name(field, dim)
    coordinate: xr.DataArray = field.coords[name]
    if coordinate.ndim != 1:
        raise CoordinateError(
            f"coordinate {name!r} has dimensions {coordinate.dims}, but a derivative along it "
            "needs one; name one of its dimensions, or pass it as coordinate= beside dim"
        )
    return coordinate


def cf_names(field: xr.DataArray, key: Hashable) -> list[Hashable]:
    """The coordinates that CF attributes call ``key``: an axis, a kind or a standard_name."""
    if not isinstance(key, str):
        return []
    tables = (field.cf.axes, field.cf.coordinates, field.cf.standard_names)
    names = [name for table in tables for name in table.get(key, [])]
    return [name for name in dict.fromkeys(names) if name in field.coords]


def knows(field: xr.DataArray, dim: Hashable) -> bool:
    """True if ``dim`` names something along which ``field`` extends."""
    if dim in field.dims:
        return True
    names = [dim] if dim in field.coords else cf_names(field, dim)
    return any(field.coords[name].ndim for name in names)


def _cf_name(field: xr.DataArray, dim: Hashable) -> Hashable:
    """The name of the one 1-D coordinate that CF attributes call ``dim``."""
    names = cf_names(field, dim)
    along = [name for name in names if field.coords[name].ndim == 1] or names
    if len(along) == 1:
        return along[0]
    if along:
        raise CoordinateError(
            f"{dim!r} may be any of {', '.join(map(repr, along))} of {field.name!r}; name one"
        )
    raise CoordinateError(
        f"no dimension {dim!r}; {field.name!r} has the dimensions {field.dims} and the "
        f"coordinates {tuple(field.coords)}"
    )


def numbers(coordinate: xr.DataArray, datetime_unit: str | None) -> tuple[NDArray[Any], str | None]:
    """The values of a coordinate as numbers, and the units that one step of 1 has.

    Dates and durations of any calendar count from the earliest, in seconds or
    ``datetime_unit``.
    """
    name = coordinate.name
    if coordinate.chunks is not None:
        raise CoordinateError(
            f"coordinate {name!r} is a dask array, but weights are formed from its values before "
            f"anything is computed; load it first: .assign_coords({name}=….{name}.load())"
        )
    values = np.asarray(coordinate.values)
    if _is_time(values):
        return seconds(values, name, datetime_unit)
    if values.dtype.kind not in "iuf":
        raise CoordinateError(
            f"coordinate {name!r} holds {values.dtype}, but a derivative needs numbers or dates; "
            f"drop it to count in steps (.drop_vars({name!r})), or name another"
        )
    units = coordinate.attrs.get("units")
    return values, units if isinstance(units, str) and units.strip() else None


def _is_time(values: NDArray[Any]) -> bool:
    if values.dtype.kind in "mM":
        return True
    if values.dtype != object or not values.size:
        return False
    return all(hasattr(v, "calendar") or isinstance(v, datetime | timedelta) for v in values.flat)


def seconds(
    values: NDArray[Any], name: Hashable, datetime_unit: str | None
) -> tuple[NDArray[np.float64], str]:
    """Dates or durations as float64 from the earliest on, and their unit."""
    unit = "s" if datetime_unit is None else datetime_unit
    if unit not in TIME_UNITS and unit not in YEARS:
        raise OptionError(
            f"datetime_unit is {unit!r}; choose one of {', '.join([*TIME_UNITS, *YEARS])}"
        )
    if values.dtype.kind in "mM":
        if np.isnat(values).any():
            _refuse_nan(int(np.isnat(values).argmax()), name)
        calendar = "standard"
        since = values - values.min()
    else:
        calendar = getattr(values.flat[0], "calendar", "standard")
        first = min(values.flat)
        since = (values - first).astype("timedelta64[us]")
    if unit in YEARS:
        days = YEAR_DAYS[calendar] * YEARS[unit]
        return since / np.timedelta64(1, "us") / (days * 86400e6), f"({days:.10g} days)"
    if values.dtype.kind in "mM":
        return since / np.timedelta64(1, unit), TIME_UNITS[unit]  # type: ignore[call-overload]
    # The factor first: so xarray has it, and its numbers are ours to the bit.
    factor = np.timedelta64(1, "us") / np.timedelta64(1, unit)  # type: ignore[call-overload]
    return factor * since.astype(np.float64), TIME_UNITS[unit]


def as_numbers(field: xr.DataArray, datetime_unit: str | None) -> xr.DataArray:
    """``field`` with dates and durations turned into numbers; lazy if it is.

    Raises
    ------
    TypeError
        It holds neither numbers nor dates.
    """
    if field.dtype.kind in "iufc":
        return field
    unit = "s" if datetime_unit is None or datetime_unit in YEARS else datetime_unit
    attrs = {**field.attrs, "units": TIME_UNITS.get(unit, "s")}
    if field.dtype.kind in "mM":
        if field.dtype.kind == "M":
            # Lazy dates count from a fixed one, since to find the earliest would read them.
            field = field - (np.datetime64("2000-01-01") if field.chunks else field.min())
        counted: xr.DataArray = field / np.timedelta64(1, unit)  # type: ignore[call-overload]
        return counted.assign_attrs(attrs)
    if field.chunks is None and _is_time(field.values):
        values, _ = seconds(field.values, field.name, unit)
        return field.copy(data=values).assign_attrs(attrs)
    raise TypeError(
        f"{field.name!r} holds {field.dtype}, which has no differences; give numbers or dates "
        "(.astype(float) turns flags into numbers)"
    )


def check_monotonic(points: NDArray[Any], name: Hashable, dim: Hashable) -> None:
    """Raises unless ``points`` (n,) rise or fall strictly."""
    n = len(points)
    if n < 2:
        raise CoordinateError(
            f"coordinate {name!r} has {n} point{'s' if n != 1 else ''}, but a derivative needs "
            f"two or more; do not select a single {dim!r} before differentiating"
        )
    exact = points.astype(np.float64)
    broken = ~np.isfinite(exact)
    if broken.any():
        _refuse_nan(int(broken.argmax()), name, exact[broken][0])
    steps = np.diff(exact)
    if (steps > 0).all() or (steps < 0).all():
        return
    if (steps == 0).any():
        i = int((steps == 0).argmax())
        raise CoordinateError(
            f"coordinate {name!r} repeats {points[i]} at positions {i} and {i + 1}; "
            f"drop one of them: .drop_duplicates({dim!r})"
        )
    i = int((np.sign(steps) != np.sign(steps[0])).argmax())
    raise CoordinateError(
        f"coordinate {name!r} is not monotonic: it turns at position {i} "
        f"({points[i - 1]}, {points[i]}, {points[i + 1]}); sort it (.sortby({name!r})), or, if it "
        "is an angle that wraps around, add or subtract the full turn first"
    )


def _refuse_nan(position: int, name: Hashable, what: Any = "NaT") -> None:
    raise CoordinateError(
        f"coordinate {name!r} holds {what} at position {position}; give it a value there, or drop "
        f"the point: .dropna({name!r})"
    )


def is_longitude(coordinate: xr.DataArray) -> bool:
    """True if the attributes say so, in degrees."""
    units = coordinate.attrs.get("units")
    return units in ("degrees_east", "degree_east", "degree_E", "degrees_E", "degreeE") or (
        coordinate.attrs.get("standard_name") in ("longitude", "grid_longitude")
        and units in ("degrees", "degree")
    )


def of_axis(option: Any, axis: Axis) -> Any:
    """The value of an option for one axis: one for all, or by name in a mapping."""
    if not isinstance(option, Mapping):
        return option
    return next((option[key] for key in (axis.asked, axis.name, axis.dim) if key in option), None)
