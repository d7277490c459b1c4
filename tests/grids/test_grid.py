"""Nothing wrong is returned in silence: which coordinate, where, and what to do, in words."""

from __future__ import annotations

import re

import cftime
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.errors import ChunkError, CoordinateError, OptionError
from fdgrad_dask.grids.coordinate import find_axis


def line(points, **attrs):
    """A field t of 1, 4, 9, … with a coordinate x."""
    points = np.asarray(points)
    values = np.arange(1.0, len(points) + 1) ** 2
    return xr.DataArray(values, dims="x", coords={"x": ("x", points, attrs)}, name="t")


def index(n):
    """A field t of 1, 4, 9, … along a dimension x without a coordinate."""
    return xr.DataArray(np.arange(1.0, n + 1) ** 2, dims="x", name="t")


def days(*numbers):
    return np.array([np.datetime64("NaT" if n is None else n, "D") for n in numbers])


PLANE = xr.DataArray(
    np.arange(12.0).reshape(3, 4),
    dims=("y", "x"),
    coords={
        "nav_lat": (("y", "x"), np.arange(12.0).reshape(3, 4), {"units": "degrees_north"}),
        "height": 2.0,
        "lon": ("x", np.arange(4.0), {"units": "degrees_east"}),
        "lon_bounds": ("x", np.arange(4.0), {"units": "degrees_east"}),
    },
    name="t",
)
STACKED = (
    xr.DataArray(np.ones((2, 3)), dims=("y", "x"), coords={"y": [1, 2], "x": [0, 1, 2]}, name="t")
    .stack(cell=("y", "x"))
)  # fmt: skip

COORDINATES = {
    "turns": (
        line([0.0, 1, 3, 2, 4]),
        "x",
        r"coordinate 'x' is not monotonic: it turns at position 2 \(1\.0, 3\.0, 2\.0\); "
        r"sort it \(\.sortby\('x'\)\)",
    ),
    "wraps": (
        line([350.0, 355, 0, 5], units="degrees_east"),
        "x",
        r"turns at position 1 \(350\.0, 355\.0, 0\.0\); it passes a full turn there: "
        r"\.assign_coords\(x=\(….x \+ 180\) % 360 - 180\)",
    ),
    "wraps in small steps": (
        line([359.0, 359.5, 0, 0.5]),
        "x",
        r"turns at position 1 .*\.assign_coords\(x=\(….x \+ 180\) % 360 - 180\)",
    ),
    "wraps at the other end": (
        line([179.0, 180, -179, -178]),
        "x",
        r"turns at position 1 .*\.assign_coords\(x=….x % 360\)",
    ),
    "wraps now and then": (
        line([-5.0, 355.5, -4.0, 356.5]),
        "x",
        r"turns at position 1 .*; it passes a full turn there: \.assign_coords\(x=….x % 360\)",
    ),
    "turns by half a turn": (  # as far back as on
        line([0.0, 90, -90, -60]),
        "x",
        r"turns at position 1 .*; sort it \(\.sortby\('x'\)\)",
    ),
    "repeats": (
        line([0.0, 1, 1, 2]),
        "x",
        r"coordinate 'x' repeats 1\.0 at positions 1 and 2; drop one of them: "
        r"\.drop_duplicates\('x'\)",
    ),
    "falls and repeats": (line([3.0, 2, 2, 1]), "x", r"repeats 2\.0 at positions 1 and 2; drop"),
    "repeats a date": (line(days(1, 1, 2)), "x", r"repeats .* at positions 0 and 1; drop one"),
    "nan": (line([0.0, np.nan, 2]), "x", r"coordinate 'x' holds nan at position 1; "),
    "inf": (line([0.0, 1, np.inf]), "x", r"coordinate 'x' holds inf at position 2; "),
    "inf before all": (line([-np.inf, 0, 1]), "x", r"coordinate 'x' holds -inf at position 0; "),
    "nat": (line(days(1, 2, None)), "x", r"coordinate 'x' holds NaT at position 2; "),
    "duration nat": (line(days(1, None) - days(0, 0)), "x", r"'x' holds NaT at position 1; "),
    "one": (
        line([1.0]),
        "x",
        r"coordinate 'x' has 1 point, but a derivative needs two or more; do not select a single "
        r"'x' before differentiating",
    ),
    "none": (line([]), "x", r"coordinate 'x' has 0 points, but a derivative needs two or more"),
    "one date": (line(days(1)), "x", r"coordinate 'x' has 1 point, but"),
    "no date": (line(days()[:0].astype("M8[ns]")), "x", r"coordinate 'x' has 0 points, but"),
    "one step": (index(1), "x", r"'x' has 1 point, but"),
    "no step": (index(0), "x", r"'x' has 0 points, but"),
    "text": (
        line(list("abc")),
        "x",
        r"coordinate 'x' holds <U1, but a derivative needs numbers or dates; drop it to count in "
        r"steps \(\.drop_vars\('x'\)\), or name another",
    ),
    "flags": (line([False, True]), "x", r"coordinate 'x' holds bool, but a derivative needs"),
    "complex": (line([0j, 1j]), "x", r"coordinate 'x' holds complex128, but a derivative needs"),
    "two dims": (
        PLANE,
        "nav_lat",
        r"coordinate 'nav_lat' has dimensions \('y', 'x'\), but a derivative along it needs one; "
        r"name one of its dimensions, or pass it as coordinate= beside dim",
    ),
    "two dims by CF": (PLANE, "latitude", r"coordinate 'nav_lat' has dimensions \('y', 'x'\)"),
    "scalar": (PLANE, "height", r"coordinate 'height' has dimensions \(\), but"),
    "unknown": (
        PLANE,
        "depth",
        r"no dimension 'depth'; 't' has the dimensions \('y', 'x'\) and the coordinates "
        r"\('nav_lat', 'height', 'lon', 'lon_bounds'\)",
    ),
    "unknown, no name": (PLANE.rename(None), "depth", r"no dimension 'depth'; .*has the dimens"),
    "ambiguous": (
        PLANE,
        "longitude",
        r"'longitude' may be any of 'lon', 'lon_bounds' of 't'; name one",
    ),
    "lazy": (
        PLANE.drop_vars("lon").assign_coords(lon=("x", da.arange(4.0, chunks=2))),
        "lon",
        r"coordinate 'lon' is a dask array, but weights are formed from its values before "
        r"anything is computed; load it first: \.assign_coords\(lon=",
    ),
    "MultiIndex": (STACKED, "cell", r"coordinate 'cell' .*MultiIndex.*unstack\('cell'\)"),
    "level of a MultiIndex": (STACKED, "y", r"'y'.*MultiIndex.*unstack\('cell'\)"),
}


@pytest.mark.parametrize("chunks", [None, 1], ids=["numpy", "dask"])
@pytest.mark.parametrize(("field", "dim", "text"), COORDINATES.values(), ids=COORDINATES)
def test_a_bad_coordinate_is_told_with_place_and_remedy(field, dim, text, chunks):
    if chunks and field.size:
        field = field.chunk(dict.fromkeys(field.dims, 1)).assign_coords(field.coords)
    with pytest.raises(CoordinateError, match=text):
        field.fdgrad.gradient(dim)


def test_of_two_latitudes_the_one_along_a_dimension_counts():
    attrs = {"units": "degrees_north", "axis": "Y"}
    lines = PLANE.assign_coords(lat=("y", [0.0, 2.0, 4.0], attrs))
    for name in ("latitude", "Y"):
        made = lines.fdgrad.gradient(name)
        assert made.name == "dt_dlat"
        assert_array_equal(made, np.full((3, 4), 2.0))


@pytest.mark.parametrize(
    ("attrs", "period"),
    [
        ({"units": "degrees_east"}, 360.0),
        ({"standard_name": "longitude"}, 360.0),
        ({"standard_name": "grid_longitude", "units": "degrees"}, 360.0),
        ({"standard_name": "longitude", "units": "radian"}, None),
        ({"standard_name": "latitude", "units": "degrees"}, None),
        ({"units": "degrees_north"}, None),
        ({}, None),
    ],
)
def test_a_longitude_in_degrees_has_a_period(attrs, period):
    assert find_axis(line([0.0, 90, 180, 270], **attrs), "x").period == period


def test_an_index_is_no_time():
    assert "units" not in index(4).fdgrad.gradient("x").attrs


def test_every_message_is_a_value_error_too():
    with pytest.raises(ValueError, match="not monotonic"):
        line([0.0, 2, 1]).fdgrad.gradient("x")


def test_both_0_and_360_are_one_place_too_many():
    """The two ends are the same meridian: the coordinate is at fault, not an option."""
    f = line([0.0, 90, 180, 270, 360], units="degrees_east")
    text = r"360 of 'x' must be longer than the 360 from.*the same place, drop one of them"
    with pytest.raises(CoordinateError, match=text):
        f.fdgrad.gradient("x", boundary="periodic")
    assert_array_equal(
        f.isel(x=slice(4)).fdgrad.gradient("x", boundary="periodic").values,
        np.array([4 - 16, 9 - 1, 16 - 4, 1 - 9]) / 180,
    )


def test_dates_of_two_calendars_have_no_difference():
    mixed = [cftime.datetime(2000, 1, 1, calendar=c) for c in ("noleap", "360_day")]
    f = index(2).assign_coords(when=("x", np.array(mixed, dtype=object)))
    with pytest.raises((CoordinateError, TypeError), match="calendar"):
        f.fdgrad.gradient("when")


# --- the remedies work ----------------------------------------------------------------------

REMEDIES = {  # field, dim, and the points that are left when the advice was followed
    "sort": (line([0.0, 1, 3, 2]), "x", [0.0, 1, 2, 3]),
    "drop one": (line([0.0, 1, 1, 2]), "x", [0.0, 1, 2]),
    "drop one of a second coordinate": (index(4).assign_coords(z=("x", [0.0, 5, 5, 7])), "z", None),
    "drop nan": (line([0.0, 1, np.nan, 3]), "x", [0.0, 1, 3]),
    "drop inf": (line([0.0, 1, -np.inf, 3]), "x", [0.0, 1, 3]),
    "drop nat": (line(days(1, 2, None, 4).astype("M8[ns]")), "x", days(1, 2, 4)),
    "count in steps": (line(list("abc")), "x", None),
    "load": (COORDINATES["lazy"][0], "lon", np.arange(4.0)),
}
ADVICE = re.compile(r"\.(?:sortby|drop|isel|sel|where|assign_coords)\w*\((?:[^()]|\([^()]*\))*\)")


@pytest.mark.parametrize(("field", "dim", "points"), REMEDIES.values(), ids=REMEDIES)
def test_the_advice_of_the_message_cures_when_run_as_it_stands(field, dim, points):
    field = field.copy()  # whose coordinates are loaded in place, by one of the remedies
    with pytest.raises(CoordinateError) as caught:
        field.fdgrad.gradient(dim)
    advice = ADVICE.search(str(caught.value))[0].replace("…", "field")
    cured = eval(f"field{advice}", {"field": field, "np": np})
    result = cured.fdgrad.gradient(dim)
    assert np.isfinite(result.values).all()
    if points is not None:
        assert_array_equal(cured[dim].values, points)


def test_the_full_turn_of_the_message_cures_a_longitude_that_wraps():
    f = line([350.0, 355, 0, 5])
    with pytest.raises(CoordinateError, match="full turn"):
        f.fdgrad.gradient("x")
    turned = f.assign_coords(x=(f.x + 180) % 360 - 180)
    assert_array_equal(turned.fdgrad.gradient("x").values, np.array([3, 4, 6, 7]) / 5)


# --- too short ------------------------------------------------------------------------------

SHORT = [
    (2, {"edge_order": 2}, r"'x' has 2 points, but edge order 2 needs 3; lower edge_order to 1"),
    (2, {"order": 2}, r"'x' has 2 points, but .*second derivative needs 3; give a longer axis"),
    (3, {"order": 2, "edge_order": 2}, r"edge order 2 of the second derivative needs 4; lower ed"),
    (4, {"accuracy": 4}, r"'x' has 4 points, but accuracy 4 needs 5; lower accuracy to 2"),
    (5, {"accuracy": 4, "order": 2}, r"accuracy 4 of the second derivative needs 6; lower acc"),
    (6, {"accuracy": 6}, r"'x' has 6 points, but accuracy 6 needs 7; lower accuracy to 4"),
    (8, {"accuracy": 8}, r"'x' has 8 points, but accuracy 8 needs 9; lower accuracy to 6"),
    (4, {"accuracy": 8}, r"'x' has 4 points, but accuracy 8 needs 9; lower accuracy to 2"),
]


@pytest.mark.parametrize(("n", "options", "text"), SHORT)
@pytest.mark.parametrize("make", [index, lambda n: line(np.arange(n) / 3)], ids=["steps", "points"])
def test_too_short_an_axis_says_how_long_and_what_fits(make, n, options, text):
    with pytest.raises(CoordinateError, match=text) as caught:
        make(n).fdgrad.gradient("x", **options)
    needed = int(re.search(r"needs (\d+)", str(caught.value))[1])
    assert np.isfinite(make(needed).fdgrad.gradient("x", **options).values).all()
    with pytest.raises(CoordinateError):
        make(needed - 1).fdgrad.gradient("x", **options)
    lower = re.search(r"lower (accuracy|edge_order) to (\d)", str(caught.value))
    if lower:
        less = {**options, lower[1]: int(lower[2])}
        assert np.isfinite(make(n).fdgrad.gradient("x", **less).values).all()


def test_a_periodic_axis_of_two_points_is_too_short_and_edge_order_is_not_to_blame():
    with pytest.raises(CoordinateError, match=r"'x' has 2 points, but .* needs 3") as caught:
        index(2).fdgrad.gradient("x", boundary="periodic")
    assert "edge order" not in str(caught.value)


# --- options --------------------------------------------------------------------------------

WORDS = r"choose None, 'periodic', 'reflect', 'extend', or the number that stands outside; a pair"
OPTIONS = [
    ({"boundary": "wrap"}, rf"boundary is 'wrap'; {WORDS}"),
    ({"boundary": True}, rf"boundary is True; {WORDS}"),
    ({"boundary": {"x": "wrap"}}, rf"boundary is 'wrap'; {WORDS}"),
    ({"boundary": (1, 2, 3)}, r"boundary is \(1, 2, 3\); give one value for both ends or a pair"),
    ({"boundary": ("periodic", None)}, r"\('periodic', None\); an axis is periodic at both ends"),
    ({"boundary": "periodic", "period": 2.0}, r"period 2 of 'x' must be longer than the 3 from"),
    ({"boundary": "periodic", "period": -4}, r"period -4 of 'x' must be longer than the 3 from"),
    ({"boundary": "periodic", "period": np.nan}, r"period nan of 'x' must be longer than the 3"),
    ({"period": 4.0}, r"period is 4\.0, but boundary is None; say boundary='periodic' too"),
    ({"period": 4.0, "boundary": "extend"}, r"boundary is 'extend'; say boundary='periodic' too"),
    ({"accuracy": 3}, r"accuracy is 3; choose one of 2, 4, 6, 8"),
    ({"accuracy": "4"}, r"accuracy is '4'; choose one of 2, 4, 6, 8"),
    ({"accuracy": 10}, r"accuracy is 10; choose one of 2, 4, 6, 8"),
    ({"edge_order": 3}, r"'edge_order' is 3; choose 1 or 2"),
    ({"edge_order": 0}, r"'edge_order' is 0; choose 1 or 2"),
    ({"order": 3}, r"order is 3; only first and second derivatives exist: 1 or 2"),
    ({"order": 0}, r"order is 0; only first and second derivatives exist: 1 or 2"),
    ({"skipna": True}, r"skipna is True; choose None or 'one-sided'"),
    ({"skipna": "onesided"}, r"skipna is 'onesided'; choose None or 'one-sided'"),
]


@pytest.mark.parametrize(("options", "text"), OPTIONS, ids=[str(o) for o, _ in OPTIONS])
def test_an_option_without_such_a_value_lists_those_it_has(options, text):
    with pytest.raises(OptionError, match=text):
        line([0.0, 1, 2, 3]).fdgrad.gradient("x", **options)


def test_an_uneven_periodic_axis_needs_its_period():
    text = r"'x' is periodic but unevenly spaced.*give period= in units of the coordinate, longer"
    with pytest.raises(OptionError, match=rf"{text} than 4"):
        line([0.0, 1, 2, 4]).fdgrad.gradient("x", boundary="periodic")


@pytest.mark.parametrize("dates", [days(1, 2, 4), days(1, 2, 4) - days(0, 0, 0)], ids=["M", "m"])
@pytest.mark.parametrize("unit", ["fortnight", "Y", "M", "", "seconds"])
def test_a_datetime_unit_that_is_none_lists_those_there_are(dates, unit):
    text = rf"datetime_unit is '{unit}'; choose one of W, D, h, m, s, .*, year, decade, century"
    with pytest.raises(OptionError, match=text):
        line(dates.astype(f"{dates.dtype.kind}8[ns]")).fdgrad.gradient("x", datetime_unit=unit)


def test_an_option_that_does_not_exist_is_a_type_error():
    with pytest.raises(TypeError, match="accurcy"):
        line([0.0, 1, 2]).fdgrad.gradient("x", accurcy=4)


# --- chunks and datasets --------------------------------------------------------------------


def test_unknown_chunks_say_how_to_learn_them():
    data = da.from_array(np.arange(6.0), chunks=3)
    field = xr.DataArray(data[data > 1], dims="x", name="t")
    with pytest.raises(ChunkError, match=r"unknown sizes.*call compute_chunk_sizes\(\)"):
        field.fdgrad.gradient("x")


def test_unknown_chunks_across_are_no_hindrance():
    data = da.from_array(np.arange(12.0).reshape(4, 3), chunks=(2, 3))
    field = xr.DataArray(data[data[:, 0] > 1], dims=("m", "x"), name="t")
    assert_array_equal(field.fdgrad.gradient("x").values, np.ones((3, 3)))


NOTHING = {
    "no coordinate": (index(3), None, r"'t'|dimension|coordinate"),
    "no variable": (xr.Dataset({"t": index(3)}), "q", r"extends along 'q'; there are the dim.*'x'"),
    "only text": (xr.Dataset({"s": ("x", list("ab"))}), "x", r"no variable of numbers .* 'x'"),
    "empty": (xr.Dataset(), "x", r"no variable of numbers extends along 'x'"),
}


@pytest.mark.parametrize(("field", "dim", "text"), NOTHING.values(), ids=NOTHING)
def test_nothing_to_differentiate_is_said(field, dim, text):
    with pytest.raises(CoordinateError, match=text):
        field.fdgrad.gradient(dim)


@pytest.mark.parametrize("given", [{}, {"period": 360}])
@pytest.mark.parametrize(("first", "last"), [(0, 73), (-1, 73), (-2, 74), (74, -2)])
def test_of_several_cyclic_points_the_number_is_said(first, last, given):
    """At one end and at both, obeyed at once; rounded points too, whose ends had no slope."""
    sense = 1 if last > first else -1
    numbers = np.arange(first, last, sense)
    for step in (5.0, 4.99999):
        f = xr.DataArray(
            np.sin(np.deg2rad(5.0 * numbers)),
            {"x": ("x", step * numbers, {"units": "degrees_east"})},
            name="f",
        )
        with pytest.raises(CoordinateError, match="same place, drop") as error:
            f.fdgrad.gradient("x", boundary="periodic", **given)
        remedy = re.search(r"\.isel\(x=slice\(None, (-\d)\)\)", str(error.value))
        assert int(remedy[1]) == 72 - len(numbers)
        kept = f.isel(x=slice(None, int(remedy[1])))
        made = kept.fdgrad.gradient("x", boundary="periodic", **given)
        true = np.deg2rad(1.0) * np.cos(np.deg2rad(5.0 * kept.x / step))
        assert_allclose(made, true, atol=3e-5)
