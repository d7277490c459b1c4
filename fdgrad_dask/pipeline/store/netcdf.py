"""A target in one netCDF-4 file: regions grow as Zarr, which many can write, and are put together.

``OUT.nc.partial`` is a Zarr folder. When all regions are there the file is made of it, shard by
shard, inside that folder, and gets its name. The checksum of a shard is that of its values, since
the bytes on disk are others before and after; its key names the box that it fills.
"""

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

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.store.base import WHOLE, Held, Replaces, Shard, box, checksum_of
from fdgrad_dask.pipeline.store.encoding import quiet, stored
from fdgrad_dask.pipeline.store.folder import writing
from fdgrad_dask.pipeline.store.zarr import ZarrFolder, ZarrWriter, key_at, require_ours

_READERS = 4  # shards in memory while the file is put together
_LEVEL = {"fast": 1, "archive": 7}  # of zlib, which every reader of netCDF has
_reading = threading.Lock()  # HDF5 takes one thread at a time

Patch = list[tuple[str, tuple[slice, ...], NDArray[Any]]]


class NetcdfStore(ZarrFolder):
    """The target of a config, as a netCDF file."""

    can_extend = False

    def _digest_in(self, path: str) -> str | None:
        if os.path.isdir(path):
            return super()._digest_in(path)
        try:
            with _opened(path, "r") as file:
                return str(file.getncattr("fdgrad_digest"))
        except (OSError, RuntimeError, AttributeError):
            return None

    def strangers(self, held: Held, names: Collection[str]) -> Iterator[str]:
        if held.partial:
            yield from super().strangers(held, names)
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
        super().lay_out(template, names)
        group = zarr.open_group(self._partial, mode="r")
        arrays = [group[str(name)] for name in sorted(map(str, template.coords))]
        keys = [
            _key(array.path, box((0,) * array.ndim, array.shape))
            for array in arrays
            if isinstance(array, zarr.Array) and array.dtype.kind in "iufb"
        ]
        return {key: str(self.checksum(key)) for key in keys}

    def writer(self) -> "NetcdfWriter":
        grown = super().writer() if os.path.isdir(self._partial) else None
        return NetcdfWriter(self._target, grown)

    def accept(self, parcel: Patch) -> None:
        if parcel:
            with writing(self._final), _opened(self._final, "r+") as file:
                for name, where, values in parcel:
                    file[name][where] = values

    def absent(self, keys: Iterable[str]) -> set[str]:
        if not os.path.isdir(self._partial):
            there = os.path.isfile(self._final) and os.path.getsize(self._final) > 0
            return set() if there else set(keys)
        chunks = {}
        for key in keys:  # the key in the Zarr folder, by the box
            name, where = _parsed(key)
            array = zarr.open_array(self._partial, path=name, mode="r")
            chunks[key] = key_at(array, tuple(part.start for part in where))
        gone = super().absent(chunks.values())
        return {key for key, chunk in chunks.items() if chunk in gone}

    def checksum(self, key: str) -> str | None:
        name, where = _parsed(key)
        try:
            if os.path.isdir(self._partial):
                if self.absent([key]):
                    return None
                array = zarr.open_array(self._partial, path=name, mode="r")
                return checksum_of(np.asarray(array[where]))
            with _opened(self._final, "r") as file:
                return checksum_of(np.asarray(file[name][where]))
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, ValueError, IndexError) as error:
            return f"unreadable: {error}"

    def remove_leftovers(self, names: Collection[str]) -> None:
        """They go with the folder, once the file is made of it."""

    def publish(self, names: Collection[str], replaces: Replaces) -> None:
        grows, aside = os.path.isdir(self._partial), self._final + ".old"
        own = self._digest_in(self._partial if grows else self._final) or ""
        ours = {**replaces, own: names}
        if grows:
            if os.path.lexists(aside) and not self._remove_aside(aside, ours):
                raise OutputError(f"{aside} is in the way; move it, and run again")
            whole = os.path.join(self._partial, WHOLE)
            try:
                with writing(whole):
                    self._assemble(whole)
                    if os.path.lexists(self._final):
                        require_ours(self._final, self._digest_in(self._final), ours)
                    os.replace(whole, self._final)
                    # One that is killed while it is deleted must not pass for one that grows.
                    os.rename(self._partial, aside)
            except OutputError:
                with suppress(OSError):  # the room that it takes is needed for the next try
                    os.unlink(whole)
                raise
        self._clear(aside, ours)

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


class NetcdfWriter:
    """Writes shards into the Zarr folder that grows; of a file that is repaired, it keeps them."""

    def __init__(self, target: Target, grown: ZarrWriter | None) -> None:
        self._target, self._grown = target, grown
        self._patch: Patch = []

    def write(self, name: str, corner: tuple[int, ...], values: NDArray[np.generic]) -> Shard:
        where = box(corner, values.shape)
        held = stored(values, self._target)
        if self._grown is not None:
            self._grown.write(name, corner, values)
            held = held.astype(self._grown.opened(name).dtype, copy=False)
        else:
            with _opened(self._target.path, "r") as file:
                held = held.astype(file[name].dtype, copy=False)
            self._patch.append((name, where, held))
        return Shard(_key(name, where), checksum_of(held), values.nbytes)

    def parcel(self) -> Patch:
        """What the driver is to write into the file."""
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
