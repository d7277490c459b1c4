"""Staggered operators across the fold of a tripolar grid."""

import ast
import re
from dataclasses import replace

import dask
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from counting import Source
from curved import U0, UNITS, A, assert_order
from numpy.testing import assert_allclose, assert_array_equal
from tripolar import POINTS, axes, ellipses, parameters, staggered

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError

CASES = [("F", "right", False), ("T", "right", True), ("F", "outer", False), ("T", "left", False)]
AT = {"vorticity": "corner", "shearing_deformation": "corner", "ds_dx": "u", "ds_dy": "v"}


def errors(n, *case):
    fields, grid, exact = staggered(n, *case)
    made = dict(op.kinematics(fields["u"], fields["v"], geometry=grid))
    made |= op.horizontal_gradient(fields["s"], geometry=grid)
    for of in (op.laplacian, op.gradient_magnitude):
        one = of(fields["s"], geometry=grid)
        made[one.name] = one
    # Directions are those of the grid: what depends on them has other closed forms.
    found = {}
    for name in ("divergence", "vorticity", "s_laplacian", "s_gradient_magnitude"):
        truth = exact[AT.get(name, "center")]
        off = np.where(truth["away"], made[name].values - truth[name], 0)[-3:]
        found[name] = np.abs(off).max() / UNITS.get(name, U0 / A)
    for name, point in AT.items():
        assert made[name].dims == POINTS[point]
    return found


@pytest.mark.parametrize("case", CASES)
def test_operators_are_second_order_across_the_fold(case):
    coarse, fine = errors(48, *case), errors(96, *case)
    assert max(fine.values()) < 3e-3
    assert_order(coarse, fine, slack=0.5)  # their largest places differ a little


@pytest.mark.parametrize("pivot", ["T", "F"])
def test_gauss_and_curl_grad_hold_across_the_fold(pivot):
    fields, grid, _ = staggered(24, pivot)
    # Powers of two: dx (δs / dx) is then δs to the bit.
    grid = replace(grid, dx={p: 2.0 ** np.round(np.log2(one + 1)) for p, one in grid.dx.items()})
    grid = replace(grid, dy=grid.dx)
    whole = np.random.default_rng(1).integers(-99, 99, size=fields["s"].shape).astype(float)
    s = fields["s"].copy(data=whole)
    if pivot == "T":  # points of the last row are there twice
        mirrored = -np.arange(24) % 24
        s[-1] = (s[-1].values + s[-1].values[mirrored]) / 2
    slopes = op.horizontal_gradient(s, geometry=grid)
    flow = [slopes[k].rename(k).assign_attrs(units="m s-1") for k in ("ds_dx", "ds_dy")]
    curl = op.vorticity(*flow, geometry=grid)
    assert_array_equal(curl.values[np.isfinite(curl.values)], 0)
    assert np.isfinite(curl.values).sum() >= curl.size - 2  # the pivots may have no area
    divergence = op.divergence(*flow, geometry=grid)
    flux = (divergence * grid.dx["center"] * grid.dy["center"]).values
    if pivot == "T":
        flux[-1] /= 2  # cells of the last row are there twice, turned
    assert abs(np.nansum(flux)) < 1e-12 * np.nansum(abs(flux))


SHARED = {"xc": "nlon", "xf": "nlon", "yc": "nlat", "yf": "nlat"}


def on_shared_dimensions(array):
    return array.rename({old: new for old, new in SHARED.items() if old in array.dims})


def test_points_may_share_their_dimensions():
    """A C grid as NEMO writes it, and a B grid as POP does."""
    fields, grid, exact = staggered(96, "F")
    lengths = {p: on_shared_dimensions(one) for p, one in grid.dx.items()}
    axes = {"center": "nlon", "right": "nlon"}, {"center": "nlat", "right": "nlat"}
    options = {"dx": lengths, "dy": lengths, "boundary": grid.boundary}
    of_c = fd.Grid(*axes, **options, points={"u": "u", "v": "v"})
    u, v = fields["u"], fields["v"]
    made = op.vorticity(*map(on_shared_dimensions, (u, v)), geometry=of_c)
    assert_array_equal(made, op.vorticity(u, v, geometry=grid))
    flow = [lengths["corner"].copy(data=exact["corner"][f"along {k}"]).rename(k) for k in "uv"]
    of_b = fd.Grid(*axes, **options, points={"u": "corner", "v": "corner"})
    made = op.kinematics(*flow, geometry=of_b)
    for k in ("divergence", "vorticity"):
        off = np.where(exact["center"]["away"], made[k].values - exact["center"][k], 0)
        assert np.abs(off[-3:]).max() < 4e-3 * U0 / A


def test_a_component_that_is_interpolated_changes_its_sign():
    fields, grid, exact = staggered(96, "F")
    with pytest.raises(OptionError, match="lies on the faces of cells, and nothing says"):
        op.interpolate(fields["v"], geometry=grid)
    v = fields["v"].assign_attrs(standard_name="sea_water_y_velocity")
    slope = op.horizontal_gradient(fields["s"], geometry=grid).ds_dy
    made = op.interpolate(v, geometry=grid), op.interpolate(slope, geometry=grid)
    (_, _), (y_e, y_n) = axes(ellipses, *parameters(96, "F"))
    truth = exact["center"]
    for one, k, unit in ((made[0], "along v", U0), (made[1], None, 1 / A)):
        true = truth[k] if k else truth["ds_dx"] * y_e + truth["ds_dy"] * y_n
        off = np.where(truth["away"], one.values - true, 0)
        assert np.abs(off[-3:]).max() < 5e-3 * unit


def test_columns_that_are_there_twice_are_one_without_a_fold_too():
    fields, grid, _ = staggered(24, "T", "right", True)
    around = replace(grid, boundary={"x": "periodic", "y": (0.0, None)})
    u, v = fields["u"], fields["v"]
    made = op.kinematics(u, v, geometry=around)
    inner = {"xc": slice(1, -1), "xf": slice(1, -1)}
    once = {p: one.isel(inner, missing_dims="ignore") for p, one in grid.dx.items()}
    core = [one.isel(inner, missing_dims="ignore") for one in (u, v)]
    expected = op.kinematics(*core, geometry=replace(around, dx=once, dy=once))
    xr.testing.assert_identical(made.isel(inner), expected)
    for k in made:
        assert_array_equal(made[k].values[:, [0, -1]], made[k].values[:, [-2, 1]])


def test_columns_that_may_be_there_twice_are_looked_for():
    """Also where places are dask arrays: these are asked for, where NEMO repeats columns."""
    fields, grid, _ = staggered(24, "T", "right", True)
    names = {"xf": "xc", "yf": "yc"}

    def share(one, lazily=False):
        one = one.rename({d: new for d, new in names.items() if d in one.dims})
        return one.assign_coords({n: c.chunk() for n, c in one.coords.items()}) if lazily else one

    made = []
    for lazily in (False, True):
        sizes = {p: share(one, lazily) for p, one in grid.dx.items()}
        shared = fd.Grid(
            {"center": "xc", "right": "xc"},
            {"center": "yc", "right": "yc"},
            dx=sizes,
            dy=sizes,
            boundary={"x": "periodic"},
            points={"u": "u", "v": "v"},
        )
        wind = [share(fields[name], lazily) for name in "uv"]
        if lazily:
            with pytest.raises(
                CoordinateError, match=r"load both, ds\['lat_center'\]\.load\(\) and"
            ):
                op.vorticity(*wind, geometry=shared)
            assert op.vorticity(*wind, geometry=replace(shared, source="POP: …")).chunks is None
            apart = [
                one.rename({d: d[0] + "_" + d[1] for d in one.dims}) for one in fields.values()
            ]
            apart = [
                one.assign_coords({n: c.chunk() for n, c in one.coords.items()}) for one in apart
            ]
            own = fd.Grid(
                *({"center": f"{k}_c", "right": f"{k}_f"} for k in "xy"), boundary={"x": "periodic"}
            )
            with pytest.raises(CoordinateError, match="load both"):
                op.vorticity(*apart[:2], geometry=own)
            arrays = [*wind, *sizes.values()]
            for name in ("lat_center", "lon_center"):
                for one in (one for one in arrays if name in one.coords):
                    one[name].load()
        made.append(op.vorticity(*wind, geometry=shared))
    xr.testing.assert_identical(*made)
    assert_array_equal(made[0][:, [0, -1]], made[0][:, [-2, 1]])


def test_an_operator_of_several_points_meets_at_centres():
    fields, grid, exact = staggered(96, "F")
    made = op.advection(fields["u"], fields["v"], fields["s"], geometry=grid)
    off = np.where(exact["center"]["away"], made.values - exact["center"]["s_advection"], 0)
    assert np.abs(off[-3:]).max() < 5e-3 * U0 / A


def test_chunks_reads_and_kinds():
    fields, grid, _ = staggered(24, "T", "right", True)
    u, v = fields["u"], fields["v"]
    whole = op.kinematics(u, v, geometry=grid)
    counted = [Source(one.values) for one in (u, v)]
    lazy = [one.copy(data=s.chunked((5, 7))) for one, s in zip((u, v), counted, strict=True)]
    made = op.kinematics(*lazy, geometry=grid)
    assert not any(source.reads for source in counted)
    assert made.vorticity.chunks == lazy[0].chunks
    xr.testing.assert_identical(dask.compute(made)[0], whole)
    for source in counted:
        assert set(source.reads.values()) == {1}
    xr.testing.assert_identical(whole.lat_corner.variable, grid.dx["corner"].lat_corner.variable)

    def vorticity(a, b):
        return op.vorticity(u.copy(data=a), v.copy(data=b), geometry=grid).data

    with jax.enable_x64(True):
        traced = jax.jit(vorticity)(jnp.asarray(u.values), jnp.asarray(v.values))
    assert_allclose(traced, whole.vorticity.values, rtol=1e-12, atol=1e-12 * U0 / A)


def test_what_cannot_be_right_is_refused():
    fields, grid, _ = staggered(24, "F", "left")
    s = fields["s"]
    with pytest.raises(CoordinateError, match="give the faces above the cells: 'right'"):
        op.horizontal_gradient(s, geometry=grid)
    fields, grid, _ = staggered(24, "F")
    s = fields["s"]
    with pytest.raises(OptionError, match="a staggered grid has its own; give it there"):
        op.laplacian(s, geometry=grid, boundary={"yc": (0.0, "fold")})
    open_x = replace(grid, boundary={"y": (0.0, "fold")})
    with pytest.raises(CoordinateError, match="let x be periodic too"):
        op.laplacian(s, geometry=open_x)
    few = replace(grid, dx={"center": grid.dx["center"][:-3]}, dy={})
    with pytest.raises(CoordinateError, match="no fold is found"):
        op.laplacian(s[:-3], geometry=few)
    bare = {p: one.drop_vars(list(one.coords)) for p, one in grid.dx.items()}
    with pytest.raises(CoordinateError, match="give one these coordinates, or load them"):
        op.laplacian(s.drop_vars(list(s.coords)), geometry=replace(grid, dx=bare, dy=bare))


def as_mom6(n):
    """A file of MOM6 with its static file merged, on a tripolar grid with nominal labels."""
    fields, grid, exact = staggered(n, "F")
    names = {"xc": "xh", "xf": "xq", "yc": "yh", "yf": "yq"}
    ends = {"center": ("t", ""), "u": ("Cu", "_u"), "v": ("Cv", "_v"), "corner": ("Bu", "_c")}
    made = {}
    for point, (size, place) in ends.items():
        one = grid.dx[point]
        bare = one.drop_vars(one.coords).assign_attrs(units="m")
        made |= {f"dx{size}": bare, f"dy{size}": bare}
        for key in ("lat", "lon"):
            made[f"geo{key}{place}"] = one.coords[f"{key}_{point}"].variable
    bare = {name: one.drop_vars(one.coords) for name, one in fields.items()}
    columns, rows = np.arange(n) * 360.0 / n, np.linspace(-70, 85, n // 2)
    labels = {
        "xc": ("xc", columns + 180 / n, {"units": "degrees_east"}),
        "xf": ("xf", columns + 360 / n, {"units": "degrees_east"}),
        "yc": ("yc", rows, {"units": "degrees_north"}),
        "yf": ("yf", rows + (rows[1] - rows[0]) / 2, {"units": "degrees_north"}),
    }
    return xr.Dataset({**bare, **made}, labels).rename(names), grid, fields, exact


def test_a_model_with_a_fold_says_what_uses_it_and_does():
    ds, grid, fields, exact = as_mom6(48)
    expected = op.vorticity(fields["u"], fields["v"], geometry=grid).values
    text = repr(ds.fdgrad)
    row = next(line for line in text.splitlines() if "y: center yh" in line)
    said = re.search(r"boundary=(\{.*\}) uses it", row)
    assert said, text
    assert "as a dask array" not in text
    for boundary in (ast.literal_eval(said[1]), {"x": "periodic", "y": (0.0, "fold")}):
        made = ds.fdgrad.vorticity("u", "v", boundary=boundary)
        assert made.dims == ("yq", "xq")
        assert_array_equal(made[1:], expected[1:])
    assert np.isnan(ds.fdgrad.vorticity("u", "v")[-1]).all()  # unless asked for
    scalar = ds.fdgrad.laplacian("s", boundary=ast.literal_eval(said[1]))
    off = np.where(exact["center"]["away"], scalar.values - exact["center"]["s_laplacian"], 0)
    assert np.abs(off[-3:]).max() < 0.05 * UNITS["s_laplacian"]
    assert "geolat" not in scalar.coords
    assert "fold" not in str(
        next(line for line in repr(ds.chunk().fdgrad).splitlines() if "y: center yh" in line)
    )
    assert "uses it" not in repr(ds.isel(yh=slice(-3), yq=slice(-3)).fdgrad)
