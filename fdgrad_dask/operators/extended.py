"""Operators on fields with ghost points: what is extended with them, and results without."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.faces import is_regular_corner
from fdgrad_dask.grids.geometry import HorizontalGrid
from fdgrad_dask.grids.staggered import Grid
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.ghosts import Ghosts, Points, Quantity, join, list_varying
from fdgrad_dask.operators.roles import is_along_grid

Fields = Mapping[str, xr.DataArray]
# What is made of circulations around corners of cells, also where only three of them meet.
_AROUND = {"absolute_vorticity", "kinematics", "vorticity"}


def solve_extended(
    operator: Callable[..., Any],
    given: Mapping[str, Any],
    ghosts: Ghosts,
    named: Fields,
    points: Mapping[str, str],
    along: Mapping[str, str],
    ends: Mapping[str, Any],
    others: Mapping[Any, Any],
) -> list[Any]:
    """What ``operator`` makes of each face of the fields ``named``, at their ``points``.

    Some are components ``along`` an axis. Open sides have the boundary of the domain at the
    ``ends`` of y and x; there may be that of ``others``.
    """
    dims = ghosts.points["center"].dims
    wind = {(along[n], points[n]): named[n] for n in ("u", "v") if n in along}
    made = []
    for face in ghosts.faces:
        geometry = _extend_arrays(given.get("geometry"), ghosts, face)
        opened = _open_ends(ghosts, face, ends)
        if isinstance(geometry, Grid):
            arguments = {**given, "geometry": replace(geometry, boundary=opened)}
        else:
            conditions = {dims[axis]: pair for axis, pair in opened.items()}
            arguments = {**given, "geometry": geometry, "boundary": {**others, **conditions}}
        for name, one in named.items():
            own, point = along.get(name, ""), points[name]
            arrays = {**(wind if own else {}), (own, point): one}
            what = Quantity(arrays, own, "vector" if own else "")
            arguments[name] = ghosts.extend(face, one, point, what)
            if (name, point) == ("u", "u") and operator.__name__ in _AROUND:
                # At a corner of three faces the edge of the other two counts once, beyond x.
                arguments[name] = replace_at_corners(ghosts, face, arguments[name], "u", 0.0)
        made.append(operator(**arguments))
    return made


def _open_ends(
    ghosts: Ghosts, face: Hashable, ends: Mapping[str, Any]
) -> dict[str, tuple[Any, ...]]:
    """The conditions at the ends of a face: None where it is connected."""
    for axis, pair in ends.items():
        if "periodic" in pair and ghosts.dim is not None:
            raise OptionError(
                f"boundary connects faces, and {ghosts.points['center'].dims[axis]!r} is periodic; "
                "connect the face with itself instead"
            )
    return {
        axis: tuple(
            None if ghosts.width[axis] and (face, axis, end) in ghosts.links else one
            for end, one in enumerate(pair)
        )
        for axis, pair in ends.items()
    }


def change_arrays(geometry: Any, change: Callable[[str, str, xr.DataArray], xr.DataArray]) -> Any:
    """A geometry with its arrays changed, by their name there and the point that they lie at."""
    changes: dict[str, Any] = {}
    for name in ("dx", "dy", "angle", "area", "fraction"):
        given = getattr(geometry, name, None)
        if isinstance(given, Mapping):
            changes[name] = {point: change(name, point, one) for point, one in given.items()}
        elif isinstance(given, xr.DataArray):
            changes[name] = change(name, "center", given)
    return replace(geometry, **changes) if changes else geometry


def _extend_arrays(geometry: Any, ghosts: Ghosts, face: Hashable) -> Any:
    """A geometry whose arrays have ghost points; lengths along x go on as some along y."""
    angle = getattr(geometry, "angle", None)
    if not isinstance(angle, xr.DataArray | None):
        raise OptionError(
            f"angle is {angle}, but beyond a fold or another face x points elsewhere; give the "
            "angle as a DataArray over y and x"
        )
    families: dict[str, dict[tuple[str, str], xr.DataArray]] = {}

    def list_one(name: str, point: str, one: xr.DataArray) -> xr.DataArray:
        kind, own = ("length", name[1]) if name in ("dx", "dy") else (name, "")
        families.setdefault(kind, {})[own, point] = one
        return one

    def extend(name: str, point: str, one: xr.DataArray) -> xr.DataArray:
        needed = ghosts.dim, *ghosts.points[point].dims.values()
        if ghosts.dim is not None and not {*needed} <= {*one.dims}:
            raise CoordinateError(
                f"{name} has the dimensions {one.dims}, but across faces it is needed over {needed}"
            )
        kind, own = ("length", name[1]) if name in ("dx", "dy") else (name, "")
        made = ghosts.extend(face, one, point, Quantity(families[kind], own, kind))
        if (name, point) == ("dx", "corner"):
            # Where three cells meet, an area is none of two lengths, and nothing has a direction.
            made = replace_at_corners(ghosts, face, made, point, np.nan)
        return made

    change_arrays(geometry, list_one)
    return change_arrays(geometry, extend)


def find_components(
    named: Fields,
    ghosts: Ghosts,
    points: Mapping[str, str],
    *,
    is_along: bool = True,
) -> dict[str, str]:
    """Name of a field → ``"x"`` or ``"y"``, for those that are components along the grid.

    So are u and v if they are ``is_along``, and fields in the place of a scalar that say so.
    """
    on_faces = [name for name, point in points.items() if point in ("u", "v")]
    carried = [
        name
        for name in ("field", "scalar")
        if name in named and is_along_grid(named[name], is_on_face=name in on_faces)
    ]
    if carried and ghosts.dim is not None:
        raise OptionError(
            f"{named[carried[0]].name!r} is a component along the grid, and other faces have its "
            "axis turned; rotate both components to the east and north first: rotate_to_earth"
        )
    wind = {"u": "x", "v": "y"} if is_along else {}
    return dict.fromkeys(carried, "x") | {n: axis for n, axis in wind.items() if n in named}


def ghost_width(given: Mapping[str, Any]) -> int:
    """The number of points that any operator reads beyond an end, for the options ``given``.

    The widest is the laplacian, whose fluxes are differenced once more, with metric terms that are
    differenced too and one-sided at the last of these points.
    """
    return 2 * int(given.get("accuracy", 2))


def list_centers(
    field: xr.DataArray, grid: HorizontalGrid, ends: Mapping[str, int] | None = None
) -> dict[str, Points]:
    """The points of a grid of centres only, with its upper ends where they are not those of cells.

    Columns beyond the end of x repeat others.
    """
    dims = {"y": grid.y.dim, "x": grid.x.dim}
    counts = {axis: field.sizes[dim] for axis, dim in dims.items()}
    ends = ends or {axis: 2 * n for axis, n in counts.items()}
    columns, counts["x"] = counts["x"], ends["x"] // 2
    return {"center": Points(dims, {"y": 1, "x": 1}, counts, ends, columns)}


def replace_at_corners(
    ghosts: Ghosts, face: Hashable, array: xr.DataArray, point: str, value: float
) -> xr.DataArray:
    """An extended array with another value where three faces meet.

    Of an array at the corners of cells that is the corner itself, of one at ``"u"`` the points on
    its line beyond y.
    """
    points = ghosts.points[point]
    y, x = (
        points.first[axis] + 2 * (np.arange(array.sizes[dim]) - ghosts.count(face, axis)[0])
        for axis, dim in points.dims.items()
    )
    is_there = np.zeros((len(y), len(x)), bool)
    for end, at in ((0, 0), (0, 1), (1, 0), (1, 1)):
        sides = (face, "y", end), (face, "x", at)
        if {*sides} <= ghosts.links.keys() and not is_regular_corner(ghosts.links, sides[0], at):
            edge = end * points.ends["y"]
            rows = y == edge if point == "corner" else y > edge if end else y < edge
            is_there |= rows[:, None] & (x == at * points.ends["x"])
    if not is_there.any():
        return array
    return array.where(xr.DataArray(~is_there, dims=tuple(points.dims.values())), value)


def restore(
    ghosts: Ghosts,
    made: Sequence[xr.DataArray | xr.Dataset],
    like: xr.DataArray,
    coords: Mapping[Hashable, xr.Variable],
    attrs: Mapping[str, str],
) -> Any:
    """Results by face at the points of the grid, with ``coords``, in the chunks of a field."""
    first = made[0]
    if isinstance(first, xr.Dataset):
        results = {
            name: restore(ghosts, [one[name] for one in made], like, coords, attrs)
            for name in first.data_vars
        }
        return xr.Dataset(results)
    at, own = (
        next(p for p in ghosts.points.values() if {*p.dims.values()} <= {*one.dims})
        for one in (first, like)
    )
    parts = [_cut(one.variable, ghosts, f, at) for f, one in zip(ghosts.faces, made, strict=True)]
    names = {own.dims[axis]: at.dims[axis] for axis in "yx"}
    order = [names.get(dim, dim) for dim in like.dims]
    if {*order} == {*parts[0].dims}:
        parts = [part.transpose(*order) for part in parts]
    variable = join(parts, ghosts.dim, parts[0])
    if is_dask(variable._data):
        chunks = dict(variable.chunksizes)
        for dim, sizes in like.variable.chunksizes.items():
            if sum(sizes) == variable.sizes.get(names.get(dim, dim)):
                chunks[names.get(dim, dim)] = sizes
        variable = variable.chunk(chunks)
    dims = {ghosts.dim, *at.dims.values()}
    moved = list_varying(first, dims)
    kept = first.drop_vars(list(moved)).coords
    result = xr.DataArray(variable, kept, name=first.name, attrs=first.attrs | dict(attrs))
    result.encoding = first.encoding
    lines = {n for n, one in coords.items() if len({*one.dims} & dims) == 1}
    return result.assign_coords(
        {n: coords[n] for n in (*moved, *lines) if {*coords[n].dims} <= {*result.dims}}
    )


def _cut(made: xr.Variable, ghosts: Ghosts, face: Hashable, points: Points) -> xr.Variable:
    """A result of one face without its ghost points, with the columns that repeat others."""
    for axis, dim in points.dims.items():
        low, high = ghosts.count(face, axis)
        made = made.isel({dim: slice(low, made.sizes[dim] - high)})
    x, n = points.dims["x"], made.sizes[points.dims["x"]]
    ends = slice(n - ghosts.before, None), slice(points.columns - n - ghosts.before)
    left, right = (made.isel({x: end}) for end in ends)
    made = join([left, made, right], x, made)
    return made if ghosts.dim is None else made.set_dims((ghosts.dim, *made.dims))
