"""∂f/∂z where z is a field: the height of model levels over terrain."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask  # noqa: F401  (registers .fdgrad)
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.vertical import align_levels, find_level_dim, resolve_levels

NT, NZ, NX = 2, 7, 5
RNG = np.random.default_rng(0)
TERRAIN = RNG.uniform(0, 800, (NT, NX))
Z = xr.DataArray(
    TERRAIN[:, None] + np.cumsum(RNG.uniform(50, 400, (NT, NZ, NX)), axis=1),
    dims=("time", "lev", "x"),
    coords={"lev": np.arange(NZ), "x": np.arange(NX) * 10.0, "station": ("x", list("abcde"))},
    name="height",
    attrs={"units": "m", "long_name": "height above sea"},
)
CHUNKS = {
    "numpy": None,
    "levels of one": {"lev": 1},
    "ragged": {"time": 1, "lev": (2, 4, 1), "x": 2},
    "columns": {"time": 1, "x": 1},
}
chunked = pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)


def temperature(z=Z, *coefficients):
    """A polynomial of the height, 280 − 0.0065 z + 1e-6 z² if not said otherwise."""
    p = np.polynomial.Polynomial(coefficients or (280.0, -0.0065, 1e-6))
    return z.copy(data=p(z.values)).rename("t").assign_attrs(units="K", long_name="T"), p


def chunk(field, chunks):
    return field if chunks is None else field.chunk({d: chunks[d] for d in chunks})


T, P = temperature()
SLOPE = P.deriv()(Z.values)


@chunked
@pytest.mark.parametrize("z_chunks", [None, {"lev": 3}, {"lev": 1, "x": 2}], ids=str)
def test_exact_for_quadratics_in_any_chunks_of_either(chunks, z_chunks):
    result = chunk(T, chunks).fdgrad.gradient("lev", coordinate=chunk(Z, z_chunks), edge_order=2)
    assert_allclose(result.values, SLOPE, rtol=1e-11)
    assert_array_equal(result.values, T.fdgrad.gradient("lev", coordinate=Z, edge_order=2).values)
    if chunks is not None:
        assert result.chunks == chunk(T, chunks).chunks


def test_each_column_is_the_derivative_along_its_own_heights():
    result = T.fdgrad.gradient("lev", coordinate=Z).values
    for t in range(NT):
        for x in range(NX):
            column = np.gradient(T.values[t, :, x], Z.values[t, :, x])
            assert_allclose(result[t, :, x], column, rtol=1e-12)


@chunked
@pytest.mark.parametrize(
    "options", [{}, {"edge_order": 2}, {"order": 2}, {"skipna": "one-sided"}], ids=str
)
def test_a_coordinate_that_is_the_same_everywhere_gives_what_the_1d_one_gives(options, chunks):
    z = Z.isel(time=0, x=0, drop=True).drop_vars("lev")
    full = z.broadcast_like(T).transpose(*T.dims).assign_coords(lev=T.lev, x=T.x)
    one = T.assign_coords(height=z).fdgrad.gradient("height", **options)
    result = chunk(T, chunks).fdgrad.gradient("lev", coordinate=full.rename("height"), **options)
    assert_allclose(result.values, one.values, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("chunks", [None, (2, 4, 1)])
def test_exact_for_quartics_at_accuracy_four(chunks):
    z = Z.copy(data=Z.values / 1000)
    t, p = temperature(z, 1, 1 / 2, 1 / 3, 1 / 4, 1 / 5)
    t = t if chunks is None else t.chunk(lev=chunks)
    result = t.fdgrad.gradient("lev", coordinate=z, accuracy=4)
    assert_allclose(result.values, p.deriv()(z.values), rtol=1e-9)


@pytest.mark.parametrize(("accuracy", "degree"), [(2, 2), (4, 4)])
def test_second_derivative(accuracy, degree):
    z = Z.copy(data=Z.values / 1000)
    t, p = temperature(z, *(1 / np.arange(1.0, degree + 2)))
    result = t.fdgrad.gradient("lev", coordinate=z, order=2, accuracy=accuracy)
    assert_allclose(result.values, p.deriv(2)(z.values), rtol=1e-6)
    assert result.name == "d2t_dheight2"
    assert result.attrs["units"] == "K m-2"


def test_labels_and_units():
    result = T.assign_coords(run=3).fdgrad.gradient("lev", coordinate=Z.assign_coords(other=4))
    assert result.name == "dt_dheight"
    assert result.attrs == {
        "units": "K m-1",
        "long_name": "derivative of T with respect to height above sea",
    }
    assert result.coords.identical(T.assign_coords(run=3).coords)
    assert result.dims == T.dims
    assert T.fdgrad.gradient("lev", coordinate=Z.rename(None)).name == "dt_dz"


@pytest.mark.parametrize("dims", [("x", "time", "lev"), ("lev", "x", "time")])
def test_dims_of_the_coordinate_may_stand_in_any_order(dims):
    result = T.fdgrad.gradient("lev", coordinate=Z.transpose(*dims), edge_order=2)
    assert result.dims == T.dims
    assert_allclose(result.values, SLOPE, rtol=1e-11)


@chunked
def test_dims_that_only_the_field_has(chunks):
    two = xr.concat([T, 2 * T], "run").transpose("lev", "run", "time", "x")
    result = chunk(two, chunks).fdgrad.gradient("lev", coordinate=Z, edge_order=2)
    assert result.dims == two.dims
    assert_allclose(result.sel(run=0).transpose(*T.dims).values, SLOPE, rtol=1e-11)
    assert_allclose(result.sel(run=1).transpose(*T.dims).values, 2 * SLOPE, rtol=1e-11)


def test_dims_that_only_the_coordinate_has():
    profile = xr.DataArray(np.arange(NZ) ** 2.0, dims="lev", coords={"lev": Z.lev}, name="t")
    result = profile.fdgrad.gradient("lev", coordinate=Z)
    assert result.dims[0] == "lev"
    expected = np.gradient(profile.values, Z.values[1, :, 3])
    assert_allclose(result.isel(time=1, x=3).values, expected, rtol=1e-12)


def test_pressure_falls_with_the_level():
    pressure = (100000 * np.exp(-Z / 8000)).rename("p").assign_attrs(units="Pa")
    t = pressure.copy(data=200 + 1e-3 * pressure.values - 2e-9 * pressure.values**2).rename("t")
    result = t.fdgrad.gradient("lev", coordinate=pressure, edge_order=2)
    assert_allclose(result.values, 1e-3 - 4e-9 * pressure.values, rtol=1e-9)
    assert (result > 0).all()


@chunked
def test_float32_heights_are_differenced_in_float64(chunks):
    """Layers of 2 m at 20 km: in float32 the weights would keep four digits of seven."""
    z = (20000 + 2 * Z.lev + 1e-4 * Z).astype("f4")
    exact = z.astype("f8")
    t = 1e-3 * (exact - 20000) ** 2
    result = chunk(t.rename("t"), chunks).fdgrad.gradient("lev", coordinate=z, edge_order=2)
    assert result.dtype == np.float64
    assert_allclose(result.values, 2e-3 * (exact.transpose(*t.dims).values - 20000), rtol=1e-9)


@chunked
def test_float32_fields_stay_float32(chunks):
    f = chunk(T.astype("f4"), chunks)
    result = f.fdgrad.gradient("lev", coordinate=Z.astype("f4"), edge_order=2)
    assert result.dtype == np.float32
    assert_allclose(result.values, SLOPE, rtol=2e-3)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_integers_give_float64(dtype):
    f = (1000 * T).astype(dtype)
    result = f.fdgrad.gradient("lev", coordinate=Z)
    assert result.dtype == np.float64
    assert_array_equal(result.values, f.astype("f8").fdgrad.gradient("lev", coordinate=Z).values)


# --- missing heights ------------------------------------------------------------------------

BELOW = Z.values < 700  # under the ground
GROUND = Z.where(~BELOW)


@chunked
def test_heights_below_ground_are_missing_and_so_is_the_derivative(chunks):
    result = chunk(T, chunks).fdgrad.gradient("lev", coordinate=GROUND)
    first = (~BELOW).argmax(axis=1, keepdims=True)  # the lowest level above ground
    missing = (np.arange(NZ)[:, None] <= first) & (first > 0)
    assert missing.any()
    assert_array_equal(np.isnan(result.values), missing)
    full = T.fdgrad.gradient("lev", coordinate=Z).values
    assert_array_equal(result.values[~missing], full[~missing])


@chunked
@pytest.mark.parametrize("masked", ["heights", "field", "both"])
def test_one_sided_at_the_ground(chunks, masked):
    t = T if masked == "heights" else T.where(~BELOW)
    z = Z if masked == "field" else GROUND
    result = chunk(t, chunks).fdgrad.gradient("lev", coordinate=z, skipna="one-sided", edge_order=2)
    assert_array_equal(np.isnan(result.values), BELOW)
    assert_allclose(result.values[~BELOW], SLOPE[~BELOW], rtol=1e-9)


# --- refused --------------------------------------------------------------------------------

FOLDED = Z.copy(deep=True)
FOLDED[1, 3, 2] = 0.0
WRONG = {
    "other labels": (
        Z.assign_coords(lev=np.arange(NZ) + 1),
        "lev",
        r"coordinate 'height' and 't' do not have the same labels; select the points that both "
        r"have: xr\.align\(t, height, join='inner'\)",
    ),
    "other sizes": (Z.isel(x=slice(3)), "lev", r"'height' and 't' do not have the same labels"),
    "without the dim": (
        Z.isel(lev=0),
        "lev",
        r"coordinate 'height' has dimensions \('time', 'x'\) and 't' has \('time', 'lev', 'x'\); "
        r"both need 'lev' for a derivative along it",
    ),
    "scalar": (Z[0, 0, 0], "lev", r"coordinate 'height' has dimensions \(\) and 't' has .* need"),
    "unknown dim": (Z, "depth", r"no dimension 'depth'; 't' has the dimensions"),
    "text": (Z.astype(str), "lev", r"coordinate 'height' holds <U.*; heights need to be real"),
    "complex": (Z + 0j, "lev", r"coordinate 'height' holds complex128; heights need to be real"),
    "folded": (
        FOLDED,
        "lev",
        r"coordinate 'height' is not strictly monotonic along .*: it goes from .* to 0\.0 at "
        r"\(1, 2, 2\); sort the levels, or mask these points",
    ),
    "flat": (Z * 0, "lev", r"'height' is not strictly monotonic"),
    "up here, down there": (Z.where(Z.x < 25, -Z), "lev", r"'height' is not strictly monotonic"),
    "infinite": (Z.where(~BELOW, -np.inf), "lev", r"'height' .*inf"),
}


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "lazy field"])
@pytest.mark.parametrize(("z", "dim", "text"), WRONG.values(), ids=WRONG)
def test_a_coordinate_that_cannot_be_is_refused_while_building(z, dim, text, lazy):
    t = T.chunk(lev=2) if lazy else T
    with pytest.raises(CoordinateError, match=text):
        t.fdgrad.gradient(dim, coordinate=z)


def test_the_message_names_the_dim_not_its_number():
    with pytest.raises(CoordinateError, match="monotonic along 'lev'"):
        T.fdgrad.gradient("lev", coordinate=FOLDED)


@pytest.mark.parametrize("chunks", [{"lev": 1}, {"lev": 2}, {"lev": (3, 4)}, {"lev": -1}], ids=str)
def test_a_lazy_coordinate_that_folds_is_refused_when_computed(chunks, lazily):
    """Wherever the fold lies in its chunk: at a border each side sees it."""
    with lazily():
        result = T.chunk(chunks).fdgrad.gradient("lev", coordinate=FOLDED.chunk(chunks))
    with pytest.raises(CoordinateError, match=r"is not strictly monotonic.* to 0\.0 at .*; sort"):
        result.compute(scheduler="synchronous")


def test_a_lazy_coordinate_that_folds_is_named():
    result = T.fdgrad.gradient("lev", coordinate=FOLDED.chunk(lev=2))
    with pytest.raises(CoordinateError, match="coordinate 'height'"):
        result.compute(scheduler="synchronous")


@pytest.mark.parametrize("chunks", [None, {"lev": 2}])
def test_building_with_a_lazy_coordinate_computes_nothing(chunks, lazily):
    with lazily():
        result = chunk(T, chunks).fdgrad.gradient("lev", coordinate=Z.chunk(lev=3, x=2))
    assert result.chunks is not None
    assert_array_equal(result.values, T.fdgrad.gradient("lev", coordinate=Z).values)


@pytest.mark.parametrize("boundary", ["periodic", "extend", 0.0, (None, 1.0)], ids=str)
def test_boundary_is_refused(boundary):
    with pytest.raises(OptionError, match="boundary and coordinate exclude each other; leave bou"):
        T.fdgrad.gradient("lev", coordinate=Z, boundary=boundary)


@pytest.mark.parametrize("coordinate", ["height", Z.values], ids=["name", "ndarray"])
def test_what_is_no_dataarray_is_refused_in_words(coordinate):
    with pytest.raises((TypeError, OptionError, CoordinateError), match="DataArray"):
        T.assign_coords(height=Z).fdgrad.gradient("lev", coordinate=coordinate)


def test_one_level_is_refused():
    text = r"coordinate 'height' has 1 point along 'lev', but a derivative needs two or more"
    with pytest.raises(CoordinateError, match=text):
        T.isel(lev=[0]).fdgrad.gradient("lev", coordinate=Z.isel(lev=[0]))


def test_two_levels_are_enough():
    t, z = T.isel(lev=[0, 1]), Z.isel(lev=[0, 1])
    slope = np.diff(t.values, axis=1) / np.diff(z.values, axis=1)
    made = t.fdgrad.gradient("lev", coordinate=z)
    assert_allclose(made.values, np.repeat(slope, 2, axis=1), rtol=1e-12)


def test_too_few_levels_say_what_fits():
    with pytest.raises(CoordinateError, match=r"'height' has 7 points, but accuracy 8 needs 9; lo"):
        T.fdgrad.gradient("lev", coordinate=Z, accuracy=8)


# --- one dimension --------------------------------------------------------------------------

COLUMN = Z.isel(time=0, x=0, drop=True).drop_attrs().assign_attrs(units="km")


@chunked
@pytest.mark.parametrize("name", ["height", "lev", None])
def test_a_coordinate_of_one_dimension(name, chunks):
    result = chunk(T, chunks).fdgrad.gradient("lev", coordinate=COLUMN.rename(name))
    assert_allclose(result.values, np.gradient(T.values, COLUMN.values, axis=1), rtol=1e-12)
    assert result.name == f"dt_d{name or 'z'}"
    assert result.attrs["units"] == "K km-1"
    assert result.coords.identical(T.coords)


def test_a_coordinate_of_one_dimension_may_have_the_name_of_another():
    result = T.fdgrad.gradient("lev", coordinate=COLUMN.rename("x"))
    assert_allclose(result.values, np.gradient(T.values, COLUMN.values, axis=1), rtol=1e-12)


def test_a_coordinate_of_one_dimension_along_another_than_asked_is_refused():
    with pytest.raises(CoordinateError, match="'x'"):
        T.fdgrad.gradient("x", coordinate=COLUMN)


@pytest.mark.parametrize(
    "wrong",
    [COLUMN.assign_coords(lev=np.arange(NZ) + 1), COLUMN.isel(lev=slice(3))],
    ids=["other labels", "other sizes"],
)
def test_a_coordinate_of_one_dimension_with_other_labels_is_refused_as_such(wrong):
    with pytest.raises(CoordinateError, match="'height' and 't' do not have the same labels"):
        T.fdgrad.gradient("lev", coordinate=wrong)


def test_a_coordinate_of_one_dimension_may_be_periodic():
    result = T.fdgrad.gradient("lev", coordinate=COLUMN, boundary="periodic", period=5000.0)
    h1, h2 = 5000 - (COLUMN[-1] - COLUMN[0]).item(), (COLUMN[1] - COLUMN[0]).item()
    a, b, c = (T.values[:, i] for i in (-1, 0, 1))
    by_hand = (h1**2 * c + (h2**2 - h1**2) * b - h2**2 * a) / (h1 * h2 * (h1 + h2))
    assert_allclose(result.values[:, 0], by_hand, rtol=1e-9, atol=1e-15)


def test_a_coordinate_on_other_points_is_refused():
    f = xr.DataArray(np.ones((4, 3)), dims=("lev", "y"), name="f")
    z = xr.DataArray(np.arange(8.0).reshape(4, 2), dims=("lev", "y_u"), name="z")
    with pytest.raises(CoordinateError, match=r"lie on different points.*rename its dimensions"):
        f.fdgrad.gradient("lev", coordinate=z)
    same = z.isel(y_u=[0, 1, 1]).rename(y_u="y")
    assert_allclose(f.fdgrad.gradient("lev", coordinate=same), 0)


# --- along which dimension, in which numbers, by which word ----------------------------------


def on_levels(*dims, **coords):
    """A field of ones over two points of each dimension, with lines that have attributes."""
    lines = {name: (dim, [0.0, 1.0], attrs) for name, (dim, attrs) in coords.items()}
    return xr.DataArray(np.ones([2] * len(dims)), lines, dims, "f")


TIME, UP = {"time": ("time", {"axis": "T"})}, {"lev": ("lev", {"axis": "Z"})}
ALONG = {  # the coordinates of a field, its dimensions, those of its levels, a name
    "the only one off the plane": ({}, "lev y x", "lev y x", None),
    "the only one but time": (TIME, "time lev y x", "time lev y x", None),
    "the one that CF calls vertical": (UP, "member lev y x", "member lev y x", None),
    "one that the field has": ({}, "lev y x", "bounds lev y x", None),
    "the one named": ({}, "member lev y x", "member lev y x", "lev"),
    "by a coordinate along it": ({"z": ("lev", {})}, "member lev y x", "member lev y x", "z"),
}


@pytest.mark.parametrize(("coords", "own", "of_levels", "name"), ALONG.values(), ids=ALONG)
def test_along_which_dimension_levels_follow_each_other(coords, own, of_levels, name):
    field, levels = on_levels(*own.split(), **coords), on_levels(*of_levels.split())
    assert find_level_dim(field, levels, {"y", "x"}, name) == "lev"


def test_of_two_dimensions_one_has_to_be_named():
    field = on_levels("member", "lev", "y", "x")
    with pytest.raises(CoordinateError, match="cannot be inferred; name it: vertical="):
        find_level_dim(field, field, {"y", "x"}, None)


@pytest.mark.parametrize(
    ("dtype", "kept"), [("u1", "f8"), ("i2", "f8"), ("f4", "f4"), ("f8", "f8")]
)
def test_whole_numbers_are_differenced_as_float64(dtype, kept):
    """Of which a small or unsigned one is too narrow for its own differences."""
    field = xr.DataArray([0.0, 1.0, 4.0], dims="lev", name="f")
    z = xr.DataArray(np.array([[200, 100, 0]] * 2, dtype), dims=("x", "lev"), name="z")
    assert align_levels(field, z, "lev")[1].dtype == kept
    made = field.fdgrad.gradient("lev", coordinate=z)
    assert_allclose(made.transpose("x", "lev"), [[-0.01, -0.02, -0.03]] * 2, rtol=1e-6)


def test_a_word_is_that_of_the_formula_terms():
    sigma = {"standard_name": "atmosphere_sigma_coordinate"}
    terms = {"formula_terms": "sigma: lev ps: ps ptop: ptop"}
    coords = {"lev": ("lev", [0.2, 0.6, 1.0], sigma | terms), "ptop": ((), 1e3, {"units": "Pa"})}
    coords["ps"] = ("x", [1e5, 9e4], {"units": "Pa"})
    field = xr.DataArray(np.ones((3, 2)), coords, ("lev", "x"), "f")
    made = resolve_levels(field, "pressure", None).transpose("lev", "x")
    assert_allclose(made, 1e3 + np.outer([0.2, 0.6, 1.0], [9.9e4, 8.9e4]), rtol=1e-12)
    for word, said in (("hight", "'hight'"), (made.values, "a ndarray")):
        with pytest.raises(CoordinateError, match=f"coordinate is {said}; give a DataArray, such"):
            resolve_levels(field, word, None)
