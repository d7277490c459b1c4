"""One result as a PNG: a map or a section, with axes in degrees where CF says so."""

from __future__ import annotations

import os
from importlib.util import find_spec

import xarray as xr

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.schema import Picture
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.config.target import Target
from fdgrad_dask.pipeline.report import chart
from fdgrad_dask.pipeline.source.open import open_source

_WIDTH = 11.0  # inches
_HEIGHTS = (3.4, 7.0)  # inches, between which the shape of the map decides


def require_matplotlib(section: str) -> None:
    """Refuses a picture or a report that nothing could draw, before anything is computed.

    Raises
    ------
    ConfigError
        matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ConfigError(
            f"the {section} needs matplotlib, which is not installed; "
            f"pip install 'fdgrad_dask[plot]', or leave the section {section} out"
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
        The file cannot be written; the target is complete all the same.
    """
    from matplotlib.figure import Figure

    whole = open_source(Source(path=(target.path,)))[picture.variable]
    field = chart.upright(whole.mean(list(picture.mean), keep_attrs=True).compute())
    tall = chart.height(field, _WIDTH, *_HEIGHTS)
    figure = Figure(figsize=(_WIDTH, tall), layout="constrained")
    axes = figure.add_subplot()
    chart.paint(axes, field, bar="right")
    axes.set_title(picture.title or _title(whole, picture))
    try:
        os.makedirs(os.path.dirname(picture.path) or ".", exist_ok=True)
        figure.savefig(picture.path, dpi=130)
    except OSError as error:
        raise OutputError(
            f"{picture.path} cannot be written ({error.strerror or error}), but the target "
            f"{target.path} is complete; fix picture.path"
        ) from error


def _title(whole: xr.DataArray, picture: Picture) -> str:
    """Name, what the mean was taken over, and the period where that was time."""
    name = str(whole.attrs.get("long_name", whole.name))
    parts = [name[:1].upper() + name[1:]]
    if picture.mean:
        parts.append(f"mean over {' and '.join(picture.mean)}")
    for dim in picture.mean:
        if chart.is_time(whole[dim]):
            first, last = (str(whole[dim].values[end])[:10] for end in (0, -1))
            parts.append(f"{first} to {last}")
    return chart.plain(", ".join(parts))
