"""NumPy data are NumPy's business, whatever JAX is doing or was told; no interrupt is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fdgrad_dask import gradient
from fdgrad_dask.blocks import compute

LAND = np.random.default_rng(1).standard_normal((20, 30))
LAND[3, 4], LAND[5, 6] = np.nan, np.inf


def run(code):
    """What a process of its own says, which must end well and say nothing on the side."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


SETTINGS = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
import dask.array as da, jax, jax.extend, numpy as np
from contextlib import nullcontext
from fdgrad_dask import gradient
from fdgrad_dask.blocks import compute as blocks

blocks.SMALL = 1000
fields = [np.random.default_rng(n).random((n, 60)) for n in (12, 40, 12000)]  # NumPy, window, frame
for f in fields:
    f[3, 4], f[7, 8] = np.nan, np.inf

def check(name):
    for f in fields:
        got = gradient(f, axis=0)
        assert type(got) is np.ndarray
        np.testing.assert_array_equal(got, np.gradient(f, axis=0))
    lazy = gradient(da.from_array(fields[1], chunks=20), axis=0).compute(scheduler="sync")
    np.testing.assert_array_equal(lazy, np.gradient(fields[1], axis=0))
    print(name)
    return 1.0

contexts = {
    "nothing": lambda: nullcontext(),
    "debug_nans": lambda: jax.debug_nans(True),
    "debug_infs": lambda: jax.debug_infs(True),
    "set_mesh": lambda: jax.set_mesh(jax.make_mesh((4,), ("x",))),
    "transfer_guard": lambda: jax.transfer_guard("disallow_explicit"),
    "promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "rank": lambda: jax.numpy_rank_promotion("raise"),
    "device": lambda: jax.default_device(jax.devices()[2]),
    "without_jit": lambda: jax.disable_jit(True),
    "leaks": lambda: jax.checking_leaks(),
}
for name, context in contexts.items():
    with context():
        check(name)
jax.config.update("jax_debug_nans", True)
check("for_all_threads")
jax.config.update("jax_debug_nans", False)

transformations = {
    "jit": lambda f: jax.jit(f)(1.0),
    "grad": lambda f: jax.grad(f)(1.0),
    "scan": lambda f: jax.lax.scan(lambda c, _: (f(c), None), 1.0, None, length=2),
    "checkpoint": lambda f: jax.checkpoint(f)(1.0),
    "make_jaxpr": lambda f: jax.make_jaxpr(f)(1.0),
    "eval_shape": lambda f: jax.eval_shape(f, 1.0),
}
for name, transformation in transformations.items():
    transformation(lambda x: x * check(name))

for _ in range(2):
    for array in jax.live_arrays():
        array.delete()
    check("deleted")
    jax.extend.backend.clear_backends()
    check("cleared")
"""


def test_nothing_that_jax_was_told_reaches_into_numpy():
    said = run(SETTINGS)
    assert said[-4:] == ["deleted", "cleared"] * 2
    assert len(set(said)) == 19


GUARDED = [{}, {"edge_order": 2}, {"boundary": 2.0}, {"accuracy": 4}]


@pytest.mark.parametrize("options", GUARDED, ids=str)
def test_jax_data_are_differentiated_under_guards(options):
    f, x = jnp.asarray(LAND, "complex64"), np.arange(20.0) ** 2
    want = gradient(f, x, axis=0, **options)
    with (
        jax.transfer_guard("disallow"),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        got = [gradient(f, x, axis=0, **options), gradient(f, axis=1, **options)]
    np.testing.assert_array_equal(got[0], want)
    np.testing.assert_array_equal(got[1], gradient(f, axis=1, **options))


FORKED = """
import multiprocessing, numpy as np, xarray as xr
from concurrent.futures import ProcessPoolExecutor
from fdgrad_dask import gradient
from fdgrad_dask.blocks import compute
f = np.random.default_rng(1).random((300, 400))
print(compute._is_over)
want = gradient(f, axis=0)

def work(n):
    lazy = xr.DataArray(f, dims=("y", "x")).chunk(y=100).fdgrad.gradient("y")
    right = all(np.array_equal(got, want) for got in (gradient(f, axis=0), lazy.values))
    return right and compute._is_over

context = multiprocessing.get_context("fork")
with ProcessPoolExecutor(2, mp_context=context) as pool:
    print(*pool.map(work, range(3)))
with context.Pool(2) as pool:
    print(*pool.map(work, range(3)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_children_of_a_fork_compute():
    """In NumPy: XLA would wait there for threads that only the parent has."""
    assert run(FORKED) == ["False"] + ["True"] * 6


SERVING = """
import threading, time, numpy as np
from fdgrad_dask import gradient

def serve(f):
    while True:
        gradient(f, 0.5, axis=1)

for shape in ((20, 20), (400, 500), (1500, 1000)):  # in NumPy, by one window, in place
    f = np.ones(shape)
    gradient(f, axis=0)
    threading.Thread(target=serve, args=(f,), daemon=True).start()
time.sleep(0.4)
"""


def test_daemon_threads_that_compute_do_not_abort_the_end():
    run(SERVING)


def test_a_thread_that_python_overtakes_at_its_end_computes_in_numpy(monkeypatch):
    """The end may come between the question and the kernel; it waits for announced ones alone."""
    monkeypatch.setattr(compute, "_is_over", False)
    ask = compute._goes_plain

    def overtaken(*arguments):
        answer = ask(*arguments)
        compute._leave_xla()
        return answer

    monkeypatch.setattr(compute, "_goes_plain", overtaken)
    monkeypatch.setattr(compute, "compute_on_host", None)  # cannot be called
    f = np.random.default_rng(1).random((1500, 1000))
    np.testing.assert_array_equal(gradient(f, 0.5, axis=1), np.gradient(f, 0.5, axis=1))


def test_the_end_keeps_results_that_other_threads_may_drop(kernels, monkeypatch):
    """JAX asks for the lock of the interpreter where the last reference goes: a thread aborts."""
    monkeypatch.setattr(compute, "_is_over", False)
    monkeypatch.setattr(compute, "GRACE", 0.0)
    monkeypatch.setattr(compute, "_kept", [])
    held, is_held, is_over = [], threading.Event(), threading.Event()

    def hold():
        held.append(gradient(LAND, axis=0))
        is_held.set()
        is_over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(60)
    compute._end()
    is_over.set()
    thread.join()
    assert any(np.shares_memory(np.asarray(each), held[0]) for each in compute._kept)


INTERRUPTED = """
import gc, random, signal, time, numpy as np
from fdgrad_dask import gradient

gc.disable()  # JAX hears in Python of collections, and loses interrupts there

def stop(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, stop)
random.seed(1)
fields = [np.ones(shape, "f4") for shape in ((40, 50), (300, 300), (1200, 1200))]
for f in fields:
    gradient(f, axis=0)
for _ in range(150):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 4e-3))
        while True:
            for f in fields:
                gradient(f, axis=0)
    except KeyboardInterrupt:
        pass
print("well")
raw = bytearray(fields[1].tobytes())
f = np.frombuffer(raw, "f4").reshape(300, 300)
assert not gradient(f, axis=0).any()
del f
raw.append(0)  # nobody holds it
"""


def test_no_interrupt_is_lost_or_becomes_another_error():
    """Nothing of ours is told of what is gone in Python, where an exception would be swallowed."""
    assert run(INTERRUPTED) == ["well"]
