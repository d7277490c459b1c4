"""What a wind does to a field: advection, frontogenesis, Q vectors, potential vorticity."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask import formulas
from fdgrad_dask.attributes import quotient, ratio
from fdgrad_dask.errors import OptionError
from fdgrad_dask.geometry import DRY_AIR, GRAVITY, KAPPA, Geometry
from fdgrad_dask.operators.scheme import Scheme, Skip
from fdgrad_dask.operators.wind import U, V, Wind

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
    wind.metric("x", "y")
    wind.along_x(SCALAR)
    wind.along_y(SCALAR)
    if w is None:
        data = wind.run_turned(formulas.advection, (0, 1))[0]
    else:
        axis = wind.vertical(vertical)
        unit = ratio(quotient(w.attrs.get("units"), "s-1"), str(axis.units))
        if unit is None:
            raise OptionError(
                f"the vertical wind has the units {w.attrs.get('units')!r} and {axis.name!r} has "
                f"{axis.units!r}; w needs those of the coordinate per second: set both"
            )
        wind.along(axis, SCALAR)
        wind.factor(np.full(wind.like.sizes[axis.dim], unit), axis)
        data = wind.run_turned(formulas.advection_3d, (0, 1))[0]
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
    wind.require_straight("frontogenesis")
    wind.metric("x", "y", "t")
    wind.strain()
    wind.along_x(SCALAR)
    wind.along_y(SCALAR)
    name = _name(scalar)
    units = wind.per_metre(scalar.attrs.get("units"), 2)
    data = wind.run(formulas.frontogenesis)[0]
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
    wind.require_straight("the Q vector")
    level = wind.one_pressure(vertical)
    wind.metric("x", "y", "t")
    if level is not None:
        wind.factor(np.full(1, DRY_AIR / level))
    else:
        axis, pascals = wind.pressure(vertical)
        wind.factor(DRY_AIR / pascals, axis)
    wind.strain()
    wind.along_x(SCALAR)
    wind.along_y(SCALAR)
    made = wind.run(formulas.q_vector, 2)
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
    exner = np.ones(len(pascals)) if potential else (REFERENCE_PRESSURE / pascals) ** KAPPA
    wind.require_straight("potential vorticity")
    units = temperature.attrs.get("units")
    if ratio(units, "K") is not None and units not in ("K", "kelvin", "Kelvin", "kelvins"):
        raise OptionError(
            f"{temperature.name!r} is in {temperature.attrs['units']!r}, but potential vorticity "
            "needs kelvin; convert it first"
        )
    wind.metric("x", "y", "p", "q")
    wind.metric("f", coriolis=coriolis)
    e = wind.factor(exner, axis)
    wind.factor(np.full(len(pascals), GRAVITY / (pascals[0] / axis.points[0])), axis)
    wind.circulation()
    wind.along_x(SCALAR)
    wind.along_y(SCALAR)
    for operand in (wind.operand((SCALAR, e)), U, V):
        wind.along(axis, operand)
    data = wind.run(formulas.potential_vorticity)[0]
    return wind.labelled_as(
        "potential_vorticity",
        data,
        "potential vorticity",
        "K m2 kg-1 s-1",
        "ertel_potential_vorticity",
    )


def _name(field: xr.DataArray) -> Hashable:
    return "f" if field.name is None else field.name
