"""Lengths, areas and shares of cells as datasets have them: means, units, rates, times."""

from __future__ import annotations

import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.model_cells import ModelCells
from fdgrad_dask.grids.models import find_layout

NAMES = {  # of the dimensions of models with faces at each position
    "left": ("i", "i_g", "j", "j_g"),
    "right": ("x_c", "x_f", "y_c", "y_f"),
    "inner": ("xi_rho", "xi_u", "eta_rho", "eta_v"),
    "outer": ("x", "x_stag", "y", "y_stag"),
}
POINTS = {"center": (0, 0), "u": (1, 0), "v": (0, 1), "corner": (1, 1)}
NX, NY = 6, 5


def lines(position):
    """The places of cells and faces along x and along y, counted in cells."""
    faces = {"left": (0, 0), "right": (1, 1), "inner": (1, 0), "outer": (0, 1)}[position]
    return [(np.arange(n) + 0.5, np.arange(faces[0], n + faces[1])) for n in (NX, NY)]


def dims_of(position, point):
    x, face, y, y_face = NAMES[position]
    on_x, on_y = POINTS[point]
    return (y_face if on_y else y), (face if on_x else x)


def at(position, point, function):
    """A function of the places (x, y), over the dimensions of a point."""
    x, y = (line[on] for line, on in zip(lines(position), POINTS[point], strict=True))
    return dims_of(position, point), function(*np.meshgrid(x, y))


def length(x, y):
    return 100 + 3.0 * x + 7.0 * y


def dataset(position, sizes, function=length):
    """Sizes by name and point, with fields at the centres and corners."""
    fields = {"s": "center", "z": "corner"}
    return xr.Dataset({n: at(position, p, function) for n, p in (fields | sizes).items()})


def grid_of(ds):
    return ModelCells(ds, find_layout(ds)).grid()


@pytest.mark.parametrize("position", NAMES)
def test_lengths_that_are_missing_are_means_and_at_ends_go_on(position):
    """Of lengths that change evenly, exactly: also where one of the two neighbours is missing."""
    sizes = {"dxC": "u", "dxG": "v", "dyG": "u", "dyC": "v"}
    made = grid_of(dataset(position, sizes))
    for lengths in (made.dx, made.dy):
        assert {*lengths} == {*POINTS}
        for point, one in lengths.items():
            wanted = at(position, point, length)
            assert one.dims == made.dims(point) == wanted[0]
            np.testing.assert_allclose(one, wanted[1], rtol=1e-13)
            assert one.attrs == {"units": "m"}
    assert made.area == made.fraction == {}
    given = dataset(position, sizes).assign(dxF=at(position, "center", lambda x, y: 5 + 0 * x))
    assert (grid_of(given).dx["center"] == 5).all()


@pytest.mark.parametrize("position", NAMES)
def test_rates_are_averaged_before_they_are_turned_around(position):
    """As ROMS and WRF do: cells per metre are means of two, or of four."""
    made = grid_of(dataset(position, {"pm": "center", "pn": "center"}))
    for lengths in (made.dx, made.dy):
        for point, one in lengths.items():
            np.testing.assert_allclose(one, 1 / at(position, point, length)[1], rtol=1e-13)
    steps = {"MAPFAC_M": "center", "MAPFAC_UX": "u"}
    ds = dataset(position, steps)
    for value in (None, 0, -1.0, "12000"):
        assert grid_of(ds.assign_attrs(DX=value, DY=value)).dx == {}
    for dx in (12000, np.float32(12000)):
        made = grid_of(ds.assign_attrs(DX=dx, DY=500.0))
        for step, lengths in ((12000, made.dx), (500, made.dy)):
            for point, one in lengths.items():
                wanted = step / at(position, point, length)[1]
                np.testing.assert_allclose(one, wanted, rtol=1e-13)


UNITS = {"m": 1, "centimeters": 0.01, "km": 1000, "": 1}


@pytest.mark.parametrize("units", UNITS)
def test_sizes_are_in_metres_and_float64(units):
    ds = dataset("left", {"dxF": "center", "rA": "center", "hFacC": "center"})
    ds = ds.astype("f4")
    ds["dxF"].attrs["units"] = units
    ds["rA"].attrs["units"] = f"{units}2" if units not in ("", "m") else units  # so xmitgcm has it
    ds["hFacC"].attrs["units"] = "m"  # of a share it says nothing
    made = grid_of(ds)
    factors = {"dx": UNITS[units], "area": UNITS[units] ** 2, "fraction": 1}
    for kind, factor in factors.items():
        one = getattr(made, kind)["center"]
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, ds["dxF"].astype("f8") * factor, rtol=1e-15)
    lazy = grid_of(ds.chunk(j=2))
    for kind in factors:
        one = getattr(lazy, kind)["center"]
        assert isinstance(one.data, da.Array)
        assert one.dtype == np.float64
    with pytest.raises(CoordinateError, match=r"'dxF' is in 'K', but as a cell size it needs m;"):
        grid_of(ds.assign(dxF=ds["dxF"].assign_attrs(units="K")))


def test_rates_per_kilometre():
    ds = dataset("left", {"pm": "center", "pn": "center"})
    per_km = ds.assign({n: (1000 * ds[n]).assign_attrs(units="km-1") for n in ("pm", "pn")})
    made, wanted = grid_of(per_km), grid_of(ds)
    for point in POINTS:
        np.testing.assert_allclose(made.dx[point], wanted.dx[point], rtol=1e-14)
        np.testing.assert_allclose(made.dy[point], wanted.dy[point], rtol=1e-14)


def test_sizes_on_a_device_stay_there():
    ds = dataset("left", {"dxF": "center"}).astype("f4")
    ds["dxF"] = ds["dxF"].dims, jnp.asarray(ds["dxF"].values)
    made = grid_of(ds).dx["center"]
    assert isinstance(made.data, jax.Array)
    assert made.dtype == np.float32


def test_sizes_with_times_and_shares_with_levels():
    ds = dataset("left", {"dxF": "center", "rA": "center", "hFacC": "center"})
    ds = ds.assign({n: ds[n].expand_dims(time=3).copy() for n in ("dxF", "rA")})
    ds["rA"][2, 1, 1] += 1.0
    ds["hFacC"] = ds["hFacC"].expand_dims(Z=[0.5, 1.5, 3.0])
    made = grid_of(ds)
    assert made.fraction["center"].dims == ("Z", "j", "i")
    np.testing.assert_array_equal(made.dx["center"], ds["dxF"][0])
    moved = np.zeros((NY, NX), bool)
    moved[1, 1] = True
    np.testing.assert_array_equal(made.area["center"].isnull(), moved)
    once = grid_of(ds.isel(time=[0]).assign(dxF=ds["dxF"][:1].where(ds["dxF"][:1] > 110)))
    np.testing.assert_array_equal(once.dx["center"], ds["dxF"][0].where(ds["dxF"][0] > 110))


def test_the_first_complete_pair_of_places_is_that_of_a_point():
    ds = dataset("left", {"geolon_u": "u", "glamu": "u", "gphiu": "u", "ELON": "u", "ELAT": "u"})
    cells = ModelCells(ds, find_layout(ds))
    own = {"j": "rows", "i_g": "columns"}
    found = cells.find_places("u", own)
    assert [*found] == ["glamu", "gphiu"]
    for name, units in (("glamu", "degrees_east"), ("gphiu", "degrees_north")):
        assert found[name].dims == ("rows", "columns")
        assert found[name].attrs == {"units": units}
    assert cells.find_places("v", {}) == {}
    named = ds.assign(gphiu=ds["gphiu"].assign_attrs(units="radian"))
    radians = ModelCells(named, find_layout(named)).find_places("u", own)
    assert radians["gphiu"].attrs == {"units": "radian"}
    made = cells.grid()
    assert made.dx == {}


def test_sizes_have_the_coordinates_of_their_points():
    ds = dataset("left", {"dxC": "u", "dxF": "center", "geolon_u": "u", "geolat_u": "u"})
    ds = ds.assign_coords(i=np.arange(NX) + 0.5, i_g=np.arange(NX), depth=("Z", [1.0]))
    ds = ds.assign_coords(basin=at("left", "center", length))
    made = grid_of(ds.assign_coords(time=3.0)).dx
    assert {*made["u"].coords} == {"i_g", "geolon_u", "geolat_u"}
    assert {*made["center"].coords} == {"i", "basin"}
