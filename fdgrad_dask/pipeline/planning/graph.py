"""The steps over a source that is cut at the ends of regions, and what these regions read.

The whole domain stays in the graph, so edges, seams, poles and all that is decided from the
coordinates are those of the operators on the whole; culled to the region, it reads little of it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

import dask
import dask.array as da
import jax
import xarray as xr
from dask._task_spec import convert_legacy_graph
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from dask.optimization import cull

from fdgrad_dask.halo.transfer import to_device
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.planning import steps
from fdgrad_dask.pipeline.planning.cutting import Chunks, Field, Halo, Span, cuts
from fdgrad_dask.pipeline.source.open import chunked

# Rechunking by way of other chunks would join a region to what it does not need.
_STRAIGHT = {"array.rechunk.method": "tasks", "array.rechunk.threshold": math.inf}
_ROWS = (1, 2, 3, 4, 6, 8)  # of the halos that are tried
_LAYERS = 4


class Region:
    """The results of a region, or of several beside each other, and the arrays they come from.

    ``span`` is the box around them all. Everything is lazy. ``on_device`` has what is read go up
    to the default device, once, where all steps then run; results come down as they are written.
    """

    def __init__(
        self,
        config: Config,
        source: xr.Dataset,
        spans: Sequence[Span],
        pieces: Mapping[str, Chunks],
        halos: Mapping[str, Halo],
        *,
        on_device: bool = False,
    ) -> None:
        self.on_device = on_device
        self._sizes = _named(source)
        wanted = {}
        for dim, size in self._sizes.items():
            ends = {
                end
                for own in {span.get(dim, (0, size)) for span in spans}
                for end in accumulate(
                    cuts(size, *own, pieces.get(dim, size), halos.get(dim, Halo()))
                )
            }
            wanted[dim] = tuple(stop - start for start, stop in pairwise([0, *sorted(ends)]))
        self.span = {
            dim: (min(span[dim][0] for span in spans), max(span[dim][1] for span in spans))
            for dim in spans[0]
        }
        lazy = chunked(source, wanted)
        self.read: dict[str, da.Array] = {}
        self._fields: dict[str, tuple[str, Field]] = {}
        for name, variable in lazy.variables.items():
            if variable.chunks:
                self.read[variable.data.name] = variable.data
                self._fields[variable.data.name] = str(name), field_of(source.variables[name])
        if on_device:
            # Those of other types are computed block by block, some of them on the host.
            fields = [n for n, f in lazy.data_vars.items() if f.chunks and f.dtype in ("f4", "f8")]
            lazy = lazy.assign({name: to_device(lazy[name]) for name in fields})
        names = {name for step in config.steps for name in step.inputs}
        self._inputs = [source.variables[name] for name in names & set(source.data_vars)]
        # Of 64 bits are also the results of integers beside JAX arrays.
        with dask.config.set(_STRAIGHT), jax.enable_x64(True) if on_device else nullcontext():
            self.whole = steps.build(config, lazy)

    def count_bytes(self, span: Span) -> int:
        """Bytes of the inputs and of the results in ``span``."""

        def count(variable: xr.Variable) -> int:
            ends = [span.get(str(dim), (0, n)) for dim, n in variable.sizes.items()]
            return int(variable.dtype.itemsize) * math.prod(stop - start for start, stop in ends)

        results = [self.whole.variables[name] for name in self.whole.data_vars]
        return sum(map(count, [*self._inputs, *results]))

    def results(self) -> Iterator[tuple[str, tuple[str, ...], da.Array]]:
        """Name, dims and, of each result, the part that lies in the region."""
        for name, array in self.whole.data_vars.items():
            dims = tuple(map(str, array.dims))
            data = array.data if array.chunks else array.chunk().data
            yield str(name), dims, data[tuple(slice(*self.span[dim]) for dim in dims)]

    def shards(self, shards: Mapping[str, int]) -> Iterator[tuple[str, tuple[str, ...], da.Array]]:
        """`results`, in chunks that are each a shard of the target."""
        with dask.config.set(_STRAIGHT):
            for name, dims, part in self.results():
                yield name, dims, part.rechunk(tuple(shards[dim] for dim in dims))

    def reads(self) -> Iterator[tuple[str, Span]]:
        """Which parts of which variables are read, counted from the graph."""
        for key in culled([part for _, _, part in self.results()]):
            name, place = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
            if name in self._fields:
                variable, each = self._fields[name]
                ends = ends_of(self.read[name].chunks, place)
                yield variable, dict(zip(each.dims, ends, strict=True))

    def decoded(self, key: tuple[Any, ...]) -> int:
        """Bytes that a task which reads decodes: whole chunks of the source."""
        _, each = self._fields[key[0]]
        ends = ends_of(self.read[key[0]].chunks, key[1:])
        return each.decoded(dict(zip(each.dims, ends, strict=True)), self._sizes)


def culled(arrays: list[da.Array]) -> dict[Any, Any]:
    """The tasks of some arrays and no others."""
    keys = list(flatten([array.__dask_keys__() for array in arrays]))
    graph = HighLevelGraph.merge(*(array.dask for array in arrays)).cull(set(keys))
    tasks, _ = cull(convert_legacy_graph(graph.to_dict()), keys)  # layers leave some
    return dict(tasks)


def ends_of(chunks: tuple[tuple[int, ...], ...], place: tuple[int, ...]) -> list[tuple[int, int]]:
    """Where a chunk begins and ends along each axis."""
    starts = [sum(sizes[:i]) for sizes, i in zip(chunks, place, strict=True)]
    return [
        (start, start + sizes[i]) for start, sizes, i in zip(starts, chunks, place, strict=True)
    ]


def found_halos(config: Config, source: xr.Dataset) -> tuple[dict[str, Halo], set[str]]:
    """The halo of each dimension, tried out, and the variables that are read.

    The least one with which a region in the middle reads nothing beyond it. It decides how much
    is read, never what is right.
    """
    sizes = _named(source)
    middle = {dim: middle_of(size) for dim, size in sizes.items()}
    halos: dict[str, Halo] = {}
    read: set[str] = set()

    @cache
    def boxes(given: frozenset[tuple[str, Halo]]) -> list[tuple[str, Span]]:
        """What the middle reads; most dimensions are content with what another has tried."""
        found = list(Region(config, source, [middle], {}, dict(given)).reads())
        read.update(name for name, _ in found)
        return found

    for _ in range(2):  # what one dimension needs may show only when the others are known
        for dim in sizes:
            if dim not in halos:
                found = _least(boxes, middle, dim, halos)
                halos |= {dim: found} if found else {}
    for dim in sizes:
        halos.setdefault(dim, Halo(1, 1))
    corners = (
        {dim: (0, max(1, size // 3)) for dim, size in sizes.items()},
        {dim: (size - max(1, size // 3), size) for dim, size in sizes.items()},
    )
    for corner in corners:
        for _, box in Region(config, source, [corner], {}, halos).reads():
            for dim, (start, stop) in box.items():
                low, high = corner[dim]
                if start < low - halos[dim].depth or stop > high + halos[dim].depth:
                    halos[dim] = Halo(halos[dim].rows, halos[dim].layers, around=True)
    return halos, read


def _least(
    boxes: Callable[[frozenset[tuple[str, Halo]]], list[tuple[str, Span]]],
    middle: Span,
    dim: str,
    halos: Mapping[str, Halo],
) -> Halo | None:
    low, high = middle[dim]
    tried = [Halo(rows, layers) for layers in range(1, _LAYERS + 1) for rows in _ROWS]
    for halo in [Halo(), *sorted(tried, key=lambda each: each.depth)]:
        given = {**halos, dim: halo}
        found = boxes(frozenset(each for each in given.items() if each[1] != Halo()))
        along = [box[dim] for _, box in found if dim in box]
        if all(start >= low - halo.depth and stop <= high + halo.depth for start, stop in along):
            return halo
    return None


def _named(source: xr.Dataset) -> dict[str, int]:
    return {str(dim): size for dim, size in source.sizes.items()}


def middle_of(size: int) -> tuple[int, int]:
    """Some points in the middle of a dimension, a third of it at most."""
    width = max(1, min(16, size // 3))
    return (size - width) // 2, (size - width) // 2 + width


def pieces_of(source: xr.Dataset, wanted: Mapping[str, Any], read: set[str]) -> dict[str, Chunks]:
    """Along each dimension the chunks in which the inside of a region is read.

    Those of the variable with the longest; what the config wants is rounded up to whole ones.
    """
    pieces: dict[str, Chunks] = {}
    for dim, size in source.sizes.items():
        stored = [
            chunks
            for name in read
            if (chunks := stored_chunks(source.variables[name]).get(str(dim))) is not None
        ]
        longest = max(stored, key=lambda c: c if isinstance(c, int) else max(c), default=None)
        asked = wanted.get(str(dim))
        asked = size if asked == -1 else asked
        if isinstance(asked, int):
            unit = longest if isinstance(longest, int) else 1
            pieces[str(dim)] = -(-asked // unit) * unit
        elif longest is not None:
            pieces[str(dim)] = longest
    return pieces


def field_of(variable: xr.Variable) -> Field:
    """A variable of the source, or of a target, for the plan."""
    dims = tuple(map(str, variable.dims))
    sliced = not (variable.encoding.get("chunksizes") or variable.encoding.get("chunks"))
    return Field(dims, variable.dtype.itemsize, stored_chunks(variable), sliced)


def stored_chunks(variable: xr.Variable) -> dict[str, Chunks]:
    """The chunks of a variable in its file, by dimension; none where it lies in one piece."""
    native = variable.encoding.get("preferred_chunks") or {}
    return {str(dim): native[dim] for dim in variable.dims if dim in native}
