"""``skipna="one-sided"``: beside a coast the difference is one-sided with what is there."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import fdgrad_dask  # noqa: F401  (registers .fdgrad)

NAN = np.nan
EVEN = np.arange(7) * 0.5
UNEVEN = np.array([0.0, 0.4, 1.5, 2.0, 3.1, 3.3, 4.0])


def line(values, points=None):
    values = np.asarray(values)
    n = values.shape[-1]
    coords = {"x": np.arange(float(n)) if points is None else points}
    return xr.DataArray(values, dims=("m", "x")[-values.ndim :], coords=coords, name="sst")


def one_sided(field, **options):
    return field.fdgrad.gradient("x", skipna="one-sided", **options)


# The field is x², with x = 0, 1, 2, …; the letters say what is beside the point.
BY_HAND = [
    ("nothing missing", [0, 1, 4, 9, 16], [1, 2, 4, 6, 7]),
    ("coast above", [0, 1, 4, NAN, NAN], [1, 2, 3, NAN, NAN]),
    ("coast below", [NAN, NAN, 4, 9, 16], [NAN, NAN, 5, 6, 7]),
    ("island", [0, 1, NAN, 9, 16], [1, 1, NAN, 7, 7]),
    ("one point of water", [NAN, 1, NAN, 9, 16], [NAN, NAN, NAN, 7, 7]),
    ("strait of two", [NAN, 1, 4, NAN, 16], [NAN, 3, 3, NAN, NAN]),
    ("strait of three", [NAN, 1, 4, 9, NAN], [NAN, 3, 4, 5, NAN]),
    ("lone end", [0, NAN, 4, 9, 16], [NAN, NAN, 5, 6, 7]),
    ("all land", [NAN] * 5, [NAN] * 5),
]
OF_SECOND_ORDER = [
    ("coast above", [0, 1, 4, NAN, NAN], [0, 2, 4, NAN, NAN]),
    ("coast below", [NAN, NAN, 4, 9, 16], [NAN, NAN, 4, 6, 8]),
    ("island", [0, 1, NAN, 9, 16], [1, 1, NAN, 7, 7]),  # two left: first order is what there is
    ("strait of three", [NAN, 1, 4, 9, NAN], [NAN, 2, 4, 6, NAN]),
]
SECOND_DERIVATIVE = [
    ("coast above", [0, 1, 4, 9, NAN, NAN], [2, 2, 2, 2, NAN, NAN]),
    ("strait of two", [NAN, 1, 4, NAN, 16, 25], [NAN] * 6),
    ("strait of three", [NAN, 1, 4, 9, NAN, 25], [NAN, 2, 2, 2, NAN, NAN]),
]


TABLES = [({}, BY_HAND), ({"edge_order": 2}, OF_SECOND_ORDER), ({"order": 2}, SECOND_DERIVATIVE)]


@pytest.mark.parametrize("chunks", [None, 1, 2])
@pytest.mark.parametrize(
    ("options", "values", "expected"),
    [
        pytest.param(options, values, expected, id=f"{options} {name}")
        for options, table in TABLES
        for name, values, expected in table
    ],
)
def test_coasts_by_hand(options, values, expected, chunks):
    f = line(np.array(values, "f8"))
    f = f if chunks is None else f.chunk(x=chunks)
    assert_allclose(one_sided(f, **options).values, expected, rtol=1e-14, atol=1e-13)


def slope(x, v, i):
    """The derivative at x[i] of the polynomial through all points."""
    return np.polynomial.Polynomial.fit(x - x[i], v, len(x) - 1).deriv()(0.0)


def expected_of(v, x, edge_order):
    """The promise in words: centred; else the side that has more; NaN where nothing is left."""
    out = np.full(len(v), NAN)
    sides = [(0, 1, 2), (-2, -1, 0)] if edge_order == 2 else []
    for i in range(len(v)):
        for window in [(-1, 0, 1), *sides, (0, 1), (-1, 0)]:
            at = np.array([i + k for k in window])
            if at.min() >= 0 and at.max() < len(v) and np.isfinite(v[at]).all():
                out[i] = slope(x[at], v[at], list(at).index(i))
                break
    return out


ALL = np.random.default_rng(0).uniform(1, 2, (128, 7))
ALL[np.array(list(product([False, True], repeat=7)))] = NAN  # each pattern of missing values once


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("x", [EVEN, UNEVEN, UNEVEN[::-1]], ids=["even", "uneven", "falling"])
def test_each_pattern_of_missing_values(x, edge_order):
    result = one_sided(line(ALL, x), edge_order=edge_order).values
    expected = np.array([expected_of(v, x, edge_order) for v in ALL])
    assert_array_equal(np.isnan(result), np.isnan(expected))
    assert_allclose(result, expected, rtol=1e-11, atol=1e-11)


CHUNKS = [1, 2, 3, (3, 1, 3), (1, 5, 1), (6, 1)]
OPTIONS = [{}, {"edge_order": 2}, {"order": 2}, {"accuracy": 4}]


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_coasts_at_the_borders_of_chunks_change_no_bit(options, chunks):
    f = line(ALL, UNEVEN)
    result = one_sided(f.chunk(x=chunks), **options)
    assert result.chunks == f.chunk(x=chunks).chunks
    assert_array_equal(result.values, one_sided(f, **options).values)


@pytest.mark.parametrize("x", [np.arange(12) * 0.1, np.arange(12) ** 1.2], ids=["even", "uneven"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("boundary", [None, "periodic", "extend"])
@pytest.mark.parametrize(
    "options",
    [{}, {"edge_order": 2}, {"accuracy": 4}, {"accuracy": 6}, {"accuracy": 8}],
    ids=str,
)
def test_without_missing_values_it_has_the_bits_of_the_plain_derivative(
    options, boundary, order, x
):
    f = line(np.random.default_rng(1).normal(size=(2, 12)), x)
    period = x[-1] + x[1] if boundary == "periodic" else None
    options = {**options, "order": order, "boundary": boundary, "period": period}
    plain = f.fdgrad.gradient("x", **options)
    assert np.isfinite(plain.values).all()
    assert_array_equal(one_sided(f, **options).values, plain.values)


@pytest.mark.parametrize("chunks", [None, 1, 3])
def test_across_the_seam_of_a_periodic_axis(chunks):
    """Turning the circle turns the result, wherever on it the land lies."""
    lon = np.array([0.0, 50, 90, 150, 200, 280])
    values = np.array([1.0, NAN, 4, 2, NAN, 7])
    results = []
    for k in range(6):
        points = np.concatenate([lon[k:], lon[:k] + 360])
        f = line(np.roll(values, -k), points)
        f.x.attrs["units"] = "degrees_east"
        f = f if chunks is None else f.chunk(x=chunks)
        results.append(np.roll(one_sided(f, boundary="periodic").values, k))
    by_hand = [(1 - 7) / 80, NAN, (2 - 4) / 60, (2 - 4) / 60, NAN, (1 - 7) / 80]
    assert_allclose(results, [by_hand] * 6, rtol=1e-14)


@pytest.mark.parametrize("accuracy", [4, 6])
def test_higher_accuracy_comes_back_with_the_distance_from_the_coast(accuracy):
    """A polynomial of that degree is exact where its window fits, one-sided at the coast too."""
    p = np.polynomial.Polynomial(1 / np.arange(1.0, accuracy + 2))
    x = np.arange(16) / 10 + np.arange(16) ** 2 / 300
    values = p(x)
    values[[0, 1, 15]] = NAN
    result = one_sided(line(values, x), accuracy=accuracy).values
    assert_array_equal(np.isnan(result), np.isnan(values))
    assert_allclose(result[2:15], p.deriv()(x)[2:15], rtol=1e-9)


def test_a_value_at_the_boundary_counts_as_being_there():
    f = line([1.0, 4, NAN, 16])
    assert_array_equal(one_sided(f, boundary=0.0).values, [2, 3, NAN, -16])
    assert_array_equal(one_sided(f, boundary="extend").values, [1.5, 3, NAN, 0])


@pytest.mark.parametrize("dtype", ["f4", "c8", "c16"])
def test_dtypes_stay(dtype):
    f = line(np.array([0, 1, NAN, 9, 16]).astype(dtype))
    result = one_sided(f)
    assert result.dtype == np.dtype(dtype)
    assert_array_equal(result.values, np.array([1, 1, NAN, 7, 7]).astype(dtype))


def test_float32_keeps_its_digits_beside_a_coast():
    """A large constant must not cost the derivative more than the rounding of the data."""
    x = np.arange(7) * 0.5 + np.array([0, 0.1, 0, 0, 0.2, 0, 0])
    v = (280 + np.sin(x)).astype("f4")
    v[3] = NAN
    exact = expected_of(v.astype("f8"), x, 2)
    assert_allclose(one_sided(line(v, x), edge_order=2).values, exact, rtol=3e-5)


@pytest.mark.parametrize("dtype", ["i2", "u1", "i8"])
def test_integers_have_nothing_missing(dtype):
    f = line(np.array([0, 1, 4, 9, 16]).astype(dtype))
    assert_array_equal(one_sided(f).values, [1, 2, 4, 6, 7])
    assert one_sided(f).dtype == np.float64


def test_inf_is_a_value_not_a_hole():
    assert_array_equal(one_sided(line([1.0, 2, np.inf, 4, 5])).values, [1, np.inf, 1, -np.inf, 1])


def test_missing_dates_are_stepped_around():
    f = line(np.array(["2000-01-01", "2000-01-02", "NaT", "2000-01-04"], "M8[ns]"))
    assert_array_equal(one_sided(f).values, [86400, 86400, NAN, NAN])


@pytest.mark.parametrize("chunks", [None, 2])
def test_long_doubles_are_stepped_around_too(chunks):
    f = line(np.array([0, 1, NAN, 9, 16], np.longdouble))
    f = f if chunks is None else f.chunk(x=chunks)
    assert_array_equal(one_sided(f).values, [1, 1, NAN, 7, 7])


@pytest.mark.parametrize("dim", ["y", "x"])
def test_only_the_axis_of_the_derivative_matters(dim):
    """Land to the north does not disturb a difference from west to east."""
    f = xr.DataArray([[1.0, 2, 4], [NAN, 1, 3], [5, 0, 2]], dims=("y", "x"), name="sst")
    expected = {
        "x": [[1, 1.5, 2], [NAN, 2, 2], [-5, -1.5, 2]],
        "y": [[NAN, -1, -1], [NAN, -1, -1], [NAN, -1, -1]],
    }
    assert_array_equal(f.fdgrad.gradient(dim, skipna="one-sided").values, expected[dim])


def test_without_it_a_hole_is_as_wide_as_the_window():
    f = line([0, 1, 4, NAN, 16, 25, 36.0])
    plain = f.fdgrad.gradient("x").values
    assert_array_equal(plain, [1, 2, NAN, 6, NAN, 10, 11])  # even: the centre is not read
    assert_array_equal(one_sided(f).values, [1, 2, 3, NAN, 9, 10, 11])
