"""What the results of vector calculus are called, what was decided, what is refused and how."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import xarray as xr
from curved import ELSEWHERE
from fields import TILTED, A, chi, degrees, field, globe, plane
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask import accessor, cli
from fdgrad_dask import operators as op
from fdgrad_dask.errors import ChunkError, CoordinateError, OptionError
from fdgrad_dask.grids.geometry import Curvilinear, Plane, Sphere
from fdgrad_dask.operators.kinematics import name_flow
from fdgrad_dask.pipeline.config import operators as catalog

GRID = globe(10).assign_coords(
    p=xr.DataArray([850.0, 500.0, 200.0], dims="p", attrs={"units": "hPa", "axis": "Z"}),
    run=7,
    area=(("lat", "lon"), np.ones((19, 36))),
)
HAS = {"long_name": "of the input", "valid_range": [-99, 99], "cell_methods": "time: mean"}
STATE = xr.Dataset(
    {
        "u": field(TILTED.u, GRID, "u", standard_name="eastward_wind", **HAS),
        "v": field(TILTED.v, GRID, "v", standard_name="northward_wind", **HAS),
        "w": field(lambda x, y: 0.1 * np.cos(x), GRID, "w", units="Pa s-1", **HAS),
        "t": field(lambda x, y, p: 250 + p / 20 + np.cos(y), GRID, "t", units="K", **HAS),
        "z": field(lambda x, y, p: 9000 - p - chi(x, y) / 1e7, GRID, "z", units="m", **HAS),
    }
)
FIELDS = {  # the fields that an operator takes, by name
    **dict.fromkeys(
        ("absolute_vorticity", "deformation", "divergence", "kinematics", "vorticity"), "uv"
    ),
    **dict.fromkeys(("frontogenesis", "potential_vorticity", "q_vector"), "uvt"),
    **dict.fromkeys(("gradient_magnitude", "horizontal_gradient", "laplacian"), "t"),
    "advection": "uvtw",
    "geostrophic_wind": "z",
}

U, V, T, W = (STATE[n] for n in "uvtw")


@pytest.fixture(scope="module")
def results():
    """All that the operators make of the state."""
    made = {name: getattr(op, name)(*(STATE[n] for n in fields)) for name, fields in FIELDS.items()}
    return {
        name: dict(result.items()) if isinstance(result, xr.Dataset) else {result.name: result}
        for name, result in made.items()
    }


# --- units, names, attributes -------------------------------------------------------------------

DEFORMATIONS = {
    "stretching_deformation": ("s-1", None),
    "shearing_deformation": ("s-1", None),
    "total_deformation": ("s-1", None),
}
LABELS = {  # operator → output → units, standard_name
    "absolute_vorticity": {"absolute_vorticity": ("s-1", "atmosphere_absolute_vorticity")},
    "advection": {"t_advection": ("K s-1", None)},
    "deformation": DEFORMATIONS,
    "divergence": {"divergence": ("s-1", "divergence_of_wind")},
    "frontogenesis": {"t_frontogenesis": ("K m-1 s-1", None)},
    "geostrophic_wind": {
        "ug": ("m s-1", "geostrophic_eastward_wind"),
        "vg": ("m s-1", "geostrophic_northward_wind"),
    },
    "gradient_magnitude": {"t_gradient_magnitude": ("K m-1", None)},
    "horizontal_gradient": {"dt_dx": ("K m-1", None), "dt_dy": ("K m-1", None)},
    "kinematics": {
        "divergence": ("s-1", "divergence_of_wind"),
        "vorticity": ("s-1", "atmosphere_relative_vorticity"),
        **DEFORMATIONS,
    },
    "laplacian": {"t_laplacian": ("K m-2", None)},
    "potential_vorticity": {
        "potential_vorticity": ("K m2 kg-1 s-1", "ertel_potential_vorticity"),
    },
    "q_vector": {"q1": ("m2 kg-1 s-1", None), "q2": ("m2 kg-1 s-1", None)},
    "vorticity": {"vorticity": ("s-1", "atmosphere_relative_vorticity")},
}


def test_every_operator_is_labelled_here():
    assert sorted(LABELS) == sorted(FIELDS)
    assert sorted([*LABELS, *ELSEWHERE]) == sorted(op.__all__)


@pytest.mark.parametrize("name", LABELS)
def test_units_names_and_what_was_decided(results, name):
    """And nothing else of the input: its name and range are not true of the result."""
    assert list(results[name]) == list(LABELS[name])
    for key, (units, standard) in LABELS[name].items():
        attrs = dict(results[name][key].attrs)
        assert attrs.pop("units") == units
        assert attrs.pop("standard_name", None) == standard
        words = attrs.pop("long_name")
        assert words != HAS["long_name"]
        assert words
        assert attrs == {
            "cell_methods": "time: mean",
            "horizontal_geometry": "sphere",
            "earth_radius": A,
            "periodic": "lon",
        }


@pytest.mark.parametrize("name", LABELS)
def test_coordinates_stay(results, name):
    first = STATE[FIELDS[name][0]]
    for result in results[name].values():
        assert result.dims == first.dims
        assert sorted(result.coords) == sorted(first.coords)
        assert all(result[c].identical(first[c]) for c in first.coords)


def test_water_has_names_of_its_own():
    u = STATE["u"].assign_attrs(standard_name="sea_water_x_velocity")
    result = op.kinematics(u, STATE["v"])
    assert result["vorticity"].attrs["standard_name"] == "ocean_relative_vorticity"
    assert result["divergence"].attrs["standard_name"] == "divergence_of_sea_water_velocity"
    assert "standard_name" not in op.absolute_vorticity(u, STATE["v"]).attrs


def test_of_what_is_no_wind_the_name_is_left_open():
    u = STATE["u"].assign_attrs(standard_name="magnetic_flux", units="T")
    result = op.divergence(u, STATE["v"].assign_attrs(units="T"))
    assert "standard_name" not in result.attrs
    assert result.attrs["units"] == "T m-1"
    stress = STATE["u"].assign_attrs(standard_name="wind_stress", units="Pa")
    assert name_flow(stress) == ""
    del stress.attrs["units"]
    assert name_flow(stress) == "wind"


def test_what_is_made_of_a_geostrophic_wind_has_no_name_of_the_wind():
    height = STATE["t"].rename("z").assign_attrs(standard_name="geopotential_height", units="m")
    wind = op.geostrophic_wind(height)
    assert wind.ug.attrs["standard_name"] == "geostrophic_eastward_wind"
    made = op.kinematics(wind.ug, wind.vg)
    assert all("standard_name" not in one.attrs for one in made.values())
    assert "standard_name" not in op.absolute_vorticity(wind.ug, wind.vg).attrs


def test_without_units_none_are_said():
    bare = STATE.copy()
    for n in bare:
        bare[n].attrs = {}
    assert "units" not in op.vorticity(bare["u"], bare["v"]).attrs
    assert "units" not in op.absolute_vorticity(bare["u"], bare["v"]).attrs
    assert "units" not in op.laplacian(bare["t"]).attrs


@pytest.mark.parametrize(
    ("units", "gradient", "laplacian"),
    [("degC", "K m-1", "K m-2"), ("m2 s-2", "m s-2", "s-2"), ("1", "m-1", "m-2")],
)
def test_units_per_metre(units, gradient, laplacian):
    t = STATE["t"].assign_attrs(units=units)
    assert op.horizontal_gradient(t)["dt_dx"].attrs["units"] == gradient
    assert op.laplacian(t).attrs["units"] == laplacian


def test_a_field_without_a_name():
    nameless = STATE["t"].rename(None)
    assert list(op.horizontal_gradient(nameless)) == ["df_dx", "df_dy"]
    assert op.laplacian(nameless).name == "f_laplacian"
    assert op.gradient_magnitude(nameless).name == "f_gradient_magnitude"
    assert op.advection(STATE["u"], STATE["v"], nameless).name == "f_advection"


# --- one list of operators ------------------------------------------------------------------------


def methods(of):
    return {name for name in vars(of) if not name.startswith("_")}


def test_accessor_functions_yaml_and_command_have_the_same_list(capsys):
    everything = set(op.__all__)
    assert methods(accessor.DatasetAccessor) == everything
    scalars = {"geostrophic_wind", "gradient", "gradient_magnitude", "horizontal_gradient"}
    scalars |= {"interpolate", "inverse_laplacian", "laplacian", "truncate"}
    assert methods(accessor.DataArrayAccessor) == scalars
    assert set(catalog.operator_names()) == everything
    assert cli.main(["operators"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert {line.split(":")[0] for line in printed if line[:1].strip()} == everything


@pytest.mark.parametrize("name", FIELDS)
def test_the_yaml_knows_fields_and_options(name):
    inputs = catalog.inputs_of(name)
    assert len(inputs) == len(FIELDS[name]) - (name == "advection")
    options = catalog.options_of(name)
    assert {"accuracy", "boundary", "edge_order", "skipna"} <= set(options)
    assert "geometry" not in options
    assert catalog.takes_variable(options["w"]) if name == "advection" else "w" not in options


@pytest.mark.parametrize("name", FIELDS)
def test_the_accessor_calls_the_function(results, name):
    """By name, by array, by keyword; with its signature."""
    method = getattr(STATE.fdgrad, name)
    fields = list(FIELDS[name])
    parameters = list(inspect.signature(getattr(op, name)).parameters)
    ways = [
        method(*fields),
        method(*(STATE[n] for n in fields)),
        method(**dict(zip(parameters, fields, strict=False))),
    ]
    if len(fields) == 1:
        ways.append(getattr(STATE[fields[0]].fdgrad, name)())
    for result in ways:
        found = dict(result.items()) if isinstance(result, xr.Dataset) else {result.name: result}
        for key, expected in results[name].items():
            assert found[key].identical(expected)
    assert list(inspect.signature(method).parameters) == parameters
    assert method.__doc__.strip() == inspect.getdoc(getattr(op, name))


@pytest.mark.parametrize("name", FIELDS)
def test_options_go_through_the_accessor(name):
    result = getattr(STATE.fdgrad, name)(*FIELDS[name], geometry=Sphere(1e6), edge_order=2)
    expected = getattr(op, name)(
        *(STATE[n] for n in FIELDS[name]), geometry=Sphere(1e6), edge_order=2
    )
    assert result.identical(expected)


# --- which geometry -------------------------------------------------------------------------------


def with_axes(lat=None, lon=None, **attrs):
    """u and v with other attributes, or names, of their axes."""
    made = []
    for n in "uv":
        f = STATE[n].isel(p=0, drop=True).reset_coords(drop=True)
        f = f.assign_coords(
            lat=("lat", GRID["lat"].values, lat), lon=("lon", GRID["lon"].values, lon)
        )
        made.append(f.assign_attrs(attrs))
    return made


def along_the_grid(winds):
    """The same winds, no longer said to be to the east and north."""
    names = ("x_wind", "y_wind")
    return [f.assign_attrs(standard_name=one) for f, one in zip(winds, names, strict=True)]


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        ({"units": "degrees_north"}, {"units": "degrees_east"}),
        ({"units": "degreeN"}, {"units": "degreeE"}),
        (
            {"standard_name": "latitude", "units": "degrees"},
            {"standard_name": "longitude", "units": "degrees"},
        ),
        (
            {"standard_name": "grid_latitude", "units": "degrees"},
            {"standard_name": "grid_longitude", "units": "degrees"},
        ),
        ({}, {}),  # names say it
    ],
    ids=["degrees_north", "degreeN", "standard names", "rotated", "names"],
)
def test_degrees_lie_on_a_sphere_and_close(lat, lon):
    winds = with_axes(lat, lon)
    if "grid_latitude" in lat.values():
        winds = along_the_grid(winds)
    result = op.vorticity(*winds)
    assert result.attrs["horizontal_geometry"] == "sphere"
    assert result.attrs["periodic"] == "lon"
    expected = op.vorticity(STATE["u"], STATE["v"]).isel(p=0)
    assert_allclose(result, expected, rtol=1e-14, atol=1e-20)


def test_axes_may_have_any_name():
    names = {"lat": "j", "lon": "i"}
    result = op.vorticity(*(STATE[n].rename(names) for n in "uv"))
    assert result.attrs["periodic"] == "i"
    assert_array_equal(result, op.vorticity(STATE["u"], STATE["v"]))


def test_the_radius_of_the_grid_mapping_is_taken():
    crs = xr.DataArray(0, attrs={"grid_mapping_name": "latitude_longitude", "earth_radius": 6.4e6})
    u, v = (STATE[n].assign_coords(crs=crs).assign_attrs(grid_mapping="crs") for n in "uv")
    result = op.vorticity(u, v)
    assert result.attrs["earth_radius"] == 6.4e6
    assert result.attrs["grid_mapping"] == "crs"
    expected = op.vorticity(STATE["u"], STATE["v"]) * (A / 6.4e6)
    assert_allclose(result, expected, rtol=1e-13, atol=1e-19)


def test_what_is_given_is_stronger_than_the_grid_mapping():
    crs = xr.DataArray(0, attrs={"earth_radius": 6.4e6})
    t = STATE["t"].assign_coords(crs=crs).assign_attrs(grid_mapping="crs")
    assert op.laplacian(t, geometry=Sphere(5e6)).attrs["earth_radius"] == 5e6


@pytest.mark.parametrize(
    ("lon", "periodic"),
    [
        (np.arange(0, 360, 10.0), True),
        (np.arange(-175, 180, 10.0), True),
        (np.arange(360, 0, -10.0), True),
        (np.arange(0, 351, 9.9), False),
        (np.arange(0, 361, 10.0), True),  # the first again at the end
        (np.arange(4320) * 0.083333, True),  # a twelfth as files write it
        (np.round(np.arange(256) * 1.40625, 2), True),
        (np.round(np.arange(192) * 1.875, 1), True),
        (np.arange(0, 359.5, 10.0) + 0.2 * np.arange(36), False),
        (np.arange(0, 350, 10.0), False),
        ((np.arange(17280) / 48 - 180).astype("f4"), True),
    ],
    ids=[
        "0",
        "-175",
        "down",
        "gap",
        "again",
        "0.083333",
        "1.41",
        "1.9",
        "too far",
        "short",
        "1/48° in float32",
    ],
)
def test_which_longitudes_close(lon, periodic):
    step = abs(float(lon[1] - lon[0]))
    # A rounded coordinate stands for an even circle, which the values were taken on.
    rounded = len(lon) in (4320, 256, 192, 17280)
    places = float(lon[0]) + np.arange(len(lon)) * 360 / len(lon) if rounded else lon
    f = field(lambda x, y: np.sin(x) + 0 * y, degrees([-2.0, 0, 2], places), "f")
    f = f.assign_coords(lon=("lon", lon, f.lon.attrs))
    slope = op.horizontal_gradient(f)["df_dx"]
    assert ("periodic" in slope.attrs) == periodic
    expected = np.cos(np.deg2rad(lon[0])) / A
    tolerance = (step / 30) ** 2 if periodic else 1.0
    assert_allclose(slope.sel(lat=0)[0], expected, atol=tolerance * 1.0 / A)


def test_a_global_longitude_may_be_said_to_be_periodic():
    result = op.vorticity(U, V, boundary={"lon": "periodic"})
    assert result.identical(op.vorticity(U, V))


def test_an_automatic_circle_is_opened_by_name():
    opened, closed = op.vorticity(U, V, boundary={"lon": None}), op.vorticity(U, V)
    assert "periodic" not in opened.attrs
    inside = {"lat": slice(1, -1), "lon": slice(1, -1)}
    assert_array_equal(opened.isel(inside), closed.isel(inside))
    assert not np.isclose(opened.isel(lon=-1), closed.isel(lon=-1), rtol=1e-6).all()
    assert op.vorticity(U, V, boundary={"lat": None}).attrs["periodic"] == "lon"


def test_a_periodic_plane_is_even_to_the_rounding_of_its_coordinate():
    rounded = plane(0.1 * np.arange(10), np.arange(4.0))
    f = field(lambda x, y: np.sin(2 * np.pi * x) + 0 * y, rounded, "f")
    made = op.horizontal_gradient(f, boundary={"x": "periodic"}).df_dx
    expected = np.cos(2 * np.pi * f.x.values) * np.sin(0.2 * np.pi) / 0.1
    assert_allclose(made.transpose("y", "x"), np.tile(expected, (4, 1)), atol=1e-9)
    uneven = plane([0.0, 1.0, 3.0, 4.0, 9.0], np.arange(4.0))
    f = field(lambda x, y: x + y, uneven, "f")
    for operator in (op.horizontal_gradient, op.laplacian):
        with pytest.raises(OptionError, match=r"'x' is periodic but unevenly .*; interpolate to e"):
            operator(f, boundary={"x": "periodic"})


# --- what is refused ------------------------------------------------------------------------------

FLAT = plane(np.arange(5.0), np.arange(4.0))
ON_A_PLANE = [field(lambda x, y: x + y, FLAT, n) for n in "uv"]
KM = {"x": ("x", np.arange(5.0), {"units": "km", "axis": "X"})}
ON_A_MAP = [f.assign_attrs(grid_mapping="crs") for f in ON_A_PLANE]
ROTATED = along_the_grid(
    with_axes(
        {"standard_name": "grid_latitude", "units": "degrees"},
        {"standard_name": "grid_longitude", "units": "degrees"},
    )
)
WITHOUT_P = [f.drop_vars("p") for f in (U, V, T)]
NO_UNITS = [f.assign_coords(p=("p", [3.0, 2, 1], {"axis": "Z"})) for f in (U, V, T)]
RADIANS = with_axes(
    {"standard_name": "latitude", "units": "radian"},
    {"standard_name": "longitude", "units": "radian"},
)
TRACK = xr.DataArray(
    np.ones((4, 10)),
    dims=("time", "obs"),
    coords={
        "lat": ("obs", np.arange(10.0), {"units": "degrees_north"}),
        "lon": ("obs", np.arange(10.0), {"units": "degrees_east"}),
    },
    name="u",
)
REFUSED = {  # what is called → the class of the error, its text
    "other points": (
        lambda: op.vorticity(U, V.isel(lat=slice(1, None))),
        CoordinateError,
        r"'u' and 'v' lie on different points; select those that all have: "
        r"xr\.align\(…, join='inner'\).*'lat'",
    ),
    "other points of a scalar": (
        lambda: op.advection(U, V, T.assign_coords(lon=T["lon"] + 5)),
        CoordinateError,
        r"'u' and 'v' and 't' lie on different points; select those that all have",
    ),
    "no horizontal axes": (
        lambda: op.divergence(U.isel(lon=0), V.isel(lon=0)),
        CoordinateError,
        r"'lon' of 'u' is a single value, but a horizontal operator needs two or more",
    ),
    "radians": (
        lambda: op.vorticity(*RADIANS),
        CoordinateError,
        r"'lat' is in radian; turn it into degrees first: np\.rad2deg, and units 'degrees'",
    ),
    "a track": (
        lambda: op.vorticity(TRACK, TRACK.rename("v")),
        CoordinateError,
        r"'lon' and 'lat' both run along 'obs': .* along a track there is no gradient across it",
    ),
    "one latitude": (
        lambda: op.laplacian(T.isel(lat=[4])),
        CoordinateError,
        r"'lat' has 1 point, but a derivative needs two or more",
    ),
    "two units on a plane": (
        lambda: op.vorticity(*(f.assign_coords(KM) for f in ON_A_PLANE)),
        CoordinateError,
        r"'x' and 'y' have the units 'km' and 'm', but a plane needs one unit of length for both; "
        r"set them, or give geometry=Plane\(metres\)",
    ),
    "a map": (
        lambda: op.vorticity(*ON_A_MAP),
        CoordinateError,
        r"'u' lies on the projection 'crs', where a step of the map is not a step on the ground, "
        r"but that variable is not among its coordinates",
    ),
    "f on a plane": (
        lambda: op.absolute_vorticity(*ON_A_PLANE),
        CoordinateError,
        r"the Coriolis parameter of 'u' needs a latitude, but its axis 'y' is none; "
        r"give coriolis= in s-1",
    ),
    "geostrophic on a plane": (
        lambda: op.geostrophic_wind(ON_A_PLANE[0].assign_attrs(units="m")),
        CoordinateError,
        r"the Coriolis parameter of 'u' needs a latitude",
    ),
    "f of a rotated latitude": (
        lambda: op.absolute_vorticity(*ROTATED),
        CoordinateError,
        r"needs a latitude, but its axis 'lat' is none; give coriolis= in s-1",
    ),
    "no vertical axis": (
        lambda: op.q_vector(*WITHOUT_P),
        CoordinateError,
        r"the vertical axis of 'u' cannot be inferred from its coordinates .*; name it: vertical=",
    ),
    "no pressure": (
        lambda: op.potential_vorticity(*NO_UNITS),
        OptionError,
        r"the vertical axis 'p' has the units None; pressure levels are needed \(Pa, hPa\)",
    ),
    "units of w": (
        lambda: op.advection(U, V, T, W.assign_attrs(units="m s-1")),
        OptionError,
        r"the vertical wind has the units 'm s-1' and 'p' has 'hPa'; w needs those of the "
        r"coordinate per second: set both",
    ),
    "units of a geopotential": (
        lambda: op.geostrophic_wind(T),
        OptionError,
        r"'t' has the units 'K'; a geostrophic wind needs a geopotential \(m2 s-2\) or a "
        r"geopotential height \(m\): set them",
    ),
    "which": (
        lambda: op.kinematics(U, V, which=["vorticity", "helicity"]),
        OptionError,
        r"which is \['vorticity', 'helicity'\]; give a list of some of divergence, vorticity, "
        r"stretching_deformation, shearing_deformation, total_deformation \(there is: divergence, ",
    ),
    "which is empty": (
        lambda: op.kinematics(U, V, which=[]),
        OptionError,
        r"which is \[\]; give a list",
    ),
    "skipna": (
        lambda: op.vorticity(U, V, skipna=True),
        OptionError,
        r"skipna is True; choose None or 'one-sided'",
    ),
    "accuracy": (lambda: op.laplacian(T, accuracy=3), OptionError, r"choose one of 2, 4, 6, 8"),
    "boundary": (
        lambda: op.divergence(U, V, boundary={"lon": "wrap"}),
        OptionError,
        r"boundary is 'wrap'; choose None, 'periodic', 'reflect', 'extend'",
    ),
    "no numbers": (
        lambda: op.vorticity(U > 0, V),
        TypeError,
        r"'u' holds bool, which has no differences",
    ),
}


@pytest.mark.parametrize(("call", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_why_and_what_to_do(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("name", ["eastward_wind", "x_wind", None])
def test_a_wind_to_the_east_is_not_along_the_longitudes_of_a_rotated_pole(name):
    coords = {
        "rlat": ("rlat", np.arange(-10.0, 11), {"standard_name": "grid_latitude"}),
        "rlon": ("rlon", np.arange(-15.0, 16), {"standard_name": "grid_longitude"}),
    }
    coords = {key: (*one[:2], {**one[2], "units": "degrees"}) for key, one in coords.items()}
    u, v = (
        xr.DataArray(np.ones((21, 31)), coords, ("rlat", "rlon"), name=one, attrs={"units": "m/s"})
        for one in "uv"
    )
    if name:
        u.attrs["standard_name"] = name
        v.attrs["standard_name"] = {"eastward_wind": "northward_wind", "x_wind": "y_wind"}[name]
    if name != "x_wind":
        with pytest.raises(OptionError, match=r"'rlon' are longitudes about a rotated pole, which"):
            op.vorticity(u, v)
    else:
        assert op.vorticity(u, v).shape == (21, 31)


@pytest.fixture(scope="module")
def rotated():
    """A wind of 10 m s-1 along x of a rotated pole; and sin φ and where north is, over the grid.

    sin φ = sin φ_p sin y + cos φ_p cos y cos x for a pole at the latitude φ_p, and north is ∇ sin φ
    along x and y, here a complex number.
    """
    rlat, rlon, pole = np.arange(-10.0, 11), np.arange(-15.0, 16), np.deg2rad(40)
    crs = {"grid_north_pole_latitude": 40.0, "grid_north_pole_longitude": -170.0}
    coords = {
        "rlat": ("rlat", rlat, {"standard_name": "grid_latitude", "units": "degrees"}),
        "rlon": ("rlon", rlon, {"standard_name": "grid_longitude", "units": "degrees"}),
        "crs": ((), 0, {"grid_mapping_name": "rotated_latitude_longitude", **crs}),
    }
    along = {n: {"standard_name": f"{n}_wind", "grid_mapping": "crs"} for n in "xy"}
    still = xr.DataArray(np.zeros((21, 31)), coords, ("rlat", "rlon"))
    u, v = (still.rename(name).assign_attrs(along[n]) for name, n in ("ux", "vy"))
    y, x = np.deg2rad(rlat)[:, None], np.deg2rad(rlon)
    sine = np.sin(pole) * np.sin(y) + np.cos(pole) * np.cos(y) * np.cos(x)
    up = np.sin(pole) * np.cos(y) - np.cos(pole) * np.sin(y) * np.cos(x)
    north = 1j * up - np.cos(pole) * np.sin(x)
    return u.copy(data=still + 10), v, sine, north / abs(north), 10 * np.tan(y) / A + 0 * x


def test_about_a_rotated_pole_f_needs_the_true_latitude_unless_it_is_given(rotated):
    u, v, sine, _, turning = rotated
    absolute = op.absolute_vorticity(u, v, edge_order=2)
    assert_allclose(absolute - turning, 2 * 7.292115e-5 * sine, rtol=1e-4)
    # Where f is given there is no need of the true north: the pass is along the axes themselves.
    given = op.absolute_vorticity(u, v, coriolis=1e-4, edge_order=2)
    assert_allclose(given, op.vorticity(u, v, edge_order=2) + 1e-4, rtol=1e-13)
    assert_allclose(given - 1e-4, turning, rtol=2e-3, atol=1e-11)


def test_about_a_rotated_pole_deformations_are_to_the_true_east_and_north(rotated):
    """Along the axes all is shearing, tan y u / a; the pair turns by twice the angle of a wind."""
    u, v, _, north, turning = rotated
    made = op.deformation(u, v, edge_order=2)
    got = made.stretching_deformation + 1j * made.shearing_deformation
    expected = 1j * turning * (1j / north) ** 2
    assert_allclose(got, expected, atol=3e-3 * abs(turning).max())
    for name in DEFORMATIONS:
        (alone,) = op.kinematics(u, v, which=name, edge_order=2).values()
        assert_array_equal(alone, made[name])
    (alone,) = op.kinematics(u, v, which="vorticity").values()
    assert_array_equal(alone, op.vorticity(u, v))


def test_about_a_rotated_pole_a_gradient_is_to_the_true_east_and_north(rotated):
    u, _, sine, _, _ = rotated
    s = u.copy(data=sine).rename("s")
    s.attrs = {"grid_mapping": "crs"}
    made = op.horizontal_gradient(s, edge_order=2)
    assert_allclose(made.ds_dx * A, 0.0, atol=2e-3)
    assert_allclose(made.ds_dy * A, np.sqrt(1 - sine**2), rtol=3e-3)
    assert "eastward" in made.ds_dx.attrs["long_name"]


@pytest.mark.parametrize("name", ["gradient_magnitude", "laplacian"])
def test_about_a_rotated_pole_what_has_no_direction_needs_no_true_north(rotated, name):
    u, _, sine, _, _ = rotated
    s = u.copy(data=sine).rename("s")
    s.attrs = {"grid_mapping": "crs"}
    made = getattr(op, name)(s)
    assert_array_equal(made, getattr(op, name)(s.drop_attrs(deep=False).drop_vars("crs")))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("globe", "geostrophic_eastward_wind"), ("rotated", None), ("lengths", None)],
)
def test_a_geostrophic_wind_is_eastward_where_x_points_east(kind, name):
    """From heights that grow by 2 to the north (or along y), g ∂z/∂y / f."""
    y, x = np.arange(40.0, 49), np.arange(0.0, 9)
    north, east = ({"units": units} for units in ("degrees_north", "degrees_east"))
    metres = np.deg2rad(1.0) * A
    options = {"coriolis": 1e-4}
    if kind == "rotated":
        north, east = ({"standard_name": f"grid_{n}itude"} for n in ("lat", "long"))
    coords = {"y": ("y", y, north), "x": ("x", x, east)}
    if kind == "lengths":
        coords, options["geometry"] = {}, Curvilinear(dx=metres, dy=metres)
    z = xr.DataArray(2 * y[:, None] + 0 * x, coords, ("y", "x"), "z", {"units": "m"})
    ug = op.geostrophic_wind(z, **options).ug
    assert_allclose(ug, -9.80665 * 2 / metres / 1e-4, rtol=1e-9)
    assert ug.attrs.get("standard_name") == name
    assert ug.attrs["long_name"] == f"geostrophic {'eastward wind' if name else 'wind along x'}"


def test_which_may_be_one_name():
    (only,) = op.kinematics(U, V, which="vorticity").values()
    assert_array_equal(only, op.vorticity(U, V))
    with pytest.raises(OptionError, match=r"which is \['vortcity'\].*did you mean 'vorticity'\?"):
        op.kinematics(U, V, which="vortcity")


def test_chunks_of_unknown_size_are_refused():
    u = U.isel(p=0).chunk(lat=5)
    unknown = u.copy(data=u.data)
    unknown.data._chunks = ((np.nan,) * 4, (36,))
    with pytest.raises((ChunkError, ValueError), match=r"unknown|must match shape"):
        op.vorticity(unknown, V.isel(p=0))


def test_a_vertical_axis_may_be_named():
    plain = {"p": ("p", GRID["p"].values, {"units": "hPa"}), "other": ("p", [1.0, 2, 3])}
    fields = [f.assign_coords(plain) for f in (U, V, T)]
    result = op.potential_vorticity(*fields, vertical="p")
    assert_array_equal(result, op.potential_vorticity(U, V, T))
    moved = op.advection(*fields, W.assign_coords(plain), vertical="p")
    assert_array_equal(moved, op.advection(U, V, T, W))


# --- what is known to be wrong --------------------------------------------------------------------
# Each of these is a bug that was reported; the mark falls with it, since marks here are strict.


@pytest.mark.parametrize("descending", [False, True])
def test_a_pole_is_one_to_rounding_too(descending):
    lat = np.arange(-90, 90.05, 0.1)  # ends at 89.99999999998977
    lat = -lat if descending else lat
    grid = degrees(lat, np.arange(0, 360, 10.0))
    result = op.vorticity(*TILTED.wind(grid))
    exact = TILTED.exact("vorticity", grid)
    assert_allclose(result[[0, -1]], exact[[0, -1]], rtol=0, atol=1e-7)


def test_the_equator_is_one_to_rounding_too():
    grid = degrees(np.arange(-90, 90.05, 0.1)[850:951], np.arange(0, 360, 10.0))
    z = field(lambda x, y: 5000 + 100 * np.sin(y) + np.sin(x), grid, "z", units="m")
    ug = op.geostrophic_wind(z)["ug"]
    equator = int(abs(grid["lat"]).values.argmin())
    assert 0 < abs(float(grid["lat"][equator])) < 1e-9
    assert np.isnan(ug[equator]).all()


def test_long_doubles():
    result = op.vorticity(U.astype("longdouble"), V.astype("longdouble"))
    assert_allclose(result.astype("f8"), op.vorticity(U, V), rtol=1e-12, atol=1e-18)


def test_half_precision():
    """Stays float32: float16 has no digits left for 1e-5 s-1."""
    result = op.vorticity(U.astype("f2"), V.astype("f2"))
    assert result.dtype == np.float32
    assert_allclose(result, op.vorticity(U, V), rtol=0, atol=2e-7)


def test_complex_winds():
    result = op.vorticity(U + 1j * V, V - 1j * U)
    east, north = (f.drop_attrs() for f in (U, V))
    expected = op.vorticity(east, north) + 1j * op.vorticity(north, -east)
    assert_allclose(result, expected, rtol=1e-12, atol=1e-18)


def test_absolute_vorticity_in_knots():
    knots = [(f / 0.5144444444444445).assign_attrs(units="knot") for f in (U, V)]
    result = op.absolute_vorticity(*knots)
    assert result.attrs["units"] == "s-1"
    assert_allclose(result, op.absolute_vorticity(U, V), rtol=1e-6, atol=1e-18)
    f = 2 * 7.292115e-5 * np.sin(np.deg2rad(GRID["lat"]))  # at the poles too
    assert_allclose(result - op.vorticity(U, V), 0 * result + f, rtol=1e-6, atol=1e-15)


def test_two_units_in_one_wind():
    other = (V * 3.6).assign_attrs(units="km h-1")
    assert_allclose(op.divergence(U, other), op.divergence(U, V), rtol=1e-6, atol=1e-12)


def test_potential_vorticity_of_degrees_celsius():
    celsius = (T - 273.15).assign_attrs(units="degC")
    result = op.potential_vorticity(U, V, celsius)
    assert_allclose(result, op.potential_vorticity(U, V, T), rtol=1e-6)


def test_the_laplacian_on_a_plane_that_is_periodic_in_both():
    n = 32
    grid = plane(np.arange(n), np.arange(n))
    k = 2 * np.pi / n
    f = field(lambda x, y: np.sin(k * x) + np.cos(k * y), grid, "f", units="1")
    result = op.laplacian(f, boundary="periodic")
    assert_allclose(result, (2 * np.cos(k) - 2) * f, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("geometry", [None, Plane()], ids=str)
def test_x_and_y_in_metres_are_a_plane(geometry):
    units = {n: (n, FLAT[n].values, {"units": "m"}) for n in "xy"}
    u, v = (f.reset_coords(drop=True).assign_coords(units) for f in ON_A_PLANE)
    assert_allclose(op.vorticity(u, v, geometry=geometry), 0.0, atol=1e-12)


def test_degrees_of_what_is_called_lat_and_lon():
    result = op.vorticity(*with_axes({"units": "degrees"}, {"units": "degrees"}))
    assert result.attrs["horizontal_geometry"] == "sphere"
