"""Source and target in a bucket: S3 as moto's server on this machine speaks it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import xarray as xr
from failing import failing
from moto.server import ThreadedMotoServer
from obstore.store import LocalStore

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.execute import lock
from fdgrad_dask.pipeline.source import remote
from fdgrad_dask.pipeline.source.open import open_files
from fdgrad_dask.pipeline.source.zarr import storage
from fdgrad_dask.pipeline.store import bucket as buckets
from fdgrad_dask.pipeline.store.bucket import Bucket
from fdgrad_dask.pipeline.store.open import beside

Options = dict[str, Any]
Fdgrad = Callable[..., tuple[int, str, str]]
OUT = "s3://data/deep/out.zarr"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server of S3 that lives as long as the tests of this file."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line for every request
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def options(server: str) -> Options:
    return {
        "endpoint": server,
        "region": "us-east-1",
        "access_key_id": "an-access-key",
        "secret_access_key": "a-secret-key",
        "allow_http": True,
    }


@pytest.fixture
def client(server: str, options: Options) -> Any:
    """The same server as boto3 sees it, with an empty bucket ``data``."""
    client = boto3.client(
        "s3",
        endpoint_url=server,
        region_name=options["region"],
        aws_access_key_id=options["access_key_id"],
        aws_secret_access_key=options["secret_access_key"],
    )
    client.create_bucket(Bucket="data")
    yield client
    for key in keys(client):
        client.delete_object(Bucket="data", Key=key)


def keys(client: Any) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="data")
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


# The place of small objects


@pytest.fixture
def place(client: Any, options: Options) -> Callable[[], Bucket]:
    """The same place again, as another process sees it."""
    return lambda: Bucket("s3://data/deep/out.journal", options)


def test_objects_are_there_whole_or_not_at_all(place: Any, client: Any) -> None:
    bucket = place()
    assert bucket.read("run.json") is None
    bucket.write("run.json", b"one")
    bucket.write("run.json", b"two")
    assert place().read("run.json") == b"two"
    assert keys(client) == ["deep/out.journal/run.json"]
    bucket.delete("run.json")
    bucket.delete("run.json")
    assert (bucket.read("run.json"), keys(client)) == (None, [])


def test_what_is_appended_is_kept_in_order_across_processes(place: Any, client: Any) -> None:
    first, second = place(), place()
    for number in range(3):
        first.append("log", b"%d" % number)
    assert keys(client) == []  # it waits for more
    assert first.read("log") == b"012"
    first.append("log", b"3")
    first.flush()
    second.append("log", b"4")
    second.flush()
    assert place().read("log") == b"01234"
    first.append("log", b"5")  # though it does not know of the other
    assert place().read("log") == b"01234"
    first.flush()
    assert place().read("log") == b"012345"
    assert len(keys(client)) == 4
    second.delete("log")
    assert keys(client) == []


def test_what_is_appended_is_put_after_a_while(
    place: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "_HELD", 0.01)
    bucket = place()
    bucket.append("log", b"a")
    until = time.monotonic() + 10
    while not keys(client) and time.monotonic() < until:
        time.sleep(0.01)
    assert place().read("log") == b"a"


def test_an_object_that_is_written_anew_has_nothing_appended(place: Any, client: Any) -> None:
    bucket = place()
    bucket.write("log", b"old")
    bucket.append("log", b" more")
    assert bucket.read("log") == b"old more"
    bucket.write("log", b"last")
    assert bucket.read("log") == b"last"
    assert keys(client) == ["deep/out.journal/log"]


def test_one_of_two_creates_or_replaces_an_object(place: Any) -> None:
    one, other = place(), place()
    assert one.create("lock", b"one")
    assert not other.create("lock", b"other")
    assert not other.replace("lock", b"what was there", b"other")
    assert other.replace("lock", b"one", b"other")
    assert not one.replace("lock", b"one", b"one again")
    assert one.read("lock") == b"other"
    one.delete("lock")
    assert not one.replace("lock", b"other", b"one")


def test_what_is_gone_does_not_keep_the_rest(tmp_path: Path, monkeypatch: Any) -> None:
    """All but S3 refuse to remove what is not there; obstore's folder does as they do."""
    bucket = Bucket("s3://data/a", {})
    monkeypatch.setattr(bucket, "objects", LocalStore(tmp_path))
    for key in "abc":
        bucket.write(key, b"content")
    bucket.remove(["gone", "a", "gone too", "b"])
    assert set(bucket.sizes()) == {"c"}


def test_a_bucket_that_is_not_there_is_told_in_a_sentence(client: Any, options: Options) -> None:
    nowhere = Bucket("s3://nowhere/out.journal", options)
    for call in (
        lambda: nowhere.read("a"),
        lambda: nowhere.write("a", b""),
        lambda: nowhere.create("a", b""),
        lambda: nowhere.sizes(),
    ):
        with pytest.raises(OutputError) as told:
            call()
        assert str(told.value) == (
            "s3://nowhere/out.journal cannot be reached: there is no such bucket; make it, or fix "
            "the URL"
        )


# Targets


@pytest.fixture
def to_bucket(write: Callable[..., str], client: Any, options: Options) -> Callable[..., str]:
    """A config of four regions with the source here, and a target in the bucket or elsewhere."""

    def written(path: str = OUT, **sections: Any) -> str:
        target = {"path": path, "regions": {"time": 2, "longitude": 4}}
        if "://" in path:
            target["storage_options"] = options
        return write(**{"target": target, **sections})

    return written


@pytest.fixture
def config(
    to_bucket: Callable[..., str], source: str, client: Any, options: Options
) -> Callable[..., str]:
    """The same with the source in the bucket too."""
    for file in filter(Path.is_file, Path(source).rglob("*")):
        client.put_object(Bucket="data", Key=file.as_posix(), Body=file.read_bytes())
    there = {"path": f"s3://data/{source}", "storage_options": options}
    return partial(to_bucket, source=there)


def values(path: str, options: Options) -> xr.Dataset:
    found = open_files(Source(path=(path,), storage_options=options)).load()
    return found.assign_attrs(history="", fdgrad_digest="")


def sums(client: Any, prefix: str) -> dict[str, str]:
    """The SHA-256 of every object below ``prefix``."""
    found = {}
    for key in keys(client):
        if key.startswith(prefix):
            content = client.get_object(Bucket="data", Key=key)["Body"].read()
            found[key.removeprefix(prefix)] = hashlib.sha256(content).hexdigest()
    return found


def test_a_bucket_holds_the_bytes_of_a_folder(
    fdgrad: Fdgrad, config: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert fdgrad("run", config("out.zarr"))[0] == 0
    code, _, told = fdgrad("run", config())
    assert code == 0, told
    files = (file for file in Path("out.zarr").rglob("*") if file.is_file())
    folder = {
        file.relative_to("out.zarr").as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }
    assert sums(client, "deep/out.zarr/") == folder
    code, said, told = fdgrad("verify", config())
    assert code == 0, told
    assert "s3://data/deep/out.zarr is complete: all 4 shards of 4 regions are intact" in said
    code, said, told = fdgrad("run", config())
    assert (code, "already complete" in said) == (0, True), told


def test_an_icechunk_repository_grows_in_a_bucket(
    fdgrad: Fdgrad, config: Any, options: Options, monkeypatch: Any
) -> None:
    pytest.importorskip("icechunk")
    assert fdgrad("run", config("out.zarr"))[0] == 0
    path = "s3://data/deep/out.icechunk"
    restore = failing(monkeypatch, 1)
    code, _, told = fdgrad("run", config(path))
    assert (code, "enough of it" in told) == (4, True), told
    restore()
    code, _, told = fdgrad("run", config(path))
    assert (code, "2 of 4 regions are finished" in told) == (0, True), told
    xr.testing.assert_identical(values(path, options), values("out.zarr", {}))
    code, said, told = fdgrad("verify", config(path))
    assert (code, "all 4 shards of 4 regions are intact" in said) == (0, True), told
    code, _, told = fdgrad("run", config(path), "--fresh")
    assert code == 0, told
    xr.testing.assert_identical(values(path, options), values("out.zarr", {}))


def test_no_reader_finds_a_target_that_is_half_done(
    fdgrad: Fdgrad, config: Any, client: Any, options: Options, monkeypatch: Any
) -> None:
    restore = failing(monkeypatch, 1)
    code, _, told = fdgrad("run", config())
    assert (code, "enough of it" in told) == (4, True), told
    assert len([key for key in keys(client) if "/dsst_dlatitude/c/" in key]) == 2
    with pytest.raises(FileNotFoundError):
        xr.open_zarr(remote.zarr_store(OUT, options), consolidated=False)
    code, _, told = fdgrad("verify", config())
    assert (code, "is not finished, 2 of 4 regions are" in told) == (4, True), told
    restore()
    client.delete_object(Bucket="data", Key="deep/out.zarr/dsst_dlatitude/c/0/0/0")
    code, _, told = fdgrad("run", config())
    assert (code, f"resuming {OUT}: 1 of 4 regions are finished" in told) == (0, True), told
    assert fdgrad("verify", config())[0] == 0
    assert {key.split("/")[1] for key in keys(client)} >= {"out.zarr", "out.zarr.journal"}


def test_what_is_gone_or_flipped_is_found_and_written_anew(
    fdgrad: Fdgrad, config: Any, client: Any
) -> None:
    assert fdgrad("run", config())[0] == 0
    before = sums(client, "deep/out.zarr/")
    gone, flipped = (f"deep/out.zarr/dsst_dlatitude/c/0/0/{number}" for number in (0, 1))
    client.delete_object(Bucket="data", Key=gone)
    held = bytearray(client.get_object(Bucket="data", Key=flipped)["Body"].read())
    held[9] ^= 1
    client.put_object(Bucket="data", Key=flipped, Body=bytes(held))
    code, _, told = fdgrad("verify", config())
    assert code == 4
    assert "dsst_dlatitude/c/0/0/0 is missing" in told
    assert "dsst_dlatitude/c/0/0/1 has other bytes than were written" in told
    code, _, told = fdgrad("run", config())
    assert (code, "shards of 1 regions are missing now; fdgrad run --repair" in told) == (4, True)
    code, _, told = fdgrad("run", config(), "--repair")
    assert (code, "2 shards are broken, in 2 of 4 regions" in told) == (0, True), told
    assert sums(client, "deep/out.zarr/") == before
    assert fdgrad("verify", config())[0] == 0


OTHER = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "time"}, "output": "other"}


def test_fresh_replaces_what_is_ours_and_nothing_else(
    fdgrad: Fdgrad, to_bucket: Any, client: Any, options: Options
) -> None:
    assert fdgrad("run", to_bucket())[0] == 0
    code, _, told = fdgrad("run", to_bucket(steps=[OTHER]))
    assert (code, f"{OUT} is the result of something else" in told) == (4, True), told
    client.put_object(Bucket="data", Key="deep/out.zarr/notes.txt", Body=b"four years")
    before = sums(client, "deep/out.zarr/")
    code, _, told = fdgrad("run", to_bucket(steps=[OTHER]), "--fresh")
    assert (code, f"{OUT} holds notes.txt, which fdgrad did not write" in told) == (4, True), told
    assert sums(client, "deep/out.zarr/") == before
    client.delete_object(Bucket="data", Key="deep/out.zarr/notes.txt")
    code, _, told = fdgrad("run", to_bucket(steps=[OTHER]), "--fresh")
    assert code == 0, told
    assert list(values(OUT, options).data_vars) == ["other"]
    assert not [key for key in keys(client) if "dsst_dlatitude" in key]


@pytest.mark.parametrize("moment", ["remove", "write"])
def test_fresh_goes_on_where_it_was_killed_while_it_made_room(
    moment: str,
    fdgrad: Fdgrad,
    to_bucket: Any,
    client: Any,
    options: Options,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert fdgrad("run", to_bucket())[0] == 0
    original = getattr(Bucket, moment)

    def killed(bucket: Bucket, what: Any, *more: Any) -> None:
        if "journal" in bucket.path:
            return original(bucket, what, *more)
        if moment == "remove":  # the group and one more
            original(bucket, ["zarr.json", "dsst_dlatitude/c/0/0/0"])
        raise OutputError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, moment, killed)
        assert fdgrad("run", to_bucket(steps=[OTHER]), "--fresh")[0] == 4
    code, _, told = fdgrad("run", to_bucket(steps=[OTHER]))
    assert code == 0, told
    assert list(values(OUT, options).data_vars) == ["other"]
    assert not [key for key in keys(client) if "dsst_dlatitude" in key]


def test_a_run_killed_while_it_publishes_goes_on(
    fdgrad: Fdgrad, to_bucket: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Bucket.remove

    def killed(bucket: Bucket, found: Any) -> None:
        if found == ["fdgrad-partial.json"]:
            raise OutputError("killed")
        original(bucket, found)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "remove", killed)
        assert fdgrad("run", to_bucket())[0] == 4
    assert "deep/out.zarr/zarr.json" in keys(client)
    code, _, told = fdgrad("run", to_bucket())
    assert code == 0, told
    assert "deep/out.zarr/fdgrad-partial.json" not in keys(client)


def test_what_somebody_else_put_there_is_not_touched(
    fdgrad: Fdgrad, to_bucket: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put_object(Bucket="data", Key="deep/out.zarr/thesis.txt", Body=b"four years")
    for flags in ([], ["--fresh"]):
        code, _, told = fdgrad("run", to_bucket(), *flags)
        assert code == 4
        assert f"{OUT} exists, and nothing shows that fdgrad wrote it (it has no {OUT}.j" in told
    assert sorted(sums(client, "deep/")) == ["out.zarr/thesis.txt"]
    client.delete_object(Bucket="data", Key="deep/out.zarr/thesis.txt")
    restore = failing(monkeypatch, 1)
    assert fdgrad("run", to_bucket())[0] == 4
    restore()
    client.put_object(Bucket="data", Key="deep/out.zarr/zarr.json", Body=b"{}")
    code, _, told = fdgrad("run", to_bucket())
    assert (code, f"{OUT} exists, and nothing shows" in told) == (4, True), told
    assert client.get_object(Bucket="data", Key="deep/out.zarr/zarr.json")["Body"].read() == b"{}"


# Two drivers


def test_of_two_drivers_one_waits_and_is_refused(
    fdgrad: Fdgrad, to_bucket: Any, options: Options, monkeypatch: Any
) -> None:
    place = beside(Target(path=OUT, storage_options=options))
    now, said = time.time(), list[str]()
    other = {"host": "elsewhere", "pid": 7, "born": now, "since": now, "seen": now, "token": "t"}
    assert place.create("lock.json", json.dumps(other).encode())

    def say(text: str) -> None:  # and meanwhile the other one gives a sign of life
        said.append(text)
        place.write("lock.json", json.dumps({**other, "seen": now + 1}).encode())

    with monkeypatch.context() as patch:
        patch.setattr(lock, "warn", say)
        code, _, told = fdgrad("run", to_bucket())
    assert code == 4
    assert said[0].startswith(f"{OUT} is locked by elsewhere:7; waiting up to 1")
    assert f"the target {OUT} is locked by elsewhere:7 since " in told
    assert f"(if it is surely gone, delete {OUT}.journal/lock.json)" in told
    # Once its lease is over, and nothing is heard for a while, it is taken for dead.
    monkeypatch.setattr(lock, "_WATCH", 0.1)
    place.write("lock.json", json.dumps({**other, "seen": now - 1000}).encode())
    code, _, told = fdgrad("run", to_bucket())
    assert code == 0, told
    assert place.read("lock.json") is None


def test_a_lock_in_a_bucket_is_kept_alive_and_given_back(
    client: Any, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_BEAT", 0.02)
    place = beside(Target(path=OUT, storage_options=options))
    with lock.locked(place, OUT) as require_held:
        began = lock.owner_in(place.read("lock.json"))
        until = time.monotonic() + 10
        while lock.owner_in(place.read("lock.json")) == began and time.monotonic() < until:
            time.sleep(0.02)
        assert lock.owner_in(place.read("lock.json")) != began
        with pytest.raises(OutputError, match=f"the target {OUT} is locked by .*; wait for that"):
            lock.locked(beside(Target(path=OUT, storage_options=options)), OUT).__enter__()
        require_held()
        place.delete("lock.json")
        with pytest.raises(OutputError, match=r"lock.json was taken by another run while this"):
            require_held()
    assert keys(client) == []


# What goes wrong, and what is told


@pytest.mark.parametrize("path", [OUT, "s3://data/deep/out.icechunk"])
def test_missing_keys_and_buckets_are_told_in_a_sentence(
    path: str, fdgrad: Fdgrad, write: Callable[..., str], options: Options, monkeypatch: Any
) -> None:
    """Nothing but this machine is asked: where it would ask the cloud, nobody listens."""
    nowhere = {"path": path.replace("data", "nowhere"), "storage_options": options}
    code, _, told = fdgrad("run", write(target=nowhere))
    assert (code, len(told.splitlines())) == (4, 1), told
    assert "cannot be reached: there is no such bucket; make it, or fix the URL" in told
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    keyless = {key: options[key] for key in ("endpoint", "allow_http")}
    keyless["retry_config"] = {"max_retries": 0}
    for command in ("run", "verify"):
        code, _, told = fdgrad(command, write(target={"path": path, "storage_options": keyless}))
        assert (code, len(told.splitlines())) == (4, 1), told
        assert "cannot be reached: there are no keys for it, or they open nothing; if it" in told
        assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in told


def test_no_key_is_written_or_printed(
    fdgrad: Fdgrad, config: Any, client: Any, options: Options
) -> None:
    report, picture = {"path": "out.html"}, {"path": "out.png", "variable": "dsst_dlatitude"}
    picture["mean"] = "time"
    code, said, told = fdgrad("run", config(report=report, picture=picture))
    assert code == 0, told
    assert Path("out.png").stat().st_size > 1000
    page = Path("out.html").read_text()
    assert "data:image" in page or "<svg" in page
    everything = [said.encode(), told.encode(), page.encode()]
    for key in keys(client):
        everything.append(client.get_object(Bucket="data", Key=key)["Body"].read())
    for secret in (options["access_key_id"], options["secret_access_key"]):
        assert not any(secret.encode() in each for each in everything)


def test_workers_in_processes_write_into_the_bucket(
    fdgrad: Fdgrad, config: Any, client: Any, options: Options
) -> None:
    processes = {"kind": "local", "workers": 1, "threads": 1}
    code, _, told = fdgrad("run", config(cluster=processes))
    assert code == 0, told
    assert fdgrad("verify", config())[0] == 0
    assert len([key for key in keys(client) if "/dsst_dlatitude/c/" in key]) == 4


def test_icechunk_has_the_option_names_of_obstore() -> None:
    icechunk = pytest.importorskip("icechunk")
    known = {
        "s3://data/a.icechunk": {"skip_signature": True, "region": "eu-west-1"},
        "gs://data/a.icechunk": {"service_account": "key.json"},
        "az://data/a.icechunk": {"account_name": "me", "account_key": "a2V5"},
    }
    for url, given in known.items():
        assert isinstance(storage(url, given), icechunk.Storage)
    with pytest.raises(ConfigError, match="'retry_config': icechunk has no such storage option"):
        storage("s3://data/a.icechunk", {"retry_config": {"max_retries": 0}})
