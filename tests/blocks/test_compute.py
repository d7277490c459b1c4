"""Which way a block takes, under which settings, and what all ways have in common."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fdgrad_dask.blocks import compute as blocks
from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.program import Block, Derivative, PoleRow, Program, single
from fdgrad_dask.stencils.table import stencil

F = np.random.default_rng(1).standard_normal((4, 6))
F8 = np.dtype("f8")
TABLE = stencil(0.5, 4)


def compute(f, program=None, dtype=F8):
    f = f if isinstance(f, list) else [f]
    return compute_block([Block(each) for each in f], program or single(TABLE, 0), dtype)


def outer(values, slopes):
    return [slopes[0] * values[1], slopes[0] + values[1]]


def product(values, slopes):
    return [slopes[0] * slopes[0]]


def test_fields_of_some_axes_make_outputs_of_all():
    program = Program((((0, None),),), (Derivative(0, 0, TABLE),), outer, 2)
    column, line = F[:, :1], F[:1]
    made = compute([column, line], program)
    slope = np.gradient(column, 0.5, axis=0)
    for got, want in zip(made, (slope * line, slope + line), strict=True):
        assert_array_equal(got, want)
    empty = compute([column, line[:, :0]], program, np.dtype("f4"))
    assert [(each.shape, each.dtype) for each in empty] == [((4, 0), "f4")] * 2
    squared = Program((((0, None),),), (Derivative(0, 0, TABLE),), product)  # by XLA
    (empty,) = compute(F[:, :0] * 1j, squared, np.dtype("c16"))
    assert (empty.shape, empty.dtype) == ((4, 0), "c16")
    (masked,) = compute(np.ma.array(F[:, :0]))
    assert (masked.shape, type(masked)) == ((4, 0), np.ma.MaskedArray)


def test_rows_of_poles_are_given():
    rows = [np.full((1, 6), 7.0), np.full((1, 6), 9.0)]
    poles = PoleRow(0, 0, 0, 1), PoleRow(0, 0, -1, 2)
    program = Program((((0, None),),), (Derivative(0, 0, TABLE),), pole_rows=poles)
    (got,) = compute([F, *rows], program)
    want = np.gradient(F, 0.5, axis=0)
    want[0], want[-1] = 7, 9
    assert_array_equal(got, want)
    (got,) = compute([F[:, :3], *(row[:, :3] for row in rows)], program.cut({0: (0, 4)}))
    assert_array_equal(got, want[:, :3])


@pytest.fixture
def ways(monkeypatch):
    """The ways that blocks took; those into XLA give sevens."""
    taken, in_numpy = [], blocks.compute_in_numpy

    def by_numpy(*given):
        taken.append("NumPy")
        return in_numpy(*given)

    def to(name, outputs):
        return lambda used, shape, *_: taken.append(name) or [np.full(shape, 7.0)] * outputs

    monkeypatch.setattr(blocks, "compute_in_numpy", by_numpy)
    monkeypatch.setattr(blocks, "compute_on_host", to("host", 1))
    monkeypatch.setattr(blocks, "compute_on_accelerator", to("accelerator", 1))
    monkeypatch.setattr(blocks, "SMALL", 24)
    return taken


LARGE = np.zeros((4, 7))


def test_small_blocks_are_computed_in_numpy(ways, monkeypatch):
    two = Program((((0, None),),), (Derivative(0, 0, TABLE), Derivative(0, 0, TABLE)), None, 2)
    compute(F)
    compute(F[:, :3], two)
    assert ways == ["NumPy"] * 2
    compute(LARGE)
    compute(F[:, :4], two)
    assert ways[2:] == ["host"] * 2
    monkeypatch.setattr(blocks, "is_accelerated", lambda: True)
    assert compute(LARGE)[0].max() == 7
    assert ways[4:] == ["accelerator"]


def test_products_of_complex_numbers_are_not(ways):
    formula = Program((((0, None),),), (Derivative(0, 0, TABLE),), product)
    compute(F * 1j, formula, np.dtype("c16"))
    compute(F * 1j, None, np.dtype("c16"))
    assert ways == ["host", "NumPy"]


def test_what_xla_does_not_have_is_computed_in_numpy(ways, monkeypatch):
    deep = np.zeros((1,) * 31 + (4, 7))
    for f, axis in (
        (np.ma.array(LARGE), 0),
        (LARGE.astype("longdouble"), 0),
        (np.full((4, 7), 2**60), 0),
        (deep, 31),
    ):
        compute(f, single(TABLE, axis))
    compute(LARGE, single(stencil(np.arange(4) ** 2 * 1e-310, 4), 0))
    assert ways == ["NumPy"] * 5
    compute(deep[0], single(TABLE, 30))
    compute(np.full((4, 7), 3), single(TABLE, 0))
    assert ways[5:] == ["host"] * 2
    jax.jit(lambda x: (compute(LARGE), x)[1])(1.0)
    monkeypatch.setattr(blocks, "_is_over", True)
    compute(LARGE)
    assert ways[7:] == ["NumPy"] * 2


OURS = {
    "jax_enable_x64": True,
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_disable_jit": False,
    "jax_default_device": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_transfer_guard_host_to_device": "allow",
    "jax_transfer_guard_device_to_host": "allow",
    "jax_transfer_guard_device_to_device": "allow",
}


def test_our_settings_hold_for_the_block_alone(ways, monkeypatch):
    seen, running = {}, []

    def look(used, shape, *_):
        seen.update({name: getattr(jax.config, name) for name in OURS})
        running.append(threading.get_ident() in blocks._running)
        if fails:
            raise MemoryError
        return [np.zeros(shape)]

    monkeypatch.setattr(blocks, "compute_on_host", look)
    fails = False
    with (
        jax.debug_nans(True),
        jax.debug_infs(True),
        jax.disable_jit(True),
        jax.default_device(jax.devices()[0]),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.transfer_guard("disallow"),
    ):
        theirs = {name: getattr(jax.config, name) for name in OURS}
        compute(LARGE)
        assert {name: getattr(jax.config, name) for name in OURS} == theirs
    assert seen == OURS
    assert not any(seen[name] == theirs[name] for name in OURS)
    fails = True
    with pytest.raises(MemoryError):
        compute(LARGE)
    assert running == [True, True]
    assert threading.get_ident() not in blocks._running
    assert threading.get_ident() in blocks._have_run


@pytest.fixture
def running(monkeypatch):
    """Python ends while another thread runs a kernel: the threads that do, and how to end that."""
    for name, value in (("_is_over", False), ("_have_run", set()), ("_kept", []), ("GRACE", 0.0)):
        monkeypatch.setattr(blocks, name, value)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, args=(60,))
    thread.start()
    monkeypatch.setattr(blocks, "_running", {thread.ident})
    yield blocks._running
    stop.set()
    thread.join()


def test_the_end_waits_for_kernels_that_run(running, monkeypatch):
    there, ended, released = jnp.zeros(3), [], []

    def end_kernel():
        ended.append(blocks._is_over)  # others do not begin one
        running.clear()

    monkeypatch.setattr(blocks, "await_release", lambda: released.append(bool(ended)))
    threading.Timer(0.2, end_kernel).start()
    blocks._end()
    assert ended == released == [True]
    assert blocks._kept == []  # no thread has a result, and so this is nobody's
    del there


def test_the_end_does_not_wait_for_ever(running, monkeypatch):
    monkeypatch.setattr(blocks, "LONGEST", 0.01)
    later = threading.Timer(2.0, running.clear)
    later.start()
    blocks._end()
    later.cancel()
    assert running
