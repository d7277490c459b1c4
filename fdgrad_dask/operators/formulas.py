"""The equations of the operators at one point: values and derivatives in, outputs out.

``f`` are the fields of a pass in the order in which they were given to it, then its factors, of
which those that an equation reads come first. ``d`` are the derivatives in metres that `slopes`
makes: of a scalar (s_x, s_y), of a wind (∂u/∂x, ∂u/∂y, ∂v/∂x, ∂v/∂y).
"""

from __future__ import annotations

from dataclasses import dataclass

from fdgrad_dask.operators.slopes import Numbers


def same(f: Numbers, d: Numbers) -> Numbers:
    """What the recipes give."""
    return d


def magnitude(f: Numbers, d: Numbers) -> Numbers:
    """|∇s|"""
    s_x, s_y = d
    return [s_x.length(s_y)]


def laplacian(f: Numbers, d: Numbers) -> Numbers:
    """1/h_x² ∂²s/∂x² + 1/h_y² [the flux form along y, which its stencil holds]"""
    _, x, y = f
    return [x * (x * d[0]) + y * (y * d[1])]


def geostrophic(f: Numbers, d: Numbers) -> Numbers:
    """(−(1/f) ∂Φ/∂y, (1/f) ∂Φ/∂x)"""
    over_f = f[1]
    s_x, s_y = d
    return [-(over_f * s_y), over_f * s_x]


def absolute_vorticity(f: Numbers, d: Numbers) -> Numbers:
    """ζ + f"""
    return [d[0] + f[2]]


def deformation(f: Numbers, d: Numbers) -> Numbers:
    """Stretching ∂u/∂x − ∂v/∂y, shearing ∂v/∂x + ∂u/∂y, and the length of both."""
    u_x, u_y, v_x, v_y = d
    stretching, shearing = u_x - v_y, v_x + u_y
    return [stretching, shearing, stretching.length(shearing)]


@dataclass(frozen=True)
class Kinematics:
    """Some of divergence and vorticity, then, if any of these is asked for, of the deformations."""

    names: tuple[str, ...]

    def __call__(self, f: Numbers, d: Numbers) -> Numbers:
        first = [name for name in ("divergence", "vorticity") if name in self.names]
        made = dict(zip(first, d, strict=False))
        if len(d) > len(first):
            kinds = ("stretching_deformation", "shearing_deformation", "total_deformation")
            made |= zip(kinds, deformation(f, d[len(first) :]), strict=True)
        return [made[name] for name in self.names]


def advection(f: Numbers, d: Numbers) -> Numbers:
    """−(u ∂s/∂x + v ∂s/∂y)"""
    u, v, s_x, s_y = d
    return [-(u * s_x + v * s_y)]


def advection_3d(f: Numbers, d: Numbers) -> Numbers:
    """−(u ∂s/∂x + v ∂s/∂y + w ∂s/∂z); the first factor is the unit of w."""
    w, z = f[3:5]
    u, v, s_x, s_y, s_z = d
    return [-(u * s_x + v * s_y + w * (z * s_z))]


def frontogenesis(f: Numbers, d: Numbers) -> Numbers:
    """−(s_x² ∂u/∂x + s_y² ∂v/∂y + s_x s_y (∂v/∂x + ∂u/∂y)) / |∇s|"""
    u_x, u_y, v_x, v_y, s_x, s_y = d
    long = s_x.length(s_y)
    east, north = s_x / long, s_y / long
    return [-(s_x * (east * u_x) + s_y * (north * v_y) + s_x * (north * (v_x + u_y)))]


def q_vector(f: Numbers, d: Numbers) -> Numbers:
    """(−r ∂v/∂x · ∇T, −r ∂v/∂y · ∇T), r = R/p"""
    r = f[3]
    u_x, u_y, v_x, v_y, s_x, s_y = d
    s_x, s_y = r * s_x, r * s_y
    return [-(u_x * s_x + v_x * s_y), -(u_y * s_x + v_y * s_y)]


def potential_vorticity(f: Numbers, d: Numbers) -> Numbers:
    """−g ((ζ + f) ∂θ/∂p − ∂v/∂p ∂θ/∂x + ∂u/∂p ∂θ/∂y); θ = e T with e along the levels."""
    coriolis, e, g = f[3:6]
    vortex, s_x, s_y, s_p, u_p, v_p = d
    vortex = vortex + coriolis
    s_x, s_y = e * s_x, e * s_y
    return [-(g * (vortex * s_p - v_p * s_x + u_p * s_y))]


def curl(f: Numbers, d: Numbers) -> Numbers:
    """(∂w/∂y − ∂v/∂z, ∂u/∂z − ∂w/∂x, ∂v/∂x − ∂u/∂y); ``z`` is one over the unit of the height."""
    x, y, z = f[3:6]
    return [y * d[0] - z * d[1], z * d[2] - x * d[3], x * d[4] - y * d[5]]
