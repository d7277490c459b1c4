"""Memory for large results: fresh in huge pages, or left by results that are gone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
import xarray as xr
from counting import compilations

from fdgrad_dask import gradient, operators
from fdgrad_dask.blocks import allocator as memory
from fdgrad_dask.blocks import pages, scratch, sweep, tiles

F = np.random.default_rng(1).standard_normal((5, 6, 7)).astype("f4")
SHAPE, DTYPE = (30, 7), np.dtype("f4")

pytestmark = [
    pytest.mark.usefixtures("kernels"),
    pytest.mark.skipif(
        not pages._can_be_had(),
        reason="this system has no huge pages on demand, or JAX refuses them",
    ),
]


@pytest.fixture
def handed(monkeypatch):
    """XLA is handed memory for results of any size, and nobody has said what is to be kept."""
    monkeypatch.setattr(tiles, "SWEPT", 0)
    monkeypatch.setattr(tiles, "keeps", lambda size: False)
    monkeypatch.setattr(tiles, "gives", lambda size: True)
    monkeypatch.setattr(sweep, "COLUMNS", 1)
    monkeypatch.setattr(pages, "is_left_alone", lambda: True)
    pages.forget()
    yield
    pages.forget()


def address(array):
    return array.ctypes.data


def test_a_result_lies_where_one_that_is_gone_did(handed):
    with compilations() as compiled:
        first = gradient(F, axis=2)
        place, want = address(first), np.gradient(F, axis=2)
        np.testing.assert_array_equal(first, want)
        before = len(compiled)
        view = first[1:, ::2]
        del first
        second = gradient(F, axis=2)  # the first is still seen, so its memory is not to be had
        assert address(second) != place
        np.testing.assert_array_equal(view, want[1:, ::2])
        del view
        third = gradient(F, axis=2)
        assert address(third) == place
        assert len(compiled) == before
    for result in (second, third):
        np.testing.assert_array_equal(result, want)
        assert result.flags.writeable


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", "i4"])
def test_every_dtype(handed, monkeypatch, dtype):
    """What is handed over is what the results have: a donation that is of no use is a warning."""
    f = (100 * F).astype(dtype)
    results = [gradient(f, axis=axis) for axis in (2, 2, 1, 0)]
    monkeypatch.setattr(tiles, "SWEPT", 1 << 60)
    for result, axis in zip(results, (2, 2, 1, 0), strict=True):
        want = gradient(f, axis=axis)
        np.testing.assert_array_equal(result, want)
        assert result.dtype == want.dtype


def test_all_outputs_of_an_operator(handed, monkeypatch):
    lat, lon = np.linspace(-90, 90, 6), np.arange(0, 360, 360 / 7)
    coords = {
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
    }
    u, v = (
        xr.DataArray(f, coords, ("time", "lat", "lon"), attrs={"units": "m s-1"}) for f in (F, -F)
    )
    two = ["divergence", "vorticity"]
    first = operators.kinematics(u, v, which=two).load()
    second = operators.kinematics(v, u, which=two)
    monkeypatch.setattr(tiles, "SWEPT", 1 << 60)
    xr.testing.assert_identical(first, operators.kinematics(u, v, which=two))
    xr.testing.assert_identical(second, operators.kinematics(v, u, which=two))


def test_results_that_are_there_together_have_memory_of_their_own(handed):
    results = [gradient(F * i, axis=1) for i in range(8)]
    assert len({address(result) for result in results}) == 8
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, np.gradient(F * i, axis=1))


def test_threads_do_not_get_the_same_memory(handed):
    def many(i):
        for _ in range(20):
            result = gradient(F + i, axis=0)
            np.testing.assert_array_equal(result, np.gradient(F + i, axis=0))
            del result
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(many, range(4)))


def held():
    """The bytes of results that are kept track of."""
    return sum(each.array.nbytes for each in pages._lent)


def test_no_more_than_so_much_is_left(handed, monkeypatch):
    results = [gradient(F, axis=2) for _ in range(3)]
    monkeypatch.setattr(pages, "MOST", 2 * F.nbytes)
    place = address(results[2])
    del results[2]
    assert held() == 3 * F.nbytes
    fourth = gradient(F, axis=2)
    assert address(fourth) == place
    assert held() == 2 * F.nbytes
    np.testing.assert_array_equal(results[0], np.gradient(F, axis=2))  # no longer kept track of
    monkeypatch.setattr(pages, "MOST", F.nbytes - 1)
    pages.forget()
    gradient(F, axis=2)
    assert held() == 0


def test_nothing_is_left_where_somebody_has_said_what_to_keep(handed, monkeypatch):
    monkeypatch.setattr(pages, "is_left_alone", lambda: False)
    gradient(F, axis=2)
    assert held() == 0


def test_the_system_may_take_back_what_a_result_has_left(handed):
    """Of a result that is gone, pages are free to be taken, without a line of Python run."""
    result = gradient(np.zeros((64, 128, 256), "f4"), axis=2)
    (lent,) = pages._lent
    assert free_pages(lent.array) == 0
    traced = []
    sys.setprofile(lambda frame, event, arg: traced.append((event, arg)))
    del result
    sys.setprofile(None)
    assert [event for event, _ in traced if event in ("call", "exception")] == []
    assert lent.watch() is None
    assert free_pages(lent.array) > 0.9 * lent.array.nbytes


def free_pages(array):
    """The bytes around an array that the system may take back."""
    middle, kb = array.unsafe_buffer_pointer() + array.nbytes // 2, 0
    with open("/proc/self/smaps") as lines:
        for line in lines:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                low, high = (int(end, 16) for end in words[0].split("-"))
            elif words[0] == "LazyFree:" and low <= middle < high:
                kb = int(words[1])
    return 1024 * kb


MIB = 1 << 20
ENVIRONMENTS = {  # what the environment says, and from which size on XLA is handed memory
    "as it comes": ({}, 32 * MIB + 1),
    "a worker of dask": ({"MALLOC_TRIM_THRESHOLD_": "65536"}, 4 * MIB),
    "mapped late": ({"MALLOC_MMAP_THRESHOLD_": str(64 * MIB)}, 64 * MIB + 1),
}


@pytest.mark.parametrize(("environment", "least"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_where_memory_is_handed_over(glibc, monkeypatch, environment, least):
    glibc(environment)
    assert pages.gives(least)
    assert not pages.gives(least - 1)
    assert memory.is_left_alone() == (not environment)
    monkeypatch.setattr(memory, "_tuned", 1 << 31)
    assert not pages.gives(1 << 30)
    assert not memory.is_left_alone()


def test_other_allocators_keep_memory_in_their_own_way(monkeypatch):
    monkeypatch.setattr(memory, "_other_allocator", lambda: "jemalloc")
    assert not pages.gives(1 << 30)


@pytest.mark.parametrize("switch", ["always madvise [never]\n", None])
def test_without_huge_pages_there_are_tiles(monkeypatch, tmp_path, switch):
    file = tmp_path / "enabled"
    if switch:
        file.write_text(switch)
    monkeypatch.setattr(pages, "_SWITCH", file)
    assert not pages._can_be_had.__wrapped__()


def test_a_version_of_xla_that_is_not_known_is_left_alone(monkeypatch):
    monkeypatch.setattr(pages, "_version", lambda: (1, 0))
    assert not pages._can_be_had.__wrapped__()


def test_a_version_that_xla_refuses_does_no_harm(monkeypatch):
    monkeypatch.setattr(pages, "_version", lambda: (0, 99))
    monkeypatch.setattr(pages, "_TARGET", "fdgrad_dask_of_version_99")
    pages._maker.cache_clear()
    assert not pages._can_be_had.__wrapped__()
    pages._maker.cache_clear()
    assert jax.jit(lambda x: x + 1)(1) == 2


def test_huge_pages_are_what_a_large_result_lies_in():
    (array,) = pages.take(1, (16, MIB), DTYPE)
    start = array.unsafe_buffer_pointer() + array.nbytes // 2
    with open("/proc/self/smaps") as lines:
        flags = []
        for line in lines:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                low, high = (int(end, 16) for end in words[0].split("-"))
            elif words[0] == "VmFlags:" and low <= start < high:
                flags = words[1:]
    assert "hg" in flags


# -- what XLA reads --------------------------------------------------------------------------


@pytest.fixture
def nothing_read(monkeypatch):
    monkeypatch.setattr(scratch, "_read", [])


def test_the_end_waits_until_xla_has_let_go(nothing_read):
    memory = scratch.Memory(np.zeros(1000, "f4"), 0, (1000,))
    scratch._read.append(weakref.ref(memory))
    let_go = []

    def later(held):
        time.sleep(0.2)
        let_go.append(True)
        held.clear()

    held = [memory]
    del memory
    threading.Thread(target=later, args=(held,)).start()
    scratch.await_release()
    assert let_go


def test_the_end_does_not_wait_for_ever(nothing_read, monkeypatch):
    monkeypatch.setattr(scratch, "RELEASED", 0.01)
    memory = scratch.Memory(np.zeros(1000, "f4"), 0, (1000,))
    scratch._read.append(weakref.ref(memory))
    scratch.await_release()
    assert [memory] == [known() for known in scratch._read]


@pytest.mark.parametrize("swept", [0, 1 << 60], ids=["swept", "in tiles"])
def test_the_input_is_let_go_of_before_the_call_returns(handed, monkeypatch, swept):
    monkeypatch.setattr(tiles, "SWEPT", swept)
    for _ in range(40):
        raw = bytearray(np.ones((60, 50, 40)).tobytes())
        f = np.frombuffer(raw).reshape(60, 50, 40)
        gradient(f, axis=0)
        del f
        raw.append(0)  # a BufferError while anybody holds it
    assert not any(memory() is not None for memory in scratch._read)


LAST = """
import numpy as np, fdgrad_dask as fd
f = np.ones((12, 300, 1000), "f4")
result = fd.gradient(f, 0.5, axis=2)
"""


def test_a_process_whose_last_act_was_a_gradient_ends_well():
    """XLA's thread must not come to let go of ``f`` when Python has ended: it was aborted then."""
    started = [subprocess.Popen([sys.executable, "-c", LAST], stderr=-1) for _ in range(4)]
    for process in started:
        _, said = process.communicate()
        assert process.returncode == 0, said
