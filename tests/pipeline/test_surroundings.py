"""What a run stands on fails it: a bucket, a disk; the target is that of a clean run."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
import xarray as xr
from failing import failing
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Fdgrad = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

REGIONS = {"time": 2, "longitude": 4}  # four of them


def sums(folder: str | Path) -> dict[str, str]:
    files = [file for file in Path(folder).rglob("*") if file.is_file()]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(autouse=True)
def same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """In which all targets are made, so that their histories are alike."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")


@pytest.fixture
def clean(fdgrad: Fdgrad, write: Write) -> dict[str, str]:
    assert fdgrad("run", write(target={"path": "clean.zarr", "regions": REGIONS}))[0] == 0
    return sums("clean.zarr")


# A bucket that is slow and busy


class Busy:
    """A server of S3 that answers late, and every third request with 503."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.requests = self.refused = 0
        self.is_down = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.requests += 1
        time.sleep(0.01)
        if self.is_down or self.requests % 3 == 0:
            self.refused += 1
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        return self.app(environ, start_response)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_bucket_that_is_slow_and_busy(
    fdgrad: Fdgrad, write: Write, clean: dict[str, str]
) -> None:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line for every request
    busy = Busy()
    with serving(busy) as address:
        options: dict[str, Any] = {
            "endpoint": address,
            "region": "us-east-1",
            "access_key_id": "key",
            "secret_access_key": "secret",
            "allow_http": True,
            "retry_config": {"backoff": {"init_backoff": 0.01, "max_backoff": "50 ms", "base": 2}},
        }
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        client.create_bucket(Bucket="data")
        target = {"path": "s3://data/out.zarr", "regions": REGIONS, "storage_options": options}
        code, _, err = fdgrad("run", write(target=target))
        assert code == 0, err
        assert busy.refused > 10
        assert fdgrad("verify", write(target=target))[0] == 0
        found = {}
        for each in client.list_objects_v2(Bucket="data", Prefix="out.zarr/")["Contents"]:
            held = client.get_object(Bucket="data", Key=each["Key"])["Body"].read()
            found[each["Key"].removeprefix("out.zarr/")] = hashlib.sha256(held).hexdigest()
        assert {k: v for k, v in found.items() if "/c/" in k} == {
            k: v for k, v in clean.items() if "/c/" in k
        }
        busy.is_down = True
        options["retry_config"] = {"max_retries": 0}
        code, _, err = fdgrad("run", write(target=target), "--fresh")
        assert (code, len(err.splitlines())) == (4, 1), err
        assert "s3://data/out.zarr.journal cannot be reached: " in err
        assert "503 Service Unavailable: ; run again once it answers" in err
        busy.is_down = False
        options["retry_config"] = {"max_retries": "lots"}
        code, _, err = fdgrad("run", write(target=target))
        assert (code, len(err.splitlines())) == (2, 1), err
        assert "storage_options of s3://data/out.zarr.journal cannot be used: TypeError: " in err


# A disk that becomes read-only


@contextmanager
def mounted(folder: str) -> Iterator[None]:
    os.mkdir(folder)
    options = ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
    if os.getuid() or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("to mount a file system takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=False)


def remount(folder: str, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


@pytest.mark.parametrize("name", ["out.zarr", "out.nc"])
def test_a_disk_that_becomes_read_only(
    name: str,
    fdgrad: Fdgrad,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As ext4 does after an error; and once it is repaired, the run goes on."""
    with mounted("disk"):
        config = write(target={"path": f"disk/{name}", "regions": REGIONS})
        remount("disk", "ro")
        code, _, err = fdgrad("run", config)
        assert (code, len(err.splitlines())) == (4, 1), err
        assert "its file system is read-only; mount it for writing, or name another" in err
        remount("disk", "rw")
        restore = failing(monkeypatch, 1)
        assert fdgrad("run", config)[0] == 4
        restore()
        remount("disk", "ro")
        code, _, err = fdgrad("run", config)
        assert code == 4, err
        assert "its file system is read-only" in err
        assert not os.path.exists(f"disk/{name}")
        remount("disk", "rw")
        code, _, err = fdgrad("run", config)
        assert code == 0, err
        assert f"resuming disk/{name}: 2 of 4" in err
        assert fdgrad("run", write(target={"path": f"clean-{name}", "regions": REGIONS}))[0] == 0
        with (
            xr.open_dataset(f"disk/{name}") as found,
            xr.open_dataset(f"clean-{name}") as true,
        ):
            xr.testing.assert_equal(found, true)
