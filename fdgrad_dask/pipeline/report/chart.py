"""Draws a field: robust colours, degrees and units where CF attributes state them."""

from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

_DEGREES = {"degrees_north": ("°N", "°S"), "degrees_east": ("°E", "°W")}


def draw_field(
    field: xr.DataArray,
    width: float,
    heights: tuple[float, float],
    colorbar: Literal["right", "bottom"] = "bottom",
) -> Figure:
    """Draw a map or a section, or a line where there is one dimension.

    Colours are those of xarray: between the 2nd and 98th percentiles, white at zero where there
    are both signs. Missing values are grey. Width and heights
    are in inches; between the heights, degrees of latitude and longitude get the same length.
    """
    dims = sorted(field.dims, key=lambda dim: get_units(field[dim]) == "degrees_east")
    field = field.transpose(*dims)
    figure = Figure(figsize=(width, _choose_height(field, width, *heights)), layout="constrained")
    axes = add_open_axes(figure) if len(dims) == 1 else figure.add_subplot()
    placed = field.assign_coords({dim: (dim, _locate(field[dim])) for dim in dims})
    if len(dims) == 1:
        axes.plot(placed[dims[0]], field.values, color="#2f6f9f", linewidth=1.2)
        axes.set_ylabel(_label(field))
    else:
        numbers = ScalarFormatter(useMathText=True)
        numbers.set_powerlimits((-2, 4))
        bar = {"location": colorbar, "label": _label(field), "format": numbers}
        axes.set_facecolor("0.85")
        placed.plot.pcolormesh(
            ax=axes,
            robust=True,
            infer_intervals=False,  # matplotlib does, also where points do not ascend
            add_labels=False,
            rasterized=True,
            cbar_kwargs={"pad": 0.02, "aspect": 30, **bar},
        )
        axes.autoscale(tight=True)  # xarray ends the axes in the middle of the outer cells
        _label_axis(axes.yaxis, field[dims[0]])
    _label_axis(axes.xaxis, field[dims[-1]])
    return figure


def add_open_axes(figure: Figure) -> Axes:
    """Axes without a frame at the top and the right, and with horizontal grid lines."""
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis="y")
    return axes


def _choose_height(field: xr.DataArray, width: float, least: float, most: float) -> float:
    degrees = [field[dim].values for dim in field.dims if get_units(field[dim]) in _DEGREES]
    if len(degrees) < 2 or np.ptp(degrees[1]) == 0:
        return (least + most) / 2
    return float(np.clip(width * np.ptp(degrees[0]) / np.ptp(degrees[1]), least, most))


def _label_axis(axis: Axis, points: xr.DataArray) -> None:
    """Degrees with their hemisphere; anything else with its name and units."""
    if hemispheres := _DEGREES.get(get_units(points)):
        axis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 3, 6, 10]))
        axis.set_major_formatter(lambda value, _: _format_degrees(value, *hemispheres))
    else:
        axis.set_label_text(_label(points, ""))
    if points.attrs.get("positive") == "down":
        axis.set_inverted(True)


def _format_degrees(value: float, positive: str, negative: str) -> str:
    """
    >>> _format_degrees(270.0, "°E", "°W")
    '90°W'
    """
    folded = (value + 180) % 360 - 180
    hemisphere = positive if folded > 0 else negative
    return f"{abs(folded):g}{'°' if folded in (0, -180) else hemisphere}"


def _locate(points: xr.DataArray) -> np.ndarray[Any, Any]:
    """Numbers or dates that matplotlib can place on an axis."""
    if points.dtype.kind in "biufM":
        return points.values
    if is_time(points):  # a calendar without datetime64: matplotlib knows only years
        return np.asarray(points.dt.year + (points.dt.dayofyear - 1) / points.dt.days_in_year)
    return np.arange(points.size)


def _label(array: xr.DataArray, unknown: str = "?") -> str:
    units = get_units(array) or unknown
    return escape(f"{array.name} [{units}]" if units else str(array.name))


def escape(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")


def get_units(array: xr.DataArray) -> str:
    """The units in the attributes, or an empty string."""
    return str(array.attrs.get("units", ""))


def is_time(points: xr.DataArray) -> bool:
    """Whether these are dates, of any calendar."""
    return points.dtype.kind == "M" or hasattr(points.values.flat[0], "calendar")
