"""Opens a source as one Dataset; nothing of its fields is read.

``open_files`` gives lazy variables without dask, which is what a plan needs; ``chunked`` cuts
them into dask arrays whose chunks are each read by one call.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, TypeVar
from uuid import uuid4

import dask.array as da
import numpy as np
import xarray as xr

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.source import Source, Stored
from fdgrad_dask.pipeline.source import snapshots
from fdgrad_dask.pipeline.source.concat import joined
from fdgrad_dask.pipeline.source.coordinates import with_coordinates
from fdgrad_dask.pipeline.source.formats import opened
from fdgrad_dask.pipeline.source.inputs import fingerprint as fingerprint
from fdgrad_dask.pipeline.source.remote import files_of, format_of
from fdgrad_dask.pipeline.source.select import labelled, renamed, selected

IN_MEMORY = 2**20
"""Values; a coordinate up to this size is read when the source is opened."""

Opened = TypeVar("Opened", bound=Stored)
Chunks = Mapping[str, int | Literal["auto"] | tuple[int, ...]]


def open_source(source: Source) -> xr.Dataset:
    """The source as a Dataset of dask arrays, in the chunks that the config asks for."""
    return chunked(open_files(source), source.chunks)


def open_files(source: Source, files: Sequence[str] | None = None) -> xr.Dataset:
    """The source as a Dataset of lazy variables without dask; small coordinates are in memory.

    ``encoding["preferred_chunks"]`` of a variable says in which chunks it is best read, as an int
    or as a tuple of all sizes along a dimension. ``files`` are what its paths name, where that is
    known already.

    Raises
    ------
    InputError
        Nothing is there, or it cannot be opened, or the files do not fit together, or those of
        ``coordinates`` are of another grid.
    ConfigError
        ``rename``, ``coords``, ``attrs`` or ``select`` name what does not exist.
    """
    files = files_of(source) if files is None else files
    dataset = opened(files[0], source) if len(files) == 1 else joined(files, source)
    dataset = with_coordinates(dataset, source)
    dataset = labelled(renamed(dataset, source.rename), source)
    dataset = selected(dataset, source.select)
    small = [name for name, label in dataset.coords.items() if label.size <= IN_MEMORY]
    return dataset.assign_coords({name: dataset.variables[name].load() for name in small})


def pinned(source: Opened) -> Opened:
    """``source`` as it is now, for all who open it later: a branch becomes its snapshot."""
    if isinstance(source, Source) and source.coordinates:
        source = source.model_copy(update={"coordinates": pinned(source.coordinates)})
    [first, *others] = files_of(source)
    if others or source.tag or source.snapshot or format_of(first, source) != "icechunk":
        return source
    now = snapshots.session(first, source).snapshot_id
    return source.model_copy(update={"branch": None, "snapshot": now, "format": "icechunk"})


def chunked(dataset: xr.Dataset, wanted: Chunks) -> xr.Dataset:
    """``dataset`` with dask arrays in place of what is not in memory.

    ``wanted`` has the points per chunk by dimension, or ``"auto"``, or the sizes of all chunks;
    what is not named keeps the chunks of the file.
    """
    for dim in wanted:
        if dim not in dataset.sizes:
            known = map(str, dataset.sizes)
            raise ConfigError(f"source.chunks: no dimension {dim!r}; {did_you_mean(dim, known)}")
    cut = {name: _cut(name, each, wanted) for name, each in dataset.variables.items()}
    lazy = dataset.copy(data={name: cut[name].data for name in dataset.data_vars})
    large = {name: cut[name] for name in dataset.coords if cut[name].chunks}
    return lazy.assign_coords(large) if large else lazy


def _cut(name: Hashable, variable: xr.Variable, wanted: Chunks) -> xr.Variable:
    # Text, or a calendar: no step takes it, and dask cannot size it.
    if variable._in_memory or variable.dtype.hasobject:
        return variable
    native = variable.encoding.get("preferred_chunks") or {}
    sizes = tuple(wanted.get(str(dim), native.get(dim, "auto")) for dim in variable.dims)
    data = da.from_array(
        _Lazy(variable, name),
        chunks=da.core.normalize_chunks(sizes, variable.shape, dtype=variable.dtype),
        name=f"read-{name}-{uuid4().hex}",
        getitem=_read,
        meta=np.empty((0,) * variable.ndim, variable.dtype),
        inline_array=True,
    )
    return variable.copy(data=data)


class _Lazy:
    """A variable as dask sees it: shape, dtype, and no way to be read by accident."""

    def __init__(self, variable: xr.Variable, name: Hashable) -> None:
        self.variable, self.name = variable, name
        self.shape, self.ndim, self.dtype = variable.shape, variable.ndim, variable.dtype


def _read(lazy: _Lazy, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
    """One chunk. Not dask's getter, which slices of neighbours would be fused into."""
    return np.asarray(lazy.variable[key].values)
