"""NumPy arrays of all sizes, shapes and orders: `fd.gradient` against `numpy.gradient`.

What users meet beside large arrays with long rows: a few hundred points, one dimension, a short
last axis, few and large planes, Fortran order, and results that are all kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import xarray as xr

import fdgrad_dask as fd
from benchmarks.rows import Row, in_turn, over, seconds_of

NUMPY, DIFFERENTIATE = "`numpy.gradient`", "`DataArray.differentiate`"
SMALL = {100: (10, 10), 1_000: (20, 50), 10_000: (100, 100), 100_000: (250, 400)}
# Name → shape and the axis of the difference.
LARGE = {
    "1e6 points, two dimensions": ((1000, 1000), 0),
    "one dimension, 1e6": ((1_000_000,), 0),
    "one dimension, 25e6": ((25_000_000,), 0),
    "short last axis (720, 1440, 3)": ((720, 1440, 3), 2),
    "few planes (3, 5000, 1000)": ((3, 5000, 1000), 0),
    "two columns (500000, 2)": ((500_000, 2), 1),
}


def rows(size: str) -> Iterator[Row]:
    """Small arrays, with labels too, then shapes, Fortran order and results that are kept."""
    runs = 2 if size == "quick" else 7
    for points, shape in SMALL.items():
        f = _noise(shape, "float64")
        times = max(1, 100_000 // points)
        yield _row(f"{points} points, float64", f, 0, runs, times, target="small arrays")
        labelled = xr.DataArray(f, dims=("y", "x"), coords={"y": np.arange(shape[0]) * 2.0})
        ways: dict[str, Callable[[], object]] = {
            "ours": partial(_repeat, times, partial(labelled.fdgrad.gradient, "y")),
            "theirs": partial(_repeat, times, partial(labelled.differentiate, "y")),
        }
        seconds = in_turn(ways, runs)
        yield Row(
            f"{points} points with labels, float64",
            "first",
            DIFFERENTIATE,
            **over(seconds["theirs"], seconds["ours"]),
            note=seconds_of([each / times for each in seconds["ours"]]),
        )
    for name, (shape, axis) in LARGE.items():
        if size == "quick" and np.prod(shape) > 1e6:
            continue
        for dtype in ("float32", "float64"):
            yield _row(f"{name}, {dtype}", _noise(shape, dtype), axis, runs, target="any shape")
    shape = (4, 100, 200) if size == "quick" else (12, 600, 1000)
    for dtype in ("float32", "float64"):
        turned = np.asfortranarray(_noise(shape, dtype))
        for axis in range(3):
            yield _row(f"Fortran order, {dtype}", turned, axis, runs, target="any shape")
    shape = (4, 100, 200) if size == "quick" else (24, 500, 1000)
    f = _noise(shape, "float32")
    for axis in range(3):
        yield _row("six results kept alive, float32", f, axis, runs, 6, True, "any shape")


def _row(
    what: str,
    f: np.ndarray,
    axis: int,
    runs: int,
    times: int = 1,
    keep: bool = False,
    target: str = "",
) -> Row:
    ways: dict[str, Callable[[], object]] = {
        name: partial(_repeat, times, partial(gradient, f, 2.0, axis=axis), keep)
        for name, gradient in (("ours", fd.gradient), ("theirs", np.gradient))
    }
    seconds = in_turn(ways, runs)
    place = ("first", "middle", "last")[axis] if f.ndim == 3 else ("first", "last")[axis]
    return Row(
        what,
        place,
        NUMPY,
        target,
        **over(seconds["theirs"], seconds["ours"]),
        note=seconds_of([each / times for each in seconds["ours"]]),
    )


def _noise(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(dtype)


def _repeat(times: int, compute: Callable[[], object], keep: bool = False) -> None:
    kept = []
    for _ in range(times):
        made = compute()
        if keep:
            kept.append(made)
