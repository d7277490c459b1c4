"""A target in an Icechunk repository: regions grow on a branch of their own, then main moves.

Workers write chunks from forks of a session, which only know what they wrote; the driver merges
what comes back and is the only one that commits. Readers of main see nothing until all is there.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Any

import xarray as xr
from zarr.abc.store import Store as ZarrHierarchy
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import collect_aiterator, sync

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.source.remote import is_bucket, is_repository
from fdgrad_dask.pipeline.source.zarr import repository, storage
from fdgrad_dask.pipeline.store.base import Held, Replaces, Store, Writer, checksum_of, is_of_arrays
from fdgrad_dask.pipeline.store.bucket import Bucket
from fdgrad_dask.pipeline.store.encoding import described
from fdgrad_dask.pipeline.store.folder import room, writing
from fdgrad_dask.pipeline.store.zarr import ZarrWriter, digest_of, put

_GROWING = "fdgrad-partial"
_TOGETHER = 32  # regions of a commit: what a run that is killed may have to compute again


class IcechunkStore(Store):
    """The target of a config, as an Icechunk repository."""

    can_extend = True

    def __init__(self, target: Target) -> None:
        self._target, self._path = target, target.path
        in_bucket = is_bucket(target.path)
        self._bucket = Bucket(target.path, target.storage_options) if in_bucket else None
        self._merging: Any = None  # the session into which regions are merged
        self._merged = 0
        self._seen: ZarrHierarchy | None = None

    def _found(self) -> set[str]:
        """What lies at the top of the folder or prefix; something where it is no folder of ours."""
        if self._bucket is not None:
            return self._bucket.top()
        if not os.path.isdir(self._path) or not os.access(self._path, os.R_OK):
            return {self._path} if os.path.lexists(self._path) else set()
        return {*os.listdir(self._path)}

    def held(self) -> Iterator[Held]:
        """Its branches: main where something is in it, and the one that grows."""
        found = self._found()
        if found and not is_repository(found):
            yield Held(self._path, False, None)
        elif found:
            for branch in dict.fromkeys(("main", self._branch)):
                store = self._repository.readonly_session(branch).store
                if branch != "main" or not sync(store.is_empty("")):
                    group = sync(store.get("zarr.json", default_buffer_prototype()))
                    digest = digest_of(group.to_bytes() if group is not None else None)
                    yield Held(self._path, branch != "main", digest)

    def strangers(self, held: Held, names: Collection[str]) -> Iterator[str]:
        branch = _GROWING if held.partial else "main"
        keys = collect_aiterator(self._repository.readonly_session(branch).store.list())
        return (key for key in keys if not is_of_arrays(key, names))

    def lay_out(self, template: xr.Dataset, names: Collection[str] = ()) -> dict[str, str]:
        import icechunk

        with writing(self._path):
            if not is_repository(self._found()):
                if self._bucket is None:
                    os.makedirs(self._path, exist_ok=True)
                options = self._target.storage_options
                icechunk.Repository.create(storage(self._path, options))
            if self._branch == _GROWING:
                self._repository.delete_branch(_GROWING)
        return self._grow(template, [""], "laid out")

    def extend(self, template: xr.Dataset, base: str, keys: Iterable[str]) -> dict[str, str]:
        return self._grow(template, map(str, template.coords), "extended")

    def _grow(self, template: xr.Dataset, old: Iterable[str], message: str) -> dict[str, str]:
        """Puts the template into the branch that grows, in place of what lies below ``old``."""
        objects = described(template, self._target)
        with writing(self._path):
            if self._branch != _GROWING:
                before = self._repository.lookup_branch("main")
                self._repository.create_branch(_GROWING, before)
            session = self._repository.writable_session(_GROWING)
            for each in old:
                sync(session.store.delete_dir(each))
            checksums = put(session.store, objects)
            session.commit(f"fdgrad run: {message}")
        self._seen = self._merging = None
        return checksums

    def writer(self) -> Writer:
        """It writes into a fork of a session, which is the list of what was written."""
        with writing(self._path):
            fork = self._repository.writable_session(self._branch).fork()
        return ZarrWriter(fork.store, self._path, self._target, parcel=fork)

    def accept(self, parcel: Any) -> None:
        with writing(self._path):
            if self._merging is None:
                self._merging = self._repository.writable_session(self._branch)
            self._merging.merge(parcel)
        self._merged += 1
        if self._merged == _TOGETHER:
            self.settle()

    def settle(self) -> None:
        if self._merged:
            with writing(self._path):
                self._merging.commit(f"fdgrad run: {self._merged} regions")
        self._merging, self._merged, self._seen = None, 0, None

    def absent(self, keys: Iterable[str]) -> set[str]:
        return set(keys) - set(collect_aiterator(self._reading.list()))

    def checksum(self, key: str) -> str | None:
        import icechunk

        try:
            held = sync(self._reading.get(key, default_buffer_prototype()))
        except icechunk.IcechunkError:  # the object that a snapshot names is gone, or cut
            return None
        return None if held is None else checksum_of(held.as_numpy_array())

    def publish(self, names: Collection[str], replaces: Replaces) -> None:
        self.settle()
        if self._branch != _GROWING:
            return
        with writing(self._path):
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
        return repository(self._path, self._target.storage_options)

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
