"""Operators on fields of a dataset, which has the formula terms of their levels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import xarray as xr

from fdgrad_dask.grids.parametric import list_terms
from fdgrad_dask.grids.vertical import LEVELS as LEVELS

# Options that are fields: coordinates of several dimensions.
COORDINATES = ("coordinate", "constant", "pressure")
Method = TypeVar("Method", bound=Callable[..., Any])


def with_terms(method: Method) -> Method:
    """Let a method of an accessor of datasets find formula terms, which results do not carry."""

    @functools.wraps(method)
    def called(accessor: Any, *fields: Any, **options: Any) -> Any:
        dataset = getattr(accessor, "_dataset", None)
        if dataset is None or not needs_terms(method.__name__, options):
            return method(accessor, *fields, **options)
        offered, options, terms = offer_terms(dataset, options)
        return drop_terms(method(type(accessor)(offered), *fields, **options), terms)

    return cast(Method, called)


def needs_terms(operator: str, options: Mapping[str, Any]) -> bool:
    """True if an operator with these options may need the formula terms of levels."""
    is_asked = any(isinstance(options.get(option), str) for option in COORDINATES)
    return is_asked or operator in ("potential_vorticity", "q_vector")


def offer_terms(
    dataset: xr.Dataset, options: Mapping[str, Any]
) -> tuple[xr.Dataset, dict[str, Any], list[str]]:
    """A dataset whose formula terms are coordinates, and options in which names are variables.

    Also the names of these terms, which a result is not to carry.
    """
    terms = list_terms(dataset, dataset)
    named = {key: options[key] for key in COORDINATES if isinstance(options.get(key), str)}
    found = {
        key: dataset[name]
        for key, name in named.items()
        if name in dataset.variables and dataset.variables[name].ndim > 0
    }
    return dataset.set_coords(terms), {**options, **found}, terms


def drop_terms(result: xr.DataArray | xr.Dataset, terms: list[str]) -> xr.DataArray | xr.Dataset:
    """A result without the formula terms that its fields were offered."""
    return result.drop_vars([name for name in terms if name in result.coords])
