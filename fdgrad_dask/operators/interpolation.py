"""Fields at another point of a staggered grid: means of two neighbours."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import xarray as xr

from fdgrad_dask.grids.cells import Cells
from fdgrad_dask.grids.geometry import Curvilinear
from fdgrad_dask.grids.places import LATITUDES, find_1d, find_2d
from fdgrad_dask.grids.staggered import Grid, across, find_point, is_on_face
from fdgrad_dask.operators.staggered import StaggeredPass

# What is computed where the grid has it. All others are on fields at the same points.
_OF_SCALARS = {"gradient_magnitude", "horizontal_gradient", "interpolate", "laplacian"}
_OF_WINDS = {"absolute_vorticity", "deformation", "divergence", "kinematics", "vorticity"}


def place_fields(
    operator: str, names: Sequence[str], given: Mapping[str, Any], parameters: Collection[str]
) -> dict[str, Any]:
    """The arguments of an operator on a staggered grid: as they are, where it has its own equation.

    For all others fields at several points are interpolated to the centres of cells, and fields at
    one point stay there; their geometry is what their coordinates say.
    """
    grid = given["geometry"]
    fields = {name: given[name] for name in names if isinstance(given.get(name), xr.DataArray)}
    points = {find_point(field, grid) for field in fields.values()}
    if operator in _OF_SCALARS or (operator in _OF_WINDS and points in ({"u", "v"}, {"corner"})):
        return dict(given)
    point = next(iter(points)) if len(points) == 1 else "center"
    around = dict.fromkeys(_list_periodic(grid, point), "periodic")
    boundary = {"boundary": around} if around and "boundary" in parameters else {}
    if len(points) == 1:
        return {**boundary, **given, "geometry": None}
    every = list(fields.values())
    placed = {n: interpolate_to(one, grid, "center", beside=every) for n, one in fields.items()}
    here = Cells(grid, list(placed.values()), ["center"] * len(placed)).template("center")
    geometry = None
    if find_2d(here, "latitude") is not None:
        geometry = Curvilinear(grid.radius, components="grid")
    elif find_1d(here, "latitude", names=LATITUDES) is None and "center" in grid.dx:
        geometry = Curvilinear(grid.radius, grid.dx["center"], grid.dy.get("center"))
    return {**boundary, **given, **placed, "geometry": geometry}


def _list_periodic(grid: Grid, point: str) -> list[Hashable]:
    """The dimensions of a point along which its last value stands before its first."""
    axes = zip("yx", grid.dims(point), strict=True)
    return [
        dim
        for axis, dim in axes
        if grid.ends(axis)[0] == "periodic"
        and not (grid.face(axis) == "outer" and is_on_face(point, axis))  # it is there twice
    ]


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
