"""Where fields enter the operators: the one place that knows other kinds of arrays.

Quantities of pint become numbers with a ``units`` attribute, and what comes out becomes a
quantity again. What is neither NumPy, dask nor JAX is refused, not computed behind the back of
whoever made it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import in_double, is_jax
from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.geometry import Curvilinear, Geometry
from fdgrad_dask.grids.units import to_pint
from fdgrad_dask.halo.compute import is_dask

P = ParamSpec("P")
R = TypeVar("R")


def takes_fields(operator: Callable[P, R]) -> Callable[P, R]:
    """The operator for any DataArray: its fields are the parameters that come before its options.

    ``coordinate`` and the arrays of a geometry enter in the same way.
    """
    signature = inspect.signature(operator)
    fields = [p.name for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    fields = [name for name in fields if name != "dim"]
    takes_datasets = "Dataset" in str(signature.parameters[fields[0]].annotation)

    @functools.wraps(operator)
    def entered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return operator(*args, **kwargs)  # Python says what is missing, with the right name
        plain: dict[str, Any] = dict(given)
        for name in [name for name in fields if given.get(name) is not None]:
            plain[name] = _field(given[name], name, operator.__name__, takes_datasets)
        if given.get("coordinate") is not None and isinstance(given["coordinate"], xr.DataArray):
            plain["coordinate"] = _numbers(given["coordinate"])
        _check_options(plain)
        if isinstance(plain.get("geometry"), Curvilinear):
            plain["geometry"] = _numbers_of_geometry(plain["geometry"])
        with in_double(_arrays_of([plain.get(name) for name in [*fields, "coordinate"]])):
            result = operator(**plain)  # type: ignore[call-arg]
        for name in fields:
            if plain.get(name) is not given.get(name):
                result = cast(R, _as_before(result, given[name]))
        return result

    return entered


def _field(given: Any, name: str, operator: str, takes_datasets: bool) -> Any:
    """A field whose data are numbers that can be computed with."""
    if takes_datasets and isinstance(given, xr.Dataset):
        fields = dict(given.data_vars)
        numbers = {key: _numbers(one) for key, one in fields.items()}
        is_plain = all(numbers[key] is one for key, one in fields.items())
        return given if is_plain else xr.Dataset(numbers)
    if not isinstance(given, xr.DataArray):
        way = (
            f"call ds.fdgrad.{operator}(…) for names"
            if isinstance(given, str)
            else ("label it first: xarray.DataArray(…, coords=…, dims=…)")
        )
        raise OptionError(
            f"{name} is a {type(given).__name__}, but {operator} takes a DataArray; {way}"
        )
    return _numbers(given)


def _numbers(field: xr.DataArray) -> xr.DataArray:
    """The field, with the units of a quantity in its attribute; as lazy as it was."""
    data = _held(field)
    coords = _plain_coords(field)
    quantity = _quantity_in(data)
    if quantity is not None:
        units = quantity.units
        if data is quantity:
            data = data.magnitude
        else:
            data = data.map_blocks(_magnitude, units, meta=quantity.magnitude)
        field = field.copy(data=data).assign_attrs(units=_text(units))
    kind = getattr(data, "_meta", None) if is_dask(data) else data
    unit = getattr(kind, "unit", getattr(kind, "units", None))
    if unit is not None:  # of astropy, unyt, …: subclasses of NumPy's array
        raise OptionError(
            f"{field.name!r} holds a {type(kind).__module__}.{type(kind).__name__} in {unit}, but "
            "only quantities of pint are taken with their unit; give it as an attribute: "
            f".as_numpy().assign_attrs(units={str(unit)!r})"
        )
    # xarray's own wrappers are of data that are not yet loaded.
    is_unloaded = type(kind).__module__.startswith("xarray.")
    if not (kind is None or isinstance(kind, np.ndarray) or is_jax(kind) or is_unloaded):
        raise OptionError(
            f"{field.name!r} holds a {type(kind).__module__}.{type(kind).__name__}, but NumPy, "
            "dask and JAX arrays are what is computed with; convert it first: .as_numpy()"
        )
    return field.assign_coords(coords) if coords else field


def _plain_coords(field: xr.DataArray | xr.Dataset) -> dict[Any, xr.Variable]:
    """The coordinates that are quantities, as numbers with the attribute ``units``."""
    held: dict[Any, Any] = {name: one._data for name, one in field.coords.variables.items()}
    return {
        name: xr.Variable(
            field.coords.variables[name].dims,
            data.magnitude,
            {**field.coords.variables[name].attrs, "units": _text(data.units)},
        )
        for name, data in held.items()
        if _is_quantity(data)
    }


def _arrays_of(fields: list[Any]) -> list[Any]:
    """The arrays that fields and datasets of them hold."""
    arrays = []
    for field in fields:
        held = field.data_vars.values() if isinstance(field, xr.Dataset) else [field]
        arrays += [_held(one) for one in held if isinstance(one, xr.DataArray)]
    return arrays


def _numbers_of_geometry(geometry: Curvilinear) -> Curvilinear:
    given = {name: getattr(geometry, name) for name in ("dx", "dy", "angle")}
    arrays: dict[str, Any] = {
        name: _numbers(one) for name, one in given.items() if isinstance(one, xr.DataArray)
    }
    return replace(geometry, **arrays) if arrays else geometry


def _check_options(options: Mapping[str, Any]) -> None:
    """Raises for options of another type than they have."""
    geometry, coriolis = options.get("geometry"), options.get("coriolis")
    if geometry is not None and not isinstance(geometry, Geometry):
        raise OptionError(
            f"geometry is {geometry!r}; give one of fdgrad_dask.Sphere(), fdgrad_dask.Plane() and "
            "fdgrad_dask.Curvilinear(…), with the brackets"
        )
    if coriolis is not None and not isinstance(coriolis, (int, float, np.number)):
        raise OptionError(f"coriolis is {coriolis!r}; give a number in s-1")


def _as_before(result: Any, field: xr.DataArray | xr.Dataset) -> Any:
    """The result as quantities where ``field`` has them, data and coordinates each."""
    held = [field] if isinstance(field, xr.DataArray) else list(field.data_vars.values())
    quantities = [q for q in (_quantity_in(_held(one)) for one in held) if q is not None]
    if quantities:
        registry = quantities[0]._REGISTRY
        if isinstance(result, xr.DataArray):
            result = _quantity(result, registry)
        else:
            made = {key: _quantity(one, registry) for key, one in result.data_vars.items()}
            result = result.assign(made)
    names = [name for name in _plain_coords(field) if name in result.coords]
    if names:
        result = result.assign_coords(field.coords.to_dataset()[names].coords)
    return result


def _quantity(result: xr.DataArray, registry: Any) -> xr.DataArray:
    """The result as a quantity of ``registry``, if that has its units."""
    expression = to_pint(str(result.attrs.get("units")))
    if expression is None or _is_quantity(_held(result)):
        return result
    try:
        unit = registry.Unit(expression)
    except Exception:  # a unit that this registry lacks stays an attribute
        return result
    made = result.copy(data=registry.Quantity(result.data, unit))
    del made.attrs["units"]
    return made


def _held(field: xr.DataArray) -> Any:
    """The array itself: ``.data`` would load what a file has not given yet."""
    return field.variable._data


def _is_quantity(data: Any) -> bool:
    return hasattr(data, "_REGISTRY") and hasattr(data, "magnitude")


def _quantity_in(data: Any) -> Any:
    """The quantity that an array is, or that the chunks of a dask array are; None for others."""
    kind = getattr(data, "_meta", None) if is_dask(data) else data
    return kind if _is_quantity(kind) else None


def _magnitude(block: Any, units: Any) -> Any:
    return block.m_as(units)


def _text(units: Any) -> str:
    """Units of any registry of pint in words."""
    return f"{units:D}".replace("dimensionless", "1") or "1"
