"""Many files as one Dataset, each variable one lazy array that knows which file holds which rows.

Every file is opened once, for its labels; after that a file is opened when rows of it are read,
and few are open at a time. So ten thousand files are ten thousand names, not a graph of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from xarray.core import indexing

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source.formats import opened, version_of
from fdgrad_dask.pipeline.source.stored import Joined, preferred

Points = Any  # a pandas.Index

_KNOWN = 32  # datasets that a process keeps; how many handles, says xarray's file_cache_maxsize
_HELD = 2**16  # values; labels of a file up to this size are read while it is open anyway
_CHUNK = 2**27  # bytes of a chunk where the file itself has none
_ADVICE = "give files that follow one another along one coordinate"


class Files:
    """The files of a source by number, of which the last few used stay opened."""

    def __init__(
        self,
        names: Sequence[str],
        source: Source,
        versions: Mapping[int, str | None] = MappingProxyType({}),
    ) -> None:
        self.names, self.source, self.versions = tuple(names), source, dict(versions)
        self.dataset = lru_cache(_KNOWN)(self._opened)

    def __reduce__(self) -> tuple[type[Files], tuple[Any, ...]]:
        return Files, (self.names, self.source, self.versions)

    def _opened(self, number: int) -> xr.Dataset:
        """A file is what it was when it was opened first, on the driver."""
        name = self.names[number]
        if number not in self.versions:
            self.versions[number] = version_of(name, self.source)
        return opened(name, self.source, number=number, version=self.versions[number])

    def variable(self, number: int, name: str) -> xr.Variable:
        """The variable ``name`` in a file."""
        return self.dataset(number).variables[name]


@dataclass(frozen=True)
class _Part:
    """What is remembered of a file: its labels, and the kinds of its variables."""

    number: int
    points: dict[str, Points]
    variables: dict[str, tuple[tuple[str, ...], tuple[int, ...], np.dtype[Any]]]
    held: dict[str, np.ndarray[Any, Any]]
    fields: frozenset[str]


def joined(names: Sequence[str], source: Source) -> xr.Dataset:
    """The files as one Dataset.

    Files with the same fields follow one another along the dimension in which they differ; files
    with other fields lie beside them.

    Raises
    ------
    InputError
        One cannot be opened, or they do not fit together.
    """
    files = Files(names, source)
    first = _part(files, 0, {})
    parts = [first, *(_part(files, number, first.points) for number in range(1, len(names)))]
    groups: dict[frozenset[str], list[_Part]] = {}
    for part in parts:
        groups.setdefault(part.fields, []).append(part)
    try:
        datasets = [_followed(files, group) for group in groups.values()]
        _require_same_points(datasets)
        return xr.merge(datasets, compat="override", join="exact", combine_attrs="override")
    except ValueError as error:
        raise InputError(
            f"the {len(names)} files of {source.shown} do not fit together: {error}; {_ADVICE}"
        ) from error


def _part(files: Files, number: int, known: dict[str, Points]) -> _Part:
    dataset = files.dataset(number)
    points = {
        # One object for the labels that are the same in each file.
        str(dim): known[str(dim)] if str(dim) in known and known[str(dim)].equals(own) else own
        for dim, own in dataset.indexes.items()
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
    return _Part(number, points, variables, held, frozenset(map(str, dataset.data_vars)))


def _followed(files: Files, parts: list[_Part]) -> xr.Dataset:
    """Files with the same fields, one after another."""
    if len(parts) == 1:
        return files.dataset(parts[0].number)
    dim = _joined_dim(files, parts)
    parts = _ordered(files, parts, dim)
    like = files.dataset(parts[0].number)
    sizes = [len(part.points[dim]) for part in parts]
    _require_same_kinds(files, parts, dim)
    variables = {
        name: _variable(files, parts, name, dim, sizes)
        for name, variable in like.variables.items()
        if dim in variable.dims
    }
    labels = [name for name in like.coords if name in variables]
    kept = like.drop_vars(list(variables))
    together = kept.assign({n: v for n, v in variables.items() if n not in labels})
    return together.assign_coords({name: variables[name] for name in labels})


def _joined_dim(files: Files, parts: list[_Part]) -> str:
    """The one dimension in whose labels the files differ."""
    first = parts[0]
    differing = sorted(
        dim
        for dim, points in first.points.items()
        if not all(points.equals(part.points[dim]) for part in parts[1:] if dim in part.points)
    )
    if not differing:
        raise ValueError(
            f"{_name(files, first)} and {_name(files, parts[1])} have the same points along "
            f"{', '.join(map(repr, first.points)) or 'no coordinate'}, so nothing tells their order"
        )
    if len(differing) > 1:
        raise ValueError(f"they differ along {' and '.join(map(repr, differing))}")
    return differing[0]


def _ordered(files: Files, parts: list[_Part], dim: str) -> list[_Part]:
    """The files by their points, in the direction of the points in each; none may overlap."""
    parts = [part for part in parts if len(part.points[dim])]
    parts = sorted(parts, key=lambda part: part.points[dim].min())
    for one, other in pairwise(parts):
        last, following = one.points[dim].max(), other.points[dim].min()
        if not last < following:
            raise ValueError(
                f"they overlap along {dim!r}: {_name(files, one)} ends at {last}, "
                f"{_name(files, other)} begins at {following}"
            )
    falling = any(part.points[dim][0] > part.points[dim][-1] for part in parts)
    return parts[::-1] if falling else parts


def _require_same_kinds(files: Files, parts: list[_Part], dim: str) -> None:
    """Refuses files that have a variable with other dimensions, sizes or another kind."""

    def kind(part: _Part, name: str) -> tuple[Any, ...]:
        dims, shape, dtype = part.variables.get(name, ((), (), np.dtype("V")))
        numeric = "number" if dtype.kind in "fiub" else dtype.kind
        return numeric, *((d, n) for d, n in zip(dims, shape, strict=True) if d != dim)

    for part in parts[1:]:
        for name, (dims, _, _) in parts[0].variables.items():
            if dim in dims and kind(part, name) != kind(parts[0], name):
                raise ValueError(
                    f"{name!r} has other dimensions or another type in {_name(files, part)} than "
                    f"in {_name(files, parts[0])}"
                )


def _variable(
    files: Files, parts: list[_Part], name: Any, dim: str, sizes: list[int]
) -> xr.Variable:
    like = files.variable(parts[0].number, name)
    if name == dim:
        points = np.concatenate([part.points[dim].values for part in parts])
        return xr.Variable(dim, points, like.attrs, like.encoding)
    axis = like.dims.index(dim)
    if all(name in part.held for part in parts[1:]):
        values = np.concatenate([p.held.get(name, like.values) for p in parts], axis)
        return xr.Variable(like.dims, values, like.attrs, like.encoding)
    numbers = [part.number for part in parts]
    array = Joined(
        partial(_numbered, files, numbers, name),
        like,
        axis,
        np.cumsum([0, *sizes]),
        np.result_type(*{part.variables[name][2] for part in parts}),
    )
    whole = {**(like.encoding.get("preferred_chunks") or {})}
    chunks = {**whole, dim: preferred(like, dim, sizes, _CHUNK)}
    encoding = {**like.encoding, "preferred_chunks": chunks}
    return xr.Variable(like.dims, indexing.LazilyIndexedArray(array), like.attrs, encoding)


def _numbered(files: Files, numbers: list[int], name: str, place: int) -> xr.Variable:
    return files.variable(numbers[place], name)


def _require_same_points(datasets: list[xr.Dataset]) -> None:
    known: dict[Any, Points] = {}
    for dataset in datasets:
        for dim, points in dataset.indexes.items():
            if not known.setdefault(dim, points).equals(points):
                raise ValueError(
                    f"{', '.join(map(str, dataset.data_vars))} and the other fields have other "
                    f"points along {dim!r}"
                )


def _name(files: Files, part: _Part) -> str:
    return files.names[part.number]
