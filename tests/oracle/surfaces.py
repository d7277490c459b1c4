"""Vector calculus on a plane and on a sphere, by points in space.

Arrays are (…, y, x). On the sphere the points lie at r = a (cos φ cos λ, cos φ sin λ, sin φ), and
all metric terms come from these: circles of latitude are as long as their distance from the axis,
and east turns with longitude by what its derivative has along north.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.gaps import along_levels
from oracle.lines import Line, closed_at, differentiate, extended, flux
from oracle.sized import LONG, PI, Sized, radians, where


@dataclass(frozen=True)
class Plane:
    """Cartesian x and y, of so many metres in a unit."""

    y: Line
    x: Line
    metres: float = 1.0

    def gradient(self, s: Sized) -> tuple[Sized, Sized]:
        per = 1 / LONG(self.metres)
        return differentiate(s, -1, self.x) * per, differentiate(s, -2, self.y) * per

    def to_east(self, u: Sized, v: Sized) -> tuple[Sized, Sized]:
        return u, v

    def divergence(self, u: Sized, v: Sized) -> Sized:
        return self.gradient(u)[0] + self.gradient(v)[1]

    def vorticity(self, u: Sized, v: Sized) -> Sized:
        return self.gradient(v)[0] - self.gradient(u)[1]

    def shear(self, u: Sized, v: Sized) -> tuple[Sized, Sized, Sized, Sized]:
        """∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y."""
        return *self.gradient(u), *self.gradient(v)

    def laplacian(self, s: Sized) -> Sized:
        s_xx, s_yy = differentiate(s, -1, self.x, 2), differentiate(s, -2, self.y, 2)
        return (s_xx + s_yy) * (1 / LONG(self.metres) ** 2)


@dataclass(frozen=True)
class Sphere:
    """Latitude and longitude in degrees; ``turns`` where the longitudes are a full circle."""

    y: Line
    x: Line
    radius: float
    turns: bool

    @property
    def lat(self) -> Any:
        return self.y.points.astype(LONG)

    @property
    def at_pole(self) -> Any:
        return abs(abs(self.lat) - 90) < 1e-5

    def circle(self, lat: Any) -> Sized:
        """How far the points of a latitude are from the axis; to the rounding of an angle."""
        phi = radians(lat)
        point = self.radius * np.array([np.cos(phi), 0 * phi, np.sin(phi)])
        away = np.where(abs(abs(np.asarray(lat)) - 90) < 1e-5, 0, np.hypot(point[0], point[1]))
        return Sized(away, away + abs(phi * point[2]))

    @property
    def turning(self) -> Sized:
        """How fast east turns northward along its circle, tan φ / a, (y, 1)."""
        phi = radians(self.lat)
        north = np.array([-np.sin(phi), 0 * phi, np.cos(phi)])  # at longitude 0
        turn = np.array([-1 + 0 * phi, 0 * phi, 0 * phi])  # ∂(east)/∂λ there
        return Sized((turn * north).sum(0)[:, None]) * self._over_circle()

    def _over_circle(self) -> Sized:
        """1 / (a cos φ), (y, 1); NaN at a pole."""
        circle = self.circle(self.lat)[:, None]
        nowhere = Sized(np.full(circle.value.shape, np.nan))
        return 1 / where(circle.value == 0, nowhere, circle)

    def _per_x(self) -> Sized:
        return self._over_circle() * (180 / PI)

    def _per_y(self) -> Any:
        per = np.full(len(self.lat), 180 / PI / LONG(self.radius))
        return np.where(self.at_pole, np.nan, per)[:, None]

    def gradient(self, s: Sized) -> tuple[Sized, Sized]:
        return (
            differentiate(s, -1, self.x) * self._per_x(),
            differentiate(s, -2, self.y) * self._per_y(),
        )

    def _flux(self, v: Sized) -> Sized:
        """1/(a cos φ) ∂(v cos φ)/∂φ: what leaves through the two circles beside a row."""
        y, lat = self.y, self.lat
        line = y
        if y.accuracy == 2 and len(lat) > 1:
            line = closed_at(y, self._beside(0, 1), self._beside(-1, -2))
        circle = self.circle(lat)[:, None]
        made = flux(lambda w: w * circle, [v], -2, line)
        return made * (self._per_x() / LONG(self.radius))

    def _beside(self, near: int, far: int) -> float | None:
        """The pole beyond an end, if it is not further than a step."""
        here, beyond = self.lat[near], self.lat[far]
        pole = float(np.copysign(90, here))
        return pole if 1e-5 < abs(pole - here) <= abs(here - beyond) * (1 + 1e-6) else None

    def _caps(self, made: Sized, flow: Sized) -> Sized:
        """With the rows at poles: what flows through the first circle over the cap inside it.

        A cap that ends at the height z has the area 2π a (a − |z|).
        """
        if not self.turns:
            return made
        for end, beside in ((0, 1), (-1, -2)):
            if self.at_pole[end]:
                z = self.radius * np.sin(radians(abs(self.lat[beside])))
                area = 2 * PI * self.radius * (self.radius - z)
                through = flow[..., [beside], :].mean(-1) * (2 * PI * self.circle(self.lat)[beside])
                rows = np.arange(len(self.lat))[:, None] == end % len(self.lat)
                made = where(rows, through * (np.sign(self.lat[end]) / area), made)
        return made

    def to_east(self, u: Sized, v: Sized) -> tuple[Sized, Sized]:
        return u, v

    def divergence(self, u: Sized, v: Sized) -> Sized:
        return self._caps(self.gradient(u)[0] + self._flux(v), -v)

    def vorticity(self, u: Sized, v: Sized) -> Sized:
        return self._caps(self.gradient(v)[0] - self._flux(u), u)

    def shear(self, u: Sized, v: Sized) -> tuple[Sized, Sized, Sized, Sized]:
        (u_x, u_y), (v_x, v_y) = self.gradient(u), self.gradient(v)
        turn = -self.turning  # of east towards north: at the rate −tan φ / a
        return u_x + v * turn, u_y, v_x - u * turn, v_y

    def laplacian(self, s: Sized) -> Sized:
        """The fluxes of the gradient through the sides of a cell, over its area."""
        s_xx = differentiate(s, -1, self.x, 2) * self._per_x() * self._per_x()
        made = s_xx + self._second_along_meridians(s)
        if not self.turns:
            return made
        for end, beside in ((0, 1), (-1, -2)):
            if self.at_pole[end]:
                near, pole = s[..., [beside], :].mean(-1), s[..., [end], :].mean(-1)
                half = (self.lat[end] + self.lat[beside]) / 2
                step = self.radius * radians(abs(self.lat[end] - self.lat[beside]))
                cap = self.radius * (self.radius - self.radius * np.sin(radians(abs(half))))
                flux = (near - pole) * (self.circle(half).value / step / cap)
                rows = np.arange(len(self.lat))[:, None] == end % len(self.lat)
                made = where(rows, flux, made)
        return made

    def _second_along_meridians(self, s: Sized) -> Sized:
        """1/(a² cos φ) ∂/∂φ (cos φ ∂s/∂φ)."""
        a, y = LONG(self.radius), self.y
        slope = -(self.turning * a)  # ∂(cos φ)/∂φ / cos φ
        degree = PI / 180
        first = differentiate(s, -2, y, points_of=2) * (1 / degree)
        plain = differentiate(s, -2, y, 2) * (1 / degree**2) + first * slope
        if y.accuracy > 2:
            return plain * (1 / a**2)
        moved = Sized(np.swapaxes(s.value, -1, -2), np.swapaxes(s.size, -1, -2))
        lat, f, before = extended(moved, y, 1)
        n = len(self.lat)
        at = np.arange(n) + before
        inner = (at >= 1) & (at + 1 < len(lat))
        own = at[inner]
        high, low = lat[own + 1] - lat[own], lat[own] - lat[own - 1]
        k_high = self.circle((lat[own + 1] + lat[own]) / 2)
        k_low = self.circle((lat[own - 1] + lat[own]) / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            area = self.circle(self.lat)[inner] * ((high + low) / 2 * degree**2)
            made = (f[..., own + 1] - f[..., own]) * (k_high * (1 / high) / area)
            made = made - (f[..., own] - f[..., own - 1]) * (k_low * (1 / low) / area)
        value, size = plain.value.copy(), plain.size.copy()
        value[..., inner, :] = np.swapaxes(made.value, -1, -2)
        size[..., inner, :] = np.swapaxes(made.size, -1, -2)
        return Sized(value, size) * (1 / a**2)


@dataclass(frozen=True)
class AtConstant:
    """A surface where ``p`` (level, y, x) is constant, by the chain rule.

    (∂f/∂x)_p = ∂f/∂x − ∂f/∂p ∂p/∂x, of scalars and of each component of a wind.
    """

    surface: Any
    p: Any
    levels: Line

    @property
    def y(self) -> Line:
        return self.surface.y  # type: ignore[no-any-return]

    @property
    def x(self) -> Line:
        return self.surface.x  # type: ignore[no-any-return]

    def _upward(self, f: Sized) -> Sized:
        """∂f/∂p, of levels that lie along the third axis from the end."""
        moved = Sized.of(np.moveaxis(f.value, -3, -1), np.moveaxis(f.size, -3, -1))
        p = np.broadcast_to(np.moveaxis(self.p, -3, -1), moved.value.shape)
        made = along_levels(moved, p, self.levels, 1)
        return Sized.of(np.moveaxis(made.value, -1, -3), np.moveaxis(made.size, -1, -3))

    def _slope(self) -> tuple[Sized, Sized]:
        x, y = self.surface.gradient(Sized(self.p))
        return x, y

    def _of_wind(self, u: Sized, v: Sized) -> tuple[Sized, Sized]:
        east, north = self.surface.to_east(self._upward(u), self._upward(v))
        return east, north

    def gradient(self, s: Sized) -> tuple[Sized, Sized]:
        (x, y), (p_x, p_y), up = self.surface.gradient(s), self._slope(), self._upward(s)
        return x - up * p_x, y - up * p_y

    def to_east(self, u: Sized, v: Sized) -> tuple[Sized, Sized]:
        east, north = self.surface.to_east(u, v)
        return east, north

    def divergence(self, u: Sized, v: Sized) -> Sized:
        (p_x, p_y), (u_p, v_p) = self._slope(), self._of_wind(u, v)
        return self.surface.divergence(u, v) - (u_p * p_x + v_p * p_y)

    def vorticity(self, u: Sized, v: Sized) -> Sized:
        (p_x, p_y), (u_p, v_p) = self._slope(), self._of_wind(u, v)
        return self.surface.vorticity(u, v) - (v_p * p_x - u_p * p_y)

    def shear(self, u: Sized, v: Sized) -> tuple[Sized, Sized, Sized, Sized]:
        (p_x, p_y), (u_p, v_p) = self._slope(), self._of_wind(u, v)
        u_x, u_y, v_x, v_y = self.surface.shear(u, v)
        return u_x - u_p * p_x, u_y - u_p * p_y, v_x - v_p * p_x, v_y - v_p * p_y
