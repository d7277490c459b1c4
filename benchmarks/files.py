"""Zarr to gradient to Zarr: `fdgrad run` against what its codecs cost, xarray, and one worker.

The floor decodes every chunk of the source and encodes the finished result from memory, with the
codecs, the processes and the allocator of the run. One worker has one core, two have two: left
alone, one would take both for what zarr and XLA do in threads of their own. Times are those of the
work: processes have started and imported before; what the command takes in all is in the note.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from distributed import Client
from zarr.codecs import BloscCodec

from benchmarks.cluster import workers
from benchmarks.command import Ran, run
from benchmarks.rows import Row, number, over, seconds_of, spread

DIMS = ("time", "y", "x")
SIZES = {"quick": (24, 300, 400), "usual": (84, 1500, 2000)}  # 1.0 GB of float32
CHUNKS = (12, 300, 1000)  # 14 MB
FIELD, RESULT = "t", "dt_dy"
STEP = {"operator": "gradient", "inputs": [FIELD], "options": {"dim": "y"}, "output": RESULT}
PEER = "`open_zarr`, `differentiate`, `to_zarr`"
_HELD: dict[tuple[int, ...], np.ndarray] = {}  # chunks of the finished result, on a worker


def rows(size: str) -> Iterator[Row]:
    """All in turn: two workers, the floor, xarray, one worker."""
    shape = SIZES.get(size, SIZES["usual"])
    runs = 1 if size == "quick" else 3
    with tempfile.TemporaryDirectory() as made, workers(2) as client:
        folder = Path(made)
        store(folder / "in.zarr", shape)
        _command(folder, 2)  # its result is what the floor encodes
        _each(client, _take, folder)
        _composed(folder)
        two, one, floor, theirs = [], [], [], []
        for _ in range(runs):
            two.append(_command(folder, 2))
            floor.append(_floor(client, folder))
            theirs.append(_composed(folder))
            one.append(_command(folder, 1))
    yield from _rows(shape, two, one, floor, theirs)


def _rows(
    shape: tuple[int, ...], two: list[Ran], one: list[Ran], floor: list[float], theirs: list[float]
) -> Iterator[Row]:
    gigabytes = 4 * np.prod(shape) / 1e9
    what, case = "`fdgrad run`, zarr to zarr", f"{gigabytes:.1f} GB, chunks of 14 MB, 2 workers"
    ours = [ran.working for ran in two]
    whole = f"{seconds_of(ours)} of {number(two[0].ended - two[0].began)} s in all"
    floor_note = f"{whole}; floor {number(np.median(floor))} s; {_spent(two[0])}"
    yield Row(what, case, "decode and encode alone", "floor", **over(ours, floor), note=floor_note)
    peer = f"{whole}; peer {number(np.median(theirs))} s"
    yield Row(what, case, PEER, "to_zarr", **over(ours, theirs), note=peer)
    alone = [ran.working for ran in one]
    note = f"{number(np.median(alone))} and {number(np.median(ours))} s, a core for each worker"
    yield Row(f"{what}, 1 to 2 workers", case, "", "workers", **over(alone, ours), note=note)
    rates = [gigabytes / seconds for seconds in alone]
    yield Row("one worker, source read, computed, written", case, unit="GB/s", **spread(rates))


def _spent(ran: Ran) -> str:
    """What the time of the workers went into."""
    total = 2 * ran.working
    read, written, inside = (
        sum(record[name] for record in ran.records)
        for name in ("read_seconds", "write_seconds", "seconds")
    )
    shares = {"reads": read, "writes": written, "computes": inside - read - written}
    told = [f"{100 * part / total:.0f} % {name}" for name, part in shares.items()]
    return f"a worker {', '.join(told)}, {100 * (1 - inside / total):.0f} % waits"


def store(path: Path, shape: tuple[int, ...]) -> None:
    """Waves and some noise, of the precision that archives keep: compresses to about a half."""
    time_, y, x = (np.arange(n, dtype="float32") for n in shape)
    noise = np.random.default_rng(0)
    group = zarr.create_group(path)
    for name, values in zip(DIMS, (time_, y, x), strict=True):
        group.create_array(name, data=values, dimension_names=[name])
    field = group.create_array(
        FIELD,
        shape=shape,
        chunks=tuple(map(min, CHUNKS, shape)),
        dtype="float32",
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        dimension_names=DIMS,
    )
    for start in range(0, shape[0], CHUNKS[0]):
        part = slice(start, start + CHUNKS[0])
        wave = np.sin(x / 70 + time_[part, None, None] / 3) * np.cos(y[:, None] / 90)
        smooth = 280 + 20 * wave + noise.standard_normal(wave.shape, "float32") / 20
        field[part] = np.round(smooth * 128) / 128
    zarr.consolidate_metadata(path)


def _command(folder: Path, count: int) -> Ran:
    os.sync()
    cluster = {"kind": "local", "workers": count, "threads": 1}
    sections = {"steps": [STEP], "cluster": cluster}
    return run(folder, "in.zarr", "ours.zarr", sections, on=count)


def _places(array: Any) -> list[tuple[slice, ...]]:
    starts = (range(0, n, c) for n, c in zip(array.shape, array.chunks, strict=True))
    return [
        tuple(slice(s, s + c) for s, c in zip(corner, array.chunks, strict=True))
        for corner in product(*starts)
    ]


def _take(folder: Path, share: int, shares: int) -> None:
    """Keeps a share of the finished result in memory."""
    result = zarr.open_array(folder / "ours.zarr", path=RESULT, mode="r")
    places = _places(result)
    _HELD.update({tuple(s.start for s in p): result[p] for p in places[share::shares]})


def _floor(client: Client, folder: Path) -> float:
    """Seconds from the first start to the last end."""
    shutil.rmtree(folder / "floor.zarr", ignore_errors=True)
    like = zarr.open_array(folder / "ours.zarr", path=RESULT, mode="r")
    zarr.create_array(
        folder / "floor.zarr",
        shape=like.shape,
        chunks=like.chunks,
        dtype=like.dtype,
        compressors=like.compressors,
    )
    os.sync()
    spans = _each(client, _decode_and_encode, folder)
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


def _decode_and_encode(folder: Path, share: int, shares: int) -> tuple[float, float]:
    source = zarr.open_array(folder / "in.zarr", path=FIELD, mode="r")
    # Else zarr compares each chunk with the fill value, which takes as long as to encode it.
    with zarr.config.set({"array.write_empty_chunks": True}):
        target = zarr.open_array(folder / "floor.zarr", mode="r+")
    began = time.time()
    for place in _places(source)[share::shares]:
        source[place]
    for place in _places(target)[share::shares]:
        target[place] = _HELD[tuple(s.start for s in place)]
    return began, time.time()


def _each(client: Client, does: Any, folder: Path) -> list[Any]:
    """What a function gives on every worker, each with its share."""
    addresses = list(client.scheduler_info()["workers"])
    futures = [
        client.submit(does, folder, i, len(addresses), workers=[address], pure=False)
        for i, address in enumerate(addresses)
    ]
    return list(client.gather(futures))


def _composed(folder: Path) -> float:
    """What an xarray user writes, on the workers of the client that is open."""
    shutil.rmtree(folder / "theirs.zarr", ignore_errors=True)
    like = zarr.open_array(folder / "ours.zarr", path=RESULT, mode="r")
    encoding = {RESULT: {"chunks": like.chunks, "compressors": like.compressors}}
    os.sync()
    began = time.perf_counter()
    with closing(xr.open_zarr(folder / "in.zarr")) as source:
        result = source[FIELD].differentiate("y").rename(RESULT).to_dataset()
        for variable in result.variables.values():
            variable.encoding = {}
        result.to_zarr(folder / "theirs.zarr", encoding=encoding)
    return time.perf_counter() - began
