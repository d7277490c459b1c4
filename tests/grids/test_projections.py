"""Which grid mapping a field has, in each spelling; its radii, and the places of its x and y."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.projections import (
    GridMapping,
    carry_grid_mapping,
    earth_radii,
    find_grid_mapping,
    label_axes,
    parse_grid_mapping,
)

pyproj = pytest.importorskip("pyproj", reason="places of a map projection come from pyproj")
A = 6371229.0
MERCATOR = {"grid_mapping_name": "mercator", "standard_parallel": 0.0, "earth_radius": A}
MERCATOR |= {"longitude_of_projection_origin": 10.0}
POLE = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 30.0}
POLE |= {"grid_north_pole_longitude": 0.0, "earth_radius": A}


def field(of=None, dims=("y", "x"), **mappings):
    """A field that names mappings, and these among its coordinates."""
    coords = {name: xr.Variable((), 0, attrs) for name, attrs in mappings.items()}
    attrs = {"grid_mapping": of} if of else {}
    return xr.DataArray(np.zeros((2, 3)), coords, dims, "f", attrs)


# --- which mapping ---------------------------------------------------------------------------


def test_the_mapping_that_a_field_names():
    both = {"crs": MERCATOR, "other": POLE}
    assert find_grid_mapping(field("other", **both)) == GridMapping("other", POLE)
    assert find_grid_mapping(field("gone", crs=MERCATOR)) == GridMapping("crs", MERCATOR)
    assert find_grid_mapping(field(crs=MERCATOR, z={"units": "m"})).name == "crs"
    gone = find_grid_mapping(field("gone", **both))
    assert (gone.name, gone.attrs, gone.is_carried) == ("gone", {}, False)
    assert find_grid_mapping(field("other", **both)).is_carried
    assert find_grid_mapping(field(**both)) is None
    assert find_grid_mapping(field(z={"units": "m"})) is None
    line = field(x=MERCATOR).assign_coords(x=("x", [1.0, 2, 3], MERCATOR))
    assert find_grid_mapping(line) is None
    of_axes = "lines: lat lon maps: y x"
    two = {"lines": {"grid_mapping_name": "latitude_longitude"}, "maps": MERCATOR}
    assert find_grid_mapping(field(of_axes, **two)).name == "maps"
    assert find_grid_mapping(field(of_axes, ("lat", "lon"), **two)).name == "lines"
    moved = field(crs=MERCATOR, other=POLE)
    moved.encoding["grid_mapping"] = "other"  # as with decode_coords="all"
    assert find_grid_mapping(moved).name == "other"


def test_names_of_mappings_and_their_axes():
    assert parse_grid_mapping("crs more") == ["crs"]
    text = "crsA: x y crsB: lat lon"
    assert parse_grid_mapping(text) == parse_grid_mapping(text, ("t", "y")) == ["crsA", "crsB"]
    assert parse_grid_mapping(text, ("t", "lon")) == ["crsB", "crsA"]
    assert parse_grid_mapping("crs:x y") == ["crs"]


def test_a_variable_of_a_dataset_takes_its_mapping_along():
    f = field("crs")
    ds = f.to_dataset().assign(crs=((), 0, MERCATOR), lines=("y", [1, 2], MERCATOR))
    carried = carry_grid_mapping(ds["f"], ds)
    assert {*carried.coords} == {"crs"}
    assert carried["crs"].attrs == MERCATOR
    for name in ("gone", "lines"):
        assert not carry_grid_mapping(ds["f"].assign_attrs(grid_mapping=name), ds).coords
    own = ds["f"].assign_coords(crs=((), 1, POLE))
    there = ds.set_coords("crs")
    assert carry_grid_mapping(own, there)["crs"].attrs == POLE


class Held:
    """As MetPy's, which is no CRS of pyproj."""

    def to_dict(self):
        return MERCATOR


@pytest.mark.parametrize("held", [Held(), pyproj.CRS.from_cf(MERCATOR)], ids=["MetPy", "pyproj"])
def test_an_object_that_is_a_projection(held):
    def hold(one, **attrs):
        values = np.empty((), object)
        values[()] = one
        return field().assign_coords(metpy_crs=((), values, attrs))

    found = find_grid_mapping(hold(held, long_name="map"))
    assert (found.kind, found.attrs["long_name"]) == ("mercator", "map")
    assert found.radii() == (A, A)
    assert find_grid_mapping(hold(held, grid_mapping_name="healpix")).kind == "healpix"
    assert find_grid_mapping(hold("a word")) is None


WKT = pyproj.CRS.from_cf(MERCATOR).to_wkt()
DESCRIBED = {
    "a name": ({"grid_mapping_name": "mercator"}, "mercator", True),
    "unknown": ({"grid_mapping_name": "unknown"}, None, False),
    "unknown, but WKT": ({"grid_mapping_name": "unknown", "crs_wkt": WKT}, None, True),
    "PROJ": ({"proj4": "+proj=merc"}, None, True),
    "spaces": ({"proj4": "  "}, None, False),
    "a number": ({"spatial_ref": 3857}, None, False),
    "nothing": ({}, None, False),
}


@pytest.mark.parametrize(("attrs", "kind", "is_described"), DESCRIBED.values(), ids=DESCRIBED)
def test_what_describes_a_projection(attrs, kind, is_described):
    mapping = GridMapping("crs", attrs)
    assert (mapping.kind, mapping.is_described) == (kind, is_described)
    assert mapping.is_carried


def test_attributes_of_files_are_compared_as_numbers():
    """NetCDF gives arrays; a mapping with what pyproj does not read is read all the same."""
    lists = {"standard_parallel": np.array([30.0, 60.0]), "extra": {"a": [1]}, "of": np.int32(3)}
    conic = {"grid_mapping_name": "lambert_conformal_conic", "earth_radius": np.float64(A)}
    conic |= {"longitude_of_central_meridian": 10.0, "latitude_of_projection_origin": 45.0}
    made = GridMapping("crs", conic | lists).crs
    assert made.to_cf()["standard_parallel"] == (30.0, 60.0)
    assert made == GridMapping("crs", conic | {"standard_parallel": [30.0, 60.0]}).crs
    for wrong in (conic, {"grid_mapping_name": "no_such_map"}, {"proj4": "+proj=none"}):
        with pytest.raises(CoordinateError, match="of the grid mapping 'crs' are not understood"):
            _ = GridMapping("crs", wrong).crs


# --- radii -----------------------------------------------------------------------------------

RADII = {
    "a sphere": ({"earth_radius": 6e6}, (6e6, 6e6)),
    "as text": ({"earth_radius": "6000000"}, (6e6, 6e6)),
    "as an array": ({"semi_major_axis": np.array([6e6])}, (6e6, 6e6)),
    "both axes": ({"semi_major_axis": 6.1e6, "semi_minor_axis": 6e6}, (6.1e6, 6e6)),
    "flattened": ({"semi_major_axis": 6.1e6, "inverse_flattening": 305.0}, (6.1e6, 6.08e6)),
    "not flattened": ({"semi_major_axis": 6.1e6, "inverse_flattening": 0.0}, (6.1e6, 6.1e6)),
    "a sphere first": ({"earth_radius": 6e6, "semi_major_axis": 7e6}, (6e6, 6e6)),
    "none": ({"grid_mapping_name": "mercator"}, (A, A)),
    "PROJ": ({"proj4": "+proj=merc +a=6100000 +b=6000000"}, (6.1e6, 6e6)),
    "the smallest": ({"earth_radius": 1e5}, (1e5, 1e5)),
}


@pytest.mark.parametrize(("attrs", "radii"), RADII.values(), ids=RADII)
def test_radii(attrs, radii):
    assert_allclose(GridMapping("crs", attrs).radii(), radii, rtol=1e-14)
    f = field("crs", crs=attrs)
    assert_allclose(earth_radii(f), radii, rtol=1e-14)
    assert_allclose(earth_radii(f, radii[0]), radii, rtol=1e-14)
    assert earth_radii(f, 5e6) == (5e6, 5e6)


def test_a_field_without_a_mapping_is_on_the_default_sphere():
    assert earth_radii(field()) == (A, A)
    assert earth_radii(field(), 5e6) == (5e6, 5e6)


@pytest.mark.parametrize(
    ("attrs", "radius"),
    [
        ({"earth_radius": 6371.229}, "6371.23"),
        ({"semi_major_axis": 6e6, "semi_minor_axis": 6e3}, "6000"),
        ({"earth_radius": np.inf}, "inf"),
        ({"earth_radius": 99999.0}, "99999"),
    ],
)
def test_a_radius_in_kilometres_is_refused(attrs, radius):
    with pytest.raises(CoordinateError, match=f"'crs' has a radius of {radius}, but it needs metr"):
        GridMapping("crs", attrs).radii()


# --- places ----------------------------------------------------------------------------------


def line(name, values, **attrs):
    return xr.DataArray(values, dims=name, name=name, attrs=attrs)


@pytest.mark.parametrize(("units", "metres"), [("m", 1), ("km", 1000), ("feet", 0.3048)])
def test_places_of_a_mercator_map(units, metres):
    """x = a (λ − λ₀), y = a ln tan(π/4 + φ/2) on a sphere."""
    lon, lat = np.array([-20.0, 10.0, 25.0]), np.array([-60.0, 0.0, 30.0, 45.0])
    x = A * np.deg2rad(lon - 10) / metres
    y = A * np.log(np.tan(np.pi / 4 + np.deg2rad(lat) / 2)) / metres
    found = GridMapping("crs", MERCATOR).places(line("x", x, units=units), line("y", y, units="m"))
    if metres != 1:
        found = found[0], found[1]
        y_too = line("y", y, units=units)
        found = GridMapping("crs", MERCATOR).places(line("x", x, units=units), y_too)
    for one, wanted in zip(found, np.meshgrid(lat, lon, indexing="ij"), strict=True):
        assert one.dims == ("y", "x")
        assert_allclose(one, wanted, atol=1e-9)


def test_a_map_in_kilometres_has_axes_in_kilometres():
    wkt = pyproj.CRS("+proj=merc +lon_0=10 +R=6371229 +units=km").to_wkt()
    for units, metres in (("m", 1.0), ("km", 1000.0)):
        x = line("x", A * np.deg2rad([0.0, 20.0]) / metres, units=units)
        _, lon = GridMapping("crs", {"crs_wkt": wkt}).places(x, line("y", [0.0], units="m"))
        assert_allclose(lon, [[10.0, 30.0]], rtol=1e-12)


@pytest.mark.parametrize(("units", "degrees"), [("degrees", 1), ("radians", 180 / np.pi)])
def test_places_about_a_rotated_pole(units, degrees):
    """Along its meridian 0, to the side away from its north pole at 30° N, 0° E."""
    y = line("rlat", np.array([-50.0, 0.0, 20.0]) / degrees, units=units)
    lat, lon = GridMapping("crs", POLE).places(line("rlon", [0.0], units="degrees"), y)
    assert lat.dims == lon.dims == ("rlat", "rlon")
    assert_allclose(lat[:, 0], [10.0, 60.0, 80.0], atol=1e-9)
    assert_allclose(abs(lon[:, 0]), 180.0, atol=1e-9)


def test_longitudes_and_latitudes_are_places_already():
    plain = GridMapping("crs", {"grid_mapping_name": "latitude_longitude", "earth_radius": A})
    degrees = {"units": "degrees"}
    assert plain.places(line("lon", [0.0, 1.0], **degrees), line("lat", [2.0], **degrees)) is None


NO_UNITS = "'x' has the units {}, but the axes of the grid mapping 'crs' need {}"


@pytest.mark.parametrize("units", [None, "K", "radian"])
def test_axes_in_other_units_are_refused(units):
    with pytest.raises(CoordinateError, match=NO_UNITS.format(repr(units), "a length")):
        GridMapping("crs", MERCATOR).places(line("x", [0.0], units=units), line("y", [0.0]))
    if units != "radian":
        with pytest.raises(CoordinateError, match=NO_UNITS.format(repr(units), "degrees")):
            GridMapping("crs", POLE).places(line("x", [0.0], units=units), line("y", [0.0]))


def test_angles_of_a_satellite_are_metres_by_its_height():
    view = {"grid_mapping_name": "geostationary", "perspective_point_height": 35786023.0}
    view |= {"longitude_of_projection_origin": 0.0, "latitude_of_projection_origin": 0.0}
    view |= {"semi_major_axis": 6378137.0, "semi_minor_axis": 6378137.0, "sweep_angle_axis": "y"}
    mapping = GridMapping("crs", view)
    h, r, angle = 35786023.0 + 6378137.0, 6378137.0, 0.05
    # The triangle of centre, satellite and point: sin of the angle at the point is h/r sin(angle).
    wanted = np.rad2deg(np.arcsin(h / r * np.sin(angle)) - angle)
    y = line("y", [0.0], units="rad")
    _, lon = mapping.places(line("x", [-angle, 0.0, angle], units="rad"), y)
    assert_allclose(lon, [[-wanted, 0.0, wanted]], rtol=1e-9, atol=1e-12)
    with pytest.raises(CoordinateError, match=NO_UNITS.format("'K'", "a length")):
        mapping.places(line("x", [0.0], units="K"), y)


# --- axes without attributes -----------------------------------------------------------------


def raster(x, y, of="crs", **attrs):
    """As rioxarray opens it: x and y have labels and no attributes."""
    coords = {"x": ("x", x, attrs), "y": ("y", y), "crs": ((), 0, MERCATOR)}
    dims = ("y", "x")
    return xr.DataArray(np.zeros((len(y), len(x))), coords, dims, "f", {"grid_mapping": of})


def test_axes_without_attributes_have_those_of_their_mapping():
    made = label_axes(raster([0.5, 1.5], [3.5, 2.5]))
    for axis in "xy":
        assert made[axis].attrs["units"] in ("m", "metre")
        assert made[axis].attrs["standard_name"] == f"projection_{axis}_coordinate"
        assert made[axis].attrs["axis"] == axis.upper()


AS_THEY_ARE = {
    "whole numbers": raster([0, 1], [0.5, 1.5]),
    "units of one": raster([0.5, 1.5], [0.5, 1.5], units="km"),
    "no y": raster([0.5, 1.5], [0.5, 1.5]).rename(y="row"),
    "no mapping": raster([0.5, 1.5], [0.5, 1.5]).drop_vars("crs"),
    "no mapping at all": raster([0.5, 1.5], [0.5, 1.5]).drop_vars("crs").drop_attrs(),
    "a mapping of nothing": raster([0.5, 1.5], [0.5, 1.5]).assign_coords(crs=0),
}


@pytest.mark.parametrize("f", AS_THEY_ARE.values(), ids=AS_THEY_ARE)
def test_axes_that_stay_as_they_are(f):
    xr.testing.assert_identical(label_axes(f), f)
