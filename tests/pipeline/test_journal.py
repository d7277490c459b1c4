"""The journal: what is finished stays so, whatever happens to its files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.record import RegionRecord, RunRecord

RUN = RunRecord(
    digest="d1",
    identity={"steps[0].operator": "gradient"},
    config={"steps": []},
    called="fdgrad run x.yaml",
    versions={"fdgrad_dask": "1"},
    inputs={},
    regions=3,
    plan={},
    began=10.0,
)


def region(number: int) -> RegionRecord:
    return RegionRecord(
        number=number,
        key=json.dumps({"time": [0, 2]}),
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
    begun = Journal("out.zarr")
    begun.begin(RUN)
    return begun


def test_what_goes_in_comes_out(journal: Journal) -> None:
    journal.finish(region(2))
    journal.finish(region(0))
    journal.note("worker lost", "it died of region 1")
    again = Journal("out.zarr")
    assert again.regions() == {0: region(0), 2: region(2)}
    found = again.run()
    assert found is not None
    assert [(event.kind, event.text) for event in found.events] == [
        ("worker lost", "it died of region 1")
    ]
    assert found.ended is None
    again.end()
    assert (ended := again.run()) is not None
    assert ended.ended is not None
    assert sorted(os.listdir("out.zarr.journal")) == ["regions", "run.json"]


@pytest.mark.parametrize("content", ["", '{"number": 1', "[]", "{}", '{"number": 1, "new": 2}'])
def test_a_torn_file_is_a_region_that_is_not_finished(journal: Journal, content: str) -> None:
    journal.finish(region(0))
    journal.finish(region(1))
    Path("out.zarr.journal", "regions", "r000001.json").write_text(content)
    assert journal.regions() == {0: region(0)}
    Path("out.zarr.journal", "run.json").write_text(content)
    assert journal.run() is None
    journal.note("nothing", "to note it in")
    journal.end()


def test_a_folder_that_takes_no_file_is_told() -> None:
    Path("out.zarr.journal").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"out.zarr.journal.* cannot be written: .*; fix the"):
        Journal("out.zarr").finish(region(0))


def test_where_nothing_was_begun_there_is_nothing() -> None:
    assert Journal("out.zarr").run() is None
    assert Journal("out.zarr").regions() == {}
    assert not Path("out.zarr.journal").exists()


def test_what_is_forgotten_or_begun_anew_is_gone(journal: Journal) -> None:
    journal.finish(region(0))
    journal.finish(region(1))
    journal.forget([1, 7])
    assert set(journal.regions()) == {0}
    journal.begin(RUN)
    assert journal.regions() == {}
