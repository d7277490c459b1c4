"""Operators on fields with ghost points: which fields are vectors, and results without ghosts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, HorizontalGrid
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.ghosts import Ghosts, Points, Quantity, join, list_varying
from fdgrad_dask.operators.roles import choose_components, is_along_grid


def solve_extended(
    operator: Callable[..., Any],
    given: Mapping[str, Any],
    ghosts: Ghosts,
    named: Mapping[str, xr.DataArray],
    along: Mapping[str, str],
    change: Callable[[Hashable, dict[str, xr.DataArray]], Mapping[str, Any]],
    points: Mapping[str, str] | None = None,
) -> list[Any]:
    """What ``operator`` makes of each face of the fields ``named``, with their ghost points.

    Some are components ``along`` an axis, ``points`` says where they lie if not at centres.
    ``change`` gives the arguments of a face that are not those ``given``.
    """
    at = points or dict.fromkeys(named, "center")
    wind = {(along[n], at[n]): named[n] for n in ("u", "v") if n in along}
    made = []
    for face in ghosts.faces:
        extended = {}
        for name, one in named.items():
            own = along.get(name, "")
            arrays = {**(wind if own else {}), (own, at[name]): one}
            what = Quantity(arrays, own, "vector" if own else "")
            extended[name] = ghosts.extend(face, one, at[name], what)
        made.append(operator(**{**given, **extended, **change(face, extended)}))
    return made


def solve_at_centers(
    operator: Callable[..., Any],
    given: Mapping[str, Any],
    ghosts: Ghosts,
    named: Mapping[str, xr.DataArray],
    grid: HorizontalGrid,
    boundary: Callable[[Hashable], Any],
    attrs: Mapping[str, str],
) -> Any:
    """What ``operator`` makes of fields at centres; ``boundary`` is that of the open ends."""

    def change(face: Hashable, _: Any) -> dict[str, Any]:
        sizes = _extend_sizes(given.get("geometry"), ghosts, face)
        return {"boundary": boundary(face), "geometry": sizes}

    has_wind = {"u", "v"} <= named.keys()
    is_along = has_wind and choose_components(named["u"], named["v"], grid) == "grid"
    along = find_components(named, ghosts, is_along=is_along)
    made = solve_extended(operator, given, ghosts, named, along, change)
    first = next(iter(named.values()))
    dims = ghosts.dim, *ghosts.points["center"].dims.values()
    return restore(ghosts, made, first, list_varying(first, dims), attrs)


def find_components(
    named: Mapping[str, xr.DataArray],
    ghosts: Ghosts,
    points: Mapping[str, str] | None = None,
    *,
    is_along: bool = True,
) -> dict[str, str]:
    """Name of a field → ``"x"`` or ``"y"``, for those that are components along the grid.

    So are u and v if they are ``is_along``, and fields in the place of a scalar that say so.
    """
    on_faces = [name for name, point in (points or {}).items() if point in ("u", "v")]
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


def get_sizes(geometry: Geometry | None) -> dict[str, xr.DataArray]:
    """The arrays of a curvilinear geometry by name: lengths of cells, and the angle of x."""
    if not isinstance(geometry, Curvilinear):
        return {}
    if geometry.angle is not None and not isinstance(geometry.angle, xr.DataArray):
        raise OptionError(
            f"angle is {geometry.angle}, but beyond a fold or another face x points elsewhere; "
            "give the angle as a DataArray over y and x"
        )
    given = {name: getattr(geometry, name) for name in ("dx", "dy", "angle")}
    return {name: one for name, one in given.items() if isinstance(one, xr.DataArray)}


def _extend_sizes(geometry: Geometry | None, ghosts: Ghosts, face: Hashable) -> Geometry | None:
    """A geometry whose arrays have ghost points."""
    arrays = get_sizes(geometry)
    needed = ghosts.dim, *ghosts.points["center"].dims.values()
    for name, one in arrays.items():
        if ghosts.dim is not None and not {*needed} <= {*one.dims}:
            raise CoordinateError(
                f"{name} has the dimensions {one.dims}, but across faces it is needed over {needed}"
            )
    lengths = {(n[1], "center"): one for n, one in arrays.items() if n != "angle"}
    made: dict[str, Any] = {
        f"d{axis}": one for (axis, _), one in extend_all(ghosts, face, lengths, "length").items()
    }
    if "angle" in arrays:
        angle = {("", "center"): arrays["angle"]}
        made["angle"] = extend_all(ghosts, face, angle, "angle")["", "center"]
    return replace(geometry, **made) if isinstance(geometry, Curvilinear) else geometry


def extend_all(
    ghosts: Ghosts, face: Hashable, arrays: Mapping[tuple[str, str], xr.DataArray], kind: str
) -> dict[tuple[str, str], xr.DataArray]:
    """One face of arrays that go on as one another, by component and point."""
    return {
        (own, point): ghosts.extend(face, one, point, Quantity(arrays, own, kind))
        for (own, point), one in arrays.items()
    }


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
        known = {n: one for each in results.values() for n, one in each.coords.items()}
        return xr.Dataset({name: one.variable for name, one in results.items()}, known)
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
