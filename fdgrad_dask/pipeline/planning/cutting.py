"""How a dimension is cut: into chunks of a source, regions, and the halos beside them."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

Span = dict[str, tuple[int, int]]
Chunks = int | tuple[int, ...]


@dataclass(frozen=True)
class Halo:
    """What a region reads beside itself along one dimension, on each side.

    ``layers`` of ``rows``: what is differentiated twice in a row needs two. ``around`` says that
    the ends of the dimension read each other, so that a region is best as long as all of it.
    """

    rows: int = 0
    layers: int = 0
    around: bool = False

    @property
    def depth(self) -> int:
        return self.rows * self.layers

    @property
    def alone(self) -> bool:
        """Whether a region reads nothing of those beside it."""
        return not self.depth and not self.around


@dataclass(frozen=True)
class Field:
    """An array that is read, or written: where it varies, and in which chunks it lies."""

    dims: tuple[str, ...]
    itemsize: int
    chunks: Mapping[str, Chunks] = field(default_factory=dict)
    sliced: bool = False
    """Whether it lies in no chunks, so that a part of it is read without the rest."""

    def decoded(self, box: Span, sizes: Mapping[str, int]) -> int:
        """Bytes that one read of a part decodes: all chunks that it touches."""
        points = 1
        for dim in self.dims:
            low, high = outwards(*box[dim], self.chunks_of(dim, sizes[dim]), sizes[dim])
            points *= high - low
        return points * self.itemsize

    def chunks_of(self, dim: str, size: int) -> Chunks:
        """Along one dimension; one point where a part is read alone."""
        return 1 if self.sliced else self.chunks.get(dim, size)


def width(start: int, stop: int, chunks: Chunks, size: int) -> int:
    """Points of all chunks that a part touches; none of a part that is beyond the ends."""
    if start >= stop:
        return 0
    low, high = outwards(start, stop, chunks, size)
    return high - low


def inside(start: int, stop: int, piece: Chunks) -> list[int]:
    """Where pieces end inside a part."""
    if isinstance(piece, int):
        return list(range((start // piece + 1) * piece, stop, piece))
    return [end for end in accumulate(piece) if start < end < stop]


def outwards(start: int, stop: int, chunks: Chunks, size: int) -> tuple[int, int]:
    """``start`` and ``stop`` moved to the ends of the chunks that they lie in.

    >>> outwards(5, 9, 4, 10)
    (4, 10)
    >>> outwards(5, 9, (3, 5, 2), 10)
    (3, 10)
    """
    if isinstance(chunks, int):
        return start // chunks * chunks, min(-(-stop // chunks) * chunks, size)
    ends = [0, *accumulate(chunks)]
    return ends[bisect_right(ends, start) - 1], ends[bisect_left(ends, stop)]


def cuts(size: int, start: int, stop: int, chunks: Chunks, halo: Halo) -> tuple[int, ...]:
    """The chunks of one dimension as region ``start`` to ``stop`` wants to read them.

    Its inside in chunks of the source, the layers of its halo, and what lies beyond. Where the
    ends of the domain read each other, they have the same layers.

    >>> cuts(100, 40, 60, 10, Halo(1, 2))
    (38, 1, 1, 10, 10, 1, 1, 38)
    >>> cuts(100, 80, 100, 10, Halo(1, 1, around=True))
    (1, 78, 1, 10, 10)
    """
    ends = {0, size, start, stop, *inside(start, stop, chunks)}
    for layer in range(1, halo.layers + 1):
        deep = halo.rows * layer
        beside = {start - deep, stop + deep, *((deep, size - deep) if halo.around else ())}
        ends |= {end for end in beside if not start < end < stop}
    ordered = sorted(end for end in ends if 0 <= end <= size)
    return tuple(behind - before for before, behind in pairwise(ordered))
