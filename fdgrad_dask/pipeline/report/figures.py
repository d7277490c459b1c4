"""The figures of a report, each as SVG that stands in the page itself."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from fdgrad_dask.pipeline.report import chart
from fdgrad_dask.pipeline.report.numbers import Array, Clock, Course

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (5.2, 2.6)  # inches; a page shows them at about this size
_MAP = (1.7, 4.2)  # inches of height, within which the shape of a map decides
_INK, _FAINT = "#5b6770", "#e3e7ea"
_BLUE, _OCHRE = "#2f6f9f", "#c5832b"
_NAMED = 12  # workers; more are drawn, but not named
_UNITS = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("kiB", 2**10), ("B", 1))
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters, in the typeface of the page
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#c3cad0",
    "axes.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": _FAINT,
    "axes.axisbelow": True,
}


def throughput(course: Course, clock: Clock) -> str:
    """Decoded bytes read and written in a second, over seconds of work."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        figure, axes = _figure(clock)
        unit, size = _unit(max(course.read.max(), course.written.max()))
        edges = course.edges / _time(clock)[1]
        # Where both are the same, the wide one shows on both sides of the narrow one.
        axes.stairs(course.read / size, edges, color=_BLUE, linewidth=3, alpha=0.5, label="read")
        axes.stairs(course.written / size, edges, color=_OCHRE, linewidth=1.2, label="written")
        axes.set_ylabel(f"{unit} / s")
        axes.set_ylim(0)
        axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)
        return _svg(figure, "Throughput over time")


def memory(course: Course, clock: Clock, planned: int) -> str:
    """The most that each worker had held by then, beside what was planned."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        figure, axes = _figure(clock)
        most = max(float(held[-1]) for _, held in course.peaks)
        unit, size = _unit(max(most, planned))
        faint = 1.0 if len(course.peaks) <= _NAMED else 0.4
        for when, held in course.peaks:
            times = np.append(when, clock.length) / _time(clock)[1]
            values = np.append(held, held[-1]) / size
            axes.step(times, values, _BLUE, where="post", linewidth=1.2, alpha=faint)
            axes.plot(times[:1], values[:1], ".", color=_BLUE, markersize=4, alpha=faint)
        axes.axhline(planned / size, color=_OCHRE, linewidth=1.2, linestyle="--")
        axes.text(
            1,
            planned / size,
            "planned ",
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            color=_OCHRE,
        )
        axes.set_ylabel(unit)
        axes.set_ylim(0, 1.15 * max(most, planned) / size)
        return _svg(figure, "Memory of the workers over time")


def timeline(course: Course, clock: Clock) -> str:
    """When each worker was at work; a dot where a region was repeated."""
    from matplotlib import rc_context
    from matplotlib.colors import LinearSegmentedColormap

    workers = len(course.workers)
    with rc_context(_STYLE):
        named = workers <= _NAMED
        figure, axes = _figure(clock, tall=max(1.5, 0.9 + 0.24 * workers) if named else _SIZE[1])
        colours = LinearSegmentedColormap.from_list("busy", ["#f3f5f6", _BLUE])
        rows = np.arange(workers + 1)
        edges = course.edges / _time(clock)[1]
        axes.pcolormesh(edges, rows, course.busy, cmap=colours, vmin=0, vmax=1, rasterized=True)
        axes.hlines(rows[1:-1], 0, edges[-1], colors="white", linewidth=1.5 if named else 0)
        if course.repeated.size:
            when, who = course.repeated
            axes.plot(when / _time(clock)[1], who + 0.5, "o", color=_OCHRE, markersize=4)
        axes.set_ylim(workers, 0)
        if named:
            names = [chart.plain(name.split("://")[-1]) for name in course.workers]
            axes.set_yticks(rows[:-1] + 0.5, names)
        else:
            axes.set_yticks([])
            axes.set_ylabel(f"{workers} workers")
        axes.tick_params(axis="y", length=0)
        axes.grid(False)
        return _svg(figure, "When each worker was at work")


def durations(seconds: Array) -> str:
    """How many regions took how long."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        _bare(axes)
        most = float(seconds.max())
        bins = int(np.clip(2 * np.sqrt(seconds.size), 8, 40))
        axes.hist(seconds, bins=bins, range=(0, most), color=_BLUE, rwidth=0.85)
        axes.set_xlabel("seconds of a region")
        axes.set_ylabel("regions")
        axes.set_xlim(0, most)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        return _svg(figure, "How long the regions took")


def result(field: xr.DataArray) -> str:
    """A map or a section, or a line where there is only one dim."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        if field.ndim == 2:
            field = chart.upright(field)
            tall = chart.height(field, _SIZE[0] - 0.5, *_MAP) + 0.7
            figure = Figure(figsize=(_SIZE[0], tall), layout="constrained")
            chart.paint(figure.add_subplot(), field, bar="bottom")
        else:
            figure = Figure(figsize=_SIZE, layout="constrained")
            axes = figure.add_subplot()
            _bare(axes)
            points = field[field.dims[0]]
            axes.plot(chart.numbers(points), field.values, color=_BLUE, linewidth=1.2)
            chart.label(axes.xaxis, points)
            axes.set_ylabel(chart.named(field))
        return _svg(figure, f"Chart of {field.name}")


def _figure(clock: Clock, tall: float = _SIZE[1]) -> tuple[Figure, Axes]:
    """Axes over seconds of work, with a dotted line where the run was interrupted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIZE[0], tall), layout="constrained")
    axes = figure.add_subplot()
    _bare(axes)
    unit, scale = _time(clock)
    axes.set_xlim(0, clock.length / scale)
    axes.set_xlabel(f"{unit} of work")
    for start in clock.starts[1:]:
        axes.axvline(start / scale, color=_INK, linewidth=0.8, linestyle=":")
    return figure, axes


def _time(clock: Clock) -> tuple[str, float]:
    """The unit that a reader would take for so long, and its seconds."""
    units = (("hours", 3600.0), ("minutes", 60.0))
    return next((unit for unit in units if clock.length > 3 * unit[1]), ("seconds", 1.0))


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis="y")


def _unit(most: float) -> tuple[str, int]:
    return next((unit for unit in _UNITS if most >= unit[1]), _UNITS[-1])


def _svg(figure: Figure, name: str) -> str:
    """The figure for a page: what it shows is told, and nothing points out of it."""
    text = io.StringIO()
    figure.savefig(text, format="svg", dpi=160, facecolor="none")
    drawing = text.getvalue().partition("<svg")[2].partition(">")
    size = re.search(r'viewBox="[^"]*"', drawing[0])
    body = re.sub(r"<metadata>.*?</metadata>", "", drawing[2], flags=re.DOTALL)
    assert size is not None
    return f'<svg role="img" aria-label="{html.escape(name)}" {size[0]}>{body}'
