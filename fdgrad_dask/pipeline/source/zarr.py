"""Zarr stores, in which a missing chunk is an error, and every chunk that is read is noted.

zarr reads a chunk or shard that is missing as the fill value, and a shard of no bytes too, which
after a full disk or a broken copy is half a store of NaN. Seeing what each read gives back costs
nothing more than the read.
"""

import asyncio
import json
import math
import os
import socket
from itertools import accumulate
from typing import Any

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from fdgrad_dask.errors import ConfigError, InputError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.source import Stored
from fdgrad_dask.pipeline.source import remote, versions
from fdgrad_dask.pipeline.source.remote import format_of

# One set of names: those of obstore, as icechunk calls them.
_AS_ICECHUNK = {
    "skip_signature": "anonymous",
    "endpoint": "endpoint_url",
    "account_name": "account",
    "account_key": "access_key",
    "service_account": "service_account_file",
}
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


def session(path: str, source: Stored) -> Any:
    """The read-only session of the branch, tag or snapshot that the source names."""
    found = repository(path, source.storage_options)
    import icechunk

    kind, name = ("tag", source.tag) if source.tag else ("branch", source.branch or "main")
    kind, name = ("snapshot", source.snapshot) if source.snapshot else (kind, name)
    try:
        return found.readonly_session(**{"snapshot_id" if source.snapshot else kind: name})
    except icechunk.IcechunkError as error:
        advice = "give the id of one that is there"
        if not source.snapshot:
            advice = did_you_mean(name, found.list_tags() if source.tag else found.list_branches())
        raise ConfigError(f"source.{kind}: {path} has no {kind} {name!r}; {advice}") from error


def repository(path: str, options: dict[str, Any]) -> Any:
    """The repository at a path or URL."""
    try:
        import icechunk
    except ImportError as error:
        raise InputError(
            f"{path} needs icechunk, which is not installed; pip install 'fdgrad_dask[icechunk]'"
        ) from error
    try:
        return icechunk.Repository.open(storage(path, options))
    except icechunk.IcechunkError as error:
        cause = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path} cannot be opened as an Icechunk repository ({cause}); fix the path, "
            "or source.format"
        ) from error


def storage(path: str, options: dict[str, Any]) -> Any:
    """Where icechunk keeps a repository: a folder, or a bucket and what its names begin with."""
    import icechunk

    # It warns of folders that several commit to; a source is read, and a target has a lock.
    icechunk.set_logs_filter("error")
    scheme, _, rest = path.rpartition("://")
    if scheme in ("", "file"):
        return icechunk.local_filesystem_storage(rest)
    bucket, _, prefix = rest.partition("/")
    own = {_AS_ICECHUNK.get(name, name): value for name, value in options.items()}
    # Without credentials of its own, a bucket is opened with those of the environment.
    given = {"prefix": prefix, **(own or {"from_env": True})}
    try:
        if scheme in ("s3", "s3a"):
            hosted = given.pop("virtual_hosted_style_request", False)
            return icechunk.s3_storage(bucket=bucket, force_path_style=not hosted, **given)
        if scheme in ("gs", "gcs"):
            return icechunk.gcs_storage(bucket=bucket, **given)
        if scheme in ("az", "abfs", "abfss"):
            account = given.pop("account", os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", ""))
            return icechunk.azure_storage(container=bucket, account=account, **given)
    except TypeError as error:
        raise ConfigError(
            f"{path}: {error}: icechunk has no such storage option; take it away"
        ) from error
    raise ConfigError(
        f"{path}: icechunk reads folders, s3://, gs:// and az://, not {scheme!r}; name one of these"
    )


def zarr_store(file: str, source: Stored) -> Store:
    """The store that holds a Zarr hierarchy, whatever the format around it."""
    kind = format_of(file, source)
    if kind == "icechunk":
        store: Store = session(file, source).store
        return store
    if kind == "kerchunk":
        from fsspec.implementations.reference import ReferenceFileSystem

        system = ReferenceFileSystem(
            fo=file,
            remote_options=source.storage_options,
            target_options=source.storage_options if remote.is_url(file) else {},
            asynchronous=True,
        )
        return FsspecStore(system, read_only=True, path="")
    if os.path.isdir(file):
        return LocalStore(file, read_only=True)
    return remote.zarr_store(file, source.storage_options)


class Guarded(WrapperStore[Store]):
    """A store that is read, file ``number`` of the source, whose chunks have to exist."""

    def __init__(self, store: Store, file: str, source: Stored, number: int) -> None:
        super().__init__(store)
        self._given = file, source, number
        # Nothing can change what is read in a snapshot.
        self._is_pinned = format_of(file, source) == "icechunk"

    def _with_store(self, store: Store) -> "Guarded":
        return Guarded(store, *self._given)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """What lies under ``key``."""
        if key.endswith(_METADATA):
            return await self._store.get(key, prototype, byte_range)
        file, source, number = self._given
        name = f"{number}/{key}"
        if not (self._is_pinned or versions.is_noted(name)):
            # Before the read: what is written after this look is found to be another version.
            root, options = file.rstrip("/"), source.storage_options
            version = await asyncio.to_thread(versions.of_key, self._store, root, key, options)
            versions.note(name, version)
        found = await self._store.get(key, prototype, byte_range)
        if found is None:
            await self._require_fill(key, prototype)
        elif len(found) == 0:
            raise InputError(f"the chunk {key!r} has 0 bytes; fetch it again")
        return found

    async def _require_fill(self, key: str, prototype: BufferPrototype) -> None:
        """Refuses a missing chunk, unless it stands for the fill value.

        A lone 0, such as a grid mapping or a single member, is what xarray never writes a chunk of.
        """
        values = await self._count_values(key, prototype)
        if values is None:
            raise InputError(
                f"neither the chunk {key!r} nor the metadata of its array can be seen by "
                f"{socket.gethostname()}; mount the store there, at the same path"
            )
        if self._given[1].missing_chunks == "error" and values != 1:
            raise InputError(
                f"the chunk {key!r} is missing, and a fill value is no data; restore it, or, if "
                "this dataset omits empty chunks, set source.missing_chunks: fill"
            )

    async def _count_values(self, key: str, prototype: BufferPrototype) -> int | None:
        """How many values the array of a chunk has; None where its metadata is missing too."""
        parents = [*accumulate(key.split("/")[:-1], "{}/{}".format)]
        for parent in reversed(parents):
            for name in ("zarr.json", ".zarray"):
                held = await self._store.get(f"{parent}/{name}", prototype)
                if held is not None:
                    return int(math.prod(json.loads(held.to_bytes())["shape"]))
        held = await self._store.get(".zmetadata", prototype)
        consolidated = json.loads(held.to_bytes())["metadata"] if held is not None else {}
        for parent in reversed(parents):
            if array := consolidated.get(f"{parent}/.zarray"):
                return int(math.prod(array["shape"]))
        return None
