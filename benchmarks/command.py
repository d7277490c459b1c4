"""`fdgrad run` as a user calls it: a config in, and what its journal says of the time it took."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from benchmarks.machine import DEFAULT, environment, keep_to

_LOOK = 0.25  # seconds between two looks at the driver


class Look(NamedTuple):
    """When, resident bytes, and seconds of its processor so far."""

    at: float
    memory: int
    processor: float


@dataclass(frozen=True)
class Ran:
    """One run; all times are Unix times or seconds."""

    began: float
    ended: float
    """Of the command, with the start of Python and of the workers."""
    records: list[dict[str, Any]]
    """Of its regions, in the order in which they began."""
    seen: list[Look]
    """Of client and scheduler, which are one process."""

    @property
    def working(self) -> float:
        """From the first region to the last."""
        return self.done - self.records[0]["began"]

    @property
    def done(self) -> float:
        """When the last region was written."""
        return max(record["began"] + record["seconds"] for record in self.records)


# Small regions travel together; thus each travels alone, as larger ones do.
_ALONE = (
    "import sys; from fdgrad_dask import cli; "
    "from fdgrad_dask.pipeline.execute import window; "
    "window._MOST = 1; sys.exit(cli.main())"
)


def run(
    folder: Path,
    source: str,
    target: str,
    sections: dict[str, Any],
    *,
    on: int | None = None,
    alone: bool = False,
) -> Ran:
    """Runs the config with these sections, on ``on`` cores or on all; replaces the target.

    ``alone`` makes a task of each region, however small.
    """
    for old in (target, f"{target}.partial", f"{target}.journal"):
        shutil.rmtree(folder / old, ignore_errors=True)
    config = {
        "source": {"path": str(folder / source)},
        **sections,
        "target": {"path": str(folder / target), **sections.get("target", {})},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = ["-c", _ALONE] if alone else ["-m", "fdgrad_dask.cli"]
    began = time.time()
    process = subprocess.Popen(
        [sys.executable, *command, "run", str(folder / "config.yaml")],
        env=environment(DEFAULT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=None if on is None else partial(keep_to, on),
    )
    seen: list[Look] = []
    watch = threading.Thread(target=_watch, args=(process.pid, seen))
    watch.start()
    said, _ = process.communicate()
    watch.join()
    ended = time.time()
    if process.returncode:
        raise RuntimeError(f"fdgrad run ended with {process.returncode}:\n{said}")
    lines = (folder / f"{target}.journal" / "journal.jsonl").read_text().splitlines()
    records = sorted(map(json.loads, lines), key=itemgetter("began"))
    return Ran(began, ended, records, seen)


def _watch(pid: int, seen: list[Look]) -> None:
    """Looks at the driver until it ends."""
    try:
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            times = process.cpu_times()
            rss = process.memory_info().rss
            seen.append(Look(time.time(), rss, times.user + times.system))
            time.sleep(_LOOK)
    except psutil.Error:  # it has ended between two looks
        pass
