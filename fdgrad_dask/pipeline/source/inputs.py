"""By what a source is known again: before it is read, and each object of it that was read."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any

import zarr

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import Source, Stored
from fdgrad_dask.pipeline.source import remote, versions
from fdgrad_dask.pipeline.source.open import numbered
from fdgrad_dask.pipeline.source.remote import files_of, format_of
from fdgrad_dask.pipeline.source.zarr import session, zarr_store

_LISTED = 16  # files listed one by one; more are one digest
_LOOKING = 8  # objects at a time
_SHOWN = 5


def fingerprint(source: Source) -> dict[str, str]:
    """What a source is now, in a few words a file, or in one digest where there are many.

    A file is known by its bytes and the time of its last change or its ETag, a Zarr store by the
    digest of all its metadata, an Icechunk repository by its snapshot.
    """
    parts: list[Stored] = [source, *([source.coordinates] if source.coordinates else [])]
    found = {without_secrets(f): _fingerprint(f, part) for part in parts for f in files_of(part)}
    if len(found) <= _LISTED:
        return found
    return {f"{len(found)} files": f"sha256 {_digest(found)}"}


def _fingerprint(file: str, source: Stored) -> str:
    kind = format_of(file, source)
    try:
        if kind == "icechunk":
            return f"snapshot {session(file, source).snapshot_id}"
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
        self._files: dict[int, tuple[str, Stored]] = {n: (f, source) for n, f in enumerate(files)}
        if source.coordinates:
            with suppress(InputError):  # they are gone
                self._files |= numbered(source.coordinates)
        self._store = cache(zarr_store)

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
        """Whether nothing of the fields exists any more; files of the grid may still be there."""
        names = {name for seen in read for name in seen if not name.startswith("-")}
        return all(self._now(name) == versions.MISSING for name in names)

    def shown(self, names: Iterable[str]) -> str:
        """Some of these objects, as a message names them."""
        listed = sorted(names)
        paths = ["/".join(filter(None, self._place(name)[:2])) for name in listed[:_SHOWN]]
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        return ", ".join(map(without_secrets, paths)) + more

    def _place(self, name: str) -> tuple[str, str, Stored | None]:
        """The file, the key in it, and how it opens; no file where the source has fewer now."""
        number, _, key = name.partition("/")
        file, source = self._files.get(int(number), ("", None))
        return file, key, source

    def _now(self, name: str) -> str:
        file, key, source = self._place(name)
        if source is None:
            return versions.MISSING
        try:
            if not key:
                return versions.of(file, source.storage_options)
            # References say in which file a key lies; of all others the path does.
            refers = format_of(file, source) == "kerchunk"
            store = self._store(file, source) if refers else None
            return versions.of_key(store, file.rstrip("/"), key, source.storage_options)
        except Exception as error:  # of whatever library opens the URL
            raise InputError(
                f"{self.shown([name])} cannot be looked at ({remote.cause_of(error)}), so nobody "
                "knows whether it has changed; run again when it can"
            ) from error
