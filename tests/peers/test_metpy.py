"""MetPy on one chunk in memory: the same numbers where it is right, closed forms where it is not.

It differences the map factors of a projection to find the terms of the sphere, takes the seam of
a global longitude for an edge, and computes as soon as it is called.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from fields import OVER_POLES, ROSSBY_HAURWITZ, ROTATION, TILTED, A, degrees, field, globe
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op

metpy = pytest.importorskip("metpy.xarray", reason="MetPy is not installed: pip install metpy")
mpcalc = pytest.importorskip("metpy.calc", reason="MetPy is not installed: pip install metpy")


SPHERE = {"grid_mapping_name": "latitude_longitude", "earth_radius": A}


def theirs(call, *fields):
    """What MetPy makes of fields on our sphere, as plain DataArrays."""
    with np.errstate(divide="ignore", invalid="ignore"):  # on the equator
        results = call(*(f.metpy.assign_crs(SPHERE).metpy.quantify() for f in fields))
    several = results if isinstance(results, tuple) else (results,)
    quantities = [r.data if isinstance(r, xr.DataArray) else r for r in several]
    made = [fields[0].copy(data=q.magnitude) for q in quantities]
    return made if isinstance(results, tuple) else made[0]


def at(result, rows):
    """The rows up to a latitude, without the first and the last column, which MetPy has wrong."""
    return result.isel(longitude=slice(1, -1)).sel(latitude=abs(result["latitude"]) <= rows)


def apart(ours, theirs, rows):
    """The largest difference over the largest value, in the rows up to a latitude."""
    return float(abs(at(ours, rows) - at(theirs, rows)).max() / abs(at(ours, rows)).max())


@pytest.fixture(scope="module")
def theta(era):
    """A potential temperature that follows the geopotential."""
    made = 250 + era["z"] / 1e3
    return made.rename("theta").assign_attrs(units="K", standard_name="air_potential_temperature")


# --- where it is right --------------------------------------------------------------------------


def test_gradients_are_the_same_but_at_the_poles(era):
    ours = op.horizontal_gradient(era["z"])
    x, y = theirs(mpcalc.geospatial_gradient, era["z"])
    assert apart(ours["dz_dx"], x, 89.3) <= 1e-10
    assert apart(ours["dz_dy"], y, 89.3) <= 1e-10


def test_advection_is_the_same_but_at_the_poles(era):
    ours = op.advection(era["u"], era["v"], era["z"])
    z, u, v = (era[n] for n in "zuv")
    assert apart(ours, theirs(mpcalc.advection, z, u, v), 89.3) <= 1e-10


def test_geostrophic_winds_are_the_same_but_on_the_equator_and_at_the_poles(era):
    ours = op.geostrophic_wind(era["z"])
    ug, vg = theirs(mpcalc.geostrophic_wind, era["z"])
    off = abs(era["latitude"]) > 0
    assert apart(ours["ug"].where(off), ug.where(off), 89.3) <= 1e-10
    assert apart(ours["vg"].where(off), vg.where(off), 89.3) <= 1e-10


def test_deformations_differ_by_the_error_of_its_map_factor_and_by_nothing_else(era):
    """cos φ Δ(1/cos φ)/Δφ stands for tan φ there: 5e-5 off at 30°, 1 % at 85°, nonsense at 89°."""
    ours = op.deformation(era["u"], era["v"])
    u, v = era["u"], era["v"]
    phi = np.deg2rad(era["latitude"])
    with np.errstate(divide="ignore"):
        slope = np.gradient(1 / np.cos(phi.values), phi.values)
    error = (np.cos(phi) * slope - np.tan(phi)) / A
    for call, name, lacks in (
        (mpcalc.stretching_deformation, "stretching_deformation", -v * error),
        (mpcalc.shearing_deformation, "shearing_deformation", u * error),
    ):
        assert apart(ours[name] + lacks, theirs(call, u, v), 88) <= 1e-7, name
        assert apart(ours[name], theirs(call, u, v), 60) <= 1e-4, name


WITHIN = {  # how far the schemes are apart up to 60°, of the largest value
    "vorticity": 5e-3,
    "divergence": 1e-2,
    "frontogenesis": 1e-4,
    "potential_vorticity": 5e-3,
    "q1": 5e-4,
    "q2": 5e-4,
}


def test_schemes_are_close_up_to_60_degrees(era, theta):
    """Ours are flux forms, so that circulations and fluxes add up; both are second order."""
    u, v = era["u"], era["v"]
    pressure = era["level"].assign_attrs(units="hPa").broadcast_like(u).transpose(*u.dims)
    ours = {
        "vorticity": op.vorticity(u, v),
        "divergence": op.divergence(u, v),
        "frontogenesis": op.frontogenesis(u, v, theta),
        "potential_vorticity": op.potential_vorticity(u, v, theta, vertical="level", edge_order=2),
        # Of the same numbers: θ itself is refused here, and MetPy takes it for T.
        **op.q_vector(
            u, v, theta.rename("t").drop_attrs().assign_attrs(units="K"), vertical="level"
        ),
    }
    q1, q2 = theirs(mpcalc.q_vector, u, v, theta, pressure)
    his = {
        "vorticity": theirs(mpcalc.vorticity, u, v),
        "divergence": theirs(mpcalc.divergence, u, v),
        "frontogenesis": theirs(mpcalc.frontogenesis, theta, u, v),
        "potential_vorticity": theirs(mpcalc.potential_vorticity_baroclinic, theta, pressure, u, v),
        "q1": q1,
        "q2": q2,
    }
    for name, within in WITHIN.items():
        assert apart(ours[name], his[name], 60) <= within, name


def test_potential_vorticity_where_the_pressure_is_a_field(era, theta):
    """As on the levels of a model: both difference along these."""
    u, v = era["u"], era["v"]
    tilt = 1 + 0.05 * np.sin(2 * np.deg2rad(u["longitude"])) * np.cos(np.deg2rad(u["latitude"]))
    pressure = (era["level"] * tilt).broadcast_like(u).transpose(*u.dims).rename("p")
    pressure = pressure.assign_attrs(units="hPa")
    options = {"vertical": "level", "edge_order": 2}
    ours = op.potential_vorticity(u, v, theta, pressure=pressure, **options)
    his = theirs(mpcalc.potential_vorticity_baroclinic, theta, pressure, u, v)
    assert apart(ours, his, 60) <= WITHIN["potential_vorticity"]
    assert apart(op.potential_vorticity(u, v, theta, **options), his, 60) > 0.02


# --- where it is not ----------------------------------------------------------------------------


def errors(result, flow, grid):
    """Of the largest vorticity: up to 60°, and in the rows beside the poles, off the seam."""
    exact = flow.exact("vorticity", grid)
    off = (abs(result - exact) / float(abs(exact).max())).values[:, 1:-1]
    return off[abs(grid["lat"]) <= 60].max(), off[[1, -2]].max()


@pytest.mark.parametrize(
    "flow", [ROTATION, TILTED, OVER_POLES, ROSSBY_HAURWITZ], ids=lambda flow: flow.name
)
def test_beside_the_poles_it_is_off_by_hundreds_of_times_the_vorticity(flow):
    grid = globe(2)
    wind = flow.wind(grid)
    ours = errors(op.vorticity(*wind), flow, grid)
    his = errors(theirs(mpcalc.vorticity, *wind), flow, grid)
    assert ours[1] <= 1e-2
    assert his[1] >= 100
    assert ours[0] <= 1.1 * his[0]


def test_its_answer_depends_on_where_the_circle_begins(era):
    """By a hundredth of the largest vorticity: the seam is an edge. Ours does not, to the bit."""
    u, v = era["u"], era["v"]
    turned = [f.roll(longitude=240, roll_coords=True) for f in (u, v)]
    for f in turned:
        lon = f["longitude"].values
        f["longitude"] = ("longitude", np.where(lon < 0, lon + 360, lon), u["longitude"].attrs)
    seam = {"longitude": 0}
    his = theirs(mpcalc.vorticity, u, v), theirs(mpcalc.vorticity, *turned)
    ours = op.vorticity(u, v), op.vorticity(*turned)
    for (plain, other), least, most in ((his, 5e-3, 1.0), (ours, 0.0, 0.0)):
        apart = abs(plain.isel(seam) - other.roll(longitude=240).isel(seam).values)
        apart = float(apart.sel(latitude=slice(60, -60)).max() / abs(ours[0]).max())
        assert least <= apart <= most


def test_without_a_sphere_the_meridian_is_scaled_twice():
    """The gradient of the length of a meridian is 1; on the ellipsoid MetPy has up to 1.0067."""
    from pyproj import Geod

    grid = degrees(np.arange(-88.0, 89, 2), np.arange(0.0, 20, 2))
    wgs84 = Geod(ellps="WGS84")
    lat = grid["lat"].values
    arc = [np.sign(y) * wgs84.inv(0, 0, 0, y)[2] for y in lat]
    s = xr.DataArray(np.outer(arc, np.ones(10)), dims=("lat", "lon"), coords=grid.coords)
    s = s.rename("s").assign_attrs(units="m")
    _, y = mpcalc.geospatial_gradient(s)
    assert abs(y.magnitude - 1).max() > 5e-3
    on_a_sphere = field(lambda x, y: A * y, grid, "s", units="m")
    assert_allclose(op.horizontal_gradient(on_a_sphere)["ds_dy"], 1, rtol=1e-12)


def test_it_computes_when_it_is_called(lazily):
    u, v = (f.chunk(lat=5) for f in ROSSBY_HAURWITZ.wind(globe(10)))
    fields = [f.metpy.assign_crs(SPHERE) for f in (u, v)]
    with lazily():
        ours = op.vorticity(u, v)
        with pytest.raises(AssertionError, match="computed while the graph was built"):
            mpcalc.vorticity(*fields)
    assert ours.chunks == u.chunks


def test_to_import_us_does_not_break_it():
    code = """
import numpy as np, xarray as xr, metpy.calc as mpcalc
import fdgrad_dask
axes = {"lat": ("lat", np.arange(30.0, 40), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(20.0), {"units": "degrees_east"})}
z = xr.DataArray(np.ones((10, 20)), dims=("lat", "lon"), coords=axes, attrs={"units": "m"})
mpcalc.geostrophic_wind(z)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)
