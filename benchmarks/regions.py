"""What a region costs beside its work, and whether client and scheduler stay as small as they are.

`fdgrad run` on very many chunks of 128 bytes, a region each, by two workers. Overhead is the time
of all workers, shared out over the regions, less what reading and writing take: the driver, the
way there and back, and on the worker the graph of a region.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

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


def _rows(ran: Ran, size: float) -> Iterator[Row]:
    """Of the regions after the first quarter, when all is open and compiled."""
    records = ran.records[len(ran.records) // 4 :]
    begun, count = records[0]["began"], len(records)
    share = (ran.done - begun) * WORKERS / count
    inside = mean(record["seconds"] for record in records)
    handling = mean(record["read_seconds"] + record["write_seconds"] for record in records)
    looks = [look for look in ran.seen if look.at <= ran.done]
    first = next((look for look in looks if look.at >= begun), looks[-1])
    last = looks[-1]
    on_worker = f"on its worker {number(1e3 * (inside - handling))} ms of it"
    memory = f"{first.memory / 1e6:.0f} MB, then {last.memory / 1e6:.0f} MB"
    left = (last.memory - first.memory) / count
    processor = 1e3 * (last.processor - first.processor) / count
    flat = last.memory / first.memory
    case = f"{len(ran.records)} regions of one tiny chunk, {WORKERS} workers"
    for what, target, value, unit, note in (
        ("overhead of a region", "region", 1e3 * (share - handling), "ms", on_worker),
        ("client and scheduler: memory, end over a quarter", "region memory", flat, "×", memory),
        ("client and scheduler: memory that a region leaves", "", left, "B", ""),
        ("client and scheduler: processor time of a region", "", processor, "ms", ""),
        ("a tiny region on its worker", "", 1e3 * inside, "ms", ""),
        ("from the last region to the end of the command", "", ran.ended - ran.done, "s", ""),
        ("record of a region in the journal", "", size, "B", ""),
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
