"""The journal: what is finished stays so, whatever happens to its files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.execute.journal import Journal, RegionRecord, RunRecord, key_of
from fdgrad_dask.pipeline.planning.regions import Plan
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]

PLAN = Plan({"time": 6, "x": 4}, {"time": 2, "x": 2}, 0, 0, 0, 0)
RUN = RunRecord(
    digest="d1",
    identity={"steps[0].operator": "gradient"},
    config={"steps": []},
    called="fdgrad run x.yaml",
    versions={"fdgrad_dask": "1"},
    inputs={},
    regions=PLAN.count,
    plan=asdict(PLAN),
    began=10.0,
)
PLACE = Folder("out.zarr.journal")
LINES = Path("out.zarr.journal", "journal.jsonl")


def region(number: int) -> RegionRecord:
    return RegionRecord(
        number=number,
        key=key_of(PLAN.span(number)),
        worker="tcp://1",
        began=1.0,
        seconds=2.0,
        read_seconds=0.5,
        write_seconds=0.25,
        bytes_read=100,
        bytes_written=50,
        peak_memory=1000,
        attempt=1,
        checksums={"a/c/0": "00ff00ff"},
    )


@pytest.fixture
def journal() -> Journal:
    begun = Journal(PLACE)
    begun.begin(RUN)
    return begun


def test_a_run_that_has_begun_has_no_target_yet(journal: Journal) -> None:
    found = journal.run()
    assert found == RUN
    assert found is not None
    assert found.laid_out is False
    assert found.ended is found.grown_from is None
    assert (found.names, found.read, found.replaces, found.labels) == ([], {}, {}, {})


def test_what_goes_in_comes_out(journal: Journal) -> None:
    journal.finish(region(2))
    journal.finish(region(0))
    journal.note("worker lost", "it died of region 1")
    again = Journal(PLACE)
    assert again.numbered() == {0: region(0), 2: region(2)}
    found = again.run()
    assert found is not None
    assert [(event.kind, event.text) for event in found.events] == [
        ("worker lost", "it died of region 1")
    ]
    assert found.ended is None
    again.end()
    assert (ended := again.run()) is not None
    assert ended.ended is not None
    assert sorted(os.listdir("out.zarr.journal")) == ["journal.jsonl", "run.json"]


@pytest.mark.parametrize(
    "content", ["", '{"number": 1', "[]", "{}", '{"number": 1, "new": 2}', '{"forgotten": 3}', "7"]
)
def test_what_is_no_record_is_a_region_that_is_not_finished(journal: Journal, content: str) -> None:
    journal.finish(region(0))
    with LINES.open("a") as file:
        file.write(f"{content}\n")
    journal.finish(region(1))
    assert journal.numbered() == {0: region(0), 1: region(1)}
    Path("out.zarr.journal", "run.json").write_text(content)
    assert journal.run() is None
    assert journal.numbered() == {}
    journal.note("nothing", "to note it in")
    journal.end()


def test_wherever_it_is_torn_all_before_is_finished_and_the_rest_can_follow(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # some hundred times, in a test of cut files
    for number in range(3):
        journal.finish(region(number))
    whole = LINES.read_bytes()
    ends = [end + 1 for end, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(ends[0], len(whole) + 1):
        LINES.write_bytes(whole[:length])
        killed = Journal(PLACE)
        left = [number for number in range(3) if ends[number] > length]
        assert killed.numbered() == {n: region(n) for n in range(3) if n not in left}
        for number in left:
            killed.finish(region(number))
        if left:
            assert LINES.read_bytes() == whole


def test_a_line_that_was_not_taken_is_no_part_of_the_next(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk is full for a moment."""
    journal.finish(region(0))
    append = Folder.append

    def stops(place: Folder, key: str, content: bytes) -> None:
        append(place, key, content[:20])
        raise OutputError("full")

    monkeypatch.setattr(Folder, "append", stops)
    with pytest.raises(OutputError, match="full"):
        journal.finish(region(1))
    monkeypatch.setattr(Folder, "append", append)
    journal.finish(region(2))
    assert journal.numbered() == {0: region(0), 2: region(2)}


def test_a_journal_that_is_whole_is_not_read_before_each_line(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as long as the target has regions."""
    read, reads = Folder.read, []

    def counted(place: Folder, key: str) -> bytes | None:
        reads.append(key)
        return read(place, key)

    monkeypatch.setattr(Folder, "read", counted)
    for number in range(4):
        journal.finish(region(number))
    assert len(reads) == 1


def test_a_folder_that_takes_no_file_is_told() -> None:
    Path("out.zarr.journal").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"out.zarr.journal.* cannot be written: .*; fix the"):
        Journal(PLACE).begin(RUN)


def test_where_nothing_was_begun_there_is_nothing() -> None:
    assert Journal(PLACE).run() is None
    assert Journal(PLACE).regions() == Journal(Folder("out.zarr.journal")).numbered() == {}
    assert not Path("out.zarr.journal").exists()


def test_what_is_forgotten_or_begun_anew_is_gone(journal: Journal) -> None:
    for number in range(3):
        journal.finish(region(number))
    journal.forget([region(1).key, region(2).key, "what was never finished"])
    assert set(journal.numbered()) == {0}
    again = replace(region(1), attempt=2)
    journal.finish(again)
    journal.finish(replace(region(0), attempt=2))
    journal.finish(region(0))
    assert Journal(PLACE).numbered() == {0: region(0), 1: again}
    journal.begin(RUN)
    assert journal.regions() == {}


def test_a_region_is_known_by_where_it_lies_when_the_target_has_grown(journal: Journal) -> None:
    for number in range(PLAN.count):
        journal.finish(region(number))
    grown = replace(PLAN, sizes={"time": 9, "x": 4}, region={"time": 2, "x": 2})
    wider = replace(PLAN, sizes={"time": 6, "x": 6}, region={"time": 2, "x": 2})
    for plan, known in ((grown, [0, 1, 2, 3, 4, 5]), (wider, [0, 1, 3, 4, 6, 7])):
        journal.amend(plan=asdict(plan), regions=plan.count)
        assert [*journal.numbered()] == known
        keys = [record.key for record in journal.numbered().values()]
        assert keys == [key_of(plan.span(number)) for number in known]


@pytest.mark.parametrize(("cut", "left"), [(1, [1, 2, 3]), (100, [1, 2, 3]), (700, [0, 1, 2, 3])])
def test_a_run_goes_on_from_a_torn_line(
    cut: int, left: list[int], stopped: str, fdgrad: Called, computed: list[int]
) -> None:
    LINES.write_bytes(LINES.read_bytes()[:-cut])
    assert fdgrad("run", stopped)[0] == 0
    assert sorted(computed) == left
    assert fdgrad("verify", stopped)[0] == 0
    assert all(json.loads(line) for line in LINES.read_text().splitlines())
