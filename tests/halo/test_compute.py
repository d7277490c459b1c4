"""The functions of whole arrays and of chunks, beside NumPy's; lazy and of a kind as they are."""

from __future__ import annotations

import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks.program import single
from fdgrad_dask.errors import ChunkError
from fdgrad_dask.halo import compute as halo
from fdgrad_dask.stencils.table import stencil

F = np.random.default_rng(1).standard_normal((4, 6))
F8, F4 = np.dtype("f8"), np.dtype("f4")


def on_jax(values, chunks):
    with jax.enable_x64(True):
        meta = jnp.asarray(values)[:0, :0]
        lazy = da.from_array(values, chunks=chunks).map_blocks(jnp.asarray, meta=meta)
        return lazy.persist(scheduler="synchronous")


def lazily(values):
    return da.from_array(values, chunks=(2, 3))


def test_lengths():
    lazy = lazily(F)
    assert halo.length(F, 1) == halo.length(lazy, 1) == 6
    unknown = lazy[lazy[:, 0] > 0]
    assert halo.length(unknown, 1) == 6
    with pytest.raises(ChunkError, match="the chunks of axis 0 have unknown sizes"):
        halo.length(unknown, 0)


@pytest.mark.parametrize("kind", [np.asarray, lazily])
def test_derivatives_of_all_fields_along_each_axis(kind):
    along = [(1, stencil(0.5, 6)), (0, stencil(2.0, 4))]
    made = halo.differentiate_all([kind(F), kind(F**2)], along)
    assert [len(each) for each in made] == [2, 2]
    for each, (axis, step) in zip(made, [(1, 0.5), (0, 2.0)], strict=True):
        for got, f in zip(each, (F, F**2), strict=True):
            assert_array_equal(got, np.gradient(f, step, axis=axis))


def test_coordinates_of_several_dimensions_go_with_floats():
    table, z = stencil(None, 4), np.arange(24.0).reshape(4, 6)
    want = [np.gradient(F[:, i], z[:, i]) for i in range(6)]
    for f, x in ((F, z), (F, lazily(z)), (lazily(F), z)):
        np.testing.assert_allclose(halo.differentiate(f, 0, table, x), np.transpose(want))
    for odd in (np.ma.array(F), F.astype("longdouble"), lazily(np.ma.array(F))):
        with pytest.raises(TypeError, match=r"goes with float32 and float64, not with .*float"):
            halo.differentiate(odd, 0, table, z)
        halo.differentiate(odd, 0, stencil(1.0, 4))


def test_dtypes_of_results():
    integers = np.arange(3)
    assert halo.choose_dtype([integers]) == F8
    assert halo.choose_dtype([integers.astype("f4"), F]) == F4
    assert halo.choose_dtype([F], "f4") == F4
    assert halo.choose_dtype([jnp.arange(3)]) == F4
    assert halo.choose_dtype([on_jax(F, (2, 3))]) == F8
    assert halo.choose_dtype([integers, jnp.arange(3.0)]) == F4


@pytest.mark.parametrize("dtype", ["f4", "i2", "c8"])
@pytest.mark.parametrize(("axis", "index", "along"), [(0, -1, 1), (0, 0, 1), (1, 2, 0)])
def test_means_of_rows(dtype, axis, index, along):
    """In 64 bits, and in one chunk: a mean of means would depend on how the array is cut."""
    f = (10 * F).astype(dtype)
    want = f.take([index], axis).astype("c16" if dtype == "c8" else "f8").mean(along, keepdims=True)
    lazy = halo.average_row(lazily(f), axis, index, along)
    there = halo.average_row(on_jax(f, (2, 3)), axis, index, along)
    for got in (halo.average_row(f, axis, index, along), lazy, there):
        assert got.dtype == want.dtype
        assert_array_equal(got, want)
    assert lazy.shape == there.shape == want.shape
    assert [type(each._meta) for each in (lazy, there)] == [np.ndarray] * 2
    assert lazy._meta.dtype == there._meta.dtype == want.dtype
    three = halo.average_row(da.ones((2, 4, 6), chunks=(1, 2, 3)), 1, 0, 2)
    assert three.chunks == ((1, 1), (1,), (1,))


@pytest.mark.parametrize("kind", [np.asarray, lazily, lambda f: on_jax(f, (2, 3))])
def test_scaled_data_keep_their_kind_and_their_digits(kind):
    data = kind(F)
    assert_array_equal(halo.scale(data, 3.0), F * 3.0)
    made = halo.scale(data, 1 / 3, 0.1)
    assert made.dtype == F8
    assert_array_equal(made, F * (1 / 3) + 0.1)
    assert type(made) is type(data)
    if isinstance(data, da.Array):
        assert type(made._meta) is type(data._meta)
        assert isinstance(made.blocks[0, 0].compute(), type(data._meta))


def test_arrays_are_joined_lazy_or_jax_if_one_is():
    with jax.enable_x64(True):
        there = jnp.asarray(F)
    want = np.concatenate([F, F], 1)
    for parts, kind in (
        ([F, F], np.ndarray),
        ([there, F], jax.Array),
        ([F, there], jax.Array),
        ([F, lazily(F)], da.Array),
        ([on_jax(F, (2, 3)), lazily(F)], da.Array),
    ):
        with jax.enable_x64(True):
            made = halo.concatenate(parts, 1)
        assert isinstance(made, kind)
        assert_array_equal(made, want)
    assert isinstance(made._meta, jax.Array)
    assert made.chunks == ((2, 2), (3,) * 4)
    assert type(halo.concatenate([F, lazily(F)], 1)._meta) is np.ndarray


def _divide(a, b):
    return a / b


def _both(a, b):
    return a / b, a * b


@pytest.mark.parametrize("kind", [np.asarray, lazily])
def test_functions_at_every_point(kind):
    """Without a warning where nothing can be divided."""
    b = np.arange(6.0).reshape(1, 6)
    with np.errstate(all="ignore"):
        want = F / b
    made = halo.apply_pointwise(_divide, kind(F), b)
    assert isinstance(made, type(kind(F)))
    assert_array_equal(made, want)
    if kind is lazily:
        assert made.chunks == ((2, 2), (3, 3))
    assert_array_equal(halo.apply_pointwise(_divide, b, kind(F)), b / F)
    both = halo.apply_together(_both, 2, kind(F), F * (F > 0))
    assert [type(each) for each in both] == [type(kind(F))] * 2
    with np.errstate(all="ignore"):
        wanted = _both(F, F * (F > 0))
    for got, each in zip(both, wanted, strict=True):
        assert_array_equal(got, each)
        assert got.dtype == F8
    if kind is lazily:
        other = da.from_array(F, chunks=(4, 6))
        (quotient, _) = halo.apply_together(_both, 2, kind(F), other)
        assert quotient.chunks == ((2, 2), (3, 3))
        assert_array_equal(quotient, np.ones((4, 6)))


def test_dask_is_told_how_to_join_chunks_of_jax(monkeypatch):
    told, there = [], on_jax(F, (2, 3))
    monkeypatch.setattr(halo, "register_jax", told.append)
    halo.concatenate([lazily(F), lazily(F)], 1)
    halo.apply_pointwise(_divide, lazily(F), lazily(F)).compute(scheduler="synchronous")
    assert not told
    halo.concatenate([there, lazily(F)], 1)
    assert told == [type(there._meta)]
    halo.apply_pointwise(_divide, there._meta, there._meta)
    assert told == [type(there._meta)] * 2


def test_jax_has_64_bits_at_every_point():
    there = on_jax(F, (2, 3))
    made = halo.apply_pointwise(_divide, there, on_jax(F + 1, (2, 3)))
    assert_array_equal(made.compute(), F / (F + 1))


def test_one_derivative_is_that_of_numpy():
    got = halo.compute([lazily(F)], single(stencil(1.0, 4), 0), "f4")[0]
    assert got.dtype == F4
    np.testing.assert_allclose(got, np.gradient(F, axis=0), rtol=1e-6, atol=1e-6)
