"""A target that is there already: gone on with, refused, verified, repaired.

T7, T8, T18, T19, T24, each with the message that a user sees.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr
from distributed import Client, KilledWorker

from fdgrad_dask.errors import ClusterLostError, OutputError
from fdgrad_dask.pipeline import lock, region
from fdgrad_dask.pipeline import source as sources
from fdgrad_dask.pipeline.conduct import Conductor
from fdgrad_dask.pipeline.journal import Journal
from fdgrad_dask.pipeline.targets import zarr as zarr_target

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

TARGET = {"path": "out.zarr", "regions": {"time": 2, "longitude": 4}}  # four regions of one shard

pytestmark = pytest.mark.usefixtures("threads_only")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The regions that a run hands out."""
    numbers: list[int] = []
    submitted = Conductor._submitted

    def counted(conductor: Conductor, client: Client, some: list[int]) -> Any:
        numbers.extend(some)
        return submitted(conductor, client, some)

    monkeypatch.setattr(Conductor, "_submitted", counted)
    return numbers


@pytest.fixture
def stopped(
    fdgrad: Called, write: Write, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> str:
    """A run that ended after two of its four regions, by an error in the third."""
    original = region.compute

    def fails(work: Any, attempts: Any) -> Any:
        if attempts[0].region >= 2:
            raise OutputError("enough")
        return original(work, attempts)

    monkeypatch.setattr(region, "compute", fails)
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 4
    monkeypatch.setattr(region, "compute", original)
    assert sorted(Journal("out.zarr").regions()) == [0, 1]
    computed.clear()
    return config


def test_what_is_finished_is_not_computed_again(
    stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    code, _, err = fdgrad("run", stopped)
    assert code == 0
    assert "going on with out.zarr: 2 of 4 regions are finished" in err
    assert sorted(computed) == [2, 3]
    assert fdgrad("verify", stopped)[:2] == (
        0,
        "out.zarr is complete: all 4 shards of 4 regions are intact\n",
    )
    run = Journal("out.zarr").run()
    assert run is not None
    assert run.ended is not None


def test_what_vanished_meanwhile_is_computed_again(
    stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    Path("out.zarr.journal", "regions", "r000000.json").write_text('{"number": 0, "ke')
    (key,) = Journal("out.zarr").regions()[1].checksums
    Path("out.zarr.partial", key).write_bytes(b"")
    assert fdgrad("run", stopped)[0] == 0
    assert sorted(computed) == [0, 1, 2, 3]


def test_fresh_begins_anew_and_a_run_goes_on_with_that(
    stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    assert fdgrad("run", stopped, "--fresh")[0] == 0
    assert sorted(computed) == [0, 1, 2, 3]


def test_a_layout_that_was_cut_short_is_laid_out_again(
    stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    Journal("out.zarr").amend(laid_out=False)
    code, _, err = fdgrad("run", stopped)
    assert code == 0
    assert "what an earlier run left of out.zarr is replaced" in err
    assert sorted(computed) == [0, 1, 2, 3]


def test_another_cluster_may_go_on(
    stopped: str, fdgrad: Called, write: Write, computed: list[int]
) -> None:
    config = write(target=TARGET, cluster={"workers": 2, "threads": 2, "memory_limit": "2 GiB"})
    assert fdgrad("run", config)[0] == 0
    assert sorted(computed) == [2, 3]


CHANGED: list[tuple[dict[str, Any], str]] = [
    (
        {"steps": [{"operator": "gradient", "inputs": ["sst"], "options": {"dim": "longitude"}}]},
        "steps[0].options.dim (was latitude, is longitude)",
    ),
    (
        {"target": {**TARGET, "chunks": {"time": 1}}},
        "layout.chunks.time (was 2, is 1)",
    ),
    ({"target": {**TARGET, "round_bits": 9}}, "target.round_bits (was null, is 9)"),
]


@pytest.mark.parametrize(("sections", "told"), CHANGED)
def test_t18_something_else_is_refused(
    sections: dict[str, Any], told: str, stopped: str, fdgrad: Called, write: Write
) -> None:
    code, _, err = fdgrad("run", write(**{"target": TARGET, **sections}))
    assert code == 4
    assert f"fdgrad: out.zarr was begun with something else: {told}; undo the change, run" in err
    assert sorted(Journal("out.zarr").regions()) == [0, 1]


def test_t18_another_input_is_refused(
    stopped: str, fdgrad: Called, sst: xr.Dataset, source: str
) -> None:
    shutil.rmtree(source)
    other = sst.assign_coords(latitude=sst.latitude + 1).chunk(time=2, longitude=4)
    other.to_zarr(source, zarr_format=3, consolidated=False)
    code, _, err = fdgrad("run", stopped)
    assert code == 4
    assert "coordinate latitude (was " in err


# --- T19 ----------------------------------------------------------------------------------------


def test_t19_a_second_run_is_refused_and_the_first_unharmed(stopped: str, fdgrad: Called) -> None:
    before = Journal("out.zarr").run()
    with lock.locked("out.zarr.journal", "out.zarr"):
        code, _, err = fdgrad("run", stopped)
        assert code == 4
        assert f"the target out.zarr is locked by {socket.gethostname()}:{os.getpid()} since" in err
        assert "wait for that run, or stop it" in err
        assert Path("out.zarr.journal", "lock.json").exists()
    assert not Path("out.zarr.journal", "lock.json").exists()
    assert Journal("out.zarr").run() == before


def owner(**changes: Any) -> None:
    born = psutil.Process().create_time()
    known = {"host": socket.gethostname(), "pid": os.getpid(), "born": born}
    told = {**known, "since": 1.0, "seen": time.time(), "token": "other", **changes}
    Path("out.zarr.journal").mkdir(exist_ok=True)
    Path("out.zarr.journal", "lock.json").write_text(json.dumps(told))


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


DEAD: list[tuple[str, Callable[[], dict[str, Any]]]] = [
    ("the process is gone", lambda: {"pid": dead_process()}),
    ("its number is another's now", lambda: {"born": 1.0}),
    ("another host is silent", lambda: {"host": "elsewhere", "seen": time.time() - 1000}),
]


@pytest.mark.parametrize("changes", [c for _, c in DEAD], ids=[name for name, _ in DEAD])
def test_t19_the_lock_of_the_dead_is_taken(changes: Callable[[], dict[str, Any]]) -> None:
    owner(**changes())
    with lock.locked("out.zarr.journal", "out.zarr"):
        held = lock.owner("out.zarr.journal")
        assert held is not None
        assert held.token != "other"
        assert os.listdir("out.zarr.journal") == ["lock.json"]
    assert not Path("out.zarr.journal").exists()


def test_t19_the_lock_of_another_host_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An evicted driver is started again elsewhere, before its lease is over (E5)."""
    monkeypatch.setattr(lock, "_LEASE", 1.0)
    owner(host="elsewhere", pid=7)
    began = time.monotonic()
    with lock.locked("out.zarr.journal", "out.zarr"):
        assert 0.5 < time.monotonic() - began < 20
    assert "out.zarr is locked by elsewhere:7; waiting up to 1 s" in capsys.readouterr().err


def test_t19_the_lock_of_another_host_that_lives_is_respected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "_LEASE", 30.0)
    owner(host="elsewhere", pid=7)
    Timer(0.5, owner, kwargs={"host": "elsewhere", "pid": 7, "seen": time.time() + 1}).start()
    with (
        pytest.raises(OutputError, match=r"locked by elsewhere:7 since 1970-01-01 00:00:01 UTC"),
        lock.locked("out.zarr.journal", "out.zarr"),
    ):
        pass


def test_t19_a_process_that_nobody_waited_for_is_dead() -> None:
    """A zombie keeps its number, and its lock no longer."""
    with subprocess.Popen(["true"]) as process:
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        owner(pid=process.pid, born=psutil.Process(process.pid).create_time())
        with lock.locked("out.zarr.journal", "out.zarr"):
            pass


def test_t19_a_container_of_this_host_counts_its_processes_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "_LEASE", 1.0)
    owner(pid=dead_process(), space="pid:[1]")
    began = time.monotonic()
    with lock.locked("out.zarr.journal", "out.zarr"):
        assert time.monotonic() - began > 0.5


def test_t19_a_torn_lock_is_nobodys_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_TORN", 0.5)
    owner()
    Path("out.zarr.journal", "lock.json").write_text('{"host": "a')
    began = time.monotonic()
    with lock.locked("out.zarr.journal", "out.zarr"):
        assert lock.owner("out.zarr.journal") is not None
        assert time.monotonic() - began > 0.4


def test_a_file_system_without_hard_links_has_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """gcsfuse, blobfuse, CIFS (E20)."""

    def refused(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with lock.locked("out.zarr.journal", "out.zarr"):
        assert lock.owner("out.zarr.journal") is not None
        with pytest.raises(OutputError, match="is locked by"), lock.locked("out.zarr.journal", "o"):
            pass
    owner(pid=dead_process())
    with lock.locked("out.zarr.journal", "out.zarr"):
        pass


def test_a_lock_that_was_taken_over_is_not_ours_to_publish_by() -> None:
    """A machine that slept for an hour finds its lease gone, and another run at work."""
    with lock.locked("out.zarr.journal", "out.zarr") as require_held:
        require_held()
        owner(host="elsewhere")
        with pytest.raises(OutputError, match="was taken by another run while"):
            require_held()
    held = lock.owner("out.zarr.journal")
    assert held is not None
    assert held.host == "elsewhere"


def test_a_run_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_BEAT", 0.01)
    with lock.locked("out.zarr.journal", "out.zarr"):
        first = lock.owner("out.zarr.journal")
        for _ in range(500):
            if (now := lock.owner("out.zarr.journal")) and first and now.seen > first.seen:
                break
            time.sleep(0.01)
        else:
            pytest.fail("no sign of life")


# --- T24 ----------------------------------------------------------------------------------------


def test_t24_broken_shards_are_found_and_only_they_repaired(
    fdgrad: Called, write: Write, computed: list[int]
) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    whole = {file: file.read_bytes() for file in Path("out.zarr").rglob("*") if file.is_file()}
    records = Journal("out.zarr").regions()
    keys = [next(iter(records[number].checksums)) for number in range(4)]
    computed.clear()
    Path("out.zarr", keys[0]).unlink()
    Path("out.zarr", keys[1]).write_bytes(b"")
    flipped = bytearray(Path("out.zarr", keys[3]).read_bytes())
    flipped[10] ^= 1
    Path("out.zarr", keys[3]).write_bytes(flipped)
    code, out, err = fdgrad("verify", config)
    assert (code, out) == (4, "")
    assert "fdgrad: out.zarr is broken, fdgrad run --repair writes these again:" in err
    assert [line.strip() for line in err.splitlines()[1:]] == [
        f"{keys[0]} is missing",
        f"{keys[1]} is empty",
        f"{keys[3]} has other bytes than were written",
    ]
    code, _, err = fdgrad("run", "--repair", config)
    assert code == 0, err
    assert "3 shards are broken, in 3 of 4 regions" in err
    assert sorted(computed) == [0, 1, 3]
    assert fdgrad("verify", config)[0] == 0
    assert {file: file.read_bytes() for file in whole} == whole


def test_t24_a_shard_in_the_place_of_another_is_found(fdgrad: Called, write: Write) -> None:
    step = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "longitude"}}
    config = write(target=TARGET, steps=[step])
    assert fdgrad("run", config)[0] == 0
    records = Journal("out.zarr").regions()
    one, other = (Path("out.zarr", next(iter(records[i].checksums))) for i in (0, 1))
    assert one.read_bytes() != other.read_bytes()
    one.write_bytes(other.read_bytes())
    code, _, err = fdgrad("verify", config)
    assert code == 4
    assert "has other bytes than were written" in err


def test_t24_a_coordinate_that_is_broken_is_found(fdgrad: Called, write: Write) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    Path("out.zarr", "latitude", "c", "0").write_bytes(b"not what it was")
    code, _, err = fdgrad("verify", config)
    assert code == 4
    assert "latitude/c/0 has other bytes than were written" in err
    code, _, err = fdgrad("run", "--repair", config)
    assert code == 4
    assert "which no region writes; run with --fresh" in err


def test_verify_of_what_is_not_there_or_not_finished(
    fdgrad: Called, write: Write, stopped: str
) -> None:
    code, _, err = fdgrad("verify", stopped)
    assert code == 4
    assert "out.zarr is not finished, 2 of 4 regions are; fdgrad run goes on" in err
    shutil.rmtree("out.zarr.partial")
    assert "there is no target out.zarr; fdgrad run makes it" in fdgrad("verify", stopped)[2]
    assert fdgrad("run", stopped)[0] == 0
    shutil.rmtree("out.zarr.journal")
    assert "out.zarr has no journal out.zarr.journal" in fdgrad("verify", stopped)[2]
    code, _, err = fdgrad("run", "--repair", stopped)
    assert code == 4
    assert "nothing shows that fdgrad wrote it (it has no out.zarr.journal)" in err


# --- What killed writers leave ------------------------------------------------------------------

TORN = f"{'0123456789abcdef' * 2}.partial"  # as zarr calls a file that it is writing


def files_of_the_killed(folder: str) -> tuple[list[Path], list[Path]]:
    """What killed writers leave in a target, and files of others under similar names."""
    array = Path(folder, "dsst_dlatitude")
    torn = [Path(folder, f"zarr.{TORN}"), array / f"zarr.{TORN}", array / f"c/1/0/0.{TORN}"]
    others = [
        array / "c/1/0/0.partial",  # without digits
        array / f"c/1/0/notes.{TORN}",  # not of a chunk
        array / "other" / f"0.{TORN}",  # not where chunks are
    ]
    return torn, others


def leave(*files: list[Path]) -> None:
    """Makes empty files: a writer may be killed before it writes its first byte."""
    for path in chain(*files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def there(paths: list[Path]) -> list[bool]:
    """Which of the files in ``out.zarr.partial`` are in the target that was made of it."""
    return [Path("out.zarr", *path.parts[1:]).exists() for path in paths]


def test_a_run_that_goes_on_removes_what_killed_writers_left(stopped: str, fdgrad: Called) -> None:
    torn, others = files_of_the_killed("out.zarr.partial")
    leave(torn, others)
    code, _, err = fdgrad("run", stopped)
    assert code == 0, err
    assert (there(torn), there(others)) == ([False] * 3, [True] * 3)
    assert fdgrad("verify", stopped)[0] == 0


def test_a_run_that_lost_a_worker_removes_what_that_left(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = region.compute
    torn, others = files_of_the_killed("out.zarr.partial")

    def dies_once(work: Any, attempts: Any) -> Any:
        if not torn[0].exists():
            leave(torn, others)
            died = SimpleNamespace(address="tcp://10.0.0.7:1")
            raise KilledWorker("region", died, 0)  # type: ignore[arg-type]
        return original(work, attempts)

    monkeypatch.setattr(region, "compute", dies_once)
    code, _, err = fdgrad("run", write(target=TARGET))
    assert code == 0, err
    assert "the worker tcp://10.0.0.7:1 died of region 0" in err
    assert (there(torn), there(others)) == ([False] * 3, [True] * 3)


def test_a_run_that_nothing_disturbed_does_not_look(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list a target of a million files takes as long as to make sure that they are there."""
    looked: list[Any] = []
    monkeypatch.setattr(zarr_target, "remove_leftovers", lambda *given: looked.append(given))
    assert fdgrad("run", write(target=TARGET))[0] == 0
    assert looked == []


def test_a_repair_removes_what_a_killed_one_left(fdgrad: Called, write: Write) -> None:
    config = write(target=TARGET)
    assert fdgrad("run", config)[0] == 0
    torn, others = files_of_the_killed("out.zarr")
    leave(torn, others)
    assert fdgrad("run", "--repair", config)[0] == 0
    assert (there(torn), there(others)) == ([False] * 3, [True] * 3)


# --- T7, T8, and workers --------------------------------------------------------------------------


def test_t7_a_disk_that_is_too_small_is_refused_beforehand(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free._replace(free=100))
    code, _, err = fdgrad("run", write())
    assert code == 4
    assert "640 B are to be written beside out.zarr, and 100 B are free; make room" in err
    assert not Path("out.zarr.partial").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free._replace(free=400))
    code, _, err = fdgrad("run", write())
    assert code == 0
    assert "and only 400 B are free: it fits if it compresses well" in err


def damage(path: Path, how: str) -> None:
    held = path.read_bytes()
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "truncated": held[:9], "flipped": b"\xff" + held[1:]}[how])


@pytest.mark.parametrize("how", ["flipped", "truncated", "empty", "deleted"])
def test_t8_a_damaged_input_is_named_and_never_written_as_nan(
    how: str, fdgrad: Called, write: Write, source: str, computed: list[int]
) -> None:
    chunk = Path(source, "sst", "c", "1", "0", "1")
    held = chunk.read_bytes()
    damage(chunk, how)
    config = write(target=TARGET)
    code, _, err = fdgrad("run", config)
    assert code == 3, err
    assert "sst[2:4, 0:5, 4:8]" in err
    assert source in err
    assert not Path("out.zarr").exists()
    assert 3 not in Journal("out.zarr").regions()
    chunk.write_bytes(held)
    computed.clear()
    assert fdgrad("run", config)[0] == 0
    assert 3 in computed
    assert not np.isnan(xr.open_zarr("out.zarr").dsst_dlatitude).any()


def test_a_region_that_kills_every_worker_is_given_up_with_numbers(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kills(work: Any, attempts: Any) -> Any:
        died = SimpleNamespace(address=f"tcp://{attempts[0].number}")
        raise KilledWorker("region", died, 0)  # type: ignore[arg-type]

    monkeypatch.setattr(region, "compute", kills)
    code, _, err = fdgrad("run", write(cluster={"workers": 1, "memory_limit": "1 GiB"}))
    assert code == 5
    died = [line for line in err.splitlines() if line.endswith("or was killed")]
    assert died == [f"the worker tcp://{n} died of region 0, or was killed" for n in (1, 2, 3, 4)]
    assert "fdgrad: 4 workers died of region 0; by plan a region needs 400.00 MiB" in err
    assert "and a worker has 1.00 GiB. Where that is short, lower target.regions or" in err


def test_a_cluster_that_is_lost_again_and_again(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> Any:
        raise ClusterLostError("the cluster was lost (gone)")

    monkeypatch.setattr(region, "compute", lost)
    code, _, err = fdgrad("run", write(target=TARGET))
    assert code == 5
    told = [line for line in err.splitlines() if "rebuilding" in line]
    assert told == [
        f"cluster lost, rebuilding ({n}/3): the cluster was lost (gone)" for n in (1, 2, 3)
    ]
    run = Journal("out.zarr").run()
    assert run is not None
    assert [event.kind for event in run.events] == ["cluster lost"] * 3


def test_the_window_follows_the_workers(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many regions there are, the scheduler never holds more than a few."""
    held: list[int] = []
    submit = Client.submit

    def counted(client: Client, *arguments: Any, **options: Any) -> Any:
        future = submit(client, *arguments, **options)
        held.append(len(client.futures))
        return future

    monkeypatch.setattr(Client, "submit", counted)
    target = {**TARGET, "chunks": {"time": 1, "latitude": 1}, "regions": {"time": 1, "latitude": 1}}
    assert fdgrad("run", write(target=target))[0] == 0
    assert len(held) > 8
    assert max(held) <= 3


def test_workers_are_handed_the_source_as_the_driver_opened_it(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open it may mean to look into thousands of files."""
    opened: list[Any] = []
    original = sources.opened
    monkeypatch.setattr(sources, "opened", lambda *a, **k: opened.append(a) or original(*a, **k))
    code, _, err = fdgrad("run", write())
    assert code == 0, err
    assert len(opened) == 1
