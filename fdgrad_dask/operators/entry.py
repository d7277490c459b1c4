"""Where fields enter the operators: the one place that knows other kinds of arrays.

Quantities of pint become numbers with a ``units`` attribute, and what comes out becomes a
quantity again. What is neither NumPy, dask nor JAX is refused, not computed behind the back of
whoever made it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import in_double, is_jax
from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.attributes import Unnamed, require_decoded
from fdgrad_dask.grids.geometry import Curvilinear, Geometry
from fdgrad_dask.grids.staggered import Grid
from fdgrad_dask.grids.units import to_pint
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.columns import find_repeated_columns, solve_without_columns
from fdgrad_dask.operators.connected import has_faces, has_fold, solve_connected
from fdgrad_dask.operators.elsewhere import suggest_option
from fdgrad_dask.operators.interpolation import place_fields
from fdgrad_dask.operators.options import COORDINATES, public_signature
from fdgrad_dask.operators.staggered_ghosts import goes_around, solve_around

P = ParamSpec("P")
R = TypeVar("R")


def takes_fields(operator: Callable[P, R]) -> Callable[P, R]:
    """The operator for any DataArray: its fields are the parameters that come before its options.

    Coordinates of levels and the arrays of a geometry enter in the same way.
    """
    signature = public_signature(operator)
    parameters = signature.parameters.values()
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    required = {p.name for p in parameters if p.default is p.empty}
    fields = [name for name in positional if name != "dim"]
    known, arrays = tuple(signature.parameters), (*fields, *COORDINATES)
    takes_datasets = "Dataset" in str(signature.parameters[fields[0]].annotation)

    @functools.wraps(operator)
    def entered(*args: P.args, **kwargs: P.kwargs) -> R:
        for option in (name for name in kwargs if name not in known):
            raise TypeError(
                f"{operator.__name__}() got an unexpected keyword argument {option!r}; "
                + suggest_option(option, [name for name in known if name not in fields])
            )
        given: dict[str, Any] = {**dict(zip(positional, args, strict=False)), **kwargs}
        if len(given) < len(args) + len(kwargs) or not required <= given.keys():
            return operator(*args, **kwargs)  # Python says what is missing or given twice
        _check_options(given)
        plain = given.copy()
        for name in fields:
            if given.get(name) is not None or name in required:
                plain[name] = _field(given[name], name, operator.__name__, takes_datasets)
        changed = [name for name in fields if plain.get(name) is not given.get(name)]
        for name in fields:
            if isinstance(one := plain.get(name), xr.DataArray) and one.name is None:
                plain[name] = one.rename(Unnamed(name if len(fields) > 1 else "the field"))
        for option in COORDINATES:
            if isinstance(given.get(option), xr.DataArray):
                plain[option] = _numbers(given[option])
        if isinstance(given.get("geometry"), Curvilinear | Grid):
            plain["geometry"] = _numbers_of_geometry(given["geometry"])
        with in_double(_arrays_of([plain.get(name) for name in arrays])):
            result = _solve_beyond_ends(operator, fields, plain, known)
        for name in changed:
            result = cast(R, _as_before(result, given[name]))
        return result

    entered.__signature__ = signature  # type: ignore[attr-defined]
    return entered


def _solve_beyond_ends(
    operator: Callable[P, R], fields: list[str], plain: Mapping[str, Any], known: Collection[str]
) -> R:
    """What an operator makes of fields on the grid that is given, or that go on beyond its ends."""
    geometry, boundary, solve = plain.get("geometry"), plain.get("boundary"), operator
    if isinstance(geometry, Grid):
        solve = _on_staggered_grid(operator, fields, known)
    if goes_around(geometry):
        return cast(R, solve_around(solve, fields, plain))
    if has_faces(boundary) or has_fold(boundary):
        return cast(R, solve_connected(operator, fields, plain))
    if "geometry" in known and (n := find_repeated_columns(plain.get(fields[0]), plain)):
        return cast(R, solve_without_columns(operator, fields, plain, n))
    return solve(**plain)  # type: ignore[call-arg]


def _on_staggered_grid(
    operator: Callable[P, R], fields: list[str], parameters: Collection[str]
) -> Callable[P, R]:
    """The operator of fields that are interpolated to where it can be computed."""

    @functools.wraps(operator)
    def solve(**given: Any) -> R:
        placed = place_fields(operator.__name__, fields, given, parameters)
        return operator(**placed)  # type: ignore[call-arg]

    return solve  # type: ignore[return-value]


def _field(given: Any, name: str, operator: str, takes_datasets: bool) -> Any:
    """A field whose data are numbers that can be computed with."""
    if isinstance(given, xr.DataArray):
        return _numbers(given)
    if takes_datasets and isinstance(given, xr.Dataset):
        numbers = {key: _numbers(one) for key, one in given.data_vars.items()}
        is_plain = all(numbers[key] is one for key, one in given.data_vars.items())
        return given if is_plain else xr.Dataset(numbers)
    way = "label it first: xarray.DataArray(…, coords=…, dims=…)"
    if isinstance(given, str):
        way = f"call ds.fdgrad.{operator}(…) for names"
    raise OptionError(
        f"{name} is a {type(given).__name__}, but {operator} takes a DataArray; {way}"
    )


def _numbers(field: xr.DataArray) -> xr.DataArray:
    """The field, with the units of a quantity in its attribute; as lazy as it was."""
    require_decoded(field.name, field.attrs)
    data = _held(field)
    quantity = _quantity_in(data)
    if quantity is not None:
        units = quantity.units
        if data is quantity:
            data = data.magnitude
        else:
            data = data.map_blocks(_magnitude, units, meta=quantity.magnitude)
        field = field.copy(data=data).assign_attrs(units=_text(units))
    _refuse_other_kinds(data._meta if is_dask(data) else data, field)
    coords = _quantities_among(field)
    return field.assign_coords(coords) if coords else field


def _refuse_other_kinds(kind: Any, field: xr.DataArray) -> None:
    """Raises for arrays that are neither of NumPy nor of JAX, nor yet loaded."""
    if type(kind) is np.ndarray:
        return
    name = f"{type(kind).__module__}.{type(kind).__name__}"
    unit = getattr(kind, "unit", getattr(kind, "units", None))
    if unit is not None:  # of astropy, unyt, …: subclasses of NumPy's array
        raise OptionError(
            f"{field.name!r} holds a {name} in {unit}, but only quantities of pint are taken with "
            f"their unit; give it as an attribute: .as_numpy().assign_attrs(units={str(unit)!r})"
        )
    # xarray's own wrappers are of data that are not yet loaded.
    if not (isinstance(kind, np.ndarray) or is_jax(kind) or name.startswith("xarray.")):
        raise OptionError(
            f"{field.name!r} holds a {name}, but NumPy, dask and JAX arrays are what is computed "
            "with; convert it first: .as_numpy()"
        )


def _quantities_among(field: xr.DataArray | xr.Dataset) -> dict[Any, xr.Variable]:
    """The coordinates that are quantities, as numbers with the attribute ``units``."""
    coords: dict[Any, tuple[Any, Any]] = {
        n: (one, one._data) for n, one in field.coords.variables.items()
    }
    return {
        n: xr.Variable(one.dims, data.magnitude, {**one.attrs, "units": _text(data.units)})
        for n, (one, data) in coords.items()
        if _is_quantity(data)
    }


def _arrays_of(fields: list[Any]) -> list[Any]:
    """The arrays that fields and datasets of them hold."""
    arrays = []
    for field in fields:
        held = field.data_vars.values() if isinstance(field, xr.Dataset) else [field]
        arrays += [_held(one) for one in held if isinstance(one, xr.DataArray)]
    return arrays


def _numbers_of_geometry(geometry: Curvilinear | Grid) -> Curvilinear | Grid:
    changed: dict[str, Any] = {}
    for name in ("dx", "dy", "area", "fraction", "angle"):
        held = getattr(geometry, name, None)
        each = held if isinstance(held, Mapping) else {name: held}
        plain = {k: _plain_number(one) for k, one in each.items()}
        if any(plain[k] is not each[k] for k in each):
            changed[name] = plain if each is held else plain[name]
    return replace(geometry, **changed) if changed else geometry


def _plain_number(given: Any) -> Any:
    """A DataArray of numbers for one that holds quantities, or for one quantity; else as given."""
    if _is_quantity(given) and np.ndim(given.magnitude) == 0:
        return xr.DataArray(given.magnitude, attrs={"units": _text(given.units)})
    return _numbers(given) if isinstance(given, xr.DataArray) else given


def _check_options(options: Mapping[str, Any]) -> None:
    """Raises for options of another type than they have."""
    geometry, coriolis = options.get("geometry"), options.get("coriolis")
    if not isinstance(geometry, Geometry | None):
        raise OptionError(
            f"geometry is {geometry!r}; give one of fdgrad_dask.Sphere(), fdgrad_dask.Plane(), "
            "fdgrad_dask.Curvilinear(…) and fdgrad_dask.Grid(…), with the brackets"
        )
    radius = getattr(geometry, "radius", 1.0)
    if not (isinstance(radius, int | float | np.number) and 0 < radius < np.inf):
        raise OptionError(f"the radius of {geometry!r} is no length; give one in metres")
    if not isinstance(coriolis, int | float | np.number | None):
        found = repr(coriolis) if np.ndim(coriolis) == 0 else f"a {type(coriolis).__name__}"
        raise OptionError(
            f"coriolis is {found}; give a number in s-1, or leave it out where a latitude says it"
        )
    for flag in ("upward", "potential"):
        if not isinstance(given := options.get(flag), int | np.bool_ | None):
            raise OptionError(f"{flag} is {given!r}; give True or False")


def _as_before(result: Any, field: xr.DataArray | xr.Dataset) -> Any:
    """The result as quantities where ``field`` has them, data and coordinates each."""
    quantities = [q for q in map(_quantity_in, _arrays_of([field])) if q is not None]
    if quantities and isinstance(result, xr.DataArray):
        result = _quantity(result, quantities[0]._REGISTRY)
    elif quantities:
        registry = quantities[0]._REGISTRY
        result = result.assign({n: _quantity(one, registry) for n, one in result.items()})
    names = [name for name in _quantities_among(field) if name in result.coords]
    if names:
        result = result.assign_coords(field.coords.to_dataset()[names].coords)
    return result


def _quantity(result: xr.DataArray, registry: Any) -> xr.DataArray:
    """The result as a quantity of ``registry``, if that has its units."""
    expression = to_pint(str(result.attrs.get("units")))
    if expression is None:  # or a quantity already, without the attribute
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
    kind = data._meta if is_dask(data) else data
    return kind if _is_quantity(kind) else None


def _magnitude(block: Any, units: Any) -> Any:
    return block.m_as(units)


def _text(units: Any) -> str:
    """Units of any registry of pint in words."""
    return f"{units:D}".replace("dimensionless", "1") or "1"
