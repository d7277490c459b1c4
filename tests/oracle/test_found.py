"""The faults that the soak found, each as small as it can be."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import FdgradError


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
