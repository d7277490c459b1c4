"""What a user waits for: `fdgrad run` from its call to its exit, beside the same in plain xarray.

Both are fresh processes, imports and all, on all cores, with the same chunks and codecs. The
quickstart is small: there the wait is for the first region.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from benchmarks.command import run
from benchmarks.files import PEER, RESULT, SIZES, STEP, store
from benchmarks.machine import DEFAULT, environment
from benchmarks.rows import Row, number, over, seconds_of, spread

QUICKSTART = Path(__file__).resolve().parent.parent / "configs" / "quickstart.yaml"
KINDS = {
    "`fdgrad run`": {"kind": "threads"},
    "`fdgrad run` in 2 worker processes": {"kind": "local", "workers": 2, "threads": 1},
}
# As the target of the command: its chunks and codecs.
PLAIN = f"""
import xarray as xr, zarr
like = zarr.open_array("ours.zarr", path="{RESULT}", mode="r")
encoding = {{"{RESULT}": {{"chunks": like.chunks, "compressors": like.compressors}}}}
with xr.open_zarr("in.zarr") as source:
    result = source.t.differentiate("y").rename("{RESULT}").to_dataset()
    for variable in result.variables.values():
        variable.encoding = {{}}
    result.to_zarr("theirs.zarr", encoding=encoding)
"""


def rows(size: str) -> Iterator[Row]:
    """Ours and theirs in turn, then the quickstart."""
    shape = SIZES.get(size, SIZES["usual"])
    runs = 1 if size == "quick" else 5
    ours: dict[str, list[float]] = {name: [] for name in KINDS}
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        store(folder / "in.zarr", shape)
        for turn in range(runs + 1):  # the first to warm up
            for name, cluster in KINDS.items():
                os.sync()
                ran = run(folder, "in.zarr", "ours.zarr", {"steps": [STEP], "cluster": cluster})
                ours[name] += [ran.ended - ran.began][: turn and 1]
            theirs += [_plain(folder)][: turn and 1]
        waited = [_quickstart(folder) for _ in range(runs)]
    gigabytes = 4 * np.prod(shape) / 1e9
    for name, seconds in ours.items():
        case = f"{gigabytes:.1f} GB, zarr to zarr, 2 cores"
        note = f"{seconds_of(seconds)}; peer {number(np.median(theirs))} s"
        target = "command" if name == "`fdgrad run`" else ""
        values = over(seconds, theirs)
        peer = f"{PEER} in a fresh process"
        yield Row(f"{name}, the whole command", case, peer, target, **values, note=note)
    what = "from the call of `fdgrad run` to the first region"
    yield Row(what, "the quickstart", "", "first region", **spread(waited), unit="s")


def _plain(folder: Path) -> float:
    shutil.rmtree(folder / "theirs.zarr", ignore_errors=True)
    os.sync()
    began = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-c", PLAIN]
    subprocess.run(command, cwd=folder, env=environment(DEFAULT), check=True)
    return time.perf_counter() - began


def _quickstart(folder: Path) -> float:
    """Seconds until the first region is begun."""
    config = yaml.safe_load(QUICKSTART.read_text())
    sections = {name: config[name] for name in ("source", "steps", "cluster") if name in config}
    sections |= {"target": {"regions": config["target"]["regions"]}}
    ran = run(folder, "", "quickstart.zarr", sections)
    return float(ran.records[0]["began"] - ran.began)
