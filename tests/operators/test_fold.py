"""Operators across the fold of a tripolar grid, against closed forms."""

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

NEMO = {"pivot": "T", "repeats": True}
ALONG = {"F pivot": {"pivot": "F"}, "NEMO": {**NEMO, "components": "grid"}}
OTHERS = {"T pivot": {"pivot": "T"}, "Murray": {"formula": murray}, "NEMO, to the east": NEMO}
CASES = [(kind, name) for kind in ALONG for name in OPERATORS] + [
    (kind, name) for kind in OTHERS for name in ("kinematics", "laplacian")
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


# --- kinds, chunks, reads ------------------------------------------------------------------------


@pytest.mark.parametrize(("pivot", "repeats"), [("T", True), ("F", False)])
def test_chunks_do_not_change_a_bit_and_stay(pivot, repeats):
    ds, _ = tripolar(24, pivot, repeats)
    whole = ds.fdgrad.kinematics("u", "v", boundary=FOLDED)
    curved = ds.s.fdgrad.laplacian(boundary=FOLDED)
    for chunks in ({"y": 1, "x": 7}, {"y": (6, *[1] * (ds.sizes["y"] - 7), 1), "x": -1}):
        cut = ds.chunk(chunks).assign_coords(lat=ds.lat, lon=ds.lon)
        made = cut.fdgrad.kinematics("u", "v", boundary=FOLDED)
        assert made.vorticity.chunks == cut.u.chunks
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
        u, v = jnp.asarray(ds.u.values), jnp.asarray(ds.v.values)
        for made in (vorticity(u, v), jax.jit(vorticity)(u, v)):
            assert isinstance(made, jax.Array)
            assert_allclose(made, expected, rtol=1e-12, atol=1e-12 * U0 / A)
    blocks = ds.chunk(y=5).assign_coords(lat=ds.lat, lon=ds.lon).map(fd.to_device)
    lazy = blocks.fdgrad.vorticity("u", "v", boundary=FOLDED)
    assert isinstance(lazy.data._meta, jax.Array)
    assert_allclose(lazy.values, expected, rtol=1e-12, atol=1e-12 * U0 / A)


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
