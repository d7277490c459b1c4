"""A target in Zarr 3 in a bucket, which has no rename: the group's ``zarr.json`` comes last.

Until then its metadata lies beside the arrays as ``fdgrad-partial.json``, and no reader finds a
group. Each object is put whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import zarr
from zarr.abc.store import Store as ZarrHierarchy
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore, ObjectStore

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.store.base import GROWING, Held, Replaces, is_of_arrays
from fdgrad_dask.pipeline.store.bucket import Bucket
from fdgrad_dask.pipeline.store.encoding import quiet
from fdgrad_dask.pipeline.store.zarr import ZarrStore, digest_of, put_there_meanwhile

_GROUP = "zarr.json"


class ZarrBucket(ZarrStore):
    """Objects under the prefix of the target, those of its arrays where they stay."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._bucket = Bucket(target.path, target.storage_options)

    @property
    def _here(self) -> str:
        return self._final

    def _hierarchy(self) -> ZarrHierarchy:
        return ObjectStore(self._bucket.objects)

    def held(self) -> Iterator[Held]:
        """A finished group, and one that grows, to which arrays without a group belong too."""
        found = self._bucket.top()
        if _GROUP in found:
            yield Held(self._final, False, digest_of(self._bucket.get(_GROUP)))
        if GROWING in found or (found and _GROUP not in found):
            yield Held(self._final, True, digest_of(self._bucket.get(GROWING)))

    def strangers(self, held: Held, names: Collection[str]) -> Iterator[str]:
        return (key for key in self._bucket.sizes() if not is_of_arrays(key, names))

    def _begin(self, group: bytes, names: Collection[str]) -> None:
        found = self._bucket.sizes()
        if not all(is_of_arrays(key, names) for key in found):
            raise OutputError(f"{self._final} holds what fdgrad did not write; move it")
        self._bucket.remove([_GROUP])  # first: from now on nobody reads it
        self._bucket.remove(key for key in found if key != _GROUP)
        self._bucket.write(GROWING, group)

    def absent(self, keys: Iterable[str]) -> set[str]:
        found = self._bucket.sizes()
        return {key for key in keys if not found.get(key)}

    def publish(self, names: Collection[str], replaces: Replaces) -> None:
        if (growing := self._bucket.get(GROWING)) is None:
            return  # it was repaired in place
        group = self._consolidated(growing, names)
        if not self._bucket.create(_GROUP, group) and self._bucket.get(_GROUP) != group:
            raise put_there_meanwhile(f"{self._final}/{_GROUP}")
        self._bucket.remove([GROWING])

    def _consolidated(self, growing: bytes, names: Collection[str]) -> bytes:
        """The metadata of the group with those of all arrays, as zarr writes it in a folder."""
        make = default_buffer_prototype().buffer.from_bytes
        metadata = {f"{name}/{_GROUP}": self._bucket.get(f"{name}/{_GROUP}") for name in names}
        objects = {_GROUP: make(growing)}
        objects |= {key: make(content) for key, content in metadata.items() if content is not None}
        with quiet():
            zarr.consolidate_metadata(MemoryStore(objects))
        return objects[_GROUP].to_bytes()
