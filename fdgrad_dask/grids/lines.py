"""1-D longitude and latitude along the axes of a staggered grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.grids.places import LATITUDES, LONGITUDES, find_1d, find_2d, repeat_axes
from fdgrad_dask.grids.staggered import POINTS, Grid

Lines = Mapping[tuple[str, bool], Any]
FACES = {  # which of all faces these are
    "left": slice(None, -1),
    "right": slice(1, None),
    "inner": slice(1, -1),
    "outer": slice(None),
}
_UNITS = {"x": "degrees_east", "y": "degrees_north"}


def read_lines(grid: Grid, templates: Mapping[str, xr.DataArray]) -> Lines:
    """1-D longitudes and latitudes in degrees, by axis and by whether they are of faces.

    ``templates`` have the coordinates of each point. Faces without coordinates are halfway between
    the centres.
    """
    lines: dict[tuple[str, bool], Any] = {}
    for axis, key, names in (("x", "longitude", LONGITUDES), ("y", "latitude", LATITUDES)):
        for point in ("center", "corner"):
            here = templates[point]
            name = find_1d(here, key, names=names)
            dim = grid.dims(point)["yx".index(axis)]
            is_along = name is not None and here.coords[name].dims == (dim,)
            line = here.coords[name].values.astype(np.float64) if is_along else None
            lines[axis, point == "corner"] = line
        centers = lines[axis, False]
        if lines[axis, True] is None and centers is not None and len(centers) > 1:
            first, last = 2 * centers[0] - centers[1], 2 * centers[-1] - centers[-2]
            around = np.concatenate([[first], centers, [last]])
            lines[axis, True] = ((around[1:] + around[:-1]) / 2)[FACES[grid.face(axis)]]
    return lines


def are_nominal(lines: Lines, grid: Grid, templates: Mapping[str, xr.DataArray]) -> bool:
    """True if 2-D longitude and latitude at any point differ from the lines there.

    Raises CoordinateError if these are dask arrays, which cannot be compared.
    """
    for point, here in templates.items():
        along = {axis: lines[axis, on] for axis, on in zip("xy", POINTS[point], strict=True)}
        if any(line is None for line in along.values()):
            continue
        lat, lon = (find_2d(here, key) for key in ("latitude", "longitude"))
        if lat is None or lon is None:
            continue
        both = {name: here.coords.variables[name] for name in (lat, lon)}
        labels = {
            dim: (dim, along[axis], {"units": _UNITS[axis]})
            for axis, dim in zip("yx", grid.dims(point), strict=True)
        }
        if not repeat_axes(xr.DataArray(here.variable, {**both, **labels}, name=point), lat, lon):
            return True
    return False
