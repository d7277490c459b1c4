"""What operators see of a run: messages, the log file, ``fdgrad status``, tasks that take long."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import xarray as xr

from fdgrad_dask import pipeline
from fdgrad_dask.pipeline import commands, console
from fdgrad_dask.pipeline.config.redaction import hide
from fdgrad_dask.pipeline.execute import distributed
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.execute.task import Task
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

FOUR = {"path": "out.zarr", "regions": {"time": 2, "longitude": 4}}
LOG = Path("out.zarr.journal/run.log")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (\w+) ([\w.]+): (.*)")


def lines(path: Path = LOG) -> list[tuple[str, str, str]]:
    """Level, logger and text of each line of a log."""
    found = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
    return [(each[1], each[2], each[3]) for each in found if each]


def during(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Lets something happen while the first region of a run is computed."""
    original = Task.compute

    def compute(task: Task, attempts: Any) -> Any:
        if attempts[0].region == 0:
            happens()
        return original(task, attempts)

    monkeypatch.setattr(Task, "compute", compute)


def test_what_is_said_is_in_a_log_beside_the_journal(fdgrad: Called, write: Write) -> None:
    code, _, err = fdgrad("run", write(target=FOUR))
    assert code == 0
    assert "computed 4 of 4 regions (100 %)" in err.splitlines()[-1]
    written = lines()
    assert [text for _, _, text in written] == err.splitlines()
    assert {(level, name) for level, name, _ in written} == {("INFO", "fdgrad_dask")}


def test_the_log_has_the_error_too_and_goes_on_where_the_run_does(
    stopped: str, fdgrad: Called
) -> None:
    assert lines()[-1] == ("ERROR", "fdgrad_dask", "fdgrad: enough")
    before = LOG.read_text()
    assert fdgrad("run", stopped)[0] == 0
    assert LOG.read_text().startswith(before)
    assert lines()[-1][:2] == ("INFO", "fdgrad_dask")
    here = os.getcwd()
    assert f"resuming {here}/out.zarr: 2 of 4 regions are finished" in LOG.read_text()


def test_a_bug_leaves_its_traceback_in_the_log_alone(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_require_whole", lambda *_: 1 / 0)
    code, _, err = fdgrad("run", write())
    assert code == 1
    assert "Traceback" not in err
    assert LOG.read_text().splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_nothing_is_made_where_a_run_is_refused(fdgrad: Called, write: Write, source: str) -> None:
    os.mkdir("out.zarr")
    Path("out.zarr/note.txt").write_text("mine")
    assert fdgrad("run", write())[0] == 4
    assert not Path("out.zarr.journal").exists()


def test_a_log_file_of_ones_own(fdgrad: Called, write: Write) -> None:
    assert fdgrad("run", write(source={"path": "nothing.zarr"}), "--log-file", "a.log")[0] == 3
    assert lines(Path("a.log"))[-1][0] == "ERROR"
    code, _, err = fdgrad("run", write(), "--log-file", "a.log")
    assert code == 0
    assert lines(Path("a.log"))[-1][2] == err.splitlines()[-1]
    assert not LOG.exists()
    code, _, err = fdgrad("run", write(), "--log-file", "no/a.log")
    assert code == 4
    assert "the log file no/a.log cannot be written (No such file or directory); name" in err


def test_a_target_in_a_bucket_has_no_log_unless_one_is_named(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "is_bucket", lambda path: path.endswith("out.zarr"))
    assert fdgrad("run", write())[0] == 0
    assert not LOG.exists()
    assert fdgrad("run", write(), "--fresh", "--log-file", "a.log")[0] == 0
    assert lines(Path("a.log"))


def test_each_of_several_runs_has_its_own_log(fdgrad: Called, write: Write) -> None:
    config = write(target={"path": "${NAME}.zarr"}, parameters={"NAME": ["a", "b", "c"]})
    os.mkdir("c.zarr")
    Path("c.zarr/note.txt").write_text("mine")
    assert fdgrad("run", config)[0] == 4
    logs = [Path(f"{name}.zarr.journal/run.log") for name in "abc"]
    assert [path.exists() for path in logs] == [True, True, False]
    assert [lines(path)[-1][0] for path in logs[:2]] == ["INFO", "INFO"]


def test_warnings_of_libraries_are_in_the_log_alone(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn() -> None:
        logging.getLogger("aiohttp.client").error("Unclosed client session")
        logging.getLogger("aiohttp.client").info("a request")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("all is NaN", RuntimeWarning, stacklevel=1)

    during(monkeypatch, warn)
    code, _, err = fdgrad("run", write())
    assert code == 0
    assert "Unclosed" not in err
    assert "NaN" not in err
    assert ("ERROR", "aiohttp.client", "Unclosed client session") in lines()
    assert any(name == "py.warnings" and "all is NaN" in text for _, name, text in lines())
    assert "a request" not in LOG.read_text()
    assert "Unclosed client session" in fdgrad("run", write(), "--fresh", "-v")[2]
    assert "Unclosed client session" not in fdgrad("check", write())[2]


def test_distributed_adds_no_handler_that_prints() -> None:
    """It does so as it is imported, unless somebody listens already."""
    code = (
        "import logging\n"
        "from fdgrad_dask.pipeline import console\n"
        "with console.listening():\n"
        "    console.log_into('a.log')\n"
        "    import distributed\n"
        "    with distributed.utils.silence_logging_cmgr(50):\n"  # as its clusters do
        "        logging.getLogger('distributed.nanny').warning('restarting')\n"
        "        logging.getLogger('distributed.core').info('at tcp://')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout + done.stderr == ""
    assert lines(Path("a.log")) == [("WARNING", "distributed.nanny", "restarting")]


def test_secrets_are_hidden_in_the_log_too(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide("open-sesame")
    told = logging.getLogger("asyncio").warning
    during(monkeypatch, lambda: told("no answer with open-sesame"))
    assert fdgrad("run", write())[0] == 0
    assert ("WARNING", "asyncio", "no answer with ***") in lines()


@pytest.mark.parametrize("first", [True, False])
def test_quiet_says_errors_alone_and_verbose_a_line_a_region(
    first: bool, fdgrad: Called, write: Write
) -> None:
    def run(option: str, *more: str) -> tuple[int, str, str]:
        words = [option, "run"] if first else ["run", option]
        return fdgrad(*words, write(target=FOUR), *more)

    code, out, err = run("-q")
    assert (code, err) == (0, "")
    assert "took" in out
    assert "computed 4 of 4 regions" in LOG.read_text()
    assert 'region 3 {"time"' not in LOG.read_text()
    code, _, err = run("--verbose", "--fresh")
    assert code == 0
    assert len(re.findall(r"^region \d \{.*\}: \d+\.\d s$", err, re.MULTILINE)) == 4
    assert 'region 3 {"time"' in LOG.read_text()
    assert fdgrad("--quiet", "run", "nothing.yaml")[2].startswith("fdgrad: no file")


def test_a_bar_is_for_a_terminal_that_is_asked_for_no_less_and_no_more() -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    seen = []
    for level in (logging.ERROR, logging.INFO, logging.DEBUG):
        with console.listening(level):
            seen.append(console.has_bar(Terminal()))  # type: ignore[arg-type]
    assert seen == [False, True, False]


def test_a_program_that_calls_the_engine_keeps_its_own_handlers() -> None:
    before = list(logging.getLogger().handlers), warnings.showwarning
    with console.listening():
        console.say("a word")
    assert (logging.getLogger().handlers, warnings.showwarning) == before
    assert logging.getLogger("fdgrad_dask").level == logging.NOTSET


# --- fdgrad status --------------------------------------------------------------------------------


def test_status_says_what_lies_there_as_run_does(fdgrad: Called, write: Write) -> None:
    """A target of others was "not begun" and one that is gone "complete"."""
    config = write(target=FOUR)
    assert fdgrad("run", config)[0] == 0
    shutil.move("out.zarr", "away.zarr")
    code, out, _ = fdgrad("status", config)
    assert code == 0
    assert "state    not begun; the target that out.zarr.journal is about is gone" in out
    assert "regions" not in out
    xr.Dataset({"a": 1}).to_zarr("out.zarr", zarr_format=2)
    code, out, _ = fdgrad("status", config)
    assert code == 0
    assert "state    not begun; out.zarr exists, and nothing shows that fdgrad wrote it" in out
    refused = fdgrad("run", config)[2].removeprefix("fdgrad: ").strip()
    assert f"not begun; {refused}" in out


def test_status_before_and_after_without_the_source(
    fdgrad: Called, write: Write, source: str
) -> None:
    config = write(target=FOUR)
    assert fdgrad("status", config)[:2] == (0, "target   out.zarr\nstate    not begun\n")
    assert not Path("out.zarr.journal").exists()
    assert fdgrad("run", config)[0] == 0
    shutil.rmtree(source)
    code, out, err = fdgrad("status", config)
    assert (code, err) == (0, "")
    assert re.search(r"^state    complete since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", out, re.M)
    assert "regions  4 of 4 (100 %)" in out
    # Four times 2 × 5 × 4 points of 4 bytes, in and out.
    assert "bytes    1.25 kiB read and written" in out
    assert "rate" not in out


def test_status_of_what_was_interrupted(stopped: str, fdgrad: Called) -> None:
    Journal(Folder("out.zarr.journal")).note("worker lost", "the worker w died")
    code, out, _ = fdgrad("status", stopped)
    assert code == 0
    assert "state    interrupted; fdgrad run goes on\nregions  2 of 4 (50 %)\n" in out
    assert re.search(r"^event    \d{4}.* UTC: the worker w died$", out, re.M)
    seen = pipeline.status(stopped)
    assert (seen.state, seen.regions, seen.finished) == ("interrupted", 4, 2)


def test_status_while_another_runs_reads_its_lock_and_leaves_it(
    fdgrad: Called, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(target=FOUR)
    seen: list[str] = []
    finish = Journal.finish

    def finished(journal: Journal, record: Any) -> None:
        finish(journal, record)
        before = Path("out.zarr.journal/lock.json").read_text()
        seen.append(str(pipeline.status(config)))
        assert Path("out.zarr.journal/lock.json").read_text() == before

    monkeypatch.setattr(Journal, "finish", finished)
    assert fdgrad("run", config)[0] == 0
    assert f"state    running by {socket.gethostname()}:{os.getpid()} since 2" in seen[0]
    assert [f"regions  {n} of 4" in text for n, text in enumerate(seen, 1)] == [True] * 4
    assert re.search(r"^rate     \d.*B/s, about \d.* left$", seen[0], re.M)


# --- stragglers -----------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(distributed, "time", made)
    return made


def test_a_straggler_is_told_once_with_its_worker(clock: Clock) -> None:
    notes: list[tuple[str, str]] = []
    tasks = distributed.Straggling(lambda kind, text: notes.append((kind, text)))
    processing = {"tcp://a": ["x", "y"], "tcp://b": ["z"]}
    for key, numbers in (("x", [7]), ("y", [8]), ("z", [9, 10])):
        tasks.begin(key, numbers)
    clock.now = 100.0
    tasks.look(lambda: processing)
    assert notes == []  # nothing is finished, so nobody knows what is usual
    for _ in range(3):
        tasks.finish("tcp://b", 30.0)
    clock.now = 150.0
    tasks.look(lambda: processing)
    assert notes == []
    clock.now = 160.0
    for _ in range(2):
        tasks.look(lambda: processing)
    (note,) = notes  # y waits behind it, and z began when b was free
    assert note[0] == "straggler"
    assert note[1].startswith("region 7 on tcp://a has taken 160.00 s so far, others 30.00 s each;")
    tasks.finish("tcp://a", 160.0)
    tasks.end("x")
    clock.now = 310.0
    tasks.look(lambda: {"tcp://a": ["y"], "tcp://b": ["z"]})
    assert len(notes) == 1  # y for 150 s, z for 210 s of the 300 s that two regions may take


def test_what_takes_less_than_a_minute_is_no_straggler_and_nobody_is_asked(clock: Clock) -> None:
    tasks = distributed.Straggling(lambda *_: pytest.fail("told"))
    tasks.begin("x", [1])
    tasks.finish("tcp://a", 0.01)
    clock.now = 59.0
    tasks.look(lambda: pytest.fail("asked"))


def test_a_run_on_a_cluster_notes_its_straggler(
    fdgrad: Called, write: Write, on_a_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last region, when nothing is pending any more."""
    original = Task.compute
    told = Event()

    def slow(task: Task, attempts: Any) -> Any:
        if attempts[0].region == 3:
            told.wait(20)
        return original(task, attempts)

    def note(journal: Journal, kind: str, text: str) -> None:
        assert kind == "straggler"
        told.set()

    monkeypatch.setattr(Task, "compute", slow)
    monkeypatch.setattr(Journal, "note", note)
    monkeypatch.setattr(distributed, "_LEAST", 0.5)
    monkeypatch.setattr(distributed, "_TIMES", 0)
    monkeypatch.setattr(distributed, "_LOOK", 0.1)
    code, _, err = fdgrad("run", write(target=FOUR, cluster=on_a_cluster))
    assert code == 0
    assert told.is_set()
    assert re.search(r"^region 3 on inproc://\S+ has taken ", err, re.M)
    assert any(level == "WARNING" and "region 3 on" in text for level, _, text in lines())
