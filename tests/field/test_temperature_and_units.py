"""Temperatures in kelvin, winds in m s-1, units of UDUNITS (F7, F8, F18; cases 7a to 7m)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import DRY_AIR, GRAVITY, right_or_refused

from fdgrad_dask.errors import FdgradError

P = np.array([1000.0, 850, 700]) * 100
DIMS = ("p", "y", "x")
X, Y = np.arange(0, 6e4, 1e4), np.arange(0, 5e4, 1e4)
F = 1e-4
# u = a y, v = b x, T = c x + d y + s p: all differences are exact.
FLOW = {"a": 2e-5, "b": 3e-5, "c": 4e-5, "d": -5e-5, "s": -5e-4}
SHAPE = (len(P), len(Y), len(X))


def linear(wind: float = 1.0, units: str | None = "m s-1") -> xr.Dataset:
    """A plane with u, v in some unit, of which there are ``wind`` in 1 m s-1, and θ, T in K."""
    p, y, x = P[:, None, None], Y[:, None], X
    pressure = {"units": "Pa", "positive": "down", "axis": "Z"}
    speed = {} if units is None else {"units": units}
    theta = 350 + FLOW["c"] * x + FLOW["d"] * y + FLOW["s"] * p + np.zeros(SHAPE)
    ds = xr.Dataset(
        {
            "u": (DIMS, wind * FLOW["a"] * y + np.zeros(SHAPE), speed),
            "v": (DIMS, wind * FLOW["b"] * x + np.zeros(SHAPE), speed),
            "th": (DIMS, theta, {"units": "K", "standard_name": "air_potential_temperature"}),
            "temp": (DIMS, theta, {"units": "K"}),
            "t": (DIMS, theta * (p / 1e5) ** (2 / 7), {"units": "K"}),
        },
        {
            "p": ("p", P, pressure),
            "y": ("y", Y, {"units": "m", "axis": "Y"}),
            "x": ("x", X, {"units": "m", "axis": "X"}),
        },
    )
    return ds


PV = -GRAVITY * (FLOW["b"] - FLOW["a"] + F) * FLOW["s"]  # K m2 kg-1 s-1
Q1 = -DRY_AIR / P * FLOW["b"] * FLOW["d"]  # of temp, m2 kg-1 s-1
Q2 = -DRY_AIR / P * FLOW["a"] * FLOW["c"]


def assert_pv(made: xr.DataArray, rtol: float = 1e-6) -> None:
    assert made.attrs["units"] == "K m2 kg-1 s-1"
    np.testing.assert_allclose(made, np.full(SHAPE, PV), rtol=rtol)


def assert_q(made: xr.Dataset) -> None:
    for name, true in (("q1", Q1), ("q2", Q2)):
        assert made[name].attrs["units"] == "m2 kg-1 s-1"
        np.testing.assert_allclose(made[name], true[:, None, None] * np.ones(SHAPE), rtol=1e-6)


def pv_of(ds: xr.Dataset, name: str) -> xr.DataArray:
    return ds.fdgrad.potential_vorticity("u", "v", name, coriolis=F)


def test_in_si():
    ds = linear()
    assert_pv(pv_of(ds, "th"))
    assert_pv(pv_of(ds, "t"))
    assert_q(ds.fdgrad.q_vector("u", "v", "temp"))


CELSIUS = ["C", "deg C", "degrees C", "centigrade", "Degrees Celsius", "degC", "celsius", "°C"]


@pytest.mark.parametrize("units", [*CELSIUS, None, ""])
def test_temperature_that_is_not_known_to_be_in_kelvin(units):
    ds = linear()
    attrs = {} if units is None else {"units": units}
    ds["t"] = (ds.t - 273.15).drop_attrs(deep=False).assign_attrs(attrs)
    right_or_refused(lambda: pv_of(ds, "t"), "kelvin", assert_pv)
    ds["t"] = (ds.t + 273.15).assign_attrs(units="K")  # what such a message asks for
    assert_pv(pv_of(ds, "t"))


def test_celsius_by_the_command(check):
    ds = linear()
    ds["t"] = (ds.t - 273.15).assign_attrs(units="C")
    code, message = check(ds, ("potential_vorticity", ["u", "v", "t"], "pv", {"coriolis": F}))
    assert code == 0 or "kelvin" in message


@pytest.mark.parametrize("units", ["K", "K ", "deg K", "degK", "Kelvin", "kelvin", "kelvins"])
def test_kelvin_in_all_spellings(units):
    ds = linear()
    ds.t.attrs["units"] = units
    assert_pv(pv_of(ds, "t"))


@pytest.mark.parametrize("of", ["theta", "long_name"])
def test_a_potential_temperature_without_its_standard_name(of):
    """θ by name or long name alone: taken for what it is, or refused; never for T."""
    ds = linear()
    attrs = {"units": "K", "long_name": "potential temperature"} if of == "long_name" else {}
    theta = ds.th.assign_attrs(attrs or {"units": "K"})
    del theta.attrs["standard_name"]
    name = "pt" if of == "long_name" else "theta"
    ds = ds.assign({name: theta})
    right_or_refused(lambda: pv_of(ds, name), "standard_name|potential", assert_pv)


@pytest.mark.parametrize("words", ["Potential temp.", "pot. temperature", "Pot.Temp. [K]"])
@pytest.mark.parametrize("name", ["t", "theta"])
def test_a_potential_temperature_in_abbreviated_words(name, words):
    """θ that is called t was taken for T, and one that is called theta refused."""
    ds = linear()
    theta = ds.th.copy()
    theta.attrs = {"units": "K", "long_name": words}
    assert_pv(pv_of(ds.assign({name: theta}), name))


SPEEDS = {"knots": 1 / 0.514444, "cm s-1": 100.0, "km/h": 3.6, "m/s": 1.0, "m s**-1": 1.0}


@pytest.mark.parametrize("units", SPEEDS)
def test_winds_in_any_unit_of_speed(units):
    ds = linear(SPEEDS[units], units)
    assert_pv(pv_of(ds, "th"), rtol=1e-5)
    ds["th"] = ds.th.assign_attrs(units="K")
    made = ds.fdgrad.q_vector("u", "v", "temp")
    np.testing.assert_allclose(made.q1[:, 0, 0], Q1, rtol=1e-5)
    np.testing.assert_allclose(made.q2[:, 0, 0], Q2, rtol=1e-5)
    assert made.q1.attrs["units"] == "m2 kg-1 s-1"


@pytest.mark.parametrize("units", ["K", "kg m-2"])
def test_winds_that_are_no_speed(units):
    ds = linear(1.0, units)
    for ask in (lambda: pv_of(ds, "th"), lambda: ds.fdgrad.q_vector("u", "v", "temp")):
        with pytest.raises(FdgradError, match=r"m s-1|speed|velocity|vector"):
            ask()


FAHRENHEIT = ["degF", "degree_Fahrenheit"]


@pytest.mark.parametrize("units", FAHRENHEIT)
def test_fahrenheit(units):
    ds = linear()
    for name in ("th", "temp"):
        ds[name] = (ds[name] * 9 / 5 - 459.67).assign_attrs(units=units)
    right_or_refused(lambda: ds.fdgrad.q_vector("u", "v", "temp"), "kelvin", assert_q)
    ds = ds.isel(p=0, drop=True)
    made = ds.fdgrad.advection("u", "v", "th")
    true = -(ds.u * FLOW["c"] + ds.v * FLOW["d"])
    factor = {"K s-1": 1.0, "kelvin s-1": 1.0}.get(made.attrs["units"], 9 / 5)
    if factor != 1:
        assert made.attrs["units"].removesuffix(" s-1") in ("degF", "degree_Fahrenheit", "degR")
    np.testing.assert_allclose(made, factor * true, rtol=1e-6, atol=1e-12)
    front = ds.fdgrad.frontogenesis("u", "v", "th")
    assert not {"Δ", "°"} & set(front.attrs["units"])


@pytest.mark.parametrize("units", ["degC", "degree_C", "Celsius", "centigrade", "K"])
def test_the_gradient_of_a_temperature_is_in_kelvin(units):
    f = linear().th.isel(p=0, drop=True).assign_attrs(units=units)
    assert f.fdgrad.gradient("x").attrs["units"] in ("K m-1", f"{units} m-1")
    assert f.fdgrad.gradient("x").attrs["units"] != "degC m-1"


@pytest.mark.parametrize("units", ["dyne/cm^2", "dyne cm-2", "dyn cm-2"])
def test_dynes_in_words_that_udunits_reads(units):
    f = linear().th.isel(p=0, drop=True).assign_attrs(units=units)
    made = f.fdgrad.gradient("x")
    accepted = ("dyne cm-2 m-1", f"{units} m-1")
    if "units" in made.attrs and made.attrs["units"] not in accepted:
        assert made.attrs["units"] in ("Pa m-1", "0.1 Pa m-1")
        factor = 0.1 if made.attrs["units"] == "Pa m-1" else 1.0
        np.testing.assert_allclose(made, factor * FLOW["c"], rtol=1e-6)


WORDS = {
    "kg/kg": ("m-1", "kg kg-1 m-1", "1 m-1"),
    "1": ("m-1", "1 m-1"),
    "psu": ("psu m-1",),
    "~": ("~ m-1",),
    "W m**-2": ("W m-3",),
    "mm/day": ("mm day-1 m-1", "mm d-1 m-1"),
    "1e-3": ("1e-3 m-1", "0.001 m-1"),
    "(0 - 1)": (None, "m-1"),
    None: (None,),
}


@pytest.mark.parametrize("units", WORDS)
def test_words_that_are_kept_or_worked_out(units):
    f = linear().th.isel(p=0, drop=True)
    f.attrs = {} if units is None else {"units": units}
    assert f.fdgrad.gradient("x").attrs.get("units") in WORDS[units]


@pytest.mark.parametrize(
    ("units", "pascals"), [("mb", 100.0), ("millibar", 100.0), ("hPa", 100.0), ("MB", 100.0)]
)
def test_levels_in_millibars(units, pascals):
    ds = linear()
    attrs = {**ds.p.attrs, "units": units}
    ds = ds.assign_coords(p=("p", P / pascals, attrs))
    right_or_refused(lambda: pv_of(ds, "th"), "pressure", assert_pv)
    if units != "MB":  # which nobody reads
        assert_pv(pv_of(ds, "th"))


def test_levels_without_units():
    ds = linear()
    del ds.p.attrs["units"]
    with pytest.raises(FdgradError, match=r"units?"):
        pv_of(ds, "th")
    ds.p.attrs["units"] = "Pa"
    assert_pv(pv_of(ds, "th"))


@pytest.mark.parametrize("units", ["gpdm", "Gpm", "geopotential meter"])
def test_heights_in_words_of_meteorologists(units):
    ds = linear()
    z = (1e4 * ds.th.isel(p=0, drop=True)).assign_attrs(units=units)
    metres = 10.0 if units == "gpdm" else 1.0

    def judge(made):
        np.testing.assert_allclose(made.vg, GRAVITY * metres / F * 1e4 * FLOW["c"], rtol=1e-6)

    right_or_refused(lambda: z.fdgrad.geostrophic_wind(coriolis=F), "geopotential|units", judge)
    z = (metres * z).assign_attrs(units="m")
    judge(z.fdgrad.geostrophic_wind(coriolis=F))


def test_roles_that_the_inputs_contradict():
    """``advection("t", "u", "v")``, and a wind in kelvin, are not what was meant."""
    ds = linear().isel(p=0, drop=True)
    for call in ("advection", "frontogenesis"):
        with pytest.raises(FdgradError, match=r"(?i)\bu\b|m s-1|speed|units"):
            getattr(ds.fdgrad, call)("t", "u", "v")
    with pytest.raises(FdgradError, match=r"(?i)units|m s-1|speed|vector"):
        ds.assign(u=ds.u.assign_attrs(units="K")).fdgrad.vorticity("u", "v")
    named = ds.assign(
        u=ds.u.assign_attrs(standard_name="eastward_wind"),
        v=ds.v.assign_attrs(standard_name="northward_wind"),
    )
    with pytest.raises(FdgradError, match=r"say; give them the other way around: u, v"):
        named.fdgrad.vorticity("v", "u")
    np.testing.assert_allclose(named.fdgrad.vorticity("u", "v"), FLOW["b"] - FLOW["a"])
