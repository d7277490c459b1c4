"""Opens a source, Zarr or netCDF, as one Dataset of dask arrays; nothing of them is read.

Each array is read by one small function that names file, variable and place when it fails, so
that a damaged chunk met by a worker hours later still tells where it lies.
"""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from fdgrad_dask.errors import ConfigError, InputError
from fdgrad_dask.pipeline.catalog import did_you_mean
from fdgrad_dask.pipeline.related import named_in
from fdgrad_dask.pipeline.sections.source import SAMPLE, Source

_IN_MEMORY = 2**20  # values; a coordinate up to this size is read when the source is opened


@dataclass(frozen=True)
class _Stored:
    """An array in a file, as dask sees it: shape and dtype, and where it comes from."""

    variable: xr.Variable
    name: Hashable
    file: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.variable.shape

    @property
    def ndim(self) -> int:
        return self.variable.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.variable.dtype
        return dtype


def _read(stored: _Stored, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
    """One chunk. Not dask's getter, which slices of neighbours would be fused into."""
    try:
        return np.asarray(stored.variable[key].values)
    except MemoryError:
        raise
    except Exception as error:
        place = ", ".join(f"{part.start}:{part.stop}" for part in key)
        raise InputError(
            f"{stored.name}[{place}] of {stored.file} cannot be read "
            f"({type(error).__name__}: {error}); the file is damaged there, fetch it again"
        ) from error


def open_source(source: Source) -> xr.Dataset:
    """The source as a Dataset of dask arrays; small coordinates are in memory.

    Raises
    ------
    InputError
        Nothing is there, or it cannot be opened, or the files do not fit together.
    ConfigError
        ``chunks`` names a dimension that the source does not have.
    """
    files = [file for path in source.path for file in _files(path)]
    datasets = [_opened(file) for file in files]
    known = {str(dim) for dataset in datasets for dim in dataset.sizes}
    for dim in source.chunks:
        if dim not in known:
            raise ConfigError(f"source.chunks: no dimension {dim!r}; {did_you_mean(dim, known)}")
    lazy = [
        _chunked(dataset, file, source.chunks)
        for dataset, file in zip(datasets, files, strict=True)
    ]
    return lazy[0] if len(lazy) == 1 else _joined(lazy, source)


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


def _opened(file: str) -> xr.Dataset:
    """The dataset in one file; what its variables say belongs to them is a coordinate."""
    try:
        with warnings.catch_warnings():
            # The fill value is dropped, which is right where all values are there.
            warnings.filterwarnings("ignore", ".*non-conforming '_FillValue'")
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
            dataset = xr.open_dataset(
                file,
                engine="zarr" if os.path.isdir(file) else None,
                chunks=None,
                cache=False,
                decode_timedelta=False,
            )
    except MemoryError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        if "IO backends" in str(error):  # xarray's answer names its engines over five lines
            cause = "nothing that is installed knows the format"
        missing = find_spec("netCDF4") is None and not os.path.isdir(file)
        advice = (
            "netCDF4 is not installed: pip install 'fdgrad_dask[netcdf]'"
            if missing
            else "give a Zarr folder or a netCDF file that is whole"
        )
        raise InputError(f"{file} cannot be opened ({cause}); {advice}") from error
    belonging = named_in(dataset) & set(map(str, dataset.data_vars))
    return dataset.set_coords(sorted(belonging))


def _chunked(dataset: xr.Dataset, file: str, wanted: Mapping[str, Any]) -> xr.Dataset:
    def chunked(name: Hashable, variable: xr.Variable) -> xr.Variable:
        if name in dataset.coords and variable.size <= _IN_MEMORY:
            return variable.load()
        if variable.dtype.hasobject:  # text, or a calendar: no step takes it, dask cannot size it
            return variable
        native = variable.encoding.get("preferred_chunks") or {}
        sizes = tuple(wanted.get(str(dim), native.get(dim, "auto")) for dim in variable.dims)
        data = da.from_array(
            _Stored(variable, name, file),
            chunks=da.core.normalize_chunks(sizes, variable.shape, dtype=variable.dtype),
            name=f"read-{name}-{tokenize(file, name, sizes)}",
            getitem=_read,
            meta=np.empty((0,) * variable.ndim, variable.dtype),
            inline_array=True,
        )
        return variable.copy(data=data)

    variables = {name: chunked(name, dataset.variables[name]) for name in dataset.variables}
    lazy = xr.Dataset({name: variables[name] for name in dataset.data_vars}, attrs=dataset.attrs)
    return lazy.assign_coords({name: variables[name] for name in dataset.coords})


def _joined(datasets: list[xr.Dataset], source: Source) -> xr.Dataset:
    refusal = f"the {len(datasets)} files of {source.shown} do not fit together"
    advice = "give files that follow one another along one coordinate"
    try:
        joined = xr.combine_by_coords(
            datasets,
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="override",
        )
    except ValueError as error:
        raise InputError(f"{refusal} ({error}); {advice}") from error
    assert isinstance(joined, xr.Dataset)
    if overlap := _overlaps(datasets, joined):
        raise InputError(f"{refusal}: they overlap along {overlap}; {advice}")
    return joined


def _overlaps(parts: list[xr.Dataset], joined: xr.Dataset) -> str:
    """Dims along which points are there twice, or were dropped: xarray says nothing of either."""

    def overlaps(dim: Hashable, index: Any) -> bool:
        indexes = [part.indexes[dim] for part in parts if dim in part.indexes]
        different = {(len(own), *own[:1], *own[-1:]) for own in indexes}
        return not index.is_unique or sum(key[0] for key in different) != len(index)

    return ", ".join(repr(dim) for dim, index in joined.indexes.items() if overlaps(dim, index))
