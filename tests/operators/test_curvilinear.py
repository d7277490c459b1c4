"""Every operator on grids of two-dimensional latitude and longitude, against closed forms."""

import numpy as np
import pytest
import xarray as xr
from curved import (
    DIMS,
    ELSEWHERE,
    GRIDS,
    OF_WINDS,
    OPERATORS,
    U0,
    UNITS,
    A,
    along_the_grid,
    assert_order,
    beside_rims,
    directions,
    errors,
    fields,
    interior,
    oblique,
    outputs,
    regular,
    rotated_pole,
    sampled,
    turned,
)
from fields import FLOWS, degrees
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError


def as_components(kind):
    """Leaves the wind to the east and north, or turns it along the grid."""
    turn = {"earth": lambda ds, grid: ds, "grid": along_the_grid}[kind]
    return lambda ds, grid: (turn(ds, grid), {})


# --- order ------------------------------------------------------------------------------------


def test_every_operator_is_measured_here():
    assert {*OPERATORS, *ELSEWHERE} == set(op.__all__)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_operators_are_second_order(grid, name):
    coarse, fine = errors(name, grid, 17), errors(name, grid, 33)
    assert max(fine.values()) < 6e-3
    assert_order(coarse, fine)


@pytest.mark.parametrize("name", OF_WINDS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_so_they_are_for_winds_along_the_grid(grid, name):
    options = {"prepare": as_components("grid")}
    coarse, fine = errors(name, grid, 17, **options), errors(name, grid, 33, **options)
    assert max(fine.values()) < 6e-3
    assert_order(coarse, fine)


@pytest.mark.parametrize("components", ["earth", "grid"])
@pytest.mark.parametrize("name", OPERATORS)
def test_rows_beside_the_rims_are_of_the_same_order(name, components):
    """The metres and directions of the rim are part of what is differenced there."""
    options = {"prepare": as_components(components), "part": beside_rims}
    coarse, fine = (errors(name, oblique, n, **options) for n in (33, 65))
    assert max(fine.values()) < 2e-3
    assert_order(coarse, fine)


@pytest.mark.parametrize("name", ["kinematics", "horizontal_gradient", "laplacian"])
def test_rims_are_of_second_order_with_edge_order_2(name):
    options = {"options": {"edge_order": 2}, "part": np.asarray}
    coarse, fine = (errors(name, rotated_pole, n, **options) for n in (33, 65))
    # of a second derivative the one-sided difference is an order less
    assert_order(coarse, fine, order=1 if name == "laplacian" else 2, slack=0.2)


@pytest.mark.parametrize(
    ("name", "accuracy"), [("kinematics", 4), ("horizontal_gradient", 6), ("laplacian", 4)]
)
def test_higher_accuracy_is_that_of_the_metres_too(name, accuracy):
    options = {"options": {"accuracy": accuracy}}
    coarse, fine = (errors(name, oblique, n, **options) for n in (25, 49))
    assert_order(coarse, fine, order=accuracy, slack=0.4)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_flows_in_two_dimensions_are_those_in_one(flow):
    """The same points, their coordinates 1-D and 2-D: apart by the order of the scheme."""
    apart = []
    for n in (31, 61):
        grid = degrees(np.linspace(-70, 70, n), np.linspace(-100, 60, n))
        u, v = flow.wind(grid)
        lat, lon = np.meshgrid(grid.lat, grid.lon, indexing="ij")
        there = op.kinematics(u, v)
        here = op.kinematics(*(two_dimensional(f, lat, lon) for f in (u, v)))
        exact = {k: flow.exact(k, grid).values for k in here}
        part = {k: np.abs(interior(here[k].values - exact[k])).max() for k in here}
        assert {a.attrs["horizontal_geometry"] for a in there.values()} == {"sphere"}
        for k in here:
            between = np.abs(interior(here[k].values - there[k].values)).max()
            size = max(np.abs(there[k].values).max(), U0 / A)
            assert between < 0.08 * size
        apart.append({k: part[k] * A / U0 for k in part})
    assert_order(*apart, slack=0.25)


def two_dimensional(field, lat, lon):
    """A field on 1-D latitude and longitude with coordinates of two dimensions instead."""
    bare = field.drop_vars(["lat", "lon"]).rename(lat="y", lon="x")
    attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    return bare.assign_coords(nav_lat=(DIMS, lat, attrs[0]), nav_lon=(DIMS, lon, attrs[1]))


@pytest.mark.parametrize("name", OPERATORS)
def test_a_regular_grid_is_the_sphere_to_second_order(name):
    apart = []
    for n in (33, 65):
        ds, _ = fields(*sampled(regular, n))
        straight = ds.drop_vars(["lat", "lon"]).assign_coords(
            lat=("y", ds.lat.values[:, 0], {"units": "degrees_north"}),
            lon=("x", ds.lon.values[0], {"units": "degrees_east"}),
        )
        here, there = outputs(name, ds), outputs(name, straight)
        assert here.keys() == there.keys()
        for k in here:
            same = {"units", "long_name", "standard_name", "earth_radius"}
            mine, theirs = (
                {w: f[k].attrs[w] for w in same & f[k].attrs.keys()} for f in (here, there)
            )
            assert mine == theirs
        apart.append(
            {
                k: np.abs(interior(here[k].values - there[k].values)).max() / UNITS.get(k, U0 / A)
                for k in here
            }
        )
    assert max(apart[1].values()) < 2e-3
    assert_order(*apart)


# --- the laplacian is that of oblique axes -----------------------------------------------------


def test_the_laplacian_of_oblique_axes_has_its_mixed_term():
    """On a plane of sheared axes, small enough to be flat, of f = x y, x² and x² − y²."""
    n, size, shear = 21, 1e-3, 0.7
    t, s = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    x, y = size * (s + shear * t), size * t
    metre = np.deg2rad(1) * A
    for f, exact in ((x * y, 0.0), (x**2, 2.0), (x**2 - y**2, 0.0)):
        ds, _ = fields(y, x)
        made = op.laplacian(ds.s.copy(data=f)).values * metre**2
        assert_allclose(made[2:-2, 2:-2], exact, atol=1e-4)


@pytest.mark.parametrize("ways", [lambda c: c, lambda c: {"y": c}, lambda c: (None, c)])
@pytest.mark.parametrize("constant", [0.0, 5.0])
def test_what_is_the_same_outside_has_no_laplacian(ways, constant):
    """On sheared axes, whose fluxes across both are differenced once more."""
    t, s = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 11), indexing="ij")
    ds, _ = fields(t, s + 0.7 * t)
    f = ds.s.copy(data=np.full((9, 11), constant))
    assert_array_equal(op.laplacian(f, boundary=ways(constant)), 0.0)


def test_components_at_other_places_are_refused():
    ds, _ = fields(*np.meshgrid(np.linspace(40, 50, 9), np.linspace(0, 9, 11), indexing="ij"))
    moved = ds.v.assign_coords({name: one + 0.5 for name, one in ds.v.coords.items()})
    for name, one in moved.coords.items():
        one.attrs = ds.v.coords[name].attrs
    with pytest.raises(CoordinateError, match="'u' and 'v' lie on different points"):
        op.vorticity(ds.u, moved)


def test_the_laplacian_conserves():
    """Its sum over a closed belt is the flux through the two ends, here nought, to rounding."""
    j, i = np.mgrid[0:24, 0:32]
    lon, lat = 360 * i / 32.0, 10 * (j - 12) / 3.0
    ds, _ = fields(lat + 3 * np.sin(np.deg2rad(lon)), lon)
    bump = np.exp(-((j - 12.0) ** 2) / 4) * (2 + np.sin(3 * i))
    f = ds.s.copy(data=np.where(abs(j - 12) < 7, bump, 0.0))
    made = op.laplacian(f, boundary={"x": "periodic"}).values
    area = cell_areas(ds)
    assert abs((made * area).sum()) < 1e-12 * abs(made * area).sum()


def cell_areas(ds):
    """J of centred differences along y and around x, of points as vectors in space."""
    p, q = np.deg2rad(ds.lat.values), np.deg2rad(ds.lon.values)
    place = A * np.array([np.cos(p) * np.cos(q), np.cos(p) * np.sin(q), np.sin(p)])
    by_x = (np.roll(place, -1, 2) - np.roll(place, 1, 2)) / 2
    by_y = np.gradient(place, axis=1)
    return np.einsum("kji,kji->ji", place / A, np.cross(by_x, by_y, axis=0))


# --- the way round of the axes ------------------------------------------------------------------

WAYS_ROUND = {
    "y descending": lambda ds: ds.isel(y=slice(None, None, -1)),
    "x reversed": lambda ds: ds.isel(x=slice(None, None, -1)),
    "x before y": lambda ds: ds.transpose("x", "y"),
    "coordinates x before y": lambda ds: ds.assign_coords(
        lat=ds.lat.transpose("x", "y"), lon=ds.lon.transpose("x", "y")
    ),
    "only longitude x before y": lambda ds: ds.assign_coords(lon=ds.lon.transpose("x", "y")),
    "longitudes to 360": lambda ds: ds.assign_coords(lon=ds.lon % 360),
}


ROUND = [
    (name, way, ("earth", "grid")[(i + j) % 2])
    for i, name in enumerate(OPERATORS)
    for j, way in enumerate(WAYS_ROUND)
]


@pytest.mark.parametrize(("name", "way", "components"), ROUND)
def test_the_way_round_changes_no_number_at_its_place(name, way, components):
    ds, _ = fields(*sampled(rotated_pole, 13))
    ds = along_the_grid(ds, rotated_pole) if components == "grid" else ds
    ds = ds.assign_coords(y=("y", np.arange(13)), x=("x", np.arange(13)))
    asked = outputs(name, ds)
    for k, a in outputs(name, WAYS_ROUND[way](ds)).items():
        back = a.sortby(["y", "x"]).transpose(*asked[k].dims)
        scale = np.nanmax(np.abs(asked[k].values))
        assert_allclose(back.values, asked[k].values, rtol=0, atol=1e-9 * scale, err_msg=k)


@pytest.mark.parametrize("name", ["kinematics", "laplacian", "horizontal_gradient"])
def test_dimensions_without_a_name_that_tells_may_be_either(name):
    ds, _ = fields(*sampled(rotated_pole, 9, 11))
    bare = ds.rename(x="a", y="b")
    swapped = bare.assign_coords({k: bare[k].transpose("a", "b") for k in ("lat", "lon")})
    for k, a in outputs(name, ds).items():
        scale = np.abs(a.values).max()
        for made in (outputs(name, bare), outputs(name, swapped)):
            assert_allclose(made[k].values, a.values, rtol=0, atol=1e-9 * scale)


def test_winds_along_such_a_grid_are_refused():
    ds = along_the_grid(fields(*sampled(rotated_pole, 9, 11))[0], rotated_pole)
    bare = ds.rename(x="a", y="b")
    with pytest.raises(OptionError, match="of 'b' and 'a' is x cannot be inferred; rename them"):
        op.vorticity(bare.u, bare.v)
    told = bare.assign_coords(a=("a", np.arange(11), {"axis": "X"}))
    assert_array_equal(op.vorticity(told.u, told.v), op.vorticity(ds.u, ds.v))


@pytest.mark.parametrize(
    "names",
    ["south_north west_east", "j i", "nj ni", "nlat nlon", "rlat rlon", "eta_rho xi_rho", "iy jx"],
)
def test_models_call_x_by_many_names(names):
    y, x = names.split()
    ds = along_the_grid(fields(*sampled(rotated_pole, 9, 11))[0], rotated_pole)
    named = ds.rename(x=x, y=y)
    named = named.assign_coords(lat=named.lat.transpose(x, y), lon=named.lon.transpose(x, y))
    assert_allclose(op.vorticity(named.u, named.v), op.vorticity(ds.u, ds.v), rtol=1e-9)


# --- what a wind is along -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("u_name", "v_name", "kind"),
    [
        ("x_wind", "y_wind", "grid"),
        ("sea_water_x_velocity", "sea_water_y_velocity", "grid"),
        ("grid_eastward_wind", "grid_northward_wind", "grid"),
        ("eastward_wind", "northward_wind", "earth"),
        ("surface_eastward_sea_water_velocity", None, "earth"),
        (None, "sea_water_y_velocity", "grid"),
    ],
)
def test_a_standard_name_says_what_a_wind_is_along(u_name, v_name, kind):
    ds, _ = fields(*sampled(rotated_pole, 9))
    blank = {k: ds[k].copy() for k in "uv"}
    for k, name in (("u", u_name), ("v", v_name)):
        blank[k].attrs = {"units": "m s-1"}
        ds[k].attrs = {"units": "m s-1"} | ({"standard_name": name} if name else {})
    want = op.vorticity(blank["u"], blank["v"], geometry=fd.Curvilinear(components=kind))
    assert_array_equal(op.vorticity(ds.u, ds.v), want)


def test_components_are_asked_for_where_nothing_tells_them():
    ds, _ = fields(*sampled(rotated_pole, 9))
    u, v = ds.u, ds.v.assign_attrs(standard_name="y_wind")
    with pytest.raises(OptionError, match=r"'eastward_wind' and 'y_wind', one to the east or nor"):
        op.vorticity(u, v)
    for f in (u, v):
        del f.attrs["standard_name"]
    with pytest.raises(
        OptionError, match=r"'u' lies on a curvilinear grid, and its standard_name "
    ):
        op.deformation(u, v)
    with pytest.raises(OptionError, match="components is 'north'; choose 'earth', 'grid', or None"):
        op.vorticity(u, v, geometry=fd.Curvilinear(components="north"))


def test_kinematics_is_its_parts():
    ds, _ = fields(*sampled(oblique, 13))
    for winds in (ds, along_the_grid(ds, oblique)):
        some = op.kinematics(winds.u, winds.v, which=["vorticity", "divergence"])
        every = op.kinematics(winds.u, winds.v)
        assert list(some) == ["vorticity", "divergence"]
        for k in some:
            assert_array_equal(some[k], getattr(op, k)(winds.u, winds.v))
            assert_array_equal(some[k], every[k])
        assert_array_equal(
            every.total_deformation, op.deformation(winds.u, winds.v).total_deformation
        )


def test_the_angle_may_be_given_beside_the_places():
    """ROMS has it: directions along the grid are then not differenced but read."""
    wrong = []
    for n in (17, 33):
        ds, exact = fields(*sampled(rotated_pole, n))
        winds = along_the_grid(ds, rotated_pole)
        (x_e, x_n, _), _ = directions(rotated_pole, n)
        angle = xr.DataArray(np.arctan2(x_n, x_e), dims=DIMS, attrs={"units": "radians"})
        made = op.kinematics(winds.u, winds.v, geometry=fd.Curvilinear(angle=angle))
        wrong.append({k: np.abs(interior(made[k].values - exact[k])).max() * A / U0 for k in made})
    assert_order(*wrong)


# --- what is asked for and not there -----------------------------------------------------------


def test_what_is_missing_is_said():
    ds, _ = fields(*sampled(rotated_pole, 9))
    bare = ds.s.drop_vars("lat")
    with pytest.raises(
        CoordinateError, match="'s' has no latitude and longitude over the same two"
    ):
        op.gradient_magnitude(bare, geometry=fd.Curvilinear())
    radians = ds.s.assign_coords(lat=ds.lat.assign_attrs(units="radians"))
    with pytest.raises(CoordinateError, match="'lat' is in radians; turn it into degrees first"):
        op.gradient_magnitude(radians)
    with pytest.raises(CoordinateError, match="along a track there is no gradient across it"):
        op.horizontal_gradient(fields(*sampled(turned, 9))[0].s.isel(y=3))
    with pytest.raises(OptionError, match="boundary names 'lat'; on a curvilinear grid it is for"):
        op.vorticity(ds.u, ds.v, boundary={"lat": "periodic"})


def test_the_two_dimensional_places_count_where_the_axes_are_nominal():
    lat, lon = sampled(regular, 9)
    ds, _ = fields(lat, lon)
    s = ds.s.rename(lat="lat2", lon="lon2").assign_coords(
        lat=("y", lat[:, 0], {"units": "degrees_north"}),
        lon=("x", lon[0], {"units": "degrees_east"}),
    )
    assert op.gradient_magnitude(s).attrs["horizontal_geometry"] == "sphere"
    moved = s.assign_coords(lat2=s.lat2 + 3.0)
    assert op.gradient_magnitude(moved).attrs["horizontal_geometry"] == "curvilinear"
    lazy = s.assign_coords(lat2=s.lat2.chunk())
    with pytest.raises(CoordinateError, match=r"load it: \.assign_coords\(lat2=….lat2.load\(\)\)"):
        op.gradient_magnitude(lazy)
    loaded = op.gradient_magnitude(lazy.assign_coords(lat2=lazy.lat2.load()))
    assert loaded.attrs["horizontal_geometry"] == "sphere"
    asked = op.gradient_magnitude(s, geometry=fd.Curvilinear())
    assert asked.attrs["horizontal_geometry"] == "curvilinear"
