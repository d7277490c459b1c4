"""The angle from east to the x axis as files of models give it, or its cosine and sine."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.units import conversion_factor

_STANDARD_NAME = "angle_of_rotation_from_east_to_x"  # CF
_ANGLES = ("angle", "ANGLE", "ANGLET")  # of ROMS; of POP and CICE, at velocities and tracers
_PAIRS = (("COSALPHA", "SINALPHA"), ("CS", "SN"), ("AngleCS", "AngleSN"))  # of WRF; of MITgcm


def carry_angle(field: xr.DataArray, dataset: xr.Dataset) -> xr.DataArray:
    """Give a variable of a dataset the angle at its points, where that is a variable too."""
    known = {name: one for name, one in dataset.variables.items() if set(one.dims) <= {*field.dims}}
    names = [name for found in _list_angles(known) for name in found]
    return field.assign_coords({n: known[n] for n in names if n in dataset.data_vars})


def find_rotation(field: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Cosine and sine of the one angle among the coordinates; None if there is none, or several."""
    found = _list_angles(field.coords.variables)
    if len(found) != 1:
        return None
    names = found[0]
    if len(names) == 2:
        cosine, sine = (field.coords[name].astype(np.float64) for name in names)
    else:
        angle = field.coords[names[0]]
        units = angle.attrs.get("units")
        radians = conversion_factor(units, "radian")
        if radians is None:
            raise CoordinateError(
                f"the angle {names[0]!r} has the units {units!r}; set them to degrees or radians"
            )
        turned = angle.astype(np.float64) * radians
        cosine, sine = np.cos(turned), np.sin(turned)
    return cosine, sine


def _list_angles(variables: Mapping[Hashable, xr.Variable]) -> list[tuple[Hashable, ...]]:
    """Names of the angles among some variables, and of pairs of cosine and sine."""
    found: list[tuple[Hashable, ...]] = [
        (name,)
        for name, one in variables.items()
        if one.attrs.get("standard_name") == _STANDARD_NAME or (name in _ANGLES and _is_angle(one))
    ]
    return found + [pair for pair in _PAIRS if set(pair) <= variables.keys()]


def _is_angle(variable: xr.Variable) -> bool:
    """True for an array with a unit of angle: what else is called an angle is no rotation."""
    units = variable.attrs.get("units")
    is_known = units is not None and conversion_factor(units, "radian") is not None
    return variable.ndim > 0 and is_known
