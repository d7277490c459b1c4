"""What a wind is along by what it is called, and one unit for its two components."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask import Curvilinear
from fdgrad_dask import operators as op
from fdgrad_dask.errors import OptionError

Y, X = np.meshgrid(np.arange(5.0), np.arange(6.0), indexing="ij")
PLACES = {  # x runs to the north-east
    "lat": (("y", "x"), 40 + 0.3 * X + 0.4 * Y, {"units": "degrees_north"}),
    "lon": (("y", "x"), 10 + 0.5 * X - 0.3 * Y, {"units": "degrees_east"}),
}
SAID = {  # attributes of u and v → what they are along
    "earth": [
        ({"standard_name": "eastward_wind"}, {"standard_name": "northward_wind"}),
        ({"standard_name": "eastward_wind"}, {}),
        ({}, {"standard_name": "northward_wind"}),
        ({"long_name": "component to the east of flow"}, {}),
        ({"GRIB_uvRelativeToGrid": 0}, {"GRIB_uvRelativeToGrid": 0}),
    ],
    "grid": [
        ({"standard_name": "x_wind"}, {"standard_name": "y_wind"}),
        ({"standard_name": "grid_eastward_wind"}, {"standard_name": "grid_northward_wind"}),
        ({"standard_name": "sea_water_x_velocity"}, {"standard_name": "sea_water_y_velocity"}),
        ({}, {"standard_name": "sea_water_y_velocity"}),
        ({"long_name": "component along x of flow"}, {"long_name": "component along y of flow"}),
        ({"GRIB_uvRelativeToGrid": 1, "standard_name": "eastward_wind"}, {}),
    ],
}
CASES = [(along, u, v) for along, pairs in SAID.items() for u, v in pairs]


def wind(u, v, units=("m s-1", "m s-1")):
    rng = np.random.default_rng(0)
    fields = zip("uv", (u, v), units, strict=True)
    return [
        xr.DataArray(rng.normal(size=X.shape), PLACES, ("y", "x"), name, {"units": unit, **attrs})
        for name, attrs, unit in fields
    ]


@pytest.mark.parametrize(("along", "u", "v"), CASES, ids=str)
def test_a_wind_is_along_what_either_component_says(along, u, v):
    bare = wind({}, {})
    with pytest.raises(OptionError, match="does not say whether it is to the east or along the gr"):
        op.vorticity(*bare)
    made = op.vorticity(*wind(u, v))
    said = [op.vorticity(*bare, geometry=Curvilinear(components=c)) for c in ("earth", "grid")]
    assert_array_equal(made, said[along == "grid"])
    assert not np.isclose(made, said[along != "grid"]).all()


def test_components_along_different_axes_are_refused():
    fields = wind({"standard_name": "eastward_wind"}, {"standard_name": "y_wind"})
    with pytest.raises(OptionError, match="one to the east or north and one along the grid; turn"):
        op.vorticity(*fields)


@pytest.mark.parametrize(("units", "factor"), [("km h-1", 1 / 3.6), ("metre/second", 1), ("", 1)])
def test_the_second_component_is_in_the_unit_of_the_first(units, factor):
    u, v = wind(*CASES[0][1:], units=("m s-1", units))
    made = op.divergence(u, v)
    assert_allclose(made, op.divergence(u, (v * factor).assign_attrs(u.attrs | CASES[0][2])))
    assert made.attrs["units"] == "s-1"


@pytest.mark.parametrize("names", [("y", "x"), ("a", "b")])
@pytest.mark.parametrize("along", SAID)
def test_which_dimension_is_x_must_be_known_along_the_grid_only(along, names):
    renamed = dict(zip("yx", names, strict=True))
    fields = [one.rename(renamed) for one in wind(*SAID[along][0])]
    if names == ("a", "b") and along == "grid":
        with pytest.raises(
            OptionError, match="'u' is along the x of its grid, but which of 'a' an"
        ):
            op.vorticity(*fields)
    else:
        assert_array_equal(op.vorticity(*fields), op.vorticity(*wind(*SAID[along][0])))


FLUX = {"units": "kg m-1 s-1"}
ORDERS = {  # attributes of what is given as v and as the scalar → whether that may be the wind
    "speeds": ({"units": "m s-1"}, {"units": "m s-1"}, True),
    "a northward flux": (FLUX, {**FLUX, "standard_name": "northward_flux"}, True),
    "an eastward flux": ({**FLUX, "standard_name": "eastward_flux"}, FLUX, True),
    "no vector": (FLUX, {"units": "kg kg-1"}, False),
}


@pytest.mark.parametrize(("second", "third", "is_wind"), ORDERS.values(), ids=ORDERS)
def test_of_a_wind_after_its_scalar_the_order_is_said(second, third, is_wind):
    """MetPy has the scalar first."""
    t, u, v = (
        xr.DataArray(np.zeros(X.shape), PLACES, ("y", "x"), name, attrs)
        for name, attrs in zip("tuv", ({"units": "K"}, second, third), strict=True)
    )
    hint = "the wind comes first: u, v, t$" if is_wind else "give the wind as u and v, or correct"
    with pytest.raises(OptionError, match=f"^'t' is in K: a temperature, .*; {hint}"):
        op.advection(t, u, v)
