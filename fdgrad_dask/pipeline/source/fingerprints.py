"""By what a source is known again: enough to tell that it changed, without reading its fields."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import zarr

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source import snapshots, versions
from fdgrad_dask.pipeline.source.places import files_of, format_of
from fdgrad_dask.pipeline.source.zarr import zarr_store

_LISTED = 16  # files told one by one; more are told by a digest of them all


def fingerprint(source: Source) -> dict[str, str]:
    """What a source is now, in a few words a file, or in one digest where there are many.

    A file is known by its bytes and the time of its last change or its ETag, a Zarr store by the
    digest of all its metadata, an Icechunk repository by its snapshot.

    Raises
    ------
    InputError
        It is not there, or cannot be opened.
    """
    found = {without_secrets(file): _of(file, source) for file in files_of(source)}
    if len(found) <= _LISTED:
        return found
    return {f"{len(found)} files": f"sha256 {_digest(found)}"}


def _of(file: str, source: Source) -> str:
    kind = format_of(file, source)
    try:
        if kind == "icechunk":
            return f"snapshot {snapshots.session(file, source).snapshot_id}"
        if kind == "zarr":
            return f"metadata of sha256 {_digest(_metadata(file, source))}"
        return versions.of(file, source.storage_options)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file} cannot be looked at ({error}); fix the path") from error


def _metadata(file: str, source: Source) -> dict[str, Any]:
    group = zarr.open_group(zarr_store(file, source), mode="r", path=source.group or "")
    members = dict(group.members(max_depth=None))
    return {name: members[name].metadata.to_dict() for name in sorted(members)}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
