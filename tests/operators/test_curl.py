"""The curl of three components on a plane: values, signs, what it refuses."""

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask import operators
from fdgrad_dask.errors import CoordinateError, OptionError

N = 12
AXES = {
    "x": ("x", np.linspace(0.0, 3.0, N), {"units": "km", "axis": "X"}),
    "y": ("y", np.linspace(0.0, 2.0, N + 1), {"units": "km", "axis": "Y"}),
    "z": ("z", np.linspace(0.0, 500.0, N + 2), {"units": "m", "axis": "Z", "positive": "up"}),
}


def field(f, name, **axes):
    coords = {**AXES, **axes}
    x, y, z = (xr.DataArray(c[1], dims=dim) for dim, c in coords.items())
    values = (f(1e3 * x, 1e3 * y, z) + 0 * x * y * z).transpose("z", "y", "x")
    return values.assign_coords(coords).rename(name).assign_attrs(units="m s-1")


def zero(x, y, z):
    return 0 * x


TERMS = {  # u, v, w and the constant curl of it
    "w with y": (zero, zero, lambda x, y, z: 3e-3 * y, (3e-3, 0, 0)),
    "v with z": (zero, lambda x, y, z: 2e-3 * z, zero, (-2e-3, 0, 0)),
    "u with z": (lambda x, y, z: 5e-3 * z, zero, zero, (0, 5e-3, 0)),
    "w with x": (zero, zero, lambda x, y, z: 4e-3 * x, (0, -4e-3, 0)),
    "v with x": (zero, lambda x, y, z: 6e-3 * x, zero, (0, 0, 6e-3)),
    "u with y": (lambda x, y, z: 7e-3 * y, zero, zero, (0, 0, -7e-3)),
}


@pytest.mark.parametrize(("u", "v", "w", "expected"), TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("chunks", [None, {"x": 5, "y": 4, "z": 1}], ids=["numpy", "dask"])
def test_every_term_has_its_sign(u, v, w, expected, chunks):
    fields = [field(f, name) for f, name in ((u, "u"), (v, "v"), (w, "w"))]
    if chunks:
        fields = [f.chunk(chunks) for f in fields]
    result = operators.curl(*fields).compute()
    for side, value in zip("xyz", expected, strict=True):
        np.testing.assert_allclose(result[f"curl_{side}"].values, value, atol=1e-15)
        assert result[f"curl_{side}"].attrs["units"] == "s-1"


def test_the_curl_of_a_gradient_vanishes_at_second_order():
    def worst(n):
        axes = {d: (d, np.linspace(0.0, c[1][-1], n), c[2]) for d, c in AXES.items()}
        k = 2e-3
        u = field(lambda x, y, z: k * np.cos(k * x) * np.sin(k * y) * np.exp(k * z), "u", **axes)
        v = field(lambda x, y, z: k * np.sin(k * x) * np.cos(k * y) * np.exp(k * z), "v", **axes)
        w = field(lambda x, y, z: k * np.sin(k * x) * np.sin(k * y) * np.exp(k * z), "w", **axes)
        return max(float(abs(c).max()) for c in operators.curl(u, v, w, edge_order=2).values())

    assert np.log2(worst(24) / worst(47)) > 1.8


def test_a_depth_counts_downwards():
    down = ("z", AXES["z"][1], {"units": "m", "axis": "Z", "positive": "down"})
    u = field(lambda x, y, z: 5e-3 * z, "u", z=down)
    result = operators.curl(u, 0 * u, 0 * u)
    np.testing.assert_allclose(result.curl_y.values, -5e-3, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "sense"),
    [("upward_air_velocity", 1), ("downward_air_velocity", -1), ("air_velocity", 1)],
)
def test_a_downward_wind_is_turned_over(name, sense):
    u, w = field(zero, "u"), field(lambda x, y, z: 3e-3 * y, "w")
    result = operators.curl(u, u.rename("v"), w.assign_attrs(standard_name=name))
    np.testing.assert_allclose(result.curl_x.values, sense * 3e-3, atol=1e-15)


def test_heights_in_kilometres():
    km = ("z", AXES["z"][1] / 1000, {"units": "km", "axis": "Z", "positive": "up"})
    u = field(lambda x, y, z: 5 * z, "u", z=km)
    result = operators.curl(u, 0 * u, 0 * u)
    np.testing.assert_allclose(result.curl_y.values, 5e-3, atol=1e-15)


def test_levels_whose_heights_are_not_their_own_are_refused():
    named = {**AXES["z"][2], "standard_name": "ocean_sigma_z_coordinate"}
    u = field(zero, "u", z=("z", AXES["z"][1], named))
    with pytest.raises(OptionError, match=r"'z' are parametric .* a curl needs true ones"):
        operators.curl(u, u, u)


def test_what_is_no_plane_or_no_length_is_refused():
    u = field(zero, "u")
    globe = u.rename(x="lon", y="lat").assign_coords(
        lon=("lon", np.arange(N) * 5.0, {"units": "degrees_east"}),
        lat=("lat", np.arange(N + 1) * 5.0, {"units": "degrees_north"}),
    )
    with pytest.raises(CoordinateError, match="'u' lies on a sphere grid, but the curl of three"):
        operators.curl(globe, globe, globe)
    pressure = ("z", np.linspace(1000.0, 100.0, N + 2), {"units": "hPa", "axis": "Z"})
    u = u.assign_coords(z=pressure)
    with pytest.raises(
        OptionError, match="vertical axis 'z' has the units 'hPa'; a curl needs a le"
    ):
        operators.curl(u, u, u)
