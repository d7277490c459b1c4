"""From a config to its layout, its regions, and advice where these do not fit."""

from __future__ import annotations

import re
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.errors import ClusterError, ConfigError
from fdgrad_dask.pipeline.cluster import resources
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.config.source import Source, Target
from fdgrad_dask.pipeline.planning.cutting import Field, Halo
from fdgrad_dask.pipeline.planning.job import Job, laid_out, looked_at, template

MIB = 2**20
STEP: dict[str, Any] = {"operator": "gradient", "inputs": ["a"], "options": {"dim": "x"}}


def results(**more: Any) -> xr.Dataset:
    """Results over y and x, or y alone, as one lazy Dataset."""
    made = {"b": (("y", "x"), da.zeros((10, 12), dtype="f4")), "c": ("y", da.zeros(10, dtype="f8"))}
    return xr.Dataset({**made, **more}, {"x": ("x", np.arange(12.0))})


def layout(target: dict[str, Any], pieces: dict[str, Any], source: dict[str, Any]) -> Any:
    found = laid_out(
        results(),
        Target(path="out.zarr", **target),
        Source(path=("in.zarr",), chunks=source),
        pieces,
    )
    return found.chunks, found.shards


LAYOUTS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], Any]] = [
    ({}, {}, {}, {"y": 10, "x": 12}),
    ({}, {"y": 4}, {}, {"y": 4, "x": 12}),  # as the source is read
    ({}, {"y": (3, 4, 3)}, {}, {"y": 4, "x": 12}),
    ({}, {"y": 4}, {"y": 5}, {"y": 5, "x": 12}),
    ({}, {"y": 4}, {"y": -1}, {"y": 10, "x": 12}),
    ({"chunks": {"y": 3}}, {"y": 4}, {"y": 5}, {"y": 3, "x": 12}),
    ({"chunks": {"y": 300}}, {}, {}, {"y": 10, "x": 12}),
]


@pytest.mark.parametrize(("target", "pieces", "source", "expected"), LAYOUTS)
def test_chunks_are_those_that_are_asked_for(
    target: dict[str, Any], pieces: dict[str, Any], source: dict[str, Any], expected: Any
) -> None:
    assert layout(target, pieces, source) == (expected, expected)


def test_shards_are_whole_chunks() -> None:
    def shards(**target: Any) -> Any:
        return layout(target, {}, {})[1]

    assert shards(chunks={"y": 4}, shards={"y": 8}) == {"y": 8, "x": 12}
    assert shards(chunks={"y": 4}, shards={"y": 80}) == {"y": 12, "x": 12}  # three chunks hold all
    with pytest.raises(ConfigError) as error:
        shards(chunks={"y": 4}, shards={"y": 10})
    assert str(error.value) == (
        "target.shards: 10 points along 'y' are no whole number of chunks of 4; choose 8, or "
        "another target.chunks"
    )
    with pytest.raises(ConfigError, match="of chunks of 4; choose 4, or"):
        shards(chunks={"y": 4}, shards={"y": 3})


@pytest.mark.parametrize("section", ["chunks", "shards", "regions"])
def test_a_dimension_that_no_result_has_is_refused(section: str) -> None:
    with pytest.raises(ConfigError, match=rf"target\.{section}.*'z'"):
        layout({section: {"z": 2}}, {}, {})


def test_a_target_that_grows_has_from_the_start_the_chunks_it_will_have() -> None:
    """Along that dimension alone, for nothing else becomes longer than it is."""
    target = {"extend": "y", "chunks": {"y": 16, "x": 20}}
    assert layout(target, {}, {}) == ({"y": 16, "x": 12}, {"y": 16, "x": 12})
    longer = {**target, "shards": {"y": 32}}
    assert layout(longer, {}, {}) == ({"y": 16, "x": 12}, {"y": 32, "x": 12})
    assert layout({"extend": "y", "chunks": {"y": 4}}, {}, {})[0] == {"y": 4, "x": 12}


def test_the_target_without_its_values() -> None:
    whole = results(n=((), da.ones((), dtype="f4")), i=("y", da.ones(10, dtype="i4")))
    whole = whole.assign_coords(y=("y", da.arange(10.0)))
    target = Target(path="out.zarr", chunks={"y": 4}, shards={"y": 8}, round_bits=9)
    made = template(whole, laid_out(whole, target, Source(path=("in.zarr",)), {}), target)
    assert {name: each.encoding for name, each in made.data_vars.items()} == {
        "b": {"chunks": (4, 12), "shards": (8, 12)},
        "c": {"chunks": (4,), "shards": (8,)},
        "n": {"chunks": ()},
        "i": {"chunks": (4,), "shards": (8,)},
    }
    bits = {name: each.attrs for name, each in made.data_vars.items()}
    nine = {"_QuantizeBitRoundNumberOfSignificantBits": 9}
    assert bits == {"b": nine, "c": nine, "n": nine, "i": {}}
    assert {each.chunks for each in made.data_vars.values()} == {((10,), (12,)), ((10,),), ()}
    assert made.coords["y"].variable._in_memory
    np.testing.assert_array_equal(made.b, 0)
    plain = Target(path="out.zarr", chunks={"y": 4})
    made = template(whole, laid_out(whole, plain, Source(path=("in.zarr",)), {}), plain)
    assert made.b.encoding == {"chunks": (4, 12)}
    assert made.b.attrs == {}


def job(limit: str, **target: Any) -> Job:
    """Metadata of 80 MB as float64, in chunks of ten rows, and a series that is not written."""
    sizes, chunks = (2500, 4000), (10, 4000)
    made = {"a": (("y", "x"), da.zeros(sizes, chunks=chunks)), "s": ("k", da.zeros(7, chunks=7))}
    store = xr.Dataset(made)
    store.to_zarr("in.zarr", mode="w", zarr_format=3, consolidated=False, compute=False)
    sections = {
        "source": {"path": "in.zarr"},
        "steps": [STEP],
        "target": {"path": "out.zarr", **target},
        "cluster": {"kind": "threads", "workers": 1, "threads": 2, "memory_limit": limit},
    }
    return looked_at(Config.model_validate(sections))


def test_what_is_planned_as_integers() -> None:
    work = job("1 GiB", chunks={"y": 20}).workload
    assert work.sizes == {"y": 2500, "x": 4000}
    assert work.shards == {"y": 20, "x": 4000}
    assert work.halos["x"] == Halo(1, 1)
    assert work.inputs == {"a": Field(("y", "x"), 8, {"y": 10, "x": 4000})}
    assert work.outputs == {"da_dx": Field(("y", "x"), 8, {}, sliced=True)}
    assert work.threads == 2
    assert work.pieces["y"] == 10


def test_regions_that_do_not_fit_are_refused_with_what_would() -> None:
    def refused(limit: str, **target: Any) -> str:
        with pytest.raises(ClusterError) as error:
            _ = job(limit, **target).plan
        return str(error.value)

    # 400 MiB of a process, 80 MB read and as many made, and for two threads three chunks each.
    needed = 400 * MIB + 2 * 8 * 2500 * 4000 + 2 * 3 * 8 * 10 * 4000
    regions = {"regions": {"y": 2500}}
    text = refused(f"{int(needed / 0.95) - 1} B", **regions)
    assert text.startswith(
        "a region of y 2500 × x 4000 needs about 554.42 MiB, a worker has 583.60"
    )
    advice = "; lower target.regions, one shard is y 10 × x 4000, or give workers 792.03 MiB"
    assert text.endswith(advice)
    assert job(f"{int(needed / 0.95) + 1} B", **regions).plan.memory == needed
    # Of shards of 2500 rows two threads hold four: 1250 and 625 rows are tried.
    rows = 2500 // 4
    enough = 400 * MIB + (2 + 4) * 8 * rows * 4000 + 2 * 8 * 10 * 4000
    text = refused(f"{int(enough / 0.95) + 1} B", chunks={"y": 2500})
    assert re.search(
        "; lower target.chunks and target.shards along y from 2500 to 625, or give workers "
        r"1\.\d\d GiB by cluster.memory_limit$",
        text,
    )
    one_row = 400 * MIB + (2 + 4) * 8 * 4000 + 2 * 8 * 10 * 4000
    text = refused(f"{int(one_row / 0.95) + 1} B", chunks={"y": 2500})
    assert "along y from 2500 to 1, or give workers" in text
    # Nor does a shard fit that is smaller than the region.
    text = refused(f"{int(one_row / 0.95) + 1} B", chunks={"y": 2100}, regions={"y": 2500})
    assert "along y from 2100 to 1, or give workers" in text
    text = refused(f"{int((one_row - 32000) / 0.95)} B", chunks={"y": 2500})  # nor does one row
    assert text.endswith("by cluster.memory_limit, or lower cluster.workers")
    text = refused("410 MiB")
    assert re.search(
        r"; give workers [\d.]+ MiB by cluster.memory_limit, or lower cluster.workers$", text
    )


def test_regions_are_planned_for_seven_tenths_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "of_machine", lambda: 2**40)
    one = job("600 MiB")
    assert one.limit == 600 * MIB
    assert one.plan.memory <= 0.7 * one.limit
    twice = {**one.plan.region, "y": 2 * one.plan.region["y"]}
    assert twice["y"] < 2500
    assert one.plan.region["y"] >= 10
