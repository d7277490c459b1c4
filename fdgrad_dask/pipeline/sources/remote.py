"""What lies behind a URL: by fsspec, or by obstore where fsspec has no package for the scheme."""

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

_INSTALL = "pip install 'fdgrad_dask[remote]'"


def is_url(path: str) -> bool:
    """Whether ``path`` is one that fsspec reads, with a scheme before ``://``."""
    return "://" in path


def zarr_store(url: str, options: dict[str, Any]) -> Store:
    """The Zarr store at a URL.

    Raises
    ------
    InputError
        Nothing that is installed knows the scheme.
    """
    if url.startswith("zip://"):  # fsspec's reads with one handle for all threads
        return zip_store(local_copy(url.partition("::")[2], options))
    if _known_to_fsspec(url):
        return FsspecStore.from_url(url, storage_options=options, read_only=True)
    from obstore.store import from_url

    return ObjectStore(from_url(url, **options), read_only=True)


def zip_store(path: str) -> Store:
    """The Zarr store in a zip file on this machine."""
    return ZipStore(path, mode="r", read_only=True)


def file_system(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path on it.

    Raises
    ------
    InputError
        Nothing that is installed knows the scheme.
    """
    if not _known_to_fsspec(url):
        from obstore.fsspec import register

        register(_scheme(url))
    from fsspec.core import url_to_fs

    found: tuple[Any, str] = url_to_fs(url, **options)
    return found


def matching(url: str, options: dict[str, Any]) -> list[str]:
    """The URLs that a pattern names, sorted.

    Raises
    ------
    InputError
        There is none.
    """
    system, pattern = file_system(url, options)
    found = [system.unstrip_protocol(path) for path in sorted(system.glob(pattern))]
    if not found:
        raise InputError(f"nothing matches {url!r}; mend the pattern, or name each file in a list")
    return found


def reading(url: str, options: dict[str, Any]) -> tuple[BinaryIO, int]:
    """The file at a URL, to be read piece by piece, and its bytes."""
    system, path = file_system(url, options)
    return system.open(path, "rb"), int(system.info(path)["size"])


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


def _known_to_fsspec(url: str) -> bool:
    """True, or False where obstore has to do; an error where neither is there."""
    obstore = find_spec("obstore") is not None
    if find_spec("fsspec") is None:
        if obstore:
            return False
        raise InputError(f"{url} needs fsspec, which is not installed; {_INSTALL}")
    from fsspec import get_filesystem_class
    from fsspec.registry import known_implementations

    scheme = _scheme(url)
    if scheme not in known_implementations:
        known = ", ".join(sorted(known_implementations)[:8])
        raise InputError(f"{url}: no scheme {scheme!r}; there are {known} and more of fsspec's")
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        if obstore and scheme in ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "http", "https"):
            return False
        raise InputError(f"{url} cannot be opened: {error}; {_INSTALL}") from error
    return True


def _scheme(url: str) -> str:
    """``s3`` of ``s3://bucket``, and of a chain ``a::s3://bucket`` the first."""
    return url.split("://")[0].split("::")[0]
