"""What a wind does to a field: advection, frontogenesis, Q vectors, potential vorticity."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask import formulas
from fdgrad_dask.attributes import quotient, ratio
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.geometry import DRY_AIR, GRAVITY, KAPPA, Geometry
from fdgrad_dask.operators.metric import inverse
from fdgrad_dask.operators.scheme import Scheme, Skip
from fdgrad_dask.operators.wind import Wind

SCALAR = 2
REFERENCE_PRESSURE = 1e5  # Pa; of potential temperature


def advection(
    u: xr.DataArray,
    v: xr.DataArray,
    scalar: xr.DataArray,
    w: xr.DataArray | None = None,
    *,
    vertical: Hashable | None = None,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.DataArray:
    """−v·∇s = −(u/h_x ∂s/∂x + v/h_y ∂s/∂y [+ w ∂s/∂z]), in units of s per second.

    Parameters
    ----------
    u, v
        The wind along x and y.
    scalar
        What is carried along, on the same points.
    w
        The vertical wind, in units of the vertical coordinate per second (Pa s-1 on pressure
        levels, where it is omega).
    vertical
        The vertical coordinate, if ``w`` is given and CF attributes do not tell.
    edge_order, accuracy, boundary, skipna, geometry
        See `divergence`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; positive where the wind comes from higher values. NaN
        at a pole.

    Raises
    ------
    CoordinateError
        The fields do not lie on the same points, or their axes cannot be told.
    OptionError
        The units of ``w`` are not those of the vertical coordinate per second.
    """
    scheme = Scheme(edge_order, accuracy, 1, boundary, skipna=skipna)
    others = [scalar] if w is None else [scalar, w]
    wind = Wind(u, v, *others, scheme=scheme, geometry=geometry)
    axis = None if w is None else wind.vertical(vertical)
    if axis is not None and w is not None:
        unit = ratio(quotient(w.attrs.get("units"), "s-1"), str(axis.units))
        if unit is None:
            raise OptionError(
                f"the vertical wind has the units {w.attrs.get('units')!r} and {axis.name!r} has "
                f"{axis.units!r}; w needs those of the coordinate per second: set both"
            )
        wind.factor(np.full(wind.like.sizes[axis.dim], unit), axis)
    wind.values()
    wind.slopes(SCALAR)
    if axis is not None:
        wind.plain(axis, SCALAR)
    data = wind.solve(formulas.advection if axis is None else formulas.advection_3d)[0]
    name = _name(scalar)
    units = wind.per_metre(scalar.attrs.get("units"))
    return wind.labelled_as(f"{name}_advection", data, f"advection of {name}", units)


def frontogenesis(
    u: xr.DataArray,
    v: xr.DataArray,
    scalar: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.DataArray:
    """d|∇θ|/dt by the wind: −(θ_x² ∂u/∂x + θ_y² ∂v/∂y + θ_x θ_y (∂v/∂x + ∂u/∂y)) / |∇θ|.

    In units of θ per metre and second; positive where the wind draws isolines together
    (Petterssen 1936; Bluestein 1993, vol. II, section 2.3.1). Parameters and errors are those
    of `advection`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; NaN at a pole and where θ is level.
    """
    scheme = Scheme(edge_order, accuracy, 1, boundary, skipna=skipna)
    wind = Wind(u, v, scalar, scheme=scheme, geometry=geometry)
    wind.strain()
    wind.slopes(SCALAR)
    name = _name(scalar)
    units = wind.per_metre(scalar.attrs.get("units"), 2)
    data = wind.solve(formulas.frontogenesis)[0]
    return wind.labelled_as(f"{name}_frontogenesis", data, f"frontogenesis of {name}", units)


def q_vector(
    u: xr.DataArray,
    v: xr.DataArray,
    temperature: xr.DataArray,
    *,
    vertical: Hashable | None = None,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.Dataset:
    """Q = −(R/p) (∂v_g/∂x · ∇T, ∂v_g/∂y · ∇T), in m2 kg-1 s-1.

    The right side of the omega equation is −2 ∇·Q (Hoskins et al. 1978; Holton and Hakim 2013,
    eq. 6.46, without their factor 1/σ).

    Parameters
    ----------
    u, v
        The geostrophic wind in m s-1.
    temperature
        In kelvin, on the same pressure levels.
    vertical
        The pressure coordinate, if CF attributes do not tell; of one level a scalar one.
    edge_order, accuracy, boundary, skipna, geometry
        See `divergence`.

    Returns
    -------
    Dataset
        ``q1`` and ``q2``, with the dims, coords and chunks of u; NaN at a pole.

    Raises
    ------
    CoordinateError
        The fields do not lie on the same points, or their axes cannot be told.
    OptionError
        The vertical axis has no units of pressure.
    """
    scheme = Scheme(edge_order, accuracy, 1, boundary, skipna=skipna)
    wind = Wind(u, v, temperature, scheme=scheme, geometry=geometry)
    level = wind.one_pressure(vertical)
    if level is not None:
        wind.factor(DRY_AIR * inverse(np.full(1, level)))
    else:
        axis, pascals = wind.pressure(vertical)
        wind.factor(DRY_AIR * inverse(pascals), axis)
    wind.strain()
    wind.slopes(SCALAR)
    made = wind.solve(formulas.q_vector, 2)
    return xr.Dataset(
        {
            name: wind.labelled_as(name, data, f"Q vector along {side}", "m2 kg-1 s-1")
            for name, data, side in zip(("q1", "q2"), made, "xy", strict=True)
        }
    )


def potential_vorticity(
    u: xr.DataArray,
    v: xr.DataArray,
    temperature: xr.DataArray,
    *,
    vertical: Hashable | None = None,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
    coriolis: float | None = None,
) -> xr.DataArray:
    """PV = −g ( (ζ + f) ∂θ/∂p − ∂v/∂p ∂θ/∂x + ∂u/∂p ∂θ/∂y ), in K m2 kg-1 s-1.

    Ertel's potential vorticity on pressure levels (Hoskins et al. 1985, eq. 3). A unit of
    potential vorticity (PVU) is 1e-6 of it.

    Parameters
    ----------
    u, v
        The wind in m s-1, on pressure levels.
    temperature
        In kelvin; a potential temperature if its standard_name is air_potential_temperature.
    vertical
        The pressure coordinate, if CF attributes do not tell.
    coriolis
        f in s-1, where y is no latitude.
    edge_order, accuracy, boundary, skipna, geometry
        See `divergence`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; NaN at a pole.

    Raises
    ------
    CoordinateError
        The fields do not lie on the same points, or their axes cannot be told.
    OptionError
        The vertical axis has no units of pressure.
    """
    scheme = Scheme(edge_order, accuracy, 1, boundary, skipna=skipna)
    wind = Wind(u, v, temperature, scheme=scheme, geometry=geometry)
    axis, pascals = wind.pressure(vertical)
    potential = temperature.attrs.get("standard_name") == "air_potential_temperature"
    if not potential and (pascals <= 0).any():
        raise CoordinateError(
            f"the vertical axis {axis.name!r} has the level {axis.points[pascals <= 0][0]:g}, with "
            "no potential temperature, and no derivative of it beside that; drop the level: "
            f".sel({axis.name}={axis.name} > 0)"
        )
    exner = np.ones(len(pascals)) if potential else (REFERENCE_PRESSURE / pascals) ** KAPPA
    units = temperature.attrs.get("units")
    if ratio(units, "K") is not None and units not in ("K", "kelvin", "Kelvin", "kelvins"):
        raise OptionError(
            f"{temperature.name!r} is in {temperature.attrs['units']!r}, but potential vorticity "
            "needs kelvin; convert it first"
        )
    wind.coriolis(coriolis)
    e = wind.factor(exner, axis)
    wind.factor(np.full(len(pascals), GRAVITY / (ratio(axis.units, "Pa") or 1.0)), axis)
    wind.vorticity()
    wind.slopes(SCALAR)
    wind.plain(axis, wind.operand((SCALAR, e)))
    wind.winds_along(axis)
    data = wind.solve(formulas.potential_vorticity)[0]
    return wind.labelled_as(
        "potential_vorticity",
        data,
        "potential vorticity",
        "K m2 kg-1 s-1",
        "ertel_potential_vorticity",
    )


def _name(field: xr.DataArray) -> Hashable:
    return "f" if field.name is None else field.name
