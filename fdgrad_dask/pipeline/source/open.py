"""Opens a source as one Dataset, and knows it again; nothing of its fields is read.

``open_files`` gives lazy variables without dask, which is what a plan needs; ``chunked`` cuts
them into dask arrays whose chunks are each read by one call.
"""

import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any, Literal, TypeVar
from uuid import uuid4

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.operators import require_known
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import Picked, Source, Stored
from fdgrad_dask.pipeline.source import remote, versions
from fdgrad_dask.pipeline.source.concat import joined
from fdgrad_dask.pipeline.source.formats import opened
from fdgrad_dask.pipeline.source.remote import files_of, format_of
from fdgrad_dask.pipeline.source.select import labelled, renamed, selected
from fdgrad_dask.pipeline.source.zarr import session, zarr_store

IN_MEMORY = 2**20
"""Values; a coordinate up to this size is read when the source is opened."""
Opened = TypeVar("Opened", bound=Stored)
Chunks = Mapping[str, int | Literal["auto"] | tuple[int, ...]]
_LISTED = 16  # files listed one by one; more are one digest
_LOOKING = 8  # objects at a time
_SHOWN = 5


def numbered(source: Stored) -> dict[int, tuple[str, Stored]]:
    """The files of ``source.coordinates``, by numbers that those of the fields never have."""
    return {-number: (file, source) for number, file in enumerate(files_of(source), 1)}


def with_coordinates(dataset: xr.Dataset, source: Source) -> xr.Dataset:
    """``dataset`` with the variables of ``source.coordinates`` that it has not itself.

    Those that a field names by its attribute ``coordinates`` become coordinates. Dimensions of one
    point go: NEMO repeats its grid along a time.

    InputError: the files have other points than the fields.
    """
    beside_it = numbered(source.coordinates) if source.coordinates else {}
    for number, (file, beside) in beside_it.items():
        grid = renamed(opened(file, beside, number), beside.rename)
        single = {str(dim): Picked(index=0) for dim, size in grid.sizes.items() if size == 1}
        grid = selected(grid, single).drop_vars(single, errors="ignore")
        shown = without_secrets(file)
        for dim in {*grid.sizes} & {*dataset.sizes}:
            _require_same_points(dataset, grid, dim, f"{shown} and {source.shown}")
        grid = grid.drop_vars({*grid.variables} & {*dataset.variables})
        dataset = dataset.merge(grid, join="override", compat="override", combine_attrs="override")
    if not source.coordinates:
        return dataset
    named: set[str] = set()  # by others as their coordinates, in the way of CF
    for each in dataset.data_vars.values():
        named |= {*str(each.encoding.get("coordinates", each.attrs.get("coordinates", ""))).split()}
    return dataset.set_coords([name for name in dataset.data_vars if name in named])


def _require_same_points(one: xr.Dataset, other: xr.Dataset, dim: Hashable, files: str) -> None:
    sizes = other.sizes[dim], one.sizes[dim]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"{files} have {sizes[0]} and {sizes[1]} points along {dim!r}; give the grid of these "
            f"very points, or another name to {dim!r} by source.coordinates.rename"
        )
    if dim in one.indexes and dim in other.indexes:
        ours, theirs = one.indexes[dim], other.indexes[dim]
        is_number = ours.dtype.kind in "iuf" and theirs.dtype.kind in "iuf"
        near = is_number and np.allclose(ours, theirs, rtol=1e-6, atol=1e-6)  # in float32, maybe
        if not (near or ours.equals(theirs)):
            raise InputError(
                f"{files} have other labels along {dim!r}; give the grid of these very points"
            )


def open_source(source: Source) -> xr.Dataset:
    """The source as a Dataset of dask arrays, in the chunks that the config asks for."""
    return chunked(open_files(source), source.chunks)


def open_files(source: Source, files: Sequence[str] | None = None) -> xr.Dataset:
    """The source as a Dataset of lazy variables without dask; small coordinates are in memory.

    ``encoding["preferred_chunks"]`` of a variable says in which chunks it is best read, as an int
    or as a tuple of all sizes along a dimension. ``files`` are what its paths name, where that is
    known already.

    InputError: nothing is there, or it cannot be opened, or the files do not fit together, or those
    of ``coordinates`` are of another grid. ConfigError: ``rename``, ``coords``, ``attrs`` or
    ``select`` name what does not exist.
    """
    files = files_of(source) if files is None else files
    dataset = opened(files[0], source) if len(files) == 1 else joined(files, source)
    dataset = with_coordinates(dataset, source)
    dataset = labelled(renamed(dataset, source.rename), source)
    dataset = selected(dataset, source.select)
    small = [name for name, label in dataset.coords.items() if label.size <= IN_MEMORY]
    return dataset.assign_coords({name: dataset.variables[name].load() for name in small})


def pinned(source: Opened) -> Opened:
    """``source`` as it is now, for all who open it later: a branch becomes its snapshot."""
    if isinstance(source, Source) and source.coordinates:
        source = source.model_copy(update={"coordinates": pinned(source.coordinates)})
    [first, *others] = files_of(source)
    if others or source.tag or source.snapshot or format_of(first, source) != "icechunk":
        return source
    now = session(first, source).snapshot_id
    return source.model_copy(update={"branch": None, "snapshot": now, "format": "icechunk"})


def chunked(dataset: xr.Dataset, wanted: Chunks) -> xr.Dataset:
    """``dataset`` with dask arrays in place of what is not in memory.

    ``wanted`` has the points per chunk by dimension, or ``"auto"``, or the sizes of all chunks;
    what is not named keeps the chunks of the file.
    """
    require_known("source.chunks", wanted, dataset.sizes)
    cut = {name: _cut(name, each, wanted) for name, each in dataset.variables.items()}
    lazy = dataset.copy(data={name: cut[name].data for name in dataset.data_vars})
    large = {name: cut[name] for name in dataset.coords if cut[name].chunks}
    return lazy.assign_coords(large) if large else lazy


def _cut(name: Hashable, variable: xr.Variable, wanted: Chunks) -> xr.Variable:
    # Text, or a calendar: no step takes it, and dask cannot size it.
    if variable._in_memory or variable.dtype.hasobject:
        return variable
    native = variable.encoding.get("preferred_chunks") or {}
    sizes = tuple(wanted.get(str(dim), native.get(dim, "auto")) for dim in variable.dims)
    data = da.from_array(
        _Lazy(variable, name),
        chunks=da.core.normalize_chunks(sizes, variable.shape, dtype=variable.dtype),
        name=f"read-{name}-{uuid4().hex}",
        getitem=_read,
        meta=np.empty((0,) * variable.ndim, variable.dtype),
        inline_array=True,
    )
    return variable.copy(data=data)


class _Lazy:
    """A variable as dask sees it: shape, dtype, and no way to be read by accident."""

    def __init__(self, variable: xr.Variable, name: Hashable) -> None:
        self.variable, self.name = variable, name
        self.shape, self.ndim, self.dtype = variable.shape, variable.ndim, variable.dtype


def _read(lazy: _Lazy, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
    """One chunk. Not dask's getter, which slices of neighbours would be fused into."""
    return np.asarray(lazy.variable[key].values)


def fingerprint(source: Source) -> dict[str, str]:
    """What a source is now, in a few words a file, or in one digest where there are many.

    A file is known by its bytes and the time of its last change or its ETag, a Zarr store by the
    digest of all its metadata, an Icechunk repository by its snapshot.
    """
    parts: list[Stored] = [source, *([source.coordinates] if source.coordinates else [])]
    found = {without_secrets(f): _fingerprint(f, part) for part in parts for f in files_of(part)}
    if len(found) <= _LISTED:
        return found
    return {f"{len(found)} files": f"sha256 {_digest(found)}"}


def _fingerprint(file: str, source: Stored) -> str:
    kind = format_of(file, source)
    try:
        if kind == "icechunk":
            return f"snapshot {session(file, source).snapshot_id}"
        if kind == "netcdf":
            return versions.of(file, source.storage_options)
        store = zarr_store(file, source)
        group = zarr.open_group(store, mode="r", path=source.group or "")
        metadata = {name: each.metadata.to_dict() for name, each in group.members(max_depth=None)}
        return f"metadata of sha256 {_digest(metadata)}"
    except (OSError, ValueError, KeyError) as error:
        raise remote.refusal(error, file, "looked at", "fix the path") from error


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


class Inputs:
    """The files of a source by number, and the versions that their objects have now."""

    def __init__(self, source: Source, files: Sequence[str]) -> None:
        self._files: dict[int, tuple[str, Stored]] = {n: (f, source) for n, f in enumerate(files)}
        if source.coordinates:
            with suppress(InputError):  # they are gone
                self._files |= numbered(source.coordinates)
        self._store = cache(lambda number: zarr_store(*self._files[number]))

    def changed(self, read: Iterable[Mapping[str, str]]) -> set[str]:
        """The objects that some of ``read`` have in another version than the one of now."""
        known: dict[str, set[str]] = {}
        for seen in read:
            for name, version in seen.items():
                known.setdefault(name, set()).add(version)
        with ThreadPoolExecutor(_LOOKING) as looking:
            now = dict(zip(known, looking.map(self._now, known), strict=True))
        return {name for name in known if known[name] != {now[name]}}

    def are_gone(self, read: Iterable[Mapping[str, str]]) -> bool:
        """Whether nothing of the fields exists any more; files of the grid may still be there."""
        names = {name for seen in read for name in seen if not name.startswith("-")}
        return all(self._now(name) == versions.MISSING for name in names)

    def shown(self, names: Iterable[str]) -> str:
        """Some of these objects, as a message names them."""
        listed = sorted(names)
        paths = ["/".join(filter(None, self._place(name)[:2])) for name in listed[:_SHOWN]]
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        return ", ".join(map(without_secrets, paths)) + more

    def _place(self, name: str) -> tuple[str, str, Stored | None]:
        """The file, the key in it, and how it opens; no file where the source has fewer now."""
        number, _, key = name.partition("/")
        file, source = self._files.get(int(number), ("", None))
        return file, key, source

    def _now(self, name: str) -> str:
        file, key, source = self._place(name)
        if source is None:
            return versions.MISSING
        try:
            if not key:
                return versions.of(file, source.storage_options)
            # References say in which file a key lies; of all others the path does.
            refers = format_of(file, source) == "kerchunk"
            store = self._store(int(name.partition("/")[0])) if refers else None
            return versions.of_key(store, file.rstrip("/"), key, source.storage_options)
        except Exception as error:  # of whatever library opens the URL
            raise InputError(
                f"{self.shown([name])} cannot be looked at ({remote.cause_of(error)}), so nobody "
                "knows whether it has changed; run again when it can"
            ) from error
