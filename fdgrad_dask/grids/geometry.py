"""The geometries in which horizontal coordinates become metres, and the grids that have them.

A geometry gives the two scale factors h_x and h_y, the metres in one unit of either coordinate,
so that the components of ∇f are (1/h_x ∂f/∂x, 1/h_y ∂f/∂y).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.cell_sizes import CellSize
from fdgrad_dask.grids.coordinate import Axis
from fdgrad_dask.grids.earth import EARTH_RADIUS as EARTH_RADIUS
from fdgrad_dask.grids.earth import EARTH_ROTATION
from fdgrad_dask.grids.staggered import Grid


def is_pole(latitude: NDArray[Any]) -> NDArray[np.bool_]:
    """True for ±90°, to the rounding of a float32 coordinate."""
    return np.asarray(np.abs(np.abs(latitude.astype(np.float64)) - 90) < 1e-5)


@dataclass(frozen=True)
class Plane:
    """Cartesian x and y.

    Parameters
    ----------
    metres
        The length of one unit of x and y. By default that of their units, or 1 without units.
    """

    metres: float | None = None

    def scale_factors(self, y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """h_x and h_y at the points ``y`` (n,), in metres."""
        h = np.full(len(y), 1.0 if self.metres is None else self.metres)
        return h, h

    def tangent(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """The curvature of the lines of equal y, in m-1: zero."""
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
    """A grid whose axes do not follow latitude and longitude.

    Distances follow from 2-D latitude and longitude, or from a grid mapping, or are given as dx and
    dy. If the grid goes around the globe, say ``boundary={"x": "periodic"}``.

    Parameters
    ----------
    radius
        Radius of the sphere, in metres.
    dx, dy
        The length of a step along x and along y in metres: numbers, or DataArrays over one or both
        dimensions, at the points or between them (one fewer along their own dimension). Negative
        where x or y falls along its index. The axes are taken to be at right angles.
    angle
        The angle from east to the x axis of the grid, counter-clockwise: in degrees, or a DataArray
        with units. Without it, results with dx and dy are along x and y, not east and north.
    components
        The directions of u and v: ``"earth"`` for east and north, ``"grid"`` for increasing x and
        y. By default the standard_name decides (eastward_wind, x_wind); with dx and dy alone they
        are along the grid.
    """

    radius: float = EARTH_RADIUS
    dx: Any = None
    dy: Any = None
    angle: Any = None
    components: str | None = None


# Those of fields that all lie on the same points, and all that a caller may give.
Collocated = Plane | Sphere | Curvilinear
Geometry = Collocated | Grid


@dataclass(frozen=True)
class HorizontalGrid:
    """The horizontal axes of a field, and what turns their coordinates into metres.

    Parameters
    ----------
    x, y
        Its axes; counted in steps on a curvilinear grid.
    is_east
        True if results are along east and north, not along x and y.
    periodic
        Whether y, x go around the globe, or are closed.
    radii
        Of the equator and of the poles, in metres.
    latitude
        In degrees along y (n,), or over (y, x); None if it is unknown.
    repeats
        How many of the last points along x are the first ones again, a full turn further.
    is_rotated
        True about a rotated pole, where x and y are not east and north.
    poles
        Whether the first, the last row along y is a pole with its complete circle.
    h_x, h_y, tangent
        On a plane or a sphere (n,) along y: metres in one unit of x, of y, and the curvature of
        the lines of equal y, in m-1.
    places, cell_sizes
        On a curvilinear grid over (y, x): latitude and longitude in degrees, or dx and dy.
    rotation
        Cosine and sine of the angle from east to x, over (y, x).
    orientation
        -1 where x, or y, of a curvilinear grid falls along its index, else 1.
    is_certain
        True if x and y were identified by name or attributes, not by position.
    """

    x: Axis
    y: Axis
    geometry: Collocated
    is_east: bool
    periodic: tuple[bool, bool]
    radii: tuple[float, float] = (EARTH_RADIUS, EARTH_RADIUS)
    latitude: Any = None
    repeats: int = 0
    is_rotated: bool = False
    poles: tuple[bool, bool] = (False, False)
    h_x: Any = None
    h_y: Any = None
    tangent: Any = None
    places: tuple[Any, Any] | None = None
    cell_sizes: tuple[CellSize, CellSize] | None = None
    rotation: tuple[Any, Any] | None = None
    orientation: tuple[int, int] = (1, 1)
    is_certain: bool = True

    def attrs(self) -> dict[str, Any]:
        """The attributes of a result that say which geometry was used."""
        decided: dict[str, Any] = {"horizontal_geometry": type(self.geometry).__name__.lower()}
        if not isinstance(self.geometry, Plane) and self.cell_sizes is None:
            decided["earth_radius"] = self.radii[0]
        if self.periodic[1]:
            decided["periodic"] = str(self.x.name)
        return decided

    def coriolis(self, name: Hashable) -> Any:
        """f = 2 Ω sin φ, in s-1, along y (n,) or over (y, x); an error without a latitude."""
        if self.latitude is None:
            raise CoordinateError(
                f"the Coriolis parameter of {name!r} needs a latitude, but its axis "
                f"{self.y.name!r} is none; give coriolis= in s-1"
            )
        return coriolis_parameter(self.latitude)


def coriolis_parameter(latitude: Any) -> Any:
    """f = 2 Ω sin φ in s-1, of a latitude in degrees; lazy if that is."""
    sine = np.sin(np.deg2rad(latitude.astype(np.float64)))
    # Zero on the equator, also where the coordinate misses it by rounding.
    return 2 * EARTH_ROTATION * np.where(np.abs(sine) < 1e-7, 0.0, sine)
