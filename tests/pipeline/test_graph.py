"""Regions as graphs, by hand: what they hold, in which chunks they are read, and what beside."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.planning import graph
from fdgrad_dask.pipeline.planning.cutting import Field, Halo
from fdgrad_dask.pipeline.planning.graph import Region

STEP: dict[str, Any] = {"operator": "gradient", "inputs": ["a"], "options": {"dim": "x"}}


def config_of(*steps: dict[str, Any]) -> Config:
    sections = {"source": {"path": "in.zarr"}, "steps": list(steps), "target": {"path": "o.zarr"}}
    return Config.model_validate(sections)


def opened(**chunks: Any) -> xr.Dataset:
    """`a` over y and x, as a file in such chunks, and `w` over x in one piece."""
    made = xr.Dataset(
        {"a": (("y", "x"), np.ones((12, 60), "f4")), "w": ("x", np.ones(60, "f8"))},
        {"x": ("x", np.arange(60.0))},
    ).chunk()  # so that nothing is in memory
    if chunks:
        sizes = tuple(max(n) if isinstance(n, tuple) else n for n in chunks.values())
        made["a"].encoding = {"preferred_chunks": chunks, "chunks": sizes}
    return made


def test_bytes_of_inputs_and_results_in_a_part() -> None:
    spans = [{"y": (0, 4), "x": (0, 20)}, {"y": (4, 8), "x": (0, 20)}]
    region = Region(config_of(STEP, {**STEP, "inputs": ["w"]}), opened(), spans, {}, {})
    assert region.span == {"y": (0, 8), "x": (0, 20)}
    # a and da_dx of 4 bytes each, w and dw_dx of 8.
    assert region.count_bytes(spans[0]) == 4 * 20 * (4 + 4) + 20 * (8 + 8)
    assert region.count_bytes({"x": (10, 12)}) == 12 * 2 * (4 + 4) + 2 * (8 + 8)


def test_a_region_reads_itself_and_its_halo_in_whole_chunks() -> None:
    source, halos = opened(y=4, x=10), {"x": Halo(1, 1)}
    region = Region(config_of(STEP), source, [{"y": (4, 8), "x": (20, 40)}], {"x": 10}, halos)
    found = sorted((name, box["y"], box["x"]) for name, box in region.reads())
    along = [(19, 20), (20, 30), (30, 40), (40, 41)]
    assert found == [("a", (4, 8), each) for each in along]
    (array,) = [each for each in region.read.values() if each.ndim == 2]
    assert array.chunks == ((4, 4, 4), (19, 1, 10, 10, 1, 19))
    # A row of the halo is decoded with its chunk, and what spans two chunks with both.
    assert region.decoded((array.name, 1, 1)) == 4 * 4 * 10
    assert region.decoded((array.name, 1, 0)) == 4 * 4 * 20
    ((name, dims, part),) = region.results()
    assert (name, dims, part.shape) == ("da_dx", ("y", "x"), (4, 20))
    ((_, _, shards),) = region.shards({"y": 2, "x": 15})
    assert shards.chunks == ((2, 2), (15, 5))


def test_regions_beside_each_other_are_cut_at_the_ends_of_each() -> None:
    spans = [{"x": (0, 10)}, {"x": (10, 25)}]
    region = Region(config_of(STEP), opened(), spans, {}, {"x": Halo(2, 1)})
    (array,) = [each for each in region.read.values() if each.ndim == 2]
    assert array.chunks[1] == tuple(np.diff([0, 8, 10, 12, 25, 27, 60]))


def test_what_no_region_is_cut_along_is_read_in_one_piece() -> None:
    region = Region(config_of({**STEP, "inputs": ["w"]}), opened(), [{"x": (0, 10)}], {}, {})
    assert {each.chunks for each in region.read.values() if each.ndim == 2} == {((12,), (10, 50))}


@pytest.mark.parametrize("on_device", [False, True])
def test_floats_of_the_source_go_to_the_device_and_nothing_else(on_device: bool) -> None:
    source = opened()
    source["n"] = source.a.astype("i2")
    source["m"] = source.w.compute()
    steps = [{**STEP, "inputs": [name]} for name in ("a", "w", "n", "m")]
    span = {"y": (0, 12), "x": (0, 10)}
    region = Region(config_of(*steps), source, [span], {}, {}, on_device=on_device)
    there = {name for name, _, part in region.results() if isinstance(part._meta, jax.Array)}
    assert there == ({"da_dx", "dw_dx"} if on_device else set())


def test_where_a_chunk_lies() -> None:
    chunks = ((2, 3, 4), (5, 5))
    assert graph.ends_of(chunks, (0, 1)) == [(0, 2), (5, 10)]
    assert graph.ends_of(chunks, (2, 0)) == [(5, 9), (0, 5)]


@pytest.mark.parametrize(
    ("size", "middle"),
    [(1, (0, 1)), (2, (0, 1)), (5, (2, 3)), (6, (2, 4)), (48, (16, 32)), (100, (42, 58))],
)
def test_the_middle_is_a_third_or_sixteen_points(size: int, middle: tuple[int, int]) -> None:
    assert graph.middle_of(size) == middle


PIECES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {}),
    ({"y": 4, "x": 10}, {}, {"y": 4, "x": 10}),
    ({"y": 4, "x": (30, 20, 10)}, {}, {"y": 4, "x": (30, 20, 10)}),
    ({"y": 4, "x": 10}, {"x": 15}, {"y": 4, "x": 20}),  # whole chunks
    ({"y": 4, "x": 10}, {"x": -1}, {"y": 4, "x": 60}),
    ({"y": 4, "x": 10}, {"x": "auto"}, {"y": 4, "x": 10}),
    ({"y": 4, "x": (30, 20, 10)}, {"x": 7}, {"y": 4, "x": 7}),
    ({}, {"y": 5}, {"y": 5}),
]


@pytest.mark.parametrize(("stored", "wanted", "expected"), PIECES)
def test_in_which_pieces_the_inside_is_read(
    stored: dict[str, Any], wanted: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert graph.pieces_of(opened(**stored), wanted, {"a", "w"}) == expected


def test_of_several_fields_the_longest_chunks_count_that_are_read() -> None:
    source = opened(y=4, x=10)
    source["b"] = source.a.copy()
    source["b"].encoding = {"preferred_chunks": {"y": (6, 6), "x": 20}}
    source["c"] = source.a.copy()
    source["c"].encoding = {"preferred_chunks": {"y": 12, "x": 60}}
    assert graph.pieces_of(source, {}, {"a", "b"}) == {"y": (6, 6), "x": 20}


def test_a_variable_as_the_plan_sees_it() -> None:
    stored = opened(y=4, x=10).a.variable
    assert graph.field_of(stored) == Field(("y", "x"), 4, {"y": 4, "x": 10}, sliced=False)
    assert graph.field_of(opened().w.variable) == Field(("x",), 8, {}, sliced=True)
    netcdf = opened().w.variable
    netcdf.encoding = {"chunksizes": (30,), "preferred_chunks": {"x": 30, "gone": 2}}
    assert graph.field_of(netcdf) == Field(("x",), 8, {"x": 30}, sliced=False)
    netcdf.encoding = {"chunksizes": None, "contiguous": True}
    assert graph.field_of(netcdf).sliced


HALOS: list[tuple[dict[str, Any], Halo]] = [
    ({"dim": "x", "accuracy": 4}, Halo(2, 1)),
    ({"dim": "x", "accuracy": 6}, Halo(3, 1)),
    ({"dim": "x", "accuracy": 8}, Halo(4, 1)),
    ({"dim": "x", "accuracy": 8, "skipna": "one-sided"}, Halo(8, 1)),  # all to one side
    ({"dim": "x", "accuracy": 8, "boundary": "periodic"}, Halo(4, 1, around=True)),
    ({"dim": "x", "boundary": "reflect"}, Halo(1, 1)),
    ({"dim": "y"}, Halo()),
]


@pytest.mark.parametrize(("options", "expected"), HALOS)
def test_the_halo_is_the_least_that_is_enough(options: dict[str, Any], expected: Halo) -> None:
    halos, read = graph.found_halos(config_of({**STEP, "options": options}), opened())
    assert halos["x"] == expected
    assert read == {"a"}


def test_three_derivatives_in_a_row_have_three_layers() -> None:
    again = [{**STEP, "inputs": [name], "output": name + "b"} for name in ("a", "ab", "abb")]
    wide = [{**each, "options": {"dim": "x", "accuracy": 4}} for each in again]
    assert graph.found_halos(config_of(*again), opened())[0]["x"] == Halo(1, 3)
    assert graph.found_halos(config_of(*wide[:2]), opened())[0]["x"] == Halo(2, 2)


def test_a_halo_of_all_that_there_is_is_enough() -> None:
    """Two derivatives of the eighth order reach further than the middle is from the ends."""
    again = [{**STEP, "inputs": [name], "output": name + "b"} for name in ("a", "ab")]
    wide = [{**each, "options": {"dim": "x", "accuracy": 8}} for each in again]
    halos, _ = graph.found_halos(config_of(*wide), opened().isel(x=slice(0, 18)))
    assert halos["x"] == Halo(6, 1, around=True)  # points 6 to 12 of 18
