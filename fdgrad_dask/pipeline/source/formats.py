"""One file or store, opened: a lazy Dataset whose variables say where they lie when they fail.

A format is one function and one row of ``OPEN``.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import xarray as xr
from xarray.core import indexing
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore

from fdgrad_dask.errors import FdgradError, InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source import remote, snapshots, versions
from fdgrad_dask.pipeline.source.guarded import Guarded, Rules
from fdgrad_dask.pipeline.source.headers import require_whole
from fdgrad_dask.pipeline.source.related import named_in
from fdgrad_dask.pipeline.source.stored import File, Stored

_TIMES = re.compile(r"decod|since|calendar", re.IGNORECASE)  # what xarray says of bad times
_NETCDF = (".nc", ".nc4", ".cdf", ".netcdf", ".h5", ".hdf5")


def version_of(file: str, source: Source) -> str | None:
    """By what a file is known again; None of a store, whose objects have a version each.

    Raises
    ------
    InputError
        It cannot be looked at.
    """
    if format_of(file, source) != "netcdf":
        return None
    try:
        return versions.of(file, source.storage_options)
    except FdgradError:
        raise
    except Exception as error:
        raise _refused(error, file, "netcdf", source) from error


def opened(file: str, source: Source, *, number: int = 0, version: str | None = None) -> xr.Dataset:
    """The dataset in one file; what its variables say belongs to them is a coordinate.

    Parameters
    ----------
    file : str
        Its path or URL.
    source : Source
        How it is opened.
    number : int
        Of the file in the source.
    version : str, optional
        By what it is known, from ``version_of``, where that is to be watched.

    Raises
    ------
    InputError
        It cannot be opened.
    """
    kind = format_of(file, source)
    this = File(file, source.storage_options, number, version)
    try:
        with warnings.catch_warnings():
            # The fill value is dropped, which is right where all values are there.
            warnings.filterwarnings("ignore", ".*non-conforming '_FillValue'")
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
            dataset = OPEN[kind](this, source)
    except (MemoryError, FdgradError):
        raise
    except Exception as error:
        raise _refused(error, file, kind, source) from error
    belonging = named_in(dataset) & set(map(str, dataset.data_vars))
    return _telling(dataset.set_coords(sorted(belonging)), this)


def format_of(file: str, source: Source) -> str:
    """Which row of ``OPEN`` a file is for, by its name and what it looks like."""
    if source.format != "auto":
        return source.format
    name = file.rstrip("/").lower()
    if source.branch or source.tag or source.snapshot or name.endswith(".icechunk"):
        return "icechunk"
    if name.endswith(".json"):
        return "kerchunk"
    if remote.is_url(file):
        return "netcdf" if name.endswith(_NETCDF) else "zarr"
    if os.path.isdir(file):
        return "icechunk" if snapshots.is_repository(os.listdir(file)) else "zarr"
    return "zarr" if name.endswith(".zip") else "netcdf"


def zarr_store(file: str, source: Source) -> Store:
    """The store that holds a Zarr hierarchy, whatever the format around it."""
    kind = format_of(file, source)
    if kind == "icechunk":
        return snapshots.store(file, source)
    if kind == "kerchunk":
        from fsspec.implementations.reference import ReferenceFileSystem

        system = ReferenceFileSystem(
            fo=file,
            remote_options=source.storage_options,
            target_options=source.storage_options if remote.is_url(file) else {},
            asynchronous=True,
        )
        return FsspecStore(system, read_only=True, path="")
    if remote.is_url(file):
        return remote.zarr_store(file, source.storage_options)
    return LocalStore(file, read_only=True) if os.path.isdir(file) else remote.zip_store(file)


def _zarr(this: File, source: Source) -> xr.Dataset:
    rules = Rules(
        this.path.rstrip("/"),
        this.options,
        this.number,
        fill=source.missing_chunks == "fill",
        pinned=format_of(this.path, source) == "icechunk",
    )
    return _read(Guarded(zarr_store(this.path, source), rules), source, engine="zarr")


def _netcdf(this: File, source: Source) -> xr.Dataset:
    file = this.path
    if not remote.is_url(file):
        with open(file, "rb") as header:
            require_whole(header, os.path.getsize(file), file)
        return _read(file, source, engine=None)
    handle, size = remote.reading(file, source.storage_options)
    require_whole(handle, size, file)
    handle.seek(0)
    if handle.read(3) == b"CDF":  # only the C library reads netCDF-3 piece by piece, and from disk
        return _read(remote.local_copy(file, source.storage_options), source, engine=None)
    handle.seek(0)
    return _read(handle, source, engine="h5netcdf")


OPEN: dict[str, Callable[[File, Source], xr.Dataset]] = {
    "zarr": _zarr,
    "netcdf": _netcdf,
    "icechunk": _zarr,
    "kerchunk": _zarr,
}


def _read(what: Any, source: Source, *, engine: Any) -> xr.Dataset:
    return xr.open_dataset(
        what,
        engine=engine,
        group=source.group,
        chunks=None,
        cache=False,
        decode_times=source.decode_times,
        decode_timedelta=False,
    )


def _refused(error: Exception, file: str, kind: str, source: Source) -> InputError:
    """What went wrong, and what to do: a remedy that was tried where that can be done."""
    shown = without_secrets(file)
    if no_keys := remote.without_keys(error, file):
        return InputError(f"{shown} cannot be opened: {no_keys}")
    if "IO backends" in str(error):  # xarray's answer names its engines over five lines
        cause = "nothing that is installed knows the format"
    else:
        cause = remote.cause_of(error)
    undecoded = source.model_copy(update={"decode_times": False})
    if source.decode_times and _TIMES.search(str(error)) and _opens(file, undecoded):
        advice = (
            "its times cannot be decoded; set source: {decode_times: false}, which leaves them as "
            "the numbers that they are"
        )
    else:
        advice = _advice(file, kind, source)
    return InputError(f"{shown} cannot be opened ({cause}); {advice}")


def _advice(file: str, kind: str, source: Source) -> str:
    if kind == "netcdf" and find_spec("netCDF4") is None:
        return "netCDF4 is not installed: pip install 'fdgrad_dask[netcdf]'"
    if source.group:
        return f"give one that is complete and holds the group {source.group!r}"
    if remote.is_url(file):
        return f"give the URL of complete {kind}, or set source.format and storage_options"
    return "give a Zarr folder or a netCDF file that is complete"


def _opens(file: str, source: Source) -> bool:
    try:
        opened(file, source)
    except (FdgradError, MemoryError):
        return False
    return True


def _telling(dataset: xr.Dataset, file: File) -> xr.Dataset:
    """Each variable in an array that names it; indexes are in memory already."""

    def told(name: str) -> xr.Variable:
        variable = dataset.variables[name]
        data = indexing.LazilyIndexedArray(Stored(variable, name, file))
        return xr.Variable(variable.dims, data, variable.attrs, variable.encoding)

    fields = {name: told(name) for name in map(str, dataset.data_vars)}
    labels = {name: told(name) for name in map(str, dataset.coords) if name not in dataset.indexes}
    return dataset.assign(fields).assign_coords(labels)
