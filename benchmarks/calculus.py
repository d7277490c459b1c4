"""Divergence and vorticity of a global wind, together: in one pass, and composed by peers.

One core, (24, 721, 1440) float32.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import xarray as xr

import fdgrad_dask as fd
from benchmarks.machine import keep_to
from benchmarks.rows import Row, in_turn, over, seconds_of
from fdgrad_dask.blocks import allocator, buffers

WHAT = "divergence and vorticity, float32"
COMPOSED, METPY = "`DataArray.differentiate`, composed", "MetPy `divergence`, `vorticity`"


def rows(size: str) -> Iterator[Row]:
    """Against xarray, and against MetPy where it is installed."""
    keep_to(1)
    u, v = wind(2 if size == "quick" else 24)
    ours = partial(fd.operators.kinematics, u, v, which=["divergence", "vorticity"])
    case = " × ".join(map(str, u.shape))
    yield _row(case, COMPOSED, "composed", ours, partial(composed, u, v), 7)
    if allocator.is_default():
        row = _row(case, COMPOSED, "", partial(_afresh, ours), partial(composed, u, v), 5)
        yield replace(row, what=WHAT.replace(",", " in fresh memory,"))
    yield _row(case, "`numpy.copyto` of both winds", "", ours, _copies(u, v), 7)
    if find_spec("metpy"):
        yield _row(case, METPY, "metpy", ours, partial(metpy, u, v), 5)
    else:
        yield Row(WHAT, case, METPY, "metpy", note="MetPy is not installed")


def _afresh(compute: Callable[[], object]) -> None:
    """As where all results are held, so that none can lie where an earlier one did."""
    buffers.clear()
    compute()


def _copies(u: xr.DataArray, v: xr.DataArray) -> Callable[[], object]:
    """The least that reads two fields and writes two: the limit."""
    pairs = [(np.empty_like(f.values), f.values) for f in (u, v)]
    return lambda: [np.copyto(*pair) for pair in pairs]


def _row(
    case: str,
    peer: str,
    target: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    runs: int,
) -> Row:
    # Before each of those that count we run once more: after seconds of a peer caches are cold, and
    # pages that nobody touched. So everybody runs just after a run of ours.
    seconds = in_turn({"before": ours, "ours": ours, "theirs": theirs}, runs)
    note = seconds_of(seconds["ours"])
    return Row(WHAT, case, peer, target, **over(seconds["theirs"], seconds["ours"]), note=note)


def wind(times: int) -> tuple[xr.DataArray, xr.DataArray]:
    """A smooth wind on a grid of a quarter degree."""
    lat = xr.DataArray(np.linspace(90, -90, 721), dims="lat", attrs={"units": "degrees_north"})
    lon = xr.DataArray(np.arange(1440) * 0.25, dims="lon", attrs={"units": "degrees_east"})
    time = xr.DataArray(np.arange(float(times)), dims="time")
    y, x = np.deg2rad(lat), np.deg2rad(lon)
    u = 20 * np.cos(y) * (1 + 0.3 * np.sin(3 * x + time / 4))
    v = 10 * np.cos(y) * np.cos(4 * x + time / 5)
    coords = {"lat": lat, "lon": lon}
    made = (f.transpose("time", "lat", "lon").astype("float32", order="C") for f in (u, v))
    return tuple(f.assign_coords(coords).assign_attrs(units="m s-1") for f in made)


def composed(u: xr.DataArray, v: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """The flux form by xarray's differentiate: what its users write."""
    degree = np.deg2rad(6371229.0)
    cosine = np.cos(np.deg2rad(u.lat)).astype("float32")
    over_x = (1 / (degree * cosine)).astype("float32")
    divergence = (u.differentiate("lon") + (v * cosine).differentiate("lat")) * over_x
    vorticity = (v.differentiate("lon") - (u * cosine).differentiate("lat")) * over_x
    return divergence, vorticity


def metpy(u: xr.DataArray, v: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """MetPy's two functions, and what they leave in cycles, which others would have to collect."""
    import metpy.calc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = metpy.calc.divergence(u, v), metpy.calc.vorticity(u, v)
    gc.collect()
    return both
