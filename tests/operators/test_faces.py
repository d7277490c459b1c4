"""Operators across the faces of an LLC grid and a cube, against closed forms and a whole grid."""

import dask
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from counting import Source
from curved import U0, UNITS, A, assert_order, outputs
from faces import (
    DIMS,
    LLC,
    conformal_cube,
    connect,
    cut,
    join,
    lat_lon_cap,
    on_faces,
    size_of_cells,
)
from numpy.testing import assert_allclose, assert_array_equal
from tripolar import FOLDED, tripolar

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, OptionError

TURNS = (0, 1, 2, 3, 3, 0, 1, 2)


def test_the_generated_grid_is_connected_as_that_of_ecco():
    lat, lon, _ = lat_lon_cap(8)
    assert connect(lat, lon) == LLC


def cut_and_turned(components="earth"):
    """A tripolar grid in eight faces, each with its axes turned, and how they are connected."""
    ds, _ = tripolar(48, components=components)
    parts = {name: cut(ds[name].values, 12, TURNS) for name in ("lat", "lon", *"uvs")}
    faces, _ = on_faces(parts["lat"], parts["lon"])
    if components == "grid":  # with each quarter, y becomes x
        turned = (parts["u"] + 1j * parts["v"]) * (-1j) ** np.reshape(TURNS, (8, 1, 1))
        parts |= {"u": turned.real, "v": turned.imag}
    for name in "uvs":
        faces[name] = faces[name].copy(data=parts[name]).assign_attrs(ds[name].attrs)
    return ds, faces, connect(parts["lat"], parts["lon"])


@pytest.mark.parametrize(
    ("components", "name"),
    [
        *(("earth", name) for name in ("kinematics", "laplacian", "geostrophic_wind")),
        *(("grid", name) for name in ("vorticity", "frontogenesis", "potential_vorticity")),
    ],
)
def test_faces_are_the_grid_that_they_are_cut_from(components, name):
    """To the bit but where the order of a sum turns, with its fold and corners."""
    ds, faces, connections = cut_and_turned(components)
    whole = outputs(name, ds, boundary=FOLDED)
    made = outputs(name, faces, boundary=connections)
    for k in whole:
        got, expected = join(made[k].values, (24, 48), TURNS), whole[k].values
        assert_allclose(got, expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max())
        assert made[k].attrs["faces"] == "face"


def test_higher_accuracy_too():
    ds, faces, connections = cut_and_turned()
    got = faces.s.fdgrad.laplacian(boundary=connections, accuracy=4).values
    expected = ds.s.fdgrad.laplacian(boundary=FOLDED, accuracy=4).values
    assert_allclose(join(got, (24, 48), TURNS), expected, atol=1e-11 * np.abs(expected).max())


def test_components_are_brought_to_one_unit_before_they_turn():
    faces, connections = two_faces()
    expected = faces.fdgrad.vorticity("u", "v", boundary=connections)
    fast = (faces.v * 3.6).assign_attrs(units="km h-1", standard_name="y_wind").rename("v")
    made = op.vorticity(faces.u, fast.transpose("i", "face", "j"), boundary=connections)
    assert made.dims == expected.dims
    assert_allclose(made, expected, rtol=1e-9, atol=1e-12 * U0 / A)
    with pytest.raises(CoordinateError, match="give both the same"):
        op.vorticity(faces.u.expand_dims(time=2), faces.v, boundary=connections)


def edges(values):
    """The points beside the edges, but not near corners, where three faces meet."""
    n = values.shape[-1]
    inner = slice(n // 3, -n // 3)
    rows = values[:, [0, -1], inner], values[:, inner, [0, -1]]
    return np.concatenate([part.ravel() for part in rows])


def errors(name, n, grid, **options):
    if grid is conformal_cube:
        places, connections = conformal_cube(n), None
        connections = connect(*places)
        inside = slice(None)
    else:
        places, connections, inside = lat_lon_cap(n), LLC, [1, 2, 4, 5, 6, 7, 8, 10, 11]
    ds, exact = on_faces(*places)
    return {
        k: np.abs(edges((a.values - exact[k])[inside])).max() / UNITS.get(k, U0 / A)
        for k, a in outputs(name, ds, boundary=connections, **options).items()
    }


@pytest.mark.parametrize(
    ("grid", "name"),
    [
        (conformal_cube, "kinematics"),
        (conformal_cube, "laplacian"),
        (lat_lon_cap, "kinematics"),
        (lat_lon_cap, "advection"),
    ],
)
def test_operators_are_second_order_across_every_edge(grid, name):
    """On the LLC grid the wind is along the axes of each face."""
    coarse, fine = (errors(name, n, grid) for n in (12, 24))
    assert_order(coarse, fine, slack=0.3)


def test_lengths_and_angles_turn_too():
    """dx, dy and the angle of each face, without latitude and longitude."""
    lat, lon, angle = lat_lon_cap(24)
    ds, exact = on_faces(lat, lon, angle)
    d = xr.DataArray(size_of_cells(24, lat, lon), dims=DIMS)
    turned = xr.DataArray(np.rad2deg(angle), dims=DIMS)
    bare = ds.drop_vars(["XC", "YC"])
    geometry = fd.Curvilinear(dx=d, dy=d, angle=turned, components="grid")
    z = bare.fdgrad.vorticity("u", "v", boundary=LLC, geometry=geometry)
    g = bare.s.fdgrad.horizontal_gradient(boundary=LLC, geometry=geometry)
    for made, k in ((z, "vorticity"), (g.ds_dx, "ds_dx"), (g.ds_dy, "ds_dy")):
        inside = [1, 2, 4, 5, 6, 7, 8, 10, 11]
        off = np.abs(edges((made.values - exact[k])[inside])).max()
        assert off < 0.02 * UNITS.get(k, U0 / A)


# --- kinds, chunks, reads ------------------------------------------------------------------------


def two_faces():
    """Two of the faces, whose axes are turned against one another."""
    faces = cut_and_turned("grid")[1].isel(face=[0, 1])
    return faces, connect(faces.YC.values, faces.XC.values)


def test_chunks_do_not_change_a_bit_and_stay():
    faces, connections = two_faces()
    whole = faces.fdgrad.kinematics("u", "v", boundary=connections)
    for chunks in ({"face": 2, "j": 5, "i": -1}, {"face": 1, "j": 12, "i": (1, 4, 7)}):
        lazy = faces.chunk(chunks).assign_coords(XC=faces.XC, YC=faces.YC)
        made = lazy.fdgrad.kinematics("u", "v", boundary=connections)
        assert made.vorticity.chunks == lazy.u.chunks
        xr.testing.assert_identical(made.compute(), whole)


def test_building_reads_nothing_and_computing_reads_each_chunk_once():
    faces, connections = two_faces()
    source = Source(faces.s.values)
    s = faces.s.copy(data=source.chunked((2, 6, 12)))
    lazy = s.assign_coords(XC=faces.XC.chunk(), YC=faces.YC.chunk())
    made = op.laplacian(lazy, boundary=connections)
    assert not source.reads
    dask.compute(made)
    assert len(source.reads) == 2
    assert set(source.reads.values()) == {1}


def test_jax_stays_jax_under_jit():
    faces, connections = two_faces()
    expected = faces.fdgrad.vorticity("u", "v", boundary=connections).values

    def vorticity(u, v):
        on_grid = faces.u.copy(data=u), faces.v.copy(data=v)
        return op.vorticity(*on_grid, boundary=connections).data

    with jax.enable_x64(True):
        made = jax.jit(vorticity)(jnp.asarray(faces.u.values), jnp.asarray(faces.v.values))
    assert isinstance(made, jax.Array)
    assert_allclose(made, expected, rtol=1e-12, atol=1e-12 * U0 / A)


def test_labels_stay_and_faces_are_found_by_their_labels():
    _, faces, connections = cut_and_turned()
    labels = {"face": np.arange(8), "j": np.arange(12), "i": np.arange(12)}
    labelled = faces.assign_coords(labels).expand_dims(time=[1.0, 2.0], axis=1)
    made = labelled.s.fdgrad.laplacian(boundary=connections)
    xr.testing.assert_identical(made.coords.to_dataset(), labelled.s.coords.to_dataset())
    assert made.dims == labelled.s.dims
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    shuffled = labelled.s.isel(face=order).fdgrad.laplacian(boundary=connections)
    xr.testing.assert_identical(shuffled, made.isel(face=order))


def test_open_sides_have_the_conditions_of_the_domain():
    """One face at a time, and faces without connections, are as they were."""
    _, faces, _ = cut_and_turned()
    alone = faces.s.isel(face=1).fdgrad.horizontal_gradient(edge_order=2)
    nothing = {"face": {}, "i": "extend"}
    made = faces.s.fdgrad.horizontal_gradient(boundary={"face": {}}, edge_order=2).isel(face=1)
    assert_array_equal(made.ds_dx, alone.ds_dx)
    walls = faces.s.fdgrad.horizontal_gradient(boundary=nothing).isel(face=1)
    assert_array_equal(
        walls.ds_dx, faces.s[1].fdgrad.horizontal_gradient(boundary={"i": "extend"}).ds_dx
    )


# --- refusals ------------------------------------------------------------------------------------


def without(face, axis, end):
    links = {k: dict(one) for k, one in LLC["face"].items()}
    links[face][axis] = tuple(None if i == end else one for i, one in enumerate(links[face][axis]))
    return {"face": links}


def with_link(face, axis, ends):
    return {"face": {**LLC["face"], face: {**LLC["face"][face], axis: ends}}}


def test_what_cannot_be_right_is_refused_with_a_way_out():
    ds, _ = on_faces(*lat_lon_cap(8))
    wrong = {"face": {2: {"Y": (None, (6, "Y", False))}, 6: {"Y": ((2, "Y", False), None)}}}
    cases = [
        (without(6, "X", 0), OptionError, "end of X of face 6, but that one is open"),
        (with_link(2, "Y", ((1, "Y", False), (6, "Y", True))), OptionError, "to another side"),
        (with_link(2, "Y", (None, (13, "Y", True))), OptionError, "there is no face 13"),
        (with_link(2, "Y", (None, (6, "Z", True))), OptionError, "write them as xgcm does"),
        (with_link(2, "Q", (None, None)), OptionError, "write them as xgcm does"),
        (wrong, CoordinateError, "correct the connection"),
        ({**LLC, "i": "periodic"}, OptionError, "connect the face with itself"),
        ({**LLC, "j": LLC["face"]}, OptionError, "give one dimension"),
        ({"tile": LLC["face"]}, OptionError, "'s' has none"),
    ]
    for boundary, error, words in cases:
        with pytest.raises(error, match=words):
            ds.s.fdgrad.gradient_magnitude(boundary=boundary)
    grid = fd.Grid({"center": "i", "left": "i_g"}, {"center": "j", "left": "j_g"})
    with pytest.raises(OptionError, match="give the connections there"):
        ds.s.fdgrad.gradient_magnitude(boundary=LLC, geometry=grid)
    with pytest.raises(CoordinateError, match="lower the accuracy"):
        ds.s.fdgrad.gradient_magnitude(boundary=LLC, accuracy=4)
    with pytest.raises(CoordinateError, match="give square faces"):
        ds.s[:, :, :-1].fdgrad.gradient_magnitude(boundary=LLC)
    with pytest.raises(OptionError, match="rotate both components"):
        ds.u.fdgrad.gradient_magnitude(boundary=LLC)
    with pytest.raises(OptionError, match="set them"):
        ds.s.drop_vars(["XC", "YC"]).assign_coords(
            i=("i", np.arange(8.0), {"units": "m"}), j=("j", np.arange(8.0), {"units": "m"})
        ).rename(i="x", j="y").fdgrad.laplacian(boundary=LLC)
