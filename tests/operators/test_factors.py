"""Metric terms at domain boundaries: as many ghost rows in chunks as in memory."""

import numpy as np
import pytest
import xarray as xr
from fields import degrees

import fdgrad_dask as fd
from fdgrad_dask import operators as op

VALUES = np.random.default_rng(0).random((2, 13, 16))
WIND = {k: (("lat", "lon"), f) for k, f in zip("uv", VALUES, strict=True)}
SECTOR = degrees(np.linspace(20, 56, 13), 5 + 3 * np.arange(16.0)).assign(WIND)


@pytest.mark.parametrize("boundary", [None, "extend", "reflect", 0.5, (None, 2.0)])
def test_a_metric_term_has_the_same_ghost_rows_in_chunks(boundary):
    """A factor of one dimension is cut on the host; at a domain boundary nothing lies beyond it."""
    chunked = SECTOR.chunk(lat=(5, 8), lon=(9, 7))
    expected = op.vorticity(SECTOR.u, SECTOR.v, boundary={"lat": boundary})
    found = op.vorticity(chunked.u, chunked.v, boundary={"lat": boundary})
    np.testing.assert_array_equal(found.compute(), expected)


@pytest.mark.parametrize("angle", [20.0, "lat", "lon"])
@pytest.mark.parametrize("dx", [3e3, "lat", "lon"])
def test_metric_terms_that_vary_along_one_axis_are_those_of_both(dx, angle):
    def spread(value, size):
        if not isinstance(value, str):
            return value, xr.full_like(SECTOR.u, value)
        line = xr.DataArray(size * (1 + 0.1 * np.cos(np.arange(SECTOR.sizes[value]))), dims=value)
        return line, (line + xr.zeros_like(SECTOR.u)).transpose("lat", "lon")

    (dx, wide_dx), (angle, wide_angle) = (
        spread(value, size) for value, size in ((dx, 3e3), (angle, 20.0))
    )
    thin = fd.Curvilinear(dx=dx, dy=2e3, angle=angle, components="earth")
    dy = xr.full_like(SECTOR.u, 2e3)
    wide = fd.Curvilinear(dx=wide_dx, dy=dy, angle=wide_angle, components="earth")
    chunked = SECTOR.chunk(lat=(5, 8), lon=(9, 7))
    options = {"boundary": {"lat": 0.5, "lon": "periodic"}}
    expected = op.kinematics(SECTOR.u, SECTOR.v, geometry=wide, **options)
    found = op.kinematics(SECTOR.u, SECTOR.v, geometry=thin, **options)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12)
    xr.testing.assert_identical(
        op.kinematics(chunked.u, chunked.v, geometry=thin, **options).compute(), found
    )
