"""What a wind does to a field: advection, frontogenesis, Q vectors."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import xarray as xr

from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.attributes import choose_name
from fdgrad_dask.grids.earth import DRY_AIR
from fdgrad_dask.grids.metric_terms import inverse
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.expression import Expression, Factor, hypot
from fdgrad_dask.operators.horizontal import Wind
from fdgrad_dask.operators.options import AdvectionOptions, LevelOptions, QVectorOptions
from fdgrad_dask.operators.roles import find_kelvin_scale, find_speed_factor, is_potential
from fdgrad_dask.operators.verticals import (
    find_pressure,
    find_pressure_field,
    find_rate_factor,
    find_vertical_axis,
)


@takes_fields
def advection(
    u: xr.DataArray,
    v: xr.DataArray,
    scalar: xr.DataArray,
    w: xr.DataArray | None = None,
    **options: Unpack[AdvectionOptions],
) -> xr.DataArray:
    """−v·∇s = −(u/h_x ∂s/∂x + v/h_y ∂s/∂y [+ w ∂s/∂z]), in units of s per second.

    Parameters
    ----------
    u, v
        The wind along x and y.
    scalar
        What is carried along, on the same points.
    w
        The vertical wind, in units of the vertical coordinate per time: Pa s-1 on pressure
        levels, where it is omega. On a depth its standard_name has to say whether it is upward
        or downward; on a height it is upward unless that says downward. With it the wind has
        units of speed; m s-1 is assumed if there are none. With ``constant`` it is in units of
        that per time.
    positive
        ``"up"`` or ``"down"``, how the vertical coordinate grows where its attributes do not say.
    vertical
        The vertical coordinate, if CF attributes do not tell.
    edge_order, accuracy, boundary, skipna, geometry, constant
        See `divergence`.

    Returns
    -------
    DataArray
        The dims, coords and chunks of u; positive where the wind comes from higher values. NaN
        at a pole.

    Raises
    ------
    CoordinateError
        The fields do not lie on the same points, or their axes cannot be inferred.
    OptionError
        The units of ``w`` are not those of the vertical coordinate per time, or nothing says
        whether it points up or down; or what is given in place of the wind is none.
    """
    wind = Wind(u, v, *([scalar] if w is None else [scalar, w]), **options)
    s = wind.fields[2]
    s_x, s_y = wind.gradient(s)
    east, north = wind.to_earth(wind.u, wind.v)
    carried = east * s_x + north * s_y
    if w is not None:
        if wind.options.constant is None:
            axis = find_vertical_axis(wind.template, wind.options.vertical)
            level = wind.template.coords.get(axis.name)
        else:
            axis, level = wind.level_axis, wind.labelled[-1]
        unit = find_rate_factor(w, axis, level, wind.options.positive)
        unit /= find_speed_factor(wind.template, "advection with a vertical wind")
        carried += wind.fields[3] * (unit * wind.d(s, axis))
    (data,) = wind.solve(-carried)
    name, units = choose_name(scalar.name), wind.per_metre(times=scalar.attrs.get("units"))
    return wind.named(data, f"{name}_advection", f"advection of {name}", units)


@takes_fields
def frontogenesis(
    u: xr.DataArray, v: xr.DataArray, scalar: xr.DataArray, **options: Unpack[LevelOptions]
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
    wind = Wind(u, v, scalar, **options)
    u_x, u_y, v_x, v_y = wind.velocity_gradient()
    s_x, s_y = wind.gradient(wind.fields[2])
    size = hypot(s_x, s_y)
    # The square of a small gradient would vanish; and what is divided and then read twice, XLA
    # computes first, as an array: the whole took three times as long.
    east, north = s_x / size, s_y / size
    (data,) = wind.solve(-(east * (s_x * u_x + s_y * (v_x + u_y)) + north * (s_y * v_y)))
    name, units = choose_name(scalar.name), wind.per_metre(2, times=scalar.attrs.get("units"))
    return wind.named(data, f"{name}_frontogenesis", f"frontogenesis of {name}", units)


@takes_fields
def q_vector(
    u: xr.DataArray, v: xr.DataArray, temperature: xr.DataArray, **options: Unpack[QVectorOptions]
) -> xr.Dataset:
    """Q = −(R/p) (∂v_g/∂x · ∇T, ∂v_g/∂y · ∇T), in m2 kg-1 s-1.

    The right side of the omega equation is −2 ∇·Q (Hoskins et al. 1978; Holton and Hakim 2013,
    eq. 6.46, without their factor 1/σ).

    Parameters
    ----------
    u, v
        The geostrophic wind, in any unit of speed; m s-1 is assumed if there are no units.
    temperature
        In kelvin or degrees Celsius, as its units say, on the same levels.
    vertical
        The pressure coordinate, if CF attributes do not tell; of one level a scalar one.
    pressure
        The pressure of levels of another kind, a field; without it that of their formula terms.
        Derivatives are taken where it is constant, as with the option ``constant`` of
        `divergence`.
    edge_order, accuracy, boundary, skipna, geometry
        See `divergence`.

    Returns
    -------
    Dataset
        ``q1`` and ``q2``, with the dims, coords and chunks of u; NaN at a pole.

    Raises
    ------
    CoordinateError
        The fields do not lie on the same points, or their axes cannot be inferred.
    OptionError
        The vertical axis is none of pressure, or the units of the wind or of the temperature are
        not those of one.
    """
    if is_potential(temperature):
        raise OptionError(
            f"{temperature.name!r} is a potential temperature, but a Q vector needs the "
            "temperature itself: θ (p / 1e5 Pa) ** (2 / 7)"
        )
    result = "a Q vector"
    pressure, pascal = find_pressure_field(u, options, result)
    wind = Wind(u, v, temperature, is_directed=True, constant=pressure, **options)
    in_si = find_speed_factor(wind.template, result) * find_kelvin_scale(temperature, result)[0]
    r: Expression
    if pressure is None:
        axes, pascals = find_pressure(wind.template, wind.options.vertical, result)
        r = Factor(in_si * DRY_AIR * inverse(pascals), axes)
    else:
        r = Factor(np.asarray(in_si * DRY_AIR / pascal)) / wind.levels
    u_x, u_y, v_x, v_y = wind.velocity_gradient()
    t_x, t_y = wind.gradient(wind.fields[2])
    t_x, t_y = r * t_x, r * t_y
    made = wind.solve(-(u_x * t_x + v_x * t_y), -(u_y * t_x + v_y * t_y))
    return wind.to_dataset(
        wind.named(data, name, f"Q vector along {side}", "m2 kg-1 s-1")
        for data, name, side in zip(made, ("q1", "q2"), "xy", strict=True)
    )
