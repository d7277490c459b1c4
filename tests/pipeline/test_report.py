"""The report: true to the journal, escaped, on its own, at a bounded cost."""

from __future__ import annotations

import json
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
from numpy.testing import assert_allclose, assert_array_equal

from fdgrad_dask.errors import ConfigError, OutputError
from fdgrad_dask.pipeline.config import schema as configs
from fdgrad_dask.pipeline.execute.journal import Event, Journal, RegionRecord, RunRecord
from fdgrad_dask.pipeline.report import page as pages
from fdgrad_dask.pipeline.report.figures import compute_rate, summarize, take_preview
from fdgrad_dask.pipeline.store.folder import Folder

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


@pytest.fixture(scope="module")
def config() -> configs.Config:
    """Of paths that stay relative, so that each test has them in its own folder."""
    step = {"operator": "gradient", "inputs": ["sst"], "options": {"dim": "latitude"}}
    made = configs.Config.model_validate(
        {
            "source": {"path": "sst.zarr"},
            "steps": [step],
            "target": {"path": "out.zarr"},
            "cluster": {"kind": "threads", "workers": 2},
            "report": {"path": "report.html"},
        }
    )
    paths = {"source": ("sst.zarr",), "target": "out.zarr", "report": "deep/report.html"}
    return made.model_copy(
        update={
            section: getattr(made, section).model_copy(update={"path": path})
            for section, path in paths.items()
        }
    )


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def results() -> xr.Dataset:
    """A map of four months, a line, a number, and what belongs to others."""
    time = np.arange("2000-01", "2000-05", dtype="datetime64[M]").astype("datetime64[ns]")
    latitude, longitude = np.linspace(-20.0, 20.0, 5), np.arange(0.0, 80.0, 10.0)
    attrs = {"units": "K", "grid_mapping": "crs", "long_name": "warmth"}
    values = 290 + 0.1 * latitude[:, None] + 0.01 * longitude**2 + np.arange(4)[:, None, None]
    values[:, 4] = np.nan
    return xr.Dataset(
        {
            "sst": (("time", "latitude", "longitude"), values, attrs),
            "line": ("latitude", latitude, {"units": "K"}),
            "one": ((), 7.0),
            "crs": ((), 0.0),
            "latitude_bnds": (("latitude", "bnds"), np.stack([latitude - 5, latitude + 5], 1)),
        },
        coords={
            "time": time,
            "latitude": (
                "latitude",
                latitude,
                {"units": "degrees_north", "bounds": "latitude_bnds"},
            ),
            "longitude": ("longitude", longitude, {"units": "degrees_east"}),
        },
    )


@pytest.fixture(scope="module")
def complete(config: configs.Config, run: RunRecord, results: xr.Dataset) -> Page:
    """The page about the four regions, with results."""
    return render(config, run, REGIONS, results)


@pytest.fixture(scope="module")
def incomplete(config: configs.Config, run: RunRecord, results: xr.Dataset) -> Page:
    """The page about one region of four, which may show one result, without a value."""
    missing = results[["sst"]] * np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "_CHARTS", 1)
        return render(
            config,
            replace(run, ended=None, events=[]),
            REGIONS[:1],
            missing.assign(more=missing.sst, most=missing.sst),
        )


class Page(HTMLParser):
    """Its text, its tags, and whatever it refers to."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.source = source
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


def render(
    config: configs.Config,
    run: RunRecord,
    records: list[RegionRecord],
    target: xr.Dataset | None = None,
) -> Page:
    page = Page(pages.render(config, run, records, target))
    assert page.open == []  # every tag is closed
    return page


def write_journal(run: RunRecord, records: list[RegionRecord]) -> Journal:
    """Write the journal beside out.zarr."""
    journal = Journal(Folder("out.zarr.journal"))
    journal.begin(run)
    for record in records:
        journal.finish(record)
    return journal


def test_the_numbers_are_those_of_the_journal(complete: Page) -> None:
    for text in (
        "fdgrad run · 9 September 2001, 01:46 UTC out.zarr is complete: 4 of 4 regions are",
        "Gradient of sst.zarr.",
        "Run time 10.00 s first to last region, without interruptions",
        "Throughput 12.00 MiB/s",  # (4 × 20 + 4 × 10) MiB in 10 s
        "Read 80.00 MiB decoded; each value 1.25 times, as regions share halos",
        "Written 40.00 MiB decoded Workers",
        "Workers 2 threads, busy 100 % of the time",  # 14 s of 2 × 4 s and 1 × 6 s
        "Peak memory 303.00 MiB of a process; 1.00 GiB planned",
        "Retries 2",
        "Slowest region 6.00 s 3.50 s on average",
        "Threads spent 50 % of the time of their regions on reading and 25 % on writing",
        "time 3–4, latitude 0–5 127.0.0.1:4001 6.00 s 3.00 s 1.50 s 20.00 MiB 1",
        "Regions computed more than once, because a worker was lost or an error occurred: 1.",
        "A dotted line marks where the run was resumed",
        "cluster lost rebuilding <1/3> & on",
        "gradient sst dim: latitude named by the operator",
        "Started by fdgrad run config.yaml --fresh",
        "digest 0123abcd input sst.zarr: 10 kB versions xarray 2026.9.0",
    ):
        assert text in complete.text, text


def test_a_run_that_ended_early_says_how_far_it_came(incomplete: Page) -> None:
    for text in (
        "out.zarr is incomplete: 1 of 4 regions are written",
        "To resume, call fdgrad run config.yaml again.",
        "missing values and regions that are not written yet are grey. The target has 2 more.",
        "minimum mean maximum missing – – – 100 %",
        "Read 20.00 MiB decoded Written",
        "ended not yet",
    ):
        assert text in incomplete.text, text
    assert incomplete.tags.count("svg") == 1  # a single region makes no curve
    assert "Events" not in incomplete.text


def test_a_run_without_a_region(config: configs.Config, run: RunRecord) -> None:
    page = render(config, replace(run, ended=None), [])
    assert "0 of 4 regions are written" in page.text
    assert "Performance" not in page.text
    assert "Results" not in page.text
    assert "svg" not in page.tags


def test_the_page_needs_no_network(complete: Page) -> None:
    assert complete.tags.count("svg") == 5
    assert "script" not in complete.tags
    assert [link for link in complete.links if not link.startswith(("#", "data:"))] == []
    assert not re.search(r"https?://|@import|url\((?!#)", complete.source)


def test_names_and_units_cannot_break_the_page(
    config: configs.Config, run: RunRecord, results: xr.Dataset
) -> None:
    evil = "<script>&\"' $x^{$"
    field = results.sst.rename(evil).assign_attrs(units=f"K {evil}", long_name=evil)
    field = field.rename(time=evil)
    page = render(
        config,
        replace(run, called=evil, versions={evil: evil}, inputs={evil: evil}, digest=evil),
        [replace(REGIONS[0], worker=evil, key=json.dumps({evil: [0, 1]}))],
        field.drop_vars(evil, errors="ignore").to_dataset(name=evil),
    )
    assert "script" not in page.tags
    assert page.text.count("<script>&\"'") > 8


def test_results_are_drawn_with_their_numbers(complete: Page, results: xr.Dataset) -> None:
    values = results.sst[2].values
    statistics = (np.nanmin(values), np.nanmean(values), np.nanmax(values))
    low, middle, high = (f"{value:.3g}" for value in statistics)
    for text in (
        "sst, warmth",
        f"minimum mean maximum missing {low} {middle} {high} 20 %",
        "time 4 × latitude 5 × longitude 8. Shown, and in these numbers: time 2000-03-01.",
        "sst [K]",
        "60°E",
        "line [K]",
        "minimum mean maximum missing 7 7 7 0 % One value.",
    ):
        assert text in complete.text, text
    assert complete.tags.count("h3") == 3  # neither bounds nor the grid mapping
    assert complete.tags.count("image") >= 2  # the map, its colour bar, the timeline


def test_run_time_excludes_interruptions() -> None:
    history = summarize(REGIONS)
    assert_array_equal(history.regions.start, [0, 0, 2, 4])
    assert_array_equal(history.regions.end, [2, 4, 4, 10])
    assert_array_equal(history.resumed, [4])
    assert (history.seconds, history.workers, history.busy) == (10, 2, 1)


def test_a_rate_is_spread_evenly_over_the_time_of_a_region() -> None:
    regions = summarize([region(0, 0, 1), region(1, 1, 2)]).regions
    edges = np.array([0.0, 2.0, 3.0, 4.0])
    assert_allclose(compute_rate(regions, "bytes_read", edges) / MIB, [15, 10, 0], atol=1e-6)


def test_rates_add_up_to_the_records() -> None:
    rng = np.random.default_rng(0)
    history = summarize(
        [
            region(number, 3.0 * (number // 2), seconds)
            for number, seconds in enumerate(rng.uniform(0, 3, 100))
        ]
    )
    width = np.diff(history.edges)
    for column in ("bytes_read", "bytes_written", "seconds"):
        rate = compute_rate(history.regions, column, history.edges)
        assert_allclose((rate * width).sum(), history.regions[column].sum())


def test_many_regions(config: configs.Config, run: RunRecord) -> None:
    records = [region(n, n // 50, 1, worker=f"w{n % 50}") for n in range(2000)]
    page = render(config, replace(run, regions=2000), records)
    assert page.tags.count("svg") == 3
    assert page.tags.count("tr") < 30
    assert len(page.source) < 200_000


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
    part, where = take_preview(field)
    assert part.shape == (600, 600)
    assert where == "time 500, y in steps of 12, x in steps of 24"
    assert array.asked == [(500, slice(0, 7200, 12), slice(0, 14400, 24))]


def test_a_map_that_costs_too_much_is_a_window() -> None:
    field, array = huge(10**6, 10**6, 10**6, chunks=(1, 1000, 1000))
    part, where = take_preview(field)
    time, y, x = array.asked[0]
    assert time == 500_000
    assert (y.stop - y.start) * (x.stop - x.start) * 4 <= 2**29
    assert y.start < 500_000 < y.stop
    assert re.match(r"time 500000, y \d+ to \d+, y in steps of \d+, x \d+ to \d+, x in", where)
    assert max(part.shape) <= 600


def test_latitude_and_longitude_are_the_page_wherever_they_stand(results: xr.Dataset) -> None:
    part, where = take_preview(results.sst.transpose("longitude", "time", "latitude"))
    assert set(part.dims) == {"latitude", "longitude"}
    assert where == "time 2000-03-01"


def test_the_report_is_written_when_a_run_ends(
    config: configs.Config, run: RunRecord, results: xr.Dataset
) -> None:
    results[["sst"]].to_zarr("out.zarr", zarr_format=3, consolidated=False)
    with pages.reported(config, write_journal(replace(run, regions=1), REGIONS[:1])):
        assert not Path("deep").exists()
    text = Path("deep/report.html").read_text(encoding="utf-8")
    assert "out.zarr is complete" in text
    assert "sst [K]" in text


def test_the_report_is_written_when_a_run_ends_early(
    config: configs.Config, run: RunRecord, results: xr.Dataset
) -> None:
    results[["sst"]].to_zarr("out.zarr.partial", zarr_format=3, consolidated=False)
    journal = write_journal(replace(run, ended=None), REGIONS[:1])
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
        pages.reported(config, write_journal(run, REGIONS)),
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
    regions = Journal(Folder(f"{path}.journal")).regions().values()
    read = format_bytes(sum(each.bytes_read for each in regions))
    assert f"Read {read} decoded; each value once" in page.text


def test_no_report_unless_asked_for(write: Callable[..., str], run: RunRecord) -> None:
    before = set(Path().rglob("*.html"))
    with pages.reported(configs.load(write()), write_journal(run, REGIONS)):
        pass
    assert set(Path().rglob("*.html")) == before == set()


def test_a_report_that_cannot_be_written(config: configs.Config, run: RunRecord) -> None:
    Path("deep").write_text("a file")
    with pytest.raises(
        OutputError,
        match=r"deep/report.html cannot be written .*, but nothing happened to the target "
        r".*out.zarr; fix report.path",
    ):
        pages.write(config, write_journal(replace(run, ended=None), REGIONS[:1]))


REFUSED = [
    ("report.txt", r"'report.txt' does not end in .html; rename it"),
    ("out.zarr/report.html", r"'.*out.zarr/report.html' lies inside the target; put it beside it"),
]


@pytest.mark.parametrize(("path", "message"), REFUSED)
def test_what_cannot_be_the_report(write: Callable[..., str], path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.load(write(report={"path": path}))
