"""Large results lie in the buffers of results that are gone, never in one still seen."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
from counting import compilations

from fdgrad_dask import gradient, operators
from fdgrad_dask.blocks import allocator, buffers, host

F = np.random.default_rng(1).standard_normal((5, 6, 7)).astype("f4")

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.fixture
def reused(monkeypatch, default_allocator):
    """Results of this size are computed in place, and their buffers reused."""
    monkeypatch.setattr(buffers, "MIN_SIZE", F.nbytes // 2)
    monkeypatch.setattr(host, "MIN_COLUMNS", 1)
    buffers.clear()
    yield
    buffers.clear()


def address(array):
    return array.ctypes.data


def kept():
    """The bytes of buffers that are remembered."""
    return sum(each.array.nbytes for each in buffers._results)


def test_a_result_lies_where_one_that_is_gone_did(reused):
    with compilations() as compiled:
        first = gradient(F, axis=2)
        place, want = address(first), np.gradient(F, axis=2)
        np.testing.assert_array_equal(first, want)
        before = len(compiled)
        view = first[1:, ::2]
        del first
        second = gradient(F, axis=2)  # the first is still seen, so its buffer is not free
        assert address(second) != place
        np.testing.assert_array_equal(view, want[1:, ::2])
        del view
        third = gradient(F, axis=2)
        assert address(third) == place
        assert len(compiled) == before + 1  # for memory that is handed over; once
        del third
        fourth = gradient(F, axis=2)
        assert address(fourth) == place
        assert len(compiled) == before + 1
    for result in (second, fourth):
        np.testing.assert_array_equal(result, want)
        assert result.flags.writeable


def test_where_too_few_are_free_xla_allocates_and_the_free_ones_stay(reused):
    """To make what is missing would write it twice."""
    assert buffers.take(1, (3, 1024), np.dtype("f4")) == []
    first, second = gradient(F, axis=2), gradient(F, axis=1)
    like, place = buffers._results[0].array, address(first)
    del first
    assert buffers.take(2, like.shape, like.dtype) == []
    assert kept() == 2 * like.nbytes
    (taken,) = buffers.take(1, like.shape, like.dtype)
    assert taken.unsafe_buffer_pointer() == place
    del second
    assert kept() == like.nbytes


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", "i4"])
def test_every_dtype(reused, dtype):
    """What is donated is like the results: JAX warns of a donation that is of no use."""
    f = (100 * F).astype(dtype)
    for axis in (2, 2, 1, 0):
        got, want = gradient(f, axis=axis), np.gradient(f, axis=axis)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-14 if want.dtype.kind == "c" else 0)


def test_all_outputs_of_an_operator(reused, monkeypatch):
    coords = {
        "lat": ("lat", np.linspace(-90, 90, 6), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(0, 360, 360 / 7), {"units": "degrees_east"}),
    }
    u, v = (
        xr.DataArray(f, coords, ("time", "lat", "lon"), attrs={"units": "m s-1"}) for f in (F, -F)
    )
    two = ["divergence", "vorticity"]
    first = operators.kinematics(u, v, which=two).load()
    second = operators.kinematics(v, u, which=two)
    monkeypatch.setattr(buffers, "MIN_SIZE", 1 << 60)
    xr.testing.assert_identical(first, operators.kinematics(u, v, which=two))
    xr.testing.assert_identical(second, operators.kinematics(v, u, which=two))


def test_results_that_are_alive_have_buffers_of_their_own(reused):
    results = [gradient(F * i, axis=1) for i in range(8)]
    assert len({address(result) for result in results}) == 8
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, np.gradient(F * i, axis=1))


def test_threads_do_not_get_the_same_buffer(reused):
    def many(i):
        for _ in range(20):
            result = gradient(F + i, axis=0)
            np.testing.assert_array_equal(result, np.gradient(F + i, axis=0))
            del result
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(many, range(4)))


def test_no_more_than_so_much_is_kept(reused, monkeypatch):
    results = [gradient(F, axis=2) for _ in range(3)]
    monkeypatch.setattr(buffers, "MAX_KEPT", 2 * F.nbytes)
    place = address(results[2])
    del results[2]
    assert kept() == 3 * F.nbytes
    fourth = gradient(F, axis=2)
    assert address(fourth) == place
    assert kept() == 2 * F.nbytes
    newest = [address(results[1]), address(fourth)]
    assert [each.array.unsafe_buffer_pointer() for each in buffers._results] == newest
    np.testing.assert_array_equal(results[0], np.gradient(F, axis=2))  # no longer remembered
    monkeypatch.setattr(buffers, "MAX_KEPT", 4 * F.nbytes)
    buffers.clear()
    wide = [gradient(F, axis=2), gradient(F.astype("f8"), axis=2)]
    assert kept() == sum(each.nbytes for each in wide) == 3 * F.nbytes
    monkeypatch.setattr(buffers, "MAX_KEPT", 2 * F.nbytes)
    narrow = gradient(F, axis=2)
    assert kept() == narrow.nbytes  # the oldest went first, each with its own size
    monkeypatch.setattr(buffers, "MAX_KEPT", F.nbytes - 1)
    buffers.clear()
    gradient(F, axis=2)
    assert kept() == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_TRIM_THRESHOLD_": "65536"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1073741824"},
    ],
    ids=str,
)
def test_nothing_is_kept_where_somebody_has_said_what_to_keep(reused, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    gradient(F, axis=2)
    assert kept() == 0


def test_nothing_is_kept_beside_another_allocator(reused, monkeypatch):
    monkeypatch.setattr(allocator, "_other_allocator", lambda: "jemalloc")
    gradient(F, axis=2)
    assert kept() == 0


def test_small_results_are_left_to_the_allocator(default_allocator):
    least, most = 32 << 20, 512 << 20
    assert not buffers.is_reused(least - 1)
    assert buffers.is_reused(least)
    assert buffers.is_reused(most)
    assert not buffers.is_reused(most + 1)


def test_no_python_runs_when_a_result_is_freed(reused):
    """A signal could be handled in such code, and what its handler raises would be lost."""
    result = gradient(F, axis=2)
    traced = []
    sys.setprofile(lambda frame, event, arg: traced.append((event, arg)))
    del result
    sys.setprofile(None)
    assert [event for event, _ in traced if event in ("call", "exception")] == []
    assert [each.seen() for each in buffers._results] == [None]


def test_buffers_that_the_user_deletes_are_not_donated(reused):
    result = gradient(F, axis=2)
    del result
    for each in buffers._results:  # not all live arrays, which are those of other tests too
        each.array.delete()
    np.testing.assert_array_equal(gradient(F, axis=2), np.gradient(F, axis=2))
