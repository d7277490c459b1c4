"""Real model output, opened lazily: against xarray where it can, closed forms where it cannot.

ERA-Interim comes from the file that FDGRAD_ERAINTERIM names, or lies beside the repository; the
others are in the package iris-sample-data.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError

try:
    import iris_sample_data

    SAMPLES = Path(iris_sample_data.path)
except ImportError:
    SAMPLES = None

ROOT = Path(__file__).parents[2]
ERA = Path(os.environ.get("FDGRAD_ERAINTERIM", ROOT / "../shared/data/eraint_uvz.nc"))
FLOAT32 = 2.0**-23

pytestmark = pytest.mark.filterwarnings(
    "ignore:variable '[zuv]' has non-conforming '_FillValue':xarray.SerializationWarning"
)


def sample(name):
    if SAMPLES is None:
        pytest.skip("iris-sample-data is not installed: pip install fdgrad_dask[samples]")
    # Older versions of xarray warn unless told whether periods become timedelta64.
    return xr.open_dataset(SAMPLES / name, chunks={}, decode_timedelta=False)


@pytest.fixture(scope="module")
def era():
    if not ERA.is_file():
        pytest.skip(f"no {ERA}: set FDGRAD_ERAINTERIM to a file with u, v and z of ERA-Interim")
    with xr.open_dataset(ERA, chunks={}) as dataset:
        yield dataset.chunk(latitude=50, longitude=100)


@pytest.fixture(scope="module")
def ostia():
    with sample("ostia_monthly.nc") as dataset:
        yield dataset["surface_temperature"].chunk(time=10, longitude=100)


@pytest.fixture(scope="module")
def hadcm3():
    with sample("A1B_north_america.nc") as dataset:
        yield dataset["air_temperature"].chunk(time=100)


@pytest.fixture(scope="module")
def nemo():
    with sample("NEMO/nemo_1m_20150101-20150201_grid-T.nc") as dataset:
        # Before 2026.9 xarray chunks cftime dates only when each of their dimensions is named.
        yield dataset.chunk({**dict.fromkeys(dataset.dims, -1), "y": 100, "x": 100})


def in_double(field):
    """The field and its coordinates in float64: what both results are measured by.

    Coordinates that are even but for the rounding of float32 stand for even ones.
    """

    def even(axis):
        exact = axis.values.astype("f8")
        line = np.linspace(exact[0], exact[-1], axis.size)
        is_regular = np.abs(exact - line).max() <= np.spacing(np.abs(axis.values).max())
        return axis.dims, line if is_regular else exact, axis.attrs

    wide = {d: even(field[d]) for d in field.dims if field[d].dtype == np.float32}
    return field.astype("f8").assign_coords(wide).compute()


def assert_as_xarray_has_it(field, dim, *, rounding):
    """NaN where xarray has NaN; no further from float64 than rounding, and than xarray is."""
    unit = "s" if dim == "time" else None
    ours = field.fdgrad.gradient(dim).compute()
    theirs = field.compute().differentiate(dim, datetime_unit=unit)
    exact = in_double(field).differentiate(dim, datetime_unit=unit)
    assert ours.dtype == theirs.dtype
    assert_array_equal(np.isnan(ours.values), np.isnan(theirs.values))
    errors = [float(abs(g - exact).max() / abs(exact).max()) for g in (ours, theirs)]
    assert errors[0] <= rounding
    assert errors[0] <= errors[1] + rounding


# --- ERA-Interim: float64 winds on a global 0.75° grid ---------------------------------------


@pytest.mark.parametrize("dim", ["longitude", "latitude", "level", "month"])
@pytest.mark.parametrize("name", ["u", "z"])
def test_era_interim_has_the_bits_of_xarray(era, name, dim):
    result = era[name].fdgrad.gradient(dim)
    assert result.chunks == era[name].chunks
    assert_array_equal(result.values, era[name].compute().differentiate(dim).values)


@pytest.mark.parametrize(
    ("name", "dim", "units"),
    [
        ("u", "longitude", "m s-1 degree-1"),
        ("v", "latitude", "m s-1 degree-1"),
        ("z", "level", "m2 s-2 mbar-1"),
        ("z", "month", None),
    ],
)
def test_era_interim_has_units(era, name, dim, units):
    assert era[name].fdgrad.gradient(dim).attrs.get("units") == units


def test_era_interim_around_the_globe(era):
    """The seam equals its formula, and what goes up on a circle comes down on it."""
    u = era["u"]
    result = u.fdgrad.gradient("longitude", boundary="periodic").compute()
    u = u.compute()
    first, second, last_but_one, last = (u.isel(longitude=i).values for i in (0, 1, -2, -1))
    assert_array_equal(result.isel(longitude=0).values, (second - last) / 1.5)
    assert_array_equal(result.isel(longitude=-1).values, (first - last_but_one) / 1.5)
    inner = {"longitude": slice(1, -1)}
    assert_array_equal(result.isel(inner).values, u.differentiate("longitude").isel(inner).values)
    total = abs(result.sum("longitude")).max()
    assert total < 1e-11 * abs(result).max()


def test_era_interim_one_pass_for_the_whole_dataset(era):
    result = era.fdgrad.gradient(["longitude", "latitude"])
    assert sorted(result) == sorted(f"d{n}_d{d}" for n in "uvz" for d in ("latitude", "longitude"))
    expected = era["v"].fdgrad.gradient("latitude").compute()
    assert result["dv_dlatitude"].compute().identical(expected)


def test_era_interim_by_geopotential_instead_of_level(era):
    """∂u/∂Φ = (∂u/∂p) / (∂Φ/∂p): the same thing where both are one-sided, at top and bottom."""
    u, z = era["u"], era["z"]
    result = u.fdgrad.gradient("level", coordinate=z.rename("phi"))
    assert result.attrs["units"] == "s m-1"
    ratio = u.fdgrad.gradient("level") / z.fdgrad.gradient("level")
    ends = {"level": [0, 2]}
    assert_allclose(result.isel(ends).values, ratio.isel(ends).values, rtol=1e-12, atol=1e-18)
    column = {"month": 1, "latitude": 77, "longitude": 300}
    by_numpy = np.gradient(u.isel(column).values, z.isel(column).values)
    assert_allclose(result.isel(column).values, by_numpy, rtol=1e-11)


def test_era_interim_magnitude_is_finite_but_at_the_poles(era):
    result = era["z"].fdgrad.gradient_magnitude()
    assert result.attrs["periodic"] == "longitude"
    assert result.attrs["units"] == "m s-2"
    values = result.values
    assert np.isnan(values[:, :, [0, -1]]).all()
    assert np.isfinite(values[:, :, 1:-1]).all()
    # Geostrophic wind |∇Φ| / f at 500 hPa: tens of metres a second in mid-latitudes, not more.
    wind = (result / 1e-4).sel(level=500, latitude=45.0)
    assert 5 < float(wind.mean()) < 30
    assert float(wind.max()) < 80


# --- OSTIA: float32, float32 coordinates, land, months of unequal length ---------------------


@pytest.mark.parametrize("dim", ["longitude", "latitude", "time"])
def test_ostia_is_closer_to_the_truth_than_xarray(ostia, dim):
    assert_as_xarray_has_it(ostia, dim, rounding=2 * FLOAT32)


def test_ostia_what_is_known_of_the_field_is_kept(ostia):
    result = ostia.fdgrad.gradient("time")
    assert result.name == "dsurface_temperature_dtime"
    assert result.attrs == {
        "units": "K s-1",
        "long_name": "derivative of surface temperature with respect to time",
        "cell_methods": "month: year: mean",
        "grid_mapping": "latitude_longitude",
    }
    assert sorted(result.coords) == sorted(ostia.coords)
    assert result.chunks == ostia.chunks


def test_ostia_around_the_globe(ostia):
    result = ostia.fdgrad.gradient("X", boundary="periodic").compute()
    wide = in_double(ostia)
    lon = wide["longitude"].values
    h1, h2 = lon[0] + 360 - lon[-1], lon[1] - lon[0]
    a, b, c = (wide.isel(longitude=i) for i in (-1, 0, 1))
    seam = (h1**2 * c + (h2**2 - h1**2) * b - h2**2 * a) / (h1 * h2 * (h1 + h2))
    assert np.isfinite(seam).any()
    scale = float(abs(result).max())
    assert_allclose(result.isel(longitude=0).values, seam.values, rtol=0, atol=4 * FLOAT32 * scale)


def test_ostia_at_coasts(ostia):
    """All water but the channels of one cell has a derivative, and the inner water the same one."""
    plain = ostia.fdgrad.gradient("longitude", boundary="periodic").values
    result = ostia.fdgrad.gradient("longitude", boundary="periodic", skipna="one-sided").values
    water = ~np.isnan(ostia.values)
    lonely = water & ~np.roll(water, 1, axis=2) & ~np.roll(water, -1, axis=2)
    assert_array_equal(np.isnan(result), ~water | lonely)
    assert np.isnan(plain).sum() > np.isnan(result).sum() > 0
    inner = ~np.isnan(plain) & water
    assert_array_equal(result[inner], plain[inner])


def test_ostia_magnitude(ostia):
    result = ostia.isel(time=slice(3)).fdgrad.gradient_magnitude()
    degree = 6371229.0 * np.pi / 180
    wide = in_double(ostia.isel(time=slice(3)))
    f_x = wide.fdgrad.gradient("longitude", boundary="periodic")
    f_x = f_x / (degree * np.cos(np.deg2rad(wide["latitude"])))
    expected = np.hypot(f_x, wide.differentiate("latitude") / degree)
    assert result.dtype == np.float32
    assert result.attrs["periodic"] == "longitude"
    assert_allclose(result.values, expected.values, rtol=0, atol=1e-6 * float(expected.max()))


# --- HadCM3: a calendar of 360 days over 240 years --------------------------------------------


@pytest.mark.parametrize("dim", ["time", "latitude", "longitude"])
def test_hadcm3_within_one_rounding_of_xarray(hadcm3, dim):
    assert_as_xarray_has_it(hadcm3, dim, rounding=FLOAT32)


@pytest.mark.parametrize(
    ("unit", "seconds", "units"),
    [
        ("s", 1, "K s-1"),
        ("D", 86400, "K day-1"),
        ("year", 360 * 86400, "K (360 days)-1"),
        ("decade", 3600 * 86400, "K (3600 days)-1"),
    ],
)
def test_hadcm3_in_units_of_its_calendar(hadcm3, unit, seconds, units):
    t = hadcm3.astype("f8")
    result = t.fdgrad.gradient("T", datetime_unit=unit)
    assert result.attrs["units"] == units
    expected = t.fdgrad.gradient("time").values * seconds
    assert_allclose(result.values, expected, rtol=1e-12, atol=1e-11)


def test_hadcm3_warms_by_what_it_warmed(hadcm3):
    """The derivatives of even steps telescope: their sum is made of the ends."""
    t = hadcm3.astype("f8").compute()
    per_year = t.fdgrad.gradient("time", datetime_unit="year")
    inner = per_year.isel(time=slice(1, -1)).sum("time")
    ends = (t[-1] + t[-2] - t[1] - t[0]) / 2
    assert_allclose(inner.values, ends.values, atol=1e-10)
    mean = float(per_year.mean())
    assert 0.01 < mean < 0.05  # K a year, A1B over North America


def test_hadcm3_a_scalar_coordinate_is_no_axis(hadcm3):
    with pytest.raises(CoordinateError, match=r"'height' has dimensions \(\)"):
        hadcm3.fdgrad.gradient("height")


# --- NEMO: curvilinear, float32, land ---------------------------------------------------------


@pytest.mark.parametrize("dim", ["y", "x"])
def test_nemo_along_its_index_has_the_numbers_of_numpy(nemo, dim):
    tos = nemo["tos"]
    result = tos.fdgrad.gradient(dim)
    expected = np.gradient(tos.values, axis=tos.dims.index(dim))
    assert result.dtype == np.float32
    assert result.chunks == tos.chunks
    assert_array_equal(result.values, expected)


def test_nemo_closes_its_circle_along_x(nemo):
    tos = nemo["tos"]
    values = tos.values
    expected = (np.roll(values, -1, axis=2) - np.roll(values, 1, axis=2)) / np.float32(2)
    assert_array_equal(tos.fdgrad.gradient("x", boundary="periodic").values, expected)


@pytest.mark.parametrize("skipna", [None, "one-sided"])
def test_nemo_by_the_latitude_of_its_cells(nemo, skipna):
    """nav_lat rises along y everywhere, but by 0.005° to 1°: each column has its own spacing."""
    tos, lat = nemo["tos"], nemo["nav_lat"]
    result = tos.fdgrad.gradient("y", coordinate=lat, skipna=skipna)
    assert result.chunks == tos.chunks
    assert result.attrs["units"] == "K degree-1"
    values, f, z = result.values[0], tos.values[0].astype("f8"), lat.values.astype("f8")
    water = ~np.isnan(f)
    by_numpy = np.stack([np.gradient(f[:, j], z[:, j]) for j in range(360)], axis=1)
    known = ~np.isnan(by_numpy)
    assert known.sum() > 60000
    assert_allclose(values[known], by_numpy[known], rtol=0, atol=4 * FLOAT32 * 30)
    if skipna is None:
        assert_array_equal(np.isnan(values), ~known)
    else:
        beside = np.pad(water, ((1, 1), (0, 0)))
        assert_array_equal(np.isnan(values), ~water | ~(beside[:-2] | beside[2:]))


def test_nemo_longitude_turns_and_that_is_said(nemo):
    result = nemo["tos"].fdgrad.gradient("x", coordinate=nemo["nav_lon"])
    with pytest.raises(CoordinateError, match="not strictly monotonic"):
        result.compute()


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        ("time_counter", r"'time_counter' has 1 point, but a derivative needs two or more"),
        ("latitude", r"'nav_lat' has dimensions \('y', 'x'\).*pass it as coordinate= beside dim"),
        ("T", r"'T' may be any of 'time_centered', 'time_counter' of 'tos'; name one"),
        ("depth", r"no dimension 'depth'; 'tos' has the dimensions \('time_counter', 'y', 'x'\)"),
    ],
)
def test_nemo_what_it_has_not_is_said(nemo, dim, text):
    with pytest.raises(CoordinateError, match=text):
        nemo["tos"].fdgrad.gradient(dim)


def test_nothing_is_read_before_it_is_asked_for(ostia, hadcm3, nemo, lazily):
    with lazily():
        results = [
            ostia.fdgrad.gradient(),
            ostia.fdgrad.gradient_magnitude(),
            hadcm3.fdgrad.gradient("time", datetime_unit="decade"),
            fd.operators.gradient(nemo["tos"], ["y", "x"]),
            nemo["tos"].fdgrad.gradient("y", coordinate=nemo["nav_lat"]),
        ]
    assert all(result.chunks for result in results)
