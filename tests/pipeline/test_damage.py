"""Damage to a source: found when it is opened or read, with file, array and place; never data."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from distributed.core import error_message
from zarr.codecs import Crc32cCodec, ZstdCodec

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.execute import distributed
from fdgrad_dask.pipeline.source.open import open_files, open_source

STORES: dict[str, tuple[int, dict[str, Any], str]] = {
    "v2": (2, {"chunks": (2, 5, 4)}, "sst/1.0.1"),
    "v3": (3, {"chunks": (2, 5, 4)}, "sst/c/1/0/1"),
    "shards": (3, {"chunks": (1, 5, 2), "shards": (2, 5, 4)}, "sst/c/1/0/1"),
}


@pytest.fixture(params=STORES)
def chunk(request: pytest.FixtureRequest, sst: xr.Dataset) -> Path:
    """One of four chunks or shards of in.zarr, which has sst[2:4, 0:5, 4:8]."""
    version, encoding, key = STORES[request.param]
    if version == 3:
        encoding = {**encoding, "compressors": (ZstdCodec(), Crc32cCodec())}
    sst.to_zarr("in.zarr", encoding={"sst": encoding}, zarr_format=version, consolidated=False)
    return Path("in.zarr") / key


def read(**options: Any) -> np.ndarray[Any, Any]:
    values = open_source(Source(path=("in.zarr",), **options)).sst.compute(scheduler="sync")
    return np.asarray(values)


def test_what_is_whole_is_read(chunk: Path, sst: xr.Dataset) -> None:
    assert chunk.stat().st_size > 0
    np.testing.assert_array_equal(read(), sst.sst)


PLACE = r"sst\[[23]:[34], 0:5, [46]:[68]\] of in.zarr cannot be read \("


def test_a_chunk_that_is_gone(chunk: Path, sst: xr.Dataset) -> None:
    chunk.unlink()
    key = re.escape(str(chunk.relative_to("in.zarr")))
    advice = "restore it, or, if this dataset omits empty chunks, set source.missing_chunks: fill"
    with pytest.raises(InputError, match=rf"{PLACE}the chunk '{key}' is missing.*; {advice}"):
        read()
    found = read(missing_chunks="fill")
    np.testing.assert_array_equal(found[:2], sst.sst[:2])
    assert np.all(np.isnan(found[2:, :, 4:]) | (found[2:, :, 4:] == 0))


@pytest.mark.parametrize("missing", ["error", "fill"])
def test_a_chunk_of_no_bytes(chunk: Path, missing: str) -> None:
    chunk.write_bytes(b"")
    key = re.escape(str(chunk.relative_to("in.zarr")))
    with pytest.raises(InputError, match=rf"{PLACE}the chunk '{key}' has 0 bytes; fetch it again"):
        read(missing_chunks=missing)


def test_a_chunk_cut_short(chunk: Path) -> None:
    chunk.write_bytes(chunk.read_bytes()[:-7])
    with pytest.raises(InputError, match=rf"{PLACE}.*fetch it again"):
        read()


def test_a_flipped_bit(chunk: Path) -> None:
    if chunk.name == "1.0.1":
        pytest.skip("Zarr 2 has no checksum here")
    held = bytearray(chunk.read_bytes())
    held[9] ^= 1
    chunk.write_bytes(held)
    with pytest.raises(InputError, match=rf"{PLACE}.*fetch it again"):
        read()


def test_a_lone_zero_has_no_chunk(sst: xr.Dataset) -> None:
    """xarray writes none where all values are the fill value: crs, and a single member 0."""
    made = sst.expand_dims(member=[0])
    made.to_zarr("in.zarr", zarr_format=3, consolidated=False)
    assert not Path("in.zarr/crs/c").exists()
    assert open_files(Source(path=("in.zarr",))).crs == 0
    assert read().shape == (1, 4, 5, 8)


# netCDF

FORMATS = ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]


def made(format: Any, *, records: int | None, fields: int = 2) -> bytes:
    """A file with fields of 3-byte rows, which are padded, along records or a fixed dimension."""
    with netCDF4.Dataset("in.nc", "w", format=format) as file:
        file.createDimension("time", None if records is not None else 4)
        file.createDimension("x", 3)
        file.title = "odd"
        for number in range(fields):
            field = file.createVariable(f"f{number}", "i1", ("time", "x"))
            field.valid_range = np.array([0, 100], "i1")
            field[:] = np.ones((4 if records is None else records, 3))
    return Path("in.nc").read_bytes()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "shape", [{"records": 5}, {"records": 5, "fields": 1}, {"records": 0}, {"records": None}]
)
def test_a_netcdf_file_is_as_long_as_it_promises(format: Any, shape: dict[str, Any]) -> None:
    whole = made(format, **shape)
    found = open_source(Source(path=("in.nc",)))
    assert found.f0.sum() == found.f0.size
    if shape["records"] == 0:
        return  # there is nothing behind the header
    size = len(whole) - 4
    Path("in.nc").write_bytes(whole[:size])
    with pytest.raises(
        InputError,
        match=rf"in.nc is {size} bytes, its header promises (\d+): it was cut short; fetch it",
    ) as caught:
        open_files(Source(path=("in.nc",)))
    promised = int(re.findall(r"promises (\d+)", str(caught.value))[0])
    assert len(whole) - 4 < promised <= len(whole)


@pytest.mark.parametrize("format", FORMATS)
def test_a_netcdf_file_cut_inside_its_header(format: Any) -> None:
    Path("in.nc").write_bytes(made(format, records=2)[:20])
    with pytest.raises(InputError, match=r"in\.nc is 20 bytes and ends inside its header: it was"):
        open_files(Source(path=("in.nc",)))


@pytest.mark.parametrize("version", ["earliest", "v108", "latest"])
@pytest.mark.parametrize("kept", [1, 2, 20, 100])
def test_hdf5_that_was_cut_short_is_refused(version: str, kept: int) -> None:
    """By HDF5 itself: by one byte, a half, in the header."""
    h5py = pytest.importorskip("h5py")
    with h5py.File("in.h5", "w", libver=(version, "latest")) as file:
        file["t"] = np.arange(1000.0)
    whole = Path("in.h5").read_bytes()
    assert "t" in open_files(Source(path=("in.h5",)))
    size = {1: len(whole) - 1, 2: len(whole) // 2}.get(kept, kept)
    Path("in.h5").write_bytes(whole[:size])
    with pytest.raises(InputError, match=r"in.h5 cannot be opened \(.*\).* that is complete"):
        open_files(Source(path=("in.h5",)))


# Coordinates


def time_as_float32(sst: xr.Dataset) -> xr.Dataset:
    """Seconds since 1900, which float32 tells apart only every few minutes."""
    seconds = (3.0e9 + 10 * np.arange(4)).astype(np.float32)
    return sst.assign_coords(time=("time", seconds))


COORDINATES: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], str]] = {
    "missing": (lambda sst: sst.drop_vars("latitude"), "no latitude, but a horizontal"),
    "duplicate": (lambda sst: sst.isel(latitude=[0, 1, 1, 2, 3]), r"latitude.*\b1\b"),
    "disorder": (lambda sst: sst.isel(latitude=[0, 2, 1, 3]), "latitude.* turns at position 1"),
    "NaN": (lambda sst: sst.assign_coords(latitude=[0.0, 1, np.nan, 3, 4]), r"latitude.*\b2\b"),
    "coarse": (time_as_float32, "time"),
}


@pytest.mark.parametrize("how", COORDINATES)
def test_a_coordinate_is_refused_before_there_is_a_cluster(
    how: str, sst: xr.Dataset, fdgrad: Callable[..., Any], write: Callable[..., str]
) -> None:
    broken, message = COORDINATES[how]
    broken(sst.drop_vars("latitude_bnds")).to_netcdf("broken.nc")
    steps = [
        {"operator": "horizontal_gradient", "inputs": ["sst"]},
        {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "time"}, "output": "a"},
    ]
    code, _, told = fdgrad("check", write(source={"path": "broken.nc"}, steps=steps))
    assert code == 3
    assert re.search(message, told), told


# What looking for damage costs


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of stores, in order."""
    from zarr.storage import LocalStore

    seen: list[str] = []

    def counted(method: str) -> None:
        original = getattr(LocalStore, method)

        async def asked(self: Any, key: str, *rest: Any, **more: Any) -> Any:
            seen.append(f"{method} {key}")
            return await original(self, key, *rest, **more)

        monkeypatch.setattr(LocalStore, method, asked)

    for method in ("get", "exists", "getsize"):
        counted(method)
    return seen


def test_a_chunk_is_asked_for_once(
    chunk: Path, requests: list[str], request: pytest.FixtureRequest
) -> None:
    lazy = open_source(Source(path=("in.zarr",)))
    requests.clear()
    lazy.sst.compute(scheduler="sync")
    # Of a shard, the index and the inner chunk, for each of its four inner chunks.
    inner = 4 * 2 if "[shards]" in request.node.name else 1
    assert len(requests) == 4 * inner
    assert {asked.split()[0] for asked in requests} == {"get"}


class StuckError(RuntimeError):
    """An error that cannot be pickled, as those of some stores."""

    def __reduce__(self) -> Any:
        raise TypeError("it stays here")


class NewError(RuntimeError):
    """One that pickles, but not as distributed would have it."""

    def __new__(cls, message: str) -> NewError:
        return super().__new__(cls, message)


@pytest.mark.parametrize("first", [ValueError("moves"), StuckError("stays"), NewError("what")])
def test_an_error_that_cannot_travel_does_not_keep_ours_back(
    first: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(attempts: Any) -> None:
        try:
            try:
                raise first
            except Exception as error:
                raise KeyError("between") from error
        except KeyError as error:
            raise InputError("ours") from error

    task = SimpleNamespace(compute=failing)
    monkeypatch.setitem(distributed._Handed.tasks, "run", task)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="ours") as caught:
        distributed.compute("run", [])
    sent: Any = error_message(caught.value)["exception"]
    arrived = pickle.loads(sent.data)
    assert isinstance(arrived, InputError)
    assert f"{type(first).__name__}: {first}" in arrived.__notes__[0]  # as --debug shows it
