"""Ertel's potential vorticity on pressure levels, isentropic levels and those of models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.coordinate import find_axis
from fdgrad_dask.grids.earth import GRAVITY, KAPPA
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import apply_pointwise, scale
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.expression import Factor
from fdgrad_dask.operators.horizontal import Wind
from fdgrad_dask.operators.options import PotentialVorticityOptions
from fdgrad_dask.operators.roles import find_kelvin_scale, find_speed_factor, is_potential
from fdgrad_dask.operators.verticals import find_pressure_field, find_pressure_levels

REFERENCE_PRESSURE = 1e5  # Pa; of potential temperature
_RESULT = "potential vorticity"


@takes_fields
def potential_vorticity(
    u: xr.DataArray,
    v: xr.DataArray,
    temperature: xr.DataArray,
    **options: Unpack[PotentialVorticityOptions],
) -> xr.DataArray:
    """PV = −g ( (ζ + f) ∂θ/∂p − ∂v/∂p ∂θ/∂x + ∂u/∂p ∂θ/∂y ), in K m2 kg-1 s-1.

    Ertel's potential vorticity of hydrostatic air (Hoskins et al. 1985, eq. 3). A unit of
    potential vorticity (PVU) is 1e-6 of it. On levels of a model whose pressure is a field, ζ and
    the slopes of θ are taken along the levels, where the equation has the same form. On isentropic
    levels it is −g (ζ + f) / (∂p/∂θ).

    Parameters
    ----------
    u, v
        The wind on levels of any kind, in any unit of speed; m s-1 is assumed if there are no
        units.
    temperature
        In kelvin or degrees Celsius, as its units say. A potential temperature is recognised by
        its standard_name, else by its long_name, else by a name such as theta, th or pt; without
        any of these, or if they contradict, it is refused. On isentropic levels the level
        coordinate itself, with ``pressure``.
    vertical
        The level coordinate, if CF attributes do not tell.
    pressure
        The pressure of the levels, a field, where the level coordinate is none; without it that of
        the levels' formula terms. See `fdgrad_dask.vertical_coordinate`.
    coriolis
        f in s-1, where y is no latitude.
    potential
        Whether ``temperature`` is a potential one, where its attributes do not tell.
    edge_order, accuracy, boundary, skipna, geometry
        See `divergence`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; NaN at a pole.

    Raises
    ------
    CoordinateError
        The fields do not lie on the same points, or their axes cannot be inferred.
    OptionError
        The vertical axis is none of pressure, or the units of the wind or of the temperature are
        not those of one.
    """
    potential = options.get("potential")
    potential = is_potential(temperature) if potential is None else potential
    if potential is None:
        raise OptionError(
            f"{temperature.name!r} has no name, and no standard_name that says whether it is the "
            "temperature or a potential one; give potential=True or potential=False"
        )
    factor, offset = find_kelvin_scale(temperature, _RESULT)
    pressure, pascal = find_pressure_field(u, options, _RESULT)
    is_directed = options.get("coriolis") is None
    if temperature.dims == (temperature.name,):
        _require_isentropic(temperature, potential, pressure)
        options["vertical"] = temperature.name
        wind = Wind(u, v, is_directed=is_directed, levels=pressure, **options)
        axis = find_axis(wind.template, temperature.name)
        thickness = wind.d(wind.levels, axis)
        return _solve(wind, GRAVITY * factor / pascal, lambda absolute: absolute / thickness)
    if (factor, offset) != (1, 0):
        temperature = temperature.copy(data=scale(temperature.data, factor, offset))
    wind = Wind(u, v, temperature, is_directed=is_directed, levels=pressure, **options)
    if pressure is None:
        return _on_pressure_levels(wind, potential)
    if not potential:
        to_theta = partial(_to_theta, pascal)
        wind.data[2] = apply_pointwise(to_theta, wind.data[2], wind.data[-1])
    return _solve(wind, GRAVITY / pascal, partial(_on_other_levels, wind))


def _on_pressure_levels(wind: Wind, potential: bool) -> xr.DataArray:
    axis, pascals = find_pressure_levels(wind.template, wind.options.vertical, _RESULT)
    if not potential and (pascals <= 0).any():
        raise CoordinateError(
            f"the vertical axis {axis.name!r} has the level {axis.points[pascals <= 0][0]:g}, with "
            "no potential temperature, and no derivative of it beside that; drop the level: "
            f".sel({axis.name}={axis.name} > 0)"
        )
    exner = np.ones(len(pascals)) if potential else (REFERENCE_PRESSURE / pascals) ** KAPPA
    e, t = Factor(exner, (axis,)), wind.fields[2]
    g = GRAVITY / (conversion_factor(axis.units, "Pa") or 1.0)
    t_x, t_y = wind.gradient(t)
    u_p, v_p = wind.to_earth(wind.d(wind.u, axis), wind.d(wind.v, axis))
    theta_x, theta_y, theta_p = e * t_x, e * t_y, wind.d(e * t, axis)
    return _solve(wind, g, lambda total: total * theta_p - v_p * theta_x + u_p * theta_y)


def _on_other_levels(wind: Wind, absolute: Any) -> Any:
    """The same where the pressure of the levels is a field, and x and y are along the levels.

    ζ, ∂θ/∂x and ∂θ/∂y at constant pressure differ from these by ∂p/∂x and ∂p/∂y times vertical
    derivatives, which cancel.
    """
    theta, axis = wind.fields[2], wind.level_axis
    theta_x, theta_y = wind.gradient(theta)
    u_p, v_p = wind.to_earth(wind.d(wind.u, axis), wind.d(wind.v, axis))
    return absolute * wind.d(theta, axis) - v_p * theta_x + u_p * theta_y


def _solve(wind: Wind, g: float, equation: Callable[[Any], Any]) -> xr.DataArray:
    """−g times an equation in the absolute vorticity, with labels."""
    in_si = find_speed_factor(wind.template, _RESULT)
    absolute = wind.vorticity() + wind.coriolis() / in_si
    (data,) = wind.solve(-(in_si * g * equation(absolute)))
    name = "potential_vorticity"
    return wind.named(data, name, _RESULT, "K m2 kg-1 s-1", f"ertel_{name}")


def _to_theta(pascal: float, temperature: Any, pressure: Any) -> Any:
    exner = (REFERENCE_PRESSURE / (pascal * pressure)) ** KAPPA
    theta = temperature * exner
    return theta.astype(temperature.dtype) if temperature.dtype.kind in "fc" else theta


def _require_isentropic(
    level: xr.DataArray, potential: bool, pressure: xr.DataArray | None
) -> None:
    """Raise unless a level coordinate is a potential temperature, with the pressure there."""
    if not potential:
        raise OptionError(
            f"{level.name!r} is a level coordinate, and does not say that it is a potential "
            "temperature; give the temperature on the levels, or if it is one, potential=True"
        )
    if pressure is None:
        raise OptionError(
            f"the levels of {level.name!r} are isentropic, where potential vorticity needs the "
            "pressure on them; give it: pressure="
        )
