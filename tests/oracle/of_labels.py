"""Cases of `gradient` of labelled arrays: coordinates and dates of all kinds, gaps, levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask import operators as op
from oracle import gaps
from oracle.coordinates import SECONDS, Axis, draw_axis, in_unit, per
from oracle.drawn import (
    DTYPES,
    EPSILON,
    RARE,
    Case,
    as_kind,
    pick_all_chunks,
    pick_kind,
    pick_line,
    pick_values,
)
from oracle.lines import Line, differentiate
from oracle.sized import Sized


def draw(rng: Random) -> Case:
    how = rng.choice(("plain", "plain", "plain", "several", "gaps", "levels"))
    ndim = rng.choice((1, 2, 2, 3))
    sizes = [rng.choice((2, 3, 4, 5, 6, 7, 9, 12)) for _ in range(ndim)]
    # Levels at accuracies above 2 are compiled for each shape; so these have few, and are few.
    compiled = how == "levels" and rng.random() < 0.03
    if compiled:
        sizes = rng.choice(([10], [4, 10]))
        ndim = len(sizes)
    axes = [draw_axis(rng, dim, n) for dim, n in zip("abc", sizes, strict=False)]
    dtype = rng.choice(DTYPES)
    if how in ("gaps", "levels"):
        dtype = rng.choice(("f8", "f4", "f8", "i4"))
    kind = pick_kind(rng, np.empty(0))
    if compiled:
        kind, dtype = "numpy", rng.choice(("f8", "f4"))
    if kind in RARE:
        dtype = rng.choice(("f8", "f4"))
    holes = rng.choice(("", "nan", "inf"))
    unit = rng.choice((None, None, None, "s", "m", "h", "D", "ms", "us", "W", "year", "decade"))
    if (unit in ("W", "year", "decade", "h", "D", "m")) or how == "levels":
        holes = ""  # by rounding an even axis may be uneven, where the centre is read
    if np.dtype(dtype).kind in "iu":
        holes = ""
    values = pick_values(rng, tuple(sizes), dtype, holes=holes)
    chosen = ndim - 1 if compiled else rng.randrange(ndim)
    asked = [chosen]
    if how == "several":
        asked = rng.sample(range(ndim), rng.randint(1, ndim))
    lines = {}
    common = pick_line(rng, axes[chosen].points, ends=False)
    if common.accuracy + 2 > min(sizes[i] for i in asked) and rng.random() < 0.9:
        common = replace(common, accuracy=2)
    if how == "levels":
        common = replace(common, accuracy=rng.choice((4, 6, 8)) if compiled else 2)
    order = rng.choice((1, 1, 2))
    for i in asked:
        points = in_unit(axes[i], unit)[0]
        line = pick_line(rng, points, ends=how != "levels")
        line = replace(line, is_rounded=axes[i].is_time)
        if axes[i].is_time and unit in ("year", "decade"):
            line = replace(line, low=None, high=None, period=None)
        lines[i] = replace(line, accuracy=common.accuracy, edge_order=common.edge_order)
    options: dict[str, Any] = {"datetime_unit": unit} if unit else {}
    for key, standard in (("accuracy", 2), ("edge_order", 1)):
        if getattr(common, key) != standard or rng.random() < 0.2:
            options[key] = getattr(common, key)
    if order == 2:
        options["order"] = 2
    if how != "levels":
        options |= _ends(rng, {i: axes[i] for i in asked}, lines, unit)
    field = rng.choice(("K", "K", None))
    coords: dict[str, Any] = {}
    for axis in axes:
        coords |= axis.coords
    plan = Plan(rng, values, axes, lines, order, options, kind, dtype)
    if how == "gaps":
        plan.make_gaps()
    elif how == "levels":
        plan.make_levels(asked[0])
    return plan.case(field, coords, asked, how, unit)


def _ends(rng: Random, axes: dict[int, Axis], lines: dict[int, Line], unit: Any) -> dict[str, Any]:
    """The options ``boundary`` and ``period``, by the name of any axis or for all."""
    boundary: dict[str, Any] = {}
    period: dict[str, Any] = {}
    for i, axis in axes.items():
        line = lines[i]
        if line.low is None and line.high is None and rng.random() < 0.8:
            continue
        name = rng.choice(axis.asked)
        same = line.low == line.high and type(line.low) is type(line.high)
        boundary[name] = line.low if same else (line.low, line.high)
        if line.period is not None:
            period[name] = line.period
            if axis.is_time and rng.random() < 0.5:
                microseconds = round(line.period * SECONDS[unit] * 1e6)
                lines[i] = replace(line, period=microseconds / 1e6 / SECONDS[unit])
                period[name] = np.timedelta64(microseconds, "us")
    found: dict[str, Any] = {"boundary": boundary} if boundary else {}
    if period:
        found["period"] = period
    if len(axes) == 1 and boundary and rng.random() < 0.5:
        found = {key: next(iter(one.values())) for key, one in found.items()}
    return found


class Plan:
    """One gradient on its way to a case."""

    def __init__(
        self,
        rng: Random,
        values: np.ndarray,
        axes: list[Axis],
        lines: dict[int, Line],
        order: int,
        options: dict[str, Any],
        kind: str,
        dtype: str,
    ) -> None:
        self.rng, self.values, self.axes, self.lines = rng, values, axes, lines
        self.order, self.options, self.kind, self.dtype = order, options, kind, dtype
        self.slope: float | None = None
        self.levels: np.ndarray | None = None
        self.exact = all(x.accuracy == 2 and x.low is x.high is None for x in lines.values())

    def make_gaps(self) -> None:
        """Missing values are stepped around; at accuracies above 2 the field is a line."""
        rng, (i, line) = self.rng, next(iter(self.lines.items()))
        self.options["skipna"] = "one-sided"
        self.exact = False
        if line.accuracy > 2:
            self.options.pop("boundary", None)
            self.options.pop("period", None)
            self.lines[i] = replace(line, low=None, high=None, period=None)
            self.slope = rng.choice((0.5, -3.0))
            along = np.moveaxis(np.empty(self.values.shape), i, -1)
            along[...] = self.slope * line.points.astype(float)
            with np.errstate(invalid="ignore"):  # what does not fit stays float64
                self.values = np.moveaxis(along, -1, i).astype(self.dtype).copy()
            if (self.values != np.moveaxis(along, -1, i)).any():
                self.values = np.moveaxis(along, -1, i).copy()
        if self.values.dtype.kind == "f":
            where = np.random.default_rng(rng.getrandbits(32)).random(self.values.shape)
            self.values[where < rng.choice((0.1, 0.3, 0.6))] = np.nan
            self.values[np.isinf(self.values)] = 1.0

    def make_levels(self, i: int) -> None:
        """A coordinate that varies along all axes, rising or falling along one."""
        rng, n = self.rng, self.values.shape[i]
        gaps_ = np.random.default_rng(rng.getrandbits(32)).choice(
            (1.0, 2.0, 3.5), self.values.shape
        )
        z = np.cumsum(gaps_, i) * rng.choice((1, -1, 100.0))
        self.levels = z + rng.choice((0.0, -7.0)) * (n > 2)

    def expect(self, i: int) -> Sized:
        line, s = self.lines[i], Sized(np.moveaxis(self.values, i, -1))
        if self.slope is not None:
            made = gaps.straight(
                line.points, np.moveaxis(self.values, i, -1), self.slope, self.order
            )
        elif self.levels is not None:
            made = gaps.along_levels(s, np.moveaxis(self.levels, i, -1), line, self.order)
        elif "skipna" in self.options:
            made = gaps.around_gaps(s, line, self.order)
        else:
            made = differentiate(s, -1, line, self.order)
        return Sized(np.moveaxis(made.value, -1, i), np.moveaxis(made.size, -1, i))

    def case(
        self, units: str | None, coords: dict[str, Any], asked: list[int], how: str, unit: Any
    ) -> Case:
        rng, dims = self.rng, tuple(axis.dim for axis in self.axes)
        attrs = {} if units is None else {"units": units}
        turned = rng.sample(range(len(dims)), len(dims))
        values = self.values.transpose(turned)
        made = xr.DataArray(values, coords, [dims[i] for i in turned], "f", attrs)
        if how == "levels":
            self.options["coordinate"] = xr.DataArray(
                self.levels, dims=dims, name="z", attrs={"units": "m"}
            ).transpose(*rng.sample(dims, len(dims)))
        if self.kind != "numpy":
            # `copy` keeps what is not NumPy as it is.
            data = as_kind(rng, values, self.kind, pick_all_chunks(rng, values.shape))
            made = made.copy(deep=False, data=data)
        names, below = {}, {}
        for i in asked:
            axis = self.axes[i]
            per_unit = in_unit(axis, unit)[1]
            along = "z" if how == "levels" else axis.name
            names[i] = f"df_d{along}" if self.order == 1 else f"d2f_d{along}2"
            per_unit = "m" if how == "levels" else per_unit
            is_time = axis.is_time and how != "levels"
            below[names[i]] = per(units, per_unit, self.order, is_time=is_time)
        native = np.dtype(self.values.dtype).newbyteorder("=")
        return Case(
            f"gradient, {how}" + (" of second order" if self.order == 2 else ""),
            "dates" if any(self.axes[i].is_time for i in asked) else "numbers",
            self.kind,
            self._call(made, [rng.choice(self.axes[i].asked) for i in asked], how),
            lambda: {names[i]: self.expect(i) for i in asked},
            EPSILON.get(native.str[1:], 2.0**-53),
            lambda: (
                f"{native} {made.dims} {[(a.name, a.points) for a in self.axes]} {asked} "
                f"{ {k: v for k, v in self.options.items() if k != 'coordinate'} }"
            ),
            dims,
            made,
            native if native.kind in "fc" else np.dtype("f8"),
            below,
            refused=(ValueError,) if self._is_refused(asked) else (),
            exact_infinities=self.exact and self.order == 1,
        )

    def _is_refused(self, asked: list[int]) -> bool:
        lines = [self.lines[i] for i in asked]
        return any(len(x.points) < self._needs(x) or _has_unknown_period(x) for x in lines)

    def _needs(self, line: Line) -> int:
        reach = 1 + max(self.order + line.edge_order - 1, line.accuracy // 2)
        if "skipna" in self.options and line.accuracy > 2:
            reach = 1 + self.order + line.accuracy - 3
        return max(line.needs(self.order), reach if "skipna" in self.options else 0)

    def _call(self, made: xr.DataArray, asked: list[str], how: str) -> Callable[[], dict[str, Any]]:
        dim: Any = asked if how == "several" else asked[0]
        way = self.rng.choice(("method", "function", "dataset"))
        options = self.options

        def compute() -> dict[str, Any]:
            if way == "method":
                found = made.fdgrad.gradient(dim, **options)
            elif way == "function":
                found = op.gradient(made, dim, **options)
            else:
                found = xr.Dataset({"f": made}).fdgrad.gradient(dim, **options)
            if isinstance(found, xr.DataArray):
                return {str(found.name): found}
            return {str(name): one for name, one in found.data_vars.items()}

        return compute


def _has_unknown_period(line: Line) -> bool:
    steps = np.diff(line.points.astype(float))
    uneven = np.ptp(steps) > 1e-4 * abs(steps[0])
    return bool(line.low == "periodic" and line.period is None and uneven)
