"""Grids of given dx and dy, with and without the angle of their x axis."""

import dask
import numpy as np
import pytest
import xarray as xr
from curved import (
    DIMS,
    OF_WINDS,
    OPERATORS,
    U0,
    UNITS,
    A,
    along_the_grid,
    assert_order,
    beside_rims,
    closed_forms,
    directions,
    errors,
    fields,
    interior,
    outputs,
    regular,
    rotated_pole,
    sampled,
)
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError

NEED_LATITUDE = ("absolute_vorticity", "geostrophic_wind", "potential_vorticity")


def array(values, **attrs):
    return xr.DataArray(values, dims=DIMS, attrs=attrs)


def on_a_plane(n=13, m=15, dx=2000.0, dy=3000.0):
    """Noise over 1-D x and y in metres."""
    rng = np.random.default_rng(0)
    ds = xr.Dataset(
        {k: (DIMS, rng.normal(size=(n, m)), {"units": "m s-1"}) for k in "uvs"},
        coords={
            "x": ("x", dx * np.arange(m), {"units": "m", "axis": "X"}),
            "y": ("y", dy * np.arange(n), {"units": "m", "axis": "Y"}),
        },
    )
    return ds


GIVEN = {
    "numbers": lambda n, m: (2000.0, 3000),
    "at points": lambda n, m: (array(np.full((n, m), 2e3)), array(np.full((n, m), 3e3))),
    "between points": lambda n, m: (
        array(np.full((n, m - 1), 2e3)),
        array(np.full((n - 1, m), 3e3)),
    ),
    "rows": lambda n, m: (xr.DataArray(np.full(m, 2e3), dims="x"), array(np.full((n, 1), 3e3))),
    "kilometres": lambda n, m: (array(np.full((n, m), 2.0), units="km"), 3000.0),
    "x before y": lambda n, m: (array(np.full((n, m), 2e3)).T, array(np.full((n, m), 3e3))),
}
OPTIONS = {
    "plain": {},
    "edge order 2": {"edge_order": 2},
    "accuracy 4": {"accuracy": 4},
    "a number outside": {"boundary": {"x": 3.0, "y": -2.0}},
    "mirrored": {"boundary": "reflect"},
    "periodic": {"boundary": {"x": "periodic"}},
    "one-sided": {"skipna": "one-sided"},
}


def assert_is_the_plane(ds, given, name, options):
    extra = {"coriolis": 1e-4} if name in NEED_LATITUDE else {}
    here = outputs(name, ds, geometry=given, **options, **extra)
    there = outputs(name, ds, geometry=fd.Plane(), **options, **extra)
    for k in there:
        assert here[k].attrs["horizontal_geometry"] == "curvilinear"
        assert "earth_radius" not in here[k].attrs
        assert here[k].attrs["units"] == there[k].attrs["units"]
        scale = np.nanmax(np.abs(there[k].values))
        assert_allclose(here[k].values, there[k].values, rtol=1e-9, atol=1e-12 * scale, err_msg=k)


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("name", OPERATORS)
def test_constant_spacings_are_the_plane(name, given):
    assert_is_the_plane(on_a_plane(), fd.Curvilinear(*(A, *given(13, 15))), name, {})


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", ["kinematics", "laplacian", "horizontal_gradient", "advection"])
def test_so_they_are_with_every_option_and_with_holes(name, options):
    """A hole spreads as on the plane: 0 · NaN is nowhere."""
    ds = on_a_plane()
    ds = ds.where(ds.s < 1.5).assign_attrs(ds.attrs)
    given = fd.Curvilinear(dx=array(np.full((13, 15), 2e3)), dy=3000.0)
    if name == "kinematics":  # a number has no bend, and an array of one value one that is nought
        given = fd.Curvilinear(dx=2000.0, dy=3000.0)
    assert_is_the_plane(ds, given, name, options)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_hole_is_not_wider_than_the_stencil(name):
    ds = on_a_plane(9, 9)
    ds[{"x": 4, "y": 4}] = np.nan
    extra = {"coriolis": 1e-4} if name in NEED_LATITUDE else {}
    given = fd.Curvilinear(dx=array(np.full((9, 9), 2e3)), dy=array(np.full((9, 9), 3e3)))
    for k, a in outputs(name, ds, geometry=given, **extra).items():
        wide = np.zeros((9, 9), bool)
        wide[4, 3:6] = wide[3:6, 4] = True
        assert np.isfinite(a.values[~wide]).all(), k


def steps_of(grid, n):
    """dx, dy of a grid in metres, and the angle of its x in degrees, at the points."""
    (x_e, x_n, h_x), (_, _, h_y) = directions(grid, n)
    step = 2 / (n - 1)
    return array(h_x * step), array(h_y * step), array(np.rad2deg(np.arctan2(x_n, x_e)))


def spaced(ds, grid):
    """Only spacings and the angle; the latitude stays for the Coriolis parameter."""
    dx, dy, angle = steps_of(grid, ds.u.shape[0])
    return ds.drop_vars("lon"), {"geometry": fd.Curvilinear(dx=dx, dy=dy, angle=angle)}


def spaced_along(ds, grid):
    return along_the_grid(ds, grid), spaced(ds, grid)[1]


@pytest.mark.parametrize("part", [interior, beside_rims])
@pytest.mark.parametrize("name", OPERATORS)
def test_with_an_angle_results_are_along_east_and_north(name, part):
    coarse, fine = (errors(name, rotated_pole, n, part, spaced) for n in (33, 65))
    assert max(fine.values()) < 1e-3
    assert_order(coarse, fine, slack=0.2)


@pytest.mark.parametrize("name", OF_WINDS)
def test_so_they_are_for_winds_along_the_grid(name):
    coarse, fine = (errors(name, rotated_pole, n, prepare=spaced_along) for n in (17, 33))
    assert_order(coarse, fine)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("descending", [False, True])
def test_spacings_along_latitudes_and_longitudes_are_the_sphere(name, descending):
    """As MetPy's lat_lon_grid_deltas has them: between points, signed."""
    apart = []
    for n in (17, 33):
        lat, lon = sampled(regular, n)
        ds, exact = fields(lat, lon)
        straight = ds.drop_vars(["lat", "lon"]).rename(x="lon", y="lat")
        straight = straight.assign_coords(
            lat=("lat", lat[:, 0], {"units": "degrees_north"}),
            lon=("lon", lon[0], {"units": "degrees_east"}),
        )
        order = slice(None, None, -1 if descending else 1)
        straight = straight.isel(lat=order)
        degree = np.deg2rad(1.0) * A
        dx = np.diff(lon, axis=1) * np.cos(np.deg2rad(lat[:, :1])) * degree
        dy = np.diff(lat[order], axis=0) * degree
        given = fd.Curvilinear(
            dx=xr.DataArray(dx[order], dims=("lat", "lon")),
            dy=xr.DataArray(dy, dims=("lat", "lon")),
        )
        here, there = outputs(name, straight, geometry=given), outputs(name, straight)
        apart.append(
            {
                k: np.abs(interior(here[k].values - there[k].values)).max() / UNITS.get(k, U0 / A)
                for k in there
            }
        )
        for k in there:
            assert here[k].attrs.get("standard_name") == there[k].attrs.get("standard_name")
            assert here[k].attrs["long_name"] == there[k].attrs["long_name"]
            assert np.abs(interior(here[k].values - exact[k][order])).max() < 0.05 * max(
                np.abs(exact[k]).max(), UNITS.get(k, U0 / A)
            )
    assert max(apart[1].values()) < 6e-3
    assert_order(*apart)


def test_spacings_may_vary_along_their_own_axis():
    """x = 1e6 (s + 0.2 sin πs / π), y = 1e6 (t + t²/8), at the points and between them."""
    wrong = []
    for n in (33, 65):
        s, t = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
        step = 2 / (n - 1)
        x, y = 1e6 * (s + 0.2 * np.sin(np.pi * s) / np.pi), 1e6 * (t + t**2 / 8)
        f = array(np.sin(2e-6 * x) * np.cos(1e-6 * y)).rename("f")
        exact = {
            "df_dx": 2e-6 * np.cos(2e-6 * x) * np.cos(1e-6 * y) * A,
            "df_dy": -1e-6 * np.sin(2e-6 * x) * np.sin(1e-6 * y) * A,
        }
        at = 1e6 * step * (1 + 0.2 * np.cos(np.pi * s)), 1e6 * step * (1 + t / 4)
        between = np.diff(x, axis=1), np.diff(y, axis=0)
        for way, (dx, dy) in {"at": at, "between": between}.items():
            geometry = fd.Curvilinear(dx=array(dx), dy=array(dy))
            made = op.horizontal_gradient(f, geometry=geometry)
            assert made.df_dx.attrs["long_name"] == "derivative of f per metre along x"
            bent = op.laplacian(f, geometry=geometry).values
            found = {k: np.abs(beside_rims(made[k] * A - exact[k])).max() for k in exact}
            found["laplacian"] = np.abs(beside_rims(bent + 5e-12 * f.values)).max() * 1e12
            wrong.append({f"{k} {way}": e for k, e in found.items()})
    assert_order(wrong[0] | wrong[1], wrong[2] | wrong[3])


@pytest.mark.parametrize("flip", ["x", "y"])
@pytest.mark.parametrize("name", OPERATORS)
def test_a_spacing_is_negative_where_its_axis_falls(name, flip):
    ds = on_a_plane()
    back = ds.isel({flip: slice(None, None, -1)})
    given = {"dx": 2000.0, "dy": 3000.0}
    given[f"d{flip}"] *= -1
    extra = {"coriolis": 1e-4} if name in NEED_LATITUDE else {}
    asked = outputs(name, ds, geometry=fd.Plane(), **extra)
    for k, a in outputs(name, back, geometry=fd.Curvilinear(**given), **extra).items():
        want = asked[k].isel({flip: slice(None, None, -1)}).values
        assert_allclose(a.values, want, rtol=1e-9, atol=1e-12 * np.abs(want).max(), err_msg=k)


# --- what is refused ------------------------------------------------------------------------------


def bad_spacings():
    dx = dy = array(np.full((9, 9), 2e3))
    nought, nan = dx.copy(), dx.copy()
    nought[3, 5], nan[0, 2] = 0, np.nan
    yield (
        "other dims",
        dx.rename(x="i"),
        dy.rename(x="i"),
        "the grid extends along 'i', but 's' has",
    )
    yield (
        "an array",
        dx.values,
        dy,
        r"dx is a ndarray, but dx is to be a number or a DataArray over",
    )
    yield "text", "2 km", dy, r"dx is a str, but dx is to be a number or a DataArray over 'y', 'x'"
    yield (
        "another size",
        dx[:, :-2],
        dy,
        r"dx has the sizes .*'x': 7.*give dx at these points, or be",
    )
    yield "two sizes", dx, dy[:, :-1], r"dy has the sizes .*'x': 8.*one fewer along 'y'"
    yield (
        "no length",
        dx.assign_attrs(units="K"),
        dy,
        "dx is in 'K', which is no length; give metres",
    )
    yield "nought", nought, dy, r"dx is 0.0 at \{'y': 3, 'x': 5\}, but a step needs a finite length"
    yield "nan", dx, nan, r"dy is nan at \{'y': 0, 'x': 2\}, but a step needs a finite length"
    yield "zero", 0.0, dy, "dx is 0.0, but a step needs a finite length"
    yield "negative", -dx, dy, "dx is -2000.0, but 'x' rises along 'x'; dx is the step to the next"
    yield (
        "labels",
        dx.assign_coords(x=np.arange(9)),
        dy,
        "dx and 's' have different labels along 'x'; select the points that both have",
    )


BAD = {name: rest for name, *rest in bad_spacings()}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_spacings_that_do_not_fit_are_coordinate_errors(bad):
    dx, dy, text = bad
    with pytest.raises(CoordinateError, match=text):
        op.horizontal_gradient(on_a_plane(9, 9, 2e3, 2e3).s, geometry=fd.Curvilinear(dx=dx, dy=dy))


def test_what_cannot_be_told_is_asked_for():
    ds = on_a_plane(9, 9)
    with pytest.raises(OptionError, match="dx is given without dy; give both"):
        op.laplacian(ds.s, geometry=fd.Curvilinear(dx=1.0))
    with pytest.raises(
        CoordinateError, match=r"Coriolis parameter of 'u' needs a latitude.*give co"
    ):
        op.absolute_vorticity(ds.u, ds.v, geometry=fd.Curvilinear(dx=2e3, dy=3e3))
    east = ds.u.assign_attrs(standard_name="eastward_wind")
    with pytest.raises(
        OptionError, match=r"'u' points east, but of its grid only dx and dy are kno"
    ):
        op.vorticity(east, ds.v, geometry=fd.Curvilinear(dx=2e3, dy=3e3))
    bare = ds.drop_vars(["x", "y"]).rename(x="a", y="b")
    with pytest.raises(CoordinateError, match="dimensions of 's' are x and y cannot be inferred"):
        op.laplacian(bare.s, geometry=fd.Curvilinear(dx=2e3, dy=3e3))
    angle = xr.DataArray(1.0, attrs={"units": "m"})
    with pytest.raises(
        CoordinateError, match="angle is in 'm', which is no angle; give degrees or"
    ):
        op.laplacian(ds.s, geometry=fd.Curvilinear(dx=2e3, dy=3e3, angle=angle))
    with pytest.raises(
        CoordinateError, match=r"angle has the sizes .*give the angle at these points"
    ):
        op.laplacian(ds.s, geometry=fd.Curvilinear(dx=2e3, dy=3e3, angle=array(np.ones((9, 8)))))
    geometry = fd.Curvilinear(dx=array(np.full((9, 8), 2e3)), dy=3e3)
    with pytest.raises(CoordinateError, match="dx between points knows no gap of a closed axis"):
        op.laplacian(ds.s, geometry=geometry, boundary={"x": "periodic"})


def test_an_angle_of_nought_says_that_x_is_east():
    ds = on_a_plane()
    for k, name in (("u", "eastward_wind"), ("v", "northward_wind")):
        ds[k].attrs["standard_name"] = name
    made = op.deformation(ds.u, ds.v, geometry=fd.Curvilinear(dx=2e3, dy=3e3, angle=0))
    want = op.deformation(ds.u, ds.v, geometry=fd.Plane())
    for k in want:
        assert_allclose(made[k], want[k], rtol=1e-9, atol=1e-18)


# --- chunks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kinematics", "laplacian", "potential_vorticity"])
@pytest.mark.parametrize("between", [False, True], ids=["at points", "between points"])
def test_lazy_spacings_compute_nothing_and_change_no_bit(name, between, lazily):
    lat, lon = sampled(rotated_pole, 10)
    ds, _ = fields(lat, lon)
    dx, dy, angle = steps_of(rotated_pole, 10)
    if between:
        dx, dy = dx[:, 1:], dy[1:]
    whole = outputs(name, ds, geometry=fd.Curvilinear(dx=dx, dy=dy, angle=angle))
    with lazily():
        lazy = fd.Curvilinear(dx=dx.chunk(y=4), dy=dy.chunk(x=3, y=2), angle=angle.chunk(x=5))
        made = outputs(name, ds.chunk(y=(1, 6, 3), x=5), geometry=lazy)
    for k, a in dask.compute(made, scheduler="sync")[0].items():
        assert_array_equal(a.values, whole[k].values, err_msg=k)


def test_a_lazy_spacing_of_nought_is_nan_there(lazily):
    ds = on_a_plane(9, 9)
    dx = array(np.full((9, 9), 2e3))
    dx[4, 4] = 0
    geometry = fd.Curvilinear(dx=dx.chunk(x=3), dy=3e3)
    for name in ("horizontal_gradient", "kinematics", "laplacian"):
        for k, a in outputs(name, ds, geometry=geometry).items():
            values = a.compute(scheduler="sync").values
            assert np.isnan(values[4, 4]) or k == "ds_dy"
            assert np.isfinite(values[:3]).all()
            assert not np.isinf(values).any()


def test_closed_forms_are_those_of_the_module():
    lat, lon = sampled(regular, 5)
    assert set(closed_forms(lat, lon)) > set(UNITS)
