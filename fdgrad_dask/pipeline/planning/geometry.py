"""The section ``grid:`` as the geometry that the operators take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr

from fdgrad_dask.grids.geometry import Curvilinear, Geometry, Plane, Sphere
from fdgrad_dask.pipeline.config.grid import Grid


def geometry_of(grid: Grid, variable: Callable[[str], xr.DataArray]) -> Geometry | None:
    """What a grid says, with variables in place of their names; None if the coordinates decide."""

    def read(value: Any) -> Any:
        return variable(value) if isinstance(value, str) else value

    radius = {} if grid.radius is None else {"radius": grid.radius}
    match grid.kind:
        case "plane":
            return Plane(grid.metres)
        case "sphere":
            return Sphere(**radius)
        case "curvilinear":
            arrays = {key: read(getattr(grid, key)) for key in ("dx", "dy", "angle")}
            return Curvilinear(**radius, **arrays, components=grid.components)
    return None
