"""From rows to the table, the figure, and the numbers of the pages between their markers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import scale
from benchmarks.machine import DEFAULT, TUNED
from benchmarks.rows import LIMITS, TARGETS, Row, number, times_as_fast, unit

HEAD = """# Benchmarks

{machines}

A number is the median of some runs in turn (lowest – highest): the time of the peer over the time
of ours, so that above 1 we are faster; with a target `≤` ours over the peer's. *Default allocator*:
it gives freed memory back. *Tuned*: it keeps that, as workers do and
`fdgrad_dask.tune_memory()` makes it. Made by `make bench`, which took {seconds} s; what each topic
does is said in its module.

![how many times as fast](ratios.png)

| topic | what | against | target | default allocator | tuned allocator | |
|---|---|---|---|---|---|---|
"""


def rounded(row: Row) -> Row:
    """The row with four digits of its numbers, which is more than they hold."""

    def digits(value: float | None) -> float | None:
        return None if value is None else float(f"{value:.4g}")

    return replace(
        row, ratio=digits(row.ratio), lowest=digits(row.lowest), highest=digits(row.highest)
    )


def told(row: Row) -> str:
    """The row in one line, as it is shown while others are measured."""
    target = f"(target {TARGETS[row.target]})" if row.target else ""
    parts = (row.what, row.case, row.against, row.memory, measured(row), target, row.note)
    return " · ".join(filter(None, parts))


def measured(row: Row) -> str:
    """
    >>> measured(Row("a", ratio=2.0, lowest=1.5, highest=2.25))
    '2 (1.5 – 2.25)'
    """
    if row.ratio is None or row.lowest is None or row.highest is None:
        return "not shown"
    value = f"{number(row.ratio)}{unit(row.unit)}"
    if row.lowest == row.highest:
        return value
    return f"{value} ({number(row.lowest)} – {number(row.highest)})"


def rows_of(results: dict[str, Any], topic: str = "") -> list[Row]:
    """All rows, or those of one topic."""
    topics = [topic] if topic else list(results)
    return [Row(**row) for t in topics for row in results.get(t, {"rows": []})["rows"]]


def write(results: dict[str, Any], folder: Path) -> None:
    """The table and the figure."""
    machines = sorted({f"{r['machine']}." for r in results.values()}, key=len)
    seconds = sum(r["seconds"] for r in results.values())
    head = HEAD.format(machines=_machine(machines), seconds=seconds)
    lines = [line for topic in results for line in _lines(topic, rows_of(results, topic))]
    (folder / "README.md").write_text(head + "\n".join(lines) + "\n")
    from benchmarks.figure import draw, draw_brief

    draw(grouped(rows_of(results)), folder / "ratios.png")
    draw_brief(brief_rows(results), folder / "speed.png")


def _machine(machines: list[str]) -> str:
    """One machine, with the least and the most load before a topic."""
    loads = sorted(float(found) for m in machines for found in re.findall(r"load ([\d.]+)", m))
    load = f"load {loads[0]}" if loads[0] == loads[-1] else f"load {loads[0]} to {loads[-1]}"
    return "\n\n".join(sorted({re.sub(r"load [\d.]+", load, m) for m in machines}))


def _lines(topic: str, rows: list[Row]) -> Iterator[str]:
    """A line for each thing measured, its two kinds of process side by side."""
    together: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        key = (row.what, row.case, row.against, row.target)
        together.setdefault(key, {})[row.memory] = row
    for (what, case, against, target), found in together.items():
        kept = found.get(TUNED) or found.get("")
        last = kept or found[DEFAULT]
        cells = (
            topic,
            f"{what}; {case}" if case else what,
            against,
            str(TARGETS[target]) if target else "",
            _cell(found.get(DEFAULT)),
            _cell(kept),
            last.note,
        )
        yield f"| {' | '.join(cells)} |"


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    mark = {True: " ✓", False: " ✗", None: ""}[row.met]
    return measured(row) + mark


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str, str, str, str], list[Row]]:
    """Rows by what, against, target, unit and memory; those that were measured."""
    groups: dict[tuple[str, str, str, str, str], list[Row]] = {}
    for row in rows:
        if row.ratio is not None:
            key = (row.what, row.against, row.target, row.unit, row.memory)
            groups.setdefault(key, []).append(row)
    return groups


def feed(results: dict[str, Any], root: Path) -> None:
    """Puts the numbers into the pages, between ``<!-- NAME -->`` and ``<!-- end NAME -->``."""
    for page, name, text in fed(results):
        path = root / page
        path.write_text(inserted(path.read_text(), name, text))


def fed(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Page, marker, and what stands there."""
    found = [
        ("README.md", "speed", brief(results)),
        ("docs/performance.md", "speeds", speed(results)),
        ("docs/performance.md", "targets", targets(results)),
        ("docs/performance.md", "slower", slower(results)),
    ]
    costs = scale.costs(rows_of(results))
    if costs:
        found.append(("docs/scaling.md", "costs", scale.table_of_costs(costs)))
        found.append(("docs/scaling.md", "petabyte", scale.table(costs)))
    return found


def inserted(page: str, name: str, text: str) -> str:
    """The page with ``text`` between its markers.

    >>> inserted("a <!-- x -->old<!-- end x --> b", "x", "new")
    'a <!-- x -->\\nnew\\n<!-- end x --> b'
    """
    before, rest = page.split(f"<!-- {name} -->")
    _, after = rest.split(f"<!-- end {name} -->")
    return f"{before}<!-- {name} -->\n{text}\n<!-- end {name} -->{after}"


# What the README shows: (topic, what, peer, how both are called there).
BRIEF = (
    ("arrays", "NumPy array", "`numpy.gradient`", "array, 192 MB"),
    ("arrays", "NumPy array", "`jit(jax.numpy.gradient)`", "array, 192 MB"),
    ("chunks", "100 MB chunks", "`DataArray.differentiate`", "dask chunks of 100 MB"),
    ("chunks", "14 MB chunks", "`DataArray.differentiate`", "dask chunks of 14 MB"),
    ("chunks", "14 MB chunks", "`dask.array.gradient`", "dask chunks of 14 MB"),
    (
        "calculus",
        "divergence and vorticity in fresh memory",
        "`DataArray.differentiate`, composed",
        "divergence and vorticity",
    ),
    (
        "calculus",
        "divergence and vorticity",
        "MetPy `divergence`, `vorticity`",
        "divergence and vorticity",
    ),
    (
        "whole",
        "`fdgrad run`, the whole command",
        "`open_zarr`, `differentiate`, `to_zarr` in a fresh process",
        "`fdgrad run`, 1 GB Zarr",
    ),
)


def brief_rows(results: dict[str, Any]) -> dict[tuple[str, str], list[float]]:
    """How many times as fast, by what and peer: the rows of the README, default allocator."""
    found: dict[tuple[str, str], list[float]] = {}
    for topic, what, against, called in BRIEF:
        rows = [
            row
            for row in rows_of(results, topic)
            if what in (row.what, row.what.split(",")[0])
            and row.against == against
            and row.memory in (DEFAULT, "")
        ]
        if values := [times_as_fast(row) for row in rows if row.ratio is not None]:
            found[called, against] = values
    return found


def brief(results: dict[str, Any]) -> str:
    """The table of the README: eight rows, each with its spread."""
    lines = ["| | compared with | times as fast |", "|---|---|---|"]
    for (what, against), values in brief_rows(results).items():
        lowest, highest = number(min(values)), number(max(values))
        spread = "" if lowest == highest else f" ({lowest} – {highest})"
        lines.append(f"| {what} | {against} | {number(median(values))}{spread} |")
    first = [row for row in rows_of(results, "whole") if row.unit == "s"]
    lines += [f"| first region of the quickstart after |  | {measured(row)} |" for row in first]
    return "\n".join(lines)


def speed(results: dict[str, Any]) -> str:
    """The table of the page: all dtypes, spacings and axes of a thing in one line."""
    shown = ("arrays", "chunks", "calculus", "whole", "files", "llc")
    lines = ["| what | against | default allocator | tuned allocator |", "|---|---|---|---|"]
    rows = [
        replace(row, what=row.what.split(",")[0])
        for topic in shown
        for row in rows_of(results, topic)
        if row.unit == "×" and row.against and not row.against.startswith("`numpy.copyto`")
    ]
    found: dict[tuple[str, str, bool], dict[str, list[Row]]] = {}
    for row in rows:
        line = found.setdefault((row.what, row.against, row.kept_low), {})
        line.setdefault(DEFAULT if row.memory == DEFAULT else TUNED, []).append(row)
    for (what, against, _), line in found.items():
        plain, kept = (_range(line.get(memory, [])) for memory in (DEFAULT, TUNED))
        lines.append(f"| {what} | {against} | {plain} | {kept} |")
    for row in rows_of(results, "whole"):
        if row.unit == "s":
            lines.append(f"| {row.what}, {row.case} |  | {measured(row)} |  |")
    return "\n".join(lines)


def targets(results: dict[str, Any]) -> str:
    """What is aimed at, what was measured, and in how many rows it is met."""
    rows = rows_of(results)
    lines = ["| | target | default allocator | tuned allocator | met |", "|---|---|---|---|---|"]
    for key, target in TARGETS.items():
        found = [row for row in rows if row.target == key and row.ratio is not None]
        plain = _range([row for row in found if row.memory == DEFAULT], target.unit)
        kept = _range([row for row in found if row.memory != DEFAULT], target.unit)
        share = f"{sum(row.met is True for row in found)} of {len(found)}" if found else "not shown"
        lines.append(f"| {target.what} | {target} | {plain} | {kept} | {share} |")
    return "\n".join(lines)


def slower(results: dict[str, Any]) -> str:
    """All rows in which a peer is the faster one."""
    rows = [
        row
        for row in rows_of(results)
        if row.ratio is not None
        and row.unit == "×"
        and row.against
        and not row.against.startswith(LIMITS)
    ]
    lost = [
        f"- {', '.join(filter(None, (row.what, row.case)))}, against {row.against}"
        f"{', ' + row.memory if row.memory else ''}: {measured(row)}"
        for row in rows
        if times_as_fast(row) < 1
    ]
    return "\n".join([f"{len(lost)} of {len(rows)} rows.", "", *lost]).rstrip()


def _range(rows: list[Row], of: str = "×") -> str:
    """The median of the rows, and the least and the greatest of them."""
    found = [row.ratio for row in rows if row.ratio is not None]
    if not found:
        return ""
    middle = f"{number(median(found))}{unit(of)}"
    if number(min(found)) == number(max(found)):
        return middle
    return f"{middle} ({number(min(found))} – {number(max(found))})"
