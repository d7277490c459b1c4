"""Spherical harmonics on the complete sphere: analysis, a factor for each degree, synthesis.

The transforms are those of ducc0. A vector is analysed into harmonics of spin 1, one set for what
diverges and one for what turns, whose coefficients are √(l (l + 1)) / a times those of the velocity
potential and of the stream function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.device import is_jax, is_traced
from fdgrad_dask.blocks.sharded import send
from fdgrad_dask.errors import OptionError


def import_ducc() -> Any:
    """The package ducc0; an OptionError that says how to install it if it is missing."""
    try:
        import ducc0
    except ImportError:
        raise OptionError(
            "spherical harmonics need the package ducc0, which is not installed: "
            "pip install 'fdgrad_dask[spectral]'"
        ) from None
    return ducc0


@dataclass(frozen=True)
class Rings:
    """Where the rows and columns of a global grid lie.

    Parameters
    ----------
    kind
        Of the latitudes, as ducc0 names it: both poles (CC), half a step off them (F1), a step off
        them (F2), one pole (DH), Gauss-Legendre nodes (GL).
    rows, columns
        Their numbers.
    axes
        Those of latitude and longitude, counted from the last.
    senses
        1 where latitude, longitude rises along its index, else -1.
    is_reversed
        True if the last row is the first ring, as where it alone is a pole.
    """

    kind: str
    rows: int
    columns: int
    axes: tuple[int, int]
    senses: tuple[int, int]
    is_reversed: bool

    @property
    def limit(self) -> int:
        """The largest triangular truncation whose harmonics these points tell apart."""
        n = self.rows
        degrees = {"CC": n - 2, "F1": n - 1, "GL": n - 1, "DH": (n - 2) // 2, "F2": (n - 1) // 2}
        return min(degrees[self.kind], (self.columns - 1) // 2)

    def view(self, f: NDArray[Any]) -> NDArray[Any]:
        """A view of ``f`` over (…, ring, longitude)."""
        step = -1 if self.is_reversed else 1
        return np.moveaxis(f, self.axes, (-2, -1))[..., ::step, :]


class Output(NamedTuple):
    """What a transform gives: a scalar, or the two components of a vector.

    ``component`` is 0 for a scalar and for what diverges, 1 for what turns; its coefficients are
    multiplied by a / √(l (l + 1)) to the ``power``: 2 is the inverse of −∇².
    """

    component: int
    power: int = 0
    is_vector: bool = False


@dataclass(frozen=True)
class Transform:
    """The outputs of one analysis of a scalar, or of a vector (u, v), for each of its slices."""

    rings: Rings
    truncation: int
    radius: float
    outputs: tuple[Output, ...]
    dtype: np.dtype[Any]

    @property
    def count(self) -> int:
        """The number of arrays that come out: a vector is two."""
        return sum(1 + output.is_vector for output in self.outputs)

    def compute(self, *fields: Any) -> list[Any]:
        """The outputs for arrays of NumPy or JAX, with all threads of this machine."""
        return self._compute(fields, 0)

    def compute_in_task(self, *fields: Any) -> Any:
        """The outputs for a chunk, with one thread, as dask runs others beside it."""
        made = self._compute(fields, 1)
        return made[0] if len(made) == 1 else made

    def _compute(self, fields: Sequence[Any], threads: int) -> list[Any]:
        if not any(map(is_jax, fields)):
            return self._on_host(threads, *fields)
        if any(map(is_traced, fields)):
            shape = jax.ShapeDtypeStruct(fields[0].shape, self.dtype)
            on_host = partial(self._on_host, threads)
            made = jax.pure_callback(
                on_host, [shape] * self.count, *fields, vmap_method="broadcast_all"
            )
            return list(made)
        like = next(field for field in fields if is_jax(field))
        made = self._on_host(threads, *fields)
        # What JAX may move freely must stay so: its results go with arrays of any device.
        place = like.sharding if like.committed else None
        with jax.enable_x64(True):
            return [send(one, place) for one in made]

    def _on_host(self, threads: int, *fields: Any) -> list[NDArray[Any]]:
        arrays = [np.asarray(field) for field in fields]
        made = [np.empty(arrays[0].shape, self.dtype) for _ in range(self.count)]
        given, results = ([self.rings.view(f) for f in each] for each in (arrays, made))
        for place in np.ndindex(given[0].shape[:-2]):
            maps = np.stack([f[place] for f in given]).astype(np.float64)
            # Each coefficient is a sum over the sphere, to which missing values leave no value.
            # ducc0 skips rings near the poles, where it would let some points escape.
            if not np.isfinite(maps).all():
                solved: Sequence[Any] = [np.nan] * self.count
            else:
                solved = self._solve(maps, threads)
            for result, one in zip(results, solved, strict=True):
                result[place] = one
        return made

    def _solve(self, maps: NDArray[Any], threads: int) -> list[NDArray[Any]]:
        """The outputs of one slice, (1 or 2, ring, longitude)."""
        sht, rings = import_ducc().sht, self.rings
        limit, (along_y, along_x) = rings.limit, rings.senses
        spin = len(maps) - 1
        if spin:  # along the index of rings and of columns
            maps = np.stack([along_y * maps[1], along_x * maps[0]])
        # All that the grid resolves is analysed first, so that what is left out is not aliased.
        found = sht.analysis_2d(
            map=maps, spin=spin, lmax=limit, geometry=rings.kind, nthreads=threads
        )
        found = found[:, _kept(limit, self.truncation)]
        inverse = self.radius * _inverse_roots(self.truncation)
        solved: list[NDArray[Any]] = []
        for component, power, is_vector in self.outputs:
            part = found[component] * inverse**power if power else found[component]
            if is_vector:
                coefficients = np.zeros_like(found)
                coefficients[component] = part
            else:
                turns = component == 1
                sign = -along_y * along_x if turns else -1 if power == 2 else 1
                coefficients = sign * part[None]
            synthesis = sht.synthesis_2d(
                alm=coefficients,
                spin=int(is_vector),
                lmax=self.truncation,
                geometry=rings.kind,
                ntheta=rings.rows,
                nphi=rings.columns,
                nthreads=threads,
            )
            if is_vector:
                solved += [along_x * synthesis[1], along_y * synthesis[0]]
            else:
                solved.append(synthesis[0])
        return solved


@lru_cache(maxsize=16)
def _kept(limit: int, truncation: int) -> Any:
    """Which coefficients up to degree ``limit``, in the order of their m, a truncation keeps."""
    if truncation == limit:
        return slice(None)
    l, m = _degrees(limit)  # noqa: E741
    return np.flatnonzero((l <= truncation) & (m <= truncation))


@lru_cache(maxsize=16)
def _inverse_roots(truncation: int) -> NDArray[np.float64]:
    """1 / √(l (l + 1)) of each coefficient; 0 for the mean, which has no potential."""
    l, _ = _degrees(truncation)  # noqa: E741
    roots = np.sqrt(l * (l + 1.0))
    return np.divide(1.0, roots, out=np.zeros_like(roots), where=l > 0)


def _degrees(truncation: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """l and m of each coefficient: all l of m = 0, then those of m = 1, …"""
    m, l = np.triu_indices(truncation + 1)  # noqa: E741
    return l, m
