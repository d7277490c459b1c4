"""Whether what was read is still what it was: each object of the source, by its version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source import remote, versions
from fdgrad_dask.pipeline.source.places import format_of
from fdgrad_dask.pipeline.source.zarr import zarr_store

_LOOKING = 8  # objects at a time
_SHOWN = 5


class Inputs:
    """The files of a source, and the versions that their objects have now.

    Parameters
    ----------
    source : Source
        How they are opened.
    files : sequence of str
        Paths or URLs, in the order in which objects are named by their numbers.
    """

    def __init__(self, source: Source, files: Sequence[str]) -> None:
        self._source, self._files = source, tuple(files)
        self._references: dict[int, Any] = {}

    def changed(self, read: Iterable[Mapping[str, str]]) -> set[str]:
        """The objects that some of ``read`` have in another version than the one of now."""
        known: dict[str, set[str]] = {}
        for seen in read:
            for name, version in seen.items():
                known.setdefault(name, set()).add(version)
        names = sorted(known)
        with ThreadPoolExecutor(_LOOKING) as looking:
            now = dict(zip(names, looking.map(self._now, names), strict=True))
        return {name for name in names if known[name] != {now[name]}}

    def are_gone(self, read: Iterable[Mapping[str, str]]) -> bool:
        """Whether nothing of what was read exists any more."""
        return all(
            self._now(name) == versions.MISSING for name in {n for seen in read for n in seen}
        )

    def shown(self, names: Iterable[str]) -> str:
        """Some of these objects, as a message names them."""
        listed = sorted(names)
        paths = [without_secrets("/".join([self._file(name), *self._key(name)])) for name in listed]
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        return ", ".join(paths[:_SHOWN]) + more

    def _now(self, name: str) -> str:
        file, options = self._file(name), self._source.storage_options
        if not file:
            return versions.MISSING
        try:
            if not (key := self._key(name)):
                return versions.of(file, options)
            return versions.of_key(self._store(name), file.rstrip("/"), key[0], options)
        except Exception as error:  # of whatever library opens the URL
            raise InputError(
                f"{self.shown([name])} cannot be looked at ({remote.cause_of(error)}), so nobody "
                "knows whether it has changed; run again when it can"
            ) from error

    def _file(self, name: str) -> str:
        number = int(name.partition("/")[0])
        return self._files[number] if number < len(self._files) else ""

    def _key(self, name: str) -> list[str]:
        return name.split("/", 1)[1:]

    def _store(self, name: str) -> Any:
        """Of references only, which say in which file a key lies."""
        number = int(name.partition("/")[0])
        if format_of(self._files[number], self._source) != "kerchunk":
            return None
        if number not in self._references:
            self._references[number] = zarr_store(self._files[number], self._source)
        return self._references[number]
