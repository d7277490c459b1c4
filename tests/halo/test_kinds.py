"""Chunks of other kinds than NumPy arrays: what comes in comes out, by either halo mechanism."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap

import dask
import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from ducks import Duck, plain
from numpy.testing import assert_array_equal

import fdgrad_dask as fd
from fdgrad_dask import gradient, to_device

F = np.random.default_rng(3).normal(size=(12, 18)).astype("float32")
MECHANISMS = pytest.mark.parametrize("mechanism", ["attach", "map_overlap"])


@pytest.fixture(autouse=True)
def sequential():
    with dask.config.set(scheduler="synchronous"):
        yield


# -- JAX ---------------------------------------------------------------------------------------


def on_jax(values, chunks):
    """A dask array whose chunks are JAX arrays of the dtype of the values."""
    with jax.enable_x64(True):
        return da.from_array(values, chunks=chunks).map_blocks(jnp.asarray).persist()


@MECHANISMS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chunks_of_jax_stay_jax_and_keep_64_bits(mechanism, dtype):
    f = F.astype(dtype)
    with dask.config.set({"fdgrad.halo": mechanism}):
        lazy = gradient(on_jax(f, (4, 5)), axis=1, accuracy=4)
    want = gradient(f, axis=1, accuracy=4)
    for part, values in ((lazy, want), (lazy.blocks[0, 1], want[:4, 5:10])):
        got = part.compute()
        assert isinstance(got, jax.Array)
        assert isinstance(part._meta, jax.Array)
        assert part.dtype == part._meta.dtype == got.dtype == dtype
        assert_array_equal(got, values)


def test_chunks_of_jax_are_joined_and_split_as_jax():
    lazy = gradient(on_jax(F, (1, 18)), axis=0)
    blocks = dask.compute(*[lazy.blocks[i, 0] for i in range(12)])
    assert {type(block) for block in blocks} == {type(jnp.zeros(0))}
    assert_array_equal(lazy, gradient(F, axis=0))


@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64", "float32"])
def test_chunks_of_jax_keep_their_digits_where_they_are_pickled(dtype):
    """As edge rows travel between processes, and what is spilled: JAX loads 64 bits as 32."""
    values = (F * 1e9).astype(dtype) / 3 if dtype != "int64" else 2**40 + np.arange(5)
    code = """
        import pickle, sys
        array = pickle.loads(sys.stdin.buffer.read())
        again = pickle.dumps([array])  # from a worker to the next, in a fresh process
        sys.stdout.buffer.write(again)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    sent = pickle.dumps(to_device(values))
    there = subprocess.run(command, input=sent, stdout=subprocess.PIPE, check=True)
    (back,) = pickle.loads(there.stdout)
    assert isinstance(back, jax.Array)
    assert back.dtype == values.dtype
    assert_array_equal(back, values)


def test_pickles_that_jax_loads_as_they_were_are_those_of_jax():
    """So that a user's own files need nothing but JAX."""
    plain_pickle = pickle.dumps(to_device(F))
    assert b"fdgrad" not in plain_pickle
    with jax.enable_x64(True):
        assert b"fdgrad" not in pickle.dumps(to_device(F.astype("float64")))


@pytest.fixture
def first_time(monkeypatch):
    """dask meets arrays of JAX for the first time in this process."""
    for name in ("concatenate", "tensordot", "einsum", "take"):
        lookup = getattr(dask.array.dispatch, f"{name}_lookup")
        monkeypatch.delitem(lookup._lookup, type(jnp.zeros(0)), raising=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_products_of_jax_chunks_are_jax(first_time, dtype):
    """`da.einsum`, which `xarray.dot` calls, failed once a result of ours had been there."""
    f = F.astype(dtype)
    lazy, want = gradient(on_jax(f, (4, 18)), axis=0), gradient(f, axis=0)
    total, weights = da.einsum("ij,kj->ik", lazy, lazy), da.tensordot(lazy, lazy, [[0], [0]])
    for got, wanted in (
        *((total, want @ want.T), (weights, want.T @ want)),
        (lazy[[7, 0, 3]], want[[7, 0, 3]]),
    ):
        with jax.enable_x64(True):  # the sum over chunks is dask's and the user's
            computed = got.compute()
        assert isinstance(computed, jax.Array)
        assert computed.dtype == dtype
        np.testing.assert_allclose(computed, wanted, rtol=1e-4 if dtype == "float32" else 1e-12)


@MECHANISMS
def test_all_outputs_of_a_pass_over_jax_are_jax(mechanism):
    coords = {"lat": np.linspace(-90, 90, 12), "lon": np.arange(0, 360, 20.0)}
    units = {"units": "m s-1"}
    wind = [
        xr.DataArray(values, coords, ("lat", "lon"), name, units)
        for name, values in (("u", F), ("v", F[::-1]))
    ]
    want = xr.merge(wind).fdgrad.kinematics("u", "v")
    lazy = [each.copy(data=on_jax(each.values, (5, 9))) for each in wind]
    with dask.config.set({"fdgrad.halo": mechanism}):
        got = xr.merge(lazy).fdgrad.kinematics("u", "v")
    computed = dask.compute({name: got[name].data for name in want})[0]
    for name in want:
        assert isinstance(got[name].data._meta, jax.Array)
        assert isinstance(computed[name], jax.Array)
        assert_array_equal(computed[name], want[name])


# -- what NumPy's functions work on --------------------------------------------------------------


@pytest.mark.parametrize("kind", [Duck, np.ma.masked_invalid])
@pytest.mark.parametrize("boundary", [None, "periodic", "reflect", 1.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_arrays_of_other_kinds_come_out_as_they_came_in(kind, boundary, axis):
    lazy = da.from_array(F, chunks=(4, 5)).map_blocks(kind, meta=kind(np.empty((0, 0), "f4")))
    got = gradient(lazy, axis=axis, accuracy=4, boundary=boundary)
    assert type(got._meta) is type(kind(F))
    blocks = [got.blocks[place].compute() for place in np.ndindex(got.numblocks)]
    assert {type(block) for block in blocks} == {type(kind(F))}
    want = gradient(np.asarray(F, "f8"), axis=axis, accuracy=4, boundary=boundary)
    np.testing.assert_allclose(plain(got.compute()), want, rtol=1e-4, atol=1e-5)


def test_an_unknown_mechanism_is_refused_with_those_there_are():
    with (
        dask.config.set({"fdgrad.halo": "overlap"}),
        pytest.raises(ValueError, match=r"is 'overlap', but it must be 'attach' or 'map_overlap'"),
    ):
        gradient(da.ones(8, chunks=4))


@MECHANISMS
@pytest.mark.parametrize("name", ["magnitude", "deformation", "coast", "pole"])
def test_masks_that_the_metadata_do_not_know_are_gaps(mechanism, name):
    """As netCDF4 reads them in delayed functions; xarray fills those that it knows of."""
    operator = {
        "magnitude": lambda f: f.fdgrad.gradient_magnitude(),
        "deformation": lambda f: fd.operators.deformation(f, f),
        "coast": lambda f: f.fdgrad.gradient("lat", skipna="one-sided"),
        "pole": lambda f: f.fdgrad.laplacian(),
    }[name]
    values = np.where(F < -1, 1e20, F).astype("float64")
    values[:2, 3] = 1e20
    hidden = da.from_array(values, chunks=(4, 5)).map_blocks(
        np.ma.masked_greater, 1e19, meta=np.empty((0, 0))
    )
    coords = {
        "lat": ("lat", np.linspace(-90, 20, 12), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(18) * 20.0, {"units": "degrees_east"}),
    }
    field = xr.DataArray(hidden, coords, ("lat", "lon"), "u", {"units": "m s-1"})
    with_nan = field.copy(data=np.where(values > 1e19, np.nan, values))
    with dask.config.set({"fdgrad.halo": mechanism}):
        xr.testing.assert_identical(operator(field).compute(), operator(with_nan))


@MECHANISMS
@pytest.mark.parametrize("name", ["gradient", "coast", "laplacian", "transform"])
@pytest.mark.parametrize("to", [np.asarray, jnp.asarray])
def test_complex_chunks_that_the_metadata_do_not_know_are_refused(mechanism, name, to):
    """The imaginary part was dropped, with a warning of a worker that a cluster does not show."""
    operator = {
        "gradient": lambda f: f.fdgrad.gradient("lat"),
        "coast": lambda f: f.fdgrad.gradient("lat", skipna="one-sided"),
        "laplacian": lambda f: f.fdgrad.laplacian(),
        "transform": lambda f: f.fdgrad.truncate(truncation=3),
    }[name]
    chunks = da.from_array(F.astype("float64"), chunks=(4, 5))
    hidden = chunks.map_blocks(lambda b: to(b + 2j * b), dtype="f8", meta=np.empty((0, 0)))
    coords = {
        "lat": ("lat", np.linspace(-82.5, 82.5, 12), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(18) * 20.0, {"units": "degrees_east"}),
    }
    field = xr.DataArray(hidden, coords, ("lat", "lon"), "u", {"units": "m s-1"})
    with dask.config.set({"fdgrad.halo": mechanism}):
        with pytest.raises(TypeError, match=r"chunks are complex, though .* say that they are not"):
            operator(field).compute()
        if name == "transform":
            return
        want = operator(field.copy(data=F.astype("float64") * (1 + 2j)))
        with jax.enable_x64(True):
            got = np.asarray(operator(field.astype("complex128")).data.compute())
            real = np.asarray(operator(field.copy(data=field.data.real)).data.compute())
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(real, want.real, rtol=1e-5, atol=1e-12)
