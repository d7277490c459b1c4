"""What the commands print of a job, in full and by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import model_cases
import numpy as np
import xarray as xr
from dask.utils import format_bytes

from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.planning import describe
from fdgrad_dask.pipeline.planning.cutting import Field, Halo
from fdgrad_dask.pipeline.planning.job import Job, looked_at
from fdgrad_dask.pipeline.planning.regions import Workload, planned

STEPS: list[dict[str, Any]] = [
    {"operator": "vorticity", "inputs": ["u", "v"], "output": "z"},
    {"operator": "gradient", "inputs": ["s"], "options": {"dim": "t", "edge_order": 2}},
]


def job(**more: Any) -> Job:
    """Two winds in different chunks on a sphere, and a series of some kelvins."""
    dims, wind = ("time", "lat", "lon"), np.zeros((12, 9, 12), "f4")
    winds = {name: (dims, wind, {"units": "m s-1"}) for name in "uv"}
    coords = {
        "lat": ("lat", np.linspace(-80, 80, 9), {"units": "degrees_north"}),
        "lon": ("lon", 30.0 * np.arange(12), {"units": "degrees_east"}),
        "t": ("t", np.arange(40.0)),
    }
    chunks = {"u": {"chunks": (6, 3, 12)}, "v": {"chunks": (12, 9, 12)}, "s": {"chunks": (20,)}}
    xr.Dataset({**winds, "s": ("t", np.zeros(40))}, coords).to_zarr(
        "in.zarr", mode="w", encoding=chunks, zarr_format=3, consolidated=False
    )
    sections = {"source": {"path": "in.zarr"}, "steps": STEPS, "target": {"path": "out.zarr"}}
    return looked_at(Config.model_validate({**sections, **more}))


def said(lines: list[str]) -> list[str]:
    """Without the folder of the test."""
    return [line.replace(f"{os.getcwd()}/", "") for line in lines]


def test_source_steps_grid_and_target() -> None:
    target = {
        "path": "out.zarr",
        "chunks": {"time": 6, "lat": 3, "t": 40},
        "shards": {"time": 6, "lat": 6},
    }
    grid = {"geometry": "sphere", "radius": 1e6}
    one = job(target=target, grid=grid)
    assert said(describe.what_is_read(one)) == [
        "read     in.zarr",
        "         s (t: 40) float64, no units, 320 B, 2 chunks of 20",
        "         u (time: 12, lat: 9, lon: 12) float32, m s-1, 5.06 kiB, 6 chunks of 6 × 3 × 12",
        "         v (time: 12, lat: 9, lon: 12) float32, m s-1, 5.06 kiB, 1 chunk of 12 × 9 × 12",
    ]
    arrays = [
        "         z (time: 12, lat: 9, lon: 12) float32, s-1, 5.06 kiB, 6 chunks of 6 × 3 × 12 in "
        "shards of 6 × 6 × 12",
        "         ds_dt (t: 40) float64, no units, 320 B, 1 chunk of 40 in shards of 40",
    ]
    planned = [
        "step     vorticity(u, v)",
        "step     gradient(s, dim='t', edge_order=2)",
        "grid     sphere of radius 1000000 m, periodic along lon: z",
        "         as the config says: geometry='sphere', radius=1000000.0",
        "target   out.zarr",
        *arrays,
    ]
    assert said(describe.what_is_planned(one)) == planned
    assert said(describe.what_is_written(one)) == ["wrote    out.zarr", *arrays]
    Path("out.zarr").mkdir()
    exists = "         out.zarr exists: run resumes it, or needs --fresh"
    assert said(describe.what_is_planned(one)) == [*planned, exists]


def test_without_a_section_grid_and_shards_nothing_is_said_of_them() -> None:
    lines = said(describe.what_is_planned(job(steps=[*STEPS, {**STEPS[0], "output": "again"}])))
    assert lines[3] == "grid     sphere of radius 6371229 m, periodic along lon: z, again"
    assert lines[4] == "target   out.zarr"
    assert not [line for line in lines if "shards" in line or "config says" in line]


def test_regions_in_words() -> None:
    regions = {"time": 6, "lat": 3, "lon": 12}
    target = {"path": "out.zarr", "chunks": regions, "regions": regions}
    one = job(target=target, steps=STEPS[:1])
    regions, reads, writes, memory = describe.regions(one)
    start, _, end = regions.partition(", about ")
    assert start == "regions  6 of time 6 × lat 3, one task of the cluster each"
    tasks, _, where = end.partition(" ")
    assert where == "inside it"
    assert 4 <= int(tasks) <= 40
    # Two times of three bands: each band reads the next, and the one in the middle both. The only
    # chunk of v is decoded by each read.
    reads_of = 2 * (3 + 1 + 2 + 1)
    u, v = 4 * 6 * 3 * 12 * reads_of, 4 * 12 * 9 * 12 * reads_of
    needed = 2 * 4 * 12 * 9 * 12
    assert reads == (
        f"reads    {format_bytes(u + v)}, {(u + v) / needed:.2f} times the {format_bytes(needed)} "
        "that are needed"
    )
    assert writes == f"writes   {format_bytes(needed // 2)} before compression"
    assert memory.startswith(f"memory   {format_bytes(one.plan.memory)} of a worker at its peak, ")
    assert memory.endswith(f", it has {format_bytes(one.limit)}")
    whole = job(target={"path": "out.zarr"}, steps=STEPS[:1])
    assert describe.regions(whole)[0].startswith("regions  1 of everything, one task of the ")


def test_the_drawing_says_where_the_other_end_is_read() -> None:
    sizes = {"x": 480, "yy": 480, "z": 480, "q": 48}
    work = Workload(
        sizes=sizes,
        shards={"x": 40, "yy": 480, "z": 40, "q": 48},
        halos={
            "x": Halo(10, 2, around=True),
            "yy": Halo(around=True),
            "z": Halo(),
            "q": Halo(1, 1),
        },
        inputs={
            "u": Field(("x", "q"), 4, {"x": 1, "q": 1}),
            "w": Field(("x",), 4, {"x": 30}),
            "s": Field(("z",), 4, {"z": 1}),
        },
        outputs={},
    )
    first, x, yy, z, q = describe.draw(work, planned(work, work.shards))
    assert first == "drawn    a region in the middle: # computed, - also read, . neither"
    # 240 to 280, with 20 points on each side those of chunks of 30 from 210 to 300.
    bar = "." * 21 + "-" * 3 + "#" * 4 + "-" * 2 + "." * 18
    assert x == f"         x  {bar} 240 to 280 of 480, reads 210 to 300, and the other end"
    assert yy == f"         yy {'#' * 48} 0 to 480 of 480"
    assert z == f"         z  {'.' * 24}####{'.' * 20} 240 to 280 of 480"
    assert q == f"         q  {'#' * 48} 0 to 48 of 48"
    fine = describe.draw(work, planned(work, {**work.shards, "x": 3}))[1]
    assert fine.count("#") == 1  # of one character at least


def test_the_dimensions_of_a_model_are_said_where_a_result_lies_on_its_grid() -> None:
    names = ["uo", "vo", "dxCu", "dyCv", "areacello_bu"]
    model = model_cases.mom6(12).ds[names]
    model = model.assign(uo=model.uo.expand_dims(k=[0.0, 1.0]), vo=model.vo.expand_dims(k=2))
    model.to_zarr("model.zarr", zarr_format=3, consolidated=False)
    wind = {"operator": "vorticity", "inputs": ["uo", "vo"], "output": "z"}
    along = {"operator": "gradient", "inputs": ["uo"], "options": {"dim": "k"}}
    lines = describe.what_is_planned(job(source={"path": "model.zarr"}, steps=[wind]))
    at = next(number for number, line in enumerate(lines) if line.startswith("grid     MOM6"))
    assert lines[at].endswith(": z")
    layout = [line for line in lines[at + 1 :] if line.startswith("         ")]
    assert layout[0].startswith("         x")
    assert len(layout) > 2
    plain = describe.what_is_planned(job(source={"path": "model.zarr"}, steps=[along]))
    assert not set(layout[:2]) & set(plain)


def test_a_summary_is_shown_without_all_its_lines() -> None:
    made = describe.Summary("many\nlines", "out.zarr")
    assert str(made) == "many\nlines"
    assert repr(made) == "Summary(target='out.zarr')"
