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
EARTH_ROTATION = 7.292115e-5  # s-1; IERS Conventions 2010, table 1.2
GRAVITY = 9.80665  # m s-2; standard gravity, CGPM 1901
DRY_AIR = 287.05287  # J kg-1 K-1, gas constant; ISO 2533
KAPPA = 2 / 7  # R / c_p of dry air, as of an ideal gas of two atoms


def is_pole(latitude: NDArray[Any]) -> NDArray[np.bool_]:
    """True for ±90°, to the rounding of a float32 coordinate."""
    return np.asarray(np.abs(np.abs(latitude.astype(np.float64)) - 90) < 1e-5)


@dataclass(frozen=True)
class Plane:
    """Cartesian x and y, ``metres`` in one unit of them.

    If not given it is that of their units, or 1 where they have none.
    """

    metres: float | None = None

    def scale_factors(self, y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """h_x and h_y at the points ``y`` (n,), in metres."""
        h = np.full(len(y), 1.0 if self.metres is None else self.metres)
        return h, h

    def tangent(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """The curvature of the lines of equal y: none."""
        return np.zeros(len(y))


@dataclass(frozen=True)
class Sphere:
    """Longitude λ and latitude φ in degrees on a sphere of ``radius`` metres."""

    radius: float = EARTH_RADIUS

    def scale_factors(self, y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """h_x = a cos φ π/180 and h_y = a π/180 at the latitudes ``y`` (n,), in metres.

        At a pole h_x is 0 to the last bit.
        """
        degree = self.radius * np.pi / 180
        cosine = np.where(is_pole(y), 0.0, np.cos(np.deg2rad(y.astype(np.float64))))
        return degree * cosine, np.full(len(y), degree)

    def tangent(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """tan φ / a, in m-1: the curvature of the circles of latitude; NaN at a pole."""
        tangent = np.tan(np.deg2rad(y.astype(np.float64))) / self.radius
        return np.where(is_pole(y), np.nan, tangent)


@dataclass(frozen=True, eq=False)
class Curvilinear:
    """A grid whose x and y are no lines of equal latitude and longitude.

    Its metres are those between its latitudes and longitudes, which have two dimensions or come
    from a grid mapping, or they are given as dx and dy. Where it goes around the globe, say
    ``boundary={"x": "periodic"}``.

    Parameters
    ----------
    radius
        Of the sphere, in metres.
    dx, dy
        The metres of a step along x and along y: numbers, or DataArrays over one or both of these
        dimensions, at the points or, one fewer along its own, between them. Negative where x or y
        falls with its index. The axes are taken to be at right angles.
    angle
        From east to the x axis of the grid, counter-clockwise; in degrees, or as a DataArray in its
        units. With dx and dy alone results are along x and y, not east and north.
    components
        What u and v are along: ``"earth"``, east and north, or ``"grid"``, x and y as these grow.
        If not given a standard_name says it, as eastward_wind or x_wind; with dx and dy alone they
        are along the grid.
    """

    radius: float = EARTH_RADIUS
    dx: Any = None
    dy: Any = None
    angle: Any = None
    components: str | None = None


Geometry = Plane | Sphere | Curvilinear
