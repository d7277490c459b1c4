"""Curvilinear grids for tests, and fields on them whose derivatives are known in closed form.

A grid is a formula (s, t) → (latitude, longitude) of two parameters in [−1, 1], x along s and y
along t, so that the same places return at twice the resolution and orders can be measured.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from fdgrad_dask import operators as op

A = 6371229.0  # m
U0 = 40.0  # m s-1
OMEGA = 7.292115e-5  # s-1
GRAVITY, DRY_AIR = 9.80665, 287.05287
DEGREE = np.pi / 180
DIMS = ("y", "x")


def regular(s, t):
    return 40 + 20 * t, 30 * s


def turned(s, t):
    """A lat/lon grid turned by 30° in index space: its axes are oblique on the sphere."""
    c, d = np.cos(np.pi / 6), np.sin(np.pi / 6)
    return 40 + 20 * (d * s + c * t), 20 * (c * s - d * t)


def rotated_pole(s, t, pole=(39.25, -162.0), half=(20.0, 20.0)):
    """Rotated latitudes and longitudes of ± ``half`` around the turned equator (CF, COSMO)."""
    phi, lam = half[0] * DEGREE * t, half[1] * DEGREE * s
    sin_p, cos_p = np.sin(pole[0] * DEGREE), np.cos(pole[0] * DEGREE)
    up = np.sin(phi) * sin_p + np.cos(phi) * np.cos(lam) * cos_p
    along = np.sin(phi) * cos_p - np.cos(phi) * np.cos(lam) * sin_p
    aside = -np.cos(phi) * np.sin(lam)
    lon = pole[1] + np.arctan2(aside, along) / DEGREE
    return np.arcsin(up) / DEGREE, (lon + 180) % 360 - 180


def across_date_line(s, t):
    """The same turned to the other side of the Earth: its longitudes jump by 360° inside."""
    lat, lon = rotated_pole(s, t)
    return lat, (lon + 350) % 360 - 180


def stereographic(s, t, side=1, half=3e6):
    """The map around a pole, x to the east along 0° in the south and 90° in the north."""
    x, y = half * s, half * t
    return (
        side * (90 - 2 * np.arctan(np.hypot(x, y) / (2 * A)) / DEGREE),
        np.arctan2(x, -side * y) / DEGREE,
    )


def oblique(s, t):
    """Around a polar cap: x spirals to the east as y goes outwards."""
    return 60 + 15 * t, 60 * s + 20 * t


GRIDS = {
    "regular": regular,
    "turned by 30°": turned,
    "rotated pole": rotated_pole,
    "across the date line": across_date_line,
    "oblique": oblique,
    "left-handed": lambda s, t: rotated_pole(s, -t),
}


def sampled(grid, n, m=None):
    s, t = np.meshgrid(np.linspace(-1, 1, m or n), np.linspace(-1, 1, n))
    return grid(s, t)


def closed_forms(lat, lon, tilt=np.pi / 4, shear=1.0):
    """u, v, s and all that the operators make of them, by formula.

    The wind is a solid-body rotation and ``shear`` times (sin φ cos φ)(1, 1); s = XZ + Y/2 with
    the X, Y, Z of the unit sphere, so ∇²s = −6 XZ/a² − Y/a². With height they grow as p / 500 hPa.
    """
    p, q = np.deg2rad(lat), np.deg2rad(lon)
    sin, cos, sin_q, cos_q = np.sin(p), np.cos(p), np.sin(q), np.cos(q)
    ca, sa = np.cos(tilt), np.sin(tilt)
    w = U0 * shear
    u = U0 * (cos * ca + sin * cos_q * sa) + w * sin * cos
    v = -U0 * sin_q * sa + w * sin * cos
    vortex = 2 * U0 / A * (sin * ca - cos_q * cos * sa) + w / A * (2 * sin**2 - cos**2)
    s = cos * cos_q * sin + cos * sin_q / 2
    s_x = (-sin * sin_q + cos_q / 2) / A
    s_y = (cos_q * np.cos(2 * p) - sin * sin_q / 2) / A
    div, stretch, shearing = w / A * (cos**2 - 2 * sin**2), -w / A * cos**2, w / A * cos**2
    u_x, u_y = (div + stretch) / 2, (shearing - vortex) / 2
    v_x, v_y = (shearing + vortex) / 2, (div - stretch) / 2
    size = np.hypot(s_x, s_y)
    f = 2 * OMEGA * sin
    over_f = 1 / np.where(abs(sin) < 1e-7, np.nan, f)
    per = 1 / 5e4  # Pa-1
    return {
        "u": u,
        "v": v,
        "s": s,
        "vorticity": vortex,
        "absolute_vorticity": vortex + f,
        "divergence": div,
        "stretching_deformation": stretch,
        "shearing_deformation": shearing,
        "total_deformation": np.hypot(stretch, shearing),
        "ds_dx": s_x,
        "ds_dy": s_y,
        "s_gradient_magnitude": size,
        "s_laplacian": (-6 * cos * cos_q * sin - cos * sin_q) / A**2,
        "ug": -GRAVITY * over_f * s_y,
        "vg": GRAVITY * over_f * s_x,
        "s_advection": -(u * s_x + v * s_y),
        "s_frontogenesis": -(s_x**2 * u_x + s_y**2 * v_y + s_x * s_y * (v_x + u_y)) / size,
        "q1": -DRY_AIR / 5e4 * (u_x * s_x + v_x * s_y),
        "q2": -DRY_AIR / 5e4 * (u_y * s_x + v_y * s_y),
        "potential_vorticity": -GRAVITY * per * ((vortex + f) * s - v * s_x + u * s_y),
    }


UNITS = {
    "ds_dx": 1 / A,
    "ds_dy": 1 / A,
    "s_gradient_magnitude": 1 / A,
    "s_laplacian": 1 / A**2,
    "ug": GRAVITY / OMEGA / A,
    "vg": GRAVITY / OMEGA / A,
    "s_frontogenesis": U0 / A**2,
    "q1": DRY_AIR / 5e4 * U0 / A**2,
    "q2": DRY_AIR / 5e4 * U0 / A**2,
    "potential_vorticity": GRAVITY / 5e4 * U0 / A,
}  # of all others U0 / A


def coordinates(lat, lon, dims=DIMS):
    return {
        "lat": (dims, lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": (dims, lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }


def fields(lat, lon, dtype=float, **options):
    """u, v and s on the grid, and the closed forms."""
    exact = closed_forms(lat, lon, **options)
    attrs = {
        "u": {"units": "m s-1", "standard_name": "eastward_wind"},
        "v": {"units": "m s-1", "standard_name": "northward_wind"},
        "s": {"units": "K"},
    }
    ds = xr.Dataset({k: (DIMS, exact[k].astype(dtype), a) for k, a in attrs.items()})
    return ds.assign_coords(coordinates(lat, lon)), exact


# They take the complete globe, by transforms on the host: `test_helmholtz.py` has them.
SPECTRAL = (
    "divergent_wind",
    "helmholtz",
    "inverse_laplacian",
    "rotational_wind",
    "stream_function",
    "truncate",
    "velocity_potential",
)
ELSEWHERE = ("gradient", "curl", "rotate_to_earth", "rotate_to_grid", *SPECTRAL)
OPERATORS = tuple(n for n in op.__all__ if n not in ELSEWHERE)
OF_SCALARS = ("horizontal_gradient", "gradient_magnitude", "laplacian", "geostrophic_wind")
OF_WINDS = tuple(n for n in OPERATORS if n not in OF_SCALARS)
LEVELS = {"p": ("p", [400.0, 500.0, 600.0], {"units": "hPa", "axis": "Z"})}


def outputs(name, ds, **options):
    """What an operator gives of u, v and s, under the names of `closed_forms`."""
    function = getattr(op, name)
    if name in OF_SCALARS:
        units = "m" if name == "geostrophic_wind" else ds.s.attrs.get("units")
        made = function(ds.s.assign_attrs(units=units), **options)
    elif name in ("advection", "frontogenesis"):
        made = function(ds.u, ds.v, ds.s, **options)
    elif name in ("q_vector", "potential_vorticity"):
        column = xr.DataArray([0.8, 1.0, 1.2], dims="p", coords=LEVELS).astype(ds.u.dtype)
        u, v, s = ((column * ds[k]).assign_attrs(ds[k].attrs).rename(k) for k in "uvs")
        kind = "air_temperature" if name == "q_vector" else "air_potential_temperature"
        made = function(u, v, s.assign_attrs(standard_name=kind, units="K"), **options).isel(p=1)
    else:
        made = function(ds.u, ds.v, **options)
    return dict(made.items()) if isinstance(made, xr.Dataset) else {made.name: made}


def interior(values):
    """The places away from the rim, the same at every resolution."""
    n, m = (k // 8 for k in values.shape[-2:])
    return np.asarray(values)[..., n:-n, m:-m]


def beside_rims(values):
    """All but the outermost row and column, where differences are one-sided."""
    return np.asarray(values)[..., 1:-1, 1:-1]


def errors_of(made, exact, part=interior):
    """The largest error of each output, in its unit."""
    return {
        k: np.abs(part(a.values - exact[k])).max() / UNITS.get(k, U0 / A) for k, a in made.items()
    }


def errors(name, grid, n, part=interior, prepare=None, options=None, **flow):
    ds, exact = fields(*sampled(grid, n), **flow)
    ds, asked = (ds, {}) if prepare is None else prepare(ds, grid)
    return errors_of(outputs(name, ds, **asked, **(options or {})), exact, part)


def assert_order(coarse, fine, order=2, slack=0.15, least=1e-11):
    """Errors fall with this order from one resolution to twice as many points."""
    for k in fine:
        reached = np.log2(coarse[k] / fine[k]) if fine[k] > least else np.inf
        assert reached > order - slack, (k, coarse[k], fine[k])


def directions(grid, n, m=None):
    """(east, north) of the unit vectors along x and y, by differences of the formula."""
    s, t = np.meshgrid(np.linspace(-1, 1, m or n), np.linspace(-1, 1, n))
    lat, _ = grid(s, t)
    found = []
    for ds, dt in ((1e-5, 0), (0, 1e-5)):
        ahead, behind = grid(s + ds, t + dt), grid(s - ds, t - dt)
        east = np.cos(np.deg2rad(lat)) * ((ahead[1] - behind[1] + 180) % 360 - 180)
        north = ahead[0] - behind[0]
        length = np.hypot(east, north)
        found.append((east / length, north / length, length * np.deg2rad(A) / 2e-5))
    return found


def along_the_grid(ds, grid):
    """The wind turned by hand: (u, v) = u′ along x + v′ along y, and named so."""
    n, m = ds.u.shape
    (x_e, x_n, _), (y_e, y_n, _) = directions(grid, n, m)
    cross = x_e * y_n - x_n * y_e
    u = (ds.u * y_n - ds.v * y_e) / cross
    v = (ds.v * x_e - ds.u * x_n) / cross
    return ds.assign(
        u=u.assign_attrs(units="m s-1", standard_name="x_wind"),
        v=v.assign_attrs(units="m s-1", standard_name="y_wind"),
    )
