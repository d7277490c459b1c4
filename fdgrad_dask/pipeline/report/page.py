"""What is drawn of a run: one HTML page that needs no network, and the picture of a result."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import xarray as xr
import yaml
from dask.utils import format_bytes, format_time
from jinja2 import Environment, StrictUndefined

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config.operators import did_you_mean, require_known
from fdgrad_dask.pipeline.config.schema import Config, Picture
from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord, RunRecord
from fdgrad_dask.pipeline.source.open import open_files, open_source
from fdgrad_dask.pipeline.source.select import named_in

_CHARTS = 24  # results that are drawn
_SIZE = 11.0, (3.4, 7.0)  # inches: width, limits of the height
_POINTS = 1500  # along a dimension; the picture has no more pixels for it
_READERS = 4  # chunks in memory at a time


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

    OutputError: the page cannot be written; the target is unchanged.
    """
    run = journal.run()
    if config.report is None or run is None:
        return
    path = config.report.path
    records = list(journal.regions().values())
    source, partial = None, f"{config.target.path}.partial"
    if _is_complete(run, records):
        source = _as_source(config.target)
    elif os.path.isdir(partial):
        source = Source(path=(partial,), missing_chunks="fill")
    with open_files(source) if source else nullcontext() as target:
        text = render(config, run, records, target)
    with _writing(path, f"nothing happened to the target {config.target.path}; fix report.path"):
        Path(path).write_text(text, encoding="utf-8")


@contextmanager
def _writing(path: str, advice: str) -> Iterator[None]:
    """Makes the folder, and turns what the file system says into an OutputError."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path} cannot be written ({reason}), but {advice}") from error


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
    history = figures.summarize(records) if records else None
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


def _as_source(target: Target) -> Source:
    return Source(path=(target.path,), storage_options=target.storage_options)


def _preview(array: xr.DataArray) -> dict[str, Any]:
    """Chart and statistics of the part of a result that is shown."""
    from fdgrad_dask.pipeline.report import figures

    part, where = figures.take_preview(array)
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


def require_matplotlib(section: str) -> None:
    """Check that a picture or a report can be drawn, before anything is computed.

    ConfigError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ConfigError(
            f"the {section} needs matplotlib, which is not installed; "
            f"pip install 'fdgrad_dask[plot]', or leave the section {section} out"
        )


def require_drawable(picture: Picture, result: xr.Dataset) -> None:
    """Check that the steps give the variable of a picture, and that its mean has two dimensions.

    ConfigError: no such variable or dimension, or not two dimensions left.
    """
    if picture.variable not in result.data_vars:
        raise ConfigError(
            f"picture.variable: no step gives {picture.variable!r}; "
            f"{did_you_mean(picture.variable, map(str, result.data_vars))}"
        )
    dims = [str(dim) for dim in result[picture.variable].dims]
    require_known("picture.mean", picture.mean, dims)
    left = [dim for dim in dims if dim not in picture.mean]
    if len(left) != 2:
        raise ConfigError(
            f"picture.mean leaves {len(left)} dimensions of {picture.variable!r} "
            f"({', '.join(left)}), a picture needs 2; choose from {', '.join(dims)}"
        )


def draw(picture: Picture, target: Target) -> None:
    """Draw one variable of the finished target, chunk by chunk.

    OutputError: the file cannot be written; the target is complete all the same.
    """
    from fdgrad_dask.pipeline.report import chart

    variable = open_source(_as_source(target))[picture.variable]
    steps = {
        dim: slice(None, None, math.ceil(size / _POINTS))
        for dim, size in variable.sizes.items()
        if dim not in picture.mean
    }
    mean = variable.isel(steps).mean(list(picture.mean), keep_attrs=True)
    # In this process: the cluster of the run is closed by now.
    field = mean.compute(scheduler="threads", num_workers=_READERS)
    figure = chart.draw_field(field, *_SIZE, colorbar="right")
    # Name, dimensions of the mean, and the period where one of them is time.
    name = str(variable.attrs.get("long_name", variable.name))
    parts = [name[:1].upper() + name[1:]]
    if picture.mean:
        parts.append(f"mean over {' and '.join(picture.mean)}")
    for dim in picture.mean:
        if variable[dim].dtype.kind in "MO":
            first, last = (str(variable[dim].values[end])[:10] for end in (0, -1))
            parts.append(f"{first} to {last}")
    figure.axes[0].set_title(picture.title or chart.escape(", ".join(parts)))
    with _writing(picture.path, f"the target {target.path} is complete; fix picture.path"):
        figure.savefig(picture.path, dpi=130)
