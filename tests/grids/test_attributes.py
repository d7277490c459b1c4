"""What a derivative is called and measured in: worked out, or left off; never copied unseen.

UDUNITS-2 itself, by way of cf-units, says whether a string is one of its own and how large it is.
"""

from __future__ import annotations

import subprocess
import sys

import cf_units
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids import units
from fdgrad_dask.grids.attributes import (
    Unnamed,
    choose_long_name,
    choose_name,
    name_derivative,
    require_decoded,
)
from fdgrad_dask.grids.units import conversion_factor, divide_units, kelvin_conversion

UNITS = [
    # temperatures: a difference of degrees Celsius is one of kelvins
    *[(u, "m", "K m-1") for u in ("K", "kelvin", "degK", "degC", "deg_C", "degree_C", "degrees_C")],
    *[(u, "m", "K m-1") for u in ("celsius", "Celsius", "degree_Celsius", "degrees_Celsius", "°C")],
    ("degC", "1", "K"),
    ("degC m-1", "s", "K m-1 s-1"),
    *[(u, "m", "K m-1") for u in ("deg C", "degrees C", "Degrees Celsius", "centigrade", "℃")],
    *[(u, "m", "K m-1") for u in ("deg. C", "Kelvin", "deg K", "K ", "delta_degree_Celsius")],
    *[(u, "m", "degR m-1") for u in ("degF", "°F", "Fahrenheit", "degrees F", "degree_Fahrenheit")],
    ("W m-2 degC-1", "m", "W m-3 K-1"),
    ("degree K-1", "m", "degree K-1 m-1"),
    # spellings of powers and quotients
    ("m s-1", "m", "s-1"),
    ("m s**-1", "degrees_north", "m s-1 degree-1"),
    ("m/s", "degrees_east", "m s-1 degree-1"),
    ("m.s-1", "km", "m s-1 km-1"),
    ("m2 s-2", "m", "m s-2"),
    ("m**2 s**-2", "Pa", "m2 s-2 Pa-1"),
    ("m^2/s^2", "hPa", "m2 s-2 hPa-1"),
    ("m/s/s", "s", "m s-3"),
    ("s-1 K", "m", "K s-1 m-1"),
    ("kg/(m2 s)", "s", "kg m-2 s-2"),
    ("kg m-2 s-1", "s", "kg m-2 s-2"),
    ("W m**-2", "degree_north", "W m-2 degree-1"),
    ("s-1", "m", "s-1 m-1"),
    ("1/s", "s", "s-2"),
    # water, salt, gases
    ("mm/day", "degrees_east", "mm day-1 degree-1"),
    ("mm d-1", "day", "mm day-2"),
    ("kg kg-1", "hPa", "hPa-1"),
    ("kg kg**-1", "m", "m-1"),
    ("g kg-1", "m", "g kg-1 m-1"),
    ("%", "m", "% m-1"),
    ("percent", "m", "% m-1"),
    ("1", "m", "m-1"),
    ("1", "1", "1"),
    ("m", "m", "1"),
    ("0.001", "m", "0.001 m-1"),
    ("1e-3", "s", "1e-3 s-1"),
    ("0.1 K", "m", "0.1 K m-1"),
    ("1000 kg", "m", "1000 kg m-1"),
    ("ppm", "s", "ppm s-1"),
    ("mmol m-3", "m", "mmol m-4"),
    ("umol kg-1", "m", "umol kg-1 m-1"),
    ("µg/m3", "m", "ug m-4"),
    # pressure, dynamics, angles
    ("hPa", "degrees_north", "hPa degree-1"),
    ("millibars", "degrees_north", "mbar degree-1"),
    ("K", "millibars", "K mbar-1"),
    ("Pa s-1", "Pa", "s-1"),
    ("dyne/cm^2", "m", "dyne cm-2 m-1"),
    *[(u, "m", "mbar m-1") for u in ("mb", "MB", "Millibars", "mbar")],
    ("Pascals", "m", "Pa m-1"),
    ("gpdm", "m", "dam m-1"),
    *[(u, "m", "1") for u in ("gpm", "Gpm", "geopotential meter", "Geopotential metres", "Meters")],
    *[(u, "m", "knot m-1") for u in ("KNOTS", "KNOT", "kt", "kts", "Knots")],
    ("kilotorr", "m", "kilotorr m-1"),
    ("mdeg", "m", "millidegree m-1"),
    ("nmi", "s", "nautical_mile s-1"),
    ("PVU", "K", "PVU K-1"),
    ("Sv", "degrees_north", "Sv degree-1"),
    ("knots", "degrees_north", "knot degree-1"),
    ("degrees", "m", "degree m-1"),
    ("degrees_north", "degrees_east", "1"),
    ("radians", "s", "rad s-1"),
    ("K", "°", "K degree-1"),
    # time
    ("K", "s", "K s-1"),
    ("K", "min", "K min-1"),
    ("K", "h", "K h-1"),
    ("K", "day", "K day-1"),
    ("K", "us", "K us-1"),
    ("K", "hours since 1900-01-01 00:00:00", "K h-1"),
    ("K", "days since 2000-01-01", "K day-1"),
    # a length of its own stays a bracket: the algebra above it is the same
    ("K", "(3600 days)", "K (3600 days)-1"),
    ("degC", "(3600 days)", "K (3600 days)-1"),
    ("m s**-1", "(365 days)", "m s-1 (365 days)-1"),
    ("1", "(3652.425 days)", "1 (3652.425 days)-1"),
    # where pint and UDUNITS use one word for two things
    ("K", "micron", "K um-1"),
    ("K", "nautical_mile", "K nautical_mile-1"),
]
SAME = {"(3652.425 days)-1": "1 (3652.425 days)-1"}  # either will do


@pytest.mark.parametrize(("units", "per", "expected"), UNITS)
def test_units_of_a_derivative_are_the_quotient_in_udunits(units, per, expected):
    result = divide_units(units, per)
    assert SAME.get(result, result) == expected
    cf_units.Unit(result)  # raises ValueError for what UDUNITS does not read


@pytest.mark.parametrize("prefix", ["", "milli", "kilo"])
@pytest.mark.parametrize("name", sorted(units._SPELLED))
def test_pint_and_udunits_mean_the_same_by_what_we_write(name, prefix):
    if prefix and name in ("micron", "percent", "ppm", "hectare"):
        return  # nobody prefixes these
    written = cf_units.Unit(units._write_units({prefix + name: 1}))
    base = units._registry().Quantity(1.0, prefix + name).to_root_units()
    words = " ".join(f"{n}{e:g}" for n, e in dict(base.units._units).items()) or "1"
    size = written.convert(1.0, cf_units.Unit(words))
    assert size == pytest.approx(base.magnitude, rel=3e-5)  # a year has its days


def test_words_that_pint_and_udunits_read_differently_are_not_taken_for_known():
    """pint reads gal as a gallon, a as a year, oz as a mass; these words stay as they are."""
    for word in ("gal", "a", "oz", "cal", "R", "ppt", "psi", "barrel"):
        assert divide_units(word, "m") == f"{word} m-1"
        assert conversion_factor(word, "m3") is None
        assert conversion_factor(word, "kg") is None


FACTORS = [
    ("km", "m", 1e3),
    ("K", "m", None),
    ("degC", "K", 1),
    ("degF", "K", 5 / 9),
    ("mb", "Pa", 100),
    ("0.01 m s-1", "m s-1", 0.01),
    ("m s-1", "0.01 m s-1", 100),
    ("ms-1", "m s-1", None),  # per millisecond
    ("kts", "m s-1", 1852 / 3600),
    ("C", "K", None),  # a coulomb, where nothing says that it is a temperature
    (None, "m", None),
    ("bogus", "bogus", None),
]


@pytest.mark.parametrize(("units", "base", "expected"), FACTORS)
def test_how_many_of_one_unit_there_are_in_another(units, base, expected):
    found = conversion_factor(units, base)
    assert found == (expected if expected is None else pytest.approx(expected, rel=1e-12))


KELVINS = [  # units, a temperature in them, in kelvin
    *[(u, 10.0, 283.15) for u in ("degC", "C", "deg C", "centigrade", "°C", "degrees_Celsius")],
    *[(u, 10.0, 10.0) for u in ("K", "kelvin", "degK", " K ", "deg_K")],
    *[(u, 50.0, 283.15) for u in ("degF", "F", "deg F", "Fahrenheit", "°F")],
    ("degR", 491.67, 273.15),
    ("mK", 1000.0, 1.0),
    ("0.1 K", 10.0, 1.0),
]


@pytest.mark.parametrize(("units", "value", "expected"), KELVINS)
def test_a_temperature_in_kelvin(units, value, expected):
    scale, offset = kelvin_conversion(units)
    assert scale * value + offset == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "units", ["0.1 degC", "delta_degC", "K m-1", "m", "1", "", None, 3, "degree"]
)
def test_what_is_not_known_to_be_a_temperature(units):
    assert kelvin_conversion(units) is None


@pytest.mark.parametrize(
    ("units", "per", "expected"),
    [
        ("K", "m", "K m-2"),
        ("degC", "km", "K km-2"),
        ("m s-1", "degrees_north", "m s-1 degree-2"),
        ("m2 s-2", "m", "s-2"),
        ("1", "s", "s-2"),
        ("0.001", "m", "0.001 m-2"),
        ("K", "(3600 days)", "K (3600 days)-2"),
    ],
)
def test_units_of_a_second_derivative_have_the_square_below(units, per, expected):
    assert divide_units(units, per, 2) == expected


@pytest.mark.parametrize("units", ["psu", "dBZ", "DU"])
def test_a_word_that_is_unknown_stays_as_it_is(units):
    assert divide_units(units, "m") == f"{units} m-1"


@pytest.mark.parametrize(
    ("units", "per"),
    [
        ("code table (4.201)", "m"),
        ("days since 2000-01-01", "m"),
        ("lg(re 1 mW)", "m"),
        ("bogus/m", "s"),
        ("K", "level"),
        ("K", "sigma_level"),
        ("K", "1e3 m"),
        ("", "m"),
        ("  ", "m"),
        ("K", None),
        (None, "m"),
        (1, "m"),
        (np.float64(1), "m"),
        ("days since 2000-01-01", "(3600 days)"),
        ("code table (4.201)", "(3600 days)"),
        ("K", "sigma"),
        ("mol C m-3", "bogus word"),
    ],
)
def test_units_that_cannot_be_said_are_left_off(units, per):
    assert divide_units(units, per) is None


@pytest.mark.parametrize("units", ["deg C", "degrees C", "mol C m-3", "C", "sigma", "°K", "μmol/L"])
def test_units_are_ascii_and_temperature_is_no_angle(units):
    """pint reads C as Celsius and sigma as a constant; neither may come out as a symbol."""
    result = divide_units(units, "m") or ""
    assert result.isascii()
    assert "degree " not in result


# --- on fields ------------------------------------------------------------------------------

X = xr.DataArray([0.0, 1, 2, 4], dims="x", attrs={"units": "m"})


def field(coordinate=X, **attrs):
    return xr.DataArray([1.0, 4, 9, 16], dims="x", coords={"x": coordinate}, name="t", attrs=attrs)


LYING = {
    "standard_name": "air_temperature",
    "valid_range": [200.0, 330.0],
    "valid_min": 200.0,
    "valid_max": 330.0,
    "actual_range": [210.0, 300.0],
    "flag_values": [0, 1],
    "ancillary_variables": "t_error",
    "history": "made yesterday",
    "comment": "in kelvin",
    "axis": "X",
    "positive": "up",
    "GRIB_units": "K",
    "number_of_significant_digits": 2,
}
DECODED = {"scale_factor": 0.1, "add_offset": 273.15, "_FillValue": -999.0, "missing_value": -9.0}


@pytest.mark.parametrize("options", [{}, {"order": 2}, {"skipna": "one-sided"}], ids=str)
@pytest.mark.parametrize("chunks", [None, 2])
def test_no_attribute_comes_along_that_was_true_of_the_field_only(options, chunks):
    f = field(**LYING, units="degC", cell_methods="time: mean", grid_mapping="crs")
    f = f if chunks is None else f.chunk(x=chunks)
    f.encoding = DECODED
    order = options.get("order", 1)
    second = "second " if order == 2 else ""
    with xr.set_options(keep_attrs=True):
        result = f.fdgrad.gradient("x", **options)
    assert result.attrs == {
        "units": "K m-1" if order == 1 else "K m-2",
        "long_name": f"{second}derivative of air temperature with respect to x",
        "cell_methods": "time: mean",
        "grid_mapping": "crs",
    }


def test_the_grid_mapping_is_kept_where_xarray_keeps_it():
    """``open_dataset(..., decode_coords="all")`` moves it to the encoding."""
    f = field().assign_coords(crs=0)
    f.encoding = {"grid_mapping": "crs", "scale_factor": 0.1}
    result = f.fdgrad.gradient("x")
    assert result.attrs.get("grid_mapping", result.encoding.get("grid_mapping")) == "crs"
    assert "scale_factor" not in result.encoding


@pytest.mark.parametrize("order", [1, 2])
def test_no_units_in_none_out(order):
    assert "units" not in field().fdgrad.gradient("x", order=order).attrs
    assert "units" not in field(X.drop_attrs(), units="K").fdgrad.gradient("x", order=order).attrs


@pytest.mark.parametrize(("order", "units"), [(1, "s-1"), (2, "s-2")])
def test_but_the_units_of_time_are_always_said(order, units):
    seconds = xr.DataArray(np.array([0, 1, 2, 4], "M8[s]"), dims="x")
    assert field(seconds).fdgrad.gradient("x", order=order).attrs["units"] == units


TITLES = [
    ({}, {}, "derivative of t with respect to x"),
    ({"long_name": "Sea_ice T"}, {}, "derivative of Sea_ice T with respect to x"),
    ({"standard_name": "air_temperature"}, {}, "derivative of air temperature with respect to x"),
    (
        {"standard_name": "air_temperature", "long_name": "T2m"},
        {"standard_name": "projection_x_coordinate"},
        "derivative of T2m with respect to projection x coordinate",
    ),
    ({}, {"long_name": "Depth"}, "derivative of t with respect to Depth"),
]


@pytest.mark.parametrize(("attrs", "of_x", "expected"), TITLES)
def test_the_long_name_says_of_what_and_along_what(attrs, of_x, expected):
    f = field(X.drop_attrs().assign_attrs(of_x), **attrs)
    assert f.fdgrad.gradient("x").attrs["long_name"] == expected


NAMES = [
    ("t", "x", 1, "dt_dx"),
    ("t", "x", 2, "d2t_dx2"),
    (None, "x", 1, "df_dx"),
    (None, "x", 2, "d2f_dx2"),
    ("sea surface", "x", 1, "dsea surface_dx"),
    (0, "x", 1, "d0_dx"),
]


@pytest.mark.parametrize(("name", "dim", "order", "expected"), NAMES)
def test_the_name_is_that_of_the_formula(name, dim, order, expected):
    assert field().rename(name).fdgrad.gradient(dim, order=order).name == expected


def test_a_name_is_that_of_the_first_derivative_unless_another_is_asked_for():
    assert name_derivative("t", "x") == name_derivative("t", "x", 1) == "dt_dx"


def test_the_name_has_the_coordinate_that_was_found_not_the_word_that_found_it():
    f = field().assign_coords(lon=("x", [0.0, 1, 2, 3], {"units": "degrees_east"}))
    assert f.fdgrad.gradient("longitude").name == "dt_dlon"


def test_the_encoding_is_left_behind():
    f = field()
    f.encoding = {"scale_factor": 0.1, "dtype": "int16", "chunksizes": (2,), "source": "a.nc"}
    assert f.fdgrad.gradient("x").encoding == {}


def test_a_derivative_of_a_derivative_has_the_units_of_both():
    f = field(units="K")
    once = f.fdgrad.gradient("x")
    assert once.fdgrad.gradient("x").attrs["units"] == "K m-2"
    assert once.fdgrad.gradient("x").name == "ddt_dx_dx"


def test_a_coordinate_that_bears_the_name_of_the_result_is_refused():
    f = field().assign_coords(dt_dx=3.0)
    for call in (
        lambda: f.fdgrad.gradient("x"),
        lambda: f.to_dataset().fdgrad.gradient(["x"]),
    ):
        with pytest.raises(CoordinateError, match=r"called 'dt_dx', and so is a coordinate of 't'"):
            call()
    f.drop_vars("dt_dx").fdgrad.gradient("x")  # what the message says


BASE_ONLY = """
import sys
for name in ("matplotlib", "netCDF4", "cftime", "pyproj", "metpy", "pint_xarray", "cf_units"):
    sys.modules[name] = None
import numpy as np, pint, xarray as xr, fdgrad_dask
before = pint.application_registry.get()
f = xr.DataArray([1.0, 4.0, 9.0], dims="x", coords={"x": [0.0, 1.0, 2.0]}, attrs={"units": "degC"})
f.x.attrs["units"] = "km"
assert f.fdgrad.gradient("x").attrs["units"] == "K km-1"
assert pint.application_registry.get() is before
"""


def test_without_the_extras_nothing_is_said_and_the_units_of_the_application_are_left_alone():
    """MetPy would meet units not its own if our registry became that of all."""
    made = subprocess.run([sys.executable, "-W", "error", "-c", BASE_ONLY], capture_output=True)
    assert made.returncode == 0, made.stderr.decode()
    assert made.stderr == b""


# --- values that are not decoded ------------------------------------------------------------

HELD = {  # attributes; which say so of a coordinate, and of a field, which may lack values
    "nothing": ({"units": "K", "long_name": "t"}, [], []),
    "a factor": ({"scale_factor": 0.1}, ["scale_factor"], ["scale_factor"]),
    "an offset": ({"add_offset": np.array([5.0])}, ["add_offset"], ["add_offset"]),
    "both": ({"add_offset": 1.0, "scale_factor": 2}, ["scale_factor", "add_offset"], None),
    "as they are": ({"scale_factor": 1.0, "add_offset": np.float32(0)}, [], []),
    "unsigned": ({"_Unsigned": "true"}, ["_Unsigned"], ["_Unsigned"]),
    "a fill value": ({"_FillValue": -999.0}, [], ["_FillValue"]),
    "some": ({"missing_value": [-999.0, -888.0]}, [], ["missing_value"]),
    "NaN": ({"_FillValue": np.nan, "missing_value": [np.float32("nan")]}, [], []),
    "none": ({"_FillValue": None, "scale_factor": None}, [], []),
    "a text": ({"_FillValue": "-999"}, [], ["_FillValue"]),
}


@pytest.mark.parametrize(("attrs", "packed", "any_missing"), HELD.values(), ids=HELD)
def test_attributes_of_values_as_a_file_holds_them(attrs, packed, any_missing):
    for options, found in (({"may_lack": False}, packed), ({}, packed or any_missing)):
        if not found:
            require_decoded("t", attrs, **options)
            continue
        said = ", ".join(f"{key} = {attrs[key]}" for key in found)
        with pytest.raises(CoordinateError) as refused:
            require_decoded("t", attrs, **options)
        assert f"'t' is not decoded: its attributes say {said}, so" in str(refused.value)
        assert str(refused.value).endswith(f"del ….attrs[{found[0]!r}]")


def test_dates_as_digits_are_no_time():
    with pytest.raises(CoordinateError, match=r"'time' is in 'day as %Y%m%d.%f', dates as digits"):
        require_decoded("time", {"units": "day as %Y%m%d.%f"}, may_lack=False)
    require_decoded("time", {"units": "days since 2000-01-01"})


def test_a_field_without_a_name_is_called_f_in_results_and_what_it_is_in_messages():
    unnamed = Unnamed("the first field")
    assert f"{unnamed!r} {unnamed}" == "the first field the first field"
    assert choose_name(unnamed) == choose_name(None) == "f"
    assert choose_name("t") == "t"
    assert name_derivative(unnamed, "x", 2) == "d2f_dx2"
    assert choose_long_name({}, unnamed) == choose_long_name({}, None) == "f"
