"""From what a task, a region and a byte cost here to a thousand workers and a petabyte."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.rows import Row, number

BYTES, CHUNKS, WORKERS = 1e15, 1e7, 1000
REGION = 2**29  # bytes in and out of a region, as the plan has them at most
TASKS = 3  # of a chunk, with one chunked axis


class Costs(NamedTuple):
    """Measured on this machine."""

    task: float
    """Seconds of a scheduler for a task."""
    graph: float
    """Seconds to build and optimise the graph of a chunk."""
    driver: float
    """Seconds of the processor of client and scheduler for a region, of ten seconds to a task."""
    inside: float
    """Seconds of a worker for a region without values."""
    memory: float
    """Bytes that a region leaves in client and scheduler."""
    record: float
    """Bytes of a region in the journal."""
    rate: float
    """Bytes of the source a second that a worker reads, computes and writes."""


def costs(rows: Iterable[Row]) -> Costs | None:
    """The costs in some rows; None where one was not measured."""
    # Of what was measured in several cases the last, such as some regions to a task.
    found = {row.what: row.ratio for row in rows if row.ratio is not None and not row.against}
    graphs = [
        n for what, n in found.items() if what.startswith("graph of") and "one chunked" in what
    ]
    names = (
        "a task on two workers",
        "driver of many: processor time of a region",
        "a tiny region on its worker",
        "driver of many: memory that a region leaves",
        "record of a region in the journal",
        "one worker, source read, computed, written",
    )
    if not graphs or not all(name in found for name in names):
        return None
    task, driver, inside, memory, record, rate = (found[name] for name in names)
    return Costs(
        task / 1e3, graphs[0] / 1e4, driver / 1e3, inside / 1e3, memory, record, rate * 1e9
    )


def table_of_costs(c: Costs) -> str:
    """What was measured."""
    return _table(
        ("cost", "measured"),
        ("a task, scheduler of dask", f"{number(1e3 * c.task)} ms"),
        ("a chunk, building and optimising the graph", f"{number(1e6 * c.graph)} µs"),
        (
            "a region of 1.1 s, processor time of client and scheduler",
            f"{number(1e3 * c.driver)} ms",
        ),
        ("a region, on its worker, beside its bytes", f"{number(1e3 * c.inside)} ms"),
        ("a region, memory that stays in client and scheduler", f"{number(c.memory / 1e3)} kB"),
        ("a region, record in the journal", f"{number(c.record / 1e3)} kB"),
        ("a byte, read and computed and written by one worker", f"{number(1e9 / c.rate)} ns"),
    )


def table(c: Costs) -> str:
    """What follows for a petabyte in ten million chunks."""
    regions = 2 * BYTES / REGION
    working = c.inside + REGION / 2 / c.rate
    hours = regions * working / WORKERS / 3600
    most = working / c.driver
    return _table(
        (f"1 PB in 1e7 chunks, {WORKERS} workers", ""),
        ("one graph: tasks", f"{CHUNKS * TASKS:.0e}"),
        ("one graph: building it", f"{number(CHUNKS * c.graph / 3600)} h"),
        ("one graph: its scheduler alone", f"{number(CHUNKS * TASKS * c.task / 3600)} h"),
        ("`fdgrad run`: regions", f"{regions:.1e}"),
        ("`fdgrad run`: a region on its worker", f"{number(working)} s"),
        ("`fdgrad run`: all of them, if the driver keeps up", f"{number(hours)} h"),
        ("`fdgrad run`: regions that end in a second", number(WORKERS / working)),
        ("`fdgrad run`: regions that the driver can take in a second", number(1 / c.driver)),
        ("`fdgrad run`: workers that one driver keeps busy", number(most)),
        (
            "`fdgrad run`: memory left in client and scheduler",
            f"{number(regions * c.memory / 1e9)} GB",
        ),
        ("`fdgrad run`: the journal", f"{number(regions * c.record / 1e9)} GB"),
        ("breaks first", _first(most, regions * c.memory)),
    )


def _first(most: float, memory: float) -> str:
    if most < WORKERS:
        return f"the driver: {WORKERS} workers end regions faster than it takes them"
    if memory > 64e9:
        return "the memory of the driver"
    return f"what they read from and write to: {WORKERS} workers want its bytes all at once"


def _table(head: tuple[str, str], *lines: tuple[str, str]) -> str:
    return "\n".join(
        [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {a} | {b} |" for a, b in lines)]
    )
