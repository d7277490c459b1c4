"""Operators across a fold, or across faces, as the option ``boundary`` connects them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.coordinate import select_for_axis
from fdgrad_dask.grids.faces import across, describe_side, read_connections
from fdgrad_dask.grids.fold import Fold, find_fold, locate, make_fold
from fdgrad_dask.grids.geometry import Curvilinear, HorizontalGrid
from fdgrad_dask.grids.horizontal import find_horizontal_grid
from fdgrad_dask.grids.places import list_candidates
from fdgrad_dask.grids.staggered import Grid
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.extended import (
    change_arrays,
    find_components,
    ghost_width,
    list_centers,
    restore,
    solve_extended,
)
from fdgrad_dask.operators.ghosts import Ghosts, Points, Quantity, list_varying
from fdgrad_dask.operators.options import COORDINATES
from fdgrad_dask.operators.roles import choose_components, match_components
from fdgrad_dask.stencils.boundary import boundary_pair

FOLDS = ("fold", "fold-T", "fold-F")
_WAY = "say boundary={'x': 'periodic', 'y': (None, 'fold')}, with the names of your dimensions"
# What lies beyond the ends, the grid of centres, and the conditions at the ends that are open.
_Connected = tuple[Ghosts, HorizontalGrid, Mapping[Any, Any]]


def has_fold(boundary: Any) -> bool:
    """True if the option ``boundary`` names a fold, at any end of any axis."""
    given = boundary.values() if isinstance(boundary, Mapping) else [boundary]
    ends = [end for one in given for end in (one if isinstance(one, (tuple, list)) else [one])]
    return any(isinstance(end, str) and end in FOLDS for end in ends)


def has_faces(boundary: Any) -> bool:
    """True if the option ``boundary`` connects faces."""
    return isinstance(boundary, Mapping) and any(isinstance(b, Mapping) for b in boundary.values())


def suggest_fold(grid: HorizontalGrid) -> str:
    """What to say of y if a fold lies beyond its last row, or nothing; reads no lazy positions."""
    places = grid.places
    if places is None or any(map(is_dask, places)) or find_fold(*places) is None:
        return ""
    return f"y, with {describe_fold(grid.y.dim, grid.x.dim)}"


def describe_fold(y: Hashable, x: Hashable) -> str:
    """Say that there is a fold, and the option that uses it."""
    return f"a fold beyond its last row (boundary={ {x: 'periodic', y: (None, 'fold')} } uses it)"


def solve_connected(
    operator: Callable[..., Any], fields: list[str], given: Mapping[str, Any]
) -> Any:
    """What ``operator`` makes of its arguments ``given``, whose ``boundary`` connects ends."""
    is_faced = has_faces(given["boundary"])
    if operator.__name__ == "gradient":
        raise OptionError(
            "gradient is along one dimension and knows no neighbours across "
            f"{'the edges of faces' if is_faced else 'a fold'}; take horizontal_gradient, or leave "
            "that end open"
        )
    if isinstance(given.get("geometry"), Grid):
        raise OptionError(
            f"boundary is {given['boundary']}, but a staggered grid has its own; give it there: "
            "Grid(…, boundary={'x': 'periodic', 'y': (0.0, 'fold')})"
        )
    arrays = [*fields, *COORDINATES]
    named = {name: given[name] for name in arrays if isinstance(given.get(name), xr.DataArray)}
    if is_faced:
        named = match_across(named)
    ghosts, grid, boundary = (_connect_faces if is_faced else _connect_fold)(named, given)
    decided = {"faces": str(ghosts.dim)}
    if not is_faced:
        decided = {"fold": f"{grid.y.name}, {'FT'[ghosts.points['center'].ends['y'] % 2]} pivot"}
    first, axes = next(iter(named.values())), {"y": grid.y, "x": grid.x}
    ends = {key: boundary_pair(select_for_axis(boundary, axes[key], first)) for key in axes}
    others = {
        key: one
        for key, one in boundary.items()
        if not any(select_for_axis({key: True}, axis, first) for axis in axes.values())
    }
    has_wind = {"u", "v"} <= named.keys()
    is_along = has_wind and choose_components(named["u"], named["v"], grid) == "grid"
    points = dict.fromkeys(named, "center")
    along = find_components(named, ghosts, points, is_along=is_along)
    made = solve_extended(operator, given, ghosts, named, points, along, ends, others)
    dims = ghosts.dim, *ghosts.points["center"].dims.values()
    return restore(ghosts, made, first, list_varying(first, dims), decided)


def _connect_fold(named: Mapping[str, xr.DataArray], given: Mapping[str, Any]) -> _Connected:
    """A grid of 2-D latitude and longitude with a fold beyond the last row."""
    key, pivot, boundary = _without_fold(given["boundary"])
    first = next(iter(named.values()))
    grid = find_horizontal_grid(first, given.get("geometry"), boundary)
    if not select_for_axis({key: True}, grid.y, first) or not isinstance(
        grid.geometry, Curvilinear
    ):
        raise OptionError(
            f"boundary names a fold at {key!r}, but a fold lies at the upper end of y of a grid of "
            f"two-dimensional latitude and longitude; of {first.name!r} y is {grid.y.dim!r}, on a "
            f"{type(grid.geometry).__name__.lower()} grid"
        )
    fold = _recognise(first, grid, pivot)
    if fold.width < first.sizes[grid.x.dim] and not grid.periodic[1]:
        raise OptionError(
            f"the first and last columns of {first.name!r} along {grid.x.dim!r} are the same, so "
            f"{grid.x.dim!r} is periodic: boundary={{{grid.x.dim!r}: 'periodic', …}}"
        )
    links, end = fold.connect()
    points = list_centers(first, grid, {"y": end, "x": 2 * fold.width})
    width = {"y": ghost_width(given), "x": 0}
    ghosts = Ghosts(links, points, width, before=fold.first)
    return ghosts, grid, boundary


def _without_fold(boundary: Any) -> tuple[Hashable, str, dict[Any, Any]]:
    """The axis with the fold, its name, and the option with that end open."""
    if not isinstance(boundary, Mapping):
        raise OptionError(f"boundary is {boundary!r}, but a fold is at one end of y: {_WAY}")
    found = {key: boundary_pair(ends) for key, ends in boundary.items() if has_fold(ends)}
    key, (low, high) = next(iter(found.items()))
    if len(found) > 1 or has_fold(low):
        raise OptionError(
            f"boundary is {boundary!r}, but a fold lies beyond the last row of y alone: {_WAY}; if "
            "it lies before the first row, turn y around: .isel(y=slice(None, None, -1))"
        )
    return key, str(high), {**boundary, key: (low, None)}


def _recognise(field: xr.DataArray, grid: HorizontalGrid, pivot: str) -> Fold:
    """The fold that latitude and longitude show, or the named one if they are not known."""
    dims = grid.y.dim, grid.x.dim
    ny, nx = (field.sizes[dim] for dim in dims)
    names = [list_candidates(field, key, 2) for key in ("latitude", "longitude")]
    places = grid.places
    if places is None and all(len(found) == 1 for found in names):
        coords = field.coords.variables
        places = (
            coords[names[0][0]].transpose(*dims).data,
            coords[names[1][0]].transpose(*dims).data,
        )
    named = pivot.removeprefix("fold").removeprefix("-")
    if places is None or any(map(is_dask, places)):
        if not named:
            why = "has no" if places is None else "has only lazy"
            raise CoordinateError(
                f"{field.name!r} {why} latitude and longitude over {dims}, from which the pivot of "
                "the fold is found; load them, or name it: 'fold-T' if the last row is mirrored "
                "onto itself, 'fold-F' if the fold lies half a row beyond it"
            )
        if nx % 2:
            raise CoordinateError(
                f"{field.name!r} has {nx} columns, but a fold needs an even number of them; leave "
                f"out columns that repeat others: .isel({grid.x.dim}=slice(1, -1))"
            )
        return make_fold(named, ny, nx)
    fold = find_fold(*places)
    if fold is None:
        raise CoordinateError(
            f"no fold is found beyond the last row of {field.name!r}: as points in space, its last "
            f"rows along {grid.y.dim!r} neither repeat one another, mirrored along {grid.x.dim!r}, "
            "nor go on as one another within a quarter of a cell; select all columns and the last "
            f"rows of the grid, or leave that end open: boundary={{{grid.y.dim!r}: None}}"
        )
    if named and named != fold.pivot:
        raise CoordinateError(
            f"boundary says {pivot!r}, but the latitude and longitude of {field.name!r} show a "
            f"{fold.pivot} pivot; say 'fold'"
        )
    return fold


def _connect_faces(named: Mapping[str, xr.DataArray], given: Mapping[str, Any]) -> _Connected:
    """Grids of 2-D latitude and longitude beside one another."""
    if given_fields := [name for name in COORDINATES if given.get(name) is not None]:
        raise OptionError(
            f"boundary connects faces, across which {given_fields[0]}= does not go on; select one "
            "face, or interpolate the fields to levels of constant pressure or height first"
        )
    first = next(iter(named.values()))
    dim, _ = _find_connections(given["boundary"], named)
    rest = {key: one for key, one in given["boundary"].items() if key != dim}
    of_one = change_arrays(
        given.get("geometry"), lambda _, __, one: one.isel({dim: 0}, missing_dims="ignore")
    )
    grid = find_horizontal_grid(first.isel({dim: 0}), of_one, rest)
    if not isinstance(grid.geometry, Curvilinear):
        raise OptionError(
            f"boundary connects faces, but {first.name!r} has no latitude and longitude over "
            f"({dim!r}, {grid.y.dim!r}, {grid.x.dim!r}), nor dx and dy; set them"
        )
    width = ghost_width(given)
    ghosts = connect_faces(given["boundary"], named, list_centers(first, grid), width)
    return ghosts, grid, rest


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
