"""A block in one sweep has the bits of its tiles, from wherever its memory begins."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from counting import CALLS, sources

from fdgrad_dask import gradient, operators
from fdgrad_dask.blocks import allocator as memory
from fdgrad_dask.blocks import sweep, tiles
from fdgrad_dask.blocks.kernel import on_sweep, on_tile

pytestmark = pytest.mark.usefixtures("kernels")

F = np.random.default_rng(1).standard_normal((12, 13, 14))
DIMS = ("time", "y", "x")
UNEVEN = np.cumsum(0.2 + np.random.default_rng(2).random(14))
OPTIONS = {
    "": {},
    "edges of second order": {"edge_order": 2},
    "second derivative": {"order": 2},
    "accuracy 4": {"accuracy": 4},
    "periodic": {"boundary": "periodic"},
    "mirrored, extended": {"boundary": ("reflect", "extend")},
    "numbers outside": {"boundary": (2.0, -1.0)},
    "one-sided beside gaps": {"skipna": "one-sided"},
}


@pytest.fixture
def swept(monkeypatch):
    """Blocks of any size are swept; how many kernels were compiled since, for sweeps and tiles."""
    monkeypatch.setattr(tiles, "SWEPT", 0)
    monkeypatch.setattr(sweep, "COLUMNS", 1)
    monkeypatch.setattr(sweep, "DERIVATIVES", 99)
    monkeypatch.setattr(sweep, "REACH", 4)
    on_sweep.clear_cache()
    on_tile.clear_cache()
    return lambda: (on_sweep._cache_size(), on_tile._cache_size())


def tiled(call, *args, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "SWEPT", 1 << 60)
        return call(*args, **options)


def differentiate(data, axis, points=None, **options):
    """By the accessor, which has all options."""
    points = np.arange(data.shape[axis]) if points is None else points
    field = xr.DataArray(data, dims=DIMS, coords={DIMS[axis]: points})
    return field.fdgrad.gradient(DIMS[axis], **options).compute(scheduler="synchronous").values


def same(got, want):
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("axis", "dtype"), [(0, "f8"), (1, "c8"), (2, "f4")])
def test_every_stencil_on_every_axis(swept, options, axis, dtype):
    f = F.astype(dtype)
    f[3, 4, 5] = np.nan
    for points in (None, UNEVEN[: f.shape[axis]]):
        if points is None or options.get("boundary") != "periodic":
            got = differentiate(f, axis, points, **options)
            same(got, tiled(differentiate, f, axis, points, **options))
    assert swept()[0] > 0


CUTS = [(12, 13, 7), (6, (7, 6), 7)]


@pytest.mark.parametrize("chunks", CUTS, ids=str)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_chunks_with_slabs_of_their_neighbours(swept, chunks, options):
    lazy = da.from_array(F, chunks=chunks)
    for axis in range(3):
        got = differentiate(lazy, axis, **options)
        same(got, tiled(differentiate, F, axis, **options))
    assert swept()[0] > 0 or "accuracy" in options  # a chunk may be too thin


@pytest.mark.parametrize("name", CALLS)
def test_every_operator(swept, name):
    """In chunks along time and longitude, as those of a climate model."""
    operator, names = CALLS[name]

    def run():
        result = operator(*sources(*names, chunks=(6, 60, 60))[1])
        result = result if isinstance(result, xr.Dataset) else result.to_dataset(name="f")
        return result.compute(scheduler="synchronous")

    xr.testing.assert_identical(run(), tiled(run))
    assert swept()[0] > 0


def test_a_factor_along_rows_and_columns_is_left_to_tiles(swept):
    """The metres of a curvilinear grid vary along both."""
    lat, lon = np.meshgrid(np.linspace(40, 60, 13), np.linspace(0, 30, 14), indexing="ij")
    f = xr.DataArray(F, dims=("time", "y", "x"), attrs={"units": "K"}).assign_coords(
        lat=(("y", "x"), lat, {"units": "degrees_north"}),
        lon=(("y", "x"), lon + lat / 9, {"units": "degrees_east"}),
    )
    got = operators.gradient_magnitude(f)
    same(got.values, tiled(operators.gradient_magnitude, f).values)


def at_every_offset(f):
    """The same numbers, beginning everywhere between two multiples of 64 bytes, and otherwise."""
    raw = np.empty(f.nbytes + 128, np.uint8)
    for start in range(0, 64, f.itemsize):
        begin = -raw.ctypes.data % 64 + start
        array = raw[begin : begin + f.nbytes].view(f.dtype).reshape(f.shape)
        array[...] = f
        yield array
    between = raw[1 : f.nbytes + 1].view(f.dtype).reshape(f.shape)
    between[...] = f
    yield between
    yield np.repeat(f, 2, axis=1)[:, ::2]
    yield f.astype(f.dtype.newbyteorder())
    locked = f.copy()
    locked.flags.writeable = False
    yield locked


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_memory_may_begin_anywhere(swept, dtype):
    f = F.astype(dtype)
    want = tiled(gradient, f, axis=1)
    for array in at_every_offset(f):
        before = array.tobytes()
        got = gradient(array, axis=1)
        same(got, want)
        assert got.flags.writeable
        got[...] = 0
        assert array.tobytes() == before
    assert swept() == (1, 1)  # one of them for the truth


def test_one_compilation_for_a_shape_and_its_walls(swept):
    for _ in range(2):
        lazy = da.from_array(np.random.default_rng().standard_normal((40, 6, 8)), chunks=(8, 6, 8))
        gradient(lazy, axis=0).compute(scheduler="synchronous")
        assert swept() == (3, 0)  # low, open, high


def test_integers_and_half_precision(swept):
    whole = (F * 100).astype("i2")
    same(gradient(whole, axis=2), np.gradient(whole, axis=2))
    half = F.astype("f2")
    same(gradient(half, axis=0), np.gradient(half, axis=0))


def test_results_outlive_what_they_were_made_of(swept):
    got = gradient(F.copy(), axis=0)
    for _ in range(8):
        gradient(np.zeros_like(F), axis=0)
    same(got, np.gradient(F, axis=0))


# -- where it pays ---------------------------------------------------------------------------


TUNABLES = (
    "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold={0}:glibc.malloc.trim_threshold={0}"
)
GIB = str(1 << 30)
KEPT = {  # the environment, and the largest block that is swept in it
    "as it comes": ({}, 1 << 25),
    "a worker of dask": ({"MALLOC_TRIM_THRESHOLD_": "65536"}, 0),
    "large blocks are given back at once": ({"MALLOC_TRIM_THRESHOLD_": GIB}, 0),
    "kept": ({"MALLOC_TRIM_THRESHOLD_": GIB, "MALLOC_MMAP_THRESHOLD_": GIB}, 1 << 26),
    "kept by tunables": ({"GLIBC_TUNABLES": TUNABLES.format(1 << 27)}, 1 << 23),
}


@pytest.mark.parametrize(("environment", "largest"), KEPT.values(), ids=KEPT)
def test_what_is_kept(glibc, monkeypatch, environment, largest):
    glibc(environment)
    assert memory.keeps(largest)
    assert not memory.keeps(largest + 1)
    monkeypatch.setattr(memory, "_tuned", 1 << 31)
    assert memory.keeps(1 << 30)


def test_small_blocks_and_those_of_fresh_memory_go_in_tiles(monkeypatch):
    on_sweep.clear_cache()
    f = np.zeros((64, 64, 256), "f4")  # 4 MB
    gradient(f[:4], axis=0)
    assert on_sweep._cache_size() == 0
    monkeypatch.setattr(tiles, "keeps", lambda size: False)
    gradient(f, axis=0)
    assert on_sweep._cache_size() == 0
    monkeypatch.setattr(tiles, "keeps", lambda size: True)
    gradient(f, axis=0)
    assert on_sweep._cache_size() == 1
