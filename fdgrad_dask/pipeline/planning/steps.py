"""The steps of a config, as one lazy Dataset.

A step takes its inputs by name, from the source or from an earlier step, and calls the operator
that a notebook would call; nothing is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import xarray as xr

from fdgrad_dask import operators
from fdgrad_dask.errors import ConfigError, FdgradError, InputError
from fdgrad_dask.grids.vertical import LEVELS
from fdgrad_dask.operators.datasets import call_on
from fdgrad_dask.pipeline.config import operators as catalog
from fdgrad_dask.pipeline.config.schema import Config, Step
from fdgrad_dask.pipeline.planning.geometry import geometry_of
from fdgrad_dask.pipeline.source.select import named_in


def build(config: Config, source: xr.Dataset) -> xr.Dataset:
    """Every output of every step, lazy, with the coordinates and grid mappings of the inputs.

    Raises
    ------
    InputError
        An input is neither in the source nor an output of an earlier step.
    ConfigError
        Two results have one name, or an operator refuses its options.
    """
    known = source
    results: dict[str, xr.DataArray] = {}
    for number, step in enumerate(config.steps):
        place = f"steps[{number}]"
        for name, array in _named(step, _called(step, known, config, place), place):
            if name in known.variables:
                raise ConfigError(
                    f"{place}: {name!r} is already there, {_giver(name, results)} gives it; "
                    "rename it by output"
                )
            results[name] = array.rename(name)
            known = known.assign({name: array.variable})
    result = xr.Dataset(results, attrs=source.attrs)
    return result.assign_coords(_related(result, source))


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
        is_of_grid = "geometry=" in str(error) or "Grid(" in str(error)
        in_yaml = ", as keys of the section grid" if is_of_grid else ""
        raise type(error)(f"{_told(step, place)}: {error}{in_yaml}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{_told(step, place)}: {error}; see the options of the step") from error
    return result


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


def _giver(name: str, results: dict[str, xr.DataArray]) -> str:
    return "an earlier step" if name in results else "the source"


def _related(result: xr.Dataset, source: xr.Dataset) -> dict[str, xr.Variable]:
    """Grid mappings and bounds that no single array carries, where their dims are unchanged."""
    missing = (named_in(result) & set(map(str, source.coords))) - set(map(str, result.coords))
    found = {name: source.variables[name] for name in sorted(missing)}
    return {
        name: variable
        for name, variable in found.items()
        if all(result.sizes.get(dim, size) == size for dim, size in variable.sizes.items())
    }
