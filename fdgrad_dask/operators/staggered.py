"""Passes over fields at different points of a staggered grid, as finite volumes.

A difference along an axis lies half a step off its operand: between the centres of two cells is a
face, and between two faces a centre. Fluxes through the faces of a cell thus add up to zero over a
closed domain, and circulations around cells to the circulation around all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.errors import OptionError
from fdgrad_dask.grids.attributes import check_result_name, derive_attributes
from fdgrad_dask.grids.cells import Cells
from fdgrad_dask.grids.coordinate import Axis, index_axis
from fdgrad_dask.grids.metric_terms import inverse
from fdgrad_dask.grids.places import has_same_values
from fdgrad_dask.grids.staggered import EXTRA, IS_BELOW, Grid, find_point, is_on_face
from fdgrad_dask.halo.compute import concatenate, is_dask
from fdgrad_dask.operators.expression import Derivative, Factor
from fdgrad_dask.operators.fused_pass import FusedPass
from fdgrad_dask.operators.options import Options
from fdgrad_dask.stencils import two_points
from fdgrad_dask.stencils.table import StencilTable

Table = Callable[..., StencilTable]


class StaggeredPass(FusedPass):
    """One evaluation of equations over fields at the points of a staggered grid.

    All fields are brought to one index space, in which the number of a cell is that of one of its
    faces too. Where there is one face more than cells, so many slots there are along that axis.
    ``beside`` are other fields that have coordinates. ``is_closed``: nothing flows through walls,
    as if a scalar went on behind them unchanged.
    """

    def __init__(
        self,
        grid: Grid,
        *fields: xr.DataArray,
        points: Sequence[str] = (),
        beside: Sequence[xr.DataArray] = (),
        is_closed: bool = False,
    ) -> None:
        self.grid, self.is_closed = grid, is_closed
        self.points = points or [find_point(field, grid) for field in fields]
        self.cells = Cells(grid, fields, self.points, beside)
        placed = zip(fields, self.points, strict=True)
        super().__init__(*(self._to_slots(field, point) for field, point in placed))
        self.plane = tuple(index_axis(self.template, one["center"]) for one in (grid.y, grid.x))
        self._tables: dict[Any, StencilTable] = {}

    def ends(self, axis: str, point: str) -> tuple[Any, Any]:
        """What stands outside of data at a point: a number on faces, nothing beyond walls."""
        ends = self.grid.ends(axis)
        if ends[0] == "periodic":
            return ends
        if is_on_face(point, axis):  # where the data have all faces, nothing is beyond them
            return (None, None) if self.grid.face(axis) == "outer" else ends
        low, high = ("extend" if self.is_closed and end is not None else None for end in ends)
        return low, high

    # -- equations -----------------------------------------------------------------------------

    def difference(self, operand: Any, axis: str, at: str) -> Derivative:
        """δ operand, along ``axis`` from the point ``at`` to that half a step off."""
        return self.differentiate(operand, *self.table(two_points.difference, axis, at))

    def mean(self, operand: Any, axis: str, at: str) -> Derivative:
        """The mean of two neighbours, half a step off."""
        return self.differentiate(operand, *self.table(two_points.mean, axis, at))

    def table(self, make: Table, axis: str, at: str, *wall: Any) -> tuple[Axis, StencilTable]:
        """An axis, and the stencil that leads from the point ``at`` to that half a step off.

        ``wall`` stands beyond walls, where that is not what the boundary says.
        """
        along = self.plane["yx".index(axis)]
        key = make, axis, at, wall
        if key not in self._tables:
            is_forward = IS_BELOW[self.grid.face(axis)] == is_on_face(at, axis)
            ends = self.ends(axis, at)
            if wall and ends[0] != "periodic":
                low, high = (None if end is None else wall[0] for end in self.grid.ends(axis))
                ends = low, high
            n = self.template.sizes[along.dim]
            self._tables[key] = make(n, is_forward=is_forward, ends=ends)
        return along, self._tables[key]

    def after(self, *arrays: Any) -> FusedPass:
        """A pass over arrays that this one has made."""
        return FusedPass(*(self.template.copy(data=data) for data in arrays), plane=self.plane)

    def open(self, axis: str, point: str) -> Factor:
        """The open part of the side of a cell along ``axis``, at a point."""
        side = self.cells.dx(point) if axis == "x" else self.cells.dy(point)
        return self.factor(self.cells.open(side, point), point)

    def per(self, values: xr.Variable, point: str) -> Factor:
        """One over a length or an area at a point; NaN where that is zero."""
        return self.factor(values.copy(data=inverse(values.data)), point)

    def factor(self, values: xr.Variable, point: str) -> Factor:
        """An array at a point in an equation."""
        slots = self._pad(values, point, is_factor=True)
        for dim, n in slots.sizes.items():
            if self.template.sizes.get(dim) != n:
                raise OptionError(
                    f"the grid has {n} points along {dim!r} at {point!r}, but "
                    f"{self.template.name!r} has {dict(self.template.sizes)}; select the same of "
                    "both"
                )
        axes = tuple(index_axis(self.template, dim) for dim in slots.dims)
        return Factor(slots.data, axes)

    # -- from the points to slots, and back ----------------------------------------------------

    def _to_slots(self, field: xr.DataArray, point: str) -> xr.DataArray:
        """The field in the index space of the pass, without its horizontal coordinates."""
        own = {*self.grid.dims(point)}
        bare = field.drop_vars([n for n, one in field.coords.items() if own & set(one.dims)])
        slots = self._pad(bare.variable, point)
        return xr.DataArray(slots, bare.coords, name=field.name)

    def _pad(self, values: xr.Variable, point: str, is_factor: bool = False) -> xr.Variable:
        """An array over the slots; where it has fewer points, one is added at the upper end."""
        data, names = values.data, {}
        for axis, dim in zip("yx", self.grid.dims(point), strict=True):
            if dim not in values.dims:
                continue
            number, missing = values.dims.index(dim), self._lacks(axis, point)
            if missing < 0:
                data = _take(data, number, slice(None, missing))
            elif missing:
                outside = "extend" if is_factor else self.ends(axis, point)[1]
                data = _append(data, number, np.nan if outside is None else outside)
            names[dim] = getattr(self.grid, axis)["center"]
        dims = [names.get(dim, dim) for dim in values.dims]
        return xr.Variable(dims, data, values.attrs, values.encoding)

    def _lacks(self, axis: str, point: str) -> int:
        """How many points fewer than slots there are along an axis; −1 where the last repeats."""
        extra, on_face = EXTRA[self.grid.face(axis)], is_on_face(point, axis)
        is_periodic = self.grid.ends(axis)[0] == "periodic"
        if extra == 1:
            return (-1 if on_face else 0) if is_periodic else (0 if on_face else 1)
        return -extra if on_face else 0

    def named_at(
        self,
        data: Any,
        point: str,
        name: Hashable,
        long_name: str,
        units: str | None,
        standard_name: str | None = None,
    ) -> xr.DataArray:
        """One output at a point, with the coordinates of that point."""
        dims = list(self.template.dims)
        for axis, along, dim in zip("yx", self.plane, self.grid.dims(point), strict=True):
            dims[along.number], missing = dim, self._lacks(axis, point)
            if missing > 0:
                data = _take(data, along.number, slice(None, -missing))
            elif missing < 0:
                data = _append(data, along.number, "periodic")
        here = self.cells.coords(point).items()
        own = xr.Coordinates({n: one for n, one in here if set(one.dims) <= set(dims)})
        # What `assign_coords` does, without aligning points that are those of the result.
        kept, indexes = self.template.coords.variables, self.template.xindexes
        coords = xr.Coordinates({**kept, **own.variables}, {**indexes, **own.xindexes})
        result = xr.DataArray(self.as_wide(data), coords, dims)
        check_result_name(name, result)
        attrs = derive_attributes(self.outer, units, long_name)
        attrs |= {"standard_name": standard_name} if standard_name else {}
        attrs |= {"horizontal_geometry": "grid"}
        attrs |= {"grid_source": self.grid.source} if self.grid.source else {}
        result.name, result.attrs = name, attrs
        if self.grid.dims("center") == self.grid.dims("corner"):  # dimensions do not tell the point
            places = sorted(str(n) for n, one in own.variables.items() if one.ndim == 2)
            result.encoding = {"coordinates": " ".join(places)} if places else {}
        return result

    def to_dataset(self, results: Iterable[xr.DataArray]) -> xr.Dataset:
        """Outputs as one Dataset; without coordinates of one name and different values."""
        made = list(results)
        coords: dict[Hashable, xr.Variable] = {}
        unlike = set()
        for result in made:
            for name, one in result.coords.variables.items():
                other = coords.setdefault(name, one)
                if not has_same_values(other, one):
                    unlike.add(name)
        return xr.Dataset(
            {one.name: one.variable for one in made},
            {name: one for name, one in coords.items() if name not in unlike},
        )


def require_defaults(options: Options) -> Grid:
    """The grid of an operator on a staggered grid; raises for options that it cannot have."""
    grid = options.geometry
    assert isinstance(grid, Grid)
    if options.boundary is not None:
        raise OptionError(
            f"boundary is {options.boundary!r}, but a staggered grid has its own; give it there: "
            "Grid(…, boundary={'x': 0.0, 'y': 0.0})"
        )
    if options.constant is not None:
        raise OptionError(
            "constant is given, but on a staggered grid derivatives are along the levels; leave it "
            "out, or interpolate to levels of pressure or height first"
        )
    given = options.accuracy, options.edge_order, options.skipna
    for name, value, default in zip(
        ("accuracy", "edge_order", "skipna"), given, (2, 1, None), strict=True
    ):
        if value != default:
            raise OptionError(
                f"{name} is {value!r}, but on a staggered grid differences are of two neighbours; "
                f"leave out {name}"
            )
    return grid


def _take(data: Any, axis: int, rows: slice) -> Any:
    return data[(slice(None),) * axis + (rows,)]


def _append(data: Any, axis: int, outside: Any) -> Any:
    """One more row at the upper end: the last one ("extend"), the first ("periodic"), a number."""
    if data.dtype.kind in "iub":
        data = data.astype(np.float64)
    row = _take(data, axis, slice(1) if outside == "periodic" else slice(-1, None))
    if not isinstance(outside, str):
        xp = row.__array_namespace__() if is_jax(row) else np  # which hands over to dask itself
        row = xp.full_like(row, outside)
    joined = concatenate([data, row], axis)
    if is_dask(joined):
        *sizes, last, _ = joined.chunks[axis]
        joined = joined.rechunk({axis: (*sizes, last + 1)})
    return joined
