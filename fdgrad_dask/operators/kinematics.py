"""Divergence, vorticity, deformation: what the first derivatives of a wind, or a current, are.

In flux form with the scale factors h_x and h_y of the geometry, which contain the terms of the
sphere. A row at a pole gets the value of its cap: the flux, or the circulation, through the circle
of latitude beside the pole, over the area inside it. Deformations are NaN at a pole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from fdgrad_dask.errors import OptionError, did_you_mean
from fdgrad_dask.grids.geometry import Geometry
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import scale
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.expression import hypot
from fdgrad_dask.operators.fused_pass import Options
from fdgrad_dask.operators.horizontal import WindPass
from fdgrad_dask.operators.options import Skip
from fdgrad_dask.operators.roles import find_speed_factor
from fdgrad_dask.stencils.boundary import Boundary


class _Kind(NamedTuple):
    """What one scalar made of a wind is called; CF standard names of air and of water."""

    long_name: str
    of_air: str | None = None
    of_water: str | None = None


_KINDS = {
    "divergence": _Kind("divergence", "divergence_of_wind", "divergence_of_sea_water_velocity"),
    "vorticity": _Kind(
        "relative vorticity", "atmosphere_relative_vorticity", "ocean_relative_vorticity"
    ),
    "stretching_deformation": _Kind("stretching deformation"),
    "shearing_deformation": _Kind("shearing deformation"),
    "total_deformation": _Kind("total deformation"),
    "absolute_vorticity": _Kind("absolute vorticity", "atmosphere_absolute_vorticity"),
}
_KINEMATIC = tuple(_KINDS)[:5]


@takes_fields
def divergence(
    u: xr.DataArray,
    v: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.DataArray:
    """∇·v = 1/(h_x h_y) ( ∂(h_y u)/∂x + ∂(h_x v)/∂y ), in units of u per metre.

    On a sphere of radius a, h_x = a cos φ and h_y = a, which brings in the term −v tan φ / a
    that a plain sum of two derivatives leaves out (Batchelor 1967, appendix 2). On a curvilinear
    grid these are the fluxes through its own cells.

    Parameters
    ----------
    u, v
        The components along x (east) and y (north), on the same points; v is converted where
        it has another unit than u, and one without units has those of the other. On a
        curvilinear grid their standard_name says whether they are to the east and north or along
        the grid, or ``geometry=Curvilinear(components=…)`` does.
    edge_order, accuracy, boundary, skipna, geometry
        See `horizontal_gradient`; all operators of winds have them.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; at a pole the value of its cap. The row beside a pole
        is first order where the wind blows over the pole. Attributes say which geometry was
        used.

    Raises
    ------
    CoordinateError
        u and v do not lie on the same points, or their geometry cannot be determined.
    OptionError
        Units or standard names contradict that these are the two components of one vector.
    """
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    wind = WindPass(u, v, options=options, geometry=geometry)
    (data,) = wind.solve(wind.divergence(), poles={0: wind.polar_divergence()})
    return _label(wind, "divergence", data)


@takes_fields
def vorticity(
    u: xr.DataArray,
    v: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.DataArray:
    """ζ = 1/(h_x h_y) ( ∂(h_y v)/∂x − ∂(h_x u)/∂y ), in units of u per metre.

    Positive where the wind turns counterclockwise (Batchelor 1967, appendix 2). Parameters and
    errors are those of `divergence`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; at a pole the value of its cap. The row beside a pole
        is first order where the wind blows over the pole.
    """
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    wind = WindPass(u, v, options=options, geometry=geometry)
    (data,) = wind.solve(wind.vorticity(), poles={0: wind.polar_vorticity()})
    return _label(wind, "vorticity", data)


@takes_fields
def absolute_vorticity(
    u: xr.DataArray,
    v: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
    coriolis: float | None = None,
) -> xr.DataArray:
    """ζ + f, the vorticity and that of the Earth, f = 2 Ω sin φ, in s-1.

    Parameters
    ----------
    coriolis
        f in s-1, where y is no latitude.
    u, v
        The wind in any unit of speed; m s-1 is assumed if there are no units.
    edge_order, accuracy, boundary, skipna, geometry
        See `divergence`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; at a pole the value of its cap.

    Raises
    ------
    CoordinateError
        As `divergence` does; and if y is no latitude and ``coriolis`` is not given.
    OptionError
        The units of the wind are not those of a speed.
    """
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    wind = WindPass(u, v, options=options, geometry=geometry, is_directed=coriolis is None)
    in_si = find_speed_factor(wind.template, "absolute vorticity")
    f = wind.coriolis(coriolis, in_si)
    poles = {end: row + f[end].item() for end, row in wind.polar_vorticity().items()}
    (data,) = wind.solve(wind.vorticity() + f, poles={0: poles})
    made = _label(wind, "absolute_vorticity", data)
    if in_si != 1:
        attrs = made.attrs | {"units": "s-1"}
        data = scale(made.data, np.asarray(in_si, made.dtype))
        made = made.copy(data=data).assign_attrs(attrs)
    return made


@takes_fields
def deformation(
    u: xr.DataArray,
    v: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.Dataset:
    """Stretching ∂u/∂x − ∂v/∂y, shearing ∂v/∂x + ∂u/∂y and their length, in units of u per metre.

    On a sphere the first also has −v tan φ / a and the second u tan φ / a; on a curvilinear grid
    the wind is differenced as a vector in space. Parameters and errors are those of `divergence`.

    Returns
    -------
    Dataset
        ``stretching_deformation``, ``shearing_deformation`` and ``total_deformation``, with the
        dims, coords and chunks of u; NaN at a pole.
    """
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    wind = WindPass(u, v, options=options, geometry=geometry, is_directed=True)
    u_x, u_y, v_x, v_y = wind.velocity_gradient()
    stretching, shearing = u_x - v_y, v_x + u_y
    made = wind.solve(stretching, shearing, hypot(stretching, shearing))
    names = _KINEMATIC[2:]
    return xr.Dataset({n: _label(wind, n, data) for n, data in zip(names, made, strict=True)})


@takes_fields
def kinematics(
    u: xr.DataArray,
    v: xr.DataArray,
    *,
    which: Sequence[str] = _KINEMATIC,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.Dataset:
    """Divergence, vorticity and deformations of a wind, in one pass over it.

    Parameters
    ----------
    which
        Any of divergence, vorticity, stretching_deformation, shearing_deformation and
        total_deformation; all if not given.
    u, v, edge_order, accuracy, boundary, skipna, geometry
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
    which = [which] if isinstance(which, str) else which
    unknown = [name for name in which if name not in _KINEMATIC]
    if unknown or not which:
        close = f" ({did_you_mean(unknown[0], _KINEMATIC)})" if unknown else ""
        raise OptionError(
            f"which is {which!r}; give a list of some of {', '.join(_KINEMATIC)}{close}"
        )
    options = Options(edge_order, accuracy, boundary=boundary, skipna=skipna)
    is_directed = any("deformation" in name for name in which)
    wind = WindPass(u, v, options=options, geometry=geometry, is_directed=is_directed)
    outputs = {"divergence": wind.divergence(), "vorticity": wind.vorticity()}
    poles = {"divergence": wind.polar_divergence, "vorticity": wind.polar_vorticity}
    u_x, u_y, v_x, v_y = wind.velocity_gradient()
    stretching, shearing = u_x - v_y, v_x + u_y
    deformations = stretching, shearing, hypot(stretching, shearing)
    outputs |= zip(_KINEMATIC[2:], deformations, strict=True)
    made = wind.solve(
        *(outputs[name] for name in which),
        poles={n: poles[name]() for n, name in enumerate(which) if name in poles},
    )
    named = {n: _label(wind, n, data) for n, data in zip(which, made, strict=True)}
    # Their coordinates are one and the same, which xarray would find out at length.
    return xr.Dataset({n: f.variable for n, f in named.items()}, coords=wind.outer.coords)


def _label(wind: WindPass, name: str, data: Any) -> xr.DataArray:
    """One output with its words and, if the components say what flows, its standard name."""
    kind = _KINDS[name]
    units = wind.template.attrs.get("units")
    is_speed = units is None or conversion_factor(units, "m s-1") is not None
    flows = str(wind.template.attrs.get("standard_name", "")) if is_speed else ""
    standard = kind.of_water if "sea_water" in flows else kind.of_air if "wind" in flows else None
    return wind.label_wind(data, name, kind.long_name, wind.units_per_metre("1"), standard)
