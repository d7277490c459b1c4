"""Arrays of pint carry their own unit, which counts (F12; case 8g)."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pint
import pytest
import xarray as xr
from model_grids import CIRCLE, DEGREE, HALF_STEP, A, flow_on, right_or_refused, worst

from fdgrad_dask.grids.units import conversion_factor

KNOTS = 1 / 0.514444  # in 1 m s-1
registry = pint.UnitRegistry(force_ndarray_like=True)


def quantified(field: xr.DataArray, units: str) -> xr.DataArray:
    """The same numbers as a quantity; the attribute still names the unit that they had before."""
    return field.copy(data=registry.Quantity(field.data, units))


def in_si(made: xr.DataArray, units: str, si: str) -> xr.DataArray:
    """The numbers in SI, of a quantity or of an array whose attribute names the unit."""
    data = made.data
    if hasattr(data, "magnitude"):
        return made.copy(data=data.to(si).magnitude)
    factor = conversion_factor(made.attrs["units"], units)
    assert factor is not None, made.attrs["units"]
    return factor * made


REFUSED = "quantit|pint|dequantify|unit"


def test_the_vorticity_of_a_wind_in_knots():
    ds = flow_on(HALF_STEP, CIRCLE)
    u, v = (quantified(KNOTS * ds[k], "knot") for k in "uv")

    def judge(made):
        assert worst(in_si(made, "s-1", "1/s"), ds.true) < 0.02

    both = xr.Dataset({"u": u, "v": v})
    right_or_refused(lambda: both.fdgrad.vorticity("u", "v"), REFUSED, judge)
    plain = ds.assign(u=KNOTS * ds.u, v=KNOTS * ds.v)  # the remedy: numbers and an attribute
    for name in "uv":
        plain[name].attrs = ds[name].attrs | {"units": "knots"}
    judge(plain.fdgrad.vorticity("u", "v"))


def test_the_absolute_vorticity_of_a_wind_in_knots():
    ds = flow_on(HALF_STEP, CIRCLE)
    both = xr.Dataset({k: quantified(KNOTS * ds[k], "knot") for k in "uv"})
    f = 2 * 7.292115e-5 * np.sin(DEGREE * ds.lat)

    def judge(made):
        assert worst(in_si(made, "s-1", "1/s"), (ds.true + f).transpose("lat", "lon")) < 0.02

    right_or_refused(lambda: both.fdgrad.absolute_vorticity("u", "v"), REFUSED, judge)


def test_the_gradient_of_one_field():
    f = flow_on(HALF_STEP, CIRCLE).u
    line = quantified((f.lat + 0 * f).rename("f").assign_attrs(units="m s-1"), "knot")

    def judge(made):
        assert worst(in_si(made, "m s-1 degree-1", "m/s/degree"), 0 * f + 0.514444) < 1e-5

    right_or_refused(lambda: line.fdgrad.gradient("lat"), REFUSED, judge)


def test_the_slope_of_one_field():
    f = flow_on(HALF_STEP, CIRCLE).u
    line = quantified((f.lat + 0 * f).rename("f").assign_attrs(units="K"), "delta_degF")

    def judge(made):
        scaled = in_si(made, "K m-1", "K/m")
        np.testing.assert_allclose(scaled, 5 / 9 / (A * DEGREE), rtol=1e-5)

    right_or_refused(line.fdgrad.gradient_magnitude, REFUSED, judge)


@pytest.mark.parametrize("name", ["gradient", "horizontal_gradient", "laplacian"])
def test_a_lazy_quantity_stays_lazy(name, lazily):
    f = flow_on(HALF_STEP, CIRCLE).u.rename("f")
    lazy = f.copy(data=registry.Quantity(da.from_array(f.values, chunks=(17, 40)), "K"))
    lazy.attrs["units"] = "K"

    def judge(made):
        for one in made.data_vars.values() if isinstance(made, xr.Dataset) else [made]:
            held = getattr(one.data, "magnitude", one.data)
            assert isinstance(held, da.Array)

    def ask():
        with lazily():
            arguments = ["lat"] if name == "gradient" else []
            return getattr(lazy.fdgrad, name)(*arguments)

    right_or_refused(ask, REFUSED, judge)


def test_what_metpy_quantifies():
    metpy = pytest.importorskip("metpy", reason="MetPy's quantities have a registry of their own")
    assert metpy.__version__
    ds = flow_on(HALF_STEP, CIRCLE)
    quantities = ds[["u", "v"]].metpy.quantify()
    for name in "uv":
        quantities[name] = quantities[name].metpy.convert_units("knots")

    def judge(made):
        assert worst(in_si(made, "s-1", "1/s"), ds.true) < 0.02

    right_or_refused(lambda: quantities.fdgrad.vorticity("u", "v"), REFUSED, judge)
