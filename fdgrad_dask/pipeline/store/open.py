"""From the section of a config to the class that writes its format."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib.util import find_spec

import zarr
from zarr.abc.store import Store as ZarrHierarchy
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore, ObjectStore

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.source.remote import is_bucket
from fdgrad_dask.pipeline.store.base import GROWING, Held, Replaces, Store, is_of_arrays
from fdgrad_dask.pipeline.store.bucket import Bucket
from fdgrad_dask.pipeline.store.encoding import quiet
from fdgrad_dask.pipeline.store.folder import Folder
from fdgrad_dask.pipeline.store.icechunk import IcechunkStore
from fdgrad_dask.pipeline.store.netcdf import NetcdfStore
from fdgrad_dask.pipeline.store.zarr import ZarrFolder, ZarrStore, digest_of, require_ours

_GROUP = "zarr.json"
Place = Folder | Bucket
"""Where the small objects of a run lie beside its target."""
_OF: dict[str, Callable[[Target], Store]] = {
    ".zarr": ZarrFolder,
    ".icechunk": IcechunkStore,
    ".nc": NetcdfStore,
}
_NEEDS = {".icechunk": ("icechunk", "icechunk"), ".nc": ("netCDF4", "netcdf")}  # package, extra


class ZarrBucket(ZarrStore):
    """Objects under the prefix of the target, those of its arrays where they stay.

    A bucket has no rename, so the group's ``zarr.json`` comes last. Until then its metadata lies
    beside the arrays as ``fdgrad-partial.json``, and no reader finds a group.
    """

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
        # The metadata of the group with those of all arrays, as zarr writes it in a folder.
        make = default_buffer_prototype().buffer.from_bytes
        objects = {_GROUP: make(growing)}
        for key in (f"{name}/{_GROUP}" for name in names):
            if (content := self._bucket.get(key)) is not None:
                objects[key] = make(content)
        with quiet():
            zarr.consolidate_metadata(MemoryStore(objects))
        group = objects[_GROUP].to_bytes()
        if not self._bucket.create(_GROUP, group) and self._bucket.get(_GROUP) != group:
            require_ours(f"{self._final}/{_GROUP}", None, {})
        self._bucket.remove([GROWING])


def store_of(target: Target) -> Store:
    """The store that ``target`` names, where what writes it is installed."""
    ending, in_bucket = os.path.splitext(target.path)[1], is_bucket(target.path)
    needed = [_NEEDS[ending]] if ending in _NEEDS else []
    for package, extra in [*needed, *([("obstore", "remote")] if in_bucket else [])]:
        if find_spec(package) is None:
            raise OutputError(
                f"{target.path} needs {package}, which is not installed; "
                f"pip install 'fdgrad_dask[{extra}]', or name a Zarr folder on this machine"
            )
    return ZarrBucket(target) if in_bucket and ending == ".zarr" else _OF[ending](target)


def beside(target: Target) -> Place:
    """Where journal and lock of a target lie."""
    there = f"{target.path}.journal"
    return Bucket(there, target.storage_options) if is_bucket(there) else Folder(there)
