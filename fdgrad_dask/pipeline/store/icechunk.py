"""A target in an Icechunk repository: regions grow on a branch of their own, then main moves.

Workers write chunks from forks of a session, which only know what they wrote; the driver merges
what comes back and is the only one that commits. Readers of main see nothing until all is there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from zarr.abc.store import Store as ZarrHierarchy
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import collect_aiterator, sync

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.target import Target
from fdgrad_dask.pipeline.source import snapshots
from fdgrad_dask.pipeline.source.remote import is_bucket
from fdgrad_dask.pipeline.store.base import Held, Replaces, Shard, State, checksum_of
from fdgrad_dask.pipeline.store.bucket import Bucket
from fdgrad_dask.pipeline.store.encoding import codecs, described, encoded, quiet
from fdgrad_dask.pipeline.store.files import advice, room, writing
from fdgrad_dask.pipeline.store.keys import is_of_arrays
from fdgrad_dask.pipeline.store.zarr import ZarrWriter, digest_of, put

_GROWING = "fdgrad-partial"
_TOGETHER = 32  # regions of a commit: what a run that is killed may have to compute again


class IcechunkStore:
    """The target of a config, as an Icechunk repository; see ``store.Store``."""

    def __init__(self, target: Target) -> None:
        self._target, self._path = target, target.path
        in_bucket = is_bucket(target.path)
        self._bucket = Bucket(target.path, target.storage_options) if in_bucket else None
        self._merging: Any = None  # the session into which regions are merged
        self._merged = 0
        self._seen: ZarrHierarchy | None = None

    def state(self) -> State:
        if not (found := self._found()):
            return "absent"
        if not snapshots.is_repository(found):
            return "foreign"
        if self._branch == _GROWING:
            return "unfinished"
        return "finished" if sync(self._reading.exists("zarr.json")) else "absent"

    def _found(self) -> set[str]:
        """What lies at the top of the folder or prefix; something where it is no folder."""
        if self._bucket is not None:
            return self._bucket.top()
        if not os.path.isdir(self._path):
            return {self._path} if os.path.lexists(self._path) else set()
        return {*os.listdir(self._path)}

    def held(self) -> Iterator[Held]:
        """Its branches: main where something is in it, and the one that grows."""
        if not snapshots.is_repository(self._found()):
            return
        for branch in sorted({"main", self._branch}):
            store = self._repository.readonly_session(branch).store
            keys = collect_aiterator(store.list())
            if branch != "main" or keys:
                yield Held(self._path, branch != "main", _digest_in(store))

    def strangers(self, held: Held, names: Collection[str]) -> Iterator[str]:
        branch = _GROWING if held.partial else "main"
        keys = collect_aiterator(self._repository.readonly_session(branch).store.list())
        return (key for key in keys if not is_of_arrays(key, names))

    def lay_out(self, template: xr.Dataset, names: Collection[str] = ()) -> dict[str, str]:
        import icechunk

        with _writing(self._path), quiet():
            if not snapshots.is_repository(self._found()):
                if self._bucket is None:
                    os.makedirs(self._path, exist_ok=True)
                options = self._target.storage_options
                icechunk.Repository.create(snapshots.storage(self._path, options))
            if self._branch == _GROWING:
                self._repository.delete_branch(_GROWING)
            before = self._repository.lookup_branch("main")
            self._repository.create_branch(_GROWING, before)
            session = self._repository.writable_session(_GROWING)
            encoded(template, codecs(self._target)).to_zarr(
                session.store,
                mode="w",
                compute=False,
                consolidated=False,
                zarr_format=3,
                write_empty_chunks=True,
            )
            session.commit("fdgrad run: laid out")
        self._seen = self._merging = None
        return {key: str(self.checksum(key)) for key in sorted(self._keys())}

    def extend(self, template: xr.Dataset, base: str, keys: Iterable[str]) -> dict[str, str]:
        objects = described(template, self._target)
        labels = tuple(f"{name}/" for name in template.coords)
        with _writing(self._path):
            if self._branch != _GROWING:
                before = self._repository.lookup_branch("main")
                self._repository.create_branch(_GROWING, before)
            session = self._repository.writable_session(_GROWING)
            for key in collect_aiterator(session.store.list()):
                if key.startswith(labels) and key not in objects:
                    sync(session.store.delete(key))
            sync(put(session.store, objects))
            session.commit("fdgrad run: extended")
        self._seen = self._merging = None
        return {key: str(self.checksum(key)) for key in sorted(objects)}

    def writer(self) -> IcechunkWriter:
        with _writing(self._path):
            fork = self._repository.writable_session(self._branch).fork()
        return IcechunkWriter(fork, self._path, self._target)

    def accept(self, parcel: Any) -> None:
        with _writing(self._path):
            if self._merging is None:
                self._merging = self._repository.writable_session(self._branch)
            self._merging.merge(parcel)
        self._merged += 1
        if self._merged == _TOGETHER:
            self.settle()

    def settle(self) -> None:
        if self._merged:
            with _writing(self._path):
                self._merging.commit(f"fdgrad run: {self._merged} regions")
        self._merging, self._merged, self._seen = None, 0, None

    def absent(self, keys: Iterable[str]) -> set[str]:
        return set(keys) - self._keys()

    def checksum(self, key: str, like: str = "") -> str | None:
        import icechunk

        try:
            held = sync(self._reading.get(key, default_buffer_prototype()))
        except icechunk.IcechunkError:  # the object that a snapshot names is gone, or cut
            return None
        if held is None:
            return None
        return checksum_of(held.as_numpy_array(), like)

    def remove_leftovers(self, names: Collection[str]) -> None:
        """No snapshot names them."""

    def publish(self, names: Collection[str], replaces: Replaces) -> None:
        self.settle()
        if self._branch != _GROWING:
            return
        with _writing(self._path):
            main = self._repository.lookup_branch("main")
            if main not in {each.id for each in self._repository.ancestry(branch=_GROWING)}:
                raise OutputError(
                    f"main of {self._path} has moved since the run began, to {main}, and would "
                    f"lose that; set it back and run again, or see the branch {_GROWING}"
                )
            whole = self._repository.lookup_branch(_GROWING)
            self._repository.reset_branch("main", whole, from_snapshot_id=main)
            self._repository.delete_branch(_GROWING)
        self._seen = None

    def free(self) -> int | None:
        return room(self._path) if self._bucket is None else None

    @cached_property
    def _repository(self) -> Any:
        return snapshots.repository(self._path, self._target.storage_options)

    @property
    def _branch(self) -> str:
        """That which grows; main where none does."""
        return _GROWING if _GROWING in self._repository.list_branches() else "main"

    @property
    def _reading(self) -> ZarrHierarchy:
        """What was accepted, committed or not."""
        if self._merging is not None:
            merged: ZarrHierarchy = self._merging.store
            return merged
        if self._seen is None:
            self._seen = self._repository.readonly_session(self._branch).store
        assert self._seen is not None
        return self._seen

    def _keys(self) -> set[str]:
        return set(collect_aiterator(self._reading.list()))


class IcechunkWriter:
    """Writes the shards of one region into a fork of a session."""

    def __init__(self, fork: Any, path: str, target: Target) -> None:
        self._fork, self._path = fork, path
        self._writer = ZarrWriter(fork.store, path, target)

    def write(self, name: str, place: tuple[int, ...], values: NDArray[np.generic]) -> Shard:
        with _writing(self._path):
            return self._writer.write(name, place, values)

    def parcel(self) -> Any:
        """The fork, which is the list of what was written."""
        return self._fork


@contextmanager
def _writing(path: str) -> Iterator[None]:
    """Turns what icechunk and the file system say into an OutputError."""
    import icechunk

    try:
        with writing(path):
            yield
    except icechunk.IcechunkError as error:
        cause = next(iter(str(error).strip().splitlines()), type(error).__name__)
        full = "os error 28" in str(error)
        cause = advice(OSError(errno.ENOSPC, cause), path) if full else f"{cause}; see its storage"
        raise OutputError(f"{path} cannot be written: {cause}") from error


def _digest_in(store: ZarrHierarchy) -> str | None:
    """The digest of the run that wrote what a branch holds."""
    held = sync(store.get("zarr.json", default_buffer_prototype()))
    return digest_of(held.to_bytes() if held is not None else None)
