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
from fdgrad_dask.operators.scheme import Pass, Scheme, inverse, pole_ends, row

U, V = 0, 1


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
        super().__init__(u, v, *others)
        self.scheme = scheme
        self.grid = horizontal(self.like, geometry, scheme.boundary)

    def metric(self, *names: str, coriolis: float | None = None) -> int:
        """Appends factors along y, in this order; the number of the last.

        ``x`` 1/h_x, ``y`` 1/h_y, ``xy`` 1/(h_x h_y), ``h`` h_x, ``t`` tan φ / a, ``f`` 2 Ω sin φ.
        """
        grid = self.grid
        over_x = inverse(grid.h_x)
        made = {"x": over_x, "y": 1 / grid.h_y, "xy": over_x / grid.h_y, "h": grid.h_x}
        number = -1
        for name in names:
            if name == "t":
                values = grid.tangent
            elif name == "f" and coriolis is None:
                values = grid.coriolis(self.like.name)
            elif name == "f":
                values = np.full_like(grid.h_x, coriolis)
            else:
                values = made[name]
            number = self.factor(values, grid.y)
        return number

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

    def strain(self) -> None:
        """∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y."""
        for component in (U, V):
            self.along_x(component)
            self.along_y(component)

    def cap_flux(self, output: int, component: int, sign: int) -> None:
        """Pole rows of the divergence (−v̄) or the vorticity (ū), over the area of the cap.

        ± cos φ₁ mean / (a (1 − |sin φ₁|)), φ₁ the first circle off the pole.
        """
        points = np.deg2rad(self.grid.y.points.astype(np.float64))
        radius = self.grid.h_y[0] / np.deg2rad(1.0)
        for end, beside, side in pole_ends(self.grid):
            phi = points[beside]
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
