"""Cells without rows, and places of three dimensions (cases 10a to 10f)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from model_grids import DEGREE, EAST, NORTH, A, right_or_refused, rotation_on, worst

from fdgrad_dask import Curvilinear
from fdgrad_dask.errors import FdgradError

RNG = np.random.default_rng(0)
LAT, LON = RNG.uniform(-80, 80, 60), RNG.uniform(0, 360, 60)


def cells(dim: str, names: tuple[str, str], units: tuple[str | None, str | None], per: float):
    ds = xr.Dataset({k: (dim, np.ones(60), {"units": "m s-1"}) for k in "uv"})
    for name, values, unit, kind in zip(
        names, (LAT, LON), units, ("latitude", "longitude"), strict=True
    ):
        attrs = {"standard_name": kind, **({"units": unit} if unit else {})}
        ds = ds.assign_coords({name: (dim, per * values, attrs)})
    return ds


KINDS = {
    "ICON": ("cell", ("clat", "clon"), ("radian", "radian"), DEGREE),
    "MPAS": ("nCells", ("latCell", "lonCell"), ("rad", "rad"), DEGREE),
    "reduced Gaussian": ("values", ("latitude", "longitude"), ("degrees_north", "degrees_east"), 1),
    "CAM-SE": ("ncol", ("lat", "lon"), ("degrees_north", "degrees_east"), 1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["vorticity", "divergence"])
def test_cells_are_refused(kind, name):
    with pytest.raises(FdgradError, match=r"(?i)unstructured|regrid") as caught:
        getattr(cells(*KINDS[kind]).fdgrad, name)("u", "v")
    assert "sortby" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scalar_on_cells_is_refused(kind):
    with pytest.raises(FdgradError, match=r"(?i)unstructured|regrid"):
        cells(*KINDS[kind]).u.fdgrad.horizontal_gradient()


@pytest.mark.parametrize(
    ("dim", "attrs"),
    [
        ("elem", {}),
        ("nMesh2_node", {}),
        ("nSCHISM_hgrid_node", {}),
        ("nVertices", {}),
        ("n", {"mesh": "Mesh2", "location": "node"}),
    ],
)
def test_cells_without_places_are_refused_by_name(dim, attrs):
    """FESOM, UGRID, SCHISM, MPAS: places are variables of the file, or in another one."""
    with pytest.raises(FdgradError, match=r"unstructured"):
        xr.DataArray(np.ones(60), dims=dim, name="t", attrs=attrs).fdgrad.gradient_magnitude()


@pytest.mark.parametrize("lead", ["time", "lev"])
def test_places_of_cells_that_were_repeated_along_another_dimension_are_refused(lead):
    """As open_mfdataset does, which joins all variables along time: results were NaN."""
    of = {
        name: ((lead, "ncol"), np.tile(one, (3, 1))) for name, one in (("lat", LAT), ("lon", LON))
    }
    ds = xr.Dataset({"t": ((lead, "ncol"), np.ones((3, 60)), {"units": "K"})}, of)
    ds.lat.attrs, ds.lon.attrs = NORTH, EAST
    for one in (ds, ds.reset_coords()):
        with pytest.raises(FdgradError, match=rf"the same all along '{lead}'") as caught:
            one.fdgrad.gradient_magnitude("t")
        assert f".isel({lead}=0)" in str(caught.value)
    with pytest.raises(FdgradError, match="unstructured"):
        ds.isel({lead: 0}).fdgrad.gradient_magnitude("t")
    sized = ds.t.rename({lead: "y", "ncol": "x"})
    assert (sized.fdgrad.gradient_magnitude(geometry=Curvilinear(dx=1e3, dy=1e3)) == 0).all()


def test_cells_by_the_command(check):
    code, message = check(cells(*KINDS["ICON"]), ("vorticity", ["u", "v"], "z"))
    assert code == 3
    assert "unstructured" in message or "regrid" in message


def test_cells_of_healpix():
    crs = {"grid_mapping_name": "healpix", "refinement_level": 1, "indexing_scheme": "nested"}
    ds = xr.Dataset(
        {k: ("cell", np.ones(48), {"units": "m s-1", "grid_mapping": "crs"}) for k in "uv"},
        {"crs": ((), 0, crs), "cell": np.arange(48)},
    )
    with pytest.raises(FdgradError, match=r"(?i)unstructured|regrid"):
        ds.fdgrad.vorticity("u", "v")


J, I = np.meshgrid(np.linspace(-20, 20, 21), np.linspace(0, 40, 21), indexing="ij")  # noqa: E741


def faces() -> xr.Dataset:
    """Two faces of a cubed sphere, the second turned a quarter around the Earth."""
    one = rotation_on(J, I, ("j", "i"))
    two = rotation_on(J, I + 90, ("j", "i"))
    ds = xr.concat([one, two], "face")
    dims = ("face", "j", "i")
    return ds.assign_coords(
        YC=(dims, np.stack([J, J]), NORTH), XC=(dims, np.stack([I, I + 90]), EAST)
    )


def test_several_faces_are_refused_and_one_is_right():
    ds = faces()
    for ask in (
        lambda: ds.u.fdgrad.horizontal_gradient(),
        lambda: ds.fdgrad.vorticity("u", "v"),
    ):
        with pytest.raises(FdgradError, match=r"(?i)face") as caught:
            ask()
        assert "Plane" not in str(caught.value)
    for face in (0, 1):
        one = ds.isel(face=face)
        z = one.fdgrad.vorticity("u", "v")
        assert worst(z[1:-1, 1:-1], one.true[1:-1, 1:-1]) < 5e-3


def wrf() -> xr.Dataset:
    """Two times of a grid that does not move, with its places at each of them."""
    dims = ("south_north", "west_east")
    ds = rotation_on(J + 40, I, dims).expand_dims(Time=2)
    dims = ("Time", *dims)
    return ds.transpose(*dims).assign_coords(
        XLAT=(dims, np.stack([J + 40] * 2), NORTH), XLONG=(dims, np.stack([I] * 2), EAST)
    )


def test_places_at_each_time():
    ds = wrf()

    def judge(z):
        assert worst(z[..., 1:-1, 1:-1], ds.true[..., 1:-1, 1:-1]) < 5e-3

    def ask():
        return ds.fdgrad.vorticity("u", "v").transpose("Time", ...)

    right_or_refused(ask, "Time", judge)
    fixed = ds.assign_coords(XLAT=ds.XLAT.isel(Time=0), XLONG=ds.XLONG.isel(Time=0))
    judge(fixed.fdgrad.vorticity("u", "v"))


def test_places_at_each_time_by_the_command(check):
    code, message = check(wrf()[["u", "v"]], ("vorticity", ["u", "v"], "z"))
    assert code == 0 or (code == 3 and "Time" in message)


def test_a_grid_that_moves_is_refused():
    ds = wrf()
    ds = ds.assign_coords(XLAT=ds.XLAT + xr.DataArray([0.0, 3.0], dims="Time"))
    ds.XLAT.attrs.update(NORTH)
    with pytest.raises(FdgradError, match=r"Time"):
        ds.fdgrad.vorticity("u", "v")


def test_spacings_from_their_inverse():
    """``dx = 1 / ds.pm`` keeps the attribute ``meter-1`` in newer versions of xarray."""
    dims = ("eta_rho", "xi_rho")
    pm = xr.DataArray(np.full((20, 30), 1e-3), dims=dims, attrs={"units": "meter-1"})
    f = xr.DataArray(np.arange(30.0) + np.zeros((20, 1)), dims=dims, name="f", attrs={"units": "K"})
    dx = (1 / pm).assign_attrs(units="meter-1")

    def judge(g):
        np.testing.assert_allclose(g.df_dx, 1e-3)

    def ask(step):
        return f.fdgrad.horizontal_gradient(geometry=Curvilinear(dx=step, dy=step))

    right_or_refused(lambda: ask(dx), "units|metres", judge)
    judge(ask(dx.assign_attrs(units="m")))


def test_a_face_is_on_the_earth():
    one = faces().isel(face=0)
    lat = one.YC.rename("f").assign_attrs(units="K")
    g = lat.fdgrad.horizontal_gradient()
    np.testing.assert_allclose(g.df_dy[1:-1, 1:-1], 1 / (A * DEGREE), rtol=5e-3)
