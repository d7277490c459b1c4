"""The sense of the vertical axis, and levels that are no pressure (F6, F9; cases 6a to 6h, 11k)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import EAST, GRAVITY, NORTH, OMEGA, right_or_refused

from fdgrad_dask.errors import FdgradError

LAT, LON = np.arange(30.0, 51, 2), np.arange(80.0, 111, 2)
PLACES = {"lat": ("lat", LAT, NORTH), "lon": ("lon", LON, EAST)}
DIMS = ("lev", "lat", "lon")
ONE = np.ones((5, len(LAT), len(LON)))
DEPTH = np.array([5.0, 15, 25, 35, 50])
DOWN = {"units": "m", "positive": "down", "axis": "Z", "standard_name": "depth"}


def sea(w: dict, level: dict, sign: float = 1) -> xr.Dataset:
    """Water of 20 − 0.1 z °C that rises with 1e-4 m s-1 times ``sign``: it gets colder there."""
    speed = {"units": "m s-1"}
    return xr.Dataset(
        {
            "uo": (DIMS, 0 * ONE, speed),
            "vo": (DIMS, 0 * ONE, speed),
            "wo": (DIMS, 1e-4 * sign * ONE, {**speed, **w}),
            "thetao": (DIMS, (20 - 0.1 * DEPTH)[:, None, None] * ONE, {"units": "degC"}),
        },
        {"lev": ("lev", DEPTH if level is DOWN else -DEPTH, level), **PLACES},
    )


UP = {"units": "m", "positive": "up", "axis": "Z", "standard_name": "height"}
UPWARD = {"standard_name": "upward_sea_water_velocity"}
DOWNWARD = {"standard_name": "downward_sea_water_velocity"}
SENSES = {
    "upward on a depth": (UPWARD, DOWN, 1),
    "downward on a depth": (DOWNWARD, DOWN, -1),
    "upward on a height": (UPWARD, UP, 1),
    "downward on a height": (DOWNWARD, UP, -1),
}


@pytest.mark.parametrize("sense", SENSES)
def test_rising_cold_water_cools(sense):
    made = sea(*SENSES[sense]).fdgrad.advection("uo", "vo", "thetao", "wo")
    np.testing.assert_allclose(made, -1e-5 * ONE, rtol=1e-9)


def test_rising_cold_water_cools_by_the_command(run):
    ds = sea(UPWARD, DOWN)
    made = run(ds, ("advection", ["uo", "vo", "thetao"], "a", {"w": "wo"}))
    np.testing.assert_allclose(made.a, -1e-5 * ONE, rtol=1e-9)


@pytest.mark.parametrize("name", ["wo", "vovecrtz", "w"])
def test_a_vertical_velocity_by_its_name_alone(name):
    ds = sea({}, DOWN).rename(wo=name)

    def judge(made):
        np.testing.assert_allclose(made, -1e-5 * ONE, rtol=1e-9)

    def ask():
        return ds.fdgrad.advection("uo", "vo", "thetao", name)

    right_or_refused(ask, "up|down|standard_name|positive", judge)
    ds[name].attrs.update(UPWARD)
    judge(ask())


def test_omega_on_pressure():
    levels = np.array([1000.0, 850, 700, 500, 300])
    at = {"units": "hPa", "positive": "down", "axis": "Z", "standard_name": "air_pressure"}
    speed, sinking = {"units": "m s-1"}, {"units": "Pa s-1"}
    sinking["standard_name"] = "lagrangian_tendency_of_air_pressure"
    ds = xr.Dataset(
        {
            "u": (DIMS, 0 * ONE, speed),
            "v": (DIMS, 0 * ONE, speed),
            "omega": (DIMS, 0.1 * ONE, sinking),
            "t": (DIMS, (200 + 0.1 * levels)[:, None, None] * ONE, {"units": "K"}),
        },
        {"lev": ("lev", levels, at), **PLACES},
    )
    # 0.1 Pa s-1 downwards, 0.1 K in each 100 Pa: air from above, which is colder.
    np.testing.assert_allclose(ds.fdgrad.advection("u", "v", "t", "omega"), -1e-4 * ONE, rtol=1e-9)


def test_the_gradient_along_z_that_falls():
    z = np.array([-5.0, -15, -25, -35, -50])
    t = xr.DataArray(20 + 0.1 * z, dims="Z", coords={"Z": ("Z", z, {"positive": "up"})})
    np.testing.assert_allclose(t.fdgrad.gradient("Z"), 0.1)


UNSAID = {"units": "m", "axis": "Z"}


@pytest.mark.parametrize("way", [DOWN, UNSAID, "a field"])
def test_the_derivative_upwards(way):
    """Of water that gets colder by 0.1 K in each metre downwards (xgcm#337, Parcels#183)."""
    ds, options = sea({}, DOWN), {} if way is DOWN else {"positive": "down"}
    t = ds.thetao.assign_coords(lev=("lev", DEPTH, DOWN if way is DOWN else UNSAID))
    if way == "a field":
        options["coordinate"] = (t.lev * xr.ones_like(t)).rename("z").assign_attrs(units="m")
    made = t.fdgrad.gradient("lev", upward=True, **options)
    np.testing.assert_allclose(made, 0.1)
    assert (made.name, made.attrs["units"]) == ("dthetao_dz", "K m-1")
    assert made.attrs["long_name"].endswith("upward")
    plain = {key: one for key, one in options.items() if key != "positive"}
    np.testing.assert_array_equal(made, -t.fdgrad.gradient("lev", **plain))
    second = t.fdgrad.gradient("lev", upward=True, order=2, **options)
    np.testing.assert_array_equal(second, t.fdgrad.gradient("lev", order=2, **plain))
    assert second.name == "d2thetao_dz2"


def test_a_sense_that_is_an_option():
    """Rising water that gets colder, and a sheared flow, on depths that say nothing."""
    ds = sea(UPWARD, DOWN)
    ds["lev"] = ("lev", DEPTH, UNSAID)
    with pytest.raises(FdgradError, match="or give the option positive=: 'up' or 'down'"):
        ds.fdgrad.advection("uo", "vo", "thetao", "wo")
    made = ds.fdgrad.advection("uo", "vo", "thetao", "wo", positive="down")
    np.testing.assert_allclose(made, -1e-5 * ONE, rtol=1e-9)
    metres = {"units": "m"}
    flat = ds.drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    flat = flat.assign_coords(x=("x", 1e3 * LON, metres), y=("y", 1e3 * LAT, metres))
    flat["uo"] = -0.01 * flat.lev + 0 * flat.uo
    flat.uo.attrs["units"] = "m s-1"
    curl = flat.fdgrad.curl("uo", "vo", "wo", positive="down")
    np.testing.assert_allclose(curl.curl_y, 0.01)


def test_depths_below_zero():
    """Levels of xmitgcm are called depths that grow downward, and are heights below the surface."""
    z, down = ("lev", -DEPTH), {"standard_name": "depth", "units": "m", "positive": "down"}
    ds = sea(UPWARD, DOWN).assign_coords(lev=(*z, down))
    wrong = r"'lev' says that it grows downward, but .* below zero.*assign_attrs\(positive='up'\)"
    names = "uo", "vo", "thetao", "wo"
    for refused in (
        lambda: ds.thetao.fdgrad.gradient("lev", upward=True),
        lambda: ds.fdgrad.advection(*names),
    ):
        with pytest.raises(FdgradError, match=wrong):
            refused()
    corrected = ds.assign_coords(lev=ds.lev.assign_attrs(positive="up"))
    for one, options in ((ds, {"positive": "up"}), (corrected, {})):
        made = one.thetao.fdgrad.gradient("lev", upward=True, **options)
        np.testing.assert_allclose(made, 0.1)
        np.testing.assert_allclose(one.fdgrad.advection(*names, **options), -1e-5 * ONE, rtol=1e-9)
    ground = ds.assign_coords(lev=("lev", [0.0, *-DEPTH[1:]], down))
    with pytest.raises(FdgradError, match=wrong):
        ground.thetao.fdgrad.gradient("lev", upward=True)
    waves = ds.assign_coords(lev=("lev", [-1.0, *DEPTH[1:]], down))  # above a surface at rest
    assert (waves.thetao.fdgrad.gradient("lev", upward=True) > 0).all()


WRONG_SENSES = {
    "unknown": ({"upward": True}, "lev", "'lev' does not say whether it is a height or a depth"),
    "other word": ({"upward": True, "positive": "Up"}, "lev", "positive is 'Up'; choose 'up' or"),
    "of several": ({"upward": True}, ["lev", "lat"], "upward goes with one vertical coordinate"),
    "alone": ({"positive": "up"}, "lev", "for upward=True; add that"),
    "no vertical": ({"upward": True}, "lat", "'lat' does not say whether"),
}


@pytest.mark.parametrize("case", WRONG_SENSES)
def test_a_sense_that_is_refused(case):
    options, dim, message = WRONG_SENSES[case]
    t = sea({}, DOWN).thetao.assign_coords(lev=("lev", DEPTH, UNSAID))
    with pytest.raises(FdgradError, match=message):
        t.fdgrad.gradient(dim, **options)
    t.lev.attrs["positive"] = "down"
    with pytest.raises(FdgradError, match="but 'lev' says that it grows downward; leave the opt"):
        t.fdgrad.gradient("lev", upward=True, positive="up")


LEVELS = np.array([300.0, 400, 500, 600, 700])
HYBRID = {
    "units": "hPa",
    "positive": "down",
    "standard_name": "atmosphere_hybrid_sigma_pressure_coordinate",
    "long_name": "hybrid level at midpoints (1000*(A+B))",
    "formula_terms": "a: hyam b: hybm p0: P0 ps: PS",
}
OTHERS = {
    "by formula_terms": {k: HYBRID[k] for k in ("units", "positive", "formula_terms")},
    "by standard_name": {k: HYBRID[k] for k in ("units", "positive", "standard_name")},
    "sigma": {"units": "1", "positive": "down", "standard_name": "atmosphere_sigma_coordinate"},
    "hybrid units": {"units": "level", "positive": "down", "axis": "Z"},
    "sigma_level": {"units": "sigma_level", "positive": "down", "axis": "Z"},
    "isentropic": {"units": "K", "positive": "up", "standard_name": "air_potential_temperature"},
}


def plateau(attrs: dict) -> tuple[xr.Dataset, np.ndarray]:
    """Air at rest over a surface at 600 hPa, θ = 320 K − 4e-4 K/Pa p; and its pressure."""
    b = (LEVELS - 200) / 800 * 0.9
    p = ((LEVELS / 1000 - b) * 1e5 + b * 600e2)[:, None, None] * ONE
    theta = {"units": "K", "standard_name": "air_potential_temperature"}
    speed = {"units": "m/s"}
    ds = xr.Dataset(
        {
            "U": (DIMS, 0 * p, speed),
            "V": (DIMS, 0 * p, speed),
            "TH": (DIMS, 320 - 4e-4 * p, theta),
            "OMEGA": (DIMS, 0 * p, {"units": "Pa s-1"}),
        },
        {"lev": ("lev", LEVELS, attrs), **PLACES},
    )
    return ds, p


@pytest.mark.parametrize("attrs", [HYBRID, *OTHERS.values()], ids=["CAM", *OTHERS])
@pytest.mark.parametrize("name", ["potential_vorticity", "q_vector"])
def test_levels_that_are_no_pressure(attrs, name):
    ds, _ = plateau(attrs)
    ds["T"] = ds.TH.drop_attrs(deep=False).assign_attrs(units="K")
    with pytest.raises(FdgradError, match=r"(?i)pressure|vertical"):
        getattr(ds.fdgrad, name)("U", "V", "T")


def test_omega_on_hybrid_levels():
    ds, _ = plateau(HYBRID)
    with pytest.raises(FdgradError, match=r"(?i)hybrid|formula_terms|pressure"):
        ds.fdgrad.advection("U", "V", "TH", "OMEGA")


def test_hybrid_levels_by_the_command(check):
    ds, _ = plateau(HYBRID)
    code, message = check(ds, ("potential_vorticity", ["U", "V", "TH"], "pv"))
    assert code in (2, 3)
    assert "pressure" in message


def test_the_remedies_on_hybrid_levels():
    """∂θ/∂p with the pressure as coordinate, and potential vorticity after interpolation."""
    ds, p = plateau(HYBRID)
    pressure = xr.DataArray(p, dims=DIMS, coords=ds.coords, name="p", attrs={"units": "Pa"})
    slope = ds.TH.fdgrad.gradient("lev", coordinate=pressure)
    np.testing.assert_allclose(slope, -4e-4, rtol=1e-9)
    levels = np.array([500.0, 450, 400, 350, 300])
    at = {"units": "hPa", "positive": "down", "standard_name": "air_pressure"}
    theta = (320 - 4e-2 * levels)[:, None, None] * ONE
    ds = ds.assign(TH=(DIMS, theta, ds.TH.attrs)).assign_coords(lev=("lev", levels, at))
    pv = ds.fdgrad.potential_vorticity("U", "V", "TH")
    true = GRAVITY * 2 * OMEGA * np.sin(np.deg2rad(LAT))[:, None] * 4e-4 * ONE
    np.testing.assert_allclose(pv, true, rtol=1e-6)


def test_a_scalar_pressure_is_no_vertical_axis():
    ds, _ = plateau(HYBRID)
    one = ds.isel(lev=2, drop=True).assign_coords(plev=((), 5e4, {"units": "Pa", "axis": "Z"}))
    with pytest.raises(FdgradError, match=r"(?i)vertical|level|scalar"):
        one.fdgrad.potential_vorticity("U", "V", "TH")


def test_heights_on_other_levels():
    t = xr.DataArray(np.zeros((5, 3)), dims=("bottom_top", "x"), name="T")
    ph = xr.DataArray(np.zeros((6, 3)), dims=("bottom_top_stag", "x"), name="PH")
    with pytest.raises(FdgradError, match=r"bottom_top"):
        t.fdgrad.gradient("bottom_top", coordinate=ph)
    height = np.linspace(0, 10, 6)[:, None] * np.ones(3)
    stag = ph.copy(data=height)
    mid = 0.5 * (stag[:-1] + stag[1:].values).rename(bottom_top_stag="bottom_top")
    made = (t + 2 * mid).fdgrad.gradient("bottom_top", coordinate=mid.rename("z"))
    np.testing.assert_allclose(made, 2)


def test_scalar_heights_that_differ():
    ds, _ = plateau(HYBRID)
    flat = ds.isel(lev=0, drop=True)
    u = flat.U.assign_coords(height=((), 10.0, {"units": "m"}))
    v = flat.V.assign_coords(height=((), 10.0, {"units": "m"}))
    t = flat.TH.assign_coords(height=((), 2.0, {"units": "m"}))
    from fdgrad_dask.operators import advection

    made = advection(u, v, t)
    assert float(made.height) == 10.0
    np.testing.assert_array_equal(made, 0)


def test_levels_of_a_model_by_the_command(run):
    """Potential vorticity and a gradient at constant pressure from formula terms, in one run."""
    ds, p = plateau(HYBRID)
    slope = 200 * (LON - LON[0])  # Pa
    a, b = LEVELS / 1000 - (LEVELS - 200) / 800 * 0.9, (LEVELS - 200) / 800 * 0.9
    p = p + b[:, None, None] * slope
    ds["TH"] = (DIMS, 320 - 4e-4 * p, ds.TH.attrs)
    ds = ds.assign(hyam=("lev", a), hybm=("lev", b), P0=((), 1e5, {"units": "Pa"}))
    ds["PS"] = (DIMS[1:], 600e2 + slope + 0 * ONE[0], {"units": "Pa"})
    made = run(
        ds,
        ("potential_vorticity", ["U", "V", "TH"], "pv"),
        ("gradient_magnitude", ["TH"], "level", {"constant": "pressure"}),
        ("gradient_magnitude", ["TH"], "along"),
        ("gradient", ["TH"], "slope", {"dim": "lev", "coordinate": "pressure"}),
    )
    true = GRAVITY * 2 * OMEGA * np.sin(np.deg2rad(LAT))[:, None] * 4e-4 * ONE
    np.testing.assert_allclose(made.pv, true, rtol=1e-6)
    assert abs(made.level).max() < 1e-9 * made.along.max()
    np.testing.assert_allclose(made.slope, -4e-4, rtol=1e-9)
    assert not {"PS", "hyam", "P0"} & {*made.variables}
