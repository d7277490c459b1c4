"""Call operators on the fields of a dataset, on its staggered grid if they lie on one.

The accessor of Datasets and the steps of a config go through `call_on`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.models import Layout, find_layout, make_grid
from fdgrad_dask.grids.staggered import POINTS, Grid

R = TypeVar("R", xr.DataArray, xr.Dataset, xr.DataArray | xr.Dataset)


def call_on(
    ds: xr.Dataset,
    operator: Callable[..., R],
    fields: Sequence[xr.DataArray | None],
    options: Mapping[str, Any],
) -> R:
    """Call an operator on fields of ``ds``; the grid is recognised if they are on different points.

    Raises
    ------
    CoordinateError
        The fields share the dimensions of a staggered grid, and nothing says on which of its points
        they lie.
    """
    layout = None
    if options.get("geometry") is None and sum(one is not None for one in fields) > 1:
        layout = find_layout(ds)
    if layout is None:
        return operator(*fields, **options)
    placed = [None if one is None else _rename(one, layout) for one in fields]
    if not _are_apart([one for one in placed if one is not None], layout):
        return operator(*fields, **options)
    grid = make_grid(ds, layout)
    given = options.get("boundary")
    if isinstance(given, Mapping) and given.keys() <= {"x", "y"}:
        grid = replace(grid, boundary={**grid.boundary, **given})
        options = {name: value for name, value in options.items() if name != "boundary"}
    return _restore(operator(*placed, **{**options, "geometry": grid}), ds, layout)


def _are_apart(fields: Sequence[xr.DataArray], layout: Layout) -> bool:
    """True if fields lie on different points of a grid, or nothing says on which."""
    grid = layout.grid({})
    found = {one.name: _list_points(one, grid) for one in fields}
    known = {point for points in found.values() for point in points if len(points) == 1}
    unknown = [name for name, points in found.items() if len(points) > 1]
    if unknown and layout.is_c_grid and len(known) < 2:
        names = ", ".join(map(repr, unknown))
        raise CoordinateError(
            f"nothing says on which points of the staggered grid ({layout.source}) {names} lie; "
            "name the coordinates of each, as .encoding['coordinates'] = 'glamu gphiu', or give "
            "geometry=fdgrad_dask.Grid(…, points={…}); if all lie on the same points, give "
            "geometry=fdgrad_dask.Curvilinear()"
        )
    return len(known) > 1


def _list_points(one: xr.DataArray, grid: Grid) -> list[str]:
    """The points at which a field may lie."""
    if one.name in grid.points:
        return [grid.points[one.name]]
    return [point for point in POINTS if set(grid.dims(point)) <= set(one.dims)]


def _rename(field: xr.DataArray, layout: Layout) -> xr.DataArray:
    """The field with the grid's names of its dimensions."""
    names = {dim: new for dim, new in layout.other_names.items() if dim in field.dims}
    horizontal = {*layout.x.values(), *layout.y.values()}
    # Points of two names are counted by both, so that their labels may differ; levels are the same.
    counts = [dim for dim, new in names.items() if new in horizontal and dim in field.coords]
    return field.drop_vars(counts).rename(names) if names else field


def _restore(result: R, ds: xr.Dataset, layout: Layout) -> R:
    """The result on the dimensions that the dataset has for its points, as ROMS's psi."""
    if not layout.other_names:
        return result
    pairs = list(dict.fromkeys(one.dims[-2:] for one in ds.variables.values() if one.ndim > 1))
    if isinstance(result, xr.Dataset):
        return result.map(_restore_dims, args=(pairs, layout), keep_attrs=True)
    return _restore_dims(result, pairs, layout)


def _restore_dims(
    one: xr.DataArray, pairs: Sequence[tuple[Hashable, ...]], layout: Layout
) -> xr.DataArray:
    """A result whose last two dimensions are a pair that variables of the dataset have."""
    own = one.dims[-2:]
    alike = [p for p in pairs if tuple(layout.other_names.get(dim, dim) for dim in p) == own]
    return one if own in pairs or not alike else one.rename(dict(zip(own, alike[0], strict=True)))
