"""Vorticity of the LLC4320 form: one chunk a time step, x wrapped, metric terms, little memory.

The shape of pangeo-data/distributed-array-examples #1, smaller by one factor in everything: u and
v of (n, n, nt) in chunks (n, n, 1) take three times the memory that all workers have. The same flux
form for both: ours as one operator, dask's by hand with `pad`, `rechunk` and `dask.array.gradient`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

import fdgrad_dask as fd
from benchmarks.chunks import Sink
from benchmarks.cluster import peak_memory, spilled, workers
from benchmarks.rows import Row, number, seconds_of, spread

DIMS = ("x", "y", "time")
WORKERS = 2
PEER = "the same in dask: pad, rechunk, gradient"
_READS: Counter[tuple[str, int]] = Counter()  # of this process


class Size(NamedTuple):
    """Points of a side, steps, and what a worker has."""

    side: int
    steps: int
    memory: str


SIZES = {
    "quick": Size(300, 12, "1 GiB"),
    "usual": Size(1800, 126, "1 GiB"),  # 2 × 126 × 26 MB = 6.5 GB for 2 GiB
    "long": Size(5000, 104, "6.5 GiB"),  # 2 × 104 × 200 MB = 41.6 GB for 13 GiB
}


class Made:
    """A source that makes its steps when they are read, and counts the reads."""

    ndim, dtype = 3, np.dtype("float64")

    def __init__(self, name: str, side: int, steps: int) -> None:
        self.name, self.shape = name, (side, side, steps)

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        _READS[self.name, key[2].start] += 1
        noise = np.random.default_rng(key[2].start)
        return noise.random(tuple(k.stop - k.start for k in key))


class Stored(Made):
    """The same from a Zarr folder."""

    def __init__(self, name: str, folder: str) -> None:
        self.folder = folder
        super().__init__(name, *zarr.open_array(folder, path=name, mode="r").shape[1:])

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        _READS[self.name, key[2].start] += 1
        return zarr.open_array(self.folder, path=self.name, mode="r")[key]


def rows(size: str) -> Iterator[Row]:
    """From a source that is made, and from one that is stored."""
    n = SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        _store(folder, n)
        sources: dict[str, Callable[[str, int], Made]] = {
            "generated": lambda name, steps: Made(name, n.side, steps),
            "stored": lambda name, steps: Stored(name, folder),
        }
        for where, source in sources.items():
            yield from _of(where, source, n)


def _of(where: str, source: Callable[[str, int], Made], n: Size) -> Iterator[Row]:
    ours, theirs = (_measured(build, source, n.steps, n) for build in (vorticity, composed))
    third = _measured(vorticity, source, n.steps // 3, n)
    gigabytes = 2 * 8 * n.side**2 * n.steps / 1e9
    case = f"{where}, {gigabytes:.1f} GB on {WORKERS} workers of {n.memory}"

    def row(what: str, target: str, value: float, note: str, *, unit: str = "×") -> Row:
        against = PEER if target in ("llc memory", "llc time") else ""
        what = f"LLC4320 form: {what}"
        return Row(what, case, against, target, **spread([value]), unit=unit, note=note)

    both = f"{third.memory / 1e9:.2f} and {ours.memory / 1e9:.2f} GB in all workers"
    flat = f"memory at {n.steps} steps over that at {n.steps // 3}"
    theirs_memory = f"dask {theirs.memory / 1e9:.2f} GB"
    yield row("tasks", "llc tasks", ours.tasks, f"dask {number(theirs.tasks)}", unit="tasks")
    yield row("reads of a chunk", "llc reads", ours.reads, f"dask {theirs.reads}", unit="reads")
    yield row(flat, "llc flat", ours.memory / third.memory, both)
    yield row("memory", "llc memory", ours.memory / theirs.memory, theirs_memory)
    yield row("time", "llc time", ours.seconds / theirs.seconds, seconds_of([ours.seconds]))
    yield row("spilled", "llc spilled", ours.spilled, f"dask {theirs.spilled:.0f} MB", unit="MB")


class Measured(NamedTuple):
    """One computation on fresh workers."""

    seconds: float
    tasks: float
    """Per output chunk."""
    reads: int
    """Of the chunk of the source that is read most often."""
    memory: int
    """Resident bytes of all workers at their peaks."""
    spilled: float


def _measured(
    build: Callable[..., da.Array], source: Callable[[str, int], Made], steps: int, n: Size
) -> Measured:
    def result(steps: int) -> da.Array:
        u, v = (_lazy(source(name, steps), steps) for name in "uv")
        return build(u, v, *spacings(n.side))

    with workers(WORKERS, n.memory) as client:
        _stored_nowhere(result(2 * WORKERS))  # imports and compiles
        client.run(_forget)
        began = time.perf_counter()
        lazy = result(steps)
        _stored_nowhere(lazy)
        seconds = time.perf_counter() - began
        reads: Counter[tuple[str, int]] = sum(client.run(_reads).values(), Counter())
        assert len(reads) == 2 * steps, f"{len(reads)} of {2 * steps} chunks were read"
        return Measured(
            seconds,
            len(dict(dask.optimize(lazy)[0].dask)) / lazy.npartitions,
            max(reads.values()),
            sum(client.run(peak_memory).values()),
            sum(client.run(spilled).values()),
        )


def _lazy(source: Made, steps: int) -> da.Array:
    chunks = (*source.shape[:2], 1)
    whole = da.from_array(source, chunks, name=f"source-{source.name}", inline_array=True)
    return whole[..., :steps]


def _stored_nowhere(lazy: da.Array) -> None:
    da.store([lazy], [Sink()], lock=False)


def _forget() -> None:
    _READS.clear()


def _reads() -> Counter[tuple[str, int]]:
    return _READS


def spacings(side: int) -> tuple[np.ndarray, np.ndarray]:
    """dx and dy at the points, in metres."""
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    return 2000 + 100 * np.cos(y / side), 2000 + 100 * np.sin(2 * np.pi * x / side)


def vorticity(u: da.Array, v: da.Array, dx: np.ndarray, dy: np.ndarray) -> da.Array:
    """Ours."""
    coords = {
        d: (d, np.arange(n), {"axis": d.upper()}) for d, n in zip("xy", u.shape, strict=False)
    }
    winds = [xr.DataArray(f, dims=DIMS, coords=coords, attrs={"units": "m s-1"}) for f in (u, v)]
    metres = {"units": "m"}
    given = [xr.DataArray(f, dims=DIMS[:2], coords=coords, attrs=metres) for f in (dx, dy)]
    geometry = fd.Curvilinear(dx=given[0], dy=given[1])
    return fd.operators.vorticity(*winds, geometry=geometry, boundary={"x": "periodic"}).data


def composed(u: da.Array, v: da.Array, dx: np.ndarray, dy: np.ndarray) -> da.Array:
    """(∂(v dy)/∂x − ∂(u dx)/∂y) / (dx dy) by hand."""
    dx, dy = (da.from_array(f, chunks=-1)[..., None] for f in (dx, dy))
    wrapped = da.pad(v * dy, [(1, 1), (0, 0), (0, 0)], mode="wrap").rechunk({0: -1})
    along_x = (wrapped[2:] - wrapped[:-2]) / 2
    return (along_x - da.gradient(u * dx, axis=1)) / (dx * dy)


def _store(folder: str, n: Size) -> None:
    """Four different steps of either, and links to their files for all others."""
    for seed, name in enumerate("uv"):
        array = zarr.create_array(
            folder,
            name=name,
            shape=(n.side, n.side, n.steps),
            chunks=(n.side, n.side, 1),
            dtype="float64",
            compressors=BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),
        )
        x, y = spacings(n.side)
        for step in range(min(4, n.steps)):
            noise = np.random.default_rng(seed * 4 + step).random((n.side, n.side))
            array[..., step] = np.round(x * np.sin(y + step) + noise, 2)
        for step in range(4, n.steps):
            first, other = (
                Path(folder, name, array.metadata.encode_chunk_key((0, 0, s)))
                for s in (step % 4, step)
            )
            os.makedirs(other.parent, exist_ok=True)
            _linked(first, other)


def _linked(first: Path, other: Path) -> None:
    try:
        os.link(first, other)
    except OSError:  # a file system without links
        shutil.copyfile(first, other)
