"""Coordinates of labelled arrays: numbers and dates, what they are called, and units per them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import cftime
import numpy as np

from oracle.drawn import pick_points

SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600, "D": 86400, "ms": 1e-3, "us": 1e-6, "W": 604800}
IN_UDUNITS = {None: "s", "m": "min", "D": "day", "W": "week"}
YEARS = {"noleap": 365, "360_day": 360, "all_leap": 366, "julian": 365.25, "standard": 365.2425}


@dataclass
class Axis:
    """A dimension with its coordinate, by what it may be asked for, and its points."""

    dim: str
    name: str
    asked: list[str]
    coords: dict[str, Any]
    points: np.ndarray
    units: str | None
    is_time: bool = False
    seconds: Any = None
    calendar: str = "standard"


def draw_axis(rng: Random, dim: str, n: int) -> Axis:
    kind = rng.choice(("numbers", "numbers", "numbers", "none", "dates", "dates", "beside"))
    if kind == "none":
        return Axis(dim, dim, [dim], {}, np.arange(float(n)), "1")
    if kind == "dates":
        return _dates(rng, dim, n)
    points = pick_points(rng, n)
    units = rng.choice((None, "m", "km", "degrees_north", "hPa"))
    attrs = {} if units is None else {"units": units}
    asked, name = [dim], dim
    how = rng.choice(("", "", "axis", "standard_name"))
    if how == "axis":
        attrs["axis"] = {"a": "X", "b": "Y", "c": "Z"}[dim]
        asked.append(attrs["axis"])
    elif how == "standard_name":
        attrs["standard_name"] = f"distance_along_{dim}"
        asked.append(attrs["standard_name"])
    coords = {dim: (dim, points, attrs)}
    if kind == "beside":
        name = f"along_{dim}"
        coords = {name: (dim, points, attrs)}
        asked = [name, *asked[1:]]
        if rng.random() < 0.5:
            coords[dim] = (dim, np.arange(n) * 7)
    return Axis(dim, name, asked, coords, points, units)


def _dates(rng: Random, dim: str, n: int) -> Axis:
    step = rng.choice((1, 60, 3600, 21600, 86400, 86400 * 30))
    gaps_ = [1] * n if rng.random() < 0.5 else [rng.choice((1, 2, 3)) for _ in range(n)]
    seconds = step * np.cumsum([0, *gaps_])[:n]
    seconds = seconds[::-1].copy() if rng.random() < 0.2 else seconds
    calendar = rng.choice(("", "", "", *YEARS))
    if calendar:
        made = cftime.num2date(seconds, "seconds since 2000-02-27 06:00", calendar)
    elif rng.random() < 0.2:
        made = seconds.astype("timedelta64[s]").astype(f"m8[{rng.choice(('s', 'ns', 'ms'))}]")
    else:
        start = np.datetime64(rng.choice(("2000-02-27T06", "1969-12-31", "1850-01-01")), "s")
        made = (start + seconds).astype(f"M8[{rng.choice(('s', 'ns', 'ms', 'us'))}]")
    points = seconds - seconds.min()
    coords = {dim: (dim, made)}
    return Axis(dim, dim, [dim], coords, points, "s", True, points, calendar or "standard")


def in_unit(axis: Axis, unit: str | None) -> tuple[np.ndarray, str | None]:
    """The points of an axis of dates in ``unit``, and what a derivative is per."""
    if not axis.is_time:
        return axis.points, axis.units
    if unit in ("year", "decade"):
        days = YEARS[axis.calendar] * (10 if unit == "decade" else 1)
        return axis.seconds / np.longdouble(days * 86400), f"({days:.10g} days)"
    return axis.seconds / np.float64(SECONDS[unit]), IN_UDUNITS.get(unit, unit)


def per(units: str | None, below: str | None, order: int, *, is_time: bool) -> str | None:
    """The units of a derivative of a field in K, or without units."""
    above = units or ("1" if is_time else None)
    if above is None or below is None or below == "1":
        return above if below else None
    if above == "1" and not below.startswith("("):
        above = ""
    below = {"degrees_north": "degree"}.get(below, below)
    return f"{above} {below}-{order}".strip()
