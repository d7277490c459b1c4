"""A source, its steps, a target and its regions in words: what the commands print."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import xarray as xr
from dask.utils import format_bytes

from fdgrad_dask.operators.overview_data import describe_layout
from fdgrad_dask.pipeline.planning.cutting import outwards
from fdgrad_dask.pipeline.planning.graph import Region, culled, stored_chunks
from fdgrad_dask.pipeline.planning.job import Job, shape
from fdgrad_dask.pipeline.planning.regions import Plan, Workload

_WIDTH = 48  # characters of a dimension


@dataclass(frozen=True)
class Summary:
    """What ``fdgrad`` prints is ``str`` of it."""

    text: str = field(repr=False)
    target: str
    """The path or URL of the target."""

    def __str__(self) -> str:
        return self.text


def what_is_read(job: Job) -> list[str]:
    """The source, and those of its variables that the steps read."""
    fields = []
    for name in sorted(job.read):
        chunks = stored_chunks(job.source.variables[name])
        largest = {dim: c if isinstance(c, int) else max(c) for dim, c in chunks.items()}
        chunked = f", {_pieces(job.source[name], largest)}" if largest else ""
        fields.append(_array(name, job.source[name]) + chunked)
    return [f"read     {job.config.source.shown}", *fields]


def what_is_planned(job: Job) -> list[str]:
    """Each step with its options, then the target with every array of it."""
    lines = []
    for step in job.config.steps:
        options = (f"{name}={value!r}" for name, value in step.options.items())
        lines.append(f"step     {step.operator}({', '.join([*step.inputs, *options])})")
    lines += [*_grids(job), *what_is_written(job, "target")]
    path = job.config.target.path
    exists = [f"         {path} exists: run resumes it, or needs --fresh"]
    return [*lines, *(exists if os.path.exists(path) else [])]


def _grids(job: Job) -> list[str]:
    """What was recognised of the grids of the results, and what the config says of them all."""
    found: dict[str, list[str]] = {}
    for name, each in job.result.data_vars.items():
        if kind := each.attrs.get("horizontal_geometry"):
            radius = each.attrs.get("earth_radius")
            along = each.attrs.get("periodic")
            words = str(each.attrs.get("grid_source", kind))
            words += f" of radius {radius:.10g} m" if radius else ""
            words += f", periodic along {along}" if along else ""
            found.setdefault(words, []).append(str(name))
    given = job.config.grid.model_dump(exclude_unset=True) if job.config.grid else {}
    said = ", ".join(f"{key}={value!r}" for key, value in given.items())
    lines = [f"grid     {words}: {', '.join(names)}" for words, names in found.items()]
    source, *layout = describe_layout(job.source) or [""]
    lines += [f"         {line}" for line in layout if source in found]
    return [*lines, *([f"         as the config says: {said}"] if said else [])]


def what_is_written(job: Job, word: str = "wrote") -> list[str]:
    """The target with every array of it, its chunks and its shards."""
    chunks, shards = job.layout.chunks, job.layout.shards
    lines = [f"{word:<8} {job.config.target.path}"]
    for name, array in job.result.data_vars.items():
        points = " × ".join(str(shards[str(dim)]) for dim in array.dims)
        in_shards = f" in shards of {points}" if shards != chunks else ""
        lines.append(f"{_array(str(name), array)}, {_pieces(array, chunks)}{in_shards}")
    return lines


def regions(job: Job) -> list[str]:
    """How the work is cut, what it costs, and whether a worker can hold it."""
    plan = job.plan
    middle = Region(job.config, job.source, [plan.middle], job.pieces, job.halos)
    tasks = len(culled([part for _, _, part in middle.results()]))
    wide = {dim: size for dim, size in plan.region.items() if size < plan.sizes[dim]}
    return [
        f"regions  {plan.count} of {shape(wide) if wide else 'everything'}, "
        f"one task of the cluster each, about {tasks} inside it",
        f"reads    {format_bytes(plan.bytes_read)}, {plan.amplification:.2f} times the "
        f"{format_bytes(plan.bytes_needed)} that are needed",
        f"writes   {format_bytes(plan.bytes_written)} before compression",
        f"memory   {format_bytes(plan.memory)} of a worker at its peak, it has "
        f"{format_bytes(job.limit)}",
    ]


def _pieces(array: xr.DataArray, chunks: Mapping[str, int]) -> str:
    sizes = [(n, chunks.get(str(dim), n)) for dim, n in array.sizes.items()]
    count = math.prod(-(-n // size) for n, size in sizes)
    return f"{count} chunk{'s' if count > 1 else ''} of {' × '.join(str(c) for _, c in sizes)}"


def _array(name: str, array: xr.DataArray) -> str:
    sizes = ", ".join(f"{dim}: {size}" for dim, size in array.sizes.items())
    units = array.attrs.get("units", "no units")
    return f"         {name} ({sizes}) {array.dtype}, {units}, {format_bytes(array.nbytes)}"


def draw(work: Workload, plan: Plan) -> list[str]:
    """Draw a region that has others around it, if any has: a line for each dimension.

    ``#`` is what it computes, ``-`` what else it reads, in complete chunks of the source, and
    ``.`` what other regions read.
    """
    lines = ["drawn    a region in the middle: # computed, - also read, . neither"]
    name_width = max(map(len, plan.sizes))
    for dim, (start, stop) in plan.middle.items():
        size, halo = plan.sizes[dim], work.halos[dim]
        near = max(start - halo.depth, 0), min(stop + halo.depth, size)
        read = [
            outwards(*near, each.chunks_of(dim, size), size)
            for each in work.inputs.values()
            if dim in each.dims
        ] or [(start, stop)]
        low, high = min(a for a, _ in read), max(b for _, b in read)
        marks = ""
        for left, right in pairwise(i * size / _WIDTH for i in range(_WIDTH + 1)):
            is_own = left < stop and right > start  # of one character at least
            marks += "#" if is_own else "-" if left < high and right > low else "."
        also = "" if (low, high) == (start, stop) else f", reads {low} to {high}"
        around = ", and the other end" if halo.around and high - low < size else ""
        said = f"{start} to {stop} of {size}{also}{around}"
        lines.append(f"         {dim:<{name_width}} {marks} {said}")
    return lines
