"""The rows beside the poles: fluxes vanish at a pole, whether it is a row of the grid or not."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import A, degrees
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask import operators as op

POLES = {  # latitudes; at which of the two ends a pole is beside the last row
    "half a step away": (np.arange(-85.0, 86, 10), (True, True)),
    "a step away": (np.arange(-80.0, 81, 10), (True, True)),
    "a step away to rounding": (90 - 0.1 * np.arange(1, 9), (True, False)),
    "half a degree away, from the north": (np.arange(89.5, 80, -1), (True, False)),
    "half a degree away, in the south": (np.arange(-89.5, -80), (True, False)),
    "more than a step away": (np.arange(-75.0, 76, 10), (False, False)),
    "uneven": (np.array([-86.0, -80, -60, 0, 30, 70, 80]), (True, True)),
}


def component(lat):
    """Noise, on a sector."""
    grid = degrees(lat, np.arange(0.0, 50, 10))
    shape = len(lat), 5
    return xr.DataArray(
        np.random.default_rng(0).normal(size=shape), grid.coords, ("lat", "lon"), "v"
    ).assign_attrs(units="m s-1")


def flux_per_metre(v, at_poles):
    """∂(v cos φ)/∂φ / (a cos φ) in NumPy, with a row of 0 at each pole that counts."""
    y = np.deg2rad(v["lat"].values)
    flux = np.cos(y)[:, None] * v.values
    ends = tuple(map(int, at_poles))
    south, north = np.copysign(np.pi / 2, y[[0, -1]])
    points = np.concatenate([[south][: ends[0]], y, [north][: ends[1]]])
    slope = np.gradient(np.pad(flux, (ends, (0, 0))), points, axis=0)
    return slope[ends[0] : len(slope) - ends[1]] / (A * np.cos(y)[:, None])


@pytest.mark.parametrize("skipna", [None, "one-sided"])
@pytest.mark.parametrize(("lat", "at_poles"), POLES.values(), ids=POLES)
def test_where_a_pole_is_beside_the_last_row_nothing_flows_through_it(lat, at_poles, skipna):
    v = component(lat[::-1] if lat[0] > lat[-1] else lat).sel(lat=lat)
    found = op.divergence(0 * v, v, skipna=skipna)
    assert_allclose(found, flux_per_metre(v, at_poles), rtol=1e-9, atol=1e-18)
    assert_array_equal(op.vorticity(v, 0 * v, skipna=skipna), -found)


def test_what_is_said_of_the_end_holds_beside_a_pole_too():
    v = component(POLES["half a step away"][0])
    c = np.cos(np.deg2rad(v["lat"].values))[:, None]
    flux = np.pad(c * v.values, ((1, 1), (0, 0)), mode="edge")
    expected = (flux[2:] - flux[:-2]) / (2 * np.deg2rad(10) * A * c)
    found = op.divergence(0 * v, v, boundary={"lat": "extend"}, skipna=None)
    assert_allclose(found, expected, rtol=1e-9, atol=1e-18)
    stepped = op.divergence(0 * v, v, boundary={"lat": "extend"}, skipna="one-sided")
    assert_allclose(stepped, expected, rtol=1e-9, atol=1e-18)
    missing = op.divergence(0 * v, v, boundary={"lat": np.nan})
    assert np.isnan(missing[[0, -1]]).all()
    assert_allclose(missing[1:-1], expected[1:-1], rtol=1e-9, atol=1e-18)
