"""A worker holds no more than the plan says, on a store five times its memory limit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]

LIMIT = 640 * 2**20


def test_peak_memory_stays_under_the_estimate(fdgrad: Called, write: Write) -> None:
    shape, chunk = (-(-5 * LIMIT // (720 * 1440 * 4)), 720, 1440), (2, 720, 1440)
    group = zarr.create_group("large.zarr", zarr_format=3)
    array = group.create_array(
        "a", shape=shape, chunks=chunk, dtype="f4", dimension_names=("t", "y", "x")
    )
    row = np.linspace(0, 1, 1440, dtype=np.float32)
    array[:2] = np.tile(row, (2, 720, 1))
    first = Path("large.zarr", "a", "c", "0", "0", "0")
    for number in range(1, -(-shape[0] // 2)):  # gigabytes to read, one chunk on the disk
        folder = Path("large.zarr", "a", "c", str(number), "0")
        folder.mkdir(parents=True)
        os.link(first, folder / "0")
    config = write(
        source={"path": "large.zarr"},
        steps=[{"operator": "gradient", "inputs": ["a"], "options": {"dim": ["y", "x"]}}],
        target={"path": "out.zarr", "chunks": {"t": 2}},
        cluster={"workers": 1, "threads": 2, "memory_limit": "640 MiB"},
    )
    code, _, err = fdgrad("run", config)
    assert code == 0, err
    journal = Journal(Folder("out.zarr.journal"))
    run = journal.run()
    assert run is not None
    peak = max(record.peak_memory for record in journal.regions().values())
    assert run.events == []
    assert run.plan["bytes_needed"] >= 5 * LIMIT
    assert peak <= 1.2 * run.plan["memory"] <= LIMIT
    assert run.regions > 50
    assert xr.open_zarr("out.zarr").sizes["t"] == shape[0]
