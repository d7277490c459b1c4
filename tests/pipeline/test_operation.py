"""What operators see of a run: messages, the log file, ``fdgrad status``, tasks that take long."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fdgrad_dask.pipeline import commands, console
from fdgrad_dask.pipeline.config.redaction import hide
from fdgrad_dask.pipeline.execute.task import Task

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
