"""The equations of the operators at one point: values and derivatives in, outputs out.

``f`` are the fields of a pass in the order in which they were given to it, then its factors;
``d`` are its derivatives. Of the factors ``x`` is 1/h_x, ``y`` is 1/h_y, ``t`` is tan φ / a, which
is nought on a plane; ``p`` and ``q`` belong to the flux form: 1/h_x and 1/(h_x h_y).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Numbers = Sequence[Any]


@dataclass(frozen=True)
class Turned:
    """A formula on a grid whose axes are not east and north.

    The last four fields make ∂/∂east and ∂/∂north of ∂/∂i and ∂/∂j, for each of the ``pairs`` of
    derivatives; the factors x and y of the formula are 1 then.
    """

    formula: Callable[[Numbers, Numbers], Numbers]
    pairs: tuple[tuple[int, int], ...]

    def __call__(self, f: Numbers, d: Numbers) -> Numbers:
        e_i, e_j, n_i, n_j = f[-4:]
        turned = list(d)
        for i, j in self.pairs:
            turned[i] = e_i * d[i] + e_j * d[j]
            turned[j] = n_i * d[i] + n_j * d[j]
        return self.formula(f[:-4], turned)


def components(f: Numbers, d: Numbers) -> Numbers:
    """(1/h_x ∂s/∂x, 1/h_y ∂s/∂y)"""
    _, x, y = f
    return [x * d[0], y * d[1]]


def magnitude(f: Numbers, d: Numbers) -> Numbers:
    """|∇s|"""
    s_x, s_y = components(f, d)
    return [s_x.length(s_y)]


def laplacian(f: Numbers, d: Numbers) -> Numbers:
    """1/h_x² ∂²s/∂x² + 1/h_y² [the flux form along y, which its stencil holds]"""
    _, x, y = f
    return [x * (x * d[0]) + y * (y * d[1])]


def geostrophic(f: Numbers, d: Numbers) -> Numbers:
    """(−(1/f) ∂Φ/∂y, (1/f) ∂Φ/∂x); the Coriolis parameter f is in the factors."""
    _, x, y = f
    return [-(y * d[1]), x * d[0]]


def divergence(f: Numbers, d: Numbers) -> Numbers:
    """∇·v = 1/h_x ∂u/∂x + 1/(h_x h_y) ∂(h_x v)/∂y"""
    p, q = f[2:4]
    return [p * d[0] + q * d[1]]


def vorticity(f: Numbers, d: Numbers) -> Numbers:
    """ζ = 1/h_x ∂v/∂x − 1/(h_x h_y) ∂(h_x u)/∂y"""
    p, q = f[2:4]
    return [p * d[0] - q * d[1]]


def absolute_vorticity(f: Numbers, d: Numbers) -> Numbers:
    """ζ + f"""
    p, q, coriolis = f[2:5]
    return [p * d[0] - q * d[1] + coriolis]


def _strain(u: Any, v: Any, x: Any, y: Any, t: Any, d: Numbers) -> Numbers:
    """(∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y) of the wind, with the terms of the sphere."""
    return [x * d[0] - t * v, y * d[1], x * d[2] + t * u, y * d[3]]


def deformation(f: Numbers, d: Numbers) -> Numbers:
    """Stretching ∂u/∂x − ∂v/∂y, shearing ∂v/∂x + ∂u/∂y, and the length of both."""
    u, v, x, y, t = f[:5]
    u_x, u_y, v_x, v_y = _strain(u, v, x, y, t, d)
    stretching, shearing = u_x - v_y, v_x + u_y
    return [stretching, shearing, stretching.length(shearing)]


def kinematics(f: Numbers, d: Numbers) -> Numbers:
    """Divergence, vorticity and deformations: all that a wind has in its first derivatives."""
    p, q = f[5:7]
    return [p * d[0] + q * d[4], p * d[2] - q * d[5], *deformation(f, d)]


def advection(f: Numbers, d: Numbers) -> Numbers:
    """−(u ∂s/∂x + v ∂s/∂y)"""
    u, v, _, x, y = f
    return [-(u * (x * d[0]) + v * (y * d[1]))]


def advection_3d(f: Numbers, d: Numbers) -> Numbers:
    """−(u ∂s/∂x + v ∂s/∂y + w ∂s/∂z); the last factor is the unit of w."""
    u, v, _, w, x, y, z = f
    return [-(u * (x * d[0]) + v * (y * d[1]) + w * (z * d[2]))]


def frontogenesis(f: Numbers, d: Numbers) -> Numbers:
    """−(s_x² ∂u/∂x + s_y² ∂v/∂y + s_x s_y (∂v/∂x + ∂u/∂y)) / |∇s|"""
    u, v, _, x, y, t = f
    u_x, u_y, v_x, v_y = _strain(u, v, x, y, t, d)
    s_x, s_y = x * d[4], y * d[5]
    long = s_x.length(s_y)
    east, north = s_x / long, s_y / long
    return [-(s_x * (east * u_x) + s_y * (north * v_y) + s_x * (north * (v_x + u_y)))]


def q_vector(f: Numbers, d: Numbers) -> Numbers:
    """(−r ∂v/∂x · ∇T, −r ∂v/∂y · ∇T), r = R/p"""
    u, v, _, x, y, t, r = f
    u_x, u_y, v_x, v_y = _strain(u, v, x, y, t, d)
    s_x, s_y = r * (x * d[4]), r * (y * d[5])
    return [-(u_x * s_x + v_x * s_y), -(u_y * s_x + v_y * s_y)]


def potential_vorticity(f: Numbers, d: Numbers) -> Numbers:
    """−g ((ζ + f) ∂θ/∂p − ∂v/∂p ∂θ/∂x + ∂u/∂p ∂θ/∂y); θ = e T with e along the levels."""
    _, _, _, x, y, p, q, coriolis, e, g = f[:10]
    vortex = p * d[0] - q * d[1] + coriolis
    s_x, s_y = e * (x * d[2]), e * (y * d[3])
    return [-(g * (vortex * d[4] - d[6] * s_x + d[5] * s_y))]


def curl(f: Numbers, d: Numbers) -> Numbers:
    """(∂w/∂y − ∂v/∂z, ∂u/∂z − ∂w/∂x, ∂v/∂x − ∂u/∂y); ``z`` is one over the unit of the height."""
    x, y, z = f[3:6]
    return [y * d[0] - z * d[1], z * d[2] - x * d[3], x * d[4] - y * d[5]]
