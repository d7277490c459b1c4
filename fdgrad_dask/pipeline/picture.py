"""One result as a PNG: a map or a section, with axes in degrees where CF says so."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.catalog import did_you_mean
from fdgrad_dask.pipeline.sections.picture import Picture
from fdgrad_dask.pipeline.sections.source import Source
from fdgrad_dask.pipeline.sections.target import Target
from fdgrad_dask.pipeline.source import open_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_WIDTH = 11.0  # inches
_HEIGHTS = (3.4, 7.0)  # inches, between which the shape of the map decides
_SHOWN = (2, 98)  # percentiles between which colours change, so that outliers do not wash it out
_DEGREES = {"degrees_north": ("°N", "°S"), "degrees_east": ("°E", "°W")}


def require_matplotlib() -> None:
    """Refuses a picture that nothing could draw, before anything is computed.

    Raises
    ------
    ConfigError
        matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ConfigError(
            "the picture needs matplotlib, which is not installed; "
            "pip install 'fdgrad_dask[plot]', or leave the section picture out"
        )


def require_drawable(picture: Picture, result: xr.Dataset) -> None:
    """Refuses a picture of what the steps do not give, or that is not two-dimensional.

    Raises
    ------
    ConfigError
        No such variable or dim, or not two dims left.
    """
    if picture.variable not in result.data_vars:
        raise ConfigError(
            f"picture.variable: no step gives {picture.variable!r}; "
            f"{did_you_mean(picture.variable, map(str, result.data_vars))}"
        )
    dims = [str(dim) for dim in result[picture.variable].dims]
    for dim in picture.mean:
        if dim not in dims:
            raise ConfigError(f"picture.mean: no dimension {dim!r}; {did_you_mean(dim, dims)}")
    left = [dim for dim in dims if dim not in picture.mean]
    if len(left) != 2:
        raise ConfigError(
            f"picture.mean leaves {len(left)} dimensions of {picture.variable!r} "
            f"({', '.join(left)}), a picture needs 2; choose from {', '.join(dims)}"
        )


def draw(picture: Picture, target: Target) -> None:
    """Draws one variable of the finished target.

    Raises
    ------
    OutputError
        The file cannot be written; the target is whole all the same.
    """
    from matplotlib.figure import Figure

    whole = open_source(Source(path=(target.path,)))[picture.variable]
    field = _upright(whole.mean(list(picture.mean), keep_attrs=True).compute())
    figure = Figure(figsize=(_WIDTH, _height(field)), layout="constrained")
    axes = figure.add_subplot()
    _colours(axes, field)
    for axis, dim in ((axes.xaxis, field.dims[1]), (axes.yaxis, field.dims[0])):
        _label(axis, field[dim])
    axes.set_title(picture.title or _title(whole, picture))
    try:
        os.makedirs(os.path.dirname(picture.path) or ".", exist_ok=True)
        figure.savefig(picture.path, dpi=130)
    except OSError as error:
        raise OutputError(
            f"{picture.path} cannot be written ({error.strerror or error}), but the target "
            f"{target.path} is whole; mend picture.path"
        ) from error


def _upright(field: xr.DataArray) -> xr.DataArray:
    """With eastward distance along the page where there is one."""
    eastward = [dim for dim in field.dims if _units(field[dim]) == "degrees_east"]
    return field.transpose(..., *eastward)


def _height(field: xr.DataArray) -> float:
    """Inches that give degrees of latitude and longitude the same length, within limits."""
    y, x = (field[dim] for dim in field.dims)
    if {_units(y), _units(x)} != _DEGREES.keys():
        return float(np.mean(_HEIGHTS))
    return float(np.clip(_WIDTH * np.ptp(y.values) / np.ptp(x.values), *_HEIGHTS))


def _colours(axes: Axes, field: xr.DataArray) -> None:
    """The field and its colour bar: zero in white where there are both signs, grey if missing."""
    from matplotlib.ticker import ScalarFormatter

    values = field.values[np.isfinite(field.values)]
    low, high = np.percentile(values, _SHOWN) if values.size else (0.0, 1.0)
    both_signs = low < 0 < high
    if both_signs:
        high = max(-low, high)
        low = -high
    y, x = (_numbers(field[dim]) for dim in field.dims)
    axes.set_facecolor("0.85")
    mesh = axes.pcolormesh(
        x, y, field.values, vmin=low, vmax=high, cmap="RdBu_r" if both_signs else "viridis"
    )
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}
    ends = beyond.get((bool((values < low).any()), bool((values > high).any())), "neither")
    short = ScalarFormatter(useMathText=True)
    short.set_powerlimits((-2, 4))
    bar = axes.figure.colorbar(mesh, ax=axes, extend=ends, pad=0.02, format=short)
    bar.set_label(f"{field.name} [{_units(field) or '?'}]")


def _label(axis: Axis, points: xr.DataArray) -> None:
    """Degrees with their hemisphere; anything else with its name and unit."""
    hemispheres = _DEGREES.get(_units(points))
    if hemispheres is None:
        units = f" [{_units(points)}]" if _units(points) else ""
        axis.set_label_text(f"{points.name}{units}")
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


def _title(whole: xr.DataArray, picture: Picture) -> str:
    """Name, what the mean was taken over, and the period where that was time."""
    name = str(whole.attrs.get("long_name", whole.name))
    parts = [name[:1].upper() + name[1:]]
    if picture.mean:
        parts.append(f"mean over {' and '.join(picture.mean)}")
    for dim in picture.mean:
        if _is_time(whole[dim]):
            first, last = (str(whole[dim].values[end])[:10] for end in (0, -1))
            parts.append(f"{first} to {last}")
    return ", ".join(parts)


def _numbers(points: xr.DataArray) -> np.ndarray[Any, Any]:
    """What matplotlib can place: a calendar that it does not know becomes years."""
    if points.dtype != object:
        return points.values
    days = points.dt.dayofyear - 1
    return np.asarray(points.dt.year + days / points.dt.days_in_year)


def _units(array: xr.DataArray) -> str:
    return str(array.attrs.get("units", ""))


def _is_time(points: xr.DataArray) -> bool:
    return points.dtype.kind == "M" or points.dtype == object
