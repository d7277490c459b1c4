"""The constants are those of their sources, and agree with one another."""

from __future__ import annotations

import numpy as np

from fdgrad_dask.grids import earth


def test_constants():
    assert earth.EARTH_RADIUS == 6371229.0
    assert earth.GRAVITY == 9.80665
    # A turn of 2π in a sidereal day of 86164.0905 s.
    np.testing.assert_allclose(earth.EARTH_ROTATION, 2 * np.pi / 86164.0905, rtol=1e-6)
    # ISO 2533: R* = 8314.32 J kmol-1 K-1 over 28.964420 kg kmol-1.
    np.testing.assert_allclose(earth.DRY_AIR, 8314.32 / 28.964420, rtol=1e-7)
    # Of two atoms with five degrees of freedom, c_p is 7/2 R.
    np.testing.assert_allclose(earth.KAPPA, 1 / 3.5, rtol=1e-15)
