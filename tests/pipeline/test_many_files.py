"""Many files as one: counted opens and handles, any chunks, any way to index."""

from __future__ import annotations

import os
import pickle
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source import concat
from fdgrad_dask.pipeline.source.open import chunked, open_files, open_source

MANY = 400  # more than are open at a time


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hundreds of files of two hours each, with a label beside time that tells the file."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(MANY):
        with netCDF4.Dataset(folder / f"{number:04}.nc", "w", format="NETCDF3_CLASSIC") as file:
            file.createDimension("time", None)
            file.createDimension("x", 3)
            time = file.createVariable("time", "f8", ("time",))
            time.units = (
                f"hours since {np.datetime64('2000-01-01T00') + np.timedelta64(2 * number, 'h')}"
            )
            time[:] = [0, 1]
            file.createVariable("x", "f8", ("x",))[:] = [0, 1, 2]
            file.createVariable("file", "i4", ("time",))[:] = number
            field = file.createVariable("t", "f4", ("time", "x"))
            field.coordinates = "file"
            field[:] = (2 * number + np.arange(2))[:, None] + np.arange(3) / 10
    return folder


@pytest.fixture(scope="module")
def opens() -> Iterator[list[str]]:
    """The files that are opened, in order."""
    seen: list[str] = []
    original = concat.opened

    def counted(file: str, *rest: Any) -> xr.Dataset:
        seen.append(os.path.basename(file))
        return original(file, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(concat, "opened", counted)
        yield seen


@pytest.fixture(scope="module")
def lazy(many: Path, opens: list[str]) -> xr.Dataset:
    opens.clear()
    dataset = open_files(Source(path=(f"{many}/*.nc",)))
    assert len(opens) <= MANY + 1  # the first is the model of the rest, and may be closed by then
    return dataset


def handles(folder: Path) -> int:
    """Files of the folder that this process holds open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).startswith(str(folder)) for link in links if os.path.islink(link))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="handles are counted in /proc")
def test_few_are_open_at_a_time(many: Path, lazy: xr.Dataset) -> None:
    assert 0 < handles(many) <= xr.get_options()["file_cache_maxsize"]
    field = chunked(lazy, {"time": 200}).t
    field[:400].compute(scheduler="threads", num_workers=4)
    assert 0 < handles(many) <= xr.get_options()["file_cache_maxsize"]


def test_many_files_are_one_array(lazy: xr.Dataset) -> None:
    assert lazy.t.sizes == {"time": 2 * MANY, "x": 3}
    np.testing.assert_array_equal(lazy.file, np.repeat(np.arange(MANY), 2))
    assert np.all(np.diff(lazy.time) == np.timedelta64(1, "h"))
    field = chunked(lazy, {"time": 200}).t.data
    assert len(field.dask) == field.npartitions == 4


def test_a_chunk_opens_the_files_that_hold_it(lazy: xr.Dataset, opens: list[str]) -> None:
    field = chunked(lazy, {"time": (501, 4, 295)}).t.data
    opens.clear()
    found = field.blocks[1].compute(scheduler="sync")
    np.testing.assert_allclose(found[:, 1], 501.1 + np.arange(4), rtol=1e-6)
    assert opens == ["0250.nc", "0251.nc", "0252.nc"]


def test_a_slice_opens_the_files_that_hold_it(lazy: xr.Dataset, opens: list[str]) -> None:
    opens.clear()
    np.testing.assert_allclose(lazy.t[601:604, 1], [601.1, 602.1, 603.1], rtol=1e-6)
    assert opens == ["0300.nc", "0301.nc"]


def test_what_travels_is_names_not_files(lazy: xr.Dataset) -> None:
    sent = pickle.dumps(lazy)
    assert len(sent) < 200 * MANY
    np.testing.assert_array_equal(pickle.loads(sent).t[798:], lazy.t[798:])


@pytest.fixture
def four(sst: xr.Dataset) -> xr.Dataset:
    """One file for each of four times, the second in other numbers than the rest."""
    for number in range(4):
        packing = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 290.0, "_FillValue": -1}
        encoding: Any = {"sst": packing} if number == 1 else {}
        sst.isel(time=[number]).to_netcdf(f"part{number}.nc", encoding=encoding)
    return sst


INDICES: list[dict[str, Any]] = [
    {"time": 2},
    {"time": slice(1, None, 2)},
    {"time": [3, 2, 1, 0]},
    {"time": [3, 0, 0, 2], "longitude": slice(1, 3)},
    {"time": slice(2, 2)},
    {"latitude": 1, "time": slice(1, 3)},
    {"latitude": [4, 1], "time": [1, 3], "longitude": 0},
]


@pytest.mark.parametrize("index", INDICES)
def test_any_index_is_that_of_the_whole(four: xr.Dataset, index: dict[str, Any]) -> None:
    found = open_files(Source(path=("part*.nc",))).sst.isel(index)
    np.testing.assert_allclose(found, four.sst.isel(index), atol=0.006)
    assert found.dtype == np.float64  # as the packed one is decoded
    assert found.dims == four.sst.isel(index).dims


@pytest.mark.parametrize("chunks", [{}, {"time": 3}, {"time": -1, "latitude": 2}])
def test_chunks_do_not_follow_the_files(four: xr.Dataset, chunks: dict[str, int]) -> None:
    found = open_source(Source(path=("part*.nc",), chunks=chunks)).sst
    assert found.chunks == four.sst.chunk({"time": 1, **chunks}).chunks
    np.testing.assert_allclose(found.compute(scheduler="sync"), four.sst, atol=0.006)


def test_large_files_are_cut(sst: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concat, "_CHUNK", 5 * 8 * 4)
    for number in range(2):
        sst.isel(time=slice(2 * number, 2 * number + 2)).to_netcdf(f"part{number}.nc")
    assert open_source(Source(path=("part*.nc",))).sst.chunks == ((1, 1, 1, 1), (5,), (8,))


def test_points_that_fall_from_file_to_file(sst: xr.Dataset) -> None:
    fallen = sst.isel(latitude=slice(None, None, -1))
    fallen.isel(latitude=slice(0, 2)).to_netcdf("a.nc")
    fallen.isel(latitude=slice(2, 5)).to_netcdf("b.nc")
    found = open_source(Source(path=("b.nc", "a.nc")))
    np.testing.assert_array_equal(found.latitude, fallen.latitude)
    np.testing.assert_array_equal(found.sst, fallen.sst)


def test_fields_beside_one_another_and_each_in_many_files(sst: xr.Dataset) -> None:
    for number in range(2):
        rows = slice(2 * number, 2 * number + 2)
        sst[["sst"]].isel(time=rows).to_netcdf(f"sst{number}.nc")
        (sst[["sst"]].isel(time=rows) * 2).rename(sst="double").to_netcdf(f"double{number}.nc")
    found = open_source(Source(path=("*.nc",)))
    np.testing.assert_array_equal(found.double, 2 * found.sst)
    assert found.sizes["time"] == 4


def broken(sst: xr.Dataset, how: str) -> xr.Dataset:
    return {
        "shape": sst.rename(longitude="x"),
        "kind": sst.assign(sst=sst.sst.astype(str)),
        "space": sst.assign_coords(latitude=sst.latitude + 1),
        "unlabelled": sst.isel(latitude=slice(3)).drop_vars(["latitude", "depth"]),
    }[how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shape", "'sst' has other dimensions or another type in b.nc than in a.nc"),
        ("kind", "'sst' has other dimensions or another type in b.nc than in a.nc"),
        ("space", "they differ along 'latitude' and 'time'"),
        ("unlabelled", "'sst' has other dimensions or another type in b.nc than in a.nc"),
    ],
)
def test_files_of_another_make(sst: xr.Dataset, how: str, message: str) -> None:
    sst = sst.drop_vars("latitude_bnds")
    sst.isel(time=slice(0, 2)).to_netcdf("a.nc")
    broken(sst, how).isel(time=slice(2, 4)).to_netcdf("b.nc")
    with pytest.raises(InputError, match=rf"a.nc and 1 more do not fit together: {message}; give"):
        open_files(Source(path=("a.nc", "b.nc")))


def test_dates_tell_the_order_of_files_whose_dimension_has_no_labels(tmp_path: Path) -> None:
    """Of WRF, whose XTIME lies along Time."""
    for name, hour in (("b", 0), ("a", 1)):
        since = {"units": f"minutes since 2000-01-01T0{hour}:00:00"}
        field = ("Time", np.full(2, float(hour)), {"coordinates": "XTIME"})
        made = xr.Dataset({"T2": field, "XTIME": ("Time", [0.0, 30.0], since)})
        made.to_netcdf(tmp_path / f"{name}.nc")
    found = open_files(Source(path=(f"{tmp_path}/*.nc",)))
    np.testing.assert_array_equal(found.T2, [0, 0, 1, 1])
    assert [str(time)[11:16] for time in found.XTIME.values] == ["00:00", "00:30", "01:00", "01:30"]


def test_coordinates_in_which_files_beside_one_another_differ_belong_to_none(
    tmp_path: Path,
) -> None:
    """NEMO calls the latitude nav_lat in the file of u, and in that of v half a cell further."""
    for name, shift in (("u", 0.0), ("v", 0.5)):
        lat, lon = np.meshgrid(np.arange(3.0) + shift, np.arange(4.0), indexing="ij")
        field = (("y", "x"), lat, {"coordinates": "nav_lat nav_lon"})
        places = {"nav_lat": (("y", "x"), lat), "nav_lon": (("y", "x"), lon)}
        xr.Dataset({name: field}, places).to_netcdf(tmp_path / f"{name}.nc")
    found = open_files(Source(path=(f"{tmp_path}/*.nc",)))
    assert set(found.coords) == {"nav_lon"}
    assert set(found.data_vars) == {"u", "v"}


def test_fields_beside_one_another_at_other_points(sst: xr.Dataset) -> None:
    sst[["sst"]].to_netcdf("a.nc")
    sst[["sst"]].rename(sst="other").isel(time=slice(1, 4)).to_netcdf("b.nc")
    with pytest.raises(
        InputError, match=r"a.nc and 1 more .* b.nc has no 'sst',.* along 'time'; give"
    ):
        open_files(Source(path=("a.nc", "b.nc")))


def test_a_damaged_file_among_many_is_named(four: xr.Dataset) -> None:
    lazy = open_files(Source(path=("part*.nc",)))
    kept = Path("part2.nc").read_bytes()
    lazy = pickle.loads(pickle.dumps(lazy))  # nothing is open any more
    Path("part2.nc").write_bytes(kept[:1000])
    with pytest.raises(InputError, match=r"part2.nc (changed while it was read|cannot be op)"):
        lazy.sst.load()


@pytest.mark.parametrize("name", ["", "sst"], ids=["opened", "renamed"])
def test_files_that_are_opened_at_once_are_quiet(
    name: str, four: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one thread has to say of warnings ends when it does, and not for another."""
    original, inside, done = xr.open_dataset, threading.Event(), threading.Event()
    rename, first_is_inside = xr.Dataset.rename, threading.Event()

    def pause() -> None:
        first_is_inside.set()
        inside.wait(0.3)  # for the other, which has to come later

    def slow(what: Any, **options: Any) -> xr.Dataset:
        if "part0" in str(what):
            if not name:
                pause()
        else:
            inside.set()
            done.wait(3)
            warnings.warn("a non-conforming '_FillValue' is dropped", stacklevel=1)
        return original(what, **options)

    def slow_rename(dataset: xr.Dataset, names: Any) -> xr.Dataset:
        if names:
            pause()
        return rename(dataset, names)

    monkeypatch.setattr(xr, "open_dataset", slow)
    monkeypatch.setattr(xr.Dataset, "rename", slow_rename)
    with ThreadPoolExecutor(2) as pool:
        renamed = {name: "t"} if name else {}
        first = pool.submit(open_files, Source(path=("part0.nc",), rename=renamed))
        first.add_done_callback(lambda _: done.set())
        assert first_is_inside.wait(10)
        second = pool.submit(open_files, Source(path=("part1.nc",)))
        assert first.result().sizes == second.result().sizes


UNITS = [
    ("K", "degC", "'sst' is in 'degC' in b.nc and in 'K' in a.nc; convert one of them"),
    ("m s-1", "km s-1", "'sst' is in 'km s-1' in b.nc"),
    ("m s**-1", "m/s", None),
    ("psu", "1e-3", None),
    ("K", None, None),
]


@pytest.mark.parametrize(("first", "second", "message"), UNITS)
def test_a_field_in_other_units_is_not_joined(
    first: str, second: str | None, message: str | None, sst: xr.Dataset
) -> None:
    for name, units, part in (("a.nc", first, slice(0, 2)), ("b.nc", second, slice(2, 4))):
        piece = sst[["sst"]].isel(time=part)
        piece.sst.attrs = {"units": units} if units else {}
        piece.to_netcdf(name)
    if message is None:
        assert open_source(Source(path=("a.nc", "b.nc"))).sst.attrs["units"] == first
        return
    with pytest.raises(InputError, match=message):
        open_source(Source(path=("a.nc", "b.nc")))


def test_numbers_since_other_dates_are_not_joined(sst: xr.Dataset) -> None:
    for day, name in enumerate(("a.nc", "b.nc"), start=1):
        since = {"units": f"days since 2000-01-0{day}"}
        sst[["sst"]].isel(time=slice(2 * day - 2, 2 * day)).to_netcdf(
            name, encoding={"time": since}
        )
    with pytest.raises(InputError, match=r"'time' is in 'days since 2000-01-02' in b.nc and in"):
        open_source(Source(path=("a.nc", "b.nc"), decode_times=False))
