"""Winds and currents on Arakawa's C and B grids: fluxes through faces, circulations around cells.

The equations are those of finite volumes, with δx and δy for differences of two neighbours and the
lengths and areas of the grid (Arakawa and Lamb 1977; deformations as Smagorinsky 1993).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.cells import Cells
from fdgrad_dask.grids.coordinate import index_axis
from fdgrad_dask.grids.geometry import coriolis_parameter
from fdgrad_dask.grids.staggered import Grid, across, find_point
from fdgrad_dask.operators.expression import Factor, hypot
from fdgrad_dask.operators.horizontal import Wind
from fdgrad_dask.operators.interpolation import interpolate_to
from fdgrad_dask.operators.options import Options
from fdgrad_dask.operators.roles import is_eastward, match_components
from fdgrad_dask.operators.staggered import StaggeredPass, require_defaults
from fdgrad_dask.stencils import two_points

# The scalars that components through the faces of cells are needed for, and those along them.
_NORMAL = {"divergence", "stretching_deformation", "total_deformation"}
_ALONG = {"vorticity", "absolute_vorticity", "shearing_deformation", "total_deformation"}


def make_wind(
    u: xr.DataArray, v: xr.DataArray, *names: str, is_directed: bool = False, **options: Any
) -> Wind | StaggeredWind:
    """The pass over a wind that makes the scalars ``names`` of it, on one grid or a staggered."""
    if isinstance(options.get("geometry"), Grid):
        return StaggeredWind(u, v, *names, **options)
    return Wind(u, v, is_directed=is_directed, **options)


class StaggeredWind(StaggeredPass):
    """A pass over a wind on a C grid, u at the point u and v at v, or on a B grid at its corners.

    ``normal`` are the components through the faces of a cell, u at the point u and v at v.
    ``along`` are those around which there is a vorticity: on a C grid the same, around a corner;
    on a B grid v at the point u and u at v, around a centre. The components of a B grid are means
    of the two corners of each face.
    """

    def __init__(self, u: xr.DataArray, v: xr.DataArray, *names: str, **options: Any) -> None:
        self.options = Options(**options)
        grid = require_defaults(self.options)
        wind = match_components(u, v, ())
        at = find_point(u, grid), find_point(v, grid)
        if at == ("v", "u"):
            raise CoordinateError(
                f"{u.name!r} lies on faces across y and {v.name!r} on faces across x, but u is "
                f"needed on those across x; give them the other way around: {v.name}, {u.name}"
            )
        eastward = [one for one in wind if is_eastward(one)]
        if eastward and not Cells(grid, wind, at).has_lines:
            raise OptionError(
                f"{eastward[0].name!r} points east or north, as its standard_name "
                f"{eastward[0].attrs.get('standard_name')!r} says, but components along the grid "
                "are needed here; take rotate_to_grid with the same geometry, which brings both to "
                "centres, or if they are along the grid, say so: "
                ".assign_attrs(standard_name='x_wind')"
            )
        is_b = at[0] == "corner"
        self.around, self.along_at = ("center", ("v", "u")) if is_b else ("corner", ("u", "v"))
        places = [(0, "u"), (1, "v")] if _NORMAL & {*names} else []
        if _ALONG & {*names}:
            places += [place for place in enumerate(self.along_at) if place not in places]
        placed = [interpolate_to(wind[i], grid, point) for i, point in places]
        super().__init__(grid, *placed, points=[point for _, point in places])
        leaves = dict(zip(places, self.fields, strict=True))
        self.normal = leaves.get((0, "u")), leaves.get((1, "v"))
        self.along = tuple(leaves.get(place) for place in enumerate(self.along_at))

    def divergence(self) -> Any:
        """( δx(dy u) + δy(dx v) ) / area, with the open parts of faces and of the cell."""
        u, v = self.normal
        flux_x, flux_y = self.open("y", "u") * u, self.open("x", "v") * v
        change = self.difference(flux_x, "x", "u") + self.difference(flux_y, "y", "v")
        area = self.cells.open(self.cells.area("center"), "center")
        return self.per(area, "center") * change

    def vorticity(self) -> Any:
        """( δx(dy v) − δy(dx u) ) / area, around a corner, or a centre of a B grid."""
        (u, v), (at_u, at_v) = self.along, self.along_at
        along_y = self.factor(self.cells.dy(at_v), at_v) * v
        along_x = self.factor(self.cells.dx(at_u), at_u) * u
        circulation = self.difference(along_y, "x", at_v) - self.difference(along_x, "y", at_u)
        return self.per(self.cells.area(self.around), self.around) * circulation

    @cached_property
    def deformation(self) -> tuple[Any, Any]:
        """dy/dx δx(u/dy) − dx/dy δy(v/dx) at centres, and dy/dx δx(v/dy) + dx/dy δy(u/dx)."""
        stretching = shearing = None
        if None not in self.normal:
            (u, v), (at_u, at_v) = self.normal, ("u", "v")
            u_x, v_y = self._strain(u, at_u, "x", "center"), self._strain(v, at_v, "y", "center")
            stretching = u_x - v_y
        if None not in self.along:
            (u, v), (at_u, at_v) = self.along, self.along_at
            v_x = self._strain(v, at_v, "x", self.around)
            shearing = v_x + self._strain(u, at_u, "y", self.around)
        return stretching, shearing

    def _strain(self, component: Any, at: str, axis: str, to: str) -> Any:
        """dy/dx δx(component/dy) at the point ``to``, or dx/dy δy(component/dx)."""
        along, across = (
            (self.cells.dx, self.cells.dy) if axis == "x" else (self.cells.dy, self.cells.dx)
        )
        by_width = self.per(across(at), at) * component
        return self.factor(across(to) / along(to), to) * self.difference(by_width, axis, at)

    def total_deformation(self) -> Any:
        """√(stretching² + shearing²) at centres: of shearing the mean of its four squares."""
        stretching, shearing = self.deformation
        if self.around == "corner":
            shearing = self._at_center(shearing)
        return hypot(stretching, shearing)

    def _at_center(self, shearing: Any) -> Factor:
        """The root mean square of the four corners of a cell, over two at a time."""
        (values,) = self.solve(shearing)
        for axis, at in (("x", "corner"), ("y", "v")):
            fused = self.after(values)
            s = fused.fields[0]
            beside = fused.differentiate(s, *self.table(two_points.neighbour, axis, at, None))
            (values,) = fused.solve(np.sqrt(0.5) * hypot(s, beside))
        return Factor(values, tuple(index_axis(self.template, dim) for dim in self.template.dims))

    def coriolis(self) -> Any:
        """f in s-1 where the vorticity is: the one given, or that of the latitude."""
        if self.options.coriolis is not None:
            return np.full((1, 1), self.options.coriolis)
        latitude = self.cells.latitude(self.around)
        if latitude is None:
            latitude = self._average_latitude()
        if latitude is None:
            raise CoordinateError(
                f"the Coriolis parameter needs the latitude of the points "
                f"{self.grid.dims(self.around)}, but no coordinate has it; give coriolis= in "
                "s-1, or the area of these points with its coordinates"
            )
        f = coriolis_parameter(latitude.data)
        values = self.factor(xr.Variable(latitude.dims, f), self.around)
        return values.values[:, None] if latitude.ndim == 1 else values.values

    def _average_latitude(self) -> xr.Variable | None:
        """The mean of neighbours that have a latitude, as those of u and v do in WRF's files."""
        grid = replace(self.grid, boundary={})
        for axis in "xy":
            at = across(self.around, axis)
            beside = self.cells.latitude(at)
            if beside is not None and beside.ndim == 2:
                field = xr.DataArray(beside.data, dims=beside.dims, name="latitude")
                return interpolate_to(field, grid, self.around, at=at).variable
        return None

    # At a pole a staggered grid has cells like any others.
    def polar_divergence(self) -> dict[int, Any]:
        return {}

    def polar_vorticity(self) -> dict[int, Any]:
        return {}

    def named(
        self,
        data: Any,
        name: Hashable,
        long_name: str,
        units: str | None,
        standard_name: str | None = None,
    ) -> xr.DataArray:
        """One scalar where it lies: what is made of fluxes at centres, of circulations around."""
        is_around = name in _ALONG - _NORMAL
        point = self.around if is_around else "center"
        return self.named_at(data, point, name, long_name, units, standard_name)
