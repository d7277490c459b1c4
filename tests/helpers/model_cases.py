"""Datasets as ocean and atmosphere models write them, on points of staggered cells.

All are on longitudes and latitudes, so that cell sizes and the flow are known in closed form: a
tilted rotation and a wind to the north, whose divergence is −2 V sin φ / a.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import fields
import numpy as np
import xarray as xr

A = fields.A
V = 10.0  # m s-1
SPEED = {"units": "m s-1"}
NORTH, EAST = {"units": "degrees_north"}, {"units": "degrees_east"}
POINTS = {"center": (0, 0), "u": (1, 0), "v": (0, 1), "corner": (1, 1)}
_FLOW = fields.rotation(np.pi / 4, "")


def u(lon: Any, lat: Any) -> Any:
    return _FLOW.u(*np.deg2rad([lon, lat]))


def v(lon: Any, lat: Any) -> Any:
    return _FLOW.v(*np.deg2rad([lon, lat])) + V * np.cos(np.deg2rad(lat))


def vorticity(lon: Any, lat: Any) -> Any:
    return _FLOW.vorticity(*np.deg2rad([lon, lat]))


def divergence(lon: Any, lat: Any) -> Any:
    return -2 * V / A * np.sin(np.deg2rad(lat)) + 0 * lon


def scalar(lon: Any, lat: Any) -> Any:
    """A temperature that varies along a tilted axis."""
    x, y = np.deg2rad([lon, lat])
    return 290 + 10 * np.cos(y) * np.cos(x) + 5 * np.sin(y)


def slopes(lon: Any, lat: Any) -> tuple[Any, Any]:
    """Those of that temperature to the east and north, in K m-1."""
    x, y = np.deg2rad([lon, lat])
    return -10 * np.sin(x) / A, (5 * np.cos(y) - 10 * np.sin(y) * np.cos(x)) / A


def advection(lon: Any, lat: Any) -> Any:
    """−u ∂T/∂x − v ∂T/∂y of that temperature."""
    slope_x, slope_y = slopes(lon, lat)
    return -(u(lon, lat) * slope_x + v(lon, lat) * slope_y)


def gradient_magnitude(lon: Any, lat: Any) -> Any:
    """|∇T| of that temperature."""
    return np.hypot(*slopes(lon, lat))


def laplacian(lon: Any, lat: Any) -> Any:
    """−2 (T − 290) / a² of that temperature, a spherical harmonic of degree 1."""
    return -2 / A**2 * (scalar(lon, lat) - 290)


class Cells:
    """Cells between 60° S and 60° N, around the globe or not, and the points on them.

    ``faces`` says where those along both axes are stored, as in `fdgrad_dask.Grid`.
    """

    def __init__(self, ny: int, faces: str, around: bool = False) -> None:
        self.ny, self.nx, self.faces = ny, 2 * ny, faces
        self.dlat, self.dlon = 120 / ny, (360 if around else 120) / self.nx
        part = {"left": (0, -1), "right": (1, None), "inner": (1, -1), "outer": (0, None)}[faces]
        edges = slice(*part)
        self.lat = (
            -60 + self.dlat * (np.arange(ny) + 0.5),
            (-60 + self.dlat * np.arange(ny + 1))[edges],
        )
        self.lon = (
            20 + self.dlon * (np.arange(self.nx) + 0.5),
            (20 + self.dlon * np.arange(self.nx + 1))[edges],
        )

    def at(self, point: str) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of a point, each (y, x)."""
        on_x, on_y = POINTS[point]
        lon, lat = np.meshgrid(self.lon[on_x], self.lat[on_y])
        return lon, lat

    def values(self, of: Callable[..., Any], point: str) -> np.ndarray:
        return of(*self.at(point))

    def dx(self, point: str) -> np.ndarray:
        return A * np.deg2rad(self.dlon) * np.cos(np.deg2rad(self.at(point)[1]))

    def dy(self, point: str) -> np.ndarray:
        return A * np.deg2rad(self.dlat) + 0 * self.dx(point)

    def area(self, point: str) -> np.ndarray:
        """Between two circles of latitude, half a step from the point."""
        half = np.deg2rad(self.dlat) / 2
        return self.dx(point) * A * 2 * np.sin(half)


class Case(NamedTuple):
    """A dataset, the cells it is on, and the names of its velocity and its scalar."""

    ds: xr.Dataset
    cells: Cells
    u: str
    v: str
    scalar: str


Dims = dict[str, tuple[str, str]]


def _on(dims: Dims, point: str, values: np.ndarray, **attrs: Any) -> tuple[Any, ...]:
    return dims[point], values, attrs


def _dims(x: str, x_face: str, y: str, y_face: str) -> Dims:
    return {p: (y_face if on_y else y, x_face if on_x else x) for p, (on_x, on_y) in POINTS.items()}


def _flow(cells: Cells, dims: Dims, names: str, at: tuple[str, str] = ("u", "v")) -> dict[str, Any]:
    """u, v and the scalar under three names."""
    name_u, name_v, name_t = names.split()
    return {
        name_u: _on(dims, at[0], cells.values(u, at[0]), **SPEED),
        name_v: _on(dims, at[1], cells.values(v, at[1]), **SPEED),
        name_t: _on(dims, "center", cells.values(scalar, "center"), units="degC"),
    }


def _sizes(cells: Cells, dims: Dims, kind: str, names: str, metres: float = 1.0, **attrs: Any):
    """Lengths or areas under names of centre, u, v and corner; - leaves one out."""
    return {
        name: _on(dims, point, getattr(cells, kind)(point) / metres, **attrs)
        for point, name in zip(POINTS, names.split(), strict=True)
        if name != "-"
    }


def _places(cells: Cells, dims: Dims, lons: str, lats: str) -> dict[str, Any]:
    made = {}
    for point, lon, lat in zip(POINTS, lons.split(), lats.split(), strict=True):
        if lon != "-":
            places = cells.at(point)
            made |= {lon: _on(dims, point, places[0], **EAST)}
            made |= {lat: _on(dims, point, places[1], **NORTH)}
    return made


def mitgcm(ny: int) -> Case:
    """As xmitgcm opens it: dimensions count, with COMODO's attributes; partial cells all open."""
    cells, dims = Cells(ny, "left"), _dims("i", "i_g", "j", "j_g")
    ds = xr.Dataset(
        {
            **_flow(cells, dims, "UVEL VVEL THETA"),
            **_sizes(cells, dims, "dx", "- dxC dxG -", units="m"),
            **_sizes(cells, dims, "dy", "- dyG dyC -", units="m"),
            **_sizes(cells, dims, "area", "rA rAw rAs -", units="m2"),
            **_sizes(cells, dims, "area", "- - - rAz", units="m"),  # so in xmitgcm
        },
        {
            **_places(cells, dims, "XC - - XG", "YC - - YG"),
            "i": ("i", np.arange(cells.nx), {"axis": "X"}),
            "i_g": ("i_g", np.arange(cells.nx), {"axis": "X", "c_grid_axis_shift": -0.5}),
            "j": ("j", np.arange(ny), {"axis": "Y"}),
            "j_g": ("j_g", np.arange(ny), {"axis": "Y", "c_grid_axis_shift": -0.5}),
        },
    )
    for name, point in (("hFacC", "center"), ("hFacW", "u"), ("hFacS", "v")):
        ds[name] = dims[point], np.ones((ny, cells.nx))
    coords = [name for name in ds if str(name)[:2] in ("dx", "dy", "rA", "hF")]
    return Case(ds.set_coords(coords), cells, "UVEL", "VVEL", "THETA")


def mom6(ny: int, faces: str = "outer") -> Case:
    """Nominal axes, and the static file merged; symmetric memory has the faces at both ends."""
    cells, dims = Cells(ny, faces, around=True), _dims("xh", "xq", "yh", "yq")
    axes = {
        name: (name, labels, {**units, "axis": axis, "long_name": f"{name[1]} point nominal"})
        for name, labels, units, axis in (
            ("xh", cells.lon[0], EAST, "X"),
            ("xq", cells.lon[1], EAST, "X"),
            ("yh", cells.lat[0], NORTH, "Y"),
            ("yq", cells.lat[1], NORTH, "Y"),
        )
    }
    ds = xr.Dataset(
        {
            **_flow(cells, dims, "uo vo thetao"),
            **_sizes(cells, dims, "dx", "dxt dxCu dxCv -", units="m"),
            **_sizes(cells, dims, "dy", "dyt dyCu dyCv -", units="m"),
            **_sizes(
                cells, dims, "area", "areacello areacello_cu areacello_cv areacello_bu", units="m2"
            ),
            **_places(
                cells,
                dims,
                "geolon geolon_u geolon_v geolon_c",
                "geolat geolat_u geolat_v geolat_c",
            ),
        },
        axes,
    )
    return Case(ds, cells, "uo", "vo", "thetao")


def mom5(ny: int) -> Case:
    """A B grid: both components at the north-eastern corner."""
    cells = Cells(ny, "right", around=True)
    dims = _dims("xt_ocean", "xu_ocean", "yt_ocean", "yu_ocean")
    axes = {
        name: (name, labels, {"units": units, "cartesian_axis": axis})
        for name, labels, units, axis in (
            ("xt_ocean", cells.lon[0], "degrees_E", "X"),
            ("xu_ocean", cells.lon[1], "degrees_E", "X"),
            ("yt_ocean", cells.lat[0], "degrees_N", "Y"),
            ("yu_ocean", cells.lat[1], "degrees_N", "Y"),
        )
    }
    ds = xr.Dataset(
        {
            **_flow(cells, dims, "u v temp", ("corner", "corner")),
            **_sizes(cells, dims, "dx", "dxt - - dxu", units="m"),
            **_sizes(cells, dims, "dy", "dyt - - dyu", units="m"),
            **_sizes(cells, dims, "area", "area_t - - area_u", units="m^2"),
            **_places(cells, dims, "geolon_t - - geolon_c", "geolat_t - - geolat_c"),
        },
        axes,
    )
    return Case(ds, cells, "u", "v", "temp")


def nemo(ny: int) -> Case:
    """Files of grid_U, grid_V and grid_T merged with mesh_mask, each on its own levels."""
    cells, dims = Cells(ny, "right"), _dims("x", "x", "y", "y")
    ds = xr.Dataset(_flow(cells, dims, "uo vo thetao"))
    for name, level in (("uo", "depthu"), ("vo", "depthv"), ("thetao", "deptht")):
        ds[name] = ds[name].expand_dims({level: [0.5, 1.5]}).assign_attrs(ds[name].attrs)
        ds[level].attrs = {"units": "m", "positive": "down", "axis": "Z"}
    mesh = xr.Dataset(
        {
            **_sizes(cells, dims, "dx", "e1t e1u e1v e1f"),
            **_sizes(cells, dims, "dy", "e2t e2u e2v e2f"),
            **_places(cells, dims, "glamt glamu glamv glamf", "gphit gphiu gphiv gphif"),
        }
    )
    mesh = mesh.expand_dims("time_counter")
    return Case(ds.merge(mesh), cells, "uo", "vo", "thetao")


def nemo_xios(ny: int) -> Case:
    """One file of XIOS with all grids: its coordinates say on which points a field lies."""
    case = nemo(ny)
    ds = case.ds.isel(depthu=0, depthv=0, deptht=0, time_counter=0, drop=True)
    for name, letter in ((case.u, "u"), (case.v, "v"), (case.scalar, "t")):
        own = {f"glam{letter}": f"nav_lon_grid_{letter.upper()}"}
        own |= {f"gphi{letter}": f"nav_lat_grid_{letter.upper()}"}
        ds = ds.rename(own).set_coords(list(own.values()))
        ds[name].encoding["coordinates"] = " ".join(own.values())
    return case._replace(ds=ds)


def nemo_files(ny: int, u_name: str, v_name: str) -> Case:
    """Files of grid_U and grid_V of XIOS, merged by hand: the nav_lat of one of them is left."""
    case, files = nemo_xios(ny), []
    for name, point, way in ((u_name, "u", "x"), (v_name, "v", "y")):
        lon, lat = case.cells.at(point)
        places = {"nav_lat": (("y", "x"), lat, NORTH), "nav_lon": (("y", "x"), lon, EAST)}
        own = {"standard_name": f"sea_water_{way}_velocity", **SPEED, "online_operation": "average"}
        values = case.ds[case.u if way == "x" else case.v].values
        files.append(xr.Dataset({name: (("y", "x"), values, own)}, places))
        files[-1][name].encoding["coordinates"] = "nav_lat nav_lon"
    return case._replace(ds=xr.merge(files, compat="override"), u=u_name, v=v_name)


def xnemogcm(ny: int) -> Case:
    """As xnemogcm opens it: x_c, x_f, y_c, y_f with COMODO's attributes."""
    cells, dims = Cells(ny, "right"), _dims("x_c", "x_f", "y_c", "y_f")
    axes = {}
    for axis, n in (("x", cells.nx), ("y", ny)):
        axes[f"{axis}_c"] = (f"{axis}_c", np.arange(n), {"axis": axis.upper()})
        shifted = {"axis": axis.upper(), "c_grid_axis_shift": 0.5}
        axes[f"{axis}_f"] = (f"{axis}_f", np.arange(n) + 0.5, shifted)
    ds = xr.Dataset(
        {
            **_flow(cells, dims, "uo vo thetao"),
            **_sizes(cells, dims, "dx", "e1t e1u e1v e1f"),
            **_sizes(cells, dims, "dy", "e2t e2u e2v e2f"),
        },
        axes,
    )
    return Case(ds, cells, "uo", "vo", "thetao")


def roms(ny: int, sgrid: bool = False) -> Case:
    """Eight dimensions for four points; cells per metre at the centres."""
    cells = Cells(ny, "inner")
    dims = {
        p: (f"eta_{n}", f"xi_{n}") for p, n in zip(POINTS, ("rho", "u", "v", "psi"), strict=True)
    }
    ds = xr.Dataset(
        {
            **_flow(cells, dims, "u v temp"),
            "pm": _on(dims, "center", 1 / cells.dx("center"), units="meter-1"),
            "pn": _on(dims, "center", 1 / cells.dy("center"), units="meter-1"),
            "angle": _on(dims, "center", 0 * cells.dx("center"), units="radians"),
        },
        _places(cells, dims, "lon_rho lon_u lon_v lon_psi", "lat_rho lat_u lat_v lat_psi"),
    )
    if sgrid:
        ds = ds.rename(
            {f"{k}_{n}": f"{k}{n}" for k in ("xi", "eta") for n in ("rho", "u", "v", "psi")}
        )
        ds["grid"] = (
            (),
            0,
            {
                "cf_role": "grid_topology",
                "topology_dimension": 2,
                "node_dimensions": "xipsi etapsi",
                "face_dimensions": "xirho: xipsi (padding: both) etarho: etapsi (padding: both)",
                "edge1_dimensions": "xiu: xipsi etau: etapsi (padding: both)",
                "edge2_dimensions": "xiv: xipsi (padding: both) etav: etapsi",
            },
        )
    return Case(ds, cells, "u", "v", "temp")


def wrf(ny: int) -> Case:
    """Raw output with two times: map factors, and the step of the map as an attribute."""
    cells = Cells(ny, "outer")
    dims = _dims("west_east", "west_east_stag", "south_north", "south_north_stag")
    step = 50e3
    ds = xr.Dataset(_flow(cells, dims, "U V T2"), attrs={"DX": step, "DY": step, "MAP_PROJ": 1})
    for point, letter in (("center", "M"), ("u", "U"), ("v", "V")):
        for axis, size in (("X", cells.dx), ("Y", cells.dy)):
            ds[f"MAPFAC_{letter}{axis}"] = _on(dims, point, step / size(point), units="")
    for place in (_places(cells, dims, "XLONG XLONG_U XLONG_V -", "XLAT XLAT_U XLAT_V -"),):
        ds = ds.assign_coords(place)
    ds = ds.expand_dims(Time=2)
    ds = ds.assign_coords({name: one.expand_dims(Time=2) for name, one in ds.coords.items()})
    for name, stagger in (("U", "X"), ("V", "Y"), ("T2", "")):
        ds[name].attrs |= {"stagger": stagger, "MemoryOrder": "XY "}
        end = f"_{name}" if stagger else ""
        ds[name].encoding["coordinates"] = f"XLONG{end} XLAT{end}"
    return Case(ds, cells, "U", "V", "T2")


def xwrf(ny: int) -> Case:
    """As xwrf leaves it: shorter dimensions, one time, x and y of the projection."""
    raw = wrf(ny)
    names = {"west_east": "x", "west_east_stag": "x_stag"}
    names |= {"south_north": "y", "south_north_stag": "y_stag"}
    ds = raw.ds.isel(Time=0).rename(names)
    for axis in "xy":
        labels = 50e3 * np.arange(ds.sizes[axis])
        attrs = {
            "units": "m",
            "standard_name": f"projection_{axis}_coordinate",
            "axis": axis.upper(),
        }
        ds = ds.assign_coords({axis: (axis, labels, attrs)})
        stag = f"{axis}_stag"
        edges = 50e3 * (np.arange(ds.sizes[stag]) - 0.5)
        ds = ds.assign_coords({stag: (stag, edges, {**attrs, "c_grid_axis_shift": 0.5})})
    return raw._replace(ds=ds)


def pop(ny: int) -> Case:
    """A B grid on two dimensions, in centimetres: `coordinates` says where a field lies."""
    cells, dims = Cells(ny, "right"), _dims("nlon", "nlon", "nlat", "nlat")
    cm = {"units": "centimeter"}
    ds = xr.Dataset(
        {
            **_flow(cells, dims, "UVEL VVEL TEMP", ("corner", "corner")),
            **_sizes(cells, dims, "dx", "DXT HUS HTN DXU", 0.01, **cm),
            **_sizes(cells, dims, "dy", "DYT HTE HUW DYU", 0.01, **cm),
            **_sizes(cells, dims, "area", "TAREA - - UAREA", 1e-4, units="centimeter^2"),
        },
        _places(cells, dims, "TLONG - - ULONG", "TLAT - - ULAT"),
    )
    for name, own in (("UVEL", "ULONG ULAT"), ("VVEL", "ULONG ULAT"), ("TEMP", "TLONG TLAT")):
        ds[name].encoding["coordinates"] = own
        ds[name].attrs["grid_loc"] = "2110" if name == "TEMP" else "2220"
    return Case(ds, cells, "UVEL", "VVEL", "TEMP")


def cice(ny: int) -> Case:
    """POP's grid in the sea ice model: other names, metres."""
    case = pop(ny)
    names = {"nlon": "ni", "nlat": "nj", "TLONG": "TLON", "ULONG": "ULON", "UVEL": "uvel"}
    names |= {"VVEL": "vvel", "TEMP": "aice", "TAREA": "tarea", "UAREA": "uarea", "DXU": "dxu"}
    names |= {"DYU": "dyu", "DXT": "dxt", "DYT": "dyt"}
    ds = case.ds.drop_vars(["HUS", "HUW"]).rename(names)
    for name, one in ds.data_vars.items():
        if "centimeter" in one.attrs["units"]:
            square = "^2" in one.attrs["units"]
            ds[name] = one * (1e-4 if square else 0.01)
            ds[name].attrs = {"units": "m^2" if square else "m"}
        own = "TLON TLAT" if name == "aice" else "ULON ULAT"
        if name in ("uvel", "vvel", "aice"):
            ds[name].attrs.pop("grid_loc")
            ds[name].encoding["coordinates"] = own
    return case._replace(ds=ds, u="uvel", v="vvel", scalar="aice")


def _map(n: int, crs: dict[str, Any], x: Any, y: Any) -> tuple[Any, ...]:
    """Longitude, latitude and both components along the axes of a map."""
    import pyproj

    system = pyproj.CRS.from_cf(crs)
    turn = pyproj.Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    lon, lat = turn.transform(*np.meshgrid(x, y))
    ahead = turn.transform(*np.meshgrid(x + 1e-6 * (x[-1] - x[0]), y))
    angle = np.arctan2(ahead[1] - lat, (ahead[0] - lon) * np.cos(np.deg2rad(lat)))
    east, north = u(lon, lat), v(lon, lat)
    along_x = east * np.cos(angle) + north * np.sin(angle)
    return lon, lat, along_x, north * np.cos(angle) - east * np.sin(angle)


def hrrr(n: int) -> xr.Dataset:
    """GRIB as cfgrib opens it: no x and y, a Lambert map, winds along it by their flag."""
    crs = {"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [38.5, 38.5]}
    crs |= {"longitude_of_central_meridian": -97.5, "latitude_of_projection_origin": 38.5}
    line = np.linspace(-2e6, 2e6, n)
    lon, lat, *wind = _map(n, crs | {"earth_radius": A}, line, line / 2)
    attrs = {"units": "m s**-1", "GRIB_gridType": "lambert", "GRIB_uvRelativeToGrid": 1}
    ds = xr.Dataset(
        coords={"latitude": (("y", "x"), lat, NORTH), "longitude": (("y", "x"), lon % 360, EAST)}
    )
    for name, way, values in zip(("u10", "v10"), ("eastward", "northward"), wind, strict=True):
        ds[name] = ("y", "x"), values, {**attrs, "standard_name": f"{way}_wind"}
    return ds


def cordex(n: int) -> xr.Dataset:
    """A rotated pole, with 2-D latitude and longitude beside its axes; winds along the grid."""
    crs = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25}
    crs |= {"grid_north_pole_longitude": -162.0, "earth_radius": A}
    rlon, rlat = np.linspace(-20, 18, n), np.linspace(-23, 21, n)
    lon, lat, *wind = _map(n, crs, rlon, rlat)
    axes = {"rlon": ("grid_longitude", "X", rlon), "rlat": ("grid_latitude", "Y", rlat)}
    coords = {
        name: (name, line, {"units": "degrees", "standard_name": standard, "axis": axis})
        for name, (standard, axis, line) in axes.items()
    }
    dims = ("rlat", "rlon")
    ds = xr.Dataset(coords={**coords, "lat": (dims, lat, NORTH), "lon": (dims, lon, EAST)})
    for name, way, values in zip(("uas", "vas"), "xy", wind, strict=True):
        attrs = {"units": "m s-1", "standard_name": f"{way}_wind", "grid_mapping": "rotated_pole"}
        ds[name] = dims, values, attrs
    return ds.assign_coords(rotated_pole=((), 0, crs))


C_GRIDS: dict[str, Callable[[int], Case]] = {
    "MITgcm": mitgcm,
    "MOM6": mom6,
    "MOM6, non-symmetric": lambda ny: mom6(ny, "right"),
    "NEMO": nemo,
    "NEMO, XIOS": nemo_xios,
    "xnemogcm": xnemogcm,
    "ROMS": roms,
    "SGRID": lambda ny: roms(ny, sgrid=True),
    "WRF": wrf,
    "xwrf": xwrf,
}
B_GRIDS: dict[str, Callable[[int], Case]] = {"MOM5": mom5, "POP": pop, "CICE": cice}
