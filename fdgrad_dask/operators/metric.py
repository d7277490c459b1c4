"""A pass over fields on a horizontal grid, whose derivatives are per metre to the east and north.

Where x and y are longitude and latitude, or a plane, the metres vary along y alone and there is a
closed form at poles; on a curvilinear grid they vary over both, as `curvilinear` has them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.program import Formula
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.attributes import choose_long_name, derive_attributes
from fdgrad_dask.grids.coordinate import Axis, select_for_axis
from fdgrad_dask.grids.geometry import Geometry, Sphere
from fdgrad_dask.grids.horizontal import HorizontalGrid, find_horizontal_grid
from fdgrad_dask.grids.metric_terms import Given, Metrics, Pair, Tables, at_points, on_earth
from fdgrad_dask.grids.places import require_same_places
from fdgrad_dask.grids.units import divide_units
from fdgrad_dask.halo.compute import average_row, length
from fdgrad_dask.operators.scheme import Pass, Scheme
from fdgrad_dask.operators.slopes import Metric, Recipe, Row, Slopes
from fdgrad_dask.stencils.edge_rows import smooth_ends
from fdgrad_dask.stencils.stencil import Stencil, Term
from fdgrad_dask.stencils.table import StencilTable, stencil
from fdgrad_dask.stencils.weights import weigh


class OnGrid(Pass):
    """One pass over fields on a horizontal grid, in which recipes make slopes in metres."""

    def __init__(self, *fields: xr.DataArray, scheme: Scheme) -> None:
        super().__init__(*fields)
        self.scheme = scheme
        self.recipes: list[Recipe] = []
        self._made: dict[tuple[int, int], int] = {}
        self._factors: dict[int, tuple[Any, int]] = {}  # an array is kept, so that its id stays its
        self.grid: HorizontalGrid
        self.metrics: Metrics | None = None

    def lie_on(self, geometry: Geometry | None, *, is_directed: bool = True) -> None:
        """Reads the grid of the fields; of a meridian that is there twice, one is computed."""
        boundary = self.scheme.boundary
        self.grid = find_horizontal_grid(self.like, geometry, boundary, is_directed)
        if self.grid.repeats:
            self.leave_out_last(self.grid.x)
            self.grid = find_horizontal_grid(self.like, geometry, boundary, is_directed)
        if self.grid.curvilinear is not None and self.grid.curvilinear.places is not None:
            for other in self.labelled[1:]:
                require_same_places(self.like, other)

    def over_grid(self, values: Any) -> int:
        """A factor that varies along y, or along y and x."""
        if id(values) not in self._factors:
            number = self.factor(values, *(self.grid.y, self.grid.x)[: values.ndim])
            self._factors[id(values)] = values, number
        return self._factors[id(values)][1]

    def row(self, factors: Sequence[Any], of: Sequence[int]) -> Row:
        """The sum of these derivatives or fields, each times its factor: 0, 1 or an array."""
        return tuple(
            (None if isinstance(factor, int) else self.over_grid(factor), number)
            for factor, number in zip(factors, of, strict=True)
            if not isinstance(factor, int) or factor == 1
        )

    def sum_of(self, factors: Sequence[Any], of: Sequence[int]) -> int:
        """The operand that is such a sum of fields, to be differenced along x or y."""
        sizes = [self.like.sizes[axis.dim] for axis in (self.grid.y, self.grid.x)]
        whole = [
            factor
            if isinstance(factor, int) or factor.shape in (tuple(sizes), (sizes[0],))
            else np.broadcast_to(factor, sizes)
            for factor in factors
        ]
        return self.operand(*((number, factor) for factor, number in self.row(whole, of)))

    def along(self, axis: Axis, operand: int) -> int:
        """The number of the derivative of an operand along ``axis``."""
        key = operand, axis.number
        if key not in self._made:
            table = self.scheme.along(self.grid, axis, self.like)
            self._made[key] = self.derive(operand, axis, table)
        return self._made[key]

    def plain(self, axis: Axis, operand: int) -> None:
        """Asks for a derivative as it is, along an axis that is not horizontal."""
        self.recipes.append(Slopes((((None, self.along(axis, operand)),),)))

    def slopes(self, operand: int) -> None:
        """Asks for the two components of the gradient of an operand."""
        grid = self.grid
        d = [self.along(axis, operand) for axis in (grid.x, grid.y)]
        factors: tuple[Pair, Pair]
        if self.metrics is None:
            factors = (inverse(grid.h_x), 0), (0, over_y(grid))
        else:
            factors = self.metrics.slopes
        self.recipes.append(Slopes(tuple(self.row(pair, d) for pair in factors)))

    def solve(self, equation: Formula, outputs: int = 1) -> list[Any]:
        """The data of the outputs of an equation, whose derivatives were asked for before."""
        return self.run(Metric(equation, tuple(self.recipes)), outputs)


def metrics_of(
    grid: HorizontalGrid,
    field: xr.DataArray,
    scheme: Scheme,
    components: str = "earth",
    *,
    smooth: bool = False,
) -> Metrics | None:
    """The metrics of a curvilinear grid; None where x and y are east and north, or a plane."""
    curved = grid.curvilinear
    if curved is None:
        return None
    tables = tables_of(grid, field, scheme, smooth=smooth)
    is_along = components == "grid"
    if curved.cell_sizes is not None:
        for name, spacing, closed in zip(
            ("dy", "dx"), curved.cell_sizes[::-1], grid.periodic, strict=True
        ):
            if spacing.is_between and closed:
                raise CoordinateError(
                    f"{name} between points knows no gap of a closed axis; give it at the points"
                )
        h_x, h_y = (
            at_points(spacing.values, axis, table) if spacing.is_between else spacing.values
            for spacing, axis, table in zip(curved.cell_sizes, (1, 0), tables, strict=True)
        )
        return Given(h_x, h_y, tables, curved.rotation, is_turned=not is_along)
    assert curved.places is not None
    directions = None
    if is_along and curved.rotation is None:
        directions = tables_of(grid, field, scheme, smooth=True)
    made = on_earth(
        *curved.places, curved.radii, tables, smooth=directions, senses=curved.orientation
    )
    if is_along and curved.rotation is not None:
        c, s = curved.rotation
        made = replace(made, along=((c, s), (-s, c)))
    return made


def tables_of(
    grid: HorizontalGrid,
    field: xr.DataArray,
    scheme: Scheme,
    *,
    order: int = 1,
    smooth: bool = False,
) -> Tables:
    """The stencils of the metres along x and y: of the order of the field's, with their own ends.

    The grid goes on where a value is held outside or a field is mirrored, so that it is one-sided
    there; at open ends both are so alike. ``smooth`` is for what is differenced once more.
    """

    def table(axis: Axis, is_closed: bool) -> StencilTable:
        n = length(field, axis.number)
        is_open = select_for_axis(scheme.boundary, axis, field) is None
        made = stencil(
            1.0,
            n,
            order=order,
            accuracy=scheme.accuracy,
            edge_order=max(1, min(scheme.edge_order if is_open else 2, n - order)),
            boundary=("periodic", "periodic") if is_closed else (None, None),
            name=repr(axis.dim),
        )
        return smooth_ends(made, n, scheme.accuracy) if smooth else made

    closed_y, closed_x = grid.periodic
    return table(grid.x, closed_x), table(grid.y, closed_y)


def circle(data: Any, grid: HorizontalGrid, index: int) -> Any:
    """The mean of ``data`` around the circle of latitude number ``index``, (…, 1, 1)."""
    return average_row(data, grid.y.number, index, grid.x.number)


def pole_ends(grid: HorizontalGrid) -> Sequence[tuple[int, int, float]]:
    """(end, row beside it, +1 in the north or −1 in the south) for the rows that are poles."""
    ends = zip((0, -1), (1, -2), grid.poles, strict=True)
    return [(end, beside, float(np.sign(grid.y.points[end]))) for end, beside, pole in ends if pole]


def closed_at_poles(table: StencilTable, grid: HorizontalGrid) -> StencilTable:
    """The table along y of a field that is zero at the poles, as h_x · u is.

    Where the last row lies beside a pole and not on it, the pole is one more point, of known value:
    on a circle as on a sector. Without it the row would be a one-sided difference of something
    small over something small: wrong by its own size, at any resolution.
    """
    y = grid.y.points
    if not isinstance(grid.geometry, Sphere) or table.windows[0].nodes != (-1, 0, 1):
        return table
    ends = {}
    for side, near, far in (("low", 0, 1), ("high", -1, -2)):
        here, beyond = float(y[near]), float(y[far])
        pole = float(np.copysign(90.0, here))
        wall = getattr(table, side)
        beside = 1e-5 < abs(pole - here) <= abs(here - beyond) * (1 + 1e-6)
        # Where missing values are stepped around, what lies outside is missing too.
        is_missing = len(table.windows) > 1 and wall is not None and wall.fill != wall.fill
        if wall is None or not (wall.fill is None or is_missing) or not beside:
            continue
        nodes = (pole, here, beyond) if side == "low" else (beyond, here, pole)
        weights = weigh(nodes, 1, 1)
        known = slice(1, 3) if side == "low" else slice(0, 2)
        read = (0, 1) if side == "low" else (-2, -1)
        columns = np.array(weights[known]).reshape(2, 1)
        row = Stencil(read, near, tuple(map(Term, read)), columns, adds_to_zero=False)
        ends[side] = replace(wall, rows=(row,))
    return replace(table, low=ends.get("low", table.low), high=ends.get("high", table.high))


def over_y(grid: HorizontalGrid) -> Any:
    """1/h_y along y, NaN at a pole: a gradient has no direction there."""
    return np.where(grid.h_x == 0, np.nan, 1 / grid.h_y)


def inverse(values: Any) -> Any:
    """1/values, NaN where they are nought: there is no direction, or no such wind."""
    if not isinstance(values, np.ndarray):
        return 1.0 / np.where(values == 0, np.nan, values)
    return np.divide(1.0, values, out=np.full_like(values, np.nan), where=values != 0)


def per_metre(
    field: xr.DataArray, grid: HorizontalGrid, words: str, power: int = 1
) -> dict[str, Any]:
    """The attributes of a derivative of ``field``."""
    units = divide_units(field.attrs.get("units"), "m", power)
    return derive_attributes(field, units, words) | grid.attrs()


def words_of(field: xr.DataArray) -> str:
    """What a long name calls ``field``."""
    return choose_long_name(field.attrs, field.name)


def name_of(field: xr.DataArray) -> Hashable:
    """Its name, or f."""
    return "f" if field.name is None else field.name
