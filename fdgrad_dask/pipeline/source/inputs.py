"""By what a source is known again: before it is read, and each object of it that was read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import zarr

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source import remote, snapshots, versions
from fdgrad_dask.pipeline.source.places import files_of, format_of
from fdgrad_dask.pipeline.source.zarr import zarr_store

_LISTED = 16  # files listed one by one; more are one digest
_LOOKING = 8  # objects at a time
_SHOWN = 5


def fingerprint(source: Source) -> dict[str, str]:
    """What a source is now, in a few words a file, or in one digest where there are many.

    A file is known by its bytes and the time of its last change or its ETag, a Zarr store by the
    digest of all its metadata, an Icechunk repository by its snapshot.
    """
    found = {without_secrets(file): _fingerprint(file, source) for file in files_of(source)}
    if len(found) <= _LISTED:
        return found
    return {f"{len(found)} files": f"sha256 {_digest(found)}"}


def _fingerprint(file: str, source: Source) -> str:
    kind = format_of(file, source)
    try:
        if kind == "icechunk":
            return f"snapshot {snapshots.session(file, source).snapshot_id}"
        if kind == "netcdf":
            return versions.of(file, source.storage_options)
        store = zarr_store(file, source)
        group = zarr.open_group(store, mode="r", path=source.group or "")
        metadata = {name: each.metadata.to_dict() for name, each in group.members(max_depth=None)}
        return f"metadata of sha256 {_digest(metadata)}"
    except (OSError, ValueError, KeyError) as error:
        raise remote.refusal(error, file, "looked at", "fix the path") from error


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


class Inputs:
    """The files of a source by number, and the versions that their objects have now."""

    def __init__(self, source: Source, files: Sequence[str]) -> None:
        self._source, self._files = source, tuple(files)
        self._store = cache(lambda file: zarr_store(file, source))

    def changed(self, read: Iterable[Mapping[str, str]]) -> set[str]:
        """The objects that some of ``read`` have in another version than the one of now."""
        known: dict[str, set[str]] = {}
        for seen in read:
            for name, version in seen.items():
                known.setdefault(name, set()).add(version)
        with ThreadPoolExecutor(_LOOKING) as looking:
            now = dict(zip(known, looking.map(self._now, known), strict=True))
        return {name for name in known if known[name] != {now[name]}}

    def are_gone(self, read: Iterable[Mapping[str, str]]) -> bool:
        """Whether nothing of what was read exists any more."""
        names = {name for seen in read for name in seen}
        return all(self._now(name) == versions.MISSING for name in names)

    def shown(self, names: Iterable[str]) -> str:
        """Some of these objects, as a message names them."""
        listed = sorted(names)
        paths = ["/".join(filter(None, self._place(name))) for name in listed[:_SHOWN]]
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        return ", ".join(map(without_secrets, paths)) + more

    def _place(self, name: str) -> tuple[str, str]:
        """The file and the key in it; no file where the source has fewer now."""
        number, _, key = name.partition("/")
        return (self._files[int(number)] if int(number) < len(self._files) else ""), key

    def _now(self, name: str) -> str:
        (file, key), options = self._place(name), self._source.storage_options
        if not file:
            return versions.MISSING
        try:
            if not key:
                return versions.of(file, options)
            # References say in which file a key lies; of all others the path does.
            refers = format_of(file, self._source) == "kerchunk"
            store = self._store(file) if refers else None
            return versions.of_key(store, file.rstrip("/"), key, options)
        except Exception as error:  # of whatever library opens the URL
            raise InputError(
                f"{self.shown([name])} cannot be looked at ({remote.cause_of(error)}), so nobody "
                "knows whether it has changed; run again when it can"
            ) from error
