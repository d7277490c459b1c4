"""Nodes are tasks as dask has them, and a layer makes those that are asked for."""

from __future__ import annotations

import operator
import pickle

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.base import tokenize
from dask.graph_manipulation import bind, clone, wait_on
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Task, TaskRef

from fdgrad_dask import gradient
from fdgrad_dask.halo.graphs import Lazy, Node, Shared

KINDS = pytest.mark.parametrize("kind", [Node, Shared])


@KINDS
def test_a_node_does_what_a_task_does(kind):
    node = kind(("d", 0), operator.sub, (("s", 3),), 4)
    task = Task(("d", 0), operator.sub, TaskRef(("s", 3)), 4)
    assert node({("s", 3): 10}) == task({("s", 3): 10}) == 6
    assert node.dependencies == task.dependencies == {("s", 3)}


@KINDS
def test_a_node_travels_and_is_known_again(kind):
    node = kind(("d", 0), operator.sub, (("s", 3),), 4)
    for other in (pickle.loads(pickle.dumps(node)), node.copy()):
        assert type(other) is kind
        assert (other.key, other.dependencies) == (node.key, node.dependencies)
        assert other == node
    assert tokenize(node) != tokenize(kind(("d", 0), operator.sub, (("s", 3),), 5))


def test_a_node_takes_other_parts():
    node = Node("d", operator.sub, ("s",), 4)
    assert node.substitute({"s": "r"}).dependencies == {"r"}
    assert node.substitute({"s": "r"}, key="e").key == "e"
    within = node.substitute({"s": Task("s", operator.neg, TaskRef("r"))})
    assert within({"r": -10}) == 6


@pytest.fixture
def made():
    """The places that were asked for, each time."""
    return []


def lazy(kind, made):
    """4 less than 0 … 11, in chunks of 3."""
    source = da.from_array(np.arange(12), chunks=3, name="s")

    def make(places):
        made.append(list(places))
        return {("d", i): kind(("d", i), operator.sub, (("s", i),), 4) for (i,) in made[-1]}

    layer = Lazy("d", source.numblocks, make)
    graph = HighLevelGraph.from_collections("d", layer, dependencies=[source])
    return da.Array(graph, "d", chunks=source.chunks, dtype=source.dtype)


def test_a_layer_makes_nothing_before_it_is_asked_and_then_all_once(made):
    result = lazy(Node, made)
    layer = result.dask.layers["d"]
    assert layer.get_output_keys() == set(dask.core.flatten(result.__dask_keys__()))
    result._repr_html_()
    assert not layer.is_materialized()
    assert made == []
    for _ in range(2):
        np.testing.assert_array_equal(result.compute(), np.arange(12) - 4)
    assert made == [[(0,), (1,), (2,), (3,)]]
    assert layer.is_materialized()


def test_a_layer_makes_what_is_asked_for(made):
    result = lazy(Node, made)
    np.testing.assert_array_equal(result[7:10].compute(), np.arange(7, 10) - 4)
    assert made == [[(2,), (3,)]]
    assert len(result.dask.layers["d"]) == 4
    result.dask.validate()


@KINDS
def test_operations_on_top_are_fused_into_a_node_but_not_into_a_shared_one(kind, made):
    (result,) = dask.optimize(lazy(kind, made) * 2)
    assert ("d" in {key[0] for key in dict(result.dask)}) == (kind is Shared)
    np.testing.assert_array_equal(result.compute(), 2 * (np.arange(12) - 4))


CHUNKS = {"rims": (5, 4), "one chunk": (12, 9), "single along the axis": (12, 4)}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
def test_a_result_is_cloned_with_all_that_it_reads(chunks):
    f = np.arange(108.0).reshape(12, 9) ** 2
    source = da.from_array(f, chunks=chunks)
    lazy = gradient(source, axis=0)
    waited = []
    first = da.from_array(np.arange(3)).map_blocks(lambda x: waited.append(1) or x).sum()
    copies = [clone(lazy), clone(lazy, omit=source), bind(lazy, first), wait_on(lazy)]
    for copy in (*copies, clone(lazy + 1) - 1):
        assert copy.name != lazy.name
        np.testing.assert_array_equal(copy.compute(scheduler="sync"), np.gradient(f, axis=0))
    assert waited
    copied, own = (set(dict(each.__dask_graph__())) for each in (copies[0], lazy))
    assert not copied & own


def test_outputs_of_one_pass_are_cloned():
    f = np.arange(108.0).reshape(12, 9) ** 2
    field = xr.DataArray(f, dims=("y", "x"), name="f").chunk(y=5, x=4)
    both = field.fdgrad.gradient(["y", "x"])
    copied = clone(both)
    for name in both:
        np.testing.assert_array_equal(copied[name], both[name])
