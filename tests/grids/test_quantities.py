"""Quantities and other kinds of arrays: what enters an operator, and as what it leaves."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pint
import pint_xarray  # noqa: F401  (registers .pint)
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from staggered import Case

import fdgrad_dask as fd
from fdgrad_dask import operators as op
from fdgrad_dask.errors import OptionError

KNOT = 1852 / 3600
LAT, LON = np.arange(20.0, 61, 4), np.arange(0.0, 61, 5)
VALUES = np.random.default_rng(0).normal(size=(3, len(LAT), len(LON)))
DS = xr.Dataset(
    {
        name: (("lat", "lon"), values, {"units": units})
        for name, values, units in zip("uvt", VALUES, ("m / s", "m / s", "kelvin"), strict=True)
    },
    {"lat": ("lat", LAT, {"units": "degree"}), "lon": ("lon", LON, {"units": "degree"})},
)
REGISTRY = pint.UnitRegistry(force_ndarray_like=True)
QUANTIFIED = DS.pint.quantify(unit_registry=REGISTRY).pint.to(u="knot", v="km / hour", t="degR")


def numbers(result, **units):
    return result.pint.to(**units).pint.dequantify() if units else result.pint.dequantify()


CALLS = {  # call → expected units of its quantity
    "vorticity": (lambda ds: ds.fdgrad.vorticity("u", "v"), "1/s"),
    "absolute_vorticity": (lambda ds: ds.fdgrad.absolute_vorticity("u", "v"), "1/s"),
    "advection": (lambda ds: ds.fdgrad.advection("u", "v", "t"), "kelvin/s"),
    "gradient": (lambda ds: ds.t.fdgrad.gradient("lat"), "kelvin/degree"),
    "laplacian": (lambda ds: ds.t.fdgrad.laplacian(), "kelvin/m**2"),
}


KINDS = {
    "numpy": QUANTIFIED,
    "of dask": QUANTIFIED.pint.chunk({"lat": 3}),
    "in dask": QUANTIFIED.chunk(lat=3),  # as xarray's own chunk makes it
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("call", "unit"), CALLS.values(), ids=CALLS)
def test_the_unit_is_that_of_the_array_and_the_result_a_quantity(call, unit, kind, lazily):
    given = KINDS[kind].copy()
    given.u.attrs["units"] = "furlong"  # a stale attribute
    with lazily():
        made = call(given)
    assert isinstance(made.data, REGISTRY.Quantity)
    assert "units" not in made.attrs
    assert hasattr(made.data.magnitude, "chunks") == (kind != "numpy")
    assert_allclose(made.pint.to(unit).pint.dequantify(), call(DS), rtol=1e-6, atol=1e-18)
    assert type(made.xindexes["lat"]) is type(QUANTIFIED.xindexes["lat"])


def test_a_dataset_of_results_and_one_of_fields():
    made = QUANTIFIED.fdgrad.kinematics("u", "v")
    expected = DS.fdgrad.kinematics("u", "v")
    for name, one in made.items():
        in_si = one.pint.to("1/s").pint.dequantify()
        assert_allclose(in_si, expected[name], rtol=1e-6, atol=1e-18)
        assert one.attrs == {k: v for k, v in expected[name].attrs.items() if k != "units"}
    slopes = QUANTIFIED.fdgrad.gradient("lat")
    assert list(slopes) == ["du_dlat", "dv_dlat", "dt_dlat"]
    assert slopes.du_dlat.data.units == REGISTRY.Unit("knot / degree")


def test_quantities_beside_plain_fields():
    made = op.vorticity(QUANTIFIED.u.pint.dequantify(), QUANTIFIED.v)
    in_si = made.pint.to("1/s").pint.dequantify()
    assert_allclose(in_si, DS.fdgrad.vorticity("u", "v"), rtol=1e-6, atol=1e-18)


def test_coordinates_that_are_quantities():
    """Their unit is that of the array: a height in km gives K km-1."""
    z = xr.DataArray(
        REGISTRY.Quantity(np.cumsum(np.ones((4, 3)), axis=0), "km"), dims=("lev", "x"), name="z"
    )
    t = xr.DataArray(np.arange(12.0).reshape(4, 3), dims=("lev", "x"), attrs={"units": "K"})
    made = t.fdgrad.gradient("lev", coordinate=z)
    assert made.attrs["units"] == "K km-1"
    assert_allclose(made, 3.0)
    plain = DS.t.assign_coords(area=(("lat", "lon"), REGISTRY.Quantity(VALUES[0], "m**2")))
    made = plain.fdgrad.gradient("lat")
    assert_array_equal(made, DS.t.fdgrad.gradient("lat"))
    assert isinstance(made.area.data, REGISTRY.Quantity)


def test_spacings_that_are_quantities():
    f = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("y", "x"), attrs={"units": "K"})
    km = xr.DataArray(REGISTRY.Quantity(np.full((3, 4), 2.0), "km"), dims=("y", "x"))
    made = f.fdgrad.horizontal_gradient(geometry=fd.Curvilinear(dx=km, dy=km))
    assert_allclose(made.df_dx, 1 / 2000)
    assert_allclose(made.df_dy, 4 / 2000)


def test_a_vertical_wind_that_is_a_quantity():
    """−w ∂T/∂z, beside a wind along x and y that stands still."""
    z = xr.DataArray([0.0, 1, 3], dims="z", attrs={"units": "km", "positive": "up"})
    t = (DS.t * 0 + 4 * z).assign_coords(z=z).assign_attrs(units="K").transpose("z", ...)
    still = (0 * t).assign_attrs(units="m s-1")
    w = still.copy(data=REGISTRY.Quantity(np.full(t.shape, 7.2), "km / hour")).drop_attrs(
        deep=False
    )
    made = op.advection(still, still, t, w.rename("w"))
    assert_allclose(made.pint.dequantify(), -4e-3 * 2)


def test_a_staggered_grid_of_quantities():
    """Also that of a field on faces with a coordinate of their own, which centres do not have."""
    case = Case("left", ("periodic", None))
    u, v, grid = case.random("u", name="u"), case.random("v", name="v"), case.grid
    in_km = {
        place: one.copy(data=REGISTRY.Quantity(one.values / 1000, "km"))
        for place, one in grid.dx.items()
    }
    made = op.vorticity(u, v, geometry=replace(grid, dx=in_km))
    assert_allclose(made, op.vorticity(u, v, geometry=grid), rtol=1e-12)
    faces = grid.x["left"]
    place = xr.DataArray(REGISTRY.Quantity(np.arange(u.sizes[faces]), "degree"), dims=faces)
    measured = u.assign_coords(lon_u=place).copy(data=REGISTRY.Quantity(u.values, "knot"))
    placed = op.interpolate(measured, to="center", geometry=grid)
    assert "lon_u" not in placed.coords
    assert placed.data.units == REGISTRY.Unit("knot")
    assert_array_equal(placed.data.magnitude, op.interpolate(u, to="center", geometry=grid))


def test_a_unit_without_a_name_stays_an_attribute():
    """Of a decade there is no unit in pint that is as long as ours."""
    time = xr.date_range("2000", periods=11, freq="D")
    f = QUANTIFIED.t.isel(lon=0, drop=True).pint.dequantify().assign_coords(lat=time)
    made = f.pint.quantify(unit_registry=REGISTRY).fdgrad.gradient("lat", datetime_unit="decade")
    assert made.attrs["units"] == "degR (3652.425 days)-1"


# --- other kinds --------------------------------------------------------------------------------


class Lazy:
    """An array of a library that nobody here has heard of; it must not be computed."""

    shape, ndim, dtype = (11, 13), 2, np.dtype("f8")

    def __array_function__(self, function, types, args, kwargs):
        return NotImplemented

    def __array_ufunc__(self, *args, **kwargs):
        return NotImplemented

    def __getitem__(self, key):
        return self

    def __array__(self, *args, **kwargs):
        raise AssertionError("it was computed")


def test_an_unknown_kind_of_array_is_refused_and_not_computed():
    t = xr.DataArray(Lazy(), dims=("lat", "lon"), coords=DS.coords, name="t")
    for call in (t.fdgrad.laplacian, lambda: t.fdgrad.gradient("lat")):
        with pytest.raises(
            OptionError, match=r"'t' holds a .*Lazy, but NumPy, dask and JAX .*as_n"
        ):
            call()


class Measured(np.ndarray):
    """As quantities of astropy and unyt are: NumPy computes with it and forgets its unit."""

    unit = "km"


@pytest.mark.parametrize("chunks", [None, 5])
def test_a_subclass_with_a_unit_of_its_own_is_refused(chunks):
    values = np.asarray(VALUES[2]).view(Measured)
    data = values if chunks is None else da.from_array(values, chunks=chunks, asarray=False)
    t = xr.DataArray(data, dims=("lat", "lon"), coords=DS.coords, name="t")
    with pytest.raises(OptionError, match=r"in km, but only .*assign_attrs\(units='km'\)"):
        t.fdgrad.laplacian()
    made = t.as_numpy().assign_attrs(units="km").fdgrad.laplacian()  # what the message says
    assert_array_equal(made, DS.t.fdgrad.laplacian())
    assert made.attrs["units"] == "km m-2"


def test_and_so_are_dask_arrays_of_them():
    sparse = da.from_array(VALUES[2], chunks=5)
    sparse._meta = Lazy()
    t = xr.DataArray(sparse, dims=("lat", "lon"), coords=DS.coords, name="t")
    with pytest.raises(OptionError, match=r"'t' holds a .*Lazy, but NumPy, dask and JAX"):
        t.fdgrad.laplacian()
    assert_array_equal(t.as_numpy().fdgrad.laplacian(), DS.t.fdgrad.laplacian())


def test_a_field_that_is_still_in_its_file_is_a_field(tmp_path):
    DS.pint.dequantify().to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as opened:
        assert_array_equal(opened.fdgrad.vorticity("u", "v"), DS.fdgrad.vorticity("u", "v"))


@pytest.mark.parametrize("given", ["u", VALUES[0], DS], ids=["str", "ndarray", "Dataset"])
def test_what_is_no_field_is_refused(given):
    with pytest.raises(OptionError, match=r"^v is a .*, but vorticity takes a DataArray; "):
        op.vorticity(DS.u, given)


@pytest.mark.parametrize("geometry", ["sphere", fd.Sphere, 6371000.0], ids=str)
def test_a_geometry_of_another_type_is_refused(geometry):
    with pytest.raises(OptionError, match=r"geometry is .*; give one of fdgrad_dask\.Sphere\(\)"):
        DS.t.fdgrad.laplacian(geometry=geometry)
    DS.t.fdgrad.laplacian(geometry=fd.Sphere())  # what the message says


def test_a_coriolis_parameter_of_another_type_is_refused():
    with pytest.raises(OptionError, match="coriolis is '1e-4'; give a number in s-1"):
        DS.fdgrad.absolute_vorticity("u", "v", coriolis="1e-4")


def test_the_accessor_knows_what_was_meant():
    with pytest.raises(AttributeError, match="no operator 'vortcity'; did you mean 'vorticity'"):
        DS.fdgrad.vortcity  # noqa: B018
    with pytest.raises(AttributeError, match="no operator 'laplacien'; did you mean 'laplacian'"):
        DS.t.fdgrad.laplacien  # noqa: B018
    with pytest.raises(AttributeError, match=r"takes the fields u, v; .*vorticity\('u', 'v'\)"):
        DS.u.fdgrad.vorticity  # noqa: B018
