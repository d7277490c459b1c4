"""On a GPU: the kernel against a copy there, and against the way there; launches; compilations.

Without one it measures the same on the CPU, and says of the targets that they could not be shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import fdgrad_dask as fd
from benchmarks.calculus import wind
from benchmarks.rows import Row, in_turn, over, seconds_of, spread
from fdgrad_dask import Sphere, operators
from fdgrad_dask.blocks import device

kernel = device._run

SHAPES = {"quick": (4, 100, 200), "usual": (12, 1000, 2000)}  # 96 MB of float32
ON_GPU = (96, 1000, 2000)


def rows(size: str) -> Iterator[Row]:
    """What this backend can show."""
    gpu = jax.default_backend() == "gpu"
    shape = ON_GPU if gpu else SHAPES.get(size, SHAPES["usual"])
    f = np.random.default_rng(0).random(shape, "float32")
    runs = 2 if size == "quick" else 5
    yield from _speeds(f, gpu, runs)
    yield from _users(size)
    yield from _counts()


def _speeds(f: np.ndarray, gpu: bool, runs: int) -> Iterator[Row]:
    there_is = jax.devices()[0]
    there = jax.device_put(f)
    gradient = jax.jit(partial(fd.gradient, axis=1))
    copy = jax.jit(jnp.copy)
    where = there_is.device_kind if gpu else "no GPU here: on the CPU"
    for what, target, peer, ours, theirs in (
        (
            "kernel on device data",
            "gpu",
            "a copy on the device",
            lambda: gradient(there).block_until_ready(),
            lambda: copy(there).block_until_ready(),
        ),
        (
            "kernel fed from the host",
            "gpu from host",
            "a copy to the device",
            lambda: fd.gradient(f, axis=1),
            lambda: jax.device_put(f, may_alias=False).block_until_ready(),
        ),
    ):
        seconds = in_turn({"ours": ours, "theirs": theirs}, runs)
        measured = over(seconds["theirs"], seconds["ours"])
        case = f"{f.nbytes / 1e6:.0f} MB of float32"
        if gpu:
            note = f"{seconds_of(seconds['ours'])}; {where}"
            yield Row(what, case, peer, target, **measured, note=note)
        else:
            yield Row(what, case, peer, target, note="not shown: no GPU here")
            yield Row(what, case, f"{peer}, on the CPU", **measured)


def _users(size: str) -> Iterator[Row]:
    """Divergence and vorticity under ``jit``, against the same put together from `jax.numpy`."""
    shape = (2, 91, 180) if size == "quick" else (12, 721, 1440)
    lat, lon = np.linspace(-80, 80, shape[1]), np.arange(shape[2]) * 360 / shape[2]
    coords = {
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    values = np.random.default_rng(0).standard_normal((2, *shape)).astype("f4")
    field = xr.DataArray(values[0], coords, ("time", "lat", "lon"), attrs={"units": "m s-1"})
    u, v = map(jnp.asarray, values)

    @jax.jit
    def ours(u: jax.Array, v: jax.Array) -> list[jax.Array]:
        x, y = field.copy(data=u), field.copy(data=v)
        return [operators.divergence(x, y).data, operators.vorticity(x, y).data]

    radius, phi = Sphere().radius, np.deg2rad(lat)
    cos = jnp.asarray(np.cos(phi)[:, None], "f4")

    @jax.jit
    def theirs(u: jax.Array, v: jax.Array) -> list[jax.Array]:
        step = 2 * float(np.deg2rad(lon[1])) * radius

        def along_x(f: jax.Array) -> jax.Array:
            return (jnp.roll(f, -1, -1) - jnp.roll(f, 1, -1)) / (step * cos)

        def along_y(f: jax.Array) -> jax.Array:
            return jnp.gradient(f * cos, jnp.asarray(phi * radius, "f4"), axis=-2) / cos

        return [along_x(u) + along_y(v), along_x(v) - along_y(u)]

    calls = {
        "ours": lambda: jax.block_until_ready(ours(u, v)),
        "theirs": lambda: jax.block_until_ready(theirs(u, v)),
    }
    seconds = in_turn(calls, 2 if size == "quick" else 7)
    yield Row(
        "divergence and vorticity under jit",
        f"{u.nbytes / 1e6:.0f} MB of float32",
        "jnp.gradient and jnp.roll",
        "jax users",
        **over(seconds["theirs"], seconds["ours"]),
        note=f"{seconds_of(seconds['ours'])}; on {jax.devices()[0].device_kind}",
    )


def _counts() -> Iterator[Row]:
    """Launches of a fused operator, and compilations of chunks that are alike."""
    u, v = wind(8)
    ours = partial(fd.operators.kinematics, which=["divergence", "vorticity"])
    launches, compiled = [], []
    for times in (4, 8):
        lazy = [
            fd.to_device(w.isel(time=slice(times)).chunk(time=1, lat=-1, lon=-1)) for w in (u, v)
        ]
        before = kernel._cache_size()
        launches = _launches(partial(_computed, ours, lazy))
        compiled.append(kernel._cache_size() - before)
    backend = jax.default_backend()
    note = f"of divergence and vorticity, compiled for {backend}"
    if backend != "gpu":
        note += ", where a fusion is a loop and no launch"
    yield Row("fusions in a kernel, at most", **spread([max(launches)]), unit="fusions", note=note)
    yield Row("compilations", "4 chunks alike", **spread(compiled[:1]), unit="kernels")
    yield Row("compilations", "8 more chunks", **spread(compiled[1:]), unit="kernels")


def _computed(ours: Callable[..., Any], winds: list[Any]) -> Any:
    return ours(*winds).compute(scheduler="synchronous")


def _launches(compute: Callable[[], object]) -> list[int]:
    """Fusions at the entry of each kernel that a computation calls."""
    found: dict[Any, int] = {}

    def counted(*args: Any, program: Any, **static: Any) -> Any:
        if program not in found:
            text = kernel.lower(*args, program=program, **static).compile().as_text()
            entry = text[text.index("\nENTRY") :]
            found[program] = len(re.findall(r"= .*? (?:fusion|custom-call)\(", entry))
        return kernel(*args, program=program, **static)

    with mock.patch.object(device, "_run", counted):
        compute()
    return list(found.values())
