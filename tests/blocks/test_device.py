"""Blocks on devices: where they stay, what travels, and what lowers for a GPU that is not here."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from block_cases import F, X, options
from numpy.testing import assert_array_equal

from fdgrad_dask import gradient
from fdgrad_dask.blocks import device
from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.program import Block, Derivative, Program, single
from fdgrad_dask.stencils.boundary import boundary_pair
from fdgrad_dask.stencils.table import stencil


def table(boundary=None, **given):
    return stencil(X, len(X), boundary=boundary_pair(boundary), **given)


@options
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "c8", "i4"])
def test_jax_blocks_have_the_bits_of_numpy_blocks(dtype, options):
    f = (100 * F).astype(dtype)
    with jax.enable_x64(True):
        there = jnp.asarray(f)
        got = gradient(there, X, axis=0, **options)
    assert_array_equal(got, gradient(f, X, axis=0, **options))


@options
def test_chunks_do_not_change_a_bit(options):
    program = single(table(**options), 0)
    with jax.enable_x64(True):
        there = jnp.asarray(F)
    (want,) = compute_block([Block(there)], program, F.dtype)
    part = program.cut({0: (7, 13)})
    halos = {0: there[:7]}, {0: there[13:]}
    (got,) = compute_block([Block(there[7:13], *halos)], part, F.dtype)
    assert_array_equal(got, want[7:13])


@pytest.mark.parametrize("accuracy", [2, 4])
def test_kernels_lower_for_cuda(accuracy):
    call = jax.jit(lambda f: gradient(f, X, axis=0, accuracy=accuracy))
    exported = jax.export.export(call, platforms=["cuda"])(jax.ShapeDtypeStruct((20, 30), "f4"))
    assert exported.platforms == ("cuda",)
    assert "custom_call" not in exported.mlir_module()


# -- several devices -------------------------------------------------------------------------

TWO_DEVICES = """
import jax, jax.numpy as jnp, numpy as np, dask.array as da, xarray as xr
import fdgrad_dask as fd
from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.program import Block, single
from fdgrad_dask.stencils.table import stencil

first, second = jax.devices()
f = np.random.default_rng(0).standard_normal((20, 30))
want = np.gradient(f, axis=0)
for where in (first, second):
    there = fd.to_device(f, where)
    got = fd.gradient(there, axis=0)
    assert got.devices() == {where}, got.devices()
    np.testing.assert_array_equal(got, want)

program = single(stencil(1.0, 20), 0)
there = fd.to_device(f, second)
part = Block(there[:8], {}, {0: there[8:10]})
(got,) = compute_block([part], program.cut({0: (0, 8)}), f.dtype)
assert got.devices() == {second}

chunks = {0: first, 1: second}
def place(chunk, block_info=None):
    return fd.to_device(chunk, chunks[block_info[0]["chunk-location"][0]])
lazy = da.from_array(f, chunks=(10, 30)).map_blocks(place, meta=fd.to_device(f[:0]), dtype=f.dtype)
slopes = fd.gradient(lazy, axis=0)
parts = [slopes.blocks[i, 0].compute(scheduler="sync") for i in (0, 1)]
assert [part.devices() for part in parts] == [{first}, {second}]
np.testing.assert_array_equal(np.concatenate(parts), want)
joined = slopes.compute(scheduler="sync")
assert joined.devices() == {first}
np.testing.assert_array_equal(joined, want)

# A labelled operator of chunks on both devices, whose halos travel and whose chunks do not.
coords = {
    "lat": ("lat", np.linspace(-60, 60, 20), {"units": "degrees_north"}),
    "lon": ("lon", np.arange(30) * 12.0, {"units": "degrees_east"}),
}
u = xr.DataArray(f, coords, ("lat", "lon"), attrs={"units": "m s-1"})
zeta = fd.operators.vorticity(u.copy(data=lazy), u.copy(data=lazy)).data
parts = [zeta.blocks[i, 0].compute(scheduler="sync") for i in (0, 1)]
assert [part.devices() for part in parts] == [{first}, {second}]
np.testing.assert_array_equal(np.concatenate(parts), fd.operators.vorticity(u, u))
print("stayed")
"""


def test_on_two_devices_everything_stays_where_it_is():
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    )
    assert done.stdout == "stayed\n", done.stderr


def test_tables_that_the_user_deletes_are_sent_again(monkeypatch):
    sent, send = [], device.send
    monkeypatch.setattr(device, "send", lambda *given: sent.append(send(*given)) or sent[-1])
    device._kept.cache_clear()
    f = jnp.asarray(np.arange(8.0) ** 2, "f4")
    want = np.asarray(gradient(f, 3.0))
    assert sent
    for array in sent:
        array.delete()
    assert_array_equal(gradient(f, 3.0), want)


@pytest.fixture
def sent(monkeypatch):
    """The shapes that were sent to a device, which has nothing yet."""
    shapes, send = [], device.send
    monkeypatch.setattr(device, "send", lambda a, *to: shapes.append(a.shape) or send(a, *to))
    device._kept.cache_clear()
    return shapes


def test_what_is_sent_once_and_what_each_time(sent):
    """Tables and what varies along one axis once; a whole field of NumPy's each time."""
    program = Program((((0, 1), (2, None)),), (Derivative(0, 1, table()),))
    for field in (np.ones((30, 20), "f4"), np.ones((2, 20), "f4")):
        f = jnp.asarray(F.T[: len(field)], "f4")
        blocks = [Block(f), Block(np.ones((len(f), 1), "f4")), Block(field)]
        device.compute_on_device(blocks, program, np.dtype("f4"))
        assert field.shape in sent
        assert len(sent) > 1
        sent.clear()
        device.compute_on_device(blocks, program, np.dtype("f4"))
        assert sent == [field.shape]
        sent.clear()


def test_tables_are_sent_to_the_device_that_the_user_has_chosen(monkeypatch):
    """What JAX may move goes with arrays of any device, and so do its tables."""
    places, send = [], device.send
    monkeypatch.setattr(device, "send", lambda a, place: places.append(place) or send(a, place))
    there = jax.devices()[0]
    for f, place in ((jax.device_put(F, there), there), (jnp.asarray(F), None)):
        device._kept.cache_clear()
        made = gradient(f, X, axis=0)
        assert set(places) == {place}
        assert made.committed == (place is not None)
        places.clear()


@pytest.mark.parametrize(("dtype", "is_wide"), [("f4", False), ("f8", True)])
def test_traced_arrays_of_32_bits_leave_the_switch_alone(monkeypatch, dtype, is_wide):
    seen, run = [], device.run_differentiable

    def looked_at(*given, **static):
        seen.append(jax.config.jax_enable_x64)
        return run(*given, **static)

    monkeypatch.setattr(device, "run_differentiable", looked_at)
    with jax.enable_x64(True):
        f = jnp.asarray(F, dtype)
    jax.jit(lambda f: gradient(f, X, axis=0))(f)
    assert seen == [is_wide]


def test_integers_are_differenced_before_they_are_rounded():
    """Beside a number that is one, too; float64 has every 256th of them."""
    f = 2**60 + np.array([1, 4, 2, 9])
    with jax.enable_x64(True):
        made = gradient(jnp.asarray(f), boundary=2**60 + 5)
        small = gradient(jnp.asarray([2**31 - 1, 3, -(2**31), 7], "i4"))
    assert made.tolist() == [-0.5, 0.5, 2.5, 1.5]
    assert small.tolist() == [4 - 2**31, -(2**31) + 0.5, 2, 2**31 + 7]


def test_halves_are_computed_in_the_dtype_of_the_result():
    f = F.astype("f2")
    (made,) = compute_block([Block(jnp.asarray(f))], single(table(), 0), np.dtype("f4"))
    assert made.dtype == "f4"
    assert_array_equal(made, gradient(f.astype("f4"), X, axis=0))


def test_what_stands_outside_may_be_traced():
    f = jnp.asarray([1.0, 4.0, 2.0])
    by_value = jax.jacobian(lambda value: gradient(f, boundary=(value, None)))(0.0)
    assert by_value.tolist() == [-0.5, 0, 0]


# -- dtypes and coordinates ------------------------------------------------------------------


def test_dtypes_of_results_are_those_of_fields_or_the_users():
    with jax.enable_x64(True):
        double, single_, whole = (jnp.zeros(3, dtype) for dtype in ("f8", "f4", "i8"))
        assert device.result_dtype([whole], None) == "f8"
        assert device.result_dtype([single_], None) == "f4"
    assert device.result_dtype([double], None) == "f8"
    assert device.result_dtype([single_, double], None) == "f4"
    assert device.result_dtype([single_, double], np.float64) == "f8"
    assert device.result_dtype([single_], np.float64) == "f4"
    assert device.result_dtype([np.zeros(3)], np.float64) == "f4"
    assert device.result_dtype([whole], None) == "f4"
    assert [device.is_large_integer(f) for f in (whole, double, np.zeros(2, "i4"))] == [
        True,
        False,
        False,
    ]


def test_concrete_floats_alone_are_computed_in_double():
    def is_double(*arrays):
        with device.in_double(arrays):
            return jax.config.jax_enable_x64

    f, whole = jnp.zeros(3), jnp.arange(3)
    assert is_double(f)
    assert is_double(np.zeros(3), f)
    assert not is_double(np.zeros(3))
    assert not is_double(whole)
    assert not is_double(f, whole)
    assert jax.jit(lambda x: x + is_double(x))(1.0) == 1
    assert jax.jit(lambda x: x + is_double(f, x))(1.0) == 1


LEVELS = np.array([[1.0, 5.0, 9.0], [2.0, 5.5, 8.0]])


@pytest.mark.parametrize("sign", [1, -1])
def test_levels_that_rise_or_fall_everywhere(sign):
    gaps, equal, back, endless = LEVELS.copy(), LEVELS.copy(), LEVELS.copy(), LEVELS.copy()
    gaps[0, 1] = gaps[1, 0] = np.nan
    equal[1, 1], back[1, 1], endless[0, 2] = 2.0, 1.0, np.inf
    whole = np.array([[2**60, 2**60 + 1024]])
    cases = {True: (LEVELS, LEVELS / 10, gaps), False: (equal, back)}
    with jax.enable_x64(True):
        for wanted, z in ((wanted, z) for wanted, each in cases.items() for z in each):
            assert device.rises_or_falls(jnp.asarray(sign * z), 1) is wanted
            assert device.rises_or_falls(jnp.asarray(sign * z.T), 0) is wanted
        assert not device.rises_or_falls(jnp.asarray(sign * endless), 1)
        assert device.rises_or_falls(jnp.asarray(sign * whole), 1)
    assert not device.rises_or_falls(jnp.asarray(LEVELS * [[1], [-1]]), 1)
