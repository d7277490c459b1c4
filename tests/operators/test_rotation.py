"""Winds turned between grid and Earth: by angles of files, by places, by projections."""

from __future__ import annotations

import dask.array as da
import jax
import numpy as np
import pytest
import xarray as xr
from curved import GRIDS, sampled, stereographic

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError, OptionError

N = 24


def wind(**attrs):
    r = np.random.default_rng(3)
    u, v = (xr.DataArray(r.random((2, N, N)), dims=("t", "y", "x"), name=n) for n in ("U", "V"))
    return u.assign_attrs(attrs, units="m s-1"), v.assign_attrs(attrs, units="m s-1")


ANGLE = np.linspace(-1.2, 2.1, N * N).reshape(N, N)


def turned(u, v, angle=ANGLE):
    """The formula, in NumPy."""
    c, s = np.cos(angle), np.sin(angle)
    return u.values * c - v.values * s, u.values * s + v.values * c


def over_map(values, **attrs):
    return xr.DataArray(values, dims=("y", "x"), attrs=attrs)


FILES = {
    "CF": {"a": over_map(ANGLE, units="radian", standard_name="angle_of_rotation_from_east_to_x")},
    "ROMS": {"angle": over_map(ANGLE, units="radians", long_name="angle between XI-axis and EAST")},
    "in degrees": {"angle": over_map(np.rad2deg(ANGLE), units="degrees")},
    "POP": {"ANGLE": over_map(ANGLE, units="radians")},
    "CICE": {"ANGLET": over_map(ANGLE, units="radians")},
    "WRF": {
        "COSALPHA": over_map(np.cos(ANGLE)).expand_dims(t=2),
        "SINALPHA": over_map(np.sin(ANGLE)).expand_dims(t=2),
    },
    "MITgcm": {"CS": over_map(np.cos(ANGLE)), "SN": over_map(np.sin(ANGLE))},
}


@pytest.mark.parametrize("file", FILES)
def test_the_angle_of_a_file(file):
    u, v = wind()
    dataset = xr.Dataset({"U": u, "V": v, **FILES[file]})
    result = dataset.fdgrad.rotate_to_earth("U", "V")
    east, north = turned(u, v)
    np.testing.assert_allclose(result.U, east, atol=1e-14)
    np.testing.assert_allclose(result.V, north, atol=1e-14)
    assert set(result.coords) == set(u.coords)
    assert result.U.attrs == {"units": "m s-1", "long_name": "component to the east of U"}
    back = dataset.assign(result).fdgrad.rotate_to_grid("U", "V")
    np.testing.assert_allclose(back.U, u, atol=1e-14)
    np.testing.assert_allclose(back.V, v, atol=1e-14)
    again = dataset.assign(result).fdgrad.rotate_to_earth("U", "V")  # its long_name says so
    xr.testing.assert_identical(again, result)


def test_the_angle_of_a_file_along_one_row():
    dataset = xr.Dataset({**dict(zip("UV", wind(), strict=True)), **FILES["ROMS"]})
    row = dataset.isel(t=0, y=3)
    result = row.fdgrad.rotate_to_earth("U", "V")
    east, north = turned(row.U, row.V, ANGLE[3])
    np.testing.assert_allclose(result.U, east, atol=1e-14)
    np.testing.assert_allclose(result.V, north, atol=1e-14)


def test_a_given_angle_comes_first():
    u, v = wind()
    dataset = xr.Dataset({"U": u, "V": v, **FILES["ROMS"]})
    for angle in (30.0, over_map(np.full((N, N), 30.0)), xr.DataArray(np.full(N, 30.0), dims="y")):
        got = dataset.fdgrad.rotate_to_earth("U", "V", geometry=fd.Curvilinear(angle=angle))
        np.testing.assert_allclose(got.U, turned(u, v, np.pi / 6)[0], atol=1e-14)


def test_an_angle_without_units_is_not_guessed():
    u, v = (one.assign_coords(a=over_map(ANGLE)) for one in wind())
    u.coords["a"].attrs["standard_name"] = "angle_of_rotation_from_east_to_x"
    with pytest.raises(CoordinateError, match=r"'a' has the units None; set them to degrees or"):
        fd.operators.rotate_to_earth(u, v)


def axes_of(grid, n):
    """Unit vectors along x and y as (E, N), by differences of the formula over a tiny step."""
    s, t = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    lat, _ = grid(s, t)
    directions = []
    for ds, dt in ((1e-6, 0), (0, 1e-6)):
        (lat_0, lon_0), (lat_1, lon_1) = grid(s - ds, t - dt), grid(s + ds, t + dt)
        east = np.cos(np.deg2rad(lat)) * ((lon_1 - lon_0 + 180) % 360 - 180)
        length = np.hypot(east, lat_1 - lat_0)
        directions.append((east / length, (lat_1 - lat_0) / length))
    return directions


def on_grid(grid, n):
    lat, lon = sampled(grid, n)
    coords = {"lat": (("y", "x"), lat, {"units": "degrees_north", "standard_name": "latitude"})}
    coords["lon"] = (("y", "x"), lon, {"units": "degrees_east", "standard_name": "longitude"})
    (x_e, x_n), (y_e, y_n) = axes_of(grid, n)
    u, v = np.cos(np.deg2rad(lat)), np.sin(np.deg2rad(2 * lon)) * np.cos(np.deg2rad(lat))
    area = x_e * y_n - x_n * y_e
    along = (y_n * u - y_e * v) / area, (x_e * v - x_n * u) / area
    names = ("eastward_wind", "northward_wind"), ("x_wind", "y_wind")
    return [
        [
            xr.DataArray(one, coords, ("y", "x"), k, {"standard_name": name, "units": "m s-1"})
            for one, k, name in zip(pair, "uv", named, strict=True)
        ]
        for pair, named in zip(((u, v), along), names, strict=True)
    ]


@pytest.mark.parametrize("name", [*GRIDS, "stereographic"])
def test_latitude_and_longitude_of_second_order(name):
    grid = {**GRIDS, "stereographic": stereographic}[name]
    errors = []
    for n in (40, 80):
        earth, along = on_grid(grid, n)
        got = fd.operators.rotate_to_earth(*along)
        worst = [float(abs(got[k] - one).max()) for k, one in zip("uv", earth, strict=True)]
        errors.append(max(worst))
        names = [got[k].attrs["standard_name"] for k in "uv"]
        assert names == ["eastward_wind", "northward_wind"]
        back = fd.operators.rotate_to_grid(got.u, got.v)
        for k, one in zip("uv", along, strict=True):
            np.testing.assert_allclose(back[k], one, atol=1e-13)
            assert back[k].attrs["standard_name"] == one.attrs["standard_name"]
    assert errors[0] < 0.01
    assert errors[1] < max(errors[0] / 3.4, 1e-9)


def test_the_projection_of_a_forecast_against_the_convergence_of_its_meridians():
    """A Lambert map as HRRR's, whose angle pyproj knows in closed form."""
    pyproj = pytest.importorskip("pyproj")
    crs = pyproj.CRS("+proj=lcc +lat_1=38.5 +lat_2=38.5 +lat_0=38.5 +lon_0=-97.5 +R=6371229")
    axis = np.linspace(-1.5e6, 1.5e6, 101)
    coords = {
        "x": ("x", axis, {"units": "m", "standard_name": "projection_x_coordinate"}),
        "y": ("y", axis, {"units": "m", "standard_name": "projection_y_coordinate"}),
        "crs": ((), 0, crs.to_cf()),
    }
    attrs = {"grid_mapping": "crs", "units": "m s-1", "GRIB_uvRelativeToGrid": 1}
    ones = xr.DataArray(np.ones((101, 101)), coords, ("y", "x"), "u10", attrs)
    got = fd.operators.rotate_to_earth(ones, 0 * ones.rename("v10").assign_attrs(attrs))
    lon, lat = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(
        *np.meshgrid(axis, axis)
    )
    angle = -np.deg2rad(pyproj.Proj(crs).get_factors(lon, lat).meridian_convergence)
    assert abs(angle).max() > 0.1
    np.testing.assert_allclose(got.u10, np.cos(angle), atol=2e-5)
    np.testing.assert_allclose(got.v10, np.sin(angle), atol=2e-5)


def test_about_a_rotated_pole_the_true_north_counts():
    """For a pole at φ_p, sin φ = sin φ_p sin y + cos φ_p cos y cos x; north is its gradient."""
    rlat, rlon, pole = np.arange(-10.0, 11), np.arange(-15.0, 16), np.deg2rad(40)
    crs = {"grid_north_pole_latitude": 40.0, "grid_north_pole_longitude": -170.0}
    coords = {
        "rlat": ("rlat", rlat, {"standard_name": "grid_latitude", "units": "degrees"}),
        "rlon": ("rlon", rlon, {"standard_name": "grid_longitude", "units": "degrees"}),
        "crs": ((), 0, {"grid_mapping_name": "rotated_latitude_longitude", **crs}),
    }
    u = xr.DataArray(np.full((21, 31), 10.0), coords, ("rlat", "rlon"), "u")
    u.attrs = {"standard_name": "x_wind", "grid_mapping": "crs"}
    v = (0 * u).rename("v").assign_attrs(u.attrs, standard_name="y_wind")
    y, x = np.deg2rad(rlat)[:, None], np.deg2rad(rlon)
    north_x = -np.cos(pole) * np.sin(x) + 0 * y
    north_y = np.sin(pole) * np.cos(y) - np.cos(pole) * np.sin(y) * np.cos(x)
    length = np.hypot(north_x, north_y)
    result = fd.operators.rotate_to_earth(u, v)
    np.testing.assert_allclose(result.u, 10 * north_y / length, atol=0.02)
    np.testing.assert_allclose(result.v, 10 * north_x / length, atol=0.02)


def test_what_points_there_already_stays_as_it_is():
    u, v = wind(GRIB_uvRelativeToGrid=0)
    assert fd.operators.rotate_to_earth(u, v, geometry=fd.Curvilinear(angle=30.0)).U.identical(u)
    forced = fd.Curvilinear(angle=30.0, components="grid")
    got = fd.operators.rotate_to_earth(u, v, geometry=forced)
    np.testing.assert_allclose(got.U, turned(u, v, np.pi / 6)[0], atol=1e-14)


@pytest.mark.parametrize(
    ("along_grid", "to_earth"),
    [
        ("x_wind", "eastward_wind"),
        ("grid_eastward_wind", "eastward_wind"),
        ("sea_water_x_velocity", "eastward_sea_water_velocity"),
        ("surface_downward_x_stress", "surface_downward_eastward_stress"),
    ],
)
def test_standard_names(along_grid, to_earth):
    u, v = wind()
    u.attrs["standard_name"], v.attrs["standard_name"] = along_grid, along_grid.replace("x_", "y_")
    v.attrs["standard_name"] = v.attrs["standard_name"].replace("east", "north")
    angle = fd.Curvilinear(angle=30.0)
    got = fd.operators.rotate_to_earth(u, v, geometry=angle)
    assert got.U.attrs["standard_name"] == to_earth
    assert got.V.attrs["standard_name"] == to_earth.replace("east", "north")
    back = fd.operators.rotate_to_grid(got.U, got.V, geometry=angle)
    assert back.U.attrs["standard_name"] == along_grid.replace("grid_eastward", "x")


def test_on_longitude_and_latitude_nothing_turns():
    axis = np.linspace(-60, 60, N)
    coords = {
        "y": ("y", axis, {"units": "degrees_north"}),
        "x": ("x", axis, {"units": "degrees_east"}),
    }
    u, v = (one.assign_coords(coords) for one in wind())
    got = fd.operators.rotate_to_earth(u, v)
    np.testing.assert_array_equal(got.U, u)
    np.testing.assert_array_equal(got.V, v)


def test_where_east_is_must_be_known():
    u, v = wind()
    with pytest.raises(CoordinateError):
        fd.operators.rotate_to_earth(u, v)
    plane = {k: (k, np.arange(float(N)), {"units": "km"}) for k in "yx"}
    with pytest.raises(CoordinateError, match=r"where east is.*'U'.*Curvilinear\(angle=…\)"):
        fd.operators.rotate_to_earth(u.assign_coords(plane), v.assign_coords(plane))
    with pytest.raises(OptionError, match="one to the east or north and one along"):
        fd.operators.rotate_to_earth(
            u.assign_attrs(standard_name="x_wind"), v.assign_attrs(standard_name="northward_wind")
        )


def test_which_dimension_is_x_must_be_known():
    _, along = on_grid(stereographic, 12)
    u, v = (one.rename(y="b", x="a") for one in along)
    with pytest.raises(OptionError, match="of 'b' and 'a' is x cannot be inferred"):
        fd.operators.rotate_to_earth(u, v)


def test_lazy_and_of_the_kind_of_the_input():
    u, v = (one.astype("float32") for one in wind())
    geometry = fd.Curvilinear(angle=over_map(np.rad2deg(ANGLE)))
    want = fd.operators.rotate_to_earth(u, v, geometry=geometry)
    assert want.U.dtype == np.float32
    lazy = fd.operators.rotate_to_earth(u.chunk(y=5, t=1), v.chunk(y=5, t=1), geometry=geometry)
    assert isinstance(lazy.U.data, da.Array)
    assert lazy.U.chunks == u.chunk(y=5, t=1).chunks
    np.testing.assert_array_equal(lazy.U, want.U)
    on_jax = [one.copy(data=jax.numpy.asarray(one.values)) for one in (u, v)]

    @jax.jit
    def speed(a, b):
        made = fd.operators.rotate_to_earth(
            on_jax[0].copy(data=a), on_jax[1].copy(data=b), geometry=geometry
        )
        return made.U.data**2 + made.V.data**2

    got = speed(on_jax[0].data, on_jax[1].data)
    assert isinstance(got, jax.Array)
    np.testing.assert_allclose(got, u.values**2 + v.values**2, rtol=1e-5)
