"""The part of a result that a page can show: two dimensions, few points, at a bounded cost.

A result may have a petabyte. Of dimensions beyond a map, the middle is taken; of a large map, every
n-th point; and where that would still decode too many chunks, a window around the middle.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import xarray as xr

from fdgrad_dask.pipeline.report.chart import get_units, is_time

_POINTS = 600  # along a dimension; a page has no more pixels for it
_DECODED = 2**29  # bytes of the chunks that are decoded


def take_preview(array: xr.DataArray) -> tuple[xr.DataArray, str]:
    """Read a map, else a section or a line, of a lazily opened array.

    Returns
    -------
    (xarray.DataArray, str)
        The part, in memory, and in words which part it is: empty where it is all.
    """
    array = array.reset_coords(drop=True)
    map_dims = [
        dim for dim in array.dims if get_units(array[dim]) in {"degrees_north", "degrees_east"}
    ]
    shown = map_dims if len(map_dims) == 2 else array.dims[-2:]
    middle = {dim: size // 2 for dim, size in array.sizes.items() if dim not in shown}
    words = [f"{dim} {_describe(array[dim], index)}" for dim, index in middle.items()]
    parts = {}
    for dim, (start, stop) in _choose_window(array, shown).items():
        step = math.ceil((stop - start) / _POINTS)
        parts[dim] = slice(start, stop, step)
        if stop - start < array.sizes[dim]:
            first, last = (_describe(array[dim], index) for index in (start, stop - 1))
            words.append(f"{dim} {first} to {last}")
        if step > 1:
            words.append(f"{dim} in steps of {step}")
    return array.isel({**middle, **parts}).load(), ", ".join(words)


def _choose_window(
    array: xr.DataArray, shown: Sequence[Hashable]
) -> dict[Hashable, tuple[int, int]]:
    """All of the dimensions shown, or as many chunks around the middle as may be decoded."""
    stored = array.encoding.get("chunks") or array.encoding.get("chunksizes") or array.shape
    chunks = dict(zip(array.dims, stored, strict=True))
    counts = {dim: math.ceil(array.sizes[dim] / chunks[dim]) for dim in shown}
    budget = max(1, _DECODED // (math.prod(stored) * array.dtype.itemsize))
    window = {}
    for number, dim in enumerate(sorted(shown, key=counts.__getitem__)):
        count = min(counts[dim], max(1, int(budget ** (1 / (len(shown) - number)))))
        budget //= count
        start = (counts[dim] - count) // 2 * chunks[dim]
        window[dim] = (start, min(start + count * chunks[dim], array.sizes[dim]))
    return window


def _describe(points: xr.DataArray, index: int) -> str:
    """A value of a coordinate, as a reader would write it."""
    value = points.values[index]
    if is_time(points):
        return str(value).replace("T", " ")[:16].removesuffix(" 00:00")
    text = f"{value:g}" if points.dtype.kind in "iuf" else str(value)
    return f"{text} {get_units(points)}".rstrip()
