"""∂f/∂dim on labelled arrays: the bits of xarray where it has them, closed forms elsewhere."""

from __future__ import annotations

from datetime import timedelta

import cftime
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError, OptionError

DAY = 86400
CHUNKS = {
    "numpy": None,
    "ones": {"time": 1, "y": 1, "x": 1},
    "ragged": {"time": (1, 3), "y": (2, 1, 3), "x": (4, 1)},
    "last of one": {"time": 3, "y": 5, "x": 4},
}
chunked = pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)


@pytest.fixture
def field():
    """Even x with a longitude along it, uneven falling y, uneven dates; a NaN and an inf."""
    values = np.random.default_rng(0).normal(280, 10, (4, 6, 5))
    values[1, 2, 3], values[2, 4, 1] = np.nan, np.inf
    return xr.DataArray(
        values,
        dims=("time", "y", "x"),
        coords={
            "time": np.array(["2001-01-01", "2001-01-02", "2001-01-05", "2001-02-01"], "M8[ns]"),
            "y": ("y", [9.0, 7.5, 7.0, 3.0, 0.5, 0.0], {"units": "km"}),
            "x": ("x", [0, 2, 4, 6, 8]),
            "lon": ("x", [1.0, 2.0, 4.0, 8.0, 9.0], {"units": "degrees_east"}),
            "station": ("y", list("abcdef")),
            "height": 2.0,
        },
        name="t",
        attrs={"units": "K"},
    )


def line(points, values=None, **attrs):
    """A field t(x), x² if not said otherwise, with a coordinate x."""
    points = np.asarray(points)
    values = np.arange(1.0, len(points) + 1) ** 2 if values is None else values
    return xr.DataArray(values, dims="x", coords={"x": ("x", points, attrs)}, name="t")


def chunk(array, chunks):
    """Chunked data under coordinates that stay in memory."""
    if chunks is None:
        return array
    return array.chunk({d: chunks[d] for d in array.dims}).assign_coords(array.coords)


# --- against xarray -------------------------------------------------------------------------


@chunked
@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("dim", ["x", "y", "time", "lon"])
def test_has_the_bits_of_differentiate(field, dim, edge_order, chunks):
    expected = field.differentiate(dim, edge_order, "s" if dim == "time" else None)
    result = chunk(field, chunks).fdgrad.gradient(dim, edge_order=edge_order)
    assert_array_equal(result.values, expected.values)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "f2", "f4", "c8", "c16", "longdouble"])
def test_has_the_dtype_and_the_numbers_of_differentiate(dtype):
    f = line([0.0, 1.0, 3.0, 4.0], np.array([7, 2, 9, 1]).astype(dtype))
    result, expected = f.fdgrad.gradient("x"), f.differentiate("x")
    assert result.dtype == expected.dtype
    assert_allclose(result.values, expected.values, rtol=2 * np.finfo(expected.dtype).eps)


@pytest.mark.parametrize("dtype", ["i1", "u1", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("points", [[0, 50, 100, 127], [127, 100, 50, 0]], ids=["up", "down"])
def test_coordinates_of_any_dtype_are_differenced_without_overflow(dtype, points):
    f = line(np.array(points, dtype), np.array(points, "f8") * 3)
    assert_allclose(f.fdgrad.gradient("x").values, 3.0, rtol=1e-14)


def test_float32_coordinates_are_differenced_in_float64():
    """On a 1/48° grid xarray loses five digits of a float64 field; only the truncation is left.

    The file rounds places that are even, and these are what the field was computed on.
    """
    places = 100 + np.arange(960) / 48
    lon, angle = places.astype("f4"), np.deg2rad(places)
    f, exact = line(lon, np.sin(angle)), np.deg2rad(np.cos(angle))
    inner, scale = slice(1, -1), np.abs(exact).max()
    ours, theirs = (
        np.abs(g.values - exact)[inner].max() / scale
        for g in (f.fdgrad.gradient("x"), f.differentiate("x"))
    )
    assert ours < 1e-7
    assert theirs > 100 * ours


@pytest.mark.parametrize("chunks", [None, 5])
def test_float32_field_on_float32_coordinates_is_closer_than_xarray(chunks):
    lon = (100 + np.arange(480) / 48).astype("f4")
    angle = np.deg2rad(lon.astype("f8"))
    f, exact = line(lon, np.sin(angle).astype("f4")), np.deg2rad(np.cos(angle))
    ours = f.chunk(x=chunks) if chunks else f
    result = ours.fdgrad.gradient("x")
    assert result.dtype == np.float32
    errors = [np.abs(g.values - exact)[1:-1].max() for g in (result, f.differentiate("x"))]
    assert errors[0] < 0.7 * errors[1]


# --- closed forms ---------------------------------------------------------------------------

UNEVEN = np.array([0.0, 0.7, 1.1, 2.0, 2.4, 3.5, 4.0, 5.2, 5.5, 6.3, 7.9, 8.0, 9.4])


@pytest.mark.parametrize("points", [UNEVEN, UNEVEN[::-1]], ids=["up", "down"])
@pytest.mark.parametrize("accuracy", [2, 4, 6, 8])
@pytest.mark.parametrize("order", [1, 2])
def test_is_exact_for_polynomials_of_its_accuracy_edges_too(order, accuracy, points):
    p = np.polynomial.Polynomial(1 / np.arange(1.0, accuracy + 2))
    x = points / 10
    result = line(x, p(x)).fdgrad.gradient("x", order=order, accuracy=accuracy, edge_order=2)
    assert_allclose(result.values, p.deriv(order)(x), rtol=1e-7, atol=1e-9)


def test_second_derivative_sees_the_checkerboard_that_differentiating_twice_misses():
    f = line(np.arange(6.0), np.array([1.0, -1, 1, -1, 1, -1]))
    second = f.fdgrad.gradient("x", order=2, boundary="periodic")
    assert_array_equal(second.values, -4 * f.values)
    twice = f.fdgrad.gradient("x", boundary="periodic").fdgrad.gradient("x", boundary="periodic")
    assert_array_equal(twice.values, 0.0)


@pytest.mark.parametrize("chunks", [1, (4, 1, 8), (12, 1)], ids=str)
@pytest.mark.parametrize("dim", ["x", "y"])
@pytest.mark.parametrize(
    "kwargs",
    [{"order": 2}, {"accuracy": 4}, {"boundary": "reflect"}, {"boundary": ("extend", 270.0)}],
    ids=str,
)
def test_chunks_never_change_a_bit(dim, kwargs, chunks):
    values = np.random.default_rng(2).normal(size=(13, 13))
    f = xr.DataArray(values, dims=("y", "x"), coords={dim: UNEVEN}, name="t")
    result = f.chunk({dim: chunks}).fdgrad.gradient(dim, **kwargs)
    assert_array_equal(result.values, f.fdgrad.gradient(dim, **kwargs).values)


# --- boundaries -----------------------------------------------------------------------------

BOUNDARIES = [  # of 1, 4, 9, 16 on a step of 1
    (None, [3, 4, 6, 7]),
    ("reflect", [0, 4, 6, 0]),
    ("extend", [1.5, 4, 6, 3.5]),
    ("periodic", [-6, 4, 6, -4]),
    (0, [2, 4, 6, -4.5]),
    (-2.0, [3, 4, 6, -5.5]),
    (np.float32(2), [1, 4, 6, -3.5]),
    (("reflect", None), [0, 4, 6, 7]),
    ((None, "extend"), [3, 4, 6, 3.5]),
    ([2.0, -2.0], [1, 4, 6, -5.5]),
    ({"x": "extend"}, [1.5, 4, 6, 3.5]),
    ({"x": ("extend", 0)}, [1.5, 4, 6, -4.5]),
]


@pytest.mark.parametrize("chunks", [None, 1, (3, 1)])
@pytest.mark.parametrize(("boundary", "expected"), BOUNDARIES, ids=[str(b) for b, _ in BOUNDARIES])
def test_boundary_is_what_stands_outside(boundary, expected, chunks):
    f = line(np.arange(4.0))
    f = f if chunks is None else f.chunk(x=chunks)
    assert_array_equal(f.fdgrad.gradient("x", boundary=boundary).values, expected)


def test_boundary_and_period_per_dim_in_a_mapping():
    f = line(np.arange(4.0)).expand_dims(y=[0.0, 1.0, 3.0]) * xr.DataArray([1, 2, 4], dims="y")
    result = f.rename("t").fdgrad.gradient(
        ["x", "y"], boundary={"x": "extend", "y": "periodic"}, period={"y": 5.0}
    )
    assert_array_equal(result["dt_dx"].isel(y=0).values, [1.5, 4, 6, 3.5])
    h = [(2.0, 1.0), (1.0, 2.0), (2.0, 2.0)]  # spacings below and above, by the period 5
    v = [(4.0, 1.0, 2.0), (1.0, 2.0, 4.0), (2.0, 4.0, 1.0)]
    by_hand = [
        -h2 / (h1 * (h1 + h2)) * a + (h2 - h1) / (h1 * h2) * b + h1 / (h2 * (h1 + h2)) * c
        for (h1, h2), (a, b, c) in zip(h, v, strict=True)
    ]
    assert_allclose(result["dt_dy"].isel(x=0).values, by_hand, rtol=1e-14)


@pytest.mark.parametrize(
    ("dim", "key"), [("lon", "lon"), ("lon", "x"), ("longitude", "longitude"), ("longitude", "lon")]
)
def test_a_mapping_knows_an_axis_by_each_of_its_names(field, dim, key):
    expected = field.fdgrad.gradient("lon", boundary="extend")
    assert_array_equal(field.fdgrad.gradient(dim, boundary={key: "extend"}).values, expected.values)


@pytest.mark.parametrize("option", [{"boundary": {"z": "periodic"}}, {"period": {"z": 5.0}}])
def test_a_mapping_with_a_name_that_is_no_axis_is_refused(field, option):
    with pytest.raises((OptionError, CoordinateError), match="'z'"):
        field.fdgrad.gradient("x", **{"boundary": "periodic", **option})


LONGITUDES = {
    "45": np.arange(0.0, 360, 45),
    "22.5": np.arange(22.5, 360, 45),
    "-180": np.arange(-180.0, 180, 45),
    "falling": np.arange(315.0, -1, -45),
    "uneven": np.array([3.0, 40, 100, 150, 220, 230, 301, 350]),
    "uneven falling": np.array([350.0, 301, 230, 220, 150, 100, 40, 3]),
    "float32": np.arange(0, 360, 45).astype("f4"),
}


@pytest.mark.parametrize("chunks", [None, 1, 3])
@pytest.mark.parametrize("lon", LONGITUDES.values(), ids=LONGITUDES)
def test_a_longitude_has_the_period_360(lon, chunks):
    """No point of a circle is special: turning the start turns the result with it."""
    f = line(lon, np.cos(np.deg2rad(lon.astype("f8"))), units="degrees_east")
    turn = 360 * np.sign(lon[1] - lon[0])
    turned = line(
        np.concatenate([lon[3:], lon[:3] + turn]), np.roll(f.values, -3), units="degrees_east"
    )
    f, turned = (g if chunks is None else g.chunk(x=chunks) for g in (f, turned))
    result, expected = (g.fdgrad.gradient("x", boundary="periodic").values for g in (turned, f))
    assert_allclose(result, np.roll(expected, -3), rtol=1e-11, atol=1e-16)
    exact = -np.deg2rad(np.sin(np.deg2rad(lon.astype("f8"))))
    assert np.abs(expected - exact).max() < 0.35 * np.abs(exact).max()


def test_the_period_given_holds_where_the_axis_has_none_of_its_own():
    months = line([0.5, 1.5, 4.0, 9.0], np.array([1.0, 2.0, 4.0, 0.0]))
    first = months.fdgrad.gradient("x", boundary="periodic", period=12.0).values[0]
    h1, h2 = 12.0 - 8.5, 1.0
    by_hand = -h2 / (h1 * (h1 + h2)) * 0 + (h2 - h1) / (h1 * h2) * 1 + h1 / (h2 * (h1 + h2)) * 2
    assert_allclose(first, by_hand, rtol=1e-14)


def test_the_period_of_dates_is_in_the_unit_they_are_counted_in():
    """A climatology over the 12 days of an odd planet, sampled on four of them."""
    f = line(np.array([0, 1, 4, 9], "M8[D]").astype("M8[ns]"), np.array([1.0, 2.0, 4.0, 0.0]))
    by_day = f.fdgrad.gradient("x", boundary="periodic", period=12.0, datetime_unit="D")
    by_second = f.fdgrad.gradient("x", boundary="periodic", period=12.0 * DAY)
    assert_allclose(by_day.values, by_second.values * DAY, rtol=1e-14)
    h1, h2 = 3.0, 1.0
    by_hand = -h2 / (h1 * (h1 + h2)) * 0 + (h2 - h1) / (h1 * h2) * 1 + h1 / (h2 * (h1 + h2)) * 2
    assert_allclose(by_day.values[0], by_hand, rtol=1e-14)


def test_a_regional_longitude_is_not_periodic_unasked():
    f = line(np.arange(0.0, 360, 45), units="degrees_east")
    assert_array_equal(f.fdgrad.gradient("x").values, f.differentiate("x").values)


# --- time -----------------------------------------------------------------------------------

DATES = np.array(["2000-01-01", "2000-01-02", "2000-01-04", "2000-01-08"], "M8[s]")
PER_SECOND = line((DATES - DATES[0]).astype("f8")).differentiate("x").values


@pytest.mark.parametrize("resolution", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["M8", "m8"], ids=["dates", "durations"])
def test_the_resolution_of_a_time_axis_does_not_change_its_numbers(kind, resolution):
    points = DATES if kind == "M8" else DATES - DATES[0]
    result = line(points.astype(f"{kind}[{resolution}]")).fdgrad.gradient("x")
    assert_array_equal(result.values, PER_SECOND)
    assert result.attrs["units"] == "s-1"


UNITS_OF_TIME = [
    ("W", 7 * DAY, "week-1"),
    ("D", DAY, "day-1"),
    ("h", 3600, "h-1"),
    ("m", 60, "min-1"),
    ("s", 1, "s-1"),
    ("ms", 1e-3, "ms-1"),
    ("us", 1e-6, "us-1"),
    ("ns", 1e-9, "ns-1"),
    ("ps", 1e-12, "ps-1"),
    ("fs", 1e-15, "fs-1"),
    ("as", 1e-18, "as-1"),
    ("year", 365.2425 * DAY, "(365.2425 days)-1"),
    ("decade", 3652.425 * DAY, "(3652.425 days)-1"),
    ("century", 36524.25 * DAY, "(36524.25 days)-1"),
]


@pytest.mark.parametrize(("unit", "seconds", "units"), UNITS_OF_TIME, ids=lambda v: str(v))
def test_datetime_unit_is_what_one_step_means(unit, seconds, units):
    f = line(DATES.astype("M8[ns]")).assign_attrs(units="K")
    result = f.fdgrad.gradient("x", datetime_unit=unit)
    assert_allclose(result.values, PER_SECOND * seconds, rtol=1e-13)
    assert result.attrs["units"] == f"K {units}"


@pytest.mark.parametrize("unit", ["ns", "ps", "as", "year"])
def test_a_long_axis_does_not_overflow_in_a_small_unit(unit):
    """Counted as int64 the years wrap around; with two points nothing else would notice."""
    f = line(np.array(["1000-01-01", "4000-01-01"], "M8[s]"))
    ratio = f.fdgrad.gradient("x", datetime_unit=unit) / f.fdgrad.gradient("x")
    assert_allclose(ratio.values, {u: s for u, s, _ in UNITS_OF_TIME}[unit], rtol=1e-13)


CALENDARS = [
    ("360_day", 360),
    ("noleap", 365),
    ("all_leap", 366),
    ("julian", 365.25),
    ("standard", 365.2425),
    ("proleptic_gregorian", 365.2425),
]


@pytest.mark.parametrize(("calendar", "days"), CALENDARS)
def test_calendars_over_twelve_centuries(calendar, days):
    """0.02 K a year, every 400 years: what datetime64[ns] cannot hold."""
    years = np.array([1600, 2000, 2400, 2800])
    dates = np.array([cftime.datetime(y, 1, 1, calendar=calendar) for y in years])
    f = line(dates, 0.02 * years)
    per_second = f.fdgrad.gradient("x")
    assert_array_equal(per_second.values, f.differentiate("x", datetime_unit="s").values)
    assert per_second.attrs["units"] == "s-1"
    assert_allclose(per_second.values * days * DAY, 0.02, rtol=1e-12)
    for unit, length in (("year", 1), ("decade", 10), ("century", 100)):
        result = f.fdgrad.gradient("x", datetime_unit=unit)
        assert_allclose(result.values, 0.02 * length, rtol=1e-12)
        assert result.attrs["units"] == f"1 ({days * length:.10g} days)-1"


@pytest.mark.parametrize("unit", ["D", "h", "ms", "year", "decade", "century"])
def test_the_unit_changes_neither_digits_nor_what_is_missing(unit):
    """Years of 360 days are even: a NaN is not read at its own place, whatever they count in."""
    dates = np.array([cftime.datetime(1860 + i, 6, 1, calendar="360_day") for i in range(8)])
    f = line(dates, np.array([1.0, 3, 2, np.nan, 7, 5, 8, 6]))
    per_year = [2, 0.5, np.nan, 2.5, np.nan, 0.5, 0.5, -2]
    ratio = {"D": 1 / 360, "h": 1 / 8640, "ms": 1 / 31104e6, "year": 1, "decade": 10}
    result = f.fdgrad.gradient("x", datetime_unit=unit).values
    assert_allclose(result, np.array(per_year) * ratio.get(unit, 100), rtol=1e-15)


@pytest.mark.parametrize("unit", ["D", "h", "s", "us"])
def test_cftime_has_the_bits_of_differentiate_in_every_unit(unit):
    dates = [cftime.datetime(2000, m, d, h, calendar="noleap") for m, d, h in
             [(1, 1, 0), (2, 28, 6), (3, 1, 7), (12, 31, 23)]]  # fmt: skip
    f = line(np.array(dates))
    result = f.fdgrad.gradient("x", datetime_unit=unit)
    assert_array_equal(result.values, f.differentiate("x", datetime_unit=unit).values)


def test_python_dates_and_durations_count_too():
    f = line([0.0, 1, 2, 3]).assign_coords(
        lead=("x", np.array([timedelta(seconds=s) for s in (0, 2, 4, 6)], dtype=object))
    )
    assert_array_equal(f.fdgrad.gradient("lead").values, [1.5, 2, 3, 3.5])


# --- fields of dates ------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["M8", "m8"], ids=["dates", "durations"])
@pytest.mark.parametrize("chunks", [None, 1, 3])
def test_a_field_of_dates_changes_by_seconds(kind, resolution, chunks, lazily):
    values = (DATES if kind == "M8" else DATES - DATES[0]).astype(f"{kind}[{resolution}]")
    f = line([0.0, 1, 2, 3], values)
    f.x.attrs["units"] = "m"
    f = f if chunks is None else f.chunk(x=chunks)
    with lazily():
        result = f.fdgrad.gradient("x")
    assert_array_equal(result.values, np.array([1, 1.5, 3, 4]) * DAY)
    assert result.attrs["units"] == "s m-1"


@pytest.mark.parametrize("unit", ["D", "h"])
def test_a_field_of_dates_in_another_unit(unit):
    f = line([0.0, 1, 2, 3], DATES.astype("M8[ns]"))
    expected = np.array([1, 1.5, 3, 4]) * {"D": 1, "h": 24}[unit]
    assert_array_equal(f.fdgrad.gradient("x", datetime_unit=unit).values, expected)


@pytest.mark.parametrize("chunks", [None, 1])
@pytest.mark.parametrize("kind", ["M8", "m8"], ids=["dates", "durations"])
def test_a_missing_date_is_missing_only_around_itself(kind, chunks):
    values = (DATES if kind == "M8" else DATES - DATES[0]).astype(f"{kind}[ns]")
    values[0] = "NaT"
    f = line([0.0, 1, 2, 3], values)
    f = f if chunks is None else f.chunk(x=chunks)
    assert_array_equal(f.fdgrad.gradient("x").values, [np.nan, np.nan, 3 * DAY, 4 * DAY])


def test_a_field_of_calendar_dates_changes_by_seconds():
    dates = [cftime.datetime(y, 1, 1, calendar="360_day") for y in (1000, 1001, 1003, 1007)]
    f = line([0.0, 1, 2, 3], np.array(dates))
    expected = f.differentiate("x", datetime_unit="s").values
    assert_array_equal(f.fdgrad.gradient("x").values, expected)
    assert_array_equal(expected, np.array([1, 1.5, 3, 4]) * 360 * DAY)


def test_a_field_of_calendar_dates_in_years():
    dates = [cftime.datetime(y, 1, 1, calendar="360_day") for y in (1000, 1001, 1003, 1007)]
    f = line([0.0, 1, 2, 3], np.array(dates))
    assert_allclose(f.fdgrad.gradient("x", datetime_unit="year").values, [1, 1.5, 3, 4], rtol=1e-14)


def test_dates_by_dates_are_a_pure_number():
    f = line(DATES.astype("M8[ns]"), DATES.astype("M8[s]"))
    result = f.fdgrad.gradient("x", datetime_unit="D")
    assert_allclose(result.values, 1.0, rtol=1e-14)
    assert result.attrs["units"] == "1"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, False, True], "bool"),
        (list("abc"), "<U1"),
        (np.array([1, "a", None], object), "object"),
        (np.array([b"a", b"b", b"c"]), r"\|S1"),
    ],
    ids=["bool", "str", "object", "bytes"],
)
def test_a_field_without_differences_is_a_type_error(values, kind):
    text = rf"'t' holds {kind}, which has no differences; give numbers or dates \(\.astype\(float\)"
    with pytest.raises(TypeError, match=text):
        line([0.0, 1, 2], values).fdgrad.gradient("x")


# --- labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [None, {"m": 2, "x": 2}], ids=str)
def test_nothing_across_is_no_hindrance(chunks):
    f = xr.DataArray(np.zeros((0, 5)), dims=("m", "x"), name="t")
    f = f if chunks is None else f.chunk(chunks)
    assert f.fdgrad.gradient("x").compute().shape == (0, 5)


@chunked
@pytest.mark.parametrize("dim", ["x", "lon", "time"])
def test_the_labels_are_those_of_the_field(field, dim, chunks):
    field = chunk(field, chunks)
    field.encoding = {"scale_factor": 0.1, "dtype": "int16", "_FillValue": -1}
    before = field.copy(deep=True)
    result = field.fdgrad.gradient(dim)
    assert result.dims == field.dims
    assert result.coords.identical(field.coords)
    assert result.chunks == field.chunks
    assert result.name == f"dt_d{dim}"
    assert result.encoding == {}
    assert field.identical(before)
    assert field.name == "t"


def test_a_field_without_a_name_is_called_f():
    result = line([0.0, 1, 2]).rename(None).fdgrad.gradient("x")
    assert result.name == "df_dx"
    assert_array_equal(result.values, [3, 4, 5])
    assert line([0.0, 1, 2]).rename(None).fdgrad.gradient("x", order=2).name == "d2f_dx2"


def test_the_accessor_is_the_function(field):
    assert field.fdgrad.gradient("y", order=2).identical(fd.operators.gradient(field, "y", order=2))


@pytest.mark.parametrize("chunks", [None, 1])
def test_a_dimension_without_coordinate_has_unit_spacing(chunks):
    f = xr.DataArray([1.0, 4, 9, 16], dims="x", name="t", attrs={"units": "K"})
    f = f if chunks is None else f.chunk(x=chunks)
    result = f.fdgrad.gradient("x")
    assert_array_equal(result.values, [3, 4, 6, 7])
    assert "x" not in result.coords
    assert_array_equal(f.fdgrad.gradient("x", boundary="periodic").values, [-6, 4, 6, -4])


def test_a_step_of_an_index_has_no_unit():
    f = xr.DataArray([1.0, 4, 9, 16], dims="x", name="t", attrs={"units": "K"})
    assert f.fdgrad.gradient("x").attrs["units"] == "K"


def earth():
    """A field on (time, lev, lat, lon) with CF attributes and names that say nothing."""
    return xr.DataArray(
        np.random.default_rng(1).normal(size=(3, 4, 5, 6)),
        dims=("a", "b", "c", "d"),
        coords={
            "a": ("a", np.arange(3).astype("M8[D]").astype("M8[ns]"), {"standard_name": "time"}),
            "b": ("b", [1000.0, 850, 500, 200], {"standard_name": "air_pressure", "axis": "Z"}),
            "c": ("c", np.linspace(-60, 60, 5), {"units": "degrees_north", "axis": "Y"}),
            "d": ("d", np.arange(0.0, 360, 60), {"units": "degrees_east", "axis": "X"}),
        },
        name="t",
    )


@pytest.mark.parametrize(
    ("cf", "dim"),
    [
        ("X", "d"),
        ("Y", "c"),
        ("Z", "b"),
        ("T", "a"),
        ("longitude", "d"),
        ("latitude", "c"),
        ("time", "a"),
        ("vertical", "b"),
        ("air_pressure", "b"),
    ],
)
def test_cf_names_find_the_axis(cf, dim):
    f = earth()
    result = f.fdgrad.gradient(cf)
    assert result.name == f"dt_d{dim}"
    assert_array_equal(
        result.values, f.differentiate(dim, datetime_unit="s" if dim == "a" else None).values
    )


def test_an_array_is_no_dimension():
    field = xr.DataArray(np.zeros(3), dims="z")
    with pytest.raises(OptionError, match="dim is a DataArray, but it names a dimension or"):
        fd.operators.gradient(field, field)


def test_a_dimension_goes_before_a_cf_name():
    f = line([0.0, 1, 2]).rename(x="X").assign_coords(lon=("X", [0.0, 10, 20], {"axis": "X"}))
    assert_array_equal(f.fdgrad.gradient("X").values, [3, 4, 5])


@pytest.mark.parametrize("chunks", [None, 1])
def test_several_dims_give_a_dataset(field, chunks):
    field = chunk(field, CHUNKS["ragged"] if chunks else None)
    result = field.fdgrad.gradient(["lon", "y"])
    assert list(result) == ["dt_dlon", "dt_dy"]
    for dim in ("lon", "y"):
        assert result[f"dt_d{dim}"].identical(field.fdgrad.gradient(dim))


def test_one_dim_in_a_list_gives_a_dataset_too(field):
    result = field.fdgrad.gradient(["y"])
    assert list(result) == ["dt_dy"]
    assert result["dt_dy"].identical(field.fdgrad.gradient("y"))


@pytest.mark.parametrize("dim", [["y", "x"], None], ids=str)
def test_with_respect_to_a_field_along_one_dim_only(dim):
    """Along two both results would have one name, of which one was lost."""
    f = xr.DataArray(np.ones((3, 4)), {"y": range(3), "x": range(4)}, ("y", "x"), "f")
    z = (2.0 * f.y + 3.0 * f.x).rename("z")
    for given in (f, f.to_dataset()):
        with pytest.raises(OptionError, match=r"\['y', 'x'\], .* of them; give that: dim='y'"):
            given.fdgrad.gradient(dim, coordinate=z)
    assert list(f.fdgrad.gradient(["y"], coordinate=z)) == ["df_dz"]


# --- upwards --------------------------------------------------------------------------------

SENSES = [  # what an axis says, what is said beside it, whether it grows upward
    ({"positive": "up"}, {}, True),
    ({"positive": "down"}, {}, False),
    ({"units": "hPa"}, {}, False),
    ({"units": "m", "standard_name": "height"}, {}, True),
    ({"units": "m", "standard_name": "depth"}, {}, False),
    ({}, {"positive": "up"}, True),
    ({}, {"positive": "down"}, False),
]


@pytest.mark.parametrize("kind", ["a line", "a field"])
@pytest.mark.parametrize(("attrs", "options", "is_up"), SENSES)
def test_a_derivative_is_turned_upwards(attrs, options, is_up, kind):
    z, values = [0.0, 1, 3, 6], np.array([1.0, 4, 9, 17])
    f, slope = line(z, values, **attrs), np.gradient(values, z)
    if kind == "a field":
        if "standard_name" in attrs and not is_up:  # whose sign is not looked up
            attrs = attrs | {"positive": "down"}
        options = options | {"coordinate": xr.DataArray([z] * 2, dims=("y", "x"), attrs=attrs)}
        f, slope = f.expand_dims(y=2), np.tile(slope, (2, 1))
    made = f.fdgrad.gradient("x", upward=True, **options)
    assert_allclose(made, slope if is_up else -slope, rtol=1e-12)
    assert made.name == "dt_dz"
    assert made.attrs["long_name"].endswith(", upward")
    second = f.fdgrad.gradient("x", upward=True, order=2, **options)
    plain = {key: one for key, one in options.items() if key != "positive"}
    assert_array_equal(second, f.fdgrad.gradient("x", order=2, **plain))
    assert second.name == "d2t_dz2"


@pytest.mark.parametrize(
    ("dim", "options", "text"),
    [
        (["x"], {"upward": True}, "one vertical coordinate; name it alone: dim="),
        (None, {"upward": True}, "one vertical coordinate; name it alone: dim="),
        ("x", {"positive": "up"}, "for upward=True; add that"),
        ("x", {"upward": True}, "'x' does not say whether it is a height or a depth"),
        ("bare", {"upward": True}, "'bare' does not say whether it is a height or a depth"),
    ],
)
def test_which_way_is_up_has_to_be_known(dim, options, text):
    f = line([0.0, 1, 2]).expand_dims("bare", 1).isel(bare=[0, 0])
    with pytest.raises(OptionError, match=text):
        f.fdgrad.gradient(dim, **options)


def test_no_dim_means_all_that_have_a_coordinate(field):
    result = field.drop_vars("x").fdgrad.gradient()
    assert list(result) == ["dt_dtime", "dt_dy"]
    assert result["dt_dy"].identical(field.drop_vars("x").fdgrad.gradient("y"))


# --- datasets -------------------------------------------------------------------------------


@pytest.fixture
def dataset(field):
    return xr.Dataset(
        {
            "t": field,
            "orog": ("y", [1.0, 2, 4, 7, 11, 16], {"units": "m"}),
            "count": ("x", [5, 3, 1, 2, 4]),
            "label": ("y", list("uvwxyz")),
            "flag": ("y", [True] * 6),
            "bounds": (("time", "nv"), np.zeros((4, 2))),
            "crs": ((), 0),
        },
        attrs={"title": "not that of the result"},
    )


@pytest.mark.parametrize(
    ("dim", "names"),
    [
        ("y", ["dt_dy", "dorog_dy"]),
        ("x", ["dt_dx", "dcount_dx"]),
        ("lon", ["dt_dlon", "dcount_dlon"]),
        ("longitude", ["dt_dlon", "dcount_dlon"]),
        ("nv", ["dbounds_dnv"]),
        (["y", "x"], ["dt_dy", "dt_dx", "dorog_dy", "dcount_dx"]),
        (None, ["dt_dtime", "dt_dy", "dt_dx", "dorog_dy", "dcount_dx", "dbounds_dtime"]),
    ],
    ids=str,
)
def test_a_dataset_maps_over_what_has_the_dim_and_drops_the_rest(dataset, dim, names):
    result = dataset.fdgrad.gradient(dim)
    assert sorted(result) == sorted(names)
    for name in names:
        variable, _, along = name[1:].partition("_d")
        assert result[name].identical(dataset[variable].fdgrad.gradient(along))


def test_a_dataset_hands_its_options_on(dataset):
    result = dataset.fdgrad.gradient("y", order=2, edge_order=1, boundary="extend")
    assert sorted(result) == ["d2orog_dy2", "d2t_dy2"]
    expected = dataset["orog"].fdgrad.gradient("y", order=2, boundary="extend")
    assert result["d2orog_dy2"].identical(expected)


@pytest.mark.parametrize("dim", ["q", ["q"], ["x", "q"]], ids=str)
def test_a_name_that_no_variable_knows_is_an_error(dataset, dim):
    with pytest.raises(CoordinateError, match="'q'"):
        dataset.fdgrad.gradient(dim)


def test_a_result_shares_its_coordinates_with_its_field():
    """As in xarray's own arithmetic: large 2-D coordinates are not copied for each result."""
    f = xr.DataArray(np.ones((3, 4)), dims=("y", "x"), coords={"z": (("y", "x"), np.ones((3, 4)))})
    made = f.fdgrad.gradient("x")
    assert np.shares_memory(made.z.values, f.z.values)
    assert made.attrs != f.attrs
