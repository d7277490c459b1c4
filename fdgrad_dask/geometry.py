"""Where a horizontal coordinate becomes metres: a plane, or a sphere.

A geometry gives the two scale factors h_x and h_y, the metres in one unit of either coordinate,
so that the components of ∇f are (1/h_x ∂f/∂x, 1/h_y ∂f/∂y).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS = 6371229.0  # m; GRIB2 code table 3.2, shape of the Earth 6


@dataclass(frozen=True)
class Plane:
    """Cartesian x and y, ``metres`` in one unit of them."""

    metres: float = 1.0

    def scale_factors(self, y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """h_x and h_y at the points ``y`` (n,), in metres."""
        h = np.full(len(y), self.metres)
        return h, h


@dataclass(frozen=True)
class Sphere:
    """Longitude λ and latitude φ in degrees on a sphere of ``radius`` metres."""

    radius: float = EARTH_RADIUS

    def scale_factors(self, y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """h_x = a cos φ π/180 and h_y = a π/180 at the latitudes ``y`` (n,), in metres.

        At a pole the direction east does not exist, and h_x is NaN.
        """
        degree = self.radius * np.pi / 180
        cosine = np.cos(np.deg2rad(y.astype(np.float64)))
        return np.where(np.abs(y) < 90, degree * cosine, np.nan), np.full(len(y), degree)


Geometry = Plane | Sphere
