"""Faces for tests: a conformal cube, an LLC grid, and a tripolar grid that is cut and turned.

On the stereographic map w of a sphere, dζ = Π (w − w_k)^(−1/4) dw makes a flat metric with corners
at the points w_k, where three squares meet. Its ζ is a conformal grid, whose lines go on smoothly
across the edges of these squares. With the eight corners of a cube they are its faces; with four
there are a square cap and four sectors that go on to the other pole.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from curved import DEGREE, A, closed_forms
from tripolar import EAST, NORTH, in_space

DIMS = ("face", "j", "i")
FRAMES = ("xy", "zx", "yz", "yx", "xz", "zy")  # the axes of the faces of a cube in space
CAP = np.tan(13 * DEGREE)  # the four corners of an LLC grid lie at 64° N
# The table of ECCO's LLC90, as xgcm takes it.
F = False
LLC = {
    "face": {
        0: {"X": ((12, "Y", F), (3, "X", F)), "Y": (None, (1, "Y", F))},
        1: {"X": ((11, "Y", F), (4, "X", F)), "Y": ((0, "Y", F), (2, "Y", F))},
        2: {"X": ((10, "Y", F), (5, "X", F)), "Y": ((1, "Y", F), (6, "X", F))},
        3: {"X": ((0, "X", F), (9, "Y", F)), "Y": (None, (4, "Y", F))},
        4: {"X": ((1, "X", F), (8, "Y", F)), "Y": ((3, "Y", F), (5, "Y", F))},
        5: {"X": ((2, "X", F), (7, "Y", F)), "Y": ((4, "Y", F), (6, "Y", F))},
        6: {"X": ((2, "Y", F), (7, "X", F)), "Y": ((5, "Y", F), (10, "X", F))},
        7: {"X": ((6, "X", F), (8, "X", F)), "Y": ((5, "X", F), (10, "Y", F))},
        8: {"X": ((7, "X", F), (9, "X", F)), "Y": ((4, "X", F), (11, "Y", F))},
        9: {"X": ((8, "X", F), None), "Y": ((3, "X", F), (12, "Y", F))},
        10: {"X": ((6, "Y", F), (11, "X", F)), "Y": ((7, "Y", F), (2, "X", F))},
        11: {"X": ((10, "X", F), (12, "X", F)), "Y": ((8, "Y", F), (1, "X", F))},
        12: {"X": ((11, "X", F), None), "Y": ((9, "Y", F), (0, "X", F))},
    }
}


def conformal_cube(n):
    """Latitude and longitude of the cell centres of six faces, (6, n, n)."""
    u = np.tan(np.pi / 8) * (np.arange(2000) + 0.5) / 2000
    half = ((u**8 + 14 * u**4 + 1) ** -0.25).sum() * np.tan(np.pi / 8) / 2000
    line = half * ((2 * np.arange(n) + 1) / n - 1)
    w = stereographic(*np.meshgrid(line, line), lambda w: w**8 + 14 * w**4 + 1)
    scale = 1 + abs(w) ** 2
    parts = 2 * w.real / scale, 2 * w.imag / scale, (2 - scale) / scale
    places = []
    for names in FRAMES:
        first, second = (np.eye(3)["xyz".index(name)] for name in names)
        frame = first, second, np.cross(first, second)
        places.append(sum(part[..., None] * axis for part, axis in zip(parts, frame, strict=True)))
    x, y, z = np.moveaxis(np.stack(places), -1, 0)
    return np.arcsin(z) / DEGREE, np.arctan2(y, x) / DEGREE


def lat_lon_cap(n, point="center"):
    """Latitude, longitude and the angle from east to x of the cells of an LLC grid, (13, n, n)."""
    half = point in ("u", "corner"), point in ("v", "corner")  # faces lie below their cells
    lines = (np.pi / 4 * ((2 * np.arange(n) + 1 - shift) / n - 1) for shift in half)
    xi, eta = np.meshgrid(*lines)
    faces, along = [], []
    for face in range(13):
        # Outwards from the cap, and along its edge; sectors lie on its left, below, right, above.
        turn, out, aside = 1, xi, eta
        if face < 6:
            turn, out, aside = (-1, -1j)[face // 3], np.pi / 2 * (3 - face % 3) - eta, xi
        elif face > 6:
            turn, out = (1, 1j)[face // 10], np.pi / 2 * ((face - 7) % 3 + 1) + xi
        w = stereographic(out, aside, lambda w: w**4 + 1)
        faces.append(turn * w)
        along.append(turn * (w**4 + 1) ** 0.25 * (1j if face < 6 else 1))
    w = np.stack(faces)
    angle = np.angle(np.stack(along) * (1j * w).conj())  # east is i w
    return 90 - 2 * np.arctan(CAP * abs(w)) / DEGREE, np.angle(w) / DEGREE, angle


def stereographic(xi, eta, polynomial, steps=40):
    """w(ξ + iη) by Runge and Kutta, first along the real axis."""
    w = np.zeros_like(xi, complex)
    for h in (xi / steps, 1j * eta / steps):
        for _ in range(steps):
            a = polynomial(w) ** 0.25
            b = polynomial(w + h * a / 2) ** 0.25
            c = polynomial(w + h * b / 2) ** 0.25
            w = w + h * (a + 2 * b + 2 * c + polynomial(w + h * c) ** 0.25) / 6
    return w


def cut(values, m, turns):
    """Faces of m by m of an array (y, x), row by row, each turned by some quarters."""
    ny, nx = values.shape[-2:]
    starts = [(j, i) for j in range(0, ny, m) for i in range(0, nx, m)]
    faces = [values[j : j + m, i : i + m] for j, i in starts]
    return np.stack([np.rot90(f, turn) for f, turn in zip(faces, turns, strict=True)])


def join(faces, shape, turns):
    """What `cut` has cut."""
    m, values = faces.shape[-1], np.empty(shape)
    starts = [(j, i) for j in range(0, shape[0], m) for i in range(0, shape[1], m)]
    for (j, i), face, turn in zip(starts, faces, turns, strict=True):
        values[j : j + m, i : i + m] = np.rot90(face, -turn)
    return values


def size_of_cells(n, lat, lon):
    """The length of both sides of the cells of an LLC grid, at points."""
    w = np.tan(np.deg2rad(90 - lat) / 2) / CAP * np.exp(1j * np.deg2rad(lon))
    return np.pi / 2 / n * CAP * abs(w**4 + 1) ** 0.25 * 2 * A / (1 + (CAP * abs(w)) ** 2)


def connect(lat, lon):
    """The connections of faces as xgcm writes them, found from where their edges lie."""
    points = np.moveaxis(in_space(lat, lon), 0, -1)
    sides = {}
    for face, one in enumerate(points):
        for axis, turned in (("X", one.swapaxes(0, 1)), ("Y", one)):
            for end, rows in enumerate((turned, turned[::-1])):
                sides[face, axis, end] = rows[0], 2 * rows[0] - rows[1]
    found = {face: {"X": [None, None], "Y": [None, None]} for face in range(len(points))}
    for (face, axis, end), (edge, ahead) in sides.items():
        cell = np.linalg.norm(ahead - edge, axis=-1)
        for (other, other_axis, other_end), (there, _) in sides.items():
            for line in (there, there[::-1]):
                if np.median(np.linalg.norm(line - ahead, axis=-1) / cell) < 0.4:
                    found[face][axis][end] = other, other_axis, end == other_end
    return {
        "face": {
            face: {axis: tuple(ends) for axis, ends in axes.items()} for face, axes in found.items()
        }
    }


def on_faces(lat, lon, angle=None, **flow):
    """u and v to the east and north, or along axes that are turned so, s, and the closed forms."""
    exact = closed_forms(lat, lon, **flow)
    u, v, names = exact["u"], exact["v"], ("eastward_wind", "northward_wind")
    if angle is not None:
        turned = (u + 1j * v) * np.exp(-1j * angle)
        u, v, names = turned.real, turned.imag, ("x_wind", "y_wind")
    ds = xr.Dataset(
        {
            "u": (DIMS, u, {"units": "m s-1", "standard_name": names[0]}),
            "v": (DIMS, v, {"units": "m s-1", "standard_name": names[1]}),
            "s": (DIMS, exact["s"], {"units": "K"}),
        }
    )
    return ds.assign_coords(XC=(DIMS, lon, EAST), YC=(DIMS, lat, NORTH)), exact
