"""Cases of `fdgrad_dask.gradient`, the function of plain arrays."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

import fdgrad_dask as fd
from oracle.drawn import (
    DTYPES,
    EPSILON,
    Case,
    as_kind,
    pick_all_chunks,
    pick_kind,
    pick_line,
    pick_points,
    pick_values,
)
from oracle.lines import Line, differentiate
from oracle.sized import LONG, Sized


def draw(rng: Random) -> Case:
    ndim = rng.choice((1, 1, 2, 2, 3))
    shape = tuple(rng.choice((2, 3, 4, 5, 6, 7, 9, 9, 12, 12)) for _ in range(ndim))
    dtype = rng.choice(DTYPES)
    holes = rng.choice(("", "nan", "inf")) if np.dtype(dtype).kind in "fc" else ""
    values = pick_values(rng, shape, dtype, holes=holes)
    several = rng.choice(("all", "one", "one", "some"))
    axes = list(range(ndim))
    if several != "all":
        axes = rng.sample(axes, 1 if several == "one" else rng.randint(1, ndim))
    axis: Any = None if several == "all" else tuple(axes) if several == "some" else axes[0]
    if isinstance(axis, int) and rng.random() < 0.4:
        axis -= ndim
    lines, spacings = _pick_spacings(rng, [shape[number] for number in axes])
    options, lines = _pick_options(rng, axes, lines, axis, ndim)
    kind = pick_kind(rng, values)
    f = as_kind(rng, values, kind, pick_all_chunks(rng, shape))
    if kind == "numpy" and rng.random() < 0.02:
        f = values.tolist() if dtype == "f8" else f

    def compute() -> dict[str, Any]:
        found = fd.gradient(f, *spacings, axis=axis, **options)
        found = found if isinstance(found, tuple) else (found,)
        return {str(i): one for i, one in enumerate(found)}

    def expect() -> dict[str, Sized]:
        s = Sized(values)
        return {
            str(i): differentiate(s, n, line)
            for i, (n, line) in enumerate(zip(axes, lines, strict=True))
        }

    is_short = any(len(line.points) < line.needs(1) for line in lines)
    is_unknown = any(_has_unknown_period(line) for line in lines)
    native = np.dtype(dtype).newbyteorder("=")
    return Case(
        "gradient of arrays",
        f"{ndim} dimensions",
        kind,
        compute,
        expect,
        EPSILON.get(native.str[1:], 2.0**-53),
        lambda: f"{dtype}{shape} axis={axis} spacing={spacings} {options} holes={holes}",
        dtype=native if native.kind in "fc" else np.dtype("f8"),
        refused=(ValueError,) if is_short or is_unknown else (),
        exact_infinities=all(x.accuracy == 2 and x.low is x.high is None for x in lines),
    )


def steps_of(step: Any, n: int) -> np.ndarray:
    """Points at the same distance to the bit."""
    return LONG(float(step)) * np.arange(n)


def _pick_spacings(rng: Random, sizes: list[int]) -> tuple[list[Line], list[Any]]:
    """Lines of these sizes and what says so: nothing, a number for all, or one for each."""
    how = rng.choice(("none", "number", "each", "each", "each"))
    if how == "none":
        return [Line(steps_of(1.0, n)) for n in sizes], []
    if how == "number":
        step = rng.choice((0.5, 3, -2.0, 0.1, np.float32(0.25), np.int16(3)))
        return [Line(steps_of(step, n)) for n in sizes], [step]
    lines, given = [], []
    for n in sizes:
        if rng.random() < 0.3:
            step = rng.choice((2.0, -0.5, 1))
            lines.append(Line(steps_of(step, n)))
            given.append(step)
        else:
            points = pick_points(rng, n)
            lines.append(Line(points))
            given.append(points.tolist() if rng.random() < 0.1 else points)
    return lines, given


def _pick_options(
    rng: Random, axes: list[int], lines: list[Line], axis: Any, ndim: int
) -> tuple[dict[str, Any], list[Line]]:
    drawn = [pick_line(rng, line.points) for line in lines]
    first = drawn[0]
    if first.accuracy >= min(len(line.points) for line in lines) and rng.random() < 0.9:
        first = replace(first, accuracy=2)
    options: dict[str, Any] = {}
    if first.edge_order != 1 or rng.random() < 0.3:
        options["edge_order"] = first.edge_order
    if first.accuracy != 2 or rng.random() < 0.3:
        options["accuracy"] = first.accuracy
    if rng.random() < 0.5:
        plain = [Line(x.points, first.accuracy, first.edge_order) for x in drawn]
        return options, plain
    boundary: dict[int, Any] = {}
    period: dict[int, float] = {}
    made = []
    for number, line in zip(axes, drawn, strict=True):
        name = number if rng.random() < 0.7 else number - ndim
        same = line.low is line.high or line.low == line.high
        boundary[name] = line.low if same and rng.random() < 0.7 else (line.low, line.high)
        if line.period is not None:
            period[name] = line.period
        made.append(
            Line(line.points, first.accuracy, first.edge_order, line.low, line.high, line.period)
        )
    if len(boundary) == 1 and rng.random() < 0.7:
        options["boundary"] = next(iter(boundary.values()))
        if period:
            options["period"] = next(iter(period.values()))
        return options, made
    options["boundary"] = boundary
    if period:
        options["period"] = period
    return options, made


def _has_unknown_period(line: Line) -> bool:
    steps = np.diff(line.points.astype(float))
    return bool(
        line.low == "periodic" and line.period is None and np.ptp(steps) > 1e-4 * abs(steps[0])
    )
