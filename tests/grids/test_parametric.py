"""Pressure and height of the levels of models, from formula terms."""

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
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.parametric import carry_terms, list_parametric

NT, NK, NY, NX = 2, 4, 3, 5
DIMS = ("time", "lev", "y", "x")
RNG = np.random.default_rng(3)
S = np.linspace(-0.9, -0.1, NK)
UP = np.linspace(0.9, 0.1, NK)  # of air, from the ground
C = -(np.abs(S) ** 1.5)
PS = RNG.uniform(6e4, 1e5, (NT, NY, NX))
ETA, H = RNG.uniform(-1, 1, (NT, NY, NX)), RNG.uniform(50, 4000, (NY, NX))


def column(values):
    return values[:, None, None]


def over(field):
    """A field of the surface, over the levels."""
    return field[:, None] if field.ndim == 3 else field


K, E, D = column(S), over(ETA), H
STRETCHED = 0.6 * np.sinh(5 * K) / np.sinh(5) + 0.4 * (
    np.tanh(5 * (K + 0.5)) / (2 * np.tanh(2.5)) - 0.5
)
G1 = 20 * K + (D - 20) * column(C)
OCEAN = {"s": (S, "1"), "C": (C, "1"), "eta": (ETA, "m"), "depth": (H, "m")}
OCEAN["depth_c"] = (20.0, "m")
CASES = {  # standard_name → terms with their units, and the coordinate written out
    "atmosphere_ln_pressure_coordinate": (
        {"p0": (1000.0, "hPa"), "lev": (UP, "1")},
        1e5 * np.exp(-UP),
    ),
    "atmosphere_sigma_coordinate": (
        {"sigma": (UP, "1"), "ps": (PS, "Pa"), "ptop": (10.0, "mb")},
        1e3 + column(UP) * (over(PS) - 1e3),
    ),
    "atmosphere_hybrid_sigma_pressure_coordinate": (
        {"a": (UP / 3, None), "b": (UP / 2, None), "ps": (PS / 100, "hPa"), "p0": (1e5, "Pa")},
        column(UP / 3) * 1e5 + column(UP / 2) * over(PS),
    ),
    "by ap": (
        {"ap": (300 * UP, "hPa"), "b": (UP / 2, "1"), "ps": (PS, "Pa")},
        column(3e4 * UP) + column(UP / 2) * over(PS),
    ),
    "atmosphere_hybrid_height_coordinate": (
        {"a": (20 * UP, "km"), "b": (UP, "1"), "orog": (H, "m")},
        column(2e4 * UP) + column(UP) * D,
    ),
    "atmosphere_sleve_coordinate": (
        {"a": (UP, "1"), "b1": (UP**2, "1"), "b2": (UP**3, "1"), "ztop": (30.0, "km")}
        | {"zsurf1": (H, "m"), "zsurf2": (H / 9, "m")},
        column(3e4 * UP) + column(UP**2) * D + column(UP**3) * D / 9,
    ),
    "ocean_sigma_coordinate": (
        {"sigma": (S, "1"), "eta": (100 * ETA, "cm"), "depth": (H, "m")},
        E + K * (D + E),
    ),
    "ocean_s_coordinate": (
        {"s": (S, "1"), "eta": (ETA, "m"), "depth": (H, "m"), "a": (5.0, None), "b": (0.4, None)}
        | {"depth_c": (20.0, "m")},
        E * (1 + K) + 20 * K + (D - 20) * STRETCHED,
    ),
    "ocean_s_coordinate_g1": (
        {
            "s": (S, "1"),
            "C": (C, "1"),
            "eta": (ETA, "m"),
            "depth": (H, "m"),
            "depth_c": (20.0, "m"),
        },
        G1 + E * (1 + G1 / D),
    ),
    "ocean_s_coordinate_g2": (
        {
            "s": (S, "1"),
            "C": (C, "1"),
            "eta": (ETA, "m"),
            "depth": (H, "m"),
            "depth_c": (20.0, "m"),
        },
        E + (E + D) * (20 * K + D * column(C)) / (20 + D),
    ),
}


def model(case, **other):
    """A dataset of a model with such levels, in which T depends on nothing."""
    terms, true = CASES[case]
    name = "atmosphere_hybrid_sigma_pressure_coordinate" if case == "by ap" else case
    dims = {0: (), 1: ("lev",), 2: ("y", "x"), 3: ("time", "y", "x")}
    data = {
        f"x_{term}": (dims[np.ndim(values)], values, {} if units is None else {"units": units})
        for term, (values, units) in (terms | other).items()
    }
    text = " ".join(f"{term}: x_{term}" for term in terms)
    level = {"standard_name": name, "formula_terms": text}
    coords = {"lev": ("lev", np.arange(NK), level), "x": 10.0 * np.arange(NX)}
    t = (DIMS, np.zeros((NT, NK, NY, NX)), {"units": "K"})
    return xr.Dataset({"T": t, **data}, coords), true


@pytest.mark.parametrize("case", CASES)
def test_written_out(case):
    ds, true = model(case)
    made = fd.vertical_coordinate(ds.T, ds)
    want = np.broadcast_to(true, made.shape)
    assert_allclose(made, want, rtol=1e-13, atol=1e-10)
    quantity, units = ("pressure", "Pa") if "height" not in made.name else ("height", "m")
    assert (made.name, made.attrs["units"]) == (quantity, units)
    assert made.dims == DIMS[4 - made.ndim :] or made.dims == ("lev",)
    assert set(made.coords) == {"lev", "x"} & {*made.dims}


def test_terms_that_are_coordinates():
    """As xarray opens a file with decode_coords="all"; the attribute is in the encoding then."""
    ds, true = model("by ap")
    ds = ds.set_coords([name for name in ds if name != "T"])
    ds.lev.encoding["formula_terms"] = ds.lev.attrs.pop("formula_terms")
    assert_allclose(fd.vertical_coordinate(ds.T), true, rtol=1e-13)


def test_lazy_in_the_chunks_of_the_field_and_read_once(lazily):
    ds, true = model("by ap")
    source = Source(PS)
    ds["x_ps"] = (("time", "y", "x"), source.chunked((1, 2, 5)), {"units": "Pa"})
    ds["T"] = ds.T.chunk(time=1, lev=2, x=3)
    with lazily():
        made = fd.vertical_coordinate(ds.T, ds)
    assert made.chunks == ds.T.chunks
    assert made.data.name == fd.vertical_coordinate(ds.T, ds).data.name
    with dask.config.set(scheduler="synchronous"):
        assert_allclose(made.compute(), true, rtol=1e-13)
    assert source.reads.total() == 2 * 2


@pytest.mark.parametrize("chunks", [None, {"time": 1, "lev": 3}])
def test_surface_pressure_in_jax(chunks):
    ds, true = model("by ap")
    ps = jnp.asarray(PS.astype("f4"))
    if chunks is not None:
        ds["T"] = ds.T.chunk(chunks)
        ps = da.from_array(ps, chunks=(1, 3, 5), asarray=False)
    ds["x_ps"] = (("time", "y", "x"), ps, {"units": "Pa"})
    made = fd.vertical_coordinate(ds.T, ds)
    data = made.data if chunks is None else made.data.compute()
    assert type(data).__module__.startswith("jax")
    assert data.dtype == made.dtype == np.float64
    assert_allclose(made, true, rtol=1e-6)
    plain = model("by ap", ps=(PS.astype("f4"), "Pa"))[0]
    assert_array_equal(np.asarray(data), fd.vertical_coordinate(plain.T, plain))


def drop(*names):
    return lambda ds: ds.drop_vars(list(names))


def with_attrs(name, **attrs):
    return lambda ds: ds.assign({name: ds[name].assign_attrs(attrs)})


def with_level(**attrs):
    return lambda ds: ds.assign_coords(lev=ds.lev.assign_attrs(attrs))


REFUSED = {
    "a term is not there": (drop("x_ps"), r"pressure of 'lev' needs x_ps, which 'T' has not"),
    "no units": (with_attrs("x_ps", units=None), "'ps' has the units None, but is to be in Pa"),
    "wrong units": (with_attrs("x_ps", units="m"), "'ps' has the units 'm', but is to be in Pa"),
    "a in pascal": (with_attrs("x_b", units="Pa"), "'b' has the units 'Pa', but is to be in 1"),
    "unknown": (
        with_level(standard_name="ocean_sigma_z_coordinate"),
        r"'ocean_sigma_z_coordinate', of which no formula .*: atmosphere_ln_pressure_coordinate,",
    ),
    "other terms": (
        with_level(formula_terms="ap: x_ap"),
        "of 'lev' are ap, but .* needs a,",
    ),
    "no terms": (with_level(formula_terms=""), "'T' has no level coordinate of the attribute form"),
    "at other times": (
        lambda ds: ds.assign(T=ds.T.isel(time=0, drop=True)),
        "pressure of 'lev' needs x_ps.*select the same points of all",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    change, message = REFUSED[case]
    ds = change(model("by ap")[0])
    with pytest.raises(CoordinateError, match=message):
        fd.vertical_coordinate(ds.T, ds)


def test_the_gradient_by_pressure():
    ds, true = model("by ap")
    ds["T"] = ds.T + 200 + 1e-3 * true - 2e-9 * true**2
    made = ds.fdgrad.gradient("lev", coordinate="pressure", edge_order=2).dT_dpressure
    assert_allclose(made, 1e-3 - 4e-9 * true, rtol=1e-9)
    assert "x_ps" not in made.coords
    known = ds.set_coords([name for name in ds if name != "T"]).T
    made = known.fdgrad.gradient("lev", coordinate="pressure", edge_order=2)
    assert_allclose(made, 1e-3 - 4e-9 * true, rtol=1e-9)
    assert made.dims == DIMS
    with pytest.raises(CoordinateError, match="give its pressure, but its height is needed"):
        known.fdgrad.gradient("lev", coordinate="height")


def test_a_term_over_all_dimensions_of_the_field_is_carried():
    lev = ("lev", [1.0, 2.0], {"formula_terms": "ap: a b: b ps: ps"})
    data = {"a": ("lev", [1.0, 2.0]), "b": ("t", [0.5]), "ps": (("lev", "x"), np.ones((2, 3)))}
    ds = xr.Dataset(data, {"lev": lev})
    field = xr.DataArray(np.zeros((2, 3)), {"lev": lev}, ("lev", "x"))
    assert set(carry_terms(field, ds).coords) == {"lev", "a", "ps"}


def test_levels_are_found_by_any_name_along_them():
    terms = {"formula_terms": "ap: a b: b ps: ps"}
    coords = {
        "lev": ("lev", [1.0, 2.0], terms),
        "other": ("lev", [3.0, 4.0], terms),
        "number": ("lev", [0, 1]),
        "half": ("half", [1.0, 2.0, 3.0], terms),
    }
    field = xr.DataArray(np.zeros((2, 3)), coords, ("lev", "half"), "t")
    wanted = {
        None: ["lev", "other", "half"],
        "lev": ["lev"],
        "other": ["other"],
        "number": ["lev", "other"],
        "half": ["half"],
    }
    assert {name: list_parametric(field, name) for name in wanted} == wanted
