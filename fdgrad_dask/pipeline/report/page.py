"""The report: one page on what was run, how it went and what came out, without a network."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from itertools import islice
from pathlib import Path

import xarray as xr
from dask.utils import format_bytes

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.config.target import Target
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.record import RegionRecord, RunRecord
from fdgrad_dask.pipeline.report import pieces, sections
from fdgrad_dask.pipeline.report.numbers import Clock, crew, slowest
from fdgrad_dask.pipeline.source.open import open_files
from fdgrad_dask.pipeline.store.zarr import is_zarr

_SIZED = 1000  # objects whose stored size is looked up; that of more is estimated from them


@contextmanager
def reported(config: Config, journal: Journal) -> Iterator[None]:
    """Writes the report of what is done within, if one is asked for, however that ends.

    Raises
    ------
    OutputError
        The page cannot be written; the target is what it was all the same.
    """
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the error that ended the run must be reported
            write(config, journal)
        raise
    write(config, journal)


def write(config: Config, journal: Journal) -> None:
    """Writes the page about a run as its journal has it, finished or not.

    Raises
    ------
    OutputError
        The page cannot be written; the target is what it was all the same.
    """
    run = journal.run()
    if config.report is None or run is None:
        return
    path = config.report.path
    regions = list(journal.regions().values())
    with _target(config.target, _is_complete(run, regions)) as target:
        text = page(config, run, regions, target)
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}), but nothing happened to the "
            f"target {config.target.path}; fix report.path"
        ) from error


@contextmanager
def _target(config: Target, is_complete: bool) -> Iterator[xr.Dataset | None]:
    """What there is of the target, finished or not, opened lazily."""
    partial = f"{config.path}.partial"
    if is_complete:
        source = Source(path=(config.path,), storage_options=config.storage_options)
    elif is_zarr(partial):
        source = Source(path=(partial,), missing_chunks="fill")
    else:
        yield None
        return
    with open_files(source) as target:
        yield target


def page(
    config: Config, run: RunRecord, regions: list[RegionRecord], target: xr.Dataset | None
) -> str:
    """The page as HTML."""
    is_complete = _is_complete(run, regions)
    parts = [
        *sections.results(target, is_complete),
        *sections.history(run, regions),
        *sections.events(run),
        *sections.provenance(config, run),
    ]
    template = files("fdgrad_dask.pipeline.report").joinpath("page.html")
    return string.Template(template.read_text(encoding="utf-8")).substitute(
        title=pieces.text(f"{os.path.basename(config.target.path)} · fdgrad"),
        colour="green" if is_complete else "ochre",
        state=pieces.text(f"fdgrad run · {pieces.date(run.began)}"),
        outcome=pieces.text(_outcome(config, run, len(regions), is_complete)),
        lead=_lead(config, run, regions, is_complete),
        numbers="\n".join(_numbers(config, run, regions)),
        sections="\n".join(parts),
    )


def _is_complete(run: RunRecord, regions: list[RegionRecord]) -> bool:
    return run.ended is not None and len(regions) == run.regions


def _outcome(config: Config, run: RunRecord, done: int, is_complete: bool) -> str:
    if is_complete:
        counted = f"all {done:,} regions are" if done > 1 else "its only region is"
        return f"{config.target.path} is complete: {counted} written"
    return f"{config.target.path} is incomplete: {done:,} of {run.regions:,} regions are written"


def _lead(config: Config, run: RunRecord, regions: list[RegionRecord], is_complete: bool) -> str:
    """What was done, in a sentence or two, as HTML."""
    operators = list(dict.fromkeys(step.operator.replace("_", " ") for step in config.steps))
    named = " and ".join([*([", ".join(operators[:-1])] if operators[1:] else []), operators[-1]])
    did = f"{named} of {config.source.shown}"
    if regions:
        clock = Clock.of(regions)
        workers, _ = crew(regions, clock)
        did += (
            f", computed in {pieces.duration(clock.length)} by {workers} "
            f"worker{'s' * (workers > 1)} ({config.cluster.kind})"
        )
    did = pieces.text(f"{did[:1].upper()}{did[1:]}.")
    again = pieces.inline(run.called.replace(" --fresh", ""))
    again = f"To resume, call {again} again."
    return did if is_complete else f"{did} {again}"


def _numbers(config: Config, run: RunRecord, regions: list[RegionRecord]) -> Iterator[str]:
    """Each number with a word on what it means."""
    done = len(regions)
    share = f"{done:,}" if done == run.regions else f"{done:,} of {run.regions:,}"
    yield pieces.number("Regions", share, "what is written, and retried, in one piece")
    if not done:
        return
    read = sum(region.bytes_read for region in regions)
    written = sum(region.bytes_written for region in regions)
    clock = Clock.of(regions)
    longest = pieces.duration(slowest(regions, 1)[0].seconds)
    pauses = len(clock.begins) - 1
    paused = f"{pauses} pause{'s' * (pauses > 1)} left out; " if pauses else ""
    yield pieces.number(
        "Time of work", pieces.duration(clock.length), f"{paused}the longest region took {longest}"
    )
    rate = format_bytes(int((read + written) / clock.length))
    yield pieces.number("Throughput", f"{rate}/s", "read and written together, decoded")
    told = "decoded, with the edges of neighbours"
    if done == run.regions:
        often = read / max(run.plan["bytes_needed"], 1)
        more = f"{often:.2f} times, since neighbours share edges"
        told = f"each value {more if often > 1.005 else 'once'}"
    yield pieces.number("Read", format_bytes(read), told)
    yield pieces.number("Written", format_bytes(written), _stored(config, regions))
    workers, busy = crew(regions, clock)
    yield pieces.number(
        "Workers", f"{workers:,}", f"at work on regions {100 * busy:.0f} % of the time"
    )
    yield pieces.number(
        "Most memory of a worker",
        format_bytes(max(region.peak_memory for region in regions)),
        f"resident; planned were {format_bytes(run.plan['memory'])}",
    )
    again = sum(region.attempt - 1 for region in regions)
    yield pieces.number("Retries", f"{again:,}", "of regions that did not succeed at once")


def _stored(config: Config, regions: list[RegionRecord]) -> str:
    """What lies on disk, from the sizes of at most so many objects."""
    path = config.target.path
    if os.path.isfile(path):
        return f"decoded; {format_bytes(os.path.getsize(path))} stored, compressed"
    keys = [key for region in islice(regions, _SIZED) for key in region.checksums]
    total = sum(len(region.checksums) for region in regions)
    partial = f"{path}.partial"
    folder = partial if is_zarr(partial) else path
    files = (os.path.join(folder, key) for key in keys[:_SIZED])
    sizes = [os.path.getsize(file) for file in files if os.path.isfile(file)]
    if not sizes:
        return "decoded"
    about = "" if len(sizes) == total else "about "
    stored = format_bytes(round(sum(sizes) / len(sizes) * total))
    return f"decoded; {about}{stored} stored, compressed"
