"""Operators on the levels of models: derivatives at constant pressure or height, by the chain rule.

The fields are functions of place and pressure alone, sampled on hybrid levels over a mountain, so
that their derivatives at constant pressure have closed forms, and along the levels have others.
"""

from __future__ import annotations

import dask
import dask.array as da
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from counting import Source
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError

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
        self.z = 200 * cx * cy - 8000 * np.log(q)
        self.z_x, self.z_y = -200 * K * sx * cy + 0 * q, -200 * K * cx * sy + 0 * q


UNITS = {"u": "m s-1", "v": "m s-1", "s": "K", "w": "Pa s-1", "z": "m"}


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
    "geostrophic_wind": ("z", lambda f: {"ug": -9.80665 / F * f.z_y, "vg": 9.80665 / F * f.z_x}),
}
OPTIONS = {name: {"coriolis": F} for name in ("absolute_vorticity", "geostrophic_wind")}


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
    # Along the levels it is something else.
    assert max(error(along[k], true[k]) for k in true) > 0.1


def outputs(result):
    named = {result.name: result} if isinstance(result, xr.DataArray) else result
    return {str(name): one.variable._data for name, one in named.items()}


DS, FLOW = sampled(8)
PRESSURE = fd.vertical_coordinate(DS.u, DS)
CHUNKS = {"lev": 3, "y": 5, "x": 4}


def test_advection_with_omega():
    made = DS.fdgrad.advection("u", "v", "s", "w", constant="pressure", edge_order=2)
    f = FLOW
    assert error(made, -(f.u * f.s_x + f.v * f.s_y + f.w * f.s_p)) < 0.04
    assert "at constant pressure" in made.attrs["long_name"]
    with pytest.raises(OptionError, match="w needs those of the coordinate per second"):
        DS.fdgrad.advection("u", "v", "s", "w")


def test_a_given_field_and_the_name_of_a_variable():
    want = DS.fdgrad.vorticity("u", "v", constant="pressure")
    ds = DS.assign(p_of_levels=PRESSURE / 100).drop_vars("PS")
    ds.p_of_levels.attrs = {"units": "hPa", "long_name": "p"}
    for constant in (ds.p_of_levels, "p_of_levels"):
        made = ds.fdgrad.vorticity("u", "v", constant=constant)
        assert_allclose(made, want, rtol=1e-9, atol=1e-18)
    bare = ds.drop_vars(["lev", "hyam", "hybm", "P0"])  # nothing says which axis is vertical
    made = op.vorticity(bare.u, bare.v, constant=bare.p_of_levels)
    assert_array_equal(made, ds.fdgrad.vorticity("u", "v", constant="p_of_levels"))
    two = bare.expand_dims(member=2)
    with pytest.raises(CoordinateError, match="cannot be inferred; name it: vertical="):
        op.vorticity(two.u, two.v, constant=two.p_of_levels)
    made = op.vorticity(two.u, two.v, constant=two.p_of_levels, vertical="lev")
    assert_array_equal(made[1], op.vorticity(bare.u, bare.v, constant=bare.p_of_levels))


@pytest.mark.parametrize("name", ["kinematics", "frontogenesis"])
def test_in_any_chunks_the_same_bits_and_read_once(name, lazily):
    want = outputs(call(name, DS, constant="pressure"))
    sources = {k: Source(DS[k].values) for k in (*CASES[name][0], "PS")}
    chunks = {k: tuple(CHUNKS[dim] for dim in DS[k].dims) for k in sources}
    lazy = {k: (DS[k].dims, one.chunked(chunks[k]), DS[k].attrs) for k, one in sources.items()}
    with lazily():
        made = call(name, DS.assign(lazy), constant="pressure")
    got = dask.compute(outputs(made), scheduler="synchronous")[0]
    for key, values in got.items():
        assert_array_equal(values, want[key])
    for source in sources.values():
        assert set(source.reads.values()) == {1}


def test_skipna_below_the_ground():
    """Where the pressure is missing the derivative is, and beside it one-sided."""
    hidden = PRESSURE.where(PRESSURE < 8e4)
    options = {"constant": hidden, "skipna": "one-sided", "edge_order": 2}
    made = op.horizontal_gradient(DS.s, **options).ds_dx
    assert_array_equal(np.isnan(made), np.isnan(hidden.transpose(*DIMS)))
    assert np.nanmax(abs(made - FLOW.s_x)) < 0.3 * abs(FLOW.s_x).max()


REFUSED = {
    "a word": ({"constant": "preßure"}, CoordinateError, "'preßure'; give a DataArray"),
    "height": ({"constant": "height"}, CoordinateError, "give its pressure, but its height is ne"),
    "one level": ({"constant": PRESSURE[0]}, CoordinateError, "'pressure' lies at one 'lev'"),
    "along x": ({"constant": PRESSURE, "vertical": "x"}, CoordinateError, "not strictly monotonic"),
    "other": ({"constant": PRESSURE[:, 1:]}, CoordinateError, "lie on different points"),
    "a wall": ({"boundary": {"x": 0.0}}, OptionError, "beyond the ends nothing is known of 'press"),
    "ends": ({"boundary": {"lev": "extend"}}, OptionError, "beyond the ends nothing is known of '"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    options, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        DS.fdgrad.gradient_magnitude("s", **{"constant": "pressure", **options})


def in_jax(one, chunks=None):
    data = jnp.asarray(one.values)
    if chunks is not None:
        data = da.from_array(data, chunks=[chunks[dim] for dim in one.dims], asarray=False)
    return one.dims, data, one.attrs


def test_kinds(kernels):
    """float32 of NumPy by kernels of XLA, of JAX and of dask of JAX, is what float64 is."""
    want, names = DS.fdgrad.vorticity("u", "v", constant="pressure"), ("u", "v", "PS")
    near = {"rtol": 0, "atol": 4e-6 * float(abs(want).max())}
    ds = DS.assign({k: DS[k].astype("f4") for k in names})
    for kind in ("numpy", "jax", "dask of jax"):
        chunks = {"lev": 8, "y": 15, "x": 8} if "dask" in kind else None  # a kernel for each place
        given = ds if kind == "numpy" else ds.assign({k: in_jax(ds[k], chunks) for k in names})
        made = given.fdgrad.vorticity("u", "v", constant="pressure").data
        made = made.compute() if chunks else made
        assert made.dtype == np.float32
        assert type(made).__module__.startswith(kind.split()[-1])
        assert_allclose(made, want, **near)
