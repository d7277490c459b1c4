"""Every kind of source, made for real: sharded stores, archives, URLs, snapshots, references."""

from __future__ import annotations

import functools
import http.server
import json
import os
import pickle
import shutil
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import obstore.fsspec
import pytest
import xarray as xr

from fdgrad_dask import pipeline
from fdgrad_dask.errors import ConfigError, InputError, OutputError
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source import remote
from fdgrad_dask.pipeline.source.open import fingerprint, open_files, open_source, pinned


def source_of(path: str, **options: Any) -> Source:
    return Source(path=(path,), **options)


def same_values(found: xr.Dataset, made: xr.Dataset) -> None:
    np.testing.assert_array_equal(found.sst, made.sst)
    assert found.indexes["time"].equals(made.indexes["time"])


def write_zarr(dataset: xr.Dataset, store: Any, **options: Any) -> None:
    dataset.chunk(time=2, longitude=4).to_zarr(store, zarr_format=3, consolidated=False, **options)


@pytest.fixture
def shards(sst: xr.Dataset) -> str:
    encoding = {"sst": {"chunks": (1, 5, 4), "shards": (2, 5, 8)}}
    sst.to_zarr("shards.zarr", encoding=encoding, zarr_format=3, consolidated=False)
    return "shards.zarr"


def test_shards_are_read_by_their_inner_chunks(shards: str, sst: xr.Dataset) -> None:
    lazy = open_files(source_of(shards))
    assert lazy.sst.chunks is None
    assert lazy.sst.encoding["preferred_chunks"] == {"time": 1, "latitude": 5, "longitude": 4}
    assert lazy.sst.encoding["shards"] == (2, 5, 8)
    found = open_source(source_of(shards))
    assert found.sst.chunks == ((1, 1, 1, 1), (5,), (4, 4))
    same_values(found.compute(scheduler="sync"), sst)


def test_chunks_may_be_given_one_by_one(shards: str, sst: xr.Dataset) -> None:
    from fdgrad_dask.pipeline.source.open import chunked

    lazy = open_files(source_of(shards))
    found = chunked(lazy, {"time": (1, 3), "longitude": (7, 1)})
    assert found.sst.chunks == ((1, 3), (5,), (7, 1))
    same_values(found.compute(scheduler="sync"), sst)


def test_what_is_opened_can_travel(shards: str, sst: xr.Dataset) -> None:
    same_values(pickle.loads(pickle.dumps(open_files(source_of(shards)))), sst)


def test_a_store_in_a_zip(sst: xr.Dataset) -> None:
    write_zarr(sst, "in.zarr")
    shutil.make_archive("in.zarr", "zip", "in.zarr")
    for path in ("in.zarr.zip", "zip://::in.zarr.zip"):
        found = open_source(source_of(path))
        assert found.sst.chunks == ((2, 2), (5,), (4, 4))
        same_values(found.compute(), sst)


def test_a_group(sst: xr.Dataset) -> None:
    write_zarr(sst, "in.zarr", group="deep/below")
    sst.to_netcdf("in.nc", group="deep/below")
    for path in ("in.zarr", "in.nc"):
        same_values(open_source(source_of(path, group="deep/below")).compute(), sst)
        with pytest.raises(InputError, match=r"cannot be opened .*holds the group 'deeper'"):
            open_source(source_of(path, group="deeper"))


@pytest.mark.parametrize(
    ("units", "calendar"),
    [
        ("fortnights since 2000", "standard"),
        ("months since 1960-01-01", "standard"),
        ("years since 1960-01-01", "standard"),
        ("days since 2000-01-01", "THIRTY_DAY_MONTHS"),
    ],
)
def test_times_that_cannot_be_decoded(units: str, calendar: str, sst: xr.Dataset) -> None:
    attrs = {"units": units, "calendar": calendar}
    sst.assign_coords(time=("time", [0.0, 1, 2, 3.5], attrs)).to_netcdf("in.nc")
    remedy = r"its times cannot be decoded; set source: \{decode_times: false\}"
    with pytest.raises(InputError, match=rf"in.nc cannot be opened .*{remedy}"):
        open_files(source_of("in.nc"))
    assert open_files(source_of("in.nc", decode_times=False)).time[-1] == 3.5


# URLs


@pytest.fixture
def memory() -> Iterator[Any]:
    import fsspec

    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_zarr_by_a_url_of_fsspec(memory: Any, sst: xr.Dataset) -> None:
    write_zarr(sst, "memory://a/in.zarr")
    found = open_source(source_of("memory://a/in.zarr"))
    assert found.sst.chunks == ((2, 2), (5,), (4, 4))
    same_values(found.compute(), sst)


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF3_64BIT"])
def test_netcdf_by_a_pattern_of_urls(memory: Any, sst: xr.Dataset, format: Any) -> None:
    for number in range(2):
        part = sst.isel(time=slice(2 * number, 2 * number + 2))
        part.to_netcdf("part.nc", format=format)
        memory.put("part.nc", f"/b/part{number}.nc")
    same_values(open_source(source_of("memory://b/part*.nc")).compute(), sst)


def test_a_netcdf_file_cut_short_behind_a_url(memory: Any, sst: xr.Dataset) -> None:
    sst.to_netcdf("in.nc")
    whole = Path("in.nc").read_bytes()
    memory.pipe("/in.nc", whole[:-100])
    with pytest.raises(InputError, match=r"truncated file.*give the URL of complete netcdf"):
        open_files(source_of("memory://in.nc"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a web server of the folder."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Silent, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_zarr_by_https(server: str, sst: xr.Dataset) -> None:
    write_zarr(sst, "in.zarr")
    same_values(open_source(source_of(f"{server}/in.zarr")).compute(scheduler="sync"), sst)


def test_the_scheme_decides_who_opens_and_nothing_else(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config means the same where s3fs is installed and where it is not (E8)."""
    import fsspec
    from zarr.storage import FsspecStore, ObjectStore

    monkeypatch.setattr(fsspec, "get_filesystem_class", lambda scheme: object())
    options = {"skip_signature": True, "region": "eu-west-1"}
    for url in ("s3://bucket/in.zarr", "gs://bucket/in.zarr", "az://bucket/in.zarr"):
        own = {**options, "account_name": "me"} if url.startswith("az") else options
        own = {k: v for k, v in own.items() if k != "region" or url.startswith("s3")}
        assert isinstance(remote.zarr_store(url, own), ObjectStore)
        system = remote.file_system(url, own)[0]
        assert isinstance(system, obstore.fsspec.FsspecStore)
        assert pickle.loads(pickle.dumps(system)).protocol == url[:2]
    assert isinstance(remote.zarr_store("memory://in.zarr", {}), FsspecStore)


@pytest.mark.parametrize(
    ("given", "instead"),
    [("key", "access_key_id"), ("secret", "secret_access_key"), ("anon", "skip_signature")],
)
def test_names_of_fsspec_are_told_in_those_of_obstore(given: str, instead: str) -> None:
    with pytest.raises(ValueError, match=f"{given} is a name of fsspec, .* write {instead} in its"):
        source_of("s3://bucket/in.zarr", storage_options={given: "x"})
    source_of("ftp://host/in.zarr", storage_options={given: "x"})


@pytest.mark.parametrize("path", ["s3://bucket/in.zarr", "s3://bucket/in.nc", "s3://bucket/*.nc"])
def test_a_bucket_without_keys_is_told_in_a_sentence(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but this machine is asked: where it would ask the cloud, nobody listens (A11)."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    options = {
        "endpoint": "http://127.0.0.1:9",
        "allow_http": True,
        "retry_config": {"max_retries": 0},
    }
    with pytest.raises(InputError) as told:
        open_files(source_of(path, storage_options=options))
    assert "there are no keys for it, or they open nothing; if it is public, set" in str(told.value)
    assert "storage_options: {skip_signature: true}, else the environment variables AWS" in str(
        told.value
    )
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "needed"),
    [
        ("s3://b/in.zarr", "obstore.store"),
        ("s3://b/in.nc", "obstore.fsspec"),
        ("memory://in.nc", "fsspec.core"),
    ],
)
def test_what_is_not_installed_is_named(
    url: str, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, needed, None)
    with pytest.raises(InputError, match=rf"{url} cannot be opened: .*{needed}.*; pip install .*r"):
        open_files(source_of(url))


def test_a_scheme_of_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(scheme: str) -> None:
        raise ImportError(f"install a package for {scheme}")

    for module in ("fsspec.registry", "fsspec.core"):
        monkeypatch.setattr(import_module(module), "get_filesystem_class", missing)
    for name in ("in.zarr", "in.nc", "*.nc"):
        with pytest.raises(InputError, match=r"ftp://.* a package for ftp; pip install .*remote"):
            open_files(source_of(f"ftp://127.0.0.1/{name}"))


URLS = [
    ("memory://nowhere/in.zarr", "cannot be opened .*give the URL of complete zarr"),
    ("memory://nowhere/in.nc", "cannot be opened .*give the URL of complete netcdf"),
    ("memory://nowhere/*.nc", "nothing matches 'memory://nowhere/\\*.nc'; fix the pattern"),
    ("s4://bucket/in.zarr", "cannot be opened .*Protocol not known: s4.*; give the URL of"),
    ("s4://bucket/*.zarr", "cannot be listed .*Protocol not known: s4.; fix the URL"),
]


@pytest.mark.parametrize(("url", "message"), URLS)
def test_a_url_with_nothing_behind_it(url: str, message: str, memory: Any) -> None:
    with pytest.raises(InputError, match=message):
        open_files(source_of(url))


# Icechunk


@pytest.fixture
def repository(sst: xr.Dataset) -> Any:
    """Two snapshots: of sst, with the tag "first", and twice as warm; a branch at the first."""
    icechunk = pytest.importorskip("icechunk")
    made = icechunk.Repository.create(icechunk.local_filesystem_storage("repository"))
    for factor in (1, 2):
        session = made.writable_session("main")
        mode: Any = "w" if factor == 2 else "w-"
        write_zarr(sst.assign(sst=sst.sst * factor), session.store, mode=mode)
        snapshot = session.commit(f"times {factor}")
        if factor == 1:
            made.create_tag("first", snapshot)
            made.create_branch("side", snapshot)
    return made


def test_icechunk_by_branch_tag_and_snapshot(repository: Any, sst: xr.Dataset) -> None:
    first = repository.lookup_tag("first")
    for options in ({"tag": "first"}, {"branch": "side"}, {"snapshot": first}):
        same_values(open_source(source_of("repository", **options)).compute(), sst)
    found = open_source(source_of("repository"))
    np.testing.assert_array_equal(found.sst, 2 * sst.sst)
    assert found.sst.chunks == ((2, 2), (5,), (4, 4))


def test_a_branch_that_moves_is_pinned(repository: Any, sst: xr.Dataset) -> None:
    source = source_of("repository", branch="side")
    still = pinned(source)
    assert still.snapshot == repository.lookup_tag("first")
    assert fingerprint(source) == {"repository": f"snapshot {still.snapshot}"}
    repository.reset_branch("side", repository.lookup_branch("main"))
    same_values(open_source(still).compute(), sst)
    assert fingerprint(source) != fingerprint(still)
    assert pinned(still) == still


def test_what_a_repository_does_not_have(repository: Any) -> None:
    for options, message in [
        ({"branch": "man"}, "source.branch: repository has no branch 'man'; did you mean 'main'"),
        ({"tag": "frist"}, "source.tag: repository has no tag 'frist'; did you mean 'first'"),
        ({"snapshot": "0" * 20}, "source.snapshot: .*give the id of one that is there"),
    ]:
        with pytest.raises(ConfigError, match=message):
            open_files(source_of("repository", **options))
    Path("empty").mkdir()
    with pytest.raises(InputError, match="empty cannot be opened as an Icechunk repository"):
        open_files(source_of("empty", format="icechunk"))
    with pytest.raises(ConfigError, match=r"icechunk reads folders, s3://, gs:// and az://, not"):
        open_files(source_of("ftp://a/b.icechunk"))


def test_icechunk_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.icechunk").mkdir()
    monkeypatch.setitem(sys.modules, "icechunk", None)
    with pytest.raises(InputError, match=r"needs icechunk, .*'fdgrad_dask\[icechunk\]'"):
        open_files(source_of("a.icechunk"))


# References


def test_kerchunk_references(sst: xr.Dataset) -> None:
    hdf = pytest.importorskip("kerchunk.hdf")
    sst.to_netcdf("in.nc", encoding={"sst": {"chunksizes": (2, 5, 4)}})
    references = hdf.SingleHdf5ToZarr("in.nc").translate()
    Path("in.json").write_text(json.dumps(references))
    found = open_source(source_of("in.json"))
    assert found.sst.chunks == ((2, 2), (5,), (4, 4))
    same_values(found.compute(), sst)
    del references["refs"]["sst/1.0.0"]
    Path("in.json").write_text(json.dumps(references))
    with pytest.raises(InputError, match=r"sst\[2:4, 0:5, 0:4\] of in.json .*'sst/1.0.0'"):
        open_source(source_of("in.json")).compute(scheduler="sync")


def test_a_run_from_references_knows_what_they_refer_to(sst: xr.Dataset) -> None:
    hdf = pytest.importorskip("kerchunk.hdf")
    sst.to_netcdf("in.nc", encoding={"sst": {"chunksizes": (2, 5, 4)}})
    Path("in.json").write_text(
        json.dumps(hdf.SingleHdf5ToZarr("in.nc", inline_threshold=0).translate())
    )
    step = {"operator": "gradient", "inputs": "sst", "output": "d", "options": {"dim": "longitude"}}
    config = {"source": {"path": "in.json"}, "steps": [step], "target": {"path": "out.zarr"}}
    assert pipeline.run(config).computed == 1
    expected = np.gradient(sst.sst.values, sst.longitude.values, axis=2)
    np.testing.assert_array_equal(xr.open_zarr("out.zarr").d, expected)
    assert pipeline.run(config).computed == 0
    pipeline.verify(config)
    os.utime("in.nc", (0, 0))
    with pytest.raises(OutputError, match="inputs have changed"):
        pipeline.run(config)


# By what it is known again


def test_a_fingerprint_tells_that_files_changed(sst: xr.Dataset, memory: Any) -> None:
    sst.to_netcdf("in.nc")
    write_zarr(sst, "in.zarr")
    memory.put("in.nc", "/in.nc")
    source = Source(path=("in.nc", "in.zarr", "memory://in.nc"))
    first = fingerprint(source)
    assert list(first) == ["in.nc", "in.zarr", "memory://in.nc"]
    assert first["in.nc"].startswith(f"{Path('in.nc').stat().st_size} bytes, changed 20")
    assert first == fingerprint(source)
    json.dumps(first)
    sst.isel(time=slice(1, 4)).to_netcdf("in.nc")
    sst.isel(time=slice(1, 4)).to_zarr("in.zarr", mode="w", zarr_format=3, consolidated=False)
    memory.put("in.nc", "/in.nc")
    second = fingerprint(source)
    assert all(first[name] != second[name] for name in first)


def test_the_fingerprint_of_many_files_is_small(sst: xr.Dataset, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.nc").write_bytes(bytes(number))
    source = source_of("*.nc")
    first = fingerprint(source)
    assert [*first] == ["20 files"]
    assert len(json.dumps(first)) < 200
    (tmp_path / "7.nc").write_bytes(b"other")
    assert fingerprint(source) != first


def test_a_fingerprint_that_cannot_be_taken_tells_no_secret() -> None:
    with pytest.raises(
        InputError, match=r"in.nc cannot be looked at \(Conn.*; fix the path"
    ) as told:
        fingerprint(source_of("ftp://me:secret@127.0.0.1:9/in.nc"))
    assert "secret" not in str(told.value)


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"branch": "main", "tag": "first"}, "branch and tag are given; one of them is what is read"),
    ({"branch": "main", "format": "zarr"}, "zarr has no branch; take it away, or fix format"),
    ({"select": {"time": [1, 2, 3]}}, r"a selection is a label, \[start, stop\] with both"),
    ({"select": {"time": {"index": [1, 2, 3]}}}, "a selection is a label"),
    ({"select": {"time": {"labels": []}}}, "a selection is a label"),
    ({"select": {"time": {"near": 3}}}, "a selection is a label"),
    ({"select": {"time": True}}, "a selection is a label"),
    ({"missing_chunks": "ignore"}, "'error' or 'fill'"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_options_that_say_nothing(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        source_of("in.zarr", **options)
