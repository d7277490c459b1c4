"""Grids whose latitude and longitude have two dimensions: exact fields, real grids, refusals."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask import Curvilinear, operators
from fdgrad_dask.errors import CoordinateError, OptionError

A = 6371229.0
U0 = 40.0
DEGREE = np.deg2rad(A)
SAMPLES = importlib.util.find_spec("iris_sample_data")
needs_samples = pytest.mark.skipif(SAMPLES is None, reason="iris-sample-data is not installed")


def places(n, kind):
    """Latitude and longitude (n, n) in degrees of a patch: straight, turned, or a rotated pole."""
    j, i = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    if kind == "straight":
        return 40 + 15 * j, 20 + 20 * i
    if kind == "turned":
        return 30 + 12 * (0.8 * j - 0.6 * i), 175 + 15 * (0.8 * i + 0.6 * j)  # over the date line
    phi, lam, tilt = np.deg2rad(20 * j), np.deg2rad(25 * i), np.deg2rad(50)
    x, y, z = np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)
    x, z = x * np.cos(tilt) - z * np.sin(tilt), x * np.sin(tilt) + z * np.cos(tilt)
    return np.rad2deg(np.arcsin(z)), np.rad2deg(np.arctan2(y, x))


def labelled(values, lat, lon, name, **attrs):
    coords = {
        "nav_lat": (("y", "x"), lat, {"standard_name": "latitude", "units": "degrees_north"}),
        "nav_lon": (("y", "x"), lon, {"standard_name": "longitude", "units": "degrees_east"}),
    }
    return xr.DataArray(values, dims=("y", "x"), coords=coords, name=name, attrs=attrs)


def rotation(lat, lon, alpha):
    """Solid-body rotation tilted by alpha, and its vorticity (Williamson et al. 1992)."""
    p, l = np.deg2rad(lat), np.deg2rad(lon)  # noqa: E741
    u = U0 * (np.cos(p) * np.cos(alpha) + np.sin(p) * np.cos(l) * np.sin(alpha))
    v = -U0 * np.sin(l) * np.sin(alpha)
    zeta = 2 * U0 / A * (np.sin(p) * np.cos(alpha) - np.cos(l) * np.cos(p) * np.sin(alpha))
    east = {"standard_name": "eastward_wind", "units": "m s-1"}
    north = {"standard_name": "northward_wind", "units": "m s-1"}
    return labelled(u, lat, lon, "u", **east), labelled(v, lat, lon, "v", **north), zeta


KINDS = ["straight", "turned", "rotated pole"]
INSIDE = (slice(2, -2), slice(2, -2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0, np.pi / 4, np.pi / 2], ids=["0", "45", "90"])
def test_a_rotation_has_its_vorticity_and_no_divergence_at_second_order(kind, alpha):
    errors = []
    for n in (17, 33):
        u, v, zeta = rotation(*places(n, kind), alpha)
        vorticity = operators.vorticity(u, v).values - zeta
        divergence = operators.divergence(u, v).values
        errors.append([abs(e[INSIDE]).max() * A / U0 for e in (vorticity, divergence)])
    assert max(errors[1]) < 6e-3
    assert np.log2(errors[0][0] / errors[1][0]) > 1.8
    assert errors[1][1] < 1e-9 or np.log2(errors[0][1] / errors[1][1]) > 1.8


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_points_east_and_north(kind):
    lat, lon = places(33, kind)
    p, l = np.deg2rad(lat), np.deg2rad(lon)  # noqa: E741
    f = labelled(np.cos(p) * np.sin(l), lat, lon, "f", units="K")
    result = operators.horizontal_gradient(f)
    east, north = np.cos(l) / A, -np.sin(p) * np.sin(l) / A
    np.testing.assert_allclose(result.df_dx.values[INSIDE], east[INSIDE], atol=2e-3 / A)
    np.testing.assert_allclose(result.df_dy.values[INSIDE], north[INSIDE], atol=2e-3 / A)
    magnitude = operators.gradient_magnitude(f).values
    np.testing.assert_allclose(magnitude[INSIDE], np.hypot(east, north)[INSIDE], atol=2e-3 / A)
    assert result.df_dx.attrs["geometry"] == "curvilinear"
    assert result.df_dx.attrs["units"] == "K m-1"


def test_the_sense_of_the_axes_does_not_matter():
    u, v, _ = rotation(*places(17, "turned"), 0.7)
    expected = operators.vorticity(u, v)
    for order in ({"y": slice(None, None, -1)}, {"x": slice(None, None, -1)}):
        turned = operators.vorticity(u.isel(order), v.isel(order)).isel(order)
        np.testing.assert_allclose(turned.values, expected.values, atol=1e-9 * U0 / A)
    swapped = [f.transpose("x", "y") for f in (u, v)]
    result = operators.vorticity(*swapped).transpose("y", "x")
    np.testing.assert_allclose(result.values, expected.values, atol=1e-9 * U0 / A)


@pytest.mark.parametrize("coordinates", ["in memory", "lazy"])
def test_chunks_never_change_the_answer_and_building_computes_nothing(coordinates, lazily):
    u, v, _ = rotation(*places(17, "turned"), 0.7)
    whole = operators.vorticity(u, v)
    with lazily():
        chunked = [f.chunk(y=5, x=(1, 7, 9)) for f in (u, v)]
        if coordinates == "in memory":
            chunked = [f.assign_coords(u.coords) for f in chunked]
        result = operators.vorticity(*chunked)
    np.testing.assert_array_equal(result.values, whole.values)


def test_advection_and_planetary_vorticity_know_the_true_directions():
    u, v, zeta = rotation(*places(33, "rotated pole"), 0.0)
    f = 2 * 7.292115e-5 * np.sin(np.deg2rad(u.nav_lat.values))
    absolute = operators.absolute_vorticity(u, v).values
    np.testing.assert_allclose(absolute[INSIDE], (zeta + f)[INSIDE], atol=1e-2 * U0 / A)
    warm = u.copy(data=np.sin(np.deg2rad(u.nav_lon.values))).rename("t").assign_attrs(units="K")
    expected = -U0 / A * np.cos(np.deg2rad(u.nav_lon.values))
    result = operators.advection(u, v, warm).values
    np.testing.assert_allclose(result[INSIDE], expected[INSIDE], atol=1e-2 * U0 / A)


def test_a_circle_is_closed_where_it_is_asked_for():
    lon, lat = np.meshgrid(np.arange(0.0, 360, 10), np.arange(-60.0, 61, 10))
    u, v, _ = rotation(lat, lon, 0.7)
    closed = operators.vorticity(u, v, boundary={"x": "periodic"})
    rolled = [f.roll(x=5, roll_coords=True) for f in (u, v)]
    inside = operators.vorticity(*rolled).roll(x=-5, roll_coords=True)
    np.testing.assert_allclose(closed.values[:, :3], inside.values[:, :3], rtol=1e-9, atol=1e-18)
    with pytest.raises(OptionError, match="boundary names 'nav_lon'; on a curvilinear grid it is"):
        operators.vorticity(u, v, boundary={"nav_lon": "periodic"})


def test_cells_without_an_area_are_nan():
    lat, lon = places(9, "straight")
    lat[4:, :], lon[4:, :] = 50.0, 20.0
    u, v, _ = rotation(lat, lon, 0.0)
    result = operators.vorticity(u, v).values
    assert np.isnan(result[6:-1]).all()
    assert np.isfinite(result[:3]).all()


def test_what_is_not_known_there_is_refused():
    u, v, _ = rotation(*places(9, "turned"), 0.0)
    with pytest.raises(CoordinateError, match="the deformation is not known on a curvilinear grid"):
        operators.deformation(u, v)
    with pytest.raises(CoordinateError, match="the laplacian is not known on a curvilinear grid"):
        operators.laplacian(u)
    along = u.assign_attrs(standard_name="x_wind")
    with pytest.raises(OptionError, match=r"are to point east and north, but its .*x_wind"):
        operators.vorticity(along, v)
    bare = u.drop_vars("nav_lat")
    with pytest.raises(
        CoordinateError, match="'u' has no latitude and longitude over the same two"
    ):
        operators.gradient_magnitude(bare, geometry=Curvilinear())
    radians = u.assign_coords(nav_lat=u.nav_lat.assign_attrs(units="radians"))
    with pytest.raises(
        CoordinateError, match="'nav_lat' is in radians; turn it into degrees first"
    ):
        operators.gradient_magnitude(radians)


def sample(name, **options):
    folder = Path(SAMPLES.origin).parent / "sample_data"
    return xr.open_dataset(folder / name, **options)


@needs_samples
def test_on_the_orca_grid_latitude_grows_by_a_degree_per_its_arc():
    """Away from the fold, and from land in the south whose coordinates are made up."""
    ds = sample("NEMO/nemo_1m_20150101-20150201_grid-T.nc", decode_times=False)
    places = {"nav_lat": ds.nav_lat, "nav_lon": ds.nav_lon}
    f = ds.nav_lat.astype("f8").rename("f").drop_attrs().assign_coords(places)
    result = operators.horizontal_gradient(f)
    wet = {"y": slice(60, -5), "x": slice(2, -2)}
    for name, expected in (("df_dx", 0.0), ("df_dy", 1.0)):
        error = abs(result[name].isel(wet) * DEGREE - expected)
        assert float(error.median()) < 1e-4
        assert float(error.quantile(0.99)) < 2e-3
    u, v, zeta = rotation(ds.nav_lat.values.astype("f8"), ds.nav_lon.values.astype("f8"), 0.7)
    error = abs(operators.vorticity(u, v).values - zeta)[60:-5, 2:-2] * A / U0
    assert np.median(error) < 1e-3
    assert np.quantile(error, 0.99) < 1e-2


@needs_samples
def test_a_projection_is_read_from_its_grid_mapping():
    pytest.importorskip("pyproj", reason="pyproj is not installed")
    data = sample("toa_brightness_stereographic.nc", decode_coords="all").data
    f = data.lat.astype("f8").rename("f").assign_coords(data.coords)
    f.attrs = {"grid_mapping": "stereographic"}
    by_places = operators.horizontal_gradient(f)
    by_mapping = operators.horizontal_gradient(f.drop_vars(["lat", "lon"]))
    north = by_mapping.df_dy.values[INSIDE] * np.deg2rad(6378169.0)
    np.testing.assert_allclose(north, 1.0, atol=5e-3)
    np.testing.assert_allclose(
        by_mapping.df_dy.values[INSIDE], by_places.df_dy.values[INSIDE], rtol=5e-3
    )
    assert by_mapping.df_dx.attrs["earth_radius"] == 6378169.0
