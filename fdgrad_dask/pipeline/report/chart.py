"""A field on axes: colours that outliers do not wash out, degrees and units where CF says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_SHOWN = (2, 98)  # percentiles between which colours change
_DEGREES = {"degrees_north": ("°N", "°S"), "degrees_east": ("°E", "°W")}


def upright(field: xr.DataArray) -> xr.DataArray:
    """With eastward distance along the page where there is one."""
    eastward = [dim for dim in field.dims if units(field[dim]) == "degrees_east"]
    return field.transpose(..., *eastward)


def height(field: xr.DataArray, width: float, least: float, most: float) -> float:
    """Inches that give degrees of latitude and longitude the same length, within limits."""
    y, x = (field[dim] for dim in field.dims)
    if {units(y), units(x)} != _DEGREES.keys() or field.size == 0 or np.ptp(x.values) == 0:
        return (least + most) / 2
    return float(np.clip(width * np.ptp(y.values) / np.ptp(x.values), least, most))


def paint(axes: Axes, field: xr.DataArray, bar: Literal["right", "bottom"]) -> None:
    """A field of two dims: zero in white where there are both signs, grey where it is missing."""
    from matplotlib.ticker import ScalarFormatter

    values = field.values[np.isfinite(field.values)]
    low, high = np.percentile(values, _SHOWN) if values.size else (0.0, 1.0)
    both_signs = low < 0 < high
    if both_signs:
        high = max(-low, high)
        low = -high
    y, x = (numbers(field[dim]) for dim in field.dims)
    axes.set_facecolor("0.85")
    mesh = axes.pcolormesh(
        x,
        y,
        field.values,
        vmin=low,
        vmax=high,
        cmap="RdBu_r" if both_signs else "viridis",
        rasterized=True,
    )
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}
    ends = beyond.get((bool((values < low).any()), bool((values > high).any())), "neither")
    short = ScalarFormatter(useMathText=True)
    short.set_powerlimits((-2, 4))
    drawn = axes.figure.colorbar(
        mesh, ax=axes, extend=ends, pad=0.02, format=short, location=bar, aspect=30
    )
    drawn.set_label(named(field))
    label(axes.xaxis, field[field.dims[1]])
    label(axes.yaxis, field[field.dims[0]])


def label(axis: Axis, points: xr.DataArray) -> None:
    """Degrees with their hemisphere; anything else with its name and unit."""
    hemispheres = _DEGREES.get(units(points))
    if hemispheres is None:
        axis.set_label_text(named(points) if units(points) else plain(str(points.name)))
    else:
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 3, 6, 10]))
        axis.set_major_formatter(lambda value, _: _degrees(value, *hemispheres))
    if points.attrs.get("positive") == "down":
        axis.set_inverted(True)


def _degrees(value: float, positive: str, negative: str) -> str:
    """
    >>> _degrees(270.0, "°E", "°W")
    '90°W'
    """
    folded = (value + 180) % 360 - 180
    side = positive if folded > 0 else negative
    return f"{abs(folded):g}{'°' if folded in (0, -180) else side}"


def numbers(points: xr.DataArray) -> np.ndarray[Any, Any]:
    """What matplotlib can place: a calendar that it does not know becomes years."""
    if points.dtype != object:
        return points.values
    days = points.dt.dayofyear - 1
    return np.asarray(points.dt.year + days / points.dt.days_in_year)


def named(array: xr.DataArray) -> str:
    """Name and units, for an axis."""
    return plain(f"{array.name} [{units(array) or '?'}]")


def plain(text: str) -> str:
    """What shows a text as it is: a dollar begins no formula."""
    return text.replace("$", r"\$")


def units(array: xr.DataArray) -> str:
    """As the attributes have them, or nothing."""
    return str(array.attrs.get("units", ""))


def is_time(points: xr.DataArray) -> bool:
    """Whether these are dates, of any calendar."""
    return points.dtype.kind == "M" or points.dtype == object
