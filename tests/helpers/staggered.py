"""Staggered grids for tests, and their operators in NumPy, over all faces that a cell may have."""

from __future__ import annotations

import numpy as np
import xarray as xr

import fdgrad_dask as fd

DIMS = {"center": ("yc", "xc"), "u": ("yc", "xf"), "v": ("yf", "xc"), "corner": ("yf", "xf")}
EXTRA = {"left": 0, "right": 0, "inner": -1, "outer": 1}
# Which of all n + 1 faces a position has.
FACES = {
    "left": slice(None, -1),
    "right": slice(1, None),
    "inner": slice(1, -1),
    "outer": slice(None),
}


class Case:
    """A grid of random lengths, areas and open shares with the boundaries ``ends``, and fields."""

    def __init__(self, position="left", ends=(None, None), shape=(7, 9), fraction=False, seed=0):
        self.rng, self.position, self.ends = np.random.default_rng(seed), position, ends
        ny, nx = shape
        self.sizes = {"yc": ny, "xc": nx, "yf": ny + EXTRA[position], "xf": nx + EXTRA[position]}
        self.grid = fd.Grid(
            {"center": "xc", position: "xf"},
            {"center": "yc", position: "yf"},
            dx={point: self.random(point) for point in DIMS},
            dy={point: self.random(point) for point in DIMS},
            area={point: self.random(point) for point in ("center", "corner")},
            fraction={p: self.random(p, "z") - 1 for p in ("center", "u", "v")} if fraction else {},
            boundary={"y": ends[0], "x": ends[1]},
        )

    def random(self, point, *before, name=None):
        """Numbers from 1 to 2 at a point; those that a periodic axis has twice are the same."""
        dims = (*before, *DIMS[point])
        values = 1 + self.rng.random([{**self.sizes, "t": 2, "z": 3}[dim] for dim in dims])
        for axis, dim in ((-2, "yf"), (-1, "xf")):
            if dim in dims and self.position == "outer" and self.ends[axis] == "periodic":
                np.moveaxis(values, axis, 0)[-1] = np.moveaxis(values, axis, 0)[0]
        return xr.DataArray(values, dims=dims, name=name, attrs={"units": "m s-1"} if name else {})

    def all_faces(self, f, axis):
        """Values at all n + 1 faces along an axis: with those that a boundary says."""
        end = self.ends[axis]
        f = np.moveaxis(np.asarray(f, float), axis, 0)
        missing = np.full_like(f[:1], np.nan if end in (None, "periodic") else end)
        low, high = self.position in ("right", "inner"), self.position in ("left", "inner")
        ghosts = (f[-1:], f[:1]) if end == "periodic" else (missing, missing)
        return np.moveaxis(np.concatenate([ghosts[0]] * low + [f] + [ghosts[1]] * high), 0, axis)

    def to_center(self, f, axis):
        """The differences between the two faces of each cell."""
        return np.diff(self.all_faces(f, axis), axis=axis)

    def to_face(self, f, axis):
        """The differences between the two cells of each face, NaN beyond walls."""
        f = np.moveaxis(np.asarray(f, float), axis, 0)
        nan = np.full_like(f[:1], np.nan)
        ghosts = (f[-1:], f[:1]) if self.ends[axis] == "periodic" else (nan, nan)
        around = np.diff(np.concatenate([ghosts[0], f, ghosts[1]]), axis=0)
        return np.moveaxis(around[FACES[self.position]], 0, axis)


A = 6371229.0
TILT = np.deg2rad(30.0)  # of the axis of rotation
_FIRST = {"left": 0, "right": 1, "inner": 1, "outer": 0}


class Globe:
    """A staggered grid of longitudes and latitudes from 60° S to 60° N, ``n`` cells along y.

    ``turned``: about a tilted pole, with 2-D longitude and latitude that come with what is given
    of the cells at each point. Fields are those of a solid-body rotation, and a harmonic.
    """

    def __init__(self, n, position, turned=False):
        self.turned, on_x = turned, "left" if position == "inner" else position
        ny, nx, step = n, 4 * n, 120 / n
        self.lines = {
            "xc": (np.arange(nx) + 0.5) * 90 / n,
            "xf": (np.arange(nx + EXTRA[on_x]) + _FIRST[on_x]) * 90 / n,
            "yc": (np.arange(ny) + 0.5) * step - 60,
            "yf": (np.arange(ny + EXTRA[position]) + _FIRST[position]) * step - 60,
        }
        ones = {p: self.at(p, lambda lam, phi: 1.0) for p in DIMS}
        half, around = np.deg2rad(step / 2), A**2 * np.deg2rad(90 / n)
        cell = self.at("corner", lambda lam, phi: around * 2 * np.cos(phi) * np.sin(half))
        self.grid = fd.Grid(
            {"center": "xc", on_x: "xf"},
            {"center": "yc", position: "yf"},
            area={"corner": cell} if turned else {},
            fraction={p: ones[p] for p in ("center", "u", "v")} if turned else {},
            boundary={"x": "periodic"},
        )

    def at(self, point, function, name="f"):
        """A function of longitude and latitude of the grid at a point, as a field."""
        y, x = DIMS[point]
        lam, phi = np.deg2rad(self.lines[x]), np.deg2rad(self.lines[y])[:, None]
        east, north = {"units": "degrees_east"}, {"units": "degrees_north"}
        coords = {x: (x, self.lines[x], east), y: (y, self.lines[y], north)}
        if self.turned:
            lat, lon = np.rad2deg(_turn(lam, phi))
            coords = {f"lon_{point}": ((y, x), lon, east), f"lat_{point}": ((y, x), lat, north)}
        values = function(lam, phi) + 0 * lam + 0 * phi
        return xr.DataArray(values, coords, (y, x), name, {"units": "m s-1"})

    def wind(self):
        """20 m/s of solid-body rotation about a tilted axis, along x and y of the grid."""
        c, s = 20 * np.cos(TILT), 20 * np.sin(TILT)
        u = self.at("u", lambda lam, phi: c * np.cos(phi) + s * np.sin(phi) * np.cos(lam), "u")
        return u, self.at("v", lambda lam, phi: -s * np.sin(lam), "v")

    def vorticity(self, point):
        c, s = 40 / A * np.cos(TILT), 40 / A * np.sin(TILT)
        return self.at(point, lambda lam, phi: c * np.sin(phi) - s * np.cos(phi) * np.cos(lam))


def _turn(lam, phi):
    """Latitude and longitude of points about a pole that is tilted by 40°, in radians."""
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi) + 0 * lam
    c, s = np.cos(np.deg2rad(40)), np.sin(np.deg2rad(40))
    x, z = c * x + s * z, c * z - s * x
    return np.array([np.arcsin(z), np.arctan2(y, x)])
