"""What a region costs beside its work, and whether client and scheduler stay as small as they are.

`fdgrad run` on very many chunks of 128 bytes, by two workers: a region each, and fifty to a region.
Overhead is the time of all workers, shared out over the regions, less what reading and writing
take: the driver, the way there and back, and on the worker the graph of a region. Small regions
travel together; what costs are told of is those that do not, as regions of the usual size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import zarr

from benchmarks.command import Ran, run
from benchmarks.rows import Row, number, spread

# Chunks of the source, how many of them a region has, and whether each travels alone.
CASES = {
    "quick": ((60, 10, False), (60, 1, False), (60, 1, True)),
    "usual": ((100_000, 50, False), (2_000, 1, False), (250, 1, True)),
    "long": ((100_000, 50, False), (100_000, 1, False), (2_000, 1, True)),
}
WORKERS = 2
SHAPE = (4, 8)
SECTIONS = {
    "steps": [{"operator": "gradient", "inputs": "t", "options": {"dim": "x"}}],
    "cluster": {"kind": "local", "workers": WORKERS, "threads": 1},
}


def rows(size: str) -> Iterator[Row]:
    """A run for each case."""
    for count, each, alone in CASES[size]:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            _store(folder / "in.zarr", count)
            target = {"target": {"chunks": {"time": each}, "regions": {"time": each}}}
            ran = run(folder, "in.zarr", "out.zarr", SECTIONS | target, alone=alone)
            lines = (folder / "out.zarr.journal/journal.jsonl").read_bytes().splitlines()
            sizes = [len(line) + 1 for line in lines]
        case = _case(ran, each, alone)
        if each == 1:
            yield from _costs(ran, median(sizes), case, "" if alone else "region")
        yield from _memory(ran, case)


def _settled(ran: Ran) -> list[dict[str, Any]]:
    """The records after the first quarter, when all is open and compiled."""
    return ran.records[len(ran.records) // 4 :]


def _case(ran: Ran, each: int, alone: bool) -> str:
    chunks = "one tiny chunk" if each == 1 else f"{each} tiny chunks"
    told = ", a task for each" if alone else ""
    return f"{len(ran.records)} regions of {chunks}{told}, {WORKERS} workers"


def _costs(ran: Ran, size: float, case: str, aimed: str) -> Iterator[Row]:
    records = _settled(ran)
    share = (ran.done - records[0]["began"]) * WORKERS / len(records)
    inside = mean(record["seconds"] for record in records)
    handling = mean(record["read_seconds"] + record["write_seconds"] for record in records)
    on_worker = f"on its worker {number(1e3 * (inside - handling))} ms of it"
    for what, target, value, unit, note in (
        ("overhead of a region", aimed, 1e3 * (share - handling), "ms", on_worker),
        ("a tiny region on its worker", "", 1e3 * inside, "ms", ""),
        ("from the last region to the end of the command", "", ran.ended - ran.done, "s", ""),
        ("record of a region in the journal", "", size, "B", ""),
    ):
        yield Row(what, case, "", target, **spread([value]), unit=unit, note=note)


def _memory(ran: Ran, case: str) -> Iterator[Row]:
    """Of client and scheduler, which are one process."""
    records = _settled(ran)
    looks = [look for look in ran.seen if look.at <= ran.done]
    first = next((look for look in looks if look.at >= records[0]["began"]), looks[-1])
    last = looks[-1]
    ends = [ran.records[len(ran.records) * i // 10 - 1]["began"] for i in range(1, 11)]
    curve = [max((look for look in looks if look.at <= end), default=first) for end in ends]
    megabytes = ", ".join(f"{look.memory / 1e6:.0f}" for look in curve)
    memory = f"MB after each tenth: {megabytes}"
    left = (last.memory - first.memory) / len(records)
    processor = 1e3 * (last.processor - first.processor) / len(records)
    flat = last.memory / first.memory
    for what, target, value, unit, note in (
        ("client and scheduler: memory, end over a quarter", "region memory", flat, "×", memory),
        ("client and scheduler: memory that a region leaves", "", left, "B", ""),
        ("client and scheduler: processor time of a region", "", processor, "ms", ""),
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
