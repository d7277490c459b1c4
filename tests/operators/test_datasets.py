"""Operators on the names of a dataset: where its fields lie, and what their results carry."""

from __future__ import annotations

import dask
import model_cases as cases
import numpy as np
import xarray as xr
from numpy.testing import assert_array_equal

import fdgrad_dask  # noqa: F401  (registers .fdgrad)
from fdgrad_dask import operators as op
from fdgrad_dask.operators.datasets import call_on, select_cells


def refuse(*_, **__):
    raise AssertionError("computed")


def test_what_moves_fields_needs_a_grid_and_no_cell_sizes():
    ds = cases.mom6(6).ds[["uo", "vo", "thetao"]]
    made = ds.fdgrad.interpolate("uo", to="center")
    np.testing.assert_allclose(made, (ds.uo.values[:, 1:] + ds.uo.values[:, :-1]) / 2, rtol=1e-14)
    # One scalar goes by its own coordinates.
    xr.testing.assert_identical(ds.fdgrad.laplacian("thetao"), ds.thetao.fdgrad.laplacian())


def test_an_operator_that_knows_no_geometry_gets_none():
    ds = cases.mom6(6).ds
    made = call_on(ds, op.gradient, ["thetao"], {"dim": "xh"})
    xr.testing.assert_identical(made, op.gradient(ds.thetao, "xh"))


def test_places_that_are_variables_of_the_dataset_stay_there():
    lat, lon = np.meshgrid(np.arange(5.0), np.arange(6.0), indexing="ij")
    places = {
        "lat": (("y", "x"), lat + lon / 10, {"units": "degrees_north"}),
        "lon": (("y", "x"), lon, {"units": "degrees_east"}),
    }
    ds = xr.Dataset({"f": (("y", "x"), np.sin(lat * lon)), **places}, {"day": 3})
    made = ds.fdgrad.gradient_magnitude("f")
    assert {*made.coords} == {"day"}
    placed = ds.set_coords([*places])
    assert_array_equal(made, placed.f.fdgrad.gradient_magnitude())
    assert {*placed.fdgrad.gradient_magnitude("f").coords} == {"day", *places}


def test_results_have_the_dimensions_places_and_attributes_of_their_points():
    """Without time or levels, too."""
    ds = cases.roms(6).ds
    assert max(one.ndim for one in ds.variables.values()) == 2
    made = ds.fdgrad.kinematics("u", "v")
    assert made.vorticity.dims == ("eta_psi", "xi_psi")
    assert {*made.vorticity.coords} == {"lon_psi", "lat_psi"}
    assert {*made.divergence.coords} == {"lon_rho", "lat_rho"}
    assert made.vorticity.attrs["units"] == "s-1"
    xr.testing.assert_identical(made.vorticity, ds.fdgrad.vorticity("u", "v"))

    bare = ds[["u", "v", "temp"]].fdgrad.interpolate("u", to="center")
    assert {*bare.coords} == {"lon_rho", "lat_rho"}
    # Where only a field with time says what the corners are called.
    hot = (("time", "eta_psi", "xi_psi"), np.zeros((3, 5, 11)))
    timed = ds.drop_vars(["lon_psi", "lat_psi"]).assign(hot=hot)
    assert timed.fdgrad.vorticity("u", "v").dims == ("eta_psi", "xi_psi")


def test_of_what_lies_on_one_pair_of_dimensions_the_days_stay():
    """Coordinates of other points of NEMO are left behind, which are over the same dimensions."""
    case = cases.nemo_xios(6)
    days = {"day": ("time", [3.0, 4]), "run": 7}
    ds = case.ds.assign_coords(days)
    own = {"uo": "U", "vo": "V"}
    for name, point in own.items():
        there = f"nav_lon_grid_{point} nav_lat_grid_{point}"
        ds[name] = ds[name].expand_dims(time=2)
        ds[name].encoding["coordinates"] = there
    made = ds.fdgrad.divergence("uo", "vo")
    assert {"day", "run"} <= {*made.coords}
    assert_array_equal(made[1], case.ds.fdgrad.divergence("uo", "vo"))


def test_a_few_cells_and_their_faces_are_enough_to_try_an_operator():
    """The labels of cells stay; the values of nothing else are read."""
    ds = cases.mom6(6).ds.expand_dims(time=5).assign(depth=("yh", np.arange(6.0))).chunk()
    ds = ds.assign(z=("time", np.arange(5.0)))
    fields = [ds.uo, ds.vo]
    with dask.config.set(scheduler=refuse):
        few = select_cells(ds, fields, 3)
        assert few.sizes == {"time": 5, "yh": 3, "xq": 4, "yq": 4, "xh": 3}
        for name, one in few.variables.items():
            if name in few.indexes:
                assert_array_equal(one, ds[name][: few.sizes[name]])
            else:
                assert (one.values == 1).all()
        assert select_cells(ds, fields, 20).sizes == ds.sizes
        assert select_cells(ds, [ds.thetao, ds.thetao], 3) is None
        assert select_cells(ds.drop_dims(["xq", "yq"]), [ds.thetao], 3) is None
