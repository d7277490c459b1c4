"""Eleven kinds of files, small and generated: what the overview says of the grid of each."""

from __future__ import annotations

import re

import model_cases
import model_grids
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.operators.overview import describe_dataset

NORTH, EAST = model_grids.NORTH, model_grids.EAST


def winds(dims, shape, names=("u", "v"), standard=("eastward_wind", "northward_wind"), **attrs):
    """Two components of zeros; without standard names where ``standard`` is None."""
    given = [{"standard_name": name} for name in standard] if standard else [{}, {}]
    return {
        name: (dims, np.zeros(shape), {"units": "m s-1", **each, **attrs})
        for name, each in zip(names, given, strict=True)
    }


def gaussian():
    """ERA5 on N16: the latitudes are the roots of a Legendre polynomial."""
    lat = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))[::-1]
    places = {"lat": ("lat", lat, NORTH), "lon": ("lon", np.arange(64) * 5.625, EAST)}
    return xr.Dataset(winds(("lat", "lon"), (32, 64)), places)


ROTATED = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
}


def true_places(mapping, x, y):
    """Latitudes and longitudes of a map, by pyproj."""
    import pyproj

    system = pyproj.CRS.from_cf(mapping)
    turn = pyproj.Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    lon, lat = turn.transform(*np.meshgrid(x, y))
    return lat, lon


def rotated_pole(places=False, **names):
    """COSMO: degrees of a rotated pole; with the true places, CORDEX."""
    x, y = np.arange(6) * 0.11 - 5, np.arange(5) * 0.11 + 2
    axes = {"standard_name": "grid_latitude", "units": "degrees"}
    coords = {
        "rlat": ("rlat", y, axes),
        "rlon": ("rlon", x, axes | {"standard_name": "grid_longitude"}),
        "rotated_pole": ((), 0, ROTATED),
    }
    if places:
        lat, lon = true_places(ROTATED, x, y)
        coords |= {"lat": (("rlat", "rlon"), lat, NORTH), "lon": (("rlat", "rlon"), lon, EAST)}
    wind = winds(("rlat", "rlon"), (5, 6), grid_mapping="rotated_pole", **names)
    return xr.Dataset(wind, coords)


def hrrr():
    """As cfgrib opens it: no x and y, 2-D places, and a flag that says how winds point."""
    lat, lon = true_places(model_grids.LAMBERT, np.arange(6) * 3e3, np.arange(5) * 3e3)
    flag = {"GRIB_gridType": "lambert", "GRIB_uvRelativeToGrid": 1}
    coords = {"latitude": (("y", "x"), lat, NORTH), "longitude": (("y", "x"), lon, EAST)}
    return xr.Dataset(winds(("y", "x"), (5, 6), **flag), coords)


def regular():
    return model_grids.flow_on(model_grids.HALF_STEP, model_grids.CIRCLE)


def plane():
    """A model in a box, in km."""
    km = {"units": "km"}
    coords = {"x": ("x", np.arange(6.0), {**km, "axis": "X"})}
    coords["y"] = ("y", np.arange(5.0), {**km, "axis": "Y"})
    return xr.Dataset(winds(("y", "x"), (5, 6), standard=None), coords)


def model(make):
    """A case of `model_cases`: its velocity, with what belongs to its grid as coordinates."""
    case = make(12)
    return case.ds.set_coords([name for name in case.ds.data_vars if name not in (case.u, case.v)])


CIRCLE = "lon: x, periodic in horizontal operators, degrees_east, evenly spaced"
KINDS = {
    "regular": (
        regular,
        {"axes": "lat: y, degrees_north, evenly spaced", "": CIRCLE, "grid": "sphere"},
    ),
    "Gaussian": (gaussian, {"axes": "lat: y, degrees_north, unevenly spaced", "": CIRCLE}),
    "rotated pole": (
        rotated_pole,
        {
            "axes": "rlat: y, degrees, evenly spaced",
            "grid": "curvilinear (rotated_latitude_longitude)",
        },
    ),
    "CORDEX": (
        lambda: rotated_pole(True, names=("uas", "vas")),
        {
            "grid": "curvilinear (rotated_latitude_longitude)",
            "components": "uas eastward and vas northward",
        },
    ),
    "HRRR": (hrrr, {"grid": "curvilinear", "components": "u along x and v along y"}),
    "plane": (
        plane,
        {"grid": "plane, x and y in units of 1000 m", "components": "u along x and v along y"},
    ),
    "NEMO": (lambda: model(model_cases.nemo), {"staggered": "NEMO: e1u, e2u, e1v over y, x"}),
    "MOM6": (lambda: model(model_cases.mom6), {"staggered": "MOM6: the dimensions xh, xq, yh, yq"}),
    "ROMS": (lambda: model(model_cases.roms), {"staggered": "ROMS: the dimensions xi_rho, xi_v"}),
    "WRF": (lambda: model(model_cases.wrf), {"staggered": "WRF: the dimensions west_east"}),
    "POP": (
        lambda: model(model_cases.pop),
        {"staggered": "POP: ULAT, ULONG, UAREA over nlat"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_overview_says_what_was_recognised(kind):
    make, expected = KINDS[kind]
    overview = describe_dataset(make())
    text, html = str(overview), overview.to_html()
    lines = [line.strip() for line in text.splitlines()]
    for name, said in expected.items():
        assert any(re.match(f"{name} *{re.escape(said)}([,;]|$)", line) for line in lines), text
        assert f">{said}" in html
