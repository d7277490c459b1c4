"""Operators across the faces of an LLC grid or a cubed sphere, as ``boundary`` connects them.

Each face is computed as a grid of its own, with ghost points from those beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.coordinate import select_for_axis
from fdgrad_dask.grids.faces import across, describe_side, read_connections
from fdgrad_dask.grids.fold import locate
from fdgrad_dask.grids.geometry import Curvilinear
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.grids.places import list_candidates
from fdgrad_dask.grids.staggered import Grid
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.extended import (
    get_sizes,
    ghost_width,
    list_centers,
    require_horizontal,
    solve_at_centers,
)
from fdgrad_dask.operators.ghosts import Ghosts, Points, Quantity
from fdgrad_dask.operators.roles import match_components
from fdgrad_dask.operators.terms import COORDINATES
from fdgrad_dask.stencils.boundary import boundary_pair


def has_faces(boundary: Any) -> bool:
    """True if the option ``boundary`` connects faces."""
    return isinstance(boundary, Mapping) and any(isinstance(b, Mapping) for b in boundary.values())


def solve_across_faces(
    operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any]
) -> Any:
    """What ``operator`` makes of its arguments ``given``, whose ``boundary`` connects faces."""
    require_horizontal(operator, "the edges of faces")
    geometry: Any = given.get("geometry")
    if isinstance(geometry, Grid):
        raise OptionError(
            "boundary connects faces, but a staggered grid has its own; give the connections "
            "there: Grid(…, boundary={'x': …, 'y': …, dimension of faces: …})"
        )
    _require_no_levels(given)
    named = {name: given[name] for name in fields if isinstance(given.get(name), xr.DataArray)}
    named = match_across(named)
    first = next(iter(named.values()))
    dim, _ = _find_connections(given["boundary"], named)
    rest = {key: one for key, one in given["boundary"].items() if key != dim}
    sizes: dict[str, Any] = {
        n: one.isel({dim: 0}, missing_dims="ignore") for n, one in get_sizes(geometry).items()
    }
    of_one = replace(geometry, **sizes) if sizes else geometry
    grid = find_horizontal_grid(first.isel({dim: 0}), of_one, rest)
    if not isinstance(grid.geometry, Curvilinear):
        raise OptionError(
            f"boundary connects faces, but {first.name!r} has no latitude and longitude over "
            f"({dim!r}, {grid.y.dim!r}, {grid.x.dim!r}), nor dx and dy; set them"
        )
    width = ghost_width(given)
    ghosts = connect_faces(given["boundary"], named, list_centers(first, grid), width)
    axes = {"y": grid.y, "x": grid.x}
    own = {
        key: one
        for key, one in rest.items()
        if not any(select_for_axis({key: True}, axis, first) for axis in axes.values())
    }
    ends = {key: boundary_pair(select_for_axis(rest, axis, first)) for key, axis in axes.items()}

    def boundary(face: Hashable) -> dict[Any, Any]:
        opened = open_ends(ghosts, face, ends)
        return own | {axis.dim: opened[key] for key, axis in axes.items()}

    return solve_at_centers(operator, given, ghosts, named, grid, boundary, {"faces": str(dim)})


def connect_faces(
    boundary: Mapping[Any, Any],
    named: Mapping[str, xr.DataArray],
    points: Mapping[str, Points],
    width: int,
    others: Iterable[xr.DataArray] = (),
) -> Ghosts:
    """What lies beside each face, as ``boundary`` says it; places of ``others`` are checked too."""
    dim, connections = _find_connections(boundary, named)
    first = next(iter(named.values()))
    labels = first[dim].values.tolist() if dim in first.coords else [*range(first.sizes[dim])]
    links = read_connections(connections, labels, dim)
    ny, nx = points["center"].counts.values()
    if ny != nx and any(link.axis != side[1] for side, link in links.items()):
        raise CoordinateError(
            f"faces have {ny} by {nx} points, but sides along x are connected to sides "
            "along y, which need as many; give square faces, or correct the connections"
        )
    ghosts = Ghosts(links, points, {"y": width, "x": width}, labels, dim)
    _check_places(ghosts, [*named.values(), *others])
    return ghosts


def open_ends(
    ghosts: Ghosts, face: Hashable, ends: Mapping[str, tuple[Any, Any]]
) -> dict[str, tuple[Any, Any]]:
    """The conditions at the ends of a face: its open sides have those of the domain."""
    opened = {}
    for axis, pair in ends.items():
        if "periodic" in pair and ghosts.dim is not None:
            raise OptionError(
                f"boundary connects faces, and {ghosts.points['center'].dims[axis]!r} is periodic; "
                "connect the face with itself instead"
            )
        low, high = (
            None if ghosts.width[axis] and (face, axis, end) in ghosts.links else one
            for end, one in enumerate(pair)
        )
        opened[axis] = low, high
    return opened


def _require_no_levels(given: Mapping[str, Any]) -> None:
    if given_fields := [name for name in COORDINATES if given.get(name) is not None]:
        raise OptionError(
            f"boundary connects faces, across which {given_fields[0]}= does not go on; select one "
            "face, or interpolate the fields to levels of constant pressure or height first"
        )


def match_across(
    named: dict[str, xr.DataArray], plane: Collection[Hashable] = ()
) -> dict[str, xr.DataArray]:
    """Fields by name, u and v in one unit, and with the same dimensions but those of the plane."""
    if {"u", "v"} <= named.keys():
        others = [one for name, one in named.items() if name not in ("u", "v")]
        u, v = match_components(named["u"], named["v"], others)
        if {*u.dims}.difference(plane) != {*v.dims}.difference(plane):
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


def _check_places(ghosts: Ghosts, fields: Iterable[xr.DataArray]) -> None:
    """Raise unless the centres beyond each side lie there, where places are known."""
    dims = ghosts.points["center"].dims
    places: list[xr.DataArray] = []
    for field in fields:
        if {ghosts.dim, *dims.values()} <= {*field.dims}:
            one = ghosts.select(field, ghosts.faces[0], "center")
            names = [list_candidates(one, key, 2) for key in ("latitude", "longitude")]
            places = places or [field.coords[found[0]] for found in names if len(found) == 1]
    if len(places) < 2 or any(is_dask(place.variable._data) for place in places):
        return
    for side, link in ghosts.links.items():
        order = dims[side[1]], dims[across(side[1])]
        inward = slice(None, None, 1 if side[2] == 0 else -1)
        rows = [ghosts.select(place, side[0], "center").transpose(*order) for place in places]
        p, q, r = locate(*(place.values[inward][:3] for place in rows))
        looks = (ghosts.look(side, "center", Quantity({("", "center"): one}), 1) for one in places)
        (beyond,) = locate(*(one.transpose(*order).values for one in looks))
        off = np.linalg.norm(3 * p - 3 * q + r - beyond, axis=-1)
        if np.nanmedian(off / np.linalg.norm(p - q, axis=-1)) > 0.5:
            raise CoordinateError(
                f"{describe_side(side)} is connected to {describe_side(link.lands(side[2]))}, but "
                "by latitude and longitude it does not go on there; correct the connection"
            )
