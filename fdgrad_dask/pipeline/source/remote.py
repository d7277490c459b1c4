"""What lies behind a URL: buckets by obstore, everything else by fsspec.

The scheme decides, not what happens to be installed, so that a config means the same everywhere.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, BinaryIO

from dask.utils import parse_timedelta
from zarr.abc.store import Store
from zarr.storage import FsspecStore, ObjectStore, ZipStore

from fdgrad_dask.errors import ConfigError, InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import STORES

# What the errors of obstore hold where it found no key and asked the machine, or was turned away.
_NO_KEYS = (
    *("/latest/api/token", "/latest/meta-data", "metadata.google", "/metadata/identity"),
    *("PermissionDenied", "Unauthenticated", "Forbidden", "status: 403", "status: 401"),
)
_VARIABLES = {  # by the first letter of the scheme
    "s": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "g": "GOOGLE_APPLICATION_CREDENTIALS",
    "a": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


def is_url(path: str) -> bool:
    """Whether ``path`` is one that fsspec reads, with a scheme before ``://``."""
    return "://" in path


def is_bucket(url: str) -> bool:
    """Whether obstore opens it."""
    return url.partition("://")[0] in STORES


def zarr_store(url: str, options: dict[str, Any]) -> Store:
    """The Zarr store at a URL, or in a zip file on this machine or at ``zip://::URL``."""
    if url.startswith("zip://") or not is_url(url):  # fsspec's has one handle for all threads
        archive = url.partition("::")[2] or url
        return ZipStore(local_copy(archive, options), mode="r", read_only=True)
    if is_bucket(url):
        return ObjectStore(objects(url, options), read_only=True)
    with _installed(url):
        return FsspecStore.from_url(url, storage_options=options, read_only=True)


def objects(url: str, options: dict[str, Any]) -> Any:
    """What obstore makes of the URL of a bucket and of the keys in it that begin alike."""
    with _installed(url), _known_options(url):
        from obstore.store import from_url

        return from_url(url, **_for_obstore(options))


def file_system(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path on it."""
    with _installed(url):
        if is_bucket(url):  # not by fsspec's register: others may use their own
            from obstore.fsspec import FsspecStore as Buckets

            scheme: Any
            scheme, _, path = url.partition("://")
            with _known_options(url):
                return Buckets(scheme, **_for_obstore(options)), path
        from fsspec.core import url_to_fs

        found: tuple[Any, str] = url_to_fs(url, **options)
        return found


@contextmanager
def _installed(url: str) -> Iterator[None]:
    """Says what to install, where that is what is missing."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{without_secrets(url)} cannot be opened: {error}; pip install 'fdgrad_dask[remote]'"
        ) from error


@contextmanager
def _known_options(url: str) -> Iterator[None]:
    """Says that options are wrong which obstore cannot take."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"storage_options of {without_secrets(url)} cannot be used: {cause_of(error)}; write "
            "names and values as the pages of obstore have them"
        ) from error


def _for_obstore(options: dict[str, Any]) -> dict[str, Any]:
    """``allow_http`` is an option of the client; elsewhere obstore panics at it.

    YAML has no durations, which ``retry_config`` has: there they are seconds, or like ``30 s``.
    """
    made = dict(options)
    if "allow_http" in made:
        client = made.get("client_options", {})
        made["client_options"] = {**client, "allow_http": made.pop("allow_http")}
    if isinstance(retry := made.get("retry_config"), dict):
        made["retry_config"] = _with_durations(retry)
    return made


def _with_durations(options: dict[str, Any]) -> dict[str, Any]:
    """Options of retries, whose durations are Python's."""
    made = dict(options)
    for name in {"retry_timeout", "init_backoff", "max_backoff"} & made.keys():
        if not isinstance(made[name], timedelta):
            made[name] = timedelta(seconds=parse_timedelta(made[name]))
    if isinstance(backoff := made.get("backoff"), dict):
        made["backoff"] = _with_durations(backoff)
    return made


def without_keys(error: Exception, url: str) -> str | None:
    """What to do about a bucket that lets nobody in, where that is what went wrong."""
    if not is_bucket(url) or not any(sign in str(error) for sign in _NO_KEYS):
        return None
    return (
        "there are no keys for it, or they open nothing; if it is public, set storage_options: "
        f"{{skip_signature: true}}, else the environment variables {_VARIABLES[url[0]]}"
    )


def refusal(error: Exception, place: str, did: str, advice: str) -> InputError:
    """That ``place`` cannot be opened, or what else it ``did``, for one cause and in one line."""
    shown = without_secrets(place)
    if no_keys := without_keys(error, place):
        return InputError(f"{shown} cannot be {did}: {no_keys}")
    return InputError(f"{shown} cannot be {did} ({cause_of(error)}); {advice}")


def cause_of(error: Exception) -> str:
    """What went wrong, in one line."""
    if "IO backends" in str(error):  # xarray's answer names its engines over five lines
        return "nothing that is installed knows the format"
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"


def matching(url: str, options: dict[str, Any]) -> list[str]:
    """The URLs that a pattern names, sorted."""
    try:
        system, pattern = file_system(url, options)
        found = [system.unstrip_protocol(path) for path in sorted(system.glob(pattern))]
    except InputError:
        raise
    except Exception as error:
        raise refusal(error, url, "listed", "fix the URL or storage_options") from error
    if not found:
        shown = without_secrets(url)
        raise InputError(f"nothing matches {shown!r}; fix the pattern, or name each file in a list")
    return found


def reading(url: str, options: dict[str, Any]) -> tuple[BinaryIO, int]:
    """The file at a URL, to be read piece by piece, and its bytes."""
    system, path = file_system(url, options)
    size = int(system.info(path)["size"])  # first: it fails without leaving a file half open
    return system.open(path, "rb"), size


def local_copy(path: str, options: dict[str, Any]) -> str:
    """``path`` itself, or a copy of what is at the URL that lives as long as the process.

    Not fsspec's ``simplecache``, which knows a copy by its URL though the content has changed.
    """
    if not is_url(path):
        return path
    system, there = file_system(path, options)
    here = os.path.join(_copies(), f"{system.ukey(there)}-{os.path.basename(there)}")
    if not os.path.exists(here):
        growing = f"{here}.{threading.get_ident()}"
        system.get_file(there, growing)
        os.replace(growing, here)
    return here


@cache
def _copies() -> str:
    folder = tempfile.mkdtemp(prefix="fdgrad-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
