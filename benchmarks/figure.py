"""The figure: how many times as fast, a bar for each thing and peer."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from benchmarks.machine import DEFAULT
from benchmarks.rows import TARGETS, Row, number, times_as_fast

PLAIN, TUNED, TARGET = "#9db8cc", "#1f5a85", "#c0392b"


def draw(groups: dict[tuple[str, str, str, str, str], list[Row]], path: Path) -> None:
    """Bars of medians with the least and the greatest row, on a logarithmic axis about 1."""
    ratios = {key: rows for key, rows in groups.items() if key[3] == "×" and key[1]}
    names = list(dict.fromkeys(key[:3] for key in ratios))
    figure = Figure(figsize=(10, 1.2 + 0.42 * len(names)), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        for memory, color, shift in (
            (DEFAULT, PLAIN, -0.2),
            ("tuned allocator", TUNED, 0.2),
            ("", TUNED, 0.2),
        ):
            rows = ratios.get((*name, "×", memory))
            if rows:
                _bar(axes, place + shift, list(map(times_as_fast, rows)), color)
        if name[2]:
            limit = TARGETS[name[2]].limit
            at = 1 / limit if TARGETS[name[2]].sign == "≤" else limit
            axes.plot([at, at], [place - 0.42, place + 0.42], color=TARGET, lw=2)
    axes.axvline(1, color="black", lw=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: number(x))
    axes.set_yticks(
        range(len(names)), [f"{what} · {against}".replace("`", "") for what, against, _ in names]
    )
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("times as fast as the peer (a kernel: fraction of the speed of a copy)")
    handles = [
        Rectangle((0, 0), 1, 1, color=PLAIN),
        Rectangle((0, 0), 1, 1, color=TUNED),
        Line2D([], [], color=TARGET, lw=2),
    ]
    axes.legend(handles, ["default allocator", "tuned allocator", "target"], loc="upper right")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _bar(axes: Axes, place: float, values: list[float], color: str, height: float = 0.38) -> None:
    middle = median(values)
    axes.barh(place, middle - 1, left=1, height=height, color=color)
    axes.plot([min(values), max(values)], [place, place], color="black", lw=0.8)


def draw_brief(rows: dict[tuple[str, str], list[float]], path: Path) -> None:
    """The figure of the README: a bar for each row, with its number."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, values in enumerate(rows.values()):
        _bar(axes, place, values, TUNED, 0.6)
        at = max(1, *values) * 1.06
        axes.text(at, place, f"{number(median(values))} ×", va="center", fontsize=9)
    names = [f"{what} · {against}".replace("`", "") for what, against in rows]
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.axvline(1, color="black", lw=1)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_xlim(0.7, 250)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
