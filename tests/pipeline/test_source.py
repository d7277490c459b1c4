"""Every kind of source opens lazily, and says what is wrong with it."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from zarr.storage import LocalStore

from fdgrad_dask.errors import ConfigError, InputError
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source.formats import open_netcdf
from fdgrad_dask.pipeline.source.open import open_source

ERA_INTERIM = Path(__file__).parents[3] / "shared" / "data" / "eraint_uvz.nc"


def opened(path: str | list[str], **chunks: int | str) -> xr.Dataset:
    paths = (path,) if isinstance(path, str) else tuple(path)
    return open_source(Source(path=paths, chunks=chunks))


def fail_if_called(*_: Any, **__: Any) -> None:
    raise AssertionError("something was computed")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
def test_zarr_keeps_its_chunks(sst: xr.Dataset, zarr_format: Any, consolidated: bool) -> None:
    sst.chunk(time=2, longitude=3).to_zarr(
        "in.zarr", zarr_format=zarr_format, consolidated=consolidated
    )
    found = opened("in.zarr")
    assert found.sst.chunks == ((2, 2), (5,), (3, 3, 2))
    xr.testing.assert_identical(found.compute(), sst.set_coords(["crs", "latitude_bnds"]))


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF3_64BIT"])
def test_netcdf_is_read_in_the_chunks_asked_for(sst: xr.Dataset, format: Any) -> None:
    sst.to_netcdf("in.nc", format=format)
    assert opened("in.nc").sst.chunks == ((4,), (5,), (8,))
    found = opened("in.nc", time=3, latitude=-1, longitude="auto")
    assert found.sst.chunks == ((3, 1), (5,), (8,))
    np.testing.assert_array_equal(found.sst, sst.sst)


def test_netcdf_keeps_the_chunks_of_the_file(sst: xr.Dataset) -> None:
    sst.to_netcdf("in.nc", encoding={"sst": {"chunksizes": (2, 5, 4)}})
    assert opened("in.nc").sst.chunks == ((2, 2), (5,), (4, 4))
    assert opened("in.nc", longitude=8).sst.chunks == ((2, 2), (5,), (8,))


def test_netcdf_without_chunks_is_still_cut(sst: xr.Dataset) -> None:
    sst.to_netcdf("in.nc")
    with dask.config.set({"array.chunk-size": "256 B"}):
        assert opened("in.nc").sst.data.npartitions > 1


def test_opening_reads_no_field_and_computes_nothing(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fdgrad_dask.pipeline.source.open._read", fail_if_called)
    with dask.config.set(scheduler=fail_if_called):
        found = opened(source)
    assert found.sst.chunks is not None


def test_small_coordinates_are_in_memory_and_belong_to_the_fields(source: str) -> None:
    found = opened(source)
    assert {"crs", "latitude_bnds", "depth", "time"} <= set(found.coords)
    assert all(found[name].chunks is None for name in found.coords)
    assert "crs" in found.sst.coords


def test_files_of_a_pattern_follow_one_another(sst: xr.Dataset) -> None:
    for number, part in enumerate([slice(2, 4), slice(0, 2)]):
        sst.isel(time=part).to_netcdf(f"part{number}.nc")
    found = opened("part*.nc")
    xr.testing.assert_identical(found.compute(), sst.set_coords(["crs", "latitude_bnds"]))
    assert found.sst.chunks == ((2, 2), (5,), (8,))
    assert found.latitude_bnds.dims == ("latitude", "bnds")


def test_zarr_and_netcdf_may_be_named_together(sst: xr.Dataset) -> None:
    sst.isel(time=slice(0, 2)).to_zarr("a.zarr", zarr_format=2)
    sst.isel(time=slice(2, 4)).to_netcdf("b.nc")
    np.testing.assert_array_equal(opened(["a.zarr", "b.nc"]).sst, sst.sst)


def test_a_chunk_can_travel_to_a_worker(sst: xr.Dataset) -> None:
    sst.to_netcdf("in.nc")
    sent = pickle.loads(pickle.dumps(opened("in.nc", time=1).sst.data))
    np.testing.assert_array_equal(sent.compute(), sst.sst)


def test_text_is_left_in_the_file(sst: xr.Dataset) -> None:
    sst.assign(station=("time", np.array(list("abcd"), dtype=object))).to_netcdf("in.nc")
    assert list(opened("in.nc").station.values) == list("abcd")


@pytest.mark.skipif(not ERA_INTERIM.exists(), reason="the data lies beside the checkout")
def test_a_harmless_fill_value_is_no_warning() -> None:
    assert opened(str(ERA_INTERIM), month=1).u.chunks == ((1, 1), (3,), (241,), (480,))


def test_samples_open_by_name() -> None:
    found = opened("sample:ostia_monthly.nc")
    assert found.surface_temperature.shape == (54, 18, 432)
    assert found.time.dtype.kind == "M"
    assert opened("sample:A1B_north_america.nc").time.dt.calendar == "360_day"


def test_a_sample_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no sample 'ostia.nc'; did you mean 'ostia_monthly.nc'"):
        opened("sample:ostia.nc")
    monkeypatch.setattr("fdgrad_dask.pipeline.source.remote.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"needs the package iris-sample-data.*'fdgrad_dask\[samples\]'"
    ):
        opened("sample:ostia_monthly.nc")


@pytest.mark.parametrize(("name", "extra"), [("in.nc", "netcdf"), ("in.grib2", "grib")])
def test_files_need_their_package(
    name: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"GRIB")
    monkeypatch.setattr("fdgrad_dask.pipeline.source.formats.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"not installed: pip install 'fdgrad_dask\[{extra}\]'"):
        opened(name)


@pytest.mark.parametrize("end", [b"", b"7777GRIB", b"7777" + bytes(9) + b"77"])
def test_a_grib_file_that_was_cut_short(
    end: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fdgrad_dask.pipeline.source.formats.find_spec", lambda name: name)
    (tmp_path / "in.grib").write_bytes(b"GRIB" + bytes(20) + end)
    with pytest.raises(InputError, match=r"does not end with the end of a GRIB message: .* fetch"):
        opened("in.grib")


def test_padding_behind_the_last_message_is_part_of_a_grib_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fdgrad_dask.pipeline.source.formats.find_spec", lambda name: name)
    (tmp_path / "in.grib").write_bytes(b"GRIB" + bytes(20) + b"7777" + bytes(100) + b"\r\r\n\x03")
    assert open_netcdf(str(tmp_path / "in.grib"), {}) == (str(tmp_path / "in.grib"), None)


MISSING = [
    ("sst.zar", "no source 'sst.zar'; did you mean 'sst.zarr'?"),
    ("nowhere/*.nc", "no source 'nowhere/\\*.nc': there is no folder 'nowhere'; fix the path"),
    ("*.nc", "no file matches '\\*.nc'; there is: sst.zarr"),
]


@pytest.mark.parametrize(("path", "message"), MISSING)
def test_what_is_not_there_is_named(path: str, message: str, source: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(path)


@pytest.mark.parametrize(
    ("written", "meant"), [("a [2020]/*.nc", "a [[]2020]/*.nc"), ("[v1]*.nc", "[[]v1]*.nc")]
)
def test_brackets_that_stand_for_themselves_are_written_otherwise(
    written: str, meant: str, sst: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path(written.replace("*", "t"))
    file.parent.mkdir(exist_ok=True)
    sst.to_netcdf(file)
    with pytest.raises(InputError, match="where the name has brackets, write ") as error:
        opened(written)
    assert repr(meant) in str(error.value)
    assert "sst" in opened(meant)


def test_a_file_that_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "in.nc").write_text("no data")
    (tmp_path / "empty.zarr").mkdir()
    for path in ("in.nc", "empty.zarr"):
        with pytest.raises(InputError, match=f"{path} cannot be opened .*give a Zarr folder or a"):
            opened(path)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (slice(0, 4), slice(0, 3), "they overlap along 'time'"),
        (slice(0, 3), slice(0, 4), "they overlap along 'time'"),
        (slice(0, 3), slice(2, 4), "they overlap along 'time'"),
        (
            slice(0, 3),
            slice(1, 4),
            "they overlap along 'time': a.nc ends at 2000-03-01 .*, b",
        ),
        (slice(0, 2), slice(0, 2), "a.nc and b.nc have the same points along 'time', 'latitude',"),
    ],
)
def test_files_that_do_not_fit_together(
    sst: xr.Dataset, first: slice, second: slice, message: str
) -> None:
    sst.isel(time=first).to_netcdf("a.nc")
    sst.isel(time=second).to_netcdf("b.nc")
    with pytest.raises(
        InputError, match=rf"the 2 files of a.nc and 1 more do not fit together.*{message}.*follow"
    ):
        opened(["a.nc", "b.nc"])


def test_a_file_that_lacks_a_field_is_named(sst: xr.Dataset) -> None:
    both = sst.assign(v=2 * sst.sst)
    both.isel(time=slice(0, 2)).to_netcdf("a.nc")
    both.isel(time=slice(2, 3)).drop_vars("v").to_netcdf("b.nc")
    both.isel(time=slice(3, 4)).to_netcdf("c.nc")
    with pytest.raises(
        InputError, match=r"together: b\.nc has no 'v', which a.nc has, .* along 'time'"
    ):
        opened(["a.nc", "b.nc", "c.nc"])


@pytest.mark.parametrize("path", ["in.zarr", "*.nc"])
def test_a_folder_that_may_not_be_read(
    path: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: str) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", folder)

    Path("in.zarr").mkdir()
    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(InputError, match=r"cannot be listed .*denied.*; fix its permissions"):
        opened(path)


def test_a_chunk_that_may_not_be_read_is_not_damaged(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "c/0")

    found = opened(source)
    monkeypatch.setattr(LocalStore, "get", refuse)
    with pytest.raises(InputError, match=r"cannot be read .*denied.*; fix its permissions"):
        found.sst.compute(scheduler="sync")


def test_files_that_differ_in_space(sst: xr.Dataset) -> None:
    sst.isel(time=slice(0, 2)).to_netcdf("a.nc")
    sst.isel(time=slice(2, 4), latitude=slice(0, 3)).to_netcdf("b.nc")
    with pytest.raises(InputError, match="do not fit together"):
        opened(["a.nc", "b.nc"])


def test_files_with_one_variable_each(sst: xr.Dataset) -> None:
    sst[["sst"]].to_netcdf("a.nc")
    (sst[["sst"]] * 2).rename(sst="double").to_netcdf("b.nc")
    found = opened(["a.nc", "b.nc"])
    np.testing.assert_array_equal(found.double, 2 * found.sst)


def test_chunks_of_an_unknown_dimension(source: str) -> None:
    with pytest.raises(ConfigError, match=r"no dimension 'lattitude'; did you mean 'latitude'"):
        opened(source, lattitude=2)


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
def test_a_damaged_chunk_is_named(damage: str, sst: xr.Dataset, tmp_path: Path) -> None:
    sst.chunk(time=2).to_zarr("in.zarr", zarr_format=3, consolidated=False)
    chunk = tmp_path / "in.zarr" / "sst" / "c" / "1" / "0" / "0"
    held = bytearray(chunk.read_bytes())
    held[:12] = bytes(12)
    chunk.write_bytes({"flipped": bytes(held), "cut": bytes(held[:5]), "emptied": b""}[damage])
    with pytest.raises(
        InputError, match=r"sst\[2:4, 0:5, 0:8\] of in.zarr cannot be read .*fetch it again"
    ):
        opened("in.zarr").sst.compute(scheduler="sync")
