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
from hypothesis import given
from hypothesis import strategies as st

from fdgrad_dask.errors import ConfigError, InputError, OutputError
from fdgrad_dask.pipeline import target as targets
from fdgrad_dask.pipeline.sections.target import Target

TARGET = Target(path="deep/out.zarr")


@pytest.fixture
def result(sst: xr.Dataset) -> xr.Dataset:
    lazy = sst.set_coords(["crs", "latitude_bnds"]).chunk(time=3, longitude=5)
    lazy["sst"].encoding = {"dtype": "int16", "scale_factor": 0.1, "chunksizes": (1, 1, 1)}
    return targets.aligned(lazy, {})


def written(result: xr.Dataset, *, target: Target = TARGET) -> xr.Dataset:
    targets.lay_out(target, result).compute(scheduler="sync")
    targets.publish(target)
    return xr.open_zarr(target.path)


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
    written(targets.aligned(xr.Dataset({"a": array}), {}))
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
        targets.lay_out(TARGET, targets.aligned(whole, {})).compute(scheduler="sync")
        targets.publish(TARGET)
    found = xr.open_zarr(TARGET.path)
    assert found.time.dt.calendar == "360_day"
    assert {"tim", "month"} <= set(found.coords)
    xr.testing.assert_equal(found.set_coords("time_bnds").compute(), whole)


chunkings = st.lists(st.integers(1, 7), min_size=1, max_size=6).map(tuple)


@given(chunkings, chunkings, st.integers(1, 40) | st.none())
def test_no_two_tasks_share_a_chunk(
    rows: tuple[int, ...], columns: tuple[int, ...], wanted: int | None
) -> None:
    field = da.zeros((sum(rows), sum(columns)), chunks=(rows, columns))
    lazy = xr.Dataset({"a": (("y", "x"), field)})
    found = targets.aligned(lazy, {} if wanted is None else {"y": wanted}).a
    for sizes, stored in zip(found.chunks, found.encoding["chunks"], strict=True):
        assert all(size % stored == 0 for size in sizes[:-1])
    assert found.encoding["chunks"][0] == min(wanted or max(rows), sum(rows))
    if wanted is not None and all(size % wanted == 0 for size in rows[:-1]):
        assert found.chunks[0] == rows


def test_chunks_of_an_unknown_dimension(result: xr.Dataset) -> None:
    with pytest.raises(
        ConfigError, match=r"target.chunks: no dimension 'tim'; did you mean 'time'\?"
    ):
        targets.aligned(result, {"tim": 2})


def test_a_result_in_memory_is_one_chunk(sst: xr.Dataset) -> None:
    assert targets.aligned(sst[["sst"]], {}).sst.chunks == ((4,), (5,), (8,))


def test_a_target_that_is_there_is_refused(result: xr.Dataset) -> None:
    targets.require_free(TARGET, fresh=False)
    written(result)
    with pytest.raises(
        OutputError, match=r"the target 'deep/out.zarr' exists; run with --fresh to replace it, or"
    ):
        targets.require_free(TARGET, fresh=False)
    targets.require_free(TARGET, fresh=True)
    written(targets.aligned(result + 1, {}))
    assert float(xr.open_zarr(TARGET.path).sst[0, 2, 0]) == 291


def test_an_old_target_stands_until_the_new_one_is_whole(result: xr.Dataset) -> None:
    written(result)
    targets.lay_out(TARGET, targets.aligned(result + 1, {}))
    assert float(xr.open_zarr(TARGET.path).sst[0, 2, 0]) == 290


def test_the_rest_of_a_run_that_ended_early_is_replaced(result: xr.Dataset) -> None:
    targets.lay_out(TARGET, result)
    stray = Path(targets.partial_name(TARGET), "stray")
    stray.write_text("of an earlier run")
    targets.require_free(TARGET, fresh=False)
    written(result)
    assert not Path(TARGET.path, "stray").exists()


@pytest.mark.parametrize("path", ["deep/out.zarr", "deep/out.zarr.partial"])
@pytest.mark.parametrize("fresh", [True, False])
def test_what_is_no_zarr_is_never_deleted(path: str, fresh: bool) -> None:
    Path(path).mkdir(parents=True)
    Path(path, "thesis.txt").write_text("four years")
    with pytest.raises(
        OutputError, match=rf"'{path}' exists and is no Zarr folder, so it is not replaced; move"
    ):
        targets.require_free(TARGET, fresh=fresh)


def test_a_target_under_a_file(result: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file")
    with pytest.raises(OutputError, match=r"deep cannot be written: .*exists; mend the path, or"):
        targets.lay_out(TARGET, result)


SAID: list[tuple[OSError, str]] = [
    (
        OSError(errno.ENOSPC, "No space left on device", "deep/out.zarr.partial/sst/c/0"),
        r"sst/c/0 cannot be written: the disk is full, .*B are free; make room, or name a target",
    ),
    (OSError(errno.EDQUOT, "Quota"), r"out.zarr.partial cannot be written: the disk is full"),
    (PermissionError(errno.EACCES, "Permission denied"), r"permission denied; mend the rights"),
    (OSError(errno.EROFS, "Read-only file system"), r"permission denied; mend the rights"),
    (OSError(errno.EFBIG, "File too large"), r"File too large; mend the path, or name another"),
    (OSError("no number"), r"no number; mend the path"),
]


@pytest.mark.parametrize(("error", "message"), SAID)
def test_what_the_file_system_says_is_told(error: OSError, message: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    arrived: Any = pickle.loads(pickle.dumps(error))
    with pytest.raises(OutputError, match=message), targets.writing(TARGET):
        raise arrived


def test_errors_of_ours_pass() -> None:
    with pytest.raises(InputError, match="damaged"), targets.writing(TARGET):
        raise InputError("damaged")
