"""Which grids spherical harmonics can be taken on: the complete sphere, on known latitudes."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.blocks.harmonics import Rings, import_ducc
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.geometry import HorizontalGrid, Sphere, is_pole

# The part of a step by which coordinates may be off their exact places, as files round them. Near
# the poles, latitudes of two kinds are a quarter of a step apart.
_ROUNDING = 0.05
LATITUDES = {
    "CC": "equidistant, with both poles",
    "F1": "equidistant, half a step off the poles",
    "F2": "equidistant, without the poles",
    "DH": "equidistant, with one pole",
    "GL": "Gaussian",
}


def find_rings(field: xr.DataArray, grid: HorizontalGrid) -> Rings:
    """Recognise the rows of a global grid by their latitudes.

    Raises CoordinateError if the grid is not on 1-D longitude and latitude, does not cover the
    globe, or its latitudes are none of those for which quadrature weights are known.
    """
    _require_globe(field, grid)
    latitude, longitude = (axis.points.astype(np.float64) for axis in (grid.y, grid.x))
    rows = len(latitude)
    senses = int(np.sign(latitude[-1] - latitude[0])), int(np.sign(longitude[-1] - longitude[0]))
    poles = is_pole(latitude[[0, -1]])
    is_reversed = bool(poles[-1] and not poles[0])
    if is_reversed:
        latitude, senses = latitude[::-1], (-senses[0], senses[1])
    found = _find_kind(-senses[0] * latitude)
    if found is None:
        rising = sorted(latitude[[0, -1]].tolist())
        raise CoordinateError(
            f"the {rows} latitudes of {field.name!r}, {rising[0]:g} to {rising[1]:g} degrees, are "
            "neither evenly spaced from pole to pole nor Gaussian, but spherical harmonics need "
            "one of these; take the complete globe, or if these rows are all, interpolate them: "
            f".interp({grid.y.name}=numpy.linspace(-90, 90, {rows | 1}), "
            "kwargs={'fill_value': 'extrapolate'})"
        )
    axes = tuple(axis.number - field.ndim for axis in (grid.y, grid.x))
    rings = Rings(found, rows, len(longitude), (axes[0], axes[1]), senses, is_reversed)
    if rings.limit < 1:
        raise CoordinateError(
            f"{field.name!r} has {rows} latitudes and {len(longitude)} longitudes, which resolve "
            "no harmonic; spherical harmonics need at least 3 longitudes, and 3 to 5 latitudes: "
            "take the complete globe"
        )
    return rings


def check_truncation(truncation: Any, rings: Rings, name: Any) -> int:
    """The truncation that is asked for, or the largest that the grid resolves."""
    limit = rings.limit
    if truncation is None:
        return limit
    is_whole = isinstance(truncation, int | np.integer) and not isinstance(truncation, bool)
    if not is_whole or not 0 <= truncation <= limit:
        raise OptionError(
            f"truncation is {truncation!r}, but the {rings.rows} latitudes "
            f"({LATITUDES[rings.kind]}) and {rings.columns} longitudes of {name!r} resolve degrees "
            f"of 0 to {limit}; give a whole number among these, or None for the largest"
        )
    return int(truncation)


def _require_globe(field: xr.DataArray, grid: HorizontalGrid) -> None:
    """Raise unless the grid is a sphere with complete circles of evenly spaced longitudes."""
    need = "but spherical harmonics need 1-D longitude and latitude over the complete globe"
    if not isinstance(grid.geometry, Sphere) or grid.is_rotated:
        found = f"the geometry of {field.name!r} is {type(grid.geometry).__name__}"
        if grid.is_rotated:
            found = f"the longitudes of {field.name!r} are about a rotated pole"
        raise CoordinateError(
            f"{found}, {need}; if the field covers the globe, interpolate it to such a grid, a "
            "wind after rotate_to_earth"
        )
    points = grid.x.points.astype(np.float64)
    step = (points[-1] - points[0]) / (len(points) - 1)
    even = points[0] + step * np.arange(len(points))
    is_even = bool((np.abs(points - even) <= _ROUNDING * abs(step)).all())
    if not (grid.periodic[1] and is_even):
        found = "" if is_even else ", unevenly spaced"
        raise CoordinateError(
            f"the {len(points)} longitudes of {field.name!r} go from {points[0]:g} to "
            f"{points[-1]:g} degrees{found}, which is no full circle of even steps, {need}; take "
            "all its longitudes, before anything is selected, or interpolate to even ones"
        )


def _find_kind(latitude: NDArray[np.float64]) -> str | None:
    """The kind of latitudes that fall from the first to the last; None if it is unknown."""
    n, i = len(latitude), np.arange(len(latitude))
    kinds = {
        "CC": 180.0 * i / (n - 1),
        "F1": 180.0 * (i + 0.5) / n,
        "F2": 180.0 * (i + 1) / (n + 1),
        "DH": 180.0 * i / n,
        "GL": np.rad2deg(import_ducc().misc.GL_thetas(n)),
    }
    for kind, angles in kinds.items():
        if (np.abs(90.0 - angles - latitude) <= _ROUNDING * 180.0 / n).all():
            return kind
    return None
