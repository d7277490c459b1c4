"""Operators between the points of a staggered grid: formulas, identities, orders and graphs."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from counting import Source, compilations
from numpy.testing import assert_allclose, assert_array_equal
from staggered import DIMS, TILT, A, Case, Globe
from tripolar import tripolar

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.blocks import compute
from fdgrad_dask.errors import CoordinateError, FdgradError

CLOSE = {"rtol": 1e-12, "atol": 1e-13}
# Every position with walls, open ends and a seam, each at least once along y and along x.
CASES = [
    ("left", (0.0, "periodic")),
    ("right", ("periodic", None)),
    ("inner", (0.0, None)),
    ("outer", (None, 0.0)),
    ("outer", (0.0, "periodic")),
]


def wind(case, *before):
    return case.random("u", *before, name="u"), case.random("v", *before, name="v")


@pytest.mark.parametrize(("position", "ends"), CASES)
def test_the_equations_on_a_c_grid(position, ends):
    case = Case(position, ends)
    u, v, g = *wind(case, "t"), case.grid
    made = op.kinematics(u, v, geometry=g)
    dx, dy = ({p: d[p].values for p in DIMS} for d in (g.dx, g.dy))
    u, v = u.values, v.values
    true = {
        "divergence": (case.to_center(dy["u"] * u, -1) + case.to_center(dx["v"] * v, -2))
        / g.area["center"].values,
        "vorticity": (case.to_face(dy["v"] * v, -1) - case.to_face(dx["u"] * u, -2))
        / g.area["corner"].values,
        "stretching_deformation": dy["center"] / dx["center"] * case.to_center(u / dy["u"], -1)
        - dx["center"] / dy["center"] * case.to_center(v / dx["v"], -2),
        "shearing_deformation": dy["corner"] / dx["corner"] * case.to_face(v / dy["v"], -1)
        + dx["corner"] / dy["corner"] * case.to_face(u / dx["u"], -2),
    }
    case.ends = tuple(end if end == "periodic" else None for end in ends)  # no shear beside walls
    shear = case.all_faces(case.all_faces(true["shearing_deformation"] ** 2, -2), -1)
    four = (shear[:, 1:, 1:], shear[:, 1:, :-1], shear[:, :-1, 1:], shear[:, :-1, :-1])
    true["total_deformation"] = np.sqrt(true["stretching_deformation"] ** 2 + sum(four) / 4)
    for name, expected in true.items():
        assert_allclose(made[name], expected, **CLOSE, err_msg=name)
    assert made.divergence.dims == ("t", "yc", "xc")
    assert made.vorticity.dims == ("t", "yf", "xf")


@pytest.mark.parametrize(("position", "ends"), CASES)
def test_the_equations_of_a_scalar(position, ends):
    case = Case(position, ends, fraction=True)
    s, g = case.random("center", "z", name="s"), case.grid
    t = s.values
    made = op.horizontal_gradient(s, geometry=g)
    s_x = case.to_face(t, -1) / g.dx["u"].values
    s_y = case.to_face(t, -2) / g.dy["v"].values
    assert_allclose(made.ds_dx, s_x, **CLOSE)
    assert_allclose(made.ds_dy, s_y, **CLOSE)
    assert (made.ds_dx.dims, made.ds_dy.dims) == (("z", "yc", "xf"), ("z", "yf", "xc"))
    share = {p: one.values for p, one in g.fraction.items()}
    # What lies on a wall is NaN above; there nothing flows. Open ends stay unknown.
    flux_x, flux_y = g.dy["u"].values * share["u"] * s_x, g.dx["v"].values * share["v"] * s_y
    flux_x = flux_x if ends[1] is None else np.nan_to_num(flux_x)
    flux_y = flux_y if ends[0] is None else np.nan_to_num(flux_y)
    balance = case.to_center(flux_x, -1) + case.to_center(flux_y, -2)
    true = balance / (g.area["center"].values * share["center"])
    made = op.laplacian(s, geometry=g)
    assert_allclose(made, true, **CLOSE)
    assert made.attrs["units"] == "m-1 s-1"
    case.ends = tuple(end if end == "periodic" else None for end in ends)
    x, y = case.all_faces(s_x, -1), case.all_faces(s_y, -2)
    size = np.hypot((x[..., 1:] + x[..., :-1]) / 2, (y[..., 1:, :] + y[..., :-1, :]) / 2)
    assert_allclose(op.gradient_magnitude(s, geometry=g), size, **CLOSE)


@pytest.mark.parametrize(("position", "ends"), CASES)
def test_a_b_grid_is_averaged_to_faces(position, ends):
    case = Case(position, ends)
    g = case.grid
    u, v = (case.random("corner", "t", name=name) for name in "uv")
    made = op.kinematics(u, v, geometry=g)

    def mean(f, axis):
        full = np.moveaxis(case.all_faces(f, axis), axis, 0)
        return np.moveaxis((full[1:] + full[:-1]) / 2, 0, axis)

    dx, dy, area = g.dx["v"].values, g.dy["u"].values, g.area["center"].values
    true = case.to_center(dy * mean(u, -2), -1) + case.to_center(dx * mean(v, -1), -2)
    assert_allclose(made.divergence, true / area, **CLOSE)
    true = case.to_center(dy * mean(v, -2), -1) - case.to_center(dx * mean(u, -1), -2)
    assert_allclose(made.vorticity, true / area, **CLOSE)
    both = np.hypot(made.stretching_deformation, made.shearing_deformation)
    assert_allclose(made.total_deformation, both, **CLOSE)


# -- identities --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "ends"),
    [("inner", (0.0, 0.0)), ("left", ("periodic", "periodic")), ("outer", (0.0, "periodic"))],
)
def test_gauss_what_leaves_one_cell_enters_another(position, ends):
    case = Case(position, ends, shape=(20, 30), fraction=True)
    u, v = wind(case, "z")
    if position == "outer":  # the walls are data
        v[:, [0, -1]] = 0.0
    g, s = case.grid, case.random("center", "z", name="s")
    area = g.area["center"] * g.fraction["center"]
    for made in (op.divergence(u, v, geometry=g), op.laplacian(s, geometry=g)):
        inside = made * area
        assert abs(float(inside.sum())) < 1e-14 * float(abs(inside).sum()) * inside.size**0.5


def test_stokes_circulations_add_up_to_that_around_all():
    case = Case("outer", shape=(20, 30))
    u, v = wind(case)
    g = case.grid
    inside = (op.vorticity(u, v, geometry=g) * g.area["corner"])[1:-1, 1:-1]
    along_x, along_y = (g.dx["u"] * u).values, (g.dy["v"] * v).values
    around = (
        along_x[0, 1:-1].sum() + along_y[1:-1, -1].sum()
        - along_x[-1, 1:-1].sum() - along_y[1:-1, 0].sum()
    )  # fmt: skip
    assert float(inside.sum()) == pytest.approx(around, rel=1e-12)


def test_the_curl_of_a_gradient_is_zero_to_the_bit():
    """Of integers, with lengths that divide without rounding."""
    case = Case("left", ("periodic", "periodic"), shape=(20, 30))
    g = case.grid
    for lengths in (g.dx, g.dy):
        for point in lengths:
            lengths[point][:] = 2.0 ** case.rng.integers(-3, 4, lengths[point].shape)
    s = case.random("center", name="s")
    s[:] = case.rng.integers(-9999, 9999, s.shape)
    slope = op.horizontal_gradient(s, geometry=g)
    assert (op.vorticity(slope.ds_dx, slope.ds_dy, geometry=g) == 0).all()


@pytest.mark.parametrize("position", ["left", "right", "inner", "outer"])
def test_a_stream_function_has_no_divergence(position):
    case = Case(position, ("periodic", "periodic") if position in ("left", "right") else (0.0, 0.0))
    psi, g = case.random("corner", name="psi"), case.grid
    slope = op.horizontal_gradient(psi, geometry=g)
    u, v = (-slope.dpsi_dy).rename("u"), slope.dpsi_dx.rename("v")
    assert (u.dims, v.dims) == (DIMS["u"], DIMS["v"])
    made = op.divergence(u, v, geometry=g)
    assert float(abs(made).max()) < 1e-14


# -- chunks, kinds -----------------------------------------------------------------------------

CHUNKS = {"t": 1, "yc": 5, "yf": 5, "xc": 6, "xf": 6}


def from_source(field):
    """The field in chunks of a source that counts its reads."""
    source = Source(field.values)
    return source, field.copy(data=source.chunked(tuple(CHUNKS[dim] for dim in field.dims)))


@pytest.mark.parametrize(
    ("position", "ends"),
    [("left", (0.0, "periodic")), ("outer", (0.0, None)), ("inner", (None, 0.0))],
)
def test_chunks_have_the_bits_of_one_and_are_read_once(position, ends, lazily):
    case = Case(position, ends, shape=(12, 18))
    u, v = wind(case, "t")
    s, psi = case.random("center", "t", name="s"), case.random("corner", "t", name="psi")
    for operator, fields in (
        (op.kinematics, (u, v)),
        (op.divergence, (u.astype("float32"), v.astype("float32"))),
        (op.vorticity, (psi.rename("u"), psi.rename("v"))),
        (op.laplacian, (s,)),
        (op.horizontal_gradient, (s,)),
    ):
        sources, lazy = zip(*map(from_source, fields), strict=True)
        with lazily():
            made = operator(*lazy, geometry=case.grid)
        assert not any(source.reads for source in sources)
        xr.testing.assert_identical(made.compute(), operator(*fields, geometry=case.grid))
        for source, field in zip(sources, lazy, strict=True):
            assert set(source.reads.values()) == {1}
            assert len(source.reads) == field.data.npartitions


def test_lazy_lengths_and_areas_stay_lazy(lazily):
    case = Case("outer", (0.0, None), shape=(12, 18), fraction=True)
    u, v = wind(case, "z")
    kinds = {kind: getattr(case.grid, kind) for kind in ("dx", "dy", "area", "fraction")}
    lazy = {kind: {p: one.chunk() for p, one in of.items()} for kind, of in kinds.items()}
    with lazily():
        made = op.kinematics(u, v, geometry=replace(case.grid, **lazy))
    xr.testing.assert_identical(made.compute(), op.kinematics(u, v, geometry=case.grid))


def tasks_beside_sources(made):
    """The keys of a graph but those of the arrays that `from_source` cuts into chunks."""
    return [key for key in dict(made.data.__dask_graph__()) if "array" not in str(key)]


def test_tasks_a_chunk_are_those_of_any_operator():
    """Two with edge rows and one that computes; and edge rows of dx and dy, for all times once.

    Of lengths and areas in chunks no other task is made but that of one over the area.
    """
    case = Case("left", (0.0, "periodic"), shape=(12, 18))
    fields = wind(case, "t")
    _, lazy = zip(*map(from_source, fields), strict=True)
    edges_and_blocks = (2 + 1) * 2 * 9 + 2 * 9
    assert len(tasks_beside_sources(op.divergence(*lazy, geometry=case.grid))) == edges_and_blocks
    sizes = {kind: getattr(case.grid, kind) for kind in ("dx", "dy", "area")}
    cut = {kind: {p: from_source(one)[1] for p, one in of.items()} for kind, of in sizes.items()}
    made = op.divergence(*lazy, geometry=replace(case.grid, **cut))
    assert len(tasks_beside_sources(made)) == edges_and_blocks + 9
    xr.testing.assert_identical(made.compute(), op.divergence(*fields, geometry=case.grid))


def test_kernels_have_the_bits_of_numpy(monkeypatch):
    """Rows of 300 points, which a kernel computes in place beside lengths without levels."""
    case = Case("left", (0.0, "periodic"), shape=(12, 300))
    fields = wind(case, "z")
    which = ["divergence", "vorticity"]
    true = op.kinematics(*fields, which=which, geometry=case.grid)
    monkeypatch.setattr(compute, "SMALL", 0)
    with compilations() as compiled:
        made = op.kinematics(*fields, which=which, geometry=case.grid)
    assert compiled
    xr.testing.assert_identical(made, true)


def test_jax_stays_jax_also_under_jit():
    case = Case("outer", (0.0, None))
    u, v = wind(case)
    true = op.vorticity(u, v, geometry=case.grid).values

    def vorticity(a, b):
        return op.vorticity(u.copy(data=a), v.copy(data=b), geometry=case.grid).data

    with jax.enable_x64(True):
        a, b = jnp.asarray(u.values), jnp.asarray(v.values)
        for made in (vorticity(a, b), jax.jit(vorticity)(a, b)):
            assert isinstance(made, jax.Array)
            assert_allclose(made, true, rtol=1e-13)


# -- on a sphere -------------------------------------------------------------------------------


def error_of(globe, made, true, scale):
    """The root mean square of the error up to 48° of latitude, where cells end."""
    inside = abs(globe.lines[made.dims[-2]]) < 48
    squares = (((made - true) / scale) ** 2)[inside]
    return float(squares.mean(skipna=False) ** 0.5)


def errors_of(globe):
    """By operator, of solid-body rotation and of sin 2λ cos² φ, a spherical harmonic."""
    made = op.kinematics(*globe.wind(), geometry=globe.grid)
    s = globe.at("center", lambda lam, phi: np.sin(2 * lam) * np.cos(phi) ** 2, "s")
    slope = op.horizontal_gradient(s, geometry=globe.grid)
    s_x = globe.at("u", lambda lam, phi: 2 * np.cos(2 * lam) * np.cos(phi) / A)
    s_y = globe.at("v", lambda lam, phi: -np.sin(2 * lam) * np.sin(2 * phi) / A)
    laplacian = op.laplacian(s, geometry=globe.grid)
    expected = {
        "vorticity": (made.vorticity, globe.vorticity("corner"), 40 / A),
        "along x": (slope.ds_dx, s_x, 2 / A),
        "along y": (slope.ds_dy, s_y, 2 / A),
        "laplacian": (laplacian, -6 / A**2 * s, 6 / A**2),
        **{name: (one, 0, 20 / A) for name, one in made.items() if name != "vorticity"},
    }
    return {name: error_of(globe, *of) for name, of in expected.items()}


@pytest.mark.parametrize(
    ("position", "turned"),
    [("left", False), ("right", False), ("inner", False), ("outer", False), ("left", True)],
)
def test_second_order_with_lengths_of_the_sphere(position, turned):
    coarse, fine = (errors_of(Globe(n, position, turned)) for n in (20, 40))
    for name, error in coarse.items():
        assert error < 0.02, name
        assert np.log2(error / fine[name]) > 1.85, name


def test_cells_of_the_sphere_are_exact():
    globe = Globe(12, "outer")
    u, v = globe.wind()
    globe.grid.boundary["y"] = 0.0
    # A flux of 1 m s-1 out of the northern end, through no other face.
    v, u = 0 * v, 0 * u
    v[-1] = 1.0
    made = op.divergence(u, v, geometry=globe.grid)
    band = A * 2 * np.pi / 48 * (np.sin(np.deg2rad(60)) - np.sin(np.deg2rad(50)))
    assert_allclose(made[-1], np.cos(np.deg2rad(60)) * 2 * np.pi / 48 / band, rtol=1e-12)


@pytest.mark.parametrize("position", ["left", "outer"])
def test_results_have_the_coordinates_of_their_points(position):
    globe = Globe(12, position)
    u, v = (one.assign_coords(time=3.0) for one in globe.wind())
    u.attrs["standard_name"], v.attrs["standard_name"] = "sea_water_x_velocity", "y_wind"
    globe = Globe(12, position)
    made = op.kinematics(u, v, geometry=replace(globe.grid, source="a test"))
    assert made.divergence.indexes["xc"].equals(v.indexes["xc"])
    assert made.vorticity.indexes["yf"].equals(v.indexes["yf"])
    assert made.vorticity.indexes["xf"].equals(u.indexes["xf"])
    assert float(made.time) == 3.0
    assert made.vorticity.attrs == {
        "units": "s-1",
        "long_name": "relative vorticity",
        "standard_name": "ocean_relative_vorticity",
        "horizontal_geometry": "grid",
        "grid_source": "a test",
    }
    absolute = op.absolute_vorticity(u, v, geometry=globe.grid)
    f = 2 * 7.292115e-5 * np.sin(np.deg2rad(globe.lines["yf"]))
    true = (made.vorticity + f[:, None]).where(made.vorticity.notnull())
    assert_allclose(absolute, true, rtol=1e-12, atol=1e-20)
    given = op.absolute_vorticity(u, v, geometry=globe.grid, coriolis=1e-4)
    assert_allclose(given, made.vorticity + 1e-4, rtol=1e-12)


def test_points_that_share_dimensions_keep_their_own_coordinates():
    case = Case("right", (0.0, "periodic"))
    places = {
        "u": {"lon": (("y", "x"), np.ones((7, 9)))},
        "v": {"lon": (("y", "x"), np.zeros((7, 9)))},
        "corner": {"lon_f": (("y", "x"), np.zeros((7, 9)))},
    }
    same = {"xf": "x", "xc": "x", "yf": "y", "yc": "y"}

    def share(one, point=None):
        shared = one.rename({dim: same[dim] for dim in one.dims if dim in same})
        return shared.assign_coords(places.get(point, {}))

    g = case.grid
    shared = fd.Grid(
        {"center": "x", "right": "x"},
        {"center": "y", "right": "y"},
        *({p: share(one, p) for p, one in each.items()} for each in (g.dx, g.dy, g.area)),
        boundary=g.boundary,
        points={"u": "u", "v": "v", "s": "center"},
    )
    u, v, s = *wind(case), case.random("center", name="s")
    made = op.kinematics(share(u, "u"), share(v, "v"), geometry=shared)
    true = op.kinematics(u, v, geometry=g)
    for name in made:
        assert_array_equal(made[name], true[name])
    vorticity = op.vorticity(share(u, "u"), share(v, "v"), geometry=shared)
    assert set(vorticity.coords) == {"lon_f"}
    slope = op.horizontal_gradient(share(s), geometry=shared)
    assert set(slope.coords) == set()  # two longitudes of one name
    with pytest.raises(CoordinateError, match="several points"):
        op.laplacian(share(s).rename("t"), geometry=shared)


@pytest.mark.parametrize(("dtype", "result"), [("i4", "f8"), ("f4", "f4"), ("f8", "f8")])
def test_whole_numbers_become_float64_and_single_precision_stays(dtype, result):
    """Also where there is one face more than cells, and a cell is added that is missing."""
    case = Case("outer")
    s = (1000 * case.random("center", name="s")).astype(dtype)
    made = op.horizontal_gradient(s, geometry=case.grid)
    assert (made.ds_dx.dtype, made.ds_dy.dtype) == (result, result)
    true = case.to_face(s, -1) / case.grid.dx["u"].values
    assert_allclose(made.ds_dx, true, rtol=1e-5, atol=1e-3)


def test_coordinates_over_more_dimensions_than_a_result_has_are_left_out():
    case = Case("left", fraction=True)
    g, s = case.grid, case.random("center", "z", name="s")
    share = g.fraction["u"].assign_coords(thickness=g.fraction["u"].variable)
    grid = replace(g, fraction={**g.fraction, "u": share})
    for field, names in ((s, {"thickness"}), (s[0], set())):
        made = op.horizontal_gradient(field, geometry=grid)
        assert set(made.coords) == names
        xr.testing.assert_equal(made.drop_vars(names), op.horizontal_gradient(field, geometry=g))


# -- what is not served ------------------------------------------------------------------------


def test_other_operators_interpolate_to_centres_first():
    globe = Globe(40, "left")
    u, v = globe.wind()
    s = globe.at("center", lambda lam, phi: np.sin(lam) * np.cos(phi), "s")
    made = op.advection(u, v, s, geometry=globe.grid)
    c, sine = 20 * np.cos(TILT), 20 * np.sin(TILT)

    def true(lam, phi):
        along = (c * np.cos(phi) + sine * np.sin(phi) * np.cos(lam)) * np.cos(lam)
        return -(along + sine * np.sin(lam) ** 2 * np.sin(phi)) / A

    error = abs(made - globe.at("center", true)).isel(yc=slice(1, -1))
    assert float(error.max()) < 0.01 * float(abs(made).max())


def test_without_latitudes_the_lengths_of_cells_count():
    """Advection at centres, with the differences of neighbours over dx and dy there."""
    case = Case("outer")
    u, v, s = *wind(case), case.random("center", name="s")
    dx, dy = case.grid.dx["center"].values, case.grid.dy["center"].values
    u_c, v_c = (u.values[:, 1:] + u.values[:, :-1]) / 2, (v.values[1:] + v.values[:-1]) / 2
    true = -(u_c * np.gradient(s.values, axis=1) / dx + v_c * np.gradient(s.values, axis=0) / dy)
    assert_allclose(op.advection(u, v, s, geometry=case.grid), true, **CLOSE)


def test_where_there_are_latitudes_they_count():
    globe = Globe(12, "left")
    fields = *globe.wind(), globe.at("center", lambda lam, phi: np.sin(phi), "s")
    lengths = {"center": globe.at("center", lambda lam, phi: 1.0).assign_attrs(units="m")}
    made = op.advection(*fields, geometry=replace(globe.grid, dx=lengths, dy=lengths))
    assert_array_equal(made, op.advection(*fields, geometry=globe.grid))


@pytest.mark.parametrize(
    ("options", "grid", "message"),
    [
        ({"accuracy": 4}, {}, "leave out accuracy"),
        ({"boundary": {"y": (None, "fold")}}, {}, "a staggered grid has its own"),
        ({}, {"boundary": {"y": (0.0, "fold")}}, "tripolar fold"),
        ({}, {"dx": {}}, r"dx at the point 'u' .* Grid\(…, dx="),
        ({}, {"x": {"center": "xc", "outer": "xf"}}, "8 cells along x .* 9"),
    ],
)
def test_what_cannot_be_right_is_refused(options, grid, message):
    case = Case("left", (0.0, 0.0))
    u, v = wind(case)
    with pytest.raises(FdgradError, match=message):
        op.vorticity(u, v, geometry=replace(case.grid, **grid), **options)


def test_components_in_the_other_order_are_refused():
    case = Case("left")
    u, v = wind(case)
    with pytest.raises(CoordinateError, match="the other way around: u, v"):
        op.divergence(v, u, geometry=case.grid)


def test_lengths_of_other_cells_are_refused():
    case = Case("left", fraction=True)
    u, v = wind(case, "z")
    with pytest.raises(FdgradError, match="select the same of both"):
        op.divergence(u[:2], v[:2], geometry=case.grid)


def test_winds_at_centres_are_differenced_there():
    globe = Globe(12, "left")
    u, v = (globe.at("center", lambda lam, phi: np.cos(phi) + 0 * lam, name) for name in "uv")
    xr.testing.assert_identical(op.vorticity(u, v, geometry=globe.grid), op.vorticity(u, v))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda u, v: (u.assign_coords(yc=np.arange(7)), v), "different labels along 'yc'"),
        (lambda u, v: (u.assign_coords(yc=("yc", -np.arange(7), {"axis": "Y"})), v), "falls along"),
        (lambda u, v: (u.isel(yc=slice(6)), v.isel(yf=slice(6))), "select the same of both"),
        (lambda u, v: (u.assign_attrs(standard_name="eastward_wind"), v), "points east or north"),
    ],
)
def test_fields_that_do_not_fit_the_cells_are_refused(change, message):
    case = Case("left")
    g = case.grid
    area = {p: one.assign_coords(xc=np.arange(9)) for p, one in g.area.items() if p == "center"}
    if "labels" in message:
        area["center"] = area["center"].assign_coords(yc=np.arange(7) + 0.5)
    u, v = change(*wind(case))
    with pytest.raises(FdgradError, match=message):
        op.divergence(u, v, geometry=replace(g, area=area))


@pytest.mark.parametrize(("said", "true"), [("left", "right"), ("right", "left")])
def test_faces_on_the_other_side_of_their_cells_are_refused(said, true):
    globe = Globe(12, true)
    y = {"center": "yc", said: "yf"}
    with pytest.raises(CoordinateError, match=f"along y are said to lie at the {said!r}"):
        op.divergence(*globe.wind(), geometry=replace(globe.grid, y=y))


def test_lengths_in_kilometres_are_converted():
    case = Case("left", (0.0, "periodic"))
    g, (u, v) = case.grid, wind(case)
    km = {p: (one / 1000).assign_attrs(units="km") for p, one in g.dy.items()}
    made = op.divergence(u, v, geometry=replace(g, dy=km))
    assert_allclose(made, op.divergence(u, v, geometry=g), rtol=1e-12)
    with pytest.raises(CoordinateError, match="'kg', but m is needed"):
        op.divergence(
            u, v, geometry=replace(g, dy={p: g.dy[p].assign_attrs(units="kg") for p in km})
        )


def test_a_wind_is_turned_at_centres():
    globe = Globe(12, "left", turned=True)
    u, v = globe.wind()
    made = op.rotate_to_earth(u, v, geometry=globe.grid)
    at = [globe.at("center", lambda lam, phi: 0.0)] * 2
    centers = [
        (0.5 * (u + u.roll(xf=-1))).rename(xf="xc").data,
        (0.5 * (v + v.shift(yf=-1))).rename(yf="yc").data,
    ]
    by_hand = [
        one.copy(data=data).rename(n) for one, data, n in zip(at, centers, "uv", strict=True)
    ]
    true = op.rotate_to_earth(
        *by_hand,
        geometry=fd.Curvilinear(components="grid"),
    )
    assert_allclose(made.u, true.u, rtol=1e-12)
    assert_allclose(made.v, true.v, rtol=1e-12)
    assert made.u.notnull().any()


def test_lengths_that_are_quantities():
    pint = pytest.importorskip("pint")
    case = Case("left", (0.0, "periodic"))
    g, (u, v) = case.grid, wind(case)
    km = pint.UnitRegistry().km
    dy = {p: one.copy(data=one.values / 1000 * km) for p, one in g.dy.items()}
    made = op.divergence(u, v, geometry=replace(g, dy=dy))
    assert_allclose(made, op.divergence(u, v, geometry=g), rtol=1e-12)


# -- interpolation -----------------------------------------------------------------------------


@pytest.mark.parametrize(("position", "ends"), CASES)
def test_a_mean_of_two_neighbours_at_each_step(position, ends):
    case = Case(position, ends)
    u, s = case.random("u", "t", name="u"), case.random("center", "t", name="s")
    full = case.all_faces(u, -1)
    made = op.interpolate(u, geometry=case.grid)
    assert_allclose(made, (full[..., 1:] + full[..., :-1]) / 2, **CLOSE)
    assert (made.name, made.attrs) == ("u", u.attrs)
    corner = op.interpolate(s, to="corner", geometry=case.grid)
    by_steps = op.interpolate(
        op.interpolate(s, to="u", geometry=case.grid), to="corner", geometry=case.grid
    )
    xr.testing.assert_identical(corner, by_steps)
    assert corner.dims == ("t", "yf", "xf")
    _, lazy = from_source(s)
    xr.testing.assert_identical(
        op.interpolate(lazy, to="corner", geometry=case.grid).compute(), corner
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, r"give geometry=fdgrad_dask.Grid\(…\)"), ({"to": "centre"}, "did you mean 'center'")],
)
def test_what_cannot_be_interpolated_is_refused(options, message):
    case = Case("left")
    options = options if "to" not in options else {**options, "geometry": case.grid}
    with pytest.raises(FdgradError, match=message):
        op.interpolate(case.random("u", name="u"), **options)


@pytest.mark.parametrize("position", ["right", "outer"])
def test_fields_at_one_point_are_periodic_where_their_grid_is(position):
    """Advection at the points of u, whose seam has no other error than columns off it.

    Faces at both ends have the seam twice, where each side is differenced by itself.
    """
    ds, exact = tripolar(48, "F", components="grid")
    ds = ds.pad(x=(0, 1), mode="wrap") if position == "outer" else ds
    grid = fd.Grid(
        {"center": "xc", position: "x"}, {"center": "y", "right": "yf"}, boundary={"x": "periodic"}
    )
    made = op.advection(ds.u, ds.v, ds.s, geometry=grid)
    off = abs(made.values[3:-3, :48] - exact["s_advection"][3:-3])
    if position == "right":
        np.testing.assert_array_equal(
            made, op.advection(ds.u, ds.v, ds.s, boundary={"x": "periodic"})
        )
        assert off[:, [0, -1]].max() < 1.1 * off[:, 1:-1].max()
    else:
        np.testing.assert_array_equal(made, op.advection(ds.u, ds.v, ds.s))
    assert off.max() < 0.05 * abs(exact["s_advection"]).max()


def test_two_dimensional_places_count_where_labels_are_nominal():
    globe = Globe(20, "left", turned=True)
    units = {"x": {"units": "degrees_east"}, "y": {"units": "degrees_north"}}
    nominal = {dim: (dim, line, units[dim[0]]) for dim, line in globe.lines.items()}

    def label(one):
        return one.assign_coords({dim: nominal[dim] for dim in one.dims})

    bare, wind = globe.grid, globe.wind()
    sizes = {"area": bare.area, "fraction": bare.fraction}
    labelled = {k: {p: label(one) for p, one in each.items()} for k, each in sizes.items()}
    grid = replace(bare, **labelled)
    for operator in (op.kinematics, op.absolute_vorticity):
        made = operator(*map(label, wind), geometry=grid)
        xr.testing.assert_equal(made.drop_vars(made.indexes), operator(*wind, geometry=bare))
    made, true = op.vorticity(*map(label, wind), geometry=grid), globe.vorticity("corner")
    assert abs(made - true).values[2:-2].max() < 0.01 * abs(true).max()
    # Places that are the same as the labels change no bit.
    straight = Globe(20, "left")
    u, v = straight.wind()
    two = np.meshgrid(straight.lines["xf"], straight.lines["yc"])
    both = u.assign_coords(lon2=(u.dims, two[0], units["x"]), lat2=(u.dims, two[1], units["y"]))
    made = op.vorticity(both, v, geometry=straight.grid)
    assert_array_equal(made, op.vorticity(u, v, geometry=straight.grid))
    lazy = both.assign_coords(lat2=both.lat2.chunk())
    with pytest.raises(CoordinateError, match=r"load it: \.assign_coords\(lat2="):
        op.vorticity(lazy, v, geometry=straight.grid)
