"""Zarr to gradient to Zarr: `fdgrad run` against what its codecs cost, xarray, and one worker.

The floor decodes every chunk of the source and encodes the finished result from memory, with the
codecs, the processes and the allocator of the run. The bare loop also computes: for each chunk a
read, one call, a write, without halos, journal or scheduler. One worker has one core, two have two:
left alone, one would take both for what zarr and XLA do in threads of their own. Times are those of
the work: processes have started and imported before; what the command takes in all is in the note.
Two operators of one wind, as two steps, stand beside the one step that gives both.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from distributed import Client
from zarr.codecs import BloscCodec

import fdgrad_dask as fd
from benchmarks.cluster import workers
from benchmarks.command import Ran, run
from benchmarks.rows import Row, number, over, seconds_of, spread

DIMS = ("time", "y", "x")
SIZES = {"quick": (24, 300, 400), "usual": (84, 1500, 2000)}  # 1.0 GB of float32
CHUNKS = (12, 300, 1000)  # 14 MB
WIND = ["u", "v"]
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
        _on_workers(client, folder, _loop)
        two, one, floor, loop, theirs = [], [], [], [], []
        for _ in range(runs):
            two.append(_command(folder, 2))
            floor.append(_on_workers(client, folder, _decode_and_encode))
            loop.append(_on_workers(client, folder, _loop))
            theirs.append(_composed(folder))
            one.append(_command(folder, 1))
    yield from _rows(shape, two, one, floor, loop, theirs)
    yield _steps((shape[0] // 2, *shape[1:]), runs)


def _rows(
    shape: tuple[int, ...],
    two: list[Ran],
    one: list[Ran],
    floor: list[float],
    loop: list[float],
    theirs: list[float],
) -> Iterator[Row]:
    gigabytes = 4 * np.prod(shape) / 1e9
    what, case = "`fdgrad run`, zarr to zarr", f"{gigabytes:.1f} GB, chunks of 14 MB, 2 workers"
    ours = [ran.working for ran in two]
    whole = f"{seconds_of(ours)} of {number(two[0].ended - two[0].began)} s in all"
    floor_note = f"{whole}; floor {number(np.median(floor))} s; {_spent(two[0])}"
    yield Row(what, case, "decode and encode alone", "floor", **over(ours, floor), note=floor_note)
    bare = f"{whole}; loop {number(np.median(loop))} s, itself {_times(loop, floor)} the floor"
    yield Row(what, case, "a bare loop: read, `fd.gradient`, write", **over(loop, ours), note=bare)
    peer = f"{whole}; peer {number(np.median(theirs))} s"
    yield Row(what, case, PEER, "to_zarr", **over(ours, theirs), note=peer)
    alone = [ran.working for ran in one]
    note = f"{number(np.median(alone))} and {number(np.median(ours))} s, a core for each worker"
    yield Row(f"{what}, 1 to 2 workers", case, "", "workers", **over(alone, ours), note=note)
    rates = [gigabytes / seconds for seconds in alone]
    yield Row("one worker, source read, computed, written", case, unit="GB/s", **spread(rates))


def _steps(shape: tuple[int, ...], runs: int) -> Row:
    """What it would gain to find that steps share their fields, and to compute them in one pass."""
    names = ["vorticity", "divergence"]
    kinds = {"which": names}
    together = [{"operator": "kinematics", "inputs": WIND, "options": kinds, "output": names}]
    apart = [{"operator": name, "inputs": WIND, "output": name} for name in names]
    times: dict[str, list[float]] = {"together": [], "apart": []}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        store(folder / "in.zarr", shape, WIND)
        for turn in range(runs + 1):  # the first to warm up
            for name, steps in {"together": together, "apart": apart}.items():
                os.sync()
                ran = run(folder, "in.zarr", "ours.zarr", {"steps": steps})
                times[name] += [ran.ended - ran.began][: turn and 1]
    case = f"{8 * np.prod(shape) / 1e9:.1f} GB, zarr to zarr, 2 cores"
    values = over(times["apart"], times["together"])
    note = f"{seconds_of(times['together'])} together, {number(np.median(times['apart']))} s apart"
    what = "vorticity and divergence in one step, the whole command"
    return Row(what, case, "in two steps", **values, note=note)


def _times(seconds: list[float], others: list[float]) -> str:
    return f"{number(over(seconds, others)['ratio'])} ×"


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


def store(path: Path, shape: tuple[int, ...], names: Sequence[str] = (FIELD,)) -> None:
    """Waves and some noise, of the precision that archives keep: compresses to about a half."""
    time_, y, x = (np.arange(n, dtype="float32") for n in shape)
    noise = np.random.default_rng(0)
    group = zarr.create_group(path)
    for name, values in zip(DIMS, (time_, y, x), strict=True):
        attributes = {"axis": name[0].upper()} | ({} if name == "time" else {"units": "m"})
        group.create_array(name, data=values, dimension_names=[name], attributes=attributes)
    for each in names:
        field = group.create_array(
            each,
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


def _on_workers(client: Client, folder: Path, does: Any) -> float:
    """Seconds from the first start to the last end, into a target like that of the run."""
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
    spans = _each(client, does, folder)
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


def _opened(folder: Path) -> tuple[Any, Any]:
    source = zarr.open_array(folder / "in.zarr", path=FIELD, mode="r")
    # Else zarr compares each chunk with the fill value, which takes as long as to encode it.
    with zarr.config.set({"array.write_empty_chunks": True}):
        return source, zarr.open_array(folder / "floor.zarr", mode="r+")


def _loop(folder: Path, share: int, shares: int) -> tuple[float, float]:
    """Each chunk by itself: the rows at its ends are those of an edge, and take as long."""
    source, target = _opened(folder)
    began = time.time()
    for place in _places(source)[share::shares]:
        target[place] = fd.gradient(source[place], axis=DIMS.index("y"))
    return began, time.time()


def _decode_and_encode(folder: Path, share: int, shares: int) -> tuple[float, float]:
    source, target = _opened(folder)
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
