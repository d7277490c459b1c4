"""A target in Zarr 3, filled shard by shard: in a folder under a partial name, until a rename.

Chunks carry a checksum and are written even when empty, so that a hole or a flipped bit is found,
not read as NaN. A shard is one file, written whole or not at all.
"""

import asyncio
import json
import os
import threading
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store as ZarrHierarchy
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, WrapperStore

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.console import warn
from fdgrad_dask.pipeline.store.base import (
    Held,
    Replaces,
    Shard,
    Store,
    box,
    checksum_of,
    files_in,
    link,
    remove,
    unlink,
)
from fdgrad_dask.pipeline.store.encoding import described, quiet, stored
from fdgrad_dask.pipeline.store.folder import room, writing


class ZarrStore(Store):
    """The target of a config, as a Zarr hierarchy in a folder or a bucket."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._final = target.path
        self._writer: ZarrWriter | None = None

    @property
    @abstractmethod
    def _here(self) -> str:
        """Where the shards lie."""

    @abstractmethod
    def _hierarchy(self) -> ZarrHierarchy:
        """The same for zarr."""

    @abstractmethod
    def _begin(self, group: bytes, names: Collection[str]) -> None:
        """Makes room where arrays of ``names`` are, and puts the metadata of the group there."""

    def lay_out(self, template: xr.Dataset, names: Collection[str] = ()) -> dict[str, str]:
        objects = described(template, self._target)
        # That of the group is written again when it takes in all others.
        group = objects.pop("zarr.json").to_bytes()
        with writing(self._final):
            self._begin(group, names)
            return put(self._hierarchy(), objects)

    def writer(self) -> Any:
        if self._writer is None or self._writer.folder != self._here:
            self._writer = ZarrWriter(self._hierarchy(), self._here, self._target)
        return self._writer

    def checksum(self, key: str) -> str | None:
        with writing(self._here):
            stored = sync(self._hierarchy().get(key, default_buffer_prototype()))
        return None if stored is None else checksum_of(stored.as_numpy_array())


class ZarrFolder(ZarrStore):
    """In a folder, under a partial name."""

    can_extend = True

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._partial = target.path + ".partial"

    def held(self) -> Iterator[Held]:
        for path, partial in ((self._final, False), (self._partial, True)):
            if os.path.lexists(path) and not is_empty(path):
                yield Held(path, partial, self._digest_in(path))

    def _digest_in(self, path: str) -> str | None:
        """The digest of the run that wrote what lies there."""
        try:
            return digest_of(Path(path, "zarr.json").read_bytes())
        except OSError:
            return None

    def strangers(self, held: Held, names: Collection[str]) -> Iterator[str]:
        return (key for key, _, ours in files_in(held.path, names) if not ours)

    def _begin(self, group: bytes, names: Collection[str]) -> None:
        if os.path.lexists(self._partial) and not remove(self._partial, names):
            raise OutputError(f"{self._partial} holds what fdgrad did not write; move it")
        os.makedirs(os.path.dirname(self._final) or ".", exist_ok=True)
        os.mkdir(self._partial)
        Path(self._partial, "zarr.json").write_bytes(group)

    @property
    def _here(self) -> str:
        """The folder that holds the shards: the finished one only where no other is growing."""
        return self._partial if os.path.isdir(self._partial) else self._final

    def _hierarchy(self) -> ZarrHierarchy:
        return LocalStore(self._here)

    def absent(self, keys: Iterable[str]) -> set[str]:
        def there(key: str) -> bool:
            try:
                return os.stat(os.path.join(self._here, key)).st_size > 0
            except OSError:
                return False

        return {key for key in keys if not there(key)}

    def extend(self, template: xr.Dataset, base: str, keys: Iterable[str]) -> dict[str, str]:
        objects = described(template, self._target)
        with writing(self._final):
            os.makedirs(self._partial, exist_ok=True)
            put(self._hierarchy(), {"zarr.json": objects.pop("zarr.json")})
            if self._digest_in(self._final) == base:
                link(self._final, self._partial, keys)
            labels = {*map(str, template.coords)}
            unlink(self._partial, labels, lambda key: "/" in key and key not in objects)
            return put(self._hierarchy(), objects)

    def remove_leftovers(self, names: Collection[str]) -> None:
        # zarr writes ``0.<32 digits>.partial`` beside ``0``, and renames it when complete.
        with writing(self._here):
            unlink(self._here, names, lambda key: key.endswith(".partial"))

    def publish(self, names: Collection[str], replaces: Replaces) -> None:
        aside = self._final + ".old"
        if self._here != self._final:  # else it was repaired in place
            with writing(self._partial), quiet():
                zarr.consolidate_metadata(self._partial)
                if is_empty(self._final):
                    os.rmdir(self._final)
                if os.path.lexists(self._final):
                    require_ours(self._final, self._digest_in(self._final), replaces)
                    # One that was killed may have left its own, of which other names are known.
                    if os.path.lexists(aside) and not self._remove_aside(aside, replaces):
                        raise OutputError(f"{aside} is in the way; move it, and run again")
                    os.rename(self._final, aside)
                try:
                    os.rename(self._partial, self._final)
                except OSError:
                    if os.path.lexists(aside):
                        os.rename(aside, self._final)
                    raise
        self._clear(aside, replaces)

    def _clear(self, aside: str, replaces: Replaces) -> None:
        """Deletes what has been replaced, also what a run left that was killed while it did."""
        is_ours = self._digest_in(aside) in replaces
        if os.path.isdir(aside) and not self._remove_aside(aside, replaces) and is_ours:
            warn(f"{aside} holds what fdgrad did not write, which is left there")

    def _remove_aside(self, aside: str, replaces: Replaces) -> bool:
        """Deletes a target of ours in whose place another has come; whether nothing is left."""
        names = replaces.get(self._digest_in(aside) or "", ())
        if not any(files for _, _, files in os.walk(aside)):
            # Who wrote it was deleted last: only folders are left of one that was being removed.
            names = [name for each in replaces.values() for name in each]
        with writing(aside):
            return bool(names) and remove(aside, names)

    def free(self) -> int:
        return room(self._final)


def put(store: ZarrHierarchy, objects: Mapping[str, Buffer]) -> dict[str, str]:
    """Stores objects; their checksums by key."""

    async def put_all() -> None:
        for first in (True, False):  # Icechunk takes no chunk of an array that it does not know
            keys = [key for key in objects if key.endswith("zarr.json") == first]
            await asyncio.gather(*(store.set(key, objects[key]) for key in keys))

    sync(put_all())
    return {key: checksum_of(objects[key].as_numpy_array()) for key in sorted(objects)}


class ZarrWriter:
    """Writes complete shards into a Zarr store at ``folder``; its arrays stay open meanwhile."""

    def __init__(
        self, store: ZarrHierarchy, folder: str, target: Target, parcel: Any = None
    ) -> None:
        self.folder, self._target, self._parcel = folder, target, parcel
        self._summing = _Summing(store)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._lock = threading.Lock()

    def write(self, name: str, corner: tuple[int, ...], values: NDArray[np.generic]) -> Shard:
        with writing(self.folder):
            array = self.opened(name)
            array[box(corner, values.shape)] = stored(values, self._target)
            key = key_at(array, corner)
        return Shard(key, self._summing.checksums.pop(key), values.nbytes)

    def parcel(self) -> Any:
        return self._parcel

    def opened(self, name: str) -> "zarr.Array[Any]":
        """The array that is written to."""
        with self._lock:
            if name not in self._arrays:
                # An array that is opened takes no config of its own, only the one that is set.
                with zarr.config.set({"array.write_empty_chunks": True}):
                    self._arrays[name] = zarr.open_array(self._summing, path=name, mode="r+")
            return self._arrays[name]


class _Summing(WrapperStore[ZarrHierarchy]):
    """Remembers the checksum of what it stores."""

    def __init__(self, store: ZarrHierarchy) -> None:
        super().__init__(store)
        self.checksums: dict[str, str] = {}

    async def set(self, key: str, value: Buffer) -> None:
        await super().set(key, value)
        self.checksums[key] = checksum_of(value.as_numpy_array())


def key_at(array: "zarr.Array[Any]", corner: tuple[int, ...]) -> str:
    """The key of the shard that begins at the point ``corner``."""
    shard = array.shards or array.chunks
    place = tuple(at // n for at, n in zip(corner, shard, strict=True))
    return f"{array.path}/{array.metadata.encode_chunk_key(place)}"


def is_empty(path: str) -> bool:
    """Whether it is a folder with nothing in it."""
    try:
        return os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path)
    except PermissionError:  # of somebody else, who would not hide nothing
        return False


def digest_of(group: bytes | None) -> str | None:
    """The digest of the run that wrote a group, as its attributes have it."""
    try:
        return str(json.loads(group or b"")["attributes"]["fdgrad_digest"])
    except (ValueError, KeyError, TypeError):
        return None


def require_ours(path: str, digest: str | None, replaces: Replaces) -> None:
    """Refuses to publish in place of what is not the target of ours that was there."""
    if os.path.islink(path) or digest not in replaces:
        raise OutputError(
            f"{path} was put there by something else while the run went on, so it is not "
            "replaced; move it, and run again"
        )
