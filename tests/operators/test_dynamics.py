"""Advection, frontogenesis and Q vectors: units, senses and levels that are fields."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import plane
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op

PLANE = plane(1e3 * np.arange(5.0), 1e3 * np.arange(4.0))
LEVELS = {"lev": np.arange(3.0), "y": PLANE["y"], "x": PLANE["x"]}


def noise(*units):
    """Fields of noise on three levels of a plane."""
    rng = np.random.default_rng(0)
    return [
        xr.DataArray(250 + rng.normal(size=(3, 4, 5)), LEVELS, [*LEVELS], name, {"units": unit})
        for name, unit in zip("uvt", units, strict=False)
    ]


@pytest.mark.parametrize(
    ("wind", "advection", "frontogenesis"),
    [("m s-1", "K s-1", "K m-1 s-1"), ("knots", "K knot m-1", "K knot m-2")],
)
def test_units_of_what_a_wind_does_to_a_temperature(wind, advection, frontogenesis):
    fields = noise(wind, wind, "K")
    assert op.advection(*fields).attrs["units"] == advection
    assert op.frontogenesis(*fields).attrs["units"] == frontogenesis


@pytest.mark.parametrize(("units", "pascal"), [("Pa", 1.0), ("hPa", 100.0)])
def test_a_q_vector_where_the_pressure_is_a_field(units, pascal):
    """−(R/p) (∂u/∂x ∂T/∂x, …) of fields that vary along x alone, on levels that do not slope."""
    fields = noise("m s-1", "m s-1", "K")
    u, v, t = (one.copy(data=one[:, :1] + np.zeros((4, 1))) for one in fields)
    p = ((8e4 + 1e3 * t["lev"]) / pascal + 0 * t).assign_attrs(units=units)
    made = op.q_vector(u, v, t, pressure=p)
    u_x, t_x = (np.gradient(one, 1e3, axis=-1) for one in (u, t))
    assert_allclose(made.q1, -287.05287 / (p * pascal) * u_x * t_x, rtol=1e-9)
    assert_allclose(made.q2, 0.0, atol=1e-22)


@pytest.mark.parametrize(("positive", "sign"), [("down", 1), ("up", -1)])
def test_water_is_lifted_through_levels_of_a_depth_or_a_height(positive, sign):
    """−w ∂T/∂z of T that grows by 2 K m-1 along a field whose attributes say where it grows to."""
    u, _, t = noise("m s-1", "m s-1", "K")
    z = (10 * t["lev"] + 0.01 * t).assign_attrs(units="m", positive=positive)
    w = (0 * t + 3).rename("w").assign_attrs(units="m s-1", standard_name="upward_water_velocity")
    still = (0 * u).assign_attrs(units="m s-1")
    made = op.advection(still, still, (2 * z).assign_attrs(units="K"), w, constant=z)
    assert_allclose(made, sign * 2 * 3, rtol=1e-9)
