"""Tasks and layers of dask graphs that cost little to make: large graphs are made of them.

What a graph of many chunks costs is mostly the garbage collector, which walks through all objects
that there are whenever their number has grown by a quarter. So a task is one object with plain
tuples, and a layer makes those that are asked for when they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Set
from functools import cached_property, partial
from itertools import product
from typing import Any

from dask.base import clone_key
from dask.highlevelgraph import Layer, MaterializedLayer
from dask.task_spec import GraphNode, Task, TaskRef

Key = tuple[Any, ...]
Place = tuple[int, ...]


class Node(GraphNode):
    """A task: ``function`` of the values of the keys ``parts``, and of ``given`` as it is."""

    __slots__ = ("function", "given", "parts")

    def __init__(
        self, key: Any, function: Callable[..., Any], parts: tuple[Key, ...], given: Any
    ) -> None:
        self.key, self.function, self.parts, self.given = key, function, parts, given
        self._dependencies = frozenset(parts)

    def __call__(self, values: Any = ()) -> Any:
        return self.function(*[values[part] for part in self.parts], self.given)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.function, self.parts, self.given)

    def __dask_tokenize__(self) -> Any:
        return type(self).__name__, self.function, self.parts, self.given

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r}>"

    def copy(self) -> Node:
        return type(self)(self.key, self.function, self.parts, self.given)

    def substitute(self, subs: dict[Any, Any], key: Any = None) -> GraphNode:
        """The task of dask's that this is, with other parts."""
        task = Task(self.key, self.function, *map(TaskRef, self.parts), self.given)
        return task.substitute(subs, key)


class Shared(Node):
    """A task whose value several others take.

    It is fused into none of them: `dask.optimize` looks at one result at a time, and would have
    it computed again for each.
    """

    __slots__ = ()

    @property
    def block_fusion(self) -> bool:
        return True


class Lazy(Layer):
    """The tasks of some places, and of what these need besides, which ``make`` makes."""

    has_legacy_tasks = False

    def __init__(
        self,
        name: str,
        numblocks: tuple[int, ...],
        make: Callable[[Iterable[Place]], dict[Key, Node]],
    ) -> None:
        super().__init__()
        self.name, self.numblocks, self.make = name, numblocks, make

    def places(self) -> Iterator[Place]:
        """All of them, in order."""
        return product(*map(range, self.numblocks))

    @cached_property
    def tasks(self) -> dict[Key, Node]:
        """Those of all places."""
        return self.make(self.places())

    def __getitem__(self, key: Any) -> Node:
        return self.tasks[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def is_materialized(self) -> bool:
        return "tasks" in vars(self)

    def get_output_keys(self) -> Set[Any]:
        return {(self.name, *place) for place in self.places()}

    def clone(self, keys: Set[Any], seed: Hashable, bind_to: Any = None) -> tuple[Layer, bool]:
        """The layer under other keys, reading what else ``keys`` names under its own other key.

        That of dask does not look into nodes, and knows only of tasks that others ask for: the
        rims are this layer's own. Tasks that read nothing renamed wait for ``bind_to``.
        """
        own = self.tasks.keys()
        tasks, bound = {}, False
        for node in self.tasks.values():
            renamed = [part in own or part in keys for part in node.parts]
            parts: list[Any] = [
                clone_key(part, seed) if other else part
                for part, other in zip(node.parts, renamed, strict=True)
            ]
            function = node.function
            if bind_to is not None and not any(renamed):
                parts, function, bound = [*parts, bind_to], partial(_after, function), True
            key = clone_key(node.key, seed)
            tasks[key] = type(node)(key, function, tuple(parts), node.given)
        return MaterializedLayer(tasks, annotations=self.annotations), bound

    def cull(
        self, keys: set[Any], all_hlg_keys: Collection[Any]
    ) -> tuple[Layer, Mapping[Any, Any]]:
        """The layer of the places that are asked for, and what each of its tasks depends on."""
        asked = {key[1:] for key in keys if isinstance(key, tuple) and key[0] == self.name}
        every = len(asked) == math.prod(self.numblocks)
        tasks = self.tasks if every else self.make(sorted(asked))
        needed = {key: task.dependencies for key, task in tasks.items()}
        return MaterializedLayer(tasks, annotations=self.annotations), needed


def _after(function: Callable[..., Any], *values: Any) -> Any:
    """``function`` of all values but the last of the keys, which was only waited for."""
    *parts, _, given = values
    return function(*parts, given)
