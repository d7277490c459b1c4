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
