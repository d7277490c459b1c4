"""The figures of a report, as SVG elements of the page, and the numbers that they show."""

import io
import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from fdgrad_dask.pipeline.execute.journal import RegionRecord
from fdgrad_dask.pipeline.report import chart
from fdgrad_dask.pipeline.report.chart import get_units, is_time

Array = np.ndarray[Any, np.dtype[np.float64]]

_BINS = 120  # of a curve; a page has no room to show more
_PAUSE = 10.0  # seconds; a longer time without any region means that the run was interrupted
_WIDTH, _HEIGHT = 5.2, 2.6  # inches; a page shows figures at about this size
_MAP = (2.4, 4.9)  # inches of height, with the colour bar
_INK, _BLUE, _OCHRE = "#5b6770", "#2f6f9f", "#c5832b"
_NAMED = 12  # workers; more are drawn without their names
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the typeface of the page
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#c3cad0",
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": "#e3e7ea",
}
_POINTS = 600  # along a dimension; a page has no more pixels for it
_DECODED = 2**29  # bytes of the chunks that are decoded


@dataclass(frozen=True)
class History:
    """When each region was computed, in seconds of run time, which excludes interruptions."""

    regions: pd.DataFrame
    """The fields of the records, with ``start`` and ``end`` in seconds of run time; one row per
    region, in the order in which they began."""
    resumed: Array
    """Seconds of run time at which an interrupted run went on."""
    seconds: float
    """Run time, at least a millisecond."""
    workers: int
    """How many workers were in use at the same time."""
    busy: float
    """Share of the workers' run time that they spent on regions."""

    @property
    def edges(self) -> Array:
        """Edges of the bins of a curve, in seconds of run time."""
        return np.linspace(0, self.seconds, _BINS + 1)


def summarize(records: Sequence[RegionRecord]) -> History:
    """Leave the interruptions of a run of at least one region out, and count its workers."""
    regions = pd.DataFrame([vars(record) for record in records])
    regions = regions.sort_values("began", kind="stable", ignore_index=True)
    began, ended = regions.began, regions.began + regions.seconds
    session = (began - ended.cummax().shift() > _PAUSE).cumsum()
    first, last = began.groupby(session).min(), ended.groupby(session).max()
    length = last - first
    before = length.cumsum() - length
    regions["start"] = began - session.map(first - before)
    regions["end"] = regions.start + regions.seconds
    # A resumed run has other workers, so those of each session are counted for its time alone.
    workers = regions.worker.groupby(session).nunique()
    return History(
        regions=regions,
        resumed=before.to_numpy()[1:],
        seconds=max(length.sum(), 1e-3),
        workers=int(workers.max()),
        busy=regions.seconds.sum() / max((workers * length).sum(), 1e-9),
    )


def compute_rate(regions: pd.DataFrame, column: str, edges: Array) -> Array:
    """Amount per second in each bin, with that of a region spread evenly over its time."""
    # What is done by a given time is linear between the starts and ends of regions.
    rate = regions[column] / regions.seconds.clip(1e-6)
    times = np.concatenate([regions.start, regions.start + regions.seconds.clip(1e-6)])
    change = pd.Series(np.concatenate([rate, -rate]), times).sort_index()
    slope, times = change.cumsum().to_numpy(), change.index.to_numpy()
    done = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(times))])
    return np.asarray(np.diff(np.interp(edges, times, done)) / np.diff(edges))


def draw_result(field: xr.DataArray) -> str:
    """Draw a field in memory, with one or two dimensions."""
    with rc_context(_STYLE):
        return _to_svg(chart.draw_field(field, _WIDTH, _MAP))


def draw_history(history: History, planned: int) -> dict[str, str]:
    """Draw a run, whose plan was so many bytes of memory per process, by the names of the page."""
    with rc_context(_STYLE):
        figures = {
            "Throughput": _draw_throughput(history),
            "Memory": _draw_memory(history, planned),
            "Workers": _draw_workers(history),
        }
        return {name: _to_svg(figure) for name, figure in figures.items()}


def _draw_throughput(history: History) -> Figure:
    figure, axes, scale = _make_figure(history)
    edges = history.edges
    read, written = (
        compute_rate(history.regions, column, edges) for column in ("bytes_read", "bytes_written")
    )
    unit, size = _choose_unit(max(read.max(), written.max()))
    # Where both are the same, the wide line shows on both sides of the narrow one.
    axes.stairs(read / size, edges / scale, color=_BLUE, linewidth=3, alpha=0.5, label="read")
    axes.stairs(written / size, edges / scale, color=_OCHRE, linewidth=1.2, label="written")
    axes.set_ylabel(f"{unit} / s")
    axes.set_ylim(0)
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)
    return figure


def _draw_memory(history: History, planned: int) -> Figure:
    """Peak memory of each worker so far, with the planned memory."""
    figure, axes, scale = _make_figure(history)
    most = max(history.regions.peak_memory.max(), planned)
    unit, size = _choose_unit(most)
    alpha = 1.0 if history.regions.worker.nunique() <= _NAMED else 0.4
    line: dict[str, Any] = {"color": _BLUE, "linewidth": 1.2, "alpha": alpha}
    line |= {"marker": ".", "markersize": 4, "markevery": [0]}
    for _, own in history.regions.sort_values("end").groupby("worker"):
        peak = own.peak_memory.cummax() / size
        rises = peak.diff() != 0  # thousands of regions, of which few raise the peak
        times = np.append(own.end[rises], history.seconds) / scale
        values = np.append(peak[rises], peak.iloc[-1])
        axes.step(times, values, where="post", **line)
    axes.axhline(planned / size, color=_OCHRE, linewidth=1.2, linestyle="--")
    right = axes.get_yaxis_transform()
    axes.text(1, planned / size, "planned ", color=_OCHRE, ha="right", va="bottom", transform=right)
    axes.set_ylabel(unit)
    axes.set_ylim(0, 1.15 * most / size)
    return figure


def _draw_workers(history: History) -> Figure:
    """When each worker was busy; a dot where a region was repeated."""
    regions, edges = history.regions, history.edges
    busy = {
        worker: compute_rate(own, "seconds", edges)
        for worker, own in regions.groupby("worker", sort=False)
    }
    is_named = len(busy) <= _NAMED
    height = max(1.5, 0.9 + 0.24 * len(busy)) if is_named else _HEIGHT
    figure, axes, scale = _make_figure(history, height)
    colours = LinearSegmentedColormap.from_list("busy", ["#f3f5f6", _BLUE])
    rows = np.arange(len(busy) + 1)
    shares = np.stack([*busy.values()])
    axes.pcolormesh(edges / scale, rows, shares, cmap=colours, vmin=0, vmax=1, rasterized=True)
    axes.hlines(rows[1:-1], 0, edges[-1] / scale, colors="white", linewidth=1.5 * is_named)
    repeated = regions[regions.attempt > 1]
    row = repeated.worker.map(list(busy).index) + 0.5
    axes.plot(repeated.start / scale, row, "o", color=_OCHRE, markersize=4)
    axes.set_ylim(len(busy), 0)
    names = [chart.escape(worker.split("://")[-1]) for worker in busy]
    axes.set_yticks(rows[:-1] + 0.5, names) if is_named else axes.set_yticks([])
    axes.set_ylabel("" if is_named else f"{len(busy)} workers")
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    return figure


def _make_figure(history: History, height: float = _HEIGHT) -> tuple[Figure, Axes, float]:
    """Axes over run time, with a dotted line where the run was resumed, and the seconds of a
    unit of its time."""
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = chart.add_open_axes(figure)
    units = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
    unit, scale = next((unit for unit in units if history.seconds > 3 * unit[1]), units[-1])
    axes.set(xlim=(0, history.seconds / scale), xlabel=f"run time [{unit}]")
    for start in history.resumed / scale:
        axes.axvline(start, color=_INK, linewidth=0.8, linestyle=":")
    return figure, axes, scale


def _choose_unit(most: float) -> tuple[str, int]:
    units = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("kiB", 2**10), ("B", 1))
    return next((unit for unit in units if most >= unit[1]), units[-1])


def _to_svg(figure: Figure) -> str:
    """An element without the addresses that only a file of its own needs."""
    text = io.StringIO()
    figure.savefig(text, format="svg", dpi=160, facecolor="none")
    svg = re.sub(r"(?s)<metadata>.*?</metadata>", "", text.getvalue())
    return re.sub(r'(?s).*?<svg[^>]*(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg, count=1)


def take_preview(array: xr.DataArray) -> tuple[xr.DataArray, str]:
    """Read a map, else a section or a line, of a lazily opened array, at a bounded cost.

    Of other dimensions the middle; of a large map every n-th point; and a window around the middle
    where that would still decode too many chunks: a result may have a petabyte.

    The part, in memory, and in words which part it is: empty where it is all.
    """
    array = array.reset_coords(drop=True)
    map_dims = [
        dim for dim in array.dims if get_units(array[dim]) in {"degrees_north", "degrees_east"}
    ]
    shown = map_dims if len(map_dims) == 2 else array.dims[-2:]
    middle = {dim: size // 2 for dim, size in array.sizes.items() if dim not in shown}
    words = [f"{dim} {_describe(array[dim], index)}" for dim, index in middle.items()]
    parts = {}
    for dim, (start, stop) in _choose_window(array, shown).items():
        step = math.ceil((stop - start) / _POINTS)
        parts[dim] = slice(start, stop, step)
        if stop - start < array.sizes[dim]:
            first, last = (_describe(array[dim], index) for index in (start, stop - 1))
            words.append(f"{dim} {first} to {last}")
        if step > 1:
            words.append(f"{dim} in steps of {step}")
    return array.isel({**middle, **parts}).load(), ", ".join(words)


def _choose_window(
    array: xr.DataArray, shown: Sequence[Hashable]
) -> dict[Hashable, tuple[int, int]]:
    """All of the dimensions shown, or as many chunks around the middle as may be decoded."""
    stored = array.encoding.get("chunks") or array.encoding.get("chunksizes") or array.shape
    chunks = dict(zip(array.dims, stored, strict=True))
    counts = {dim: math.ceil(array.sizes[dim] / chunks[dim]) for dim in shown}
    budget = max(1, _DECODED // (math.prod(stored) * array.dtype.itemsize))
    window = {}
    for number, dim in enumerate(sorted(shown, key=counts.__getitem__)):
        count = min(counts[dim], max(1, int(budget ** (1 / (len(shown) - number)))))
        budget //= count
        start = (counts[dim] - count) // 2 * chunks[dim]
        window[dim] = (start, min(start + count * chunks[dim], array.sizes[dim]))
    return window


def _describe(points: xr.DataArray, index: int) -> str:
    """A value of a coordinate, as a reader would write it."""
    value = points.values[index]
    if is_time(points):
        return str(value).replace("T", " ")[:16].removesuffix(" 00:00")
    text = f"{value:g}" if points.dtype.kind in "iuf" else str(value)
    return f"{text} {get_units(points)}".rstrip()
