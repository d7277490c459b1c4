"""Pressure or height of parametric levels, from the formula terms of CF conventions, appendix D.

cf-xarray has these formulas too, but it takes the terms in whatever units they have, and in two of
its formulas (ocean_s_coordinate and ocean_s_coordinate_g1) it departs from appendix D.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import is_jax, result_dtype
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.coordinate import find_coordinate
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import apply_pointwise


def _ln_pressure(p0: Any, lev: Any) -> Any:
    return p0 * np.exp(-lev)


def _sigma(sigma: Any, ps: Any, ptop: Any) -> Any:
    return ptop + sigma * (ps - ptop)


def _hybrid_by_p0(a: Any, b: Any, ps: Any, p0: Any) -> Any:
    return a * p0 + b * ps


def _hybrid(ap: Any, b: Any, ps: Any) -> Any:
    return ap + b * ps


def _hybrid_height(a: Any, b: Any, orog: Any) -> Any:
    return a + b * orog


def _sleve(a: Any, b1: Any, b2: Any, ztop: Any, zsurf1: Any, zsurf2: Any) -> Any:
    return a * ztop + b1 * zsurf1 + b2 * zsurf2


def _ocean_sigma(sigma: Any, eta: Any, depth: Any) -> Any:
    return eta + sigma * (depth + eta)


def _ocean_s(s: Any, eta: Any, depth: Any, a: Any, b: Any, depth_c: Any) -> Any:
    bottom = np.tanh(a * (s + 0.5)) / (2 * np.tanh(0.5 * a)) - 0.5
    c = (1 - b) * np.sinh(a * s) / np.sinh(a) + b * bottom
    return eta * (1 + s) + depth_c * s + (depth - depth_c) * c


def _ocean_s_g1(s: Any, c: Any, eta: Any, depth: Any, depth_c: Any) -> Any:
    at_rest = depth_c * s + (depth - depth_c) * c
    return at_rest + eta * (1 + at_rest / depth)


def _ocean_s_g2(s: Any, c: Any, eta: Any, depth: Any, depth_c: Any) -> Any:
    return eta + (eta + depth) * (depth_c * s + depth * c) / (depth_c + depth)


class _Formula(NamedTuple):
    """The pressure or the height of levels; ``measured`` are the terms that have its units."""

    quantity: str
    compute: Callable[..., Any]
    measured: str

    @property
    def terms(self) -> list[str]:
        code = self.compute.__code__
        return [*code.co_varnames[: code.co_argcount]]


_UNITS = {"pressure": "Pa", "height": "m"}
_FORMULAS = {
    "atmosphere_ln_pressure_coordinate": (_Formula("pressure", _ln_pressure, "p0"),),
    "atmosphere_sigma_coordinate": (_Formula("pressure", _sigma, "ps ptop"),),
    "atmosphere_hybrid_sigma_pressure_coordinate": (
        _Formula("pressure", _hybrid_by_p0, "ps p0"),
        _Formula("pressure", _hybrid, "ps ap"),
    ),
    "atmosphere_hybrid_height_coordinate": (_Formula("height", _hybrid_height, "a orog"),),
    "atmosphere_sleve_coordinate": (_Formula("height", _sleve, "ztop zsurf1 zsurf2"),),
    "ocean_sigma_coordinate": (_Formula("height", _ocean_sigma, "eta depth"),),
    "ocean_s_coordinate": (_Formula("height", _ocean_s, "eta depth depth_c"),),
    "ocean_s_coordinate_g1": (_Formula("height", _ocean_s_g1, "eta depth depth_c"),),
    "ocean_s_coordinate_g2": (_Formula("height", _ocean_s_g2, "eta depth depth_c"),),
}
_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "pressure": {
        "units": "Pa",
        "long_name": "pressure",
        "standard_name": "air_pressure",
        "positive": "down",
    },
    "height": {"units": "m", "long_name": "height", "positive": "up"},
}


def vertical_coordinate(
    field: xr.DataArray, dataset: xr.Dataset | None = None, vertical: Hashable | None = None
) -> xr.DataArray:
    """The pressure in Pa, or the height in m, of the levels of a field of a model.

    It is computed from the attribute ``formula_terms`` of the level coordinate, by the formulas of
    the CF conventions, appendix D: hybrid sigma-pressure, sigma, ln pressure, hybrid height, SLEVE,
    ocean sigma, and ocean s (also g1 and g2). Heights are upward, negative in an ocean.

    Parameters
    ----------
    field
        A field on such levels.
    dataset
        Where the terms are, such as the surface pressure, unless they are coordinates of the field.
    vertical
        The level coordinate, if several have formula terms.

    Returns
    -------
    DataArray
        ``pressure`` or ``height`` in 64 bits, with those dims of the field that it varies along;
        lazy, in the chunks of the field, if the field or a term is.

    Raises
    ------
    CoordinateError
        No level coordinate has formula terms, a term is not there or has other units than it needs,
        or there is no such formula.
    """
    if dataset is not None:
        field = carry_terms(field, dataset)
    return compute_levels(field, find_parametric_level(field, vertical))


def carry_terms(field: xr.DataArray, dataset: xr.Dataset) -> xr.DataArray:
    """Give a variable of a dataset the terms of its levels as coordinates."""
    known = {name: dataset.variables[name] for name in list_terms(field, dataset)}
    dims = set(field.dims)
    return field.assign_coords({n: one for n, one in known.items() if set(one.dims) <= dims})


def list_terms(field: xr.DataArray | xr.Dataset, dataset: xr.Dataset) -> list[str]:
    """List the variables of a dataset that are terms of the levels of a field, or of its own."""
    levels = [field.coords.variables[name] for name in list_parametric(field)]
    names = {term for level in levels for term in _parse_terms(level).values()}
    return sorted(names & set(map(str, dataset.data_vars)))


def find_parametric_level(field: xr.DataArray, vertical: Hashable | None = None) -> Hashable:
    """Find the level coordinate of a field that has formula terms."""
    names = list_parametric(field, vertical)
    if len(names) != 1:
        found = f"has {', '.join(map(repr, names))} with" if names else "has no level coordinate of"
        raise CoordinateError(
            f"{field.name!r} {found} the attribute formula_terms, from which pressure and height "
            "are computed; "
            + ("name one: vertical=" if names else "give the true coordinate as a DataArray")
        )
    return names[0]


def list_parametric(
    field: xr.DataArray | xr.Dataset, vertical: Hashable | None = None
) -> list[Hashable]:
    """List the level coordinates that have formula terms; of those along ``vertical``, that one."""
    coords = field.coords.variables
    names = [name for name, one in coords.items() if one.ndim == 1 and _parse_terms(one)]
    if vertical is None or isinstance(field, xr.Dataset):
        return names
    if vertical in coords and coords[vertical].ndim == 0:  # the level of a single one
        return []
    level = find_coordinate(field, vertical)
    along = (vertical,) if level is None else coords[level].dims
    return [level] if level in names else [n for n in names if coords[n].dims == along]


def compute_levels(
    field: xr.DataArray, level: Hashable, quantity: str | None = None
) -> xr.DataArray:
    """Compute the pressure or height of ``level`` from terms among the coordinates of a field."""
    coordinate = field.coords.variables[level]
    terms = _parse_terms(coordinate)
    formula = _choose_formula(level, coordinate, terms)
    if quantity not in (None, formula.quantity):
        raise CoordinateError(
            f"the formula terms of {level!r} give its {formula.quantity}, but its {quantity} is "
            f"needed; use {formula.quantity!r}, or give the {quantity} as a DataArray"
        )
    missing = [terms[term] for term in formula.terms if terms[term] not in field.coords]
    if missing:
        raise CoordinateError(
            f"the {formula.quantity} of {level!r} needs {', '.join(missing)}, which "
            f"{field.name!r} has not among its coordinates; set them (.set_coords) and select "
            "the same points of all, or call the method of the dataset: ds.fdgrad; if they lie on "
            "other points of a cell, as those of u and v in ROMS, bring their level there: "
            "coordinate=ds.fdgrad.interpolate('z', to='u'), where ds has vertical_coordinate as 'z'"
        )
    variables = [field.coords.variables[terms[term]] for term in formula.terms]
    factors = [
        _find_factor(
            one, name, _UNITS[formula.quantity] if name in formula.measured.split() else "1"
        )
        for name, one in zip(formula.terms, variables, strict=True)
    ]
    dims = [dim for dim in field.dims if any(dim in one.dims for one in variables)]
    if field.chunks is not None:
        sizes = field.variable.chunksizes
        variables = [
            one.chunk({d: sizes[d] for d in one.dims}) if one.dims else one for one in variables
        ]
    compute = partial(_evaluate, formula.compute, tuple(factors))
    data = apply_pointwise(compute, *(_spread(one, dims) for one in variables))
    coords = {n: c for n, c in field.coords.items() if set(c.dims) <= {*dims} and c.ndim}
    kept = {n: c for n, c in coords.items() if n == level or n not in terms.values()}
    return xr.DataArray(data, kept, dims, formula.quantity, _ATTRIBUTES[formula.quantity])


def _evaluate(formula: Callable[..., Any], factors: Sequence[float], *terms: Any) -> Any:
    """A formula of terms times factors, in double precision wherever JAX has it."""
    wide = [
        term.astype(result_dtype([], np.float64) if is_jax(term) else np.float64) for term in terms
    ]
    return formula(
        *(term if by == 1 else term * by for term, by in zip(wide, factors, strict=True))
    )


def _spread(term: xr.Variable, dims: list[Hashable]) -> Any:
    """The data of a term with all dimensions, of size 1 where it does not vary."""
    data = term.transpose(*(dim for dim in dims if dim in term.dims)).data
    return data[tuple(slice(None) if dim in term.dims else None for dim in dims)]


def _parse_terms(coordinate: xr.Variable) -> dict[str, str]:
    """The terms of a level coordinate and their variables; xarray may move them to the encoding."""
    text = coordinate.attrs.get("formula_terms", coordinate.encoding.get("formula_terms", ""))
    return {term.lower(): name for term, name in re.findall(r"(\w+)\s*:\s*([^\s:]+)", str(text))}


def _choose_formula(level: Hashable, one: xr.Variable, terms: Mapping[str, str]) -> _Formula:
    name = str(one.attrs.get("standard_name"))
    known = _FORMULAS.get(name, ())
    found = [formula for formula in known if terms.keys() >= set(formula.terms)]
    if len(found) == 1:
        return found[0]
    if not known:
        raise CoordinateError(
            f"the standard_name of {level!r} is {name!r}, of which no formula is known here; "
            f"correct it, or give the true coordinate as a DataArray: {', '.join(_FORMULAS)}"
        )
    needed = " or ".join(", ".join(formula.terms) for formula in known)
    raise CoordinateError(
        f"the formula_terms of {level!r} are {', '.join(terms)}, but {name} needs {needed}; "
        "correct the attribute"
    )


def _find_factor(term: xr.Variable, name: str, unit: str) -> float:
    """What a term is multiplied by to be in ``unit``; one that is "1" may say nothing."""
    units = term.attrs.get("units")
    has_kind = any(conversion_factor(units, kind) is not None for kind in ("Pa", "m", "K"))
    factor = conversion_factor(units, unit)
    if unit == "1" and not has_kind:
        return 1.0 if factor is None else factor
    if factor is None:
        raise CoordinateError(
            f"the formula term {name!r} has the units {units!r}, but is to be in {unit}; set the "
            "true ones, or convert it"
        )
    return factor
