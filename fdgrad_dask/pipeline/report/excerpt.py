"""The part of a result that a page can show: two dims, few points, at a bounded cost.

A result may hold a petabyte. Of dims beyond a map the middle is taken; of a large map every n-th
point; and where even that would decode too many chunks, a window around its middle.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from fdgrad_dask.pipeline.report import chart

_POINTS = 600  # along a dim; a page has no more pixels for it
_DECODED = 2**29  # bytes of the chunks that are decoded for one excerpt
_SIDEWAYS = {"degrees_north", "degrees_east"}


@dataclass(frozen=True)
class Excerpt:
    """Values in memory, and what they are a part of."""

    field: xr.DataArray
    where: str
    """Which part, in words; nothing where it is all."""


def excerpt(array: xr.DataArray) -> Excerpt:
    """A map, else a section or a line, of a lazily opened array."""
    array = array.reset_coords(drop=True)
    across = _drawn(array)
    middle = {dim: size // 2 for dim, size in array.sizes.items() if dim not in across}
    window = _window(array, across)
    stride = {
        dim: max(1, math.ceil((part.stop - part.start) / _POINTS)) for dim, part in window.items()
    }
    parts = {dim: slice(part.start, part.stop, stride[dim]) for dim, part in window.items()}
    words = [f"{dim} {_point(array[dim], place)}" for dim, place in middle.items()]
    for dim, part in window.items():
        if part.stop - part.start < array.sizes[dim]:
            first, last = _point(array[dim], part.start), _point(array[dim], part.stop - 1)
            words.append(f"{dim} {first} to {last}")
    skipped = [f"{_ordinal(step)} {dim}" for dim, step in stride.items() if step > 1]
    if skipped:
        words.append(f"every {' and '.join(skipped)}")
    return Excerpt(array.isel({**middle, **parts}).load(), ", ".join(words))


def _drawn(array: xr.DataArray) -> list[Hashable]:
    """The dims of the page: latitude and longitude if both are there, else the last two."""
    sideways = [dim for dim in array.dims if chart.units(array[dim]) in _SIDEWAYS]
    return sideways if len(sideways) == 2 else list(array.dims[-2:])


def _window(array: xr.DataArray, across: list[Hashable]) -> dict[Hashable, slice]:
    """All of the dims that are drawn, or as much around the middle as may be decoded."""
    stored = array.encoding.get("chunks") or array.encoding.get("chunksizes") or array.shape
    chunks = dict(zip(array.dims, stored, strict=True))
    deep = math.prod(size for dim, size in chunks.items() if dim not in across)
    counts = {dim: math.ceil(array.sizes[dim] / chunks[dim]) for dim in across}
    kept = dict(counts)

    def cost() -> int:
        points = deep * math.prod(kept[dim] * chunks[dim] for dim in across)
        return int(points * array.dtype.itemsize)

    while cost() > _DECODED and max(kept.values()) > 1:
        longest = max(kept, key=lambda dim: kept[dim])
        kept[longest] = math.ceil(kept[longest] / 2)
    window = {}
    for dim in across:
        first = (counts[dim] - kept[dim]) // 2 * chunks[dim]
        window[dim] = slice(first, min(first + kept[dim] * chunks[dim], array.sizes[dim]))
    return window


def _point(points: xr.DataArray, place: int) -> str:
    """A value of a coordinate, as a reader would write it."""
    value = points.values[place]
    if chart.is_time(points):
        return str(value).replace("T", " ")[:16].removesuffix(" 00:00")
    unit = chart.units(points)
    text = f"{value:g}" if np.issubdtype(points.dtype, np.number) else str(value)
    return f"{text} {unit}".rstrip()


def _ordinal(step: int) -> str:
    """
    >>> [_ordinal(step) for step in (1, 2, 3, 12, 22)]
    ['1st', '2nd', '3rd', '12th', '22nd']
    """
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{step}{'th' if step % 100 in (11, 12, 13) else ends.get(step % 10, 'th')}"
