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
        dataset = vars(accessor).get("_dataset")
        if dataset is None:
            return method(accessor, *fields, **options)
        dataset, options, terms = offer_terms(method.__name__, dataset, options)
        return drop_terms(method(type(accessor)(dataset), *fields, **options), terms)

    return cast(Method, called)


def offer_terms(
    operator: str, dataset: xr.Dataset, options: Mapping[str, Any]
) -> tuple[xr.Dataset, dict[str, Any], list[str]]:
    """The dataset whose formula terms are coordinates, if an operator may need them.

    Also its options, with variables for their names, and the terms, which no result is to carry.
    """
    named = {key: options[key] for key in COORDINATES if isinstance(options.get(key), str)}
    if not named and operator not in ("potential_vorticity", "q_vector"):
        return dataset, {**options}, []
    terms, known = list_terms(dataset, dataset), dataset.variables
    found = {key: dataset[n] for key, n in named.items() if n in known and known[n].ndim > 0}
    return dataset.set_coords(terms), {**options, **found}, terms


def drop_terms(result: xr.DataArray | xr.Dataset, terms: list[str]) -> xr.DataArray | xr.Dataset:
    """A result without the formula terms that its fields were offered."""
    return result.drop_vars([name for name in terms if name in result.coords])
