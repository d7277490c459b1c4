"""The suites of NumPy, dask and xarray, from their installed wheels, with ours in their place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

PLUGINS = Path(__file__).parent
PEERS = [  # the peer, its tests, which of them, how many these are
    (np, "lib/tests/test_function_base.py", "TestGradient", 28),
    (dask, "array/tests/test_routines.py", "test_gradient", 22),
    (xr, "tests/test_dataset.py", "differentiate", 8),
]


@pytest.mark.parametrize(
    ("peer", "file", "select", "count"), PEERS, ids=["numpy", "dask", "xarray"]
)
def test_the_suite_of_a_peer_passes_with_ours_in_its_place(tmp_path, peer, file, select, count):
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "no:cacheprovider", "-p", "stand_in", "-k", select]
    command += ["--assert=plain"]  # thousands of their lines need no rewriting
    run = subprocess.run(
        [*command, str(Path(peer.__file__).parent / file)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(PLUGINS), os.environ.get("PYTHONPATH", "")]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "FDGRAD_PEER": peer.__name__,
            "FDGRAD_REPORT": str(report),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    seen = json.loads(report.read_text())
    assert seen["passed"] == count
    assert seen["failed"] == seen["skipped"] == 0
    assert seen["ours"] >= count
    assert seen["own"] == 0
