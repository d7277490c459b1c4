"""|∇f| on the sphere and on a plane, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError, OptionError

A = 6371229.0  # m


def sine_of_latitude(lam, phi):
    return np.sin(phi) + 0 * lam, np.abs(np.cos(phi)) / A + 0 * lam


def tilted(lam, phi):
    """f = cos φ cos λ, the height above a plane through the centre: |∇f| = √(1 − f²) / a."""
    f = np.cos(phi) * np.cos(lam)
    return f, np.sqrt(1 - f**2) / A


def wave(lam, phi):
    """f = cos²φ sin 2λ."""
    f_x, f_y = 2 * np.cos(phi) * np.cos(2 * lam), -np.sin(2 * phi) * np.sin(2 * lam)
    return np.cos(phi) ** 2 * np.sin(2 * lam), np.hypot(f_x, f_y) / A


def globe(function=tilted, step=10.0, *, poles=False, west=0.0, dtype="f8", **attrs):
    """The field and its exact |∇f|, on a global grid with the poles or between them."""
    lat = np.arange(-90, 91, step) if poles else np.arange(-90 + step / 2, 90, step)
    lon = west + np.arange(0, 360, step)
    f, exact = function(np.deg2rad(lon), np.deg2rad(lat)[:, None])
    coords = {
        "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    field = xr.DataArray(f.astype(dtype), coords, ("lat", "lon"), "t", attrs)
    return field, exact


# --- closed forms ---------------------------------------------------------------------------


def error(function, step, **options):
    f, exact = globe(function, step)
    away = np.abs(f.lat.values) < 70
    return np.abs(f.fdgrad.gradient_magnitude(**options).values - exact)[away].max() * A


@pytest.mark.parametrize("function", [sine_of_latitude, tilted, wave])
def test_converges_at_second_order(function):
    coarse, fine = error(function, 6.0), error(function, 3.0)
    assert fine < 6e-3
    assert np.log2(coarse / fine) > 1.9


def test_converges_at_fourth_order_if_asked():
    coarse, fine = error(wave, 6.0, accuracy=4), error(wave, 3.0, accuracy=4)
    assert fine < 1e-4
    assert np.log2(coarse / fine) > 3.8


def test_is_the_root_of_the_two_squares_per_metre():
    f, _ = globe(wave)
    degree = A * np.pi / 180
    f_x = f.fdgrad.gradient("lon", boundary="periodic") / (degree * np.cos(np.deg2rad(f.lat)))
    f_y = f.fdgrad.gradient("lat") / degree
    assert_allclose(f.fdgrad.gradient_magnitude().values, np.hypot(f_x, f_y).values, rtol=1e-13)


def test_edge_order_holds_at_the_first_and_last_latitude():
    f, exact = globe(sine_of_latitude, 5.0)
    errors = [
        np.abs(f.fdgrad.gradient_magnitude(edge_order=k).values - exact)[[0, -1]].max()
        for k in (1, 2)
    ]
    assert errors[1] < 0.2 * errors[0]


@pytest.mark.parametrize("poles", [False, True])
@pytest.mark.parametrize("flip", [False, True], ids=["south first", "north first"])
def test_only_at_a_pole_is_there_no_gradient(poles, flip):
    f, exact = globe(wave, poles=poles)
    f, exact = (f.isel(lat=slice(None, None, -1)), exact[::-1]) if flip else (f, exact)
    result = f.fdgrad.gradient_magnitude().values
    at_pole = np.abs(f.lat.values) == 90
    assert at_pole.sum() == (2 if poles else 0)
    assert np.isnan(result[at_pole]).all()
    assert_allclose(result[~at_pole], exact[~at_pole], atol=0.3 / A)


# --- the seam -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.isel(lon=slice(None, None, -1)),
        lambda f: f.assign_coords(lon=f.lon.astype("f4")),
        lambda f: f.assign_coords(lon=f.lon.astype("i2")),
        lambda f: f.assign_coords(lon=f.lon.drop_attrs()),
    ],
    ids=["falling", "float32", "integer", "no attributes"],
)
def test_a_longitude_is_global_in_any_guise(change):
    f, _ = globe(tilted)
    result = change(f).fdgrad.gradient_magnitude()
    assert result.attrs["periodic"] == "lon"
    assert_allclose(result.sortby("lon").values, f.fdgrad.gradient_magnitude().values, rtol=1e-6)


NOT_GLOBAL = {
    "half": lambda f: f.isel(lon=slice(18)),
    "one column less": lambda f: f.isel(lon=slice(35)),
    "a gap": lambda f: f.drop_isel(lon=[7]),
}


@pytest.mark.parametrize("cut", NOT_GLOBAL.values(), ids=NOT_GLOBAL)
def test_nothing_else_is_periodic(cut):
    f = cut(globe(tilted)[0])
    result = f.fdgrad.gradient_magnitude()
    assert "periodic" not in result.attrs
    degree = A * np.pi / 180
    f_x = f.differentiate("lon") / (degree * np.cos(np.deg2rad(f.lat)))
    expected = np.hypot(f_x, f.differentiate("lat") / degree)
    assert_allclose(result.values, expected.values, rtol=1e-11)


@pytest.mark.parametrize("chunks", [None, {"lon": 8}, {"lon": 9, "lat": 7}])
def test_a_meridian_that_is_there_twice_has_one_value(chunks):
    f, _ = globe(tilted)
    cyclic = f.pad(lon=(0, 1), mode="wrap").assign_coords(
        lon=("lon", np.arange(0.0, 361, 10), f.lon.attrs)
    )
    cyclic = cyclic if chunks is None else cyclic.chunk(chunks)
    for operator in (fd.operators.gradient_magnitude, fd.operators.laplacian):
        once, twice = operator(f), operator(cyclic)
        assert twice.chunks == cyclic.chunks
        assert twice.lon.identical(cyclic.lon)
        assert_array_equal(twice.values[:, :-1], once.values)
        assert_array_equal(twice.values[:, -1], once.values[:, 0])


@pytest.mark.parametrize("boundary", [{"lon": "extend"}, "extend", {"lon": (None, "extend")}])
def test_boundary_goes_before_the_circle(boundary):
    f, _ = globe(tilted)
    result = f.fdgrad.gradient_magnitude(boundary=boundary)
    assert "periodic" not in result.attrs
    seam = np.abs(result - f.fdgrad.gradient_magnitude()).isel(lon=-1)
    assert (seam.isel(lat=slice(1, -1)) > 1e-10).any()


def test_boundary_of_latitude_leaves_the_circle():
    f, _ = globe(tilted)
    result = f.fdgrad.gradient_magnitude(boundary={"lat": "extend"})
    assert result.attrs["periodic"] == "lon"
    inner = {"lat": slice(1, -1)}
    assert_array_equal(result.isel(inner).values, f.fdgrad.gradient_magnitude().isel(inner).values)


def test_a_circle_that_was_asked_for_is_said_too():
    f, _ = globe(tilted)
    result = f.fdgrad.gradient_magnitude(boundary={"lon": "periodic"})
    assert result.identical(f.fdgrad.gradient_magnitude())


def test_a_boundary_for_a_name_that_is_no_axis_is_refused():
    with pytest.raises((OptionError, CoordinateError), match="'z'"):
        globe()[0].fdgrad.gradient_magnitude(boundary={"z": "extend"})


# --- geometry -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["attrs", "encoding"])
@pytest.mark.parametrize(
    ("mapping", "radius"),
    [
        ({"earth_radius": 6371000.0}, 6371000.0),
        ({"semi_major_axis": 6378137.0}, 6378137.0),
        ({"grid_mapping_name": "latitude_longitude"}, A),
    ],
)
def test_the_radius_is_that_of_the_grid_mapping(mapping, radius, place):
    plain = globe(tilted)[0]
    f = plain.assign_coords(crs=((), 0, mapping))
    getattr(f, place)["grid_mapping"] = "crs"
    result = f.fdgrad.gradient_magnitude()
    assert result.attrs["earth_radius"] == radius
    expected = plain.fdgrad.gradient_magnitude().values * (A / radius)
    assert_allclose(result.values, expected, rtol=1e-13)


def test_a_geometry_that_is_given_goes_before_the_coordinates():
    f, exact = globe(tilted, 5.0)
    f = f.assign_coords(crs=((), 0, {"earth_radius": 1.0})).assign_attrs(grid_mapping="crs")
    result = f.fdgrad.gradient_magnitude(geometry=fd.Sphere(3389500.0))
    assert result.attrs["earth_radius"] == 3389500.0
    assert result.attrs["horizontal_geometry"] == "sphere"
    assert_allclose(
        result.values[5:-5], (exact * A / 3389500.0)[5:-5], rtol=0.02, atol=0.01 / 3389500
    )


def plane(units="m", x_attrs=None, **attrs):
    """3 x + 4 y, whose gradient is 5 per unit everywhere."""
    x, y = np.arange(6.0) ** 1.5, np.arange(5.0)[::-1]
    axes = {"axis": "X", "units": units} if x_attrs is None else x_attrs
    coords = {
        "e": ("e", x, axes),
        "n": ("n", y, {k: v.replace("X", "Y").replace("_x_", "_y_") for k, v in axes.items()}),
    }
    values = 3 * x + 4 * y[:, None]
    return xr.DataArray(values, coords, ("n", "e"), "t", {"units": "K", **attrs})


PLANES = {
    "m": (plane(), {}, 1.0),
    "metre": (plane("metre"), {}, 1.0),
    "km": (plane("km"), {}, 1000.0),
    "standard_name": (
        plane(x_attrs={"standard_name": "projection_x_coordinate", "units": "km"}),
        {},
        1000.0,
    ),
    "given metres": (plane(x_attrs={"axis": "X"}), {"geometry": fd.Plane(250.0)}, 250.0),
    "given, with a projection": (plane(grid_mapping="crs"), {"geometry": fd.Plane()}, 1.0),
}


@pytest.mark.parametrize("chunks", [None, 2])
@pytest.mark.parametrize(("field", "options", "metres"), PLANES.values(), ids=PLANES)
def test_on_a_plane(field, options, metres, chunks):
    field = field if chunks is None else field.chunk(e=chunks, n=1)
    result = field.fdgrad.gradient_magnitude(**options)
    assert_allclose(result.values, 5 / metres, rtol=1e-13)
    assert result.attrs["horizontal_geometry"] == "plane"
    assert result.attrs["units"] == "K m-1"
    assert not {"earth_radius", "periodic"} & set(result.attrs)


def in_encoding(field):
    """As ``open_dataset(..., decode_coords="all")`` leaves it."""
    field = field.assign_coords(crs=((), 0, {"grid_mapping_name": "lambert_conformal_conic"}))
    field.encoding["grid_mapping"] = "crs"
    return field


def in_radians(field):
    lat, lon = (
        np.deg2rad(field[dim]).assign_attrs(field[dim].attrs, units="radians")
        for dim in ("lat", "lon")
    )
    return field.assign_coords(lat=lat, lon=lon)


TRACK = xr.DataArray(
    [1.0, 2, 4],
    dims="time",
    coords={
        "lat": ("time", [0.0, 1, 2], {"units": "degrees_north"}),
        "lon": ("time", [0.0, 1, 3], {"units": "degrees_east"}),
    },
    name="t",
)
REFUSED = {
    "no attributes": (
        plane(x_attrs={}),
        r"horizontal axes of 't' cannot be inferred from its coordinates \('e', 'n'\); give them "
        r"units \(degrees_east, degrees_north; m\) or a CF axis",
    ),
    "no coordinates": (xr.DataArray(np.ones((3, 3)), name="t"), r"axes of 't' cannot be inferred"),
    "one latitude": (globe()[0].isel(lat=3), r"'lat' of 't' is a single value"),
    "no longitude": (globe()[0].isel(lon=3, drop=True), r"no longitude, but .* both axes"),
    "no units": (
        plane(x_attrs={"axis": "X"}),
        r"'e' and 'n' have the units None and None, but a plane needs one unit of length for "
        r"both; set them, or give geometry=Plane\(metres\)",
    ),
    "no length": (plane("K"), r"'e' and 'n' have the units 'K' and 'K', but a plane needs one"),
    "degrees": (plane("degrees"), r"have the units 'degrees' and 'degrees', but a plane needs"),
    "two lengths": (
        plane().assign_coords(n=plane().n.assign_attrs(units="km")),
        r"'e' and 'n' have the units 'm' and 'km', but a plane needs one unit",
    ),
    "projection": (
        plane(grid_mapping="crs"),
        r"'t' lies on the projection 'crs', where a step of the map is not a step on the ground, "
        r"but that variable is not among its coordinates; take it along: \.set_coords\('crs'\)",
    ),
    "projection in the encoding": (in_encoding(plane()), r"grid mapping 'crs' are not understood"),
    "one column": (globe()[0].isel(lon=[3]), r"coordinate 'lon' has 1 point, but a derivative"),
    "radians": (in_radians(globe()[0]), r"radians"),
    "a track": (TRACK, r"'time'"),
}


@pytest.mark.parametrize(("field", "text"), REFUSED.values(), ids=REFUSED)
def test_axes_that_cannot_be_told_are_refused(field, text):
    with pytest.raises(CoordinateError, match=text):
        field.fdgrad.gradient_magnitude()


@pytest.mark.parametrize("names", [("lat", "lon"), ("latitude", "longitude"), ("Lat", "LON")])
def test_units_are_inferred_from_unmistakable_names_only(names):
    f, _ = globe(tilted)
    bare = f.drop_attrs(deep=True)
    result = bare.rename(lat=names[0], lon=names[1]).fdgrad.gradient_magnitude()
    assert_array_equal(result.values, f.fdgrad.gradient_magnitude().values)
    assert result.attrs["horizontal_geometry"] == "sphere"
    with pytest.raises(CoordinateError, match="cannot be inferred"):
        bare.rename(lat="northing", lon="easting").fdgrad.gradient_magnitude()


def test_a_rotated_grid_is_a_sphere_of_its_own():
    f, exact = globe(wave, 5.0)
    f = f.rename(lat="rlat", lon="rlon")
    f["rlat"].attrs = {"standard_name": "grid_latitude", "units": "degrees"}
    f["rlon"].attrs = {"standard_name": "grid_longitude", "units": "degrees"}
    result = f.fdgrad.gradient_magnitude()
    assert result.attrs["periodic"] == "rlon"
    assert_allclose(result.values[3:-3], exact[3:-3], atol=0.03 / A)


# --- labels, dtypes, laziness ---------------------------------------------------------------


def test_labels_and_attributes():
    f = globe(
        units="degC", standard_name="air_temperature", valid_range=[0, 1], cell_methods="time: mean"
    )[0].assign_coords(run=3)  # fmt: skip
    f.encoding = {"scale_factor": 0.1}
    with xr.set_options(keep_attrs=True):
        result = f.fdgrad.gradient_magnitude()
    assert result.name == "t_gradient_magnitude"
    assert result.attrs == {
        "units": "K m-1",
        "long_name": "magnitude of the gradient of air temperature",
        "cell_methods": "time: mean",
        "horizontal_geometry": "sphere",
        "earth_radius": A,
        "periodic": "lon",
    }
    assert result.coords.identical(f.coords)
    assert result.encoding == {}
    assert f.rename(None).fdgrad.gradient_magnitude().name == "f_gradient_magnitude"


def test_integers_give_float64():
    f = (1000 * globe(wave)[0]).astype("i2")
    result = f.fdgrad.gradient_magnitude()
    assert result.dtype == np.float64
    assert_array_equal(result.values, f.astype("f8").fdgrad.gradient_magnitude().values)


@pytest.mark.parametrize("chunks", [None, {"lat": 3, "lon": 4}], ids=str)
def test_one_sided_at_coasts(chunks):
    """Exact for a plane field, so that each point of water has the whole gradient."""
    f = plane()
    land = np.zeros(f.shape, bool)
    land[2, 2:4] = land[4, 5] = True
    wet = f.where(~land)
    wet = wet if chunks is None else wet.chunk(n=3, e=4)
    result = wet.fdgrad.gradient_magnitude(skipna="one-sided")
    assert_array_equal(np.isnan(result.values), land)
    assert_allclose(result.values[~land], 5.0, rtol=1e-13)
    assert np.isnan(wet.fdgrad.gradient_magnitude().values).sum() > land.sum()


def test_the_coast_at_the_seam():
    f, _ = globe(tilted)
    wet = f.where(~((f.lon > 340) & (abs(f.lat) < 30)))
    result = wet.fdgrad.gradient_magnitude(skipna="one-sided")
    assert_array_equal(np.isnan(result.values), np.isnan(wet.values))
