"""Icechunk repositories: which snapshot is read, and the Zarr store that it is."""

from __future__ import annotations

import os
from collections.abc import Collection
from importlib.util import find_spec
from typing import Any

from zarr.abc.store import Store

from fdgrad_dask.errors import ConfigError, InputError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.source import Source

# One set of names: those of obstore, as icechunk calls them.
_AS_ICECHUNK = {
    "skip_signature": "anonymous",
    "endpoint": "endpoint_url",
    "account_name": "account",
    "account_key": "access_key",
    "service_account": "service_account_file",
}


def is_repository(found: Collection[str]) -> bool:
    """Whether a folder with these names in it is an Icechunk repository."""
    return {"snapshots", "refs"} <= {*found}


def store(path: str, source: Source) -> Store:
    """The read-only store of the branch, tag or snapshot that the source names.

    Raises
    ------
    InputError
        There is no repository, or icechunk is not installed.
    ConfigError
        It has no such branch, tag or snapshot.
    """
    found: Store = _session(path, source).store
    return found


def snapshot_of(path: str, source: Source) -> str:
    """The id of the snapshot that the source names now."""
    return str(_session(path, source).snapshot_id)


def pinned(source: Source, files: list[str]) -> Source:
    """``source``, but of a branch, which may move while a run reads it, the snapshot of now."""
    if len(files) != 1 or source.tag or source.snapshot:
        return source
    return source.model_copy(
        update={"branch": None, "snapshot": snapshot_of(files[0], source), "format": "icechunk"}
    )


def repository(path: str, options: dict[str, Any]) -> Any:
    """The repository at a path or URL.

    Raises
    ------
    InputError
        There is none, or icechunk is not installed.
    """
    if find_spec("icechunk") is None:
        raise InputError(
            f"{path} needs icechunk, which is not installed; pip install 'fdgrad_dask[icechunk]'"
        )
    import icechunk

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
    bucket, _, prefix = rest.partition("/")
    if scheme in ("", "file"):
        return icechunk.local_filesystem_storage(rest)
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
            f"{path}: icechunk has another idea of storage_options: {error}"
        ) from error
    raise ConfigError(
        f"{path}: icechunk reads folders, s3://, gs:// and az://, not {scheme!r}; name one of these"
    )


def _session(path: str, source: Source) -> Any:
    import icechunk

    found = repository(path, source.storage_options)
    if source.snapshot:
        wanted, kind, known = {"snapshot_id": source.snapshot}, "snapshot", set()
    elif source.tag:
        wanted, kind, known = {"tag": source.tag}, "tag", found.list_tags()
    else:
        wanted, kind, known = {"branch": source.branch or "main"}, "branch", found.list_branches()
    try:
        return found.readonly_session(**wanted)
    except icechunk.IcechunkError as error:
        [name] = wanted.values()
        advice = did_you_mean(name, known) if known else "give the id of one that is there"
        raise ConfigError(f"source.{kind}: {path} has no {kind} {name!r}; {advice}") from error
