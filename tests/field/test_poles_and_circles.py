"""Rows beside a pole, and which longitudes go around the globe (F1, F10; cases 1a to 1i, 11c)."""

from __future__ import annotations

import fields
import numpy as np
import pytest
import xarray as xr
from model_grids import CIRCLE, EAST, HALF_STEP, NORTH, A, flow_on, right_or_refused, worst

from fdgrad_dask import operators as op

FLOWS = {"zonal": fields.ROTATION, "tilted": fields.TILTED, "over the poles": fields.OVER_POLES}
# The error of the scheme on these grids in float64; over a pole the last row is of first order.
BOUNDS = {"zonal": 0.007, "tilted": 0.02, "over the poles": 0.025}
GAUSSIAN = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(36)[0]))
ROWS = {"half a step off": HALF_STEP, "Gaussian": GAUSSIAN}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "c8"])
def test_rows_beside_a_pole(rows, flow, dtype):
    ds = flow_on(ROWS[rows], CIRCLE, FLOWS[flow])
    scale = 1 + 0.5j if dtype == "c8" else 1
    u, v = ((scale * ds[k]).astype(dtype).assign_attrs(ds[k].attrs) for k in "uv")
    made = op.kinematics(u, v, which=["vorticity", "divergence"])
    assert worst(made.vorticity, scale * ds.true) < BOUNDS[flow]
    assert abs(made.divergence).max() / abs(ds.true).max() < BOUNDS[flow]
    assert worst(op.vorticity(u, v), scale * ds.true) < BOUNDS[flow]
    assert abs(op.divergence(u, v)).max() / abs(ds.true).max() < BOUNDS[flow]
    f = 2 * 7.292115e-5 * np.sin(np.deg2rad(ds.lat))
    absolute = op.absolute_vorticity(u, v)
    assert abs(absolute - f - scale * ds.true).max() / abs(ds.true).max() < BOUNDS[flow]


@pytest.mark.parametrize("options", [{"edge_order": 2}, {"accuracy": 4}, {"skipna": "one-sided"}])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_rows_beside_a_pole_with_options(options, dtype):
    ds = flow_on(HALF_STEP, CIRCLE, dtype=dtype)
    assert worst(op.vorticity(ds.u, ds.v, **options), ds.true) < 0.02


def test_rows_beside_a_pole_in_half_precision():
    ds = flow_on(HALF_STEP, CIRCLE)
    u, v = ((1e3 * ds[k]).astype("f2") for k in "uv")  # so that the result is no subnormal number
    z = op.vorticity(u, v)
    assert worst(z.astype("f8"), 1e3 * ds.true) < 0.05


def test_rows_beside_a_pole_in_chunks():
    ds = flow_on(HALF_STEP, CIRCLE, dtype="f4")
    lazy = ds.chunk(lat=(1, 17, 17, 1), lon=40)
    assert worst(lazy.fdgrad.vorticity("u", "v").compute(), ds.true) < 0.02


def test_rows_beside_a_pole_by_the_command(run):
    ds = flow_on(HALF_STEP, CIRCLE, dtype="f4")
    made = run(ds[["u", "v"]], ("vorticity", ["u", "v"], "z"))
    assert worst(made.z, ds.true) < 0.02


CIRCLES = {
    "the cyclic point included": np.arange(0.0, 361, 5),
    "from -180 to 180": np.arange(-180.0, 181, 5),
    "a step of 0.083333": np.arange(4320) * 0.083333,
    "thirds with two decimals": np.round(np.arange(1080) / 3, 2),
    "1.40625 with two decimals": np.round(np.arange(256) * 1.40625, 2),
    "1.875 with one decimal": np.round(np.arange(192) * 1.875, 1),
    "float32": (np.arange(4320) / 12).astype("f4"),
}
EXACT = ("the cyclic point included", "from -180 to 180")
COARSE = {"half a step off": np.arange(-82.5, 90, 15), "on the poles": np.arange(-90.0, 91, 15)}


@pytest.mark.parametrize("lat", COARSE)
@pytest.mark.parametrize("lon", CIRCLES)
def test_a_circle_is_a_circle_to_its_rounding(lat, lon):
    ds = flow_on(COARSE[lat], CIRCLES[lon], fields.ROTATION)
    z = ds.fdgrad.vorticity("u", "v")
    assert worst(z, ds.true) < 0.05
    assert z.attrs["periodic"] == "lon"


@pytest.mark.parametrize("lon", CIRCLES)
def test_the_seam_of_a_circle_is_no_edge(lon):
    x = CIRCLES[lon]
    # The model computed on an even circle; what its file says of that is rounded.
    even = x if lon in EXACT else np.arange(len(x)) * 360 / len(x)
    grid = fields.degrees(COARSE["half a step off"], even)
    f = fields.field(lambda x, y: np.cos(y) * np.cos(x - 0.7), grid, "f", units="K")
    true = 0 * f - np.sin(np.deg2rad(f.lon) - 0.7) / A
    f, true = (one.assign_coords(lon=("lon", x, f.lon.attrs)) for one in (f, true))
    g = f.fdgrad.horizontal_gradient()
    # Beside the seam as far as elsewhere: one-sided differences would be off by half a step.
    assert worst(g.df_dx, true) < 0.01
    inner = f.fdgrad.laplacian().isel(lat=slice(1, -1))
    assert worst(inner, (-2 * f / A**2).isel(lat=slice(1, -1))) < 0.05


def test_both_ends_of_a_cyclic_longitude_are_one_place():
    ds = flow_on(HALF_STEP, np.arange(0.0, 361, 5))
    z = ds.fdgrad.vorticity("u", "v")
    np.testing.assert_allclose(z[:, 0], z[:, -1], rtol=0, atol=1e-6 * float(abs(z).max()))


def test_a_sector_up_to_the_pole():
    ds = flow_on(np.arange(2.5, 90, 5), np.arange(0.0, 90, 5), fields.ROTATION)
    assert worst(ds.fdgrad.vorticity("u", "v")[1:], ds.true[1:]) < 7e-3


def test_a_sector_is_not_taken_for_a_circle():
    ds = flow_on(HALF_STEP, np.arange(0.0, 355, 5))
    assert "periodic" not in ds.fdgrad.vorticity("u", "v").attrs


NAMED = {
    "without units": {"standard_name": "longitude"},
    "deg": {"standard_name": "longitude", "units": "deg"},
    "long_name only": {"long_name": "longitude"},
}


@pytest.mark.parametrize("attrs", NAMED.values(), ids=NAMED)
def test_a_longitude_under_a_name_of_its_own(attrs):
    lat_attrs = {k: v.replace("longitude", "latitude") for k, v in attrs.items()}
    phi, lam = np.deg2rad(HALF_STEP), np.deg2rad(CIRCLE)
    f = xr.DataArray(
        np.cos(phi)[:, None] * np.cos(lam),
        dims=("rows", "columns"),
        coords={"rows": ("rows", HALF_STEP, lat_attrs), "columns": ("columns", CIRCLE, attrs)},
        name="f",
        attrs={"units": "K"},
    )

    def judge(made):
        assert worst(made[1:-1], -2 * f[1:-1] / A**2) < 0.05

    right_or_refused(f.fdgrad.laplacian, "units|degrees|axes|longitude", judge)
    if attrs == NAMED["without units"]:
        judge(f.fdgrad.laplacian())


def test_longitude_before_latitude():
    ds = flow_on(HALF_STEP, CIRCLE).transpose("lon", "lat")
    assert worst(ds.fdgrad.vorticity("u", "v"), ds.true) < 0.02


SPELT = ["degrees_north", "degree_N", "degreesN", "degrees", None]
SPELT += ["degrees_north ", "DEGREES_NORTH", "degrees north", "deg_north", "Degrees"]


@pytest.mark.parametrize("units", SPELT)
@pytest.mark.parametrize("names", [("lat", "lon"), ("LAT", "LON"), ("Latitude", "Longitude")])
def test_units_and_names_of_files(units, names):
    ds = flow_on(HALF_STEP, CIRCLE)
    for name, attrs in (("lat", NORTH), ("lon", EAST)):
        east = (units or "").replace("north", "east").replace("NORTH", "EAST").replace("N", "E")
        ds[name].attrs = {} if units is None else {"units": units if attrs is NORTH else east}
    ds = ds.rename(dict(zip(("lat", "lon"), names, strict=True)))
    z = ds.fdgrad.vorticity("u", "v")
    assert worst(z, ds.true) < 0.02
    assert (z.attrs["horizontal_geometry"], z.attrs["periodic"]) == ("sphere", names[1])
