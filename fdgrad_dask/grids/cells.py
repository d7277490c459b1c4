"""The cells of a staggered grid: coordinates, lengths and areas at each of their points.

Lengths and areas that are not given are those of a sphere: exact between circles of latitude and
longitude, and of great circles between neighbours where latitude and longitude are 2-D. There areas
are products of the two lengths.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.cell_checks import check_arrays, check_places, to_metres
from fdgrad_dask.grids.great_circles import measure_steps
from fdgrad_dask.grids.places import (
    LATITUDES,
    LONGITUDES,
    find_1d,
    find_2d,
    repeat_axes,
    take_first,
)
from fdgrad_dask.grids.staggered import (
    EXTRA,
    LEFT_OUT,
    POINTS,
    Grid,
    across,
    find_point,
    is_on_face,
)

_UNITS = {"x": "degrees_east", "y": "degrees_north"}
Lines = Mapping[tuple[str, bool], Any]


class Cells:
    """What is known of the points of ``grid`` by itself, by the fields on it and others ``beside``.

    Raises CoordinateError if fields disagree about the number of cells.
    """

    def __init__(
        self,
        grid: Grid,
        fields: Sequence[xr.DataArray],
        points: Sequence[str],
        beside: Sequence[xr.DataArray] = (),
    ) -> None:
        self.grid = grid
        placed = list(zip(fields, points, strict=True))
        self.counts = {axis: self._count(axis, placed) for axis in ("x", "y")}
        placed += [(field, find_point(field, grid)) for field in beside]
        for arrays in (grid.area, grid.dx, grid.dy, grid.fraction):
            placed += [(array, point) for point, array in arrays.items()]
        self._placed = placed
        check_arrays(grid, placed, {p: (self.size(p, "y"), self.size(p, "x")) for p in POINTS})
        if any(one.ndim > 1 for array, _ in placed for one in array.coords.variables.values()):
            check_places(grid, {point: self.template(point, of_first=True) for point in POINTS})

    def _count(self, axis: str, placed: Sequence[tuple[xr.DataArray, str]]) -> int:
        """The number of cells along an axis."""
        extra = EXTRA[self.grid.face(axis)]
        counts = {
            field.sizes[self._dim(point, axis)] - extra * is_on_face(point, axis): field.name
            for field, point in placed
        }
        if len(counts) > 1:
            (n, one), (m, other), *_ = counts.items()
            raise CoordinateError(
                f"{one!r} has {n} cells along {axis} and {other!r} has {m}, with faces at the "
                f"position {self.grid.face(axis)!r}; select the same cells of both, or correct the "
                "position in the Grid"
            )
        return int(next(iter(counts)))

    def _dim(self, point: str, axis: str) -> Hashable:
        return self.grid.dims(point)["yx".index(axis)]

    def size(self, point: str, axis: str) -> int:
        """The number of points along an axis."""
        return self.counts[axis] + EXTRA[self.grid.face(axis)] * is_on_face(point, axis)

    # -- coordinates ---------------------------------------------------------------------------

    def coords(self, point: str) -> dict[Hashable, xr.Variable]:
        """The coordinates along x or y that fields, and lengths and areas, have at a point.

        Where both points of an axis share a dimension, those of other points are left out.
        """
        found: dict[Hashable, xr.Variable] = {}
        y, x = self.grid.dims(point)
        for array, at in self._placed:
            for name, one in array.coords.variables.items():
                along = set(one.dims) & {*self.grid.x.values(), *self.grid.y.values()}
                is_here = along and along <= {x, y}
                for axis, dim in (("x", x), ("y", y)):
                    same = is_on_face(at, axis) == is_on_face(point, axis)
                    is_here = is_here and (dim not in along or same)
                if is_here:
                    found.setdefault(name, one)
        return found

    def template(self, point: str, of_first: bool = False) -> xr.DataArray:
        """Zeros without memory of their own, with a point's coordinates, or ``of_first`` time."""
        dims, coords = self.grid.dims(point), {}
        shape = self.size(point, "y"), self.size(point, "x")
        for name, one in self.coords(point).items():
            others = dict.fromkeys(set(one.dims) - set(dims), 0) if of_first and one.size else {}
            if set(one.dims) <= {*dims, *others}:
                coords[name] = one.isel(others)
        return xr.DataArray(np.broadcast_to(0.0, shape), coords, dims, name=point)

    @cached_property
    def _templates(self) -> dict[str, xr.DataArray]:
        return {point: self.template(point) for point in POINTS}

    @cached_property
    def _lines(self) -> Lines:
        """1-D longitudes and latitudes in degrees, by axis and by whether they are of faces.

        Faces without coordinates are halfway between the centres. Where 2-D ones beside them
        differ, as on a tripolar grid, these count.
        """
        lines: dict[tuple[str, bool], Any] = {}
        for axis, key, names in (("x", "longitude", LONGITUDES), ("y", "latitude", LATITUDES)):
            for point, on_face in (("center", False), ("corner", True)):
                here = self._templates[point]
                name = find_1d(here, key, names=names)
                is_along = name is not None and here.coords[name].dims == (self._dim(point, axis),)
                line = here.coords[name].values.astype(np.float64) if is_along else None
                lines[axis, on_face] = line
            centers = lines[axis, False]
            if lines[axis, True] is None and centers is not None and len(centers) > 1:
                first, last = 2 * centers[0] - centers[1], 2 * centers[-1] - centers[-2]
                around = np.concatenate([[first], centers, [last]])
                below, above = LEFT_OUT[self.grid.face(axis)]
                faces = ((around[1:] + around[:-1]) / 2)[below:]
                lines[axis, True] = faces[:-1] if above else faces
        return dict.fromkeys(lines) if self._are_nominal(lines) else lines

    def _are_nominal(self, lines: Lines) -> bool:
        """True if 2-D longitude and latitude at any point differ from the lines there.

        Raises CoordinateError if these are dask arrays, which cannot be compared.
        """
        for point, here in self._templates.items():
            along = {axis: lines[axis, on] for axis, on in zip("xy", POINTS[point], strict=True)}
            if any(line is None for line in along.values()):
                continue
            names = [find_2d(here, key) for key in ("latitude", "longitude")]
            if None in names:
                continue
            axes = zip("yx", here.dims, strict=True)
            labels = {dim: (dim, along[axis], {"units": _UNITS[axis]}) for axis, dim in axes}
            both = {name: here.coords.variables[name] for name in names}
            if not repeat_axes(xr.DataArray(here.variable, {**both, **labels}, name=point), *names):
                return True
        return False

    @property
    def has_lines(self) -> bool:
        """True if x is a longitude and y a latitude, so that components along them point east."""
        return all(
            any(self._lines[axis, on_face] is not None for on_face in (False, True))
            for axis in "xy"
        )

    def latitude(self, point: str) -> xr.Variable | None:
        """The latitude of a point in degrees, along y or over (y, x); None if it is unknown."""
        here, is_line = self._templates[point], self._lines["y", is_on_face(point, "y")] is not None
        name = find_1d(here, "latitude", names=LATITUDES) if is_line else None
        name = name or find_2d(self.template(point, of_first=True), "latitude")
        if name is None:
            return None
        latitude = self.coords(point)[name]
        for dim in {*latitude.dims}.difference(here.dims):  # times
            latitude = take_first(latitude, dim)
        return latitude

    # -- lengths and areas ---------------------------------------------------------------------

    def dx(self, point: str) -> xr.Variable:
        """The length along x at a point, in metres."""
        return self._length("x", point)

    def dy(self, point: str) -> xr.Variable:
        """The length along y at a point, in metres."""
        return self._length("y", point)

    def _length(self, axis: str, point: str) -> xr.Variable:
        given = self.grid.dx if axis == "x" else self.grid.dy
        if point in given:
            return to_metres(given[point], "m")
        step = self._step(axis, point)
        latitude = self._lines["y", is_on_face(point, "y")]
        if axis == "y" and step is not None:
            return xr.Variable((self._dim(point, "y"),), self.grid.radius * np.deg2rad(step))
        if step is not None and latitude is not None:
            cosine = np.cos(np.deg2rad(latitude))
            values = self.grid.radius * cosine[:, None] * np.deg2rad(step)
        elif (values := self._distance(axis, point)) is None:
            name = f"d{axis}"
            raise CoordinateError(
                f"{name} at the point {point!r} is not given, and cannot be computed, since "
                f"longitude and latitude at {across(point, axis)!r} are unknown; give it in "
                f"metres: Grid(…, {name}={{{point!r}: …}}), or give the fields the longitude and "
                "latitude of their points as coordinates"
            )
        return xr.Variable(self.grid.dims(point), values)

    def area(self, point: str) -> xr.Variable:
        """The area of the cell around a point, in m²; of centres and corners, or any other."""
        grid = self.grid
        if point in grid.area:
            return to_metres(grid.area[point], "m2")
        step = self._step("x", point)
        bounds = self._bounds("y", point)
        if step is not None and bounds is not None and not (point in grid.dx or point in grid.dy):
            band = np.diff(np.sin(np.deg2rad(np.clip(bounds, -90, 90))))
            values = grid.radius**2 * band[:, None] * np.deg2rad(step)
            return xr.Variable(grid.dims(point), values)
        return self.dx(point) * self.dy(point)

    def open(self, values: xr.Variable, point: str) -> xr.Variable:
        """The open part of a length or an area, where the grid has partial cells."""
        share = self.grid.fraction.get(point)
        return values if share is None else values * share.variable

    def _bounds(self, axis: str, point: str) -> Any:
        """The 1-D coordinate of the points on both sides of each point; None if it is unknown.

        Beyond the ends it goes on around the circle, or as far as on the other side of the point.
        """
        at, beside = (self._lines[axis, is_on_face(p, axis)] for p in (point, across(point, axis)))
        if beside is None or len(beside) < 2:
            return None
        is_periodic = axis == "x" and self.grid.ends("x")[0] == "periodic"
        turn = np.copysign(360.0, beside[1] - beside[0])
        low, high = 2 * beside[0] - beside[1], 2 * beside[-1] - beside[-2]
        if at is not None:
            low, high = 2 * at[0] - beside[0], 2 * at[-1] - beside[-1]
        if is_periodic:
            low, high = beside[-1] - turn, beside[0] + turn
        before, behind = self._lacks(axis, point)
        return np.concatenate([[low] * before, beside, [high] * behind])

    def _lacks(self, axis: str, point: str) -> tuple[bool, bool]:
        """Whether the first and the last point have no neighbour half a step below, and above."""
        below, above = LEFT_OUT[self.grid.face(axis)]
        return (not below, not above) if is_on_face(point, axis) else (below, above)

    def _step(self, axis: str, point: str) -> Any:
        """The 1-D coordinate's step over each point, in degrees; None if it is unknown."""
        bounds = self._bounds(axis, point)
        if bounds is None:
            return None
        if axis == "y":
            return np.diff(np.clip(bounds, -90, 90))
        steps = np.diff(bounds)
        # One may lead across the date line, and one be half of the globe; most tell the sense.
        sense = np.sign(np.median(steps - 360 * np.round(steps / 360)))
        return sense * (sense * steps % 360)

    def _distance(self, axis: str, point: str) -> Any:
        """The great circle between the two neighbours along ``axis`` of each point, (ny, nx)."""
        places, here = self._places(across(point, axis)), self._places(point)
        if places is None:
            return None
        number, (before, behind) = "yx".index(axis), self._lacks(axis, point)
        radius = self.grid.radius
        if axis == "x" and self.grid.ends("x")[0] == "periodic":
            parts = [places[..., -1:]] * before + [places] + [places[..., :1]] * behind
            return measure_steps(np.concatenate(parts, axis=2), number, radius)
        steps, ends = measure_steps(places, number, radius), []
        for rows in (slice(1), slice(-1, None)):
            cut = (slice(None),) * number + (rows,)
            end = steps[cut]
            if here is not None:  # as far as on the other side
                pair = [each[(slice(None), *cut)] for each in (here, places)]
                end = 2 * measure_steps(np.concatenate(pair, number + 1), number, radius)
            ends.append(end)
        parts = [ends[0]] * before + [steps] + [ends[1]] * behind
        return np.concatenate(parts, axis=number)

    def _places(self, point: str) -> Any:
        """Latitude and longitude at a point in radians, (2, ny, nx); None if they are unknown."""
        here = self._templates[point]
        names = [find_2d(here, key) for key in ("latitude", "longitude")]
        if None in names:
            return None
        found = [here.coords.variables[name].transpose(*here.dims).data for name in names]
        return np.deg2rad(np.stack(found).astype(np.float64))
