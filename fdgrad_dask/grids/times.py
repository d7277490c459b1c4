"""Convert dates and durations of any calendar to numbers with a unit."""

from __future__ import annotations

from datetime import datetime, timedelta
from numbers import Number
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.blocks.device import is_traced
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.stencils.dtypes import is_extension

# NumPy's units of time in seconds, and their names in UDUNITS where these are others.
_SECONDS = {"W": 604800.0, "D": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SECONDS |= {"ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15, "as": 1e-18}
_NAMES = {"W": "week", "D": "day", "m": "min"}
# Days in a year of each calendar, by cftime's names; of the Gregorian ones the mean over 400 years.
_YEAR_DAYS = {
    "360_day": 360.0,
    "noleap": 365.0,
    "all_leap": 366.0,
    "julian": 365.25,
    "standard": 365.2425,
    "proleptic_gregorian": 365.2425,
}
_MICRO = {"µs": "us", "μs": "us"}  # the micro sign and the Greek letter
YEARS = {"year": 1, "decade": 10, "century": 100}
_EPOCH = np.datetime64("2000-01-01")  # for lazy dates, whose earliest is unknown


def is_time(values: NDArray[Any]) -> bool:
    """True for datetime64, timedelta64, and objects that are all dates or durations."""
    if values.dtype.kind in "mM":
        return True
    if values.dtype != object or not values.size:
        return False
    return all(hasattr(v, "calendar") or isinstance(v, datetime | timedelta) for v in values.flat)


def count_time(values: NDArray[Any], datetime_unit: str | None) -> tuple[NDArray[np.float64], str]:
    """Count dates or durations from the earliest on, as float64, and return their unit.

    The unit of years is their length in days, in brackets. Raises OptionError if ``datetime_unit``
    is no unit of time, CoordinateError if the dates are in several calendars.
    """
    unit = _check_unit(datetime_unit)
    if not values.size:
        return np.empty(values.shape), _NAMES.get(unit, unit if unit in _SECONDS else "s")
    is_dated, calendar = values.dtype.kind in "mM", "standard"
    if not is_dated:
        values, calendar = _subtract_earliest(values)
    first = np.fmin.reduce(values, axis=None)
    if unit in YEARS:
        days = _YEAR_DAYS[calendar] * YEARS[unit]
        return _count_since(values, first, "s") / (days * 86400), f"({days:.10g} days)"
    name = _NAMES.get(unit, unit)
    if is_dated:
        return _count_since(values, first, unit), name
    # xarray multiplies in this order too, so the numbers agree to the bit.
    factor = np.timedelta64(1, "us") / np.timedelta64(1, unit)  # type: ignore[call-overload]
    return factor * values.astype(np.float64), name


def _check_unit(datetime_unit: str | None) -> str:
    """Return the unit to count in, one of `_SECONDS` or `YEARS`; seconds by default."""
    unit = "s" if datetime_unit is None else _MICRO.get(datetime_unit, datetime_unit)
    if unit not in _SECONDS and unit not in YEARS:
        why = "; a month has no fixed length" if str(unit).lower().startswith("mon") else ""
        raise OptionError(
            f"datetime_unit is {unit!r}{why}; choose one of {', '.join([*_SECONDS, *YEARS])}"
        )
    return unit


def _subtract_earliest(values: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """Subtract the earliest from date objects, and return durations and their calendar."""
    calendars = {getattr(value, "calendar", "standard") for value in values.flat}
    if len(calendars) > 1:
        raise CoordinateError(
            f"dates of the calendars {', '.join(sorted(calendars))} have no difference; convert "
            "them to one: .convert_calendar(…)"
        )
    try:
        first = min(values.flat)
        since = [value - first for value in values.flat]
    except TypeError as error:
        raise CoordinateError(
            f"the dates have no difference, as some have a time zone and some have none ({error}); "
            "give all of them one"
        ) from None
    return np.array(since, "timedelta64[us]").reshape(values.shape), calendars.pop()


def _count_since(values: NDArray[Any], origin: Any, unit: str) -> NDArray[np.float64]:
    """Count ``values`` − ``origin`` in ``unit``, exactly unless 64-bit integers would overflow.

    Nanoseconds in 64 bits span 584 years of dates, but only 292 years of differences.
    """
    own, ticks = np.datetime_data(values.dtype)
    factor = _SECONDS[own] * ticks / _SECONDS[unit]
    start = int(origin.astype(np.int64))
    ends = (
        int(end(values, axis=None).astype(np.int64)) for end in (np.fmin.reduce, np.fmax.reduce)
    )
    if max(abs(end - start) for end in ends) * max(factor, 1.0) < 2.0**62:
        since = values - origin
        return np.asarray(since / np.timedelta64(1, unit))  # type: ignore[call-overload]
    # Rounded to float64, but finite for every date.
    far = values.astype(np.int64).astype(np.float64) - start
    return np.where(np.isnat(values), np.nan, far * factor)


def restore_even_step(points: NDArray[np.float64]) -> Any:
    """Return the step if an axis is uneven only by rounding to years, else its points."""
    steps = np.diff(points)
    if np.ptp(steps) <= 8 * np.finfo(float).eps * np.abs(points).max():
        return (points[-1] - points[0]) / len(steps)
    return points


def unbox_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Turn an array of objects that are all numbers into an array of numbers."""
    is_number = (isinstance(v, Number) and not isinstance(v, bool) for v in values.flat)
    if values.dtype != object or not values.size or not all(is_number):
        return values
    numbers = np.array(values.tolist())
    return values.astype(np.float64) if numbers.dtype == object else numbers


def convert_period(period: Any, units: str | None, is_dated: bool) -> Any:
    """Convert the length of a periodic axis to ``units``, in which its dates are counted.

    Raises OptionError if it is no finite number, or a duration although the axis has no dates.
    """
    if isinstance(period, np.timedelta64 | timedelta):
        if not is_dated:
            raise OptionError(
                f"period is the duration {period!r}, but the axis has no dates; give a number in "
                f"its units, {units!r}"
            )
        seconds: Any = conversion_factor(str(units).strip("()"), "s")
        try:
            return float(np.timedelta64(period) / np.timedelta64(1, "us")) / 1e6 / seconds
        except TypeError:
            raise OptionError(
                f"period is {period!r}, and a month or a year has no fixed length; give days: "
                "numpy.timedelta64(365, 'D')"
            ) from None
    is_number = isinstance(period, int | float | np.number) or getattr(period, "shape", None) == ()
    if is_traced(period):
        raise OptionError(
            f"period is {period!r}; give a number, which is not traced: of a closure, or "
            "static_argnames"
        )
    if period is not None and (not is_number or np.isinf(period)):
        raise OptionError(f"period is {period!r}; give a finite number, or leave it at None")
    return period


def as_numbers(field: xr.DataArray, datetime_unit: str | None) -> xr.DataArray:
    """Convert a field of dates or durations to numbers; lazily if it is lazy.

    Raises TypeError if it holds neither numbers nor dates.
    """
    kind = field.dtype.kind
    if kind in "iufc" or is_extension(field.dtype):
        return field
    is_lazy = field.chunks is not None
    if kind == "O" and not is_lazy:
        field = field.copy(data=unbox_numbers(field.values))
        if field.dtype.kind in "iufc":
            return field
    if not is_lazy and is_time(field.values):
        values, units = count_time(field.values, datetime_unit)
        return field.copy(data=values).assign_attrs(units=units.strip("()"))
    if kind not in "mM":
        raise TypeError(
            f"{field.name!r} holds {field.dtype}, which has no differences; give numbers or dates "
            "(.astype(float) turns flags into numbers)"
        )
    unit = _check_unit(datetime_unit)
    days = _YEAR_DAYS["standard"] * YEARS.get(unit, 0)
    origin = _EPOCH if kind == "M" else np.timedelta64(0, "s")
    counted = field.data.map_blocks(
        _count_since, origin.astype(field.dtype), "s" if days else unit, dtype=np.float64
    )
    units = f"{days:.10g} days" if days else _NAMES.get(unit, unit)
    return field.copy(data=counted / (days * 86400) if days else counted).assign_attrs(units=units)
