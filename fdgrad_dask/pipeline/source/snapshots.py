"""Icechunk repositories: where they are kept, and which of their snapshots is read."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from fdgrad_dask.errors import ConfigError, InputError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.source import Stored

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


def session(path: str, source: Stored) -> Any:
    """The read-only session of the branch, tag or snapshot that the source names."""
    found = repository(path, source.storage_options)
    import icechunk

    if source.snapshot:
        kind, name, wanted = "snapshot", source.snapshot, {"snapshot_id": source.snapshot}
    else:
        kind, name = ("tag", source.tag) if source.tag else ("branch", source.branch or "main")
        wanted = {kind: name}
    try:
        return found.readonly_session(**wanted)
    except icechunk.IcechunkError as error:
        known = {"tag": found.list_tags, "branch": found.list_branches}
        advice = "give the id of one that is there"
        if kind in known:
            advice = did_you_mean(name, known[kind]())
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
