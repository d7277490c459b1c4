"""The operators as their textbooks have them, on any surface of `surfaces`.

Fields are `Sized` arrays (…, y, x) in units of SI. Each function gives its results by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oracle.lines import Line, differentiate
from oracle.sized import LONG, Sized, hypot, radians

OMEGA, GRAVITY, DRY_AIR, KAPPA = 7.292115e-5, 9.80665, 287.05287, LONG(2) / 7
Results = dict[str, Sized]


def coriolis(lat: Any) -> Any:
    """2 Ω sin φ; zero on the equator itself."""
    sine = np.sin(radians(lat))
    return 2 * LONG(OMEGA) * np.where(abs(sine) < 1e-7, 0, sine)


def horizontal_gradient(grid: Any, s: Sized) -> Results:
    x, y = grid.gradient(s)
    return {"x": x, "y": y}


def gradient_magnitude(grid: Any, s: Sized) -> Results:
    return {"": hypot(*grid.gradient(s))}


def laplacian(grid: Any, s: Sized) -> Results:
    return {"": grid.laplacian(s)}


def geostrophic_wind(grid: Any, s: Sized, f: Any, times: float) -> Results:
    """Of ``times`` s, which is the geopotential."""
    x, y = grid.gradient(s)
    over = LONG(times) / np.where(f == 0, np.nan, f)
    return {"ug": -(y * over), "vg": x * over}


def kinematics(grid: Any, u: Sized, v: Sized) -> Results:
    u_x, u_y, v_x, v_y = grid.shear(u, v)
    stretching, shearing = u_x - v_y, v_x + u_y
    return {
        "divergence": grid.divergence(u, v),
        "vorticity": grid.vorticity(u, v),
        "stretching_deformation": stretching,
        "shearing_deformation": shearing,
        "total_deformation": hypot(stretching, shearing),
    }


def advection(grid: Any, u: Sized, v: Sized, s: Sized, up: Sized | None = None) -> Results:
    """``up`` is w ∂s/∂z."""
    x, y = grid.gradient(s)
    u, v = grid.to_east(u, v)
    carried = u * x + v * y
    return {"": -(carried if up is None else carried + up)}


def frontogenesis(grid: Any, u: Sized, v: Sized, s: Sized) -> Results:
    u_x, u_y, v_x, v_y = grid.shear(u, v)
    x, y = grid.gradient(s)
    size = hypot(x, y)
    made = -((x * x * u_x + y * y * v_y + x * y * (v_x + u_y)) / size)
    # Where rounding may make a gradient vanish, it may also have no direction.
    made.size = np.where(size.value < 1e-6 * size.size, np.inf, made.size)
    return {"": made}


def q_vector(grid: Any, u: Sized, v: Sized, t: Sized, pascals: Any) -> Results:
    u_x, u_y, v_x, v_y = grid.shear(u, v)
    x, y = grid.gradient(t)
    r = LONG(DRY_AIR) / pascals
    return {"q1": -((u_x * x + v_x * y) * r), "q2": -((u_y * x + v_y * y) * r)}


def potential_vorticity(
    grid: Any, u: Sized, v: Sized, t: Sized, levels: Line, pascals: float, f: Any, potential: bool
) -> Results:
    """Of temperatures over (…, level, y, x); ``pascals`` are those of one unit of the levels."""
    p = levels.points.astype(LONG)[:, None, None] * LONG(pascals)
    exner = np.ones_like(p) if potential else (LONG(1e5) / p) ** KAPPA
    over = 1 / LONG(pascals)
    theta_p = differentiate(t * exner, -3, levels) * over
    u_p, v_p = differentiate(u, -3, levels) * over, differentiate(v, -3, levels) * over
    u_p, v_p = grid.to_east(u_p, v_p)
    theta_x, theta_y = (part * exner for part in grid.gradient(t))
    absolute = grid.vorticity(u, v) + f
    return {"": -((absolute * theta_p - v_p * theta_x + u_p * theta_y) * LONG(GRAVITY))}


def curl(grid: Any, u: Sized, v: Sized, w: Sized, levels: Line, metres: float) -> Results:
    """On a plane; a unit of the levels is so many metres upwards."""
    over = 1 / LONG(metres)
    w_x, w_y = grid.gradient(w)
    return {
        "curl_x": w_y - differentiate(v, -3, levels) * over,
        "curl_y": differentiate(u, -3, levels) * over - w_x,
        "curl_z": grid.vorticity(u, v),
    }
