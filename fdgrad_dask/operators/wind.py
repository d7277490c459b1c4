"""A pass over a horizontal vector field: its grid, its metric factors, its poles, its verticals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.attributes import derive_attributes
from fdgrad_dask.grids.coordinate import Axis
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, Plane
from fdgrad_dask.grids.horizontal import HorizontalGrid
from fdgrad_dask.grids.metric_terms import PLAIN, OnEarth, Pair
from fdgrad_dask.grids.units import divide_units
from fdgrad_dask.operators.metric import (
    OnGrid,
    circle,
    closed_at_poles,
    inverse,
    metrics_of,
    over_y,
    pole_ends,
)
from fdgrad_dask.operators.roles import matched
from fdgrad_dask.operators.scheme import Scheme
from fdgrad_dask.operators.slopes import Bent, InSpace, Slopes, Values

U, V = 0, 1


def components_of(u: xr.DataArray, v: xr.DataArray, grid: HorizontalGrid) -> str:
    """``"earth"`` or ``"grid"``, what a wind is along: by the geometry, or by standard names.

    Raises
    ------
    OptionError
        Neither says it, or what they say cannot be followed on this grid.
    """
    curved, geometry = grid.curvilinear, grid.geometry
    name = u.attrs.get("standard_name")
    said = {_said(component) for component in (u, v)} - {None}
    if curved is None or not isinstance(geometry, Curvilinear):
        if grid.is_rotated and said != {"grid"}:
            points = "points east" if said else "does not say whether it points east"
            raise OptionError(
                f"{u.name!r} {points}, but {grid.x.name!r} are longitudes about a rotated pole, "
                "which do not; give the grid its 2-D latitude and longitude as coordinates, or the "
                "grid mapping with its pole, or, if the wind is along the grid, give it the "
                "standard_name x_wind"
            )
        return "earth"
    along = geometry.components
    if along not in (None, "earth", "grid"):
        raise OptionError(f"components is {along!r}; choose 'earth', 'grid', or None")
    if along is None and len(said) > 1:
        raise OptionError(
            f"{u.name!r} and {v.name!r} have the standard_names {name!r} and "
            f"{v.attrs.get('standard_name')!r}, one to the east or north and one along the grid; "
            "turn one of them, or say geometry=Curvilinear(components=…)"
        )
    along = along or (said.pop() if said else None if curved.is_east else "grid")
    if along is None:
        raise OptionError(
            f"{u.name!r} lies on a curvilinear grid, and its standard_name {name!r} does not say "
            "whether it is to the east or along the grid; name it eastward_wind or x_wind, or give "
            "geometry=Curvilinear(components='earth') or 'grid'"
        )
    if along == "earth" and not curved.is_east:
        raise OptionError(
            f"{u.name!r} points east, but of its grid only dx and dy are known; give the angle of "
            "its x axis from east too, angle=0 where x is east, or say components='grid'"
        )
    if along == "grid" and not curved.is_certain:
        raise OptionError(
            f"{u.name!r} is along the x of its grid, but which of {grid.y.dim!r} and "
            f"{grid.x.dim!r} is x cannot be told; rename them to x and y, or give each "
            "a coordinate with the attribute axis, 'X' or 'Y'"
        )
    return along


def _said(component: xr.DataArray) -> str | None:
    # A GRIB message says it itself; readers name the wind eastward all the same.
    flag = component.attrs.get("GRIB_uvRelativeToGrid")
    if flag is not None:
        return "grid" if int(flag) else "earth"
    name = str(component.attrs.get("standard_name", ""))
    if name.startswith(("x_", "y_", "grid_")) or "_x_" in name or "_y_" in name:
        return "grid"
    return "earth" if "eastward" in name or "northward" in name else None


class Wind(OnGrid):
    """One pass over u, v and other fields on the same points, in the geometry of u."""

    def __init__(
        self,
        u: xr.DataArray,
        v: xr.DataArray,
        *others: xr.DataArray,
        scheme: Scheme,
        geometry: Geometry | None,
        is_directed: bool = False,
    ) -> None:
        u, v = matched(u, v, others)
        super().__init__(u, v, *others, scheme=scheme)
        self.lie_on(geometry, is_directed=is_directed or _said(u) == "earth")
        components = components_of(self.like, self.labelled[V], self.grid)
        self.metrics = metrics_of(self.grid, self.like, scheme, components)

    def coriolis(self, given: float | None, speed: float) -> int:
        """The factor 2 Ω sin φ in the unit of the vorticity, of a wind in ``speed`` m s-1."""
        f = self.grid.coriolis(self.like.name) if given is None else np.full(1, given)
        return self.over_grid(f / speed)

    def winds_along(self, axis: Axis) -> None:
        """Asks for the derivatives of the wind to the east and north along a vertical axis."""
        d = [self.along(axis, component) for component in (U, V)]
        rows = PLAIN if self.metrics is None else self.metrics.winds
        self.recipes.append(Slopes(tuple(self.row(pair, d) for pair in rows)))

    def values(self) -> None:
        """Asks for the wind itself, to the east and to the north."""
        rows = PLAIN if self.metrics is None else self.metrics.winds
        self.recipes.append(Values(tuple(self.row(pair, (U, V)) for pair in rows)))

    def divergence(self) -> None:
        """Asks for the divergence, of fluxes."""
        if self.metrics is None:
            d = self.along(self.grid.x, U), self._along_y_of_flux(V, self.grid.h_x)
            self._sum(d, self._flux_factors())
        else:
            self._of_two(self.metrics.fluxes())

    def vorticity(self) -> None:
        """Asks for the vorticity, of circulations."""
        if self.metrics is None:
            d = self.along(self.grid.x, V), self._along_y_of_flux(U, -self.grid.h_x)
            self._sum(d, self._flux_factors())
        else:
            self._of_two(self.metrics.circulations())

    def _of_two(self, pairs: tuple[Pair, Pair]) -> None:
        assert self.metrics is not None
        numbers, factors = [], []
        for axis, pair, i in zip((self.grid.x, self.grid.y), pairs, (1, 0), strict=True):
            operand, factor = None, self.metrics.over_area
            for component in (U, V):
                h = pair[component]
                alone = isinstance(pair[1 - component], int) and not isinstance(h, int)
                if alone and h.shape[i] == 1:  # what does not vary there stays outside
                    operand, factor = component, factor * h
            operand = self.sum_of(pair, (U, V)) if operand is None else operand
            numbers.append(self.along(axis, operand))
            factors.append(factor)
        self._sum(numbers, (factors[0], factors[1]))

    def _flux_factors(self) -> Pair:
        over_x = inverse(self.grid.h_x)
        return over_x, over_x / self.grid.h_y

    def _sum(self, d: Sequence[int], factors: Pair) -> None:
        self.recipes.append(Slopes((self.row(factors, d),)))

    def _along_y_of_flux(self, component: int, h_x: Any) -> int:
        """∂(h_x component)/∂y, which knows that h_x is nought at a pole."""
        table = self.scheme.along(self.grid, self.grid.y, self.like)
        operand = self.sum_of((h_x,), (component,))
        return self.derive(operand, self.grid.y, closed_at_poles(table, self.grid))

    def strain(self) -> None:
        """Asks for ∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y."""
        if isinstance(self.metrics, OnEarth):
            self._strain_in_space(self.metrics)
        elif self.metrics is not None:
            x, y = (self.over_grid(factor) for factor in self.metrics.metres)
            bends = [
                None if isinstance(bend, int) else self.over_grid(bend)
                for bend in self.metrics.bends()
            ]
            along, turn = self.metrics.along, self.metrics.turn
            turned = None if turn is None else (self.over_grid(turn[0]), self.over_grid(turn[1]))
            self._bent(along, (x, y), (bends[0], bends[1]), turned)
        else:
            grid = self.grid
            x, y = self.over_grid(inverse(grid.h_x)), self.over_grid(over_y(grid))
            flat = isinstance(grid.geometry, Plane)
            self._bent(PLAIN, (x, y), (None if flat else self.over_grid(grid.tangent), None))

    def _bent(
        self,
        along: tuple[Pair, Pair],
        metres: tuple[int, int],
        bends: tuple[int | None, int | None],
        turn: tuple[int, int] | None = None,
    ) -> None:
        u, v = (self.row(pair, (U, V)) for pair in along)
        axes = self.grid.x, self.grid.y
        parts = [U, V] if along is PLAIN else [self.sum_of(pair, (U, V)) for pair in along]
        d = [self.along(axis, part) for part in parts for axis in axes]
        self.recipes.append(Bent((d[0], d[1], d[2], d[3]), metres, bends, (u, v), turn))

    def _strain_in_space(self, metrics: OnEarth) -> None:
        parts = [self.sum_of(pair, (U, V)) for pair in metrics.in_space()]
        by_x, by_y = (
            tuple(self.along(axis, part) for part in parts) for axis in (self.grid.x, self.grid.y)
        )
        east, north = (self.row(side, (0, 1, 2)) for side in (metrics.east, metrics.north))
        slopes = metrics.slopes
        rows = self.row(slopes[0], (0, 1)), self.row(slopes[1], (0, 1))
        self.recipes.append(InSpace((by_x, by_y), east, north, rows))

    def cap_flux(self, output: int, component: int, sign: int) -> None:
        """Pole rows of the divergence (−v̄) or the vorticity (ū), over the area of the cap.

        ± cos φ₁ mean / (a (1 − |sin φ₁|)), φ₁ the first circle off the pole.
        """
        for end, beside, side in pole_ends(self.grid):
            radius = self.grid.h_y[0] / np.deg2rad(1.0)
            phi = np.deg2rad(float(self.grid.y.points[beside]))
            over_area = np.cos(phi) / (radius * (1 - abs(np.sin(phi))))
            mean = circle(self.data[component], self.grid, beside)
            self.pole_row(output, self.grid, end, mean * (sign * side * over_area))

    def per_metre(self, units: Any, power: int = 1) -> str | None:
        """``units`` times those of the wind, per metre to the ``power``."""
        wind = self.like.attrs.get("units")
        return divide_units(divide_units(units, wind, -1), "m", power)

    def labelled_as(
        self, name: str, data: Any, words: str, units: str | None, standard: str | None = None
    ) -> xr.DataArray:
        """One output, with its words and what was decided."""
        attrs = derive_attributes(self.like, units, words)
        if standard:
            attrs["standard_name"] = standard
        return self.label(data, name, attrs | self.grid.attrs())
