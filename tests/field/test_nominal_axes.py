"""1-D axes that only name rows and columns do not hide the true 2-D places (F5; cases 5a to 5g)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import EAST, NORTH, PER_DEGREE, bipolar_cap, right_or_refused, rotation_on, worst

from fdgrad_dask.errors import CoordinateError

X, Y, LAT, LON = bipolar_cap()
INSIDE = (slice(2, -2), slice(4, 26))  # away from the fold and from the two poles of the grid


def of_model(names: tuple[str, ...], attrs: tuple[dict, dict]) -> xr.Dataset:
    """A latitude in K and a rotation in the cap: nominal y and x, latitude, longitude."""
    y, x, lat, lon = names
    ds = rotation_on(LAT, LON, dims=(y, x)).assign(f=((y, x), LAT, {"units": "K"}))
    return ds.assign_coords(
        {
            y: (y, Y, attrs[0]),
            x: (x, X, attrs[1]),
            lat: ((y, x), LAT, NORTH),
            lon: ((y, x), LON, EAST),
        }
    )


MODELS = {
    "MOM6": (("yh", "xh", "geolat", "geolon"), (NORTH, EAST)),
    "MOM5": (
        ("yt_ocean", "xt_ocean", "geolat_t", "geolon_t"),
        ({"units": "degrees_N", "axis": "Y"}, {"units": "degrees_E", "axis": "X"}),
    ),
    "NEMO": (("y", "x", "nav_lat", "nav_lon"), (NORTH, EAST)),
    "rotated names": (
        ("rlat", "rlon", "lat", "lon"),
        (
            {"units": "degrees", "standard_name": "grid_latitude"},
            {"units": "degrees", "standard_name": "grid_longitude"},
        ),
    ),
}


@pytest.mark.parametrize("model", MODELS)
def test_the_true_places_count(model):
    ds = of_model(*MODELS[model])
    g = ds.f.fdgrad.horizontal_gradient().isel(dict(zip(ds.f.dims, INSIDE, strict=True)))
    np.testing.assert_allclose(g.df_dy, PER_DEGREE, rtol=0.05)
    assert abs(g.df_dx).max() < 0.05 * PER_DEGREE


@pytest.mark.parametrize("model", MODELS)
def test_vorticity_on_the_true_places(model):
    ds = of_model(*MODELS[model])
    z = ds.fdgrad.vorticity("u", "v")
    assert worst(z[INSIDE], ds.true[INSIDE]) < 0.05


def test_the_true_places_by_the_command(run):
    ds = of_model(*MODELS["MOM6"])
    made = run(ds[["u", "v"]], ("vorticity", ["u", "v"], "z"))
    assert worst(made.z[INSIDE], ds.true[INSIDE]) < 0.05
    static = ds[["u", "v"]].reset_coords(["geolat", "geolon"])
    again = run(static, ("vorticity", ["u", "v"], "z"))
    np.testing.assert_array_equal(again.z, made.z)
    assert {*again.z.coords} == {"yh", "xh"}


@pytest.mark.parametrize("model", ["MOM6", "NEMO"])
def test_the_true_places_count_as_variables_of_the_dataset(model):
    """As after ds.merge(static), where they are no coordinates, and results have none."""
    names, attrs = MODELS[model]
    ds = of_model(names, attrs).reset_coords(names[2:])
    g = ds.fdgrad.horizontal_gradient("f")
    inside = g.isel(dict(zip(ds.f.dims, INSIDE, strict=True)))
    np.testing.assert_allclose(inside.df_dy, PER_DEGREE, rtol=0.05)
    assert abs(inside.df_dx).max() < 0.05 * PER_DEGREE
    z = ds.fdgrad.vorticity("u", 1 * ds.v.assign_attrs(ds.v.attrs))
    assert worst(z[INSIDE], ds.true[INSIDE]) < 0.05
    assert {*g.coords} == {*z.coords} == {*ds.f.coords} == {*names[:2]}
    assert "curvilinear" in repr(ds.fdgrad)
    with pytest.raises(CoordinateError, match="the geometry of 'f' is Curvilinear"):
        ds.fdgrad.truncate("f", truncation=5)


def test_variables_that_are_places_are_compared_or_refused():
    names, attrs = MODELS["MOM6"]
    ds = of_model(names, attrs).reset_coords(names[2:])
    lazy = ds.chunk(yh=5)
    for name in ("geolat", "geolon"):
        with pytest.raises(CoordinateError, match=f"{name}=….{name}.load"):
            lazy.fdgrad.laplacian("f")
        lazy = lazy.assign_coords({name: lazy[name].load()})
    np.testing.assert_array_equal(lazy.fdgrad.laplacian("f"), ds.fdgrad.laplacian("f"))
    # Two pairs over the same dimensions: nothing says which is that of the field.
    both = ds.assign(geolat_u=ds.geolat + 1, geolon_u=ds.geolon)
    straight = ds.drop_vars(names[2:])
    xr.testing.assert_identical(
        both.fdgrad.gradient_magnitude("f"), straight.fdgrad.gradient_magnitude("f")
    )
    of_f = both.assign(f=both.f.assign_attrs(coordinates="geolat geolon"))
    xr.testing.assert_equal(of_f.fdgrad.gradient_magnitude("f"), ds.fdgrad.gradient_magnitude("f"))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_two_dimensional_copies_of_straight_axes_change_nothing(dtype):
    """In float32, and a turn of 360° apart, they are the same places."""
    lat, lon = np.arange(30.0, 60, 2.1), np.arange(200.0, 240, 2.1)
    ds = rotation_on(*np.meshgrid(lat, lon, indexing="ij"), dims=("lat", "lon"))
    ds = ds.assign_coords(lat=("lat", lat, NORTH), lon=("lon", lon, EAST))
    two = np.meshgrid(lat, lon - 360, indexing="ij")
    both = ds.assign_coords(
        nav_lat=(("lat", "lon"), two[0].astype(dtype), NORTH),
        nav_lon=(("lat", "lon"), two[1].astype(dtype), EAST),
    )
    z = both.fdgrad.vorticity("u", "v")
    np.testing.assert_array_equal(z, ds.fdgrad.vorticity("u", "v"))
    assert z.attrs["horizontal_geometry"] == "sphere"


def test_places_that_contradict_each_other_are_not_passed_over():
    """Of a grid that is straight by its axes, and shifted by its 2-D places: 2-D, or refused."""
    lat, lon = np.arange(30.0, 60, 2.0), np.arange(200.0, 240, 2.0)
    shifted = np.meshgrid(lat + 5, lon, indexing="ij")
    ds = rotation_on(*shifted, dims=("lat", "lon"))
    ds = ds.assign_coords(
        lat=("lat", lat, NORTH),
        lon=("lon", lon, EAST),
        nav_lat=(("lat", "lon"), shifted[0], NORTH),
        nav_lon=(("lat", "lon"), shifted[1], EAST),
    )

    def judge(z):
        assert worst(z[1:-1, 1:-1], ds.true[1:-1, 1:-1]) < 5e-3

    right_or_refused(lambda: ds.fdgrad.vorticity("u", "v"), "nav_lat", judge)
