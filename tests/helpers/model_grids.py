"""Grids and fields as models and observers write them, with the closed forms that hold on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import fields
import numpy as np
import xarray as xr

from fdgrad_dask.errors import FdgradError

A = 6371229.0  # m
GRAVITY, DRY_AIR = 9.80665, 287.05287
OMEGA = 7.292115e-5  # s-1
DEGREE = np.pi / 180
PER_DEGREE = 1 / (A * DEGREE)  # the gradient of the latitude in degrees: its length in m-1
NORTH, EAST = {"units": "degrees_north"}, {"units": "degrees_east"}
HALF_STEP = np.arange(-87.5, 90, 5)  # rows half a step off the poles
CIRCLE = np.arange(0.0, 360, 5)


def worst(got: xr.DataArray, true: Any) -> float:
    """The largest error over the largest true value; a missing value is an error without end."""
    values, exact = np.asarray(got.values), np.asarray(true)
    if np.isnan(values).any():
        return np.inf
    return float(np.abs(values - exact).max() / np.abs(exact).max())


def flow_on(lat: Any, lon: Any, flow: fields.Flow = fields.TILTED, dtype: str = "f8"):
    """u, v of a rotation on 1-D coordinates, and its vorticity, all as a dataset."""
    grid = fields.degrees(lat, lon)
    u, v = flow.wind(grid, dtype=dtype)
    return xr.Dataset({"u": u, "v": v, "true": flow.exact("vorticity", grid)})


def rotation_on(lat: Any, lon: Any, dims=("y", "x"), tilt: float = np.pi / 4) -> xr.Dataset:
    """u, v eastward and northward of a rotation, and its vorticity, on 2-D places in degrees."""
    flow = fields.rotation(tilt, "")
    at = np.deg2rad(lon), np.deg2rad(lat)
    return xr.Dataset(
        {
            "u": (dims, flow.u(*at), {"units": "m s-1", "standard_name": "eastward_wind"}),
            "v": (dims, flow.v(*at), {"units": "m s-1", "standard_name": "northward_wind"}),
            "true": (dims, flow.vorticity(*at)),
        }
    )


def right_or_refused(ask: Callable[[], Any], words: str, judge: Callable[[Any], None]) -> None:
    """Fails unless ``ask`` gives what ``judge`` accepts, or refuses with one of some words."""
    message = None
    try:
        made = ask()
    except FdgradError as error:
        message = str(error)
    if message is None:
        judge(made)
    else:
        assert re.search(words, message, re.IGNORECASE), message


def bipolar_cap(ny: int = 24, nx: int = 60) -> tuple[np.ndarray, ...]:
    """x and y as a tripolar model names them north of 65°, and the true latitudes and longitudes.

    Murray (1996), J. Comput. Phys. 126: poles at 0° E and 180° E on the circle of 65°.
    """
    x, y = np.arange(nx) * (360 / nx) + 1.5, np.linspace(66, 89.5, ny)
    across, along = np.meshgrid(np.deg2rad(x), np.deg2rad((y - 65) / 25 * 90))
    theta = np.where(across < np.pi, across, 2 * np.pi - across)
    psi = np.where(across < np.pi, along, np.pi - along)
    px, py, pz = np.cos(theta), np.sin(theta) * np.cos(psi), np.sin(theta) * np.sin(psi)
    narrow = np.tan(np.deg2rad(12.5)) * np.sqrt((1 - pz) / (1 + pz))
    return x, y, 90 - 2 * np.rad2deg(np.arctan(narrow)), np.rad2deg(np.arctan2(py, px))


def projected(mapping: dict[str, Any], units: str = "m", per_unit: float = 1.0, **crs: Any):
    """The latitude on a map of 50 km, with x and y in some unit; K so that units are seen."""
    import pyproj

    system = pyproj.CRS.from_cf(mapping)
    x, y = np.arange(-5, 6) * 50e3, np.arange(-4, 5) * 50e3
    turn = pyproj.Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    lon, lat = turn.transform(*np.meshgrid(x, y))
    names = [{"standard_name": f"projection_{k}_coordinate", "units": units} for k in "xy"]
    field = xr.DataArray(
        lat,
        dims=("y", "x"),
        name="f",
        attrs={"units": "K", "grid_mapping": "crs"},
        coords={
            "x": ("x", x / per_unit, names[0]),
            "y": ("y", y / per_unit, names[1]),
            "crs": ((), 0, crs or mapping),
        },
    )
    return field, lat, lon


LAMBERT = {
    "grid_mapping_name": "lambert_conformal_conic",
    "standard_parallel": [30.0, 60.0],
    "earth_radius": A,
    "longitude_of_central_meridian": 10.0,
    "latitude_of_projection_origin": 45.0,
}
