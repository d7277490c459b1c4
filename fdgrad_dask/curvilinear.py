"""Grids whose latitude and longitude vary along both axes: their metres, by differences.

A step along either axis of such a grid is a vector on the sphere. Its components to the east and
to the north, x_e, x_n and y_e, y_n, are all that an operator needs; the area of a cell is
J = x_e y_n − x_n y_e. Nothing is assumed of angles or of the sense of the axes, and since points
are differenced as vectors in space, there is no seam in longitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fdgrad_dask.halo import differentiate
from fdgrad_dask.stencil import Stencil


@dataclass(frozen=True)
class Metrics:
    """The steps of a grid, in metres per index; all (ny, nx)."""

    x_e: Any
    x_n: Any
    y_e: Any
    y_n: Any

    @property
    def area(self) -> Any:
        """J, in m² per index²; negative if the grid is left-handed, NaN where cells have none."""
        area = self.x_e * self.y_n - self.x_n * self.y_e
        return np.where(area == 0, np.nan, area)

    def slopes(self) -> tuple[Any, Any, Any, Any]:
        """What makes ∂f/∂east and ∂f/∂north of ∂f/∂i and ∂f/∂j: (e_i, e_j, n_i, n_j)."""
        area = self.area
        return self.y_n / area, -self.x_n / area, -self.y_e / area, self.x_e / area

    def fluxes(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Factors of (u, v) in the fluxes across i and across j."""
        return (self.y_n, -self.y_e), (-self.x_n, self.x_e)

    def circulations(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Factors of (u, v) in the flows along i and along j."""
        return (self.x_e, self.x_n), (self.y_e, self.y_n)


def on_earth(
    lat: Any, lon: Any, radii: tuple[float, float], along_x: Stencil, along_y: Stencil
) -> Metrics:
    """The metrics of the points ``lat``, ``lon`` in degrees, (ny, nx); lazy if they are.

    ``radii`` are those of the equator and of the poles, in metres: a sphere has two equal ones.
    """
    lat, lon = (np.where(np.isfinite(array), array, np.nan) for array in (lat, lon))
    phi, lam = (np.deg2rad(array.astype(np.float64)) for array in (lat, lon))
    sin_p, cos_p, sin_l, cos_l = np.sin(phi), np.cos(phi), np.sin(lam), np.cos(lam)
    east = (-sin_l, cos_l)
    north = (-sin_p * cos_l, -sin_p * sin_l, cos_p)
    a, b = radii
    curved = a**2 / np.sqrt((a * cos_p) ** 2 + (b * sin_p) ** 2)  # radius of the prime vertical
    place = (curved * cos_p * cos_l, curved * cos_p * sin_l, (b / a) ** 2 * curved * sin_p)
    steps = []
    for axis, table in ((1, along_x), (0, along_y)):
        step = [differentiate(part, axis, table) for part in place]
        steps.append(sum(a * b for a, b in zip(step[:2], east, strict=True)))
        steps.append(sum(a * b for a, b in zip(step, north, strict=True)))
    x_e, x_n, y_e, y_n = steps
    return Metrics(x_e, x_n, y_e, y_n)
