"""What users of other libraries write from habit: it is right, or the message says what is."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pint
import pytest
import xarray as xr
from model_grids import CIRCLE, HALF_STEP, flow_on, worst

import fdgrad_dask as fd
from fdgrad_dask import operators as op


@pytest.fixture
def ds() -> xr.Dataset:
    return flow_on(HALF_STEP, CIRCLE)


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("dx", r"geometry=fdgrad_dask.Curvilinear\(dx=…, dy=…\)"),
        ("radius", r"geometry=fdgrad_dask.Sphere\(radius\)"),
        ("latitude", "the axes are found in the coordinates"),
        ("crs", "the axes are found in the coordinates"),
        ("dim", "the axes are found in the coordinates"),
        ("periodic", r"boundary=\{'x': 'periodic'\}"),
        ("one_sided_at_boundary", "one-sided by themselves"),
        ("skipnan", "did you mean 'skipna'"),
    ],
)
def test_options_of_other_libraries(ds, option, remedy):
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{option}'; .*{remedy}"):
        ds.fdgrad.vorticity("u", "v", **{option: 1})


@pytest.mark.parametrize("option", ["axis", "coord", "dims"])
def test_the_dimension_of_a_gradient_under_other_names(ds, option):
    """``coordinate=``, which sounds like xarray's ``coord``, is something else."""
    with pytest.raises(TypeError, match="it is called dim here"):
        ds.u.fdgrad.gradient(**{option: "lat"})


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("differentiate", r"gradient\(dim\)"),
        ("relative_vorticity", "vorticity"),
        ("curl_xy", "vorticity"),
        ("div", "divergence"),
        ("vortcity", "vorticity"),
    ],
)
def test_operators_under_other_names(ds, name, ours):
    """A relative vorticity is no absolute one, which it is close to in letters."""
    with pytest.raises(AttributeError, match=rf"it is called {ours} here|did you mean '{ours}'"):
        getattr(ds.fdgrad, name)
    with pytest.raises(AttributeError, match=rf"it is called {ours} here|did you mean '{ours}'"):
        getattr(op, name)


def test_operators_where_modules_do_not_have_them():
    with pytest.raises(AttributeError, match=r"functions of fdgrad_dask\.operators, and methods"):
        fd.vorticity  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'Sphere'"):
        fd.Sphre  # noqa: B018


def test_a_gradient_of_one_field_of_a_dataset(ds):
    for arguments in [("u", "lat"), (ds.u, "lat")]:
        with pytest.raises(TypeError, match=r"of one field it is ds\['u'\].fdgrad.gradient\(dim\)"):
            ds.fdgrad.gradient(*arguments)
    with pytest.raises(ValueError, match=r"of one field it is ds\['u'\].fdgrad.gradient\(dim\)"):
        ds.fdgrad.gradient("u")
    with pytest.raises(TypeError, match=r"in a list: gradient\(\['lat', 'lon'\]\)"):
        ds.u.fdgrad.gradient("lat", "lon")
    with pytest.raises(TypeError, match=r"in a list: gradient\(\['lat', 'lon'\]\)"):
        ds.fdgrad.gradient("lat", "lon")


def test_which_is_no_list(ds):
    for which in (None, 3):
        with pytest.raises(ValueError, match=r"which is \[.*give a list of some of divergence"):
            ds.fdgrad.kinematics("u", "v", which=which)


def test_a_step_that_is_a_quantity():
    """A wind of 2 m s-1 more for each 3 km to the north: ζ = −2/3000 s-1."""
    u = xr.DataArray(2.0 * np.arange(5)[:, None] * np.ones(6), dims=("y", "x"), name="u")
    km = pint.UnitRegistry().km
    for step in (3 * km, 3000.0, xr.DataArray(3.0, attrs={"units": "km"})):
        zeta = op.vorticity(u, 0 * u.rename("v"), geometry=fd.Curvilinear(dx=step, dy=step))
        np.testing.assert_allclose(zeta, -2 / 3000, rtol=1e-12)


def test_words_are_no_flags(ds):
    """A string is true in Python whatever it says."""
    levels = xr.DataArray([1e5, 9e4], dims="p", coords={"p": ("p", [1e5, 9e4], {"units": "Pa"})})
    with pytest.raises(ValueError, match="upward is 'no'; give True or False"):
        levels.fdgrad.gradient("p", upward="no")


def test_the_coriolis_parameter_of_every_latitude_is_named_by_its_kind(ds):
    z = ds.u.assign_attrs(units="m2 s-2")
    with pytest.raises(ValueError, match=r"coriolis is a DataArray; .* leave it out"):
        z.fdgrad.geostrophic_wind(coriolis=1e-4 * np.sin(ds.lat))


RADIANS = {
    "a circle": (HALF_STEP, CIRCLE, np.float64),
    "float32": (HALF_STEP, CIRCLE, np.float32),
    "a region": (np.arange(30.0, 50, 1.5), np.arange(-10.0, 20, 1 / 12), np.float64),
    "about zero": (np.arange(-2.0, 2.1, 0.25), np.arange(0.0, 5, 0.25), np.float64),
}


@pytest.mark.parametrize(
    ("case", "is_2d"),
    # Two-dimensional angles of few digits close no circle, and are not round.
    [
        (case, is_2d)
        for case in RADIANS
        for is_2d in (False, True)
        if (case, is_2d) != ("float32", True)
    ],
)
def test_radians_that_kept_the_units_of_degrees(case, is_2d):
    """``np.deg2rad(ds.lat)`` is in degrees_north still, and was a region of a few degrees."""
    lat, lon, dtype = RADIANS[case]
    ds = flow_on(lat, lon)
    names = {name: ds[name].astype(dtype) for name in ("lat", "lon")}
    turned = ds.assign_coords(
        {n: (n, np.deg2rad(one.values), one.attrs) for n, one in names.items()}
    )
    if is_2d:
        places = dict(zip(names, xr.broadcast(turned.lat, turned.lon), strict=True))
        turned = turned.drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
        turned = turned.assign_coords(
            {n: (("y", "x"), p.values, p.attrs) for n, p in places.items()}
        )
    with pytest.raises(ValueError, match=r"are radians, .* turn them back") as refused:
        turned.fdgrad.vorticity("u", "v")
    assert "=numpy.rad2deg(….l" in str(refused.value)
    back = {n: turned[n].copy(data=np.rad2deg(turned[n].values)) for n in names}
    zeta = turned.assign_coords(back).fdgrad.vorticity("u", "v", edge_order=2)
    true = np.asarray(ds.true)
    assert np.nanmax(np.abs(zeta.values - true)[2:-2, 2:-2]) < 1e-2 * np.abs(true).max()


def test_a_gradient_along_radians_that_say_degrees(ds):
    turned = ds.assign_coords(lat=("lat", np.deg2rad(ds.lat.values), ds.lat.attrs))
    with pytest.raises(ValueError, match="say what they are, for a derivative per radian"):
        turned.u.fdgrad.gradient("lat")
    turned.lat.attrs["units"] = "radian"
    made = turned.u.fdgrad.gradient("lat")
    np.testing.assert_array_equal(made, turned.u.differentiate("lat"))
    assert made.attrs["units"] == "m s-1 rad-1"


@pytest.mark.parametrize("step", [0.01, 0.0157, 1 / 12, 0.1, 1.0, 0.05234])
def test_small_regions_in_degrees_are_no_radians(step):
    ds = flow_on(np.arange(16) * step, np.arange(16) * step)
    assert ds.fdgrad.vorticity("u", "v").notnull().all()


MONTHS = pd.period_range("2001-01", periods=5, freq="M")


@pytest.mark.parametrize(
    ("labels", "remedy", "obey"),
    [
        (MONTHS, r"indexes\['x'\].to_timestamp\(\)", lambda f: f.indexes["x"].to_timestamp()),
        (pd.interval_range(0, 10, 5), r"indexes\['x'\].mid", lambda f: f.indexes["x"].mid),
        (MONTHS.strftime("%Y-%m-%d"), r"astype", lambda f: f.x.astype("datetime64[ns]")),
        (list("abcde"), r"; drop it|or drop it", lambda f: np.arange(5.0)),
    ],
)
def test_labels_that_are_no_points(labels, remedy, obey):
    """Months of pandas, the bins of ``groupby_bins``, dates that were left as texts."""
    f = xr.DataArray(np.arange(5.0) ** 2, dims="x", coords={"x": labels}, name="f")
    with pytest.raises(ValueError, match=remedy):
        f.fdgrad.gradient("x")
    again = f.assign_coords(x=obey(f))
    is_dated = again.x.dtype.kind == "M"
    wanted = again.differentiate("x", datetime_unit="s" if is_dated else None)
    np.testing.assert_allclose(again.fdgrad.gradient("x"), wanted, rtol=1e-12)


LEVELS = {
    "hPa": xr.DataArray([1000.0, 850.0], dims="k", attrs={"units": "hPa"}, name="plev"),
    "level": xr.DataArray([1, 2], dims="k", name="level"),
    "height": xr.DataArray([2.0, 10.0], dims="k", attrs={"units": "m"}, name="height"),
    "dates": xr.DataArray(pd.date_range("2001-01-01", periods=2).values, dims="k", name="time"),
    "cftime": xr.DataArray(
        xr.date_range("2001-01-01", periods=2, calendar="noleap", use_cftime=True).values,
        dims="k",
        name="time",
    ),
}


@pytest.mark.parametrize("kind", LEVELS)
def test_components_at_different_levels_or_times(ds, kind):
    """xarray's arithmetic drops a scalar coordinate that differs."""
    levels = LEVELS[kind]
    name = levels.name
    u, v = (ds[one].assign_coords({name: levels[i]}) for i, one in enumerate("uv"))
    with pytest.raises(ValueError, match=rf"'u' is at {name} = .* at one level and time"):
        op.vorticity(u, v)
    same = op.vorticity(u, v.assign_coords({name: levels[0]}))
    assert worst(same[2:-2], ds.true[2:-2]) < 1e-2
    xr.testing.assert_identical(op.vorticity(u, v.drop_vars(name)), same)


def test_scalar_coordinates_that_cannot_be_compared(ds):
    """Dates of two calendars, of two libraries, and levels as texts were bare errors of Python."""
    dates = [
        xr.date_range("2001-01-01", periods=1, calendar=calendar, use_cftime=True).values[0]
        for calendar in ("noleap", "standard")
    ]
    now = np.datetime64("2001-01-01", "ns")
    same = op.vorticity(ds.u, ds.v).values
    for name, one, other in (
        ("time", *dates),
        ("time", dates[1], now),
        ("time", now, np.timedelta64(6, "h").astype("timedelta64[ns]")),
        ("depth", "surface", "bottom"),
    ):
        found = op.vorticity(ds.u.assign_coords({name: one}), ds.v.assign_coords({name: other}))
        np.testing.assert_array_equal(found, same)


def test_scalar_coordinates_that_may_differ(ds):
    """Labels of ``to_array`` and bands; a level to its rounding; a temperature at two metres."""
    u, v = (ds[one].assign_coords(variable=one, band=i) for i, one in enumerate("uv"))
    height = {"height": ((), 10.0, {"units": "m"})}
    rounded = {"height": ((), np.float32(10.00001), {"units": "m"})}
    two = {"height": ((), 2.0, {"units": "m"})}
    t = (280 + ds.u).rename("t").assign_coords(two).assign_attrs(units="K")
    u, v = u.assign_coords(height), v.assign_coords(rounded)
    assert worst(op.vorticity(u, v)[2:-2], ds.true[2:-2]) < 1e-2
    assert op.advection(u, v, t)[2:-2].notnull().all()


def test_a_period_that_is_traced():
    """Weights are formed before JAX computes; a static argument is known then."""
    x = np.array([0.0, 1.0, 2.5, 4.0])
    f = xr.DataArray(jnp.asarray(x**2), dims="x", coords={"x": x}, name="f")

    def slopes(period):
        plain = fd.gradient(f.data, x, boundary="periodic", period=period)
        return plain, f.fdgrad.gradient("x", boundary="periodic", period=period).data

    def labelled(period):
        return f.fdgrad.gradient("x", boundary="periodic", period=period).data

    for function in (slopes, labelled):
        with pytest.raises(ValueError, match=r"not traced: of a closure, or static_argnames"):
            jax.jit(function)(5.0)
    plain, named = jax.jit(slopes, static_argnames="period")(period=5.0)
    np.testing.assert_allclose(plain, named)
    np.testing.assert_allclose(plain, slopes(5.0)[0])


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 1), (2, 1), (0, 8), (18, 18)])
@pytest.mark.parametrize("chunks", [None, 7])
def test_cyclic_points_at_both_ends(before, after, chunks):
    """As plotting libraries add them: what is known there is what the circle has."""
    ds = flow_on(np.arange(-90.0, 91, 5), np.arange(0.0, 360, 10))
    wide = ds.pad(lon=(before, after), mode="wrap")
    lon = 10.0 * np.arange(-before, 36 + after)
    wide = wide.assign_coords(lon=("lon", lon, ds.lon.attrs), lat=ds.lat)
    wide = wide if chunks is None else wide.chunk(lon=chunks)
    index = np.arange(-before, 36 + after) % 36
    for made, wanted in (
        (wide.fdgrad.vorticity("u", "v"), ds.fdgrad.vorticity("u", "v")),
        (wide.u.fdgrad.laplacian(), ds.u.fdgrad.laplacian()),
        (wide.fdgrad.stream_function("u", "v"), ds.fdgrad.stream_function("u", "v")),
    ):
        assert made.notnull().all()
        assert made.chunks is None or made.chunksizes["lon"] == wide.chunksizes["lon"]
        np.testing.assert_allclose(
            made, wanted.isel(lon=index), rtol=1e-9, atol=1e-12 * abs(wanted).max()
        )


def test_longitudes_that_go_around_more_than_twice_are_left_open():
    ds = flow_on(np.arange(-40.0, 41, 5), np.arange(0.0, 720, 10))
    assert ds.fdgrad.vorticity("u", "v").notnull().all()
    more = flow_on(np.arange(-40.0, 41, 5), np.arange(0.0, 721, 10))
    one_sided, closed = more.fdgrad.vorticity("u", "v"), ds.fdgrad.vorticity("u", "v")
    np.testing.assert_allclose(one_sided[:, 1:71], closed[:, 1:71], rtol=1e-9, atol=1e-18)
    assert ["periodic" in made.attrs for made in (closed, one_sided)] == [True, False]
