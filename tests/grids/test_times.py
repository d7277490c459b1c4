"""Dates, durations and other numbers as labels and values: long ones, zoned ones, objects."""

from __future__ import annotations

import datetime as dt

import cftime
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask  # noqa: F401  (registers .fdgrad)
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.times import (
    as_numbers,
    convert_period,
    count_time,
    is_time,
    restore_even_step,
    unbox_numbers,
)

SQUARES = np.arange(6.0) ** 2


def field(x, values=SQUARES, **attrs):
    return xr.DataArray(values, dims="x", coords={"x": x}, name="f", attrs=attrs)


# --- more than 292 years of nanoseconds ---------------------------------------------------------

CENTURIES = np.array([f"{year}-01-01" for year in range(1700, 2201, 100)], "M8[D]")
DAYS = (CENTURIES - CENTURIES[0]) / np.timedelta64(1, "D")
LONG = CENTURIES.astype("M8[ns]")  # their differences are beyond 64 bits


@pytest.mark.parametrize(("unit", "per"), [("D", 1.0), ("h", 24.0), ("s", 86400.0), ("W", 1 / 7)])
def test_an_axis_longer_than_the_differences_of_its_dtype(unit, per):
    made = field(LONG, DAYS).fdgrad.gradient("x", datetime_unit=unit)
    assert_allclose(made, 1 / per, rtol=1e-9)


@pytest.mark.parametrize("chunks", [None, 2])
@pytest.mark.parametrize(("unit", "per"), [("D", 1.0), ("s", 86400.0), ("year", 1 / 365.2425)])
def test_dates_as_values_are_the_same_lazily_and_at_once(unit, per, chunks):
    f = xr.DataArray(LONG, dims="x", coords={"x": np.arange(6.0)})
    f = f if chunks is None else f.chunk(x=chunks)
    made = f.fdgrad.gradient("x", datetime_unit=unit)
    assert_allclose(made, np.gradient(DAYS) * per, rtol=1e-9)


@pytest.mark.parametrize("chunks", [None, 1])
def test_durations_too(chunks):
    years = np.array([-200, 0, 200, 280]) * 365
    f = field(np.arange(4.0), (years * 86400 * 10**9).astype("m8[ns]"))
    made = (f if chunks is None else f.chunk(x=chunks)).fdgrad.gradient("x", datetime_unit="D")
    assert_allclose(made, np.gradient(years.astype(float)), rtol=1e-9)


@pytest.mark.parametrize("chunks", [None, 2])
def test_a_missing_date_is_missing(chunks):
    f = field(np.arange(4.0), np.array(["2000-01-01", "NaT", "2000-01-03", "2000-01-05"], "M8[ns]"))
    made = (f if chunks is None else f.chunk(x=chunks)).fdgrad.gradient("x", datetime_unit="D")
    assert_array_equal(made, [np.nan, 1.0, np.nan, 2.0])


@pytest.mark.parametrize("chunks", [None, 2])
def test_a_month_has_no_fixed_length(chunks):
    f = xr.DataArray(LONG, dims="x", coords={"x": np.arange(6.0)})
    f = f if chunks is None else f.chunk(x=chunks)
    with pytest.raises(OptionError, match=r"'month'; a month has no fixed length; choose one of W"):
        f.fdgrad.gradient("x", datetime_unit="month")


# --- periods ------------------------------------------------------------------------------------

MONTHS = field(
    pd.date_range("2001-01-01", periods=12, freq="MS"), np.sin(np.arange(12) * np.pi / 6)
)
YEAR = [np.timedelta64(365, "D"), dt.timedelta(days=365), pd.Timedelta("365D")]


@pytest.mark.parametrize("period", YEAR, ids=repr)
@pytest.mark.parametrize(("unit", "number"), [(None, 365 * 86400.0), ("D", 365.0), ("h", 8760.0)])
def test_a_period_may_be_a_duration(period, unit, number):
    options = {"boundary": "periodic", "datetime_unit": unit}
    made = MONTHS.fdgrad.gradient("x", period=period, **options)
    assert_array_equal(made, MONTHS.fdgrad.gradient("x", period=number, **options))


def test_a_period_in_years():
    options = {"boundary": "periodic", "datetime_unit": "year"}
    made = MONTHS.fdgrad.gradient("x", period=dt.timedelta(days=365), **options)
    expected = MONTHS.fdgrad.gradient("x", period=365 / 365.2425, **options)
    assert_allclose(made, expected, rtol=1e-12)


@pytest.mark.parametrize("period", [np.inf, np.timedelta64(1, "Y"), np.timedelta64(12, "M")])
def test_a_period_of_no_length_is_refused(period):
    with pytest.raises(OptionError, match=r"period is .*; give (a finite number|days: numpy\.)"):
        MONTHS.fdgrad.gradient("x", boundary="periodic", period=period)


def test_a_duration_is_no_period_of_metres():
    f = field(np.arange(6.0))
    f.x.attrs["units"] = "m"
    with pytest.raises(OptionError, match=r"axis has no dates; give a number in its units, 'm'"):
        f.fdgrad.gradient("x", boundary="periodic", period=dt.timedelta(days=6))


# --- objects ------------------------------------------------------------------------------------

UTC = [dt.datetime(2000, 1, day, tzinfo=dt.UTC) for day in range(1, 7)]


@pytest.mark.parametrize(
    "x",
    [
        np.arange(6).astype(object),
        np.arange(6.0).astype(object),
        pd.Index(range(6), dtype="Int64"),
        np.array([np.float32(i) for i in range(6)], object),
    ],
    ids=["ints", "floats", "Int64", "numpy"],
)
def test_objects_that_are_numbers_are_numbers(x):
    made = field(x, units="K").fdgrad.gradient("x")
    assert_array_equal(made, np.gradient(SQUARES))
    assert made.dtype == np.float64
    assert "units" not in made.attrs


def test_a_field_of_objects_that_are_numbers():
    f = field(np.arange(6.0), SQUARES.astype(object))
    assert_array_equal(f.fdgrad.gradient("x"), f.differentiate("x").astype(float))
    with pytest.raises(TypeError, match=r"holds object, .*\.astype\(float\)"):
        f.chunk(x=2).fdgrad.gradient("x")
    assert_array_equal(f.chunk(x=2).astype(float).fdgrad.gradient("x"), f.fdgrad.gradient("x"))


def test_dates_with_a_time_zone():
    f = field(np.array(UTC, object), units="K")
    made = f.fdgrad.gradient("x", datetime_unit="D")
    assert_allclose(made, np.gradient(SQUARES), rtol=1e-12)
    assert made.attrs["units"] == "K day-1"
    mixed = np.array([UTC[0].replace(tzinfo=None), *UTC[1:]], object)
    with pytest.raises(CoordinateError, match="some have a time zone and some have none"):
        field(mixed).fdgrad.gradient("x")


@pytest.mark.parametrize("x", [["a", "b", "c", "d", "e", "f"], [None, 1, 2, 3, 4, 5]])
def test_other_objects_are_refused(x):
    with pytest.raises(CoordinateError, match=r"holds .*, but a derivative needs numbers or dates"):
        field(np.array(x, object)).fdgrad.gradient("x")


# --- small types --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "u2", "i1", "u8"])
@pytest.mark.parametrize("chunks", [None, 1])
def test_heights_in_small_or_unsigned_integers(dtype, chunks):
    z = xr.DataArray(np.array([[120, 10], [40, 20], [5, 100]], dtype), dims=("x", "y"), name="z")
    f = xr.DataArray(np.arange(6.0).reshape(3, 2) ** 2, dims=("x", "y"), name="f")
    f = f if chunks is None else f.chunk(x=chunks)
    rising, falling = (z.isel(y=[i, i]) for i in (1, 0))
    for one in (rising, falling):
        made = f.fdgrad.gradient("x", coordinate=one)
        for y in range(2):
            expected = np.gradient(f.values[:, y], one.values[:, y].astype(float))
            assert_allclose(made[:, y], expected, rtol=1e-12)
    folded = z.copy(data=np.array([[0, 0], [100, 100], [120, 20]], dtype))
    with pytest.raises(CoordinateError, match="coordinate 'z' is not strictly monotonic along 'x'"):
        f.fdgrad.gradient("x", coordinate=folded).compute()


@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_bfloat16_with_labels(as_array):
    f = field(np.arange(6.0), as_array(SQUARES).astype(jnp.bfloat16))
    assert_array_equal(f.fdgrad.gradient("x").astype("f4"), np.gradient(SQUARES))


@pytest.mark.parametrize("dtype", ["f2", jnp.bfloat16], ids=["float16", "bfloat16"])
def test_operators_in_metres_stay_in_float32_for_half_precision(dtype):
    """A laplacian of 1e-11 K m-2 is zero in float16."""
    lat, lon = np.linspace(-80, 80, 17), np.arange(36) * 10.0
    t = 280 + 30 * np.outer(np.cos(np.deg2rad(lat)), np.cos(np.deg2rad(3 * lon)))
    coords = {
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    half = xr.DataArray(t.astype(dtype), coords, ("lat", "lon"), name="t", attrs={"units": "K"})
    for name in ("laplacian", "gradient_magnitude"):
        made = getattr(half.fdgrad, name)()
        assert made.dtype == np.float32
        expected = getattr(half.astype("f8").fdgrad, name)()
        assert_allclose(made, expected, rtol=0, atol=1e-4 * float(abs(expected).max()))
    kept = np.float16 if half.dtype == np.float16 else np.float64  # as NumPy has it of bfloat16
    assert half.fdgrad.gradient("lat").dtype == kept


# --- counting, without an operator ----------------------------------------------------------------

UNITS = {  # what three days are in each unit, and how it is written
    "W": (3 / 7, "week"),
    "D": (3.0, "day"),
    "h": (72.0, "h"),
    "m": (4320.0, "min"),
    "s": (259200.0, "s"),
    None: (259200.0, "s"),
    "ms": (2.592e8, "ms"),
    "us": (2.592e11, "us"),
    "µs": (2.592e11, "us"),
    "ns": (2.592e14, "ns"),
    "ps": (2.592e17, "ps"),
    "fs": (2.592e20, "fs"),
    "as": (2.592e23, "as"),
    "year": (3 / 365.2425, "(365.2425 days)"),
    "decade": (3 / 3652.425, "(3652.425 days)"),
    "century": (3 / 36524.25, "(36524.25 days)"),
}


@pytest.mark.parametrize(("unit", "wanted"), UNITS.items())
def test_three_days_in_each_unit(unit, wanted):
    number, name = wanted
    dates = np.array(["2000-03-04", "2000-03-01", "NaT"], "M8[s]")
    for values in (dates, dates - dates[1], dates.astype("M8[ns]")):
        counted, written = count_time(values, unit)
        assert_allclose(counted, [number, 0, np.nan], rtol=1e-13)
        assert written == name
    objects = np.array([dt.datetime(2000, 3, 4), dt.datetime(2000, 3, 1)], object)
    counted, written = count_time(objects, unit)
    assert_allclose(counted, [number, 0], rtol=1e-13)
    assert written == name
    counted, written = count_time(dates[:0], unit)
    assert counted.shape == (0,)
    assert written == ("s" if "(" in name else name)


YEARS = {
    "360_day": 360,
    "noleap": 365,
    "365_day": 365,
    "all_leap": 366,
    "366_day": 366,
    "julian": 365.25,
    "standard": 365.2425,
    "gregorian": 365.2425,
    "proleptic_gregorian": 365.2425,
}


@pytest.mark.parametrize(("calendar", "days"), YEARS.items())
def test_a_year_has_the_days_of_its_calendar(calendar, days):
    dates = np.array([cftime.datetime(2001, 2, day, calendar=calendar) for day in (1, 11)])
    counted, name = count_time(dates, "year")
    assert_allclose(counted, [0, 10 / days], rtol=1e-13)
    assert name == f"({days} days)"


@pytest.mark.parametrize("year", ["0001", "2300"])
def test_differences_that_64_bits_do_not_hold_are_rounded(year):
    """In attoseconds 64 bits hold nine seconds."""
    dates = np.array([f"{year}-01-01", f"{year}-01-02", "NaT"], "M8[D]")
    assert_allclose(count_time(dates, "as")[0], [0, 8.64e22, np.nan], rtol=1e-13)
    ticks = np.array([0, 3], "m8[10D]")
    assert_allclose(count_time(ticks, "D")[0], [0, 30], rtol=1e-13)


@pytest.mark.parametrize(("unit", "days"), [("W", 7), ("D", 1), ("h", 1 / 24), ("m", 1 / 1440)])
def test_spans_beyond_64_bits_in_each_unit(unit, days):
    assert_allclose(count_time(LONG, unit)[0], DAYS / days, rtol=1e-12)


def test_spans_within_64_bits_are_exact():
    late = np.datetime64("2200-01-01", "ns") + 500 * np.arange(4)
    assert_array_equal(count_time(late, "ns")[0], 500 * np.arange(4.0))


def test_only_of_a_month_is_it_said_that_it_has_no_length():
    with pytest.raises(OptionError, match="'months'; a month has no fixed length"):
        count_time(LONG, "months")
    with pytest.raises(OptionError, match="'fortnight'; choose one of W"):
        count_time(LONG, "fortnight")


def test_what_is_a_time():
    times = [dt.datetime(2000, 1, 1), dt.timedelta(1), cftime.datetime(2000, 1, 1)]
    for one in times:
        assert is_time(np.array([one, one], object))
        assert not is_time(np.array([one, 1], object))
    for kind, found in (("M8[s]", True), ("m8[D]", True), ("f8", False), ("i8", False)):
        assert is_time(np.zeros(2, "i8").astype(kind)) == found
    assert not is_time(np.array([], object))


def test_rounded_years_have_an_even_step():
    even = np.arange(2.0, 9.0) / 365.2425
    rounded = even * (1 + 2e-16 * (-1) ** np.arange(7))
    assert_allclose(restore_even_step(rounded), 1 / 365.2425, rtol=1e-14)
    assert np.ndim(restore_even_step(rounded)) == 0
    for uneven in (even + 2e-15 * (np.arange(7) == 3), even**2):
        assert restore_even_step(uneven) is uneven


def test_objects_become_the_numbers_that_they_are():
    for given, dtype in (([1, 2], "i8"), ([1, 2.5], "f8"), ([2**70, 1], "f8"), ([1j, 2], "c16")):
        made = unbox_numbers(np.array(given, object))
        assert made.dtype == dtype
        assert_array_equal(made, np.array(given, dtype))
    for given in ([True, 1], ["a", 1], []):
        values = np.array(given, object)
        assert unbox_numbers(values) is values
    plain = np.arange(3)
    assert unbox_numbers(plain) is plain


def test_the_length_of_a_period():
    for day in (np.timedelta64(36, "h"), dt.timedelta(days=1.5)):
        for units, number in (("day", 1.5), ("h", 36.0), ("s", 129600.0), ("(3 days)", 0.5)):
            assert convert_period(day, units, True) == pytest.approx(number, rel=1e-13)
        with pytest.raises(OptionError, match="axis has no dates"):
            convert_period(day, "m", False)
    for period in (None, 3, 2.5, np.float32(2), np.array(4.0)):
        assert convert_period(period, "m", False) is period
    for wrong in (np.inf, "a year", [1.0], np.ones(2)):
        with pytest.raises(OptionError, match="give a finite number"):
            convert_period(wrong, "m", False)


DATES = np.array(["2000-01-01", "2000-01-03", "1999-12-31"], "M8[s]")
COUNTED = {  # from the earliest at once, from 2000 on lazily
    "D": ([1, 3, 0], [0, 2, -1], "day"),
    "h": ([24, 72, 0], [0, 48, -24], "h"),
    "year": (np.array([1, 3, 0]) / 365.2425, np.array([0, 2, -1]) / 365.2425, "365.2425 days"),
}


@pytest.mark.parametrize(("unit", "wanted"), COUNTED.items())
def test_fields_of_dates_become_numbers(unit, wanted):
    at_once, lazily, units = wanted
    f = field(np.arange(3.0), DATES, long_name="when")
    for given, numbers in ((f, at_once), (f.chunk(x=2), lazily)):
        made = as_numbers(given, unit)
        assert_allclose(made, numbers, rtol=1e-13)
        assert made.attrs == {"long_name": "when", "units": units}
        assert made.dtype == np.float64
        assert (made.chunks is None) == (given.chunks is None)
    long = f.copy(data=DATES - DATES[2]).chunk(x=2)
    assert_allclose(as_numbers(long, unit), at_once, rtol=1e-13)


def test_fields_of_numbers_stay_and_others_are_refused():
    for values in ([1, 2], [1.0, 2.0], [1j, 2.0]):
        f = field(np.arange(2.0), values)
        assert as_numbers(f, None) is f
    assert as_numbers(field(np.arange(2.0), np.array([1, 2], object)), None).dtype.kind == "i"
    for values in (["a", "b"], [True, False]):
        with pytest.raises(TypeError, match="which has no differences"):
            as_numbers(field(np.arange(2.0), values), None)


@pytest.mark.parametrize("calendar", [None, "noleap"])
def test_messages_about_dates_show_dates(calendar):
    """Not the seconds since the first; and dates are no angles that wrap around."""
    use = {} if calendar is None else {"calendar": calendar, "use_cftime": True}
    f = field(xr.date_range("2000-01-01", periods=6, freq="MS", **use))
    with pytest.raises(CoordinateError, match=r"'x' repeats 2000-02-01.* at positions 1 and 2"):
        f.isel(x=[0, 1, 1, 2]).fdgrad.gradient("x")
    unsorted = f.isel(x=[0, 2, 1])
    turn = r"turns at position 1 \(2000-01-01\S*.*, 2000-03-01.*, 2000-02-01.*\); "
    with pytest.raises(CoordinateError, match=turn + r"sort it \(\.sortby\('x'\)\)$"):
        unsorted.fdgrad.gradient("x")
    unsorted.sortby("x").fdgrad.gradient("x")


@pytest.mark.parametrize("chunks", [None, {"time": 1, "step": 2}])
@pytest.mark.parametrize(
    ("unit", "per", "units"),
    [(None, 1.0, "K s-1"), ("D", 86400.0, "K day-1"), ("year", 31556952.0, "K (365.2425 days)-1")],
)
def test_valid_times_of_several_forecasts(unit, per, units, chunks):
    """Over (time, step), as cfgrib gives them; the message about two dimensions names this way."""
    start = pd.date_range("2000-01-01", periods=2, freq="D").values[:, None]
    valid = start + np.array([0, 6, 18], "m8[h]").astype("m8[s]")
    seconds = (valid - valid[0, 0]) / np.timedelta64(1, "s")
    t = xr.DataArray(seconds, dims=("time", "step"), name="t", attrs={"units": "K"})
    t = t.assign_coords(valid_time=(("time", "step"), valid))
    t = t if chunks is None else t.chunk(chunks)
    with pytest.raises(CoordinateError, match="pass it as coordinate= beside dim"):
        t.fdgrad.gradient("valid_time")
    made = t.fdgrad.gradient("step", coordinate=t.valid_time, datetime_unit=unit)
    assert_allclose(made, per, rtol=1e-12)
    assert made.attrs["units"] == units
    assert made.name == "dt_dvalid_time"
    assert made.coords["valid_time"].dtype.kind == "M"
