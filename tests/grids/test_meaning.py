"""What the fields of an operator mean: their sense, units, roles; known, converted or refused.

The truths are closed forms on fields with one slope; the names and units are those of files.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask  # noqa: F401  (registers .fdgrad)
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError

LAT = ("lat", np.arange(-5.0, 6), {"units": "degrees_north"})
LON = ("lon", np.arange(100.0, 111), {"units": "degrees_east"})
ONE = np.ones((5, 11, 11))
G, OMEGA, GAS = 9.80665, 7.292115e-5, 287.05287


def over(axis, attrs, **fields):
    """A Dataset of fields (values along the axis, attributes) on five levels."""
    name, points = axis
    data = {
        key: ((name, "lat", "lon"), np.reshape(values, (-1, 1, 1)) * ONE, of)
        for key, (values, of) in fields.items()
    }
    return xr.Dataset(data, {name: (name, points, attrs), "lat": LAT, "lon": LON})


# --- the sense of the vertical axis and of the wind along it ------------------------------------

DEPTH = np.array([5.0, 15, 25, 35, 50])
MS = {"units": "m s-1"}


def water(w, attrs, name="wo", points=DEPTH, axis="lev"):
    """Water that gets colder downward by 0.1 K m-1, lifted (or so) at 1e-4 m s-1."""
    sign = 1 if points[-1] > 0 else -1
    return over(
        (axis, points),
        attrs,
        uo=(0, MS),
        vo=(0, MS),
        thetao=(20 - 0.1 * sign * points, {"units": "degC"}),
        **{name: (1e-4, {"units": "m s-1", **w})},
    )


UP, DOWN = {"standard_name": "upward_sea_water_velocity"}, {"long_name": "Downward velocity"}
M_DOWN = {"units": "m", "positive": "down", "axis": "Z"}
SENSES = {  # attributes of w, of the axis, more → rate of change of temperature
    "wo on depth": (UP, M_DOWN, {}, -1e-5),
    "downward on depth": (DOWN, M_DOWN, {}, 1e-5),
    "by its long name": ({"long_name": "Vertical velocity (upward)"}, M_DOWN, {"name": "w"}, -1e-5),
    "in cm s-1": (UP | {"units": "cm s-1"}, M_DOWN, {}, -1e-7),
    "by its name alone": ({}, M_DOWN, {"name": "vovecrtz"}, -1e-5),
    "by depth as a standard name": (
        UP,
        {"units": "m", "axis": "Z", "standard_name": "depth"},
        {},
        -1e-5,
    ),
    "by depth as a name": (UP, {"units": "m", "axis": "Z"}, {"axis": "depth"}, -1e-5),
    "a depth of 0 at the surface": (
        UP,
        {"units": "m", "axis": "Z"},
        {"axis": "depth", "points": DEPTH - 5},
        -1e-5,
    ),
    "heights below zero": (UP, {"units": "m", "positive": "up"}, {"points": -DEPTH}, -1e-5),
    "downward on heights": (DOWN, {"units": "m", "positive": "up"}, {"points": -DEPTH}, 1e-5),
    "nameless on heights": (
        {},
        {"units": "m", "positive": "up"},
        {"name": "w", "points": -DEPTH},
        -1e-5,
    ),
}


@pytest.mark.parametrize(("w", "axis", "more", "expected"), SENSES.values(), ids=SENSES)
def test_water_that_is_lifted_gets_colder(w, axis, more, expected):
    ds = water(w, axis, **more)
    name = more.get("name", "wo")
    assert_allclose(ds.fdgrad.advection("uo", "vo", "thetao", name), expected, rtol=1e-9)


def test_a_wind_that_does_not_say_up_or_down_is_refused_on_a_depth():
    ds = water({}, M_DOWN, name="w")
    with pytest.raises(OptionError, match=r"'lev' grows downward, and 'w' does not say whether it"):
        ds.fdgrad.advection("uo", "vo", "thetao", "w")
    ds.w.attrs["standard_name"] = "upward_sea_water_velocity"
    assert_allclose(ds.fdgrad.advection("uo", "vo", "thetao", "w"), -1e-5)


@pytest.mark.parametrize(("axis", "sign"), [("lev", 1), ("depth", -1)])
def test_an_axis_that_is_neither_height_nor_depth_is_refused(axis, sign):
    """As is a depth that is below zero: it may be a height, or an error."""
    ds = water(UP, {"units": "m", "axis": "Z"}, axis=axis, points=sign * DEPTH)
    with pytest.raises(OptionError, match=r"does not say whether it is a height or a depth; set"):
        ds.fdgrad.advection("uo", "vo", "thetao", "wo")
    ds[axis].attrs["positive"] = "down" if sign > 0 else "up"
    assert_allclose(ds.fdgrad.advection("uo", "vo", "thetao", "wo"), -1e-5)


PRESSURE = np.array([1000.0, 925, 850, 700, 500])


@pytest.mark.parametrize("units", ["hPa", "mb", "millibars", "Millibars", "mbar", "Pascals"])
@pytest.mark.parametrize("name", [None, "lagrangian_tendency_of_air_pressure"])
def test_omega_is_the_rate_of_pressure_and_pressure_is_vertical_by_its_units(units, name):
    factor = 100 if "asc" in units else 1
    w = {"units": "Pa s-1"} | ({"standard_name": name} if name else {})
    t = (250 + PRESSURE / 20, {"units": "K"})
    axis = ("level", PRESSURE * factor)
    ds = over(axis, {"units": units}, u=(0, MS), v=(0, MS), t=t, w=(0.5, w))
    assert_allclose(ds.fdgrad.advection("u", "v", "t", "w"), -0.5 / 2000, rtol=1e-9)
    ds.w.attrs["standard_name"] = "upward_air_velocity"
    with pytest.raises(OptionError, match=r"'w' is called upward or downward, but in Pa s-1 it is"):
        ds.fdgrad.advection("u", "v", "t", "w")


def test_pressures_that_are_no_line_are_no_vertical_axis():
    ds = over(("level", PRESSURE), {"units": "hPa"}, u=(0, MS), v=(0, MS))
    ds = ds.assign(t=(ds.u.dims, 250 + PRESSURE[:, None, None] / 20 * ONE, {"units": "K"}))
    ds = ds.assign(w=(ds.u.dims, 0.5 * ONE, {"units": "Pa s-1"}))
    surface = (("lat", "lon"), 1e5 * ONE[0], {"units": "Pa"})
    ds = ds.assign_coords(ps=surface, p_top=((), 10.0, {"units": "hPa"}))
    assert_allclose(ds.fdgrad.advection("u", "v", "t", "w"), -0.5 / 2000, rtol=1e-9)


def test_a_wind_in_metres_is_none_along_hybrid_heights():
    attrs = {"units": "m", "standard_name": "atmosphere_hybrid_height_coordinate"}
    ds = water(UP, {**attrs, "positive": "up", "axis": "Z"})
    with pytest.raises(
        OptionError, match=r"are parametric \(atmosphere_hybrid_height_coordinate\)"
    ):
        ds.fdgrad.advection("uo", "vo", "thetao", "wo")


def test_with_a_vertical_wind_all_terms_have_one_unit():
    """u in knots, w in m s-1: the sum of both is in K knot m-1."""
    one = (10.0 + 0 * DEPTH, {"units": "knots"})
    ds = water(UP, M_DOWN).assign(uo=over(("lev", DEPTH), M_DOWN, uo=one).uo)
    ds["vo"] = (0 * ds.uo).assign_attrs(units="knots")
    made = ds.fdgrad.advection("uo", "vo", "thetao", "wo")
    assert made.attrs["units"] == "K knot m-1"
    assert_allclose(made * 0.5144444444444445, -1e-5)


# --- temperatures -------------------------------------------------------------------------------

F45 = 2 * OMEGA * np.sin(np.deg2rad(4.0))
THETA = 300 + 50 * (1 - PRESSURE / 1000)  # −5e-4 K Pa-1
T = THETA * (PRESSURE / 1000) ** (2 / 7)


def state(values=THETA, wind=0.0, wind_units="m s-1", name="t", levels=None, **attrs):
    """A resting atmosphere; PV at 4° N is g f 5e-4 where θ is THETA."""
    of = {"units": wind_units} if wind_units else {}
    levels = levels or {"units": "hPa", "positive": "down"}
    return over(("p", PRESSURE), levels, u=(wind, of), v=(0, of), **{name: (values, attrs)})


def pv(ds, name="t", **options):
    made = ds.fdgrad.potential_vorticity("u", "v", name, edge_order=2, **options)
    assert made.attrs["units"] == "K m2 kg-1 s-1"
    return float(made.sel(p=850, lat=4, lon=105))


TRUE = G * F45 * 5e-4
CELSIUS = ["C", "deg C", "degrees C", "centigrade", "Degrees Celsius", "degC", "°C", "celsius"]


@pytest.mark.parametrize("units", CELSIUS)
def test_celsius_is_turned_into_kelvin(units):
    expected = pv(state(T, units="K"))
    assert_allclose(expected, TRUE, rtol=0.02)  # θ of T is curved in p
    assert_allclose(pv(state(T - 273.15, units=units)), expected, rtol=1e-9)


@pytest.mark.parametrize("units", ["K", "K ", "kelvin", "Kelvin", "deg K", "degK", "degrees K"])
def test_kelvin_by_any_name(units):
    assert_allclose(pv(state(T, units=units)), pv(state(T, units="K")), rtol=1e-12)


@pytest.mark.parametrize("units", ["degF", "F", "degrees Fahrenheit"])
def test_fahrenheit(units):
    made = pv(state((T - 273.15) * 1.8 + 32, units=units))
    assert_allclose(made, pv(state(T, units="K")), rtol=1e-9)


@pytest.mark.parametrize("chunks", [None, {"p": 2, "lat": 4}])
def test_the_conversion_is_lazy(chunks, lazily):
    ds = state(T - 273.15, units="degC").astype("f4")
    with lazily():
        made = (ds if chunks is None else ds.chunk(chunks)).fdgrad.potential_vorticity(
            "u", "v", "t"
        )
    assert made.dtype == np.float32
    assert (made.chunks is None) == (chunks is None)
    assert_allclose(made.sel(p=850, lat=4), pv(state(T, units="K"), accuracy=2), rtol=0.05)


@pytest.mark.parametrize("units", [None, "", "1", "m", "bogus"])
@pytest.mark.parametrize("operator", ["potential_vorticity", "q_vector"])
def test_what_is_not_known_to_be_a_temperature_is_refused(units, operator):
    ds = state(T, **({} if units is None else {"units": units}))
    with pytest.raises(
        OptionError, match=r"'t' has the units .*needs a temperature in kelvin or d"
    ):
        getattr(ds.fdgrad, operator)("u", "v", "t")
    ds["t"] = ds.t.assign_attrs(units="K")  # what the message says
    getattr(ds.fdgrad, operator)("u", "v", "t")


POTENTIAL = [
    {"standard_name": "air_potential_temperature"},
    {"long_name": "Potential temperature"},
    {"name": "theta"},
    {"name": "TH"},
    {"name": "pt"},
    {"name": "theta_e"},
    {"name": "POT_TEMP"},
    {"name": "tpot"},
]


@pytest.mark.parametrize("told", POTENTIAL, ids=str)
def test_potential_temperature_is_recognised(told):
    name = told.get("name", "t")
    attrs = {key: value for key, value in told.items() if key != "name"}
    assert_allclose(pv(state(name=name, units="K", **attrs), name), TRUE, rtol=1e-9)
    celsius = state(THETA - 273.15, name=name, units="degC", **attrs)
    assert_allclose(pv(celsius, name), TRUE, rtol=1e-9)


def test_or_said_by_an_option():
    assert_allclose(pv(state(units="K"), potential=True), TRUE, rtol=1e-9)
    attrs = {"standard_name": "air_temperature", "units": "K"}
    assert pv(state(T, name="th", **attrs), "th") == pv(state(T, units="K"))
    assert pv(state(T, name="th", units="K"), "th", potential=False) == pv(state(T, units="K"))


@pytest.mark.parametrize("attrs", [{"units": "K"}, {"units": "K", "long_name": "smoothed"}])
def test_a_temperature_without_a_name_may_be_potential(attrs):
    """As θ is from MetPy, and from xarray's arithmetic; it was taken for the temperature."""
    ds = state()
    theta = xr.DataArray(ds.t.variable.copy(deep=False), ds.t.coords)
    theta.attrs = attrs

    def pv(**options):
        made = op.potential_vorticity(ds.u, ds.v, theta, edge_order=2, **options)
        return float(made.sel(p=850, lat=4, lon=105))

    with pytest.raises(OptionError, match="the temperature or a potential one; give potential="):
        pv()
    assert_allclose(pv(potential=True), TRUE, rtol=1e-9)  # what the message says
    theta.attrs["standard_name"] = "air_potential_temperature"
    assert_allclose(pv(), TRUE, rtol=1e-9)


@pytest.mark.parametrize("key", ["standard_name", "long_name"])
@pytest.mark.parametrize("operator", ["potential_vorticity", "q_vector"])
def test_theta_with_the_words_of_the_temperature_that_it_was_made_of(key, operator):
    """xarray's arithmetic keeps attributes; PV was 2.6 times too large."""
    ds = state(T, units="K", **{key: "air_temperature"})
    with xr.set_options(keep_attrs=True):
        ds["theta"] = ds.t * (1000 / ds.p.drop_attrs()) ** (2 / 7)
    with pytest.raises(OptionError, match=f"but a temperature by its {key}, 'air_temperature'"):
        getattr(ds.fdgrad, operator)("u", "v", "theta")
    said = ds.assign(theta=ds.theta.assign_attrs(standard_name="air_potential_temperature"))
    if operator == "potential_vorticity":
        assert_allclose(pv(said, "theta"), pv(ds, "theta", potential=True), rtol=1e-12)
        assert_allclose(pv(said, "theta"), pv(ds), rtol=1e-9)
    getattr(ds.rename(t="t0", theta="t").fdgrad, operator)("u", "v", "t")


def test_a_q_vector_of_a_potential_temperature_is_refused():
    with pytest.raises(
        OptionError, match="'theta' is a potential temperature, but a Q vector needs"
    ):
        state(name="theta", units="K").fdgrad.q_vector("u", "v", "theta")


# --- results whose label says SI ----------------------------------------------------------------

SPEEDS = {"knots": 0.5144444444444445, "cm s-1": 0.01, "km/h": 1 / 3.6, "kts": 0.5144444444444445}
NOISE = np.random.default_rng(0).normal(size=(3, *ONE.shape))


def noisy(units="m s-1", scale=1.0, t=lambda t: t, t_units="K"):
    ds = state(units="K")
    for name, values in zip("uv", NOISE[:2], strict=True):
        ds[name] = (ds.u.dims, values / scale, {"units": units})
    ds["t"] = (ds.u.dims, t(280 + NOISE[2]), {"units": t_units})
    return ds


FIXED = {"q_vector": "uvt", "potential_vorticity": "uvt", "absolute_vorticity": "uv"}


@pytest.mark.parametrize("operator", FIXED)
@pytest.mark.parametrize(("units", "scale"), SPEEDS.items(), ids=SPEEDS)
def test_winds_in_any_unit_of_speed_give_si(operator, units, scale):
    expected = getattr(noisy().fdgrad, operator)(*FIXED[operator])
    made = getattr(noisy(units, scale).fdgrad, operator)(*FIXED[operator])
    for one, other in zip(columns(made), columns(expected), strict=True):
        assert one.attrs["units"] == other.attrs["units"]
        assert_allclose(one, other, rtol=1e-6, atol=1e-9 * float(abs(other).max()))


def columns(made):
    return [made] if isinstance(made, xr.DataArray) else list(made.values())


def test_a_q_vector_of_fahrenheit_is_si():
    expected = noisy().fdgrad.q_vector("u", "v", "t").q1
    hot = noisy(t=lambda t: (t - 273.15) * 1.8 + 32, t_units="degF")
    made = hot.fdgrad.q_vector("u", "v", "t")
    assert_allclose(made.q1, expected, rtol=1e-6, atol=1e-9 * float(abs(expected).max()))


@pytest.mark.parametrize("operator", FIXED)
def test_what_is_no_speed_is_refused_and_no_units_mean_metres_per_second(operator):
    ds = noisy("kg m-2 s-1")
    with pytest.raises(OptionError, match=r"'u' has the units 'kg m-2 s-1', but .* needs a speed"):
        getattr(ds.fdgrad, operator)(*FIXED[operator])
    for name in "uv":
        del ds[name].attrs["units"]
    made = getattr(ds.fdgrad, operator)(*FIXED[operator])
    expected = getattr(noisy().fdgrad, operator)(*FIXED[operator])
    for one, other in zip(columns(made), columns(expected), strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("units", "metres"),
    [("gpm", 1), ("gpdm", 10), ("Gpm", 1), ("geopotential meter", 1), ("dam", 10)],
)
def test_geopotential_metres_are_metres_of_height(units, metres):
    z = noisy().t.assign_attrs(units="m")
    made = (z / metres).assign_attrs(units=units).fdgrad.geostrophic_wind()
    expected = z.fdgrad.geostrophic_wind()
    assert made.ug.attrs["units"] == "m s-1"
    assert_allclose(made.ug, expected.ug, rtol=1e-9)


# --- levels that are no pressure ----------------------------------------------------------------

HYBRID = [
    {"standard_name": "atmosphere_hybrid_sigma_pressure_coordinate"},
    {"formula_terms": "a: hyam b: hybm p0: P0 ps: PS"},
    {"long_name": "hybrid level at midpoints (1000*(A+B))"},
]


@pytest.mark.parametrize("attrs", HYBRID, ids=str)
def test_nominal_pressures_of_hybrid_levels_are_refused(attrs):
    ds = state(levels={"units": "hPa", "positive": "down", **attrs}, units="K")
    ds["omega"] = (ds.u.dims, 0.1 * ONE, {"units": "Pa s-1"})
    match = r"the levels of 'p' are parametric .* interpolate .*gradient\('p', coordinate=…\)"
    for call in (
        lambda: ds.fdgrad.potential_vorticity("u", "v", "t"),
        lambda: ds.fdgrad.q_vector("u", "v", "t"),
        lambda: ds.isel(p=2).fdgrad.q_vector("u", "v", "t"),
        lambda: ds.fdgrad.advection("u", "v", "t", "omega"),
    ):
        with pytest.raises(OptionError, match=match):
            call()
    p = (100 * ds.p * xr.ones_like(ds.u)).rename("pressure").assign_attrs(units="Pa")
    assert_allclose(ds.t.fdgrad.gradient("p", coordinate=p), -5e-4, rtol=1e-9)


def test_the_rate_of_a_sigma_level_is_what_its_axis_counts():
    sigma = {"units": "1", "standard_name": "atmosphere_sigma_coordinate", "positive": "down"}
    w = (1e-5, {"units": "s-1"})
    t = (280 + PRESSURE / 50, {"units": "K"})
    ds = over(("sigma", PRESSURE / 1000), sigma, u=(0, MS), v=(0, MS), t=t, w=w)
    assert_allclose(ds.fdgrad.advection("u", "v", "t", "w"), -2e-4, rtol=1e-9)


def test_a_scalar_pressure_is_the_level_only_where_it_is_the_vertical_coordinate():
    ds, hpa = noisy(), {"units": "hPa"}
    level = ds.isel(p=2)
    expected = ds.fdgrad.q_vector("u", "v", "t").isel(p=2)
    for other in ({"PS": 1013.0}, {"p0": 1000.0}, {"surface_air_pressure": 990.0}):
        coords = {name: ((), value, hpa) for name, value in other.items()}
        # neither in place of an axis nor of another scalar
        assert (
            ds.assign_coords(coords)
            .fdgrad.q_vector("u", "v", "t")
            .q1.isel(p=2)
            .equals(expected.q1.assign_coords(coords))
        )
        assert_allclose(level.assign_coords(coords).fdgrad.q_vector("u", "v", "t").q1, expected.q1)
        bare = level.drop_vars("p").assign_coords(coords)
        with pytest.raises(CoordinateError, match="the vertical axis of 'u' cannot be inferred"):
            bare.fdgrad.q_vector("u", "v", "t")
        (name,) = other
        bare.fdgrad.q_vector("u", "v", "t", vertical=name)  # what the message says


def test_a_q_vector_on_levels_that_are_named():
    ds = noisy()
    expected = ds.fdgrad.q_vector("u", "v", "t")
    assert_array_equal(ds.fdgrad.q_vector("u", "v", "t", vertical="p").q1, expected.q1)
    with pytest.raises(OptionError, match="the vertical axis 'p' has the units '1'; pressure"):
        ds.drop_vars("p").fdgrad.q_vector("u", "v", "t", vertical="p")


# --- roles --------------------------------------------------------------------------------------

EAST, NORTH = {"standard_name": "eastward_wind"}, {"standard_name": "northward_wind"}


def winds():
    ds = noisy()
    ds.u.attrs |= EAST
    ds.v.attrs |= NORTH
    return ds


CONTRADICTIONS = {  # fields → message
    ("vorticity", "v", "u"): r"give them the other way around: u, v$",
    ("vorticity", "u", "u"): r"'u' is the component along x, .* but the one along y is needed",
    ("vorticity", "v", "v"): r"'v' is the component along y, .* but the one along x is needed",
    ("divergence", "t", "v"): r"'t' is in K: a temperature, and no component of a vector",
    ("advection", "t", "u", "v"): r"the wind comes first: u, v, t$",
    ("frontogenesis", "t", "u", "v"): r"the wind comes first: u, v, t$",
    ("advection", "q", "u", "v"): r"the wind comes first: u, v, q$",
    ("vorticity", "q", "v"): r"'q' is in kg kg-1 and 'v' in m s-1, which are not of one kind",
    ("deformation", "z", "v"): r"'z' is geopotential_height, and no component of a vector",
}


@pytest.mark.parametrize(("call", "text"), CONTRADICTIONS.items(), ids=" ".join)
def test_a_field_in_the_place_of_another_is_refused(call, text):
    ds = winds()
    ds["q"] = ds.t.assign_attrs(units="kg kg-1")
    ds["z"] = ds.u.assign_attrs(standard_name="geopotential_height")
    with pytest.raises(OptionError, match=text):
        getattr(ds.fdgrad, call[0])(*call[1:])
    order = re.search("(?:around|first): (.*)$", text)
    if order:  # what the message says
        names = order[1].rstrip("$").split(", ")
        assert getattr(ds.fdgrad, call[0])(*names).notnull().any()


def test_a_scalar_that_is_the_same_on_all_levels_may_lack_them():
    ds = winds()
    flat = ds.t.isel(p=0, drop=True)
    made = op.advection(ds.u, ds.v, flat)
    assert_array_equal(made, op.advection(ds.u, ds.v, flat.expand_dims(p=ds.p)))


def test_the_second_component_is_converted_to_the_unit_of_the_first(lazily):
    ds = winds()
    expected = ds.fdgrad.vorticity("u", "v")
    ds["v"] = (ds.v / 0.5144444444444445).assign_attrs(units="knots", **NORTH)
    assert_allclose(ds.fdgrad.vorticity("u", "v"), expected, rtol=1e-6, atol=1e-12)
    with lazily():
        lazy = ds.chunk(lat=4).fdgrad.vorticity("u", "v")
    assert lazy.attrs["units"] == "s-1"
    assert_array_equal(lazy, ds.fdgrad.vorticity("u", "v"))


@pytest.mark.parametrize("bare", "uv")
@pytest.mark.parametrize("operator", FIXED)
def test_a_component_without_units_has_those_of_the_other(bare, operator):
    ds = noisy("knots")
    expected = getattr(ds.fdgrad, operator)(*FIXED[operator])
    del ds[bare].attrs["units"]
    made = getattr(ds.fdgrad, operator)(*FIXED[operator])
    for one, other in zip(columns(made), columns(expected), strict=True):
        assert one.identical(other.assign_attrs(one.attrs))
        assert one.attrs["units"] == other.attrs["units"]


@pytest.mark.parametrize("units", ["kg m-1 s-1", "N m-2", "m2 s-1", "K m s-1", "W m-2", "bogus"])
def test_any_vector_may_have_a_divergence(units):
    ds = noisy(units)
    made = ds.fdgrad.divergence("u", "v")
    assert "standard_name" not in made.attrs
    assert_array_equal(made, noisy().fdgrad.divergence("u", "v"))


def test_a_standard_name_goes_with_its_own_units_only():
    ds = winds()
    assert ds.fdgrad.vorticity("u", "v").attrs["standard_name"] == "atmosphere_relative_vorticity"
    for name in "uv":
        ds[name].attrs["units"] = "m s-2"
    made = ds.fdgrad.kinematics("u", "v")
    assert not any("standard_name" in one.attrs for one in made.values())
    assert made.vorticity.attrs["units"] == "s-2"


def test_a_coordinate_that_bears_the_name_of_a_result_is_refused():
    ds = winds().assign_coords(vorticity=1.0, q1=2.0)
    for call in (
        lambda: ds.fdgrad.vorticity("u", "v"),
        lambda: ds.fdgrad.kinematics("u", "v"),
        lambda: ds.fdgrad.q_vector("u", "v", "t"),
    ):
        with pytest.raises(
            CoordinateError, match=r"result is called '(vorticity|q1)', and so is a"
        ):
            call()
    ds.drop_vars("vorticity").fdgrad.vorticity("u", "v")  # what the message says


def test_momentum_is_carried_along_as_any_scalar():
    assert winds().fdgrad.advection("u", "v", "u").attrs["units"] == "m s-2"


# --- the curl -----------------------------------------------------------------------------------


def test_a_curl_has_one_unit_and_one_sense():
    points, m = 10.0 * np.arange(4), {"units": "m"}
    coords = {
        "x": ("x", points, m | {"axis": "X"}),
        "y": ("y", points, m | {"axis": "Y"}),
        "z": ("z", points, m | {"axis": "Z", "positive": "up"}),
    }
    one = xr.DataArray(np.zeros((4, 4, 4)), coords, ("z", "y", "x"), attrs={"units": "m s-1"})
    up, down = ({"standard_name": f"{to}ward_air_velocity"} for to in ("up", "down"))
    u, v, w = one.rename("u"), one.rename("v"), (one + 1e-3 * one.y).rename("w")
    for values, attrs in (
        (w, {"units": "m s-1", **up}),
        (-w, {"units": "m s-1", **down}),
        (w / 0.5144444444444445, {"units": "knots"}),
    ):
        made = op.curl(u, v, values.drop_attrs().assign_attrs(attrs))
        assert_allclose(made.curl_x, 1e-3, rtol=1e-6)
    hybrid = {"z": ("z", points, coords["z"][2] | {"formula_terms": "a: lev b: b orog: orog"})}
    with pytest.raises(OptionError, match="the levels of 'z' are parametric"):
        op.curl(*(f.assign_coords(hybrid) for f in (u, v, w)))
    with pytest.raises(OptionError, match="'u' is in m s-1 and 'w' in Pa s-1, which are not of"):
        op.curl(u, v, w.assign_attrs(units="Pa s-1"))
