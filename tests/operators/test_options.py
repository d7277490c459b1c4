"""Options that become the stencils of an axis: what is periodic, and how long."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import A, degrees, plane
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.operators.options import list_fields, required_fields

RNG = np.random.default_rng(0)


def noise(grid, *dims, name="f"):
    shape = [grid.sizes[dim] for dim in dims]
    return xr.DataArray(RNG.normal(size=shape), grid.coords, dims, name)


def around(values, width, axis):
    """Central differences of what is periodic, ``width`` from point to point after next."""
    return (np.roll(values, -1, axis) - np.roll(values, 1, axis)) / width


def test_a_longitude_around_the_globe_has_no_ends():
    f = noise(degrees(np.arange(-60.0, 61, 30), np.arange(0.0, 360, 45)), "lat", "lon")
    width = np.deg2rad(90) * A * np.cos(np.deg2rad(f["lat"].values))[:, None]
    made = op.horizontal_gradient(f)["df_dx"]
    assert_allclose(made, around(f.values, width, 1), rtol=1e-9)


@pytest.mark.parametrize("dim", ["x", "y"])
def test_either_axis_of_a_plane_may_be_periodic(dim):
    """0.1, 0.2, 0.3, … are even, whose steps differ by rounding."""
    f = noise(plane(0.1 * np.arange(7), 0.1 * np.arange(8)), "y", "x")
    made = op.horizontal_gradient(f, boundary={dim: "periodic"})
    axis = f.get_axis_num(dim)
    assert_allclose(made[f"df_d{dim}"], around(f.values, 0.2, axis), rtol=1e-9)
    other = {"x": "y", "y": "x"}[dim]
    assert_allclose(made[f"df_d{other}"], np.gradient(f, 0.1, axis=1 - axis), rtol=1e-9)


def test_an_uneven_axis_is_not_periodic_where_there_is_no_option_for_its_period():
    grid = plane([0.0, 1, 3, 4, 9], np.arange(4.0)).assign_coords(lev=[0.0, 1, 3, 4])
    u, v, s, w = (noise(grid, "lev", "y", "x", name=name) for name in "uvsw")
    s["lev"].attrs.update(units="m", positive="up")
    u, v, w = (one.assign_coords(lev=s["lev"]).assign_attrs(units="m s-1") for one in (u, v, w))
    for dim in ("x", "lev"):
        text = f"'{dim}' is periodic but unevenly spaced, so .*; interpolate to even spacing"
        with pytest.raises(OptionError, match=text):
            op.advection(u, v, s, w, boundary={dim: "periodic"})


LONGITUDES = {  # that are said to be periodic → how long the gap from the last to the first is
    "a circle": (np.arange(-180.0, 180, 30), {}, 30),
    "a circle, from east to west": (np.arange(180.0, -180, -30), {}, -30),
    "a missing point": (np.arange(-150.0, 180, 30), {}, 60),
    "a circle of 400 degrees": (np.arange(0.0, 360, 30), {"period": 400.0}, 70),
}


@pytest.mark.parametrize(("lon", "options", "gap"), LONGITUDES.values(), ids=LONGITUDES)
def test_a_longitude_has_a_period_unless_another_is_given(lon, options, gap):
    f = noise(degrees([0.0, 1], lon), "lat", "lon")
    made = op.gradient(f, "lon", boundary={"lon": "periodic"}, **options)
    points = np.concatenate([[lon[0] - gap], lon, [lon[-1] + gap]])
    expected = np.gradient(np.pad(f, ((0, 0), (1, 1)), mode="wrap"), points, axis=1)[:, 1:-1]
    assert_allclose(made, expected, rtol=1e-9)


@pytest.mark.parametrize("lon", [np.arange(-180.0, 181, 30), np.arange(190.0, -200, -30)])
def test_a_longitude_whose_ends_meet_is_refused(lon):
    f = noise(degrees([0.0, 1], lon), "lat", "lon")
    text = r"the period 360 of 'lon' must be longer than the \d+ from its first point to its last"
    with pytest.raises(CoordinateError, match=text):
        op.gradient(f, "lon", boundary={"lon": "periodic"})
    assert op.gradient(f, "lon").shape == f.shape


def test_a_period_is_one_of_a_periodic_axis():
    f = noise(degrees([0.0, 1], np.arange(0.0, 90, 30)), "lat", "lon")
    with pytest.raises(OptionError, match="period"):
        op.gradient(f, "lon", period=400.0)


def test_a_dimension_is_no_field():
    assert list_fields(op.gradient) == ["field"]
    assert list_fields(op.advection) == ["u", "v", "scalar", "w"]
    assert required_fields(op.advection) == ["u", "v", "scalar"]
