"""What all cases are drawn from: axes, values with holes in them, kinds of arrays, chunks.

Everything comes from a `random.Random`, so the seed of a case is all that replays it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from oracle.lines import Line
from oracle.sized import Sized

EPSILON = {"f2": 2.0**-11, "f4": 2.0**-24, "c8": 2.0**-24}  # of all others that of float64
DTYPES = ["f8"] * 6 + ["f4"] * 3 + ["f2", "c8", "c16", ">f8", ">f4"]
DTYPES += ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2"]
KINDS = ["numpy"] * 160 + ["strided"] * 16 + ["dask"] * 6 + ["overlap"]
RARE, RARELY = ["jax", "dask of jax", "kernel"], 1 / 800  # each compiles
MOST_CHUNKS = 24  # of nearly all arrays of dask; each costs a millisecond


@dataclass
class Case:
    """One call of the public API beside what the oracle says.

    ``compute`` gives arrays or labelled ones by name, ``expect`` the same as `Sized` over ``dims``.
    """

    operator: str
    geometry: str
    kind: str
    compute: Callable[[], Mapping[str, Any]]
    expect: Callable[[], Mapping[str, Sized]]
    epsilon: float
    words: Callable[[], str] = str
    dims: tuple[str, ...] = ()
    like: Any = None  # the input, whose dims, coordinates and chunks the results have
    dtype: Any = None
    units: Mapping[str, str | None] = field(default_factory=dict)
    refused: tuple[type[Exception], ...] = ()  # how it must be refused, if it must
    exact_infinities: bool = False


def pick_points(rng: Random, n: int, *, whole: bool = False) -> np.ndarray:
    """Coordinates (n,), rising or falling, in some dtype that has them to the bit."""
    kind = rng.choice(("dyadic", "decimal", "uneven", "uneven", "smooth"))
    step = rng.choice((1.0, 0.5, 2.0, 3.0)) if not whole else float(rng.randint(1, 3))
    along = np.arange(n, dtype=float)
    if kind == "decimal" and not whole:
        points = rng.choice((0.0, -0.7, 3.1)) + rng.choice((0.1, 0.3, 1 / 3, 7.7)) * along
    elif kind == "smooth" and not whole:
        points = step * (along + 0.3 * np.sin(along + rng.random()))
    elif kind == "uneven":
        gaps = [rng.choice((1.0, 1.0, 2.0, 0.5, 1.5)) * (2 if whole else 1) for _ in range(n)]
        points = step * np.cumsum(gaps)
    else:
        points = step * along
    if rng.random() < 0.3:
        points = points + rng.choice((-10, 64, 100))
    if rng.random() < 0.3:
        points = points[::-1].copy()
    types = ["f8"] * 5 + (["f4", ">f8"] if kind not in ("decimal", "smooth") else [])
    if (points == points.round()).all():
        types += ["i8", "i4", "i2"] + (
            ["u1", "u2"] if points.min() >= 0 <= 255 - points.max() else []
        )
    return points.astype(rng.choice(types))


def pick_values(rng: Random, shape: tuple[int, ...], dtype: str, *, holes: str = "") -> np.ndarray:
    """Values of any dtype; ``holes`` puts NaN, or NaN and inf, at a few points of floats."""
    made = np.random.default_rng(rng.getrandbits(32))
    scale, offset = rng.choice(((1.0, 0.0), (10.0, 0.0), (5.0, 280.0), (1e-3, 0.0)))
    kind = np.dtype(dtype).kind
    if kind in "iu":
        info = np.iinfo(dtype)
        high = min(info.max, rng.choice((100, 2**40)))
        return made.integers(max(info.min, -high), high, shape).astype(dtype)
    values = made.standard_normal(shape) * scale + offset
    if kind == "c":
        values = values + 1j * made.standard_normal(shape)
    values = values.astype(dtype)
    for hole in {"": (), "nan": (np.nan,), "inf": (np.nan, np.inf, -np.inf)}[holes]:
        for _ in range(rng.choice((0, 1, 1, 3))):
            values[tuple(rng.randrange(n) for n in shape)] = hole
    return values


def pick_line(rng: Random, points: np.ndarray, *, ends: bool = True) -> Line:
    """Options of one axis, with points of their own spacing."""
    accuracy = rng.choice((2, 2, 2, 2, 4, 6, 8))
    low = high = period = None
    if ends and rng.random() < 0.5:
        low, high = pick_end(rng), pick_end(rng)
        if rng.random() < 0.5 or "periodic" in (low, high):
            low = high = rng.choice(("periodic", high if high != "periodic" else low, "periodic"))
    if low == "periodic":
        steps = abs(np.diff(points.astype(float)))
        period = float(abs(float(points[-1]) - float(points[0])) + rng.choice((steps[0], 0.75)))
        if rng.random() < (0.3 if np.ptp(steps) == 0 else 0.03):
            period = None
    return Line(points, accuracy, rng.choice((1, 1, 2)), low, high, period)


def pick_end(rng: Random) -> Any:
    return rng.choice((None, "reflect", "extend", "periodic", 0.0, 2.5, -3))


def pick_chunks(rng: Random, n: int) -> tuple[int, ...]:
    """Chunks of an axis: one, all of one point, ragged."""
    kind = rng.choice(("one", "ones", "ragged", "ragged"))
    if kind == "one":
        return (n,)
    if kind == "ones":
        return (1,) * n
    chunks = []
    while (left := n - sum(chunks)) > 0:
        chunks.append(rng.randint(1, left))
    return tuple(chunks)


def pick_all_chunks(rng: Random, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Chunks of all axes; mostly not of one point along all of them."""
    made = [pick_chunks(rng, n) for n in shape]
    while math.prod(map(len, made)) > MOST_CHUNKS and rng.random() < 0.95:
        at = max(range(len(made)), key=lambda i: len(made[i]))
        made[at] = rng.choice(((shape[at],), (1, shape[at] - 1), made[at]))
    return tuple(made)


def strided(rng: Random, values: np.ndarray) -> np.ndarray:
    """The same values in another order in memory."""
    how = rng.choice(("F", "back", "steps"))
    if how == "F":
        return np.asfortranarray(values)
    if how == "back":
        return np.ascontiguousarray(values[..., ::-1])[..., ::-1]
    wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
    wide[..., ::2] = values
    return wide[..., ::2]


def pick_kind(rng: Random, values: np.ndarray) -> str:
    if rng.random() < RARELY and values.dtype.isnative and values.dtype.kind in "fc":
        return rng.choice(RARE)
    return rng.choice(KINDS)


def as_kind(rng: Random, values: np.ndarray, kind: str, chunks: tuple[Any, ...]) -> Any:
    """The array as dask, JAX, or in another order in memory."""
    if kind == "strided" and values.ndim:
        return strided(rng, values)
    if kind in ("dask", "overlap"):
        import dask.array as da

        return da.from_array(values, chunks)
    if kind in ("jax", "dask of jax"):
        import jax

        with jax.enable_x64(True):
            made = jax.numpy.asarray(values)
        if kind == "jax":
            return made
        import dask.array as da

        return da.from_array(values, chunks).map_blocks(_to_jax, dtype=values.dtype)
    return values


def _to_jax(block: np.ndarray) -> Any:
    import jax

    with jax.enable_x64(True):
        return jax.numpy.asarray(block)
