"""Which places the points of a field have: what is recognised, what is refused, and its cure."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fields import ROTATION, A, degrees, field, plane
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.places import carry_places, find_1d, find_2d

PER_DEGREE = 180 / np.pi / A  # the gradient of latitude in degrees per metre
NORTH, EAST = {"units": "degrees_north"}, {"units": "degrees_east"}
LAT, LON = np.meshgrid(np.arange(10.0, 30), np.arange(40.0, 62), indexing="ij")


def on_places(values, lat=LAT, lon=LON, name="f", **attrs):
    """A field over (j, i) with 2-D latitude and longitude."""
    coords = {"lat2": (("j", "i"), lat, NORTH), "lon2": (("j", "i"), lon, EAST)}
    return xr.DataArray(values, coords, ("j", "i"), name=name, attrs={"units": "K"} | attrs)


# --- the metres of a plane -------------------------------------------------------------------


def test_a_plane_without_metres_takes_them_from_the_units():
    grid = plane(np.arange(8.0), np.arange(9.0), units="km")
    f = field(lambda x, y: 3 * x + 4 * y, grid, "f", units="K")
    for geometry in (None, fd.Plane()):
        assert_allclose(op.gradient_magnitude(f, geometry=geometry), 5e-3, rtol=1e-12)
    assert_allclose(op.gradient_magnitude(f, geometry=fd.Plane(500.0)), 1e-2, rtol=1e-12)
    mapped = f.assign_attrs(grid_mapping="crs")
    assert_allclose(op.gradient_magnitude(mapped, geometry=fd.Plane()), 5e-3, rtol=1e-12)


def test_degrees_are_no_plane_and_metres_no_sphere():
    globe = field(lambda x, y: y + 0 * x, degrees(np.arange(5.0), np.arange(20.0, 26)), "f")
    with pytest.raises(CoordinateError, match=r"a plane needs one unit .* geometry=Plane\(metres"):
        op.gradient_magnitude(globe, geometry=fd.Plane())
    op.gradient_magnitude(globe, geometry=fd.Plane(111e3))
    flat = field(lambda x, y: y + 0 * x, plane(np.arange(5.0), np.arange(6.0)), "f")
    with pytest.raises(CoordinateError, match=r"a sphere needs .* degrees; for lengths give"):
        op.gradient_magnitude(flat, geometry=fd.Sphere())
    assert_allclose(op.gradient_magnitude(flat, geometry=fd.Plane()), 1.0)


# --- fields on different points --------------------------------------------------------------


def test_coordinates_of_one_name_and_other_values_are_other_points():
    u = on_places(LAT, name="u", units="m s-1", standard_name="eastward_wind")
    v = on_places(LAT, LAT + 0.5, name="v", units="m s-1", standard_name="northward_wind")
    with pytest.raises(CoordinateError, match=r"lie on different points.*assign_coords"):
        op.vorticity(u, v)
    cured = v.assign_coords(lat2=u.lat2)
    assert op.vorticity(u, cured).shape == LAT.shape
    lazy = v.assign_coords(lat2=u.lat2.chunk())
    with pytest.raises(CoordinateError, match="lie on different points"):
        op.vorticity(u, lazy)


def test_labels_that_differ_by_rounding_are_given_from_one_to_the_other():
    lat, lon = np.arange(10.0, 14, 0.1), np.arange(6.0)
    u = field(ROTATION.u, degrees(lat, lon), "u", units="m s-1")
    v = field(ROTATION.v, degrees(lat.astype("f4"), lon), "v", units="m s-1")
    with pytest.raises(CoordinateError, match=r"rounding only: v = v.assign_coords\(lat=u.lat\)"):
        op.vorticity(u, v)
    assert_allclose(
        op.vorticity(u, v.assign_coords(lat=u.lat))[1:-1],
        field(ROTATION.vorticity, degrees(lat, lon), "z")[1:-1],
        rtol=1e-4,
    )


# --- places that are none --------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [None, 7], ids=["numpy", "dask"])
@pytest.mark.parametrize("fill", [0.0, -1.0, np.nan, 1e20])
def test_fills_of_coordinates_spoil_no_point_beside_them(fill, chunks):
    lat, lon = LAT.copy(), LON.copy()
    lat[6:11, 8:14] = lon[6:11, 8:14] = fill
    f = on_places(LAT, lat, lon)
    if chunks:
        f = f.chunk(chunks)
        f = f.assign_coords({name: f[name].chunk(chunks) for name in ("lat2", "lon2")})
    elif fill == 1e20:
        with pytest.raises(CoordinateError, match=r"'lat2' is 1e\+20 at .* mask it: "):
            op.horizontal_gradient(f)
        f = f.assign_coords({n: f[n].where(abs(f[n]) <= 720) for n in ("lat2", "lon2")})
    made = op.horizontal_gradient(f).compute()
    known = np.ones(LAT.shape, bool)
    known[5:12, 8:14] = known[6:11, 7:15] = False
    assert_array_equal(np.isfinite(made.df_dy.values), known)
    assert_allclose(made.df_dy.values[known], PER_DEGREE, rtol=1e-3)
    assert_allclose(made.df_dx.values[known], 0, atol=1e-2 * PER_DEGREE)


def test_the_one_place_of_a_pole_is_no_fill():
    lat, lon = np.meshgrid(np.arange(60.0, 91, 5), np.arange(0.0, 40, 5), indexing="ij")
    made = op.horizontal_gradient(on_places(lat, lat, np.where(lat == 90, 0.0, lon)))
    assert_allclose(made.df_dy.values[1:-1, 1:-1], PER_DEGREE, rtol=5e-3)


def test_radians_without_units_are_not_taken_for_degrees():
    lat, lon = np.deg2rad(LAT), np.deg2rad(LON)
    f = on_places(LAT, lat, lon)
    f.lat2.attrs, f.lon2.attrs = {"standard_name": "latitude"}, {"standard_name": "longitude"}
    with pytest.raises(CoordinateError, match="may be radians; set units"):
        op.gradient_magnitude(f)
    line = field(lambda x, y: y + 0 * x, degrees(lat[:, 0], lon[0]), "f").drop_attrs(deep=True)
    with pytest.raises(CoordinateError, match="may be radians; set units"):
        op.gradient_magnitude(line)

    def name(stretched: float) -> xr.DataArray:
        north, east = {"units": "degrees_north"}, {"units": "degrees_east"}
        lat, lon = line.lat * stretched, line.lon * stretched
        return line.assign_coords(lat=lat.assign_attrs(north), lon=lon.assign_attrs(east))

    # A small region that is no round one in radians.
    assert_allclose(op.gradient_magnitude(name(np.sqrt(1.02))), 1 / np.sqrt(1.02) / A, rtol=1e-9)
    with pytest.raises(CoordinateError, match=r"are radians, .* turn them back"):
        op.gradient_magnitude(name(1.0))


# --- winds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("flag", "components"), [(1, "grid"), (0, "earth")])
def test_what_a_grib_message_says_of_its_wind_counts(flag, components):
    # An oblique grid: i runs to the north-east.
    j, i = np.meshgrid(np.arange(12.0), np.arange(14.0), indexing="ij")
    lat, lon = 40 + 0.3 * i + 0.4 * j, 10 + 0.5 * i - 0.3 * j
    attrs = {"units": "m s-1", "GRIB_uvRelativeToGrid": flag}
    u = on_places(lat + lon, lat, lon, "u", standard_name="eastward_wind", **attrs)
    v = on_places(lat - lon, lat, lon, "v", standard_name="northward_wind", **attrs)
    u, v = (one.rename(j="y", i="x") for one in (u, v))
    asked = op.vorticity(u, v, geometry=fd.Curvilinear(components=components))
    assert_array_equal(op.vorticity(u, v).values, asked.values)


def test_an_unnamed_wind_about_a_rotated_pole_is_not_guessed():
    axes = {
        "rlat": ("rlat", np.arange(-3.0, 4), {"standard_name": "grid_latitude"}),
        "rlon": ("rlon", np.arange(-4.0, 5), {"standard_name": "grid_longitude"}),
    }
    axes = {name: (dim, x, {**attrs, "units": "degrees"}) for name, (dim, x, attrs) in axes.items()}
    u = xr.DataArray(np.ones((7, 9)), axes, ("rlat", "rlon"), name="u", attrs={"units": "m s-1"})
    with pytest.raises(OptionError, match=r"does not say whether it points east.* x_wind"):
        op.vorticity(u, u.rename("v"))
    x_wind = u.assign_attrs(standard_name="x_wind")
    y_wind = u.rename("v").assign_attrs(standard_name="y_wind")
    assert op.vorticity(x_wind, y_wind).attrs["horizontal_geometry"] == "sphere"


# --- the row beside a pole -------------------------------------------------------------------


@pytest.mark.parametrize("lon", [np.arange(0.0, 360, 10), np.arange(0.0, 90, 10)])
@pytest.mark.parametrize("edge_order", [1, 2])
def test_the_row_beside_a_pole_where_missing_values_are_stepped_around(lon, edge_order):
    grid = degrees(np.arange(-87.5, 90, 5), lon)
    u, v = ROTATION.wind(grid)
    true = field(ROTATION.vorticity, grid, "z")
    made = op.vorticity(u, v, skipna="one-sided", edge_order=edge_order)
    assert abs(made - true).max() < 6e-3 * abs(true).max()
    holed = u.where((u.lat < 85) | (u.lon != lon[3]))
    made = op.vorticity(holed, v, skipna="one-sided", edge_order=edge_order)
    assert bool(made.isel(lat=-1, lon=3).isnull())
    others = made.isel(lat=-1).drop_isel(lon=3)
    assert abs(others - true.isel(lat=-1)).max() < 6e-3 * abs(true).max()


def test_what_needs_a_direction_is_turned_by_the_pole_of_the_file():
    mapping = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 39.25,
        "grid_north_pole_longitude": -162.0,
    }
    axes = {
        "rlat": (
            "rlat",
            np.arange(-3.0, 4),
            {"standard_name": "grid_latitude", "units": "degrees"},
        ),
        "rlon": (
            "rlon",
            np.arange(-4.0, 5),
            {"standard_name": "grid_longitude", "units": "degrees"},
        ),
        "crs": ((), 0, mapping),
    }
    pole, lam = np.deg2rad(39.25), np.deg2rad(axes["rlon"][1])
    phi = np.deg2rad(axes["rlat"][1])[:, None]
    sine = np.sin(pole) * np.sin(phi) + np.cos(pole) * np.cos(phi) * np.cos(lam)
    f = xr.DataArray(
        np.rad2deg(np.arcsin(sine)),
        axes,
        ("rlat", "rlon"),
        name="f",
        attrs={"units": "m", "grid_mapping": "crs"},
    )
    inner = (slice(1, -1), slice(1, -1))
    made = op.horizontal_gradient(f)
    assert_allclose(made.df_dy[inner], PER_DEGREE, rtol=1e-3)
    assert_allclose(made.df_dx[inner], 0, atol=1e-3 * PER_DEGREE)
    wind = op.geostrophic_wind(f)
    rotation = 2 * 7.292115e-5 * sine
    assert_allclose(wind.ug[inner], (-9.80665 * PER_DEGREE / rotation)[inner], rtol=1e-3)
    assert wind.ug.attrs["standard_name"] == "geostrophic_eastward_wind"
    # Without the pole the components are along the grid, and say so.
    bare = f.drop_vars("crs").drop_attrs(deep=False)
    assert "along x" in op.horizontal_gradient(bare).df_dx.attrs["long_name"]
    assert_allclose(op.gradient_magnitude(bare)[inner], PER_DEGREE, rtol=1e-3)
    u, v = (
        wind[n].assign_attrs(standard_name=s, grid_mapping="crs", units="m s-1")
        for n, s in (("ug", "eastward_wind"), ("vg", "northward_wind"))
    )
    zeta = op.vorticity(u, v)[2:-2, 2:-2]
    # u = -c / sin φ and v = 0: ζ = -∂(u cos φ)/∂φ / (a cos φ) = -c / (a cos φ sin² φ)
    c = 9.80665 * PER_DEGREE / (2 * 7.292115e-5)
    sin, cos = sine[2:-2, 2:-2], np.sqrt(1 - sine[2:-2, 2:-2] ** 2)
    exact = -c / (A * cos * sin**2)
    assert_allclose(zeta, exact, rtol=5e-3)
    absolute = op.absolute_vorticity(u, v)[2:-2, 2:-2]
    assert_allclose(absolute, exact + rotation[2:-2, 2:-2], rtol=5e-3)


def test_a_dataset_brings_the_grid_mapping_that_is_one_of_its_variables():
    f = field(lambda x, y: np.rad2deg(y) + 0 * x, degrees(np.arange(5.0), np.arange(20.0, 26)), "f")
    mars = xr.DataArray(0, attrs={"grid_mapping_name": "latitude_longitude", "earth_radius": 3.4e6})
    ds = f.assign_attrs(grid_mapping="mars: lat lon").to_dataset().assign(mars=mars)
    made = ds.fdgrad.gradient_magnitude("f")
    assert_allclose(made, 180 / np.pi / 3.4e6, rtol=1e-9)
    assert made.attrs["earth_radius"] == 3.4e6
    kilometres = ds.assign(mars=mars.assign_attrs(earth_radius=3400.0))
    with pytest.raises(CoordinateError, match=r"radius of 3400, but it needs metres.* by 1000"):
        kilometres.fdgrad.gradient_magnitude("f")


def test_a_projection_among_the_coordinates_stands_in_for_a_mapping_that_was_left_behind():
    """As MetPy leaves it: the variable that the attribute names is gone, metpy_crs is not."""
    pyproj = pytest.importorskip("pyproj", reason="places of a map projection come from pyproj")
    crs = pyproj.CRS.from_user_input("+proj=merc +R=6371229")
    x, y = np.arange(6) * 1e5, 4e6 + np.arange(7) * 1e5
    _, lat = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(
        *np.meshgrid(x, y)
    )
    held = np.empty((), object)
    held[()] = crs
    grid = plane(x, y).assign_coords(metpy_crs=((), held))
    f = xr.DataArray(lat, grid.coords, ("y", "x"), "f", {"units": "K", "grid_mapping": "gone"})
    for name in ("x", "y"):
        f[name].attrs["standard_name"] = f"projection_{name}_coordinate"
    assert_allclose(op.gradient_magnitude(f)[1:-1], PER_DEGREE, rtol=1e-3)


# --- which places count ----------------------------------------------------------------------


def both_kinds(off_y=0.0, off_x=0.0, at=(0, 0)):
    """1-D latitude and longitude, 2° and 3° apart; 2-D ones, of which one point may differ."""
    lat, lon = np.arange(-90.0, 91, 2), np.arange(0.0, 360, 3)
    grid = degrees(lat, lon)
    two = [np.array(one) for one in np.meshgrid(lat, (lon + 180) % 360 - 180, indexing="ij")]
    two[0][at] += off_y
    two[1][at] += off_x
    names = {"lat2": (("lat", "lon"), two[0], NORTH), "lon2": (("lat", "lon"), two[1], EAST)}
    return field(lambda x, y: y + 0 * x, grid, "f").assign_coords(names)


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize(
    ("off", "kind"),
    [
        ({}, "sphere"),
        ({"off_y": 0.099, "at": (44, 7)}, "sphere"),
        ({"off_y": 0.101, "at": (44, 7)}, "curvilinear"),
        ({"off_x": 0.149, "at": (45, 7)}, "sphere"),
        ({"off_x": 0.151, "at": (45, 7)}, "curvilinear"),
        ({"off_x": 0.151, "at": (75, 7)}, "sphere"),  # at 60° N, where degrees are shorter
        ({"off_x": 50, "at": (0, 7)}, "sphere"),  # at the pole, where all are one place
    ],
)
def test_places_that_repeat_the_axes_to_a_twentieth_of_a_step(off, kind, sense):
    off = {key: sense * one if key[:3] == "off" else one for key, one in off.items()}
    assert op.gradient_magnitude(both_kinds(**off)).attrs["horizontal_geometry"] == kind


@pytest.mark.parametrize("lat", [90.5, -90.5, 90.00005, None])
def test_no_latitude_is_beyond_a_pole_and_no_longitude_beyond_two_turns(lat):
    coords = {"lat2": LAT.copy(), "lon2": LON.copy()}
    name = "lon2" if lat is None else "lat2"
    coords[name][3, 4] = 720.5 if lat is None else lat
    f = on_places(LAT, *coords.values())
    if lat == 90.00005:
        assert op.gradient_magnitude(f).attrs["horizontal_geometry"] == "curvilinear"
        return
    with pytest.raises(CoordinateError, match=rf"'{name}' is .* at .'j': 3, 'i': 4.*\.where\(abs"):
        op.gradient_magnitude(f)


@pytest.mark.parametrize(
    ("lat", "lon", "is_angle"),
    [
        (1.57, 6.28, False),
        (np.pi / 2, 2 * np.pi, False),  # the pole and a full turn themselves
        (1.58, 6.28, True),
        (1.57, 6.29, True),
    ],
)
def test_what_is_larger_than_a_turn_is_no_radian(lat, lon, is_angle):
    f = on_places(LAT, LAT / LAT.max() * lat, LON / LON.max() * lon)
    f.lat2.attrs, f.lon2.attrs = {"standard_name": "latitude"}, {"standard_name": "longitude"}
    named = f.assign_coords(lon2=f.lon2.assign_attrs(units="degrees_east"))
    assert op.gradient_magnitude(named).attrs["horizontal_geometry"] == "curvilinear"
    if is_angle:
        assert op.gradient_magnitude(f).attrs["horizontal_geometry"] == "curvilinear"
        return
    with pytest.raises(CoordinateError, match="may be radians; set units"):
        op.gradient_magnitude(f)


def test_places_as_a_file_holds_them_are_refused_and_a_fill_value_is_none():
    f = on_places(LAT)
    named = f.assign_coords(lat2=f.lat2.assign_attrs(_FillValue=-999.0))
    assert_array_equal(op.gradient_magnitude(named), op.gradient_magnitude(f))
    packed = f.assign_coords(lon2=f.lon2.assign_attrs(scale_factor=0.01))
    with pytest.raises(CoordinateError, match=r"'lon2' is not decoded: .* scale_factor = 0\.01"):
        op.gradient_magnitude(packed)


def test_a_lazy_grid_that_moves_at_last_has_no_places_there():
    """Its first and last places are compared when computed, at each point."""
    f = on_places(LAT).expand_dims(time=3).chunk(time=1)
    places = {n: f[n].expand_dims(time=3).copy().load() for n in ("lat2", "lon2")}
    places["lat2"][2, 4, 5] += 0.25
    attrs = {n: f[n].attrs for n in places}
    lazy = f.assign_coords({n: (one.dims, one.data, attrs[n]) for n, one in places.items()})
    lazy = lazy.assign_coords({n: lazy[n].chunk(time=1) for n in places})
    made = op.horizontal_gradient(lazy).compute()
    moved = np.zeros(LAT.shape, bool)
    moved[4, 4:7] = moved[3:6, 5] = True
    assert_array_equal(made.df_dy.isnull().any("time"), moved)


# --- which coordinates are asked -------------------------------------------------------------


def with_two(ndim, own=None):
    """A field with two latitudes along the same dimensions, of other names and values."""
    dims = ("lat", "lon")[:ndim]
    shape = (3, 4)[:ndim]
    attrs = {"standard_name": "latitude"}
    two = {f"lat_{n}": (dims, np.full(shape, float(n)), attrs) for n in (1, 2)}
    f = xr.DataArray(np.zeros((3, 4)), two, ("lat", "lon"), "f")
    if own:
        f.encoding["coordinates"] = own
    return f


def test_of_two_latitudes_the_dimension_or_the_one_of_the_field_counts():
    own = with_two(1, "lat_2 of_something")
    assert find_1d(own, "latitude") == "lat_2"
    assert find_2d(with_two(2, "lat_2"), "latitude") == "lat_2"
    axis = ("lat", np.arange(3.0), {"standard_name": "latitude"})
    assert find_1d(with_two(1).assign_coords(lat=axis), "latitude") == "lat"
    for find, ndim in ((find_1d, 1), (find_2d, 2)):
        for named in (None, "lat_1 lat_2"):
            with pytest.raises(CoordinateError, match="'f' has 2 coordinates that are a latitude"):
                find(with_two(ndim, named), "latitude")
    same = with_two(2)
    same["lat_2"] = same["lat_1"].transpose()
    assert find_2d(same, "latitude") == "lat_1"


def test_places_among_the_variables_of_a_dataset_are_those_of_its_own_points():
    ds = on_places(LAT).reset_coords()
    given = carry_places(ds["f"], ds)
    assert {*given.coords} == {"lat2", "lon2"}
    assert not carry_places(2 * ds["f"], ds).coords  # may lie elsewhere
    labels = {"j": np.arange(20), "i": np.arange(22)}
    named = ds.assign_coords(labels)
    assert {*carry_places(2 * named["f"], named).coords} == {"j", "i", "lat2", "lon2"}
    shifted = (2 * named["f"]).assign_coords(i=labels["i"] + 1)
    assert {*carry_places(shifted, named).coords} == {"j", "i"}
    assert not carry_places(ds["f"], ds.assign(lon2=ds["lon2"].isel(j=0))).coords
    third = ds.assign(f=ds["f"].expand_dims(t=22), lon2=ds["lon2"].rename(i="t"))
    assert not carry_places(third["f"], third).coords
    twice = ds.assign(again=ds["lat2"] + 1.0)
    twice["again"].attrs = NORTH
    assert {*carry_places(twice["f"], twice).coords} == {
        "lat2",
        "again",
        "lon2",
    }  # one is asked for
    labelled = twice.assign_coords(i=("i", np.arange(22.0), {"units": "m"}))
    assert {*carry_places(labelled["f"], labelled).coords} == {"i"}


def test_several_pairs_of_places_in_a_dataset_are_named_and_one_can_be_chosen():
    """As in archives of HYCOM: p, u and v points over the same Y and X."""
    lon, lat = np.meshgrid(np.linspace(0, 30, 9), np.linspace(-20, 20, 8))
    ds = xr.Dataset({"t": (("Y", "X"), lat + 0.1 * lon)})
    for n, point in enumerate("puv"):
        ds[f"{point}lat"] = ("Y", "X"), lat + 0.1 * lon + 0.01 * n, NORTH
        ds[f"{point}lon"] = ("Y", "X"), lon + 0.01 * n, EAST
    counted = ds.assign_coords(
        {dim: (dim, np.arange(ds.sizes[dim]), {"axis": dim}) for dim in "YX"}
    )
    for each in (ds, counted):
        with pytest.raises(CoordinateError, match=r"3 coordinates .* latitude .*'plat', 'ula"):
            each.fdgrad.gradient_magnitude("t")
        expected = each.set_coords(["plat", "plon"])["t"].fdgrad.gradient_magnitude()
        others = [name for name in ds if str(name)[0] in "uv"]
        xr.testing.assert_identical(
            each.drop_vars(others).fdgrad.gradient_magnitude("t"),
            expected.drop_vars(["plat", "plon"]),
        )
        each["t"].encoding["coordinates"] = "plat plon"
        np.testing.assert_array_equal(each.fdgrad.gradient_magnitude("t"), expected)
