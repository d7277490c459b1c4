"""A target in one netCDF-4 file: regions grow as Zarr, which many can write, and are put together.

``OUT.nc.partial`` is a Zarr folder. When all regions are there the file is made of it, shard by
shard, inside that folder, and gets its name. The checksum of a shard is that of its values, since
the bytes on disk are others before and after; its key names the box that it fills.
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from fdgrad_dask.errors import ConfigError, FdgradError, OutputError
from fdgrad_dask.pipeline.config.target import Target
from fdgrad_dask.pipeline.console import warn
from fdgrad_dask.pipeline.store.base import Held, Replaces, Shard, State, checksum_of
from fdgrad_dask.pipeline.store.encoding import quiet, stored
from fdgrad_dask.pipeline.store.files import advice, room
from fdgrad_dask.pipeline.store.keys import WHOLE, remove, strangers_in
from fdgrad_dask.pipeline.store.zarr import (
    ZarrFolder,
    ZarrWriter,
    box,
    digest_in,
    is_empty,
    is_zarr,
    put_there_meanwhile,
)

_READERS = 4  # shards in memory while the file is put together
_LEVEL = {"fast": 1, "archive": 7}  # of zlib, which every reader of netCDF has
_MAGIC = (b"CDF", b"\x89HDF")
_reading = threading.Lock()  # HDF5 takes one thread at a time

Patch = list[tuple[str, tuple[slice, ...], NDArray[Any]]]


class NetcdfStore:
    """The target of a config, as a netCDF file; see ``store.Store``."""

    def __init__(self, target: Target) -> None:
        self._target, self._final = target, target.path
        self._partial = target.path + ".partial"
        self._grown = ZarrFolder(target)

    def state(self) -> State:
        if os.path.lexists(self._final) and not _is_netcdf(self._final):
            return "foreign"
        if os.path.lexists(self._partial) and not is_empty(self._partial):
            return "unfinished" if is_zarr(self._partial) else "foreign"
        return "finished" if os.path.lexists(self._final) else "absent"

    def held(self) -> Iterator[Held]:
        if os.path.lexists(self._final):
            yield Held(self._final, False, _digest_in(self._final))
        if os.path.lexists(self._partial) and not is_empty(self._partial):
            yield Held(self._partial, True, digest_in(self._partial))

    def strangers(self, held: Held, names: Collection[str]) -> Iterator[str]:
        if held.partial:
            yield from strangers_in(held.path, names)
            return
        with _opened(held.path, "r") as file:
            yield from (f"the variable {name!r}" for name in file.variables if name not in names)
            yield from (f"the group {name!r}" for name in file.groups)

    def lay_out(self, template: xr.Dataset, names: Collection[str] = ()) -> dict[str, str]:
        for name, variable in template.variables.items():
            if variable.dtype.kind == "c" or variable.dtype == np.float16:
                raise ConfigError(
                    f"target.path: netCDF has no type for {name!r}, which is {variable.dtype}; "
                    "name a target that ends in .zarr"
                )
        self._grown.lay_out(template, names)
        group = zarr.open_group(self._partial, mode="r")
        arrays = {str(name): group[str(name)] for name in template.coords}
        whole = {
            name: tuple(slice(0, size) for size in array.shape)
            for name, array in arrays.items()
            if isinstance(array, zarr.Array) and array.dtype.kind in "iufb"
        }
        keys = [_key(name, where) for name, where in sorted(whole.items())]
        return {key: str(self.checksum(key)) for key in keys}

    def writer(self) -> NetcdfWriter | PatchWriter:
        if os.path.isdir(self._partial):
            return NetcdfWriter(self._grown.writer(), self._target)
        return PatchWriter(self._final, self._target)

    def accept(self, parcel: Patch | None) -> None:
        if parcel:
            with _writing(self._final), _opened(self._final, "r+") as file:
                for name, where, values in parcel:
                    file[name][where] = values

    def settle(self) -> None:
        """It is there already."""

    def absent(self, keys: Iterable[str]) -> set[str]:
        if not os.path.isdir(self._partial):
            there = os.path.isfile(self._final) and os.path.getsize(self._final) > 0
            return set() if there else set(keys)
        chunks = {key: self._chunk(key) for key in keys}
        gone = self._grown.absent(chunks.values())
        return {key for key, chunk in chunks.items() if chunk in gone}

    def checksum(self, key: str, like: str = "") -> str | None:
        name, where = _parsed(key)
        try:
            if os.path.isdir(self._partial):
                if self._grown.absent([self._chunk(key)]):
                    return None
                array = zarr.open_array(self._partial, path=name, mode="r")
                return checksum_of(np.asarray(array[where]), like)
            with _opened(self._final, "r") as file:
                return checksum_of(np.asarray(file[name][where]), like)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, ValueError, IndexError) as error:
            return f"unreadable: {error}"

    def remove_leftovers(self, names: Collection[str]) -> None:
        """They go with the folder, once the file is made of it."""

    def publish(self, names: Collection[str], replaces: Replaces) -> None:
        if not os.path.isdir(self._partial):
            return  # it was repaired in its place
        whole = os.path.join(self._partial, WHOLE)
        try:
            with _writing(whole):
                self._assemble(whole)
                if os.path.lexists(self._final) and (
                    os.path.islink(self._final) or _digest_in(self._final) not in replaces
                ):
                    raise put_there_meanwhile(self._final)
                os.replace(whole, self._final)
                if not remove(self._partial, names):
                    warn(f"{self._partial} holds what fdgrad did not write, which is left there")
        except OutputError:
            with suppress(OSError):  # the room that it takes is needed for the next try
                os.unlink(whole)
            raise

    def free(self) -> int:
        return room(self._final)

    def _assemble(self, whole: str) -> None:
        """The file, of what lies in the Zarr folder as it lies there, one shard after another."""
        with quiet():
            parts = xr.open_zarr(self._partial, consolidated=False, decode_cf=False, chunks=None)
        lazy, encoding = parts, {}
        for name, field in parts.variables.items():
            if not field.ndim or name in field.dims or field.dtype.kind not in "iufb":
                continue
            array = zarr.open_array(self._partial, path=str(name), mode="r")
            shards = dict(zip(field.dims, array.shards or array.chunks, strict=True))
            lazy = lazy.assign({name: field.chunk(shards)})
            encoding[name] = {
                "zlib": True,
                "complevel": _LEVEL[self._target.compression],
                "shuffle": True,
                "fletcher32": True,  # without it a flipped bit is data
                "chunksizes": array.chunks,
            }
        for variable in lazy.variables.values():
            variable.encoding = {}
        with dask.config.set(scheduler="threads", num_workers=_READERS):
            lazy.to_netcdf(whole, engine="netcdf4", encoding=encoding)

    def _chunk(self, key: str) -> str:
        """The key in the Zarr folder of the shard that ``key`` names by its box."""
        name, where = _parsed(key)
        array = zarr.open_array(self._partial, path=name, mode="r")
        shard = array.shards or array.chunks
        place = tuple(part.start // size for part, size in zip(where, shard, strict=True))
        return f"{name}/{array.metadata.encode_chunk_key(place)}"


class NetcdfWriter:
    """Writes the shards of regions into the Zarr folder that grows."""

    def __init__(self, writer: ZarrWriter, target: Target) -> None:
        self._writer, self._target = writer, target

    def write(self, name: str, place: tuple[int, ...], values: NDArray[np.generic]) -> Shard:
        self._writer.write(name, place, values)
        array = self._writer.opened(name)
        where = box(array.shards or array.chunks, place, values.shape)
        held = stored(values, self._target).astype(array.dtype, copy=False)
        return Shard(_key(name, where), checksum_of(held), values.nbytes)

    def parcel(self) -> None:
        """Nothing: what is written is there."""


class PatchWriter:
    """Keeps the shards of a region, which the driver writes into the file that is repaired."""

    def __init__(self, path: str, target: Target) -> None:
        self._path, self._target = path, target
        self._patch: Patch = []

    def write(self, name: str, place: tuple[int, ...], values: NDArray[np.generic]) -> Shard:
        with _writing(self._path), _opened(self._path, "r") as file:
            variable = file[name]
            chunks = variable.chunking() if variable.ndim else ()
            shard = tuple(
                min(self._target.shards.get(dim, chunk), math.ceil(size / chunk) * chunk)
                for dim, chunk, size in zip(
                    variable.dimensions, chunks, variable.shape, strict=True
                )
            )
            held = stored(values, self._target).astype(variable.dtype, copy=False)
        where = box(shard, place, values.shape)
        self._patch.append((name, where, held))
        return Shard(_key(name, where), checksum_of(held), values.nbytes)

    def parcel(self) -> Patch:
        """What is to be written."""
        return self._patch


def _key(name: str, where: tuple[slice, ...]) -> str:
    return f"{name}[{', '.join(f'{part.start}:{part.stop}' for part in where)}]"


def _parsed(key: str) -> tuple[str, tuple[slice, ...]]:
    """
    >>> _parsed("sst[0:24, 5:10]")
    ('sst', (slice(0, 24, None), slice(5, 10, None)))
    """
    name, _, where = key.rpartition("[")
    return name, tuple(slice(int(a), int(b)) for a, b in re.findall(r"(\d+):(\d+)", where))


@contextmanager
def _opened(path: str, mode: Any) -> Iterator[Any]:
    """The file with the values as they lie in it."""
    import netCDF4

    with _reading, netCDF4.Dataset(path, mode) as file:
        file.set_auto_maskandscale(False)
        yield file


@contextmanager
def _writing(path: str) -> Iterator[None]:
    """Turns what the file system and HDF5 say, the latter just "error", into an OutputError."""
    try:
        yield
    except FdgradError:
        raise
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path} cannot be written: {advice(error, path)}") from error


def _is_netcdf(path: str) -> bool:
    """Whether it is a netCDF file, or empty, so that replacing it loses nothing else."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        magic = file.read(4)
    return not magic or magic.startswith(_MAGIC)


def _digest_in(path: str) -> str | None:
    """The digest of the run that wrote a file, as its attributes have it."""
    try:
        with _opened(path, "r") as file:
            return str(file.getncattr("fdgrad_digest"))
    except (OSError, RuntimeError, AttributeError):
        return None
