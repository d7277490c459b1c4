"""Operators of a vector field in three dimensions, on a plane."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.geometry import Plane
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.expression import Factor
from fdgrad_dask.operators.horizontal import Wind
from fdgrad_dask.operators.options import CurlOptions
from fdgrad_dask.operators.roles import convert_to_unit
from fdgrad_dask.operators.verticals import (
    find_sense,
    find_vertical_axis,
    is_upward,
    refuse_parametric,
)


@takes_fields
def curl(
    u: xr.DataArray, v: xr.DataArray, w: xr.DataArray, **options: Unpack[CurlOptions]
) -> xr.Dataset:
    """∇ × v = (∂w/∂y − ∂v/∂z, ∂u/∂z − ∂w/∂x, ∂v/∂x − ∂u/∂y), in units of u per metre.

    Parameters
    ----------
    u, v, w
        The components along x, y and z, on the same points of a Cartesian grid, of one kind of
        unit. ``w`` is upward, unless its standard_name says downward.
    vertical
        The coordinate z, with a unit of length, if CF attributes do not tell.
    positive
        ``"down"`` for a z that grows downward, where its attributes do not say it.
    edge_order, accuracy, boundary, skipna, geometry
        See `divergence`.

    Returns
    -------
    Dataset
        ``curl_x``, ``curl_y`` and ``curl_z``, with the dims, coords and chunks of u.

    Raises
    ------
    CoordinateError
        The fields do not lie on the same points, or the axes are not those of a plane.
    OptionError
        The vertical coordinate has no unit of length, or the components are of several kinds.
    """
    w = convert_to_unit(u, w if is_upward(w) is not False else w.copy(data=-w.data))
    wind = Wind(u, v, w, **options)
    if not isinstance(wind.grid.geometry, Plane):
        kind = type(wind.grid.geometry).__name__.lower()
        raise CoordinateError(
            f"{u.name!r} lies on a {kind} grid, but the curl of three components is that of a "
            "plane; for the part around the vertical see vorticity"
        )
    axis = find_vertical_axis(wind.template, wind.options.vertical)
    metres = conversion_factor(axis.units, "m")
    if metres is None:
        raise OptionError(
            f"the vertical axis {axis.name!r} has the units {axis.units!r}; a curl needs a length: "
            "set them"
        )
    levels = wind.template.coords[axis.name]
    refuse_parametric(levels, "a curl")
    sense = -1 if find_sense(levels, wind.options.positive) is False else 1
    z = Factor(np.full(wind.template.sizes[axis.dim], sense / metres), (axis,))
    w_x, w_y = wind.gradient(wind.fields[2])
    u_z, v_z = z * wind.d(wind.u, axis), z * wind.d(wind.v, axis)
    made = wind.solve(w_y - v_z, u_z - w_x, wind.vorticity())
    return wind.to_dataset(
        wind.named(data, f"curl_{side}", f"curl, component along {side}", wind.per_metre())
        for side, data in zip("xyz", made, strict=True)
    )
