"""Opens a source as one Dataset; nothing of its fields is read.

``open_files`` gives lazy variables without dask, which is what a plan needs; ``chunked`` cuts
them into dask arrays whose chunks are each read by one call.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Hashable, Mapping
from importlib.util import find_spec
from typing import Any, Literal
from uuid import uuid4

import dask.array as da
import numpy as np
import xarray as xr

from fdgrad_dask.errors import ConfigError, InputError
from fdgrad_dask.pipeline.catalog import did_you_mean
from fdgrad_dask.pipeline.sections.source import SAMPLE, Source
from fdgrad_dask.pipeline.sources.joining import joined
from fdgrad_dask.pipeline.sources.opening import opened

_IN_MEMORY = 2**20  # values; a coordinate up to this size is read when the source is opened

Chunks = Mapping[str, int | Literal["auto"] | tuple[int, ...]]


def open_source(source: Source) -> xr.Dataset:
    """The source as a Dataset of dask arrays, in the chunks that the config asks for.

    Raises
    ------
    InputError
        Nothing is there, or it cannot be opened, or the files do not fit together.
    ConfigError
        ``chunks`` names a dimension that the source does not have.
    """
    return chunked(open_files(source), source.chunks)


def open_files(source: Source) -> xr.Dataset:
    """The source as a Dataset of lazy variables without dask; small coordinates are in memory.

    ``encoding["preferred_chunks"]`` of a variable says in which chunks it is best read, as an int
    or as a tuple of all sizes along a dimension.

    Raises
    ------
    InputError
        Nothing is there, or it cannot be opened, or the files do not fit together.
    """
    files = [file for path in source.path for file in _files(path)]
    dataset = opened(files[0]) if len(files) == 1 else joined(files, source.shown)
    small = [name for name, label in dataset.coords.items() if label.size <= _IN_MEMORY]
    return dataset.assign_coords({name: dataset.variables[name].load() for name in small})


def chunked(dataset: xr.Dataset, wanted: Chunks) -> xr.Dataset:
    """``dataset`` with dask arrays in place of what is not in memory.

    Parameters
    ----------
    dataset : xarray.Dataset
        From ``open_files``.
    wanted : mapping
        Points per chunk by dimension, or ``"auto"``, or the sizes of all chunks; what is not
        named keeps the chunks of the file.

    Raises
    ------
    ConfigError
        ``wanted`` names a dimension that is not there.
    """
    for dim in wanted:
        if dim not in dataset.sizes:
            known = map(str, dataset.sizes)
            raise ConfigError(f"source.chunks: no dimension {dim!r}; {did_you_mean(dim, known)}")
    variables = {name: _cut(name, dataset.variables[name], wanted) for name in dataset.variables}
    fields = {name: variables[name] for name in dataset.data_vars}
    lazy = xr.Dataset(fields, attrs=dataset.attrs)
    return lazy.assign_coords({name: variables[name] for name in dataset.coords})


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


def _files(path: str) -> list[str]:
    if path.startswith(SAMPLE):
        return [_sample(path.removeprefix(SAMPLE))]
    if os.path.exists(path):
        return [path]
    found = sorted(glob.glob(path))
    if not found:
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise InputError(f"no source {path!r}: there is no folder {folder!r}; mend the path")
        what = "no file matches" if glob.has_magic(path) else "no source"
        inside = sorted(os.listdir(folder))
        raise InputError(f"{what} {path!r}; {did_you_mean(os.path.basename(path), inside)}")
    return found


def _sample(name: str) -> str:
    spec = find_spec("iris_sample_data")
    if spec is None or spec.origin is None:
        raise InputError(
            f"{SAMPLE}{name} needs the package iris-sample-data, which is not installed; "
            "pip install 'fdgrad_dask[samples]'"
        )
    folder = os.path.join(os.path.dirname(spec.origin), "sample_data")
    names = sorted(file for file in os.listdir(folder) if file.endswith(".nc"))
    if name not in names:
        raise InputError(f"no sample {name!r}; {did_you_mean(name, names)}")
    return os.path.join(folder, name)
