"""The figures of a report, as SVG elements of the page."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from fdgrad_dask.pipeline.report import chart
from fdgrad_dask.pipeline.report.stats import History, compute_rate

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
