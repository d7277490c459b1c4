"""What a region costs beside its work, and whether client and scheduler stay as small as they are.

`fdgrad run` on very many chunks of 128 bytes, a region each, by two workers. Overhead is the time
of all workers, shared out over the regions, less what reading and writing take: the driver, the
way there and back, and on the worker the graph of a region.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import zarr

from benchmarks.command import Ran, run
from benchmarks.rows import Row, number, spread

COUNTS = {"quick": 60, "usual": 2_000, "long": 100_000}
WORKERS = 2
SHAPE = (4, 8)
SECTIONS = {
    "steps": [{"operator": "gradient", "inputs": "t", "options": {"dim": "x"}}],
    "target": {"chunks": {"time": 1}, "regions": {"time": 1}},
    "cluster": {"kind": "local", "workers": WORKERS, "threads": 1},
}


def rows(size: str) -> Iterator[Row]:
    """One run."""
    count = COUNTS[size]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _store(folder / "in.zarr", count)
        ran = run(folder, "in.zarr", "out.zarr", SECTIONS)
        files = [file.stat().st_size for file in (folder / "out.zarr.journal/regions").iterdir()]
    yield from _rows(ran, median(files))


def _rows(ran: Ran, record: float) -> Iterator[Row]:
    case = f"{ran.regions} regions of one tiny chunk, {WORKERS} workers"
    share = ran.working * WORKERS / ran.regions
    inside = f"on its worker {number(1e3 * (ran.inside - ran.handling))} ms of it"
    quarter = [rss for at, rss in ran.memory if at <= ran.working / 4] or [ran.memory[0][1]]
    memory = f"{quarter[-1] / 1e6:.0f} MB, then {ran.memory[-1][1] / 1e6:.0f} MB"
    flat = ran.memory[-1][1] / quarter[-1]
    growth = (ran.memory[-1][1] - quarter[-1]) / (0.75 * ran.regions)
    for what, target, value, unit, note in (
        ("overhead of a region", "region", 1e3 * (share - ran.handling), "ms", inside),
        ("client and scheduler: memory, end over a quarter", "region memory", flat, "×", memory),
        ("client and scheduler: memory that a region leaves", "", growth, "B", ""),
        ("client and scheduler: processor time of a region", "", 1e3 * ran.driver, "ms", ""),
        ("a tiny region on its worker", "", 1e3 * ran.inside, "ms", ""),
        ("from the last region to the end of the command", "", ran.closing, "s", ""),
        ("record of a region in the journal", "", record, "B", ""),
    ):
        yield Row(what, case, "", target, **spread([value]), unit=unit, note=note)


def _store(path: Path, count: int) -> None:
    """One shard, so that many chunks are few files."""
    group = zarr.create_group(path)
    lengths = {"time": count, "y": SHAPE[0], "x": SHAPE[1]}
    for name, n in lengths.items():
        group.create_array(name, data=np.arange(n, dtype=float), dimension_names=[name])
    shard = min(count, 10_000)
    field = group.create_array(
        "t",
        shape=(count, *SHAPE),
        shards=(shard, *SHAPE),
        chunks=(1, *SHAPE),
        dtype="float32",
        dimension_names=list(lengths),
    )
    noise = np.random.default_rng(0)
    for start in range(0, count, shard):
        rest = min(shard, count - start)
        field[start : start + rest] = noise.random((rest, *SHAPE), "float32")
    zarr.consolidate_metadata(path)
