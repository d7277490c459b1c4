"""What ``da.fdgrad`` and ``ds.fdgrad`` show: what was recognised, and which operators apply.

No values are read: an operator is tried on ones at the first few points, with the coordinates and
attributes of the fields, so the reasons printed are those that it would give.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask import operators
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.coordinate import Axis, find_axis
from fdgrad_dask.grids.geometry import Curvilinear, HorizontalGrid, Plane, Sphere
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.grids.parametric import carry_terms, list_terms
from fdgrad_dask.grids.projections import carry_grid_mapping, find_grid_mapping
from fdgrad_dask.grids.units import kelvin_conversion
from fdgrad_dask.operators.connected import suggest_fold
from fdgrad_dask.operators.datasets import call_on, find_place, select_cells
from fdgrad_dask.operators.extended import change_arrays
from fdgrad_dask.operators.options import required_fields
from fdgrad_dask.operators.overview_data import (
    describe_data,
    describe_layout,
    list_parts_of_grid,
)
from fdgrad_dask.operators.overview_page import Overview
from fdgrad_dask.operators.roles import choose_components
from fdgrad_dask.operators.verticals import find_vertical_axis
from fdgrad_dask.stencils.boundary import full_turn

_TRIED = 4  # points along each dimension on which an operator is tried
_BOUNDARY = "one-sided at both ends, unless the axis is periodic or boundary= says otherwise"
# The two components of a vector: by standard name, else by name.
_PAIRS = (("eastward", "northward"), ("x_", "y_"))
_NAMES = re.compile(r"[uU](?=$|[_\d]|a|o|grd|GRD|geo|vel|VEL)")


class _Known:
    """A field and its horizontal grid, or the reason why it has none."""

    def __init__(
        self,
        field: xr.DataArray,
        found: dict[Any, tuple[HorizontalGrid | None, str]],
        geometry: Curvilinear | None = None,
    ) -> None:
        self.field, self.geometry = field, geometry
        self.name = "unnamed" if field.name is None else str(field.name)
        # Recognising a grid may mean reading large coordinates: once for all fields on it.
        mapping = field.attrs.get("grid_mapping"), field.encoding.get("coordinates")
        place = (field.dims, geometry, *map(str, mapping), *map(str, field.coords))
        if place not in found:
            try:
                found[place] = find_horizontal_grid(field, geometry), ""
            except Exception as error:
                found[place] = None, _sentence(error)
        self.grid, self.reason = found[place]
        self.kind = (place, field.attrs.get("units"), field.dtype)


def describe_field(field: xr.DataArray) -> Overview:
    """Describe a field, its axes and its grid, and list the operators of one field."""
    known = _Known(field, {})
    sizes = ", ".join(f"{dim}: {n}" for dim, n in field.sizes.items())
    rows = [*_describe([known]), *_verdicts("operators", [known])]
    return Overview(f"{known.name} ({sizes}) {field.dtype}{_units(field)}", rows)


def describe_dataset(dataset: xr.Dataset) -> Overview:
    """Describe the fields of a dataset, and list the operators that apply to each of them."""
    fields = list_fields(dataset)
    rows, winds = _describe(fields), _winds(fields)
    rows += _rows("staggered", describe_layout(dataset))
    rows += [("components", _components(*pair)) for pair in winds if len(pair) == 2]
    kinds: dict[Any, list[_Known]] = {}
    for known in fields:
        kinds.setdefault(known.kind, []).append(known)
    # Fields of one kind get the same answer as the first of them.
    tried = [(alike, alike[:1]) for alike in kinds.values()] + [(wind, wind) for wind in winds]
    for named, group in tried:
        each = "each of " if len(named) > len(group) else ""
        rows += _verdicts(each + ", ".join(known.name for known in named), group, dataset)
    names = ", ".join(f"{known.name}{_units(known.field)}" for known in fields)
    return Overview(f"Dataset of {names or 'no fields'}", rows)


def list_fields(dataset: xr.Dataset) -> list[_Known]:
    """The variables that a derivative can be taken of, each with its grid."""
    found: dict[Any, Any] = {}
    terms = [name for name in list_terms(dataset, dataset) if dataset[name].ndim > 1]
    lazy = dataset.assign({n: dataset.variables[n].chunk() for n in terms})  # and stay unread
    parts = list_parts_of_grid(dataset)
    fields = [
        find_place(field, dataset)
        for field in dataset.data_vars.values()
        if field.dtype.kind in "iufcmM" and field.ndim and field.name not in parts
    ]
    return [
        _Known(carry_terms(carry_grid_mapping(field, dataset), lazy), found, geometry)
        for field, geometry in fields
    ]


def _units(field: xr.DataArray) -> str:
    units = field.attrs.get("units")
    return f" in {units}" if units else ""


def _describe(fields: list[_Known]) -> list[tuple[str, str]]:
    """Describe every dimension by the first field that has it, the grids and the data."""
    first = {dim: known for known in fields[::-1] for dim in known.field.dims}
    dims = dict.fromkeys(dim for known in fields for dim in known.field.dims)
    return [
        *_rows("axes", [f"{dim}: {_axis(first[dim], dim)}" for dim in dims]),
        *_rows("grid", _grouped(fields, _grid)),
        ("boundary", _BOUNDARY),
        *_rows("data", _grouped(fields, lambda known: describe_data(known.field))),
    ]


def _rows(title: str, texts: list[str]) -> list[tuple[str, str]]:
    return [(title if i == 0 else "", text) for i, text in enumerate(texts)]


def _axis(known: _Known, dim: Hashable) -> str:
    try:
        axis = find_axis(known.field, dim)
    except Exception as error:
        return f"not usable: {_sentence(error)}"
    spacing = "evenly spaced"
    if np.ndim(axis.points) == 0 and not axis.is_time:
        spacing = "no coordinate, unit spacing"
    elif np.ndim(axis.points) and full_turn(axis.points) is None:
        spacing = "unevenly spaced"
    units = "dates" if axis.is_time else axis.units if dim in known.field.coords else None
    return ", ".join(text for text in (_role(known, axis), units, spacing) if text)


def _role(known: _Known, axis: Axis) -> str:
    """Say whether an axis is x, y or vertical, and whether it is periodic."""
    grid = known.grid
    if grid is not None and axis.dim == grid.x.dim:
        return "x, periodic in horizontal operators" if grid.periodic[1] else "x"
    if grid is not None and axis.dim == grid.y.dim:
        return suggest_fold(grid) or "y"
    try:
        return "vertical" if find_vertical_axis(known.field, None).dim == axis.dim else ""
    except Exception:  # the coordinates do not say which axis is vertical
        return ""


def _grid(known: _Known) -> str:
    grid = known.grid
    if grid is None:
        return f"not recognised: {known.reason}"
    if isinstance(grid.geometry, Plane):
        return f"plane, x and y in units of {grid.geometry.metres:.10g} m"
    kind = "sphere" if isinstance(grid.geometry, Sphere) else "curvilinear"
    mapping = find_grid_mapping(known.field)
    projection = f" ({mapping.kind})" if mapping is not None and mapping.kind else ""
    return f"{kind}{projection}, Earth radius {grid.radii[0]:.10g} m"


def _grouped(fields: list[_Known], describe: Callable[[_Known], str]) -> list[str]:
    """The texts about fields, each with the names of these where there are several texts."""
    groups: dict[str, list[str]] = {}
    for known in fields:
        groups.setdefault(describe(known), []).append(known.name)
    if len(groups) < 2:
        return [*groups]
    return [f"{', '.join(names)}: {text}" for text, names in groups.items()]


def _winds(fields: list[_Known]) -> list[list[_Known]]:
    """Two fields that are components of one vector; and these with the first temperature."""
    names = {known.name: known for known in fields}
    standards = {str(known.field.attrs.get("standard_name")): known for known in fields}
    pairs = []
    for known in fields:
        standard = str(known.field.attrs.get("standard_name", ""))
        found = [standards.get(standard.replace(x, y)) for x, y in _PAIRS if x in standard]
        if not standard and _NAMES.match(known.name):
            found = [names.get(known.name.translate({ord("u"): "v", ord("U"): "V"}))]
        pairs += [[known, v] for v in found if v is not None]
    warm = [k for k in fields if kelvin_conversion(k.field.attrs.get("units")) is not None]
    return pairs + [[*pair, warm[0]] for pair in pairs if warm]


def _components(u: _Known, v: _Known) -> str:
    """Say in which directions the two components of a vector are taken to point."""
    try:
        components = choose_components(u.field, v.field, u.grid) if u.grid else "grid"
    except Exception as error:
        return f"{u.name} and {v.name}: {_sentence(error)}"
    if u.grid and u.grid.is_east and components == "earth":
        return f"{u.name} eastward and {v.name} northward"
    return f"{u.name} along x and {v.name} along y"


def _verdicts(
    title: str, fields: list[_Known], dataset: xr.Dataset | None = None
) -> list[tuple[str, str]]:
    """The operators that apply, in one row, and one row for each reason why others do not."""
    applies: list[str] = []
    refused: dict[str, list[str]] = {}
    for name in [one for one in operators.__all__ if one != "interpolate"]:  # without a Grid
        needed = required_fields(getattr(operators, name))
        if len(needed) == len(fields) and "w" not in needed:
            reason = _why_not(name, fields, dataset)
            (applies if reason is None else refused.setdefault(reason, [])).append(name)
    rows = [f"not {', '.join(names)}: {why}" for why, names in refused.items()]
    return _rows(title, [", ".join(applies) or "none", *rows])


def _why_not(name: str, fields: list[_Known], dataset: xr.Dataset | None) -> str | None:
    """None if an operator takes the fields, else what it says."""
    if name == "gradient":
        failed = [_failure(name, fields, dim) for dim in fields[0].field.dims]
        return None if None in failed else failed[0] if failed else "it has no dimensions"
    if dataset is not None and len(fields) > 1:
        try:
            apart = select_cells(dataset, [known.field for known in fields], _TRIED)
        except CoordinateError as error:  # nothing says on which points they lie
            return _sentence(error)
        if apart is not None:  # their grid is that of the dataset
            return _failure(name, fields, on=apart)
    reasons = [_failure(name, fields), *(known.reason for known in fields)]
    if _is_global(name):  # without a grid it is tried on too few points
        reasons.reverse()
    return next((reason for reason in reasons if reason), None)


def _failure(
    name: str, fields: list[_Known], *dim: Hashable, on: xr.Dataset | None = None
) -> str | None:
    """What an operator says to a few points of some fields; None if it takes them."""
    operator = getattr(operators, name)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if on is not None:
                call_on(on, operator, [on[known.field.name] for known in fields], {})
            else:
                few = [_few_points(known, _is_global(name)) for known in fields]
                sizes = None if dim else fields[0].geometry
                if sizes and not _is_global(name):
                    sizes = change_arrays(sizes, lambda _, __, a: a.isel(_first(a.dims)))
                operator(*few, *dim, **({} if sizes is None else {"geometry": sizes}))
    except Exception as error:
        return _sentence(error)
    return None


def _is_global(name: str) -> bool:
    """True for operators that need the complete globe: those of spherical harmonics."""
    return "truncation" in inspect.signature(getattr(operators, name)).parameters


def _few_points(known: _Known, is_global: bool) -> xr.DataArray:
    """A field of ones on the first points, with all that is known of the field but its values.

    If ``is_global``, on all points of the globe, and lazy.
    """
    field, grid = known.field, known.grid
    kept = {grid.x.dim, grid.y.dim} if is_global and grid is not None else set()
    few = field.isel(_first(dim for dim in field.dims if dim not in kept))
    units = getattr(field.variable._data, "units", None)  # of a quantity
    attrs = field.attrs if units is None else field.attrs | {"units": str(units)}
    ones = np.broadcast_to(np.ones((), field.dtype), few.shape)
    made = xr.DataArray(ones, coords=few.coords, dims=few.dims, name=field.name, attrs=attrs)
    made.encoding = field.encoding
    return made.copy(data=made.chunk(token="ones").data) if kept else made


def _first(dims: Iterable[Hashable]) -> dict[Hashable, slice]:
    return {dim: slice(_TRIED) for dim in dims}


def _sentence(error: Exception) -> str:
    """The first part of a message: what was found, and what is needed."""
    found, _, rest = str(error).partition("; ")
    needed = rest.partition("; ")[0].partition(": ")[0]
    return f"{found}, {needed}" if " needs " in needed else found
