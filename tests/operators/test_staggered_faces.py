"""Staggered operators across the faces of an LLC grid and a cube."""

from dataclasses import replace

import dask
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from counting import Source
from curved import U0, A, assert_order, closed_forms
from faces import FRAMES, LLC, conformal_cube, connect, lat_lon_cap, size_of_cells
from numpy.testing import assert_allclose, assert_array_equal
from tripolar import EAST, NORTH, staggered

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError

POINTS = {"center": ("j", "i"), "u": ("j", "ig"), "v": ("jg", "i"), "corner": ("jg", "ig")}
TURNS = (0, 1, 2, 3, 3, 0, 1, 2)
UNITS = {"u": "m s-1", "v": "m s-1", "s": "K"}


def over_faces(values, point, name=None, **coords):
    dims = ("face", *POINTS[point])
    return xr.DataArray(values, {k: (dims, *one) for k, one in coords.items()}, dims, name)


def make_grid(position, lengths, areas, connections):
    """A grid whose lengths along x and y, and areas, are given by point."""
    return fd.Grid(
        {"center": "i", position: "ig"},
        {"center": "j", position: "jg"},
        dx=lengths[0],
        dy=lengths[1],
        area=areas,
        boundary={"x": 0.0, "y": 0.0, **connections},
    )


# --- faces that a whole grid is cut into ---------------------------------------------------------


def cut_points(by_point, point, m=12):
    """Eight faces with both edges of arrays by point, each turned, where they lie at a point."""
    faces = []
    for turn, corner in zip(TURNS, np.ndindex(2, 4), strict=True):
        before = {"u": "v", "v": "u"}.get(point, point) if turn % 2 else point
        more = before in ("v", "corner"), before in ("u", "corner")
        j, i = (slice(m * k, m * k + m + extra) for k, extra in zip(corner, more, strict=True))
        faces.append(np.rot90(by_point[before][j, i], turn))
    return np.stack(faces)


def cut_vector(u, v):
    """The components along x and y of each face; with each quarter, y becomes x."""
    turned = (-1j) ** np.reshape(TURNS, (8, 1, 1))
    return (
        cut_points({"u": u, "v": -v}, "u") * (turned.real + turned.imag),
        cut_points({"u": u, "v": v}, "v") * (turned.real + turned.imag),
    )


@pytest.fixture(scope="module")
def cut_grid():
    """A tripolar grid and its fields, and the same in eight turned faces."""
    fields, grid, _ = staggered(48, "F", "outer")
    lengths, places = {}, {}
    for key, keyword in (("lat", NORTH), ("lon", EAST)):
        by_point = {p: grid.dx[p].coords[f"{key}_{p}"].values for p in POINTS}
        places[key] = {p: (cut_points(by_point, p), keyword) for p in POINTS}
    sizes = {p: grid.dx[p].values for p in POINTS}
    for p in POINTS:
        named = {f"{key}_{p}": places[key][p] for key in places}
        lengths[p] = over_faces(cut_points(sizes, p), p, **named)
    connections = connect(places["lat"]["center"][0], places["lon"]["center"][0])
    values = dict(zip("uv", cut_vector(fields["u"].values, fields["v"].values), strict=True))
    values["s"] = cut_points({"center": fields["s"].values}, "center")
    faces = {
        n: over_faces(one, {"s": "center"}.get(n, n), n).assign_attrs(units=UNITS[n])
        for n, one in values.items()
    }
    return fields, grid, faces, make_grid("outer", (lengths, lengths), {}, connections)


def solve_all(fields, grid):
    u, v, s = (fields[n] for n in "uvs")
    made = dict(op.kinematics(u, v, geometry=grid)) | dict(op.horizontal_gradient(s, geometry=grid))
    for of in (op.laplacian, op.gradient_magnitude):
        made[of.__name__] = of(s, geometry=grid)
    return made | {"advection": op.advection(u, v, s, geometry=grid)}


def test_faces_are_the_grid_that_they_are_cut_from(cut_grid):
    """With its fold, its walls and all corners; deformations turn with the axes."""
    fields, grid, faces, on_faces = cut_grid
    whole, made = solve_all(fields, grid), solve_all(faces, on_faces)
    slopes = cut_vector(whole["ds_dx"].values, whole["ds_dy"].values)
    expected = dict(zip(("ds_dx", "ds_dy"), slopes, strict=True))
    for k in whole.keys() - expected.keys():
        point = "corner" if whole[k].dims == ("yf", "xf") else "center"
        turn = np.reshape(TURNS, (8, 1, 1)) % 2 if k[:4] in ("stre", "shea") else 0
        expected[k] = cut_points({point: whole[k].values}, point) * (1 - 2 * turn)
    for k, values in expected.items():
        size = np.nanmedian(abs(values))
        # The pivots have no area, and their mirrored points lie a rounding error apart.
        known = abs(values) < 1e6 * size
        assert known.sum() >= values.size - 100
        assert_allclose(made[k].values[known], values[known], rtol=1e-12, atol=1e-12 * size)
        assert made[k].attrs["faces"] == "face"
    assert made["vorticity"].dims == ("face", "jg", "ig")


def test_components_in_two_units_go_on_as_one_another(cut_grid):
    _, _, faces, grid = cut_grid
    u, v = faces["u"], faces["v"]
    in_km = (v / 1000).assign_attrs(units="km s-1")
    true = op.divergence(u, v, geometry=grid)
    assert_allclose(op.divergence(u, in_km, geometry=grid), true, rtol=1e-9, atol=1e-18)
    with pytest.raises(CoordinateError, match="but across faces one component goes on"):
        op.divergence(u, v.expand_dims(time=2), geometry=grid)


# --- a cube, with the corners where three faces meet ---------------------------------------------


def number_edges(n, draw):
    """Fluxes, and lengths, through the edges of the cells of a cube, the same on both faces."""
    seen = {}
    made = {"u": np.empty((6, n, n + 1)), "v": np.empty((6, n + 1, n))}
    for face, names in enumerate(FRAMES):
        x, y = (np.eye(3, dtype=int)["xyz".index(name)] for name in names)
        for point, along, aside in (("u", x, y), ("v", y, x)):
            for index in np.ndindex(made[point].shape[1:]):
                k, m = index[::-1] if point == "u" else index
                place = (2 * k - n) * along + (2 * m + 1 - n) * aside + n * np.cross(x, y)
                value = seen.setdefault(tuple(place), draw())
                # From the first face to the second, where two meet.
                outward = {0: -1, n: 1}.get(k, 0)
                is_second = outward and seen.setdefault((*place, "first"), face) != face
                made[point][(face, *index)] = value * (-outward if is_second else outward or 1)
    return made


def test_gauss_and_stokes_hold_on_a_cube():
    """To rounding, for any numbers through the edges and any lengths; three edges at a corner."""
    n, rng = 6, np.random.default_rng(3)
    flow, along, across = (number_edges(n, draw) for draw in (rng.normal, rng.random, rng.random))
    flow, along, across = (
        {p: over_faces(one[p] if one is flow else abs(one[p]), p, p) for p in "uv"}
        for one in (flow, along, across)
    )
    connections = connect(*conformal_cube(n))
    lengths = {"u": across["u"], "v": along["v"]}, {"u": along["u"], "v": across["v"]}
    seen, place = {}, {}
    for face, names in enumerate(FRAMES):
        x, y = (np.eye(3, dtype=int)["xyz".index(name)] for name in names)
        for j, i in np.ndindex(n + 1, n + 1):
            at = (2 * i - n) * x + (2 * j - n) * y + n * np.cross(x, y)
            place[face, j, i] = tuple(at)
            seen.setdefault(tuple(at), (rng.random() + 1, []))[1].append((face, j, i))
    corner = np.empty((6, n + 1, n + 1))
    share = np.empty_like(corner)
    for key, at in place.items():
        corner[key], share[key] = seen[at][0], 1 / len(seen[at][1])
    areas = {
        "center": over_faces(rng.random((6, n, n)) + 1, "center"),
        "corner": over_faces(corner, "corner"),
    }
    grid = make_grid("outer", lengths, areas, connections)
    u, v = (flow[p].assign_attrs(units="m s-1") for p in "uv")
    flux = op.divergence(u, v, geometry=grid) * areas["center"]
    assert abs(flux.sum()) < 1e-13 * abs(flux).sum()
    vorticity = op.vorticity(u, v, geometry=grid)
    for place in seen.values():  # one value at each corner, from all faces
        assert np.ptp([vorticity.values[at] for at in place[1]]) < 1e-13
    circulation = vorticity * corner * share
    assert circulation.notnull().all()
    # A corner of three cells has a circulation, but no directions x and y.
    flat = {p: xr.ones_like(grid.area[p]) for p in ("center", "corner")}
    lengths = ({**each, **flat} for each in lengths)
    made = op.deformation(u, v, geometry=make_grid("outer", tuple(lengths), areas, connections))
    assert_array_equal(made.shearing_deformation.isnull(), np.isclose(share, 1 / 3))
    assert abs(circulation.sum()) < 1e-13 * abs(circulation).sum()


# --- an LLC grid as MITgcm writes it ------------------------------------------------------------


def llc(n):
    """u and v along the axes of each face, the grid, and the closed forms by point."""
    lengths, exact, fields = {}, {}, {}
    for point in POINTS:
        lat, lon, angle = lat_lon_cap(n, point)
        exact[point] = closed_forms(lat, lon)
        turned = (exact[point]["u"] + 1j * exact[point]["v"]) * np.exp(-1j * angle)
        size = size_of_cells(n, lat, lon)
        places = {f"Y_{point}": (lat, NORTH), f"X_{point}": (lon, EAST)}
        lengths[point] = over_faces(size, point, **places if point in ("center", "corner") else {})
        if point in ("u", "v"):
            values = turned.real if point == "u" else turned.imag
            fields[point] = over_faces(values, point, point).assign_attrs(units="m s-1")
    fields["s"] = over_faces(exact["center"]["s"], "center", "s").assign_attrs(units="K")
    areas = {p: lengths[p] ** 2 for p in ("center", "corner")}
    lengths = {p: lengths[p] for p in ("u", "v", "corner", "center")}
    return fields, make_grid("left", (lengths, lengths), areas, LLC), exact


def errors(n):
    """Beside the edges of faces, but not where three of them meet, nor beside the south."""
    fields, grid, exact = llc(n)
    made = dict(op.kinematics(fields["u"], fields["v"], geometry=grid))
    made["s_laplacian"] = op.laplacian(fields["s"], geometry=grid)
    inner, inside = slice(n // 3, -n // 3), [1, 2, 4, 5, 6, 7, 8, 10, 11]
    found = {}
    for k in ("divergence", "vorticity", "s_laplacian"):
        truth = exact["corner" if k == "vorticity" else "center"][k]
        off = (made[k].values - truth)[inside]
        rows = off[:, [0, -1], inner], off[:, inner, [0, -1]]
        found[k] = max(abs(row).max() for row in rows) * A / (1 / A if k[0] == "s" else U0)
    return found


def test_operators_are_second_order_across_every_edge_of_an_llc_grid():
    coarse, fine = errors(12), errors(24)
    assert max(fine.values()) < 0.02
    assert_order(coarse, fine, slack=0.3)


def test_nothing_is_lost_on_an_llc_grid_between_walls():
    fields, grid, _ = llc(9)
    for face in (0, 3):
        fields["v"][face, 0] = 0  # the southern walls that the data have
    divergence = op.divergence(fields["u"], fields["v"], geometry=grid)
    flux = divergence * grid.area["center"]
    assert abs(flux.sum()) < 1e-12 * abs(flux).sum()


def test_chunks_reads_and_kinds():
    fields, grid, _ = llc(6)
    u, v = (fields[k].isel(face=[2, 5, 6]) for k in "uv")
    cap = {
        "face": {
            0: {"X": (None, (1, "X", False)), "Y": (None, (2, "X", False))},
            1: {"X": ((0, "X", False), None), "Y": (None, (2, "Y", False))},
            2: {"X": ((0, "Y", False), None), "Y": ((1, "Y", False), None)},
        }
    }
    sizes = {
        kind: {p: one.isel(face=[2, 5, 6]) for p, one in getattr(grid, kind).items()}
        for kind in ("dx", "dy", "area")
    }
    grid = replace(grid, boundary={"x": 0.0, "y": 0.0, **cap}, **sizes)
    whole = op.kinematics(u, v, geometry=grid)
    counted = [Source(one.values) for one in (u, v)]
    lazy = [one.copy(data=s.chunked((1, 4, 6))) for one, s in zip((u, v), counted, strict=True)]
    made = op.kinematics(*lazy, geometry=grid)
    assert not any(source.reads for source in counted)
    assert made.vorticity.chunks == lazy[0].chunks
    xr.testing.assert_identical(dask.compute(made)[0], whole)
    for source in counted:
        assert set(source.reads.values()) == {1}

    def vorticity(a, b):
        return op.vorticity(u.copy(data=a), v.copy(data=b), geometry=grid).data

    with jax.enable_x64(True):
        traced = jax.jit(vorticity)(jnp.asarray(u.values), jnp.asarray(v.values))
    assert isinstance(traced, jax.Array)
    assert_allclose(traced, whole.vorticity.values, rtol=1e-12, atol=1e-12 * U0 / A)


def test_what_cannot_be_right_is_refused():
    fields, grid, _ = llc(6)
    u, v, s = (fields[k] for k in "uvs")
    around = {**grid.boundary, "x": "periodic"}
    with pytest.raises(OptionError, match="connect the face with itself"):
        op.laplacian(s, geometry=replace(grid, boundary=around))
    with pytest.raises(OptionError, match="rotate both components"):
        op.interpolate(u.assign_attrs(standard_name="x_wind"), geometry=grid)
    at_corners = [one.rename(dict(zip(one.dims[1:], ("jg", "ig"), strict=True))) for one in (u, v)]
    with pytest.raises(OptionError, match="needed at 'u' and 'v'"):
        op.vorticity(*at_corners, geometry=grid)
    with pytest.raises(CoordinateError, match="give both, or interpolate"):
        op.vorticity(u, v, geometry=replace(grid, dx={"u": grid.dx["u"]}))
    with pytest.raises(CoordinateError, match="lower the accuracy"):
        op.laplacian(s[:, :4, :4], geometry=replace(grid, dx={}, dy={}, area={}))
