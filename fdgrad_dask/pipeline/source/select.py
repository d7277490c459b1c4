"""What a config asks of a source beside its place: names, labels, and the part that is read.

Nothing is read for it. What ``encoding`` says of chunks is kept true of the part: a selection that
begins in the middle of a stored chunk begins with the rest of that chunk.
"""

import re
import threading
import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.operators import did_you_mean, require_known
from fdgrad_dask.pipeline.config.source import Label, Picked, Selection, Source

ATTRIBUTES = ("grid_mapping", "bounds", "climatology")
"""By which a variable names others that belong to it; no array carries them along by itself."""
_PER_AXIS = ("chunks", "shards", "chunksizes", "original_shape")  # in an encoding, by axis

Rows = np.ndarray[Any, Any]
_ignoring = threading.Lock()


@contextmanager
def without_warnings(*patterns: str) -> Iterator[None]:
    """Ignores warnings; one thread at a time, since what is ignored is so for the whole process."""
    with _ignoring, warnings.catch_warnings():
        for pattern in patterns:
            warnings.filterwarnings("ignore", pattern)
        yield


def renamed(dataset: xr.Dataset, names: Mapping[str, str]) -> xr.Dataset:
    """``dataset`` with variables and dimensions under new names."""
    known = {*map(str, dataset.variables), *map(str, dataset.dims)}
    for old in names:
        if old not in known:
            raise ConfigError(
                f"source.rename: no {old!r} in the source; {did_you_mean(old, known)}"
            )
    try:
        # Of a label that becomes that of a dimension: see below.
        with without_warnings("rename .* does not create an index"):
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


def labelled(dataset: xr.Dataset, source: Source) -> xr.Dataset:
    """``dataset`` with the coordinates and attributes that ``coords`` and ``attrs`` name."""
    require_known("source.coords", source.coords, dataset.variables, "variable")
    require_known("source.attrs", source.attrs, dataset.variables, "variable")
    if not source.coords and not source.attrs:
        return dataset
    result = dataset.copy().set_coords(list(source.coords))
    for name, given in source.attrs.items():
        attrs = {**result[name].attrs, **given}
        # CF's list of coordinates belongs to the encoding, as xarray has it.
        if coordinates := attrs.pop("coordinates", None):
            result[name].encoding["coordinates"] = coordinates
        result[name].attrs = {key: value for key, value in attrs.items() if value is not None}
    return with_related_coords(result)


def named_in(dataset: xr.Dataset) -> set[str]:
    """The names that attributes of the dataset's variables refer to, whether there or not.

    >>> named_in(xr.Dataset({"t": ((), 0.0, {"grid_mapping": "crs: x y"})})) >= {"crs", "x"}
    True
    """
    attrs = [variable.attrs for variable in dataset.variables.values()]
    texts = [str(every[key]) for every in attrs for key in ATTRIBUTES if key in every]
    return {word for text in texts for word in re.findall(r"[^\s:]+", text)}


def with_related_coords(dataset: xr.Dataset) -> xr.Dataset:
    """``dataset``, whose bounds and grid mappings are coordinates."""
    return dataset.set_coords(sorted(named_in(dataset) & set(map(str, dataset.data_vars))))


def selected(dataset: xr.Dataset, select: Mapping[str, Selection]) -> xr.Dataset:
    """The part of ``dataset`` that ``select`` names, still lazy."""
    require_known("source.select", select, dataset.sizes)
    for dim, wanted in select.items():
        try:
            rows = _rows(dataset, dim, wanted)
        except ConfigError as error:
            raise ConfigError(f"source.select.{dim}: {error}") from error
        part = dataset.isel({dim: as_slice(rows) if rows.ndim else int(rows)})
        for name, variable in part.variables.items():
            whole = dataset.variables[name]
            if dim in whole.dims:
                variable.encoding = _encoding(whole, dim, rows)
        dataset = part
    return dataset


def as_slice(rows: Rows) -> slice | Rows:
    """``rows`` as a slice where they are evenly spaced and rise, which stays one read of a file."""
    if not rows.size:
        return slice(0, 0)
    step = int(rows[1] - rows[0]) if rows.size > 1 else 1
    even = step > 0 and (np.diff(rows) == step).all()
    return slice(int(rows[0]), int(rows[-1]) + 1, step) if even else rows


def _rows(dataset: xr.Dataset, dim: str, wanted: Selection) -> Rows:
    """The numbers of the points along ``dim`` that are taken; a lone one takes it away."""
    every = np.arange(dataset.sizes[dim])
    if isinstance(wanted, Picked) and isinstance(wanted.index, tuple):
        rows = every[slice(*wanted.index)]
    elif isinstance(wanted, Picked) and wanted.labels is None:
        numbers: Any = wanted.index if wanted.indices is None else wanted.indices
        for number in np.atleast_1d(numbers):
            if not -every.size <= number < every.size:
                raise ConfigError(
                    f"no point {number}; {dim!r} has {every.size}, from 0 to {every.size - 1}"
                )
        rows = np.asarray(every[np.array(numbers)])
    elif dim not in dataset.indexes:
        raise ConfigError(f"{dim!r} has no labels; select by index")
    elif isinstance(wanted, Picked):
        found = [_by_label(dataset, dim, every, label) for label in wanted.labels or ()]
        rows = np.concatenate([np.atleast_1d(each) for each in found])
    elif isinstance(wanted, tuple):
        rows = _by_range(dataset, dim, every, wanted)
    else:
        rows = _by_label(dataset, dim, every, wanted)
    if not rows.size:
        raise ConfigError(f"nothing lies in {_text(wanted)}; {_extent(dataset, dim)}")
    return rows


def _by_range(
    dataset: xr.Dataset, dim: str, every: Rows, wanted: tuple[Label | None, Label | None]
) -> Rows:
    index = dataset.indexes[dim]
    if not (index.is_monotonic_increasing or index.is_monotonic_decreasing):
        raise ConfigError(
            f"the points of {dim!r} neither rise nor fall, so {_text(wanted)} is no range of "
            "them; select by index"
        )
    start, stop = (_of_kind(index, label) for label in wanted)
    try:
        rows: Rows = every[index.slice_indexer(start, stop)]
        # A latitude that falls holds [-30, 30] too.
        return rows if rows.size else every[index.slice_indexer(stop, start)]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{_text(wanted)} are no labels of {dim!r} ({error}); {_extent(dataset, dim)}"
        ) from error


def _by_label(dataset: xr.Dataset, dim: str, every: Rows, label: Label) -> Rows:
    """The point with this label, or those within a date such as 2000-01; never the nearest."""
    index = dataset.indexes[dim]
    try:
        return np.asarray(every[index.get_loc(_of_kind(index, label))])
    except (KeyError, TypeError, ValueError) as error:
        advice = _extent(dataset, dim)
        if not isinstance(label, str) and index.dtype.kind in "iuf":
            nearest = np.sort(np.argsort(np.abs(index.values - label), kind="stable")[:2])
            near = " and ".join(str(index[place]) for place in nearest)
            advice = f"the nearest are {near}; write one of them, or a range"
        raise ConfigError(f"no label {label!r}; {advice}") from error


def _of_kind(index: Any, label: Label | None) -> Any:
    """A number in the precision of the labels: 0.1 is there where its float32 is."""
    if isinstance(label, (int, float)) and index.dtype.kind == "f":
        return index.dtype.type(label)
    return label


def _extent(dataset: xr.Dataset, dim: str) -> str:
    if dim not in dataset.indexes:
        return f"{dim!r} has {dataset.sizes[dim]} points"
    index = dataset.indexes[dim]
    return f"{dim!r} goes from {index[0]} to {index[-1]}"


def _text(wanted: Selection) -> str:
    chosen = wanted.index if isinstance(wanted, Picked) else wanted
    return str(list(chosen)) if isinstance(chosen, tuple) else repr(chosen)


def _encoding(whole: xr.Variable, dim: Hashable, rows: Rows) -> dict[Any, Any]:
    """What holds for the part of a variable, of what its encoding says of chunks."""
    encoding = dict(whole.encoding)
    native = dict(encoding.get("preferred_chunks") or {})
    size = native.pop(dim, None)
    if not rows.ndim:
        axis = whole.dims.index(dim)
        for key in _PER_AXIS:
            if isinstance(sizes := encoding.get(key), tuple):
                encoding[key] = sizes[:axis] + sizes[axis + 1 :]
    elif size is not None:
        native[dim] = _cuts(rows, size, whole.sizes[dim])
    if "preferred_chunks" in encoding:
        encoding["preferred_chunks"] = native
    return encoding


def _cuts(rows: Rows, size: int | tuple[int, ...], points: int) -> int | tuple[int, ...]:
    """Chunks of the part such that each is read from one stored chunk, as long as rows follow."""
    ends = np.cumsum(size) if isinstance(size, tuple) else np.arange(size, points + size, size)
    chunk = np.searchsorted(ends, rows, side="right")
    starts = [0, *(np.flatnonzero(np.diff(chunk)) + 1), rows.size]
    sizes = tuple(int(stop - start) for start, stop in pairwise(starts))
    even = len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]
    return sizes[0] if even else sizes
