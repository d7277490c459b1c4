"""A source, its steps and a target in words: what ``check`` prints, and ``run`` at its end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr
from dask.utils import format_bytes

from fdgrad_dask.pipeline.config import Config


def what_is_read(config: Config, source: xr.Dataset) -> list[str]:
    """The source, and those of its variables that the steps name."""
    named = {name for step in config.steps for name in step.inputs}
    arrays = [source[name] for name in source.variables if name in named]
    return [f"read     {config.source.shown}", *map(_array, arrays)]


def what_is_planned(config: Config, result: xr.Dataset) -> list[str]:
    """Each step with its options, then the target with every array of it."""
    lines = [f"step     {_call(step.operator, step.inputs, step.options)}" for step in config.steps]
    return [*lines, f"target   {config.target.path}", *map(_array, result.data_vars.values())]


def what_is_written(config: Config, result: xr.Dataset) -> list[str]:
    """The target with every array of it."""
    return [f"wrote    {config.target.path}", *map(_array, result.data_vars.values())]


def _call(operator: str, inputs: Iterable[str], options: Mapping[str, Any]) -> str:
    told = [*inputs, *(f"{name}={value!r}" for name, value in options.items())]
    return f"{operator}({', '.join(told)})"


def _array(array: xr.DataArray) -> str:
    sizes = ", ".join(f"{dim}: {size}" for dim, size in array.sizes.items())
    units = array.attrs.get("units", "no units")
    text = f"         {array.name} ({sizes}) {array.dtype}, {units}, {format_bytes(array.nbytes)}"
    if not array.chunks:
        return text
    count = math.prod(len(sizes) for sizes in array.chunks)
    largest = " × ".join(str(max(sizes)) for sizes in array.chunks)
    return f"{text}, {count} chunk{'s' if count > 1 else ''} of {largest}"
