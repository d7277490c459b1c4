"""Fields on several devices: each shard is a block, and its neighbours send it the halo rows.

Where it is known how a field is sharded, `jax.shard_map` runs the kernel on each shard, and
`ppermute` sends the halos. Where only the compiler knows, as under ``jit`` on a mesh whose axes are
`AxisType.Auto`, the kernel reads the complete field in a form that the compiler divides as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from fdgrad_dask.blocks.fields import Ends, ShiftedField
from fdgrad_dask.blocks.program import Program
from fdgrad_dask.blocks.shards import Divided, Shard

Kernel = Callable[..., list[jax.Array]]


@dataclass(frozen=True)
class Division:
    """How an array of ``shape`` is divided among the devices of a mesh.

    ``names`` has the axes of the mesh for each axis of the array; none where it is not divided.
    """

    mesh: Any
    shape: tuple[int, ...]
    names: tuple[tuple[str, ...], ...]

    def count(self, axis: int) -> int:
        """The number of shards along ``axis``."""
        return math.prod(self.mesh.shape[name] for name in self.names[axis])

    def order(self, axis: int) -> tuple[tuple[str, ...], list[int]]:
        """The axes of the mesh in its own order, and the number of each shard among them.

        `ppermute` counts devices in the order of the mesh, whatever the order of the names is.
        """
        names = self.names[axis]
        ordered = tuple(name for name in self.mesh.axis_names if name in names)
        devices = np.arange(self.count(axis)).reshape([self.mesh.shape[name] for name in ordered])
        numbers = devices.transpose([ordered.index(name) for name in names]).ravel()
        return ordered, numbers.tolist()

    def spec(self, array: Any) -> PartitionSpec:
        """The sharding of a field, which has size 1 along axes on which it does not vary."""
        if not array.ndim:
            return PartitionSpec()
        sizes = zip(array.shape, self.shape, self.names, strict=True)
        return PartitionSpec(*(names or None if n == full else None for n, full, names in sizes))

    def place(self, array: Any) -> NamedSharding:
        """Where the shards of a field lie; what is no field is on every device."""
        return NamedSharding(self.mesh, self.spec(array))

    def weights_spec(self, axis: int, weights: Any) -> PartitionSpec:
        """The sharding of weights (k, n) along ``axis``; weights (k, 1) hold for all rows."""
        names = self.names[axis] if weights.shape[-1] == self.shape[axis] else ()
        return PartitionSpec(*(None,) * (weights.ndim - 1), names or None)

    def has_room(self, program: Program) -> bool:
        """True if all shards are alike, and large enough for what neighbours and edge rows read."""
        counts = {axis: self.count(axis) for axis in range(len(self.shape))}
        if any(self.shape[axis] % count for axis, count in counts.items()):
            return False
        return all(
            counts[axis] == 1
            or self.shape[axis] // counts[axis] >= max(program.edge(axis, end) for end in (0, 1))
            for axis in program.axes
        )


def find_division(fields: Sequence[Any], shape: tuple[int, ...]) -> Division | None:
    """The division of the first field of ``shape`` of which it is known; None if there is none.

    That of traced arrays is known along axes of a mesh that are `AxisType.Explicit`.
    """
    for f in fields:
        if not isinstance(f, jax.Array) or f.shape != shape:
            continue
        sharding = jax.typeof(f).sharding if isinstance(f, jax.core.Tracer) else f.sharding
        if not isinstance(sharding, NamedSharding):
            continue
        entries = (*sharding.spec, *(None,) * (len(shape) - len(sharding.spec)))
        names = (() if e is None else (e,) if isinstance(e, str) else tuple(e) for e in entries)
        division = Division(sharding.mesh, shape, tuple(names))
        if any(division.count(axis) > 1 for axis in range(len(shape))):
            return division
    return None


def send(numbers: NDArray[Any], place: Any) -> jax.Array:
    """Numbers of the host on a device, or on the devices of a mesh that belong to this process."""
    if not isinstance(place, NamedSharding):
        placed: jax.Array = jax.device_put(numbers, place)
        return placed
    # Several processes would compare here what each of them has, were it not cut by ourselves.
    return jax.make_array_from_callback(numbers.shape, place, lambda part: numbers[part])


def is_on_many(f: Any) -> bool:
    """True for arrays on several devices, and for traced ones that may be: those on a mesh."""
    if not isinstance(f, jax.Array):
        return False
    if not isinstance(f, jax.core.Tracer):
        return len(f.sharding.device_set) > 1
    mesh = jax.typeof(f).sharding.mesh
    # In a shard_map of the user, an array is what one device holds: its axes are Manual.
    return mesh.size > 1 and any(kind != AxisType.Manual for kind in mesh.axis_types)


def compute_sharded(
    kernel: Kernel,
    plan: Program,
    views: Sequence[ShiftedField],
    *others: Any,
    shape: tuple[int, ...],
    **options: Any,
) -> list[jax.Array]:
    """What ``kernel`` makes of fields on several devices: outputs that are sharded as they are."""
    division = find_division([view.core for view in views], shape)
    static = tuple(options.items())
    is_known = division is not None and division.has_room(plan)
    if division is not None and is_known and not _needs_complete_fields(views, division):
        outputs = _run_on_shards(views, *others, kernel=kernel, division=division, options=static)
        return list(outputs)
    divided = [Divided(view.core, view.beyond, view.ends) for view in views]
    return list(
        _run_divided(
            divided, *others, kernel=kernel, shape=shape, division=division, options=static
        )
    )


def _needs_complete_fields(views: Sequence[ShiftedField], division: Division) -> bool:
    """True where the compiler has to divide the fields, although it is known how they are sharded.

    Under vmap an axis of the mesh seems unused if it divides the mapped axis, and a shard_map would
    gather it. A halo of large integers cannot hold a number that is a float.
    """
    used = {name for names in division.names for name in names}
    unused = [name for name, size in division.mesh.shape.items() if size > 1 and name not in used]
    may_be_mapped = unused and any(isinstance(view.core, jax.core.Tracer) for view in views)
    integers = [view for view in views if jnp.issubdtype(view.core.dtype, jnp.integer)]
    return bool(may_be_mapped) or any(
        "number" in ends.kinds for view in integers for ends in view.ends
    )


@partial(jax.jit, static_argnames=("kernel", "shape", "division", "options"))
def _run_divided(
    *fields: Any, kernel: Kernel, shape: tuple[int, ...], division: Division | None, options: Any
) -> list[jax.Array]:
    """The kernel on complete fields, which the compiler divides."""
    run = partial(kernel, shape=shape, **dict(options))
    if division is None:
        return run(*fields)
    sharding = NamedSharding(division.mesh, division.spec(jax.typeof(fields[0][0].core)))
    if AxisType.Explicit in division.mesh.axis_types:
        outputs: list[jax.Array] = jax.sharding.auto_axes(run, out_sharding=sharding)(*fields)
        return outputs
    return [lax.with_sharding_constraint(output, sharding) for output in run(*fields)]


@partial(jax.jit, static_argnames=("kernel", "division", "options"))
def _run_on_shards(
    views: Sequence[ShiftedField],
    weights: Sequence[Any],
    zero: jax.Array | None,
    pole_rows: Sequence[jax.Array],
    *,
    kernel: Kernel,
    division: Division,
    options: Any,
) -> list[jax.Array]:
    """The kernel on each shard and the halo that it receives."""
    derivatives = dict(options)["program"].value.derivatives
    tables = [
        jax.tree.map(partial(division.weights_spec, d.axis), table)
        for d, table in zip(derivatives, weights, strict=True)
    ]
    views_spec, rest = (jax.tree.map(division.spec, part) for part in (views, (zero, pole_rows)))
    specs = (views_spec, tables, *rest)
    given: Any = (views, weights, zero, pole_rows)
    if AxisType.Explicit in division.mesh.axis_types:
        given = jax.tree.map(partial(_reshard, division.mesh), given, specs)
    varying = [[axis for axis, n in enumerate(view.core.shape) if n > 1] for view in views]
    shape = tuple(n // division.count(axis) for axis, n in enumerate(division.shape))

    def on_shard(views: Sequence[ShiftedField], *others: Any) -> list[jax.Array]:
        shards = [_receive(*pair, division) for pair in zip(views, varying, strict=True)]
        return kernel(shards, *others, shape=shape, **dict(options))

    result = PartitionSpec(*(names or None for names in division.names))
    used = {name for names in division.names for name in names}
    run = jax.shard_map(
        on_shard, mesh=division.mesh, axis_names=used, in_specs=specs, out_specs=result
    )
    outputs: list[jax.Array] = run(*given)
    return outputs


def _reshard(mesh: Any, array: Any, spec: PartitionSpec) -> Any:
    """``array`` with another sharding, as `shard_map` wants it where axes are Explicit."""
    own = jax.typeof(array).sharding
    # Under vmap, resharding would gather what is divided along the mapped axis.
    if not own.mesh.empty and own.spec == PartitionSpec(*spec, *(None,) * (array.ndim - len(spec))):
        return array
    return jax.sharding.reshard(array, NamedSharding(mesh, spec))


def _receive(view: ShiftedField, varying: Sequence[int], division: Division) -> Shard:
    """One shard of a field, with the halo rows of its neighbours."""
    is_end = {}
    for axis, names in enumerate(division.names):
        if division.count(axis) > 1:
            number = lax.axis_index(names)
            is_end[axis] = (number == 0, number == division.count(axis) - 1)
    beyond, received = dict(view.beyond), []
    for ends in view.ends:
        axis = ends.axis
        if axis in is_end and axis in varying:
            low, high = (_halo(view, ends, side, is_end[axis], division) for side in (0, 1))
            beyond[axis], ends = (low, high), ends._replace(kinds=("halo", "halo"))
        received.append(ends)
    return Shard(view.core, beyond, tuple(received), is_end)


def _halo(view: ShiftedField, ends: Ends, side: int, is_end: Any, division: Division) -> jax.Array:
    """The rows beyond one side of a shard: of its neighbour, or ghosts where the domain ends."""
    axis, kind = ends.axis, ends.kinds[side]
    n, count = view.core.shape[axis], division.count(axis)
    first = 0 if side else n - ends.halo_width  # what the neighbour on the other side needs
    rows = lax.slice_in_dim(view.core, first, first + ends.halo_width, axis=axis)
    step = -1 if side else 1
    pairs = [(i, (i + step) % count) for i in range(count)]
    if kind != "periodic":
        pairs = [(i, j) for i, j in pairs if j == i + step]
    names, numbers = division.order(axis)
    sent = [(numbers[i], numbers[j]) for i, j in pairs]
    received: jax.Array = lax.ppermute(rows, names, sent)
    if kind in (None, "periodic"):
        return received  # beyond an end with edge rows nothing is read
    return jnp.where(is_end[side], view.outside(ends, side), received)


def average_row(f: jax.Array, axis: int, index: int, along: int, dtype: Any) -> jax.Array:
    """The mean along ``along`` of row ``index`` of ``axis``, which both keep size 1.

    Devices that share this row add up their parts: an all-reduce of one row, and of nothing else.
    """
    division, sharding = find_division([f], f.shape), None
    if division is not None and AxisType.Explicit in division.mesh.axis_types:
        others = enumerate(division.names)
        names = [None if i in (axis, along) else names or None for i, names in others]
        sharding = NamedSharding(division.mesh, PartitionSpec(*names))
    with jax.enable_x64(True) if np.dtype(dtype).itemsize >= 8 else nullcontext():
        averaged: jax.Array = _average_row(
            f, axis=axis, index=index % f.shape[axis], along=along, dtype=dtype, sharding=sharding
        )
    return averaged


@partial(jax.jit, static_argnames=("axis", "index", "along", "dtype", "sharding"))
def _average_row(
    f: jax.Array, *, axis: int, index: int, along: int, dtype: Any, sharding: Any
) -> jax.Array:
    def average(f: jax.Array) -> jax.Array:
        row = lax.slice_in_dim(f, index, index + 1, axis=axis)
        return row.mean(axis=along, dtype=dtype, keepdims=True)

    if sharding is None:
        return average(f)
    averaged: jax.Array = jax.sharding.auto_axes(average, out_sharding=sharding)(f)
    return averaged
