"""What is measured, how, and what is aimed at."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Target(NamedTuple):
    """What a row is to reach, in the unit of the row."""

    what: str
    sign: str
    limit: float
    unit: str = "×"

    def __str__(self) -> str:
        return f"{self.sign} {number(self.limit)}{unit(self.unit)}"

    def met(self, value: float) -> bool:
        return value >= self.limit if self.sign == "≥" else value <= self.limit


TARGETS = {
    "chunks": Target(
        "chunked in memory, against `DataArray.differentiate` (median of 14 and 100 MB chunks "
        "≥ 2.5, of 2 MB chunks ≥ 1.3)",
        "≥",
        1.2,
    ),
    "small arrays": Target(
        "NumPy arrays of 100 to 100 000 points, against `numpy.gradient`", "≥", 0.5
    ),
    "any shape": Target("… of 1 MB or more, of any shape and order", "≥", 1),
    "composed": Target("divergence and vorticity, against `differentiate` composed", "≥", 10),
    "metpy": Target("divergence and vorticity, against MetPy", "≥", 100),
    "xgcm": Target("divergence and vorticity on a staggered grid, against xgcm", "≥", 5),
    "kernel": Target("fraction of the speed of `numpy.copyto`, one core, memory warm", "≥", 0.5),
    "command": Target(
        "the whole command, 1 GB zarr to zarr, over a fresh process of `open_zarr`, "
        "`differentiate`, `to_zarr`",
        "≤",
        1.3,
    ),
    "first region": Target("… first region of the quickstart after", "≤", 4, "s"),
    "floor": Target("`fdgrad run`, zarr to zarr: time over decoding and encoding alone", "≤", 1.15),
    "to_zarr": Target("… over `open_zarr`, `differentiate`, `to_zarr`", "≤", 0.8),
    "tasks, one chunk": Target("tasks per output chunk, an axis in one chunk", "≤", 1, "tasks"),
    "tasks, one axis": Target("… one chunked axis", "≤", 3, "tasks"),
    "tasks, two axes": Target("… two chunked axes", "≤", 4, "tasks"),
    "graph": Target(
        "building and optimising the graph of 10 000 chunks (two outputs ≤ 1.5 s)", "≤", 1, "s"
    ),
    "llc tasks": Target("vorticity of the LLC4320 form: tasks per output chunk", "≤", 4, "tasks"),
    "llc reads": Target("… reads of a chunk of the source", "≤", 1, "reads"),
    "llc flat": Target("… memory at three times the steps over memory", "≤", 1.1),
    "llc memory": Target("… memory over dask's own", "≤", 1),
    "llc time": Target("… time over dask's own", "≤", 0.7),
    "llc spilled": Target("… bytes spilled", "≤", 0, "MB"),
    "workers": Target("one worker to two, zarr to zarr", "≥", 1.8),
    "region": Target("overhead of a region of `fdgrad run`", "≤", 5, "ms"),
    "region memory": Target("… client and scheduler: memory at the end over a quarter", "≤", 1.1),
    "gpu": Target("kernel on device data, fraction of a copy on the device", "≥", 0.8),
    "jax users": Target("divergence and vorticity under jit, over jnp.gradient", "≥", 2.5),
    "gpu from host": Target(
        "kernel fed from the host by threads, fraction of a copy there and back", "≥", 0.8
    ),
}


# What nobody can be faster than: no peer.
LIMITS = ("`numpy.copyto`", "decode and encode", "a bare loop", "a copy")


@dataclass(frozen=True)
class Row:
    """One thing that was measured: the median of some runs, and their spread.

    A ratio is the time of the peer over ours; where the target is a ``≤``, ours over the peer's.
    What could not be measured here has no ratio, and a note that says why.
    """

    what: str
    case: str = ""
    against: str = ""
    target: str = ""
    """A key of ``TARGETS``."""
    ratio: float | None = None
    lowest: float | None = None
    highest: float | None = None
    unit: str = "×"
    note: str = ""
    memory: str = ""
    """``"default allocator"`` or ``"tuned allocator"`` of the process, where it matters."""

    @property
    def kept_low(self) -> bool:
        """Whether less is better."""
        return bool(self.target) and TARGETS[self.target].sign == "≤"

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one, or without a measurement."""
        if not self.target or self.ratio is None:
            return None
        return TARGETS[self.target].met(self.ratio)


def in_turn(
    ways: Mapping[str, Callable[[], object]], runs: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Seconds of each way, run by run: all of them in turn, after one run of each to warm up.

    A machine that is noisy is then noisy for all.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values() if warm_up else ():
        way()
    for _ in range(runs):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest, as a row has them."""
    return {
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def over(numerator: Sequence[float], denominator: Sequence[float]) -> dict[str, float]:
    """The spread of the ratios run by run."""
    return spread([a / b for a, b in zip(numerator, denominator, strict=True)])


def seconds_of(runs: Sequence[float]) -> str:
    """The median, as a note has it.

    >>> seconds_of([0.21, 0.2, 0.5])
    'ours 0.21 s'
    """
    return f"ours {number(statistics.median(runs))} s"


def times_as_fast(row: Row) -> float:
    """The ratio, turned over where it is to be kept low."""
    assert row.ratio is not None
    return 1 / row.ratio if row.kept_low else row.ratio


def number(value: float) -> str:
    """A number as the tables have it, with two or three digits.

    >>> [number(x) for x in (0.123, 1.234, 12.34, 123.4, 2.0)]
    ['0.12', '1.23', '12.3', '123', '2']
    """
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    if 0 < abs(value) < 0.1:
        return f"{value:.2g}"
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def unit(name: str) -> str:
    """What stands behind a number: nothing for a ratio."""
    return "" if name == "×" else f" {name}"
