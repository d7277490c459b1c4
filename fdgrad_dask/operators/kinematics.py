"""Divergence, vorticity, deformation: what the first derivatives of a wind, or a current, are.

In flux form with the scale factors h_x and h_y of the geometry, which contain the terms of the
sphere. A row at a pole gets the value of its cap: the flux, or the circulation, through the circle
of latitude beside the pole, over the area inside it. Deformations are NaN at a pole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Unpack

import numpy as np
import xarray as xr

from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import scale
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.horizontal import Wind
from fdgrad_dask.operators.options import (
    KINEMATIC,
    CoriolisOptions,
    KinematicsOptions,
    LevelOptions,
    choose_names,
)
from fdgrad_dask.operators.roles import find_speed_factor
from fdgrad_dask.operators.staggered_wind import StaggeredWind, make_wind


class _Kind(NamedTuple):
    """One scalar made of a wind: what it is called, its equation, and its rows at poles."""

    long_name: str
    equation: Callable[[Wind | StaggeredWind], Any]
    at_poles: Callable[[Wind | StaggeredWind], dict[int, Any]] = lambda wind: {}
    of_air: str | None = None  # CF standard names
    of_water: str | None = None


_KINDS = {
    "divergence": _Kind(
        "divergence",
        lambda wind: wind.divergence(),
        lambda wind: wind.polar_divergence(),
        "divergence_of_wind",
        "divergence_of_sea_water_velocity",
    ),
    "vorticity": _Kind(
        "relative vorticity",
        lambda wind: wind.vorticity(),
        lambda wind: wind.polar_vorticity(),
        "atmosphere_relative_vorticity",
        "ocean_relative_vorticity",
    ),
    "stretching_deformation": _Kind("stretching deformation", lambda wind: wind.deformation[0]),
    "shearing_deformation": _Kind("shearing deformation", lambda wind: wind.deformation[1]),
    "total_deformation": _Kind("total deformation", lambda wind: wind.total_deformation()),
}


@takes_fields
def divergence(u: xr.DataArray, v: xr.DataArray, **options: Unpack[LevelOptions]) -> xr.DataArray:
    """∇·v = 1/(h_x h_y) ( ∂(h_y u)/∂x + ∂(h_x v)/∂y ), in units of u per metre.

    On a sphere of radius a, h_x = a cos φ and h_y = a, which brings in the term −v tan φ / a
    that a plain sum of two derivatives leaves out (Batchelor 1967, appendix 2). On a curvilinear
    grid these are the fluxes through its own cells.

    On a staggered grid, ``geometry=Grid(…)``, the balance of fluxes through the open parts of the
    faces of a cell, at its centre: ( δx(dy u) + δy(dx v) ) / area (Arakawa and Lamb 1977). Times
    area, its sum over a closed domain is zero to rounding. Of a B grid the components are means of
    the two corners of each face. NaN where a face of the cell has no velocity: fill land with 0.0
    for walls.

    Parameters
    ----------
    u, v
        The components along x (east) and y (north), on the same points; v is converted where
        it has another unit than u, and one without units has those of the other. On a
        curvilinear grid their standard_name says whether they are to the east and north or along
        the grid, or ``geometry=Curvilinear(components=…)`` does.
    edge_order, accuracy, boundary, skipna, geometry, constant, vertical
        See `horizontal_gradient`; all operators of winds have the first five. A condition at an
        end of latitude is one of the flux h_x v (of h_x u in `vorticity`): ``"reflect"`` and
        ``"extend"`` continue that, and a number stands on a circle as long as the last. So at any
        resolution the last row lacks −v tan φ / a with ``"reflect"``, and half of it with the
        others; open ends, None with ``edge_order=2``, have all of it.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; at a pole the value of its cap, or NaN with ``constant``.
        The row beside a pole is first order where the wind blows over the pole. Attributes say
        which geometry was used. On a staggered grid the points are those of its cells.

    Raises
    ------
    CoordinateError
        u and v do not lie on the same points, or their geometry cannot be inferred.
    OptionError
        Units or standard names contradict that these are the two components of one vector.
    """
    (result,) = _solve(make_wind(u, v, "divergence", **options), ["divergence"])
    return result


@takes_fields
def vorticity(u: xr.DataArray, v: xr.DataArray, **options: Unpack[LevelOptions]) -> xr.DataArray:
    """ζ = 1/(h_x h_y) ( ∂(h_y v)/∂x − ∂(h_x u)/∂y ), in units of u per metre.

    Positive where the wind turns counterclockwise (Batchelor 1967, appendix 2). Parameters and
    errors are those of `divergence`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; at a pole the value of its cap. The row beside a pole
        is first order where the wind blows over the pole. On a staggered grid the circulation
        ( δx(dy v) − δy(dx u) ) / area around a corner of a C grid, or a centre of a B grid; NaN on
        walls, beyond which no velocity is known.
    """
    (result,) = _solve(make_wind(u, v, "vorticity", **options), ["vorticity"])
    return result


@takes_fields
def absolute_vorticity(
    u: xr.DataArray, v: xr.DataArray, **options: Unpack[CoriolisOptions]
) -> xr.DataArray:
    """ζ + f, the vorticity and that of the Earth, f = 2 Ω sin φ, in s-1.

    Parameters
    ----------
    coriolis
        f in s-1, where y is no latitude.
    u, v
        The wind in any unit of speed; m s-1 is assumed if there are no units.
    edge_order, accuracy, boundary, skipna, geometry, constant, vertical
        See `divergence`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; at a pole the value of its cap. No units if the wind has
        none.

    Raises
    ------
    CoordinateError
        As `divergence` does; and if y is no latitude and ``coriolis`` is not given.
    OptionError
        The units of the wind are not those of a speed.
    """
    is_directed = options.get("coriolis") is None
    wind = make_wind(u, v, "absolute_vorticity", is_directed=is_directed, **options)
    in_si = find_speed_factor(wind.template, "absolute vorticity")
    f = wind.coriolis() / in_si
    poles = {end: row + f[end].item() for end, row in wind.polar_vorticity().items()}
    (data,) = wind.solve(wind.vorticity() + f, poles={0: poles})
    is_air = "wind" in name_flow(wind.template)
    name = "atmosphere_absolute_vorticity" if is_air else None
    units = wind.per_metre()
    if in_si != 1:
        data, units = scale(data, np.asarray(in_si, data.dtype)), "s-1"
    return wind.named(data, "absolute_vorticity", "absolute vorticity", units, name)


@takes_fields
def deformation(u: xr.DataArray, v: xr.DataArray, **options: Unpack[LevelOptions]) -> xr.Dataset:
    """Stretching ∂u/∂x − ∂v/∂y, shearing ∂v/∂x + ∂u/∂y and their length, in units of u per metre.

    On a sphere the first also has −v tan φ / a and the second u tan φ / a; on a curvilinear grid
    the wind is differenced as a vector in space. On a staggered grid: dy/dx δx(u/dy) − dx/dy
    δy(v/dx) at centres, and dy/dx δx(v/dy) + dx/dy δy(u/dx) at corners (Smagorinsky 1993); the
    total is at centres, of the mean of the squares of the shearing at the four corners. On a B
    grid all are at centres. Parameters and errors are those of `divergence`.

    Returns
    -------
    Dataset
        ``stretching_deformation``, ``shearing_deformation`` and ``total_deformation``, with the
        dims, coords and chunks of u; NaN at a pole.
    """
    wind = make_wind(u, v, *KINEMATIC[2:], is_directed=True, **options)
    return wind.to_dataset(_solve(wind, KINEMATIC[2:]))


@takes_fields
def kinematics(
    u: xr.DataArray, v: xr.DataArray, **options: Unpack[KinematicsOptions]
) -> xr.Dataset:
    """Divergence, vorticity and deformations of a wind, in one pass over it.

    Parameters
    ----------
    which
        Any of divergence, vorticity, stretching_deformation, shearing_deformation and
        total_deformation; all if not given.
    u, v, edge_order, accuracy, boundary, skipna, geometry, constant, vertical
        See `divergence`.

    Returns
    -------
    Dataset
        What the operators of these names give.

    Raises
    ------
    OptionError
        ``which`` names something else, or nothing.
    """
    names = choose_names("which", options.get("which", KINEMATIC), _KINDS)
    is_directed = any("deformation" in name for name in names)
    wind = make_wind(u, v, *names, is_directed=is_directed, **options)
    return wind.to_dataset(_solve(wind, names))


def _solve(wind: Wind | StaggeredWind, names: Sequence[str]) -> list[xr.DataArray]:
    """Some scalars made of a wind; if its components say what flows, with standard names."""
    kinds = [_KINDS[name] for name in names]
    made = wind.solve(
        *(kind.equation(wind) for kind in kinds),
        poles={i: kind.at_poles(wind) for i, kind in enumerate(kinds)},
    )
    flow, units = name_flow(wind.template), wind.per_metre()
    return [
        wind.named(
            data,
            name,
            kind.long_name,
            units,
            {"wind": kind.of_air, "sea_water": kind.of_water}.get(flow),
        )
        for data, name, kind in zip(made, names, kinds, strict=True)
    ]


def name_flow(u: xr.DataArray) -> str:
    """What flows, by the standard name of u, if that is a speed: wind, sea_water or nothing.

    A geostrophic wind is not the wind, and CF has no names for what is made of it.
    """
    attrs = u.attrs
    units, name = attrs.get("units"), str(attrs.get("standard_name", ""))
    is_speed = units is None or conversion_factor(units, "m s-1") is not None
    is_flow = is_speed and "geostrophic" not in name
    found = [flow for flow in ("sea_water", "wind") if is_flow and flow in name]
    return found[0] if found else ""
