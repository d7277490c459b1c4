"""One core, memory warm: what fraction of the speed of a copy has a gradient?

Of one contiguous block, its edges and all, against `numpy.copyto` of as many bytes into memory that
is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks.machine import keep_to
from benchmarks.rows import Row, in_turn, over, seconds_of
from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.stencils.table import stencil

AXES = ("first", "middle", "last")
BLOCKS = {14: (12, 300, 1000), 100: (25, 500, 2000)}  # MB of float32


def rows(size: str) -> Iterator[Row]:
    """Blocks of two sizes, along each axis."""
    keep_to(1)
    runs = 2 if size == "quick" else 7
    for dtype in ("float32", "float64"):
        for megabytes, shape in BLOCKS.items():
            if size == "quick" and megabytes > 14:
                continue
            first = shape[0] * 4 // np.dtype(dtype).itemsize
            f = np.random.default_rng(0).random((first, *shape[1:])).astype(dtype)
            copy = partial(np.copyto, np.empty_like(f), f)
            for number, axis in enumerate(AXES):
                table = stencil(np.arange(f.shape[number]) * 2.0, f.shape[number])
                ours = partial(compute_block, [Block(f)], single(table, number), f.dtype)
                what = f"block of {megabytes} MB"
                yield _row(f"{what}, {dtype}", axis, {"ours": ours, "copy": copy}, runs)


def _row(what: str, axis: str, ways: dict[str, Callable[[], object]], runs: int) -> Row:
    seconds = in_turn(ways, runs)
    return Row(
        what,
        axis,
        "`numpy.copyto`",
        "kernel",
        **over(seconds["copy"], seconds["ours"]),
        note=seconds_of(seconds["ours"]),
    )
