"""Two sets of 2-D coordinates on the same dimensions are told apart (F3; cases 3a to 3e)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import DEGREE, EAST, NORTH, OMEGA, A, right_or_refused, worst

from fdgrad_dask.errors import FdgradError

INNER = {"nlat": slice(1, -1)}
T_LAT, T_LON = np.meshgrid(np.arange(-78.0, 79, 4), np.arange(2.0, 200, 4), indexing="ij")


def pop(seed: str = "") -> xr.Dataset:
    """A zonal rotation on U points and a height on T points, as xarray opens them from a file.

    U points lie 2° to the north-east of T points.
    """
    dims = ("nlat", "nlon")
    places = {"TLAT": T_LAT, "TLONG": T_LON, "ULAT": T_LAT + 2, "ULONG": T_LON + 2}
    ds = xr.Dataset(
        {
            "SSH": (dims, 1e-5 * T_LAT, {"units": "m"}),
            "U": (
                dims,
                20 * np.cos(DEGREE * (T_LAT + 2)),
                {"units": "m s-1", "standard_name": "eastward_sea_water_velocity"},
            ),
            "V": (dims, 0 * T_LAT, {"units": "m s-1"}),
        },
        {
            name: (dims, values, {**(NORTH if "LAT" in name else EAST), "long_name": name + seed})
            for name, values in places.items()
        },
    )
    for name, own in (("SSH", "TLONG TLAT"), ("U", "ULONG ULAT"), ("V", "ULONG ULAT")):
        ds[name].encoding["coordinates"] = own
    return ds


def vorticity_on(lat: np.ndarray) -> np.ndarray:
    return 40 / A * np.sin(DEGREE * lat)


def test_a_field_is_on_its_own_coordinates():
    ds = pop("asked of U alone")
    z = ds.fdgrad.vorticity("U", "V")
    assert worst(z[1:-1], vorticity_on(T_LAT + 2)[1:-1]) < 4e-3


def test_the_answer_does_not_depend_on_what_was_asked_before():
    ds = pop("asked of SSH first")
    ds.SSH.fdgrad.gradient_magnitude()
    z = ds.fdgrad.vorticity("U", "V")
    assert worst(z[1:-1], vorticity_on(T_LAT + 2)[1:-1]) < 4e-3
    f = ds.fdgrad.absolute_vorticity("U", "V") - z
    np.testing.assert_allclose(f, 2 * OMEGA * np.sin(DEGREE * (T_LAT + 2)), atol=1e-12)
    slope = ds.SSH.fdgrad.gradient_magnitude()
    np.testing.assert_allclose(slope[1:-1, 1:-1], 1e-5 / DEGREE / A, rtol=2e-3)


def test_in_one_workflow_each_step_uses_its_own_coordinates(run):
    ds = pop()
    made = run(
        ds,
        ("gradient_magnitude", ["SSH"], "slope"),
        ("vorticity", ["U", "V"], "z"),
        ("absolute_vorticity", ["U", "V"], "eta"),
    )
    assert worst(made.z[1:-1], vorticity_on(T_LAT + 2)[1:-1]) < 4e-3
    f = made.eta - made.z
    np.testing.assert_allclose(f, 2 * OMEGA * np.sin(DEGREE * (T_LAT + 2)), atol=1e-12)


@pytest.mark.parametrize("name", ["vorticity", "absolute_vorticity", "divergence"])
def test_without_a_word_of_its_own_a_field_is_refused(name):
    ds = pop()
    u, v = (0.01 * ds[k].assign_attrs(ds[k].attrs) for k in "UV")
    u.attrs["standard_name"] = "eastward_sea_water_velocity"
    ds = ds.assign(u=u.assign_attrs(units="m s-1"), v=v.assign_attrs(units="m s-1"))
    with pytest.raises(FdgradError, match=r"(?i)(TLAT|TLONG).*(ULAT|ULONG)") as caught:
        getattr(ds.fdgrad, name)("u", "v")
    assert "drop" in str(caught.value) or "coordinates" in str(caught.value)
    chosen = ds.drop_vars(["TLAT", "TLONG"])
    z = chosen.fdgrad.vorticity("u", "v")
    assert worst(z[1:-1], 0.01 * vorticity_on(T_LAT + 2)[1:-1]) < 4e-3


def test_u_and_v_that_name_different_places_are_refused():
    ds = pop()
    ds.V.encoding["coordinates"] = "TLONG TLAT"
    with pytest.raises(FdgradError, match=r"(?i)different points|stagger|coordinates"):
        ds.fdgrad.vorticity("U", "V")


def test_computational_latitudes_beside_the_true_ones():
    lat, lon = 40 + 0.2 * (T_LAT + T_LON) / 4, 20 + 0.2 * (T_LON - T_LAT) / 4
    dims = ("y", "x")
    ds = xr.Dataset(
        {"T2": (dims, lat, {"units": "K"})},
        {
            "XLAT": (dims, lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "XLONG": (dims, lon, {"units": "degrees_east", "standard_name": "longitude"}),
            "CLAT": (dims, T_LAT, {"units": "degrees_north", "standard_name": "latitude"}),
        },
    )

    def judge(g):
        np.testing.assert_allclose(g.dT2_dy[1:-1, 1:-1], 1 / DEGREE / A, rtol=1e-3)
        assert abs(g.dT2_dx[1:-1, 1:-1]).max() < 1e-3 / DEGREE / A

    right_or_refused(ds.T2.fdgrad.horizontal_gradient, "CLAT.*XLAT|XLAT.*CLAT", judge)
    judge(ds.T2.drop_vars("CLAT").fdgrad.horizontal_gradient())


def test_one_set_of_coordinates_with_land():
    ds = pop().drop_vars(["TLAT", "TLONG"])
    sea = ~((T_LAT > -20) & (T_LAT < 20) & (T_LON > 60) & (T_LON < 100))
    u, v = ((100 * ds[k]).where(sea).assign_attrs(ds[k].attrs, units="cm s-1") for k in "UV")
    z = ds.assign(U=u, V=v).fdgrad.vorticity("U", "V")
    true = 100 * vorticity_on(T_LAT + 2)
    seen = np.isfinite(z.values)
    assert z.attrs["units"] == "cm s-1 m-1"
    assert not seen[~sea].any()
    beside = sea.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        beside &= np.roll(sea, step, axis)
    assert seen[beside][1:-1].all()
    inner = (seen & beside)[1:-1]
    assert abs(z.values - true)[1:-1][inner].max() / true.max() < 4e-3
