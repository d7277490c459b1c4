"""The Zarr target: laid out first, filled by the workers, published by one rename.

It grows under a partial name, so that whatever bears the final name is whole. Chunks carry a
checksum and are written even when empty, so that a hole or a flipped bit is found, not read as NaN.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import xarray as xr
import zarr
from dask.delayed import Delayed
from dask.utils import format_bytes
from zarr.codecs import Crc32cCodec, ZstdCodec

from fdgrad_dask.errors import ConfigError, FdgradError, OutputError
from fdgrad_dask.pipeline.catalog import did_you_mean
from fdgrad_dask.pipeline.related import ATTRIBUTES, named_in
from fdgrad_dask.pipeline.sections.target import Target

_TIME = ("units", "calendar")  # the only encoding of a source that holds for its coordinates here


def partial_name(target: Target) -> str:
    """Where the target lies until it is whole."""
    return target.path + ".partial"


def require_free(target: Target, *, fresh: bool) -> None:
    """Refuses a target that is there, before anything is read or computed.

    Raises
    ------
    OutputError
        It exists and ``fresh`` is not asked for, or what exists is no Zarr folder.
    """
    for path in (target.path, partial_name(target)):
        if os.path.lexists(path) and not _is_zarr(path):
            raise OutputError(
                f"{path!r} exists and is no Zarr folder, so it is not replaced; "
                "move it, or name another target"
            )
    if os.path.lexists(target.path) and not fresh:
        raise OutputError(
            f"the target {target.path!r} exists; run with --fresh to replace it, "
            "or name another target"
        )


def aligned(result: xr.Dataset, wanted: Mapping[str, int]) -> xr.Dataset:
    """``result`` with every dask chunk a whole number of Zarr chunks, and ``encoding`` saying so.

    Two tasks that write into one Zarr chunk lose each other's values. Dimensions keep their dask
    chunks where these fit; ragged ones are joined to the size of the largest.

    Raises
    ------
    ConfigError
        ``wanted`` names a dimension that no result has.
    """
    for dim in wanted:
        if dim not in result.dims:
            known = map(str, result.dims)
            raise ConfigError(f"target.chunks: no dimension {dim!r}; {did_you_mean(dim, known)}")
    arrays = {}
    for name, array in result.data_vars.items():
        array = array if array.chunks else array.chunk()
        stored = {
            dim: _stored_size(sizes, wanted.get(str(dim)))
            for dim, sizes in array.chunksizes.items()
        }
        ragged = {
            dim: max(stored[dim], max(sizes) // stored[dim] * stored[dim])
            for dim, sizes in array.chunksizes.items()
            if any(size % stored[dim] for size in sizes[:-1])
        }
        arrays[name] = array.chunk(ragged) if ragged else array
        arrays[name].encoding = {"chunks": tuple(stored.values())}
    return result.assign(arrays)


def _stored_size(sizes: tuple[int, ...], wanted: int | None) -> int:
    return min(wanted or max(sizes), sum(sizes))


def lay_out(target: Target, result: xr.Dataset) -> Delayed:
    """The target's metadata and coordinates on disk; what is returned writes the rest.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    partial = partial_name(target)
    with writing(target), _quiet():
        if os.path.isdir(partial):
            shutil.rmtree(partial)
        os.makedirs(os.path.dirname(target.path) or ".", exist_ok=True)
        delayed: Delayed = _encoded(result).to_zarr(
            partial,
            mode="w-",
            compute=False,
            consolidated=False,
            zarr_format=3,
            write_empty_chunks=True,
        )
    return delayed


def _encoded(result: xr.Dataset) -> xr.Dataset:
    """Without the encoding of the source, whose packing and codecs do not fit the result."""
    written = result.copy()
    own = {name for name in written.coords if name not in written.dims} - named_in(written)
    for name, variable in written.variables.items():
        kept = {key: variable.encoding[key] for key in _TIME if key in variable.encoding}
        related = {key: variable.attrs.pop(key) for key in ATTRIBUTES if key in variable.attrs}
        if name in written.data_vars:
            # xarray leaves out a coordinate whose name is the beginning of another's bounds.
            labels = sorted(str(n) for n in own if {*written[n].dims} <= {*variable.dims})
            special = {
                "chunks": variable.encoding["chunks"],
                **({"coordinates": " ".join(labels)} if labels else {}),
            }
        else:
            special = {"_FillValue": None}
        codecs = {"compressors": (ZstdCodec(), Crc32cCodec())}
        variable.encoding = {**kept, **related, **special, **codecs}
    return written


@contextmanager
def _quiet() -> Iterator[None]:
    """Without zarr's notes that text and consolidated metadata are no part of Zarr 3 yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The data type .* does not have a Zarr V3 specification")
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
        yield


def publish(target: Target) -> None:
    """Consolidates the metadata, and gives the finished target its name."""
    partial = partial_name(target)
    with writing(target), _quiet():
        zarr.consolidate_metadata(partial)
        if os.path.isdir(target.path):
            shutil.rmtree(target.path)
        os.rename(partial, target.path)


@contextmanager
def writing(target: Target) -> Iterator[None]:
    """Turns what a file system says, here or on a worker, into an OutputError."""
    try:
        yield
    except FdgradError:
        raise
    except OSError as error:
        place = error.filename or partial_name(target)
        raise OutputError(f"{place} cannot be written: {_advice(error, target)}") from error


def _advice(error: OSError, target: Target) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = os.path.dirname(os.path.abspath(target.path))
        free = format_bytes(shutil.disk_usage(folder).free)
        return f"the disk is full, {free} are free; make room, or name a target on another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "permission denied; mend the rights of the folder, or name another target"
    return f"{error.strerror or error}; mend the path, or name another target"


def _is_zarr(path: str) -> bool:
    """Whether a folder is a Zarr store, or empty, so that replacing it loses nothing else."""
    if not os.path.isdir(path):
        return False
    inside = os.listdir(path)
    return not inside or bool({"zarr.json", ".zgroup", ".zmetadata"} & set(inside))
