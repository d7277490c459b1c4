"""Fields on a device: with their digits and labels, and without what no device takes."""

from __future__ import annotations

import dask.array as da
import jax
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from fdgrad_dask.halo.transfer import to_device

F = np.random.default_rng(1).standard_normal((4, 6))
DAYS = np.array(["2000-01-01", "2000-01-02"], "M8[D]")


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u2", "c16", "?"])
def test_numbers_keep_all_their_digits(dtype):
    f = (100 * F).astype(dtype)
    device = jax.devices()[0]
    for given in (f, to_device(f)):
        there = to_device(given, device)
        assert isinstance(there, jax.Array)
        assert there.dtype == dtype
        assert there.committed
        assert_array_equal(there, f)
    assert not to_device(f).committed
    lazy = to_device(da.from_array(f, chunks=(2, 3)))
    assert isinstance(lazy._meta, jax.Array)
    assert lazy.dtype == lazy._meta.dtype == dtype
    assert isinstance(lazy.blocks[0, 1].compute(), jax.Array)
    assert_array_equal(lazy.blocks[0, 1], f[:2, 3:])
    assert to_device(da.from_array(f, chunks=4), device).blocks[0, 0].compute().committed


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">c16"])
def test_numbers_in_another_byte_order_as_netcdf3_has_them(dtype):
    f = (100 * F).astype(dtype)
    lazy = to_device(da.from_array(f, chunks=(2, 3)))
    for there in (to_device(f), lazy.compute(), lazy):
        assert there.dtype == np.dtype(dtype).newbyteorder("=")
        assert_array_equal(there, f)


def test_labels_stay_and_dates_too():
    dataset = xr.Dataset({"t": ("x", F[0]), "day": ("d", DAYS)}, {"x": np.arange(6)}, {"a": 1})
    there = to_device(dataset)
    assert isinstance(there["t"].data, jax.Array)
    assert isinstance(there["x"].data, np.ndarray)
    xr.testing.assert_identical(there.as_numpy(), dataset)
    assert isinstance(to_device(dataset["t"]).data, jax.Array)
    assert to_device(dataset, jax.devices()[0])["t"].data.committed
    assert to_device(DAYS) is DAYS
    lazy = da.from_array(DAYS, chunks=1)
    assert to_device(lazy) is lazy


def test_what_no_device_takes_as_it_is():
    masked = np.ma.array(F)
    for data in (masked, F.view(np.matrix)):
        name = f"numpy.{type(data).__name__}"
        with pytest.raises(TypeError, match=rf"the data are of {name}, which no device takes"):
            to_device(data)
    with pytest.raises(TypeError, match=r"\.filled\(np\.nan\) for a masked array"):
        to_device(da.from_array(masked, chunks=2))


def test_a_file_in_memory_is_taken(tmp_path):
    mapped = np.memmap(tmp_path / "f", "f8", "w+", shape=(4, 6))
    mapped[...] = F
    assert_array_equal(to_device(mapped), F)
