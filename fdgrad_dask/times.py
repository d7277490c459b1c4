"""Dates and durations, of any calendar, as numbers and a unit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.dtypes import is_extension
from fdgrad_dask.errors import CoordinateError, OptionError

# UDUNITS names of NumPy's units of time; seconds are the default.
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
_SECONDS = {"W": 604800.0, "D": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SECONDS |= {"ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15, "as": 1e-18}
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
_MICRO = {"µs": "us", "μs": "us"}  # the micro sign and the Greek letter
YEARS = {"year": 1, "decade": 10, "century": 100}


def is_time(values: NDArray[Any]) -> bool:
    """True for datetime64, timedelta64, and objects that are all dates or durations."""
    if values.dtype.kind in "mM":
        return True
    if values.dtype != object or not values.size:
        return False
    return all(hasattr(v, "calendar") or isinstance(v, datetime | timedelta) for v in values.flat)


def seconds(values: NDArray[Any], datetime_unit: str | None) -> tuple[NDArray[np.float64], str]:
    """Dates or durations as float64 from the earliest on, and their unit.

    The unit of years is a length of so many days, in brackets.

    Raises
    ------
    OptionError
        ``datetime_unit`` is not a unit of time.
    CoordinateError
        The dates are of several calendars.
    """
    unit = "s" if datetime_unit is None else _MICRO.get(datetime_unit, datetime_unit)
    if unit not in TIME_UNITS and unit not in YEARS:
        raise OptionError(
            f"datetime_unit is {unit!r}; choose one of {', '.join([*TIME_UNITS, *YEARS])}"
        )
    if not values.size:
        return np.empty(values.shape), TIME_UNITS.get(unit, "s")
    since, calendar = _since_the_first(values)
    if unit in YEARS:
        days = YEAR_DAYS[calendar] * YEARS[unit]
        return _counted(since, "s") / (days * 86400), f"({days:.10g} days)"
    if values.dtype.kind in "mM":
        return _counted(since, unit), TIME_UNITS[unit]
    # The factor first: so xarray has it, and its numbers are ours to the bit.
    factor = np.timedelta64(1, "us") / np.timedelta64(1, unit)  # type: ignore[call-overload]
    return factor * since.astype(np.float64), TIME_UNITS[unit]


def _since_the_first(values: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """Durations since the earliest, and the calendar that they are counted in."""
    if values.dtype.kind in "mM":
        return values - np.nanmin(values), "standard"
    calendars = {getattr(value, "calendar", "standard") for value in values.flat}
    if len(calendars) > 1:
        raise CoordinateError(
            f"dates of the calendars {', '.join(sorted(calendars))} have no difference; convert "
            "them to one: .convert_calendar(…)"
        )
    return (values - min(values.flat)).astype("timedelta64[us]"), calendars.pop()


def _counted(since: NDArray[Any], unit: str) -> NDArray[np.float64]:
    """Durations in ``unit``: by NumPy's division where its integers do not overflow."""
    own, ticks = np.datetime_data(since.dtype)
    factor = _SECONDS[own] * ticks / _SECONDS[unit]
    numbers: NDArray[np.float64] = since.astype(np.int64).astype(np.float64)
    numbers[np.isnat(since)] = np.nan
    if np.nanmax(np.abs(numbers)) * max(factor, 1.0) < 2.0**62:
        return np.asarray(since / np.timedelta64(1, unit))  # type: ignore[call-overload]
    return numbers * factor


def as_numbers(field: xr.DataArray, datetime_unit: str | None) -> xr.DataArray:
    """``field`` with dates and durations turned into numbers; lazy if it is.

    Raises
    ------
    TypeError
        It holds neither numbers nor dates.
    """
    if field.dtype.kind in "iufc" or is_extension(field.dtype):
        return field
    if field.chunks is None and is_time(field.values):
        values, units = seconds(field.values, datetime_unit)
        return field.copy(data=values).assign_attrs({**field.attrs, "units": units.strip("()")})
    if field.dtype.kind in "mM":
        unit = "s" if datetime_unit is None or datetime_unit in YEARS else datetime_unit
        if field.dtype.kind == "M":
            # Lazy dates count from a fixed one, since to find the earliest would read them.
            field = field - np.datetime64("2000-01-01")
        counted: xr.DataArray = field / np.timedelta64(1, unit)  # type: ignore[call-overload]
        units = TIME_UNITS[unit]
        if datetime_unit in YEARS:
            days = YEAR_DAYS["standard"] * YEARS[datetime_unit]
            counted, units = counted / (days * 86400), f"{days:.10g} days"
        return counted.assign_attrs({**field.attrs, "units": units})
    raise TypeError(
        f"{field.name!r} holds {field.dtype}, which has no differences; give numbers or dates "
        "(.astype(float) turns flags into numbers)"
    )
