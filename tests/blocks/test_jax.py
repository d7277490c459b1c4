"""`fd.gradient` on JAX arrays: under jit, vmap and grad, with what jnp.gradient cannot do."""

from __future__ import annotations

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask import gradient
from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.blocks.small import compute_in_numpy
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.stencils.boundary import boundary_pair
from fdgrad_dask.stencils.table import stencil

N = 10
X = np.array([0.0, 0.5, 1.5, 1.75, 3.0, 4.0, 4.5, 6.0, 7.0, 7.25])  # exact in float32
F = np.array([2.0, 3, -1, 4, 7, 7.5, 5, 1, 0.5, 2], "f4")
TOLERANCE = {"rtol": 2e-6, "atol": 2e-6}

CALLS = {
    "plain": {},
    "edge_order 2": {"edge_order": 2},
    "accuracy 4": {"accuracy": 4},
    "accuracy 8": {"accuracy": 8},
    "periodic": {"boundary": "periodic", "period": 8.0},
    "reflect": {"boundary": "reflect"},
    "extend": {"boundary": "extend"},
    "numbers": {"boundary": (1.0, -2.0)},
    "mixed": {"boundary": (None, "reflect"), "edge_order": 2},
}
calls = pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
quick = pytest.mark.parametrize(  # accuracy 8 takes XLA seconds where weights are traced
    "options", [o for o in CALLS.values() if o.get("accuracy") != 8], ids=str
)
spacings = pytest.mark.parametrize("x", [0.75, X, X[::-1].copy()], ids=["step", "up", "down"])


def truth(f, x, boundary=None, **options):
    """In float64 by the plain arithmetic, which other tests hold against NumPy."""
    table = stencil(x, N, boundary=boundary_pair(boundary), **options)
    block = Block(np.asarray(f, "f8"))
    return compute_in_numpy({0: block}, f.shape, single(table, 0), np.dtype("f8"))[0]


def slack(options):
    """Of accuracy 8 the weights are large and cancel: more is lost to float32."""
    return {"rtol": 2e-5, "atol": 2e-4} if options.get("accuracy") == 8 else TOLERANCE


# -- values ----------------------------------------------------------------------------------


@calls
@spacings
def test_a_jax_array_comes_out_with_the_values_of_numpy(x, options):
    got = gradient(jnp.asarray(F), x, **options)
    assert isinstance(got, jax.Array)
    assert got.dtype == jnp.float32
    assert_allclose(got, truth(F, x, **options), **slack(options))


@calls
def test_jit_changes_nothing(options):
    """The coordinate or the step is a constant here: its weights are still formed on the host."""
    x = 0.75 if "edge_order" in options else X
    got = jax.jit(lambda f: gradient(f, x, **options))(F)
    assert_allclose(got, truth(F, x, **options), **slack(options))


@quick
@pytest.mark.parametrize("x", [0.75, X], ids=["step", "uneven"])
def test_the_coordinate_or_the_step_may_be_traced(x, options):
    options = {**options, "period": None if np.ndim(x) == 0 else options.get("period")}
    got = jax.jit(lambda f, x: gradient(f, x, **options))(F, x)
    assert isinstance(got, jax.Array)
    wide = {key: 20 * value for key, value in slack(options).items()}  # weights in float32
    assert_allclose(got, truth(F, x, **options), **wide)


@pytest.mark.parametrize("axis", [None, 0, -1, (1, 0), (1,), ()], ids=str)
def test_axes_as_in_numpy(axis):
    f = np.outer(F, F[:5])
    got = jax.jit(lambda f: gradient(f, 0.5, axis=axis))(f)
    want = np.gradient(f.astype("f8"), 0.5, axis=axis)
    assert isinstance(got, tuple) == isinstance(want, tuple)
    for ours, numpys in zip(got, want, strict=True):
        assert_allclose(ours, numpys, rtol=1e-5)


def test_jnp_gradient_agrees_where_it_is_right():
    for args in ((), (0.5,), (jnp.asarray(X, "f4"),)):
        assert_allclose(gradient(jnp.asarray(F), *args), jnp.gradient(F, *args), **TOLERANCE)


def test_weights_of_a_concrete_coordinate_are_formed_in_float64_and_jnps_are_not():
    x = 1e6 + np.arange(N) * 1e-3 + 1e-4 * np.arange(N) ** 2
    f = jnp.arange(N, dtype="f4") ** 2
    want = truth(f, x)
    assert_allclose(gradient(f, x), want, rtol=1e-6)
    with np.errstate(all="ignore"):
        assert not np.allclose(jnp.gradient(f, jnp.asarray(x, "f4")), want, rtol=1e-2)


def test_nan_and_inf_stand_where_numpy_has_them():
    for hole in (np.nan, np.inf, -np.inf):
        for place in (0, 1, 4, N - 1):
            f = F.copy()
            f[place] = hole
            for args in ((), (X,)):
                for edge_order in (1, 2):
                    with np.errstate(all="ignore"):
                        want = np.gradient(f, *args, edge_order=edge_order)
                    got = np.asarray(gradient(jnp.asarray(f), *args, edge_order=edge_order))
                    assert_array_equal(np.isnan(got), np.isnan(want))
                    assert_array_equal(np.isposinf(got), np.isposinf(want))
                    assert_array_equal(np.isneginf(got), np.isneginf(want))


def test_small_arrays_and_those_without_elements():
    assert_array_equal(gradient(jnp.array([1.0, 4.0])), [3, 3])
    assert_array_equal(gradient(jnp.array([1.0, 4.0, 9.0]), edge_order=2), [2, 4, 6])
    assert gradient(jnp.zeros((3, 0)), axis=0).shape == (3, 0)
    assert gradient(jnp.float32(3)) == ()


# -- transformations -------------------------------------------------------------------------


@calls
def test_vmap_over_fields(options):
    fields = np.stack([F, F[::-1], F**2])
    got = jax.jit(jax.vmap(lambda f: gradient(f, X, **options)))(fields)
    assert_allclose(got, np.stack([truth(f, X, **options) for f in fields]), rtol=1e-4, atol=2e-4)


def test_vmap_over_coordinates_and_steps():
    xs = np.stack([X, 2 * X, -X])
    over = jax.jit(jax.vmap(gradient, (None, 0)))
    got = over(F, xs.astype("f4"))
    assert_allclose(got, np.stack([truth(F, x) for x in xs]), rtol=1e-5, atol=1e-6)
    steps = np.array([1.0, 2.0, -0.5])
    got = over(F, steps.astype("f4"))
    assert_allclose(got, np.stack([truth(F, h) for h in steps]), rtol=1e-5, atol=1e-6)


@quick
def test_grad_is_the_transposed_table(options):
    """d(w · D f)/df = Dᵀ w; the columns of D are the derivatives of the unit vectors."""
    w = np.linspace(-1, 2, N)
    nought = truth(np.zeros(N), X, **options)  # what the numbers outside bring in
    table = np.stack([truth(unit, X, **options) - nought for unit in np.eye(N)], axis=1)
    got = jax.jit(jax.grad(lambda f: (gradient(f, X, **options) * w.astype("f4")).sum()))(F)
    assert_allclose(got, table.T @ w, rtol=1e-4, atol=2e-4)


def test_forward_and_reverse_jacobians_are_the_table():
    table = np.stack([truth(unit, X, edge_order=2) for unit in np.eye(N)], axis=1)
    for jacobian in (jax.jacfwd, jax.jacrev):
        got = jacobian(lambda f: gradient(f, X, edge_order=2))(jnp.asarray(F))
        assert_allclose(got, table, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"edge_order": 2}], ids=str)
def test_grad_by_the_coordinate_is_that_of_finite_differences(options):
    w, small = np.linspace(-1, 2, N), 1e-6
    up = [truth(F, X + small * unit, **options) @ w for unit in np.eye(N)]
    down = [truth(F, X - small * unit, **options) @ w for unit in np.eye(N)]
    want = (np.array(up) - np.array(down)) / (2 * small)
    loss = lambda x: (gradient(jnp.asarray(F), x, **options) * w.astype("f4")).sum()  # noqa: E731
    got = jax.jit(jax.grad(loss))(X.astype("f4"))
    assert_allclose(got, want, rtol=1e-3, atol=1e-3 * abs(want).max())


def test_grad_by_the_step():
    got = jax.grad(lambda h: gradient(jnp.asarray(F), h).sum())(2.0)
    assert got == pytest.approx(-truth(F, 2.0).sum() / 2.0, rel=1e-5)


def test_grad_of_a_squared_slope_is_the_second_derivative_with_its_sign():
    """δ/δf of ½ Σ (f′)² is −f″ (periodic, spaced by 2h)."""
    got = jax.grad(lambda f: (gradient(f, boundary="periodic") ** 2).sum() / 2)(jnp.asarray(F))
    want = -(np.roll(F, -2) - 2 * F + np.roll(F, 2)) / 4
    assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_scan_steps_an_equation_forward():
    """∂f/∂t = −∂f/∂x on a circle: the sum stays, step by step as in NumPy."""
    step = lambda f: f - 0.1 * gradient(f, boundary="periodic")  # noqa: E731
    got, _ = jax.lax.scan(lambda f, _: (step(f), None), jnp.asarray(F), None, length=5)
    want = F.astype("f8")
    for _ in range(5):
        want = step(want)
    assert_allclose(got, want, rtol=1e-5)
    assert got.sum() == pytest.approx(F.sum(), rel=1e-5)


def test_numpy_data_with_a_traced_coordinate_come_out_as_jax():
    for x in (X.astype("f4"), np.float32(2.0)):
        got = jax.jit(lambda x: gradient(F, x))(x)
        assert isinstance(got, jax.Array)
        assert_allclose(got, truth(F, x), **TOLERANCE)


@pytest.mark.parametrize("dtype", [">f4", ">i8", "i8", "u8"])
def test_numpy_data_of_any_byte_order_and_integers_beyond_32_bits(dtype):
    """Which JAX cuts to 32 bits in silence, unless it is asked for 64."""
    f = (np.arange(6) ** 2 * 2**40).astype(dtype)
    got = jax.jit(lambda h: gradient(f, h, edge_order=2))(2.0)
    assert got.dtype == np.float32
    assert_array_equal(got, np.arange(6) * 2.0**40)


@calls
def test_sizes_across_may_be_unknown_when_exported(options):
    function = jax.jit(lambda f: gradient(f, X, axis=1, **options))
    f = np.stack([F, 2 * F, -F])
    shape = jax.export.symbolic_shape("members, 10")
    exported = jax.export.export(function)(jax.ShapeDtypeStruct(shape, f.dtype))
    assert_allclose(exported.call(f), function(f), **slack(options))


# -- dtypes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("args", [(), (2.0,), (X,)], ids=["none", "step", "uneven"])
@pytest.mark.parametrize(
    ("dtype", "result", "eps"),
    [
        ("bfloat16", "bfloat16", 2**-8),
        ("float16", "float16", 2**-10),
        ("float32", "float32", 2**-22),
        ("complex64", "complex64", 2**-22),
        ("int32", "float32", 2**-22),
        ("uint8", "float32", 2**-22),
        ("int8", "float32", 2**-22),
    ],
)
def test_floats_are_kept_and_integers_become_the_default_float(dtype, result, eps, args, jit):
    f = jnp.asarray([2, 3, 1, 4, 7, 7, 5, 1, 0, 2]).astype(dtype)
    call = lambda f: gradient(f, *args, edge_order=2)  # noqa: E731
    got = (jax.jit(call) if jit else call)(f)
    assert got.dtype == result
    want = np.gradient(np.asarray(f.astype("complex64")).real.astype("f8"), *args, edge_order=2)
    assert_allclose(np.asarray(got.astype("complex64")).real, want, rtol=eps, atol=8 * eps)


def test_float64_where_the_user_has_switched_it_on():
    with jax.enable_x64(True):
        f, x = jnp.asarray(1e9 + X**2), jnp.asarray(X)
        assert f.dtype == jnp.float64
        for call in (gradient, jax.jit(gradient)):
            got = call(f, x)
            assert got.dtype == jnp.float64
            assert_allclose(got, np.gradient(np.asarray(f), X), atol=1e-6)  # float32: 1e2
        assert gradient(jnp.arange(5)).dtype == jnp.float64
        assert gradient(jnp.asarray(F)).dtype == jnp.float32
        assert gradient(jnp.asarray(F), x).dtype == jnp.float32
        assert jax.jit(gradient)(F, x).dtype == jnp.float32


def test_a_float64_array_made_under_the_switch_is_differentiated_outside_it():
    with jax.enable_x64(True):
        f = jnp.asarray(1.0 + X**2)
    assert_allclose(gradient(f, X), np.gradient(1.0 + X**2, X), rtol=1e-5)


def test_the_switch_is_not_touched_by_jax_arrays_either():
    before = jax.config.jax_enable_x64
    gradient(jnp.asarray(F), X)
    jax.jit(gradient)(F, X)
    assert jax.config.jax_enable_x64 == before
    assert jnp.zeros(1, float).dtype == jnp.float32


# -- refusals --------------------------------------------------------------------------------

REFUSED = [
    ({"edge_order": 3}, OptionError, "'edge_order' greater than 2 not supported; it is 3"),
    ({"accuracy": 3}, OptionError, "accuracy is 3; choose one of 2, 4, 6, 8"),
    ({"boundary": "wrap"}, OptionError, "boundary is 'wrap'; choose None,"),
]


@pytest.mark.parametrize(("options", "kind", "text"), REFUSED)
def test_options_are_refused_while_tracing(options, kind, text):
    with pytest.raises(kind) as error:
        jax.jit(lambda f: gradient(f, **options))(F)
    assert str(error.value).startswith(text)


def test_bad_shapes_are_refused_while_tracing():
    with pytest.raises(ValueError, match="there are 3 for the 10 points of axis 0"):
        jax.jit(gradient)(F, X[:3])
    with pytest.raises(ValueError, match="those of axis 0 have 2 dimensions"):
        jax.jit(gradient)(F, np.ones((N, N)))
    with pytest.raises(TypeError, match="2 spacings for 1 axes"):
        jax.jit(gradient)(F, 1.0, 2.0)
    with pytest.raises(CoordinateError, match="axis 0 has 1 point, but edge order 1 needs 2"):
        jax.jit(gradient)(F[:1])


def test_a_traced_periodic_coordinate_needs_its_period():
    """Nobody can tell whether it is even: it has no values yet."""
    with pytest.raises(OptionError, match="give period= in units of the coordinate"):
        jax.jit(lambda f, x: gradient(f, x, boundary="periodic"))(F, X)
