"""Divergence and vorticity of a C grid's velocities, together: in one pass, and by xgcm's `diff`.

Cells have lengths and areas of their own, as those of ocean models have. In memory, and of dask
arrays in chunks along x and y, computed chunk by chunk into nowhere: in small chunks, where what
each task costs counts as much as its arithmetic, and in chunks of the size that dask recommends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

import fdgrad_dask as fd
from benchmarks.chunks import Sink
from benchmarks.machine import cores
from benchmarks.rows import Row, in_turn, over, seconds_of

WHAT, XGCM = "divergence and vorticity on a C grid, {dtype}", "xgcm, composed"
SHAPE = (24, 600, 800)
CHUNKS = (12, 300, 400)  # 6 MB in float32
# Shapes of an array and of its chunks, of 46 MB.
LARGE = {
    "float32": ((48, 1200, 1600), (24, 600, 800)),
    "float64": ((24, 1200, 1600), (12, 600, 800)),
}
DIMS = {"center": ("YC", "XC"), "u": ("YC", "XG"), "v": ("YG", "XC"), "corner": ("YG", "XG")}


def rows(size: str) -> Iterator[Row]:
    """Both dtypes, NumPy and dask arrays."""
    part = 12 if size == "quick" else 1
    shape, small = ((n // part, *others) for n, *others in (SHAPE, CHUNKS))
    with dask.config.set(scheduler="threads", num_workers=cores()):
        for dtype, large in LARGE.items():
            ds = ocean(shape, dtype)
            yield _row(f"NumPy, {_by(shape)}", dtype, partial(both, ds), partial(by_xgcm, ds))
            yield _chunked(ds, small)
            if size != "quick":
                yield _chunked(ocean(large[0], dtype), large[1])


def _chunked(ds: xr.Dataset, chunks: tuple[int, ...]) -> Row:
    lazy = ds.assign({n: in_chunks(one, chunks) for n, one in ds.data_vars.items()})
    ours, theirs = (partial(_store, partial(way, lazy)) for way in (both, by_xgcm))
    case = f"dask, {_by(ds.u.shape)} in chunks of {_by(chunks)}"
    return _row(case, str(ds.u.dtype), ours, theirs)


def _by(sizes: Iterable[int]) -> str:
    return " × ".join(map(str, sizes))


def _row(case: str, dtype: str, ours: Callable[[], object], theirs: Callable[[], object]) -> Row:
    what = WHAT.format(dtype=dtype)
    if not find_spec("xgcm"):
        return Row(what, case, XGCM, "xgcm", note="xgcm is not installed")
    seconds = in_turn({"before": ours, "ours": ours, "theirs": theirs}, 5)
    note = seconds_of(seconds["ours"])
    return Row(what, case, XGCM, "xgcm", **over(seconds["theirs"], seconds["ours"]), note=note)


def ocean(shape: tuple[int, ...], dtype: str) -> xr.Dataset:
    """Velocities, lengths and areas of noise, on a domain that is periodic along x."""
    rng = np.random.default_rng(0)
    sizes = dict(zip(("Z", "YC", "XC"), shape, strict=True))
    sizes |= {"YG": sizes["YC"], "XG": sizes["XC"]}

    def noise(*dims: str) -> tuple[tuple[str, ...], Any]:
        return dims, (1 + rng.random([sizes[dim] for dim in dims])).astype(dtype)

    lengths = {f"d{axis}_{p}": noise(*DIMS[p]) for axis in "xy" for p in ("u", "v")}
    areas = {f"area_{p}": noise(*DIMS[p]) for p in ("center", "corner")}
    velocities = {p: noise("Z", *DIMS[p]) for p in "uv"}
    coords = {dim: np.arange(n) for dim, n in sizes.items()}
    return xr.Dataset(velocities | lengths | areas, coords)


def in_chunks(field: xr.DataArray, chunks: tuple[int, ...]) -> xr.DataArray:
    """The field in chunks that are arrays of their own, as where they were read."""
    parts = da.from_array(field.values, chunks=chunks[-field.ndim :], name=False)
    return field.copy(data=parts.map_blocks(np.copy, meta=parts).persist())


def _store(build: Callable[[], Any]) -> None:
    arrays = [one.data for one in build().data_vars.values()]
    da.store(arrays, [Sink() for _ in arrays], lock=False)


def both(ds: xr.Dataset) -> xr.Dataset:
    """Ours: the fluxes and circulations of a cell in one pass."""
    grid = fd.Grid(
        {"center": "XC", "left": "XG"},
        {"center": "YC", "left": "YG"},
        *({p: ds[f"d{axis}_{p}"] for p in ("u", "v")} for axis in "xy"),
        {p: ds[f"area_{p}"] for p in ("center", "corner")},
        boundary={"x": "periodic", "y": 0.0},
    )
    which = ["divergence", "vorticity"]
    return fd.operators.kinematics(ds.u, ds.v, which=which, geometry=grid)


def by_xgcm(ds: xr.Dataset) -> xr.Dataset:
    """xgcm's differences of the same fluxes: what its users write."""
    import xgcm

    grid = xgcm.Grid(
        ds,
        coords={"X": {"center": "XC", "left": "XG"}, "Y": {"center": "YC", "left": "YG"}},
        padding={"X": "periodic", "Y": "fill"},
        autoparse_metadata=False,
    )
    out = grid.diff(ds.u * ds.dy_u, "X") + grid.diff(ds.v * ds.dx_v, "Y")
    around = grid.diff(ds.v * ds.dy_v, "X") - grid.diff(ds.u * ds.dx_u, "Y")
    return xr.Dataset({"divergence": out / ds.area_center, "vorticity": around / ds.area_corner})
