"""What passes on a horizontal grid are made of: poles, edges of the metric, levels, directions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import A, degrees, field, globe
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask import Curvilinear
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError

RNG = np.random.default_rng(0)
SECTOR = degrees(np.arange(-85.0, 86, 10), np.arange(0.0, 50, 10))


def noise(grid, *names, levels=()):
    """Fields of noise over the grid, below ``levels``."""
    coords = {**levels, **{dim: grid[dim] for dim in ("lat", "lon")}} if levels else grid.coords
    dims = ["lev", "lat", "lon"] if levels else ["lat", "lon"]
    shape = [len(coords[dim]) for dim in dims]
    fields = [xr.DataArray(RNG.normal(size=shape), coords, dims, name) for name in names]
    return [one.assign_attrs(units="m s-1") for one in fields]


@pytest.mark.parametrize("sign", [1, -1])
def test_what_flows_over_a_pole_has_the_divergence_of_its_cap(sign):
    """v = sin φ cos φ flows to both poles: ∂(v cos φ)/∂φ / (a cos φ) = (cos² − 2 sin²)/a = −2/a."""
    grid = globe(2)
    v = sign * field(lambda x, y: np.sin(y) * np.cos(y) + 0 * x, grid, "v", units="m s-1")
    made = op.divergence(0 * v, v).sel(lat=[-90, 90])
    assert_allclose(made, -2 * sign / A, rtol=1e-3)


def test_a_scalar_does_not_vanish_at_the_poles():
    """Beside them its slope is one-sided, as that of numpy.gradient; so is that of pressure."""
    y = np.deg2rad(SECTOR["lat"].values)
    (s,) = noise(SECTOR, "s")
    slope = np.gradient(s.values, y, axis=0) / A
    assert_allclose(op.horizontal_gradient(s)["ds_dy"], slope, rtol=1e-9)

    s, p = noise(SECTOR, "s", "p", levels={"lev": [1.0, 2]})
    p = (800 - 100 * p["lev"] + p).transpose(*s.dims).assign_attrs(units="hPa")
    s_y, p_y = (np.gradient(one.values, y, axis=1) / A for one in (s, p))
    expected = s_y - np.diff(s, axis=0) / np.diff(p, axis=0) * p_y
    assert_allclose(op.horizontal_gradient(s, constant=p)["ds_dy"], expected, rtol=1e-9)


def test_where_the_pressure_is_missing_so_are_all_components():
    u, v, p = noise(SECTOR, "u", "v", "p", levels={"lev": np.arange(5.0)})
    p = (800 - 100 * p["lev"] + p).assign_attrs(units="hPa")
    p[{"lev": 4, "lat": 8, "lon": 2}] = np.nan
    options = {"constant": p, "skipna": "one-sided"}
    made = op.kinematics(u, v, **options)
    holed = op.kinematics(*(one.where(p.notnull()) for one in (u, v)), **options)
    for name, one in made.items():
        assert int(one.isnull().sum()) == 1
        assert_array_equal(one, holed[name])


EAST = np.deg2rad(0.1) * A * (np.arange(8) + 0.05 * np.arange(8) ** 2)  # metres along the equator
BOUNDARIES = {
    # what is said of x → the slope of the field in steps at its ends, the order of the metric there
    None: (lambda f: (f[1] - f[0], f[-1] - f[-2]), 1),
    ("extend", None): (lambda f: ((f[1] - f[0]) / 2, f[-1] - f[-2]), 2),
    (None, "extend"): (lambda f: (f[1] - f[0], (f[-1] - f[-2]) / 2), 2),
    (None, None): (lambda f: (f[1] - f[0], f[-1] - f[-2]), 1),
}


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_the_metric_has_the_edges_of_a_field_where_nothing_is_said_of_them(boundary):
    """So a linear field is exact. Where something is said, the grid goes on: second order."""
    lon = np.rad2deg(EAST / A) + np.zeros((3, 1))
    lat = np.array([[-0.1], [0], [0.1]]) + 0 * lon
    f = 3 * EAST + RNG.normal(size=(3, 8)) * (boundary is not None)
    s = xr.DataArray(
        f,
        {
            "lat": (("y", "x"), lat, {"units": "degrees_north"}),
            "lon": (("y", "x"), lon, {"units": "degrees_east"}),
        },
        ("y", "x"),
        "s",
    )
    ends, order = BOUNDARIES[boundary]
    expected = np.gradient(f[1])
    expected[[0, -1]] = ends(f[1])
    expected /= np.gradient(EAST, edge_order=order)
    made = op.horizontal_gradient(s, boundary={"x": boundary} if boundary else None)["ds_dx"][1]
    assert_allclose(made, expected, rtol=1e-5)


@pytest.mark.parametrize("closed", ["x", "y"])
def test_lengths_between_points_are_refused_where_the_axis_is_closed(closed):
    """The other axis may have them, as a closed one may have lengths at its points."""
    s = xr.DataArray(RNG.normal(size=(5, 6)), dims=("y", "x"), name="s")
    between = {"y": xr.DataArray(np.full((4, 6), 2.0), dims=("y", "x"))}
    between["x"] = xr.DataArray(np.full((5, 5), 3.0), dims=("y", "x"))
    lengths = {"dx": between["x"], "dy": between["y"]}
    boundary = {closed: "periodic"}
    with pytest.raises(CoordinateError, match=f"^d{closed} between points knows no gap of a cl"):
        op.horizontal_gradient(s, geometry=Curvilinear(**lengths), boundary=boundary)
    lengths[f"d{closed}"] = {"x": 3.0, "y": 2.0}[closed]
    made = op.horizontal_gradient(s, geometry=Curvilinear(**lengths), boundary=boundary)
    pads = [((1, 1) if dim == closed else (0, 0)) for dim in "yx"]
    around = np.pad(s, pads, mode="wrap")
    inner = tuple(slice(1, -1) if dim == closed else slice(None) for dim in "yx")
    for axis, (dim, length) in enumerate({"y": 2.0, "x": 3.0}.items()):
        assert_allclose(made[f"ds_d{dim}"], np.gradient(around, length, axis=axis)[inner])


GRID = {"standard_name": "x_wind"}, {"standard_name": "y_wind"}
EARTH = {"standard_name": "eastward_wind"}, {"standard_name": "northward_wind"}
AROUND = [  # operator, what its wind is along, options, whether it needs the true north
    ("vorticity", GRID, {}, False),
    ("vorticity", EARTH, {}, True),
    ("deformation", GRID, {}, True),
    ("q_vector", GRID, {}, True),
    ("absolute_vorticity", GRID, {}, True),
    ("absolute_vorticity", GRID, {"coriolis": 1e-4}, False),
    ("potential_vorticity", GRID, {}, True),
    ("potential_vorticity", GRID, {"coriolis": 1e-4}, False),
    ("potential_vorticity", EARTH, {"coriolis": 1e-4}, True),
    ("horizontal_gradient", None, {}, True),
    ("gradient_magnitude", None, {}, False),
]


@pytest.mark.parametrize(("name", "along", "options", "is_needed"), AROUND)
def test_about_a_rotated_pole_axes_are_taken_where_nothing_needs_the_true_north(
    name, along, options, is_needed
):
    crs = {"grid_north_pole_latitude": 40.0, "grid_north_pole_longitude": -170.0}
    axis = {"units": "degrees"}
    coords = {
        "p": ("p", [500.0, 700], {"units": "hPa"}),
        "rlat": ("rlat", np.arange(-2.0, 3), {"standard_name": "grid_latitude", **axis}),
        "rlon": ("rlon", np.arange(-2.0, 3), {"standard_name": "grid_longitude", **axis}),
        "crs": ((), 0, {"grid_mapping_name": "rotated_latitude_longitude", **crs}),
    }
    fields = [
        xr.DataArray(250 + RNG.normal(size=(2, 5, 5)), coords, ("p", "rlat", "rlon"), one)
        for one in "uvt"
    ]
    more = [*(along or ({}, {})), {"units": "K"}]
    u, v, t = (f.assign_attrs(grid_mapping="crs", **m) for f, m in zip(fields, more, strict=True))
    given = [t] if along is None else [u, v, t] if name[0] in "pq" else [u, v]
    made = getattr(op, name)(*given, **options)
    made = made if isinstance(made, xr.DataArray) else next(iter(made.values()))
    assert made.attrs["horizontal_geometry"] == ("curvilinear" if is_needed else "sphere")


def test_the_laplacian_has_the_edges_of_its_terms():
    """((k + k''/4) s'' + k' s') / (h_x h_y), k = h_y / h_x, of fluxes half a step off."""
    h_x, h_y, values = 2e3 + 100 * np.arange(8.0) ** 1.5, 3e3, RNG.normal(size=8)
    s = xr.DataArray(values + np.zeros((4, 1)), dims=("y", "x"), name="s")
    dx = xr.DataArray(h_x + np.zeros((4, 1)), dims=("y", "x"))
    k = h_y / h_x
    s_xx, k_xx = (np.pad(np.diff(one, 2), 1, mode="edge") for one in (values, k))
    expected = ((k + k_xx / 4) * s_xx + np.gradient(k) * np.gradient(values)) / (h_x * h_y)
    made = op.laplacian(s, geometry=Curvilinear(dx=dx, dy=h_y))
    assert_allclose(made, expected + np.zeros((4, 1)), rtol=1e-9)
