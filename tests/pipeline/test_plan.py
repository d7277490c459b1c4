"""The plan: regions as integers, their reads counted from real graphs, their memory bounded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from dask.utils import format_bytes
from hypothesis import given
from hypothesis import strategies as st

from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.execute.journal import Journal
from fdgrad_dask.pipeline.planning import describe, graph
from fdgrad_dask.pipeline.planning import regions as plan
from fdgrad_dask.pipeline.planning.cutting import Field, Halo, cuts, inside, outwards
from fdgrad_dask.pipeline.planning.graph import Region
from fdgrad_dask.pipeline.planning.job import looked_at
from fdgrad_dask.pipeline.planning.regions import Workload
from fdgrad_dask.pipeline.store.folder import Folder

Called = Callable[..., tuple[int, str, str]]
Write = Callable[..., str]
MB = 10**6

halos = st.builds(Halo, st.integers(1, 3), st.integers(0, 2), st.booleans())


@given(st.integers(1, 40), st.data(), halos)
def test_cuts_are_those_of_region_chunks_and_halo(
    size: int, data: st.DataObject, halo: Halo
) -> None:
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    chunk = data.draw(st.integers(1, size))
    sizes = cuts(size, start, stop, chunk, halo)
    ends = set(np.cumsum((0, *sizes)).tolist())
    assert sum(sizes) == size
    assert min(sizes) > 0
    assert {start, stop} <= ends
    inside = {end for end in ends if start < end < stop}
    assert inside == {end for end in range(0, size, chunk) if start < end < stop}
    beside = {start - halo.depth, stop + halo.depth}
    assert {end for end in beside if 0 <= end <= size} <= ends


def test_chunks_and_halos_by_hand() -> None:
    box, sizes = {"y": (5, 12), "x": (0, 3)}, {"y": 40, "x": 60}
    chunks = {"y": 10, "x": (2, 2, 56)}
    assert Field(("y", "x"), 4, chunks).decoded(box, sizes) == 20 * 4 * 4
    assert Field(("y", "x"), 4, chunks, sliced=True).decoded(box, sizes) == 7 * 3 * 4
    assert outwards(5, 9, (3, 5, 2), 10) == (3, 10)
    assert outwards(0, 3, (3, 5, 2), 10) == (0, 3)
    assert inside(3, 9, (3, 3, 3, 3)) == [6]
    assert [Halo().alone, Halo(1).alone, Halo(layers=2).alone] == [True] * 3
    assert [Halo(1, 1).alone, Halo(around=True).alone, Halo(1, 1, True).alone] == [False] * 3
    assert cuts(100, 40, 60, 10, Halo(1, 1)) == (39, 1, 10, 10, 1, 39)
    assert cuts(100, 0, 20, 10, Halo(1, 1, around=True)) == (10, 10, 1, 78, 1)
    assert cuts(100, 80, 100, 10, Halo(1, 1, around=True)) == (1, 78, 1, 10, 10)


def workload(
    sizes: dict[str, int], shards: dict[str, int], chunks: dict[str, Any], **halos: Halo
) -> Workload:
    dims = tuple(sizes)
    return Workload(
        sizes=sizes,
        shards=shards,
        halos={dim: halos.get(dim, Halo()) for dim in dims},
        inputs={"u": Field(dims, 4, chunks)},
        outputs={"du": Field(dims, 4)},
        base=0,
    )


@given(st.data())
def test_regions_cover_every_point_once_in_whole_shards(data: st.DataObject) -> None:
    sizes = {dim: data.draw(st.integers(1, 9)) for dim in "yx"}
    shards = {dim: data.draw(st.integers(1, size)) for dim, size in sizes.items()}
    wanted = {dim: data.draw(st.integers(1, size)) for dim, size in sizes.items()}
    work = workload(sizes, shards, {"y": 2})
    made = plan.planned(work, plan.with_region(work, wanted))
    seen = np.zeros(tuple(sizes.values()), int)
    for _, span in enumerate(map(made.span, range(made.count))):
        seen[tuple(slice(*span[dim]) for dim in sizes)] += 1
        assert all(start % shards[dim] == 0 for dim, (start, _) in span.items())
    assert (seen == 1).all()


@given(st.data())
def test_a_row_goes_on_along_one_dimension(data: st.DataObject) -> None:
    sizes = {dim: data.draw(st.integers(1, 5)) for dim in "zyx"}
    made = plan.planned(workload(sizes, dict.fromkeys(sizes, 1), {}), dict.fromkeys(sizes, 1))
    number = data.draw(st.integers(0, made.count - 1))
    dim = "z" if sizes["z"] >= sizes["x"] else "x"
    row = [made.span(each) for each in made.row(number, ["z", "x"])]
    own = made.span(number)
    assert row == [{**own, dim: (i, i + 1)} for i in range(own[dim][0], sizes[dim])]
    assert list(made.row(number, [])) == [number]
    middle = {dim: (size // 2, size // 2 + 1) for dim, size in sizes.items()}
    assert made.middle == middle


@given(st.data())
def test_bytes_read_are_those_of_all_chunks_that_each_read_touches(data: st.DataObject) -> None:
    """Against a count of every read of every region, one by one."""
    sizes = {dim: data.draw(st.integers(4, 12)) for dim in "yx"}
    chunks = {dim: data.draw(st.integers(1, 5)) for dim in "yx"}
    region = {dim: data.draw(st.integers(1, size)) for dim, size in sizes.items()}
    work = workload(sizes, region, chunks, y=Halo(1, 2), x=Halo(2, 1))
    decoded, made = 0, plan.planned(work, region)

    def points(dim: str, start: int, stop: int) -> int:
        start, stop = max(start, 0), min(stop, sizes[dim])
        chunk = {i // chunks[dim] for i in range(start, stop)}
        return sum(min((c + 1) * chunks[dim], sizes[dim]) - c * chunks[dim] for c in chunk)

    for span in map(made.span, range(made.count)):
        own = {dim: points(dim, *span[dim]) for dim in sizes}
        beside = {  # y has two layers of a row, x one layer of two rows
            dim: sum(
                points(dim, low - far, low - near) + points(dim, high + near, high + far)
                for near, far in layers
            )
            for dim, layers in (("y", [(0, 1), (1, 2)]), ("x", [(0, 2)]))
            for low, high in [span[dim]]
        }
        decoded += own["y"] * own["x"] + beside["y"] * own["x"] + own["y"] * beside["x"]
    assert plan.bytes_read(work, region) == 4 * decoded


def test_regions_are_long_where_halos_are_and_a_second_long() -> None:
    """ERA5, hourly on a quarter of a degree, in chunks of 24 × 90 × 180."""
    sizes = {"time": 8760, "lat": 720, "lon": 1440}
    chunks = {"time": 24, "lat": 90, "lon": 180}
    work = workload(sizes, chunks, chunks, lat=Halo(1, 1), lon=Halo(1, 1, around=True))
    region = plan.chosen(work, room=2000 * MB)
    made = plan.planned(work, region)
    assert region["lon"] == 1440
    assert made.amplification <= plan.AMPLIFIED
    assert plan.LEAST <= plan.volume(work, region) <= plan.MOST
    small = plan.chosen(work, room=60 * MB)
    assert plan.memory(work, small) <= 60 * MB
    assert plan.planned(work, small).amplification > made.amplification


def test_shards_that_straddle_chunks_grow_to_what_fits_both() -> None:
    sizes = {"time": 9600, "x": 1000}
    work = workload(sizes, {"time": 10, "x": 1000}, {"time": 24, "x": 1000})
    region = plan.chosen(work, room=1000 * MB)
    assert region["time"] % 120 == 0
    assert plan.planned(work, region).amplification == 1
    assert plan.planned(work, {"time": 10, "x": 1000}).amplification > 3


@given(st.integers(1, 10**5), st.integers(1, 10**5))
def test_any_number_of_regions_is_planned_in_no_time(points: int, chunk: int) -> None:
    work = workload({"x": 10**9}, {"x": points}, {"x": chunk}, x=Halo(1, 1))
    region = plan.chosen(work, room=100 * MB)
    assert region["x"] % points == 0
    assert plan.memory(work, region) <= max(100 * MB, plan.memory(work, {"x": points}))


def test_memory_by_hand() -> None:
    """A region with its halo, its results, and for each thread a chunk and two shards."""
    work = Workload(
        sizes={"y": 40, "x": 60},
        shards={"y": 10, "x": 60},
        halos={"y": Halo(1, 2), "x": Halo()},
        inputs={"u": Field(("y", "x"), 4, {"y": 8, "x": (20, 40)}), "w": Field(("x",), 8)},
        outputs={"du": Field(("y", "x"), 8), "dw": Field(("x",), 4)},
        threads=3,
        base=1000,
    )
    made = 60 * 4
    for rows, read in ((10, 14), (20, 24), (40, 40)):
        held = read * 60 * 4 + 60 * 8 + rows * 60 * 8 + made
        at_once = 8 * 40 * 4 + 2 * 10 * 60 * 8
        assert plan.memory(work, {"y": rows, "x": 60}) == 1000 + held + 3 * at_once
    whole = replace(work, inputs={"u": Field(("y", "x"), 4, {"y": 8})}, outputs={}, threads=1)
    assert plan.memory(whole, {"y": 10, "x": 60}) == 1000 + 14 * 60 * 4 + 8 * 60 * 4
    one_piece = replace(work, inputs={"u": Field(("y", "x"), 4, sliced=True)}, outputs={})
    assert plan.memory(one_piece, {"y": 10, "x": 60}) == 1000 + 4 * 14 * 60 * 4
    assert plan.volume(work, {"y": 10, "x": 60}) == 10 * 60 * (4 + 8) + 60 * (8 + 4)
    one_thread = workload({"x": 8}, {"x": 8}, {"x": 8})
    assert plan.memory(one_thread, {"x": 8}) == 4 * (8 + 8) + 4 * (8 + 2 * 8)


def test_reads_around_by_hand() -> None:
    """Each end of a circle reads the other; a field that does not vary is read by each region."""
    work = workload({"y": 4, "x": 12}, {"y": 2, "x": 4}, {}, x=Halo(2, 1, around=True))
    work = replace(work, inputs={"u": Field(("y", "x"), 4, {"y": 1, "x": 1})})
    # Of 3 regions along x each has 2 rows on both sides, at the ends those of the other end.
    assert plan.bytes_read(work, {"y": 2, "x": 4}) == 4 * 4 * (12 + 3 * 4)
    assert plan.bytes_read(work, {"y": 2, "x": 6}) == 4 * 4 * (12 + 2 * 4)
    assert plan.bytes_read(work, {"y": 4, "x": 12}) == 4 * 4 * 12
    open_ends = replace(work, halos={"y": Halo(), "x": Halo(2, 1)})
    assert plan.bytes_read(open_ends, {"y": 2, "x": 4}) == 4 * 4 * (12 + 2 + 4 + 2)
    flat = replace(work, inputs={"w": Field(("x",), 4, {"x": 6})})
    # By two rows of regions; in chunks of 6 a region of 4 reads 6, 12 and 6, and its halos so too.
    assert plan.bytes_read(flat, {"y": 2, "x": 4}) == 2 * 4 * (24 + 3 * 2 * 6)
    pieces = replace(flat, pieces={"x": 2})
    assert plan.bytes_read(pieces, {"y": 4, "x": 4}) == 4 * (6 * 6 + 3 * 2 * 6)
    made = plan.planned(work, {"y": 2, "x": 4})
    assert (made.bytes_needed, made.bytes_written) == (4 * 48, 4 * 48)
    assert made.amplification == 2
    assert plan.planned(replace(work, inputs={}), {"y": 2, "x": 4}).amplification == 0


def test_of_many_regions_the_first_are_counted() -> None:
    """Exact where all are alike: of 1024 regions of a point, 512 are looked at."""
    work = workload({"x": 1024}, {"x": 1}, {"x": 2}, x=Halo(1, 1))
    inner, beside = 2 * 512, 4 * 512 - 4  # a chunk of 2 on each side, but none beyond an end
    assert plan.bytes_read(work, {"x": 1}) == 4 * 2 * (inner + beside)
    ragged = workload({"x": 1024}, {"x": 1}, {"x": (1000, 24)})
    assert plan.bytes_read(ragged, {"x": 1}) == 4 * 2 * 512 * 512
    fewer = workload({"x": 512}, {"x": 1}, {"x": (2,) * 256}, x=Halo(1, 1))
    assert plan.bytes_read(fewer, {"x": 1}) == 4 * (inner + beside)


@pytest.mark.parametrize(
    ("whole", "workers", "expected"),
    [
        (2**33, 1, 2**26),  # about a second's work
        (2**27, 1, 2**25),  # so that a worker has four
        (2**27, 3, 2**24),
        (2**27, 4, 2**23),
        (2**27, 100, 2**23),  # the task itself costs more below
        (2**22, 1, 2**22),  # there is no more
    ],
)
def test_regions_give_each_worker_some(whole: int, workers: int, expected: int) -> None:
    points = whole // 8  # of 4 bytes read and 4 written
    work = workload({"x": points}, {"x": 2**10}, {"x": 2**10})
    region = plan.chosen(work, room=2**40, workers=workers)
    assert plan.volume(work, region) == expected


def test_where_growing_saves_nothing_a_region_stays_small() -> None:
    """Each chunk of two points is decoded for each of them, however long a region is."""
    work = workload({"x": 2**13}, {"x": 2**4}, {"x": 2})
    fields = {"f": Field(("x",), 2**12, {"x": 2})}
    work = replace(work, pieces={"x": 1}, inputs=fields, outputs=fields)
    region = plan.chosen(work, room=2**40)
    assert plan.planned(work, region).amplification == 2
    assert region == {"x": 2**11}  # a quarter of 64 MiB


def test_a_region_grows_no_further_than_a_task_may_last() -> None:
    """Where each reads ten times what it needs it still ends, and where a worker is full."""
    work = workload({"x": 2**30}, {"x": 2**10}, {"x": 2**10}, x=Halo(2**28, 1))
    assert plan.volume(work, plan.chosen(work, room=2**40)) == 2**29
    small = workload({"x": 2**20}, {"x": 2**10}, {"x": 2**10})
    room = plan.memory(small, {"x": 2**13})
    assert plan.chosen(small, room) == {"x": 2**13}
    assert plan.chosen(small, room - 1) == {"x": 2**12}


def test_shapes_that_are_asked_for_are_whole_shards() -> None:
    work = workload({"y": 10, "x": 12}, {"y": 4, "x": 3}, {})
    assert plan.with_region(work, {}) == {"y": 4, "x": 3}
    assert plan.with_region(work, {"y": 1, "x": 4}) == {"y": 4, "x": 6}
    assert plan.with_region(work, {"y": 9, "x": 100}) == {"y": 10, "x": 12}


# --- against real graphs ------------------------------------------------------------------------

STEP: dict[str, Any] = {"operator": "gradient", "inputs": ["a"]}
HALOS: list[tuple[list[dict[str, Any]], dict[str, Halo]]] = [
    ([{**STEP, "options": {"dim": "y"}}], {"y": Halo(1, 1)}),
    ([{**STEP, "options": {"dim": ["y", "x"]}}], {"y": Halo(1, 1), "x": Halo(1, 1)}),
    ([{**STEP, "options": {"dim": "x", "accuracy": 6}}], {"x": Halo(3, 1)}),
    ([{**STEP, "options": {"dim": "x", "boundary": "periodic"}}], {"x": Halo(1, 1, around=True)}),
    (
        [
            {**STEP, "options": {"dim": "y"}, "output": "b"},
            {"operator": "gradient", "inputs": ["b"], "options": {"dim": "y"}},
        ],
        {"y": Halo(1, 2)},
    ),
]


def job_of(folder: Path, steps: list[dict[str, Any]], **target: Any) -> Any:
    data = xr.Dataset({"a": (("t", "y", "x"), np.zeros((4, 40, 60), np.float32))})
    chunked = data.assign_coords(x=np.arange(60.0)).chunk(t=2, y=10, x=20)
    chunked.to_zarr(folder / "in.zarr", zarr_format=3, consolidated=False)
    return looked_at(
        Config.model_validate(
            {
                "source": {"path": str(folder / "in.zarr")},
                "steps": steps,
                "target": {"path": str(folder / "out.zarr"), **target},
            }
        )
    )


@pytest.mark.parametrize(("steps", "expected"), HALOS)
def test_halos_are_found_by_trying(
    steps: list[dict[str, Any]], expected: dict[str, Halo], tmp_path: Path
) -> None:
    job = job_of(tmp_path, steps)
    assert job.halos == {"t": Halo(), "y": Halo(), "x": Halo(), **expected}
    assert job.read == {"a"}


def test_what_was_tried_for_one_dimension_is_not_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []
    job = job_of(tmp_path, HALOS[0][0])
    monkeypatch.setattr(graph, "Region", lambda *given: built.append(given) or Region(*given))
    assert graph.found_halos(job.config, job.source)[0]["y"] == Halo(1, 1)
    assert len(built) == 4  # no halo, that of y, and two corners


@pytest.mark.parametrize(("steps", "expected"), HALOS)
def test_the_plan_counts_what_the_graphs_read(
    steps: list[dict[str, Any]], expected: dict[str, Halo], tmp_path: Path
) -> None:
    job = job_of(tmp_path, steps, regions={"t": 2, "y": 20, "x": 20})
    sizes, chunks = {"t": 4, "y": 40, "x": 60}, {"t": 2, "y": 10, "x": 20}
    counted = 0
    for _, span in enumerate(map(job.plan.span, range(job.plan.count))):
        for name, box in Region(job.config, job.source, [span], job.pieces, job.halos).reads():
            assert name == "a"
            whole = [outwards(*box[dim], chunks[dim], sizes[dim]) for dim in sizes]
            counted += 4 * math.prod(high - low for low, high in whole)
    assert job.plan.count == 2 * 2 * 3
    assert job.plan.bytes_read == counted


@pytest.mark.parametrize("format", ["zarr", "contiguous", "chunked", "classic", "two files"])
def test_a_run_reads_what_the_plan_says(format: str, fdgrad: Called, write: Write) -> None:
    """Bytes as the report has them: a file without chunks is read row by row (A7)."""
    values = np.random.default_rng(0).random((6, 10, 12))
    data = xr.Dataset({"a": (("t", "y", "x"), values)}, {"t": np.arange(6.0), "x": np.arange(12.0)})
    if format == "zarr":
        data.chunk(t=2, y=4, x=5).to_zarr("in.zarr", zarr_format=3, consolidated=False)
    elif format == "two files":
        for number in range(2):
            data.isel(t=slice(3 * number, 3 * number + 3)).to_netcdf(f"in{number}.nc")
    else:
        encoding = {"a": {"chunksizes": (2, 4, 5)}} if format == "chunked" else {}
        kind: Any = "NETCDF3_64BIT" if format == "classic" else "NETCDF4"
        data.to_netcdf("in.nc", format=kind, encoding=encoding)
    steps = [
        {"operator": "gradient", "inputs": ["a"], "options": {"dim": "y"}},
        {"operator": "gradient", "inputs": ["a"], "options": {"dim": "x"}},
        {"operator": "gradient", "inputs": ["da_dx"], "options": {"dim": "x"}},
    ]
    regions = {"t": 1, "y": 5, "x": 6}
    target = {"path": "out.zarr", "chunks": regions, "regions": regions}
    config = write(source={"path": "in*"}, steps=steps, target=target)
    code, out, err = fdgrad("plan", config)
    assert code == 0, err
    assert fdgrad("run", config)[0] == 0
    records = Journal(Folder("out.zarr.journal")).regions().values()
    read = sum(record.bytes_read for record in records)
    needed = values.nbytes
    line = next(line for line in out.splitlines() if line.startswith("reads"))
    assert line == (
        f"reads    {format_bytes(read)}, {read / needed:.2f} times the {format_bytes(needed)} that "
        "are needed"
    )
    if format in ("contiguous", "classic", "two files"):
        # Of 5 rows 1 beside them, of 6 columns 2 on the one side that there is.
        assert read == 8 * 6 * 4 * (5 * 6 + 6 + 2 * 5)


# --- what is said -------------------------------------------------------------------------------


def test_the_plan_in_words(fdgrad: Called, write: Write) -> None:
    code, out, err = fdgrad("plan", write(target={"path": "out.zarr", "regions": {"time": 2}}))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("read     ")
    regions, reads, writes, memory = lines[-4:]
    assert regions.startswith("regions  4 of time 2 × longitude 4, one task of the cluster each")
    assert reads == "reads    640 B, 1.00 times the 640 B that are needed"
    assert writes == "writes   640 B before compression"
    assert memory.startswith("memory   400.00 MiB of a worker at its peak, it has ")


def test_a_sample_is_measured(fdgrad: Called, write: Write) -> None:
    code, out, _ = fdgrad("plan", "--sample", write())
    assert code == 0
    table = out.splitlines()[-5:]
    assert table[0] == "sample   the first region, on one thread of this machine: 640 B"
    assert [line.split()[:2] for line in table[1:]] == [
        ["read", table[1].split()[1]],
        ["compute", table[2].split()[1]],
        ["write", "fast"],
        ["write", "archive"],
    ]
    assert table[3].endswith(": 1")
    assert not Path("out.zarr").exists()


@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_cannot_fit_is_refused_with_what_would(
    command: str, fdgrad: Called, write: Write
) -> None:
    data = xr.Dataset({"a": (("y", "x"), np.zeros((2000, 4000)))})
    data.to_zarr(
        "large.zarr", zarr_format=3, consolidated=False, encoding={"a": {"chunks": (10, 4000)}}
    )
    sections: dict[str, Any] = {
        "source": {"path": "large.zarr"},
        "steps": [{"operator": "gradient", "inputs": ["a"], "options": {"dim": "x"}}],
        "cluster": {"workers": 1, "threads": 1, "memory_limit": "600 MiB"},
    }
    code, out, err = fdgrad(
        command, write(**sections, target={"path": "out.zarr", "chunks": {"y": 2000}})
    )
    assert (code, out) == (5, "")
    assert "fdgrad: a region of y 2000 × x 4000 needs about 644.45 MiB, a worker has" in err
    assert "600.00 MiB; lower target.chunks and target.shards along y from 2000 to 1000" in err
    assert not Path("out.zarr.journal").exists()
    target = {"path": "out.zarr", "regions": {"y": 2000}}
    assert fdgrad("plan", write(**sections, target=target))[0] == 0
    cluster = {**sections["cluster"], "memory_limit": "410 MiB"}
    code, _, err = fdgrad("plan", write(**{**sections, "cluster": cluster}))
    assert code == 5
    assert "give workers" in err


def test_a_region_is_drawn_to_scale_with_all_that_it_reads() -> None:
    """96 points in 48 characters: chunks of 8 and a halo of 1; complete; around."""
    work = Workload(
        sizes={"lat": 96, "lon": 96, "k": 1},
        shards={"lat": 16, "lon": 96, "k": 1},
        halos={"lat": Halo(1, 1), "lon": Halo(1, 1, around=True), "k": Halo()},
        inputs={"t": Field(("lat", "lon"), 4, {"lat": 8, "lon": 96})},
        outputs={"dt": Field(("lat", "lon"), 4, {"lat": 16, "lon": 96})},
    )
    _, lat, lon, k = describe.draw(work, plan.planned(work, {"lat": 16, "lon": 96, "k": 1}))
    # Rows 48 to 64, of chunks from 40 to 72.
    bar = "." * 20 + "-" * 4 + "#" * 8 + "-" * 4 + "." * 12
    assert lat == f"         lat {bar} 48 to 64 of 96, reads 40 to 72"
    assert lon == f"         lon {'#' * 48} 0 to 96 of 96"
    assert k == f"         k   {'#' * 48} 0 to 1 of 1"
    halves = describe.draw(work, plan.planned(work, {"lat": 96, "lon": 48, "k": 1}))[2]
    assert halves.endswith(f" {'-' * 24}{'#' * 24} 48 to 96 of 96, reads 0 to 96")
