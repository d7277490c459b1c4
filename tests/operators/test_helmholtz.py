"""Stream function, velocity potential, the parts of a wind, truncation: against closed forms."""

from __future__ import annotations

import sys
from collections import Counter

import dask
import dask.array as da
import jax
import numpy as np
import pytest
import xarray as xr
from counting import Source
from curved import SPECTRAL
from fields import DIVERGENT, HARMONICS, ROSSBY_HAURWITZ, A, K, chi, degrees, field, globe
from numpy.polynomial.legendre import leggauss, legval
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask import pipeline
from fdgrad_dask.errors import CoordinateError, OptionError

CIRCLE = np.arange(0, 360, 10.0)
GAUSSIAN = np.rad2deg(np.arcsin(leggauss(18)[0]))[::-1]
GRIDS = {  # latitudes, longitudes, and the largest degree that they resolve
    "both poles, from the south": (np.linspace(-90, 90, 19), CIRCLE, 17),
    "both poles, from the north": (np.linspace(90, -90, 19), CIRCLE - 180, 17),
    "half a step off the poles": (np.arange(-85, 90, 10.0), CIRCLE, 17),
    "a step off the poles": (np.arange(80, -90, -10.0), CIRCLE, 8),
    "the south pole is missing": (np.arange(90, -90, -10.0), CIRCLE, 8),
    "the north pole is missing": (np.arange(-90, 90, 10.0), CIRCLE[::-1], 8),
    "Gaussian from the north": (GAUSSIAN, CIRCLE, 17),
    "Gaussian from the south": (GAUSSIAN[::-1], CIRCLE, 17),
    "Gaussian, rounded in the file": (GAUSSIAN.round(2), CIRCLE, 17),
    "longitudes that fall": (np.linspace(-90, 90, 19), CIRCLE[::-1], 17),
    "the first longitude again": (np.linspace(-90, 90, 19), np.arange(-180, 181, 10.0), 17),
    "few rows, half a step off": (np.arange(-80, 90, 20.0), CIRCLE, 8),
    "few rows, both poles": (np.linspace(-90, 90, 10), CIRCLE, 8),
    "few rows, Gaussian": (np.rad2deg(np.arcsin(leggauss(9)[0])), CIRCLE, 8),
    "odd longitudes": (np.linspace(-90, 90, 19), np.arange(0, 360, 24.0) + 7, 7),
}
ABOUT = 2e-3  # 0.005° of latitude times the slope of the steepest field
COARSE = globe(10.0)


def psi(x, y):
    """The stream function of the Rossby–Haurwitz wave, whose u is −∂ψ/∂y."""
    return -(A**2) * K * np.sin(y) + chi(x, y)


def assert_near(got, want, rtol=1e-10, scale=None):
    size = float(abs(want).max()) if scale is None else scale
    assert_allclose(got.transpose(*want.dims), want, rtol=0, atol=rtol * size)


@pytest.mark.parametrize("name", GRIDS)
def test_closed_forms_on_every_grid(name):
    lat, lon, limit = GRIDS[name]
    grid, rtol = degrees(lat, lon), ABOUT if "rounded" in name else 1e-10
    turning, spreading = ROSSBY_HAURWITZ.wind(grid), DIVERGENT.wind(grid)
    u, v = (a + b for a, b in zip(turning, spreading, strict=True))
    got = op.helmholtz(u.rename("u"), v.rename("v"))
    assert_near(got["stream_function"], field(psi, grid, "psi"), rtol)
    assert_near(got["velocity_potential"], field(chi, grid, "chi"), rtol)
    for kind, wind in (("rotational", turning), ("divergent", spreading)):
        for component in wind:
            assert_near(got[f"{component.name}_{kind}"], component, rtol, scale=100)
    assert {one.attrs["truncation"] for one in got.values()} == {limit}
    assert dict(got.sizes) == dict(u.sizes)


def test_the_parts_add_up_and_potentials_give_the_derivatives():
    """Of noise up to degree 17: differences of accuracy 2 on a fine grid would not show this."""
    rng = np.random.default_rng(0)
    noise = [COARSE["lat"] * COARSE["lon"] * 0 + rng.normal(size=(19, 36)) for _ in range(2)]
    smooth = [op.truncate(one.rename("f"), truncation=10) for one in noise]
    u, v = (one * np.cos(np.deg2rad(COARSE["lat"])) for one in smooth)
    u.attrs["units"] = v.attrs["units"] = "m s-1"
    got = op.helmholtz(u.rename("u"), v.rename("v"))
    assert_near(got.u_rotational + got.u_divergent, u, 1e-12)
    assert_near(got.v_rotational + got.v_divergent, v, 1e-12)
    again = op.helmholtz(got.u_rotational, got.v_rotational)
    assert_near(again.stream_function, got.stream_function, 1e-12)
    assert float(abs(again.velocity_potential).max()) < 1e-12 * float(
        abs(got.velocity_potential).max()
    )


def test_the_laplacian_of_the_stream_function_is_the_vorticity():
    u, v = ROSSBY_HAURWITZ.wind(COARSE)
    vorticity = ROSSBY_HAURWITZ.exact("vorticity", COARSE)
    got = op.inverse_laplacian(vorticity + 1e-5)  # the mean has no inverse
    assert_near(got, op.stream_function(u, v))
    assert got.name == "vorticity_inverse_laplacian"
    units = op.inverse_laplacian(vorticity).attrs["units"]
    assert units == op.stream_function(u, v).attrs["units"] == "m2 s-1"


def test_truncation_keeps_harmonics_up_to_its_degree():
    def total(x, y, most=9):
        return 280 + sum(f(x, y) for degree, f in HARMONICS.values() if degree <= most)

    full = field(total, COARSE, "t", units="K", long_name="warmth", standard_name="air_temperature")
    for most in (0, 1, 2, 4, 5, None):
        want = field(lambda x, y, n=most: total(x, y, 9 if n is None else n), COARSE, "t")
        got = op.truncate(full, truncation=most)
        assert_near(got, want, 1e-13)
        assert got.name == "t"
        assert got.attrs["truncation"] == (17 if most is None else most)
        same = {key: got.attrs[key] for key in full.attrs}
        assert same == full.attrs
    u, v = ROSSBY_HAURWITZ.wind(COARSE)  # of degrees 1 and 5
    got = op.stream_function(u, v, truncation=4)
    assert_near(got, field(lambda x, y: -(A**2) * K * np.sin(y) + 0 * x, COARSE, "psi"))


def test_what_is_above_a_truncation_is_not_aliased_into_it():
    """On 9 rows, whose plain quadrature is exact for products up to degree 8 only."""
    grid = globe(22.5)
    rows = field(lambda x, y: legval(np.sin(y), [0, 1, 0, 0, 0, 0, 0, 1]) + 0 * x, grid, "f")
    want = field(lambda x, y: np.sin(y) + 0 * x, grid, "f")
    assert_near(op.truncate(rows, truncation=3), want, 1e-13)


def test_the_radius_and_units():
    u, v = ROSSBY_HAURWITZ.wind(COARSE)
    unit = op.stream_function(u, v)
    assert_near(op.stream_function(u, v, geometry=fd.Sphere(2 * A)), 2 * unit)
    mixed = op.stream_function(u, (3.6 * v).assign_attrs(v.attrs, units="km h-1"))
    assert_near(mixed, unit)
    assert unit.attrs["standard_name"] == "atmosphere_horizontal_streamfunction"
    potential = op.velocity_potential(u, v).attrs
    assert potential["standard_name"] == "atmosphere_horizontal_velocity_potential"
    assert potential["latitudes"] == "equidistant, with both poles"
    with pytest.raises(OptionError, match="the other way around"):
        op.helmholtz(v, u)
    bare = op.rotational_wind(u.rename(None).drop_attrs(), v.rename(None).drop_attrs())
    for alike in ((u.rename(None), v), (u.rename("wind"), v.rename("wind"))):
        assert list(op.rotational_wind(*alike)) == list(bare)
    assert list(bare) == ["u_rotational", "v_rotational"]
    assert "units" not in bare.u_rotational.attrs


def winds(dtype="f8"):
    rng = np.random.default_rng(1)
    coords = {**COARSE.coords, "time": [0, 1, 2], "level": [500.0, 850.0]}
    shape, dims = (3, 19, 2, 36), ("time", "lat", "level", "lon")
    attrs = {"units": "m s-1"}
    return [
        xr.DataArray(rng.normal(size=shape).astype(dtype), coords, dims, name, attrs)
        for name in "uv"
    ]


def test_any_chunks_and_any_order_of_dimensions_have_the_same_bits():
    u, v = winds()
    want = op.helmholtz(u, v)
    one = op.helmholtz(*(f.isel(time=1, level=0) for f in (u, v)))
    xr.testing.assert_identical(one, want.isel(time=1, level=0))
    for chunks in ({"time": 1, "lat": 7, "lon": -1}, {"lat": 1, "lon": 5, "level": 1}):
        got = op.helmholtz(u.chunk(chunks), v.chunk({"time": 2}))
        assert got.chunks == u.chunk(chunks).to_dataset(name="u").chunks
        xr.testing.assert_identical(got.compute(), want)
    turned = op.helmholtz(u.transpose("lon", "level", "time", "lat"), v)
    assert turned.stream_function.dims == ("lon", "level", "time", "lat")
    xr.testing.assert_equal(turned.transpose(*u.dims), want)


@pytest.fixture
def calls(monkeypatch):
    """How often ducc0 was called, by function, spin and threads."""
    ducc0 = pytest.importorskip("ducc0")
    counted = Counter()
    for name in ("analysis_2d", "synthesis_2d"):
        original = getattr(ducc0.sht, name)

        def counting(*, original=original, name=name, **given):
            counted[name, given["spin"], given["nthreads"]] += 1
            return original(**given)

        monkeypatch.setattr(ducc0.sht, name, counting)
    return counted


def test_each_slice_is_analysed_once_for_all_that_is_asked_together(calls):
    sources = [Source(f.values) for f in winds()]
    u, v = (
        f.copy(data=source.chunked((1, 10, 2, 12)))
        for f, source in zip(winds(), sources, strict=True)
    )
    parts = op.helmholtz(u, v)
    repr(parts.fdgrad)
    assert not calls
    assert not any(source.reads for source in sources)
    # Results that are optimised one by one share it too.
    dask.compute(*dask.optimize(*parts.values()), scheduler="synchronous")
    assert calls == {
        ("analysis_2d", 1, 1): 6,
        ("synthesis_2d", 0, 1): 12,
        ("synthesis_2d", 1, 1): 12,
    }
    assert all(set(source.reads.values()) == {1} for source in sources)
    calls.clear()
    op.stream_function(u, v).isel(time=0).compute(scheduler="synchronous")
    assert calls == {("analysis_2d", 1, 1): 2, ("synthesis_2d", 0, 1): 2}
    calls.clear()
    op.stream_function(*winds())  # in memory, with all threads
    assert calls == {("analysis_2d", 1, 0): 6, ("synthesis_2d", 0, 0): 6}


def test_a_config_cuts_its_regions_around_whole_slices(calls, tmp_path):
    """Smaller ones, as the chunks of this target allow, would transform each slice nine times."""
    dataset = xr.merge([f.isel(level=0, drop=True) for f in winds()])
    dataset.chunk(time=1).to_zarr(tmp_path / "in.zarr", consolidated=False)
    options = {"truncation": 5, "parts": ["stream_function"]}
    config = {
        "source": {"path": str(tmp_path / "in.zarr")},
        "steps": [{"operator": "helmholtz", "inputs": ["u", "v"], "options": options}],
        "target": {"path": str(tmp_path / "out.zarr"), "chunks": {"time": 1, "lat": 7, "lon": 12}},
    }
    pipeline.run(config)
    assert calls["analysis_2d", 1, 1] == 3
    written = xr.open_zarr(tmp_path / "out.zarr")["stream_function"]
    assert written.chunks == ((1, 1, 1), (7, 7, 5), (12, 12, 12))
    assert_array_equal(written, op.stream_function(dataset.u, dataset.v, truncation=5))


def test_a_missing_value_makes_its_slice_missing_and_no_other():
    u, v = winds()
    want = op.helmholtz(u, v)
    u[1, 3, 0, 4], v[2, 0, 1, 0] = np.nan, np.inf
    got = op.helmholtz(u, v)
    for name, one in got.items():
        hurt = one.isnull().any(["lat", "lon"])
        assert_array_equal(hurt, [[False, False], [True, False], [False, True]])
        assert_array_equal(hurt, one.isnull().all(["lat", "lon"]))
        assert_array_equal(one.where(~hurt), want[name].where(~hurt))


def test_the_kind_and_the_dtype_stay():
    u, v = winds("f4")
    want = op.helmholtz(u, v)
    assert {one.dtype for one in want.values()} == {np.dtype("f4")}
    wide = op.helmholtz(u.astype("f8"), v.astype("f8"))  # computed in float64, then rounded
    assert_array_equal(want.stream_function, wide.stream_function.astype("f4"))
    assert op.truncate(u.astype("i4")).dtype == np.float64
    assert op.truncate(u.astype("f2")).dtype == np.float32
    on_jax = [fd.to_device(f) for f in (u, v)]
    got = op.helmholtz(*on_jax)
    lazy = op.helmholtz(*(fd.to_device(f.chunk(time=1, lat=5)) for f in (u, v)))
    assert isinstance(lazy.stream_function.data._meta, jax.Array)

    @jax.jit
    def traced(a, b):
        made = op.helmholtz(u.copy(data=a), v.copy(data=b))
        return {name: one.data for name, one in made.items()}

    jitted = traced(*(f.data for f in on_jax))
    over = jax.vmap(lambda a: op.truncate(u[0].copy(data=a), truncation=3).data)(on_jax[0].data)
    assert_array_equal(over, op.truncate(u, truncation=3))
    for name, one in want.items():
        in_chunks = dask.compute(lazy[name].data, scheduler="threads")[0]
        for kind in (got[name].data, jitted[name], in_chunks):
            assert isinstance(kind, jax.Array)
            assert kind.dtype == np.float32
            assert_array_equal(kind, one)
    mixed = op.stream_function(u, on_jax[1]).data
    assert isinstance(mixed, jax.Array)
    assert_array_equal(mixed, want.stream_function)
    double = op.stream_function(*(fd.to_device(f.astype("f8")) for f in (u, v)))
    assert double.dtype == np.float64
    assert_array_equal(double, wide.stream_function)
    with pytest.raises(ValueError, match="callbacks do not support JVP"):
        jax.grad(lambda a: op.truncate(u[0, :, 0].copy(data=a)).data.sum())(on_jax[0].data[0, :, 0])


def test_what_jax_may_move_freely_stays_so():
    u = winds("f4")[0][0, :, 0]
    free = jax.numpy.asarray(u.values)
    for data in (free, jax.device_put(free, jax.devices()[0])):
        made = op.truncate(u.copy(data=data), truncation=3).data
        assert made.committed == data.committed
        assert made.devices() == data.devices()


def test_chunks_of_unknown_sizes():
    u = winds()[0].drop_vars("time")
    kept = da.from_array(np.array([True, False, True]), chunks=1)
    data = u.chunk(time=1, lat=-1, lon=-1).data[kept]
    lazy = xr.DataArray(data, {n: u.coords[n] for n in ("lat", "lon")}, u.dims, "u")
    got = op.truncate(lazy, truncation=5).data.compute()
    assert_array_equal(got, op.truncate(u, truncation=5)[::2])


def on_plane(f):
    return xr.DataArray(
        f.values,
        {
            "y": ("y", np.arange(19.0), {"units": "km", "axis": "Y"}),
            "x": ("x", np.arange(36.0), {"units": "km", "axis": "X"}),
        },
        ("y", "x"),
        name="f",
    )


def with_places(f):
    lat, lon = xr.broadcast(f.lat, f.lon)
    return xr.DataArray(f.values, {"lat2": lat.variable, "lon2": lon.variable}, f.dims, "f")


def rotated(f):
    made = f.copy()
    for name, key in (("lat", "grid_latitude"), ("lon", "grid_longitude")):
        made[name].attrs = {"units": "degrees", "standard_name": key}
    return made


UNEVEN = np.concatenate([[-90.0], np.linspace(-88, 88, 17), [90.0]])
REFUSED = {  # what is made of a good field, and what the message says
    "a sector": (lambda f: f.isel(lon=slice(30)), "the 30 longitudes of 'f' go from 0 to 290"),
    "few rows": (
        lambda f: f.isel(lat=slice(4, -4)),
        "the 11 latitudes of 'f', -50 to 50 degrees, .* of these; take all rows from pole to pole",
    ),
    "a hole": (lambda f: f.isel(lat=[*range(9), *range(10, 19)]), "the 18 latitudes"),
    "uneven rows": (lambda f: f.assign_coords(lat=("lat", UNEVEN, f.lat.attrs)), "numpy.linspace"),
    "no rows": (lambda f: f.isel(lat=[0, -1]), "2 latitudes and 36 longitudes, which resolve no"),
    "a plane": (on_plane, "the geometry of 'f' is Plane"),
    "2-D places": (with_places, "the geometry of 'f' is Curvilinear, but spherical harmonics need"),
    "a rotated pole": (rotated, "the longitudes of 'f' are about a rotated pole"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_grids_are_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(CoordinateError, match=message):
        op.truncate(make(field(psi, COARSE, "f")))


def test_remedies_work():
    fine = field(psi, globe(2.0), "f")
    rows = np.concatenate([[-90.0], np.linspace(-88.4, 88.4, 89), [90.0]])
    uneven = fine.interp(lat=("lat", rows, fine.lat.attrs))
    with pytest.raises(CoordinateError, match=r"numpy.linspace\(-90, 90, 91\), kwargs") as said:
        op.truncate(uneven)
    remedy = str(said.value).rpartition("interpolate to even ones: ")[2]
    even = eval(f"uneven{remedy}", {"uneven": uneven, "numpy": np})
    assert_near(op.truncate(even), fine, 2e-3)
    u, v = winds()
    with pytest.raises(OptionError, match=r"truncation is 18, .* resolve degrees of 0 to 17;"):
        op.stream_function(u, v, truncation=18)
    op.stream_function(u, v, truncation=17)
    for wrong in (-1, 3.5, True, "42"):
        with pytest.raises(OptionError, match=f"truncation is {wrong!r}"):
            op.truncate(u, truncation=wrong)
    with pytest.raises(OptionError, match="did you mean 'stream_function'"):
        op.helmholtz(u, v, parts=["streamfunction"])
    assert list(op.helmholtz(u, v, parts="stream_function")) == ["stream_function"]
    with pytest.raises(OptionError, match="holds complex128"):
        op.truncate(u + 0j)
    with pytest.raises(CoordinateError, match="lie on different points"):
        op.helmholtz(u, v.assign_coords(lon=v.lon + 5))


def test_without_ducc0_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ducc0", None)
    with pytest.raises(OptionError, match=r"pip install 'fdgrad_dask\[spectral\]'"):
        op.truncate(winds()[0])


def test_all_of_them_have_the_option():
    takes = {n for n in op.__all__ if "truncation" in op.__dict__[n].__signature__.parameters}
    assert takes == set(SPECTRAL)
