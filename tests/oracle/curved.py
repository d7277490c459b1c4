"""Vector calculus on grids whose axes follow no coordinate: of given places, or of given steps.

Along both axes points are counted; ``y`` and ``x`` are the lines of fields, ``of_y`` and ``of_x``
those of the grid itself, which goes on where a boundary condition is one of the field. Vectors are
triples in space.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from oracle.lines import Line, differentiate, flux
from oracle.sized import LONG, Sized, radians

Vector = list[Sized]


def dot(a: Vector, b: Vector) -> Sized:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    return [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]


@dataclass
class Places:
    """A grid of the latitudes and longitudes of its points, (y, x), in degrees."""

    y: Line
    x: Line
    of_y: Line
    of_x: Line
    lat: Any
    lon: Any
    radius: float
    along_grid: bool = False  # winds are along the axes of the grid

    @cached_property
    def basis(self) -> tuple[Vector, Vector, Vector]:
        """East, north and up at each point; known to the rounding of the angles."""
        phi, lam = radians(self.lat), radians(self.lon)
        sin_p, cos_p, sin_l, cos_l = np.sin(phi), np.cos(phi), np.sin(lam), np.cos(lam)
        known = 1 + abs(phi) + abs(lam)
        east = [-sin_l, cos_l, 0 * phi]
        north = [-sin_p * cos_l, -sin_p * sin_l, cos_p]
        up = [cos_p * cos_l, cos_p * sin_l, sin_p]
        e, n, r = ([Sized(part, known) for part in one] for one in (east, north, up))
        return e, n, r

    @cached_property
    def steps(self) -> tuple[Vector, Vector]:
        """A step along x and one along y, in the plane that touches the sphere."""
        east, north, up = self.basis
        place = [part * LONG(self.radius) for part in up]
        flat = []
        for axis, line in ((-1, self.of_x), (-2, self.of_y)):
            step = [differentiate(part, axis, line) for part in place]
            e, n = dot(step, east), dot(step, north)
            flat.append([e * one + n * other for one, other in zip(east, north, strict=True)])
        return flat[0], flat[1]

    @cached_property
    def over_area(self) -> Sized:
        along_x, along_y = self.steps
        return 1 / dot(self.basis[2], cross(along_x, along_y))

    def to_east(self, u: Sized, v: Sized) -> tuple[Sized, Sized]:
        if not self.along_grid:
            return u, v
        east, north, _ = self.basis
        wind = self._wind(u, v)
        return dot(wind, east), dot(wind, north)

    def _wind(self, u: Sized, v: Sized) -> Vector:
        """The wind as a vector in space."""
        one, other = self.basis[:2]
        if self.along_grid:
            one, other = ([part / length(step) for part in step] for step in self.steps)
        return [u * a + v * b for a, b in zip(one, other, strict=True)]

    def _slope(self, s_x: Sized, s_y: Sized) -> Vector:
        """∇s = ( ∂s/∂x t_y × r + ∂s/∂y r × t_x ) / J."""
        (t_x, t_y), up = self.steps, self.basis[2]
        across_x, across_y = cross(t_y, up), cross(up, t_x)
        both = zip(across_x, across_y, strict=True)
        return [(s_x * a + s_y * b) * self.over_area for a, b in both]

    def gradient(self, s: Sized) -> tuple[Sized, Sized]:
        slope = self._slope(differentiate(s, -1, self.x), differentiate(s, -2, self.y))
        return dot(slope, self.basis[0]), dot(slope, self.basis[1])

    def divergence(self, u: Sized, v: Sized) -> Sized:
        (t_x, t_y), up = self.steps, self.basis[2]
        out_x = flux(lambda *w: dot(self._wind(*w), cross(t_y, up)), (u, v), -1, self.x)
        out_y = flux(lambda *w: dot(self._wind(*w), cross(up, t_x)), (u, v), -2, self.y)
        return (out_x + out_y) * self.over_area

    def vorticity(self, u: Sized, v: Sized) -> Sized:
        t_x, t_y = self.steps
        along_y = flux(lambda *w: dot(self._wind(*w), t_y), (u, v), -1, self.x)
        along_x = flux(lambda *w: dot(self._wind(*w), t_x), (u, v), -2, self.y)
        return (along_y - along_x) * self.over_area

    def shear(self, u: Sized, v: Sized) -> tuple[Sized, Sized, Sized, Sized]:
        east, north, _ = self.basis
        slopes = []
        for i in range(3):
            part = partial(self._part, i)
            by_x, by_y = flux(part, (u, v), -1, self.x), flux(part, (u, v), -2, self.y)
            slope = self._slope(by_x, by_y)
            slopes.append((dot(slope, east), dot(slope, north)))
        by_x, by_y = [one[0] for one in slopes], [one[1] for one in slopes]
        return dot(east, by_x), dot(east, by_y), dot(north, by_x), dot(north, by_y)

    def _part(self, i: int, u: Sized, v: Sized) -> Sized:
        return self._wind(u, v)[i]

    def laplacian(self, s: Sized) -> Sized:
        """The flux form: compact along an axis, differenced twice across it."""
        t_x, t_y = self.steps
        k_x, k_y = dot(t_y, t_y) * self.over_area, dot(t_x, t_x) * self.over_area
        across = -(dot(t_x, t_y) * self.over_area)
        s_x, s_y = differentiate(s, -1, self.x), differentiate(s, -2, self.y)
        # Along an edge with a number beyond it nothing changes.
        x, y = (
            replace(
                line,
                low=line.low if isinstance(line.low, str | None) else 0.0,
                high=line.high if isinstance(line.high, str | None) else 0.0,
            )
            for line in (self.x, self.y)
        )
        made = differentiate(across * s_y, -1, x) + differentiate(across * s_x, -2, y)
        for k, axis, line, own in ((k_x, -1, self.x, self.of_x), (k_y, -2, self.y, self.of_y)):
            made = made + compact(k, s, axis, line, own)
        return made * self.over_area


def compact(k: Sized, s: Sized, axis: int, line: Line, own: Line) -> Sized:
    """∂/∂x (k ∂s/∂x) with the mean of k half a step off; at higher accuracies by the chain rule."""
    middle = k + differentiate(k, axis, own, 2) * LONG(0.25) if line.accuracy == 2 else k
    return middle * differentiate(s, axis, line, 2) + differentiate(k, axis, own) * differentiate(
        s, axis, line
    )


def length(vector: Vector) -> Sized:
    square = dot(vector, vector)
    root = np.sqrt(square.value)
    return Sized(root, square.size / root)


@dataclass
class Steps:
    """A grid of the lengths of its steps, (y, x) in metres, along axes at right angles.

    ``angle`` turns east to x, in degrees. ``along_grid``: winds are along x and y.
    """

    y: Line
    x: Line
    of_y: Line
    of_x: Line
    dx: Any
    dy: Any
    angle: Any = None
    along_grid: bool = True

    def __post_init__(self) -> None:
        self.h_x, self.h_y = Sized(self.dx), Sized(self.dy)
        self.area = self.h_x * self.h_y
        turned = radians(0 if self.angle is None else self.angle)
        known = 1 + abs(turned)
        self.cos, self.sin = Sized(np.cos(turned), known), Sized(np.sin(turned), known)

    def _turned(self, a: Sized, b: Sized) -> tuple[Sized, Sized]:
        """A vector along x and y as one to the east and north."""
        if self.angle is None:
            return a, b
        return self.cos * a - self.sin * b, self.sin * a + self.cos * b

    def to_east(self, u: Sized, v: Sized) -> tuple[Sized, Sized]:
        return self._turned(u, v) if self.along_grid else (u, v)

    def _to_axes(self, u: Sized, v: Sized) -> tuple[Sized, Sized]:
        if self.along_grid or self.angle is None:
            return u, v
        return self.cos * u + self.sin * v, self.cos * v - self.sin * u

    def gradient(self, s: Sized) -> tuple[Sized, Sized]:
        s_x, s_y = differentiate(s, -1, self.x) / self.h_x, differentiate(s, -2, self.y) / self.h_y
        return self._turned(s_x, s_y)

    def divergence(self, u: Sized, v: Sized) -> Sized:
        out_x = flux(lambda *w: self.h_y * self._to_axes(*w)[0], (u, v), -1, self.x)
        out_y = flux(lambda *w: self.h_x * self._to_axes(*w)[1], (u, v), -2, self.y)
        return (out_x + out_y) / self.area

    def vorticity(self, u: Sized, v: Sized) -> Sized:
        along_y = flux(lambda *w: self.h_y * self._to_axes(*w)[1], (u, v), -1, self.x)
        along_x = flux(lambda *w: self.h_x * self._to_axes(*w)[0], (u, v), -2, self.y)
        return (along_y - along_x) / self.area

    def shear(self, u: Sized, v: Sized) -> tuple[Sized, Sized, Sized, Sized]:
        """Along each axis: ∂u − k v and ∂v + k u, with its curvature k; none is not read."""
        a, b = self._to_axes(u, v)
        made = []
        for axis, other, line, h, sign in (
            (-1, -2, self.x, self.h_x, -1),
            (-2, -1, self.y, self.h_y, 1),
        ):
            u_ = flux(lambda *w: self._to_axes(*w)[0], (u, v), axis, line) / h
            v_ = flux(lambda *w: self._to_axes(*w)[1], (u, v), axis, line) / h
            if np.ptp(h.value, axis=other).any():
                own = self.of_y if other == -2 else self.of_x
                k = differentiate(h, other, own) / self.area * LONG(sign)
                u_, v_ = u_ - k * b, v_ + k * a
            made.append(self._turned(u_, v_))
        (u_x, v_x), (u_y, v_y) = made
        return *self._turned(u_x, u_y), *self._turned(v_x, v_y)

    def laplacian(self, s: Sized) -> Sized:
        along_x = compact(self.h_y / self.h_x, s, -1, self.x, self.of_x)
        along_y = compact(self.h_x / self.h_y, s, -2, self.y, self.of_y)
        return (along_x + along_y) / self.area
