"""Operators across the faces of an LLC grid or a cubed sphere.

Each face is computed as a grid of its own, with ghost points from those beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.faces import read_connections
from fdgrad_dask.grids.geometry import Curvilinear, HorizontalGrid
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.grids.staggered import Grid
from fdgrad_dask.operators.beside import Faces
from fdgrad_dask.operators.ghosts import (
    extend_arrays,
    find_carried,
    find_vectors,
    ghost_width,
    require_horizontal,
    restore,
)
from fdgrad_dask.operators.options import COORDINATES
from fdgrad_dask.operators.roles import match_components


def has_faces(boundary: Any) -> bool:
    """True if the option ``boundary`` connects faces."""
    return isinstance(boundary, Mapping) and any(isinstance(b, Mapping) for b in boundary.values())


def solve_across_faces(
    operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any]
) -> Any:
    """What ``operator`` makes of its arguments ``given``, whose ``boundary`` connects faces."""
    require_horizontal(operator, "the edges of faces")
    named = _find_fields(fields, given)
    first = next(iter(named.values()))
    dim, connections = _find_connections(given["boundary"], named)
    rest = {key: one for key, one in given["boundary"].items() if key != dim}
    labels = first[dim].values.tolist() if dim in first.coords else [*range(first.sizes[dim])]
    links = read_connections(connections, labels, dim)
    geometry = given.get("geometry")
    if isinstance(geometry, Grid):
        raise OptionError(
            f"boundary connects faces along {dim!r}, but on a staggered grid each face is one of "
            f"its own: select one, .isel({dim}=…), or interpolate the fields to the centres of "
            "cells first and leave out geometry="
        )
    alone = {name: one.isel({dim: 0}) for name, one in named.items()}
    of_one = extend_arrays(geometry, lambda _, array: array.isel({dim: 0}, missing_dims="ignore"))
    grid = find_horizontal_grid(next(iter(alone.values())), of_one, rest)
    _check_grid(grid, first, dim, ghost_width(given))
    sizes = first.sizes[grid.y.dim], first.sizes[grid.x.dim]
    if sizes[0] != sizes[1] and any(link.axis != side[1] for side, link in links.items()):
        raise CoordinateError(
            f"faces have {sizes[0]} by {sizes[1]} points, but sides along x are connected to sides "
            "along y, which need as many; give square faces, or correct the connections"
        )
    faces = Faces(links, labels, dim, {"y": grid.y, "x": grid.x}, ghost_width(given))
    faces.check(first)
    along = find_vectors(alone, grid)
    if carried := find_carried(alone):
        raise OptionError(
            f"{named[carried[0]].name!r} is a component along the grid, and other faces have its "
            "axis turned; rotate both components to the east and north first: rotate_to_earth"
        )
    vector = {axis: named[name] for name, axis in along.items()}
    made = []
    for face in labels:
        arguments = {
            **given,
            "boundary": faces.boundary(face, rest, first),
            "geometry": extend_arrays(geometry, partial(faces.extend_array, face, geometry)),
        }
        for name, one in named.items():
            arrays = (vector, along[name], "vector") if name in along else ({"": one}, "", "")
            arguments[name] = faces.extend(face, one, *arrays)
        made.append(operator(**arguments))
    dims = dim, grid.y.dim, grid.x.dim
    return restore(made[0], first, dims, partial(faces.stack, made, first), {"faces": str(dim)})


def _find_fields(fields: list[str], given: Mapping[str, Any]) -> dict[str, xr.DataArray]:
    """The fields by name; u and v in one unit, since beyond an edge one goes on as the other."""
    if given_fields := [name for name in COORDINATES if given.get(name) is not None]:
        raise OptionError(
            f"boundary connects faces, across which {given_fields[0]}= does not go on; select one "
            "face, or interpolate the fields to levels of constant pressure or height first"
        )
    named = {name: given[name] for name in fields if isinstance(given.get(name), xr.DataArray)}
    if {"u", "v"} <= named.keys():
        others = [one for name, one in named.items() if name not in ("u", "v")]
        u, v = match_components(named["u"], named["v"], others)
        if {*u.dims} != {*v.dims}:
            raise CoordinateError(
                f"{u.name!r} has the dimensions {u.dims} and {v.name!r} {v.dims}, but across faces "
                "one component goes on as the other; give both the same: xr.broadcast(…)"
            )
        named |= {"u": u, "v": v}
    return named


def _find_connections(
    boundary: Mapping[Any, Any], named: Mapping[str, xr.DataArray]
) -> tuple[Hashable, Any]:
    """The dimension of faces, and how they are connected."""
    (dim, connections), *others = [
        (key, one) for key, one in boundary.items() if isinstance(one, Mapping)
    ]
    if others:
        raise OptionError(
            f"boundary connects faces along {dim!r} and {others[0][0]!r}; give one dimension"
        )
    for one in named.values():
        if dim not in one.dims:
            raise OptionError(
                f"boundary connects faces along {dim!r}, but {one.name!r} has none: it has the "
                f"dimensions {one.dims}; name that of its faces, or give it with all of them"
            )
    return dim, connections


def _check_grid(grid: HorizontalGrid, field: xr.DataArray, dim: Hashable, width: int) -> None:
    if not isinstance(grid.geometry, Curvilinear):
        raise OptionError(
            f"boundary connects faces, but {field.name!r} has no latitude and longitude over "
            f"({dim!r}, {grid.y.dim!r}, {grid.x.dim!r}), nor dx and dy; set them"
        )
    for axis in (grid.y, grid.x):
        if field.sizes[axis.dim] < width + 1:
            raise CoordinateError(
                f"faces have {field.sizes[axis.dim]} points along {axis.dim!r}, but {width} of "
                "each are needed beside others; lower the accuracy"
            )
