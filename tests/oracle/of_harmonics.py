"""Cases of spherical harmonics: winds of a few random ones, whose potentials are known.

Y = cosᵐφ Q(sin φ) cos mλ or sin mλ, with Q the m-th derivative of Legendre's polynomial of degree
l, and ∇²Y = −l (l + 1) Y / a². The wind is k × ∇ψ + ∇χ.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import xarray as xr
from numpy.polynomial import Legendre, Polynomial

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from oracle.drawn import Case, as_kind, pick_all_chunks
from oracle.grids import RADIUS
from oracle.sized import LONG, Sized, radians

DEGREES = 4  # the largest of them
GAIN = 10  # how many of the largest value a sum over the sphere may round
WINDS = ["helmholtz", "stream_function", "velocity_potential", "rotational_wind", "divergent_wind"]
SCALARS = ["truncate", "inverse_laplacian"]
PARTS = {
    "stream_function": [""],
    "velocity_potential": [""],
    "rotational_wind": ["u_rotational", "v_rotational"],
    "divergent_wind": ["u_divergent", "v_divergent"],
}


@dataclass
class Harmonic:
    """One of degree l and order m, at latitudes (y, 1) and longitudes (1, x) in radians."""

    phi: Any
    lam: Any
    degree: int
    order: int
    is_sine: bool

    def __post_init__(self) -> None:
        m, x, c = self.order, np.sin(self.phi), np.cos(self.phi)
        q = Legendre.basis(self.degree).convert(kind=Polynomial).deriv(m)
        q = q / float(np.prod(np.arange(1, 2 * m, 2)))
        wave, turn = np.cos(m * self.lam), -m * np.sin(m * self.lam)
        if self.is_sine:
            wave, turn = np.sin(m * self.lam), m * np.cos(m * self.lam)
        before = c ** (m - 1) * q(x) if m else 0 * x  # which is not there at a pole
        self.value = c**m * q(x) * wave
        # ∂Y/∂λ / cos φ and ∂Y/∂φ.
        self.slope = before * turn, (c ** (m + 1) * q.deriv()(x) - m * x * before) * wave

    @property
    def eigenvalue(self) -> int:
        return self.degree * (self.degree + 1)


def draw(rng: Random) -> Case:
    operator = rng.choice(WINDS + SCALARS)
    kind_of_rows, lat = _pick_rows(rng)
    n = rng.choice((10, 12, 15))
    lon = rng.choice((0.0, -180.0, 11.25)) + 360 / n * np.arange(n)
    lat = lat[::-1].copy() if rng.random() < 0.5 else lat
    lon = lon[::-1].copy() if rng.random() < 0.2 else lon
    phi, lam = radians(lat)[:, None], radians(lon)[None, :]
    radius = RADIUS if rng.random() < 0.7 else rng.choice((1.0, 3389500.0))
    options: dict[str, Any] = {} if radius == RADIUS else {"geometry": fd.Sphere(radius)}
    most = rng.choice((None, None, 1, 2, 3))
    if most is not None:
        options["truncation"] = most
    count = rng.choice((1, 1, 2))
    slices = [
        [_draw_sum(rng, phi, lam), _draw_sum(rng, phi, lam) if operator in WINDS else []]
        for _ in range(count)
    ]
    names = PARTS if operator == "helmholtz" else [operator]
    if operator == "helmholtz" and rng.random() < 0.7:
        options["parts"] = names = rng.sample(list(PARTS), rng.randint(1, 4))
    full = [_solve(each, LONG(radius), None) for each in slices]
    given = ["u", "v"] if operator in WINDS else ["s"]
    dims = ("time", "lat", "lon")
    dtype = rng.choice(("f8", "f8", "f4"))
    kind = rng.choice(("numpy", "numpy", "numpy", "strided", "dask"))
    order = rng.sample(range(3), 3)
    coords = {
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    labelled, largest = [], LONG(0)
    for name in given:
        values = np.stack([one[name] for one in full]).astype(dtype)
        largest = max(largest, abs(values).max())
        turned = values.transpose(order)
        data = as_kind(rng, turned, kind, pick_all_chunks(rng, turned.shape))
        blank = xr.DataArray(turned, coords, [dims[i] for i in order], name)
        made = blank.copy(deep=False, data=data)
        labelled.append(made.assign_attrs(units="m s-1"))

    def compute() -> dict[str, Any]:
        found = getattr(op, operator)(*labelled, **options)
        if isinstance(found, xr.DataArray):
            return {"": found}
        return {str(name): one for name, one in found.items()}

    def expect() -> dict[str, Sized]:
        known = [_solve(each, LONG(radius), most) for each in slices]
        made = {}
        for name in names:
            for part in PARTS.get(name, [""]):
                values = np.stack([one[part or name] for one in known])
                label = part or ("" if operator != "helmholtz" else name)
                power = {"inverse_laplacian": 2}.get(name, 0 if part or name == "truncate" else 1)
                size = np.full(values.shape, GAIN * largest * LONG(radius) ** power)
                made[label] = Sized(values, size)
        return made

    return Case(
        operator,
        f"sphere, {kind_of_rows}",
        kind,
        compute,
        expect,
        2.0**-24 if dtype == "f4" else 2.0**-53,
        lambda: f"{lat!r} {lon!r} {dtype} {order} {options}",
        dims,
        labelled[0],
        np.dtype(dtype),
    )


def _pick_rows(rng: Random) -> tuple[str, np.ndarray]:
    n = rng.choice((11, 12, 14))
    # Of rows at the same distance: the step, and how many of them the first is off the pole.
    even = {
        "poles": (180 / (n - 1), 0.0),
        "half step": (180 / n, 0.5),
        "one pole": (180 / n, 0.0),
        "step": (180 / (n + 1), 1.0),
    }
    kind = rng.choice(("Gaussian", *even))
    if kind == "Gaussian":
        return kind, np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(n)[0]))
    step, first = even[kind]
    return kind, -90 + step * (first + np.arange(n))


def _draw_sum(rng: Random, phi: Any, lam: Any) -> list[tuple[float, Harmonic]]:
    """Some harmonics, and how much of each."""
    made = []
    for _ in range(rng.randint(1, 4)):
        degree = rng.randint(1, DEGREES)
        order = rng.randint(0, degree)
        harmonic = Harmonic(phi, lam, degree, order, bool(order) and rng.random() < 0.5)
        made.append((rng.uniform(-5, 5), harmonic))
    return made


def _solve(
    sums: list[list[tuple[float, Harmonic]]], radius: Any, most: int | None
) -> dict[str, Any]:
    """All that is known of ψ = a Σ c Y and χ, or of a scalar Σ c Y: of degrees up to ``most``."""
    psi, chi = ([(c, y) for c, y in one if most is None or y.degree <= most] for one in sums)
    zero = np.zeros_like(sums[0][0][1].value)
    parts = {name: zero.copy() for name in ("stream_function", "velocity_potential", "s")}
    parts |= {name: zero.copy() for name in (*PARTS["rotational_wind"], *PARTS["divergent_wind"])}
    parts["inverse_laplacian"] = zero.copy()
    for c, y in psi:
        x_slope, y_slope = y.slope
        parts["stream_function"] += LONG(c) * radius * y.value
        parts["u_rotational"] -= LONG(c) * y_slope
        parts["v_rotational"] += LONG(c) * x_slope
        parts["s"] += LONG(c) * y.value
        parts["inverse_laplacian"] -= LONG(c) * radius**2 / y.eigenvalue * y.value
    for c, y in chi:
        x_slope, y_slope = y.slope
        parts["velocity_potential"] += LONG(c) * radius * y.value
        parts["u_divergent"] += LONG(c) * x_slope
        parts["v_divergent"] += LONG(c) * y_slope
    parts["truncate"] = parts["s"]
    parts["u"] = parts["u_rotational"] + parts["u_divergent"]
    parts["v"] = parts["v_rotational"] + parts["v_divergent"]
    return parts
