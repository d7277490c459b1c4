"""Fields at another point of a staggered grid: means of two neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from fdgrad_dask.grids.cells import Cells, across, is_on_face
from fdgrad_dask.grids.geometry import Curvilinear
from fdgrad_dask.grids.places import LATITUDES, find_1d
from fdgrad_dask.grids.staggered import Grid, find_point
from fdgrad_dask.operators.staggered import StaggeredPass

# What is computed where the grid has it. All others are on fields at the same points.
_OF_SCALARS = {"gradient_magnitude", "horizontal_gradient", "laplacian"}
_OF_WINDS = {"absolute_vorticity", "deformation", "divergence", "kinematics", "vorticity"}


def place_fields(operator: str, names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operator on a staggered grid: as they are, where it has its own equation.

    For all others fields at several points are interpolated to the centres of cells, and fields at
    one point stay there; their geometry is what their coordinates say.
    """
    grid = given["geometry"]
    fields = {name: given[name] for name in names if isinstance(given.get(name), xr.DataArray)}
    points = {find_point(field, grid) for field in fields.values()}
    if operator in _OF_SCALARS or (operator in _OF_WINDS and points in ({"u", "v"}, {"corner"})):
        return dict(given)
    if len(points) == 1:
        return {**given, "geometry": None}
    every = list(fields.values())
    placed = {n: interpolate_to(one, grid, "center", beside=every) for n, one in fields.items()}
    here = Cells(grid, list(placed.values()), ["center"] * len(placed)).template("center")
    geometry = None
    if "center" in grid.dx and "center" in grid.dy:
        geometry = Curvilinear(grid.radius, grid.dx["center"], grid.dy["center"])
    elif find_1d(here, "latitude", names=LATITUDES) is None:
        geometry = Curvilinear(grid.radius, components="grid")
    boundary = given.get("boundary")
    if boundary is None:
        dims = {"x": grid.x["center"], "y": grid.y["center"]}
        boundary = {d: "periodic" for axis, d in dims.items() if grid.ends(axis)[0] == "periodic"}
    return {**given, **placed, "geometry": geometry, "boundary": boundary or None}


def interpolate_to(
    field: xr.DataArray,
    grid: Grid,
    point: str,
    *,
    at: str | None = None,
    beside: Sequence[xr.DataArray] = (),
) -> xr.DataArray:
    """The field at another point of the grid: the mean of its neighbours along x, then along y.

    Coordinates of that point are those of the grid and of the fields ``beside``.
    """
    at = at or find_point(field, grid)
    for axis in "xy":
        if is_on_face(at, axis) != is_on_face(point, axis):
            fused = StaggeredPass(grid, field, points=[at], beside=beside)
            (data,) = fused.solve(fused.mean(fused.fields[0], axis, at))
            at, attrs = across(at, axis), field.attrs
            field = fused.named_at(data, at, field.name, "", None)
            field.attrs = dict(attrs)
    return field
