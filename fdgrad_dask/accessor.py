"""``.fdgrad`` on DataArrays and Datasets: the operators, called on fields.

The methods are made from ``operators.__all__``, so there is one list. On a DataArray they are the
operators of one field; on a Dataset the fields are named: ``ds.fdgrad.vorticity("u", "v")``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NoReturn

import xarray as xr

from fdgrad_dask import operators
from fdgrad_dask.errors import did_you_mean
from fdgrad_dask.grids.projections import carry_grid_mapping

Operator = Callable[..., Any]


@xr.register_dataarray_accessor("fdgrad")
class DataArrayAccessor:
    """The operators of one field."""

    def __init__(self, field: xr.DataArray) -> None:
        self._field = field

    def __getattr__(self, name: str) -> Any:
        if name in operators.__all__:
            names = fields_of(getattr(operators, name))
            raise AttributeError(
                f"{name} takes the fields {', '.join(names)}; call it on a Dataset that has them: "
                f"ds.fdgrad.{name}({', '.join(map(repr, names))})"
            )
        _refuse(name, type(self))


@xr.register_dataset_accessor("fdgrad")
class DatasetAccessor:
    """The operators on the fields of a dataset, which are given by name."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        _refuse(name, type(self))


def _refuse(name: str, accessor: type) -> NoReturn:
    known = [key for key in vars(accessor) if not key.startswith("_")]
    raise AttributeError(f"fdgrad has no operator {name!r}; {did_you_mean(name, known)}")


def fields_of(operator: Operator) -> list[str]:
    """The parameters of an operator that are fields; its options come behind a ``*``.

    >>> fields_of(operators.vorticity), fields_of(operators.gradient)
    (['u', 'v'], ['field'])
    """
    parameters = inspect.signature(operator).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return [name for name in positional if name != "dim"]


def _on_field(operator: Operator) -> Operator:
    @functools.wraps(operator)
    def method(self: DataArrayAccessor, *args: Any, **options: Any) -> Any:
        return operator(self._field, *args, **options)

    return _shown(method, list(inspect.signature(operator).parameters.values())[1:])


def _on_dataset(operator: Operator) -> Operator:
    fields = fields_of(operator)

    @functools.wraps(operator)
    def method(self: DatasetAccessor, *args: Any, **options: Any) -> Any:
        def field(given: Any) -> Any:
            if given is None or isinstance(given, xr.DataArray):
                return given
            return carry_grid_mapping(self._dataset[given], self._dataset)

        named = {key: field(v) if key in fields else v for key, v in options.items()}
        return operator(*map(field, args), **named)

    return _shown(method, list(inspect.signature(operator).parameters.values()))


def _gradient_of_all(self: DatasetAccessor, *args: Any, **options: Any) -> xr.Dataset:
    result: xr.Dataset = operators.gradient(self._dataset, *args, **options)
    return result


def _shown(method: Operator, parameters: list[inspect.Parameter]) -> Operator:
    """The method with the signature that help and completion show."""
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    rest = [p for p in parameters if p.kind is not p.POSITIONAL_ONLY]
    method.__signature__ = inspect.Signature([own, *rest])  # type: ignore[attr-defined]
    return method


for _name in operators.__all__:
    _operator = getattr(operators, _name)
    setattr(DatasetAccessor, _name, _on_dataset(_operator))
    if len(fields_of(_operator)) == 1:
        setattr(DataArrayAccessor, _name, _on_field(_operator))
# Of a Dataset `gradient` takes all variables, as xarray's differentiate does.
DatasetAccessor.gradient = functools.wraps(operators.gradient)(_gradient_of_all)  # type: ignore[attr-defined]
