"""Where values of a field are, and on which grid, for the overview; none are loaded to say so."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.grids.fold import find_fold
from fdgrad_dask.grids.model_cells import ModelCells
from fdgrad_dask.grids.models import CUBE, PLACES, Layout, find_layout
from fdgrad_dask.grids.places import list_candidates
from fdgrad_dask.grids.staggered import POINTS
from fdgrad_dask.halo.compute import is_dask
from fdgrad_dask.operators.connected import describe_fold
from fdgrad_dask.operators.datasets import find_place

# An angle that is a place; others, such as the one from east to x, are fields.
_ANGLE = r"degrees?(_?(true|north|east|n|e))?"


def describe_data(field: xr.DataArray) -> str:
    """Say where the values are, without loading any."""
    data: Any = field.variable._data
    if not is_dask(data):
        stored = field.encoding.get("preferred_chunks") if _is_unread(data) else None
        return _kind(data) + (f", stored in chunks of {_sizes(stored, field)}" if stored else "")
    chunks = ", ".join(str(sizes[0]) for sizes in data.chunks)
    number = int(np.prod(data.numblocks))
    return f"dask of {_kind(data._meta)}, {number} chunk{'s' * (number > 1)} of ({chunks})"


def _is_unread(data: Any) -> bool:
    return type(data).__module__.startswith("xarray.")


def _sizes(chunks: Mapping[Hashable, int | tuple[int, ...]], field: xr.DataArray) -> str:
    """The largest chunk along each dimension."""
    sizes = [chunks.get(dim, n) for dim, n in field.sizes.items()]
    return f"({', '.join(str(max(n) if isinstance(n, tuple) else n) for n in sizes)})"


def _kind(data: Any) -> str:
    if is_jax(data):
        try:
            return f"JAX on {', '.join(sorted(map(str, data.devices())))}"
        except Exception:  # a traced array is on no device yet
            return "JAX, traced"
    if _is_unread(data):
        return "not loaded"
    return "NumPy" if type(data) is np.ndarray else f"{type(data).__module__}.{type(data).__name__}"


def list_parts_of_grid(ds: xr.Dataset) -> set[str]:
    """The variables that are cell sizes of a staggered grid, or latitudes and longitudes."""
    layout = find_layout(ds)
    cells = ModelCells(ds, layout).find() if layout else []
    units = {str(name): str(each.attrs.get("units")) for name, each in ds.data_vars.items()}
    places = {name for name, unit in units.items() if re.fullmatch(_ANGLE, unit, re.IGNORECASE)}
    named = {name for names in PLACES.values() for name in names.split()}
    return places | named | {name for *_, name in cells}


def describe_layout(ds: xr.Dataset) -> list[str]:
    """Say what staggered grid was recognised, in sentences; none if there is no sign of one."""
    layout = find_layout(ds)
    if layout is None:
        faces = [dim for dim in CUBE if ds.sizes.get(dim, 1) > 1]
        return [f"select one {dim} first: .isel({dim}=0)" for dim in faces]
    grid = layout.grid
    at = {p: [str(n) for n in ds.data_vars if grid.points.get(n) == p] for p in POINTS}
    cells = dict.fromkeys(n for *_, n in ModelCells(ds, layout).find())
    ends = "periodic" if grid.boundary else "open ends"
    x, y = (", ".join(f"{p} {dim}" for p, dim in one.items()) for one in (grid.x, grid.y))
    dims = grid.y["center"], grid.x["center"]
    fold = f", with {describe_fold(*dims)}" if _has_fold(ds, layout) else ""
    return [
        grid.source,
        f"x: {x}, {ends}",
        f"y: {y}, open ends{fold}",
        *(f"at {point}: {', '.join(fields)}" for point, fields in at.items() if fields),
        f"cell sizes: {', '.join(cells) or 'from longitude and latitude'}",
    ]


def _has_fold(ds: xr.Dataset, layout: Layout) -> bool:
    """True if a fold lies beyond the first 2-D latitude and longitude that are in memory."""
    for field in ds.data_vars.values():
        placed, _ = find_place(field, ds)
        found = [list_candidates(placed, key, 2) for key in ("latitude", "longitude")]
        pair = [placed.coords.variables[names[0]] for names in found if len(names) == 1]
        if len(pair) == 2 and not any(is_dask(one._data) for one in pair):
            own = {dim: layout.other_names.get(dim, dim) for dim in pair[0].dims}
            y = [dim for dim, name in own.items() if name in layout.grid.y.values()]
            lat, lon = (one.transpose(*y, ...).values for one in pair)
            return len(y) == 1 and find_fold(lat, lon) is not None
    return False
