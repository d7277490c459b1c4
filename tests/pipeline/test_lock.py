"""T19: one run at a time, whoever dies, sleeps or starts again elsewhere."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Timer
from typing import Any

import psutil
import pytest

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.execute import lock
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.store import folder
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

PLACE = Folder("out.zarr.journal")
TARGET = {"path": "out.zarr", "regions": {"time": 2, "longitude": 4}}  # four regions of one shard


def test_t19_a_second_run_is_refused_and_the_first_unharmed(stopped: str, fdgrad: Called) -> None:
    before = Journal(PLACE).run()
    with lock.locked(PLACE, "out.zarr"):
        code, _, err = fdgrad("run", stopped)
        assert code == 4
        assert f"the target out.zarr is locked by {socket.gethostname()}:{os.getpid()} since" in err
        assert "wait for that run, or stop it" in err
        assert Path("out.zarr.journal", "lock.json").exists()
    assert not Path("out.zarr.journal", "lock.json").exists()
    assert Journal(PLACE).run() == before


def owner(**changes: Any) -> None:
    born = psutil.Process().create_time() - psutil.boot_time()
    known = {"host": socket.gethostname(), "pid": os.getpid(), "born": born}
    told = {**known, "since": 1.0, "seen": time.time(), "token": "other", **changes}
    Path("out.zarr.journal").mkdir(exist_ok=True)
    Path("out.zarr.journal", "lock.tmp").write_text(json.dumps(told))
    os.replace("out.zarr.journal/lock.tmp", "out.zarr.journal/lock.json")  # never half of it


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


DEAD: list[tuple[str, Callable[[], dict[str, Any]]]] = [
    ("the process is gone", lambda: {"pid": dead_process()}),
    ("its number is another's now", lambda: {"born": 1.0}),
]


@pytest.mark.parametrize("changes", [c for _, c in DEAD], ids=[name for name, _ in DEAD])
def test_t19_the_lock_of_the_dead_is_taken(
    changes: Callable[[], dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    owner(**changes())
    with lock.locked(PLACE, "out.zarr"):
        held = lock.owner_in(PLACE.read("lock.json"))
        assert held is not None
        assert held.token != "other"
        assert os.listdir("out.zarr.journal") == ["lock.json"]
    assert "waiting" not in caplog.text
    assert not Path("out.zarr.journal").exists()


class Later:
    """psutil after the clock of the machine was set forward by an hour."""

    STATUS_ZOMBIE, STATUS_DEAD = psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD
    NoSuchProcess = psutil.NoSuchProcess

    class Process(psutil.Process):
        def create_time(self) -> float:
            return super().create_time() + 3600

    @staticmethod
    def boot_time() -> float:
        return psutil.boot_time() + 3600


def test_t19_a_clock_that_jumps_makes_no_owner_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    with lock.locked(PLACE, "out.zarr") as require_held:
        monkeypatch.setattr(lock, "psutil", Later)
        with pytest.raises(OutputError, match="is locked by"), lock.locked(PLACE, "out.zarr"):
            pass
        require_held()


def test_t19_a_clock_that_is_an_hour_late_makes_no_owner_elsewhere_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sign of life is one, whatever time it says."""
    monkeypatch.setattr(lock, "_WATCH", 30.0)
    late = time.time() - 3600
    owner(host="elsewhere", pid=7, seen=late)
    Timer(0.5, owner, kwargs={"host": "elsewhere", "pid": 7, "seen": late + 1}).start()
    with pytest.raises(OutputError, match=r"locked by elsewhere:7"), lock.locked(PLACE, "o"):
        pass


def test_t19_the_lock_of_another_host_that_is_silent_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "_WATCH", 0.5)
    owner(host="elsewhere", pid=7, seen=time.time() - 1000)
    began = time.monotonic()
    with lock.locked(PLACE, "out.zarr"):
        assert time.monotonic() - began > 0.4


def test_t19_the_lock_of_another_host_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An evicted driver is started again elsewhere, before its lease is over (E5)."""
    monkeypatch.setattr(lock, "_LEASE", 1.0)
    monkeypatch.setattr(lock, "_WATCH", 0.0)
    owner(host="elsewhere", pid=7)
    began = time.monotonic()
    with lock.locked(PLACE, "out.zarr"):
        assert 0.5 < time.monotonic() - began < 20
        assert (held := lock.owner_in(PLACE.read("lock.json"))) is not None
        assert time.time() - held.seen < 0.5  # and not when it began to wait
    assert caplog.text.count("out.zarr is locked by elsewhere:7; waiting up to 1 s") == 1


def test_t19_the_lock_of_another_host_that_lives_is_respected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "_LEASE", 30.0)
    owner(host="elsewhere", pid=7)
    Timer(0.5, owner, kwargs={"host": "elsewhere", "pid": 7, "seen": time.time() + 1}).start()
    with (
        pytest.raises(OutputError, match=r"locked by elsewhere:7 since 1970-01-01 00:00:01 UTC"),
        lock.locked(PLACE, "out.zarr"),
    ):
        pass


def test_t19_of_two_that_find_a_dead_owner_one_takes_the_lock() -> None:
    owner(pid=dead_process())
    refused = Event()

    def run(_: int) -> str:
        try:
            with lock.locked(PLACE, "out.zarr") as require_held:
                assert refused.wait(60)
                require_held()
                return "held"
        except OutputError as error:
            refused.set()
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(run, range(2)))
    assert said[0] == "held"
    assert f"is locked by {socket.gethostname()}:{os.getpid()} since" in said[1]


def test_t19_a_process_that_nobody_waited_for_is_dead() -> None:
    """A zombie keeps its number, and its lock no longer."""
    with subprocess.Popen(["true"]) as process:
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        born = psutil.Process(process.pid).create_time() - psutil.boot_time()
        owner(pid=process.pid, born=born)
        with lock.locked(PLACE, "out.zarr"):
            pass


def test_t19_a_container_of_this_host_counts_its_processes_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "_LEASE", 1.0)
    monkeypatch.setattr(lock, "_WATCH", 0.0)
    owner(pid=dead_process(), space="pid:[1]")
    began = time.monotonic()
    with lock.locked(PLACE, "out.zarr"):
        assert time.monotonic() - began > 0.5


def test_t19_two_machines_of_one_name_have_spaces_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their namespaces bear one number, so the live run of the other seemed dead."""
    with lock.locked(PLACE, "out.zarr"):
        own = json.loads((PLACE.read("lock.json") or b"").decode())["space"]
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() in own
    monkeypatch.setattr(lock, "_WATCH", 1.0)
    monkeypatch.setattr(lock, "_POLL", 0.1)
    other = f"another-start {os.readlink('/proc/self/ns/pid')}"
    pid = dead_process()
    owner(pid=pid, space=other)
    Timer(0.4, owner, kwargs={"pid": pid, "space": other, "seen": time.time() + 1}).start()
    with pytest.raises(OutputError, match="is locked by"), lock.locked(PLACE, "out.zarr"):
        pytest.fail("it lives")


@pytest.mark.parametrize("content", ["", '{"host": "a'])
def test_t19_a_torn_lock_is_nobodys_after_a_moment(
    content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_TORN", 0.5)
    owner()
    Path("out.zarr.journal", "lock.json").write_text(content)
    began = time.monotonic()
    with lock.locked(PLACE, "out.zarr"):
        assert lock.owner_in(PLACE.read("lock.json")) is not None
        assert time.monotonic() - began > 0.4


def test_a_lock_that_was_taken_while_it_was_made_is_not_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def opened(path: str, flags: int) -> int:
        number = os.open(path, flags, mode=0o600)
        owner(token="another, who took it for torn")
        return number

    monkeypatch.setattr(folder, "_PRIVATELY", opened)
    with pytest.raises(OutputError, match="is locked by"), lock.locked(PLACE, "out.zarr"):
        pytest.fail("there are two owners")
    assert b"another" in (PLACE.read("lock.json") or b"")


def test_a_file_system_without_hard_links_has_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """gcsfuse, blobfuse, CIFS (E20)."""

    def refused(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with lock.locked(PLACE, "out.zarr"):
        assert lock.owner_in(PLACE.read("lock.json")) is not None
        with pytest.raises(OutputError, match="is locked by"), lock.locked(PLACE, "o"):
            pass
    owner(pid=dead_process())
    with lock.locked(PLACE, "out.zarr"):
        pass


def test_a_lock_that_was_taken_over_is_not_ours_to_publish_by() -> None:
    """A machine that slept for an hour finds its lease gone, and another run at work."""
    with lock.locked(PLACE, "out.zarr") as require_held:
        require_held()
        owner(host="elsewhere")
        with pytest.raises(OutputError, match="was taken by another run while"):
            require_held()
    held = lock.owner_in(PLACE.read("lock.json"))
    assert held is not None
    assert held.host == "elsewhere"


def test_a_run_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_BEAT", 0.01)
    with lock.locked(PLACE, "out.zarr"):
        first = lock.owner_in(PLACE.read("lock.json"))
        for _ in range(500):
            if (now := lock.owner_in(PLACE.read("lock.json"))) and first and now.seen > first.seen:
                break
            time.sleep(0.01)
        else:
            pytest.fail("no sign of life")


def test_who_lives_as_far_as_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lock.living_owner(PLACE) is None
    owner()
    assert (found := lock.living_owner(PLACE)) is not None
    assert found.token == "other"
    owner(pid=dead_process())
    assert lock.living_owner(PLACE) is None
    for silent, is_alive in ((100, True), (150, True), (181, False), (-10000, True)):
        owner(host="elsewhere", seen=time.time() - silent)
        assert (lock.living_owner(PLACE) is not None) is is_alive
    monkeypatch.setattr(lock, "_born", lambda pid: 100.0)
    for born, is_same in ((101.9, True), (98.1, True), (102.0, False), (98.0, False)):
        owner(born=born)
        assert (lock.living_owner(PLACE) is not None) is is_same


class Slow(Folder):
    """A place that takes its time over a sign of life."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.began = Event()

    def replace(self, key: str, seen: bytes, content: bytes) -> bool:
        self.began.set()
        time.sleep(0.05)
        return super().replace(key, seen, content)


def test_signs_of_life_end_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep no process from its end, and none comes after the lock is free."""
    monkeypatch.setattr(lock, "_BEAT", 0.001)
    before, place = set(threading.enumerate()), Slow("out.zarr.journal")
    with lock.locked(place, "out.zarr"):
        assert place.began.wait(10)
        (beating,) = set(threading.enumerate()) - before
        assert beating.daemon
    assert not beating.is_alive()
    assert not Path("out.zarr.journal").exists()
