"""Winds between the directions of their grid and those of the Earth."""

from __future__ import annotations

import re
from typing import Any, Literal, Unpack

import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.angles import find_rotation
from fdgrad_dask.grids.attributes import choose_long_name, derive_attributes
from fdgrad_dask.grids.cell_sizes import find_dims, read_rotation
from fdgrad_dask.grids.coordinate import index_axis
from fdgrad_dask.grids.geometry import Curvilinear, Geometry
from fdgrad_dask.grids.metric_terms import LatLonMetric
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.expression import Factor
from fdgrad_dask.operators.fused_pass import FusedPass
from fdgrad_dask.operators.horizontal import HorizontalPass
from fdgrad_dask.operators.options import GeometryOptions
from fdgrad_dask.operators.roles import (
    match_components,
    name_components,
    read_components,
    require_known_axes,
)

Directions = tuple[tuple[Any, Any], tuple[Any, Any]]
Goal = Literal["earth", "grid"]
# CF names of components; {} is x or y, or east or north, and * is what flows.
_NAMES = (
    {"grid": "{}_wind", "earth": "{}ward_wind"},
    {"grid": "*_{}_velocity", "earth": "{}ward_*_velocity"},
    {"grid": "*_{}_stress", "earth": "*_{}ward_stress"},
)


@takes_fields
def rotate_to_earth(
    u: xr.DataArray, v: xr.DataArray, **options: Unpack[GeometryOptions]
) -> xr.Dataset:
    """The components to the east and north of a vector that is along the x and y of its grid.

    With α, the angle from east to x: u cos α − v sin α and u sin α + v cos α. It is the first known
    of: ``geometry=Curvilinear(angle=…)``; an angle among the coordinates (of CF, ROMS, POP, CICE),
    or its cosine and sine (of WRF, MITgcm); the directions in which 2-D latitude and longitude
    change along x and y, each by itself, so that these need not be at right angles; the projection
    of the grid mapping, in the same way.

    Parameters
    ----------
    u, v
        The components along x and y, on the same points. What a standard_name, or the GRIB flag
        ``uvRelativeToGrid``, says to be to the east and north already stays as it is;
        ``geometry=Curvilinear(components="grid")`` contradicts it.
    geometry
        See `horizontal_gradient`.

    Returns
    -------
    Dataset
        Both under their own names, u and v where these do not differ, with dims, coords, units and
        chunks of u, and standard_names such as eastward_wind for x_wind. NaN where the axes have
        no direction, as on fill values.

    Raises
    ------
    CoordinateError
        u and v do not lie on the same points, or nothing tells where east is.
    OptionError
        Units or standard names contradict that these are the two components of one vector.
    """
    return _rotate(u, v, "earth", **options)


@takes_fields
def rotate_to_grid(
    u: xr.DataArray, v: xr.DataArray, **options: Unpack[GeometryOptions]
) -> xr.Dataset:
    """The components along the x and y of its grid of a vector that is along east and north.

    The inverse of `rotate_to_earth`, which has the same parameters and errors.

    Returns
    -------
    Dataset
        Both under their own names, with dims, coords, units and chunks of u, and standard_names
        such as x_wind for eastward_wind.
    """
    return _rotate(u, v, "grid", **options)


def _rotate(
    u: xr.DataArray, v: xr.DataArray, goal: Goal, geometry: Geometry | None = None
) -> xr.Dataset:
    u, v = match_components(u, v, ())
    given = geometry.components if isinstance(geometry, Curvilinear) else None
    is_there = (given or read_components(u, v)) == goal
    turned, directions = _find_directions(u, v, geometry)
    made = turned.data[:2]
    if directions is not None and not is_there:
        (x_e, x_n), (y_e, y_n) = directions
        if goal == "grid":
            area = x_e * y_n - x_n * y_e
            x_e, x_n, y_e, y_n = y_n / area, -x_n / area, -y_e / area, x_e / area
        first, second = turned.fields
        rows = [[_factor(turned, one) for one in row] for row in ((x_e, y_e), (x_n, y_n))]
        made = turned.solve(*(a * first + b * second for a, b in rows))
    results = []
    for side, name in enumerate(name_components(u, v)):
        one = (u, v)[side].rename(name)
        attrs = one.attrs if is_there else _rename(one, side, goal)
        results.append(turned.label(made[side], name, attrs))
    return turned.to_dataset(results)


def _find_directions(
    u: xr.DataArray, v: xr.DataArray, geometry: Geometry | None
) -> tuple[FusedPass, Directions | None]:
    """A pass over the wind, and where x and y point: (E, N) of each; None for east and north."""
    angle = geometry.angle if isinstance(geometry, Curvilinear) else None
    found = find_rotation(u) if geometry is None or isinstance(geometry, Curvilinear) else None
    if angle is None and found is None:
        turned = _Axes(u, v, is_directed=True, edge_order=2, geometry=geometry)
        if isinstance(turned.metric, LatLonMetric):
            require_known_axes(u, turned.grid)
            return turned, turned.metric.along
        if turned.grid.is_east:
            return turned, None
        raise CoordinateError(
            f"nothing tells where east is at the points of {u.name!r}, whose coordinates are "
            f"{tuple(u.coords)}; set its 2-D latitude and longitude or its grid mapping as "
            "coordinates, or give the angle: geometry=Curvilinear(angle=…)"
        )
    over = FusedPass(u, v)
    over.plane = (index_axis(over.template, over.template.dims[-1]),)
    c: Any
    s: Any
    if angle is not None:
        dims = find_dims(over.template, (angle,))
        over.plane = index_axis(over.template, dims.y), index_axis(over.template, dims.x)
        c, s = read_rotation(over.template, angle, dims)
    else:
        assert found is not None
        c, s = found
    return over, ((c, s), (-s, c))


class _Axes(HorizontalPass):
    """A pass over a vector along x and y, whatever its standard_name says of it."""

    def find_components(self) -> str:
        return "grid"


def _factor(turned: FusedPass, values: Any) -> Factor:
    """A factor over the dimensions of a DataArray; over the horizontal ones if it is an array."""
    if not isinstance(values, xr.DataArray):
        return Factor(values)
    return Factor(values.data, tuple(index_axis(turned.template, dim) for dim in values.dims))


def _rename(component: xr.DataArray, side: int, goal: Goal) -> dict[str, Any]:
    """The attributes of a component as it points now."""
    words = {"grid": "xy"[side], "earth": ("east", "north")[side]}
    name = str(component.attrs.get("standard_name", "")).removeprefix("grid_")
    for forms in _NAMES:
        spelt = {key: form.format(words[key]) for key, form in forms.items()}
        for form in spelt.values():
            if found := re.fullmatch(form.replace("*", "(.+)"), name):
                standard_name = spelt[goal].replace("*", "".join(found.groups()))
                attrs = derive_attributes(component, component.attrs.get("units"))
                spoken = standard_name.replace("_", " ")
                return attrs | {"standard_name": standard_name, "long_name": spoken}
    where = f"to the {words[goal]}" if goal == "earth" else f"along {words[goal]}"
    long_name = f"component {where} of {choose_long_name(component.attrs, component.name)}"
    return derive_attributes(component, component.attrs.get("units"), long_name)
