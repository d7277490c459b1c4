"""Winds and scalars on the sphere that are known in closed form: one table, and grids to put it on.

All are functions of longitude λ and latitude φ in radians; their sources are Williamson et al.
(1992), J. Comput. Phys. 102, tests 1, 2 and 6. `residuals` of the table are checked in
`test_vectors.py`, so that a slip here cannot hide one there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

A = 6371229.0  # m, the radius that the operators take unasked
U0 = 40.0  # m s-1
K, R = 7.848e-6, 4  # s-1, waves around a circle
sin, cos = np.sin, np.cos


class Flow(NamedTuple):
    """A wind in m s-1, and what its derivatives are made of, in s-1."""

    name: str
    u: Callable
    v: Callable
    vorticity: Callable
    divergence: Callable
    stretching_deformation: Callable
    shearing_deformation: Callable

    def wind(self, grid: xr.Dataset, **options) -> tuple[xr.DataArray, xr.DataArray]:
        """u and v on a grid."""
        return (
            field(self.u, grid, "u", standard_name="eastward_wind", **options),
            field(self.v, grid, "v", standard_name="northward_wind", **options),
        )

    def exact(self, name: str, grid: xr.Dataset) -> xr.DataArray:
        """A closed form on a grid, by the name of an operator or of one of its outputs."""
        if name == "total_deformation":
            parts = (self.stretching_deformation, self.shearing_deformation)
            return np.hypot(*(field(part, grid, name, units="s-1") for part in parts))
        return field(getattr(self, name), grid, name, units="s-1")

    def slopes(self, x, y):
        """∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y, the components of the gradient of the wind."""
        curl, div = self.vorticity(x, y), self.divergence(x, y)
        stretch, shear = self.stretching_deformation(x, y), self.shearing_deformation(x, y)
        return (div + stretch) / 2, (shear - curl) / 2, (shear + curl) / 2, (div - stretch) / 2


def rotation(alpha: float, name: str) -> Flow:
    """Rotation as a solid body about an axis tilted by ``alpha``: it deforms nothing."""
    a, b = cos(alpha), sin(alpha)
    return Flow(
        name,
        u=lambda x, y: U0 * (cos(y) * a + sin(y) * cos(x) * b),
        v=lambda x, y: -U0 * sin(x) * b,
        vorticity=lambda x, y: 2 * U0 / A * (sin(y) * a - cos(x) * cos(y) * b),
        divergence=nought,
        stretching_deformation=nought,
        shearing_deformation=nought,
    )


def nought(x, y):
    return 0 * x * y


def _wave(x, y):
    """K cos^(R−2) φ (…) of both wavy flows: 2 R (cos² − (R−1) sin²) sin Rλ, and its partner."""
    s, c = sin(y), cos(y)
    power = K * c ** (R - 2)
    one = 2 * R * power * (c**2 - (R - 1) * s**2) * sin(R * x)
    other = power * s * (3 * R * c**2 - R**2 + (2 * R - R**2) * s**2) * cos(R * x)
    return one, other


def chi(x, y):
    """χ in m² s-1, the potential of the flow that only diverges."""
    return A**2 * K * cos(y) ** R * sin(y) * cos(R * x)


def chi_x(x, y):
    return -A * K * R * cos(y) ** (R - 1) * sin(y) * sin(R * x)


def chi_y(x, y):
    return A * K * cos(R * x) * (cos(y) ** (R + 1) - R * cos(y) ** (R - 1) * sin(y) ** 2)


ROTATION = rotation(0.0, "rotation")
TILTED = rotation(np.pi / 4, "rotation tilted")
OVER_POLES = rotation(np.pi / 2, "rotation over the poles")
ROSSBY_HAURWITZ = Flow(
    "Rossby–Haurwitz",
    u=lambda x, y: A * K * cos(y) - chi_y(x, y),
    v=chi_x,
    vorticity=lambda x, y: (
        2 * K * sin(y) - K * sin(y) * cos(y) ** R * (R**2 + 3 * R + 2) * cos(R * x)
    ),
    divergence=nought,
    stretching_deformation=lambda x, y: _wave(x, y)[0],
    shearing_deformation=lambda x, y: _wave(x, y)[1],
)
DIVERGENT = Flow(
    "pure divergence",
    u=chi_x,
    v=chi_y,
    vorticity=nought,
    divergence=lambda x, y: -(R + 1) * (R + 2) * chi(x, y) / A**2,
    stretching_deformation=lambda x, y: _wave(x, y)[1],
    shearing_deformation=lambda x, y: -_wave(x, y)[0],
)
FLOWS = [ROTATION, TILTED, OVER_POLES, ROSSBY_HAURWITZ, DIVERGENT]

HARMONICS = {  # degree l: ∇²f = −l (l + 1) f / a²
    "sin φ": (1, lambda x, y: sin(y) + 0 * x),
    "cos φ cos λ": (1, lambda x, y: cos(y) * cos(x)),
    "zonal of degree 2": (2, lambda x, y: 1.5 * sin(y) ** 2 - 0.5 + 0 * x),
    "cos³φ sin 3λ": (3, lambda x, y: cos(y) ** 3 * sin(3 * x)),
    "χ": (R + 1, lambda x, y: chi(x, y) / (A**2 * K)),
}


def globe(
    step: float, *, descending: bool = False, west: float = 0.0, dtype: str = "f8"
) -> xr.Dataset:
    """Both poles and a circle of longitudes, every ``step`` degrees."""
    lat = np.linspace(-90, 90, round(180 / step) + 1).astype(dtype)
    lon = (west + step * np.arange(round(360 / step))).astype(dtype)
    return degrees(lat[::-1] if descending else lat, lon)


def degrees(lat, lon) -> xr.Dataset:
    """A grid of these latitudes and longitudes."""
    return xr.Dataset(
        coords={
            "lat": ("lat", np.asarray(lat), {"units": "degrees_north"}),
            "lon": ("lon", np.asarray(lon), {"units": "degrees_east"}),
        }
    )


def plane(x, y, units: str = "m") -> xr.Dataset:
    """A grid of x and y in a unit of length."""
    return xr.Dataset(
        coords={
            "y": ("y", np.asarray(y, float), {"units": units, "axis": "Y"}),
            "x": ("x", np.asarray(x, float), {"units": units, "axis": "X"}),
        }
    )


def field(
    f: Callable, grid: xr.Dataset, name: str, *, units: str = "m s-1", dtype: str = "f8", **attrs
) -> xr.DataArray:
    """f(λ, φ) on a globe, f(x, y) on a plane, or f(x, y, p) where the grid has levels ``p``."""
    names = [n for n in ("lon", "lat", "x", "y", "p") if n in grid.coords]
    points = [grid[n].astype("f8") for n in names]
    if "lat" in grid.coords:
        points[:2] = [np.deg2rad(p) for p in points[:2]]
    made = f(*points[: f.__code__.co_argcount]) + sum(0 * p for p in points)
    return (
        made.transpose(*reversed(names))
        .astype(dtype)
        .assign_coords(grid.coords)
        .rename(name)
        .assign_attrs({"units": units, **attrs})
    )
