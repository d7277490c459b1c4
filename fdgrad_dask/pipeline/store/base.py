"""What a run needs of a format: lay out, write shards, find what is there, publish."""

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import uuid4

import google_crc32c
import numpy as np
import xarray as xr
from numpy.typing import NDArray

Replaces = Mapping[str, Collection[str]]
"""The arrays of targets of ours, by their digests."""
State = Literal["absent", "unfinished", "finished"]
_WORDS = 2**17  # a MiB that is turned round at once
WHOLE = "fdgrad-whole.nc"
"""The netCDF file that is put together inside the folder that grew."""
GROWING = "fdgrad-partial.json"
"""The metadata of a group in a bucket that has no ``zarr.json`` yet, so that nobody reads it."""
_OF_AN_ARRAY = re.compile(r"(?:zarr\.json|c(?:/\d+)*|(?:zarr|c(?:/\d+)*)\.[0-9a-f]{32}\.partial)")
_OF_THE_GROUP = re.compile(
    r"zarr\.json|zarr\.[0-9a-f]{32}\.partial|" + "|".join(map(re.escape, (WHOLE, GROWING)))
)


@dataclass(frozen=True)
class Shard:
    """What was stored: the key of a shard, and the checksum of its bytes."""

    key: str
    checksum: str
    nbytes: int
    """Decoded."""


@dataclass(frozen=True)
class Held:
    """What lies where a target is, or grows."""

    path: str
    partial: bool
    digest: str | None
    """Of the run that wrote it, as it says itself; None where it says nothing."""


def checksum_of(stored: NDArray[Any] | bytes) -> str:
    """The crc32c of bytes from their end to their beginning, eight at a time, in hex behind an "r".

    From the beginning it would say nothing. Chunks end in their own crc32c: over both it is the
    same whatever they hold, and over a shard of such chunks it depends on their lengths alone.

    >>> checksum_of(b"123456789")
    'r01ecb845'
    """
    held = np.frombuffer(stored, np.uint8) if isinstance(stored, bytes) else stored
    held = np.ascontiguousarray(held).reshape(-1).view(np.uint8)
    rest = held.size % 8
    words, crc = held[rest:].view(np.uint64), 0
    for end in range(words.size, 0, -_WORDS):
        crc = google_crc32c.extend(crc, words[max(end - _WORDS, 0) : end][::-1].tobytes())
    return f"r{google_crc32c.extend(crc, held[:rest].tobytes()):08x}"


def box(corner: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where values of this shape lie that begin at ``corner``."""
    return tuple(slice(at, at + n) for at, n in zip(corner, shape, strict=True))


class Writer(Protocol):
    """Writes the shards of one region, on a worker; several threads call it at once."""

    def write(self, name: str, corner: tuple[int, ...], values: NDArray[np.generic]) -> Shard:
        """Stores one complete shard of an array, which begins at the point ``corner``."""

    def parcel(self) -> Any:
        """What the driver needs in order to make this region a part of the target."""


class Store(Protocol):
    """A target in its format, as the driver sees it and each worker for itself."""

    can_extend: bool = False
    """Whether the target can become longer without its readers ever seeing half of it."""

    def state(self) -> State:
        """Whether a target is there or grows, whoever wrote it."""
        held = list(self.held())
        if not held:
            return "absent"
        return "unfinished" if held[-1].partial else "finished"

    def held(self) -> Iterable[Held]:
        """What is there, finished and then growing; an empty folder is nothing."""

    def strangers(self, held: Held, names: Collection[str]) -> Iterable[str]:
        """What lies in it beside arrays of these names, as a message names it."""

    def lay_out(self, template: xr.Dataset, names: Collection[str] = ()) -> dict[str, str]:
        """Metadata and coordinates, under the partial name, where arrays of ``names`` go.

        Checksums of them, by key.
        """

    def extend(self, template: xr.Dataset, base: str, keys: Iterable[str]) -> dict[str, str]:
        """As ``lay_out``, around shards that are kept, whose ``keys`` are the same there.

        They lie where arrays grow, or else in the published target whose digest is ``base``, of
        which nothing changes before ``publish``.
        """
        raise AssertionError("it cannot be extended")

    def writer(self) -> Writer:
        """For one region."""

    def accept(self, parcel: Any) -> None:
        """Makes a finished region a part of the target; on the driver, one at a time."""
        return

    def settle(self) -> None:
        """Makes sure that what was accepted is there when this process is gone."""
        return

    def absent(self, keys: Iterable[str]) -> set[str]:
        """Those that are not there, or empty."""

    def checksum(self, key: str) -> str | None:
        """Of what is stored now; None where nothing is stored."""

    def remove_leftovers(self, names: Collection[str]) -> None:
        """Deletes what writers of these arrays left that were killed; all shards are there."""
        return

    def publish(self, names: Collection[str], replaces: Replaces) -> None:
        """Gives what is complete, arrays of these names, the name of the target.

        In place of a target of ours: ``replaces`` has the arrays of those by their digests.
        """

    def free(self) -> int | None:
        """Bytes that can still be written, where that can be known."""
        return None


def is_of_arrays(key: str, names: Collection[str]) -> bool:
    """Whether a key is one of the group, or of the metadata or a chunk of one of these arrays.

    >>> [is_of_arrays(key, ["t"]) for key in ("zarr.json", "t/c/0/1", "t/notes.txt", "q/c/0")]
    [True, True, False, False]
    """
    array, found, rest = key.partition("/")
    if not found:
        return bool(_OF_THE_GROUP.fullmatch(key))
    return array in names and bool(_OF_AN_ARRAY.fullmatch(rest))


def unlink(folder: str, names: Collection[str], is_unwanted: Callable[[str], bool]) -> None:
    """Deletes the unwanted objects of these arrays from a Zarr folder, by their keys."""
    for key, full, ours in files_in(folder, names):
        if ours and is_unwanted(key):
            # A worker that was cut off may live, and finish its file in this moment.
            with suppress(FileNotFoundError):
                os.unlink(full)


def remove(folder: str, names: Collection[str]) -> bool:
    """Deletes these arrays from a Zarr folder, the group last; whether nothing else is left."""
    if os.path.islink(folder) or not os.path.isdir(folder):
        return False
    unlink(folder, names, lambda key: "/" in key)
    unlink(folder, names, lambda key: "/" not in key)
    for at, _, _ in os.walk(folder, topdown=False):
        if at == folder or os.path.relpath(at, folder).split(os.sep)[0] in names:
            with suppress(OSError):  # it is not empty
                os.rmdir(at)
    return not os.path.lexists(folder)


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


def files_in(folder: str, names: Collection[str]) -> Iterator[tuple[str, str, bool]]:
    """Key and path of every file and link in a folder, and whether it is of these arrays."""
    for at, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(at, name))]
        for name in [*files, *links]:
            full = os.path.join(at, name)
            key = os.path.relpath(full, folder)
            yield key, full, is_of_arrays(key, names) and not os.path.islink(full)
