"""Metric terms of horizontal grids, and the vector calculus per metre that they make.

`OrthogonalMetric` has axes at right angles with scale factors h_x and h_y: a plane, a sphere, given
dx and dy. `LatLonMetric` knows the latitude and longitude of each point and assumes nothing of the
axes. Both have the same methods. Arrays are over (y, x), of size 1 where they do not vary.

The methods take a field s, or the components u and v of a wind, and a function
``d(field, axis, is_flux=False)`` for the derivative along ``"x"`` or ``"y"`` per unit of that axis.
They only add and multiply, so that expressions become equations. What is 0 is the number 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fdgrad_dask.halo.compute import differentiate, is_dask
from fdgrad_dask.stencils.table import StencilTable

Pair = tuple[Any, Any]
Tables = tuple[StencilTable, StencilTable]
Derive = Callable[..., Any]
# Steps shorter than this, in metres, and axes closer to parallel than this angle, have no area.
_SHORT, _PARALLEL = 1e-3, 1e-9


@dataclass(frozen=True)
class OrthogonalMetric:
    """Axes at right angles: y is x turned counter-clockwise.

    ``h_x`` and ``h_y`` are metres per unit of x and y, negative where the axis falls along its
    index, and ``tables`` the stencils that differentiate them: without these they vary along y
    alone, and the curvature is ``tangent``. ``rotation`` is cosine and sine of the angle from east
    to x; without it results are along x and y. ``components``: a wind is along ``"earth"`` or
    ``"grid"``.
    """

    h_x: Any
    h_y: Any
    tables: Tables | None = None
    rotation: Pair | None = None
    components: str = "grid"
    tangent: Any = 0

    @cached_property
    def per_x(self) -> Any:
        """1/h_x, NaN where x has no direction."""
        return inverse(self.h_x)

    @cached_property
    def per_y(self) -> Any:
        """1/h_y, NaN where y has no direction."""
        return inverse(self.h_y)

    @cached_property
    def over_area(self) -> Any:
        """1/J, one over the area of a cell."""
        return self.per_x / self.h_y if self.tables is None else inverse(self.h_x * self.h_y)

    @cached_property
    def curvature(self) -> Pair:
        """How fast the axes turn, in m-1: along x −∂h_x/∂y / J, along y ∂h_y/∂x / J."""
        if self.tables is None:
            return self.tangent, 0
        h_x, h_y = changes(self.h_x, 0, self.tables), changes(self.h_y, 1, self.tables)
        return (
            0 if isinstance(h_x, int) else -self.over_area * h_x,
            0 if isinstance(h_y, int) else self.over_area * h_y,
        )

    def to_earth(self, u: Any, v: Any) -> Pair:
        if self.rotation is None or self.components == "earth":
            return u, v
        return _rotate(self.rotation, u, v)

    def to_axes(self, u: Any, v: Any) -> Pair:
        """The components along x and y."""
        if self.rotation is None or self.components == "grid":
            return u, v
        c, s = self.rotation
        return c * u + s * v, c * v - s * u

    def gradient(self, s: Any, d: Derive) -> Pair:
        s_x, s_y = d(s, "x"), d(s, "y")
        if self.rotation is None:
            return self.per_x * s_x, self.per_y * s_y
        # The factors are multiplied by each other here, once, and not at each level of a field.
        c, r = self.rotation
        return (
            (c * self.per_x) * s_x - (r * self.per_y) * s_y,
            (r * self.per_x) * s_x + (c * self.per_y) * s_y,
        )

    def divergence(self, u: Any, v: Any, d: Derive) -> Any:
        """1/(h_x h_y) ( ∂(h_y u)/∂x + ∂(h_x v)/∂y )"""
        u, v = self.to_axes(u, v)
        return self._flux_x(u, d) + self._flux_y(v, d)

    def vorticity(self, u: Any, v: Any, d: Derive) -> Any:
        """1/(h_x h_y) ( ∂(h_y v)/∂x − ∂(h_x u)/∂y )"""
        u, v = self.to_axes(u, v)
        return self._flux_x(v, d) - self._flux_y(u, d)

    # A scale factor that does not vary along the axis of its flux cancels.
    def _flux_x(self, u: Any, d: Derive) -> Any:
        is_even = self.h_y.shape[1] == 1
        return self.per_x * d(u, "x") if is_even else self.over_area * d(self.h_y * u, "x")

    def _flux_y(self, v: Any, d: Derive) -> Any:
        is_even = self.h_x.shape[0] == 1
        flux = self.h_x * v
        return self.per_y * d(v, "y") if is_even else self.over_area * d(flux, "y", is_flux=True)

    def velocity_gradient(self, u: Any, v: Any, d: Derive) -> tuple[Any, Any, Any, Any]:
        """∂u/∂x = 1/h_x ∂u/∂x − k_x v, ∂v/∂x = 1/h_x ∂v/∂x + k_x u; along y likewise with k_y.

        k_x and k_y are the curvatures of the axes: tan φ / a and 0 on a sphere.
        """
        u, v = self.to_axes(u, v)
        k_x, k_y = self.curvature
        u_x, v_x = self.per_x * d(u, "x") - k_x * v, self.per_x * d(v, "x") + k_x * u
        u_y, v_y = self.per_y * d(u, "y") - k_y * v, self.per_y * d(v, "y") + k_y * u
        if self.rotation is None:
            return u_x, u_y, v_x, v_y
        # First the components, then the directions in which they are differentiated.
        (u_x, v_x), (u_y, v_y) = _rotate(self.rotation, u_x, v_x), _rotate(self.rotation, u_y, v_y)
        return *_rotate(self.rotation, u_x, u_y), *_rotate(self.rotation, v_x, v_y)

    def contravariant(self) -> tuple[Any, Any, Any]:
        return self.h_y * self.per_x, self.h_x * self.per_y, 0


@dataclass(frozen=True)
class LatLonMetric:
    """A grid of known latitudes and longitudes.

    A step along an axis has the components ``x_e``, ``x_n`` and ``y_e``, ``y_n`` to the east and
    north, in metres per index. ``east`` and ``north`` are these directions as vectors in space.
    ``along`` are the directions of x and y as (E, N), if the components of a wind are along them.
    Since points are differenced as vectors in space, there is no seam in longitude.
    """

    x_e: Any
    x_n: Any
    y_e: Any
    y_n: Any
    east: tuple[Any, Any, Any]
    north: tuple[Any, Any, Any]
    along: tuple[Pair, Pair] | None = None

    @cached_property
    def area(self) -> Any:
        """J, in m² per index²; negative if the grid is left-handed, NaN where cells have none."""
        area = self.x_e * self.y_n - self.x_n * self.y_e
        h_x, h_y = np.hypot(self.x_e, self.x_n), np.hypot(self.y_e, self.y_n)
        has_area = (abs(area) > _PARALLEL * h_x * h_y) & (h_x > _SHORT) & (h_y > _SHORT)
        return np.where(has_area, area, np.nan)

    @cached_property
    def over_area(self) -> Any:
        return 1 / self.area

    @cached_property
    def inverse(self) -> tuple[Pair, Pair]:
        """The matrix that makes ∂s/∂east and ∂s/∂north of ∂s/∂x and ∂s/∂y."""
        area = self.area
        return (self.y_n / area, -self.x_n / area), (-self.y_e / area, self.x_e / area)

    def to_earth(self, u: Any, v: Any) -> Pair:
        if self.along is None:
            return u, v
        (x_e, x_n), (y_e, y_n) = self.along
        return x_e * u + y_e * v, x_n * u + y_n * v

    def gradient(self, s: Any, d: Derive) -> Pair:
        return self._per_metre(d(s, "x"), d(s, "y"))

    def _per_metre(self, s_x: Any, s_y: Any) -> Pair:
        (a, b), (p, q) = self.inverse
        return a * s_x + b * s_y, p * s_x + q * s_y

    def divergence(self, u: Any, v: Any, d: Derive) -> Any:
        """1/J ( ∂(y_n u − y_e v)/∂x + ∂(x_e v − x_n u)/∂y )"""
        u, v = self.to_earth(u, v)
        across_x, across_y = self.y_n * u - self.y_e * v, self.x_e * v - self.x_n * u
        return self.over_area * d(across_x, "x") + self.over_area * d(across_y, "y")

    def vorticity(self, u: Any, v: Any, d: Derive) -> Any:
        """1/J ( ∂(y_e u + y_n v)/∂x − ∂(x_e u + x_n v)/∂y )"""
        u, v = self.to_earth(u, v)
        along_y, along_x = self.y_e * u + self.y_n * v, self.x_e * u + self.x_n * v
        return self.over_area * d(along_y, "x") - self.over_area * d(along_x, "y")

    def velocity_gradient(self, u: Any, v: Any, d: Derive) -> tuple[Any, Any, Any, Any]:
        """Of the wind as a vector in space, seen from the east and the north of each point.

        Its parts along the axes of space have smooth derivatives wherever the wind is smooth, at a
        pole too, and there is no term in tan φ.
        """
        u, v = self.to_earth(u, v)
        parts = [e * u + n * v for e, n in zip(self.east, self.north, strict=True)]
        by_x, by_y = [d(part, "x") for part in parts], [d(part, "y") for part in parts]
        u_x, u_y = _dot(self.east, by_x), _dot(self.east, by_y)
        v_x, v_y = _dot(self.north, by_x), _dot(self.north, by_y)
        return *self._per_metre(u_x, u_y), *self._per_metre(v_x, v_y)

    def contravariant(self) -> tuple[Any, Any, Any]:
        area = self.area
        across = -(self.x_e * self.y_e + self.x_n * self.y_n) / area
        squares = (self.y_e**2 + self.y_n**2) / area, (self.x_e**2 + self.x_n**2) / area
        return (*squares, across)


def lat_lon_metric(
    lat: Any,
    lon: Any,
    radii: tuple[float, float],
    tables: Tables,
    *,
    smooth: Tables | None = None,
    senses: tuple[int, int] = (1, 1),
) -> LatLonMetric:
    """The metric of the points ``lat``, ``lon`` in degrees, (ny, nx); lazy if they are.

    ``radii`` are those of the equator and of the poles in metres, ``tables`` the stencils along x
    and y. ``smooth`` are those for the directions of x and y, if the components of a wind lie along
    them: these are differenced with the wind. ``senses`` are -1 where x, or y, falls with its
    index: the components then point against it.
    """
    phi, lam = (np.deg2rad(array.astype(np.float64)) for array in (lat, lon))
    sin_p, cos_p, sin_l, cos_l = np.sin(phi), np.cos(phi), np.sin(lam), np.cos(lam)
    east = (-sin_l, cos_l, 0)
    north = (-sin_p * cos_l, -sin_p * sin_l, cos_p)
    a, b = radii
    vertical = a**2 / np.sqrt((a * cos_p) ** 2 + (b * sin_p) ** 2)  # radius of the prime vertical
    place = (vertical * cos_p * cos_l, vertical * cos_p * sin_l, (b / a) ** 2 * vertical * sin_p)

    def steps(tables: Tables) -> list[Pair]:
        found = []
        for axis, table in zip((1, 0), tables, strict=True):
            step = [differentiate(part, axis, table) for part in place]
            found.append((_dot(east[:2], step[:2]), _dot(north, step)))
        return found

    (x_e, x_n), (y_e, y_n) = steps(tables)
    along = None
    if smooth is not None:
        along_x, along_y = (
            (_over(e, sense * np.hypot(e, n)), _over(n, sense * np.hypot(e, n)))
            for (e, n), sense in zip(steps(smooth), senses, strict=True)
        )
        along = along_x, along_y
    return LatLonMetric(x_e, x_n, y_e, y_n, east, north, along)


def at_points(spacing: Any, axis: int, table: StencilTable) -> Any:
    """Spacings between points, one fewer than these, as metres per index at the points.

    They are the steps of a place that is their sum. A dask array is summed along complete rows:
    the rounding of a sum by chunks would depend on these.
    """
    if is_dask(spacing):
        spacing = spacing.rechunk({axis: -1})
    first = spacing[:, :1] if axis == 1 else spacing[:1]
    place = np.concatenate([0 * first, np.cumsum(spacing, axis=axis)], axis=axis)
    return differentiate(place, axis, table)


def changes(values: Any, axis: int, tables: Tables) -> Any:
    """The derivative along ``axis``, or the number 0 where nothing varies."""
    return 0 if values.shape[axis] == 1 else differentiate(values, axis, tables[1 - axis])


def _rotate(rotation: Pair, a: Any, b: Any) -> Pair:
    """A vector along x and y of the grid as one to the east and north."""
    c, s = rotation
    return c * a - s * b, s * a + c * b


def _dot(one: Any, other: Any) -> Any:
    return sum(a * b for a, b in zip(one, other, strict=True))


def inverse(values: Any) -> Any:
    """1/values, NaN where they are 0: an axis without a direction, no geostrophic wind."""
    if is_dask(values):  # one task a chunk, not one each for the comparison, choice and division
        return values.map_blocks(inverse, meta=inverse(values._meta))
    return 1.0 / np.where(values == 0, np.nan, values)


def _over(values: Any, length: Any) -> Any:
    return values / np.where(abs(length) > _SHORT, length, np.nan)
