"""Graphs: tasks of an output chunk, its source included; what it costs to build and to run them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

import fdgrad_dask  # noqa: F401
from benchmarks.chunks import MAP_OVERLAP, overlapped
from benchmarks.cluster import workers
from benchmarks.rows import Row, in_turn, number, over, spread

GRADIENT = "`dask.array.gradient`"
SIDES = {"quick": 10, "usual": 100}


class Stored:
    """A store of nothing, as a graph sees one."""

    dtype = np.dtype("float32")
    ndim = 3

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError("a graph is built without its values")


def rows(size: str) -> Iterator[Row]:
    """Graphs of 10 000 chunks: an axis in one chunk, one that is cut, two that are cut."""
    side = SIDES.get(size, SIDES["usual"])
    for target, what, ours, theirs in cases(side):
        counts = tasks_per_chunk(ours()), tasks_per_chunk(theirs())
        note = f"{GRADIENT} {counts[1]:.1f}"
        tasks = f"tasks per output chunk, {what}"
        yield Row(tasks, target=target, **spread([counts[0]]), unit="tasks", note=note)
        ways = {
            "ours": partial(optimised, ours),
            "theirs": partial(optimised, theirs),
            "overlapped": partial(optimised, partial(overlapped, ours)),
        }
        each = tasks_per_chunk(overlapped(ours))
        yield Row(f"{tasks}, by `map_overlap`", **spread([each]), unit="tasks")
        # Both were built just now, when their tasks were counted.
        seconds = in_turn(ways, 1, warm_up=False)
        note = f"{GRADIENT} {number(np.median(seconds['theirs']))} s"
        built = f"graph of {side * side} chunks, {what}"
        yield Row(built, target="graph", unit="s", **spread(seconds["ours"]), note=note)
        yield Row(built, "", GRADIENT, **over(seconds["theirs"], seconds["ours"]))
        yield Row(built, "", MAP_OVERLAP, **over(seconds["overlapped"], seconds["ours"]))

    yield _scheduled(200 if size == "quick" else 4000)


def _scheduled(count: int) -> Row:
    """What a task that does nothing costs on a cluster: the limit of every large graph."""
    with workers(2) as client:
        client.gather(client.map(_nothing, range(100), pure=False))
        began = time.perf_counter()
        client.gather(client.map(_nothing, range(count), pure=False))
        milliseconds = 1e3 * (time.perf_counter() - began) / count
    return Row("a task on two workers", f"{count} tasks", **spread([milliseconds]), unit="ms")


def _nothing(_: int) -> None:
    pass


def cases(side: int) -> Iterator[tuple[str, str, Callable[[], Any], Callable[[], Any]]]:
    """Target, what, ours, dask's."""
    field = labelled(side)
    f, y, x = field.data, field.y.values, field.x.values
    yield (
        "tasks, one chunk",
        "an axis in one chunk",
        lambda: [field.fdgrad.gradient("time").data],
        lambda: [da.gradient(f, 1.0, axis=0)],
    )
    yield (
        "tasks, one axis",
        "one chunked axis",
        lambda: [field.fdgrad.gradient("x").data],
        lambda: [da.gradient(f, x, axis=2)],
    )
    yield (
        "tasks, two axes",
        "two chunked axes, one output",
        lambda: [field.fdgrad.gradient_magnitude().data],
        lambda: [da.hypot(*da.gradient(f, y, x, axis=(1, 2)))],
    )
    yield (
        "tasks, two axes",
        "two chunked axes, two outputs",
        lambda: [each.data for each in field.fdgrad.gradient(["y", "x"]).values()],
        lambda: da.gradient(f, y, x, axis=(1, 2)),
    )


def labelled(side: int) -> xr.DataArray:
    """A lazy field on a plane, cut ``side`` times along y and along x."""
    shape = (10, 10 * side, 10 * side)
    lazy = da.from_array(
        Stored(shape),
        (10, 10, 10),
        name="stored",
        inline_array=True,
        meta=np.empty((0, 0, 0), "f4"),
    )
    metres = {"units": "m"}
    return xr.DataArray(
        lazy,
        dims=("time", "y", "x"),
        coords={
            "time": np.arange(10.0),
            "y": ("y", np.arange(shape[1]) * 2.0, {**metres, "axis": "Y"}),
            "x": ("x", np.arange(shape[2]) * 2.0, {**metres, "axis": "X"}),
        },
    )


def optimised(build: Callable[[], Any]) -> Any:
    """The graph as a scheduler gets it."""
    return dask.optimize(*build())


def tasks_per_chunk(results: list[Any]) -> float:
    """Tasks over the chunks of all results."""
    graph = dask.optimize(*results)[0].dask  # one graph for all of them
    return len(dict(graph)) / sum(result.npartitions for result in results)
