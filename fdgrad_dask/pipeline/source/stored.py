"""Lazy arrays in files: one variable of one file, or of many that follow one another.

xarray indexes them as it does its own: a selection stays lazy, and what it reads in the end is
read here. What goes wrong names file, variable and place, so that a damaged chunk met by a worker
hours later still tells where it lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from fdgrad_dask.errors import FdgradError, InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.source import versions

Key = tuple[int | slice | np.ndarray[Any, Any], ...]


@dataclass(frozen=True)
class File:
    """One file or store of a source, as it was when it was opened."""

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    version: str | None = None
    """None of a store, whose objects have a version each."""


class Stored(BackendArray):
    """A variable in one file."""

    def __init__(self, variable: xr.Variable, name: Hashable, file: File) -> None:
        self.variable, self.name, self.file = variable, name, file
        self.shape = variable.shape
        self.dtype = variable.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self._read)

    def _read(self, key: Key) -> np.ndarray[Any, Any]:
        if (file := self.file).version is not None:
            versions.require_same(str(file.number), file.path, file.version, file.options)
        try:
            return np.asarray(self.variable[key].values)
        except MemoryError:
            raise
        except Exception as error:
            ours = isinstance(error, FdgradError)
            cause = str(error) if ours else f"{type(error).__name__}: {error}"
            advice = "" if ours else "; the file is damaged there, fetch it again"
            place = ", ".join(map(_shown, key, self.shape))
            raise InputError(
                f"{self.name}[{place}] of {without_secrets(file.path)} cannot be read ({cause})"
                f"{advice}"
            ) from error


def _shown(part: int | slice | np.ndarray[Any, Any], size: int) -> str:
    """The rows that an index takes, from the first to the last of them."""
    if isinstance(part, slice):
        rows = range(size)[part]
        return f"{min(rows)}:{max(rows) + 1}" if rows else "0:0"
    if isinstance(part, np.ndarray):
        return f"{part.min()}:{part.max() + 1}" if part.size else "0:0"
    return str(part)


class Joined(BackendArray):
    """A variable whose rows along one axis lie in many files, each opened when it is read.

    Parameters
    ----------
    read : callable
        From the number of a file to the variable in it.
    like : xarray.Variable
        The variable in one of the files.
    axis : int
        The axis along which they follow one another.
    starts : (n + 1,) array of int
        The row at which each file begins, and the one past the last.
    dtype : numpy.dtype
        That holds the values of each file.
    """

    def __init__(
        self,
        read: Callable[[int], xr.Variable],
        like: xr.Variable,
        axis: int,
        starts: np.ndarray[Any, Any],
        dtype: np.dtype[Any],
    ) -> None:
        self.read, self.axis, self.starts, self.dtype = read, axis, starts, dtype
        self.shape = (*like.shape[:axis], int(starts[-1]), *like.shape[axis + 1 :])

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self._read)

    def _read(self, key: Key) -> np.ndarray[Any, Any]:
        wanted = key[self.axis]
        before, after = key[: self.axis], key[self.axis + 1 :]

        def piece(file: int, rows: Any) -> np.ndarray[Any, Any]:
            values: np.ndarray[Any, Any] = self.read(file)[(*before, rows, *after)].values
            return values.astype(self.dtype, copy=False)

        if isinstance(wanted, (int, np.integer)):
            file = int(np.searchsorted(self.starts, wanted, side="right")) - 1
            return piece(file, int(wanted - self.starts[file]))
        pieces = [piece(file, rows) for file, rows in self._runs(wanted)]
        # An axis that an integer takes away is not there in a piece.
        axis = sum(not isinstance(part, (int, np.integer)) for part in before)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis)

    def _runs(self, wanted: slice | np.ndarray[Any, Any]) -> Iterator[tuple[int, Any]]:
        """Each file that ``wanted`` takes rows of, in order, and these rows counted in it."""
        rows = np.arange(self.shape[self.axis])[wanted]
        files = np.searchsorted(self.starts, rows, side="right") - 1
        for run in np.split(np.arange(rows.size), np.flatnonzero(np.diff(files)) + 1):
            file = int(files[run[0]]) if run.size else 0
            yield file, _as_slice(rows[run] - self.starts[file])


def _as_slice(rows: np.ndarray[Any, Any]) -> slice | np.ndarray[Any, Any]:
    """``rows`` as a slice where they are evenly spaced and rise, which files read faster."""
    if not rows.size:
        return slice(0, 0)
    steps = np.diff(rows, append=rows[-1] + 1) if rows.size == 1 else np.diff(rows)
    even = steps[0] > 0 and (steps == steps[0]).all()
    return slice(int(rows[0]), int(rows[-1]) + 1, int(steps[0])) if even else rows


def preferred(like: xr.Variable, dim: str, sizes: list[int], most: int) -> tuple[int, ...]:
    """The chunks along ``dim`` of joined files: those of each, or what ``most`` bytes hold."""
    row = math.prod(like.shape) // like.sizes[dim] * like.dtype.itemsize
    native = (like.encoding.get("preferred_chunks") or {}).get(dim, max(1, most // max(row, 1)))
    return tuple(min(native, size - at) for size in sizes for at in range(0, size, native))
