"""Floats narrower than float64: as right as float64, to their own rounding."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import TILTED, degrees

from fdgrad_dask import operators

GAUSSIAN_32 = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(64)[0]))
ROWS = {  # no row on a pole, the last ones within a step of it
    "1 degree": np.arange(-89.5, 90),
    "Gaussian N32": GAUSSIAN_32,
    "Gaussian N32, southward": GAUSSIAN_32[::-1],
}


@pytest.mark.parametrize("chunks", [None, {"lat": 40, "lon": 64}], ids=["whole", "chunks"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lat", ROWS.values(), ids=ROWS)
def test_rows_beside_a_pole_are_right_in_float32_too(lat, dtype, chunks):
    """Solid-body rotation about a tilted axis, which flows over the poles."""
    step = 180 / len(lat)
    grid = degrees(lat, np.arange(0.0, 360.0, step))
    u, v = (field.astype(dtype) for field in TILTED.wind(grid))
    if chunks:
        u, v = u.chunk(chunks), v.chunk(chunks)
    made = operators.kinematics(u, v, which=["divergence", "vorticity"])
    found = {
        "vorticity": [operators.vorticity(u, v), made["vorticity"]],
        "divergence": [operators.divergence(u, v), made["divergence"]],
    }
    largest = float(abs(TILTED.exact("vorticity", grid)).max())
    slack = 0.003 if step == 1 else 0.0085  # N32, of 2.8 degrees, errs by that in float64 too
    for name, results in found.items():
        for result in results:
            assert result.dtype == dtype
            error = abs(result - TILTED.exact(name, grid)).max() / largest
            assert float(error) <= slack, name
    # What the planet adds cancels but for rounding.
    turning = operators.absolute_vorticity(u, v) - operators.absolute_vorticity(0 * u, 0 * v)
    assert float(abs(turning - TILTED.exact("vorticity", grid)).max()) / largest <= slack


def test_complex_winds_are_right_beside_a_pole():
    grid = degrees(np.arange(-85.0, 90, 10), np.arange(0.0, 360, 20))
    u, v = TILTED.wind(grid)
    want = operators.vorticity(u + 2j * u, v + 2j * v)
    narrow = ((field + 2j * field).astype("complex64") for field in (u, v))
    got = operators.vorticity(*narrow)
    assert got.dtype == "complex64"
    xr.testing.assert_allclose(got, want.astype("complex64"), rtol=1e-5, atol=5e-10)
