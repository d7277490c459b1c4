"""Measures topics in fresh processes, and writes table, figure and the numbers of the pages.

``python -m benchmarks [TOPIC …] [--size quick|usual|long]``. What was measured before of the topics
that are not named is kept. ``quick`` shows in minutes that all of it works, in ``out/benchmarks``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fdgrad_dask as fd
from benchmarks import report
from benchmarks.machine import DEFAULT, TUNED, described, environment
from benchmarks.rows import Row

# Where the allocator matters, a topic runs in a process of either kind. Workers have their own.
TOPICS = {
    "kernel": (TUNED,),
    "arrays": (DEFAULT, TUNED),
    "shapes": (DEFAULT, TUNED),
    "chunks": (DEFAULT, TUNED),
    "calculus": (DEFAULT, TUNED),
    "jitted": (DEFAULT, TUNED),
    "staggered": (DEFAULT, TUNED),
    "graphs": ("",),
    "whole": ("",),
    "files": ("",),
    "llc": ("",),
    "regions": ("",),
    "driver": ("",),
    "gpu": ("",),
}
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measures what is asked for, and writes."""
    asked = _arguments()
    if asked.here is not None:
        if asked.here == TUNED:  # as at the head of a notebook
            fd.tune_memory()
        for row in importlib.import_module(f"benchmarks.{asked.topics[0]}").rows(asked.size):
            print(json.dumps(asdict(row)), flush=True)
        return
    folder = ROOT / "out" / "benchmarks" if asked.size == "quick" else ROOT / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for topic in [] if asked.report else asked.topics or TOPICS:
        results[topic] = _topic(topic, asked.size)
        file.write_text(json.dumps({t: results[t] for t in TOPICS if t in results}, indent=1))
    report.write(results, folder)
    if asked.size != "quick":
        report.feed(results, ROOT)
    print(f"written: {folder}")


def _topic(topic: str, size: str) -> dict[str, Any]:
    machine, began = described(), time.perf_counter()
    print(f"\n{topic}: {machine}", flush=True)
    rows = [row for memory in TOPICS[topic] for row in _measured(topic, size, memory)]
    seconds = round(time.perf_counter() - began)
    print(f"{topic}: {seconds} s", flush=True)
    return {
        "machine": machine,
        "size": size,
        "seconds": seconds,
        "rows": [asdict(row) for row in rows],
    }


def _measured(topic: str, size: str, memory: str) -> list[Row]:
    """The rows of one topic, from a fresh process that prints one a line."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", topic, "--size", size]
    command += ["--here", memory]
    rows = []
    with subprocess.Popen(
        command, env=environment(memory), stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            rows.append(report.rounded(replace(Row(**json.loads(line)), memory=memory)))
            print(report.told(rows[-1]), flush=True)
    if process.returncode:
        raise SystemExit(f"{topic} ended with {process.returncode}; the lines above say why")
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=", ".join(TOPICS))
    parser.add_argument("--size", choices=("quick", "usual", "long"), default="usual")
    parser.add_argument("--report", action="store_true", help="measure nothing, only write")
    parser.add_argument("--here", metavar="MEMORY", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    for topic in asked.topics:
        if topic not in TOPICS:
            parser.error(f"there is no topic {topic!r}; there are {', '.join(TOPICS)}")
    return asked


if __name__ == "__main__":
    main()
