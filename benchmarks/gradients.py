"""Single gradients: our kernel against the memory, our chunks against dask's and xarray's.

Prints a Markdown table and writes it beside itself. Each row is measured twice: in a process as
it comes, and in one whose allocator keeps its memory, as the workers of `fdgrad run` have it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import dask
import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import fdgrad_dask as fd
from benchmarks.timing import KEEP_MEMORY, in_turn, lines_of, machine
from fdgrad_dask.kernels import on_tile
from fdgrad_dask.program import single, weights_of
from fdgrad_dask.stencil import stencil

RESULT = Path(__file__).with_suffix(".md")
AXES = ("first", "middle", "last")
RUNS = 3
HEAD = """# Single gradients

{machine}.

Ratio = time of the peer / time of ours: the median of {runs} runs in turn (lowest – highest). For
the kernel that is the fraction of the speed at which memory is copied. Made by `make bench`.

| what | axis | against | process as it comes | memory kept |
|---|---|---|---|---|
"""


class Case(NamedTuple):
    """A row of the table."""

    what: str
    axis: str
    peer: str
    ours: Callable[[], object]
    theirs: Callable[[], object]


class Sink:
    """A target that swallows what is stored, so that only the computation is timed."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def kernels() -> Iterator[Case]:
    """One tile with its halo, warm, against NumPy's copy of as many bytes."""
    for dtype in ("float32", "float64"):
        for axis, folded in zip(AXES, ((1, 8, 131072), (8, 256, 512), (2048, 512, 1)), strict=True):
            source = np.ones(folded, dtype)
            window = np.ones((folded[0], folded[1] + 2, folded[2]), dtype)
            copy = partial(np.copyto, np.empty_like(source), source)
            yield Case(
                f"kernel, {dtype}",
                axis,
                "`numpy.copyto`",
                _kernel(window),
                partial(_times, 20, copy),
            )


def _kernel(window: np.ndarray) -> Callable[[], object]:
    table = stencil(2.0, window.shape[1] - 2)
    program = single(table, 1).bare()
    weights = [weights_of(table, lambda w: np.asarray(w, window.dtype))]
    with jax.enable_x64(True):
        on_device = jax.device_put(window)

    def run() -> None:
        with jax.enable_x64(True):
            for _ in range(20):
                done = on_tile(
                    [on_device], weights, np.uint64(0), program=program, halos=((0, 1, 0),)
                )
                done[0].block_until_ready()

    return run


def _times(count: int, run: Callable[[], object]) -> None:
    for _ in range(count):
        run()


def whole_arrays() -> Iterator[Case]:
    """A NumPy array of 192 MB."""
    jitted = jax.jit(jnp.gradient, static_argnames="axis")
    for dtype, shape in (("float32", (24, 1000, 2000)), ("float64", (12, 1000, 2000))):
        f = np.random.default_rng(0).random(shape).astype(dtype)
        for number, axis in enumerate(AXES):
            uneven = np.sort(np.random.default_rng(1).random(shape[number]))
            for spacing, x in (("even", 2.0), ("uneven", uneven)):
                what = f"NumPy array, {dtype}, {spacing}"
                ours = partial(fd.gradient, f, x, axis=number)
                yield Case(
                    what, axis, "`numpy.gradient`", ours, partial(np.gradient, f, x, axis=number)
                )
                if dtype == "float32":  # with x64 off jax.numpy has no other
                    theirs = partial(_as_numpy, jitted, f, x, number)
                    yield Case(what, axis, "`jit(jax.numpy.gradient)`", ours, theirs)


def _as_numpy(function: Any, f: np.ndarray, x: Any, axis: int) -> np.ndarray:
    return np.asarray(function(f, x, axis=axis))


def chunked_arrays() -> Iterator[Case]:
    """A dask array of 0.4 GB in memory, computed by two threads into nowhere."""
    f = np.random.default_rng(0).random((50, 1000, 2000), dtype="float32")
    for megabytes, chunks in ((100, (25, 500, 2000)), (14, (12, 300, 1000)), (2, (5, 250, 400))):
        lazy = da.from_array(f, chunks=chunks, name=f"f-{megabytes}")
        for number, axis in enumerate(AXES):
            uneven = np.sort(np.random.default_rng(1).random(f.shape[number]))
            for spacing, x in (("even", np.arange(f.shape[number]) * 2.0), ("uneven", uneven)):
                labelled = xr.DataArray(lazy, dims=AXES, coords={axis: x})
                what = f"dask array, {megabytes} MB chunks, {spacing}"
                ours = partial(_stored, partial(labelled.fdgrad.gradient, axis))
                theirs = partial(_stored, partial(labelled.differentiate, axis))
                yield Case(what, axis, "`DataArray.differentiate`", ours, theirs)
                if spacing == "even":
                    theirs = partial(_stored, partial(da.gradient, lazy, x, axis=number))
                    yield Case(what, axis, "`dask.array.gradient`", ours, theirs)


def _stored(build: Callable[[], Any]) -> None:
    """Builds the graph and computes every chunk, to keep none."""
    built = build()
    da.store([getattr(built, "data", built)], [Sink()], lock=False)


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "kernels": kernels,
    "whole": whole_arrays,
    "chunked": chunked_arrays,
}


def measure(group: str) -> None:
    """Prints what the parent process reads: a ratio, its lowest and its highest per line."""
    with dask.config.set(scheduler="threads", num_workers=2):
        for case in GROUPS[group]():
            pair = in_turn(case.ours, case.theirs, RUNS)
            ratio = f"{pair.ratio:.2f} ({pair.lowest:.2f} – {pair.highest:.2f})"
            print(case.what, case.axis, case.peer, ratio, sep=" | ", flush=True)


def main() -> None:
    """Runs every group in fresh processes of both kinds, and writes the table."""
    text = HEAD.format(machine=machine(), runs=RUNS)
    print(text, end="")
    for group in GROUPS:
        plain, kept = (lines_of("benchmarks.gradients", group, env) for env in ({}, KEEP_MEMORY))
        for line, other in zip(plain, kept, strict=True):
            row = f"| {line} | {other.rsplit(' | ', 1)[1]} |"
            print(row, flush=True)
            text += row + "\n"
    RESULT.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
