"""Divergence and vorticity of a global wind, together: ours in one pass, and composed by peers.

Prints a Markdown table and writes it beside itself. One thread, (24, 721, 1440) float32, in a
process as it comes and in one whose allocator keeps its memory.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr

import fdgrad_dask as fd
from benchmarks.timing import KEEP_MEMORY, in_turn, lines_of, machine

RESULT = Path(__file__).with_suffix(".md")
RUNS = 3
HEAD = """# Divergence and vorticity

{machine}; one thread.

Ratio = time of the peer / time of ours: the median of {runs} runs in turn (lowest – highest). Made
by `make bench`; MetPy only where it is installed.

| what | against | process as it comes | memory kept |
|---|---|---|---|
"""


def wind() -> tuple[xr.DataArray, xr.DataArray]:
    """A smooth wind on a grid of a quarter degree, 24 times."""
    lat = xr.DataArray(np.linspace(90, -90, 721), dims="lat", attrs={"units": "degrees_north"})
    lon = xr.DataArray(np.arange(1440) * 0.25, dims="lon", attrs={"units": "degrees_east"})
    time = xr.DataArray(np.arange(24.0), dims="time")
    y, x = np.deg2rad(lat), np.deg2rad(lon)
    u = 20 * np.cos(y) * (1 + 0.3 * np.sin(3 * x + time / 4))
    v = 10 * np.cos(y) * np.cos(4 * x + time / 5)
    coords = {"lat": lat, "lon": lon}
    made = (f.transpose("time", "lat", "lon").astype("float32", order="C") for f in (u, v))
    return tuple(f.assign_coords(coords).assign_attrs(units="m s-1") for f in made)  # type: ignore[return-value]


def composed(u: xr.DataArray, v: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """The flux form by xarray's differentiate: what its users write."""
    degree = np.deg2rad(6371229.0)
    cosine = np.cos(np.deg2rad(u.lat)).astype("float32")
    over_x = (1 / (degree * cosine)).astype("float32")
    divergence = (u.differentiate("lon") + (v * cosine).differentiate("lat")) * over_x
    vorticity = (v.differentiate("lon") - (u * cosine).differentiate("lat")) * over_x
    return divergence, vorticity


def metpy(u: xr.DataArray, v: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """MetPy's two functions."""
    import metpy.calc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metpy.calc.divergence(u, v), metpy.calc.vorticity(u, v)


def cases() -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    """Peer, ours, theirs."""
    u, v = wind()
    ours = partial(fd.operators.kinematics, u, v, which=["divergence", "vorticity"])
    yield "composed of `DataArray.differentiate`", ours, partial(composed, u, v)
    if find_spec("metpy"):
        yield "MetPy `divergence` and `vorticity`", ours, partial(metpy, u, v)


def measure() -> None:
    """Prints what the parent process reads."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for peer, ours, theirs in cases():
        pair = in_turn(ours, theirs, RUNS)
        ratio = f"{pair.ratio:.1f} ({pair.lowest:.1f} – {pair.highest:.1f})"
        print(
            "divergence and vorticity, (24, 721, 1440) float32", peer, ratio, sep=" | ", flush=True
        )


def main() -> None:
    """Measures in fresh processes of both kinds, and writes the table."""
    text = HEAD.format(machine=machine(), runs=RUNS)
    print(text, end="")
    both = (lines_of("benchmarks.calculus", "measure", env) for env in ({}, KEEP_MEMORY))
    for line, other in zip(*both, strict=True):
        row = f"| {line} | {other.rsplit(' | ', 1)[1]} |"
        print(row, flush=True)
        text += row + "\n"
    RESULT.write_text(text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure()
    else:
        main()
