"""A part of a source by labels and by numbers, under new names, and in which chunks it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source.open import open_files, open_source


@pytest.fixture
def long(sst: xr.Dataset) -> xr.Dataset:
    """Ten months, latitudes that fall, longitudes in float32 tenths; Zarr in chunks of 4 and 3."""
    sst = sst.drop_vars(["latitude_bnds", "crs"])
    time = np.arange("2000-01", "2000-11", dtype="datetime64[M]").astype("datetime64[ns]")
    made = xr.concat([sst.isel(time=0, drop=True)] * 10, xr.Variable("time", time))
    made = made.isel(latitude=slice(None, None, -1))
    made = made.assign_coords(longitude=np.arange(8, dtype=np.float32) / np.float32(10))
    made["sst"] = made.sst + np.arange(10.0)[:, None, None]
    encoding = {"sst": {"chunks": (4, 5, 3)}}
    made.to_zarr("long.zarr", encoding=encoding, zarr_format=3, consolidated=False)
    return made


def part(**select: Any) -> xr.Dataset:
    return open_source(Source(path=("long.zarr",), select=select))


LABELS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"time": ["2000-03-01", "2000-07-01"]}, {"time": slice(2, 7)}),
    ({"time": ["2000-03", "2000-07"]}, {"time": slice(2, 7)}),
    ({"time": [None, "2000-03"]}, {"time": slice(0, 3)}),
    ({"time": "2000-03-01"}, {"time": 2}),
    ({"time": "2000-03"}, {"time": slice(2, 3)}),
    ({"time": {"labels": ["2000-09-01", "2000-02-01"]}}, {"time": [8, 1]}),
    ({"latitude": [-10, 10]}, {"latitude": slice(1, 4)}),
    ({"latitude": [10, -10]}, {"latitude": slice(1, 4)}),
    ({"latitude": 10}, {"latitude": 1}),
    ({"longitude": 0.3}, {"longitude": 3}),
    ({"longitude": [0.1, 0.3]}, {"longitude": slice(1, 4)}),
    ({"longitude": {"labels": [0.7, 0.1]}}, {"longitude": [7, 1]}),
    ({"longitude": {"index": -1}}, {"longitude": 7}),
    ({"longitude": {"index": [2, None]}}, {"longitude": slice(2, None)}),
    ({"longitude": {"indices": [0, 5, -1]}}, {"longitude": [0, 5, 7]}),
    ({"time": {"index": [3, 9]}, "latitude": 0}, {"time": slice(3, 9), "latitude": 2}),
]


@pytest.mark.parametrize(("select", "rows"), LABELS)
def test_a_part_is_what_xarray_takes(
    long: xr.Dataset, select: dict[str, Any], rows: dict[str, Any]
) -> None:
    xr.testing.assert_identical(part(**select).compute(), long.set_coords("depth").isel(rows))


CHUNKS: list[tuple[dict[str, Any], Any]] = [
    ({"time": {"index": [3, 10]}}, ((1, 4, 2), (5,), (3, 3, 2))),
    ({"time": {"index": [4, 10]}}, ((4, 2), (5,), (3, 3, 2))),
    ({"time": {"indices": [0, 1, 5, 9]}}, ((2, 1, 1), (5,), (3, 3, 2))),
    ({"time": {"index": 3}}, ((5,), (3, 3, 2))),
    ({"longitude": {"index": [1, 8]}}, ((4, 4, 2), (5,), (2, 3, 2))),
]


@pytest.mark.parametrize(("select", "chunks"), CHUNKS)
def test_a_part_keeps_the_walls_of_stored_chunks(
    long: xr.Dataset, select: dict[str, Any], chunks: Any
) -> None:
    found = part(**select).sst
    assert found.chunks == chunks
    assert len(found.encoding["chunks"]) == found.ndim


def test_dates_of_a_model_calendar(sst: xr.Dataset) -> None:
    time = xr.date_range("2000-01-30", periods=4, freq="D", calendar="360_day", use_cftime=True)
    made = sst.assign_coords(time=time)
    made.to_netcdf("in.nc")
    for wanted, rows in [
        ("2000-02-01", [1]),
        ("2000-02", [1, 2, 3]),
        (("2000-01-30", "2000-02-01"), [0, 1]),
    ]:
        found = open_files(Source(path=("in.nc",), select={"time": wanted}))
        np.testing.assert_array_equal(np.atleast_1d(found.time), time[rows])
        np.testing.assert_array_equal(found.sst.values.ravel(), made.sst[rows].values.ravel())


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tim": 0}, "source.select: no dimension 'tim'; did you mean 'time'"),
    ({"latitude": 11}, r"source.select.latitude: no label 11; the nearest are 20.0 and 10.0"),
    ({"longitude": 0.34}, r"select.longitude: no label 0.34; the nearest are 0.3 and 0.4"),
    ({"time": "1999-03-01"}, r"no label '1999-03-01'; 'time' goes from 2000-01-01 .* to 2000-10"),
    ({"time": ["1999-01", "1999-02"]}, r"time: nothing lies in \['1999-01', '1999-02'\]; 'time'"),
    ({"latitude": [12, 17]}, r"latitude: nothing lies in \[12, 17\]; 'latitude' goes from 20.0 to"),
    ({"time": ["spring", "fall"]}, r"time: \['spring', 'fall'\] are no labels of 'time'"),
    ({"time": {"index": 10}}, "time: no point 10; 'time' has 10, from 0 to 9"),
    ({"time": {"indices": [0, -11]}}, "time: no point -11; 'time' has 10"),
    ({"time": {"index": [5, 5]}}, r"time: nothing lies in \[5, 5\]"),
]


@pytest.mark.parametrize(("select", "message"), REFUSED)
def test_what_is_not_there_is_not_the_nearest(
    long: xr.Dataset, select: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        part(**select)


def test_labels_that_are_none_or_in_no_order(sst: xr.Dataset) -> None:
    sst.drop_vars("longitude").isel(latitude=[0, 3, 1]).to_netcdf("in.nc")
    for select, message in [
        ({"longitude": 3}, "source.select.longitude: 'longitude' has no labels; select by index"),
        ({"latitude": (0, 9)}, r"'latitude' neither rise nor fall, so \[0, 9\] is no range"),
    ]:
        with pytest.raises(ConfigError, match=message):
            open_files(Source(path=("in.nc",), select=select))


def test_new_names_are_those_of_all_else(long: xr.Dataset) -> None:
    source = Source(
        path=("long.zarr",),
        rename={"sst": "t", "time": "month", "latitude": "y"},
        select={"month": {"index": [4, 10]}},
        chunks={"y": 2},
    )
    found = open_source(source)
    assert found.t.chunksizes == {"month": (4, 2), "y": (2, 2, 1), "longitude": (3, 3, 2)}
    np.testing.assert_array_equal(found.t, long.sst[4:])


def test_a_label_may_become_that_of_its_dimension(sst: xr.Dataset) -> None:
    made = sst.drop_vars("latitude_bnds").rename(latitude="y").reset_index("y")
    made.rename_vars(y="nav_lat").to_netcdf("in.nc")
    found = open_files(Source(path=("in.nc",), rename={"y": "latitude", "nav_lat": "latitude"}))
    assert found.indexes["latitude"].equals(sst.indexes["latitude"])


def test_names_that_are_not_there_or_taken(long: xr.Dataset) -> None:
    for rename, message in [
        ({"sts": "t"}, "source.rename: no 'sts' in the source; did you mean 'sst'"),
        ({"sst": "depth"}, "source.rename: .*conflict.*; choose another name"),
    ]:
        with pytest.raises(ConfigError, match=message):
            open_files(Source(path=("long.zarr",), rename=rename))
