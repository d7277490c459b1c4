"""Potential vorticity by the differences it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import plane
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op

PLANE = plane(1e3 * np.arange(4.0), 1e3 * np.arange(3.0))
RNG = np.random.default_rng(0)
F, G = 1e-4, 9.80665


def on_levels(name, values, units, **levels):
    """A field over levels and a plane; the name and the values of levels are given."""
    coords = {**levels, "y": PLANE["y"], "x": PLANE["x"]}
    data = np.reshape(values, (-1, 1, 1)) * np.ones((len(values), 3, 4))
    return xr.DataArray(data, coords, [*coords], name, {"units": units})


@pytest.mark.parametrize("units", ["Pa", "hPa"])
def test_an_atmosphere_at_rest(units):
    """−g f Δθ/Δp, with θ = T (1000 hPa / p)^(2/7)."""
    pascals = np.array([9e4, 7e4, 5e4, 4e4])
    p = ("p", pascals / (100 if units == "hPa" else 1), {"units": units})
    t = on_levels("t", [280.0, 270, 255, 240], "K", p=p)
    still = on_levels("u", np.zeros(4), "m s-1", p=p)
    theta = t[:, 0, 0].values * (1e5 / pascals) ** (2 / 7)
    expected = -G * F * np.gradient(theta, pascals)
    made = op.potential_vorticity(still, still.rename("v"), t, coriolis=F)
    assert_allclose(made[:, 0, 0], expected, rtol=1e-9)
    as_field = (t["p"] + 0 * t).assign_attrs(units=units).rename("pressure")
    bare = [one.drop_vars("p") for one in (still, still.rename("v"), t)]
    made = op.potential_vorticity(*bare, pressure=as_field.drop_vars("p"), coriolis=F, vertical="p")
    assert_allclose(made[:, 0, 0], expected, rtol=1e-9)


@pytest.mark.parametrize(("units", "kelvin"), [("K", 1.0), ("degC", 1.0), ("degF", 5 / 9)])
def test_on_isentropic_levels_of_any_unit(units, kelvin):
    """−g f Δθ/Δp, of levels in steps of 10 K."""
    theta = ("theta", 50 + 10 * np.arange(4.0) / kelvin, {"units": units})
    pascals = np.array([9e4, 7e4, 4e4, 3e4])
    p = on_levels("p", pascals, "Pa", theta=theta)
    still = on_levels("u", np.zeros(4), "m s-1", theta=theta)
    made = op.potential_vorticity(
        still, still.rename("v"), p["theta"], pressure=p, coriolis=F, potential=True
    )
    assert_allclose(made[:, 0, 0], -G * F / np.gradient(pascals, 10.0), rtol=1e-9)
