"""Where a source lies: here, or behind a URL: buckets by obstore, everything else by fsspec.

The scheme decides, not what happens to be installed, so that a config means the same everywhere.
"""

import atexit
import glob
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from typing import Any, BinaryIO

from dask.utils import parse_timedelta
from zarr.abc.store import Store
from zarr.storage import FsspecStore, ObjectStore, ZipStore

from fdgrad_dask.errors import ConfigError, InputError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.section import SAMPLE
from fdgrad_dask.pipeline.config.source import STORES, Stored

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
_NETCDF = (".nc", ".nc4", ".cdf", ".netcdf", ".h5", ".hdf5")


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
    advice = "fix its permissions" if isinstance(error, PermissionError) else advice
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


def files_of(source: Stored) -> list[str]:
    """Every file, folder or URL of a source, patterns and samples replaced by what they name."""
    return [file for path in source.path for file in _named(path, source.storage_options)]


def is_repository(found: Collection[str]) -> bool:
    """Whether a folder with these names in it is an Icechunk repository.

    Its branches are in a folder, or since version 2 of the format in a file.
    """
    return "snapshots" in found and ("refs" in found or "repo" in found)


def format_of(file: str, source: Stored) -> str:
    """What a file is, by its name and what it looks like."""
    if source.format != "auto":
        return source.format
    name = file.rstrip("/").lower()
    if source.branch or source.tag or source.snapshot or name.endswith(".icechunk"):
        return "icechunk"
    if name.endswith(".json"):
        return "kerchunk"
    if is_url(file):
        return "netcdf" if name.endswith(_NETCDF) else "zarr"
    if os.path.isdir(file):
        return "icechunk" if is_repository(_listed(file)) else "zarr"
    return "zarr" if name.endswith(".zip") else "netcdf"


def _named(path: str, options: dict[str, Any]) -> list[str]:
    if path.startswith(SAMPLE):
        return [_sample(path.removeprefix(SAMPLE))]
    if is_url(path):
        return matching(path, options) if "*" in path else [path]
    if os.path.exists(path):
        return [path]
    found = sorted(glob.glob(path))
    if not found:
        for literal in _with_brackets(path):
            if glob.glob(literal):
                raise InputError(
                    f"no file matches {path!r}, in which [...] stands for one character; where the "
                    f"name has brackets, write {literal!r}"
                )
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise InputError(f"no source {path!r}: there is no folder {folder!r}; fix the path")
        what = "no file matches" if glob.has_magic(path) else "no source"
        inside = _listed(folder)
        raise InputError(f"{what} {path!r}; {did_you_mean(os.path.basename(path), inside)}")
    return found


def _with_brackets(pattern: str) -> Iterator[str]:
    """The pattern with brackets that stand for themselves, in the folder or everywhere."""
    folder, name = os.path.split(pattern)
    yield os.path.join(glob.escape(folder), name)
    yield pattern.replace("[", "[[]")


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise refusal(error, folder, "listed", "fix the path") from error


def _sample(name: str) -> str:
    spec = find_spec("iris_sample_data")
    if spec is None or spec.origin is None:
        raise InputError(
            f"{SAMPLE}{name} needs the package iris-sample-data, which is not installed; "
            "pip install 'fdgrad_dask[samples]'"
        )
    folder = os.path.join(os.path.dirname(spec.origin), "sample_data")
    names = sorted(file for file in os.listdir(folder) if file.endswith(".nc"))
    if name not in names:
        raise InputError(f"no sample {name!r}; {did_you_mean(name, names)}")
    return os.path.join(folder, name)
