"""The faults that the soak found, each as small as it can be."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import FdgradError
from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.table import stencil


def sphere(lat: np.ndarray, lon: np.ndarray, *names: str) -> list[xr.DataArray]:
    """Noise in latitude and longitude."""
    made = np.random.default_rng(1)
    coords = {
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    shape = len(lat), len(lon)
    return [
        xr.DataArray(made.standard_normal(shape), coords, ("lat", "lon"), name, {"units": "m s-1"})
        for name in names
    ]


def test_caps_of_fine_grids_keep_their_digits():
    """1 − sin φ has lost seven of them 0.05° from a pole."""
    u, v = sphere(90 - 0.05 * np.arange(5.0), np.arange(0, 360, 60.0), "u", "v")
    step = np.deg2rad(np.longdouble(90) - np.longdouble(float(u.lat[1])))
    area = 2 * np.sin(step / 2) ** 2
    mean = u.values.astype(np.longdouble).mean(1)
    around = np.sin(step) * mean[1] / (6371229 * area)
    np.testing.assert_allclose(op.vorticity(u, v).values[0], float(around), rtol=1e-12)
    cap = 2 * np.sin(step / 4) ** 2
    flux = (mean[1] - mean[0]) / step * np.sin(step / 2) / (np.longdouble(6371229) ** 2 * cap)
    np.testing.assert_allclose(op.laplacian(u).values[0], float(flux), rtol=1e-12)


@pytest.mark.parametrize("dim", ["Z", "height_of_levels", "level"])
def test_levels_are_found_by_any_name_of_their_dimension(dim):
    attrs = {"axis": "Z", "standard_name": "height_of_levels"}
    coords = {"level": ("k", [1.0, 2.0, 4.0], attrs)}
    f = xr.DataArray(np.arange(6.0).reshape(3, 2) ** 2, coords, ("k", "x"), "f")
    z = xr.DataArray(np.arange(1.0, 7).reshape(3, 2) ** 1.5, dims=("k", "x"), name="z")
    for levels in (z, z[:, 0]):
        expected = f.fdgrad.gradient("k", coordinate=levels)
        xr.testing.assert_identical(f.fdgrad.gradient(dim, coordinate=levels), expected)


@pytest.mark.parametrize("ends", [(None, None), [None, None]])
def test_a_pair_of_open_ends_is_an_open_axis(ends):
    """Metric terms took two of them for a boundary condition, and had other edge rows."""
    made = np.random.default_rng(2)
    u, v = (xr.DataArray(made.standard_normal((6, 7)), dims=("y", "x")) for _ in "uv")
    grid = fd.Curvilinear(dx=xr.DataArray(3e3 + 50 * np.arange(6.0) ** 2, dims="y"), dy=2e3)
    expected = op.kinematics(u, v, geometry=grid)
    xr.testing.assert_identical(
        op.kinematics(u, v, geometry=grid, boundary={"y": ends, "x": ends}), expected
    )


REFUSED = {
    "no field": (lambda u, v: op.vorticity(u, None), "v is a NoneType"),
    "no scalar": (lambda u, v: op.laplacian(None), "field is a NoneType"),
    "no radius": (lambda u, v: op.vorticity(u, v, geometry=fd.Sphere(0.0)), "radius"),
    "NaN as radius": (lambda u, v: op.laplacian(u, geometry=fd.Sphere(np.nan)), "radius"),
    "a word as radius": (lambda u, v: op.laplacian(u, geometry=fd.Sphere("big")), "radius"),
    "a word as period": (
        lambda u, v: op.gradient(u, "lat", boundary="periodic", period="x"),
        "period is 'x'",
    ),
    "a list as period": (
        lambda u, v: op.gradient(u, "lat", boundary="periodic", period=[360.0]),
        "period is",
    ),
    "labels of another kind": (
        lambda u, v: op.divergence(u, v.assign_coords(lat=v.lat.values.astype(str))),
        "different points",
    ),
    "dates as a wind": (lambda u, v: op.divergence(u, v.astype("datetime64[s]")), "datetime64"),
    "latitudes periodic at one end": (
        lambda u, v: op.vorticity(u, v, boundary={"lat": ("periodic", 0.0)}),
        "at both ends",
    ),
    "one latitude of it": (lambda u, v: op.vorticity(u, v.isel(lat=0)), "at one 'lat'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_is_refused(case):
    """These gave numbers, or an error from inside."""
    call, words = REFUSED[case]
    u, v = sphere(10.0 + np.arange(5), 20.0 * np.arange(6), "u", "v")
    with pytest.raises(FdgradError, match=words):
        call(u, v)


@pytest.mark.parametrize("sizes", [(3, 4), (1,) * 7])
def test_factors_along_other_axes_are_cut_where_no_halo_is_needed(sizes):
    """Of one chunk along the only axis of a difference they were whole, beside a part of a field.

    A chunk of one point was broadcast to all of theirs, so that the result had too many.
    """
    made = np.random.default_rng(3)
    dims = {"u": ("yc", "xf"), "v": ("yf", "xc"), "center": ("yc", "xc"), "corner": ("yf", "xf")}
    u, v = (xr.DataArray(made.standard_normal((7, 5)), dims=dims[at], name=at) for at in "uv")
    length = {at: xr.DataArray(1 + made.random((7, 5)), dims=dims[at]) for at in dims}
    grid = fd.Grid(
        x={"center": "xc", "left": "xf"},
        y={"center": "yc", "right": "yf"},
        dx=length,
        dy=length,
        boundary={"x": "periodic", "y": "periodic"},
    )
    (want,) = op.kinematics(u, v, geometry=grid, which=["total_deformation"]).values()
    lazy = u.chunk(yc=sizes), v.chunk(yf=sizes)
    (found,) = op.kinematics(*lazy, geometry=grid, which=["total_deformation"]).values()
    np.testing.assert_array_equal(found.compute().values, want.values)


def test_there_is_no_cell_beyond_the_last_face():
    """Where the grid has all faces, a difference to beyond the wall was averaged in."""
    s = xr.DataArray(np.arange(12.0).reshape(3, 4) ** 2, dims=("yf", "xc"), name="s")
    grid = fd.Grid(
        x={"center": "xc", "outer": "xf"},
        y={"center": "yc", "outer": "yf"},
        dx={"corner": xr.DataArray(np.ones((3, 5)), dims=("yf", "xf"))},
        dy={"center": xr.DataArray(np.ones((2, 4)), dims=("yc", "xc"))},
        boundary={"y": 0.0},
    )
    found = op.gradient_magnitude(s, geometry=grid).values
    middle = np.hypot((s[1, 2] - s[1, 0]) / 2, (s[2, 1] - s[0, 1]) / 2)
    np.testing.assert_allclose(found, [[np.nan] * 4, [np.nan, middle, *found[1, 2:]], [np.nan] * 4])


def test_a_cell_may_be_half_of_the_globe():
    """Its length was negative, and small lengths had lost digits to the 180 degrees added."""
    lat, faces = np.array([10.0, 20.0, 30.0]), np.array([20.25, 110.25, 290.25])
    coords = {
        "yf": ("yf", lat - 5, {"units": "degrees_north"}),
        "xf": ("xf", faces, {"units": "degrees_east"}),
    }
    centers = {
        "yc": ("yc", lat, {"units": "degrees_north"}),
        "xc": ("xc", [65.25, 200.25, 335.25], {"units": "degrees_east"}),
    }
    share = xr.DataArray(np.ones((3, 3)), centers, ("yc", "xc"))
    grid = fd.Grid(
        x={"center": "xc", "left": "xf"},
        y={"center": "yc", "left": "yf"},
        fraction={"center": share},
        boundary={"x": "periodic"},
        radius=1.0,
    )
    v = xr.DataArray(np.tile([0.0, 1.0, 3.0], (3, 1)), coords, ("yf", "xf"), "v")
    found = op.vorticity((0 * v).rename("u"), v, geometry=grid).values[:2]
    steps, band = np.deg2rad([90.0, 180.0, 90.0]), np.diff(np.sin(np.deg2rad([5.0, 15, 25])))
    expected = np.deg2rad(10.0) * np.array([1.0, 2.0, -3.0]) / (band[:, None] * steps)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_chunks_of_jax_keep_their_digits_beside_walls():
    """A row of zeros was appended in a thread that knew nothing of 64 bits: float32, in silence."""
    made = np.random.default_rng(4)
    dims = {"u": ("yc", "xf"), "v": ("yf", "xc"), "center": ("yc", "xc")}
    shape = {"u": (4, 3), "v": (3, 4), "center": (4, 4)}
    u, v = (xr.DataArray(made.standard_normal(shape[at]), dims=dims[at], name=at) for at in "uv")
    length = {at: xr.DataArray(1 + made.random(shape[at]), dims=dims[at]) for at in dims}
    grid = fd.Grid(
        x={"center": "xc", "inner": "xf"},
        y={"center": "yc", "inner": "yf"},
        dx=length,
        dy=length,
        boundary={"x": 0.0, "y": 0.0},
    )
    want = op.divergence(u, v, geometry=grid)
    lazy = (fd.to_device(one.chunk({one.dims[0]: 2})) for one in (u, v))
    found = op.divergence(*lazy, geometry=grid).compute(scheduler="threads")
    assert found.dtype == np.float64
    np.testing.assert_allclose(np.asarray(found), want, rtol=1e-14)


def test_factors_go_on_beyond_a_number_on_jax_arrays_too():
    """They were zero there, so the flux of a given wind through a wall was none."""
    u, v = sphere(20 + 2.0 * np.arange(5), 3.0 * np.arange(6), "u", "v")
    u = xr.zeros_like(u)
    want = op.divergence(u, v, boundary={"lat": 1.5})
    width = np.cos(np.deg2rad(v.lat.values))
    flux = 1.5 * width[-1] - v.values[-2] * width[-2]
    by_hand = flux / (2 * np.deg2rad(2.0) * 6371229 * width[-1])
    np.testing.assert_allclose(want.values[-1], by_hand, rtol=2e-3)
    with jax.enable_x64(True):
        put = [one.copy(data=jax.numpy.asarray(one.values)) for one in (u, v)]
    found = op.divergence(*put, boundary={"lat": 1.5})
    np.testing.assert_array_equal(found.values, want.values)


def test_a_wind_one_of_whose_components_was_transposed():
    """Its 2-D latitude is so too, and was taken for that of other points."""
    lon, lat = np.meshgrid(3.0 * np.arange(6), 20 + 2.0 * np.arange(5))
    coords = {
        "lat": (("y", "x"), lat, {"units": "degrees_north"}),
        "lon": (("y", "x"), lon, {"units": "degrees_east"}),
    }
    made = np.random.default_rng(4)
    u, v = (xr.DataArray(made.standard_normal((5, 6)), coords, ("y", "x"), name) for name in "uv")
    grid = fd.Curvilinear(components="grid")
    want = op.vorticity(u, v, geometry=grid)
    for given in ((u, v.transpose()), (u.transpose(), v)):
        found = op.vorticity(*given, geometry=grid).transpose("y", "x")
        np.testing.assert_array_equal(found.values, want.values)


@pytest.mark.parametrize(("order", "accuracy"), [(1, 2), (1, 4), (2, 2), (2, 6)])
def test_steps_of_a_number_have_no_places_to_round(order, accuracy):
    """Around a seam of another length they were differences of i · 0.1, off by n roundings."""
    n, half = 20_000, accuracy // 2
    f = np.arange(n) * 37 % 100.0
    uneven = stencil(
        0.1, n, order=order, accuracy=accuracy, boundary=("periodic",) * 2, period=0.1 * n + 0.05
    )
    found = differentiate(f, 0, uneven)[half:-half]
    even = differentiate(f, 0, stencil(0.1, n, order=order, accuracy=accuracy))[half:-half]
    size = 4 * 99 / 0.1**order
    np.testing.assert_allclose(found, even, rtol=0, atol=4 * 2.0**-53 * size)
