"""A dask array in memory, computed chunk by chunk into nowhere, in one environment for all.

`da.fdgrad.gradient` against `DataArray.differentiate` and `dask.array.gradient`; as many threads as
there are cores. Every chunk is an array of its own, as where it was read or computed; some rows are
of chunks that are cut out of one array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

import fdgrad_dask  # noqa: F401
from benchmarks.machine import cores
from benchmarks.rows import Row, in_turn, over, seconds_of

AXES = ("first", "middle", "last")
# MB of a chunk: shape of the array and of a chunk, in float32; float64 has half as many rows.
CHUNKED = {
    100: ((48, 1000, 2000), (24, 500, 2000)),
    14: ((24, 900, 2000), (12, 300, 1000)),
    2: ((20, 1000, 2000), (4, 250, 500)),
}
# Peers lose most where spacing is uneven; of one dtype, for the time that it takes.
SPACINGS = {"float32": ("even", "uneven"), "float64": ("even",)}
CUT_OUT = (14, "float32")
DIFFERENTIATE, GRADIENT = "`DataArray.differentiate`", "`dask.array.gradient`"
MAP_OVERLAP = "the halos of dask's `map_overlap`"


class Sink:
    """A target that swallows what is stored, so that only the computation is timed."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def rows(size: str) -> Iterator[Row]:
    """Every size of chunks, dtype, axis and spacing."""
    with dask.config.set(scheduler="threads", num_workers=cores()):
        for megabytes, (shape, chunks) in CHUNKED.items():
            if size == "quick" and megabytes > 2:
                continue
            for dtype in ("float32", "float64"):
                part = 1 if dtype == "float32" else 2
                f = np.random.default_rng(0).random((shape[0] // part, *shape[1:])).astype(dtype)
                cut = (chunks[0] // part, *chunks[1:])
                parts = da.from_array(f, chunks=cut, name=f"f-{megabytes}-{dtype}")
                lazy = parts.map_blocks(np.copy, meta=parts).persist()
                runs = 2 if size == "quick" else 3
                for number in range(3):
                    for spacing in SPACINGS[dtype]:
                        case = f"{megabytes} MB chunks, {dtype}, {spacing}"
                        yield from _axis(lazy, case, spacing, number, runs)
                if (megabytes, dtype) == CUT_OUT:
                    case = f"{megabytes} MB chunks cut out of an array, {dtype}, even"
                    for number in range(3):
                        yield from _axis(parts, case, "even", number, runs, target=False)


def _axis(
    lazy: Any, case: str, spacing: str, number: int, runs: int, *, target: bool = True
) -> Iterator[Row]:
    n, axis = lazy.shape[number], AXES[number]
    even = np.arange(n) * 2.0
    x = even if spacing == "even" else np.sort(np.random.default_rng(1).random(n))
    labelled = xr.DataArray(lazy, dims=AXES, coords={axis: x})
    build = partial(labelled.fdgrad.gradient, axis)
    ways: dict[str, Callable[[], object]] = {
        "ours": partial(_stored, build),
        DIFFERENTIATE: partial(_stored, partial(labelled.differentiate, axis)),
    }
    if spacing == "even":  # of uneven spacing `differentiate` is `dask.array.gradient`
        ways[GRADIENT] = partial(_stored, partial(da.gradient, lazy, x, axis=number))
        if case.startswith("14 MB chunks,"):
            ways[MAP_OVERLAP] = partial(_stored, partial(overlapped, build))
    seconds = in_turn(ways, runs)
    ours = seconds.pop("ours")
    large = target and not case.startswith("2 MB")
    for peer, theirs in seconds.items():
        aim = "chunks" if peer == DIFFERENTIATE and large else ""
        yield Row(case, axis, peer, aim, **over(theirs, ours), note=seconds_of(ours))


def overlapped(build: Callable[[], Any]) -> Any:
    """The same kernel and bits, with halos as dask itself makes them."""
    with dask.config.set({"fdgrad.halo": "map_overlap"}):
        return build()


def _stored(build: Callable[[], Any]) -> None:
    """Builds the graph and computes every chunk, to keep none."""
    built = build()
    da.store([getattr(built, "data", built)], [Sink()], lock=False)
