"""Which objects of a Zarr hierarchy belong to given arrays; others are never deleted."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from uuid import uuid4

WHOLE = "fdgrad-whole.nc"
"""The netCDF file that is put together inside the folder that grew."""
GROWING = "fdgrad-partial.json"
"""The metadata of a group in a bucket that has no ``zarr.json`` yet, so that nobody reads it."""
_OF_AN_ARRAY = re.compile(r"(?:zarr\.json|c(?:/\d+)*|(?:zarr|c(?:/\d+)*)\.[0-9a-f]{32}\.partial)")
_OF_THE_GROUP = re.compile(
    r"zarr\.json|zarr\.[0-9a-f]{32}\.partial|" + "|".join(map(re.escape, (WHOLE, GROWING)))
)


def is_of_arrays(key: str, names: Collection[str]) -> bool:
    """Whether a key is one of the group, or of the metadata or a chunk of one of these arrays.

    Examples
    --------
    >>> [is_of_arrays(key, ["t"]) for key in ("zarr.json", "t/c/0/1", "t/notes.txt", "q/c/0")]
    [True, True, False, False]
    """
    array, found, rest = key.partition("/")
    if not found:
        return bool(_OF_THE_GROUP.fullmatch(key))
    return array in names and bool(_OF_AN_ARRAY.fullmatch(rest))


def strangers_in(folder: str, names: Collection[str]) -> Iterator[str]:
    """The files and links in a Zarr folder that are no part of these arrays."""
    return (key for key, _, ours in _files_in(folder, names) if not ours)


def remove(folder: str, names: Collection[str]) -> bool:
    """Deletes these arrays from a Zarr folder, the group last; whether nothing else is left."""
    if os.path.islink(folder) or not os.path.isdir(folder):
        return False
    for is_last in (False, True):
        for key, full, ours in _files_in(folder, names):
            if ours and ("/" in key) != is_last:
                os.unlink(full)
    for at, _, _ in os.walk(folder, topdown=False):
        if at == folder or os.path.relpath(at, folder).split(os.sep)[0] in names:
            with suppress(OSError):  # it is not empty
                os.rmdir(at)
    return not os.path.lexists(folder)


def drop(folder: str, names: Collection[str], but: Collection[str]) -> None:
    """Deletes from a Zarr folder what is there of these arrays under other keys than those."""
    for key, full, ours in _files_in(folder, names):
        if ours and "/" in key and key not in but:
            os.unlink(full)


def remove_leftovers(folder: str, names: Collection[str]) -> None:
    """Deletes what writers left that were killed while they wrote these arrays, nothing else.

    zarr writes ``0.<32 digits>.partial`` beside the object ``0``, and renames it when complete.
    """
    for key, full, ours in _files_in(folder, names):
        if ours and key.endswith(".partial"):
            # A worker that was cut off may live, and finish its file in this moment.
            with suppress(FileNotFoundError):
                os.unlink(full)


def link(there: str, here: str, keys: Iterable[str]) -> None:
    """Has these objects of one Zarr folder in another too: linked, or copied where that fails."""
    for key in keys:
        old, new = os.path.join(there, key), os.path.join(here, key)
        if not os.path.exists(old) or os.path.exists(new):
            continue
        os.makedirs(os.path.dirname(new), exist_ok=True)
        try:
            os.link(old, new)
        except OSError:
            part = f"{new}.{uuid4().hex}.partial"
            shutil.copyfile(old, part)
            os.replace(part, new)


def _files_in(folder: str, names: Collection[str]) -> Iterator[tuple[str, str, bool]]:
    """Key and path of every file and link in a folder, and whether it is of these arrays."""
    for at, folders, files in os.walk(folder):
        for name in [*files, *folders]:
            full = os.path.join(at, name)
            is_link = os.path.islink(full)
            if name in files or is_link:
                key = os.path.relpath(full, folder)
                yield key, full, not is_link and is_of_arrays(key, names)
