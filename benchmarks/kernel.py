"""One core, memory warm: what fraction of the speed of a copy has a gradient?

Of a tile that holds its halo, in the cache, and of one contiguous block, its edges and all,
against `numpy.copyto` of as many bytes into memory that is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.machine import keep_to
from benchmarks.rows import Row, in_turn, over, seconds_of
from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.kernel import interned, on_tile
from fdgrad_dask.blocks.program import Block, single, weights_of
from fdgrad_dask.blocks.views import Padded
from fdgrad_dask.stencils.table import stencil

AXES = ("first", "middle", "last")
TILES = ((1, 8, 131072), (8, 256, 512), (2048, 512, 1))
BLOCKS = {14: (12, 300, 1000), 100: (25, 500, 2000)}  # MB of float32
REPEATED = 20  # times, so that a tile takes long enough to be timed


def rows(size: str) -> Iterator[Row]:
    """Tiles, then blocks."""
    keep_to(1)
    runs = 2 if size == "quick" else 7
    for dtype in ("float32", "float64"):
        for axis, folded in zip(AXES, TILES, strict=True):
            copy = partial(np.copyto, np.empty(folded, dtype), np.ones(folded, dtype))
            ways = {"ours": _tile(folded, dtype), "copy": partial(_times, REPEATED, copy)}
            yield _row(f"tile of 4 MB in the cache, {dtype}", axis, ways, runs)
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


def _tile(folded: tuple[int, ...], dtype: str) -> Callable[[], object]:
    table = stencil(2.0, folded[1])
    program = single(table, 1).bare()
    weights = [weights_of(table, lambda w: np.asarray(w, dtype))]
    with jax.enable_x64(True):
        window = jax.device_put(np.ones((folded[0], folded[1] + 2, folded[2]), dtype))
        spent = [jax.device_put(np.empty(folded, dtype))]
    view: Any = Padded(window, (0, 1, 0))

    plan = interned(program)

    def run() -> None:
        nonlocal spent
        with jax.enable_x64(True):
            for _ in range(REPEATED):
                spent = on_tile([view], weights, np.uint64(0), spent, program=plan)
                spent[0].block_until_ready()

    assert math.prod(folded) * np.dtype(dtype).itemsize <= 8 << 20, "a tile fits in the cache"
    return run


def _times(count: int, run: Callable[[], object]) -> None:
    for _ in range(count):
        run()
