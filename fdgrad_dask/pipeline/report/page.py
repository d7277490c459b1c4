"""The report: one HTML page about a run and its results that needs no network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr
import yaml
from dask.utils import format_bytes, format_time
from jinja2 import Environment, StrictUndefined

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord, RunRecord
from fdgrad_dask.pipeline.report.stats import summarize
from fdgrad_dask.pipeline.source.open import open_files
from fdgrad_dask.pipeline.source.select import named_in

_CHARTS = 24  # results that are drawn


@contextmanager
def reported(config: Config, journal: Journal) -> Iterator[None]:
    """Write the report of the run within, if one is asked for, however the run ends."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the error that ended the run must be raised
            write(config, journal)
        raise
    write(config, journal)


def write(config: Config, journal: Journal) -> None:
    """Write the page about a run, complete or not, from its journal.

    Raises
    ------
    OutputError
        The page cannot be written; the target is unchanged.
    """
    run = journal.run()
    if config.report is None or run is None:
        return
    path = config.report.path
    records = list(journal.regions().values())
    source = _find_target(config.target, _is_complete(run, records))
    with open_files(source) if source else nullcontext() as target:
        text = render(config, run, records, target)
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}), but nothing happened to the "
            f"target {config.target.path}; fix report.path"
        ) from error


def render(
    config: Config, run: RunRecord, records: Sequence[RegionRecord], target: xr.Dataset | None
) -> str:
    """Render the page as HTML; matplotlib draws what it shows."""
    from fdgrad_dask.pipeline.report import figures

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "bytes": format_bytes,
        "time": format_time,
        "date": lambda time: f"{datetime.fromtimestamp(time, UTC):%-d %B %Y, %H:%M UTC}",
        "region": _describe_region,
        "yaml": lambda value: yaml.safe_dump(value, sort_keys=False, allow_unicode=True),
    }
    history = summarize(records) if records else None
    # Threads share the memory of one process, and a plan is about one of them.
    workers = config.cluster.workers if config.cluster.kind == "threads" else 1
    planned = run.plan["memory"] * workers
    # A single region makes no curve.
    drawn = figures.draw_history(history, planned) if history and records[1:] else {}
    related = named_in(target) if target else ()  # bounds and grid mappings
    results = [
        array
        for name, array in (target.data_vars.items() if target else ())
        if name not in related and array.dtype.kind == "f"
    ]
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        config=config,
        run=run,
        records=records,
        is_complete=_is_complete(run, records),
        history=history,
        planned=planned,
        figures=drawn,
        results=[_preview(array) for array in results[:_CHARTS]],
        more_results=len(results[_CHARTS:]),
    )


def _is_complete(run: RunRecord, records: Sequence[RegionRecord]) -> bool:
    return run.ended is not None and len(records) == run.regions


def _find_target(target: Target, is_complete: bool) -> Source | None:
    """What can be opened of a target that is finished or not."""
    partial = f"{target.path}.partial"
    if is_complete:
        return Source(path=(target.path,), storage_options=target.storage_options)
    return Source(path=(partial,), missing_chunks="fill") if os.path.isdir(partial) else None


def _preview(array: xr.DataArray) -> dict[str, Any]:
    """Chart and statistics of the part of a result that is shown."""
    from fdgrad_dask.pipeline.report import figures
    from fdgrad_dask.pipeline.report.preview import take_preview

    part, where = take_preview(array)
    values = part.astype(float)
    return {
        "array": array,
        "where": where,
        "chart": figures.draw_result(part) if part.ndim else "",
        "statistics": {
            "minimum": _format_number(values.min()),
            "mean": _format_number(values.mean()),
            "maximum": _format_number(values.max()),
            "missing": f"{_format_number(100 * values.isnull().mean())} %",
        },
    }


def _format_number(value: xr.DataArray) -> str:
    return f"{float(value):.3g}".replace("-", "−").replace("nan", "–")


def _describe_region(key: str) -> str:
    """
    >>> _describe_region('{"time": [0, 24], "lat": [0, 721]}')
    'time 0–24, lat 0–721'
    """
    return ", ".join(f"{dim} {start}–{stop}" for dim, (start, stop) in json.loads(key).items())
