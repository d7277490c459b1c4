"""Programs in NumPy have the bits of the kernels: which of the two is taken changes nothing."""

from __future__ import annotations

import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from counting import CALLS, compilations, sources

from fdgrad_dask import gradient
from fdgrad_dask.blocks import central
from fdgrad_dask.blocks import compute as blocks
from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.stencils.boundary import step_range
from fdgrad_dask.stencils.dtypes import result_dtype
from fdgrad_dask.stencils.table import stencil

N = 12
UNEVEN = np.cumsum(0.2 + np.random.default_rng(5).random(N))
PERIODIC = {"boundary": ("periodic", "periodic"), "period": 99.0}
STENCILS = [
    {},
    {"edge_order": 2},
    {"order": 2},
    {"accuracy": 8},
    {"order": 2, "accuracy": 4, "edge_order": 2},
    PERIODIC,
    {"boundary": ("reflect", "extend")},
    {"boundary": (None, 3.0)},
    {"skipna": True, "accuracy": 4},
]
DTYPES = ["float16", "float32", "float64", "complex64", "int32"]
POINTS = {"even": 0.3, "uneven": -UNEVEN}
# Every stencil with every dtype; either meets both kinds of points.
COMBINED = [
    (dtype, ("even", "uneven")[(i + j) % 2], options)
    for i, dtype in enumerate(DTYPES)
    for j, options in enumerate(STENCILS)
]


def both(compute):
    """What is computed in NumPy, and by the kernels."""
    results = []
    for small in (1 << 40, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blocks, "SMALL", small)
            results.append(compute())
    return results


def assert_same_bits(got, want):
    """Equal values, NaN in the same places, and the sign of every zero."""
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    for part, other in ((got.real, want.real), (got.imag, want.imag)):
        sure = ~np.isnan(part)
        assert (np.signbit(part) == np.signbit(other))[sure].all()


def values(dtype, with_holes):
    """(2, 12, 3) numbers; NaN, inf and the largest ones among them if asked for."""
    rng = np.random.default_rng(1)
    f = 100 * rng.standard_normal((2, N, 3))
    if np.dtype(dtype).kind == "c":
        f = f + 1j * rng.standard_normal(f.shape)
    f = f.astype(dtype)
    if with_holes:
        f[0, 3, 1], f[1, 5, 2], f[0, 8, 0] = np.nan, np.inf, -np.inf
        f[1, 0, 0], f[1, 1, 0] = np.finfo(dtype).max, -np.finfo(dtype).max
        if f.dtype.kind == "c":
            f[0, 6, 2] = complex(1, -np.inf)
    return f


@pytest.mark.parametrize(("dtype", "points", "options"), COMBINED, ids=str)
def test_every_stencil_and_dtype(dtype, points, options):
    """With and without what is not finite; whole, and with rows of neighbours."""
    table = stencil(POINTS[points], N, **options)
    reach = table.halo_width
    for with_holes in (False, True) if np.dtype(dtype).kind in "fc" else (False,):
        f = values(dtype, with_holes)
        whole = single(table, 1), [Block(f)]
        low, core, high = f[:, :reach], f[:, reach : N - reach], f[:, N - reach :]
        inside = [Block(core, {1: low}, {1: high})]
        for program, given in (whole, (single(table.cut(reach, N - reach), 1), inside)):
            (plain,), (kernel,) = both(
                lambda p=program, g=given: blocks.compute_block(g, p, result_dtype(g[0].core.dtype))
            )
            assert_same_bits(plain, kernel)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, "float32") for name in CALLS), ("kinematics", "float64"), ("laplacian", "float64")],
)
def test_every_operator(name, dtype):
    """Operands, factors, formulas and the rows at poles."""
    operator, names = CALLS[name]
    fields = [f.isel(time=slice(3)).load().astype(dtype) for f in sources(*names, lat="poles")[1]]
    for field in fields:
        field[0, 7, 8], field[1, 20, 30] = np.nan, np.inf
    plain, kernel = both(lambda: operator(*fields))
    plain, kernel = (
        made.to_dataset(name="f") if isinstance(made, xr.DataArray) else made
        for made in (plain, kernel)
    )
    for output in plain:
        assert_same_bits(plain[output].values, kernel[output].values)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"edge_order": 2}, {"skipna": "one-sided"}], ids=str)
def test_a_coordinate_that_varies(options, dtype):
    rng = np.random.default_rng(2)
    z = np.cumsum(1 + rng.random((6, 4, 5)), axis=0)
    field = xr.DataArray(rng.standard_normal(z.shape).astype(dtype), dims=("level", "y", "x"))
    field[2, 1, 1] = np.nan
    height = xr.DataArray(z, dims=field.dims, attrs={"units": "m"})
    plain, kernel = both(lambda: field.fdgrad.gradient("level", coordinate=height, **options))
    assert_same_bits(plain.values, kernel.values)


def test_small_arrays_are_not_compiled_for():
    """A hundred tracks of a hundred lengths: so many compilations took seconds and 1.75 MB each."""
    before = len(jax.live_arrays())
    with compilations() as seen:
        for n in range(20, 120):
            f = np.arange(float(n)) ** 2
            np.testing.assert_array_equal(gradient(f), np.gradient(f))
        chunks = (7, 9, 11, 3, 10)
        lazy = gradient(da.from_array(f[:40], chunks=(chunks,)))
        np.testing.assert_array_equal(lazy.compute(), np.gradient(f[:40]))
    assert not seen
    assert len(jax.live_arrays()) == before


def test_the_size_alone_decides(monkeypatch):
    f = np.random.default_rng(3).standard_normal((40, 30))
    monkeypatch.setattr(blocks, "SMALL", f.size)
    x = np.arange(41.0) ** 2  # even spacing needs no program for twice as many points
    with compilations() as seen:
        gradient(f, x[:40], axis=0)
        assert not seen
        gradient(np.vstack([f, f[:1]]), x, axis=0)
        assert seen


@pytest.mark.parametrize(
    ("dtype", "points", "edge_order", "axis"),
    [
        ("float32", 0.3, 1, 0),
        ("float64", 0.3, 2, 1),
        ("float64", -UNEVEN, 1, 2),
        ("float64", UNEVEN, 2, 0),
    ],
    ids=str,
)
def test_differences_without_a_program(monkeypatch, dtype, points, edge_order, axis):
    """In strips, here of five points and less, they have the bits of a program."""
    f = values(dtype, with_holes=True)
    f[1, 5, 1], f[1, 3, 1] = -0.0, 0.0
    f = np.moveaxis(f, 1, axis)
    monkeypatch.setattr(central, "STRIP", 5 * f.size // N)
    assert central.suits_central(f, [axis], [step_range(points)], edge_order)
    plain, kernel = both(lambda: gradient(f, points, axis=axis, edge_order=edge_order))
    assert_same_bits(plain, kernel)


def test_what_is_many_dimensional():
    f = np.arange(35.0).reshape((1,) * 62 + (5, 7)) ** 2
    np.testing.assert_array_equal(gradient(f, axis=-1), np.gradient(f, axis=-1))


# -- beside numbers of JAX: as whatever JAX would make of them ---------------------------------


@pytest.mark.parametrize("number", [np.array, jnp.float32, jnp.bfloat16, np.int8])
def test_what_stands_outside_may_be_any_number(number):
    f = np.arange(6.0) ** 2
    want = gradient(f, boundary=(1.0, "extend"))
    for data in (f, da.from_array(f, chunks=2), jnp.asarray(f)):
        np.testing.assert_array_equal(gradient(data, boundary=(number(1.0), "extend")), want)


@pytest.mark.parametrize("number", [np.int8(3), np.uint8(200), np.int32(-3), np.uint64(2**63)])
def test_integers_outside_large_ones_may_have_any_width(number):
    """Narrower ones overflowed: (2^60 + 6 - number) / 2, whose digits are kept."""
    f = np.array([2**60 + 5, 2**60 + 6, 2**60 + 8])
    got = gradient(f, boundary=(number, None))
    np.testing.assert_array_equal(got, [(2**60 + 6 - int(number)) / 2, 1.5, 2])
    with jax.enable_x64(True):
        np.testing.assert_array_equal(gradient(jnp.asarray(f), boundary=(number, None)), got)


def test_what_stands_outside_may_have_no_value_yet():
    f = np.arange(6.0) ** 2
    want = gradient(f, boundary=(1.0, None))
    for data in (f, jnp.asarray(f)):
        got = jax.jit(lambda end, data=data: gradient(data, boundary={0: (end, None)}))(1.0)
        np.testing.assert_array_equal(got, want)
    grad = jax.grad(lambda end: gradient(jnp.asarray(f), boundary=(end, None))[0])(1.0)
    assert grad == -0.5
