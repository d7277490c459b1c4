"""The benchmarks cover what is aimed at, and the pages say what they measured. Nothing is timed."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import report, scale  # noqa: E402
from benchmarks.__main__ import TOPICS  # noqa: E402
from benchmarks.rows import TARGETS, Row, in_turn, over  # noqa: E402

FILE = ROOT / "benchmarks" / "results.json"
RESULTS = json.loads(FILE.read_text())
ROWS = report.rows_of(RESULTS)
# What these rows speak of is not built, or has no benchmark of its own.
NO_PROGRAM = (
    "under `jit`", "NumPy arrays", "regions a second",
    "sharded",
)  # fmt: skip
AIMED_AT = ROOT.parent / "shared" / "performance.md"


def test_every_target_has_a_row():
    assert {row.target for row in ROWS} - {""} == set(TARGETS)


def test_every_topic_was_measured():
    assert list(RESULTS) == list(TOPICS)
    assert all(topic["rows"] for topic in RESULTS.values())


def test_a_row_without_a_number_says_why():
    assert all(row.note for row in ROWS if row.ratio is None)


@pytest.mark.skipif(not AIMED_AT.exists(), reason="the targets of shared/ lie beside the checkout")
def test_the_targets_are_those_that_were_set():
    """Every number of the table of targets is a limit here, where a program measures it."""
    table = AIMED_AT.read_text().split("## Targets")[1]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(lines) >= 13
    number = r"\d+(?:\.\d+)?"
    wanted = {
        float(found)
        for line in lines
        if not any(words in line for words in NO_PROGRAM)
        for found in re.findall(number, line.split("|")[-2])
    }
    words = " ".join(target.what for target in TARGETS.values())
    known = {float(found) for found in re.findall(number, words)}
    assert wanted <= known | {target.limit for target in TARGETS.values()}


@pytest.mark.parametrize(
    ("page", "name", "text"), [pytest.param(*each, id=each[1]) for each in report.fed(RESULTS)]
)
def test_the_pages_say_what_was_measured(page, name, text):
    said = (ROOT / page).read_text()
    assert report.inserted(said, name, text) == said


def test_every_marker_is_fed():
    fed = {(page, name) for page, name, _ in report.fed(RESULTS)}
    pages = ("README.md", "docs/performance.md", "docs/scaling.md")
    marked = {
        (page, name)
        for page in pages
        for name in re.findall(r"<!-- end (\w+) -->", (ROOT / page).read_text())
    }
    assert marked == fed


def test_the_speeds_of_the_readme_stand_nowhere_but_between_its_markers():
    section = (ROOT / "README.md").read_text().split("## Speed")[1].split("\n## ")[0]
    told = re.sub(r"<!-- speed -->.*<!-- end speed -->", "", section, flags=re.DOTALL)
    assert re.findall(r"\d+\.\d+|\d+ ?[×x%]", told) == []


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_has_rows(topic):
    assert callable(importlib.import_module(f"benchmarks.{topic}").rows)


def test_a_ratio_is_made_run_by_run():
    assert over([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == {"ratio": 2.0, "lowest": 1.0, "highest": 3.0}


def test_ways_are_run_in_turn_after_one_run_of_each():
    called = []
    ways = {name: (lambda name=name: called.append(name)) for name in ("ours", "theirs")}
    seconds = in_turn(ways, 2)
    assert called == ["ours", "theirs"] * 3
    assert {name: len(runs) for name, runs in seconds.items()} == {"ours": 2, "theirs": 2}


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [("chunks", 2.1, True), ("chunks", 1.1, False), ("floor", 1.0, True), ("floor", 1.2, False)],
)
def test_a_target_is_met_from_its_own_side(target, ratio, met):
    assert Row("a", target=target, ratio=ratio).met is met
    assert Row("a", target=target).met is None


def test_a_table_puts_both_kinds_of_process_in_one_line():
    rows = [
        {"what": "a", "ratio": 1.5, "lowest": 1.0, "highest": 2.0, "memory": "default allocator"},
        {"what": "a", "ratio": 1.2, "lowest": 1.2, "highest": 1.2, "memory": "tuned allocator"},
    ]
    lines = list(report._lines("topic", [Row(**row) for row in rows]))
    assert lines == ["| topic | a |  |  | 1.5 (1 – 2) | 1.2 |  |"]


def test_where_we_lose_is_listed():
    lost = Row("a", "b", "peer", ratio=0.5, lowest=0.5, highest=0.5)
    won = Row("c", "d", "peer", "floor", ratio=0.5, lowest=0.5, highest=0.5)
    results = {"chunks": {"rows": [vars(lost), vars(won)]}}
    assert report.slower(results) == "1 of 2 rows.\n\n- a, b, against peer: 0.5"


def costs(**changes):
    plain = scale.Costs(2e-4, 1e-4, 1e-3, 1e-2, 100.0, 500.0, 2e8)
    return plain._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, "what they read from and write to"),
        ({"driver": 1e-1}, "the driver: 1000 workers end regions faster"),
        ({"memory": 1e6}, "the memory of the driver"),
    ],
)
def test_what_breaks_first_is_named(changes, first):
    assert f"| breaks first | {first}" in scale.table(costs(**changes))


def test_a_topic_that_does_not_exist_is_refused():
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "kernels"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "there is no topic 'kernels'; there are kernel, arrays, shapes" in run.stderr


def test_what_a_graph_costs_is_its_time_and_not_the_ratio_to_the_peer():
    (ours,) = (
        row
        for row in ROWS
        if row.what.startswith("graph of") and "one chunked" in row.what and not row.against
    )
    assert scale.costs(ROWS).graph == ours.ratio / 1e4
