"""Where the small objects of a run lie beside its target: a folder, or a prefix of a bucket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Place(Protocol):
    """Objects by key, like ``run.json``; each is there whole or not at all."""

    path: str
    """For messages: the folder, or the URL without secrets."""

    def read(self, key: str) -> bytes | None:
        """What the object holds; None where there is none."""

    def write(self, key: str, content: bytes) -> None:
        """Puts an object, in place of one of the same key.

        Raises
        ------
        OutputError
            It cannot be written, because the disk is full or for another reason.
        """

    def append(self, key: str, content: bytes) -> None:
        """Adds to the end of an object, which need not be there; one process at a time does.

        What an earlier process was killed in the middle of may be its torn end. In a bucket it
        waits, for some seconds at most, until there is more of it, or another call of any kind.
        """

    def create(self, key: str, content: bytes) -> bool:
        """Puts an object where there is none; whether there was none."""

    def replace(self, key: str, seen: bytes, content: bytes) -> bool:
        """Puts an object in place of one that holds ``seen``; whether it did.

        Of several that try at once, one does.
        """

    def renew(self, key: str, seen: bytes, content: bytes) -> bool:
        """The same, where at no moment there may be none: for the owner of a lock.

        In a folder another one may slip in between the look and the write.
        """

    def delete(self, key: str) -> None:
        """Removes an object, which may be gone already."""

    def keys(self) -> Iterable[str]:
        """Those of all objects."""
