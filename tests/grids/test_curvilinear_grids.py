"""Grids of models and maps: ORCA, both poles, projections, grids that close, and their chunks."""

import importlib.util
from functools import cache
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from counting import Source
from curved import (
    DEGREE,
    DIMS,
    OPERATORS,
    U0,
    A,
    along_the_grid,
    assert_order,
    closed_forms,
    coordinates,
    errors,
    fields,
    interior,
    oblique,
    outputs,
    rotated_pole,
    sampled,
    stereographic,
)
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask import operators as op

SAMPLES = importlib.util.find_spec("iris_sample_data")
needs_samples = pytest.mark.skipif(SAMPLES is None, reason="iris-sample-data is not installed")
TILTS = {"α=0": 0.0, "α=π/4": np.pi / 4, "α=π/2": np.pi / 2}
SIDES = {"north": 1, "south": -1}


def sample(name, **options):
    folder = Path(SAMPLES.origin).parent / "sample_data"
    return xr.open_dataset(folder / name, **options)


# --- NEMO: the ORCA grid ------------------------------------------------------------------------

# The first rows lie under Antarctica with made-up coordinates; at the last two the grid is folded.
OCEAN = (slice(60, -5), slice(2, -2))


@pytest.fixture(scope="module")
def orca():
    """Latitude and longitude of ORCA1 in float64."""
    if SAMPLES is None:
        pytest.skip("iris-sample-data is not installed")
    with sample("NEMO/nemo_1m_20150101-20150201_grid-T.nc", decode_times=False) as ds:
        return ds.nav_lat.values.astype(float), ds.nav_lon.values.astype(float)


def spread(wrong):
    return np.nanquantile(np.abs(wrong[OCEAN]), (0.5, 0.99))


def test_on_orca_latitude_grows_by_a_degree_per_its_arc_to_the_north(orca):
    lat, lon = orca
    f = xr.DataArray(lat, dims=DIMS, coords=coordinates(lat, lon), name="f")
    made = op.horizontal_gradient(f)
    east, north = (made[k].values * A * DEGREE for k in ("df_dx", "df_dy"))
    assert (spread(east) < (1e-7, 2e-4)).all()
    assert (spread(north - 1) < (2e-5, 4e-4)).all()


@pytest.mark.parametrize("tilt", TILTS.values(), ids=TILTS)
def test_on_orca_a_rotation_has_its_vorticity_and_deforms_nothing(orca, tilt):
    ds, exact = fields(*orca, tilt=tilt, shear=0.0)
    for k, a in op.kinematics(ds.u, ds.v).items():
        wrong = spread((a.values - exact[k]) * A / U0)
        assert (wrong < (2e-4, 2e-3)).all(), (k, wrong)


@pytest.mark.parametrize("name", OPERATORS)
def test_on_orca_everything_is_as_by_formula(orca, name):
    ds, exact = fields(*orca)
    for k, a in outputs(name, ds).items():
        wrong = spread(a.values - exact[k]) / np.nanmedian(np.abs(exact[k][OCEAN]))
        where = (2e-3, 0.1) if k == "s_laplacian" else (5e-4, 4e-3)
        assert (wrong < where).all(), (k, wrong)


@needs_samples
def test_the_coasts_of_orca_are_one_sided_on_demand():
    with sample("NEMO/nemo_1m_20150101-20150201_grid-T.nc", decode_times=False) as ds:
        tos = ds.tos.isel(time_counter=0).load()
    made = op.gradient_magnitude(tos, skipna="one-sided")
    assert made.dtype == tos.dtype == np.float32
    assert not np.isinf(made.values).any()
    assert np.isnan(made.values[np.isnan(tos.values)]).all()
    assert np.isfinite(made.values).sum() > 0.99 * np.isfinite(tos.values).sum()
    assert 1e-6 < np.nanmedian(made.values) < 1e-5  # K m-1: some kelvins in a thousand kilometres


# --- around the poles -----------------------------------------------------------------------------


@pytest.mark.parametrize("tilt", TILTS.values(), ids=TILTS)
@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("name", ["kinematics", "horizontal_gradient", "laplacian", "q_vector"])
def test_there_is_no_pole_problem_on_a_grid_across_a_pole(name, side, tilt):
    """Deformation too, up to the points beside the pole."""

    def around(s, t):
        return stereographic(s, t, side)

    coarse, fine = (errors(name, around, n, tilt=tilt, shear=0.0) for n in (32, 64))
    assert max(fine.values()) < 5e-3
    assert_order(coarse, fine, slack=0.4)  # not the same places


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
def test_signs_of_the_deformation_are_those_of_the_side(side):
    """(sin φ cos φ)(1, 1) stretches by −cos²φ and shears by cos²φ, in both hemispheres."""
    lat, lon = sampled(lambda s, t: stereographic(s, t, side), 32)
    ds, exact = fields(lat, lon)
    made = op.kinematics(ds.u, ds.v)
    away = interior(np.abs(lat)) < 80  # the shear itself is not smooth at the pole
    for k, a in made.items():
        wrong = interior(a.values - exact[k])[away]
        assert np.abs(wrong).max() < 1e-2 * U0 / A, k
    rotation, _ = fields(lat, lon, tilt=0.0, shear=0.0)
    assert (np.sign(op.vorticity(rotation.u, rotation.v)) == side).all()


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("name", OPERATORS)
def test_at_the_pole_itself_values_are_those_of_its_meridian(name, side):
    ds, exact = fields(*sampled(lambda s, t: stereographic(s, t, side), 33), shear=0.0)
    assert abs(ds.lat.values[16, 16]) == 90
    for k, a in outputs(name, ds).items():
        assert np.isfinite(a.values).all(), k
        scale = np.abs(exact[k][12:21, 12:21]).max()
        near = np.abs(a.values - exact[k])[16, 16]
        assert near < 2e-2 * max(scale, 1e-3 * np.abs(exact[k]).max()) or scale < 1e-12, (k, near)


# --- projections --------------------------------------------------------------------------------

WGS84 = {"semi_major_axis": 6378137.0, "inverse_flattening": 298.257223563}
LAMBERT = {
    "grid_mapping_name": "lambert_conformal_conic",
    "standard_parallel": [30.0, 60.0],
    "longitude_of_central_meridian": 10.0,
    "latitude_of_projection_origin": 45.0,
    "false_easting": 0.0,
    "false_northing": 0.0,
}
POLAR = {
    "grid_mapping_name": "polar_stereographic",
    "straight_vertical_longitude_from_pole": 20.0,
    "latitude_of_projection_origin": -90.0,
    "standard_parallel": -71.0,
    "false_easting": 0.0,
    "false_northing": 0.0,
}
MAPS = {
    "Lambert": LAMBERT | {"earth_radius": A},
    "polar": POLAR | {"earth_radius": A},
    "ellipsoid": LAMBERT | WGS84,
}


@cache
def mapped(n, name, half=1.5e6):
    """u, v along the map and s, at the points of 1-D x and y with a grid mapping; their places."""
    mapping = MAPS[name]
    pyproj = pytest.importorskip("pyproj", reason="pyproj is not installed")
    axis = np.linspace(-half, half, n)
    crs = pyproj.CRS.from_cf(mapping)
    turn = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    lon, lat = turn.transform(*np.meshgrid(axis, axis))
    ds, exact = fields(lat, lon)
    ahead, behind = (turn.transform(*np.meshgrid(axis + d, axis)) for d in (1.0, -1.0))
    east = ((ahead[0] - behind[0] + 180) % 360 - 180) * np.cos(np.deg2rad(lat))
    beta = np.arctan2(ahead[1] - behind[1], east)
    u = ds.u * np.cos(beta) + ds.v * np.sin(beta)
    v = ds.v * np.cos(beta) - ds.u * np.sin(beta)
    attrs = {"units": "m", "standard_name": "projection_{}_coordinate"}
    ds = ds.drop_vars(["lat", "lon"]).assign(
        u=u.drop_vars(["lat", "lon"]).assign_attrs(units="m s-1", standard_name="x_wind"),
        v=v.drop_vars(["lat", "lon"]).assign_attrs(units="m s-1", standard_name="y_wind"),
    )
    for k in "xy":
        told = attrs | {"axis": k.upper(), "standard_name": f"projection_{k}_coordinate"}
        ds = ds.assign_coords({k: (k, axis, told)})
    for k in "uvs":
        ds[k].attrs["grid_mapping"] = "crs"
    return ds.assign_coords(crs=((), 0, mapping)), exact, lat


@pytest.mark.parametrize("mapping", ["Lambert", "polar"])
@pytest.mark.parametrize("name", OPERATORS)
def test_winds_along_the_map_of_a_projection(name, mapping):
    wrong = []
    for n in (32, 64):
        ds, exact, lat = mapped(n, mapping)
        far = np.abs(interior(lat)) < 80  # the closed forms themselves are not smooth at the pole
        wrong.append(
            {
                k: np.abs(interior(a.values - exact[k])[far]).max() / np.abs(exact[k]).max()
                for k, a in outputs(name, ds).items()
            }
        )
    assert max(wrong[1].values()) < 1e-2
    assert_order(*wrong, slack=0.5)  # not the same places


@pytest.mark.parametrize("flip", ["y", "x", "yx"])
@pytest.mark.parametrize("name", ["kinematics", "advection", "q_vector", "potential_vorticity"])
def test_x_and_y_winds_point_along_growing_coordinates_not_indices(name, flip):
    ds, _, _ = mapped(13, "Lambert")
    flipped = ds.isel({dim: slice(None, None, -1) for dim in flip})
    asked = outputs(name, ds)
    for k, a in outputs(name, flipped).items():
        made = a.reindex_like(asked[k]).values
        scale = np.abs(asked[k].values).max()
        assert_allclose(made, asked[k].values, rtol=0, atol=1e-9 * scale, err_msg=k)


@pytest.mark.parametrize("kind", ["earth", "grid"])
def test_components_may_be_given_on_a_projection(kind):
    ds, _, _ = mapped(13, "Lambert")
    ds, blank = ds.copy(deep=True), ds.copy(deep=True)
    for k, axis, side in (("u", "x", "east"), ("v", "y", "north")):
        ds[k].attrs["standard_name"] = f"{axis}_wind" if kind == "grid" else f"{side}ward_wind"
        del blank[k].attrs["standard_name"]
    made = op.vorticity(blank.u, blank.v, geometry=fd.Curvilinear(components=kind))
    assert_array_equal(made, op.vorticity(ds.u, ds.v))
    assert made.attrs["earth_radius"] == A


def test_on_an_ellipsoid_metres_are_its_own():
    """∇ of latitude is a degree per arc of the meridian; a rotation about the axis deforms none."""
    a, f = WGS84["semi_major_axis"], 1 / WGS84["inverse_flattening"]
    e2 = f * (2 - f)
    wrong = []
    for n in (33, 65):
        ds, _, lat = mapped(n, "ellipsoid")
        sine, cosine = np.sin(np.deg2rad(lat)), np.cos(np.deg2rad(lat))
        meridian = a * (1 - e2) / (1 - e2 * sine**2) ** 1.5
        made = op.horizontal_gradient(ds.s.copy(data=lat))
        assert made.ds_dx.attrs["earth_radius"] == a
        u = ds.u.copy(data=U0 * cosine / np.sqrt(1 - e2 * sine**2))
        v = ds.v.copy(data=0 * lat)
        for k, w in (("eastward_wind", u), ("northward_wind", v)):
            w.attrs["standard_name"] = k
        kinematic = op.kinematics(u, v)
        zeta = 2 * U0 / a * sine  # as Ω (N cos φ)² / −2 has the slope Ω M N sin φ cos φ
        wrong.append(
            {
                "north": np.abs(interior(made.ds_dy * meridian * DEGREE - 1)).max(),
                "east": np.abs(interior(made.ds_dx * meridian * DEGREE)).max(),
                "deformation": np.abs(interior(kinematic.total_deformation)).max() * a / U0,
                "divergence": np.abs(interior(kinematic.divergence)).max() * a / U0,
                "vorticity": np.abs(interior(kinematic.vorticity - zeta)).max() * a / U0,
            }
        )
    assert max(wrong[1].values()) < 1e-3  # the flattening is 3.4e-3
    assert_order(*wrong)


@needs_samples
def test_a_projection_is_read_from_its_grid_mapping():
    pytest.importorskip("pyproj", reason="pyproj is not installed")
    data = sample("toa_brightness_stereographic.nc", decode_coords="all").data.load()
    lat, lon = data.lat.values.astype(float), data.lon.values.astype(float)
    inside = (slice(2, -2), slice(2, -2))
    f = data.copy(data=lat).rename("f")
    by_places = op.horizontal_gradient(f)
    by_mapping = op.horizontal_gradient(f.drop_vars(["lat", "lon"]))
    for made in (by_places, by_mapping):
        assert made.df_dx.attrs["earth_radius"] == 6378169.0
        north = made.df_dy.values[inside] * 6378169.0 * DEGREE
        assert (np.quantile(np.abs(north - 1), (0.5, 0.99)) < (2e-4, 2e-3)).all()
    scale = 6378169.0 / A  # the closed forms are those of A
    exact = closed_forms(lat, lon, tilt=0.0, shear=0.0)
    winds = [data.copy(data=exact[k]).assign_attrs(units="m s-1") for k in "uv"]
    for wind, name in zip(winds, ("eastward_wind", "northward_wind"), strict=True):
        wind.attrs["standard_name"] = name
    for drop in ([], ["lat", "lon"]):
        made = op.kinematics(*(w.drop_vars(drop) for w in winds))
        for k, a in made.items():
            wrong = (a.values * scale - exact[k])[inside] * A / U0
            assert (np.quantile(np.abs(wrong), (0.5, 0.99)) < (1e-3, 5e-3)).all(), k
        assert (np.sign(made.vorticity.values[inside]) == np.sign(lat[inside])).all()


# --- grids that close ---------------------------------------------------------------------------


def belt(n=17, m=32):
    """A global grid whose latitudes wave along x."""
    j, i = np.mgrid[0:n, 0:m]
    lon = 360 * i / m
    lat = 60 * (2 * j / (n - 1) - 1) + 8 * np.sin(np.deg2rad(lon)) * np.cos(np.pi * j / n)
    return fields(lat, (lon + 180) % 360 - 180)


@pytest.mark.parametrize("components", ["earth", "grid"])
@pytest.mark.parametrize("name", ["laplacian", "kinematics", "horizontal_gradient"])
def test_a_closed_seam_is_like_any_other_place(name, components):
    ds, _ = belt()
    options = {"boundary": {"x": "periodic"}}
    if components == "grid":
        options["geometry"] = fd.Curvilinear(components="grid")
    here = outputs(name, ds, **options)
    there = outputs(name, ds.roll(x=13, roll_coords=True), **options)
    open_ = outputs(name, ds, **options | {"boundary": None})
    for k in here:
        assert here[k].attrs["periodic"] == "x"
        assert "periodic" not in open_[k].attrs
        rolled = there[k].roll(x=-13, roll_coords=True).values
        scale = np.abs(rolled).max()
        assert_allclose(here[k].values, rolled, rtol=0, atol=1e-11 * scale, err_msg=k)
        inner = (slice(None), slice(3, -3))
        if components == "earth":
            assert_array_equal(open_[k].values[inner], here[k].values[inner])


# --- chunks, laziness, dtypes ---------------------------------------------------------------------


CUTS = [{"y": 4, "x": 5}, {"y": (1, 6, 1), "x": (7, 3)}]
LAZY = ["fields", "all", "coordinates"]
# Both cuts meet everything that is lazy and, if not together, every operator.
CHUNKED = [
    (name, lazy, CUTS[(i + j) % 2])
    for i, name in enumerate(OPERATORS)
    for j, lazy in enumerate(LAZY)
]


@pytest.mark.parametrize(("name", "lazy", "chunks"), CHUNKED, ids=str)
def test_chunks_change_no_bit_and_building_computes_nothing(name, lazy, chunks, lazily):
    ds, _ = fields(*sampled(oblique, 8, 10))
    ds = along_the_grid(ds, oblique) if lazy != "fields" else ds
    whole = outputs(name, ds)
    places = {k: ds[k].variable for k in ("lat", "lon")}
    cut = {k: ds[k].chunk(chunks).variable for k in places}
    with lazily():
        made = {
            "fields": lambda: ds.chunk(chunks).assign_coords(places),
            "all": lambda: ds.chunk(chunks).assign_coords(cut),
            "coordinates": lambda: ds.assign_coords(cut),
        }[lazy]()
        results = outputs(name, made)
    for k, a in results.items():
        assert isinstance(a.data, da.Array)
        assert_array_equal(a.compute(scheduler="sync").values, whole[k].values, err_msg=k)


@pytest.mark.parametrize("name", ["kinematics", "laplacian", "advection", "gradient_magnitude"])
def test_every_chunk_is_read_once(name):
    ds, _ = fields(*sampled(oblique, 12, 15))
    counted = {}
    for k in "uvs":
        counted[k] = Source(np.stack([ds[k].values] * 3))
        ds[k] = ("time", *DIMS), counted[k].chunked((1, 4, 5)), ds[k].attrs
    made = outputs(name, ds)
    assert not any(source.reads for source in counted.values())
    dask.compute(made, scheduler="synchronous")
    for source in counted.values():
        assert set(source.reads.values()) <= {1}
        assert len(source.reads) in (0, 27)
    assert any(source.reads for source in counted.values())


@pytest.mark.parametrize("name", OPERATORS)
def test_float32_stays_float32_with_metres_of_float64(name):
    lat, lon = sampled(lambda s, t: rotated_pole(s, t, half=(2, 2)), 17)
    double, single = fields(lat, lon)[0], fields(lat, lon, dtype=np.float32)[0]
    for k, a in outputs(name, single).items():
        assert a.dtype == np.float32
        want = outputs(name, double)[k].values
        per_step = 2.0**-23 * (16 / 0.07) ** (2 if name == "laplacian" else 1)
        assert_allclose(a.values, want, rtol=0, atol=200 * per_step * np.abs(want).max())


@pytest.mark.parametrize("order", ["time y x", "y time x", "x y time"])
@pytest.mark.parametrize("name", ["kinematics", "advection", "laplacian"])
def test_further_dimensions_may_lie_anywhere(name, order):
    ds, _ = fields(*sampled(oblique, 9, 11))
    factors = xr.DataArray([1.0, -2.0], dims="time")
    many = ds.copy()
    for k in "uvs":
        many[k] = (ds[k] * factors).assign_attrs(ds[k].attrs).transpose(*order.split())
    for k, a in outputs(name, many).items():
        assert a.dims == tuple(order.split())
        for time in (0, 1):
            flat = ds.assign({c: many[c].isel(time=time).transpose(*DIMS) for c in "uvs"})
            want = outputs(name, flat)[k].values
            got = a.isel(time=time).transpose(*DIMS).values
            assert_allclose(got, want, rtol=1e-12, atol=1e-12 * np.abs(want).max())


# --- places that are none -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lazy", "components"),
    [
        (name, lazy, ("earth", "grid")[(i + lazy) % 2])
        for i, name in enumerate(OPERATORS)
        for lazy in (False, True)
    ],
)
def test_a_cell_without_an_area_is_nan_and_others_are_not(name, lazy, components):
    ds, _ = fields(*sampled(rotated_pole, 17))
    lat, lon = ds.lat.values.copy(), ds.lon.values.copy()
    lat[:, 5:8], lon[:, 5:8] = lat[:, [6]], lon[:, [6]]
    ds = ds.assign_coords(coordinates(lat, lon))
    if lazy:
        ds = ds.chunk().assign_coords({k: ds[k].chunk().variable for k in ("lat", "lon")})
    geometry = fd.Curvilinear(components=components)
    for k, a in outputs(name, ds, geometry=geometry).items():
        values = a.compute(scheduler="sync").values
        assert np.isnan(values[..., 6]).all(), k
        assert np.isfinite(values[..., 1:4]).all(), k
        assert np.isfinite(values[..., 9:-1]).all(), k
        assert not np.isinf(values).any(), k


@pytest.mark.parametrize("name", OPERATORS)
def test_a_missing_place_costs_its_neighbours_and_no_more(name):
    ds, _ = fields(*sampled(rotated_pole, 17))
    whole = outputs(name, ds)
    lat, lon = ds.lat.values.copy(), ds.lon.values.copy()
    lat[5, 6] = lon[5, 6] = np.nan
    far = np.ones((17, 17), bool)
    far[3:8, 4:9] = False
    for k, a in outputs(name, ds.assign_coords(coordinates(lat, lon))).items():
        assert np.isnan(a.values[5, 6]), k
        assert_array_equal(a.values[far], whole[k].values[far], err_msg=k)


def test_a_grid_of_one_place_is_all_nan():
    ds, _ = fields(np.full((9, 9), 50.0), np.full((9, 9), 10.0))
    for name in OPERATORS:
        for k, a in outputs(name, ds).items():
            assert np.isnan(a.values).all(), k
