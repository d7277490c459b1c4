"""Operators on the levels of models: derivatives at constant pressure or height, by the chain rule.

The fields are functions of place and pressure alone, sampled on hybrid levels over a mountain, so
that their derivatives at constant pressure have closed forms, and along the levels have others.
"""

from __future__ import annotations

import dask
import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from counting import Source
from numpy.testing import assert_allclose, assert_array_equal
from tripolar import FOLDED, tripolar

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


def test_with_fourth_order():
    errors = []
    for n in (12, 24):
        ds, flow = sampled(n)
        made = ds.fdgrad.horizontal_gradient("s", constant="pressure", accuracy=4)
        errors.append(error(made.ds_dx, flow.s_x, slice(3, -3)))
    assert errors[0] / errors[1] > 11


def outputs(result):
    named = {result.name: result} if isinstance(result, xr.DataArray) else result
    return {str(name): one.variable._data for name, one in named.items()}


DS, FLOW = sampled(9)  # with rows of 256 points and more, for kernels that compute in place
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


READ = {
    "kinematics": lambda ds: ds.fdgrad.kinematics("u", "v", constant="pressure"),
    "potential vorticity": lambda ds: ds.fdgrad.potential_vorticity("u", "v", "s", coriolis=F),
}


@pytest.mark.parametrize("name", READ)
def test_in_any_chunks_the_same_bits_and_read_once(name, lazily):
    want = outputs(READ[name](DS))
    sources = {k: Source(DS[k].values) for k in ("u", "v", "s", "PS")}
    chunks = {k: tuple(CHUNKS[dim] for dim in DS[k].dims) for k in sources}
    lazy = {k: (DS[k].dims, one.chunked(chunks[k]), DS[k].attrs) for k, one in sources.items()}
    with lazily():
        made = READ[name](DS.assign(lazy))
    got = dask.compute(outputs(made), scheduler="synchronous")[0]
    for key, values in got.items():
        assert_array_equal(values, want[key])
    for source in sources.values():
        assert set(source.reads.values()) <= {1}
    assert sources["PS"].reads


def test_skipna_below_the_ground():
    """Where the pressure is missing the derivative is, and beside it one-sided."""
    hidden = PRESSURE.where(PRESSURE < 8e4)
    options = {"constant": hidden, "skipna": "one-sided", "edge_order": 2}
    made = op.horizontal_gradient(DS.s, **options).ds_dx
    assert_array_equal(np.isnan(made), np.isnan(hidden.transpose(*DIMS)))
    assert np.nanmax(abs(made - FLOW.s_x)) < 0.3 * abs(FLOW.s_x).max()


# --- potential vorticity, Q vectors -------------------------------------------------------------


def true_pv(f):
    return -9.80665 * ((F + f.v_x - f.u_y) * f.s_p - f.v_p * f.s_x + f.u_p * f.s_y)


@pytest.mark.parametrize("kind", ["theta", "temperature in degC"])
def test_potential_vorticity_on_the_levels_of_a_model(kind):
    errors = []
    for n in (12, 24):
        ds, flow = sampled(n)
        p = fd.vertical_coordinate(ds.u, ds)
        ds = ds.rename(s="theta")
        ds["t"] = (ds.theta * (p / 1e5) ** (2 / 7) - 273.15).assign_attrs(units="degC")
        name = "theta" if kind == "theta" else "t"
        made = ds.fdgrad.potential_vorticity("u", "v", name, coriolis=F)
        errors.append(error(made, true_pv(flow)))
        given = op.potential_vorticity(
            ds.u, ds.v, ds[name], coriolis=F, pressure=(p / 100).assign_attrs(units="hPa")
        )
        assert_allclose(given, made, rtol=1e-9)
    assert errors[1] < 0.02
    assert 3 < errors[0] / errors[1] < 6
    assert set(made.coords) == {"lev", "y", "x"}


def test_the_same_on_levels_of_pressure_and_of_a_model():
    """One flow, and its potential vorticity at one pressure from either kind of levels."""
    ds, _ = sampled(16)
    levels = np.linspace(4e4, 8e4, 21)
    x, y = np.meshgrid(ds.x, ds.y)
    flow = Flow(x, y, levels[:, None, None])
    plev = {"units": "Pa", "standard_name": "air_pressure"}
    on = xr.Dataset(
        {k: (("plev", "y", "x"), getattr(flow, k), {"units": UNITS[k]}) for k in "uvs"},
        {"plev": ("plev", levels, plev), "y": ds.y, "x": ds.x},
    )
    options = {"coriolis": F, "potential": True}
    at_levels = on.fdgrad.potential_vorticity("u", "v", "s", **options)
    model = ds.fdgrad.potential_vorticity("u", "v", "s", **options)
    p = fd.vertical_coordinate(ds.u, ds)
    i, j = 8, 24  # a column over the slope
    want = np.interp(levels, p[:, i, j], model[:, i, j])
    assert_allclose(at_levels[1:-1, i, j], want[1:-1], rtol=0.03)


def isentropic(n):
    """Air on isentropic levels: its fields, and its potential vorticity in closed form."""
    theta = np.linspace(300, 360, n)
    x, y = np.linspace(-8e5, 8e5, 2 * n), np.linspace(-6e5, 6e5, 2 * n - 1)
    t, wave = theta[:, None, None], 1 + 0.1 * np.cos(K * x) * np.cos(K * y[:, None])
    p = 9e4 * wave * np.exp((300 - t) / 40)
    u = 20 * np.sin(K * x) * np.cos(K * y[:, None]) * t / 300
    zeta = 20 * K * np.sin(K * x) * np.sin(K * y[:, None]) * t / 300
    dims = ("theta", "y", "x")
    kelvin = {"units": "K", "standard_name": "air_potential_temperature"}
    data = {
        "u": (dims, u, {"units": "m s-1"}),
        "v": (dims, 0 * u, {"units": "m s-1"}),
        "p": (dims, p / 100, {"units": "hPa"}),
        "t": (dims, t * (p / 1e5) ** (2 / 7), {"units": "K"}),
    }
    metres = {"units": "m"}
    coords = {"theta": ("theta", theta, kelvin), "y": ("y", y, metres), "x": ("x", x, metres)}
    return xr.Dataset(data, coords), -9.80665 * (F + zeta) / (-p / 40)


@pytest.mark.parametrize("temperature", ["theta", "t"])
def test_isentropic_potential_vorticity(temperature):
    errors = []
    for n in (12, 24):
        ds, true = isentropic(n)
        made = ds.fdgrad.potential_vorticity("u", "v", temperature, pressure="p", coriolis=F)
        errors.append(error(made, true))
    assert errors[1] < 0.01
    assert 3 < errors[0] / errors[1] < 6
    lazy = ds.chunk(theta=7, y=20, x=48)
    again = lazy.fdgrad.potential_vorticity("u", "v", temperature, pressure="p", coriolis=F)
    assert again.chunks == lazy.u.chunks
    assert_array_equal(again, made)
    two = ds.expand_dims(member=2)  # which of the two is vertical is no question
    again = two.fdgrad.potential_vorticity("u", "v", "theta", pressure="p", coriolis=F)
    assert error(again[1], true) < 0.01


def test_a_temperature_in_whole_degrees():
    """θ of integers is no integer."""
    ds, _ = sampled(8)
    ds["t"] = (250 + 0 * ds.s).astype("i4").assign_attrs(units="K")
    made = ds.fdgrad.potential_vorticity("u", "v", "t", coriolis=F)
    want = ds.assign(t=ds.t.astype(float)).fdgrad.potential_vorticity("u", "v", "t", coriolis=F)
    assert_array_equal(made, want)


def test_a_q_vector_at_constant_pressure():
    """−(R/p) (∂v/∂x · ∇T, ∂v/∂y · ∇T) in closed form."""
    errors = []
    for n in (12, 24):
        ds, f = sampled(n)
        ds["s"].attrs["standard_name"] = "air_temperature"
        made = ds.fdgrad.q_vector("u", "v", "s")
        p = fd.vertical_coordinate(ds.u, ds).values
        q1 = -287.05 / p * (f.u_x * f.s_x + f.v_x * f.s_y)
        q2 = -287.05 / p * (f.u_y * f.s_x + f.v_y * f.s_y)
        errors.append(max(error(made.q1, q1), error(made.q2, q2)))
    assert errors[1] < 0.02
    assert 3 < errors[0] / errors[1] < 6


NO_PV = {
    "no pressure": ({}, OptionError, "are isentropic, where .* needs the pressure"),
    "a height": ({"pressure": "z"}, OptionError, "pressure is 'z' with the units 'm'"),
    "no potential": ({"pressure": "p", "potential": False}, OptionError, "does not say that it is"),
}


@pytest.mark.parametrize("case", NO_PV)
def test_potential_vorticity_refused(case):
    options, error, message = NO_PV[case]
    ds = isentropic(6)[0].assign(z=lambda ds: (8 * ds.p).assign_attrs(units="m"))
    with pytest.raises(error, match=message):
        ds.fdgrad.potential_vorticity("u", "v", "theta", coriolis=F, **options)


def test_at_constant_height_in_an_ocean():
    """On s levels, of water that is linear in height and place: exact, in float32 what came in."""
    x, y, n = 1e3 * np.arange(7), 1e3 * np.arange(5), 6
    h = 100 + 0.02 * x + 5 * np.sin(y / 1e3)[:, None]
    s = (np.arange(n) + 0.5) / n - 1
    metres = {"units": "meter"}
    level = {
        "standard_name": "ocean_s_coordinate_g2",
        "formula_terms": "s: s_rho C: Cs_r eta: zeta depth: h depth_c: hc",
        "positive": "up",
    }
    ds = xr.Dataset(
        {
            "Cs_r": ("s_rho", -(s**2)),
            "zeta": (("ocean_time", "y", "x"), 0.1 * np.ones((2, 5, 7)), metres),
            "h": (("y", "x"), h, metres),
            "hc": ((), 20.0, metres),
        },
        {
            "s_rho": ("s_rho", s, level),
            "x": ("x", x, {"units": "m"}),
            "y": ("y", y, {"units": "m"}),
        },
    )
    empty = xr.DataArray(np.zeros((2, n, 5, 7)), dims=("ocean_time", "s_rho", "y", "x"))
    z = fd.vertical_coordinate(empty.assign_coords(s_rho=ds.s_rho), ds)
    assert float(z.min()) < -100
    assert z.max() < 0.1
    ds["temp"] = (15 + 0.05 * z + 2e-5 * ds.x).astype("f4").transpose(*empty.dims)
    made = ds.chunk(ocean_time=1).fdgrad.horizontal_gradient("temp", constant="height")
    assert_allclose(made.dtemp_dx, 2e-5, rtol=2e-2)
    assert_allclose(made.dtemp_dy, 0, atol=1e-6)
    assert made.dtemp_dx.dtype == "f4"
    assert made.chunks["ocean_time"] == (1, 1)
    assert abs(ds.fdgrad.horizontal_gradient("temp").dtemp_dy).max() > 1e-4


# --- on the Earth -------------------------------------------------------------------------------


@pytest.mark.parametrize("two_dimensional", [False, True])
def test_a_rotation_of_the_atmosphere_on_the_globe(two_dimensional):
    """u = U p cos φ turns with 2 U p sin φ / a at constant pressure; NaN at the poles."""
    lat, lon = np.linspace(-90, 90, 61), np.arange(0.0, 360, 6)
    phi, lam = np.meshgrid(np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    ps = 1e5 - 3e4 * np.exp(-(((phi - 0.6) / 0.4) ** 2)) * (1 + 0.3 * np.cos(lam))
    level = np.linspace(0.3, 0.95, 14)
    a, b = level - level**2, level**2
    p = 1e5 * a[:, None, None] + b[:, None, None] * ps
    dims, speed = ("lev", "lat", "lon"), {"units": "m s-1"}
    places = {"lat": ("lat", lat, {"units": "degrees_north"})}
    places["lon"] = ("lon", lon, {"units": "degrees_east"})
    if two_dimensional:
        dims = ("lev", "y", "x")
        places = {
            "lat": (dims[1:], np.rad2deg(phi), {"units": "degrees_north"}),
            "lon": (dims[1:], np.rad2deg(lam), {"units": "degrees_east"}),
        }
        speed["standard_name"] = "eastward_wind"
    ds = xr.Dataset(
        {
            "u": (dims, 4e-4 * p * np.cos(phi), speed),
            "v": (dims, 0 * p, speed | {"standard_name": "northward_wind"}),
            "hyam": ("lev", a),
            "hybm": ("lev", b),
            "P0": ((), 1e5, {"units": "Pa"}),
            "PS": (dims[1:], ps, {"units": "Pa"}),
        },
        places | {"lev": ("lev", level, HYBRID)},
    )
    made = ds.fdgrad.vorticity("u", "v", constant="pressure")
    true = 8e-4 * p * np.sin(phi) / 6371229.0
    inside = (slice(1, -1), slice(1, -1), slice(1, -1))
    assert abs(made - true)[inside].max() < 0.02 * abs(true).max()
    along = ds.fdgrad.vorticity("u", "v")
    assert abs(along - true)[inside].max() > 0.2 * abs(true).max()
    assert np.isnan(made[:, [0, -1]]).all()


def test_the_overview_knows_the_levels(lazily):
    ps = Source(DS.PS.values)
    ds = DS[["u", "v", "hyam", "hybm", "P0"]].assign(t=DS.s)
    ds["PS"] = (("y", "x"), ps.chunked((5, 4)), DS.PS.attrs)
    with lazily():
        lines = repr(ds.fdgrad).splitlines()
    assert any(line.startswith("  u, v, t ") and "q_vector" in line for line in lines)
    assert not ps.reads


def test_across_the_fold_of_a_tripolar_grid():
    """Of a field that is linear in pressure, the slopes of its other part remain."""
    ds, _ = tripolar(16)
    levels = xr.DataArray(np.linspace(3e4, 9e4, 4), dims="lev")
    p = (levels * (1 - 0.2 * np.cos(np.deg2rad(ds.lat)) * np.sin(np.deg2rad(ds.lon)))).rename("p")
    f = (ds.s + 1e-3 * p).transpose("lev", ...).rename("s")
    want = ds.s.fdgrad.horizontal_gradient(boundary=FOLDED)
    made = f.fdgrad.horizontal_gradient(boundary=FOLDED, constant=p, vertical="lev")
    for name in want:
        near = {"rtol": 0, "atol": 1e-9 * float(abs(want[name]).max())}
        assert_allclose(made[name], want[name].expand_dims(lev=4), **near)


# --- refused ------------------------------------------------------------------------------------


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
        chunks = {"lev": 9, "y": 17, "x": 18} if "dask" in kind else None  # one kernel for both
        given = ds if kind == "numpy" else ds.assign({k: in_jax(ds[k], chunks) for k in names})
        made = given.fdgrad.vorticity("u", "v", constant="pressure").data
        made = made.compute() if chunks else made
        assert made.dtype == np.float32
        assert type(made).__module__.startswith(kind.split()[-1])
        assert_allclose(made, want, **near)

    def traced(u, v, ps):
        given = zip(names, (u, v, ps), strict=True)
        d = DS.assign({name: DS[name].copy(data=x) for name, x in given})
        return d.fdgrad.vorticity("u", "v", constant="pressure").data

    made = jax.jit(traced)(*(jnp.asarray(ds[k].values) for k in names))
    assert_allclose(made, want, **near)


def test_a_staggered_grid_keeps_to_its_levels():
    grid = fd.Grid(x={"center": "x", "left": "xu"}, y={"center": "y", "left": "yv"})
    with pytest.raises(OptionError, match="on a staggered grid derivatives are along the levels"):
        DS.fdgrad.horizontal_gradient("s", geometry=grid, constant="pressure")
