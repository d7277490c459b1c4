"""The staggered grids of models are recognised from the names and attributes of their files."""

from __future__ import annotations

import dask
import model_cases as cases
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_equal
from tripolar import FOLDED, tripolar

import fdgrad_dask as fd
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.model_cells import ModelCells
from fdgrad_dask.grids.models import PLACES, find_layout
from fdgrad_dask.grids.staggered import find_point

ALL = {**cases.C_GRIDS, **cases.B_GRIDS}


@pytest.mark.parametrize("model", ALL)
def test_positions_and_cell_sizes(model, tmp_path):
    """As opened from a file: faces where they are, lengths and areas in metres at their points."""
    case = ALL[model](12)
    case.ds.to_netcdf(tmp_path / "model.nc")
    with xr.open_dataset(tmp_path / "model.nc") as ds:
        grid = recognise_grid(ds)
        assert grid is not None
        other_names = find_layout(ds).other_names
        assert (grid.face("x"), grid.face("y")) == (case.cells.faces,) * 2
        at_corner = model in cases.B_GRIDS
        own = {case.u: "corner" if at_corner else "u", case.v: "corner" if at_corner else "v"}
        for name, point in {**own, case.scalar: "center"}.items():
            field = ds[name].rename({d: other_names.get(d, d) for d in ds[name].dims})
            assert find_point(field, grid) == point
        needed = {"dx": own[case.u], "dy": own[case.v]}
        for kind in ("dx", "dy", "area"):
            sizes = getattr(grid, kind)
            assert needed.get(kind) in (None, *sizes)
            assert {one.units for one in sizes.values()} <= {"m2" if kind == "area" else "m"}
            for point, values in sizes.items():
                true = getattr(case.cells, kind)(point)
                # Some are means of two or four others, of which the ends are extrapolated.
                got = values.transpose(*grid.dims(point)).values
                np.testing.assert_allclose(got[1:-1, 1:-1], true[1:-1, 1:-1], rtol=0.02)
                np.testing.assert_allclose(got, true, rtol=0.06)


def recognise_grid(ds):
    return ModelCells(ds, find_layout(ds)).grid()


def refuse(*_, **__):
    raise AssertionError("computed")


def measure(model, ny, name):
    """The mean error of an operator of u and v between 40° S and N, over the largest value.

    Only the outermost rows and columns may be unknown. A B grid has both at centres.
    """
    case = ALL[model](ny)
    of_scalar = name in ("gradient_magnitude", "laplacian")
    scalars = [case.scalar] if name == "advection" or of_scalar else []
    winds = [] if of_scalar else [case.u, case.v]
    made = getattr(case.ds.fdgrad, name)(*winds, *scalars)
    around = "corner" if name == "vorticity" and model in cases.C_GRIDS else "center"
    lon, lat = case.cells.at(around)
    got = made.values.reshape(-1, *lon.shape)
    assert np.isfinite(got[:, 1:-1, 1:-1]).all()
    exact = getattr(cases, name)(lon, lat)
    inside = (abs(lat) < 40.1) & (lon > 40) & (lon < 120)
    return float(np.sqrt(((got - exact)[:, inside] ** 2).mean()) / abs(exact).max())


@pytest.mark.parametrize("model", ALL)
def test_operators_are_of_second_order(model):
    names = ["vorticity", "divergence"]
    for name in names + ["advection"] * (model in ("WRF", "POP", "MOM6", "MITgcm")):
        coarse, fine = (measure(model, ny, name) for ny in (12, 24))
        assert fine < 0.01
        assert np.log2(coarse / fine) > 1.8, (name, coarse, fine)


@pytest.mark.parametrize("name", ["gradient_magnitude", "laplacian"])
@pytest.mark.parametrize("model", ALL)
def test_derivatives_of_a_scalar_are_of_second_order(model, name):
    """The gradient is exact where places are differenced in space: there it is linear."""
    coarse, fine = (measure(model, ny, name) for ny in (12, 24))
    assert fine < 0.003
    assert coarse < 1e-13 or np.log2(coarse / fine) > 1.8


@pytest.mark.parametrize("model", ["NEMO", "xnemogcm", "WRF"])
def test_the_two_derivatives_of_a_scalar(model):
    """To the east and north where the mesh says where cells lie, else along x and y."""
    errors = []
    for ny in (12, 24):
        case = ALL[model](ny)
        made = case.ds.fdgrad.horizontal_gradient(case.scalar)
        lon, lat = case.cells.at("center")
        inside = (abs(lat) < 40.1) & (lon > 40) & (lon < 120)
        exact = cases.slopes(lon, lat)
        got = [one.values.reshape(-1, *lon.shape)[-1] for one in made.values()]
        errors.append(max(abs(g - e)[inside].max() for g, e in zip(got, exact, strict=True)) / 1e-6)
        assert {*made.coords} == {*case.ds[case.scalar].coords}
        xr.testing.assert_identical(
            case.ds.chunk(7).fdgrad.horizontal_gradient(case.scalar).compute(), made
        )
    assert errors[1] < 0.02
    assert errors[0] < 1e-12 or np.log2(errors[0] / errors[1]) > 1.8


def test_a_mesh_says_where_fields_lie_without_attributes():
    """As xnemogcm merges it: each point has its own."""
    case, mesh = cases.xnemogcm(12), cases.nemo(12).ds.squeeze()
    dims = {letter: case.ds[f"e1{letter}"].dims for letter in "tuvf"}
    names = [f"{place}{letter}" for place in ("glam", "gphi") for letter in dims]
    ds = case.ds.assign({name: (dims[name[-1]], mesh[name].values) for name in names})
    exact = cases.gradient_magnitude(*case.cells.at("center"))
    made = ds.fdgrad.gradient_magnitude("thetao")
    np.testing.assert_allclose(made[1:-1, 1:-1], exact[1:-1, 1:-1], rtol=1e-9)
    assert made.dims == ("y_c", "x_c")
    twice = ds.fdgrad.gradient_magnitude(2 * ds.thetao)
    np.testing.assert_allclose(twice, 2 * made, rtol=1e-14)
    with pytest.raises(CoordinateError, match="units"):  # of some cells: which is not known
        ds.fdgrad.gradient_magnitude(ds.thetao[3:, 3:].drop_vars(["x_c", "y_c"]))


def test_a_scalar_across_the_fold_of_a_mesh():
    """The mesh of NEMO says where the cells lie, and so where the fold is."""
    ds, _ = tripolar(24)
    places = {"glamt": ds.lon, "gphit": ds.lat, "glamu": ds.lon + 1.0, "gphiu": ds.lat}
    mesh = {n: one.drop_vars(("lat", "lon")).drop_attrs() for n, one in places.items()}
    nemo = xr.Dataset(mesh).expand_dims("t")
    nemo["thetao"] = (("deptht", "y", "x"), ds.s.values[None], ds.s.attrs)
    made = nemo.fdgrad.gradient_magnitude("thetao", boundary=FOLDED)
    np.testing.assert_array_equal(made[0], ds.s.fdgrad.gradient_magnitude(boundary=FOLDED))
    said = repr(nemo.fdgrad)
    assert "open ends, with" in said
    assert "glamt" not in said.splitlines()[0]


def test_a_point_by_an_attribute_when_coordinates_are_not_named():
    ds = cases.pop(12).ds
    made = ds.fdgrad.laplacian("TEMP")
    del ds.TEMP.encoding["coordinates"]  # both TLAT and ULAT may be its own, but for grid_loc
    np.testing.assert_array_equal(ds.fdgrad.laplacian("TEMP"), made)
    del ds.TEMP.attrs["grid_loc"]
    with pytest.raises(CoordinateError, match="2 coordinates that are a latitude"):
        ds.fdgrad.laplacian("TEMP")


def test_places_that_are_the_same_at_all_times():
    case = cases.wrf(12)
    made = case.ds.T2.fdgrad.gradient_magnitude()
    xr.testing.assert_identical(case.ds.fdgrad.gradient_magnitude("T2"), made)
    assert made.XLAT.dims == ("Time", "south_north", "west_east")
    moved = case.ds.XLAT + xr.DataArray([0.0, 0.5], dims="Time")
    nest = case.ds.assign_coords(XLAT=moved.assign_attrs(case.ds.XLAT.attrs))
    with pytest.raises(CoordinateError, match=r"stands still; select one .*isel\(Time=0\)"):
        nest.fdgrad.gradient_magnitude("T2")
    still = nest.isel(Time=0).fdgrad.gradient_magnitude("T2")
    np.testing.assert_array_equal(still, made[0])
    lazy = nest.chunk(5)
    with dask.config.set(scheduler=refuse):
        made = lazy.fdgrad.gradient_magnitude("T2")
    assert np.isnan(made).all()
    members = case.ds.rename(Time="member").chunk(5)
    with pytest.raises(CoordinateError, match=r"isel\(member=0, drop=True\)"):
        members.fdgrad.gradient_magnitude("T2")


@pytest.mark.parametrize(("model", "names"), [("hrrr", ("u10", "v10")), ("cordex", ("uas", "vas"))])
def test_maps_are_not_staggered(model, names):
    """Their winds lie on the same points, where the geometry of the coordinates serves them."""
    errors = []
    for n in (17, 33):
        ds = getattr(cases, model)(n)
        assert find_layout(ds) is None
        made = ds.fdgrad.vorticity(*names)
        lat, lon = ("latitude", "longitude") if model == "hrrr" else ("lat", "lon")
        exact = cases.vorticity(ds[lon].values, ds[lat].values)
        error = abs(made.values - exact)[2:-2, 2:-2]
        errors.append(error.max() / abs(exact).max())
    assert errors[1] < 2e-3
    assert np.log2(errors[0] / errors[1]) > 1.8


@pytest.mark.parametrize("model", ["MITgcm", "MOM6, non-symmetric", "xwrf"])
def test_faces_selected_apart_from_cells_are_not_taken(model):
    ds = ALL[model](12).ds
    grid = recognise_grid(ds)
    x, face = grid.x["center"], grid.x[grid.face("x")]
    same = ds.isel({x: slice(2, 9), face: slice(2, 9 + (model == "xwrf"))})
    assert recognise_grid(same).x == grid.x
    assert "x" not in recognise_grid(same).boundary
    assert find_layout(ds.isel({x: slice(2, 9), face: slice(3, 10 + (model == "xwrf"))})) is None
    assert find_layout(ds.isel({x: slice(2, 9)})) is None
    thinned = ds.isel({x: slice(None, None, 2), face: slice(None, None, 2)})
    assert find_layout(thinned) is None  # its cells are larger than their sizes


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("model", ["ROMS", "WRF"])
def test_cells_and_faces_may_both_be_counted(model, first):
    """Also where there are more of one than of the other; equal numbers, equal places."""
    case = ALL[model](12)
    of = {dim: np.arange(n) + first for dim, n in case.ds.sizes.items() if dim != "Time"}
    ds = case.ds.assign_coords(of)
    made = ds.fdgrad.vorticity(case.u, case.v)
    assert_equal(made.values, case.ds.fdgrad.vorticity(case.u, case.v).values)
    grid = recognise_grid(ds)
    x, face = grid.x["center"], grid.x[grid.face("x")]
    names = [dim for dim in ds.dims if str(dim)[:2] == str(x)[:2]]
    shift = {d: slice(1, None) for d in names if ds.sizes[d] == ds.sizes[face]}
    cut = {d: slice(0, -1) for d in names if ds.sizes[d] == ds.sizes[x]}
    assert find_layout(ds.isel(shift | cut)) is None
    same = dict.fromkeys(names, slice(1, None))
    assert find_layout(ds.isel(same)) is not None
    bad = ds.assign_coords({dim: 0 * ds[dim] for dim in names})  # numbers that were never written
    assert find_layout(bad) is None


@pytest.mark.parametrize("model", ["NEMO", "NEMO, XIOS", "POP", "CICE"])
def test_a_result_says_on_which_points_it_lies(model, tmp_path):
    """Where points share dimensions: as a variable of its dataset, also by way of a file."""
    case = ALL[model](24)
    ds = case.ds.set_coords([n for n in case.ds.data_vars if n not in (case.u, case.v)])
    made = ds.fdgrad.kinematics(case.u, case.v, which=["vorticity", "divergence"])
    ds.assign(made.data_vars).to_netcdf(tmp_path / "made.nc")
    with xr.open_dataset(tmp_path / "made.nc") as read:
        for one in (ds.assign(made.data_vars), read):
            for name in made:
                at_u = one.fdgrad.interpolate(name, to="u")
                true = case.cells.values(getattr(cases, name), "u")
                error = abs(at_u - true).values.reshape(-1, *true.shape)[:, 2:-2, 2:-2]
                assert error.max() < 5e-3 * abs(true).max()
    slope = ds.fdgrad.gradient_magnitude(case.scalar)
    assert np.isfinite(slope.fdgrad.gradient_magnitude()).all()
    lost = ds.assign({name: one.drop_encoding() for name, one in made.items()})
    with pytest.raises(CoordinateError, match="nothing says on which points"):
        lost.fdgrad.interpolate("vorticity", to="center")


@pytest.mark.parametrize("model", ["WRF", "xwrf", "ROMS"])
def test_absolute_vorticity_where_corners_have_no_latitude(model):
    """Those of u or v beside them count, also where places have a time and do not move."""
    case = ALL[model](24)
    ds = case.ds.drop_vars(["lat_psi", "lon_psi"], errors="ignore")
    lon, lat = case.cells.at("corner")
    true = cases.vorticity(lon, lat) + 2 * 7.292115e-5 * np.sin(np.deg2rad(lat))
    made = ds.fdgrad.absolute_vorticity(case.u, case.v)
    assert_equal(made.isnull().values, ds.fdgrad.vorticity(case.u, case.v).isnull().values)
    assert abs(made - true).max() < 1e-3 * abs(true).max()
    lazily = ds.chunk().fdgrad.absolute_vorticity(case.u, case.v)
    assert lazily.chunks is not None
    xr.testing.assert_identical(lazily.compute(), made)
    if model == "WRF":
        moved = {n: one + 0.5 * one.Time for n, one in ds.coords.items()}
        moving = ds.assign_coords(Time=[0, 1]).assign_coords(
            {n: (one.dims, one.values, ds[n].attrs) for n, one in moved.items()}
        )
        assert moving.fdgrad.absolute_vorticity(case.u, case.v).isnull().all()


PLACES_OF_ALL = ["XC", "YC", "XG", "YG", *" ".join(PLACES.values()).split()]
TURNED = {"NEMO": "y", "NEMO, XIOS": "x", "POP": "nlat", "CICE": "ni", "ROMS": "eta", "MOM6": "y"}
TURNED |= {"WRF": "south"}  # whose places have a time


def turn(ds, axis, step):
    """The dataset with every second point along an axis, or all of them in the other order."""
    dims = [dim for dim in ds.sizes if str(dim).startswith(axis)]
    # Of the odd points ROMS has one face fewer still, of the even ones WRF one more.
    first = 1 if step > 1 and axis != "south" else None
    return ds.isel({dim: slice(first, None, step) for dim in dims})


@pytest.mark.parametrize("step", [2, -1])
@pytest.mark.parametrize("model", TURNED)
def test_cells_of_other_lengths_or_in_another_order_are_refused(model, step):
    """Labels do not say so, or there are none: places do. Turned back they are what they were."""
    case = ALL[model](12)
    names, axis = (case.u, case.v), TURNED[model]
    made = case.ds.fdgrad.vorticity(*names)
    ds = turn(case.ds, axis, step)
    if step == -1:
        with pytest.raises(CoordinateError, match=r"turn it back|turn the one .* back"):
            ds.fdgrad.vorticity(*names)
        xr.testing.assert_identical(turn(ds, axis, step).fdgrad.vorticity(*names), made)
    else:
        with pytest.raises(CoordinateError, match=r"[27]5% of the way|on different points"):
            ds.fdgrad.divergence(*names)


@pytest.mark.parametrize("model", ["MITgcm", "MOM6, non-symmetric", "xnemogcm"])
def test_one_column_is_as_many_of_the_same(model):
    """As of a channel without a zonal direction: where x is periodic nothing changes along it."""
    case = ALL[model](12)
    both = list(recognise_grid(case.ds).x.values())
    places = [name for name in PLACES_OF_ALL if name in case.ds.variables]
    bare = case.ds.drop_vars([*places, *both])
    one, three = (
        bare.isel({dim: [4] * n for dim in both}).fdgrad.kinematics(
            case.u, case.v, boundary={"x": "periodic"}
        )
        for n in (1, 3)
    )
    for name, made in one.items():
        assert made.notnull().any()
        np.testing.assert_allclose(made, three[name][:, :1], rtol=1e-14)


def test_places_that_say_nothing_refuse_nothing():
    """Fill values on land, one row of cells, and what is counted in something else."""
    ds = cases.pop(12).ds
    made = ds.fdgrad.vorticity("UVEL", "VVEL").values
    land = ds.TLAT < 20
    for fill in (np.nan, 0.0, -1e34):
        places = {name: ds[name].variable.where(~land, fill) for name in ("TLAT", "TLONG", "ULAT")}
        got = ds.assign(places).fdgrad.vorticity("UVEL", "VVEL").values
        np.testing.assert_array_equal(got, made)
    plane = {n: 111 * ds[n].variable for n in ("TLAT", "TLONG", "ULAT", "ULONG")}
    got = ds.assign(plane).fdgrad.vorticity("UVEL", "VVEL").values
    np.testing.assert_array_equal(got, made)
    row = ds.isel(nlat=slice(3, 4)).fdgrad.kinematics("UVEL", "VVEL")
    assert row.sizes == {"nlat": 1, "nlon": 24}


def test_around_the_globe_by_longitudes_alone():
    ds = cases.mom6(12).ds
    assert recognise_grid(ds).boundary == {"x": "periodic"}
    made = ds.fdgrad.vorticity("uo", "vo")
    assert np.isfinite(made[1:-1]).all()
    assert np.isnan(made[[0, -1]]).all()
    np.testing.assert_array_equal(made[:, 0], made[:, -1])


def test_what_is_known_of_the_ends_can_be_said():
    ds = cases.mom6(12, "right").ds  # the southernmost faces are not stored
    made = ds.fdgrad.divergence("uo", "vo")
    assert np.isnan(made[0]).all()
    walls = ds.fdgrad.divergence("uo", "vo", boundary={"yh": 0.0})
    assert np.isfinite(walls).all()
    np.testing.assert_array_equal(walls[1:], made[1:])


def test_nominal_labels_are_no_places():
    """Without the static file MOM6's labels may be longitudes and latitudes, or not."""
    ds = cases.mom6(12).ds
    static = ds.drop_vars(["uo", "vo"])
    daily = ds[["uo", "vo", "thetao"]]
    with pytest.raises(CoordinateError, match=r"ds\.merge\(static\)") as refused:
        daily.fdgrad.vorticity("uo", "vo")
    merged = daily.merge(static).fdgrad.vorticity("uo", "vo")
    np.testing.assert_array_equal(merged, ds.fdgrad.vorticity("uo", "vo"))
    grid = fd.Grid(x={"center": "xh", "outer": "xq"}, y={"center": "yh", "outer": "yq"})
    assert f"Grid(x={grid.x}, y={grid.y})" in str(refused.value)
    made = daily.fdgrad.vorticity("uo", "vo", geometry=grid)
    np.testing.assert_allclose(made[1:-1, 1:-1], merged[1:-1, 1:-1], rtol=0.02, atol=1e-8)


def test_fields_with_other_labels_than_the_cell_sizes():
    """Nominal labels are no places, but say which cells a field is of."""
    ds = cases.mom6(12).ds
    shifted = ds.uo.roll(xq=1, roll_coords=True)
    with pytest.raises(CoordinateError, match=r"different labels along 'xq'.*ds\.isel\(xq="):
        ds.fdgrad.vorticity(shifted, "vo")
    with pytest.raises(CoordinateError, match="different labels along 'yq'"):
        ds.fdgrad.divergence("uo", ds.vo.isel(yq=slice(3, 9)))
    made = ds.isel(yh=slice(3, 8), yq=slice(3, 9)).fdgrad.divergence("uo", "vo")
    np.testing.assert_array_equal(made, ds.fdgrad.divergence("uo", "vo")[3:8])


def test_nemo_without_a_word_of_where_fields_lie():
    case = cases.nemo_xios(12)
    ds = case.ds.copy()
    true = ds.fdgrad.vorticity(case.u, case.v)
    for name in (case.u, case.v, case.scalar):
        ds[name] = ds[name].copy()
        ds[name].encoding = {}
    with pytest.raises(CoordinateError, match=r"nothing says on which points .* 'uo', 'vo' lie"):
        ds.fdgrad.vorticity(case.u, case.v)
    ds[case.u].encoding["coordinates"] = "nav_lon_grid_U nav_lat_grid_U"
    ds[case.v].encoding["coordinates"] = "nav_lon_grid_V nav_lat_grid_V"
    np.testing.assert_array_equal(ds.fdgrad.vorticity(case.u, case.v), true)


@pytest.mark.parametrize("names", [("uo", "vo"), ("uos", "vos"), ("vozocrtx", "vomecrty")])
def test_currents_of_nemo_merged_without_its_mesh(names):
    """They are half a cell off the one latitude that is left, by an error of first order."""
    case, mesh = cases.nemo_files(12, *names), cases.nemo(12)
    is_certain = names == ("vozocrtx", "vomecrty")  # names that nothing but NEMO has
    words = "the mesh_mask, which has its cell sizes" if is_certain else "nothing says on which"
    with pytest.raises(CoordinateError, match=words):
        case.ds.fdgrad.vorticity(*names)
    merged = case.ds.merge(mesh.ds.drop_vars(["uo", "vo", "thetao"]))
    if not is_certain:
        with pytest.raises(CoordinateError, match="name the coordinates of each"):
            merged.fdgrad.vorticity(*names)
        for name, own in zip(names, ("glamu gphiu", "glamv gphiv"), strict=True):
            merged[name].encoding["coordinates"] = own
    made = merged.fdgrad.vorticity(*names)
    np.testing.assert_array_equal(made, mesh.ds.fdgrad.vorticity("uo", "vo")[0])


def test_currents_that_are_on_the_same_points():
    """Turned to the east and north, which is done at the centres of cells; or as the user says."""
    case = cases.nemo_files(12, "uo", "vo")
    ds = case.ds.copy()
    for name, way in (("uo", "east"), ("vo", "north")):
        ds[name] = case.ds[name].assign_attrs(standard_name=f"{way}ward_sea_water_velocity")
    assert find_layout(ds) is None
    z = ds.fdgrad.vorticity("uo", "vo")
    same = case.ds.fdgrad.vorticity("uo", "vo", geometry=fd.Curvilinear(components="earth"))
    np.testing.assert_array_equal(z, same)


def test_points_with_dimensions_of_two_names():
    """XIOS counts each grid of NEMO by dimensions of its own, of which some are the same."""
    u = (("y_grid_U", "x_grid_U"), np.zeros((4, 5)))
    ds = xr.Dataset({"uo": u, "vo": (("y_grid_V", "x_grid_V"), u[1])})
    layout = find_layout(ds)
    assert layout.grid.x == {"center": "x_grid_V", "right": "x_grid_U"}
    assert layout.grid.y == {"center": "y_grid_U", "right": "y_grid_V"}
    with_t = find_layout(ds.assign(thetao=(("y_grid_T", "x_grid_T"), u[1])))
    assert with_t.other_names == {"x_grid_V": "x_grid_T", "y_grid_U": "y_grid_T"}
    assert find_layout(ds.isel(x_grid_V=slice(3))) is None


def test_what_is_computed_from_a_field_may_lie_elsewhere():
    """A selection keeps its coordinates in the encoding; a mean of neighbours loses them."""
    ds = cases.pop(12).ds
    ds = ds.assign({n: ds[n].expand_dims(time=2) for n in ("UVEL", "VVEL")})
    for name in ("UVEL", "VVEL"):
        ds[name].encoding["coordinates"] = "ULONG ULAT"
    whole = ds.fdgrad.divergence("UVEL", "VVEL")
    one = ds.fdgrad.divergence(ds.UVEL.isel(time=0), ds.VVEL.isel(time=0))
    np.testing.assert_array_equal(one, whole[0])
    means = [(ds[n] + ds[n].shift(nlon=1)) / 2 for n in ("UVEL", "VVEL")]
    with pytest.raises(CoordinateError, match="2 coordinates that are a latitude"):
        ds.fdgrad.divergence(*(one.assign_attrs(units="m s-1") for one in means))
    nemo = cases.nemo(12)
    with pytest.raises(CoordinateError, match=r"nothing says on which points .* 'uo' lie"):
        nemo.ds.fdgrad.vorticity(2 * nemo.ds.uo, "vo")


def test_a_moving_nest_has_no_cell_sizes():
    ds = cases.wrf(12).ds
    still = ds.fdgrad.divergence("U", "V")
    factors = ds.MAPFAC_VX.values.copy()
    factors[1, :, 4] *= 1.01
    made = ds.assign(MAPFAC_VX=(ds.MAPFAC_VX.dims, factors)).fdgrad.divergence("U", "V")
    assert np.isnan(made[..., 4]).all()
    others = [column for column in range(made.shape[-1]) if column != 4]
    np.testing.assert_array_equal(made[..., others], still[..., others])


def test_cell_sizes_in_other_units():
    case = cases.pop(12)
    true = case.ds.fdgrad.divergence("UVEL", "VVEL")
    metres = case.ds.copy()
    for name in ("DXU", "DYU", "DXT", "DYT", "HUS", "HUW", "HTN", "HTE"):
        metres[name] = (0.01 * case.ds[name]).assign_attrs(units="m")
    np.testing.assert_allclose(metres.fdgrad.divergence("UVEL", "VVEL"), true, rtol=1e-12)
    metres.DXU.attrs["units"] = "degrees"
    with pytest.raises(CoordinateError, match="'DXU' is in 'degrees', but as a cell size"):
        metres.fdgrad.divergence("UVEL", "VVEL")


def test_a_cube_is_one_face_at_a_time():
    case = cases.mitgcm(12)
    cube = case.ds.expand_dims(face=3)
    assert find_layout(cube) is None
    assert "select one face first: .isel(face=0)" in repr(cube.fdgrad)
    with pytest.raises(CoordinateError, match="different points"):
        cube.fdgrad.divergence(case.u, case.v)
    made = cube.isel(face=1).fdgrad.divergence(case.u, case.v)
    np.testing.assert_array_equal(made, case.ds.fdgrad.divergence(case.u, case.v))


@pytest.mark.parametrize("model", ["WRF", "NEMO"])
def test_nothing_is_computed_before_it_is_asked_for(model):
    case = ALL[model](12)
    lazy = case.ds.chunk(7)
    with dask.config.set(scheduler=refuse):
        repr(lazy[[case.u, case.v]].fdgrad)
        made = lazy.fdgrad.kinematics(case.u, case.v)
    whole = case.ds.fdgrad.kinematics(case.u, case.v)
    for name in whole:
        np.testing.assert_array_equal(made[name].values, whole[name].values)


def test_an_overview_says_what_was_recognised():
    lines = repr(cases.pop(12).ds.fdgrad).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  staggered"))
    rows = [line.removeprefix("  staggered").strip() for line in lines[start : start + 6]]
    assert rows == [
        "POP: ULAT, ULONG, UAREA over nlat, nlon; the upper end of y is open, also at the fold of "
        "a tripolar grid",
        "x: center nlon, right nlon, open ends",
        "y: center nlat, right nlat, open ends",
        "at center: TEMP",
        "at corner: UVEL, VVEL",
        "cell sizes: DXT, HUS, HTN, DXU, DYT, HTE, HUW, DYU, TAREA, UAREA",
    ]
    ours = [line for line in lines if line.startswith("  UVEL, VVEL ")]
    assert {"divergence", "vorticity"} <= {*ours[0].replace(",", "").split()}


def test_fields_are_interpolated_on_the_grid_of_their_dataset():
    """Also without cell sizes, which a mean of two neighbours does not need."""
    ds = cases.mom6(12).ds[["uo", "vo", "thetao"]]
    made = ds.fdgrad.interpolate("uo", to="center")
    assert made.dims == ("yh", "xh")
    means = (ds.uo.values[:, 1:] + ds.uo.values[:, :-1]) / 2
    np.testing.assert_allclose(made, means, atol=1e-12)  # the last column is the first
    assert {*made.coords} == {"yh", "xh"}
    assert made.attrs["units"] == "m s-1"
    around = ds.fdgrad.interpolate("thetao", to="u").values
    np.testing.assert_array_equal(around[:, 0], (ds.thetao[:, 0] + ds.thetao[:, -1]) / 2)
    pop = cases.pop(12).ds
    u = pop.UVEL.values
    four = u[1:, 1:] + u[:-1, 1:] + (u[1:, :-1] + u[:-1, :-1])
    at_center = pop.fdgrad.interpolate("UVEL", to="center")
    np.testing.assert_allclose(at_center[1:, 1:], four / 4, rtol=1e-14)
    shifted = (pop.UVEL + pop.UVEL.shift(nlon=1)) / 2
    with pytest.raises(CoordinateError, match=r"grid \(POP: .* 'UVEL' lie; name the coordinates"):
        pop.fdgrad.interpolate(shifted, to="u")
    with pytest.raises(OptionError, match="geometry is None, but points to interpolate"):
        ds[["thetao"]].fdgrad.interpolate("thetao", to="u")
    # Operators of one scalar go by its coordinates, as ever.
    by_places = ds.thetao.fdgrad.laplacian()
    xr.testing.assert_identical(ds.fdgrad.laplacian("thetao"), by_places)


# --- by names and attributes alone ---------------------------------------------------------------


def sized(**sizes):
    """A dataset of nothing but dimensions, each with its labels or their number."""
    return xr.Dataset(
        {
            f"of_{dim}": (dim, np.zeros(n if isinstance(n, int) else len(n)))
            for dim, n in sizes.items()
        },
        {dim: (dim, n) for dim, n in sizes.items() if not isinstance(n, int)},
    )


def with_attrs(ds, **attrs):
    return ds.assign_coords({dim: ds[dim].assign_attrs(one) for dim, one in attrs.items()})


def comodo(**more):
    ds = sized(
        a=np.arange(4.0), af=np.arange(4) - 0.5, b=np.arange(3.0), bf=np.arange(3) + 0.5, **more
    )
    x, y = {"axis": "X"}, {"axis": "Y"}
    return with_attrs(
        ds, a=x, b=y, af=x | {"c_grid_axis_shift": -0.5}, bf=y | {"c_grid_axis_shift": 0.5}
    )


def test_comodo_says_where_faces_lie_whatever_dimensions_are_called():
    ds = with_attrs(comodo(z=np.arange(5.0), zf=np.arange(6.0)), z={"axis": "Z"}, zf={"axis": "Z"})
    layout = find_layout(ds.expand_dims(time=2))
    assert layout.grid.x == {"center": "a", "left": "af"}
    assert layout.grid.y == {"center": "b", "right": "bf"}
    assert layout.grid.source == "COMODO: c_grid_axis_shift of 'af' and 'bf'"
    assert not layout.is_nominal
    assert not layout.is_c_grid
    assert find_layout(with_attrs(comodo(a2=np.arange(4.0)), a2={"axis": "X"})) is None
    more = {"axis": "Y", "c_grid_axis_shift": -0.5}
    assert find_layout(with_attrs(comodo(b2=np.arange(3.0)), b2=more)) is None
    assert find_layout(comodo().drop_vars("bf")) is None
    assert find_layout(comodo().isel(a=slice(1))) is None


def test_sgrid_needs_a_topology_of_two_dimensions():
    ds = cases.roms(4, sgrid=True).ds
    assert find_layout(ds).grid.x == {"center": "xirho", "inner": "xipsi"}
    for attrs in ({"cf_role": "mesh_topology"}, {"node_dimensions": "xipsi etapsi zpsi"}):
        assert find_layout(ds.assign(grid=ds.grid.assign_attrs(attrs))) is None


@pytest.mark.parametrize(("padding", "position"), [("low", "right"), ("high", "left")])
def test_the_padding_of_sgrid_says_which_faces_there_are_of_as_many(padding, position):
    ds = sized(xi=4, xin=4, eta=3, etan=4)
    said = f"xi: xin (padding: {padding}) eta: etan (padding: none)"
    attrs = {"cf_role": "grid_topology", "node_dimensions": "xin etan", "face_dimensions": said}
    layout = find_layout(ds.assign(grid=((), 0, attrs)))
    assert layout.grid.x == {"center": "xi", position: "xin"}
    assert layout.grid.y == {"center": "eta", "outer": "etan"}
    plain = attrs | {"face_dimensions": "xi: xin eta: etan (padding: none)"}
    assert find_layout(ds.assign(grid=((), 0, plain))) is None  # of which none are said
    for other in ("none", "both"):  # of which there are more, or fewer
        padded = attrs | {
            "face_dimensions": said.replace(f"padding: {padding}", f"padding: {other}")
        }
        assert find_layout(ds.assign(grid=((), 0, padded))) is None


SIDES = {"left": -0.5, "right": 0.5, "inner": 0.5, "outer": -0.5}


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("position", SIDES)
def test_faces_lie_about_midway_between_cells(position, sense):
    """Up to 0.2 of a step away, as the faces of uneven cells do."""
    off = SIDES[position]
    names = {"left": ("i", "i_g", "j", "j_g"), "right": ("x_c", "x_f", "y_c", "y_f")}
    x, face, y, y_face = names.get(position, ("x", "x_stag", "y", "y_stag"))
    n = 5 + {"inner": -1, "outer": 1}.get(position, 0)
    sizes = {y: 4, y_face: 4 + n - 5}
    cells, faces = 100 * sense * np.arange(5), 100 * sense * (np.arange(n) + off)
    if position == "inner":
        sizes, x, face = {"eta_rho": 4, "eta_v": 3}, "xi_rho", "xi_u"
    for beside, is_taken in ((0, True), (19, True), (-19, True), (21, False), (-21, False)):
        for at in range(n):
            moved = faces + beside * (np.arange(n) == at)
            layout = find_layout(sized(**sizes, **{x: cells, face: moved}))
            assert (layout is not None) == is_taken
    assert find_layout(sized(**sizes, **{x: cells[:1], face: faces[: n - 4] + 300})) is not None
    words = sized(**sizes, **{x: [*"abcde"], face: [*"defghi"][:n]})
    assert find_layout(words).grid.x == {"center": x, position: face}


def test_labels_that_count_are_no_places():
    names = ("i", "i_g", "j", "j_g")
    count = {name: np.arange(4.0) for name in names}
    assert find_layout(sized(**count)).grid.x == {"center": "i", "left": "i_g"}
    for same in ([0.0, 2, 4, 6], [0.0, 1, 2, 4]):
        assert find_layout(sized(**(count | {"i": same, "i_g": same}))) is None


@pytest.mark.parametrize(("lon", "is_around"), [([0, 120, 240], True), ([0, 180], False)])
def test_three_longitudes_may_be_a_circle(lon, is_around):
    faces = np.array(lon) - lon[1] / 2
    ds = with_attrs(sized(i=lon, i_g=faces, j=3, j_g=3), i={"units": "degrees_east"})
    assert find_layout(ds).grid.boundary == ({"x": "periodic"} if is_around else {})
    assert find_layout(ds.assign_coords(i=ds.i.drop_attrs())).grid.boundary == {}


OF_POP = {
    "TEMP": {"grid_loc": "3111"},
    "UVEL": {"grid_loc": " 3221 "},
    "UET": {"grid_loc": "3211"},
    "VNT": {"grid_loc": "3121"},
    "WVEL": {"grid_loc": "3112"},
    "dz": {"grid_loc": "nowhere"},
    "vomecrty": {},
}


def test_points_of_pop_by_grid_loc():
    fields = {name: (("nlat", "nlon"), np.zeros((2, 3)), attrs) for name, attrs in OF_POP.items()}
    ds = xr.Dataset({**fields, "ULAT": (("nlat", "nlon"), np.zeros((2, 3)))})
    found = {name: point for name, point in find_layout(ds).grid.points.items() if name != "ULAT"}
    centers = dict.fromkeys(("TEMP", "WVEL"), "center")
    assert found == {**centers, "UVEL": "corner", "UET": "u", "VNT": "v"}
    ds["TEMP"].encoding["coordinates"] = "ULONG ULAT"  # counts more
    ds["UET"].encoding["coordinates"] = "ULAT TLAT"  # says nothing
    found = find_layout(ds).grid.points
    assert found["TEMP"] == "corner"
    assert "UET" not in found


NOMINAL = {"MOM6", "MOM6, non-symmetric", "MOM5"}


@pytest.mark.parametrize("model", ALL)
def test_only_the_axes_of_mom_are_nominal(model):
    layout = find_layout(ALL[model](3).ds)
    assert layout.is_nominal == (model in NOMINAL)
    assert layout.is_c_grid == model.startswith("NEMO")


def test_older_names_of_mom6_are_nominal_too():
    layout = find_layout(sized(lonh=4, lonq=4, lath=3, latq=3))
    assert layout.grid.x == {"center": "lonh", "right": "lonq"}
    assert layout.grid.source.startswith("MOM6: the dimensions lonh, lonq, lath, latq;")
    assert layout.is_nominal


def test_levels_of_nemo_are_one_dimension_where_they_are_the_same():
    levels = {"deptht": [0.5, 1.5], "depthu": [0.5, 1.5], "depthv": [0.5, 1.5]}
    fields = {f"of_{dim}": ((dim, "y", "x"), np.zeros((2, 3, 4))) for dim in levels}
    ds = xr.Dataset({**fields, "e1u": (("y", "x"), np.zeros((3, 4)))}, levels)
    assert find_layout(ds).other_names == {"depthu": "deptht", "depthv": "deptht"}
    assert find_layout(ds.assign_coords(depthv=[0.0, 1.0])).other_names == {"depthu": "deptht"}
    assert find_layout(ds.assign_coords(deptht=[0.0, 1.0])).other_names == {}


NEMO_CURRENTS = {  # attributes of a variable uo, and whether it is a current of NEMO's grid
    "by its writer": ({"online_operation": "average"}, True),
    "of another writer": ({}, False),
    "to the east": (
        {"online_operation": "average", "standard_name": "eastward_sea_water_velocity"},
        False,
    ),
}


@pytest.mark.parametrize(("attrs", "is_nemo"), NEMO_CURRENTS.values(), ids=NEMO_CURRENTS)
def test_currents_of_nemo_without_places(attrs, is_nemo):
    ds = xr.Dataset({"uo": (("y", "x"), np.zeros((3, 4)), attrs), "sst": ("y", np.zeros(3))})
    assert (find_layout(ds) is not None) == is_nemo
    other = ds.rename(uo="temperature")
    assert find_layout(other) is None
    placed = ds.assign_coords(nav_lat=(("y", "x"), np.zeros((3, 4))))
    is_east = "standard_name" in attrs
    assert (find_layout(placed) is None) == is_east


@pytest.mark.parametrize("model", ["MITgcm", "MOM6", "NEMO, XIOS", "ROMS", "WRF", "POP"])
def test_the_boundary_of_a_scalar_names_the_axes_of_the_grid_as_that_of_a_wind(model):
    case = ALL[model](8)
    y, x = case.ds[case.scalar].dims[-2:]
    by_dims = case.ds.fdgrad.laplacian(case.scalar, boundary={x: "periodic", y: 0.0})
    by_axes = case.ds.fdgrad.laplacian(case.scalar, boundary={"x": "periodic", "y": 0.0})
    xr.testing.assert_identical(by_axes, by_dims)
    with pytest.raises(OptionError, match="names 'z'"):
        case.ds.fdgrad.laplacian(case.scalar, boundary={"x": "periodic", "z": 0.0})


def test_the_height_of_s_levels_at_u_is_that_of_the_centres_brought_there():
    """As the message says that refuses the formula at u: ∂u/∂z of u = z / 1000 is 1 / 1000 s-1."""
    case, s = cases.roms(8), np.linspace(-0.95, -0.05, 10)
    terms = "s: s_rho C: Cs_r eta: zeta depth: h depth_c: hc"
    attrs = {"standard_name": "ocean_s_coordinate_g2", "positive": "up", "formula_terms": terms}
    ds = case.ds.assign_coords(s_rho=("s_rho", s, attrs), Cs_r=("s_rho", s**3), hc=20.0)
    ds["h"] = 100 + ds[case.scalar] % 7
    ds["zeta"] = 0 * ds["h"]
    for name in ("h", "zeta", "hc"):
        ds[name].attrs = {"units": "m"}
    ds[case.scalar] = ds[case.scalar] + 0 * ds["s_rho"]
    z = fd.vertical_coordinate(ds[case.scalar], ds)
    at_u = ds.assign(z=z).fdgrad.interpolate("z", to="u")
    ds[case.u] = (at_u / 1000).drop_vars(at_u.coords).assign_coords(s_rho=ds["s_rho"])
    with pytest.raises(
        CoordinateError, match=r"other points of a cell.*interpolate\('z', to='u'\)"
    ):
        ds[case.u].fdgrad.gradient("s_rho", coordinate="height")
    made = ds[case.u].fdgrad.gradient("s_rho", coordinate=at_u)
    np.testing.assert_allclose(made, 1e-3, rtol=1e-12)
