"""A NumPy array in memory: `fd.gradient` against `numpy.gradient` and `jit(jax.numpy.gradient)`.

`jax.numpy.gradient` under ``jit`` gets a NumPy array and gives one, and may use all cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fdgrad_dask as fd
from benchmarks.rows import Row, in_turn, over, seconds_of

AXES = ("first", "middle", "last")
SHAPES = {
    "quick": {"float32": (4, 100, 200), "float64": (4, 100, 200)},
    "usual": {"float32": (24, 1000, 2000), "float64": (12, 1000, 2000)},  # 192 MB
}


def rows(size: str) -> Iterator[Row]:
    """Every dtype, spacing and axis."""
    jitted = jax.jit(jnp.gradient, static_argnames="axis")
    for dtype, shape in SHAPES.get(size, SHAPES["usual"]).items():
        f = np.random.default_rng(0).random(shape).astype(dtype)
        for number, axis in enumerate(AXES):
            uneven = np.sort(np.random.default_rng(1).random(shape[number]))
            for spacing, x in (("even", 2.0), ("uneven", uneven)):
                ways: dict[str, Callable[[], object]] = {
                    "ours": partial(fd.gradient, f, x, axis=number),
                    "`numpy.gradient`": partial(np.gradient, f, x, axis=number),
                    "`jit(jax.numpy.gradient)`": partial(_as_numpy, jitted, f, x, number),
                }
                seconds = in_turn(ways, 2 if size == "quick" else 3)
                ours = seconds.pop("ours")
                for peer, theirs in seconds.items():
                    yield Row(
                        f"NumPy array, {dtype}, {spacing}",
                        axis,
                        peer,
                        **over(theirs, ours),
                        note=seconds_of(ours),
                    )


def _as_numpy(function: Any, f: np.ndarray, x: Any, axis: int) -> np.ndarray:
    with jax.enable_x64(f.dtype == np.float64):
        return np.asarray(function(f, x, axis=axis))
