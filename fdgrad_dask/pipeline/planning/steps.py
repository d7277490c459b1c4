"""The steps of a config, as one lazy Dataset.

A step takes its inputs by name, from the source or from an earlier step, and calls the operator
that a notebook would call; nothing is computed.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask import operators
from fdgrad_dask.errors import ConfigError, FdgradError, InputError
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, Plane, Sphere
from fdgrad_dask.grids.model_cells import ModelCells
from fdgrad_dask.grids.models import find_layout
from fdgrad_dask.grids.places import carry_places, list_candidates
from fdgrad_dask.grids.staggered import Grid as Staggered
from fdgrad_dask.grids.vertical import LEVELS
from fdgrad_dask.operators.datasets import call_on
from fdgrad_dask.pipeline.config import operators as catalog
from fdgrad_dask.pipeline.config.grid import Grid
from fdgrad_dask.pipeline.config.schema import Config, Step
from fdgrad_dask.pipeline.config.source import Picked
from fdgrad_dask.pipeline.source.open import IN_MEMORY
from fdgrad_dask.pipeline.source.select import named_in, selected

# Patterns of what messages say in Python, and how a config says it; the first that is found counts.
_IN_YAML = {
    r"geometry=|Grid\(": ", as keys of the section grid",
    r"\.assign_attrs\(": "; a config has source.attrs: {NAME: {KEY: VALUE}} for it",
    r"\.(sortby|drop_duplicates|drop_isel|isel|sel)\(": "; a config takes points in any order by "
    "source.select: {DIMENSION: {indices: [0, 2, 1, …]}}, or reads a file in which that was done",
    r"\.(assign_coords|drop_vars)\(|rad2deg": "; a config changes no values, so write a file "
    "with it",
    r"DataArray": ", in a config the name of a variable",
}
_BY_POINT = ("dx", "dy", "area", "fraction")


def build(config: Config, source: xr.Dataset) -> xr.Dataset:
    """Every output of every step, lazy, with the coordinates and grid mappings of the inputs.

    InputError: an input is neither in the source nor an output of an earlier step. ConfigError: two
    results have one name, or an operator refuses its options.
    """
    known = source
    results: dict[str, xr.DataArray] = {}
    for number, step in enumerate(config.steps):
        place = f"steps[{number}]"
        for name, array in _named(step, _called(step, known, config, place), place):
            if name in known.variables:
                giver = "an earlier step" if name in results else "the source"
                raise ConfigError(
                    f"{place}: {name!r} is already there, {giver} gives it; rename it by output"
                )
            results[name] = array.rename(name)
            known = known.assign({name: array.variable})
    result = xr.Dataset(results, attrs=source.attrs)
    # Grid mappings and bounds that no single array carries, where their dims are unchanged.
    missing = (named_in(result) & set(map(str, source.coords))) - set(map(str, result.coords))
    related = {
        name: source.variables[name]
        for name in sorted(missing)
        if all(result.sizes.get(dim, n) == n for dim, n in source.variables[name].sizes.items())
    }
    return result.assign_coords(related)


def _called(step: Step, known: xr.Dataset, config: Config, place: str) -> xr.DataArray | xr.Dataset:
    def variable(name: str) -> xr.DataArray:
        if name not in known.variables:
            raise InputError(
                f"{place}: no variable {name!r} in {config.source.shown} or an earlier step; "
                f"{catalog.did_you_mean(name, map(str, known.data_vars))}"
            )
        return known[name]

    accepted = catalog.options_of(step.operator)
    options = {
        name: variable(value)
        if isinstance(value, str)
        and catalog.takes_variable(accepted[name])
        # Words for a coordinate that formula terms give, unless a variable has that name.
        and (value not in LEVELS or value in known.variables)
        else value
        for name, value in step.options.items()
        if name in accepted
    }
    if grid := config.grid_of(step):
        options["geometry"] = geometry_of(grid, variable)
        if "boundary" in accepted and grid.kind != "staggered":
            options.setdefault("boundary", grid.boundary)
    for name in step.inputs:
        variable(name)
    try:
        result: xr.DataArray | xr.Dataset = call_on(
            known, getattr(operators, step.operator), step.inputs, options
        )
    except FdgradError as error:
        raise type(error)(f"{_told(step, place)}: {error}{_in_yaml(str(error))}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{_told(step, place)}: {error}; see the options of the step") from error
    return result


def _in_yaml(message: str) -> str:
    """How a config says what a message has in Python; nothing where it has none."""
    return next((words for python, words in _IN_YAML.items() if re.search(python, message)), "")


def _told(step: Step, place: str) -> str:
    return f"{place}, {step.operator} of {', '.join(step.inputs)}"


def _named(
    step: Step, result: xr.DataArray | xr.Dataset, place: str
) -> Iterator[tuple[str, xr.DataArray]]:
    """The arrays of a result, under the names that the config gives them."""
    if isinstance(result, xr.DataArray):
        own: dict[Any, xr.DataArray] = {result.name or step.operator: result}
    else:
        own = dict(result.data_vars)
    names = step.output or tuple(str(name) for name in own)
    if len(names) != len(own):
        raise ConfigError(
            f"{place}.output: {step.operator} gives {len(own)} ({', '.join(map(str, own))}), "
            f"got {len(names)} names; name each of them"
        )
    return zip(names, own.values(), strict=True)


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

    InputError: the grid moves, as the nest around a storm does.
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
