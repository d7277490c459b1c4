"""Recognise the staggered grid of a model's dataset from its names and attributes.

What is known of the models is in tables: their dimensions here, their cell sizes in `model_cells`.
Values are read of one-dimensional coordinates only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.grids.coordinate import find_own_coordinates, is_longitude
from fdgrad_dask.grids.horizontal import recognise_circle
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
    is_c_grid: bool = False


_NEMO_SIGNS = (
    "e1u e2u e1v e2v glamu gphiv nav_lon_grid_U nav_lon_grid_V nav_lon_U nav_lon_V depthv "
    "vozocrtx vomecrty sozocrtx somecrty"
)
_SHARED = (
    _Shared("POP", "nlon", "nlat", "ULAT ULONG UAREA DXU"),
    _Shared("CICE", "ni", "nj", "ULAT ULON uarea dxu"),
    _Shared("NEMO", "x", "y", _NEMO_SIGNS, is_c_grid=True),
)
# What models call the longitudes and latitudes of each point, in turn, as their own variables or
# as coordinates of fields; what NEMO calls its levels, the same in each of its files; and fields
# that only NEMO writes.
PLACES = {
    "center": "geolon geolat geolon_t geolat_t glamt gphit TLONG TLAT TLON TLAT nav_lon_grid_T "
    "nav_lat_grid_T nav_lon_T nav_lat_T",
    "u": "geolon_u geolat_u glamu gphiu ELON ELAT nav_lon_grid_U nav_lat_grid_U nav_lon_U "
    "nav_lat_U",
    "v": "geolon_v geolat_v glamv gphiv NLON NLAT nav_lon_grid_V nav_lat_grid_V nav_lon_V "
    "nav_lat_V",
    "corner": "geolon_c geolat_c geolonb geolatb glamf gphif ULONG ULAT ULON ULAT nav_lon_grid_F "
    "nav_lat_grid_F nav_lon_F nav_lat_F",
}
_DEPTHS = {"center": "deptht", "u": "depthu", "v": "depthv", "corner": "depthf"}
_NAMED = {
    "u": "vozocrtx sozocrtx sozotaux uoce utau",
    "v": "vomecrty somecrty sometauy voce vtau",
}
# How files say that a field is a current or a stress along the axes of an ocean's grid.
_CURRENT = re.compile(
    r"(?i)^([uv]os?|ss[uv]|[uv]tau|tau[uv]o) |sea.(water|surface).[xy].velocity|along.[ij]-axis"
)
CUBE = ("face", "tile")  # of MITgcm's LLC and cubed-sphere grids
_PADDING = {"low": "right", "high": "left"}  # SGRID 0.3, where as many faces as cells lie
_FOLD = "; the upper end of y is open, also at the fold of a tripolar grid"
_Axis = tuple[Sequence[Hashable], Sequence[Hashable], str]  # cells, faces, where if as many


@dataclass(frozen=True)
class Layout:
    """Where the fields of a dataset lie, before any cell size is read.

    ``grid`` has no cell sizes; its ``source`` is the model or convention and which attribute or
    names say so, and it is periodic where the longitudes of the cells go around the globe. Other
    ends are open: no dataset says whether it is a part of the domain. ``other_names`` are
    dimensions that are another one by a second name. ``is_c_grid`` is true if points share
    dimensions and the two components of a velocity lie on different ones, ``is_nominal`` if labels
    are longitudes and latitudes on a part of a tripolar grid only.
    """

    grid: Grid
    other_names: Mapping[Hashable, Hashable] = field(default_factory=dict)
    is_c_grid: bool = False
    is_nominal: bool = False

    def name_dims(
        self, boundary: Mapping[Hashable, Any], *fields: xr.DataArray | None
    ) -> dict[Hashable, Any]:
        """A boundary by x and y of the grid, by the dimensions that fields have for these."""
        given = [one for one in fields if one is not None]
        dims = {dim: self.other_names.get(dim, dim) for one in given for dim in one.dims}
        names: dict[Hashable, Hashable] = {}
        for axis in {"x", "y"} - {name for one in given for name in (*one.dims, *one.coords)}:
            own = [dim for dim in dims if dims[dim] in getattr(self.grid, axis).values()]
            if len(own) == 1 and own[0] not in boundary:
                names[axis] = own[0]
        return {names.get(key, key): ends for key, ends in boundary.items()}


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
        cells: dict[str, list[Hashable]] = {node: [] for node in nodes}
        faces: dict[str, list[Hashable]] = {node: [node] for node in nodes}
        equal = dict.fromkeys(nodes, "")
        keys = ("face_dimensions", "edge1_dimensions", "edge2_dimensions")
        said = " ".join(str(attrs.get(key, "")) for key in keys)
        pattern = r"(\w+)\s*:\s*(\w+)(?:\s*\(padding:\s*(\w+)\))?"
        for dim, node, padding in re.findall(pattern, said):
            if node in nodes:
                (cells if padding else faces)[node].append(dim)
                equal[node] = _PADDING.get(padding, "") if padding else equal[node]
        axes = [(cells[node], faces[node], equal[node]) for node in nodes]
        yield from _match(ds, f"SGRID: face_dimensions of {name!r}", *axes)


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
    for own in _OWN:
        x, y = own.x.split(), own.y.split()
        x_face, y_face = own.x_face.split(), own.y_face.split()
        known = ", ".join(dim for dim in (*x, *x_face, *y, *y_face) if dim in ds.dims)
        source = f"{own.model}: the dimensions {known}{_FOLD * own.is_nominal}"
        axes = (x, x_face, own.equal), (y, y_face, own.equal)
        yield from _match(ds, source, *axes, is_nominal=own.is_nominal)


def _find_shared(ds: xr.Dataset) -> Iterator[Layout]:
    """Models whose points share two dimensions."""
    for model in _SHARED:
        signs = [sign for sign in model.signs.split() if sign in ds.variables or sign in ds.dims]
        signs = signs or (_find_currents(ds) if model.is_c_grid else [])
        if not signs or not {model.x, model.y} <= set(ds.dims):
            continue
        points = {n: _find_own_point(one, n, model) for n, one in ds.variables.items()}
        depths = [dim for dim in _DEPTHS.values() if dim in ds.indexes]
        yield Layout(
            Grid(
                {"center": model.x, "right": model.x},
                {"center": model.y, "right": model.y},
                points={name: point for name, point in points.items() if point},
                source=f"{model.model}: {', '.join(signs[:3])} over {model.y}, {model.x}{_FOLD}",
            ),
            {d: depths[0] for d in depths[1:] if ds.indexes[d].equals(ds.indexes[depths[0]])},
            is_c_grid=model.is_c_grid,
        )


def _find_currents(ds: xr.Dataset) -> list[str]:
    """Find the currents of NEMO in files of them that are merged without its mesh.

    Each file has the nav_lat of its own points, of which a merged dataset keeps one.
    """
    has_places = "nav_lon" in ds.variables or "nav_lat" in ds.variables
    found = []
    for name, one in ds.data_vars.items():
        standard_name = str(one.attrs.get("standard_name", ""))
        text = f"{name} {standard_name} {one.attrs.get('long_name', '')}"
        is_nemo = has_places or "online_operation" in one.attrs  # which is of its writer, XIOS
        if is_nemo and _CURRENT.search(text) and "ward_" not in standard_name:
            found.append(str(name))
    return found


_RECOGNISERS: tuple[Callable[[xr.Dataset], Iterator[Layout]], ...] = (
    _find_sgrid,
    _find_comodo,
    _find_own,
    _find_shared,
)


def _match(ds: xr.Dataset, source: str, *axes: _Axis, is_nominal: bool = False) -> Iterator[Layout]:
    """The layout of cells and faces by any of their names, if their sizes and labels agree."""
    positions: list[dict[str, Hashable]] = []
    other_names: dict[Hashable, Hashable] = {}
    for *all_names, equal in axes:
        found = [[dim for dim in dict.fromkeys(dims) if dim in ds.dims] for dims in all_names]
        if any(len({ds.sizes[dim] for dim in names}) != 1 for names in found):
            return
        for first, *others in found:
            other_names |= dict.fromkeys(others, first)
        (cells, *_), (faces, *_) = found
        position = {1: "outer", -1: "inner", 0: equal}.get(ds.sizes[faces] - ds.sizes[cells])
        if not position or not _agree(ds, cells, faces, position):
            return
        positions.append({"center": cells, position: faces})
    x, y = positions
    around = {"x": "periodic"} if _is_around(ds, x["center"]) else {}
    yield Layout(Grid(x, y, boundary=around, source=source), other_names, is_nominal=is_nominal)


def _agree(ds: xr.Dataset, cells: Hashable, faces: Hashable, position: str) -> bool:
    """True unless labels show that faces are not about midway, as after selecting other ranges."""
    centers, edges = _read_labels(ds, cells), _read_labels(ds, faces)
    if centers is None or edges is None or len(centers) < 2:
        return True
    if centers[0] == edges[0] and all((np.diff(one) == 1).all() for one in (centers, edges)):
        return True  # both count 0, 1, 2, …
    ends = np.array([2 * centers[0] - centers[1], *centers, 2 * centers[-1] - centers[-2]])
    ends = ends[position in ("right", "inner") :]
    low, high = ends[: len(edges)], ends[1 : len(edges) + 1]
    return bool((np.abs(edges - (low + high) / 2) < 0.2 * np.abs(high - low)).all())


def _is_around(ds: xr.Dataset, dim: Hashable) -> bool:
    """True if the labels of a dimension are longitudes of a full circle."""
    degrees = _read_labels(ds, dim)
    if degrees is None or len(degrees) < 3 or not is_longitude(ds.variables[dim].attrs):
        return False
    return recognise_circle(degrees)[1]


def _read_labels(ds: xr.Dataset, dim: Hashable) -> NDArray[np.float64] | None:
    """The numbers that label a dimension; None if it has none."""
    labels = ds.variables.get(dim)
    if labels is None or labels.dtype.kind not in "iuf":
        return None
    return np.asarray(labels.values, np.float64)


def _find_own_point(one: xr.Variable, name: Hashable, model: _Shared) -> str | None:
    """The point of a field by its own coordinates, its levels, POP's grid_loc or its name."""
    own = find_own_coordinates(one)
    found = [point for point in POINTS if own & {*PLACES[point].split()}]
    # What is computed at any points of NEMO has the levels of one file; it says that it is so.
    if not found and one.attrs.get("horizontal_geometry") != "grid":
        found = [point for point in POINTS if _DEPTHS[point] in own | {*one.dims}]
    place = re.fullmatch(r"\d([12])([12])\d", str(one.attrs.get("grid_loc", "")).strip())
    if place and not found:
        is_on_face = place[1] == "2", place[2] == "2"
        found = [point for point, on_face in POINTS.items() if on_face == is_on_face]
    if len(found) != 1 and model.is_c_grid:
        found = [point for point, names in _NAMED.items() if name in names.split()]
    return found[0] if len(found) == 1 else None
