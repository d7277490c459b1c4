"""Numbers at the ends of their dtype, and dtypes at the ends of what there is."""

from __future__ import annotations

import dask.array as da
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask import gradient
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.boundary import full_turn, regular_points
from fdgrad_dask.stencils.table import stencil

N = 12
UNEVEN = np.cumsum(0.5 + np.random.default_rng(1).random(N))
SQUARES = np.arange(N) ** 2
F4 = np.sin(UNEVEN / 3).astype("f4")


def kinds(f):
    """The same data in NumPy, dask and JAX."""
    return {"numpy": f, "dask": da.from_array(f, chunks=5), "jax": jnp.asarray(f)}


# -- spacings whose powers leave the range ---------------------------------------------------

SIZES = [1e38, 1e30, 1e-30, 1e-37]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("accuracy", [2, 8])
def test_float32_data_on_steps_of_any_size(size, accuracy):
    """The true values from float64, in which all of them are in range."""
    options = {"accuracy": accuracy}
    for points in (UNEVEN * size, 0.7 * size):
        unit = points / size
        want = gradient(F4.astype("f8"), unit, **options) / size
        factor = np.float32(1e-3 if size < 1 else 1e3)  # so that the results are in range
        for data in kinds(F4 * factor).values():
            got = np.asarray(gradient(data, points, **options), "f8")
            exact = want * factor
            assert_allclose(got, exact, rtol=0, atol=4e-5 * abs(exact).max())


@pytest.mark.parametrize("size", [1e17, 1e-16, 1e-19])
def test_second_derivatives_of_float32_on_steps_of_any_size(size):
    f = (UNEVEN**2 * 1e-3).astype("f4") if size > 1 else (UNEVEN**2 * 1e-3).astype("f4") / 1000
    scale = 2e-3 if size > 1 else 2e-6
    for points in (UNEVEN, 0.5 + np.zeros(())):
        table = stencil(points * size, N, order=2)
        plain = differentiate(f.astype("f8"), 0, stencil(points, N, order=2)) / size / size
        for data in (f, jnp.asarray(f), da.from_array(f, chunks=5)):
            got = np.asarray(differentiate(data, 0, table), "f8")
            assert_allclose(got, plain, rtol=0, atol=1e-5 * abs(plain).max())
        if points.ndim:
            assert_allclose(plain, scale / size / size, rtol=2e-2)


@pytest.mark.parametrize("size", [1e300, 1e100, 1e38, 1e-46, 1e-100, 1e-300])
@pytest.mark.parametrize("accuracy", [2, 4, 6, 8])
def test_float64_on_uneven_points_of_any_size(size, accuracy):
    f = np.sin(UNEVEN)
    want = gradient(f, UNEVEN, accuracy=accuracy)
    got = gradient(f, UNEVEN * size, accuracy=accuracy)
    assert_allclose(got * size, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("dtype", "step"), [("f4", 1e-38), ("f4", 1e-41), ("f8", 1e-310)])
def test_steps_and_values_that_are_subnormal(dtype, step):
    step = np.dtype(dtype).type(step)
    f = np.arange(8, dtype=dtype) * step
    assert_allclose(gradient(f, step), 1, rtol=1e-6)
    assert_allclose(gradient(f, f), 1, rtol=1e-6)
    assert_allclose(gradient(f, step, edge_order=2, accuracy=4), 1, rtol=1e-5)
    assert_array_equal(gradient(f), np.gradient(f))


def test_steps_of_all_sizes_on_one_axis():
    x = np.array([0.0, 1e-30, 1e-10, 1.0, 1e10, 1e20, 1e40])
    assert_allclose(gradient(3 * x, x), 3, rtol=1e-12)
    assert_allclose(gradient(3 * x, x, edge_order=2), 3, rtol=1e-12)


# -- coordinates that are traced -------------------------------------------------------------

TRACED = ["uint8", "int8", "int16", "uint32", "int32", "float16", "bfloat16", "float32"]


@pytest.mark.parametrize("dtype", TRACED)
def test_traced_points_of_any_dtype_are_those_of_the_host(dtype):
    x = (np.arange(10) ** 2 + 3).astype(jnp.dtype(dtype))
    both = np.stack([x, x[::-1]])
    many = jax.jit(jax.vmap(gradient, (None, 0)))(F4[:10], both)
    for got, points in zip(many, both.astype("f8"), strict=True):
        assert_allclose(got, np.gradient(F4[:10].astype("f8"), points), rtol=1e-6)


@pytest.mark.parametrize("first", [2**24, 2**31 - 200, -(2**31)])
def test_traced_integers_beyond_float32(first):
    x = (first + SQUARES).astype("i4")
    want = np.gradient(F4.astype("f8"), SQUARES)
    assert_allclose(jax.jit(gradient)(F4, x), want, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("accuracy", [2, 4])  # 6 takes XLA six seconds
def test_traced_float32_points_of_any_size(accuracy):
    traced = jax.jit(lambda f, x: gradient(f, x, accuracy=accuracy))  # one compilation for all
    for size in (1e30, 1e6, 1e5, 1e-6, 1e-30):
        x = (UNEVEN * size).astype("f4")
        want = gradient(F4.astype("f8"), x.astype("f8"), accuracy=accuracy)
        assert_allclose(traced(F4, x), want, rtol=0, atol=2e-5 * abs(want).max())


# -- integers that no float has --------------------------------------------------------------


@pytest.mark.parametrize("spacing", [1.0, np.arange(N) ** 1.5], ids=["even", "uneven"])
@pytest.mark.parametrize("edge_order", [1, 2])
def test_differences_of_large_integers_are_exact(spacing, edge_order):
    want = np.gradient(SQUARES.astype("f8"), spacing, edge_order=edge_order)
    for large in (2**60 + SQUARES, (2**64 - 200 + SQUARES.astype(object)).astype("u8")):
        for data in (large, da.from_array(large, chunks=5)):
            got = gradient(data, spacing, edge_order=edge_order)
            assert_allclose(np.asarray(got), want, rtol=1e-12, atol=1e-9)
    for dtype, first in (("i4", 2**24), ("i4", 2**31 - 200), ("u4", 2**32 - 200)):
        data = jnp.asarray((first + SQUARES).astype(dtype))
        got = gradient(data, spacing, edge_order=edge_order)
        assert_allclose(got, want, rtol=1e-5, atol=1e-4)


def test_large_integers_with_numbers_outside_and_all_around():
    large = 2**60 + SQUARES
    got = gradient(large, boundary=(2**60 - 1, 2**60 + 144))
    assert_array_equal(got, gradient(SQUARES, boundary=(-1, 144)))
    with jax.enable_x64(True):
        on_jax = gradient(jnp.asarray(large), boundary=(2**60 - 1, 2**60 + 144))
    assert_array_equal(on_jax, got)
    assert_array_equal(gradient(large, boundary="periodic"), gradient(SQUARES, boundary="periodic"))
    wide = np.array([0, 5, 2**32 - 1, 7], "u4")
    assert_array_equal(gradient(jnp.asarray(wide))[2], 1.0)


def test_coordinates_that_are_large_integers():
    f = SQUARES / 2.0
    for x in (2**60 + np.arange(N), np.arange(N).astype("u8") + np.uint64(2**64 - N)):
        assert_array_equal(gradient(f, x), np.gradient(f))
        field = xr.DataArray(f, dims="x", coords={"x": x})
        assert_array_equal(field.fdgrad.gradient("x"), np.gradient(f))
    falling = np.uint64(2**64 - 1) - SQUARES.astype("u8")
    assert_allclose(gradient(f, falling), np.gradient(f, -SQUARES.astype("f8")), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "u4", "i8", "u8"])
def test_levels_in_integers_neither_wrap_nor_fold_unseen(dtype):
    z = np.stack([100 - 20 * np.arange(4), 90 - 10 * np.arange(4)], axis=1).astype(dtype)
    f = xr.DataArray(np.arange(8.0).reshape(4, 2), dims=("level", "x"))
    height = xr.DataArray(z, dims=f.dims)
    got = f.fdgrad.gradient("level", coordinate=height)
    assert_allclose(got, f.fdgrad.gradient("level", coordinate=height.astype("f8")))
    folded = height.copy(data=z[[0, 2, 1, 3]])
    with pytest.raises(CoordinateError, match="sort the levels"):
        f.fdgrad.gradient("level", coordinate=folded)


# -- dtypes of other libraries ---------------------------------------------------------------

SMALL_TYPES = ["int4", "uint4", "int2", "float4_e2m1fn", "float8_e5m2", "float8_e4m3fn", "bfloat16"]


@pytest.mark.parametrize("options", [{}, {"accuracy": 4}, {"boundary": 2.0}], ids=str)
@pytest.mark.parametrize("name", SMALL_TYPES)
def test_small_types_are_widened_first(name, options):
    f = np.array([0, 3, 1, 7, 2, 5, 6, 4]).astype(getattr(ml_dtypes, name))
    want = gradient(f.astype("f8"), **options)
    lazy = gradient(da.from_array(f, chunks=3), **options)
    assert lazy.dtype == np.float64
    for got in (gradient(f, **options), lazy.compute()):
        assert got.dtype == np.float64
        assert_array_equal(got, want)
    x = np.arange(8).astype(ml_dtypes.bfloat16)
    assert_array_equal(gradient(f, x, **options), want)


def test_bfloat16_that_is_labelled():
    f = jnp.asarray(SQUARES, "bfloat16")
    for data in (f, np.asarray(f), da.from_array(np.asarray(f), chunks=5)):
        field = xr.DataArray(data, dims="x", coords={"x": 2.0 * np.arange(N)})
        want = np.gradient(np.asarray(f).astype("f8"), 2.0)
        assert_allclose(np.asarray(field.fdgrad.gradient("x").data, "f8"), want, rtol=2**-8)


# -- periods, and points that are even but for rounding ---------------------------------------

CIRCLES = {
    "radians": np.linspace(0, 2 * np.pi, 48, endpoint=False),
    "0.1 degrees": 0.1 * np.arange(3600),
    "0.1 degrees in float32": (0.1 * np.arange(3600)).astype("f4"),
    "westward": -0.3 * np.arange(1200),
}


@pytest.mark.parametrize("x", CIRCLES.values(), ids=CIRCLES)
def test_points_that_are_even_but_for_rounding_have_a_period(x):
    exact = np.linspace(0, 2 * np.pi, len(x), endpoint=False)
    step = float(np.diff(x.astype("f8")).mean())
    got = gradient(np.sin(exact), x, boundary="periodic")
    want = np.cos(exact) * (exact[1] - exact[0]) / step
    assert_allclose(got, want, atol=3e-3 * abs(want).max())
    assert full_turn(x) == pytest.approx(abs(step) * len(x), rel=1e-6)


@pytest.mark.parametrize("x", [UNEVEN, np.zeros(5), np.array([0, 1, 2, 3.01])], ids=str)
def test_points_that_are_uneven_have_none(x):
    assert full_turn(x) is None
    with pytest.raises(OptionError, match="give period= in units of the coordinate"):
        gradient(np.zeros(len(x)), x, boundary="periodic")


def test_a_period_is_a_finite_number():
    for period in (np.inf, -np.inf):
        with pytest.raises(OptionError, match="it must be a finite length"):
            gradient(SQUARES, np.arange(N), boundary="periodic", period=period)
    for period in (np.timedelta64(9, "D"), "long", [1, 2]):
        with pytest.raises(OptionError, match="it must be a number, in units of the coordinate"):
            gradient(SQUARES, np.arange(N), boundary="periodic", period=period)


REGULAR = [(0.25, 0.0), (1 / 12, -180.0), (0.04, 300.0), (1 / 48, 300.0), (0.01, -179.995)]


@pytest.mark.parametrize(("step", "start"), REGULAR)
def test_regular_points_in_float32_are_rebuilt_for_second_derivatives(step, start):
    x = start + np.arange(400) * step
    k = np.deg2rad(360 / 30)
    f = np.sin(k * (x - start))
    narrow = x.astype("f4")
    rebuilt = regular_points(narrow)
    assert_allclose(rebuilt.astype("f8"), x, atol=abs(narrow[-1]) * 1e-7)
    assert_allclose(np.diff(rebuilt.astype("f8")), step, rtol=1e-5)
    got = differentiate(f, 0, stencil(narrow, len(x), order=2))
    error = abs(got + k**2 * f)[1:-1].max() / (k**2 * abs(f).max())
    assert error < 4e-4  # of the scheme, and of the step that float32 knows


@pytest.mark.parametrize(
    "x",
    [
        UNEVEN.astype("f4"),
        UNEVEN,
        np.arange(9),
        np.where(np.arange(90) == 4, 4.5, np.arange(90)).astype("f4") + 1000,
        np.array([0, 1], "f4"),
        np.array([1, 2, np.nan, 4], "f4"),
        np.zeros(4, "f4"),
        (1e6 + np.arange(50) * 0.07).astype("f4"),  # steps as small as the rounding
        np.arange(50, dtype="f4") * 0.25,
    ],
    ids=range(9),
)
def test_other_points_stay_as_they_are(x):
    assert regular_points(x) is x


# -- quantities ------------------------------------------------------------------------------


class Metres(np.ndarray):
    """An array with a unit, as a subclass of NumPy's: that of astropy or of yt."""

    def __array_function__(self, function, types, args, options):
        return function.__name__, "metres"


def test_subclasses_with_units_are_asked_themselves_or_refused():
    x = np.arange(6.0).view(Metres)
    f = np.arange(6.0)
    for args in ((x,), (x, 2.0), (f, x)):
        assert gradient(*args) == ("gradient", "metres")
    refused = [
        lambda: gradient(x, accuracy=4),
        lambda: gradient(f, x, boundary="extend"),
        lambda: gradient(da.from_array(f, chunks=2), x),
        lambda: gradient(jnp.asarray(f), x),
    ]
    for call in refused:
        with pytest.raises(TypeError, match="Metres"):
            call()


class Foreign:
    """A lazy array of somebody else's, or a sparse one: to compute it is not ours to decide."""

    shape, ndim, dtype = (6,), 1, np.dtype("f8")

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("it was computed")

    def compute(self):
        return np.arange(6.0)


def test_arrays_of_other_libraries_are_not_computed():
    with pytest.raises(TypeError, match=r"f is a lazy Foreign .* what f.compute\(\) gives"):
        gradient(Foreign())
    assert_array_equal(gradient(Foreign().compute()), np.ones(6))
    with pytest.raises(TypeError, match=r"Foreign.*convert them to NumPy: np.asarray\(f\)"):
        differentiate(Foreign(), 0, stencil(1.0, 6))


def test_chunks_with_units_are_refused_with_the_way_out():
    def kind(f):
        return f.view(Metres)

    f = da.from_array(np.arange(6.0) ** 2, chunks=3)
    lazy = gradient(f.map_blocks(kind, dtype=f.dtype, meta=np.empty(0)))
    with pytest.raises(TypeError, match=r"f.map_blocks\(np.asarray\)"):
        lazy.compute(scheduler="sync")
    plain = gradient(f.map_blocks(kind, meta=np.empty(0)).map_blocks(np.asarray, meta=np.empty(0)))
    assert_array_equal(plain.compute(scheduler="sync"), np.gradient(np.arange(6.0) ** 2))
