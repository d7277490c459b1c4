"""The part of a source that is read, and what its variables are called.

Nothing is read for it. What ``encoding`` says of chunks is kept true of the part: a selection that
begins in the middle of a stored chunk begins with what is left of that chunk.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.source import Label, Picked, Selection

_PER_AXIS = ("chunks", "shards", "chunksizes", "original_shape")  # in an encoding, by axis


def renamed(dataset: xr.Dataset, names: Mapping[str, str]) -> xr.Dataset:
    """``dataset`` with variables and dimensions under new names.

    Raises
    ------
    ConfigError
        An old name is not there, or a new one already is.
    """
    known = {*map(str, dataset.variables), *map(str, dataset.dims)}
    for old in names:
        if old not in known:
            raise ConfigError(
                f"source.rename: no {old!r} in the source; {did_you_mean(old, known)}"
            )
    try:
        with warnings.catch_warnings():  # of a label that becomes that of a dimension: see below
            warnings.filterwarnings("ignore", "rename .* does not create an index")
            result = dataset.rename(names)
    except ValueError as error:
        raise ConfigError(f"source.rename: {error}; choose another name") from error
    for dim in {*result.coords} & {*result.dims} - {*result.indexes}:
        result = result.set_xindex(dim)
    for variable in result.variables.values():
        if native := variable.encoding.get("preferred_chunks"):
            chunks = {names.get(str(dim), dim): sizes for dim, sizes in native.items()}
            variable.encoding = {**variable.encoding, "preferred_chunks": chunks}
    return result


def selected(dataset: xr.Dataset, select: Mapping[str, Selection]) -> xr.Dataset:
    """The part of ``dataset`` that ``select`` names, still lazy.

    Raises
    ------
    ConfigError
        A dimension, a label or a point is not there, or nothing is left.
    """
    for dim, wanted in select.items():
        if dim not in dataset.sizes:
            known = map(str, dataset.sizes)
            raise ConfigError(f"source.select: no dimension {dim!r}; {did_you_mean(dim, known)}")
        rows = _rows(dataset, dim, wanted)
        if isinstance(rows, np.ndarray) and not rows.size:
            raise ConfigError(
                f"source.select.{dim}: nothing lies in {_told(wanted)}; {_extent(dataset, dim)}"
            )
        part = dataset.isel({dim: _as_slice(rows) if isinstance(rows, np.ndarray) else rows})
        for name, variable in part.variables.items():
            whole = dataset.variables[name]
            if dim in whole.dims:
                variable.encoding = _encoding(whole, dim, rows)
        dataset = part
    return dataset


def _rows(dataset: xr.Dataset, dim: str, wanted: Selection) -> int | np.ndarray[Any, Any]:
    """The numbers of the points along ``dim`` that are taken; an int takes the dimension away."""
    if isinstance(wanted, Picked) and wanted.labels is None:
        return _by_number(wanted, dim, dataset.sizes[dim])
    if dim not in dataset.indexes:
        raise ConfigError(f"source.select.{dim}: {dim!r} has no labels; select by index")
    index = dataset.indexes[dim]
    if isinstance(wanted, Picked):
        found = [_labelled(dataset, dim, label) for label in wanted.labels or ()]
        return np.concatenate([np.atleast_1d(rows) for rows in found])
    if not isinstance(wanted, tuple):
        return _labelled(dataset, dim, wanted)
    if not (index.is_monotonic_increasing or index.is_monotonic_decreasing):
        raise ConfigError(
            f"source.select.{dim}: the points of {dim!r} neither rise nor fall, so "
            f"{_told(wanted)} is no range of them; select by index"
        )
    start, stop = (_of_kind(index, label) for label in wanted)
    every = np.arange(index.size)
    try:
        rows: np.ndarray[Any, Any] = every[index.slice_indexer(start, stop)]
        # A latitude that falls holds [-30, 30] too.
        if not rows.size:
            rows = every[index.slice_indexer(stop, start)]
        return rows
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"source.select.{dim}: {_told(wanted)} are no labels of {dim!r} ({error}); "
            f"{_extent(dataset, dim)}"
        ) from error


def _by_number(wanted: Picked, dim: str, size: int) -> int | np.ndarray[Any, Any]:
    if isinstance(wanted.index, tuple):
        return np.arange(size)[slice(*wanted.index)]
    numbers = wanted.indices if wanted.index is None else (wanted.index,)
    for number in numbers or ():
        if not -size <= number < size:
            raise ConfigError(
                f"source.select.{dim}: no point {number}; {dim!r} has {size}, from 0 to {size - 1}"
            )
    rows = np.array(numbers) % size
    return int(rows[0]) if wanted.index is not None else rows


def _labelled(dataset: xr.Dataset, dim: str, label: Label) -> int | np.ndarray[Any, Any]:
    """The point with this label, or those within a date such as 2000-01; never the nearest."""
    index = dataset.indexes[dim]
    try:
        found = index.get_loc(_of_kind(index, label))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"source.select.{dim}: no label {label!r}; {_near(dataset, dim, label)}"
        ) from error
    if isinstance(found, (slice, np.ndarray)):
        return np.arange(index.size)[found]
    return int(found)


def _of_kind(index: Any, label: Label | None) -> Any:
    """A number in the precision of the labels: 0.1 is there where its float32 is."""
    if isinstance(label, (int, float)) and index.dtype.kind == "f":
        return index.dtype.type(label)
    return label


def _near(dataset: xr.Dataset, dim: str, label: Label) -> str:
    index = dataset.indexes[dim]
    if isinstance(label, str) or index.dtype.kind not in "iuf":
        return _extent(dataset, dim)
    order = np.argsort(np.abs(index.values - label), kind="stable")[:2]
    near = " and ".join(str(index[place]) for place in sorted(order))
    return f"the nearest are {near}; write one of them, or a range"


def _extent(dataset: xr.Dataset, dim: str) -> str:
    if dim not in dataset.indexes:
        return f"{dim!r} has {dataset.sizes[dim]} points"
    index = dataset.indexes[dim]
    return f"{dim!r} goes from {index[0]} to {index[-1]}"


def _told(wanted: Selection) -> str:
    chosen = wanted.index if isinstance(wanted, Picked) else wanted
    return str(list(chosen)) if isinstance(chosen, tuple) else repr(chosen)


def _as_slice(rows: np.ndarray[Any, Any]) -> slice | np.ndarray[Any, Any]:
    """``rows`` as a slice where they follow one another, which stays one read of the file."""
    follows = bool((np.diff(rows) == 1).all())
    return slice(int(rows[0]), int(rows[-1]) + 1) if follows else rows


def _encoding(
    whole: xr.Variable, dim: Hashable, rows: int | np.ndarray[Any, Any]
) -> dict[Any, Any]:
    """What holds for the part of a variable, of what its encoding says of chunks."""
    encoding = dict(whole.encoding)
    native = dict(encoding.get("preferred_chunks") or {})
    size = native.pop(dim, None)
    if isinstance(rows, int):
        axis = whole.dims.index(dim)
        for key in _PER_AXIS:
            if isinstance(sizes := encoding.get(key), tuple):
                encoding[key] = sizes[:axis] + sizes[axis + 1 :]
    elif size is not None:
        native[dim] = _cuts(rows, size, whole.sizes[dim])
    if "preferred_chunks" in encoding:
        encoding["preferred_chunks"] = native
    return encoding


def _cuts(
    rows: np.ndarray[Any, Any], size: int | tuple[int, ...], points: int
) -> int | tuple[int, ...]:
    """Chunks of the part such that each is read from one stored chunk, as long as rows follow."""
    ends = np.cumsum(size) if isinstance(size, tuple) else np.arange(size, points + size, size)
    chunk = np.searchsorted(ends, rows, side="right")
    starts = [0, *(np.flatnonzero(np.diff(chunk)) + 1), rows.size]
    sizes = tuple(int(stop - start) for start, stop in pairwise(starts))
    even = len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]
    return sizes[0] if even else sizes
