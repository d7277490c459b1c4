"""Many files as one Dataset, each variable one lazy array that knows which file holds which rows.

Every file is opened once, for its labels; after that a file is opened when rows of it are read,
and few are open at a time. So ten thousand files are ten thousand names, not a graph of them.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from fdgrad_dask.errors import InputError
from fdgrad_dask.grids.units import are_different
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source.formats import opened
from fdgrad_dask.pipeline.source.select import as_slice

_KNOWN = 32  # datasets that a process keeps; how many handles, says xarray's file_cache_maxsize
_HELD = 2**16  # values; labels of a file up to this size are read while it is open anyway
_CHUNK = 2**27  # bytes of a chunk where the file itself has none


class Files:
    """The files of a source by number, of which the last few used stay opened."""

    def __init__(
        self, names: Sequence[str], source: Source, versions: dict[int, str | None] | None = None
    ) -> None:
        self.names, self.source, self.versions = tuple(names), source, versions or {}
        # A file is what it was when it was opened first, on the driver.
        self.dataset = lru_cache(_KNOWN)(
            lambda number: opened(self.names[number], source, number, self.versions)
        )

    def __reduce__(self) -> tuple[type["Files"], tuple[Any, ...]]:
        return Files, (self.names, self.source, self.versions)


class Joined(BackendArray):
    """A variable whose rows along one axis lie in many files, each opened when it is read."""

    def __init__(self, files: Files, parts: Sequence["Part"], name: str, dim: str) -> None:
        dims, shape, _ = parts[0].variables[name]
        self.files, self.name, self.axis = files, name, dims.index(dim)
        self.numbers = [part.number for part in parts]
        self.starts = np.cumsum([0, *(len(part.points[dim]) for part in parts)])
        self.dtype = np.result_type(*{part.variables[name][2] for part in parts})
        self.shape = (*shape[: self.axis], int(self.starts[-1]), *shape[self.axis + 1 :])

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        """Rows that follow one another in one file are one read of it."""
        rows = np.arange(self.shape[self.axis])[key[self.axis]]
        places = np.atleast_1d(np.searchsorted(self.starts, rows, side="right") - 1)
        pieces = []
        for run in np.split(np.arange(places.size), np.flatnonzero(np.diff(places)) + 1):
            place = int(places[run[0]]) if run.size else 0
            own = rows - self.starts[place]
            taken = as_slice(own[run]) if rows.ndim else int(own)
            variable = self.files.dataset(self.numbers[place]).variables[self.name]
            piece = variable[(*key[: self.axis], taken, *key[self.axis + 1 :])].values
            pieces.append(piece.astype(self.dtype, copy=False))
        # An axis that an integer takes away is not there in a piece.
        axis = sum(not isinstance(part, (int, np.integer)) for part in key[: self.axis])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis)


@dataclass(frozen=True)
class Part:
    """What is remembered of a file: its labels, and the kinds of its variables."""

    number: int
    name: str
    fields: frozenset[str]
    points: dict[str, Any]
    """Labels by dimension, each a pandas.Index."""
    variables: dict[str, tuple[tuple[str, ...], tuple[int, ...], np.dtype[Any]]]
    units: dict[str, str]
    held: dict[str, np.ndarray[Any, Any]]
    """Values of small labels that are not the same in each file."""


def joined(names: Sequence[str], source: Source) -> xr.Dataset:
    """The files as one Dataset.

    Files with the same fields follow one another along the dimension in which they differ; files
    with other fields lie beside them. Places that these call by one name and that differ, as
    nav_lat of NEMO's files of u and of v, are those of no field.
    """
    files = Files(names, source)
    first = _part(files, 0, {})
    groups = {first.fields: [first]}
    for number in range(1, len(names)):
        part = _part(files, number, first.points)
        groups.setdefault(part.fields, []).append(part)
    try:
        datasets = [_followed(files, group) for group in groups.values()]
        held = [(n, c.variable) for each in datasets for n, c in each.coords.items() if c.ndim == 2]
        first_of: dict[Hashable, xr.Variable] = {}
        apart = [name for name, one in held if not first_of.setdefault(name, one).equals(one)]
        datasets = [each.drop_vars(apart, errors="ignore") for each in datasets]
        return xr.merge(datasets, compat="override", join="exact", combine_attrs="override")
    except ValueError as error:
        cause = str(error)
        if "join='exact'" in cause:  # what it says of labels tells nobody which file it is
            cause = _lacking(list(groups.values()), datasets) or cause
        raise InputError(
            f"the {len(names)} files of {source.shown} do not fit together: {cause}; "
            "give files that follow one another along one coordinate"
        ) from error


def _lacking(groups: list[list[Part]], datasets: list[xr.Dataset]) -> str:
    """What only one file has of two that do not lie beside each other."""
    (one, *_), first = groups[0], datasets[0].indexes
    for (two, *_), dataset in zip(groups[1:], datasets[1:], strict=True):
        for dim, labels in dataset.indexes.items():
            if dim in first and not labels.equals(first[dim]):
                less, more = (two, one) if one.fields - two.fields else (one, two)
                name = min(more.fields - less.fields)
                return (
                    f"{less.name} has no {name!r}, which {more.name} has, and together they differ "
                    f"along {dim!r}"
                )
    return ""


def _part(files: Files, number: int, known: dict[str, Any]) -> Part:
    dataset = files.dataset(number)
    # The index of each dimension; where it has no labels, the dates along it, as XTIME of WRF.
    dated = {
        coord.dims[0]: coord.to_index()
        for coord in dataset.coords.values()
        if coord.ndim == 1 and coord.dtype.kind == "M"
    }
    points = {
        # One object for the labels that are the same in each file.
        str(dim): known[str(dim)] if str(dim) in known and known[str(dim)].equals(own) else own
        for dim, own in {**dated, **dataset.indexes}.items()
    }
    own = {dim for dim in points if points[dim] is not known.get(dim)}
    held = {
        str(name): coord.values
        for name, coord in dataset.coords.items()
        if known and own & set(coord.dims) and coord.size <= _HELD and name not in points
    }
    variables = {
        str(name): (tuple(map(str, variable.dims)), variable.shape, variable.dtype)
        for name, variable in dataset.variables.items()
    }
    fields = frozenset(map(str, dataset.data_vars))
    units = {
        str(name): str(variable.attrs["units"])
        for name, variable in dataset.variables.items()
        if "units" in variable.attrs
    }
    return Part(number, files.names[number], fields, points, variables, units, held)


def _followed(files: Files, parts: list[Part]) -> xr.Dataset:
    """Files with the same fields, one after another."""
    if len(parts) == 1:
        return files.dataset(parts[0].number)
    dim = _joined_dim(parts)
    parts = _ordered(parts, dim)
    _require_same_kinds(parts, dim)
    like = files.dataset(parts[0].number)
    long = [name for name in parts[0].variables if dim in parts[0].variables[name][0]]
    variables = {name: _variable(files, parts, name, dim, like.variables[name]) for name in long}
    labels = {name: variables.pop(name) for name in long if name in like.coords}
    return like.drop_vars(long).assign(variables).assign_coords(labels)


def _joined_dim(parts: list[Part]) -> str:
    """The one dimension in whose labels the files differ."""
    first = parts[0]
    differing = sorted(
        dim
        for dim, points in first.points.items()
        if not all(points.equals(part.points[dim]) for part in parts[1:] if dim in part.points)
    )
    if not differing:
        raise ValueError(
            f"{first.name} and {parts[1].name} have the same points along "
            f"{', '.join(map(repr, first.points)) or 'no coordinate'}, so nothing tells their order"
        )
    if len(differing) > 1:
        raise ValueError(f"they differ along {' and '.join(map(repr, differing))}")
    return differing[0]


def _ordered(parts: list[Part], dim: str) -> list[Part]:
    """The files by their points, in the direction of the points in each; none may overlap."""
    parts = [part for part in parts if len(part.points[dim])]
    parts.sort(key=lambda part: part.points[dim].min())
    for one, other in pairwise(parts):
        last, following = one.points[dim].max(), other.points[dim].min()
        if not last < following:
            raise ValueError(
                f"they overlap along {dim!r}: {one.name} ends at {last}, "
                f"{other.name} begins at {following}"
            )
    falling = any(part.points[dim][0] > part.points[dim][-1] for part in parts)
    return parts[::-1] if falling else parts


def _require_same_kinds(parts: list[Part], dim: str) -> None:
    """Refuses files that have a variable with other dimensions, sizes, units or another kind."""

    def kind(part: Part, name: str) -> tuple[Any, ...]:
        dims, shape, dtype = part.variables.get(name, ((), (), np.dtype("V")))
        numeric = "number" if dtype.kind in "fiub" else dtype.kind
        return numeric, *((d, n) for d, n in zip(dims, shape, strict=True) if d != dim)

    for part in parts[1:]:
        for name, (dims, _, _) in parts[0].variables.items():
            if dim in dims and kind(part, name) != kind(parts[0], name):
                raise ValueError(
                    f"{name!r} has other dimensions or another type in {part.name} than in "
                    f"{parts[0].name}"
                )
            own, other = parts[0].units.get(name), part.units.get(name)
            if dim in dims and own and other and are_different(own, other):
                raise InputError(
                    f"{name!r} is in {other!r} in {part.name} and in {own!r} in {parts[0].name}; "
                    "convert one of them, or correct its attribute units"
                )


def _variable(
    files: Files, parts: list[Part], name: str, dim: str, like: xr.Variable
) -> xr.Variable:
    """One variable of all files; small labels are in memory already."""
    axis = like.dims.index(dim)
    if name == dim:
        points = np.concatenate([part.points[dim].values for part in parts])
        return xr.Variable(dim, points, like.attrs, like.encoding)
    if all(name in part.held for part in parts[1:]):
        values = np.concatenate([part.held.get(name, like.values) for part in parts], axis)
        return xr.Variable(like.dims, values, like.attrs, like.encoding)
    # The chunks of each file, or what some bytes hold.
    native = dict(like.encoding.get("preferred_chunks") or {})
    row = max(1, math.prod(like.shape) // like.sizes[dim] * like.dtype.itemsize)
    most = native.get(dim, max(1, _CHUNK // row))
    sizes = [len(part.points[dim]) for part in parts]
    native[dim] = tuple(min(most, size - at) for size in sizes for at in range(0, size, most))
    lazy = indexing.LazilyIndexedArray(Joined(files, parts, name, dim))
    return xr.Variable(like.dims, lazy, like.attrs, {**like.encoding, "preferred_chunks": native})
