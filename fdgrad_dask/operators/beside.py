"""Faces with ghost points from those beside them, turned as they are connected."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.coordinate import Axis, select_for_axis
from fdgrad_dask.grids.faces import Link, Side, across, describe_side, is_regular_corner
from fdgrad_dask.grids.fold import locate
from fdgrad_dask.grids.places import list_candidates
from fdgrad_dask.halo.compute import is_dask, scale
from fdgrad_dask.operators.ghosts import extend_field, half_turn, join
from fdgrad_dask.stencils.boundary import boundary_pair


class Faces:
    """Arrays over faces, y and x, and what lies beside each of them."""

    def __init__(
        self,
        links: Mapping[Side, Link],
        labels: Sequence[Hashable],
        dim: Hashable,
        axes: Mapping[str, Axis],
        width: int,
    ) -> None:
        self.links, self.labels, self.dim, self.axes = links, list(labels), dim, axes
        self.dims = {key: axis.dim for key, axis in axes.items()}
        self.width = width

    def select(self, array: xr.DataArray, face: Hashable) -> xr.DataArray:
        return array.isel({self.dim: self.labels.index(face)}, missing_dims="ignore")

    def extend(
        self,
        face: Hashable,
        field: xr.DataArray,
        arrays: Mapping[str, xr.DataArray],
        own: str,
        kind: str,
    ) -> xr.DataArray:
        """One face of a field with its ghost points.

        ``arrays`` are the field, or the components along x and y of a vector, of which it is
        ``own``; ``kind`` says how they turn: as a ``"vector"``, a ``"length"`` or an ``"angle"``.
        """
        ghosts = {d: self._ghosts(face, axis) for axis, d in self.dims.items()}
        dims = self.dims["y"], self.dims["x"]

        def extend(name: Hashable, _: xr.Variable) -> xr.Variable:
            return self._surround({"": field.coords[name]}, face, "", "")

        variable = self._surround(arrays, face, own, kind)
        return extend_field(self.select(field, face), dims, ghosts, extend, variable)

    def extend_array(
        self, face: Hashable, geometry: Any, name: str, array: xr.DataArray
    ) -> xr.DataArray:
        """One face of dx, dy or angle with its ghost points."""
        if not {self.dim, *self.dims.values()} <= {*array.dims}:
            raise CoordinateError(
                f"{name} has the dimensions {array.dims}, but across faces it is needed over "
                f"{(self.dim, *self.dims.values())}"
            )
        if name == "angle":
            return self.extend(face, array, {"": array}, "", "angle")
        lengths = {"x": geometry.dx, "y": geometry.dy}
        return self.extend(face, array, lengths, name[1], "length")

    def _ghosts(self, face: Hashable, axis: str) -> tuple[int, int]:
        low, high = (self.width if (face, axis, end) in self.links else 0 for end in (0, 1))
        return low, high

    def _surround(
        self, arrays: Mapping[str, xr.DataArray], face: Hashable, own: str, kind: str
    ) -> xr.Variable:
        made = self.select(arrays[own], face).variable
        for axis, dim in self.dims.items():  # first along y, then along x with the corners
            low, high = (
                [self._beyond(arrays, (face, axis, end), own, kind, has_corners=axis == "x")]
                if (face, axis, end) in self.links
                else []
                for end in (0, 1)
            )
            made = join([*low, made, *high], dim, made)
        return made

    def _beyond(
        self,
        arrays: Mapping[str, xr.DataArray],
        side: Side,
        own: str,
        kind: str,
        *,
        has_corners: bool = False,
    ) -> xr.Variable:
        """The ghost points beyond one side of a face, as this one is turned."""
        link = self.links[side]
        name, sign = link.signs(side[1], own) if own else ("", 1)
        other, axis, end = link.lands(side[2])
        along, beside = self.dims[axis], self.dims[across(axis)]
        strip = {along: slice(self.width) if end == 0 else slice(-self.width, None)}
        made = self.select(arrays[name], other).variable.isel(strip)
        order = made.dims
        if has_corners:
            corners: list[list[xr.Variable]] = [[], []]
            for at in (0, 1):
                if (side[0], across(side[1]), at) in self.links:
                    there = 1 - at if link.is_flipped else at
                    corner = other, across(axis), there
                    if is_regular_corner(self.links, side, at):
                        corners[there] = [self._beyond(arrays, corner, name, kind).isel(strip)]
                    else:
                        corners[there] = [_fill_corner(made, beside, self.width, kind)]
            made = join([*corners[0], made, *corners[1]], beside, made)
        turns = {along: link.is_reversed, beside: link.is_flipped}
        made = made.isel(
            {d: slice(None, None, -1 if is_back else 1) for d, is_back in turns.items()}
        )
        if axis != side[1]:
            swapped = {along: beside, beside: along}
            dims = [swapped.get(dim, dim) for dim in order]
            made = xr.Variable(dims, made.data).transpose(*order)
        if kind == "vector" and sign == -1:
            made = xr.Variable(order, scale(made.data, -1))
        if kind == "angle":
            x, sense = link.signs(side[1], "x")
            quarters = sense if x == "y" else 1 - sense
            made = made.copy(data=made.data + quarters * half_turn(arrays[""]) / 2)
        return made

    def check(self, field: xr.DataArray) -> None:
        """Raise unless the points beyond each side lie there, where places are known."""
        one = self.select(field, self.labels[0])
        names = [list_candidates(one, key, 2) for key in ("latitude", "longitude")]
        places = [field.coords[found[0]] for found in names if len(found) == 1]
        if len(places) < 2 or any(is_dask(place.variable._data) for place in places):
            return
        for side in self.links:
            order = self.dims[side[1]], self.dims[across(side[1])]
            own = [self.select(place, side[0]).transpose(*order).values for place in places]
            there = [self._beyond({"": place}, side, "", "").transpose(*order) for place in places]
            inward = slice(None, None, 1 if side[2] == 0 else -1)
            p, q, r = locate(*(one[inward][:3] for one in own))
            beyond = locate(*(one.values[inward][-1] for one in there))
            off = np.linalg.norm(3 * p - 3 * q + r - beyond, axis=-1)
            if np.nanmedian(off / np.linalg.norm(p - q, axis=-1)) > 0.5:
                other = describe_side(self.links[side].lands(side[2]))
                raise CoordinateError(
                    f"{describe_side(side)} is connected to {other}, but by latitude and longitude "
                    "it does not go on there; correct the connection"
                )

    def boundary(self, face: Hashable, rest: Mapping[Any, Any], field: xr.DataArray) -> Any:
        """The boundary conditions of one face: its open sides have those of the domain."""
        found = {
            key: one
            for key, one in rest.items()
            if not any(select_for_axis({key: True}, axis, field) for axis in self.axes.values())
        }
        for key, axis in self.axes.items():
            ends = boundary_pair(select_for_axis(rest, axis, field))
            if "periodic" in ends:
                raise OptionError(
                    f"boundary connects faces, and {axis.dim!r} is periodic; connect the face with "
                    "itself instead"
                )
            is_open = [(face, key, end) not in self.links for end in (0, 1)]
            found[axis.dim] = tuple(
                one if free else None for one, free in zip(ends, is_open, strict=True)
            )
        return found

    def stack(
        self, made: Sequence[xr.DataArray | xr.Dataset], field: xr.DataArray, like: xr.DataArray
    ) -> xr.Variable:
        """One result of all faces, without ghost points."""
        parts = []
        for face, one in zip(self.labels, made, strict=True):
            result = one[like.name] if isinstance(one, xr.Dataset) else one
            inner = {}
            for axis, dim in self.dims.items():
                low, _ = self._ghosts(face, axis)
                inner[dim] = slice(low, low + field.sizes[dim])
            one_face = result.variable.isel(inner)
            parts.append(one_face.set_dims((self.dim, *one_face.dims)))
        is_alike = {*parts[0].dims} == {*field.dims}
        order = field.dims if is_alike else parts[0].dims
        parts = [part.transpose(*order) for part in parts]
        return join(parts, self.dim, parts[0])


def _fill_corner(like: xr.Variable, dim: Hashable, width: int, kind: str) -> xr.Variable:
    """Points beyond a corner where three faces meet, which do not exist.

    Given lengths and angles are read along both axes only, never there; positions are missing.
    """
    shape = [width if d == dim else n for d, n in like.sizes.items()]
    fill = 1.0 if kind in ("length", "angle") else np.nan
    return xr.Variable(like.dims, np.full(shape, fill, np.result_type(like.dtype, np.float32)))
