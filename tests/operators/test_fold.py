"""Operators across the fold of a tripolar grid, against closed forms."""

import ast
import importlib.util
import re
from pathlib import Path

import dask
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from counting import Source
from curved import OPERATORS, U0, UNITS, A, fields, outputs
from numpy.testing import assert_allclose, assert_array_equal
from tripolar import (
    DIMS,
    EAST,
    FOCUS,
    FOLDED,
    NORTH,
    away_from_pivots,
    axes,
    ellipses,
    murray,
    parameters,
    tripolar,
)

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.fold import Fold, count_repeated_columns, find_fold, locate, make_fold

NEMO = {"pivot": "T", "repeats": True}
ALONG = {"F pivot": {"pivot": "F"}, "NEMO": {**NEMO, "components": "grid"}}
OTHERS = {"T pivot": {"pivot": "T"}, "Murray": {"formula": murray}, "NEMO, to the east": NEMO}
CASES = [("NEMO", name) for name in OPERATORS] + [
    (kind, name) for kind in ("F pivot", *OTHERS) for name in ("kinematics", "laplacian")
]


def last_rows(values, lat, lon, refined=1, pivot="F", repeats=False, **_):
    """The last two rows at the columns of a coarser grid, away from the pivots."""
    if repeats:
        values, lat, lon = (one[:-1, 1:-1] for one in (values, lat, lon))
    # Columns return at three times the resolution.
    thin = slice(0 if pivot == "T" else refined // 2, None, refined)
    values, lat, lon = (one[-2:, thin] for one in (values, lat, lon))
    return values[away_from_pivots(lat, lon)]


def errors(name, n, refined, boundary=FOLDED, accuracy=2, **kind):
    ds, exact = tripolar(n * refined, **kind)
    points = ds.lat.values, ds.lon.values, refined
    return {
        k: np.abs(last_rows(a.values - exact[k], *points, **kind)).max() / UNITS.get(k, U0 / A)
        for k, a in outputs(name, ds, boundary=boundary, accuracy=accuracy).items()
    }


def test_the_last_row_is_not_second_order_without_the_fold():
    open_end = {"boundary": {"x": "periodic"}, "pivot": "F"}
    coarse, fine = (errors("horizontal_gradient", 32, r, **open_end) for r in (1, 3))
    assert np.log(coarse["ds_dx"] / fine["ds_dx"]) / np.log(3) < 1.2


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_operators_are_second_order_across_the_fold(kind, name):
    grid = {**OTHERS, **ALONG}[kind]
    coarse, fine = (errors(name, 32, refined, **grid) for refined in (1, 3))
    for k in fine:
        assert fine[k] < 0.02
        assert np.log(coarse[k] / fine[k]) / np.log(3) > 1.7, (k, coarse[k], fine[k])


def test_the_same_field_on_a_regular_grid_agrees():
    """Gradients there, interpolated to the points beside the fold, differ by the order of both."""
    apart = []
    for n in (48, 96):
        ds, _ = tripolar(n)
        lat, lon = np.arange(60 + 90 / n, 90, 180 / n), np.arange(0, 360.1, 360 / n)
        p, q = np.meshgrid(lat, lon, indexing="ij")
        regular, _ = fields(p, q)
        axes = {"lat": ("y", lat, NORTH), "lon": ("x", lon, EAST)}
        there = regular.s.drop_vars(["lat", "lon"]).assign_coords(axes).swap_dims(y="lat", x="lon")
        where = {"lat": ds.lat, "lon": ds.lon % 360}
        off = ds.s.fdgrad.gradient_magnitude(boundary=FOLDED) - (
            there.fdgrad.gradient_magnitude().interp(where, method="cubic")
        )
        # Not at the pole, which is singular on the regular grid.
        near = last_rows(off.where(ds.lat < 86).values, ds.lat.values, ds.lon.values)
        apart.append(A * np.nanmax(abs(near)))
    assert apart[1] < 6e-3
    assert np.log2(apart[0] / apart[1]) > 1.7


@pytest.mark.parametrize(("pivot", "repeats"), [("T", True), ("F", False)])
def test_points_that_are_there_twice_have_one_value(pivot, repeats):
    """Also where the values in the repeated columns and rows are old."""
    ds, _ = tripolar(32, pivot, repeats)
    stale = ds.copy(deep=True)
    if repeats:
        stale.s[-1] = stale.s[:, 0] = stale.s[:, -1] = np.nan
    made, whole = (one.s.fdgrad.horizontal_gradient(boundary=FOLDED) for one in (stale, ds))
    xr.testing.assert_identical(made, whole)
    assert whole.ds_dx.attrs["fold"] == f"y, {pivot} pivot"
    if repeats:
        core = ds.isel(y=slice(-1), x=slice(1, -1)).s.fdgrad.horizontal_gradient(boundary=FOLDED)
        assert_array_equal(made.ds_dx.values[:-1, 1:-1], core.ds_dx.values)
        assert_array_equal(made.ds_dx.values[:, [0, -1]], made.ds_dx.values[:, [-2, 1]])
        turned = made.ds_dx.values[-3, 1:-1][-np.arange(32) % 32]
        assert_allclose(made.ds_dx.values[-1, 1:-1], turned, rtol=1e-9, atol=1e-12 / A)


def test_solid_rotation_has_its_vorticity_and_no_divergence():
    for components in ("earth", "grid"):
        ds, exact = tripolar(96, components=components, shear=0.0)
        made = ds.fdgrad.kinematics("u", "v", boundary=FOLDED)
        for k in ("vorticity", "divergence"):
            off = last_rows(made[k].values - exact[k], ds.lat.values, ds.lon.values)
            assert np.abs(off).max() < 4e-3 * U0 / A


def test_a_component_that_is_carried_changes_its_sign_too():
    """Advection of u by the wind, along the grid: that of two scalars that make it."""
    ds, _ = tripolar(24, components="grid")
    made = ds.fdgrad.advection("u", "v", "u", boundary=FOLDED)
    # One row more by hand: the last one, mirrored, with the signs of components turned.
    signs = {"u": -1, "v": -1, "lat": 1, "lon": 1}
    rows = {k: np.concatenate([ds[k], sign * ds[k][-1:, ::-1]]) for k, sign in signs.items()}
    grown = xr.Dataset(
        {k: (DIMS, rows[k], ds[k].attrs) for k in "uv"},
        {k: (DIMS, rows[k], ds[k].attrs) for k in ("lat", "lon")},
    )
    by_hand = grown.fdgrad.advection("u", "v", "u", boundary={"x": "periodic"})
    assert_allclose(made[-3:], by_hand[-4:-1], rtol=1e-9)


def test_higher_accuracy_is_reached():
    low, high = (
        errors("horizontal_gradient", 32, 3, pivot="F", accuracy=accuracy)["ds_dx"]
        for accuracy in (2, 6)
    )
    assert high < 1e-2 * low


def test_given_cell_sizes_and_angle_are_folded_too():
    """dx, dy and angle by formula, without any latitude: the pivot is named."""
    ds, exact = tripolar(96)
    eta, xi = parameters(96, "F")
    size = abs(FOCUS * np.sinh(xi + 1j * eta)) * np.pi / 48  # on the map, whose scale follows
    size *= 2 * A / (1 + abs(FOCUS * np.cosh(xi + 1j * eta)) ** 2)
    (x_e, x_n), _ = axes(ellipses, eta, xi)
    angle = xr.DataArray(np.arctan2(x_n, x_e), dims=DIMS, attrs={"units": "radian"})
    d = xr.DataArray(size, dims=DIMS)
    bare = ds.drop_vars(["lat", "lon"])
    named = {"x": "periodic", "y": (None, "fold-F")}
    geometry = fd.Curvilinear(dx=d, dy=d, angle=angle)
    g = bare.s.fdgrad.horizontal_gradient(boundary=named, geometry=geometry)
    along = tripolar(96, components="grid")[0].drop_vars(["lat", "lon"])
    z = along.fdgrad.vorticity("u", "v", boundary=named, geometry=fd.Curvilinear(dx=d, dy=d))
    for made, k in ((g.ds_dx, "ds_dx"), (g.ds_dy, "ds_dy"), (z, "vorticity")):
        off = last_rows(made.values - exact[k], ds.lat.values, ds.lon.values)
        assert np.abs(off).max() < 0.01 * UNITS.get(k, U0 / A)


def test_on_orca_the_last_row_is_as_good_as_those_before_it():
    """The ORCA1 grid of NEMO, as a file of its output has it."""
    samples = importlib.util.find_spec("iris_sample_data")
    if samples is None:
        pytest.skip("iris-sample-data is not installed")
    path = Path(samples.origin).parent / "sample_data/NEMO/nemo_1m_20150101-20150201_grid-T.nc"
    with xr.open_dataset(path, decode_times=False) as ds:
        lat, lon = (ds[name].values.astype(float) for name in ("nav_lat", "nav_lon"))
    ds, exact = fields(lat, lon)
    made = ds.isel(y=slice(-12, None)).fdgrad.kinematics("u", "v", boundary=FOLDED)
    assert made.vorticity.attrs["fold"] == "y, F pivot"
    for k in made:
        off = np.nanmedian(np.abs(made[k].values - exact[k][-12:]), axis=1) * A / U0
        assert off[-1] < 1.2 * off[-3]


def test_positions_on_land_may_be_missing():
    """As where no processor computes them: three quarters of the north are zeros."""
    ds, _ = tripolar(48, "T", repeats=True)
    whole = ds.s.fdgrad.gradient_magnitude(boundary=FOLDED)
    ocean = (abs(ds.x % 24 - 12) < 4) | (ds.y < 12)
    hidden = ds.assign_coords({k: ds[k].where(ocean, 0.0) for k in ("lat", "lon")})
    made = hidden.s.fdgrad.gradient_magnitude(boundary=FOLDED)
    assert made.attrs["fold"] == "y, T pivot"
    known = np.isfinite(made.values)
    assert known[-3:].sum() > 20
    assert_array_equal(made.values[known], whole.values[known])


def test_the_overview_says_what_uses_the_fold():
    ds, _ = tripolar(24)
    stated = re.search(r"y: y, with a fold .*boundary=({.*}) uses it", repr(ds.fdgrad))
    assert ast.literal_eval(stated[1]) == FOLDED
    assert "fold" not in repr(ds[["s"]].isel(y=slice(-3)).fdgrad)


# --- kinds, chunks, reads ------------------------------------------------------------------------


@pytest.mark.parametrize(("pivot", "repeats"), [("T", True), ("F", False)])
def test_chunks_do_not_change_a_bit_and_stay(pivot, repeats):
    ds, _ = tripolar(24, pivot, repeats)
    whole = ds.fdgrad.vorticity("u", "v", boundary=FOLDED)
    curved = ds.s.fdgrad.laplacian(boundary=FOLDED)
    ragged = {"y": (6, *[1] * (ds.sizes["y"] - 6)), "x": -1}
    for chunks in ({"y": 1, "x": 11} if repeats else {"y": 5, "x": 7}, ragged):
        cut = ds.chunk(chunks).assign_coords(lat=ds.lat, lon=ds.lon)
        made = cut.fdgrad.vorticity("u", "v", boundary=FOLDED)
        assert made.chunks == cut.u.chunks
        xr.testing.assert_identical(made.compute(), whole)
    xr.testing.assert_identical(cut.s.fdgrad.laplacian(boundary=FOLDED).compute(), curved)


def test_building_reads_nothing_and_computing_reads_each_chunk_once():
    ds, _ = tripolar(32, "T", repeats=True)
    counted = [Source(ds[k].values) for k in "uv"]
    for k, source in zip("uv", counted, strict=True):
        ds[k] = ds[k].copy(data=source.chunked((5, 9)))
    made = ds.fdgrad.kinematics("u", "v", boundary=FOLDED)
    assert not any(source.reads for source in counted)
    dask.compute(made)
    for source in counted:
        assert len(source.reads) == 16
        assert set(source.reads.values()) == {1}


def test_only_the_last_chunks_are_read_for_the_fold():
    ds, _ = tripolar(32)
    source = Source(ds.s.values)
    s = ds.s.copy(data=source.chunked((4, 32)))
    s.fdgrad.horizontal_gradient(boundary=FOLDED).ds_dy[-1].compute()
    assert len(source.reads) == 2  # where the row is, and the chunk before it


def test_lazy_positions_need_a_name_for_the_pivot():
    ds, _ = tripolar(32)
    lazy = ds.chunk(y=5)
    with pytest.raises(CoordinateError, match=r"load them, or name it: 'fold-T'"):
        lazy.s.fdgrad.laplacian(boundary=FOLDED)
    made = lazy.s.fdgrad.laplacian(boundary={**FOLDED, "y": (None, "fold-F")})
    assert_array_equal(made, ds.s.fdgrad.laplacian(boundary=FOLDED))


def test_jax_stays_jax_under_jit():
    ds, _ = tripolar(24, "T", components="grid")
    expected = ds.fdgrad.vorticity("u", "v", boundary=FOLDED).values

    def vorticity(u, v):
        on_grid = ds.u.copy(data=u), ds.v.copy(data=v)
        return op.vorticity(*on_grid, boundary=FOLDED).data

    with jax.enable_x64(True):
        made = jax.jit(vorticity)(jnp.asarray(ds.u.values), jnp.asarray(ds.v.values))
    assert isinstance(made, jax.Array)
    assert_allclose(made, expected, rtol=1e-12, atol=1e-12 * U0 / A)
    blocks = ds.chunk(y=9).assign_coords(lat=ds.lat, lon=ds.lon).map(fd.to_device)
    lazy = blocks.fdgrad.vorticity("u", "v", boundary=FOLDED)
    assert isinstance(lazy.data._meta, jax.Array)
    assert_allclose(lazy[-9:].values, expected[-9:], rtol=1e-12, atol=1e-12 * U0 / A)


def test_other_dimensions_and_labels_stay():
    ds, _ = tripolar(24)
    labels = {"y": np.arange(12) * 0.5, "x": np.arange(24), "name": ("y", [*"abcdefghijkl"])}
    ds = ds.assign_coords(labels).expand_dims(time=[3.0, 4.0], axis=2)
    made = ds.s.fdgrad.laplacian(boundary=FOLDED)
    assert made.dims == ds.s.dims
    xr.testing.assert_identical(made.coords.to_dataset(), ds.s.coords.to_dataset())


# --- refusals ------------------------------------------------------------------------------------


def test_what_cannot_be_right_is_refused_with_a_way_out():
    ds, _ = tripolar(32)
    repeated, _ = tripolar(32, **NEMO)
    plane = ds.s.drop_vars(["lat", "lon"]).assign_coords(
        y=("y", np.arange(16.0), {"units": "m"}), x=("x", np.arange(32.0), {"units": "m"})
    )
    speed = ds.u.drop_attrs().assign_attrs(units="m s-1")
    cases = [
        (ds.s, "fold", OptionError, "at one end of y: say boundary="),
        (ds.s, {"y": ("fold", None)}, OptionError, r"\.isel\(y=slice\(None, None, -1\)\)"),
        (ds.s, {"y": "fold"}, OptionError, "last row of y alone"),
        (ds.s, {"x": (None, "fold")}, OptionError, "upper end of y"),
        (plane, FOLDED, OptionError, "plane grid"),
        (ds.s[:-3], FOLDED, CoordinateError, "no fold is found"),
        (ds.s[:, 3:], FOLDED, CoordinateError, "select all columns"),
        (ds.s, {"y": (None, "fold-T")}, CoordinateError, "show a F pivot; say 'fold'"),
        (ds.chunk().s[:, 1:], {"y": (None, "fold-F")}, CoordinateError, "31 columns"),
        (repeated.s, {"y": (None, "fold")}, OptionError, "so 'x' is periodic"),
        (speed, FOLDED, OptionError, "give it a standard_name"),
    ]
    for field, boundary, error, words in cases:
        with pytest.raises(error, match=words):
            field.fdgrad.gradient_magnitude(boundary=boundary)
    with pytest.raises(CoordinateError, match="lower the accuracy"):
        ds.s[-8:].fdgrad.laplacian(boundary=FOLDED, accuracy=4)
    with pytest.raises(OptionError, match="take horizontal_gradient"):
        ds.s.fdgrad.gradient("y", boundary=FOLDED)
    with pytest.raises(OptionError, match="DataArray over y and x"):
        ds.s.fdgrad.laplacian(boundary=FOLDED, geometry=fd.Curvilinear(angle=3.0))


@pytest.mark.parametrize(("pivot", "repeats"), [("T", False), ("T", True), ("F", True)])
def test_the_last_rows_are_enough_or_refused(pivot, repeats):
    """A row beyond the fold is none of those that go on there."""
    ds, _ = tripolar(32, pivot, repeats)
    made = ds.fdgrad.divergence("u", "v", boundary=FOLDED)
    for n in range(4, 10):
        last = ds.isel(y=slice(-n, None))
        if n < 5 + repeats * (1 + (pivot == "T")):
            with pytest.raises(CoordinateError, match=r"\d beside the fold .* select more|no fold"):
                last.fdgrad.divergence("u", "v", boundary=FOLDED)
        else:
            got = last.fdgrad.divergence("u", "v", boundary=FOLDED)
            np.testing.assert_allclose(got[2:], made[2 - n :], rtol=1e-12, atol=1e-18)


# --- the fold, without an operator ----------------------------------------------------------------

N = 40  # columns of a grid of half as many rows
WHERE = {  # pivot, whether it repeats points → row j is row so many − j, and so on
    ("T", False): Fold(38, 0, 0, N),
    ("F", False): Fold(39, 39, 0, N),
    ("T", True): Fold(38, 0, 1, N),  # of 21 rows the last but one lies on the fold
    ("F", True): Fold(39, 39, 1, N),
}


@pytest.mark.parametrize(("kind", "wanted"), WHERE.items())
def test_a_fold_is_where_it_was_made(kind, wanted):
    pivot, repeats = kind
    lat, lon = ellipses(*parameters(N, pivot, repeats))
    fold = find_fold(lat, lon)
    assert fold == wanted
    assert fold.pivot == pivot
    if not repeats:
        assert make_fold(pivot, *lat.shape) == wanted
    skipped = lat.copy()  # as files do that leave out the land
    skipped[:, 5:14] = np.nan
    assert find_fold(skipped, lon) == wanted
    assert find_fold(lat.astype("f4"), lon.astype("f4")) == wanted


@pytest.mark.parametrize("shift", [3, 7])
def test_a_fold_may_turn_about_any_column(shift):
    lat, lon = ellipses(*parameters(N, "F"))
    rolled = find_fold(np.roll(lat, shift, 1), np.roll(lon, shift, 1))
    assert rolled == Fold(39, (39 + 2 * shift) % N, 0, N)


def test_most_grids_have_no_fold():
    lat, lon = np.meshgrid(np.linspace(-60, 60, 21), np.arange(0, 360, 9.0), indexing="ij")
    assert find_fold(lat, lon) is None
    lat, lon = ellipses(*parameters(N, "F"))
    for rows in (slice(None, -1), slice(None, -2)):
        assert find_fold(lat[rows], lon[rows]) is None
    moved = ellipses(np.add(parameters(N, "F")[0], 0.5 * np.pi / N), parameters(N, "F")[1])
    assert find_fold(*moved) is None  # the mirror turns about quarters of cells
    assert find_fold(np.full((6, 8), np.nan), np.full((6, 8), np.nan)) is None


@pytest.mark.parametrize("repeated", range(6))
def test_columns_that_repeat_the_first_are_counted(repeated):
    lon = 10.0 * np.arange(36 + repeated)[None] % 360 * np.ones((3, 1))
    lat = np.array([[0.0], [10.0], [30.0]]) + 0 * lon
    assert count_repeated_columns(lat, lon) == (repeated if repeated <= 4 else 0)
    lon[0] += 1e-4 * np.arange(lon.shape[1]) % 2  # rounding
    assert count_repeated_columns(lat, lon) == (repeated if repeated <= 4 else 0)


def test_a_region_or_too_few_columns_repeat_nothing():
    lat, lon = np.meshgrid(np.arange(3.0), np.arange(12.0), indexing="ij")
    assert count_repeated_columns(lat, lon) == 0
    assert count_repeated_columns(lat[:, :3], lon[:, :3]) == 0
    around = np.array([[0.0, 120, 240, 0]] * 3)  # three columns and the first again
    assert count_repeated_columns(lat[:, :4], around) == 1
    assert count_repeated_columns(np.nan * lat, lon) == 0


def test_points_in_space():
    found = locate([[0.0, 0, 30]], [[0.0, 90, 180]])
    wanted = [[[1, 0, 0], [0, 1, 0], [-np.sqrt(0.75), 0, 0.5]]]
    assert_allclose(found, wanted, atol=1e-15)


def test_the_upper_end_of_y_is_connected_to_itself():
    links, end = Fold(39, 11, 0, N).connect()
    assert end == 40
    assert set(links) == {(0, "x", 0), (0, "x", 1), (0, "y", 1)}
    assert links[0, "x", 0] == links[0, "x", 1] == (0, "x", False, False, *links[0, "x", 0][4:])
    assert links[0, "y", 1] == (0, "y", True, True, 24)
    links, end = Fold(39, 11, 0, N).connect(0, 3)
    assert end == 39
    assert links[0, "y", 1][4] == 28
