"""Regions as plain integers: where they lie, what they read, and how much memory they need.

A region is a whole number of output shards, so no two tasks touch one shard. It reads its own
points and a halo, rounded outwards to chunks of the source; that costs most where it is short.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from fdgrad_dask.pipeline.planning.cutting import Chunks, Field, Halo, Span, inside, width

MOST = 2**29  # bytes in and out of a region, beyond which a task lasts too long to lose
LEAST = 2**26  # about a second's work
FEW = 2**23  # below it the task itself costs more than what it does
AMPLIFIED = 1.25  # read over needed, with which a region is content
_MANY = 512  # regions along one dimension that are counted one by one
BASE = 400 * 2**20  # resident bytes of a worker that has imported JAX and compiled a kernel


@dataclass(frozen=True)
class Workload:
    """What is to be planned."""

    sizes: dict[str, int]
    """Of every dimension that is read or written."""
    shards: dict[str, int]
    """Points of a shard, by dimension; all of one along which nothing is written."""
    halos: dict[str, Halo]
    inputs: dict[str, Field]
    outputs: dict[str, Field]
    pieces: Mapping[str, Chunks] = field(default_factory=dict)
    """In which the inside of a region is read, by dimension."""
    threads: int = 1
    base: int = BASE

    @property
    def arrays(self) -> list[Field]:
        """All that is read or written."""
        return [*self.inputs.values(), *self.outputs.values()]


@dataclass(frozen=True)
class Plan:
    """Regions of one shape; the last along a dimension may be shorter."""

    sizes: dict[str, int]
    region: dict[str, int]
    bytes_read: int
    """Decoded, whole chunks of the source, halos and all."""
    bytes_needed: int
    """Decoded, each value once."""
    bytes_written: int
    """Decoded."""
    memory: int
    """Resident bytes of a worker at its peak."""

    @property
    def amplification(self) -> float:
        return self.bytes_read / max(self.bytes_needed, 1)

    @property
    def count(self) -> int:
        return math.prod(_counts(self.sizes, self.region).values())

    def span(self, number: int) -> Span:
        """Where region ``number`` lies; the last dimension runs fastest."""
        found: Span = {}
        for dim, count in reversed(_counts(self.sizes, self.region).items()):
            number, place = divmod(number, count)
            step = self.region[dim]
            found[dim] = (place * step, min((place + 1) * step, self.sizes[dim]))
        return {dim: found[dim] for dim in self.sizes}

    @property
    def middle(self) -> Span:
        """Where a region lies that is like the most: it has others around it, if any has."""
        number = 0
        for count in _counts(self.sizes, self.region).values():
            number = number * count + count // 2
        return self.span(number)

    def row(self, number: int, dims: Iterable[str]) -> range:
        """Region ``number`` and those behind it, along that of ``dims`` with the most regions."""
        counts = _counts(self.sizes, self.region)
        dim = max(dims, key=counts.__getitem__, default=None)
        if dim is None:
            return range(number, number + 1)
        stride = math.prod(list(counts.values())[list(counts).index(dim) + 1 :])
        behind = counts[dim] - number // stride % counts[dim]
        return range(number, number + stride * behind, stride)


def planned(work: Workload, region: Mapping[str, int]) -> Plan:
    """The plan with regions of this shape."""
    return Plan(
        sizes=work.sizes,
        region=dict(region),
        bytes_read=bytes_read(work, region),
        bytes_needed=sum(_bytes(each, work.sizes) for each in work.inputs.values()),
        bytes_written=sum(_bytes(each, work.sizes) for each in work.outputs.values()),
        memory=memory(work, region),
    )


def chosen(work: Workload, room: int, workers: int = 1) -> dict[str, int]:
    """The shape of a region: few bytes read twice, a second's work, and room for it.

    Grows from one shard, each time along the dimension that lowers the amplification most, while
    a worker has ``room`` bytes for it.
    """
    plan = planned(work, work.shards)
    whole = sum(_bytes(each, work.sizes) for each in work.arrays)
    least = min(LEAST, max(FEW, whole // (4 * workers)))
    while True:
        grown = [_grown(work, plan.region, dim) for dim in work.sizes]
        larger = [region for region in grown if region != plan.region]
        fitting = [r for r in larger if memory(work, r) <= room and volume(work, r) <= MOST]
        if not fitting:
            return plan.region
        plans = [planned(work, region) for region in fitting]
        best = min(plans, key=lambda p: (p.amplification, volume(work, p.region)))
        is_good = plan.amplification <= AMPLIFIED or best.amplification >= plan.amplification
        if is_good and volume(work, plan.region) >= least:
            return plan.region
        plan = best


def _grown(work: Workload, region: Mapping[str, int], dim: str) -> dict[str, int]:
    """The region twice as long, at first as long as chunks and shards both fit."""
    size, shard, old = work.sizes[dim], work.shards[dim], region[dim]
    if work.halos[dim].around:
        return {**region, dim: size}
    common = shard
    for each in work.inputs.values():
        chunk = each.chunks.get(dim, size)
        if dim in each.dims and isinstance(chunk, int):
            common = math.lcm(common, chunk)
    longer = common if old < common and common <= 8 * old else 2 * old
    return {**region, dim: min(longer, size)}


def volume(work: Workload, region: Mapping[str, int]) -> int:
    """Bytes in and out of a region, decoded, without its halo."""
    return sum(_bytes(each, region) for each in work.arrays)


def memory(work: Workload, region: Mapping[str, int]) -> int:
    """Resident bytes of a worker at its peak: everything of a region at once.

    And for each thread a chunk of the source being decoded and a shard that is put together,
    filtered and compressed.
    """
    around = {
        dim: min(size + 2 * work.halos[dim].depth, work.sizes[dim]) for dim, size in region.items()
    }
    held = sum(_bytes(each, around) for each in work.inputs.values())
    made = sum(_bytes(each, region) for each in work.outputs.values())
    chunk = 0
    for each in work.inputs.values():
        chunks = {dim: each.chunks_of(dim, work.sizes[dim]) for dim in each.dims}
        largest = {dim: c if isinstance(c, int) else max(c) for dim, c in chunks.items()}
        chunk = max(chunk, _bytes(each, around if each.sliced else largest))
    shard = max((_bytes(each, work.shards) for each in work.outputs.values()), default=0)
    return work.base + held + made + work.threads * (chunk + 2 * shard)


def bytes_read(work: Workload, region: Mapping[str, int]) -> int:
    """Decoded bytes of all that all regions read: a star of halos, no corners.

    A chunk counts as often as a read touches it, as the run itself counts.
    """
    counts = _counts(work.sizes, region)
    total = 0
    for each in work.inputs.values():
        own, beside = 1, []
        for dim in each.dims:
            inner, halo = _rounded(work, each, dim, region[dim])
            own *= inner
            beside.append((inner, halo))
        repeated = math.prod(count for dim, count in counts.items() if dim not in each.dims)
        star = own + sum(own // max(inner, 1) * halo for inner, halo in beside)
        total += star * repeated * each.itemsize
    return total


def _rounded(work: Workload, each: Field, dim: str, step: int) -> tuple[int, int]:
    """Points along ``dim`` that all regions decode, for themselves and for their halos."""
    size, halo = work.sizes[dim], work.halos[dim]
    chunks = each.chunks_of(dim, size)
    piece = work.pieces.get(dim, size)
    inner = beside = 0
    if size > _MANY * step:  # the first many are like the rest
        size = _MANY * step
        chunks, piece = (one if isinstance(one, int) else size for one in (chunks, piece))
    for start in range(0, size, step):
        stop = min(start + step, size)
        ends = [start, *inside(start, stop, piece), stop]
        inner += sum(width(*part, chunks, size) for part in pairwise(ends))
        if stop - start == size:
            continue
        for layer in range(halo.layers):
            near, far = halo.rows * layer, halo.rows * (layer + 1)
            layers = [(start - far, start - near), (stop + near, stop + far)]
            if halo.around and start == 0:
                layers.append((size - far, size - near))
            if halo.around and stop == size:
                layers.append((near, far))
            beside += sum(width(max(0, a), min(size, b), chunks, size) for a, b in layers)
    return inner * work.sizes[dim] // size, beside * work.sizes[dim] // size


def with_region(work: Workload, wanted: Mapping[str, int]) -> dict[str, int]:
    """The shape that was asked for, in whole shards; what is not named is one shard."""
    return {
        dim: min(-(-wanted.get(dim, shard) // shard) * shard, work.sizes[dim])
        for dim, shard in work.shards.items()
    }


def _counts(sizes: Mapping[str, int], region: Mapping[str, int]) -> dict[str, int]:
    return {dim: max(1, -(-size // region[dim])) for dim, size in sizes.items()}


def _bytes(each: Field, sizes: Mapping[str, int]) -> int:
    return each.itemsize * math.prod(sizes[dim] for dim in each.dims)
