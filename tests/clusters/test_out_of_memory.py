"""T6 for real: a worker eats more than its limit, each time that it is given one region."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.clusters.conftest import LIMIT, ROOT, Workflow

HUNGRY = """
import sys
from fdgrad_dask import cli
from fdgrad_dask.pipeline.execute import distributed

def hungry(original):
    def compute(task, attempts):  # pickled by value, since it is of no module
        import time
        if any(each.region == 2 for each in attempts):
            held = bytearray(b"1") * (1200 << 20)
            time.sleep(60)
        return original(task, attempts)
    return compute

if __name__ == "__main__":
    distributed.compute = hungry(distributed.compute)
    sys.exit(cli.main())
"""


def test_a_worker_over_its_memory_limit(workflow: Workflow, clean: dict[str, str]) -> None:
    """The message says what to raise, the rest is kept, and the next run has no need of it."""
    (workflow.folder / "hungry.py").write_text(HUNGRY)
    section = {"kind": "local", "workers": 1, "threads": 1, "memory_limit": "1 GiB"}
    cluster, config = workflow.cluster("hungry", section), workflow.config("hungry")
    done = subprocess.run(
        [sys.executable, "hungry.py", "run", config, "--cluster", cluster],
        cwd=workflow.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "raise cluster.memory_limit" in done.stderr
    assert not workflow.target("hungry").exists()
    kept = workflow.finished("hungry")
    ended = workflow.run("hungry", {"kind": "threads"})
    assert ended.code == 0, ended.told
    assert f"{kept} of 12 regions are finished" in ended.told
    assert workflow.bytes_of("hungry") == clean
