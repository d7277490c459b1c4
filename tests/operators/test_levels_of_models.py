"""Operators on the levels of models: derivatives at constant pressure or height, by the chain rule.

The fields are functions of place and pressure alone, sampled on hybrid levels over a mountain, so
that their derivatives at constant pressure have closed forms, and along the levels have others.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import fdgrad_dask  # noqa: F401  (registers .fdgrad)

K = 2 * np.pi / 2e6  # m-1
F = 1e-4  # s-1
DIMS = ("lev", "y", "x")
HYBRID = {
    "standard_name": "atmosphere_hybrid_sigma_pressure_coordinate",
    "formula_terms": "a: hyam b: hybm p0: P0 ps: PS",
    "positive": "down",
}


class Flow:
    """u, v, s and ω of x, y and q = p / 1000 hPa, with their derivatives at constant pressure."""

    def __init__(self, x, y, p):
        q, per = p / 1e5, 1e-5
        sx, cx, sy, cy = np.sin(K * x), np.cos(K * x), np.sin(K * y), np.cos(K * y)
        self.u, self.v = 20 * sx * cy * q + 60 * q**2, 10 * (cx + sy) * q**2
        self.s, self.w = 300 - 30 * q + 9 * cx * cy * q**2, 0.3 * cx * q
        self.u_x, self.u_y = 20 * K * cx * cy * q, -20 * K * sx * sy * q
        self.v_x, self.v_y = -10 * K * sx * q**2, 10 * K * cy * q**2
        self.s_x, self.s_y = -9 * K * sx * cy * q**2, -9 * K * cx * sy * q**2
        self.u_p, self.v_p = (20 * sx * cy + 120 * q) * per, 20 * (cx + sy) * q * per
        self.s_p = (-30 + 18 * cx * cy * q) * per
        self.p = p


UNITS = {"u": "m s-1", "v": "m s-1", "s": "K", "w": "Pa s-1"}


def sampled(n, dtype=float):
    """The flow on n levels, and points that grow with them, over a mountain that takes 300 hPa."""
    x, y = np.linspace(-8e5, 8e5, 2 * n), np.linspace(-6e5, 6e5, 2 * n - 1)
    ps = 1e5 - 3e4 * np.exp(-((x / 5e5) ** 2) - ((y[:, None] - 1e5) / 6e5) ** 2)
    level = np.linspace(0.25, 0.95, n)
    b = level**2
    a = level - b
    flow = Flow(x, y[:, None], (1e5 * a[:, None, None] + b[:, None, None] * ps).astype(dtype))
    data = {k: (DIMS, getattr(flow, k).astype(dtype), {"units": UNITS[k]}) for k in UNITS}
    terms = {
        "hyam": ("lev", a),
        "hybm": ("lev", b),
        "P0": ((), 1000.0, {"units": "hPa"}),
        "PS": (("y", "x"), ps.astype(dtype), {"units": "Pa"}),
    }
    metres = {"units": "m"}
    coords = {"lev": ("lev", 1e3 * level, HYBRID), "y": ("y", y, metres), "x": ("x", x, metres)}
    return xr.Dataset(data | terms, coords), flow


def frontogenesis(f):
    size = np.hypot(f.s_x, f.s_y)
    return -(f.s_x**2 * f.u_x + f.s_y**2 * f.v_y + f.s_x * f.s_y * (f.v_x + f.u_y)) / size


# operator, its fields → outputs in closed form
CASES = {
    "horizontal_gradient": ("s", lambda f: {"ds_dx": f.s_x, "ds_dy": f.s_y}),
    "gradient_magnitude": ("s", lambda f: np.hypot(f.s_x, f.s_y)),
    "divergence": ("uv", lambda f: f.u_x + f.v_y),
    "vorticity": ("uv", lambda f: f.v_x - f.u_y),
    "absolute_vorticity": ("uv", lambda f: F + f.v_x - f.u_y),
    "deformation": ("uv", lambda f: {"stretching_deformation": f.u_x - f.v_y}),
    "kinematics": ("uv", lambda f: {"shearing_deformation": f.v_x + f.u_y}),
    "advection": ("uvs", lambda f: -(f.u * f.s_x + f.v * f.s_y)),
    "frontogenesis": ("uvs", frontogenesis),
}
OPTIONS = {"absolute_vorticity": {"coriolis": F}}


def error(made, true, where=slice(1, -1)):
    """The largest error, but for the rows at the ends, per largest value."""
    here = (where,) * 3
    return np.abs(np.asarray(made) - true)[here].max() / np.abs(true)[here].max()


def call(name, ds, **options):
    return getattr(ds.fdgrad, name)(*CASES[name][0], **OPTIONS.get(name, {}), **options)


@pytest.mark.parametrize("name", CASES)
def test_at_constant_pressure_with_second_order(name):
    errors = []
    for n in (12, 24):
        ds, flow = sampled(n)
        made, true = call(name, ds, constant="pressure"), CASES[name][1](flow)
        true = true if isinstance(true, dict) else {made.name: true}
        made = made.to_dataset() if isinstance(made, xr.DataArray) else made
        errors.append(max(error(made[k], true[k]) for k in true))
        assert not {"PS", "hyam"} & set(made.coords)
    assert errors[1] < 0.02
    assert 3 < errors[0] / errors[1] < 6
    along = call(name, ds)
    along = along.to_dataset() if isinstance(along, xr.DataArray) else along
    assert max(error(along[k], true[k]) for k in true) > 0.1  # along the levels it is another thing
