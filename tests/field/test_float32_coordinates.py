"""Coordinates that are regular but for the rounding of float32 (F15; cases 9h, 9i)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import DEGREE, A

STEPS = {"0.25": (0.25, 0.0), "1/12": (1 / 12, -180.0), "0.04": (0.04, 300.0)}
STEPS |= {"1/48": (1 / 48, 300.0), "0.01": (0.01, -179.995)}
N = 400


def wave(step: float, start: float, dtype: str) -> tuple[xr.DataArray, xr.DataArray]:
    """A wave of 30° along float32 longitudes, and what stands at the same places in float64."""
    lon = start + np.arange(N) * step
    f = xr.DataArray(np.sin(12 * DEGREE * (lon - start)), dims="lon", name="f")
    return f.assign_coords(lon=("lon", lon.astype("f4"), {"units": "degrees_east"})).astype(dtype)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_second_derivative(step, dtype):
    f = wave(*STEPS[step], dtype)
    made = f.fdgrad.gradient("lon", order=2)
    k2 = (12 * DEGREE) ** 2
    # float32 data carry rounding of 6e-8, which a second difference divides by the step squared.
    noise = 4 * 6e-8 / (12 * DEGREE * STEPS[step][0]) ** 2 if dtype == "f4" else 0.0
    assert abs(made + k2 * f)[1:-1].max() / k2 < 1e-3 + noise


@pytest.mark.parametrize("step", STEPS)
def test_first_derivative(step):
    f = wave(*STEPS[step], "f8")
    lon = STEPS[step][1] + np.arange(N) * STEPS[step][0]
    true = 12 * DEGREE * np.cos(12 * DEGREE * (lon - STEPS[step][1]))
    made = f.fdgrad.gradient("lon")
    assert abs(made - true)[1:-1].max() / abs(true).max() < 1e-3


def test_second_derivative_in_chunks():
    f = wave(1 / 12, -180.0, "f8").chunk(lon=(150, 1, 249))
    made = f.fdgrad.gradient("lon", order=2).compute()
    assert abs(made + (12 * DEGREE) ** 2 * f)[1:-1].max() / (12 * DEGREE) ** 2 < 1e-3


@pytest.mark.parametrize("step", ["1/12", "0.04"])
def test_laplacian(step):
    size, start = STEPS[step]
    lon, lat = start + np.arange(120) * size, 30 + np.arange(40) * size
    phi, lam = np.deg2rad(lat)[:, None], 12 * DEGREE * (lon - start)
    f = xr.DataArray(
        np.sin(lam) * np.cos(phi) ** 2,
        dims=("lat", "lon"),
        name="f",
        coords={
            "lat": ("lat", lat.astype("f4"), {"units": "degrees_north"}),
            "lon": ("lon", lon.astype("f4"), {"units": "degrees_east"}),
        },
    )
    # ∇² of cos²φ sin kλ, k = 12: (4 sin²φ − 2 cos²φ − k²) sin kλ / a².
    true = (4 * np.sin(phi) ** 2 - 2 * np.cos(phi) ** 2 - 144) * np.sin(lam) / A**2
    error = abs(f.fdgrad.laplacian().values - true)[1:-1, 1:-1]
    assert error.max() / abs(true).max() < 2e-3


def test_uneven_float32_coordinates_stay_uneven():
    x = (np.linspace(0, 1, 50) ** 1.5 * 40).astype("f4")
    f = xr.DataArray(x.astype("f8") ** 2, dims="x", coords={"x": x})
    made = f.fdgrad.gradient("x", order=2)
    np.testing.assert_allclose(made[1:-1], 2, rtol=1e-4)
