"""What decides a result, and what does not: only what does may refuse to go on with a run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr

from fdgrad_dask.pipeline.config import redaction
from fdgrad_dask.pipeline.config.schema import Config
from fdgrad_dask.pipeline.planning import identity

STEP = {"operator": "gradient", "inputs": ["a"], "options": {"dim": "x"}}


def days(*offsets: int) -> list[Any]:
    """Dates of their own, as each run makes them of its source."""
    return [cftime.DatetimeNoLeap(2000, 1, 1) + timedelta(days=day) for day in offsets]


def made() -> tuple[xr.Dataset, xr.Dataset]:
    """A source of which `a` is read, `b` is not, and `x`, `when` and `mask` are in memory."""
    coords = {"x": ("x", [0.0, 1.0], {"units": "m"}), "when": ("t", days(0, 30))}
    fields = {name: (("t", "x"), np.ones((2, 2))) for name in "ab"}
    source = xr.Dataset(fields, coords).chunk().assign(mask=("x", [1, 0]))
    source.a.attrs = {"units": "degC", "long_name": "a field"}
    return source, source[["a"]].rename(a="da_dx")


def keys_of(opened: xr.Dataset, result: xr.Dataset, /, **more: Any) -> dict[str, str]:
    sections = {"source": {"path": "in.zarr"}, "steps": [STEP], "target": {"path": "out.zarr"}}
    chunks = more.pop("chunks", {"t": 1, "x": 2})
    shards = more.pop("shards", chunks)
    config = Config.model_validate({**sections, **more})
    return identity.identity(config, chunks, shards, opened, {"a"}, result)


def changed_by(change: Callable[[xr.Dataset], object], **more: Any) -> set[str]:
    """The keys that are others after a change of source and result, or of the config."""
    source, result = made()
    before = keys_of(source, result)
    change(source)
    for name in source.coords:
        result.coords[name] = source.variables[name]
    now = keys_of(source, result, **more)
    return {line.partition(" (was ")[0] for line in identity.changed(before, now)}


def shift(source: xr.Dataset) -> None:
    source["x"] = ("x", [0.0, 2.0], {"units": "m"})


def later(source: xr.Dataset) -> None:
    source["when"] = ("t", days(0, 31))


CHANGES: dict[str, tuple[Callable[[xr.Dataset], object], set[str]]] = {
    "nothing, but dates are made again": (lambda ds: None, set()),
    "a label": (shift, {"input x", "coordinate x"}),
    "a date": (later, {"input when", "coordinate when"}),
    "a constant field": (lambda ds: ds.mask.values.fill(2), {"input mask"}),
    "units": (lambda ds: ds.a.attrs.update(units="K"), {"input a"}),
    "the order of attributes": (lambda ds: ds.a.attrs.update(units=ds.a.attrs.pop("units")), set()),
    "units of what is not read": (lambda ds: ds.b.attrs.update(units="K"), set()),
    "stored chunks": (lambda ds: ds.a.encoding.update(chunks=(1, 1)), set()),
    **{
        f"a stored {key}": (lambda ds, key=key: ds.a.encoding.update({key: 2}), {"input a"})
        for key in ("scale_factor", "add_offset", "_FillValue", "missing_value", "units")
    },
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_of_the_source_shows_where_it_counts(case: str) -> None:
    change, expected = CHANGES[case]
    assert changed_by(change) == expected


OPTIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({"chunks": {"t": 2, "x": 2}}, {"layout.chunks.t"}),
    ({"shards": {"t": 2, "x": 2}}, {"layout.shards.t", "layout.shards.x"}),
    ({"source": {"path": "other.zarr"}}, {"source.path"}),
    ({"source": {"path": "in.zarr", "chunks": {"t": 1}}}, set()),
    ({"source": {"path": "in.zarr", "coordinates": "c.nc"}}, {"source.coordinates.path"}),
    ({"steps": [STEP, {**STEP, "output": "again"}]}, {"steps[1].operator"}),
    ({"grid": {"dx": 2.0}}, {"grid.dx"}),
    ({"target": {"path": "out.zarr", "regions": {"t": 1}}}, set()),
    ({"target": {"path": "out.zarr", "round_bits": 9}}, {"target.round_bits"}),
    ({"cluster": {"kind": "threads", "workers": 3}}, set()),
]


@pytest.mark.parametrize(("more", "expected"), OPTIONS)
def test_a_change_of_the_config_shows_where_it_counts(
    more: dict[str, Any], expected: set[str]
) -> None:
    found = changed_by(lambda ds: None, **more)
    assert expected <= found
    sections = {each.partition(".")[0].partition("[")[0] for each in found}
    assert sections <= {each.partition(".")[0].partition("[")[0] for each in expected}


def test_keys_and_values_by_hand() -> None:
    keys = keys_of(*made())
    assert keys["steps[0].options.dim"] == "x"
    assert keys["layout.chunks.t"] == "1"
    assert keys["source.path"] == '["in.zarr"]'
    content = hashlib.sha256(np.array([1, 0]).tobytes()).hexdigest()[:16]
    described = f'[["x"], [2], "int64", {{}}, {{}}, "{content}"]'
    assert keys["input mask"] == described
    attributes = '[["x"], [2], "float64", {"units": "m"}, {}, '
    content = hashlib.sha256(np.array([0.0, 1.0]).tobytes()).hexdigest()[:16]
    long = hashlib.sha256(f'{attributes}"{content}"]'.encode()).hexdigest()[:16]
    assert keys["input x"] == keys["coordinate x"] == long
    assert not [key for key in keys if "path" in key and key.startswith("target")]
    assert not [key for key in keys if key.startswith(("grid", "layout.shards", "cluster"))]
    assert {key for key in keys if key.startswith("version of ")} == {
        f"version of {name}" for name in ("fdgrad_dask", "jax", "jaxlib", "numpy")
    }
    kept = identity.without_versions(keys)
    assert keys.items() - kept.items() == {
        (key, value) for key, value in keys.items() if key.startswith("version of ")
    }


@pytest.mark.parametrize(("length", "is_shown"), [(60, True), (61, False)])
def test_long_values_are_hashed(length: int, is_shown: bool) -> None:
    step = {**STEP, "options": {"dim": "x" * length}}
    value = keys_of(*made(), steps=[step])["steps[0].options.dim"]
    hashed = hashlib.sha256(b"x" * length).hexdigest()[:16]
    assert value == ("x" * length if is_shown else hashed)


def test_what_came_from_the_environment_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_hidden", {})
    redaction.hide("opensesame")
    step = {**STEP, "options": {"dim": "opensesame"}}
    value = keys_of(*made(), steps=[step])["steps[0].options.dim"]
    assert value == hashlib.sha256(b"opensesame").hexdigest()[:16]


def test_a_folder_with_source_and_target_may_move() -> None:
    def paths(folder: str, target: str = "out.zarr", **more: Any) -> dict[str, str]:
        given = [f"{folder}/in.zarr", "sample:era5.nc", "s3://bucket/b.zarr"]
        source = {"path": given, **more}
        target = target if "://" in target else f"{folder}/runs/{target}"
        sections = {"source": source, "steps": [STEP], "target": {"path": target}}
        return identity.of_config(Config.model_validate(sections))

    kept = '"sample:era5.nc", "s3://bucket/b.zarr"]'
    here = paths("one")["source.path"]
    assert here == paths("two")["source.path"] == f'["../in.zarr", {kept}'
    absolute = f'["{os.path.abspath("one/in.zarr")}", {kept}'
    in_bucket = paths("one", "s3://bucket/out.zarr")["source.path"]
    assert in_bucket in (absolute, hashlib.sha256(absolute.encode()).hexdigest()[:16])
    beside = paths("one", coordinates="one/grid.nc")
    assert beside["source.coordinates.path"] == '["../grid.nc"]'
    assert not [key for key in paths("one") if key.startswith("source.coordinates")]
    assert not [key for key in beside if "storage_options" in key]


def test_one_number_for_all_keys() -> None:
    """The same whatever their order; a run of last year is found by it."""
    found = identity.digest({"b": "2", "a": "1"})
    assert found == identity.digest({"a": "1", "b": "2"})
    assert found == hashlib.sha256(b'{"a": "1", "b": "2"}').hexdigest()


def test_what_differs_is_said_with_both_values() -> None:
    before, now = {"same": "1", "b": "2", "gone": "3"}, {"a": "4", "same": "1", "b": "5"}
    assert identity.changed(before, now) == [
        "a (was absent, is 4)",
        "b (was 2, is 5)",
        "gone (was 3, is absent)",
    ]
