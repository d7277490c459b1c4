"""The sections of the page: what came out, how it went, what was run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import xarray as xr
import yaml
from dask.utils import format_bytes

from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.execute.record import RegionRecord, RunRecord
from fdgrad_dask.pipeline.report import figures, pieces
from fdgrad_dask.pipeline.report.excerpt import excerpt
from fdgrad_dask.pipeline.report.numbers import Clock, course, repeated, slowest
from fdgrad_dask.pipeline.source.related import named_in

_LISTED = 8  # rows of a table of regions
_INPUTS = 8
_MOST_EVENTS = 50  # events; only the last are shown
_CHARTS = 24  # results that are drawn; the others are in the target all the same


def results(target: xr.Dataset | None, is_complete: bool) -> Iterator[str]:
    """A chart of each result, with its numbers."""
    found = _fields(target) if target is not None else []
    if not found:
        return
    cards = [_card(array) for array in found[:_CHARTS]]
    text = (
        "Colours change between the 2nd and the 98th percentile, so that single points do not "
        "wash them out. Where there are both signs, zero is white; what is missing is grey."
    )
    if not is_complete:
        text += " Regions that are not written yet are missing too."
    if left := len(found) - len(cards):
        text += f" {left} more are in the target."
    yield pieces.section("What came out", text, f'<div class="figures">{"".join(cards)}</div>')


def _fields(target: xr.Dataset) -> list[xr.DataArray]:
    """The results, without bounds and grid mappings."""
    related = named_in(target)
    return [
        array
        for name, array in target.data_vars.items()
        if name not in related and array.dtype.kind == "f"
    ]


def _card(array: xr.DataArray) -> str:
    part = excerpt(array)
    values = np.asarray(part.field.values, dtype=float)
    there = values[np.isfinite(values)]
    stats = {"minimum": "–", "mean": "–", "maximum": "–"}
    if there.size:
        found = (there.min(), there.mean(), there.max())
        stats = {name: pieces.short(value) for name, value in zip(stats, found, strict=True)}
    stats["missing"] = pieces.percent(1 - there.size / max(values.size, 1))
    head = "".join(f"<th>{name}</th>" for name in stats)
    cells = "".join(f"<td>{value}</td>" for value in stats.values())
    shape = " × ".join(f"{size:,}" for size in array.shape)
    sizes = f"{shape} ({', '.join(map(str, array.dims))})" if array.dims else "One value"
    text = f"{sizes}. Shown, and in these numbers: {part.where}." if part.where else f"{sizes}."
    name, meaning = str(array.name), str(array.attrs.get("long_name", ""))
    title = f"{name}, {meaning}" if meaning not in ("", name) else name
    drawn = figures.result(part.field) if part.field.ndim else ""
    return (
        f"<figure><h3>{pieces.text(title)}</h3>{drawn}"
        f'<table class="stats"><tr>{head}</tr><tr>{cells}</tr></table>'
        f"<figcaption>{pieces.text(text)}</figcaption></figure>"
    )


def history(run: RunRecord, regions: list[RegionRecord]) -> Iterator[str]:
    """Throughput, memory and workers over time, the slowest regions and the repeated ones."""
    if not regions:
        return
    if len(regions) > 1:  # one alone has no course
        yield _course(run, regions)
    mean = sum(region.seconds for region in regions) / len(regions)
    text = f"A region took {pieces.duration(mean)} on average."
    yield pieces.section("The slowest regions", text, _regions(slowest(regions, _LISTED)))
    if again := repeated(regions):
        many = f"{len(again)} regions were" if len(again) > 1 else "One region was"
        text = f"{many} begun more than once, since a worker was lost or a file could not be read."
        yield pieces.section("Retries", text, _regions(again[:_LISTED]))


def _course(run: RunRecord, regions: list[RegionRecord]) -> str:
    """Four charts, each with a word on how to read it."""
    clock = Clock.of(regions)
    went = course(regions, clock)
    spent = max(sum(region.seconds for region in regions), 1e-9)
    reading = sum(region.read_seconds for region in regions) / spent
    writing = sum(region.write_seconds for region in regions) / spent
    drawn = {
        figures.throughput(went, clock): "Throughput, decoded. Level is good; a fall is a slow "
        f"disk, a slow region, or the end. Of the time of a region its threads spend "
        f"{100 * reading:.0f} % on reading and {100 * writing:.0f} % on writing, side by side.",
        figures.memory(went, clock, run.plan["memory"]): "Memory: the most that each "
        "worker had held by then, beside what was planned. A line that still rises at the end "
        "deserves a look.",
        figures.timeline(went, clock): "Workers: blue while at work on a region, pale while "
        "waiting. A dot is a region that was done again.",
        figures.durations(np.array([region.seconds for region in regions])): "Regions by the "
        "time they took. A long tail to the right makes the others wait at the end.",
    }
    charts = "".join(
        f"<figure>{chart}<figcaption>{pieces.text(text)}</figcaption></figure>"
        for chart, text in drawn.items()
    )
    text = "Over the time of work, from the first region to the last."
    if len(clock.begins) > 1:
        text += " A dotted line is a pause, after which the run was resumed."
    return pieces.section("How it went", text, f'<div class="figures">{charts}</div>')


def _regions(regions: list[RegionRecord]) -> str:
    head = ("where", "worker", "time", "reading", "writing", "read", "attempt")
    rows = [
        (
            pieces.where(region.key),
            region.worker.split("://")[-1],
            *map(pieces.duration, (region.seconds, region.read_seconds, region.write_seconds)),
            format_bytes(region.bytes_read),
            str(region.attempt),
        )
        for region in regions
    ]
    return pieces.table(head, rows, numeric=range(2, 7))


def events(run: RunRecord) -> Iterator[str]:
    """What happened on the way."""
    if run.events:
        rows = [(pieces.date(e.time), e.kind, e.text) for e in run.events[-_MOST_EVENTS:]]
        text = "What else happened; the run went on from what was finished by then."
        yield pieces.section("Events", text, pieces.table(("when", "what", ""), rows))


def provenance(config: Config, run: RunRecord) -> Iterator[str]:
    """What was run, on what, by which versions: enough to do it again."""
    head = ("operator", "of", "options", "results")
    steps = [
        (
            step.operator,
            ", ".join(step.inputs),
            ", ".join(f"{name}: {_flow(value)}" for name, value in step.options.items()) or "–",
            ", ".join(step.output or ()) or "named by the operator",
        )
        for step in config.steps
    ]
    text_of_config = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    text = "In this order; a step may take what an earlier one gave."
    details = (
        f"<p>Begun by {pieces.inline(run.called)}</p>"
        f"<details><summary>The complete config</summary>{pieces.code(text_of_config)}</details>"
    )
    yield pieces.section("What was run", text, pieces.table(head, steps) + details)
    facts = [
        ("began", pieces.date(run.began)),
        ("ended", pieces.date(run.ended) if run.ended else "not yet"),
        ("digest", run.digest),
        *((f"input {name}", found) for name, found in islice(run.inputs.items(), _INPUTS)),
        ("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())),
    ]
    if (left := len(run.inputs) - _INPUTS) > 0:
        facts.append(("inputs", f"and {left:,} more, in run.json of the journal"))
    text = (
        "The digest stands for all that decides what is computed: the same digest, the same "
        "values. Every stored object has a checksum in the journal beside the target; "
        "the command fdgrad verify compares the two."
    )
    yield pieces.section("Provenance", text, pieces.facts(facts))


def _flow(value: object) -> str:
    """As in a YAML, on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).partition("\n")[0]
