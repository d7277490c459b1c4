"""Find the lengths, areas and open shares of a model's cells among the variables of its dataset."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.models import PLACES, Layout
from fdgrad_dask.grids.places import take_first
from fdgrad_dask.grids.staggered import POINTS, Grid
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import is_dask

# What MITgcm, MOM6, MOM5, NEMO, POP and CICE call them, by kind and point. Of ROMS and WRF these
# are rates: cells per metre, and per the length that the attributes DX and DY of the dataset give.
_SIZES = {
    "dx": {
        "center": "dxF dxT dxt DXT e1t pm MAPFAC_MX MAPFAC_M",
        "u": "dxC dxCu e1u dxE HUS MAPFAC_UX MAPFAC_U",
        "v": "dxG dxCv e1v dxN HTN dxtn MAPFAC_VX MAPFAC_V",
        "corner": "dxV dxBu e1f DXU dxu",
    },
    "dy": {
        "center": "dyF dyT dyt DYT e2t pn MAPFAC_MY MAPFAC_M",
        "u": "dyG dyCu e2u dyE HTE dyte MAPFAC_UY MAPFAC_U",
        "v": "dyC dyCv e2v dyN HUW MAPFAC_VY MAPFAC_V",
        "corner": "dyU dyBu e2f DYU dyu",
    },
    "area": {
        "center": "rA areacello area_t TAREA tarea Ah",
        "u": "rAw areacello_cu earea",
        "v": "rAs areacello_cv narea",
        "corner": "rAz areacello_bu area_u UAREA uarea Aq",
    },
    "fraction": {"center": "hFacC HFacC", "u": "hFacW HFacW", "v": "hFacS HFacS"},
}
_UNITS = {"dx": "m", "dy": "m", "area": "m2", "fraction": "1"}
_PER_METRE = ("pm", "pn")


class ModelCells:
    """The cell sizes of a dataset on the grid of a layout."""

    def __init__(self, ds: xr.Dataset, layout: Layout) -> None:
        self._ds, self._grid, self._other_names = ds, layout.grid, layout.other_names

    def find(self) -> Iterator[tuple[str, str, str]]:
        """Find the variables that are cell sizes: their kind, point and name."""
        for kind, points in _SIZES.items():
            for point, names in points.items():
                found = (name for name in names.split() if self._is_size(kind, point, name))
                if name := next(found, None):
                    yield kind, point, name

    def grid(self) -> Grid:
        """The grid with its dx, dy, area and fraction by point, lazy, in metres and square metres.

        They have the coordinates of their point. Lengths at points that have none are means of two
        neighbours, or of four; those of rates are one over the means of rates.
        """
        cells: dict[str, dict[str, xr.Variable]] = {kind: {} for kind in _SIZES}
        for kind, point, name in self.find():
            step = self._find_step(kind, name)
            unit = _UNITS[kind] if step is None else "m-1" if name in _PER_METRE else ""
            values = self._read(point, name, unit)
            cells[kind][point] = values if step is None else step / values
            if step is not None and point == "center":
                u, v = _add(values, self._grid.x), _add(values, self._grid.y)
                sums = (("u", 2, u), ("v", 2, v), ("corner", 4, _add(u, self._grid.y)))
                cells[kind] |= {point: count * step / one for point, count, one in sums}
        for kind, along, beside in (("dx", self._grid.y, "vu"), ("dy", self._grid.x, "uv")):
            sizes = cells[kind]
            for point, other in zip(("center", "corner"), beside, strict=True):
                if other in sizes and point not in sizes:
                    sizes[point] = 0.5 * _add(sizes[other], along, to_cells=point == "center")
        coords = {point: self._find_coords(point) for point in POINTS}
        arrays: dict[str, Any] = {
            kind: {
                point: xr.DataArray(one, coords[point], attrs={"units": _UNITS[kind]})
                for point, one in sizes.items()
            }
            for kind, sizes in cells.items()
        }
        return replace(self._grid, **arrays)

    def find_places(self, point: str, own: Mapping[Hashable, Hashable]) -> dict[str, xr.Variable]:
        """The first longitude and latitude of a point, over the ``own`` dimensions of a field."""
        found, names = self._read_places(point), PLACES[point].split()
        pairs = zip(names[::2], names[1::2], strict=True)
        pair = next((both for both in pairs if found.keys() >= {*both}), ())
        for name in pair:
            found[name].dims = tuple(own[dim] for dim in found[name].dims)
        return {name: found[name] for name in pair}

    def _read_places(self, point: str) -> dict[str, xr.Variable]:
        """The longitudes and latitudes of a point that models name as such."""
        places: dict[str, xr.Variable] = {}
        for number, name in enumerate(PLACES[point].split()):
            if self._has(point, name):
                places[name] = self._read(point, name)
                units = "degrees_north" if number % 2 else "degrees_east"
                places[name].attrs.setdefault("units", units)
        return places

    def _find_coords(self, point: str) -> dict[Hashable, xr.Variable]:
        """The coordinates of a point."""
        coords: dict[Hashable, xr.Variable] = dict(self._read_places(point).items())
        dims = set(self._grid.dims(point))
        if self._grid.dims("center") != self._grid.dims("corner"):
            for name, one in self._ds.coords.items():
                along = self._own_dims(one.dims)
                if along and along <= dims and name not in self._other_names:
                    coords[name] = self._read(point, name)
        return coords

    def _own_dims(self, dims: tuple[Hashable, ...]) -> set[Hashable]:
        """Dimensions of a variable by the names that the grid has for them."""
        return {self._other_names.get(dim, dim) for dim in dims}

    def _has(self, point: str, name: str) -> bool:
        """True if a variable extends over the dimensions of a point."""
        one = self._ds.variables.get(name)
        return one is not None and set(self._grid.dims(point)) <= self._own_dims(one.dims)

    def _is_size(self, kind: str, point: str, name: str) -> bool:
        step = self._find_step(kind, name)
        return self._has(point, name) and (step is None or step > 0)

    def _find_step(self, kind: str, name: str) -> float | None:
        """The length that a rate is per, 0 if it is unknown; None if it is no rate."""
        if name.startswith("MAPFAC"):
            step = self._ds.attrs.get(kind.upper())
            return float(step) if isinstance(step, int | float | np.number) else 0.0
        return 1.0 if name in _PER_METRE else None

    def _read(self, point: str, name: Hashable, base: str | None = None) -> xr.Variable:
        """A variable over the dimensions of a point; in the unit ``base`` of a cell size."""
        values = self._ds.variables[name].copy(deep=False)
        values.dims = tuple(self._other_names.get(dim, dim) for dim in values.dims)
        for dim in set(values.dims) - set(self._grid.dims(point)):
            if values.sizes[dim] == 1:
                values = values.isel({dim: 0})
            elif base != "1":
                values = take_first(values, dim)
        factor = self._find_factor(name, base) if base in ("m", "m2", "m-1") else 1.0
        data: Any = values._data
        kind = data._meta if is_dask(data) else data
        if base is not None and values.dtype != np.float64 and not is_jax(kind):
            values = values.astype(np.float64)
        return values if factor == 1 else values * factor

    def _find_factor(self, name: Hashable, base: str) -> float:
        """How many ``base`` one unit of a cell size is; 1 without units."""
        units = str(self._ds.variables[name].attrs.get("units", "")).strip()
        if not units or (base == "m2" and units == "m"):  # xmitgcm calls the area rAz metres
            return 1.0
        factor = conversion_factor(units, base)
        if factor is None:
            raise CoordinateError(
                f"{name!r} is in {units!r}, but as a cell size it needs {base}; correct its "
                "attribute units, or drop it: .drop_vars(…)"
            )
        return factor


def _add(
    values: xr.Variable, positions: Mapping[str, Hashable], to_cells: bool = False
) -> xr.Variable:
    """The sum of two neighbours along an axis, at the face, or the cell, between them.

    A missing neighbour at an end is extrapolated, beside a single one it is the same: lengths must
    be finite, and results that need what lies beyond the end are NaN by themselves.
    """
    ((position, face),) = ((p, dim) for p, dim in positions.items() if p != "center")
    old, new = (face, positions["center"]) if to_cells else (positions["center"], face)
    low, high = (values.isel({old: part}) for part in (slice(None, -1), slice(1, None)))
    first = last = 2 * values
    if values.sizes[old] > 1:
        first = 3 * low.isel({old: slice(1)}) - high.isel({old: slice(1)})
        last = 3 * high.isel({old: slice(-1, None)}) - low.isel({old: slice(-1, None)})
    parts: list[xr.Variable] = [low + high]
    if (position in ("left", "outer")) != to_cells:
        parts = [first, *parts]
    if (position in ("right", "outer")) != to_cells:
        parts = [*parts, last]
    added: xr.Variable = xr.Variable.concat(parts, old) if len(parts) > 1 else parts[0]
    added.dims = tuple(new if dim == old else dim for dim in added.dims)
    return added
