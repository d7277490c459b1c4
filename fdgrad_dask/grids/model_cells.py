"""Find the lengths, areas and open shares of a model's cells among the variables of its dataset."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.staggered import POINTS, Grid
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.halo.compute import is_dask

# What MITgcm, MOM6, MOM5, NEMO, POP and CICE call them, by kind and point.
_SIZES = {
    "dx": {
        "center": "dxF dxT dxt DXT e1t",
        "u": "dxC dxCu e1u dxE HUS",
        "v": "dxG dxCv e1v dxN HTN dxtn",
        "corner": "dxV dxBu e1f DXU dxu",
    },
    "dy": {
        "center": "dyF dyT dyt DYT e2t",
        "u": "dyG dyCu e2u dyE HTE dyte",
        "v": "dyC dyCv e2v dyN HUW",
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
# Their longitudes and latitudes, which files of cell sizes do not always have as coordinates.
_PLACES = {
    "center": "geolon geolat geolon_t geolat_t glamt gphit TLONG TLON TLAT nav_lon_grid_T "
    "nav_lat_grid_T",
    "u": "geolon_u geolat_u glamu gphiu ELON ELAT nav_lon_grid_U nav_lat_grid_U",
    "v": "geolon_v geolat_v glamv gphiv NLON NLAT nav_lon_grid_V nav_lat_grid_V",
    "corner": "geolon_c geolat_c geolonb geolatb glamf gphif ULONG ULON ULAT",
}


_UNITS = {"dx": "m", "dy": "m", "area": "m2", "fraction": "1"}


class _Rate(NamedTuple):
    """Cells per metre, or per the length that an attribute of the dataset gives."""

    kind: str
    step: str  # that attribute; none for cells per metre
    named: Mapping[str, str]


def _map_factors(axis: str) -> _Rate:
    letters = {"center": "M", "u": "U", "v": "V"}
    named = {point: f"MAPFAC_{letter}{axis} MAPFAC_{letter}" for point, letter in letters.items()}
    return _Rate(f"d{axis.lower()}", f"D{axis}", named)


# ROMS has its metrics at the centres and averages them; WRF has the map factors of its projection.
_RATES = (
    _Rate("dx", "", {"center": "pm"}),
    _Rate("dy", "", {"center": "pn"}),
    _map_factors("X"),
    _map_factors("Y"),
)


class ModelCells:
    """The cell sizes of a dataset on a grid, of which other dimensions may be names too."""

    def __init__(
        self, ds: xr.Dataset, grid: Grid, other_names: Mapping[Hashable, Hashable]
    ) -> None:
        self._ds, self._grid, self._other_names = ds, grid, other_names

    def find(self) -> list[tuple[str, str, str]]:
        """Find the variables that are cell sizes: their kind, point and name."""
        rates = [(rate.kind, *one) for rate in _RATES for one in self._find_rates(rate).items()]
        return [*self._find_sizes(), *rates]

    def read(self) -> dict[str, dict[str, xr.DataArray]]:
        """Read dx, dy, area and fraction by point, lazy, in metres and square metres.

        They have the coordinates of their point. Lengths at centres and corners that are missing
        are means of two neighbours.
        """
        cells: dict[str, dict[str, xr.Variable]] = {kind: {} for kind in _SIZES}
        for kind, point, name in self._find_sizes():
            cells[kind][point] = self._read(point, name, _UNITS[kind])
        for rate in _RATES:
            for point, values in self._read_rates(rate).items():
                cells[rate.kind].setdefault(point, values)
        for kind, along, center, corner in (
            ("dx", self._grid.y, *"vu"),
            ("dy", self._grid.x, *"uv"),
        ):
            sizes = cells[kind]
            if center in sizes and "center" not in sizes:
                sizes["center"] = 0.5 * _add(sizes[center], along, to_cells=True)
            if corner in sizes and "corner" not in sizes:
                sizes["corner"] = 0.5 * _add(sizes[corner], along)
        places = {point: self._find_coords(point) for point in POINTS}
        return {
            kind: {
                point: xr.DataArray(one, places[point], attrs={"units": _UNITS[kind]})
                for point, one in sizes.items()
            }
            for kind, sizes in cells.items()
        }

    def find_places(self, point: str, own: Mapping[Hashable, Hashable]) -> dict[str, xr.Variable]:
        """The first longitude and latitude of a point, on a field's ``own`` dimensions."""
        found = self._read_places(point)
        pair = {one.attrs["units"][:9]: name for name, one in [*found.items()][::-1]}
        for name in pair.values():
            found[name].dims = tuple(own[dim] for dim in found[name].dims)
        return {name: found[name] for name in pair.values()} if len(pair) == 2 else {}

    def _read_places(self, point: str) -> dict[str, xr.Variable]:
        """The longitudes and latitudes of a point that models name as such."""
        named = [name for name in _PLACES[point].split() if self._find(point, name)]
        places = {name: self._read(point, name) for name in named}
        for name in named:
            is_latitude = "lat" in name.lower() or "phi" in name
            units = f"degrees_{'north' if is_latitude else 'east'}"
            places[name].attrs.setdefault("units", units)
        return places

    def _find_coords(self, point: str) -> dict[Hashable, xr.Variable]:
        """The coordinates of a point."""
        dims = set(self._grid.dims(point))
        places: dict[Hashable, xr.Variable] = dict(self._read_places(point).items())
        if self._grid.dims("center") == self._grid.dims("corner"):
            return places
        extents = {name: self._own_dims(one.dims) for name, one in self._ds.coords.items()}
        own = [n for n, along in extents.items() if along and along <= dims]
        return places | {n: self._read(point, n) for n in own if n not in self._other_names}

    def _own_dims(self, dims: tuple[Hashable, ...]) -> set[Hashable]:
        """Dimensions of a variable by the names that the grid has for them."""
        return {self._other_names.get(dim, dim) for dim in dims}

    def _find_sizes(self) -> Iterator[tuple[str, str, str]]:
        for kind, points in _SIZES.items():
            for point, names in points.items():
                if name := self._find(point, names):
                    yield kind, point, name

    def _find_rates(self, rate: _Rate) -> dict[str, str]:
        """Point → variable of a rate, if the length that it refers to is known."""
        if rate.step and not isinstance(self._ds.attrs.get(rate.step), int | float | np.number):
            return {}
        found = {point: self._find(point, names) for point, names in rate.named.items()}
        return {point: name for point, name in found.items() if name}

    def _find(self, point: str, names: str) -> str | None:
        """The first of some variables that extends over the dimensions of a point."""
        for name in names.split():
            one = self._ds.variables.get(name)
            if one is not None and set(self._grid.dims(point)) <= self._own_dims(one.dims):
                return name
        return None

    def _read_rates(self, rate: _Rate) -> dict[str, xr.Variable]:
        """Lengths at all points; a rate is averaged to the points that have none."""
        found = self._find_rates(rate)
        if "center" not in found:
            return {}
        step = float(self._ds.attrs[rate.step]) if rate.step else 1.0
        base = "" if rate.step else "m-1"
        rates = {point: self._read(point, name, base) for point, name in found.items()}
        sums = {"center": rates["center"]}
        sums["u"] = _add(sums["center"], self._grid.x)
        sums["v"] = _add(sums["center"], self._grid.y)
        sums["corner"] = _add(sums["u"], self._grid.y)
        count = {"center": 1, "u": 2, "v": 2, "corner": 4}
        averaged = {point: count[point] * step / one for point, one in sums.items()}
        return averaged | {point: step / one for point, one in rates.items()}

    def _read(self, point: str, name: Hashable, base: str | None = None) -> xr.Variable:
        """A variable over the dimensions of a point; in the unit ``base`` of a cell size."""
        values = self._ds.variables[name].copy(deep=False)
        values.dims = tuple(self._other_names.get(dim, dim) for dim in values.dims)
        for dim in set(values.dims) - set(self._grid.dims(point)):
            if values.sizes[dim] == 1:
                values = values.isel({dim: 0})
            elif base != "1":
                # WRF writes its map factors with every time. A nest that has moved in between has
                # none that hold for all times: NaN.
                first = values.isel({dim: 0})
                values = first.where(first == values.isel({dim: -1}))
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

    A missing neighbour at an end is extrapolated: lengths must be finite, and results that need
    what lies beyond the end are NaN by themselves.
    """
    ((position, face),) = ((p, dim) for p, dim in positions.items() if p != "center")
    old, new = (face, positions["center"]) if to_cells else (positions["center"], face)
    low, high = (values.isel({old: part}) for part in (slice(None, -1), slice(1, None)))
    parts: list[xr.Variable] = [low + high]
    if (position in ("left", "outer")) != to_cells:
        parts = [3 * low.isel({old: slice(1)}) - high.isel({old: slice(1)}), *parts]
    if (position in ("right", "outer")) != to_cells:
        parts = [*parts, 3 * high.isel({old: slice(-1, None)}) - low.isel({old: slice(-1, None)})]
    added: xr.Variable = xr.Variable.concat(parts, old) if len(parts) > 1 else parts[0]
    added.dims = tuple(new if dim == old else dim for dim in added.dims)
    return added
