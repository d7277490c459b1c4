"""Call operators on the fields of a dataset, on its staggered grid if they lie on one.

The accessor of Datasets and the steps of a config go through `call_on`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.angles import carry_angle
from fdgrad_dask.grids.coordinate import find_own_coordinates
from fdgrad_dask.grids.geometry import Curvilinear
from fdgrad_dask.grids.model_cells import ModelCells
from fdgrad_dask.grids.models import Layout, find_layout
from fdgrad_dask.grids.parametric import list_terms
from fdgrad_dask.grids.places import carry_places, find_shared_dims, list_candidates
from fdgrad_dask.grids.projections import carry_grid_mapping
from fdgrad_dask.grids.staggered import POINTS, Grid
from fdgrad_dask.operators.options import COORDINATES
from fdgrad_dask.operators.roles import is_eastward

R = TypeVar("R", bound=xr.DataArray | xr.Dataset)


def call_on(
    ds: xr.Dataset,
    operator: Callable[..., R],
    fields: Sequence[Hashable | xr.DataArray | None] | xr.Dataset,
    options: Mapping[str, Any],
) -> R:
    """Call an operator on fields of ``ds``, on its staggered grid if that is where they lie.

    Fields are given by name, or as arrays, or they are the dataset itself. Those on the same
    points are differenced there, without the grid, where the 2-D latitude and longitude among
    the variables of ``ds`` say that they lie; but velocities at the corners of a B grid are along
    its axes, and have fluxes through its faces. The formula terms of levels and the angle of a grid
    are coordinates for operators that may need them, which their results do not carry.

    Raises
    ------
    CoordinateError
        Nothing says on which points of a staggered grid the fields lie, or its cell sizes are
        unknown.
    """
    options, lent, offered = dict(options), list[Hashable](), ds
    named = {key: options[key] for key in COORDINATES if isinstance(options.get(key), str)}
    if named or operator.__name__ in ("potential_vorticity", "q_vector"):
        known = ds.variables
        options |= {key: ds[n] for key, n in named.items() if n in known and known[n].ndim > 0}
        lent += list_terms(ds, ds)
        offered = ds.set_coords(lent)
    if isinstance(fields, xr.Dataset):
        result = operator(offered, **options)
    else:
        given = [
            one
            if one is None or isinstance(one, xr.DataArray)
            else carry_grid_mapping(offered[one], offered)
            for one in fields
        ]
        if operator.__name__.startswith("rotate_to_") and (wind := given[0]) is not None:
            given[0] = turned = carry_angle(wind, ds)
            lent += turned.coords.keys() - wind.coords.keys()
        result = _call_where_they_lie(offered, operator, given, options)
    carried = [name for name in lent if name in result.coords]
    return cast(R, result.drop_vars(carried)) if carried else result


def _call_where_they_lie(
    ds: xr.Dataset,
    operator: Callable[..., R],
    fields: Sequence[xr.DataArray | None],
    options: Mapping[str, Any],
) -> R:
    """Call an operator on the staggered grid of its fields, or at their places."""
    parameters, layout = {*inspect.signature(operator).parameters}, None
    moves = "to" in parameters  # from point to point, for which no cell sizes are needed
    takes_differences = {"geometry", "boundary"} <= parameters
    several = sum(one is not None for one in fields) > 1
    if options.get("geometry") is None and (moves or (several and takes_differences)):
        layout = find_layout(ds)
    if layout is None or not _need_grid(ds, fields, layout, moves):
        return _call_at_places(ds, operator, fields, options)
    # Cell sizes that are missing must not be computed from labels that are no places.
    dims = (*layout.grid.x.values(), *layout.grid.y.values()) if layout.is_nominal else ()
    labels = [dim for dim in dims if dim in ds.coords]
    _require_labels(fields, ds, labels)
    placed = [
        one if one is None else _rename(one, layout).drop_vars(labels, errors="ignore")
        for one in fields
    ]
    grid = ModelCells(ds.drop_vars(labels), layout).grid()
    if labels and not (moves or grid.dx or grid.dy):
        raise CoordinateError(
            f"the fields lie on different points of a staggered grid ({grid.source}), which may "
            "be tripolar, with labels that are nominal; merge the static file with its cell sizes "
            "(dxCu, dyCv, …): ds.merge(static), or if the labels are longitudes and latitudes "
            f"everywhere, give geometry=fdgrad_dask.Grid(x={dict(grid.x)}, y={dict(grid.y)})"
        )
    try:
        result = operator(*placed, **_place_boundary(grid, options))
    except CoordinateError as error:
        source = f"the staggered grid was recognised from {grid.source}"
        if layout.is_c_grid and not grid.dx:
            source += "; merge the mesh_mask, which has its cell sizes: ds.merge(mesh_mask)"
        raise CoordinateError(f"{error}; {source}") from error
    return _label(_restore(result, ds, layout), ds, layout)


def _require_labels(
    fields: Sequence[xr.DataArray | None], ds: xr.Dataset, dims: Sequence[Hashable]
) -> None:
    """Raise if fields have other labels than their dataset, whose cell sizes are at its own."""
    for one in fields:
        for dim in dims:
            if one is None or dim not in one.coords:
                continue
            if not one.coords.variables[dim].equals(ds.variables[dim]):
                raise CoordinateError(
                    f"{one.name!r} and its dataset have different labels along {dim!r}, and the "
                    "cell sizes are those of the dataset; select from all of it first: "
                    f"ds.isel({dim}=…), and name its fields"
                )


def _call_at_places(
    ds: xr.Dataset,
    operator: Callable[..., R],
    fields: Sequence[xr.DataArray | None],
    options: Mapping[str, Any],
) -> R:
    """Call an operator on fields with their 2-D places, which its result does not carry."""
    takes_places = "geometry" in inspect.signature(operator).parameters
    if not takes_places or isinstance(options.get("geometry"), Grid):
        return operator(*fields, **options)
    found = [(one, None) if one is None else find_place(one, ds) for one in fields]
    placed, geometries = zip(*found, strict=True)
    options = {**options, "geometry": options.get("geometry") or geometries[0]}
    if isinstance(options.get("boundary"), Mapping) and (layout := find_layout(ds)):
        options["boundary"] = layout.name_dims(options["boundary"], *fields)
    result = operator(*placed, **options)
    own = {name for one in fields if one is not None for name in one.coords}
    added = [name for name in result.coords if name in ds.data_vars and name not in own]
    return cast(R, result.drop_vars(added)) if added else result


def find_place(field: xr.DataArray, ds: xr.Dataset) -> tuple[xr.DataArray, Curvilinear | None]:
    """The field with the 2-D latitude and longitude that its dataset has for its points.

    Where several points have theirs, those of the point at which the grid of the dataset has the
    field. Where none has, the geometry of the cell sizes there.
    """
    placed = carry_places(field, ds)
    axes, pairs, moving = (list_candidates(placed, "latitude", ndim) for ndim in (1, 2, 3))
    if axes or len(pairs or moving) == 1:
        return placed, None
    layout = find_layout(ds)
    points = [] if layout is None else _list_points(_rename(field, layout), ds, layout.grid)
    if layout is None or len(points) != 1:
        return placed, None
    cells = ModelCells(ds, layout)
    own = {layout.other_names.get(dim, dim): dim for dim in field.dims}
    plane = {own[dim] for dim in layout.grid.dims(points[0])}
    # Axes with units are in metres or degrees, and say where points lie.
    if any("units" in ds[dim].attrs for dim in plane) or not plane <= find_shared_dims(field, ds):
        return placed, None
    if places := cells.find_places(points[0], own):
        placed = placed.assign_coords(places)
        placed.encoding = {**field.encoding, "coordinates": " ".join(places)}
        return placed, None
    grid = cells.grid()
    sizes = [each[points[0]] for each in (grid.dx, grid.dy) if points[0] in each]
    if len(sizes) < 2:
        return placed, None
    dx, dy = (one.rename({dim: own[dim] for dim in one.dims}) for one in sizes)
    return placed, Curvilinear(dx=dx, dy=dy)


def _place_boundary(grid: Grid, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a grid that has the boundary which they name by axis or dimension."""
    given = options.get("boundary")
    axes = {dim: axis for axis in "xy" for dim in (axis, *getattr(grid, axis).values())}
    if not isinstance(given, Mapping) or not given.keys() <= axes.keys():
        return {**options, "geometry": grid}
    boundary = {**grid.boundary, **{axes[key]: ends for key, ends in given.items()}}
    return {**options, "boundary": None, "geometry": replace(grid, boundary=boundary)}


def select_cells(ds: xr.Dataset, fields: Sequence[xr.DataArray], count: int) -> xr.Dataset | None:
    """The first cells of ``ds`` and their faces, of ones; None if no grid is needed for fields."""
    if (layout := find_layout(ds)) is None or not _need_grid(ds, fields, layout):
        return None
    rows: dict[Hashable, slice] = {}
    for positions in (layout.grid.x, layout.grid.y):
        cells = ds.sizes[positions["center"]]
        for dim in ds.dims:
            if layout.other_names.get(dim, dim) in positions.values():
                rows[dim] = slice(min(count, cells) + ds.sizes[dim] - cells)
    few = ds.isel(rows)
    ones = {n: one for n, one in few.variables.items() if one.ndim > 1 or n not in few.indexes}
    return few.assign({n: one.copy(data=np.ones(one.shape)) for n, one in ones.items()})


def _need_grid(
    ds: xr.Dataset, fields: Sequence[xr.DataArray | None], layout: Layout, moves: bool = False
) -> bool:
    """True if fields, u and v first, lie on different points of a grid, or at its corners.

    Or if an operator ``moves`` them to another point.
    """
    grid = layout.grid
    given = [_rename(one, layout) for one in fields if one is not None]
    found = [(one.name, _list_points(one, ds, grid)) for one in given]
    known = {points[0] for _, points in found if len(points) == 1}
    unknown = [name for name, points in found if len(points) > 1]
    if unknown and (moves or layout.is_c_grid or len(known) > 1):
        names, (source, _, _) = ", ".join(map(repr, unknown)), grid.source.partition("; ")
        alike = "; if all lie on the same points, give geometry=fdgrad_dask.Curvilinear()"
        alike = "" if moves else alike
        raise CoordinateError(
            f"nothing says on which points of the staggered grid ({source}) {names} lie; "
            "name the coordinates of each, as .encoding['coordinates'] = 'glamu gphiu', or give "
            f"geometry=fdgrad_dask.Grid(…, points={{…}}){alike}"
        )
    if moves:
        return True
    if known == {"corner"} and not unknown and not is_eastward(given[0]):
        sizes = ModelCells(ds, layout).find()
        return {("dx", "corner"), ("dy", "corner")} <= {(kind, point) for kind, point, _ in sizes}
    wind = {point for _, points in found[:2] for point in points}
    return len(known) > 1 and (len(wind) < 2 or wind == {"u", "v"})


def _list_points(one: xr.DataArray, ds: xr.Dataset, grid: Grid) -> list[str]:
    """The points at which a field may lie.

    That of a variable of the dataset is also that of a selection from it, which keeps the encoding,
    but not of what is computed from it, such as a mean of two neighbours.
    """
    there = ds.variables.get(one.name)
    if one.name in grid.points and there is not None:
        own = find_own_coordinates(one)
        if one.variable._data is there._data or (own and own == find_own_coordinates(there)):
            return [grid.points[one.name]]
    return [point for point in POINTS if set(grid.dims(point)) <= set(one.dims)]


def _rename(field: xr.DataArray, layout: Layout) -> xr.DataArray:
    """The field with the grid's names of its dimensions, and the coordinates of its own points."""
    names = {dim: new for dim, new in layout.other_names.items() if dim in field.dims}
    horizontal = {*layout.grid.x.values(), *layout.grid.y.values()}
    # Points of two names are counted by both, so that their labels may differ; levels are the same.
    other = [dim for dim, new in names.items() if new in horizontal and dim in field.coords]
    if len(horizontal) == 2:
        own = find_own_coordinates(field)
        places = [name for name, one in field.coords.items() if horizontal <= {*one.dims}]
        other += [name for name in places if name not in own]
    return field.drop_vars(other).rename(names)


def _label(result: R, ds: xr.Dataset, layout: Layout) -> R:
    """The result with the coordinates of its points, where dimensions tell these."""
    own = {*layout.grid.x.values(), *layout.grid.y.values(), *layout.other_names}
    if len(own) < 4:
        return result
    arrays = result.data_vars.values() if isinstance(result, xr.Dataset) else [result]
    coords = {
        name: one.variable
        for name, one in ds.coords.items()
        if own & {*one.dims} and any({*one.dims} <= {*array.dims} for array in arrays)
    }
    missing = {name: one for name, one in coords.items() if name not in result.coords}
    return cast(R, result.assign_coords(missing))


def _restore(result: R, ds: xr.Dataset, layout: Layout) -> R:
    """The result on the dimensions that the dataset has for its points, as ROMS's psi."""
    if not layout.other_names:
        return result
    pairs = list(dict.fromkeys(one.dims[-2:] for one in ds.variables.values() if one.ndim > 1))
    if isinstance(result, xr.Dataset):
        return cast(R, result.map(_restore_dims, args=(pairs, layout), keep_attrs=True))
    return cast(R, _restore_dims(result, pairs, layout))


def _restore_dims(
    one: xr.DataArray, pairs: Sequence[tuple[Hashable, ...]], layout: Layout
) -> xr.DataArray:
    """A result whose last two dimensions are a pair that variables of the dataset have."""
    own = one.dims[-2:]
    alike = [p for p in pairs if tuple(layout.other_names.get(dim, dim) for dim in p) == own]
    return one if own in pairs or not alike else one.rename(dict(zip(own, alike[0], strict=True)))
