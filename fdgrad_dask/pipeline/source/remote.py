"""What lies behind a URL: buckets by obstore, everything else by fsspec.

The scheme decides, not what happens to be installed, so that a config means the same everywhere.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from functools import cache
from importlib.util import find_spec
from typing import Any, BinaryIO

from zarr.abc.store import Store
from zarr.storage import FsspecStore, ObjectStore, ZipStore

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import STORES

_INSTALL = "pip install 'fdgrad_dask[remote]'"
# What the errors of obstore hold where it found no key and asked the machine, or was turned away.
_BUCKETS = "Buckets_"
_NO_KEYS = (
    "/latest/api/token",
    "/latest/meta-data",
    "metadata.google",
    "/metadata/identity",
    "PermissionDenied",
    "Unauthenticated",
    "Forbidden",
    "status: 403",
    "status: 401",
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
    return _scheme(url) in STORES


def zarr_store(url: str, options: dict[str, Any]) -> Store:
    """The Zarr store at a URL.

    Raises
    ------
    InputError
        The package that opens it is not installed, or there is no such scheme.
    """
    if url.startswith("zip://"):  # fsspec's reads with one handle for all threads
        return zip_store(local_copy(url.partition("::")[2], options))
    if is_bucket(url):
        return ObjectStore(objects(url, options), read_only=True)
    _require(url)
    return FsspecStore.from_url(url, storage_options=options, read_only=True)


def objects(url: str, options: dict[str, Any]) -> Any:
    """What obstore makes of the URL of a bucket and of the keys in it that begin alike.

    Raises
    ------
    InputError
        obstore is not installed.
    """
    _require(url)
    from obstore.store import from_url

    return from_url(url, **_for_obstore(options))


def zip_store(path: str) -> Store:
    """The Zarr store in a zip file on this machine."""
    return ZipStore(path, mode="r", read_only=True)


def file_system(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path on it.

    Raises
    ------
    InputError
        The package that opens it is not installed, or there is no such scheme.
    """
    _require(url)
    if is_bucket(url):
        system = _buckets(_scheme(url))(**_for_obstore(options))
        return system, system._strip_protocol(url)
    from fsspec.core import url_to_fs

    found: tuple[Any, str] = url_to_fs(url, **options)
    return found


@cache
def _buckets(scheme: str) -> Any:
    """obstore's file system for one scheme, which is not registered: others may use their own."""
    from obstore.fsspec import FsspecStore as Buckets

    return type(f"{_BUCKETS}{scheme}", (Buckets,), {"protocol": scheme, "__module__": __name__})


def __getattr__(name: str) -> Any:
    """Where pickle finds the class of a file system that it sends to a worker."""
    if name.startswith(_BUCKETS) and name.removeprefix(_BUCKETS) in STORES:
        return _buckets(name.removeprefix(_BUCKETS))
    raise AttributeError(name)


def _for_obstore(options: dict[str, Any]) -> dict[str, Any]:
    """``allow_http`` is an option of the client; elsewhere obstore panics at it."""
    if "allow_http" not in options:
        return options
    others = {name: value for name, value in options.items() if name != "allow_http"}
    client = {**others.get("client_options", {}), "allow_http": options["allow_http"]}
    return {**others, "client_options": client}


def without_keys(error: Exception, url: str) -> str | None:
    """What to do about a bucket that lets nobody in, where that is what went wrong."""
    if not is_bucket(url) or not any(sign in str(error) for sign in _NO_KEYS):
        return None
    return (
        "there are no keys for it, or they open nothing; if it is public, set storage_options: "
        f"{{skip_signature: true}}, else the environment variables {_VARIABLES[_scheme(url)[0]]}"
    )


def cause_of(error: Exception) -> str:
    """What went wrong, in one line."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"


def matching(url: str, options: dict[str, Any]) -> list[str]:
    """The URLs that a pattern names, sorted.

    Raises
    ------
    InputError
        There is none.
    """
    shown = without_secrets(url)
    system, pattern = file_system(url, options)
    try:
        found = [system.unstrip_protocol(path) for path in sorted(system.glob(pattern))]
    except Exception as error:
        cause = without_keys(error, url) or f"{cause_of(error)}; fix the URL or storage_options"
        raise InputError(f"{shown} cannot be listed: {cause}") from error
    if not found:
        raise InputError(f"nothing matches {shown!r}; fix the pattern, or name each file in a list")
    return found


def reading(url: str, options: dict[str, Any]) -> tuple[BinaryIO, int]:
    """The file at a URL, to be read piece by piece, and its bytes."""
    system, path = file_system(url, options)
    size = int(system.info(path)["size"])  # first: it fails without leaving a file half open
    return system.open(path, "rb"), size


def local_copy(path: str, options: dict[str, Any]) -> str:
    """``path`` itself, or a copy of what is at the URL that lives as long as the process."""
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


def _require(url: str) -> None:
    """Refuses a URL that nothing installed here can open, and says what to install."""
    shown, scheme = without_secrets(url), _scheme(url)
    for package in ("fsspec", *(["obstore"] if is_bucket(url) else [])):
        if find_spec(package) is None:
            raise InputError(f"{shown} needs {package}, which is not installed; {_INSTALL}")
    if is_bucket(url):
        return
    from fsspec import get_filesystem_class
    from fsspec.registry import known_implementations

    if scheme not in known_implementations:
        known = ", ".join(sorted(known_implementations)[:8])
        raise InputError(f"{shown}: no scheme {scheme!r}; there are {known} and more of fsspec's")
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        raise InputError(f"{shown} cannot be opened: {error}; {_INSTALL}") from error


def _scheme(url: str) -> str:
    """``s3`` of ``s3://bucket``, and of a chain ``a::s3://bucket`` the first."""
    return url.split("://")[0].split("::")[0]
