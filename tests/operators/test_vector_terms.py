"""Every term of every operator by itself: a field on which no other term lives, sign and size.

The place is λ = 0, φ = ±30°, on the seam of the longitudes; the fields are such that a derivative
there is one number, and that what is not wanted vanishes there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr
from curved import ELSEWHERE
from fields import A, degrees, field, globe, nought
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError

G, GAS, OMEGA = 9.80665, 287.05287, 7.292115e-5
Y0 = np.deg2rad(30)
C, T = np.cos(Y0), np.tan(Y0)
F = 2 * OMEGA * np.sin(Y0)
P0 = 80000.0  # Pa
sin, cos = np.sin, np.cos

NORTH = degrees(np.arange(20.0, 41), np.arange(0.0, 360)).assign_coords(
    p=xr.DataArray([805.0, 800.0, 795.0], dims="p", attrs={"units": "hPa", "axis": "Z"})
)
SOUTH = NORTH.assign_coords(lat=("lat", -NORTH["lat"].values[::-1], NORTH["lat"].attrs))


# Fields with one derivative at the place, and the size of it per metre.
def along_x(size: float) -> Callable:
    return lambda x, y: size * A * C * sin(x) + 0 * y


def along_y(size: float) -> Callable:
    return lambda x, y: size * A * sin(y - Y0) + 0 * x


def along_p(size: float) -> Callable:
    return lambda x, y, p: size * (100 * p - P0)


def even(size: float) -> Callable:
    return lambda x, y: size + 0 * x * y


def both(size: float) -> Callable:
    return lambda x, y: along_x(size)(x, y) + along_y(size)(x, y)


class Term(NamedTuple):
    """Fields by name (nought if not given) and what an operator makes of them at the place."""

    operator: str
    fields: dict[str, Any]
    expected: dict[str | None, float]
    options: dict[str, Any] = {}  # noqa: RUF012


ORDER = {  # what the operators take
    **dict.fromkeys(("divergence", "vorticity", "absolute_vorticity", "deformation"), "uv"),
    **dict.fromkeys(("kinematics",), "uv"),
    **dict.fromkeys(("advection", "frontogenesis", "q_vector", "potential_vorticity"), "uvs"),
    **dict.fromkeys(("horizontal_gradient", "gradient_magnitude", "laplacian"), "s"),
    "geostrophic_wind": "s",
}
STRETCH, SHEAR, TOTAL = (f"{n}_deformation" for n in ("stretching", "shearing", "total"))


def strain(divergence, vorticity, stretching, shearing):
    """What `kinematics` gives."""
    total = np.hypot(stretching, shearing)
    names = ("divergence", "vorticity", STRETCH, SHEAR, TOTAL)
    return dict(zip(names, (divergence, vorticity, stretching, shearing, total), strict=True))


D = 1e-5  # s-1, or K m-1
SIX = {  # the six terms that the gradient of a wind has on the sphere
    "∂u/∂x": ({"u": along_x(D)}, strain(D, 0, D, 0)),
    "∂u/∂y": ({"u": along_y(D)}, strain(0, -D, 0, D)),
    "∂v/∂x": ({"v": along_x(D)}, strain(0, D, 0, D)),
    "∂v/∂y": ({"v": along_y(D)}, strain(D, 0, -D, 0)),
    "u tan φ / a": ({"u": even(10)}, strain(0, 10 * T / A, 0, 10 * T / A)),
    "−v tan φ / a": ({"v": even(10)}, strain(-10 * T / A, 0, -10 * T / A, 0)),
}
OF_DEFORMATION = (STRETCH, SHEAR, TOTAL)
TERMS: dict[str, Term] = {}
for _name, (_fields, _made) in SIX.items():
    TERMS[f"kinematics: {_name}"] = Term("kinematics", _fields, _made)
    TERMS[f"divergence: {_name}"] = Term("divergence", _fields, {None: _made["divergence"]})
    TERMS[f"vorticity: {_name}"] = Term("vorticity", _fields, {None: _made["vorticity"]})
    TERMS[f"absolute vorticity: {_name}"] = Term(
        "absolute_vorticity", _fields, {None: _made["vorticity"]}, {"coriolis": 0.0}
    )
    TERMS[f"deformation: {_name}"] = Term(
        "deformation", _fields, {n: _made[n] for n in OF_DEFORMATION}
    )
TERMS |= {
    "absolute vorticity: f": Term("absolute_vorticity", {}, {None: F}),
    # −v·∇s
    "advection: −u ∂s/∂x": Term("advection", {"u": even(10), "s": along_x(D)}, {None: -10 * D}),
    "advection: −v ∂s/∂y": Term("advection", {"v": even(10), "s": along_y(D)}, {None: -10 * D}),
    "advection: u across": Term("advection", {"u": even(10), "s": along_y(D)}, {None: 0}),
    "advection: v across": Term("advection", {"v": even(10), "s": along_x(D)}, {None: 0}),
    "advection: −ω ∂s/∂p": Term(
        "advection", {"s": along_p(2e-4), "w": even(0.5)}, {None: -0.5 * 2e-4}
    ),
    "advection: −u ∂s/∂x with ω": Term(
        "advection", {"u": even(10), "s": along_x(D), "w": even(0.5)}, {None: -10 * D}
    ),
    "advection: −v ∂s/∂y with ω": Term(
        "advection", {"v": even(10), "s": along_y(D), "w": even(0.5)}, {None: -10 * D}
    ),
    # −(s_x² u_x + s_y² v_y + s_x s_y (v_x + u_y)) / |∇s|
    "frontogenesis: ∂u/∂x": Term(
        "frontogenesis", {"u": along_x(-D), "s": along_x(D)}, {None: D * D}
    ),
    "frontogenesis: ∂v/∂y": Term(
        "frontogenesis", {"v": along_y(-D), "s": along_y(D)}, {None: D * D}
    ),
    "frontogenesis: ∂u/∂x along the front": Term(
        "frontogenesis", {"u": along_x(-D), "s": along_y(D)}, {None: 0}
    ),
    "frontogenesis: ∂v/∂y along the front": Term(
        "frontogenesis", {"v": along_y(-D), "s": along_x(D)}, {None: 0}
    ),
    "frontogenesis: ∂v/∂x": Term(
        "frontogenesis", {"v": along_x(D), "s": both(D)}, {None: -D * D / np.sqrt(2)}
    ),
    "frontogenesis: ∂u/∂y": Term(
        "frontogenesis", {"u": along_y(D), "s": both(D)}, {None: -D * D / np.sqrt(2)}
    ),
    "frontogenesis: −v tan φ / a": Term(
        "frontogenesis", {"v": even(10), "s": along_x(D)}, {None: 10 * T / A * D}
    ),
    "frontogenesis: u tan φ / a": Term(
        "frontogenesis", {"u": even(10), "s": both(D)}, {None: -10 * T / A * D / np.sqrt(2)}
    ),
    # −(R/p) (u_x T_x + v_x T_y, u_y T_x + v_y T_y)
    "Q: ∂u/∂x ∂T/∂x": Term(
        "q_vector", {"u": along_x(D), "s": along_x(D)}, {"q1": -GAS / P0 * D * D, "q2": 0}
    ),
    "Q: ∂v/∂x ∂T/∂y": Term(
        "q_vector", {"v": along_x(D), "s": along_y(D)}, {"q1": -GAS / P0 * D * D, "q2": 0}
    ),
    "Q: ∂u/∂y ∂T/∂x": Term(
        "q_vector", {"u": along_y(D), "s": along_x(D)}, {"q1": 0, "q2": -GAS / P0 * D * D}
    ),
    "Q: ∂v/∂y ∂T/∂y": Term(
        "q_vector", {"v": along_y(D), "s": along_y(D)}, {"q1": 0, "q2": -GAS / P0 * D * D}
    ),
    "Q: −v tan φ / a ∂T/∂x": Term(
        "q_vector", {"v": even(10), "s": along_x(D)}, {"q1": GAS / P0 * 10 * T / A * D, "q2": 0}
    ),
    "Q: u tan φ / a ∂T/∂y": Term(
        "q_vector", {"u": even(10), "s": along_y(D)}, {"q1": -GAS / P0 * 10 * T / A * D, "q2": 0}
    ),
    # −g ((ζ + f) ∂θ/∂p − ∂v/∂p ∂θ/∂x + ∂u/∂p ∂θ/∂y)
    "PV: f ∂θ/∂p": Term("potential_vorticity", {"s": along_p(-5e-4)}, {None: G * F * 5e-4}),
    "PV: ∂v/∂x ∂θ/∂p": Term(
        "potential_vorticity",
        {"v": along_x(D), "s": along_p(-5e-4)},
        {None: G * D * 5e-4},
        {"coriolis": 0.0},
    ),
    "PV: −∂u/∂y ∂θ/∂p": Term(
        "potential_vorticity",
        {"u": along_y(D), "s": along_p(-5e-4)},
        {None: -G * D * 5e-4},
        {"coriolis": 0.0},
    ),
    "PV: u tan φ / a ∂θ/∂p": Term(
        "potential_vorticity",
        {"u": even(10), "s": along_p(-5e-4)},
        {None: G * 10 * T / A * 5e-4},
        {"coriolis": 0.0},
    ),
    "PV: −∂v/∂p ∂θ/∂x": Term(
        "potential_vorticity",
        {"v": along_p(1e-3), "s": along_x(D)},
        {None: G * 1e-3 * D},
        {"coriolis": 0.0},
    ),
    "PV: ∂u/∂p ∂θ/∂y": Term(
        "potential_vorticity",
        {"u": along_p(1e-3), "s": along_y(D)},
        {None: -G * 1e-3 * D},
        {"coriolis": 0.0},
    ),
    # ∇s, |∇s|, ∇²s
    "∂s/∂x": Term("horizontal_gradient", {"s": along_x(D)}, {"ds_dx": D, "ds_dy": 0}),
    "∂s/∂y": Term("horizontal_gradient", {"s": along_y(D)}, {"ds_dx": 0, "ds_dy": D}),
    "|∇s| along x": Term("gradient_magnitude", {"s": along_x(-D)}, {None: D}),
    "|∇s| along y": Term("gradient_magnitude", {"s": along_y(-D)}, {None: D}),
    "|∇s| along both": Term("gradient_magnitude", {"s": both(D)}, {None: np.sqrt(2) * D}),
    "∇²s: ∂²s/∂x²": Term(
        "laplacian", {"s": lambda x, y: 1 - cos(x) + 0 * y}, {None: 1 / (A * C) ** 2}
    ),
    "∇²s: ∂²s/∂y²": Term(
        "laplacian", {"s": lambda x, y: 1 - cos(y - Y0) + 0 * x}, {None: 1 / A**2}
    ),
    "∇²s: −tan φ / a ∂s/∂y": Term("laplacian", {"s": along_y(D)}, {None: -D * T / A}),
    # (−∂Φ/∂y, ∂Φ/∂x) / f
    "geostrophic: −∂Φ/∂y": Term(
        "geostrophic_wind", {"s": along_y(-2e-3)}, {"ug": 2e-3 / F, "vg": 0}
    ),
    "geostrophic: ∂Φ/∂x": Term("geostrophic_wind", {"s": along_x(2e-3)}, {"ug": 0, "vg": 2e-3 / F}),
}
UNITS = {"u": "m s-1", "v": "m s-1", "w": "Pa s-1", "s": "K"}


def made_of(term, grid=NORTH):
    """The output of a term at the place."""
    fields = {n: term.fields.get(n, nought) for n in ORDER[term.operator]}
    fields |= {n: f for n, f in term.fields.items() if n not in fields}
    data = {
        n: field(
            f,
            grid,
            n,
            units="m2 s-2" if term.operator == "geostrophic_wind" else UNITS[n],
            standard_name=f"{n}_of_a_test",
        )
        for n, f in fields.items()
    }
    if term.operator == "potential_vorticity":
        data["s"].attrs["standard_name"] = "air_potential_temperature"
    result = getattr(op, term.operator)(*data.values(), **term.options)
    return result.sel(lon=0, p=800, lat=30 if grid is NORTH else -30)


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_each_term_alone(term):
    result = made_of(term)
    largest = max(abs(value) for value in term.expected.values()) or D
    for name, value in term.expected.items():
        found = float(result if name is None else result[name])
        assert_allclose(found, value, rtol=2e-4, atol=2e-4 * largest, err_msg=str(name))


def test_every_operator_has_its_terms_here():
    assert {term.operator for term in TERMS.values()} | {*ELSEWHERE} == set(op.__all__)


SEEN_FROM_THE_SOUTH = {  # what changes sign with the latitude, and what does not
    "divergence: −v tan φ / a": {None: 10 * T / A},
    "vorticity: u tan φ / a": {None: -10 * T / A},
    "absolute vorticity: f": {None: -F},
    "PV: f ∂θ/∂p": {None: -G * F * 5e-4},
    "advection: −v ∂s/∂y": {None: -10 * D},
}


@pytest.mark.parametrize(("name", "expected"), SEEN_FROM_THE_SOUTH.items(), ids=SEEN_FROM_THE_SOUTH)
def test_in_the_south(name, expected):
    term = TERMS[name]
    if name.startswith("advection"):
        fields = {**term.fields, "s": lambda x, y: D * A * sin(y + Y0) + 0 * x}
        term = term._replace(fields=fields)
    assert_allclose(made_of(term, SOUTH), expected[None], rtol=2e-4)


def test_potential_temperature_is_made_of_temperature():
    """An isothermal atmosphere: θ = T (p₀/p)^κ, ∂θ/∂p = −κ θ/p; PV = g f κ θ/p."""
    warm = field(even(280), NORTH, "t", units="K", standard_name="air_temperature")
    still = field(nought, NORTH, "u")
    result = op.potential_vorticity(still, still.rename("v"), warm).sel(lon=0, lat=30, p=800)
    theta = 280 * (1e5 / P0) ** (2 / 7)
    assert_allclose(result, G * F * (2 / 7) * theta / P0, rtol=1e-4)


def test_potential_temperature_goes_into_the_slope_too():
    """−∂v/∂p ∂θ/∂x with T given: θ is larger than T by (p₀/p)^κ."""
    term = TERMS["PV: −∂v/∂p ∂θ/∂x"]
    v, t = (field(term.fields[n], NORTH, n, units=UNITS[n]) for n in "vs")
    u = field(nought, NORTH, "u")
    result = op.potential_vorticity(u, v, t, coriolis=0.0).sel(lon=0, lat=30, p=800)
    assert_allclose(result, G * 1e-3 * D * (1e5 / P0) ** (2 / 7), rtol=2e-4)


def test_omega_on_levels_of_any_unit():
    """−ω ∂s/∂p is the same on hPa and on Pa, and Pa s-1 or hPa h-1 say the same wind."""
    u, v = (field(nought, NORTH, n) for n in "uv")
    s = field(along_p(2e-4), NORTH, "s", units="K")
    w = field(even(0.5), NORTH, "w", units="Pa s-1")
    on_hpa = op.advection(u, v, s, w)
    pascals = {"p": ("p", 100 * NORTH["p"].values, {"units": "Pa", "axis": "Z"})}
    on_pa = op.advection(*(f.assign_coords(pascals) for f in (u, v, s, w)))
    assert_allclose(on_hpa, -0.5 * 2e-4, rtol=1e-12)
    assert_allclose(on_pa, on_hpa.values, rtol=1e-12)
    in_hours = op.advection(u, v, s, (w * 36).assign_attrs(units="hPa h-1"))
    assert_allclose(in_hours, on_hpa, rtol=1e-12)
    assert on_hpa.attrs["units"] == "K s-1"


# --- the same in words ------------------------------------------------------------------------


def low(x, y):
    """A depression at 180° E, 45° N, 1000 km wide, in m of height."""
    return 5500 - 300 * np.exp(-((x - np.pi) ** 2 * 0.5 + (y - np.pi / 4) ** 2) / 0.02)


@pytest.fixture(scope="module")
def around_a_low():
    z = field(low, globe(2), "z", units="m")
    wind = op.geostrophic_wind(z)
    return z, wind["ug"], wind["vg"]


CENTRE = {"lon": 180, "lat": 46}


def test_a_cyclone_turns_to_the_left_in_the_north_and_to_the_right_in_the_south(around_a_low):
    z, u, v = around_a_low
    assert op.vorticity(u, v).sel(CENTRE) > 1e-5
    assert op.laplacian(z).sel(CENTRE) > 0
    assert u.sel(lon=180, lat=38) > 5  # westerly on its southern side
    assert v.sel(lon=200, lat=46) > 5  # southerly on its eastern side
    mirrored = z.copy(data=z.values[::-1])
    wind = op.geostrophic_wind(mirrored)
    assert op.vorticity(wind["ug"], wind["vg"]).sel(lon=180, lat=-46) < -1e-5


def test_warm_air_comes_from_the_south_before_a_low_and_cold_air_behind_it(around_a_low):
    _, u, v = around_a_low
    t = field(lambda x, y: 300 - 40 * sin(y) ** 2 + 0 * x, globe(2), "t", units="K")
    moved = op.advection(u, v, t)
    assert moved.sel(lon=200, lat=46) > 1e-5
    assert moved.sel(lon=160, lat=46) < -1e-5


def test_heights_that_fall_polewards_bring_westerlies_to_both_hemispheres():
    z = field(lambda x, y: 5800 - 700 * sin(y) ** 2 + 0 * x, globe(2), "z", units="m")
    u = op.geostrophic_wind(z)["ug"]
    assert u.sel(lat=45, method="nearest").min() > 5
    assert u.sel(lat=-45, method="nearest").min() > 5


def test_geopotential_and_height_are_the_same_wind():
    z = field(low, globe(2), "z", units="m")
    phi = (G * z).assign_attrs(units="m2 s-2")
    km = (z / 1000).assign_attrs(units="km")
    expected = op.geostrophic_wind(z)
    for other in (phi, km):
        result = op.geostrophic_wind(other)
        for name in ("ug", "vg"):
            assert_allclose(result[name], expected[name], rtol=1e-9, atol=1e-9)


def test_there_is_no_geostrophic_wind_on_the_equator():
    wind = op.geostrophic_wind(field(low, globe(2), "z", units="m"))
    for name in ("ug", "vg"):
        assert wind[name].sel(lat=0).isnull().all()
        assert np.isfinite(wind[name].sel(lat=[-2, 2])).all()


def test_a_wind_that_draws_isotherms_together_makes_a_front():
    grid = degrees(np.arange(20.0, 41), np.arange(0.0, 360))
    t = field(lambda x, y: 300 - 40 * (y - Y0) + 0 * x, grid, "t", units="K")
    u = field(nought, grid, "u")
    together = field(along_y(-D), grid, "v")
    assert op.frontogenesis(u, together, t).sel(lat=30, lon=180) > 0
    assert op.frontogenesis(u, -together, t).sel(lat=30, lon=180) < 0


def test_a_level_of_no_pressure():
    """It has no potential temperature, and a Q vector nowhere but on the others."""
    u, v, t = three_levels(0.0, 500.0, 800.0)
    with pytest.raises(CoordinateError, match=r"'p' has the level 0, with no potential .*drop the"):
        op.potential_vorticity(u, v, t)
    potential = t.assign_attrs(standard_name="air_potential_temperature")
    assert np.isfinite(op.potential_vorticity(u, v, potential)).all()
    for q in op.q_vector(u, v, t).values():
        assert np.isnan(q.sel(p=0)).all()
        assert np.isfinite(q.sel(p=[500, 800])).all()


def three_levels(*p):
    """u, v and t that vary everywhere, on these levels in hPa."""
    rng = np.random.default_rng(2)
    coords = {
        "p": ("p", list(p), {"units": "hPa", "axis": "Z"}),
        "lat": ("lat", np.arange(20.0, 70, 10), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(0.0, 60, 10), {"units": "degrees_east"}),
    }
    for name, units in (("u", "m s-1"), ("v", "m s-1"), ("t", "K")):
        values = 250 + rng.normal(size=(3, 5, 6))
        yield xr.DataArray(values, coords, tuple(coords), name, {"units": units})


def test_potential_vorticity_has_the_sign_of_the_hemisphere_where_the_air_is_stable():
    grid = globe(5).assign_coords(p=NORTH["p"])
    t = field(even(280), grid, "t", units="K")
    u = field(lambda x, y: 10 * cos(y) + 0 * x, grid, "u")
    pv = op.potential_vorticity(u, field(nought, grid, "v"), t)
    assert (pv.sel(lat=slice(5, 85)) > 0).all()
    assert (pv.sel(lat=slice(-85, -5)) < 0).all()
    assert 0.5e-6 < float(pv.sel(lat=45).mean()) < 2e-6  # about one PVU where T is the same aloft


def test_q_vectors_point_to_where_air_rises():
    """A wave in a baroclinic flow: they converge east of the trough, in the southerly wind."""
    grid = globe(2).assign_coords(p=NORTH["p"])

    def phi(x, y):
        return 54000 - 9000 * sin(y) ** 2 + 800 * cos(6 * x) * cos(y) ** 4

    z = field(phi, grid, "z", units="m2 s-2")
    wind = op.geostrophic_wind(z)
    t = field(lambda x, y: 280 - 40 * sin(y) ** 2 + 0 * x, grid, "t", units="K")
    q = op.q_vector(wind["ug"], wind["vg"], t)
    rising = -2 * op.divergence(q["q1"].fillna(0), q["q2"].fillna(0)).sel(p=800, lat=46)
    southerly = wind["vg"].sel(p=800, lat=46)
    assert np.corrcoef(rising, southerly)[0, 1] > 0.9
