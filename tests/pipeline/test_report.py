"""The report: true to the journal, escaped, on its own, at a bounded cost."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from dask.utils import format_bytes
from numpy.testing import assert_allclose

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config import schema as configs
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.record import Event, RegionRecord, RunRecord
from fdgrad_dask.pipeline.report import page as pages
from fdgrad_dask.pipeline.report.excerpt import excerpt
from fdgrad_dask.pipeline.report.numbers import Clock, course

BEGAN = 1_000_000_000.0  # 9 September 2001, 01:46:40 UTC
MIB = 2**20


def region(number: int, began: float, seconds: float, **changed: Any) -> RegionRecord:
    """A region that read 20 MiB and wrote 10."""
    record = RegionRecord(
        number=number,
        key=json.dumps({"time": [number, number + 1], "latitude": [0, 5]}),
        worker=f"tcp://127.0.0.1:400{number % 2}",
        began=BEGAN + began,
        seconds=seconds,
        read_seconds=0.5 * seconds,
        write_seconds=0.25 * seconds,
        bytes_read=20 * MIB,
        bytes_written=10 * MIB,
        peak_memory=(300 + number) * MIB,
        attempt=1,
        checksums={},
    )
    return replace(record, **changed)


# Two workers side by side, an hour's pause, then one of them alone.
REGIONS = [
    region(0, 0, 2),
    region(1, 0, 4),
    region(2, 2, 2, attempt=3),
    region(3, 3600, 6),
]


@pytest.fixture
def config(write: Callable[..., str]) -> configs.Config:
    return configs.load(write(report={"path": "deep/report.html"}))


@pytest.fixture
def run(config: configs.Config) -> RunRecord:
    return RunRecord(
        digest="0123abcd",
        identity={},
        config=config.model_dump(mode="json"),
        called="fdgrad run config.yaml --fresh",
        versions={"xarray": "2026.9.0"},
        inputs={"sst.zarr": "10 kB"},
        regions=4,
        plan={"bytes_needed": 64 * MIB, "memory": 512 * MIB},
        began=BEGAN,
        ended=BEGAN + 3610,
        events=[Event(BEGAN + 5, "cluster lost", "rebuilding <1/3> & on")],
    )


class Page(HTMLParser):
    """Its text, its tags, and whatever it refers to."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for name, v in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)


def made(
    config: configs.Config,
    run: RunRecord,
    regions: list[RegionRecord],
    target: xr.Dataset | None = None,
) -> Page:
    page = Page(pages.page(config, run, regions, target))
    assert page.open == []  # every tag is closed
    return page


def journal_of(run: RunRecord, regions: list[RegionRecord]) -> Journal:
    """The journal beside out.zarr."""
    journal = Journal("out.zarr")
    journal.begin(run)
    for record in regions:
        journal.finish(record)
    return journal


def test_the_numbers_are_those_of_the_journal(config: configs.Config, run: RunRecord) -> None:
    page = made(config, run, REGIONS)
    for told in (
        f"fdgrad run · 9 September 2001, 01:46 UTC {os.getcwd()}/out.zarr is complete: all 4",
        "computed in 10 s by 2 workers (threads).",
        "Time of work 10 s 1 pause left out; the longest region took 6.0 s",
        "Throughput 12.00 MiB/s",  # (4 × 20 + 4 × 10) MiB in 10 s
        "Read 80.00 MiB each value 1.25 times",
        "Written 40.00 MiB",
        "Workers 2 at work on regions 100 % of the time",  # 14 s of 2 × 4 s and 1 × 6 s
        "Most memory of a worker 303.00 MiB resident; planned were 512.00 MiB",
        "Retries 2",
        "its threads spend 50 % on reading and 25 % on writing",
        "A region took 3.5 s on average.",
        "time 3–4, latitude 0–5 127.0.0.1:4001 6.0 s 3.0 s 1.5 s 20.00 MiB 1",
        "One region was begun more than once",
        "A dotted line is a pause",
        "cluster lost rebuilding <1/3> & on",
        "Begun by fdgrad run config.yaml --fresh",
        "digest 0123abcd input sst.zarr 10 kB versions xarray 2026.9.0",
    ):
        assert told in page.text, told


def test_a_run_that_ended_early_says_how_far_it_came(
    config: configs.Config, run: RunRecord, sst: xr.Dataset
) -> None:
    page = made(config, replace(run, ended=None), REGIONS[:3], sst)
    assert "out.zarr is incomplete: 3 of 4 regions are written" in page.text
    assert "To resume, call fdgrad run config.yaml again." in page.text
    assert "Regions 3 of 4" in page.text
    assert "Regions that are not written yet are missing too." in page.text
    assert "ended not yet" in page.text


def test_a_run_without_a_region(config: configs.Config, run: RunRecord) -> None:
    page = made(config, replace(run, ended=None, events=[]), [])
    assert "0 of 4 regions are written" in page.text
    assert "How it went" not in page.text
    assert "What came out" not in page.text
    assert "Events" not in page.text
    assert "svg" not in page.tags


def test_the_page_needs_no_network(config: configs.Config, run: RunRecord, sst: xr.Dataset) -> None:
    text = pages.page(config, run, REGIONS, sst)
    page = Page(text)
    assert page.tags.count("svg") == 5
    assert "script" not in page.tags
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    assert not re.search(r"https?://|@import|url\((?!#)", text)


def test_names_and_units_cannot_break_the_page(
    config: configs.Config, run: RunRecord, sst: xr.Dataset
) -> None:
    evil = "<script>&\"' $x^{$"
    field = sst.sst.rename(evil).assign_attrs(units=f"K {evil}", long_name=evil)
    field = field.rename(time=evil)
    clean = Page(
        pages.page(
            config,
            replace(run, called=evil, versions={evil: evil}, inputs={evil: evil}, digest=evil),
            [replace(REGIONS[0], worker=evil, key=json.dumps({evil: [0, 1]}))],
            field.drop_vars(evil, errors="ignore").to_dataset(name=evil),
        )
    )
    assert clean.open == []
    assert "script" not in clean.tags
    assert clean.text.count("<script>&\"'") > 8


def test_results_are_drawn_with_their_numbers(
    config: configs.Config, run: RunRecord, sst: xr.Dataset
) -> None:
    field = sst.sst.where(sst.latitude < 15).assign_attrs(long_name="warmth")
    line = field.mean(["time", "longitude"]).rename("line").assign_attrs(units="K")
    one = field.isel(time=2).mean().rename("one")
    page = made(config, run, REGIONS, sst.assign(sst=field, line=line, one=one))
    values = field[2].values[np.isfinite(field[2].values)]
    low, middle, high = (f"{v:.3g}" for v in (values.min(), values.mean(), values.max()))
    for told in (
        "sst, warmth",
        f"minimum mean maximum missing {low} {middle} {high} 20.0 %",
        "4 × 5 × 8 (time, latitude, longitude). Shown, and in these numbers: time 2000-03-01.",
        "sst [K]",
        "60°E",
        "line [K]",
        "One value.",
    ):
        assert told in page.text, told
    assert page.tags.count("h3") == 3  # neither bounds nor the grid mapping
    assert page.tags.count("image") >= 2  # the map, its colour bar, the timeline


def test_nothing_but_missing_values(
    config: configs.Config, run: RunRecord, sst: xr.Dataset
) -> None:
    page = made(config, run, REGIONS, sst[["sst"]] * np.nan)
    assert "– – – 100 %" in page.text


def test_only_so_many_results_are_drawn(
    config: configs.Config, run: RunRecord, monkeypatch: pytest.MonkeyPatch, sst: xr.Dataset
) -> None:
    monkeypatch.setattr("fdgrad_dask.pipeline.report.sections._CHARTS", 1)
    page = made(config, run, REGIONS, sst.assign(more=sst.sst, most=sst.sst))
    assert "2 more are in the target." in page.text


def test_what_is_stored_is_looked_up(config: configs.Config, run: RunRecord) -> None:
    folder = Path("out.zarr/sst/c")
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(bytes(3 * MIB))
    (folder / "1").write_bytes(bytes(MIB))
    done = [
        replace(REGIONS[number], checksums={f"sst/c/{number}": "00", "gone": "00"})
        for number in (0, 1)
    ]
    assert "decoded; about 8.00 MiB stored" in made(config, run, done).text
    done = [replace(each, checksums=dict(list(each.checksums.items())[:1])) for each in done]
    assert "decoded; 4.00 MiB stored, compressed" in made(config, run, done).text


def test_pauses_are_no_work() -> None:
    clock = Clock.of(REGIONS)
    assert clock.length == 10
    times = BEGAN + np.array([0, 3, 3600, 3606])
    assert_allclose(clock.seconds(times), [0, 3, 4, 10])


def test_the_course_adds_up_to_the_records() -> None:
    rng = np.random.default_rng(0)
    regions = [
        region(number, 3.0 * (number // 2), seconds)
        for number, seconds in enumerate(rng.uniform(1, 3, 100))
    ]
    clock = Clock.of(regions)
    went = course(regions, clock)
    width = np.diff(went.edges)
    assert went.workers == ("tcp://127.0.0.1:4000", "tcp://127.0.0.1:4001")
    assert_allclose((went.read * width).sum(), 100 * 20 * MIB)
    assert_allclose((went.written * width).sum(), 100 * 10 * MIB)
    spent = [sum(r.seconds for r in regions if r.worker == worker) for worker in went.workers]
    assert_allclose((went.busy * width).sum(axis=1), spent)
    assert [held[-1] for _, held in went.peaks] == [398 * MIB, 399 * MIB]


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (2000, 50)])
def test_few_and_many_regions(
    config: configs.Config, run: RunRecord, count: int, workers: int
) -> None:
    regions = [region(n, n // workers, 1, worker=f"w{n % workers}") for n in range(count)]
    text = pages.page(config, replace(run, regions=count), regions, None)
    page = Page(text)
    assert page.tags.count("svg") == (4 if count > 1 else 0)
    assert ("its only region is written" in page.text) == (count == 1)
    assert page.tags.count("tr") < 30
    assert len(text) < 200_000


class Huge(xr.backends.BackendArray):
    """An array that nobody can hold, which counts the points that are asked for."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, np.dtype(np.float32)
        self.asked: list[tuple[Any, ...]] = []

    def __getitem__(self, key: Any) -> Any:
        return xr.core.indexing.explicit_indexing_adapter(
            key, self.shape, xr.core.indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        self.asked.append(key)
        return np.zeros([len(range(*k.indices(10**9))) for k in key if isinstance(k, slice)], "f4")


def huge(*shape: int, chunks: tuple[int, ...]) -> tuple[xr.DataArray, Huge]:
    array = Huge(shape)
    lazy = xr.core.indexing.LazilyIndexedArray(array)
    dims = ("time", "y", "x")[-len(shape) :]
    field = xr.DataArray(xr.Variable(dims, lazy), name="f")
    field.encoding = {"chunks": chunks}
    return field, array


def test_a_large_map_is_drawn_of_every_nth_point() -> None:
    field, array = huge(1000, 7200, 14400, chunks=(1, 900, 900))
    part = excerpt(field)
    assert part.field.shape == (600, 600)
    assert part.where == "time 500, every 12th y and 24th x"
    assert array.asked == [(500, slice(0, 7200, 12), slice(0, 14400, 24))]


def test_a_map_that_costs_too_much_is_a_window() -> None:
    field, array = huge(10**6, 10**6, 10**6, chunks=(1, 1000, 1000))
    part = excerpt(field)
    time, y, x = array.asked[0]
    assert time == 500_000
    assert (y.stop - y.start) * (x.stop - x.start) * 4 <= 2**29
    assert y.start < 500_000 < y.stop
    assert re.match(r"time 500000, y \d+ to \d+, x \d+ to \d+, every \d+\w\w y and ", part.where)
    assert max(part.field.shape) <= 600


def test_latitude_and_longitude_are_the_page_wherever_they_stand(sst: xr.Dataset) -> None:
    part = excerpt(sst.sst.transpose("longitude", "time", "latitude"))
    assert set(part.field.dims) == {"latitude", "longitude"}
    assert part.where == "time 2000-03-01"


def test_the_report_is_written_when_a_run_ends(
    config: configs.Config, run: RunRecord, sst: xr.Dataset
) -> None:
    sst.to_zarr("out.zarr", zarr_format=3, consolidated=False)
    with pages.reported(config, journal_of(run, REGIONS)):
        assert not Path("deep").exists()
    text = Path("deep/report.html").read_text(encoding="utf-8")
    assert "out.zarr is complete" in text
    assert "sst [K]" in text


def test_the_report_is_written_when_a_run_ends_early(
    config: configs.Config, run: RunRecord, sst: xr.Dataset
) -> None:
    sst.to_zarr("out.zarr.partial", zarr_format=3, consolidated=False)
    journal = journal_of(replace(run, ended=None), REGIONS[:1])
    with pytest.raises(KeyboardInterrupt), pages.reported(config, journal):
        raise KeyboardInterrupt
    text = Path("deep/report.html").read_text(encoding="utf-8")
    assert "1 of 4 regions are written" in text
    assert "sst [K]" in text


def test_what_ended_a_run_is_told_even_if_the_report_cannot_be_written(
    config: configs.Config, run: RunRecord
) -> None:
    Path("deep").write_text("a file")
    with (
        pytest.raises(RuntimeError, match="the first"),
        pages.reported(config, journal_of(run, REGIONS)),
    ):
        raise RuntimeError("the first")


@pytest.mark.parametrize("path", ["out.zarr", "out.nc", "out.icechunk"])
def test_the_command_writes_it(
    path: str, write: Callable[..., str], fdgrad: Callable[..., tuple[int, str, str]]
) -> None:
    if path == "out.icechunk":
        pytest.importorskip("icechunk", reason="pip install 'fdgrad_dask[icechunk]'")
    code, out, err = fdgrad("run", write(target={"path": path}, report={"path": "report.html"}))
    assert code == 0, err
    assert "report   report.html" in out
    page = Page(Path("report.html").read_text(encoding="utf-8"))
    assert f"{path} is complete" in page.text
    assert "derivative of" in page.text
    regions = Journal(path).regions().values()
    told = f"Read {format_bytes(sum(each.bytes_read for each in regions))} each value"
    assert told in page.text


def test_no_report_unless_asked_for(write: Callable[..., str], run: RunRecord) -> None:
    before = set(Path().rglob("*.html"))
    with pages.reported(configs.load(write()), journal_of(run, REGIONS)):
        pass
    assert set(Path().rglob("*.html")) == before == set()


def test_a_report_that_cannot_be_written(
    config: configs.Config, run: RunRecord, sst: xr.Dataset
) -> None:
    sst.to_zarr("out.zarr", zarr_format=3, consolidated=False)
    Path("deep").write_text("a file")
    with pytest.raises(
        OutputError,
        match=r"deep/report.html cannot be written .*, but nothing happened to the target "
        r".*out.zarr; fix report.path",
    ):
        pages.write(config, journal_of(run, REGIONS))


REFUSED = [
    ("report.txt", r"'report.txt' does not end in .html, and the report is HTML; rename it"),
    ("out.zarr/report.html", r"'.*out.zarr/report.html' lies inside the target; put it beside it"),
]


@pytest.mark.parametrize(("path", "message"), REFUSED)
def test_what_cannot_be_the_report(write: Callable[..., str], path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.load(write(report={"path": path}))
