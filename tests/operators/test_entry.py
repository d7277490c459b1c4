"""Fields without a name, components that have the same one; calls and numbers that are wrong."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal
from tripolar import FOLDED, tripolar

from fdgrad_dask import Sphere
from fdgrad_dask import operators as op
from fdgrad_dask.errors import CoordinateError, FdgradError, OptionError

UNITS = {"u": "m s-1", "v": "m s-1", "w": "m s-1"}
PLACE = {
    "level": ("level", [1000.0, 850, 700, 500], {"units": "hPa"}),
    "lat": ("lat", np.linspace(-90, 90, 19), {"units": "degrees_north"}),
    "lon": ("lon", np.arange(0, 360, 20.0), {"units": "degrees_east"}),
}
VALUES = 280 + np.random.default_rng(0).random((4, 19, 18))


def unnamed(units: str = "K") -> xr.DataArray:
    return xr.DataArray(VALUES, dims=tuple(PLACE), coords=PLACE, attrs={"units": units})


def fields_of(operator: str) -> dict[str, xr.DataArray]:
    """What an operator must be given."""
    parameters = inspect.signature(getattr(op, operator)).parameters.values()
    names = [p.name for p in parameters if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
    height = operator == "geostrophic_wind"
    return {n: unnamed("m" if height else UNITS.get(n, "K")) for n in names if n != "dim"}


def names_in(made: xr.DataArray | xr.Dataset) -> list[object]:
    return [made.name] if isinstance(made, xr.DataArray) else [*made.data_vars]


@pytest.mark.parametrize("operator", [n for n in op.__all__ if n not in ("curl", "interpolate")])
def test_results_of_fields_without_a_name(operator):
    """They have the names of those of a field f, and plain ones."""
    given = fields_of(operator)
    which = {"potential": False} if operator == "potential_vorticity" else {}  # which has no name
    made = getattr(op, operator)(**given, **which)
    if isinstance(made, xr.DataArray) or {"u", "v"}.isdisjoint(given):
        called = {n: one.rename(n if n in ("u", "v") else "f") for n, one in given.items()}
        assert names_in(made) == names_in(getattr(op, operator)(**called, **which))
    assert {type(name) for name in names_in(made)} == {str}
    assert all(one.name is None for one in given.values())


def test_messages_about_fields_without_a_name():
    bare, plain = unnamed().drop_attrs(), unnamed().drop_vars(["lat", "lon"])
    with pytest.raises(CoordinateError, match=r"^the field has the dimensions .* no latitude"):
        op.laplacian(unnamed().isel(lat=0, drop=True))
    with pytest.raises(OptionError, match=r"^u is in K: a temperature, and no component"):
        op.vorticity(unnamed(), unnamed())
    for call in (lambda: op.gradient(bare, "depth"), lambda: op.advection(plain, plain, plain)):
        with pytest.raises(FdgradError) as refused:
            call()
        assert "None" not in str(refused.value)


@pytest.mark.parametrize("names", [(None, None), ("wind", "wind"), ("a", None)], ids=str)
@pytest.mark.parametrize("operator", ["rotate_to_earth", "rotate_to_grid", "rotational_wind"])
def test_components_that_cannot_be_told_by_their_names(operator, names):
    """As those that are selected from one array: neither result takes the place of the other."""
    u, v = (unnamed("m s-1").rename(name) for name in names)
    made = getattr(op, operator)(u, v * 2)
    plain = getattr(op, operator)(u.rename("u"), (v * 2).rename("v"))
    assert [*made.data_vars] == [*plain.data_vars]
    assert len(made.data_vars) == 2
    for name, one in plain.items():
        np.testing.assert_array_equal(made[name], one)


def test_components_keep_the_names_that_they_have():
    u, v = unnamed("m s-1").rename("us"), unnamed("m s-1").rename("vs")
    assert [*op.rotate_to_earth(u, v).data_vars] == ["us", "vs"]


U = unnamed("m s-1").rename("u").isel(level=0, drop=True)
PYTHON_SAYS = {
    "missing 1 required positional argument: 'v'": lambda: op.vorticity(U),
    "takes 2 positional arguments but 3 were given": lambda: op.vorticity(U, U, U),
    "got multiple values for argument 'u'": lambda: op.vorticity(U, U, u=U),
}


@pytest.mark.parametrize(("text", "call"), PYTHON_SAYS.items(), ids=PYTHON_SAYS)
def test_python_says_what_is_missing_or_given_twice(text, call):
    with pytest.raises(TypeError, match=rf"vorticity\(\) {text}"):
        call()


def test_a_field_that_may_be_left_out_is_a_field_too():
    with pytest.raises(
        OptionError, match=r"^w is a str, but advection takes a DataArray; call ds\.fd"
    ):
        op.advection(U, U.rename("v"), U.rename("s"), "w")


@pytest.mark.parametrize("radius", [0, -6371000.0, np.inf, np.nan, "6371 km", None])
def test_a_radius_that_is_no_length_is_refused(radius):
    with pytest.raises(
        OptionError, match=r"the radius of Sphere\(.*\) is no length; give one in m"
    ):
        op.laplacian(U, geometry=Sphere(radius))
    made = op.laplacian(U, geometry=Sphere(np.int64(6371229)))
    assert_array_equal(made, op.laplacian(U))


def test_a_fold_needs_no_faces():
    f = tripolar(24)[0].s
    open_end = op.gradient_magnitude(f, boundary={"x": "periodic"})
    folded = op.gradient_magnitude(f, boundary=FOLDED)
    np.testing.assert_array_equal(folded[:-1], open_end[:-1])
    assert (folded[-1] != open_end[-1]).all()
