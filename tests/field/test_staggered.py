"""u and v on different points are never multiplied out (F2; cases 2a to 2f)."""

from __future__ import annotations

import model_cases as cases
import numpy as np
import pytest
import xarray as xr
from model_grids import (
    CIRCLE,
    DEGREE,
    EAST,
    HALF_STEP,
    NORTH,
    OMEGA,
    A,
    flow_on,
    rotation_on,
    worst,
)

from fdgrad_dask import operators as op
from fdgrad_dask.errors import FdgradError

WORDS = "(?i)(different|same) points|stagger"
YC, YG = np.arange(20.5, 40), np.arange(20.0, 41)
XC, XG = np.arange(100.5, 130), np.arange(100, 131)


def c_grid(**extra: np.ndarray) -> xr.Dataset:
    """U on (YC, XG), V on (YG, XC), T on (YC, XC) as MITgcm writes them, and levels if given."""
    u = np.sin(6 * DEGREE * XG) * np.cos(DEGREE * YC)[:, None]
    v = np.cos(DEGREE * YG)[:, None] * np.ones(len(XC))
    t = YC[:, None] * np.ones(len(XC))
    speed = {"units": "m s-1"}
    ds = xr.Dataset(
        {
            "U": (("YC", "XG"), u, speed),
            "V": (("YG", "XC"), v, speed),
            "T": (("YC", "XC"), t, {"units": "K"}),
        },
        {
            "XC": ("XC", XC, {**EAST, "axis": "X"}),
            "XG": ("XG", XG.astype(float), {**EAST, "axis": "X"}),
            "YC": ("YC", YC, {**NORTH, "axis": "Y"}),
            "YG": ("YG", YG, {**NORTH, "axis": "Y"}),
        },
    )
    if extra:
        level = xr.DataArray([9e4, 8e4, 7e4], dims="p", coords=extra)
        ds = xr.Dataset({k: (level * 0 + ds[k]).assign_attrs(ds[k].attrs) for k in ds})
    return ds


OF_TWO = ("vorticity", "divergence", "absolute_vorticity", "deformation", "kinematics")
OF_THREE = ("advection", "frontogenesis")
ON_LEVELS = ("q_vector", "potential_vorticity")


def at_centers(ds: xr.Dataset) -> tuple[xr.DataArray, ...]:
    """U and V as means of the two faces of each cell, and T."""
    low, high = slice(None, -1), slice(1, None)
    made = []
    for name, face, dim in (("U", "XG", "XC"), ("V", "YG", "YC")):
        bare = ds[name].drop_vars(face)
        mean = (bare.isel({face: low}) + bare.isel({face: high})) / 2
        named = mean.rename({face: dim}).assign_coords({dim: ds[dim]}).rename(name)
        made.append(named.transpose(*ds.T.dims).assign_attrs(ds[name].attrs))
    return *made, ds.T


@pytest.mark.parametrize("name", [*OF_THREE, *ON_LEVELS])
def test_what_has_no_fluxes_is_at_centers(name):
    levels = {"p": ("p", [9e4, 8e4, 7e4], {"units": "Pa", "axis": "Z", "positive": "down"})}
    ds = c_grid(**levels if name in ON_LEVELS else {})
    made = getattr(ds.fdgrad, name)("U", "V", "T")
    by_hand = getattr(op, name)(*at_centers(ds))
    xr.testing.assert_allclose(made, by_hand, rtol=1e-9)


def test_a_wind_on_a_c_grid():
    """∂u/∂x and the convergence of meridians, at centres; ∂u/∂y and tan φ at corners."""
    ds = c_grid()
    made = ds.fdgrad.kinematics("U", "V", which=["divergence", "vorticity"])
    lat, lon = np.deg2rad(ds.YC), np.deg2rad(ds.XC)
    true = (6 * np.cos(6 * lon) - 2 * np.sin(lat)) / A
    assert worst(made.divergence, true.transpose("YC", "XC")) < 2e-3
    lat, lon = np.deg2rad(ds.YG), np.deg2rad(ds.XG)
    inner = {"YG": slice(1, -1), "XG": slice(1, -1)}
    true = (2 * np.sin(6 * lon) * np.sin(lat) / A).transpose("YG", "XG")
    assert worst(made.vorticity[inner], true[inner]) < 2e-3
    np.testing.assert_array_equal(ds.fdgrad.divergence("U", "V"), made.divergence)
    f = ds.fdgrad.absolute_vorticity("U", "V") - made.vorticity
    coriolis = (2 * OMEGA * np.sin(lat) + 0 * lon).transpose("YG", "XG")
    np.testing.assert_allclose(f[inner], coriolis[inner])


def test_a_field_beside_a_wind_on_other_points():
    ds = c_grid()
    u = ds.U.interp(XG=XC).drop_vars("XG").rename(XG="XC").assign_coords(XC=ds.XC)
    v = ds.V.interp(YG=YC).drop_vars("YG").rename(YG="YC").assign_coords(YC=ds.YC)
    corner = ds.T.interp(YC=YG[1:-1], XC=XG[1:-1].astype(float)).rename(YC="YG", XC="XG")
    with pytest.raises(FdgradError, match=WORDS):
        op.advection(u, v, corner)


def test_the_remedy_interpolated_to_the_same_points():
    ds = c_grid()
    u = ds.U.interp(XG=XC).drop_vars("XG").rename(XG="XC").assign_coords(XC=ds.XC)
    v = ds.V.interp(YG=YC).drop_vars("YG").rename(YG="YC").assign_coords(YC=ds.YC)
    made = op.divergence(u, v.transpose("YC", "XC")).sel(YC=30.5, XC=115.5)
    true = (6 * np.cos(6 * DEGREE * 115.5) - 2 * np.sin(DEGREE * 30.5)) / A
    assert float(made) == pytest.approx(true, rel=0.01)


def test_a_c_grid_with_two_dimensional_coordinates():
    def places(kind: str, ny: int, nx: int, dy: float, dx: float):
        lat, lon = np.meshgrid(30 + dy + np.arange(ny), 10 + dx + np.arange(nx), indexing="ij")
        dims = (f"eta_{kind}", f"xi_{kind}")
        names = {f"lat_{kind}": (dims, lat, NORTH), f"lon_{kind}": (dims, lon, EAST)}
        return rotation_on(lat, lon, dims), names

    (on_u, u_places), (on_v, v_places) = places("u", 20, 24, 0, 0.5), places("v", 19, 25, 0.5, 0)
    ds = xr.Dataset({"u": on_u.u, "v": on_v.v}).assign_coords(**u_places, **v_places)
    for name, axis in (("u", "x"), ("v", "y")):
        ds[name].attrs["standard_name"] = f"sea_water_{axis}_velocity"
    for name in OF_TWO:  # where the centres are is unknown
        with pytest.raises(FdgradError, match=WORDS):
            getattr(ds.fdgrad, name)("u", "v")
    (_, centers), (on_psi, corners) = places("rho", 20, 25, 0, 0), places("psi", 19, 24, 0.5, 0.5)
    with pytest.raises(
        FdgradError,
        match=r"'v' is not given.*grid was recognised from ROMS",
    ):
        ds.assign_coords(**centers, **corners).fdgrad.vorticity("u", "v")
    lat = centers["lat_rho"][1]
    ds["pm"] = centers["lat_rho"][0], 1 / (A * DEGREE * np.cos(DEGREE * lat))
    ds["pn"] = ds.pm.dims, 0 * lat + 1 / (A * DEGREE)
    made = ds.assign_coords(**centers, **corners).fdgrad.vorticity("u", "v")
    assert made.dims == ("eta_psi", "xi_psi")
    assert worst(made, on_psi.true) < 2e-3


@pytest.mark.parametrize("model", ["MOM6", "ROMS", "POP"])
def test_the_command_runs_a_model_in_one_line(model, run):
    case = {**cases.C_GRIDS, **cases.B_GRIDS}[model](12)
    wind, ends = [case.u, case.v], {"boundary": {"x": "periodic"}} if model == "POP" else {}
    made = run(case.ds, ("vorticity", wind, "z", ends)).z
    np.testing.assert_array_equal(made, case.ds.fdgrad.vorticity(*wind, **ends))
    assert np.isfinite(made[1:-1]).all()


def test_the_command_interpolates_on_the_grid_of_a_model(run):
    case = cases.C_GRIDS["MOM6"](12)
    made = run(case.ds, ("interpolate", [case.u], "u_center", {"to": "center"})).u_center
    expected = case.ds.fdgrad.interpolate(case.u, to="center")
    np.testing.assert_array_equal(made, expected)
    assert made.dims == expected.dims == ("yh", "xh")


def test_the_command_runs_a_map_of_grib_in_one_line(run):
    """HRRR's winds are along its map, as their flag says and their standard_name does not."""
    ds = cases.hrrr(33)
    made = run(ds, ("vorticity", ["u10", "v10"], "z")).z
    exact = cases.vorticity(ds.longitude.values, ds.latitude.values)
    assert abs(made.values - exact)[2:-2, 2:-2].max() < 2e-3 * abs(exact).max()


@pytest.mark.parametrize("command", ["check", "plan"])
def test_the_command_refuses_nominal_labels(command, fdgrad, capsys):
    ds = c_grid().rename(YC="yh", XG="xq", YG="yq", XC="xh")
    assert fdgrad(command, ds, ("vorticity", ["U", "V"], "z")) == 3
    assert "merge the static file" in capsys.readouterr().err


@pytest.mark.parametrize(("one", "other"), [("depthu", "depthv"), ("time", "time_counter")])
def test_other_dimensions_of_two_names(one, other):
    ds = flow_on(HALF_STEP, CIRCLE)[["u", "v"]]
    line = xr.DataArray(np.ones(3), dims="k", coords={"k": [5.0, 15.0, 25.0]})
    u, v = (line * ds.u).rename(k=one), (line * ds.v).rename(k=other)
    with pytest.raises(FdgradError, match=WORDS):
        op.vorticity(u, v)
    v = v.rename({other: one})
    assert op.vorticity(u, v).shape == u.shape


def test_the_curl_of_components_on_different_points():
    x = {"x": ("x", np.arange(5.0), {"units": "m", "axis": "X"})}
    y = {"y": ("y", np.arange(4.0), {"units": "m", "axis": "Y"})}
    z = {"z": ("z", np.arange(3.0), {"units": "m", "axis": "Z", "positive": "up"})}
    u = xr.DataArray(np.zeros((3, 4, 5)), dims=("z", "y", "x"), coords={**x, **y, **z}, name="u")
    half = {"zw": ("zw", np.arange(4.0) - 0.5, {"units": "m", "positive": "up"})}
    w = xr.DataArray(np.zeros((4, 4, 5)), dims=("zw", "y", "x"), coords={**x, **y, **half})
    w = w.rename("w")
    u = u.assign_attrs(units="m s-1")
    with pytest.raises(FdgradError, match=WORDS):
        op.curl(u, u.rename("v"), w.assign_attrs(units="m s-1"))


def test_a_field_without_some_dimensions_is_broadcast():
    ds = flow_on(HALF_STEP, CIRCLE)
    time = xr.DataArray([1.0, 2.0], dims="time", coords={"time": [0, 1]})
    z = op.vorticity((time * ds.u).assign_attrs(ds.u.attrs), 0 * ds.v)
    assert z.dims == ("time", "lat", "lon")
    np.testing.assert_allclose(z[1], 2 * z[0], rtol=1e-9, atol=1e-20)
    levels = xr.DataArray([1.0, 3.0], dims="level", coords={"level": [1, 2]})
    t = (levels * ds.lat + 0 * ds.u).rename("t").assign_attrs(units="K")
    made = op.advection(ds.u, ds.v, t)
    true = -(ds.v * levels / (A * DEGREE))
    inner = {"lat": slice(1, -1)}
    assert worst(made.isel(inner), true.transpose(*made.dims).isel(inner)) < 1e-6
