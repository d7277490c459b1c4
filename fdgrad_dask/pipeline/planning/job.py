"""From a config to all that is known before anything is computed: results, layout, regions."""

import gc
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import dask.array as da
import xarray as xr
from dask.utils import format_bytes

from fdgrad_dask.errors import ClusterError, ConfigError
from fdgrad_dask.pipeline.cluster.resources import bytes_per_worker
from fdgrad_dask.pipeline.config.operators import require_known
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.config.source import Source, Stored, Target
from fdgrad_dask.pipeline.planning import identity, steps
from fdgrad_dask.pipeline.planning import regions as plan
from fdgrad_dask.pipeline.planning.cutting import Chunks, Halo
from fdgrad_dask.pipeline.planning.graph import field_of, found_halos, pieces_of
from fdgrad_dask.pipeline.planning.regions import Plan, Workload
from fdgrad_dask.pipeline.planning.steps import with_grid
from fdgrad_dask.pipeline.source.open import Inputs, chunked, open_files, pinned
from fdgrad_dask.pipeline.source.remote import files_of, format_of
from fdgrad_dask.pipeline.source.versions import recording

FULL = 0.95  # of its memory limit: a worker that holds more is killed
_ROOM = 0.7  # of its memory limit: what a region is planned for


@dataclass(frozen=True)
class Layout:
    """Points of a chunk and of a shard, for every dimension of the results."""

    chunks: dict[str, int]
    shards: dict[str, int]


def laid_out(
    result: xr.Dataset, target: Target, source: Source, pieces: Mapping[str, Chunks]
) -> Layout:
    """The layout that the config asks for, elsewhere that in which the source is read."""
    dims = {
        str(dim): size for array in result.data_vars.values() for dim, size in array.sizes.items()
    }
    if dim := target.extend if target.extend in dims else None:  # so that it stays as it grows
        dims[dim] = max(dims[dim], target.chunks[dim], target.shards.get(dim, 0))
    for section in ("chunks", "shards", "regions"):
        require_known(f"target.{section}", getattr(target, section), dims)
    wanted: list[Any] = []
    for dim in dims:
        piece = {**source.chunks, **target.chunks}.get(dim, pieces.get(dim, "auto"))
        wanted.append(max(piece) if isinstance(piece, tuple) else piece)
    widest = max((array.dtype for array in result.data_vars.values()), key=lambda d: d.itemsize)
    sizes = da.core.normalize_chunks(tuple(wanted), tuple(dims.values()), dtype=widest)
    chunks = {dim: min(max(n), dims[dim]) for dim, n in zip(dims, sizes, strict=True)}
    shards = {}
    for dim, chunk in chunks.items():
        points = target.shards.get(dim, chunk)
        shards[dim] = min(points, math.ceil(dims[dim] / chunk) * chunk)
        if shards[dim] % chunk:
            raise ConfigError(
                f"target.shards: {points} points along {dim!r} are no whole number of chunks of "
                f"{chunk}; choose {max(1, points // chunk) * chunk}, or another target.chunks"
            )
    return Layout(chunks, shards)


def template(result: xr.Dataset, layout: Layout, target: Target) -> xr.Dataset:
    """The results with their labels and encoding, and one task in place of their values."""
    arrays = {}
    for name, array in result.data_vars.items():
        dummy = da.zeros(array.shape, dtype=array.dtype, chunks=array.shape)
        arrays[name] = array.copy(data=dummy)
        encoding: dict[str, Any] = {"chunks": tuple(layout.chunks[str(d)] for d in array.dims)}
        if layout.shards != layout.chunks and array.ndim:
            encoding["shards"] = tuple(layout.shards[str(d)] for d in array.dims)
        arrays[name].encoding = encoding
        if target.round_bits is not None and array.dtype.kind == "f":
            attribute = "_QuantizeBitRoundNumberOfSignificantBits"  # as the netCDF library has it
            arrays[name].attrs[attribute] = target.round_bits
    labelled = result.assign(arrays)
    # In this thread, where versions are noted: threads of dask before 2026 would note nothing.
    coords = {name: c.load(scheduler="sync") for name, c in labelled.coords.items()}
    return labelled.assign_coords(coords)


@dataclass(frozen=True)
class Job:
    """A config, looked at: nothing is computed, and of the source only labels are read."""

    config: Config
    source: xr.Dataset
    result: xr.Dataset
    """Lazy, in arrays of one chunk."""
    files: tuple[str, ...]
    """Those of the source."""
    opened: dict[str, str]
    """The version of every object that was read to open the source."""
    halos: dict[str, Halo]
    read: set[str]
    """The variables that the steps read."""
    pieces: dict[str, Chunks]
    """The chunks in which the inside of a region is read."""
    layout: Layout

    @cached_property
    def inputs(self) -> Inputs:
        """The objects of the source, as they are now."""
        return Inputs(self.config.source, self.files)

    @cached_property
    def identity(self) -> dict[str, str]:
        """What decides the result."""
        layout = self.layout.chunks, self.layout.shards
        return identity.identity(self.config, *layout, self.source, self.read, self.result)

    @cached_property
    def template(self) -> xr.Dataset:
        """The target without its values."""
        return template(self.result, self.layout, self.config.target)

    @cached_property
    def workload(self) -> Workload:
        """What the plan is made of, as plain integers."""
        inputs = {name: field_of(self.source.variables[name]) for name in sorted(self.read)}
        outputs = {
            str(name): field_of(each.variable) for name, each in self.result.data_vars.items()
        }
        dims = [dim for each in (*outputs.values(), *inputs.values()) for dim in each.dims]
        known = {**self.result.sizes, **self.source.sizes}
        sizes = {dim: known[dim] for dim in dims}
        return Workload(
            sizes=sizes,
            shards={dim: self.layout.shards.get(dim, size) for dim, size in sizes.items()},
            halos=self.halos,
            inputs=inputs,
            outputs=outputs,
            pieces=self.pieces,
            threads=self.config.cluster.threads,
        )

    @property
    def limit(self) -> int:
        """Bytes of one worker."""
        return bytes_per_worker(self.config.cluster)

    @cached_property
    def plan(self) -> Plan:
        """The regions, which a worker can hold."""
        work, target = self.workload, self.config.target
        if target.regions:
            region = plan.with_region(work, target.regions)
        else:
            region = plan.chosen(work, int(_ROOM * self.limit), self.config.cluster.workers)
        self.require_room(plan.planned(work, region))
        return plan.planned(work, region)

    def require_room(self, planned: Plan) -> None:
        """Refuses regions that a worker cannot hold, and says what would fit."""
        if planned.memory > FULL * self.limit:
            raise ClusterError(
                f"a region of {shape(planned.region)} needs about "
                f"{format_bytes(planned.memory)}, a worker has {format_bytes(self.limit)}; "
                f"{_what_would_fit(self.workload, planned, int(FULL * self.limit))}"
            )


def looked_at(config: Config) -> Job:
    """The job of a config; wrong names, options and coordinates are refused here."""
    config = config.model_copy(update={"source": pinned(config.source)})
    files = tuple(files_of(config.source))
    beside = config.source.coordinates
    found: list[tuple[str, Stored]] = [(file, config.source) for file in files]
    found += [(file, beside) for file in files_of(beside)] if beside else []
    if any(format_of(file, stored) == "netcdf" for file, stored in found):
        # HDF5 hands out again what this process still has open, though the file was rewritten
        # since.
        gc.collect()
    with recording() as read:
        return prepare(config, with_grid(config, open_files(config.source, files)), files, read)


def prepare(
    config: Config, source: xr.Dataset, files: tuple[str, ...], opened: dict[str, str]
) -> Job:
    """The job over an opened source."""
    sizes = {str(dim): size for dim, size in source.sizes.items()}
    result = steps.build(config, chunked(source, {**config.source.chunks, **sizes}))
    halos, read = found_halos(config, source)
    pieces = pieces_of(source, config.source.chunks, read)
    layout = laid_out(result, config.target, config.source, pieces)
    return Job(config, source, result, files, opened, halos, read, pieces, layout)


def shape(region: dict[str, int]) -> str:
    """
    >>> shape({"time": 4, "lat": 60})
    'time 4 × lat 60'
    """
    return " × ".join(f"{dim} {size}" for dim, size in region.items())


def _what_would_fit(work: Workload, planned: Plan, room: int) -> str:
    """Advice with numbers: smaller regions, smaller shards, or more memory."""
    enough = format_bytes(int(planned.memory / _ROOM))
    smallest = dict(work.shards)
    if smallest != planned.region and plan.memory(work, smallest) <= room:
        return f"lower target.regions, one shard is {shape(smallest)}, or give workers {enough}"
    dim = max(smallest, key=lambda each: smallest[each] / (1 + work.halos[each].depth))
    shorter = work
    while shorter.shards[dim] > 1 and plan.memory(shorter, shorter.shards) > room:
        shorter = replace(shorter, shards={**shorter.shards, dim: shorter.shards[dim] // 2})
    if plan.memory(shorter, shorter.shards) <= room:
        return (
            f"lower target.chunks and target.shards along {dim} from {work.shards[dim]} to "
            f"{shorter.shards[dim]}, or give workers {enough} by cluster.memory_limit"
        )
    return f"give workers {enough} by cluster.memory_limit, or lower cluster.workers"
