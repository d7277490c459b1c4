"""The suites of NumPy, dask and xarray, from their installed wheels, with ours in their place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import xarray as xr

PLUGINS = Path(__file__).parent
PEERS = [  # the peer, its tests, which of them, how many these are
    (np, "lib/tests/test_function_base.py", "TestGradient", 28),
    (dask, "array/tests/test_routines.py", "test_gradient", 22),
    (xr, "tests/test_dataset.py", "differentiate", 8),
]


PEERS_IN_CHILDREN = """
import json, os, sys
import dask.array, numpy, pytest, xarray
import fdgrad_dask.accessor

for arguments, environment in json.loads(sys.argv[1]):
    if not (child := os.fork()):
        os.environ |= environment
        code = pytest.main(arguments)
        sys.stdout.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        sys.exit(code)
"""
"""All is imported once; what is replaced for a peer is so in its child alone."""


def test_the_suite_of_each_peer_passes_with_ours_in_its_place(tmp_path):
    options = ["-q", "-c", os.devnull, "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    options += ["-p", "stand_in", "--assert=plain"]  # thousands of their lines need no rewriting
    runs = [
        (
            [*options, "-k", select, str(Path(peer.__file__).parent / file)],
            {"FDGRAD_PEER": peer.__name__, "FDGRAD_REPORT": str(tmp_path / peer.__name__)},
        )
        for peer, file, select, _ in PEERS
    ]
    run = subprocess.run(
        [sys.executable, "-c", PEERS_IN_CHILDREN, json.dumps(runs)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(PLUGINS), os.environ.get("PYTHONPATH", "")]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    for peer, _, _, count in PEERS:
        seen = json.loads((tmp_path / peer.__name__).read_text())
        assert seen["passed"] == count
        assert seen["failed"] == seen["skipped"] == 0
        assert seen["ours"] >= count
        assert seen["own"] == 0
