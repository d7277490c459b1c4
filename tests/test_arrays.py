"""`fd.gradient` in place of `numpy.gradient`: the same numbers, the same refusals, more kinds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fdgrad_dask import gradient
from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.stencils.table import stencil

pytestmark = pytest.mark.usefixtures("kernels")

SHAPE = (3, 6, 4)
F = np.random.default_rng(7).standard_normal(SHAPE) * 100
LINE = np.array([0.0, 3.0, 4.0, -1.0, 7.0, 7.5])
UNEVEN = np.array([0.1, 0.4, 1.5, 1.7, 2.9, 4.2])
edge_orders = pytest.mark.parametrize("edge_order", [1, 2])


def spacings(n):
    """Every kind of spacing for an axis of n points, the name of each, and nothing at all."""
    x = np.cumsum(0.2 + np.random.default_rng(n).random(n))
    return {
        "none": (),
        "number": (2.5,),
        "negative": (-0.3,),
        "integer": (3,),
        "even": (0.75 * np.arange(n),),
        "even only to the eye": (0.1 * np.arange(n),),
        "uneven": (x,),
        "descending": (-x,),
        "list": (x.tolist(),),
        "integers": (np.arange(n) ** 2,),
        "bytes": (np.arange(n, dtype="u1")[::-1],),
        "big-endian": (x.astype(">f8"),),
    }


def assert_same(got, want):
    """Type, dtype, shape and every bit, but for which NaN it is."""
    assert type(got) is type(want)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def assert_close(got, want, ulps=8):
    """Within ``ulps`` of the largest value; NaN and inf in the same places."""
    assert got.dtype == want.dtype
    finite = np.isfinite(want)
    scale = abs(want[finite].astype(np.complex128)).max()
    np.testing.assert_array_equal(np.isfinite(got), finite)
    error = abs(got[finite].astype(np.complex128) - want[finite]).max()
    assert error <= ulps * np.finfo(want.dtype).eps * scale


# -- the numbers of NumPy --------------------------------------------------------------------


@edge_orders
@pytest.mark.parametrize("spacing", spacings(3))
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_float64_has_the_bits_of_numpy(axis, spacing, edge_order):
    args = spacings(SHAPE[axis])[spacing]
    options = {"axis": axis, "edge_order": edge_order}
    assert_same(gradient(F, *args, **options), np.gradient(F, *args, **options))


@edge_orders
@pytest.mark.parametrize("spacing", ["none", "number", "uneven", "bytes"])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_integers_become_float64_and_have_the_bits_of_numpy(dtype, spacing, edge_order):
    ends = np.iinfo(dtype)
    f = np.random.default_rng(1).integers(ends.min, ends.max, 6, dtype, endpoint=True)
    args = spacings(6)[spacing]
    assert_same(
        gradient(f, *args, edge_order=edge_order), np.gradient(f, *args, edge_order=edge_order)
    )


@edge_orders
@pytest.mark.parametrize("spacing", ["none", "number", "even", "uneven", "descending"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64", "complex128"])
def test_other_floats_are_kept_and_are_those_of_numpy_within_rounding(dtype, spacing, edge_order):
    f = F.astype(dtype)
    if f.dtype.kind == "c":
        f = f + F[::-1].astype(f.real.dtype) * f.dtype.type(1j)
    args = spacings(6)[spacing]
    options = {"axis": 1, "edge_order": edge_order}
    assert_close(gradient(f, *args, **options), np.gradient(f, *args, **options))


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">f2", ">i4", ">c16"])
def test_big_endian_data_as_netcdf3_has_them(dtype):
    f = LINE.astype(dtype)
    for args in ((), (UNEVEN,)):
        want = np.gradient(f, *args)
        got = gradient(f, *args)
        assert got.dtype.newbyteorder("=") == want.dtype.newbyteorder("=")
        np.testing.assert_allclose(got, want, rtol=1e-6 if want.dtype.itemsize > 2 else 2e-3)
        chunked = gradient(da.from_array(f, chunks=2), *args).compute()
        np.testing.assert_array_equal(chunked, got)


SPECIAL = [0.0, -0.0, 1.0, -2.5, 7.25, np.nan, np.inf, -np.inf, "max", "-max"]
NARROW = {np.dtype(n): np.dtype(d) for n, d in (("f2", "f8"), ("f4", "f8"), ("c8", "c16"))}


@st.composite
def fields_with_holes(draw):
    """Six values, some of them not finite or too large to subtract."""
    dtype = np.dtype(
        draw(st.sampled_from(["float16", "float32", "float64", "complex64", "complex128"]))
    )
    largest = np.finfo(dtype).max

    def part():
        drawn = draw(st.lists(st.sampled_from(SPECIAL), min_size=6, max_size=6))
        numbers = [{"max": largest, "-max": -largest}.get(v, v) for v in drawn]
        return np.array(numbers).astype(np.finfo(dtype).dtype)

    f = np.zeros(6, dtype)
    f.real = part()
    if dtype.kind == "c":
        f.imag = part()
    return f


@given(
    fields_with_holes(),
    st.sampled_from(["none", "number", "uneven", "descending"]),
    st.sampled_from([1, 2]),
)
@example(np.array([3e38, 0, -np.inf, 0, 0, 0], "f4"), "none", 2)
@example(np.array([0, 0, 0, 0, np.inf, 65504], "f2"), "none", 2)
@settings(max_examples=200)
def test_nan_and_inf_stand_where_numpy_has_them(f, spacing, edge_order):
    args = spacings(6)[spacing]
    with np.errstate(all="ignore"):
        want = np.gradient(f, *args, edge_order=edge_order)
        got = gradient(f, *args, edge_order=edge_order)
        if f.dtype in NARROW and edge_order == 2:
            put_edges_without_overflow(want, got, f, args)
    for ours, numpys in ((got.real, want.real), (got.imag, want.imag)):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(numpys))
        np.testing.assert_array_equal(np.isposinf(ours), np.isposinf(numpys))
        np.testing.assert_array_equal(np.isneginf(ours), np.isneginf(numpys))


def put_edges_without_overflow(want, got, f, args):
    """NumPy's edges of the second order, computed in float64, as it does beside a coordinate.

    Where the spacing is a number, its three products may overflow though their sum does not.
    """
    double = np.gradient(f.astype(NARROW[f.dtype]), *args, edge_order=2)
    largest = np.finfo(f.dtype).max
    close = 4 * np.finfo(f.dtype).eps * float(largest)
    for part in ("real", "imag") if f.dtype.kind == "c" else ("real",):
        wide, ours = (getattr(a, part)[[0, -1]] for a in (double, got))
        out = wide.astype(ours.dtype)
        # Rounding decides whether a sum that is the largest number becomes infinite.
        either = (abs(abs(wide) - largest) < close) & (ours == np.copysign(np.inf, wide))
        out[either] = ours[either]
        getattr(want, part)[[0, -1]] = out


def test_a_nan_is_read_where_numpy_reads_it():
    f = LINE.copy()
    f[2] = np.nan
    assert np.isnan(gradient(f)).tolist() == [False, True, False, True, False, False]
    assert np.isnan(gradient(f, UNEVEN)).tolist() == [False, True, True, True, False, False]
    assert np.isnan(gradient(f, edge_order=2)).tolist() == [True, True, False, True, False, False]


def test_half_precision_overflows_where_numpy_does():
    f = np.array([-6e4, 1, 6e4, 1, -6e4], "f2")
    with np.errstate(over="ignore"):
        want = np.gradient(f)
    assert np.isinf(want).any()
    np.testing.assert_array_equal(gradient(f), want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_subnormal_numbers_may_become_nought_and_nothing_else(dtype):
    """XLA flushes them; so far from all other numbers that no derivative is told apart."""
    f = (LINE * np.finfo(dtype).smallest_subnormal).astype(dtype)
    assert (abs(gradient(f) - np.gradient(f)) < np.finfo(dtype).smallest_normal).all()


@pytest.mark.parametrize(
    "coordinate", [[0, 1, 1, 2, 3, 4], [0, 2, 1, 5, 3, 4], [0, 1, np.nan, 3, 4, 5]]
)
def test_coordinates_that_numpy_takes_are_taken(coordinate):
    """The labelled layer refuses them; a drop-in cannot."""
    with np.errstate(all="ignore"):
        assert_same(gradient(LINE, coordinate), np.gradient(LINE, coordinate))


@pytest.mark.parametrize("step", [0.0, np.inf, np.nan])
def test_steps_that_numpy_takes_are_taken(step):
    with np.errstate(all="ignore"):
        assert_same(gradient(LINE, step), np.gradient(LINE, step))


def test_weights_are_formed_in_float64_from_float32_coordinates():
    """As numpy.gradient does not: what it gives is off by 4e-7 on a grid of 1/48°."""
    x = (np.arange(100) / 48).astype("f4")
    f = np.sin(x.astype("f8"))
    truth = np.gradient(f, x.astype("f8"))
    assert abs(np.gradient(f, x) - truth).max() > 1e-7
    np.testing.assert_array_equal(gradient(f, x), truth)
    step = np.float32(0.1)
    np.testing.assert_array_equal(
        gradient(f, step, edge_order=2), np.gradient(f, float(step), edge_order=2)
    )


def test_float32_keeps_the_digits_of_small_differences():
    x = np.cumsum(0.5 + np.random.default_rng(0).random(60))
    f = (300 + np.sin(x / 5)).astype("f4")  # kelvin
    truth = np.gradient(f.astype("f8"), x)
    assert abs(gradient(f, x) - truth).max() <= 4 * np.finfo("f4").eps * abs(truth).max()


# -- arrays in all positions -----------------------------------------------------------------

READ_ONLY = F.copy()
READ_ONLY.flags.writeable = False
SHIFTED = np.frombuffer(b"?" + F.tobytes(), "u1")[1:].view("f8").reshape(SHAPE)
LAYOUTS = {
    "C": F,
    "Fortran": np.asfortranarray(F),
    "transposed": F.T,
    "negative strides": F[::-1, ::-1, ::-1],
    "strided": np.repeat(np.repeat(F, 2, 0), 3, 2)[::2, :, ::3],
    "broadcast": np.broadcast_to(F[:, :1], SHAPE),
    "read-only": READ_ONLY,
    "not aligned": SHIFTED,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_layout_has_the_bits_of_numpy_and_is_left_alone(layout, axis):
    f = LAYOUTS[layout]
    before = f.copy()
    got = gradient(f, 0.5, axis=axis)
    assert_same(got, np.gradient(f, 0.5, axis=axis))
    assert got.flags.writeable
    got += 1
    np.testing.assert_array_equal(f, before)


def test_results_of_several_axes_are_arrays_of_their_own():
    first, second, third = gradient(F)
    first[:] = second[:] = 0
    assert_same(third, np.gradient(F, axis=2))
    assert_same(gradient(F)[0], np.gradient(F, axis=0))  # no scratch of ours was handed out


@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 1), ((3, 0), 0), ((2, 0, 3), 2)])
def test_an_array_without_elements_is_differentiated(shape, axis):
    assert_same(gradient(np.zeros(shape), axis=axis), np.gradient(np.zeros(shape), axis=axis))


def test_a_memory_map_is_read_and_the_result_is_in_memory(tmp_path):
    disk = np.memmap(tmp_path / "f", "f8", "w+", shape=SHAPE)
    disk[:] = F
    disk.flush()
    for mode in ("r", "r+", "c"):
        got = gradient(np.memmap(tmp_path / "f", "f8", mode, shape=SHAPE), axis=1)
        assert_same(got, np.gradient(F, axis=1))


@pytest.mark.parametrize("f", [[1, 4, 9], (1.0, 4, 9), [[1, 4], [2, 7]], range(4)], ids=str)
def test_sequences_are_arrays(f):
    got, want = gradient(f), np.gradient(f)
    np.testing.assert_array_equal(got, want)
    assert type(got) is type(want)


def test_a_number_has_no_axis_and_no_gradient():
    assert gradient(3.0) == np.gradient(3.0) == ()
    assert gradient(da.ones(())) == gradient(jnp.float32(3)) == ()


@pytest.mark.parametrize(
    "axis", [None, 0, -1, (0, 2), (2, 0), [1], (1,), (), np.int64(1)], ids=repr
)
def test_axis_as_in_numpy(axis):
    got, want = gradient(F, axis=axis), np.gradient(F, axis=axis)
    assert type(got) is type(want)
    for ours, numpys in zip(got, want, strict=True):
        assert_same(ours, numpys)


def test_spacings_are_counted_off_along_the_axes_named():
    x, y = spacings(6)["uneven"][0], spacings(3)["uneven"][0]
    for args in ((2.0,), (2.0, y), (x, 3), (x, y), (np.array(2.0), y)):
        for ours, numpys in zip(
            gradient(F, *args, axis=(1, 0)), np.gradient(F, *args, axis=(1, 0)), strict=True
        ):
            assert_same(ours, numpys)


def test_a_labelled_array_is_refused_with_the_way_out():
    """Its labels and its units would be gone; a coordinate may be labelled."""
    field = xr.DataArray(LINE, dims="x", coords={"x": UNEVEN}, name="f")
    keep, drop = "call f.fdgrad.gradient(dim), which keeps them", "give the array alone: f.data"
    for labelled, ways in (
        (field, f"{keep}, or {drop}"),
        (field.chunk(2), f"{keep}, or {drop}"),
        (field.to_dataset(), keep),
        (field.variable, drop),
    ):
        with pytest.raises(TypeError) as error:
            gradient(labelled)
        assert str(error.value).startswith(f"f is a {type(labelled).__name__}, whose labels")
        assert str(error.value).endswith(f"would drop; {ways}")
    with pytest.raises(TypeError, match=r"call f.fdgrad.gradient\(dim\)"):
        gradient(field, "x")
    assert_same(field.fdgrad.gradient("x").values, np.gradient(LINE, UNEVEN))
    assert_same(gradient(field.data, field.x), np.gradient(LINE, UNEVEN))
    assert_same(gradient(field.chunk(2).data, field.x).compute(), np.gradient(LINE, UNEVEN))


# -- refusals, of the class and at the moment of NumPy ---------------------------------------

BAD = {
    "axis too large": ((), {"axis": 2}),
    "axis twice": ((), {"axis": (0, 0)}),
    "axis a float": ((), {"axis": 1.0}),
    "axis a word": ((), {"axis": "0"}),
    "edge_order too large": ((), {"edge_order": 3}),
    "edge_order a word": ((), {"edge_order": "1"}),
    "edge_order None": ((), {"edge_order": None}),
    "too many spacings": ((1, 2, 3), {}),
    "one coordinate for two axes": ((np.arange(4.0),), {}),
    "two spacings for one axis": ((1, 2), {"axis": 0}),
    "too few distances": ((np.arange(3.0),), {"axis": 0}),
    "too many distances": ((np.arange(5.0),), {"axis": 0}),
    "distances in a table": ((np.ones((2, 2)),), {"axis": 0}),
    "no spacing at all": ((None,), {"axis": 0}),
    "spacing a word": (("1",), {"axis": 0}),
    "spacing a Decimal": ((Decimal(2),), {"axis": 0}),
    "no such option": ((), {"dx": 2.0}),
    "too few points": ((), {"axis": 1, "edge_order": 2}),
}
KINDS = {
    "numpy": np.asarray,
    "jax": jnp.asarray,
    "dask": lambda f: da.from_array(f, chunks=1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BAD)
def test_refusals_are_those_of_numpy(lazily, name, kind):
    args, options = BAD[name]
    f = np.arange(8.0, dtype="f4").reshape(4, 2)
    with pytest.raises(Exception) as numpys:  # noqa: PT011 - any at all: its class is what is asked
        np.gradient(f, *args, **options)
    with lazily(), pytest.raises(numpys.type):
        gradient(KINDS[kind](f), *args, **options)


@pytest.mark.parametrize("dtype", ["bool", "S1", "U1", "V4"])
@pytest.mark.parametrize("chunks", [None, 1, 3])
def test_data_without_differences_are_a_type_error_at_once(dtype, chunks):
    f = np.zeros(3, dtype)
    with pytest.raises(TypeError) as numpys:
        np.gradient(f)
    with pytest.raises(numpys.type) as ours:
        gradient(f if chunks is None else da.from_array(f, chunks=chunks))
    assert str(ours.value) == str(numpys.value)


@pytest.mark.parametrize("options", [{}, {"accuracy": 4}, {"boundary": "extend"}])
@pytest.mark.parametrize("kind", KINDS)
def test_bool_is_a_type_error_for_every_kind(kind, options):
    with pytest.raises(TypeError, match="numpy boolean subtract"):
        gradient(KINDS[kind](np.ones(9, bool)), **options)


TEXTS = [
    (((), {"edge_order": 3}), "'edge_order' greater than 2 not supported; it is 3"),
    (
        ((1, 2), {}),
        "invalid number of arguments: 2 spacings for 1 axes; give none, one number for all axes, "
        "or one number or 1d array per axis",
    ),
    (
        ((np.ones((2, 2)),), {}),
        "distances must be either scalars or 1d; those of axis 0 have 2 dimensions",
    ),
    (
        ((np.arange(5),), {}),
        "when 1d, distances must match the length of the corresponding dimension; there are 5 for "
        "the 6 points of axis 0",
    ),
    (
        ((da.arange(6),), {}),
        "the coordinate is a dask array, but weights are formed from it before anything is "
        "computed; call compute() on the coordinate first",
    ),
    (
        ((UNEVEN * 1j,), {"accuracy": 4}),
        "spacing of dtype complex128 cannot be turned into weights; give real numbers (dates as "
        "seconds since the first one)",
    ),
    (
        ((UNEVEN.astype("m8[s]"),), {"boundary": "extend"}),
        "spacing of dtype timedelta64[s] cannot be turned into weights; give real numbers (dates "
        "as seconds since the first one)",
    ),
    (((), {"accuracy": 5}), "accuracy is 5; choose one of 2, 4, 6, 8"),
    (
        ((), {"accuracy": 8}),
        "axis 0 has 6 points, but accuracy 8 needs 9; lower accuracy to 4, or give a longer axis",
    ),
    (
        ((), {"boundary": "wrap"}),
        "boundary is 'wrap'; choose None, 'periodic', 'reflect', 'extend', or the number that "
        "stands outside; a pair of them for the two ends",
    ),
    (
        ((), {"boundary": (1, 2, 3)}),
        "boundary is (1, 2, 3); give one value for both ends or a pair for two",
    ),
    (((), {"boundary": {3: "extend"}}), "boundary names axis 3; the array has axes 0 to 0"),
    (
        ((), {"period": 6.0}),
        "period is 6.0, but boundary is None; say boundary='periodic' too",
    ),
    (
        ((), {"period": 6.0, "boundary": {0: "reflect"}}),
        "period is 6.0, but boundary is {0: 'reflect'}; say boundary='periodic' too",
    ),
    (
        ((UNEVEN,), {"boundary": "periodic"}),
        "axis 0 is periodic but unevenly spaced, so its period cannot be inferred from its points; "
        "give period= in units of the coordinate, longer than 4.1",
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("call", "text"), TEXTS, ids=[text[:30] for _, text in TEXTS])
def test_messages_say_what_is_and_what_to_do(lazily, call, text, kind):
    args, options = call
    with lazily(), pytest.raises((TypeError, ValueError)) as error:
        gradient(KINDS[kind](LINE), *args, **options)
    assert str(error.value) == text


def test_refusals_can_be_caught_by_what_they_are():
    for call, kind in [
        (lambda: gradient(LINE, accuracy=5), OptionError),
        (lambda: gradient(LINE[:1]), CoordinateError),
        (lambda: gradient(LINE, edge_order=3), OptionError),
    ]:
        with pytest.raises(kind) as error:
            call()
        assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("edge_order", [0, -1, 1.5])
def test_edge_orders_that_numpy_takes_for_2_in_silence_are_refused(edge_order):
    with pytest.raises(OptionError, match="choose 1 or 2"):
        gradient(LINE, edge_order=edge_order)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("edge_order", [1.0, 2.0, True, np.int64(2)], ids=repr)
def test_an_edge_order_may_be_any_number_that_is_1_or_2(edge_order, kind):
    want = np.gradient(LINE, edge_order=edge_order)
    np.testing.assert_allclose(gradient(KINDS[kind](LINE), edge_order=edge_order), want)


# -- kinds that XLA does not have ------------------------------------------------------------


class Tagged(np.ndarray):
    """A subclass of ndarray, as users make them."""


WHOLE = np.array([0, 4, 6, -2, 14, 30])
ODD = {
    "datetime64": np.array(["2000-01-01", "2000-01-03", "2000-01-04"] * 2, "M8[D]"),
    "datetime64 with NaT": np.array(["2000-01-01", "NaT", "2000-01-04"] * 2, "M8[s]"),
    "timedelta64": WHOLE.astype("m8[s]"),
    "longdouble": (WHOLE / 3).astype("longdouble"),
    "clongdouble": (WHOLE / 3 + 1j).astype("clongdouble"),
    "object": WHOLE.astype(object),
    "Fraction": np.array([Fraction(int(i), 3) for i in WHOLE]),
    "masked": np.ma.array(LINE, mask=[0, 0, 1, 0, 0, 0]),
    "masked float32": np.ma.array(LINE.astype("f4"), mask=[0, 0, 1, 0, 0, 0]),
    "masked integers": np.ma.array(WHOLE, mask=[0, 0, 0, 0, 0, 1]),
}
odd = pytest.mark.parametrize("f", ODD.values(), ids=ODD)
odd_calls = pytest.mark.parametrize(
    ("args", "edge_order"),
    [((), 1), ((), 2), ((2,), 1), ((2.5,), 2), ((UNEVEN,), 1), ((UNEVEN,), 2)],
    ids=["none", "none 2", "integer", "number 2", "uneven", "uneven 2"],
)


def assert_same_odd(got, want):
    assert type(got) is type(want)
    assert got.dtype == want.dtype
    if isinstance(want, np.ma.MaskedArray):
        np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(want))
        got, want = got.filled(-999), want.filled(-999)
    np.testing.assert_array_equal(got, want)


@odd
@odd_calls
def test_kinds_without_a_kernel_give_what_numpy_gives(f, args, edge_order):
    want = np.gradient(f, *args, edge_order=edge_order)
    assert_same_odd(gradient(f, *args, edge_order=edge_order), want)


@odd
@pytest.mark.parametrize("chunks", [6, 2, 1, ((5, 1),)])
@pytest.mark.parametrize(
    ("args", "edge_order"),
    [((), 1), ((2.5,), 2), ((UNEVEN,), 2)],
    ids=["none", "number 2", "uneven 2"],
)
def test_kinds_without_a_kernel_give_what_numpy_gives_from_dask(f, args, edge_order, chunks):
    want = np.gradient(f, *args, edge_order=edge_order)
    lazy = gradient(da.from_array(f, chunks=chunks), *args, edge_order=edge_order)
    assert lazy.dtype == want.dtype
    got = lazy.compute(scheduler="sync")
    if f.dtype == object or f.dtype == np.float32:  # weights in float64 round elsewhere
        assert type(got) is type(want)
        np.testing.assert_allclose(got, want, rtol=1e-6)
        np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(want))
    else:
        assert_same_odd(got, want)


@pytest.mark.parametrize("f", [F[0].view(np.matrix), F[0].view(Tagged)], ids=["matrix", "subclass"])
def test_subclasses_stay_what_they_are(f):
    for got, want in zip(gradient(f), np.gradient(f), strict=True):
        assert_same(got, want)


@pytest.mark.parametrize(
    ("f", "spacing"),
    [
        (ODD["timedelta64"], np.timedelta64(2, "s")),
        (LINE, Fraction(1, 3)),
        (LINE, UNEVEN.astype("longdouble")),
        (LINE, UNEVEN.astype(object)),
        (LINE, np.ma.array(UNEVEN, mask=[0, 0, 1, 0, 0, 0])),
        (LINE, True),
    ],
    ids=["seconds", "Fraction", "longdouble", "object", "masked", "bool"],
)
def test_spacings_without_a_kernel_give_what_numpy_gives(f, spacing):
    assert_same_odd(gradient(f, spacing), np.gradient(f, spacing))


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray, lambda f: da.from_array(f, chunks=2)])
@pytest.mark.parametrize(
    "spacing", [10**20, [i * 10**20 for i in (0, 1, 3, 4)], Fraction(1, 4)], ids=str
)
def test_integers_beyond_64_bits_and_fractions_are_numbers(kind, spacing):
    """Which NumPy holds as objects, for every kind of array and with options of ours."""
    f = kind(np.array([1.0, 2, 8, 16], "f4"))
    x = np.asarray(spacing).astype("f8")
    np.testing.assert_allclose(gradient(f, spacing), np.gradient(np.asarray(f), x), rtol=1e-6)
    outside = gradient(f, spacing, boundary=0.0)
    np.testing.assert_allclose(outside, gradient(f, x, boundary=0.0), rtol=1e-6)


def test_durations_are_no_spacing_for_numbers():
    with pytest.raises(TypeError):
        gradient(LINE, np.timedelta64(2, "s"))


@pytest.mark.parametrize("name", ["longdouble", "masked", "masked integers", "object"])
@pytest.mark.parametrize("options", [{"accuracy": 4}, {"boundary": "periodic"}, {"boundary": 2}])
def test_accuracy_and_boundary_serve_them_too(name, options):
    f = ODD[name]
    full = f.data if isinstance(f, np.ma.MaskedArray) else f
    want = gradient(full.astype("f8"), **options)
    got = gradient(f, **options)
    assert got.dtype == (f.dtype if f.dtype.kind == "f" else np.float64)
    kept = ~np.ma.getmaskarray(got)
    assert kept.any()
    np.testing.assert_allclose(np.ma.getdata(got)[kept].astype("f8"), want[kept], atol=1e-13)


class Duck:
    """An array of someone else's, which answers to NumPy's functions itself."""

    shape, ndim, dtype = (6,), 1, np.dtype("f8")

    def __array_function__(self, function, types, args, options):
        return function.__name__, args, options


def test_an_array_that_speaks_numpy_is_asked_itself():
    duck = Duck()
    name, args, options = gradient(duck, 2.0, axis=0, edge_order=2)
    assert (name, args) == ("gradient", (duck, 2.0))
    assert options == {"axis": 0, "edge_order": 2}


@pytest.mark.parametrize("options", [{"accuracy": 4}, {"boundary": "extend"}])
def test_an_array_that_speaks_numpy_knows_no_options_of_ours(options):
    text = (
        "Duck is differentiated by its own numpy.gradient, which knows neither accuracy nor "
        "boundary; give a NumPy, JAX or dask array"
    )
    with pytest.raises(TypeError) as error:
        gradient(Duck(), **options)
    assert str(error.value) == text


def test_units_of_pint_are_kept_on_both_sides_of_the_fraction():
    units = pint.UnitRegistry()
    metres, seconds = LINE * units.m, UNEVEN * units.s
    for f, x in [(metres, seconds), (metres, 2.0 * units.s), (metres, 2.0), (LINE, 2.0 * units.s)]:
        got, want = gradient(f, x), np.gradient(f, x)
        assert got.units == want.units
        np.testing.assert_array_equal(got.magnitude, want.magnitude)


# -- boundaries and periods, per axis --------------------------------------------------------


def test_a_boundary_is_for_all_axes_or_for_each_its_own():
    f = F[0]
    rolled = (np.roll(f, -1, 0) - np.roll(f, 1, 0)) / 2
    both = gradient(f, boundary="periodic")
    np.testing.assert_array_equal(both[0], rolled)
    np.testing.assert_array_equal(both[1], (np.roll(f, -1, 1) - np.roll(f, 1, 1)) / 2)
    for mapping in ({0: "periodic"}, {-2: "periodic"}, {0: "periodic", 1: None}):
        mixed = gradient(f, boundary=mapping)
        np.testing.assert_array_equal(mixed[0], rolled)
        assert_same(mixed[1], np.gradient(f, axis=1))


def test_a_pair_is_for_the_lower_and_the_upper_end():
    got = gradient(LINE, boundary=(10.0, "reflect"))
    np.testing.assert_array_equal(got[[0, -1]], [(3 - 10) / 2, 0])
    got = gradient(F[0], boundary={1: (None, 0)})
    np.testing.assert_array_equal(got[1][:, -1], -F[0][:, -2] / 2)
    assert_same(got[0], np.gradient(F[0], axis=0))


def test_a_period_is_for_all_axes_or_for_each_its_own():
    x = np.array([0.0, 1.0, 2.5, 3.0])
    f = np.sin(2 * np.pi * x / 4)
    want = gradient(f, x, boundary="periodic", period=4.0)
    h1, h2 = 4.0 - 3.0, 1.0
    assert want[0] == -h2 / (h1 * (h1 + h2)) * f[3] + h1 / (h2 * (h1 + h2)) * f[1]
    table = np.stack([f, f])
    for period in (4.0, {1: 4.0}, {-1: 4.0, 0: 99.0}):
        got = gradient(table, x, axis=1, boundary={1: "periodic"}, period=period)
        np.testing.assert_array_equal(got, [want, want])


def test_a_number_outside_integers_need_not_be_an_integer():
    got = gradient(np.arange(6, dtype="u1"), boundary=(-0.5, 300))
    np.testing.assert_array_equal(got[[0, -1]], [(1 + 0.5) / 2, (300 - 4) / 2])


def test_a_period_for_an_axis_that_is_not_there_is_refused():
    with pytest.raises(OptionError, match="period names axis 3"):
        gradient(LINE, boundary="periodic", period={3: 9.0})


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "c16"])
@pytest.mark.parametrize("boundary", ["periodic", "reflect", "extend", 2.0, (None, "reflect")])
def test_kinds_agree_on_every_boundary(boundary, dtype):
    f = LINE.astype(dtype)
    options = {"boundary": boundary, "period": 5.0 if boundary == "periodic" else None}
    whole = gradient(f, UNEVEN, **options)
    assert_same(gradient(da.from_array(f, chunks=((4, 2),)), UNEVEN, **options).compute(), whole)
    device = gradient(jnp.asarray(f), UNEVEN, **options)
    assert isinstance(device, jax.Array)
    np.testing.assert_allclose(device, whole, rtol=1e-5, atol=1e-5)


# -- threads, and the switch that is the user's ----------------------------------------------


def test_many_threads_at_once_get_their_own_answers():
    fields = [np.random.default_rng(i).standard_normal((8, 6)) for i in range(24)]

    def work(i):
        return [gradient(fields[i], axis=i % 2) for _ in range(8)]

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(work, range(24)))
    for i, answer in enumerate(answers):
        for got in answer:
            assert_same(got, np.gradient(fields[i], axis=i % 2))


def switch():
    return jax.config.jax_enable_x64, jnp.zeros(1, float).dtype


def test_the_users_x64_switch_is_as_it_was_and_float64_is_float64():
    before = switch()
    assert before == (False, jnp.float32)
    f = 1e9 + np.arange(6.0) ** 2 * 1e-4  # float32 would see six equal numbers
    assert_same(gradient(f), np.gradient(f))
    gradient(da.from_array(f, chunks=2)).compute(scheduler="threads")
    assert switch() == before


def test_the_switch_is_as_it_was_after_an_error_in_a_block():
    before = switch()
    with pytest.raises((BufferError, TypeError)):
        compute_block([Block(np.zeros(6, "V4"))], single(stencil(1.0, 6), 0), np.dtype("V4"))
    assert switch() == before


def test_another_thread_of_the_user_sees_its_own_switch():
    stop, seen = threading.Event(), set()

    def look():
        while not stop.is_set():
            seen.add(switch())

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(50):
        gradient(F)
    stop.set()
    watcher.join()
    assert seen == {(False, jnp.dtype("float32"))}


def test_a_user_with_x64_on_keeps_float32():
    with jax.enable_x64(True):
        assert_same(gradient(LINE.astype("f4")), np.gradient(LINE.astype("f4")))
        assert switch() == (True, jnp.float64)


@pytest.mark.parametrize("shape", [(6, 7), (2, 9), (9, 2), (3, 700, 600)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_small_and_short_arrays_have_the_bits_of_a_table(shape, dtype):
    f = np.random.default_rng(5).standard_normal(shape).astype(dtype)
    chunked = [da.from_array(f, chunks=2)] if shape == (6, 7) else []  # the others are short
    for axis in range(len(shape)):
        (table,) = compute_block([Block(f)], single(stencil(3.0, shape[axis]), axis), f.dtype)
        for kind in (f, *chunked):
            np.testing.assert_array_equal(gradient(kind, 3.0, axis=axis), table)
