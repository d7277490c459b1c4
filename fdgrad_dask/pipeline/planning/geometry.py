"""The section ``grid:`` as the geometry that the operators take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import InputError
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, Plane, Sphere
from fdgrad_dask.grids.model_cells import ModelCells
from fdgrad_dask.grids.models import find_layout
from fdgrad_dask.grids.places import carry_places, list_candidates
from fdgrad_dask.grids.staggered import Grid as Staggered
from fdgrad_dask.pipeline.config import operators as catalog
from fdgrad_dask.pipeline.config.grid import Grid
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.config.source import Picked
from fdgrad_dask.pipeline.source.open import IN_MEMORY
from fdgrad_dask.pipeline.source.select import selected

_BY_POINT = ("dx", "dy", "area", "fraction")


def geometry_of(grid: Grid, variable: Callable[[str], xr.DataArray]) -> Geometry | None:
    """What a grid says, with variables in place of their names; None if the coordinates decide."""

    def read(value: Any) -> Any:
        if isinstance(value, dict):
            return {point: variable(name) for point, name in value.items()}
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
        case "staggered":
            assert grid.staggering is not None
            ends = {} if grid.boundary is None else dict.fromkeys("xy", grid.boundary)
            sizes = {key: read(getattr(grid, key) or {}) for key in _BY_POINT}
            return Staggered(
                **{**vars(grid.staggering), **sizes, **radius},
                boundary=grid.boundary if isinstance(grid.boundary, dict) else ends,
                source="the config",
            )
    return None


def with_grid(config: Config, source: xr.Dataset) -> xr.Dataset:
    """``source`` with the variables that `grid:` names in memory, and places that do not move.

    WRF writes its latitude and longitude again for each time: where they are the same for all, the
    grid has them once.

    Raises
    ------
    InputError
        The grid moves, as the nest around a storm does.
    """
    on_grid = [step for step in config.steps if catalog.takes_grid(step.operator)]
    grids = [grid for step in on_grid if (grid := config.grid_of(step))]
    shares = {name for grid in grids for name in (grid.fraction or {}).values()}
    named = {name for grid in grids for name in grid.names} & {*source.variables}
    if on_grid and (layout := find_layout(source)):
        sizes = ModelCells(source, layout).find()
        named |= {name for kind, _, name in sizes if kind != "fraction"}
    inputs = {name for step in config.steps for name in step.inputs} if on_grid else set()
    fields = [source[name] for name in sorted(inputs & {*source.variables})]
    carried = {str(name) for one in fields for name in carry_places(one, source).coords}
    named |= carried & {*source.data_vars}
    places = {
        name
        for field in fields
        for key in ("latitude", "longitude")
        for name in list_candidates(field, key, 3)
    }
    for name in sorted(map(str, named | places)):
        variable = source.variables[name]
        if variable.ndim == 3 and name not in shares:
            _require_still(name, variable)
            lead = str(variable.dims[0])
            variable = selected(source[[name]], {lead: Picked(index=0)}).variables[name]
        if name in named and variable.size <= IN_MEMORY:
            variable = variable.copy(deep=False).load()
        if variable is not source.variables[name]:
            put = source.assign_coords if name in source.coords else source.assign
            source = put({name: variable})
    return source


def _require_still(name: str, variable: xr.Variable) -> None:
    """Refuses a grid whose positions change along its first dimension; one row in memory."""
    first, lead = variable[0].values, variable.dims[0]
    for number in range(1, variable.shape[0]):
        if not np.array_equal(first, variable[number].values, equal_nan=True):
            raise InputError(
                f"{name!r} changes along {lead!r}, from 0 to {number}: the grid moves, and an "
                f"operator needs one that stands still; take one of them by source.select: "
                f"{{{lead}: {{index: 0}}}}, each in a run of its own"
            )
