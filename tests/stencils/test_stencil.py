"""The tables: weights against closed forms, walls, and what every refusal says."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.stencils.edge_rows import smooth_ends
from fdgrad_dask.stencils.flux import flux_stencil
from fdgrad_dask.stencils.table import stencil
from fdgrad_dask.stencils.weights import inverse_power, power_of_two, weigh, weigh_scaled

UNEVEN = np.array([0.0, 0.3, 1.0, 1.2, 2.1, 2.9, 3.3, 4.4, 4.9, 5.1, 6.0, 6.8])
N = len(UNEVEN)
GRIDS = {
    "even": 0.25 * np.arange(N) - 1,
    "even descending": 1 - 0.25 * np.arange(N),
    "uneven": UNEVEN,
    "uneven descending": UNEVEN[::-1] - 7,
}
grids = pytest.mark.parametrize("x", GRIDS.values(), ids=GRIDS)
accuracies = pytest.mark.parametrize("accuracy", [2, 4, 6, 8])
orders = pytest.mark.parametrize("order", [1, 2])


def matrix(points, n=N, **options):
    """(n, n): the derivative of every unit vector, which is the table written out."""
    return differentiate(np.eye(n), 0, stencil(points, n, **options))


def row(weights, start, n=N):
    out = np.zeros(n)
    out[start : start + len(weights)] = weights
    return out


# -- weights against closed forms -----------------------------------------------------------


@grids
def test_interior_weights_of_the_first_derivative(x):
    table = matrix(x)
    for i in range(1, N - 1):
        h1, h2 = x[i] - x[i - 1], x[i + 1] - x[i]
        want = [-h2 / (h1 * (h1 + h2)), (h2 - h1) / (h1 * h2), h1 / (h2 * (h1 + h2))]
        assert_allclose(table[i], row(want, i - 1), rtol=1e-14)


@grids
def test_interior_weights_of_the_second_derivative(x):
    table = matrix(x, order=2)
    for i in range(1, N - 1):
        h1, h2 = x[i] - x[i - 1], x[i + 1] - x[i]
        want = [2 / (h1 * (h1 + h2)), -2 / (h1 * h2), 2 / (h2 * (h1 + h2))]
        assert_allclose(table[i], row(want, i - 1), rtol=1e-14)


@grids
def test_edge_weights_of_edge_order_1(x):
    table = matrix(x)
    first, last = x[1] - x[0], x[-1] - x[-2]
    assert_allclose(table[0], row([-1 / first, 1 / first], 0), rtol=1e-14)
    assert_allclose(table[-1], row([-1 / last, 1 / last], N - 2), rtol=1e-14)


@grids
def test_edge_weights_of_edge_order_2(x):
    table = matrix(x, edge_order=2)
    h1, h2 = x[1] - x[0], x[2] - x[1]
    want = [-(2 * h1 + h2) / (h1 * (h1 + h2)), (h1 + h2) / (h1 * h2), -h1 / (h2 * (h1 + h2))]
    assert_allclose(table[0], row(want, 0), rtol=1e-14)
    h1, h2 = x[-2] - x[-1], x[-3] - x[-2]  # mirrored: the same formula, walking inwards
    want = [-(2 * h1 + h2) / (h1 * (h1 + h2)), (h1 + h2) / (h1 * h2), -h1 / (h2 * (h1 + h2))]
    assert_allclose(table[-1], row(want[::-1], N - 3), rtol=1e-14)


CENTRED = {  # Fornberg 1988, table 1
    (1, 2): [-1 / 2, 0, 1 / 2],
    (1, 4): [1 / 12, -2 / 3, 0, 2 / 3, -1 / 12],
    (1, 6): [-1 / 60, 3 / 20, -3 / 4, 0, 3 / 4, -3 / 20, 1 / 60],
    (1, 8): [1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280],
    (2, 2): [1, -2, 1],
    (2, 4): [-1 / 12, 4 / 3, -5 / 2, 4 / 3, -1 / 12],
    (2, 6): [1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90],
    (2, 8): [-1 / 560, 8 / 315, -1 / 5, 8 / 5, -205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560],
}
ONE_SIDED = {  # Fornberg 1988, table 3; (order, accuracy, edge_order)
    (1, 2, 1): [-1, 1],
    (1, 2, 2): [-3 / 2, 2, -1 / 2],
    (1, 4, 1): [-25 / 12, 4, -3, 4 / 3, -1 / 4],
    (1, 6, 1): [-49 / 20, 6, -15 / 2, 20 / 3, -15 / 4, 6 / 5, -1 / 6],
    (2, 2, 1): [1, -2, 1],
    (2, 2, 2): [2, -5, 4, -1],
    (2, 4, 1): [15 / 4, -77 / 6, 107 / 6, -13, 61 / 12, -5 / 6],
}


@pytest.mark.parametrize("step", [1.0, -0.5])
@pytest.mark.parametrize(("order", "accuracy"), CENTRED)
def test_centred_weights_on_an_even_axis_are_those_of_the_books(order, accuracy, step):
    want = np.array(CENTRED[order, accuracy]) / step**order
    middle = matrix(step, order=order, accuracy=accuracy)[5]
    assert_allclose(middle, row(want, 5 - accuracy // 2), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("step", [1.0, -0.5])
@pytest.mark.parametrize(("order", "accuracy", "edge_order"), ONE_SIDED)
def test_one_sided_weights_on_an_even_axis_are_those_of_the_books(
    order, accuracy, edge_order, step
):
    want = np.array(ONE_SIDED[order, accuracy, edge_order]) / step**order
    table = matrix(step, order=order, accuracy=accuracy, edge_order=edge_order)
    assert_allclose(table[0], row(want, 0), rtol=1e-12, atol=1e-13)
    mirrored = want[::-1] * (-1) ** order
    assert_allclose(table[-1], row(mirrored, N - len(want)), rtol=1e-12, atol=1e-13)


@orders
@pytest.mark.parametrize("k", [3, 4, 5, 7, 9])
def test_weights_are_exact_in_exact_arithmetic(k, order):
    nodes = [Fraction(j * j + 3 * j, 7) for j in range(k)]
    for at in range(k):
        weights = weigh(nodes, at, order)
        for power in range(k):
            falling = [power, power * (power - 1)][order - 1]
            want = falling * nodes[at] ** (power - order) if power >= order else 0
            assert sum(w * x**power for w, x in zip(weights, nodes, strict=True)) == want


# -- polynomials -----------------------------------------------------------------------------


@grids
@accuracies
@orders
def test_polynomials_of_the_degree_of_the_accuracy_are_exact(x, accuracy, order):
    table = stencil(x, N, order=order, accuracy=accuracy, edge_order=2)
    centre = x.mean()
    for degree in range(accuracy + 1):
        f = np.polynomial.Polynomial([0] * degree + [1.0])
        got = differentiate(f(x - centre), 0, table)
        want = f.deriv(order)(x - centre)
        assert_allclose(got, want, rtol=1e-8, atol=1e-8 * max(1, abs(want).max()))


# -- what stands outside ---------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1, -1], ids=["ascending", "descending"])
def test_a_periodic_axis_wraps_its_coordinate_by_the_period(turn):
    x = np.array([22.5, 67.5, 112.5, 160.0, 337.5])[::turn]
    table = matrix(x, 5, boundary=("periodic", "periodic"), period=360.0)
    around = np.concatenate([[x[-1] - turn * 360], x, [x[0] + turn * 360]])
    for i in range(5):
        h1, h2 = np.diff(around)[i : i + 2]
        want = np.zeros(5)
        want[[i - 1, i, (i + 1) % 5]] = (
            -h2 / (h1 * (h1 + h2)),
            (h2 - h1) / (h1 * h2),
            h1 / (h2 * (h1 + h2)),
        )
        assert_allclose(table[i], want, rtol=1e-13)


@accuracies
@orders
def test_an_even_periodic_axis_needs_no_period_and_turns_with_its_index(accuracy, order):
    table = matrix(0.5, order=order, accuracy=accuracy, boundary=("periodic", "periodic"))
    want = np.array(CENTRED[order, accuracy]) / 0.5**order
    assert_allclose(table[5], row(want, 5 - accuracy // 2), rtol=1e-12, atol=1e-12)
    for i in range(N):
        assert_array_equal(table[i], np.roll(table[5], i - 5))


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_a_period_that_leaves_a_gap_makes_an_even_axis_uneven_at_the_seam_only(turn):
    table = turn * matrix(turn, 6, boundary=("periodic", "periodic"), period=8.0)  # a gap of 3
    assert_allclose(table[2], row([-0.5, 0, 0.5], 1, 6), rtol=1e-14)
    assert_allclose(table[0], [-2 / 3, 3 / 4, 0, 0, 0, -1 / 12], rtol=1e-14)
    assert_allclose(table[5], [1 / 12, 0, 0, 0, -3 / 4, 2 / 3], rtol=1e-14)


F = UNEVEN**2 + 1  # 1 at the low end, 47.24 at the high end
OUTSIDE = {  # the wall → what stands one step beyond the low and the high end
    "reflect": (F[1], F[-2]),
    "extend": (F[0], F[-1]),
    5.0: (5.0, 5.0),
    -2: (-2.0, -2.0),
}
STEP = 0.5


@pytest.mark.parametrize("high", OUTSIDE)
@pytest.mark.parametrize("low", OUTSIDE)
def test_each_end_has_its_own_outside(low, high):
    got = differentiate(F, 0, stencil(STEP, N, boundary=(low, high)))
    assert got[0] == (F[1] - OUTSIDE[low][0]) / (2 * STEP)
    assert got[-1] == (OUTSIDE[high][1] - F[-2]) / (2 * STEP)
    assert_array_equal(got[1:-1], np.gradient(F, STEP)[1:-1])


@pytest.mark.parametrize("word", OUTSIDE)
def test_one_end_may_be_one_sided_and_the_other_not(word):
    low = differentiate(F, 0, stencil(STEP, N, boundary=(None, word)))
    assert low[0] == (F[1] - F[0]) / STEP
    assert low[-1] == (OUTSIDE[word][1] - F[-2]) / (2 * STEP)
    high = differentiate(F, 0, stencil(STEP, N, boundary=(word, None), edge_order=2))
    assert high[0] == (F[1] - OUTSIDE[word][0]) / (2 * STEP)
    assert high[-1] == np.gradient(F, STEP, edge_order=2)[-1]


@grids
@accuracies
def test_reflect_knows_the_derivative_of_an_even_function(x, accuracy):
    table = stencil(x, N, accuracy=accuracy, boundary=("reflect", "reflect"))
    got = differentiate(np.cos(np.pi * (x - x[0]) / (x[-1] - x[0])), 0, table)
    assert_allclose(got[[0, -1]], 0, atol=1e-14)  # the slope of a mirrored field
    assert (got[1:-1] * (x[-1] - x[0]) < 0).all()


def test_the_second_derivative_reads_the_same_outside():
    got = differentiate(F, 0, stencil(STEP, N, order=2, boundary=("reflect", 5.0)))
    assert_allclose(got[0], 2 * (F[1] - F[0]) / STEP**2)
    assert_allclose(got[-1], (F[-2] - 2 * F[-1] + 5.0) / STEP**2)


# -- what is read ----------------------------------------------------------------------------


@accuracies
def test_the_centre_is_not_read_on_even_spacing(accuracy):
    f = np.arange(float(N))
    f[5] = np.nan
    half = accuracy // 2
    even = differentiate(f, 0, stencil(1.0, N, accuracy=accuracy))
    assert_allclose(even[5], 1.0)
    assert np.isnan(even[[5 - half, 5 + half]]).all()
    uneven = differentiate(f, 0, stencil(UNEVEN, N, accuracy=accuracy))
    assert np.isnan(uneven[5])


COORDINATES = {
    "quarter degrees": np.arange(N) * 0.25,
    "tenths, which no float64 is": np.arange(N) * 0.1,
    "tenths from linspace": np.linspace(0, 1.1, N),
    "tenths in float32": (np.arange(N) * 0.1).astype("f4"),
    "quarters in float32": (np.arange(N) * 0.25).astype("f4"),
    "large in float32": (1000 + np.arange(N) * 0.25).astype("f4"),
    "one point off": np.where(np.arange(N) == 4, 4.5, np.arange(N)),
    "integers": np.arange(N),
    "falling bytes": np.arange(N, dtype="u1")[::-1],
    "triangles of int8": np.cumsum(1 + np.arange(N)).astype("i1"),
    "half precision": (np.arange(N) * 0.1).astype("f2"),
}


@pytest.mark.parametrize("x", COORDINATES.values(), ids=COORDINATES)
def test_an_axis_is_even_where_it_is_even_to_numpy(x):
    f = UNEVEN.copy()
    f[5] = np.nan
    healed = ~np.isnan(np.gradient(f, x)[5])
    assert ~np.isnan(differentiate(f, 0, stencil(x, N))[5]) == healed


# -- refusals --------------------------------------------------------------------------------

PERIODIC = ("periodic", "periodic")
OPTIONS = [
    ({"order": 3}, "order is 3; only first and second derivatives exist: 1 or 2"),
    ({"accuracy": 3}, "accuracy is 3; choose one of 2, 4, 6, 8"),
    ({"accuracy": 10}, "accuracy is 10; choose one of 2, 4, 6, 8"),
    ({"edge_order": 3}, "'edge_order' is 3; choose 1 or 2, greater is not supported"),
    ({"edge_order": 0}, "'edge_order' is 0; choose 1 or 2, greater is not supported"),
    *(
        (
            {"boundary": pair},
            f"boundary is {wrong!r}; choose None, 'periodic', 'reflect', 'extend', or the number "
            "that stands outside; a pair of them for the two ends",
        )
        for pair, wrong in [
            (("wrap", "wrap"), "wrap"),
            ((None, "mirror"), "mirror"),
            ((True, None), True),
            (([1], 2), [1]),
        ]
    ),
    (
        {"boundary": ("periodic", None)},
        "boundary is ('periodic', None); an axis is periodic at both ends or at neither",
    ),
    (
        {"boundary": (3.0, "periodic")},
        "boundary is (3.0, 'periodic'); an axis is periodic at both ends or at neither",
    ),
]


@pytest.mark.parametrize(("options", "text"), OPTIONS)
def test_an_option_that_does_not_exist_is_named_with_those_that_do(options, text):
    with pytest.raises(OptionError) as error:
        stencil(1.0, N, **options)
    assert str(error.value) == text
    assert isinstance(error.value, ValueError)


def test_a_period_must_be_longer_than_the_axis():
    text = (
        "period 6.8 of the axis must be longer than the 6.8 from its first point to its last; "
        "if these two are the same place, drop one of them"
    )
    with pytest.raises(OptionError) as error:
        stencil(UNEVEN, N, boundary=PERIODIC, period=6.8)
    assert str(error.value) == text


@pytest.mark.parametrize("period", [11.0, 0.0, -20.0, np.nan])
def test_a_period_must_be_longer_than_all_steps(period):
    with pytest.raises(OptionError, match=r"period \S+ of lon must be longer than the 11 from"):
        stencil(1.0, N, boundary=PERIODIC, period=period, name="lon")


def test_an_uneven_periodic_axis_needs_its_period():
    text = (
        "lon is periodic but unevenly spaced, so its period cannot be inferred from its points; "
        "give period= in units of the coordinate, longer than 6.8"
    )
    with pytest.raises(OptionError) as error:
        stencil(UNEVEN, N, boundary=PERIODIC, name="lon")
    assert str(error.value) == text


SHORT = [
    (1, {}, "has 1 point, but edge order 1 needs 2; give a longer axis"),
    (0, {}, "has 0 points, but edge order 1 needs 2; give a longer axis"),
    (
        2,
        {"edge_order": 2},
        "has 2 points, but edge order 2 needs 3; lower edge_order to 1, or give a longer axis",
    ),
    (
        4,
        {"accuracy": 4},
        "has 4 points, but accuracy 4 needs 5; lower accuracy to 2, or give a longer axis",
    ),
    (
        6,
        {"accuracy": 8},
        "has 6 points, but accuracy 8 needs 9; lower accuracy to 4, or give a longer axis",
    ),
    (
        8,
        {"accuracy": 8},
        "has 8 points, but accuracy 8 needs 9; lower accuracy to 6, or give a longer axis",
    ),
    (
        2,
        {"order": 2},
        "has 2 points, but edge order 1 of the second derivative needs 3; give a longer axis",
    ),
    (
        3,
        {"order": 2, "edge_order": 2},
        "has 3 points, but edge order 2 of the second derivative needs 4; lower edge_order to 1, "
        "or give a longer axis",
    ),
    (
        5,
        {"order": 2, "accuracy": 4},
        "has 5 points, but accuracy 4 of the second derivative needs 6; lower accuracy to 2, or "
        "give a longer axis",
    ),
    (2, {"accuracy": 4}, "has 2 points, but accuracy 4 needs 5; lower accuracy to 2, or give a "),
    (1, {"edge_order": 2}, "has 1 point, but edge order 2 needs 3; give a longer axis"),
    (
        5,
        {"order": 2, "accuracy": 4, "skipna": True, "boundary": ("extend", "extend")},
        "has 5 points, but accuracy 4 of the second derivative needs 6; ",
    ),
    (1, {"boundary": ("extend", "extend")}, "has 1 point, but boundary 'extend' needs 3; "),
    (2, {"boundary": PERIODIC}, "has 2 points, but boundary 'periodic' needs 3; "),
]


@pytest.mark.parametrize(("n", "options", "text"), SHORT)
def test_a_short_axis_is_told_what_would_fit(n, options, text):
    with pytest.raises(CoordinateError) as error:
        stencil(1.0, n, name="'level'", **options)
    assert str(error.value).startswith(f"'level' {text}")
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize(("n", "options"), [(s[0], s[1]) for s in SHORT if "lower" in s[2]])
def test_the_advice_given_to_a_short_axis_works(n, options):
    with pytest.raises(CoordinateError) as error:
        stencil(1.0, n, **options)
    _, _, advice = str(error.value).partition("; lower ")
    option, _, value = advice.partition(",")[0].partition(" to ")
    followed = differentiate(
        np.arange(n) * 2.0, 0, stencil(1.0, n, **{**options, option: int(value)})
    )
    assert_allclose(followed, 2.0 if options.get("order") != 2 else 0.0, atol=1e-12)


# -- what mutants of the code survived --------------------------------------------------------


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_smooth_ends_have_the_error_of_the_interior(accuracy):
    """Its leading term: the same at every row, where an ordinary one-sided row has another."""
    n = 2 * accuracy + 1
    table = stencil(1.0, n, accuracy=accuracy)
    smooth = smooth_ends(table, n, accuracy)
    x = np.arange(n) - 3.0
    for degree in range(accuracy + 1):
        exact = degree * x ** max(degree - 1, 0)
        assert_allclose(differentiate(x**degree, 0, smooth), exact, atol=1e-8 * n**degree)
    error = differentiate(x ** (accuracy + 1), 0, smooth) - (accuracy + 1) * x**accuracy
    assert_allclose(error, error[n // 2], rtol=1e-6)
    assert abs(error[0]) > 0.1
    short = stencil(1.0, n - 1, accuracy=accuracy)
    assert smooth_ends(short, n - 1, accuracy) is short


def test_smooth_ends_mirror_each_other_and_read_nothing_further_inside():
    for accuracy in (2, 4):
        n = 2 * accuracy + 2
        smooth = smooth_ends(stencil(1.0, n, accuracy=accuracy), n, accuracy)
        f = np.sin(np.arange(n) ** 2.0)
        got = differentiate(f, 0, smooth)
        assert_array_equal(differentiate(f[::-1], 0, smooth), -got[::-1])
        f[-1] = np.nan
        ends = slice(accuracy // 2)
        assert_array_equal(differentiate(f, 0, smooth)[ends], got[ends])
        reach = range(accuracy // 2)
        assert [row.origin for row in smooth.low.rows] == [*reach]
        assert [row.origin for row in smooth.high.rows] == [-1 - i for i in reach]


def test_what_is_closed_otherwise_keeps_its_ends():
    held = stencil(1.0, N, boundary=("reflect", "reflect"))
    assert smooth_ends(held, N, 2) is held
    inside = stencil(1.0, 3 * N).cut(N, 2 * N)
    assert smooth_ends(inside, N, 2) is inside


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_power_of_two_is_exact(dtype):
    exponents = np.array([-120, -3, 0, 1, 100])
    assert_array_equal(power_of_two(exponents, np.dtype(dtype)), 2.0**exponents)
    sizes = np.array([1.0, 1.5, 2.0, 3e-30, 7e30], dtype)
    inverse, k = inverse_power(sizes)
    assert_array_equal(k, np.floor(np.log2(sizes.astype("f8"))))
    assert_array_equal(inverse, 2.0**-k)
    inverse, k = inverse_power(np.array([np.finfo(dtype).max, np.inf, 0], dtype))
    most = np.finfo(dtype).maxexp - 2
    assert_array_equal(k, [most, most, -most])  # so that the inverse is not subnormal
    assert_array_equal(inverse, 2.0**-k)


def test_scaled_weights_are_in_units_of_the_longest_distance():
    nodes = [np.array([x]) for x in (8.0, 9.0, 10.0)]
    weights, exponent = weigh_scaled(nodes, 0, 1)
    assert exponent == -1
    assert_array_equal(np.ravel(weights) * 2.0**exponent, [-1.5, 2, -0.5])


def flux_table(x, rate, **options):
    """(n, n): the table of (1/k) d/dx (k df/dx) for k = exp(rate x), written out."""
    half = np.diff(x, prepend=2 * x[0] - x[1], append=2 * x[-1] - x[-2]) / 2
    k = [np.exp(rate * each) for each in (x, x - half[:-1], x + half[1:])]
    options = {"boundary": (None, None), **options}
    table = flux_stencil(x, tuple(k), np.full(len(x), rate), **options)
    return differentiate(np.eye(len(x)), 0, table), *k


def test_the_flux_form_is_the_difference_of_two_fluxes():
    table, k, before, behind = flux_table(UNEVEN, 0.3)
    for i in range(1, N - 1):
        h1, h2 = UNEVEN[i] - UNEVEN[i - 1], UNEVEN[i + 1] - UNEVEN[i]
        width = k[i] * (h1 + h2) / 2
        low, high = before[i] / h1 / width, behind[i] / h2 / width
        assert_allclose(table[i], row([low, -low - high, high], i - 1), rtol=1e-12)


@grids
@pytest.mark.parametrize("accuracy", [2, 4])
def test_the_flux_form_of_a_polynomial_is_exact_where_it_is_a_sum_of_tables(x, accuracy):
    table = flux_table(x, 0.3, accuracy=accuracy, edge_order=2)[0]
    rows = [0, -1] if accuracy == 2 else slice(None)  # inside, at accuracy 2, fluxes count
    for degree in range(3):
        first, second = (np.poly1d(np.eye(3)[2 - degree]).deriv(m)(x) for m in (1, 2))
        assert_allclose((table @ x**degree)[rows], (second + 0.3 * first)[rows], atol=1e-9)


def test_the_flux_form_of_a_periodic_axis_goes_around():
    n = 64
    x = np.arange(n) * 2 * np.pi / n
    table = flux_table(x, 0.0, boundary=("periodic", "periodic"), period=2 * np.pi)[0]
    assert_allclose(table @ np.sin(x), -np.sin(x), atol=1e-3)
    assert_allclose(table, table.T, atol=1e-9)


def test_a_cut_table_keeps_the_ends_of_its_domain():
    table, wrapped = stencil(1.0, N), stencil(1.0, N, boundary=("periodic", "periodic"))
    ends = [(0, 4), (4, 8), (8, N), (0, N)]
    assert [table.cut(*each).n for each in ends] == [4, 4, 4, N]
    assert [(c.low is not None, c.high is not None) for c in (table.cut(*e) for e in ends)] == [
        (True, False),
        (False, False),
        (False, True),
        (True, True),
    ]
    cuts = [wrapped.cut(*each) for each in ends]
    assert [c.low is None and c.high is None for c in cuts] == [True, True, True, False]


@pytest.mark.parametrize(
    ("options", "points"),
    [
        ({}, 1),
        ({"edge_order": 2}, 2),
        ({"accuracy": 4}, 3),
        ({"boundary": ("reflect", "reflect")}, 2),
        ({"boundary": ("reflect", "reflect"), "accuracy": 4}, 3),
        ({"boundary": (0.0, 0.0), "accuracy": 4}, 2),
    ],
    ids=str,
)
def test_the_fewest_points_of_a_chunk_beside_a_boundary(options, points):
    table = stencil(1.0, N, **options)
    assert table.min_chunk_size(table.low) == table.min_chunk_size(table.high) == points
    assert table.min_chunk_size(None) == table.halo_width


OF_THREE_AND_TWO = [(0, 1, 2), (-2, -1, 0), (0, 1), (-1, 0)]
WINDOWS = [
    ({}, [(-1, 0, 1), (0, 1), (-1, 0)]),
    ({"edge_order": 2}, [(-1, 0, 1), *OF_THREE_AND_TWO]),
    ({"order": 2}, [(-1, 0, 1), (0, 1, 2), (-2, -1, 0)]),
    (
        {"accuracy": 4},
        [
            (-2, -1, 0, 1, 2),
            (-1, 0, 1, 2, 3),
            (-3, -2, -1, 0, 1),
            (0, 1, 2, 3, 4),
            (-4, -3, -2, -1, 0),
            (-1, 0, 1),
            *OF_THREE_AND_TWO,
        ],
    ),
]


@pytest.mark.parametrize(("options", "windows"), WINDOWS, ids=str)
def test_windows_beside_missing_values_from_the_best_to_the_least(options, windows):
    assert [each.offsets for each in stencil(1.0, N, skipna=True, **options).windows] == windows


def test_one_closed_end_needs_the_points_of_its_rows():
    for boundary in [(None, "reflect"), ("reflect", None), (None, None)]:
        with pytest.raises(CoordinateError, match="needs 4"):
            stencil(1.0, 3, order=2, edge_order=2, boundary=boundary)
    assert stencil(1.0, 3, order=2, edge_order=2, boundary=("reflect", "reflect")).n == 3
