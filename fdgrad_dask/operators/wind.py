"""A pass over a horizontal vector field: its grid, its metric factors, its poles, its verticals."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.attributes import derived, quotient, ratio
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.geometry import Geometry
from fdgrad_dask.grid import Axis, axis_of, cf_names
from fdgrad_dask.horizontal import horizontal
from fdgrad_dask.operators.scheme import (
    Pass,
    Scheme,
    closed_at_poles,
    inverse,
    metrics_of,
    over_y,
    pole_ends,
    row,
)

U, V = 0, 1


def _require_one_unit(u: xr.DataArray, v: xr.DataArray) -> None:
    one, other = (ratio(c.attrs.get("units"), "m s-1") for c in (u, v))
    if one is not None and other is not None and not np.isclose(one, other):
        raise OptionError(
            f"{u.name!r} is in {u.attrs['units']} and {v.name!r} in {v.attrs['units']}; turn both "
            "into one unit first"
        )


def require_east(u: xr.DataArray) -> None:
    """Raises unless u is said to point east: on a curvilinear grid its x axis does not.

    Raises
    ------
    OptionError
        Its standard_name says something else, or there is none.
    """
    if "eastward" not in str(u.attrs.get("standard_name", "")):
        raise OptionError(
            f"{u.name!r} lies on a curvilinear grid, where the components are to point east and "
            f"north, but its standard_name is {u.attrs.get('standard_name')!r}; turn the wind "
            "first, and name it eastward_wind"
        )


class Wind(Pass):
    """One pass over u, v and other fields on the same points, in the geometry of u."""

    def __init__(
        self,
        u: xr.DataArray,
        v: xr.DataArray,
        *others: xr.DataArray,
        scheme: Scheme,
        geometry: Geometry | None,
    ) -> None:
        _require_one_unit(u, v)
        super().__init__(u, v, *others)
        self.scheme = scheme
        self.grid = horizontal(self.like, geometry, scheme.boundary)
        self.metrics = metrics_of(self.grid, scheme)
        if self.metrics is not None:
            require_east(self.like)

    def metric(self, *names: str, coriolis: float | None = None) -> int:
        """Appends factors, in this order; the number of the last.

        ``x`` 1/h_x, ``y`` 1/h_y and ``t`` tan φ / a of the gradient, ``f`` 2 Ω sin φ, and those of
        the flux form: ``p`` 1/h_x, ``q`` 1/(h_x h_y), both 1/J on a curvilinear grid.
        """
        number = -1
        for name in names:
            if name == "f":
                f = self.grid.coriolis(self.like.name) if coriolis is None else np.full(1, coriolis)
                speed = ratio(self.like.attrs.get("units"), "m s-1")
                number = self.over_grid(f if speed is None else f / speed)
            elif self.metrics is None:
                number = self.over_grid(self._straight(name))
            else:  # the gradient has its metres from the turn to east and north
                values = 1 / self.metrics.area if name in "pq" else np.ones(1)
                number = self.over_grid(values)
        return number

    def over_grid(self, values: Any) -> int:
        """A factor that varies along y, or along y and x."""
        return self.factor(values, *(self.grid.y, self.grid.x)[: values.ndim])

    def _straight(self, name: str) -> Any:
        grid = self.grid
        if name == "t":
            return grid.tangent
        if name == "y":
            return over_y(grid)
        over_x = inverse(grid.h_x)
        return over_x / grid.h_y if name == "q" else over_x

    def fluxes(self) -> None:
        """Two derivatives whose sum, with p and q, is the divergence."""
        if self.metrics is None:
            self.along_x(U)
            self.along_y_of_flux(V)
        else:
            self._two(self.metrics.fluxes(), (self.along_x, self.along_y))

    def circulation(self) -> None:
        """Two derivatives whose difference, with p and q, is the vorticity."""
        if self.metrics is None:
            self.along_x(V)
            self.along_y_of_flux(U)
        else:
            along, across = self.metrics.circulations()
            self._two((across, along), (self.along_x, self.along_y))

    def _two(self, parts: Any, derive: Any) -> None:
        for factors, one in zip(parts, derive, strict=True):
            pairs = zip((U, V), factors, strict=True)
            one(self.operand(*((c, self.over_grid(f)) for c, f in pairs)))

    def run_turned(self, formula: Any, *pairs: tuple[int, int], outputs: int = 1) -> list[Any]:
        """`run`, with these pairs of derivatives to the east and to the north."""
        return self.run_along(self.grid, self.metrics, formula, *pairs, outputs=outputs)

    def require_straight(self, what: str) -> None:
        """Raises on a curvilinear grid, for what needs the turning of east and north along it."""
        if self.metrics is not None:
            raise CoordinateError(
                f"{what} is not known on a curvilinear grid; interpolate to 1-D latitudes and "
                "longitudes first"
            )

    def along(self, axis: Axis, operand: int) -> None:
        """One more derivative, along ``axis``."""
        table = self.scheme.along(self.grid, axis).stencil(axis, self.like)
        self.derive(operand, axis, table)

    def along_x(self, operand: int) -> None:
        """One more ∂/∂x."""
        self.along(self.grid.x, operand)

    def along_y(self, operand: int) -> None:
        """One more ∂/∂y."""
        self.along(self.grid.y, operand)

    def along_y_of_flux(self, component: int) -> None:
        """One more ∂(h_x component)/∂y, which knows that h_x is nought at a pole."""
        axis = self.grid.y
        operand = self.operand((component, self.over_grid(self.grid.h_x)))
        table = self.scheme.stencil(axis, self.like)
        self.derive(operand, axis, closed_at_poles(table, self.grid))

    def strain(self) -> None:
        """∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y."""
        for component in (U, V):
            self.along_x(component)
            self.along_y(component)

    def cap_flux(self, output: int, component: int, sign: int) -> None:
        """Pole rows of the divergence (−v̄) or the vorticity (ū), over the area of the cap.

        ± cos φ₁ mean / (a (1 − |sin φ₁|)), φ₁ the first circle off the pole.
        """
        for end, beside, side in pole_ends(self.grid):
            radius = self.grid.h_y[0] / np.deg2rad(1.0)
            phi = np.deg2rad(float(self.grid.y.points[beside]))
            over_area = np.cos(phi) / (radius * (1 - abs(np.sin(phi))))
            mean = row(self.labelled[component], self.grid, beside)
            self.cap(output, self.grid, end, mean * (sign * side * over_area))

    def vertical(self, name: Hashable | None) -> Axis:
        """The vertical axis: the one named, or the one that CF attributes call so."""
        if name is None:
            found = [n for key in ("Z", "vertical") for n in cf_names(self.like, key)]
            along = [n for n in dict.fromkeys(found) if self.like.coords[n].ndim == 1]
            if len(along) != 1:
                raise CoordinateError(
                    f"the vertical axis of {self.like.name!r} cannot be told from its coordinates "
                    f"{tuple(self.like.coords)}; name it: vertical="
                )
            name = along[0]
        return axis_of(self.like, name)

    def one_pressure(self, name: Hashable | None) -> float | None:
        """The pressure in Pa of fields on a single level, if a scalar coordinate tells it."""
        names = list(self.like.coords) if name is None else [name]
        for one in names:
            coordinate = self.like.coords.get(one)
            if coordinate is not None and coordinate.ndim == 0:
                pascals = ratio(coordinate.attrs.get("units"), "Pa")
                if pascals is not None:
                    return float(coordinate) * pascals
        return None

    def pressure(self, name: Hashable | None) -> tuple[Axis, NDArray[np.float64]]:
        """The vertical axis and the pressure of its levels in Pa, (n,)."""
        axis = self.vertical(name)
        pascals = ratio(axis.units, "Pa")
        if pascals is None:
            raise OptionError(
                f"the vertical axis {axis.name!r} has the units {axis.units!r}; pressure levels "
                "are needed (Pa, hPa): set its units, or interpolate to such levels"
            )
        return axis, axis.points.astype(np.float64) * pascals

    def per_metre(self, units: Any, power: int = 1) -> str | None:
        """``units`` times those of the wind, per metre to the ``power``."""
        wind = self.like.attrs.get("units")
        return quotient(quotient(units, wind, -1), "m", power)

    def labelled_as(
        self, name: str, data: Any, words: str, units: str | None, standard: str | None = None
    ) -> xr.DataArray:
        """One output, with its words and what was decided."""
        attrs = derived(self.like, units, words)
        if standard:
            attrs["standard_name"] = standard
        return self.label(data, name, attrs | self.grid.attrs())
