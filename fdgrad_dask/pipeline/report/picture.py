"""The picture of one result: a map or a section, as PNG."""

from __future__ import annotations

import math
import os
from importlib.util import find_spec

import xarray as xr

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.schema import Picture
from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.source.open import open_source

_SIZE = 11.0, (3.4, 7.0)  # inches: width, limits of the height
_POINTS = 1500  # along a dimension; the picture has no more pixels for it
_READERS = 4  # chunks in memory at a time


def require_matplotlib(section: str) -> None:
    """Check that a picture or a report can be drawn, before anything is computed.

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
    """Check that the steps give the variable of a picture, and that its mean has two dimensions.

    Raises
    ------
    ConfigError
        No such variable or dimension, or not two dimensions left.
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
    """Draw one variable of the finished target, chunk by chunk.

    Raises
    ------
    OutputError
        The file cannot be written; the target is complete all the same.
    """
    from fdgrad_dask.pipeline.report import chart

    source = Source(path=(target.path,), storage_options=target.storage_options)
    variable = open_source(source)[picture.variable]
    steps = {
        dim: slice(None, None, math.ceil(size / _POINTS))
        for dim, size in variable.sizes.items()
        if dim not in picture.mean
    }
    mean = variable.isel(steps).mean(list(picture.mean), keep_attrs=True)
    # In this process: the cluster of the run is closed by now.
    field = mean.compute(scheduler="threads", num_workers=_READERS)
    figure = chart.draw_field(field, *_SIZE, colorbar="right")
    figure.axes[0].set_title(picture.title or chart.escape(_make_title(variable, picture)))
    try:
        os.makedirs(os.path.dirname(picture.path) or ".", exist_ok=True)
        figure.savefig(picture.path, dpi=130)
    except OSError as error:
        raise OutputError(
            f"{picture.path} cannot be written ({error.strerror or error}), but the target "
            f"{target.path} is complete; fix picture.path"
        ) from error


def _make_title(variable: xr.DataArray, picture: Picture) -> str:
    """Name, dimensions of the mean, and the period where one of them is time."""
    name = str(variable.attrs.get("long_name", variable.name))
    parts = [name[:1].upper() + name[1:]]
    if picture.mean:
        parts.append(f"mean over {' and '.join(picture.mean)}")
    for dim in picture.mean:
        if variable[dim].dtype.kind in "MO":
            first, last = (str(variable[dim].values[end])[:10] for end in (0, -1))
            parts.append(f"{first} to {last}")
    return ", ".join(parts)
