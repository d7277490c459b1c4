"""A region in characters: what it computes of each dimension, and what it reads for that."""

from __future__ import annotations

from itertools import pairwise

from fdgrad_dask.pipeline.planning.cutting import outwards
from fdgrad_dask.pipeline.planning.regions import Plan, Workload

_WIDTH = 48  # characters of a dimension


def draw(work: Workload, plan: Plan) -> list[str]:
    """Draw a region that has others around it, if any has: a line for each dimension.

    ``#`` is what it computes, ``-`` what else it reads, in complete chunks of the source, and
    ``.`` what other regions read.
    """
    lines = ["drawn    a region in the middle: # computed, - also read, . neither"]
    name_width = max(map(len, plan.sizes))
    for dim, (start, stop) in plan.middle.items():
        size = plan.sizes[dim]
        low, high = _reads(work, dim, start, stop)
        ends = [i * size / _WIDTH for i in range(_WIDTH + 1)]
        marks = [_mark(*part, (start, stop), (low, high)) for part in pairwise(ends)]
        also = "" if (low, high) == (start, stop) else f", reads {low} to {high}"
        around = ", and the other end" if work.halos[dim].around and high - low < size else ""
        said = f"{start} to {stop} of {size}{also}{around}"
        lines.append(f"         {dim:<{name_width}} {''.join(marks)} {said}")
    return lines


def _mark(left: float, right: float, own: tuple[int, int], read: tuple[int, int]) -> str:
    """The mark of a character: a region has at least one, however narrow it is."""
    if left < own[1] and right > own[0]:
        return "#"
    return "-" if left < read[1] and right > read[0] else "."


def _reads(work: Workload, dim: str, start: int, stop: int) -> tuple[int, int]:
    """From where to where the inputs are read, with halos, in complete chunks."""
    size, depth = work.sizes[dim], work.halos[dim].depth
    low, high = max(start - depth, 0), min(stop + depth, size)
    ends = [
        outwards(low, high, each.chunks_of(dim, size), size)
        for each in work.inputs.values()
        if dim in each.dims
    ]
    return min((a for a, _ in ends), default=start), max((b for _, b in ends), default=stop)
