"""Recognise the staggered grid of a model's dataset from its names and attributes.

What is known of the models is in tables: their dimensions here, their cell sizes in `model_cells`.
Values are read of one-dimensional coordinates only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.grids.coordinate import find_own_coordinates, is_longitude
from fdgrad_dask.grids.model_cells import ModelCells
from fdgrad_dask.grids.staggered import POINTS, Grid


class _Own(NamedTuple):
    """A model with dimensions of its own for cells and for faces, each by all its names."""

    model: str
    x: str
    x_face: str
    y: str
    y_face: str
    equal: str = ""  # where as many faces as cells lie; without it there must be more, or fewer
    is_nominal: bool = False


_XIOS = ("x_grid_T x_grid_V", "x_grid_U x_grid_F", "y_grid_T y_grid_U", "y_grid_V y_grid_F")
# Of the netCDF output of each model; for MITgcm, NEMO, POP and WRF also of xmitgcm, xnemogcm,
# pop-tools and xwrf.
_OWN = (
    _Own("MITgcm", "XC", "XG", "YC", "YG", "left"),
    _Own("MITgcm", "i", "i_g", "j", "j_g", "left"),
    _Own("MITgcm", "X", "Xp1", "Y", "Yp1"),
    _Own("MOM6", "xh", "xq", "yh", "yq", "right", is_nominal=True),
    _Own("MOM6", "lonh", "lonq", "lath", "latq", "right", is_nominal=True),
    _Own("MOM5", "xt_ocean", "xu_ocean", "yt_ocean", "yu_ocean", "right", is_nominal=True),
    _Own("NEMO", "x_c", "x_f", "y_c", "y_f", "right"),
    _Own("NEMO", *_XIOS, "right"),
    _Own("ROMS", "xi_rho xi_v", "xi_u xi_psi", "eta_rho eta_u", "eta_v eta_psi"),
    _Own("WRF", "west_east", "west_east_stag", "south_north", "south_north_stag"),
    _Own("WRF (xwrf)", "x", "x_stag", "y", "y_stag"),
    _Own("POP", "nlon_t", "nlon_u", "nlat_t", "nlat_u", "right"),
)


class _Shared(NamedTuple):
    """A model whose points share two dimensions, faces being the upper ones of their cells."""

    model: str
    x: str
    y: str
    signs: str  # variables or dimensions, one of which the dataset has
    places: Mapping[str, str]  # point → what its own coordinates and levels are called
    named: Mapping[str, str] = {}  # fields that only this model writes, and their points


_PLACES = {
    "center": "TLONG TLON TLAT",
    "u": "ELON ELAT",
    "v": "NLON NLAT",
    "corner": "ULONG ULON ULAT",
}
_NEMO = "glam{0} gphi{0} depth{0} nav_lon_{1} nav_lat_{1} nav_lon_grid_{1} nav_lat_grid_{1}"
_SHARED = (
    _Shared("POP", "nlon", "nlat", "ULAT ULONG UAREA DXU", _PLACES),
    _Shared("CICE", "ni", "nj", "ULAT ULON uarea dxu", _PLACES),
    _Shared(
        "NEMO",
        "x",
        "y",
        "e1u e2u e1v e2v glamu gphiv nav_lon_grid_U nav_lon_grid_V nav_lon_U nav_lon_V depthv",
        {p: _NEMO.format(k, k.upper()) for p, k in zip(POINTS, "tuvf", strict=True)},
        {"vozocrtx": "u", "vomecrty": "v", "uoce": "u", "voce": "v", "utau": "u", "vtau": "v"},
    ),
)
_DEPTHS = ("deptht", "depthu", "depthv", "depthf")  # of NEMO: the same levels in each of its files
CUBE = ("face", "tile")  # of MITgcm's LLC and cubed-sphere grids
_PADDING = {"none": "outer", "both": "inner", "low": "right", "high": "left"}  # SGRID 0.3
_FOLD = "; the upper end of y is open, also at the fold of a tripolar grid"
_Axis = tuple[Sequence[Hashable], Sequence[Hashable], str]  # cells, faces, where if as many


@dataclass(frozen=True)
class Layout:
    """Where the fields of a dataset lie, before any cell size is read.

    ``source`` is the model or convention and which attribute or names say so; ``x``, ``y`` and
    ``points`` are those of `Grid`; ``other_names`` are dimensions that are another one by a second
    name. ``is_around`` is true if the longitudes of the cells go around the globe, ``is_c_grid``
    if points share dimensions and the two components of a velocity lie on different ones,
    ``is_nominal`` if labels are longitudes and latitudes on a part of a tripolar grid only.
    """

    source: str
    x: Mapping[str, Hashable]
    y: Mapping[str, Hashable]
    points: Mapping[Hashable, str] = field(default_factory=dict)
    other_names: Mapping[Hashable, Hashable] = field(default_factory=dict)
    is_around: bool = False
    is_c_grid: bool = False
    is_nominal: bool = False

    def grid(self, cells: Mapping[str, Mapping[str, xr.DataArray]]) -> Grid:
        """The grid with some cell sizes."""
        return Grid(
            self.x,
            self.y,
            cells.get("dx", {}),
            cells.get("dy", {}),
            cells.get("area", {}),
            cells.get("fraction", {}),
            {"x": "periodic"} if self.is_around else {},
            self.points,
            source=self.source,
        )


def recognise_grid(ds: xr.Dataset) -> Grid | None:
    """Recognise the staggered grid of a dataset; None if it has none that is known.

    Cell sizes stay lazy. An axis is periodic where the longitudes of its cells go around the globe.
    Other ends are open, with NaN where a value beyond them is needed: no dataset says whether it is
    a part of the domain.

    Raises
    ------
    CoordinateError
        A cell size has units that are no length, or no area.
    """
    layout = find_layout(ds)
    return None if layout is None else make_grid(ds, layout)


def make_grid(ds: xr.Dataset, layout: Layout) -> Grid:
    """Make the grid of a layout, with the cell sizes that the dataset has."""
    return layout.grid(ModelCells(ds, layout.grid({}), layout.other_names).read())


def find_layout(ds: xr.Dataset) -> Layout | None:
    """Find which dimensions are cells and which are faces; None unless that is certain."""
    if any(ds.sizes.get(dim, 1) > 1 for dim in CUBE):
        return None
    return next((layout for find in _RECOGNISERS for layout in find(ds)), None)


def _find_sgrid(ds: xr.Dataset) -> Iterator[Layout]:
    """SGRID 0.3: the attributes of a variable with cf_role grid_topology."""
    for name, topology in ds.variables.items():
        attrs = topology.attrs
        nodes = str(attrs.get("node_dimensions", "")).split()
        if attrs.get("cf_role") != "grid_topology" or len(nodes) != 2:
            continue
        cells: tuple[list[Hashable], ...] = ([], [])
        faces: tuple[list[Hashable], ...] = ([nodes[0]], [nodes[1]])
        equal = ["", ""]
        for key in ("face_dimensions", "edge1_dimensions", "edge2_dimensions"):
            for dim, node, padding in re.findall(
                r"(\w+)\s*:\s*(\w+)(?:\s*\(padding:\s*(\w+)\))?", str(attrs.get(key, ""))
            ):
                if node in nodes and padding:
                    cells[nodes.index(node)].append(dim)
                    equal[nodes.index(node)] = _PADDING.get(padding, "")
                elif node in nodes:
                    faces[nodes.index(node)].append(dim)
        source = f"SGRID: face_dimensions of {name!r}"
        yield from _match(ds, source, *zip(cells, faces, equal, strict=True))


def _find_comodo(ds: xr.Dataset) -> Iterator[Layout]:
    """COMODO: axis and c_grid_axis_shift of the coordinates of dimensions."""
    axes: list[_Axis] = []
    for axis in "XY":
        attrs = {dim: ds.variables[dim].attrs for dim in ds.dims if dim in ds.variables}
        shifts = {d: a.get("c_grid_axis_shift") for d, a in attrs.items() if a.get("axis") == axis}
        cells = [dim for dim, shift in shifts.items() if shift is None]
        faces = [dim for dim, shift in shifts.items() if shift is not None]
        if len(cells) != 1 or len(faces) != 1:
            return
        equal = {"-0.5": "left", "0.5": "right"}.get(str(shifts[faces[0]]), "")
        axes.append((cells, faces, equal))
    names = " and ".join(repr(faces[0]) for _, faces, _ in axes)
    yield from _match(ds, f"COMODO: c_grid_axis_shift of {names}", *axes)


def _find_own(ds: xr.Dataset) -> Iterator[Layout]:
    """Models that have dimensions of their own for cells and for faces."""
    dims = set(ds.dims)
    for own in _OWN:
        x = own.x.split(), own.x_face.split(), own.equal
        if dims.isdisjoint(x[0]):
            continue
        y = own.y.split(), own.y_face.split(), own.equal
        known = ", ".join(dim for names in (*x[:2], *y[:2]) for dim in names if dim in dims)
        source = f"{own.model}: the dimensions {known}{_FOLD * own.is_nominal}"
        for layout in _match(ds, source, x, y):
            yield replace(layout, is_nominal=own.is_nominal)


def _find_shared(ds: xr.Dataset) -> Iterator[Layout]:
    """Models whose points share two dimensions."""
    for model in _SHARED:
        signs = [sign for sign in model.signs.split() if sign in ds.variables or sign in ds.dims]
        if not signs or not {model.x, model.y} <= set(ds.dims):
            continue
        points = {n: _find_own_point(one, str(n), model) for n, one in ds.variables.items()}
        depths = [dim for dim in _DEPTHS if dim in ds.indexes]
        yield Layout(
            f"{model.model}: {', '.join(signs[:3])} over {model.y}, {model.x}{_FOLD}",
            {"center": model.x, "right": model.x},
            {"center": model.y, "right": model.y},
            {name: point for name, point in points.items() if point},
            {d: depths[0] for d in depths[1:] if ds.indexes[d].equals(ds.indexes[depths[0]])},
            is_c_grid=bool(model.named),
        )


_RECOGNISERS: tuple[Callable[[xr.Dataset], Iterator[Layout]], ...] = (
    _find_sgrid,
    _find_comodo,
    _find_own,
    _find_shared,
)


def _match(ds: xr.Dataset, source: str, *axes: _Axis) -> Iterator[Layout]:
    """The layout of cells and faces by any of their names, if their sizes and labels agree."""
    positions: list[dict[str, Hashable]] = []
    other_names: dict[Hashable, Hashable] = {}
    for all_cells, all_faces, equal in axes:
        cells, faces = (
            [dim for dim in dict.fromkeys(dims) if dim in ds.dims]
            for dims in (all_cells, all_faces)
        )
        if not cells or not faces:
            return
        for names in (cells, faces):
            if len({ds.sizes[dim] for dim in names}) > 1:
                return
            other_names |= dict.fromkeys(names[1:], names[0])
        more = ds.sizes[faces[0]] - ds.sizes[cells[0]]
        position = {1: "outer", -1: "inner", 0: equal}.get(more)
        if not position or not _agree(ds, cells[0], faces[0], position):
            return
        positions.append({"center": cells[0], position: faces[0]})
    x, y = positions
    around = _is_around(ds, x["center"])
    yield Layout(source, x, y, other_names=other_names, is_around=around)


def _agree(ds: xr.Dataset, cells: Hashable, faces: Hashable, position: str) -> bool:
    """True unless labels show that faces are not about midway, as after selecting other ranges."""
    centers, edges = _read_labels(ds, cells), _read_labels(ds, faces)
    if centers is None or edges is None or len(centers) < 2:
        return True
    if np.array_equal(centers, edges):  # both count 0, 1, 2, …
        return bool((np.diff(centers) == 1).all())
    ends = np.array([2 * centers[0] - centers[1], *centers, 2 * centers[-1] - centers[-2]])
    ends = ends[position in ("right", "inner") :]
    low, high = ends[: len(edges)], ends[1 : len(edges) + 1]
    return bool((np.abs((edges - low) / (high - low) - 0.5) < 0.2).all())


def _is_around(ds: xr.Dataset, dim: Hashable) -> bool:
    """True if the labels of a dimension are even longitudes of a full circle."""
    degrees = _read_labels(ds, dim)
    if degrees is None or len(degrees) < 3 or not is_longitude(ds.variables[dim].attrs):
        return False
    steps = np.diff(degrees)
    step = abs(degrees[-1] - degrees[0]) / len(steps)
    is_even = bool((np.abs(np.abs(steps) - step) <= 0.1 * step).all())
    return is_even and bool(abs(step * len(degrees) - 360.0) <= 0.1 * step)


def _read_labels(ds: xr.Dataset, dim: Hashable) -> NDArray[np.float64] | None:
    """The numbers that label a dimension; None if it has none."""
    labels = ds.variables.get(dim)
    if labels is None or labels.dtype.kind not in "iuf":
        return None
    return np.asarray(labels.values, np.float64)


def _find_own_point(one: xr.Variable, name: str, model: _Shared) -> str | None:
    """The point of a field by its own coordinates, its levels, POP's grid_loc or its name."""
    own = {*find_own_coordinates(one), *map(str, one.dims)}
    found = [point for point, names in model.places.items() if own & {*names.split()}]
    place = re.fullmatch(r"\d([12])([12])\d", str(one.attrs.get("grid_loc", "")).strip())
    if place and not found:
        is_on_face = place[1] == "2", place[2] == "2"
        found = [point for point, on_face in POINTS.items() if on_face == is_on_face]
    return found[0] if len(found) == 1 else model.named.get(name)
