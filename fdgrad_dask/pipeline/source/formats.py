"""One file or store, opened: a lazy Dataset whose variables say where they lie when they fail."""

import atexit
import math
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from fdgrad_dask.errors import FdgradError, InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import Stored
from fdgrad_dask.pipeline.source import remote, versions
from fdgrad_dask.pipeline.source.remote import format_of
from fdgrad_dask.pipeline.source.select import with_related_coords, without_warnings
from fdgrad_dask.pipeline.source.zarr import Guarded, zarr_store

_TIMES = re.compile(r"decod|since|calendar", re.IGNORECASE)  # what xarray says of bad times
_GRIB = (".grib", ".grib2", ".grb", ".grb2")
_TAIL, _PADDING = 2**16, b"\0\r\n\x03 "  # of archives and bulletins, behind the last message
_MESSAGE = ("latitude", "longitude", "y", "x", "values")  # what one message of GRIB extends along
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # bytes of a type


class StoredArray(BackendArray):
    """A variable in one file; ``look`` refuses a file that is another one now."""

    def __init__(
        self, variable: xr.Variable, name: str, path: str, look: Callable[[], None] | None
    ) -> None:
        self.variable, self.name, self.path, self.look = variable, name, path, look
        self.shape = variable.shape
        self.dtype = variable.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        if self.look is not None:
            self.look()
        try:
            return np.asarray(self.variable[key].values)
        except MemoryError:
            raise
        except Exception as error:
            ours = isinstance(error, FdgradError)
            cause = str(error) if ours else f"{type(error).__name__}: {error}"
            barred = isinstance(error, PermissionError)
            remedy = (
                "fix its permissions" if barred else "the file is damaged there, fetch it again"
            )
            advice = "" if ours else f"; {remedy}"
            rows = [np.arange(size)[part] for part, size in zip(key, self.shape, strict=True)]
            ends = (f"{r.min()}:{r.max() + 1}" if r.size and r.ndim else str(r) for r in rows)
            place = ", ".join(ends)
            raise InputError(
                f"{self.name}[{place}] of {without_secrets(self.path)} cannot be read ({cause})"
                f"{advice}"
            ) from error


def opened(
    path: str, source: Stored, number: int = 0, known: dict[int, str | None] | None = None
) -> xr.Dataset:
    """The dataset in one file; what its variables say belongs to them is a coordinate.

    ``number`` is that of the file in the source. ``known`` has versions of files by number: none
    is read in another one. That of this file is put there, where it is not yet.
    """
    known = {} if known is None else known
    try:
        if number not in known:
            looked = format_of(path, source) == "netcdf"
            known[number] = versions.of(path, source.storage_options) if looked else None
        dataset = _lazy(path, source, number)
    except (MemoryError, FdgradError):
        raise
    except Exception as error:
        raise _refused(error, path, source) from error
    version, options = known[number], source.storage_options
    look = None
    if version is not None:
        look = partial(versions.require_same, str(number), path, version, options)
    dataset = with_related_coords(dataset)

    def wrap(name: str) -> xr.Variable:
        """In an array that names it when it is read."""
        variable = dataset.variables[name]
        data = indexing.LazilyIndexedArray(StoredArray(variable, name, path, look))
        encoding = variable.encoding
        if path.endswith(_GRIB):  # each message is decoded as a whole
            whole = {dim: n if dim in _MESSAGE else 1 for dim, n in variable.sizes.items()}
            encoding = encoding | {"preferred_chunks": whole}
        return xr.Variable(variable.dims, data, variable.attrs, encoding)

    fields = {name: wrap(name) for name in map(str, dataset.data_vars)}
    # Indexes are in memory already.
    labels = {name: wrap(name) for name in map(str, dataset.coords) if name not in dataset.indexes}
    return dataset.assign(fields).assign_coords(labels)


def _lazy(path: str, source: Stored, number: int) -> xr.Dataset:
    """As xarray opens it."""
    what: Any
    if format_of(path, source) == "netcdf":
        _load_projections()
        what, engine = open_netcdf(path, source.storage_options)
    else:
        what, engine = Guarded(zarr_store(path, source), path, source, number), "zarr"
    in_group: dict[str, Any] = {"group": source.group} if source.group else {}  # GRIB has none
    # The fill value is dropped, which is right where all values are there.
    with without_warnings(
        ".*non-conforming '_FillValue'", "Failed to open Zarr store with consolidated"
    ):
        return xr.open_dataset(
            what,
            engine=engine,
            chunks=None,
            cache=False,
            decode_times=source.decode_times,
            decode_timedelta=False,
            **in_group,
        )


@cache
def _load_projections() -> None:
    """Load pyproj before xarray loads ecCodes, whose wheels hold a PROJ that it would call."""
    if find_spec("eccodes") is not None:
        with suppress(ImportError):
            import pyproj  # noqa: F401


def _refused(error: Exception, path: str, source: Stored) -> InputError:
    """What went wrong, and what to do: a remedy that was tried where that can be done."""
    kind = format_of(path, source)
    advice = "give a Zarr folder or a netCDF file that is complete"
    if path.endswith(_GRIB) and find_spec("cfgrib") is None:
        advice = "cfgrib is not installed: pip install 'fdgrad_dask[grib]'"
    elif kind == "netcdf" and find_spec("netCDF4") is None:
        advice = "netCDF4 is not installed: pip install 'fdgrad_dask[netcdf]'"
    elif source.group:
        advice = f"give one that is complete and holds the group {source.group!r}"
    elif remote.is_url(path):
        advice = f"give the URL of complete {kind}, or set source.format and storage_options"
    if source.decode_times and _TIMES.search(str(error)):
        with suppress(FdgradError, MemoryError):
            opened(path, source.model_copy(update={"decode_times": False}))
            advice = (
                "its times cannot be decoded; set source: {decode_times: false}, which leaves "
                "them as the numbers that they are"
            )
    return remote.refusal(error, path, "opened", advice)


def open_netcdf(file: str, options: dict[str, Any]) -> tuple[str | BinaryIO, str | None]:
    """What xarray opens, and by which engine."""
    if not remote.is_url(file):
        with open(file, "rb") as header:
            size = os.path.getsize(file)
            _require_whole(header, size, file)
            # cfgrib, if it is installed, would fill what is missing with NaN.
            if file.endswith(_GRIB) and find_spec("cfgrib"):
                header.seek(max(0, size - _TAIL))
                if not header.read().rstrip(_PADDING).endswith(b"7777"):
                    raise InputError(
                        f"{file} is {size} bytes and does not end with the end of a GRIB message: "
                        "it was cut short; fetch it again"
                    )
        return file, None
    handle, size = remote.reading(file, options)
    if not _require_whole(handle, size, file):
        handle.seek(0)
        _close_at_exit()
        return handle, "h5netcdf"
    # Only the C library reads netCDF-3 piece by piece, and from disk.
    return remote.local_copy(file, options), None


@cache
def _close_at_exit() -> None:
    """Have files that are Python objects closed before Python ends.

    HDF5 closes what is open after that, and then calls Python: the process crashed, though all
    was written.
    """

    def close() -> None:
        if (h5py := sys.modules.get("h5py")) is None:
            return
        for file in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
            if file.get_access_plist().get_driver() == h5py.h5fd.fileobj_driver:
                h5py.File(file).close()

    atexit.register(close)


def _require_whole(header: BinaryIO, size: int, name: str) -> bool:
    """Refuses a netCDF-3 file that is shorter than its header says; whether it is netCDF-3.

    It would open without an error and read as zeros. HDF5 itself refuses what was cut short.
    """
    magic = header.read(4)
    if magic not in (b"CDF\1", b"CDF\2", b"CDF\5"):
        return magic.startswith(b"CDF")
    says = ""
    try:
        if size < (promised := _promised(header, magic[3])):
            says = f", its header promises {promised}"
    except EOFError:
        says = " and ends inside its header"
    if says:
        raise InputError(f"{name} is {size} bytes{says}: it was cut short; fetch it again")
    return True


def _promised(header: BinaryIO, version: int) -> int:
    """Where the last value ends: of a variable, or of the last record.

    As in Unidata's NetCDF Classic Format Specification: CDF-1, 2 and 5.
    """
    wide = 8 if version == 5 else 4

    def take(size: int) -> bytes:
        held = header.read(size)
        if len(held) < size:
            raise EOFError
        return held

    def number(width: int = wide) -> int:
        return int.from_bytes(take(width), "big")

    def skip_padded(size: int) -> None:
        take(size + -size % 4)

    def listed() -> range:
        number(4)  # says of what; an absent list is a list of none
        return range(number())

    def skip_attributes() -> None:
        for _ in listed():
            skip_padded(number())
            item = _SIZES[number(4)]
            skip_padded(number() * item)

    def dimension() -> int:
        skip_padded(number())
        return number()

    records = number()
    lengths = [dimension() for _ in listed()]
    skip_attributes()
    ends, by_record = [0], []
    for _ in listed():
        skip_padded(number())
        shape = [lengths[number()] for _ in range(number())]
        skip_attributes()
        item = _SIZES[number(4)]
        number()  # its size, which has no room for that of a large one
        begin = number(4 if version == 1 else 8)
        if shape[:1] == [0]:  # the record dimension
            by_record.append((begin, math.prod(shape[1:]) * item))
        else:
            ends.append(begin + math.prod(shape) * item)
    if by_record and records not in (0, 256**wide - 1):  # unlimited, while a file is written
        # A record is padded to four bytes a variable, but not where there is only one.
        step = sum(held + (-held % 4 if by_record[1:] else 0) for _, held in by_record)
        ends += [begin + (records - 1) * step + held for begin, held in by_record]
    return max(ends)
