"""The target: aligned, checked, whole, and only then under its name."""

from __future__ import annotations

import errno
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

from fdgrad_dask.errors import ConfigError, InputError, OutputError
from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.planning.job import laid_out, template
from fdgrad_dask.pipeline.store.base import Held
from fdgrad_dask.pipeline.store.folder import writing
from fdgrad_dask.pipeline.store.zarr import ZarrFolder, is_empty

TARGET = Target(path="deep/out.zarr")


@pytest.fixture
def result(sst: xr.Dataset) -> xr.Dataset:
    lazy = sst.set_coords(["crs", "latitude_bnds"]).chunk(time=3, longitude=5)
    lazy["sst"].encoding = {"dtype": "int16", "scale_factor": 0.1, "chunksizes": (1, 1, 1)}
    return lazy


def laid(result: xr.Dataset, target: Target, wanted: dict[str, Any] | None = None) -> Any:
    """The layout, and a store that is laid out in it."""
    chunks = {"time": 3, "longitude": 5} if wanted is None else wanted
    source = Source(path=("in",), chunks={d: n for d, n in chunks.items() if d in result.sizes})
    layout = laid_out(result, target, source, {})
    store = ZarrFolder(target)
    store.lay_out(template(result, layout, target), list(map(str, result.variables)))
    return layout, store


def written(
    result: xr.Dataset, *, target: Target = TARGET, wanted: dict[str, Any] | None = None
) -> xr.Dataset:
    layout, store = laid(result, target, wanted)
    writer = store.writer()
    for name, array in result.data_vars.items():
        whole = array.data.rechunk(tuple(layout.shards[str(dim)] for dim in array.dims))
        for place in np.ndindex(whole.numblocks):
            corner = tuple(i * n for i, n in zip(place, whole.chunksize, strict=True))
            shard = writer.write(str(name), corner, whole.blocks[place].compute(scheduler="sync"))
            assert store.checksum(shard.key) == shard.checksum
    store.publish([], {})
    return xr.open_zarr(target.path, decode_timedelta=False)


def test_what_was_written_is_what_was_computed(result: xr.Dataset, sst: xr.Dataset) -> None:
    found = written(result)
    xr.testing.assert_identical(found.compute(), sst)
    assert sorted(os.listdir("deep")) == ["out.zarr"]


def test_it_is_zarr_3_with_checksums_and_one_index_of_metadata(result: xr.Dataset) -> None:
    written(result)
    group = zarr.open_group(TARGET.path, mode="r")
    assert group.metadata.zarr_format == 3
    assert group.metadata.consolidated_metadata is not None
    for _, array in group.arrays():
        assert array.metadata.codecs[-1].to_dict()["name"] == "crc32c"  # type: ignore[union-attr]
    assert group["sst"].chunks == (3, 5, 5)  # type: ignore[union-attr]
    assert group["sst"].dtype == np.float32  # type: ignore[union-attr]


def test_a_flipped_bit_is_found(result: xr.Dataset) -> None:
    found = written(result)
    chunk = Path(TARGET.path, "sst", "c", "0", "0", "1")
    held = bytearray(chunk.read_bytes())
    held[len(held) // 2] ^= 1
    chunk.write_bytes(held)
    with pytest.raises(ValueError, match="checksum"):
        found.sst.compute(scheduler="sync")


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_chunks_of_nothing_but_the_fill_value_are_there(value: float) -> None:
    array = xr.DataArray(da.full((4, 6), value, chunks=(2, 3)), dims=("y", "x"))
    written(xr.Dataset({"a": array}), wanted={"y": 2, "x": 3})
    assert len([*Path(TARGET.path, "a", "c").glob("*/*")]) == 4


def test_a_hole_would_read_as_missing(result: xr.Dataset) -> None:
    written(result)
    Path(TARGET.path, "sst", "c", "0", "0", "1").unlink()
    assert np.isnan(xr.open_zarr(TARGET.path).sst[:3, :, 5:]).all()


@pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification")
def test_calendars_text_and_coordinates_named_alike_survive() -> None:
    times = xr.date_range("2000-01-30", periods=3, calendar="360_day", use_cftime=True)
    whole = xr.Dataset(
        {"a": ("time", da.arange(3, chunks=2))},
        coords={
            "time": ("time", times, {"bounds": "time_bnds"}),
            "time_bnds": (("time", "bnds"), np.stack([times.values, times.values], axis=1)),
            "tim": ("time", [1, 2, 3]),
            "month": ("time", np.array(["January", "February", "March"])),
        },
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written(whole, wanted={"time": 2})
    found = xr.open_zarr(TARGET.path)
    assert found.time.dt.calendar == "360_day"
    assert {"tim", "month"} <= set(found.coords)
    xr.testing.assert_equal(found.set_coords("time_bnds").compute(), whole)


def test_shards_hold_chunks_and_may_reach_beyond_the_end(result: xr.Dataset) -> None:
    target = Target(
        path="deep/out.zarr", chunks={"time": 1, "longitude": 3}, shards={"longitude": 6}
    )
    found = written(result, target=target)
    np.testing.assert_array_equal(found.sst.values, result.sst.values)
    array = zarr.open_group(TARGET.path, mode="r")["sst"]
    assert (array.chunks, array.shards) == ((1, 5, 3), (1, 5, 6))  # type: ignore[union-attr]
    assert len([*Path(TARGET.path, "sst", "c").glob("*/*/*")]) == 4 * 1 * 2
    with pytest.raises(
        ConfigError,
        match=r"target.shards: 5 points along 'longitude' are no whole number of chunks of 3; "
        r"choose 3, or another target.chunks",
    ):
        laid(result, Target(path="a.zarr", chunks={"longitude": 3}, shards={"longitude": 5}))


@pytest.mark.parametrize("section", ["chunks", "shards", "regions"])
def test_an_unknown_dimension(section: str, result: xr.Dataset) -> None:
    with pytest.raises(
        ConfigError, match=rf"target.{section}: no dimension 'tim'; did you mean 'time'\?"
    ):
        laid(result, Target(path="deep/out.zarr", **{section: {"tim": 2}}))


@pytest.mark.parametrize("compression", ["fast", "archive"])
def test_both_compressions_end_in_a_checksum(compression: Any, result: xr.Dataset) -> None:
    found = written(result, target=Target(path="deep/out.zarr", compression=compression))
    np.testing.assert_array_equal(found.sst.values, result.sst.values)
    codecs = zarr.open_group(TARGET.path, mode="r")["sst"].metadata.codecs  # type: ignore[union-attr]
    names = [codec.to_dict()["name"] for codec in codecs]  # type: ignore[union-attr]
    assert names == ["bytes", "blosc", "crc32c"]


def test_bits_are_rounded_off_on_request_and_it_is_told() -> None:
    values = np.array([np.pi, -np.pi, 0.0, np.nan, np.inf, 1e30], np.float32)
    whole = xr.Dataset({"a": ("x", da.from_array(values)), "n": ("x", da.arange(6))})
    target = Target(path="deep/out.zarr", round_bits=7)
    found = written(whole, target=target, wanted={})
    np.testing.assert_allclose(found.a, values, rtol=2.0**-8)
    assert float(found.a[0]) != np.float32(np.pi)
    assert np.isnan(found.a[3])
    assert (found.a.values.view("u4")[[0, 1, 2, 5]] & (2**16 - 1) == 0).all()
    assert found.a.attrs == {"_QuantizeBitRoundNumberOfSignificantBits": 7}
    assert found.n.attrs == {}
    np.testing.assert_array_equal(found.n, np.arange(6))


def test_durations_are_whole_nanoseconds() -> None:
    values = np.array([1, 5_000_000_000, "NaT"], "timedelta64[ns]")
    written(xr.Dataset({"a": ("x", da.from_array(values))}), wanted={})
    found = xr.open_zarr(TARGET.path, decode_timedelta=True)
    np.testing.assert_array_equal(found.a, values)


def test_what_lies_there_is_told(result: xr.Dataset) -> None:
    store = ZarrFolder(TARGET)
    assert store.state() == "absent"
    assert (store.free() or 0) > 0
    laid(result, TARGET)
    assert store.state() == "unfinished"
    assert store.absent(["sst/c/0/0/0", "time/c/0"]) == {"sst/c/0/0/0"}
    assert store.checksum("sst/c/0/0/0") is None
    written(result)
    assert store.state() == "finished"
    assert store.absent(["sst/c/0/0/0"]) == set()


def test_the_layout_has_no_more_tasks_for_more_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    many = xr.Dataset({"a": (("y", "x"), da.zeros((10**6, 10**6), chunks=-1))})
    layout, _ = laid(many, TARGET, {"y": 100, "x": 100})
    assert layout.chunks == {"y": 100, "x": 100}
    assert sorted(os.listdir(Path("deep", "out.zarr.partial"))) == ["a", "zarr.json"]


def test_the_rest_of_a_run_that_ended_early_is_replaced(result: xr.Dataset) -> None:
    laid(result, TARGET)
    torn = Path("deep/out.zarr.partial/sst", f"zarr.{'0123456789abcdef' * 2}.partial")
    torn.write_text("as zarr leaves it when it is killed")
    written(result)
    assert not Path(TARGET.path, "sst", torn.name).exists()
    laid(result, TARGET)
    Path("deep/out.zarr.partial", "stray").write_text("of somebody else")
    with pytest.raises(OutputError, match="holds what fdgrad did not write; move it"):
        laid(result, TARGET)
    assert Path("deep/out.zarr.partial", "stray").exists()


@pytest.mark.parametrize("path", ["deep/out.zarr", "deep/out.zarr.partial"])
def test_what_is_no_zarr_says_of_nobody_that_he_wrote_it(path: str) -> None:
    Path(path).mkdir(parents=True)
    Path(path, "thesis.txt").write_text("four years")
    assert [*ZarrFolder(TARGET).held()] == [Held(path, path.endswith(".partial"), None)]


def test_a_target_under_a_file(result: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file")
    with pytest.raises(OutputError, match=r"deep cannot be written: .*exists; fix the path, or"):
        laid(result, TARGET)


SAID: list[tuple[OSError, str]] = [
    (
        OSError(errno.ENOSPC, "No space left on device", "deep/out.zarr.partial/sst/c/0"),
        r"sst/c/0 cannot be written: the disk is full, .*B are free; make room, or name a target",
    ),
    (OSError(errno.EDQUOT, "Quota"), r"out.zarr.partial cannot be written: the disk is full"),
    (PermissionError(errno.EACCES, "Permission denied"), r"permission denied; fix the permissions"),
    (OSError(errno.EROFS, "Read-only file system"), r"its file system is read-only; mount it"),
    (OSError(errno.EFBIG, "File too large"), r"raise ulimit -f, or lower target.shards"),
    (OSError("no number"), r"no number; fix the path"),
]


@pytest.mark.parametrize(("error", "message"), SAID)
def test_what_the_file_system_says_is_told(error: OSError, message: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    arrived: Any = pickle.loads(pickle.dumps(error))
    with pytest.raises(OutputError, match=message), writing(ZarrFolder(TARGET)._partial):
        raise arrived


def test_what_icechunk_hears_of_the_file_system_is_told() -> None:
    said = type("IcechunkError", (Exception,), {"__module__": "icechunk"})
    for number, message in (
        (28, "the disk is full"),
        (13, "permission denied; fix"),
        (27, "ulimit"),
    ):
        text = f"x object store error\nUnable to open (os error {number})"
        with pytest.raises(OutputError, match=message), writing("out.icechunk"):
            raise said(text)


def test_a_folder_that_may_not_be_read_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: str) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", folder)

    Path("out.zarr").mkdir()
    assert is_empty("out.zarr")
    monkeypatch.setattr(os, "listdir", refuse)
    assert not is_empty("out.zarr")


def test_errors_of_ours_pass() -> None:
    with pytest.raises(InputError, match="damaged"), writing(ZarrFolder(TARGET)._partial):
        raise InputError("damaged")
