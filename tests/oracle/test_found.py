"""The faults that the soak found, each as small as it can be."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask import operators as op


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
