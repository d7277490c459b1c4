"""A target that grows with its source: what is new is computed, and the bytes are those of one run.

The truth is another target, made by one run over everything: every object of it, by SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import collect_aiterator, sync

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.task import Task
from fdgrad_dask.pipeline.store.folder import Folder
from fdgrad_dask.pipeline.store.icechunk import IcechunkStore

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

START = np.datetime64("2000-01-01", "ns")
ALONG = {
    "time": {"dim": "time"},
    "latitude": {"dim": "latitude"},
    "accuracy 4": {"dim": "time", "accuracy": 4},
}


@pytest.fixture(autouse=True)
def at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def field(start: int, stop: int, hours: Any = None) -> xr.Dataset:
    """Steps of a field that is made up, hourly unless ``hours`` says otherwise."""
    rng = [np.random.default_rng(step).normal(size=(5, 6)) for step in range(start, stop)]
    hours = np.arange(start, stop) if hours is None else np.asarray(hours)[start:stop]
    times = START + hours * np.timedelta64(3600 * 10**9, "ns")
    return xr.Dataset(
        {"t": (("time", "latitude", "longitude"), np.array(rng, np.float32), {"units": "K"})},
        {
            "time": ("time", times, {"standard_name": "time"}),
            "latitude": ("latitude", np.linspace(-20, 20, 5), {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(6.0) * 10, {"units": "degrees_east"}),
        },
    )


UNITS = {"time": {"units": "hours since 2000-01-01", "dtype": "int64"}}


def grow(start: int, stop: int, chunk: int = 2, hours: Any = None) -> None:
    """Has the Zarr source ``in.zarr`` end at ``stop``."""
    new = field(start, stop, hours)
    if start:
        new.drop_vars(["latitude", "longitude"]).to_zarr(
            "in.zarr", append_dim="time", consolidated=False, safe_chunks=False
        )
        return
    encoding = {"t": {"chunks": (chunk, 5, 6)}, **UNITS}
    new.to_zarr("in.zarr", encoding=encoding, zarr_format=3, consolidated=False)


def config(
    write: Write,
    options: dict[str, Any],
    path: str = "out.zarr",
    source: str = "in.zarr",
    **more: Any,
) -> str:
    target = {"path": path, "chunks": {"time": 1}, "regions": {"time": 4}, "extend": "time", **more}
    step = {"operator": "gradient", "inputs": ["t"], "options": options}
    return write(source={"path": source}, steps=[step], target=target)


def objects(folder: str) -> dict[str, str]:
    """Every file of a folder, by the SHA-256 of what it holds; of metadata without the history."""
    files = {str(path.relative_to(folder)): path for path in Path(folder).rglob("*")}
    return sums({key: path.read_bytes() for key, path in files.items() if path.is_file()})


def sums(held: dict[str, bytes]) -> dict[str, str]:
    group = json.loads(held["zarr.json"])
    del group["attributes"]["history"]
    held["zarr.json"] = json.dumps(group, sort_keys=True).encode()
    return {key: hashlib.sha256(content).hexdigest() for key, content in held.items()}


RAGGED = [{"chunks": {"time": 4}}, {"chunks": {"time": 2}, "shards": {"time": 4}}]


@pytest.mark.parametrize(
    ("along", "halo", "layout"),
    [
        ("time", 1, {}),
        ("latitude", 0, {}),
        ("accuracy 4", 2, {}),
        *(("time", 1, layout) for layout in RAGGED),
    ],
)
def test_three_appends_are_one_run(
    along: str,
    halo: int,
    layout: dict[str, Any],
    write: Write,
    fdgrad: Called,
    computed: list[int],
) -> None:
    options, before = ALONG[along], 0
    for stop in (21, 22, 26, 31):
        grow(before, stop)
        computed.clear()
        code, _, err = fdgrad("run", config(write, options, **layout))
        assert code == 0, err
        if before:  # the last chunk of the source, of two steps, was of one
            reach = {
                n for n in range(-(-stop // 4)) if min(4 * n + 4, stop) + halo > before // 2 * 2
            }
            assert set(computed) == reach
        before = stop
    grown = objects("out.zarr")
    assert fdgrad("verify", config(write, options, **layout))[0] == 0
    assert fdgrad("run", config(write, options, **layout), "--fresh")[0] == 0
    assert objects("out.zarr") == grown


@pytest.fixture
def short(write: Write, fdgrad: Called, computed: list[int]) -> str:
    """The config of a finished run over 21 steps, whose source has 31 by now."""
    grow(0, 21)
    path = config(write, ALONG["time"])
    assert fdgrad("run", path)[0] == 0
    grow(21, 31)
    computed.clear()
    return path


def test_nothing_new_is_complete(short: str, fdgrad: Called, computed: list[int]) -> None:
    assert fdgrad("run", short)[0] == 0
    computed.clear()
    code, out, _ = fdgrad("run", short)
    assert code == 0
    assert "out.zarr is already complete" in out
    assert computed == []


def test_killed_in_the_middle_the_old_target_is_whole_and_the_rest_follows(
    short: str, fdgrad: Called, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, original = objects("out.zarr"), Task.compute

    def fails(task: Task, attempts: Any) -> Any:
        if attempts[0].region >= 6:
            raise OutputError("enough")
        return original(task, attempts)

    monkeypatch.setattr(Task, "compute", fails)
    assert fdgrad("run", short)[0] == 4
    assert objects("out.zarr") == before
    assert set(computed) == {4, 5, 6}
    monkeypatch.setattr(Task, "compute", original)
    grow(31, 33)  # and the source goes on meanwhile
    computed.clear()
    code, _, err = fdgrad("run", short)
    assert code == 0, err
    assert set(computed) == {6, 7, 8}
    assert "extending out.zarr: 6 of 9 regions are kept" in err
    grown = objects("out.zarr")
    assert not Path("out.zarr.old").exists()
    assert fdgrad("run", short, "--fresh")[0] == 0
    assert objects("out.zarr") == grown


def test_a_linked_shard_that_is_written_again_stays_what_it_was_in_the_old_target(
    short: str, fdgrad: Called, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, compute = objects("out.zarr"), Task.compute

    def fails(task: Task, attempts: Any) -> Any:
        if attempts[0].region >= 6:
            raise OutputError("enough")
        return compute(task, attempts)

    monkeypatch.setattr(Task, "compute", fails)
    assert fdgrad("run", short)[0] == 4
    assert os.path.samefile("out.zarr/dt_dtime/c/0/0/0", "out.zarr.partial/dt_dtime/c/0/0/0")
    xr.zeros_like(field(0, 2)[["t"]]).drop_vars(["time", "latitude", "longitude"]).to_zarr(
        "in.zarr", region={"time": slice(0, 2)}, consolidated=False
    )
    computed.clear()
    assert fdgrad("run", short)[0] == 4
    assert 0 in computed
    assert objects("out.zarr") == before
    assert not os.path.samefile("out.zarr/dt_dtime/c/0/0/0", "out.zarr.partial/dt_dtime/c/0/0/0")
    monkeypatch.setattr(Task, "compute", compute)
    assert fdgrad("run", short)[0] == 0
    grown = objects("out.zarr")
    assert fdgrad("run", short, "--fresh")[0] == 0
    assert objects("out.zarr") == grown


def test_where_files_cannot_be_linked_they_are_copied(
    short: str, fdgrad: Called, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError("no links here")

    link = os.link
    monkeypatch.setattr("fdgrad_dask.pipeline.store.base.os.link", refused)
    code, _, err = fdgrad("run", short)
    monkeypatch.setattr(os, "link", link)
    assert code == 0, err
    assert 0 not in computed
    assert fdgrad("verify", short)[0] == 0


def test_a_chunk_may_be_longer_than_the_source_is_at_first(
    write: Write, fdgrad: Called, computed: list[int]
) -> None:
    path = config(write, ALONG["time"], chunks={"time": 12}, regions={})
    for start, stop in ((0, 5), (5, 11), (11, 27), (27, 30)):
        grow(start, stop)
        assert fdgrad("run", path)[0] == 0
    grown = objects("out.zarr")
    assert fdgrad("verify", path)[0] == 0
    assert fdgrad("run", path, "--fresh")[0] == 0
    assert objects("out.zarr") == grown


KILLED = """
import os, signal, sys
from fdgrad_dask import cli
from fdgrad_dask.pipeline.store import {module}
original = {module}.{name}
calls = []
def kills(*given, **named):
    calls.append(1)
    if len(calls) > {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*given, **named)
{module}.{name} = kills
cli.main(["run", sys.argv[1]])
"""


@pytest.mark.parametrize(
    ("module", "name", "after"),
    [("base", "os.link", 3), ("zarr", "ZarrWriter.write", 5)],
    ids=["while shards are linked", "while regions are written"],
)
def test_kill_9_leaves_the_old_target_whole(
    module: str, name: str, after: int, short: str, fdgrad: Called, computed: list[int]
) -> None:
    before = objects("out.zarr")
    script = KILLED.format(module=module, name=name, after=after)
    died = subprocess.run([sys.executable, "-c", script, short], capture_output=True, check=False)
    assert died.returncode == -9, died.stderr
    assert objects("out.zarr") == before
    code, _, err = fdgrad("run", short)
    assert code == 0, err
    assert 0 not in computed
    grown = objects("out.zarr")
    assert fdgrad("run", short, "--fresh")[0] == 0
    assert objects("out.zarr") == grown


def test_an_old_part_that_has_changed_is_refused(short: str, fdgrad: Called) -> None:
    before, chunk = objects("out.zarr"), Path("in.zarr/t/c/3/0/0")
    held = chunk.read_bytes()
    chunk.write_bytes(held[:-1] + b"x")
    code, _, err = fdgrad("run", short)
    assert code == 4
    assert "out.zarr cannot be extended: in.zarr/t/c/3/0/0 has changed since it was written" in err
    assert "restore it, or run with --fresh" in err
    assert objects("out.zarr") == before


def test_old_labels_that_have_changed_are_refused(short: str, fdgrad: Called) -> None:
    shutil.rmtree("in.zarr")
    grow(0, 31, hours=np.arange(31) + 1)
    code, _, err = fdgrad("run", short)
    assert code == 4
    assert "out.zarr is the result of something else: coordinate time (was " in err
    assert "run with --fresh" in err


def test_without_extend_a_longer_source_is_refused(
    short: str, fdgrad: Called, write: Write
) -> None:
    code, _, err = fdgrad("run", config(write, ALONG["time"], extend=None))
    assert code == 4
    assert "append what is new by target.extend: time, run with --fresh to replace it" in err


def test_labels_that_are_no_longer_even_have_all_computed_again(
    write: Write, fdgrad: Called, computed: list[int]
) -> None:
    hours = [*range(21), 22]
    grow(0, 21, hours=hours)
    path = config(write, ALONG["time"])
    assert fdgrad("run", path)[0] == 0
    grow(21, 22, hours=hours)
    computed.clear()
    code, _, err = fdgrad("run", path)
    assert code == 0
    assert "the new labels of time change the weights of the old ones" in err
    grown = objects("out.zarr")
    assert fdgrad("run", path, "--fresh")[0] == 0
    assert objects("out.zarr") == grown


def test_a_folder_of_files_that_grows_every_day(
    write: Write, fdgrad: Called, computed: list[int]
) -> None:
    Path("days").mkdir()
    path = config(write, ALONG["time"], source="days/*.nc")
    for day in range(3):
        field(6 * day, 6 * day + 6).to_netcdf(f"days/{day}.nc", encoding=UNITS)
        computed.clear()
        code, _, err = fdgrad("run", path)
        assert code == 0, err
        assert (0 in computed) == (day == 0)
        assert "already complete" in fdgrad("run", path)[1]
    grown = objects("out.zarr")
    assert fdgrad("run", path, "--fresh")[0] == 0
    assert objects("out.zarr") == grown


def test_icechunk_has_nothing_new_before_all_of_it(
    write: Write, fdgrad: Called, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    icechunk = pytest.importorskip("icechunk")
    grow(0, 21)
    path = config(write, ALONG["time"], path="out.icechunk")
    assert fdgrad("run", path)[0] == 0
    grow(21, 31)

    def main() -> dict[str, str]:
        repository = icechunk.Repository.open(icechunk.local_filesystem_storage("out.icechunk"))
        store = repository.readonly_session("main").store
        keys = collect_aiterator(store.list())
        read = {key: sync(store.get(key, default_buffer_prototype())) for key in keys}
        return sums({key: content.to_bytes() for key, content in read.items()})

    before, publish = main(), IcechunkStore.publish

    def unpublished(*_: Any) -> None:
        raise OutputError("enough")

    monkeypatch.setattr(IcechunkStore, "publish", unpublished)
    computed.clear()
    assert fdgrad("run", path)[0] == 4
    assert main() == before
    monkeypatch.setattr(IcechunkStore, "publish", publish)
    assert fdgrad("run", path)[0] == 0
    assert 0 not in computed
    grown = main()
    assert fdgrad("verify", path)[0] == 0
    assert fdgrad("run", path, "--fresh")[0] == 0
    assert main() == grown


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"path": "out.nc"}, "cannot be extended unseen by its readers"),
        ({"path": "s3://bucket/out.zarr"}, "cannot be extended unseen by its readers"),
        ({"chunks": {}}, "extend is 'time', and chunks names no time; write chunks: {time: N}"),
    ],
)
def test_what_cannot_be_extended_is_refused(
    target: dict[str, Any], told: str, write: Write, fdgrad: Called
) -> None:
    code, _, err = fdgrad("run", config(write, ALONG["time"], **target))
    assert code == 2
    assert told in err


@pytest.mark.parametrize(
    ("package", "code"), [("numpy", 0), ("jax", 0), ("jaxlib", 0), ("fdgrad_dask", 4)]
)
def test_what_is_new_may_be_computed_by_newer_packages_of_the_same_bits(
    package: str, code: int, short: str, fdgrad: Called
) -> None:
    journal, before = Journal(Folder("out.zarr.journal")), objects("out.zarr")
    run = journal.run()
    assert run is not None
    journal.amend(identity={**run.identity, f"version of {package}": "0.0.1"})
    found, _, err = fdgrad("run", short)
    assert found == code, err
    refusal = f"is the result of something else: version of {package} (was 0.0.1, is "
    assert (refusal in err) is (objects("out.zarr") == before) is (code == 4)
    assert fdgrad("verify", short)[0] == code
