"""iris.analysis.calculus, deprecated by its makers: derivatives half a step off the points.

The mean of two of its derivatives is one of ours, to rounding. Its curl lies between the latitudes
of the winds, says that it is per radian, and wants a vertical axis.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import OVER_POLES, ROSSBY_HAURWITZ, ROTATION, TILTED, A, globe
from numpy.testing import assert_allclose

from fdgrad_dask import operators as op

iris = pytest.importorskip("iris", reason="iris is not installed: pip install scitools-iris")
cubes = pytest.importorskip("iris.cube")
coords = pytest.importorskip("iris.coords")
calculus = pytest.importorskip("iris.analysis.calculus", reason="iris has no calculus any more")
FLOWS = [ROTATION, TILTED, OVER_POLES]


def cube_of(f):
    """A field of (lat, lon) as a cube on our sphere, with a level, which its curl asks for."""
    names = ("latitude", "longitude")
    axes = [
        coords.DimCoord(
            f[dim].values,
            standard_name=name,
            units="degrees",
            coord_system=iris.coord_systems.GeogCS(A),
            circular=name == "longitude",
        )
        for dim, name in zip(f.dims, names, strict=True)
    ]
    cube = cubes.Cube(
        f.values,
        standard_name=f.attrs["standard_name"],
        units="m s-1",
        dim_coords_and_dims=[(axis, i) for i, axis in enumerate(axes)],
    )
    cube.add_aux_coord(coords.AuxCoord(500.0, standard_name="air_pressure", units="hPa"))
    return cube


def slab(era, name):
    """January at 500 hPa, from south to north, as iris wants a latitude of its own."""
    return era[name].isel(month=0).sel(level=500, drop=True).drop_vars("month").sortby("latitude")


# --- where it is right --------------------------------------------------------------------------


def test_the_mean_of_two_of_its_derivatives_is_ours(era):
    u = slab(era, "u")
    along = calculus.differentiate(cube_of(u), "longitude").data
    ours = op.gradient(u, "longitude", boundary="periodic").values
    assert_allclose((along + np.roll(along, 1, axis=1)) / 2, ours, rtol=0, atol=1e-12)
    across = calculus.differentiate(cube_of(u), "latitude").data
    ours = op.gradient(u, "latitude").values
    assert_allclose((across[1:] + across[:-1]) / 2, ours[1:-1], rtol=0, atol=1e-12)


def curl(u, v):
    """The vertical curl times the cosine of its latitude, (n − 1, m)."""
    made = calculus.curl(cube_of(u), cube_of(v))[2]
    return made.data * np.cos(np.deg2rad(made.coord("latitude").points))[:, None]


def ours_times_cosine(u, v):
    y = u.dims[0]
    return (op.vorticity(u, v) * np.cos(np.deg2rad(u[y]))).values[1:-1]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_the_mean_of_two_of_its_curls_is_our_vorticity(flow):
    """Its ∂v/∂λ is a mean over latitudes besides, which changes nothing where v is the same."""
    u, v = flow.wind(globe(2))
    made = curl(u, v)
    ours = ours_times_cosine(u, v)
    assert_allclose((made[1:] + made[:-1]) / 2, ours, rtol=0, atol=1e-12 * abs(ours).max())


def test_of_real_winds_too_but_for_that_mean(era):
    u, v = slab(era, "u"), slab(era, "v")
    made = curl(u, v)
    v_x = op.horizontal_gradient(v)["dv_dx"] * np.cos(np.deg2rad(v["latitude"]))
    v_x = v_x.fillna(op.gradient(v, "longitude", boundary="periodic") / np.deg2rad(A)).values
    smoothed = (v_x[:-2] + 2 * v_x[1:-1] + v_x[2:]) / 4
    ours = ours_times_cosine(u, v) - v_x[1:-1] + smoothed
    assert_allclose((made[1:] + made[:-1]) / 2, ours, rtol=0, atol=1e-9 * abs(ours).max())


# --- where it is not ----------------------------------------------------------------------------


def test_its_curl_is_not_where_the_winds_are():
    u, v = ROSSBY_HAURWITZ.wind(globe(2))
    made = calculus.curl(cube_of(u), cube_of(v))[2]
    assert made.shape == (90, 180)  # of 91 latitudes, and none of them is at a pole
    assert abs(made.coord("latitude").points).max() == pytest.approx(89)
    ours = op.vorticity(u, v)
    assert ours.shape == u.shape
    exact = ROSSBY_HAURWITZ.exact("vorticity", globe(2))
    assert abs(ours - exact).max() <= 3.1e-3 * abs(exact).max()


def test_its_curl_counts_in_radians():
    """s-1 rad-1 for s-1."""
    u, v = ROTATION.wind(globe(10))
    made = calculus.curl(cube_of(u), cube_of(v))[2]
    assert "rad" in str(made.units)
    assert op.vorticity(u, v).attrs["units"] == "s-1"


def test_its_curl_needs_a_vertical_axis():
    u, v = ROTATION.wind(globe(10))
    both = [cube_of(f) for f in (u, v)]
    for cube in both:
        cube.remove_coord("air_pressure")
    with pytest.raises(iris.exceptions.CoordinateNotFoundError):
        calculus.curl(*both)
    assert np.isfinite(op.vorticity(u, v)).all()


def test_winds_about_a_rotated_pole_turn_as_there():
    """Directions here are of second order in the spacing of half a degree."""
    cartography = pytest.importorskip("iris.analysis.cartography")
    points = np.linspace(-20, 20, 81)
    cs = iris.coord_systems.RotatedGeogCS(39.25, -162.0, ellipsoid=iris.coord_systems.GeogCS(A))
    mapping = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 39.25,
        "grid_north_pole_longitude": -162.0,
        "earth_radius": A,
    }
    names = {"rlat": "grid_latitude", "rlon": "grid_longitude"}
    labels = {k: (k, points, {"standard_name": n, "units": "degrees"}) for k, n in names.items()}
    labels["pole"] = ((), 0, mapping)
    rng, winds, theirs = np.random.default_rng(0), [], []
    for name in ("x_wind", "y_wind"):
        attrs = {"grid_mapping": "pole", "standard_name": name, "units": "m s-1"}
        winds.append(xr.DataArray(rng.random((81, 81)), labels, ("rlat", "rlon"), name, attrs))
        axes = [
            coords.DimCoord(points, standard_name=one, units="degrees", coord_system=cs)
            for one in names.values()
        ]
        theirs.append(
            cubes.Cube(
                winds[-1].values,
                standard_name=name,
                units="m s-1",
                dim_coords_and_dims=[(axis, i) for i, axis in enumerate(axes)],
            )
        )
    ours = op.rotate_to_earth(*winds)
    turned = cartography.rotate_winds(*theirs, iris.coord_systems.GeogCS(A))
    for one, other in zip(ours.values(), turned, strict=True):
        assert_allclose(one, other.data, rtol=0, atol=5e-5)
