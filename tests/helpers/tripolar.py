"""Tripolar grids for tests, of confocal ellipses and of Murray's bipolar cap.

Confocal ellipses on the polar stereographic map, z = f cosh(ξ + iη), are a grid that covers the
Earth from the fold ξ = 0, the line between the foci, to nearly circles of latitude. It is conformal
and turns smoothly about both foci, as grids of NEMO do.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from curved import DEGREE, closed_forms

FOCUS = np.tan(12 * DEGREE)  # foci at 66° N
DIMS = ("y", "x")
NORTH, EAST = {"units": "degrees_north"}, {"units": "degrees_east"}
FOLDED = {"x": "periodic", "y": (None, "fold")}


def ellipses(eta, xi):
    """(latitude, longitude) in degrees."""
    z = FOCUS * np.cosh(xi + 1j * eta)
    return 90 - 2 * np.arctan(abs(z)) / DEGREE, np.angle(z) / DEGREE


def murray(lam, psi):
    """The cap north of 65° N of a nominal longitude and an angle from its edge (π/2: the fold)."""
    left = lam % (2 * np.pi) < np.pi
    theta, psi = np.where(left, lam, 2 * np.pi - lam), np.where(left, psi, np.pi - psi)
    x, y = np.cos(theta), np.sin(theta) * np.cos(psi)
    z = np.sin(theta) * np.sin(psi)
    lat = 90 - 2 * np.arctan(np.tan(12.5 * DEGREE) * np.sqrt((1 - z) / (1 + z))) / DEGREE
    return lat, np.arctan2(y, x) / DEGREE


def parameters(n, pivot, repeats=False, formula=ellipses):
    """(η, ξ) of n columns and n/2 rows: the last on the fold, or half a row before it.

    ``repeats``: as files of NEMO, with a column more at both ends and a row beyond the fold.
    """
    step, half = 2 * np.pi / n, 0.0 if pivot == "T" else 0.5
    columns = np.arange(-1, n + 1) if repeats else np.arange(n)
    rows = np.arange(n // 2 - 1, -2 if repeats else -1, -1)
    eta, xi = np.meshgrid((columns + half) * step, (rows + half) * step)
    if formula is murray:  # its columns all end in the poles, where none may start
        return (np.arange(n) + 0.5) * step + 0 * xi, np.pi / 2 - xi / 3
    return eta, xi


def tripolar(n, pivot="F", repeats=False, formula=ellipses, components="earth", **flow):
    """u, v, s over (y, x), and the closed forms of what operators make of them."""
    eta, xi = parameters(n, pivot, repeats, formula)
    lat, lon = formula(eta, xi)
    exact = closed_forms(lat, lon, **flow)
    u, v, names = exact["u"], exact["v"], ("eastward_wind", "northward_wind")
    if components == "grid":
        (x_e, x_n), (y_e, y_n) = axes(formula, eta, xi)
        cross = x_e * y_n - x_n * y_e
        u, v = (u * y_n - v * y_e) / cross, (v * x_e - u * x_n) / cross
        names = ("x_wind", "y_wind")
    ds = xr.Dataset(
        {
            "u": (DIMS, u, {"units": "m s-1", "standard_name": names[0]}),
            "v": (DIMS, v, {"units": "m s-1", "standard_name": names[1]}),
            "s": (DIMS, exact["s"], {"units": "K"}),
        },
        {"lat": (DIMS, lat, NORTH), "lon": (DIMS, lon, EAST)},
    )
    return ds, exact


def axes(formula, eta, xi):
    """(east, north) of the unit vectors along x and y, y towards the fold; NaN at a pivot."""
    lat, lon = (one * DEGREE for one in formula(eta, xi))
    east = np.stack([-np.sin(lon), np.cos(lon), 0 * lon])
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    found = []
    for d_eta, d_xi in ((1e-6, 0), (0, 1e-6 if formula is murray else -1e-6)):
        step = in_space(*formula(eta + d_eta, xi + d_xi)) - in_space(
            *formula(eta - d_eta, xi - d_xi)
        )
        size = np.linalg.norm(step, axis=0)
        size = np.where(size < 1e-11, np.nan, size)
        found.append(((east * step).sum(0) / size, (north * step).sum(0) / size))
    return found


def in_space(lat, lon):
    lat, lon = lat * DEGREE, lon * DEGREE
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def away_from_pivots(lat, lon, distance=0.15):
    """True further from the foci than so many Earth radii: there cells have no area."""
    x, y, _ = in_space(lat, lon)
    return np.minimum(np.hypot(x - 0.4, y), np.hypot(x + 0.4, y)) > distance
