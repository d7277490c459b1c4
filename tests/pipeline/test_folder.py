"""A folder as a place of small objects: each whole or not there, and for its owner alone."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.store import folder
from fdgrad_dask.pipeline.store.folder import Folder


def test_what_goes_in_comes_out() -> None:
    place = Folder("deep/out.journal")
    assert place.read("a.json") is None
    assert not Path("deep").exists()
    place.write("a.json", b"one")
    place.write("a.json", b"two")
    place.append("b.jsonl", b"x\n")
    place.append("b.jsonl", b"y\n")
    assert (place.read("a.json"), place.read("b.jsonl")) == (b"two", b"x\ny\n")
    for key in ("a.json", "never"):
        place.delete(key)
    assert os.listdir("deep/out.journal") == ["b.jsonl"]
    place.delete("b.jsonl")
    assert os.listdir("deep") == []


@pytest.mark.parametrize("made", [True, False], ids=["made by us", "made by others"])
def test_only_its_owner_looks_into_it(made: bool) -> None:
    if not made:
        Path("journal").mkdir(0o755)
    Folder("journal").append("b", b"")
    Folder("journal").write("a", b"")
    assert Path("journal").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in Path("journal").iterdir()} == {0o600}


def test_of_several_that_put_one_does() -> None:
    place = Folder("journal")
    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(lambda n: place.create("a", b"%d" % n), range(8))]
        assert made.count(True) == 1
        first = place.read("a")
        assert first == b"%d" % made.index(True)
        put = [*pool.map(lambda n: place.replace("a", first, b"new %d" % n), range(8))]
        assert put.count(True) == 1
        assert place.read("a") == b"new %d" % put.index(True)
    assert not place.replace("a", first, b"late")
    assert not place.replace("b", b"", b"where nothing was")
    assert os.listdir("journal") == ["a"]


class Late(Folder):
    """Goes on after its first look when it may."""

    looked, may = Event(), Event()

    def read(self, key: str) -> bytes | None:
        found = super().read(key)
        self.looked.set()
        assert self.may.wait(10)
        return found


def test_nobody_comes_between_look_and_put(monkeypatch: pytest.MonkeyPatch) -> None:
    place, late, newcomers = Folder("journal"), Late("journal"), []
    place.write("a", b"first")

    def opened(path: str, flags: int) -> int:
        number = os.open(path, flags, mode=0o600)
        if not late.may.is_set():  # what was opened is still empty
            late.may.set()
            wait([other], timeout=0.5)
        return number

    def moved(move: Callable[[str, str], None], old: str, new: str) -> None:
        move(old, new)
        newcomers.append(place.create("a", b"a newcomer"))

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, partial(moved, getattr(os, name)))
    monkeypatch.setattr(folder, "_PRIVATELY", opened)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(late.replace, "a", b"first", b"another")
        assert late.looked.wait(10)
        assert place.replace("a", b"first", b"one")
        assert not other.result()
    assert place.read("a") == b"one"
    assert newcomers == [False]


def test_the_folder_may_go_with_the_last_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = []

    def opened(path: str, flags: int) -> int:
        if len(gone) < 3:
            gone.append(os.rmdir("journal"))
        return os.open(path, flags, mode=0o600)

    monkeypatch.setattr(folder, "_PRIVATELY", opened)
    assert Folder("journal").create("a", b"here")
    assert Folder("journal").read("a") == b"here"
    assert len(gone) == 3


@pytest.mark.parametrize("when", ["mkdir", "chmod"])
def test_the_folder_may_go_at_any_moment(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = []
    do = getattr(os, when)

    def late(path: str, *arguments: int) -> None:
        if not gone:
            gone.append(path)
            if when == "mkdir":  # it was there, and is not when somebody looks
                raise FileExistsError(errno.EEXIST, "File exists", path)
            os.rmdir(path)
        do(path, *arguments)

    monkeypatch.setattr(os, when, late)
    assert Folder("journal").create("a", b"here")
    assert (Folder("journal").read("a"), gone) == (b"here", ["journal"])


def test_who_died_while_putting_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_CLAIM", 0.05)
    place = Folder("journal")
    place.write("a", b"first")
    place.write("a.claim", b"of one that was killed")
    assert not place.replace("a", b"else", b"new")
    assert place.replace("a", b"first", b"new")
    assert (place.read("a"), os.listdir("journal")) == (b"new", ["a"])


class Hesitant(Folder):
    """Deletes no claim before another one puts."""

    puts = Event()

    def delete(self, key: str) -> None:
        assert "claim" not in key or self.puts.wait(10)
        super().delete(key)


def test_of_two_that_wait_for_a_dead_one_one_puts(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(move: Callable[[str, str], None], old: str, new: str) -> None:
        Hesitant.puts.set()
        time.sleep(0.2)  # in which the other may put, too
        move(old, new)

    monkeypatch.setattr(folder, "_CLAIM", 1.0)
    place = Folder("journal")
    place.write("a", b"first")
    place.write("a.claim", b"of one that was killed")
    monkeypatch.setattr(os, "replace", partial(moved, os.replace))
    with ThreadPoolExecutor(2) as pool:
        tried = (
            pool.submit(each.replace, "a", b"first", b"new")
            for each in (place, Hesitant("journal"))
        )
        put = [each.result() for each in [*tried]]
    assert sorted(put) == [False, True]
    assert os.listdir("journal") == ["a"]


def test_a_full_disk_leaves_no_empty_object(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Folder("journal")
    place.write("a", b"first")

    def full(path: str, flags: int) -> int:
        os.close(os.open(path, flags, mode=0o600))
        return os.open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(folder, "_PRIVATELY", full)
    for call in (partial(place.create, "b"), partial(place.replace, "a", b"first")):
        with pytest.raises(OutputError, match="the disk is full"):
            call(b"more")
        assert os.listdir("journal") == ["a"]


def test_what_another_user_keeps_private_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(OutputError, match=r"journal/a cannot be read: .* call fdgrad as that user"):
        Folder("journal").read("a")


def test_an_object_is_what_it_was_until_it_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Folder("journal")
    place.write("a", b"before")

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        place.write("a", b"after")
    assert place.read("a") == b"before"


def test_where_nothing_can_be_written_it_says_what_to_do() -> None:
    Path("journal").write_text("a file where the folder should be")
    place = Folder("journal")
    for call in (place.write, place.append, place.create):
        with pytest.raises(OutputError, match=r"journal.* cannot be written: .*; fix the path"):
            call("a", b"")
