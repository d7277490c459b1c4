"""Projected x and y in any unit, and mappings in all spellings (F4, F13; cases 4a to 4k)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import LAMBERT, PER_DEGREE, A, flow_on, projected, right_or_refused, worst

import fdgrad_dask
from fdgrad_dask.errors import FdgradError

UNITS = {"m": 1.0, "km": 1e3, "kilometers": 1e3, "hm": 100.0}


def assert_north(g: xr.Dataset, rtol: float = 5e-3) -> None:
    """The gradient of the latitude points north, one degree in each A π/180."""
    np.testing.assert_allclose(g.df_dy[1:-1, 1:-1], PER_DEGREE, rtol=rtol)
    assert abs(g.df_dx[1:-1, 1:-1]).max() < rtol * PER_DEGREE


@pytest.mark.parametrize("units", UNITS)
def test_units_of_length(units):
    f, lat, _ = projected(LAMBERT, units, UNITS[units])
    assert_north(f.fdgrad.horizontal_gradient())
    magnitude = f.fdgrad.gradient_magnitude()
    np.testing.assert_allclose(magnitude[1:-1, 1:-1], PER_DEGREE, rtol=5e-3)
    assert magnitude.attrs["units"] == "K m-1"
    inner = f.fdgrad.laplacian()[1:-1, 1:-1]
    true = -np.tan(np.deg2rad(lat)) * PER_DEGREE / A
    assert worst(inner, true[1:-1, 1:-1]) < 0.02


def test_km_by_the_command(run):
    f, _, _ = projected(LAMBERT, "km", 1e3)
    ds = f.drop_vars("crs").to_dataset().assign(crs=f.crs)
    made = run(ds, ("gradient_magnitude", ["f"], "slope"))
    np.testing.assert_allclose(made.slope[1:-1, 1:-1], PER_DEGREE, rtol=5e-3)


def test_x_and_y_in_different_units():
    f, _, _ = projected(LAMBERT)
    f = f.assign_coords(x=f.x.copy(data=f.x / 1e3).assign_attrs(f.x.attrs, units="km"))
    assert_north(f.fdgrad.horizontal_gradient())


@pytest.mark.parametrize("units", [None, "K"])
def test_what_is_no_length_is_refused(units):
    f, _, _ = projected(LAMBERT)
    for name in "xy":
        f[name].attrs.pop("units")
        f[name].attrs |= {"units": units} if units else {}
    with pytest.raises(FdgradError, match=r"(?i)units?"):
        f.fdgrad.horizontal_gradient()
    for name in "xy":
        f[name].attrs["units"] = "m"
    assert_north(f.fdgrad.horizontal_gradient())


ANGLES = {"rad": 1.0, "radian": 1.0, "degrees": np.pi / 180}


@pytest.mark.parametrize("units", ANGLES)
def test_scanning_angles_of_a_geostationary_satellite(units):
    import pyproj

    height, major, minor = 35786023.0, 6378137.0, 6356752.31414
    mapping = {
        "grid_mapping_name": "geostationary",
        "perspective_point_height": height,
        "semi_major_axis": major,
        "semi_minor_axis": minor,
        "longitude_of_projection_origin": -75.0,
        "latitude_of_projection_origin": 0.0,
        "sweep_angle_axis": "x",
    }
    angle = np.linspace(-0.02, 0.02, 21)
    crs = pyproj.CRS.from_cf(mapping)
    turn = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    _, lat = turn.transform(*np.meshgrid(angle * height, angle * height))
    names = [{"standard_name": f"projection_{k}_coordinate", "units": units} for k in "xy"]
    coords = {
        "x": ("x", angle / ANGLES[units], names[0]),
        "y": ("y", angle / ANGLES[units], names[1]),
    }
    f = xr.DataArray(lat, dims=("y", "x"), name="f", attrs={"units": "K", "grid_mapping": "crs"})
    coords["crs"] = ((), 0, mapping)
    g = f.assign_coords(coords).fdgrad.horizontal_gradient()
    # On the equator of the ellipsoid the radius of the meridian is b²/a.
    assert float(g.df_dy[10, 10]) == pytest.approx(np.rad2deg(1) * major / minor**2, rel=1e-3)
    assert not g.df_dy.isnull().any()


MERCATOR = "EPSG:3857"


def web_mercator(**attrs: str) -> xr.DataArray:
    import pyproj

    x, y = np.arange(-5, 6) * 50e3, 5e6 + np.arange(-4, 5) * 50e3
    turn = pyproj.Transformer.from_crs(MERCATOR, "EPSG:4326", always_xy=True)
    _, lat = turn.transform(*np.meshgrid(x, y))
    names = [{"standard_name": f"projection_{k}_coordinate", "units": "m"} for k in "xy"]
    return xr.DataArray(
        lat,
        dims=("y", "x"),
        name="f",
        attrs={"units": "K", "grid_mapping": "crs"},
        coords={"x": ("x", x, names[0]), "y": ("y", y, names[1]), "crs": ((), 0, attrs)},
    )


def test_a_mapping_of_crs_wkt_alone():
    pyproj = pytest.importorskip("pyproj", reason="the projection is known by its WKT alone")
    f = web_mercator(crs_wkt=pyproj.CRS(MERCATOR).to_wkt())
    assert_north(f.fdgrad.horizontal_gradient(), rtol=0.01)


@pytest.mark.parametrize("key", ["spatial_ref", "proj4"])
def test_a_mapping_in_words_of_other_tools(key):
    pyproj = pytest.importorskip("pyproj", reason="the projection is known by its WKT alone")
    text = "+proj=merc +a=6378137 +b=6378137 +units=m"
    f = web_mercator(**{key: pyproj.CRS(MERCATOR).to_wkt() if key == "spatial_ref" else text})

    def judge(g):
        assert_north(g, rtol=0.01)

    right_or_refused(f.fdgrad.horizontal_gradient, "crs_wkt|grid_mapping_name", judge)
    f.attrs["grid_mapping"] = "crs"
    f.crs.attrs |= {"crs_wkt": pyproj.CRS(MERCATOR).to_wkt()}
    judge(f.fdgrad.horizontal_gradient())


@pytest.mark.parametrize("spelled", ["crs: x y", "crs: x y other: lat lon", "crs:x y"])
def test_a_mapping_with_its_coordinates(spelled):
    f, _, _ = projected(LAMBERT)
    f.attrs["grid_mapping"] = spelled
    f = f.assign_coords(other=((), 0, {"grid_mapping_name": "latitude_longitude"}))
    if spelled == "crs:x y":  # not CF, but written
        right_or_refused(f.fdgrad.horizontal_gradient, "grid_mapping|crs", assert_north)
    else:
        assert_north(f.fdgrad.horizontal_gradient())


def test_a_mapping_with_its_coordinates_by_the_command(run):
    f, _, _ = projected(LAMBERT)
    ds = f.drop_vars("crs").to_dataset().assign(crs=f.crs)
    ds.f.attrs["grid_mapping"] = "crs: x y"
    made = run(ds, ("horizontal_gradient", ["f"], ["df_dx", "df_dy"]))
    assert_north(made)


def test_a_mapping_that_the_field_does_not_carry():
    f, _, _ = projected(LAMBERT)
    with pytest.raises(FdgradError, match=r"(?i)crs.*(coordinate|variable|attribute|missing)"):
        f.drop_vars("crs").fdgrad.gradient_magnitude()
    assert_north(f.fdgrad.horizontal_gradient())


RADII = {
    "semi_major_axis": {"semi_major_axis": 6378.137, "semi_minor_axis": 6356.752},
    "earth_radius": {"earth_radius": 6371.229},
}


@pytest.mark.parametrize("key", RADII)
def test_a_radius_in_km_is_refused(key):
    f = flow_on(np.arange(-60.0, 61, 5), np.arange(0.0, 60, 5))
    f = (f.lat + 0 * f.u).rename("f").assign_attrs(units="K", grid_mapping="crs")
    mapping = {"grid_mapping_name": "latitude_longitude"}
    with pytest.raises(FdgradError, match=rf"{key}|radius"):
        f.assign_coords(crs=((), 0, mapping | RADII[key])).fdgrad.gradient_magnitude()
    metres = {k: 1e3 * v for k, v in RADII[key].items()}
    made = f.assign_coords(crs=((), 0, mapping | metres)).fdgrad.gradient_magnitude()
    radius = metres.get("semi_major_axis", A)
    np.testing.assert_allclose(made, np.rad2deg(1) / radius, rtol=1e-6)


def test_a_radius_in_km_on_a_map_is_refused():
    f, _, _ = projected(LAMBERT)
    f.crs.attrs["earth_radius"] = 6371.229
    with pytest.raises(FdgradError, match=r"earth_radius|radius"):
        f.fdgrad.gradient_magnitude()


def test_the_radius_of_another_planet_is_taken():
    f = flow_on(np.arange(-60.0, 61, 5), np.arange(0.0, 60, 5))
    f = (f.lat + 0 * f.u).rename("f").assign_attrs(units="K", grid_mapping="crs")
    mars = {"grid_mapping_name": "latitude_longitude", "earth_radius": 3389500.0}
    made = f.assign_coords(crs=((), 0, mars)).fdgrad.gradient_magnitude()
    np.testing.assert_allclose(made, np.rad2deg(1) / 3389500.0, rtol=1e-6)


STEREOGRAPHIC = {
    "grid_mapping_name": "polar_stereographic",
    "latitude_of_projection_origin": 90.0,
    "standard_parallel": 70.0,
    "straight_vertical_longitude_from_pole": -45.0,
    "earth_radius": A,
}


def on_stereographic_map() -> xr.DataArray:
    import pyproj

    crs = pyproj.CRS.from_cf(STEREOGRAPHIC)
    x, y = np.arange(-9, 10) * 100e3, np.arange(-40, -20) * 100e3
    turn = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    _, lat = turn.transform(*np.meshgrid(x, y))
    names = [{"standard_name": f"projection_{k}_coordinate", "units": "m"} for k in "xy"]
    coords = {"x": ("x", x, names[0]), "y": ("y", y, names[1])}
    return xr.DataArray(lat, dims=("y", "x"), name="f", attrs={"units": "K"}, coords=coords)


def assert_slope(made: xr.DataArray) -> None:
    np.testing.assert_allclose(made[1:-1, 1:-1], PER_DEGREE, rtol=5e-3)


def test_the_projection_that_metpy_assigns():
    metpy = pytest.importorskip("metpy", reason="MetPy's own object is in its metpy_crs")
    assert metpy.__version__
    f = on_stereographic_map().metpy.assign_crs(STEREOGRAPHIC)
    right_or_refused(f.fdgrad.gradient_magnitude, "metpy_crs|grid_mapping", assert_slope)


def scalar_of(thing: object) -> np.ndarray:
    held = np.empty((), dtype=object)
    held[()] = thing
    return held


@pytest.mark.parametrize("name", ["metpy_crs", "wrf_projection"])
def test_a_projection_in_a_scalar_coordinate(name):
    """As MetPy (an object with ``to_pyproj``) and xwrf (one of pyproj) leave it."""
    import pyproj

    class Projection:
        def to_dict(self) -> dict:
            return dict(STEREOGRAPHIC)

        def to_pyproj(self) -> pyproj.CRS:
            return pyproj.CRS.from_cf(STEREOGRAPHIC)

    held = Projection() if name == "metpy_crs" else Projection().to_pyproj()
    f = on_stereographic_map().assign_coords({name: ((), scalar_of(held))})
    right_or_refused(f.fdgrad.gradient_magnitude, f"{name}|grid_mapping", assert_slope)
    # The remedy that always works: the same projection as CF has it.
    crs = (
        f.drop_vars(name).assign_coords(crs=((), 0, STEREOGRAPHIC)).assign_attrs(grid_mapping="crs")
    )
    assert_slope(crs.fdgrad.gradient_magnitude())


def test_metpy_on_latitudes_and_longitudes_changes_nothing():
    metpy = pytest.importorskip("metpy", reason="MetPy's own object is in its metpy_crs")
    assert metpy.__version__
    ds = flow_on(np.arange(20.0, 50, 2), np.arange(0.0, 40, 2))[["u", "v"]]
    parsed = ds.metpy.parse_cf()
    np.testing.assert_array_equal(parsed.fdgrad.vorticity("u", "v"), ds.fdgrad.vorticity("u", "v"))


def bare(f: xr.DataArray) -> xr.DataArray:
    """As rioxarray opens a raster: x and y without attributes, and a variable ``spatial_ref``."""
    f = f.drop_attrs(deep=False).rename(crs="spatial_ref").assign_attrs(units="K")
    return f.assign_coords(x=f.x.values, y=f.y.values)


@pytest.mark.parametrize("per_unit", [1.0, 1e3, 1200 / 3937], ids=["m", "km", "feet"])
@pytest.mark.parametrize("chunks", [None, 5])
def test_x_and_y_without_attributes_are_those_of_their_projection(per_unit, chunks):
    pyproj = pytest.importorskip("pyproj", reason="the projection is known by its WKT alone")
    crs = pyproj.CRS(f"+proj=merc +a=6378137 +b=6378137 +to_meter={per_unit!r}")
    f = web_mercator(crs_wkt=crs.to_wkt())
    f = f.assign_coords(x=f.x / per_unit, y=f.y / per_unit)
    f = bare(f) if chunks is None else bare(f).chunk(x=chunks)
    made = f.fdgrad.horizontal_gradient()
    assert_north(made, rtol=0.01)
    assert made.df_dy.attrs["units"] == "K m-1"
    assert not made.x.attrs  # the labels stay as they were
    assert "curvilinear" in repr(f.fdgrad)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("dtype", ["f8", "i4"])
def test_x_and_y_with_units_alone_are_those_of_their_projection(units, dtype):
    """They were refused, by a message that its attributes describe no projection."""
    f, _, _ = projected(LAMBERT, units, UNITS[units])
    for name in "xy":
        f = f.assign_coords({name: (name, f[name].values.round().astype(dtype), {"units": units})})
    if dtype == "f8" or UNITS[units] < 1e3:
        assert_north(f.fdgrad.horizontal_gradient())
    assert "curvilinear" in repr(f.fdgrad)


def test_lengths_where_the_grid_mapping_has_degrees():
    f = xr.DataArray(np.zeros((4, 5)), dims=("y", "x"), name="f", attrs={"grid_mapping": "crs"})
    lines = {name: (name, 1e3 * np.arange(n), {"units": "m"}) for name, n in (("y", 4), ("x", 5))}
    f = f.assign_coords(lines | {"crs": ((), 0, {"grid_mapping_name": "latitude_longitude"})})
    with pytest.raises(FdgradError, match="units 'm' and 'm', which its axes have not"):
        f.fdgrad.horizontal_gradient()
    f.fdgrad.horizontal_gradient(geometry=fdgrad_dask.Plane())  # what the message says


def test_x_and_y_without_attributes_may_be_degrees():
    pyproj = pytest.importorskip("pyproj", reason="the projection is known by its WKT alone")
    y, x = np.arange(46.0, 44, -0.1), np.arange(10.0, 12, 0.1)
    f = xr.DataArray(np.broadcast_to(y[:, None], (20, 20)), dims=("y", "x"), name="f")
    wkt = ((), 0, {"crs_wkt": pyproj.CRS("EPSG:4326").to_wkt()})
    made = bare(f.assign_coords(y=y, x=x, crs=wkt)).fdgrad.horizontal_gradient()
    np.testing.assert_allclose(made.df_dy, np.rad2deg(1) / 6378137, rtol=1e-9)
    np.testing.assert_allclose(made.df_dx, 0, atol=1e-20)


def test_x_and_y_without_attributes_may_count_points():
    pyproj = pytest.importorskip("pyproj", reason="the projection is known by its WKT alone")
    f = bare(web_mercator(crs_wkt=pyproj.CRS(MERCATOR).to_wkt()))
    f = f.assign_coords(x=np.arange(11), y=np.arange(9))
    with pytest.raises(FdgradError, match="cannot be inferred"):
        f.fdgrad.horizontal_gradient()
    with pytest.raises(FdgradError, match="cannot be inferred"):
        bare(web_mercator(grid_mapping_name="unknown")).fdgrad.horizontal_gradient()
