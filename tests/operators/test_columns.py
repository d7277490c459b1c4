"""Curvilinear grids around the globe, in files that repeat columns at both ends of x."""

from __future__ import annotations

import model_cases as cases
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

import fdgrad_dask  # noqa: F401

N = 72
CALLS = {
    "vorticity": "u v",
    "advection": "u v t",
    "gradient_magnitude": "t",
    "laplacian": "t",
    "kinematics": "u v",
}


def around(repeated, y="y"):
    """A wind and a temperature on so many columns more than there are."""
    columns = (np.arange(N + repeated) - repeated // 2) % N
    lon, lat = np.meshgrid(360 / N * columns, np.linspace(-60, 60, 25))
    dims = (y, "x")
    names = ("u", "eastward_wind"), ("v", "northward_wind"), ("t", "air_temperature")
    values = cases.u(lon, lat), cases.v(lon, lat), cases.scalar(lon, lat)
    ds = xr.Dataset(
        {
            name: (dims, one, {"units": "K" if name == "t" else "m s-1", "standard_name": standard})
            for (name, standard), one in zip(names, values, strict=True)
        },
        {"lat": (dims, lat, cases.NORTH), "lon": (dims, lon, cases.EAST)},
    )
    return ds, columns


@pytest.mark.parametrize("accuracy", [2, 4])
@pytest.mark.parametrize("repeated", [1, 2, 3])
@pytest.mark.parametrize("name", CALLS)
def test_columns_that_are_there_twice_are_one(name, repeated, accuracy):
    """The bits of the grid without them: the first and the last column were NaN, or one-sided."""
    options = {"boundary": {"x": "periodic"}, "accuracy": accuracy}
    ds, columns = around(repeated)
    whole, once, lazily = (
        getattr(one.fdgrad, name)(*CALLS[name].split(), **options)
        for one in (ds, around(0)[0], ds.chunk(x=20).assign_coords(ds.coords))
    )
    assert lazily.chunks
    xr.testing.assert_identical(lazily.compute(), whole)
    pairs = [(whole, once)] if name != "kinematics" else [(whole[n], once[n]) for n in whole]
    for twice, one in pairs:
        assert_array_equal(twice.values, one.values[:, columns])


def test_lazy_places_and_another_axis_are_what_they_were():
    ds, _ = around(2)
    lazily = ds.assign_coords(lat=ds.lat.chunk(), lon=ds.lon.chunk())
    made = lazily.t.fdgrad.gradient_magnitude(boundary={"x": "periodic"})
    assert_array_equal(made.isnull().all("y").values.nonzero()[0], [0, N + 1])
    turned = ds.rename(x="y", y="x").t.fdgrad.gradient_magnitude(boundary={"y": "periodic"})
    assert turned[:, [0, -1]].isnull().all()
