"""What JAX users write: divergence and vorticity under ``jit``, on the backend that is there.

Against the same put together from `jnp.gradient` and `jnp.roll`, on arrays of JAX. A second row has
two sums in the place of ours: what any two results of this size take, so that no equation does more
for the ratio than this. The third one is a loss: the derivative of both squared by u and v.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from benchmarks.rows import Row, in_turn, over, seconds_of
from fdgrad_dask import Sphere, operators


def rows(size: str) -> Iterator[Row]:
    """Three rows."""
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

    def loss(solve: Callable[..., list[jax.Array]]) -> Callable[..., Any]:
        return jax.jit(jax.grad(lambda u, v: sum((f**2).sum() for f in solve(u, v)), (0, 1)))

    @jax.jit
    def sums(u: jax.Array, v: jax.Array) -> list[jax.Array]:
        return [u + 1, v + 1]

    calls = {
        "ours": lambda: jax.block_until_ready(ours(u, v)),
        "theirs": lambda: jax.block_until_ready(theirs(u, v)),
        "sums": lambda: jax.block_until_ready(sums(u, v)),
    }
    ours_by, theirs_by = loss(ours), loss(theirs)
    losses = {
        "ours": lambda: jax.block_until_ready(ours_by(u, v)),
        "theirs": lambda: jax.block_until_ready(theirs_by(u, v)),
    }
    seconds = in_turn(calls, 2 if size == "quick" else 21)
    case, peer = f"{u.nbytes / 1e6:.0f} MB of float32", "jnp.gradient and jnp.roll"
    yield Row(
        "divergence and vorticity under jit",
        case,
        peer,
        "jax users",
        **over(seconds["theirs"], seconds["ours"]),
        note=f"{seconds_of(seconds['ours'])}; on {jax.devices()[0].device_kind}",
    )
    yield Row(
        "two sums under jit, the least that two results take",
        case,
        peer,
        **over(seconds["theirs"], seconds["sums"]),
        note=seconds_of(seconds["sums"]).replace("ours", "sums"),
    )
    seconds = in_turn(losses, 2 if size == "quick" else 11)
    yield Row(
        "the derivative of divergence² + vorticity² under jit",
        case,
        peer,
        **over(seconds["theirs"], seconds["ours"]),
        note=seconds_of(seconds["ours"]),
    )
