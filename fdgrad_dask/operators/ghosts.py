"""Fields with ghost points beyond the ends of their grid, and results without them.

An operator computes on such fields as on any others. What lies beyond an end are slices of the same
fields, so lazy ones stay lazy, and all operators have folds and faces at any accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, HorizontalGrid
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import concatenate, is_dask
from fdgrad_dask.operators.roles import choose_components, is_along_grid

Dims = tuple[Hashable, ...]


def require_horizontal(operator: Callable[..., Any], what: str) -> None:
    """Raises for `gradient`, which is along one axis of an array."""
    if operator.__name__ == "gradient":
        raise OptionError(
            f"gradient is along one dimension and knows no neighbours across {what}; take "
            "horizontal_gradient, or leave that end open"
        )


def ghost_width(given: Mapping[str, Any]) -> int:
    """The number of points that any operator reads beyond an end, for the options ``given``.

    The widest is the laplacian, whose fluxes are differenced once more, with metric terms that are
    differenced too and one-sided at the last of these points.
    """
    return 2 * int(given.get("accuracy", 2))


def find_vectors(named: Mapping[str, xr.DataArray], grid: HorizontalGrid) -> dict[str, str]:
    """Name of a field → ``"x"`` or ``"y"``, for those that are components along the grid."""
    found = dict.fromkeys(find_carried(named), "x")
    if {"u", "v"} <= named.keys() and choose_components(named["u"], named["v"], grid) == "grid":
        found |= {"u": "x", "v": "y"}
    return found


def find_carried(
    named: Mapping[str, xr.DataArray], points: Mapping[str, str] | None = None
) -> list[str]:
    """Names of fields in the place of a scalar that are one component along the grid."""
    on_faces = [name for name, point in (points or {}).items() if point in ("u", "v")]
    return [
        name
        for name in ("field", "scalar")
        if name in named and is_along_grid(named[name], is_on_face=name in on_faces)
    ]


def extend_field(
    field: xr.DataArray,
    dims: Dims,
    ghosts: Mapping[Hashable, tuple[int, int]],
    extend: Callable[[Hashable, xr.Variable], xr.Variable],
    variable: xr.Variable,
) -> xr.DataArray:
    """A field whose extended values are ``variable``, with its coordinates.

    ``ghosts`` are the numbers of points before and behind by dimension; ``extend`` knows
    coordinates over both of them by name.
    """
    moved = varying(field, dims)
    bare = field.drop_vars(list(moved)).coords
    made = xr.DataArray(variable, bare)
    made.name, made.encoding = field.name, field.encoding
    coords = {}
    for name, one in moved.items():
        along = [dim for dim in dims if dim in one.dims]
        if len(along) == 2:
            coords[name] = extend(name, one)
        elif one.ndim == 1 and one.dtype.kind in "iuf" and not is_dask(one._data):
            coords[name] = _continue_labels(one, *ghosts.get(along[0], (0, 0)))
    return made.assign_coords(coords)


def _continue_labels(one: xr.Variable, before: int, behind: int) -> xr.Variable:
    """Labels beyond both ends. Where their points lie is known from 2-D coordinates."""
    points = one.values.astype(np.float64)
    first = points[0] - np.arange(before, 0, -1) * (points[1] - points[0])
    last = points[-1] + np.arange(1, behind + 1) * (points[-1] - points[-2])
    return xr.Variable(one.dims, np.concatenate([first, points, last]), one.attrs)


def varying(field: xr.DataArray, dims: Dims) -> dict[Hashable, xr.Variable]:
    """The coordinates that vary along ``dims``."""
    variables = field.coords.variables
    return {n: one.to_base_variable() for n, one in variables.items() if {*one.dims} & {*dims}}


def extend_arrays(
    geometry: Geometry | None, extend: Callable[[str, xr.DataArray], xr.DataArray]
) -> Geometry | None:
    """A geometry whose arrays are extended; ``extend`` knows them by name."""
    if not isinstance(geometry, Curvilinear):
        return geometry
    if geometry.angle is not None and not isinstance(geometry.angle, xr.DataArray):
        raise OptionError(
            f"angle is {geometry.angle}, but beyond a fold or another face x points elsewhere; "
            "give the angle as a DataArray over y and x"
        )
    given = {name: getattr(geometry, name) for name in ("dx", "dy", "angle")}
    arrays: dict[str, Any] = {
        name: extend(name, one) for name, one in given.items() if isinstance(one, xr.DataArray)
    }
    return replace(geometry, **arrays)


def half_turn(angle: xr.DataArray) -> float:
    """180° in the units of an angle."""
    return conversion_factor("180 degree", angle.attrs.get("units", "degree")) or 180.0


def restore(
    made: xr.DataArray | xr.Dataset,
    field: xr.DataArray,
    dims: Dims,
    cut: Callable[[xr.DataArray], xr.Variable],
    attrs: dict[str, Any],
) -> Any:
    """A result that ``cut`` brings to the points of ``field``, with its coordinates."""
    if isinstance(made, xr.Dataset):
        results = {k: restore(one, field, dims, cut, attrs) for k, one in made.data_vars.items()}
        coords = next(iter(results.values())).coords
        return xr.Dataset({name: one.variable for name, one in results.items()}, coords)
    one = cut(made)
    if is_dask(one._data) and field.variable.chunks is not None:
        one = one.chunk(field.variable.chunksizes)
    kept = made.drop_vars(list(varying(made, dims))).coords
    result = xr.DataArray(one, kept, name=made.name, attrs=one.attrs | attrs)
    return result.assign_coords(varying(field, dims))


def join(parts: Sequence[xr.Variable], dim: Hashable, like: xr.Variable) -> xr.Variable:
    """Parts of an array along one dimension, in the chunks of ``like`` along all others."""
    parts = [part.transpose(*like.dims) for part in parts if part.sizes[dim]]
    if len(parts) == 1:
        return parts[0]
    if is_dask(like._data):
        chunks: dict[Any, Any] = {**like.chunksizes, dim: -1}
        parts = [part if part._data is like._data else part.chunk(chunks) for part in parts]
    data = concatenate([part.data for part in parts], like.dims.index(dim))
    return xr.Variable(like.dims, data, like.attrs)
