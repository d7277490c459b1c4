"""Fields as a kernel sees them, tile by tile: where they lie, or copied into a scratch.

A scratch is a small buffer of this thread, aligned as XLA wants it, which is filled with a tile of
the field and its halo: rows of the block, slabs of a neighbour, or what stands outside a wall.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.program import Block, Program
from fdgrad_dask.blocks.views import Direct, Padded
from fdgrad_dask.stencils.table import ghosts

ALIGNMENT = 64  # bytes; XLA copies a host buffer that starts elsewhere
SHARED = 64  # imports of scratches that a thread remembers
SPENT = 8  # shapes of tiles for which a thread keeps memory
RELEASED = 1.0  # seconds; by then XLA has let go of what it read, unless somebody else holds it
KEPT = 1 << 16  # bytes; a factor up to this size is handed over once for all its tiles


class _Scratch(threading.local):
    """The buffers of this thread, and as what XLA has them."""

    def __init__(self) -> None:
        self.buffers: dict[tuple[int, int], NDArray[np.uint8]] = {}
        self.shared: dict[tuple[Any, ...], jax.Array] = {}
        self.spent: dict[tuple[Any, ...], list[list[jax.Array]]] = {}
        self.lent: list[tuple[jax.Array, weakref.ref[Memory]]] = []


_scratch = _Scratch()
# Of all threads. A WeakSet would hear in Python of what is gone, and an interrupt be lost there.
_read: list[weakref.ref[Memory]] = []

Tile = tuple[slice, ...]


def on_cpu() -> bool:
    """True where JAX computes in the memory of the host."""
    return jax.default_backend() == "cpu"


class Field:
    """One field of a block, and how the kernel is shown it for tiles of the shape ``steps``."""

    def __init__(
        self,
        number: int,
        block: Block,
        shape: tuple[int, ...],
        steps: tuple[int, ...],
        inside: bool,
        program: Program,
        groups: list[list[int]],
        dtype: np.dtype[Any],
    ) -> None:
        self.number, self.block, self.steps, self.groups = number, block, steps, groups
        self.halo = program.halo(number)
        self.varies = [size == full for size, full in zip(block.core.shape, shape, strict=True)]
        self.walls = {axis: program.walls(axis, program.is_factor(number)) for axis in self.halo}
        # A coordinate keeps its digits: its differences are what weights are made of.
        is_z = any(d.z == number for d in program.derivatives)
        self.dtype = np.dtype(float) if is_z else dtype
        inner = [step if full else 1 for step, full in zip(steps, self.varies, strict=True)]
        self.inner = tuple(
            slice(self.halo.get(i, 0), self.halo.get(i, 0) + n) for i, n in enumerate(inner)
        )
        self.kept: dict[tuple[int, ...], Padded] = {}
        self.turn = 0
        self.memory = self._shared_memory() if inside and all(self.varies) else None

    def _shared_memory(self) -> jax.Array | None:
        """The block as XLA reads it where it lies, if it can and a tile is one run of it."""
        core = self.block.core
        cut = next((i for i, step in enumerate(self.steps) if step > 1), len(self.steps))
        run = self.steps[cut + 1 :] == core.shape[cut + 1 :]
        plain = core.dtype == self.dtype and core.flags.c_contiguous
        if not (run and plain and on_cpu()) or core.ctypes.data % core.itemsize:
            return None
        memory, self.lead = memory_of(core)
        return memory

    def direct(self, tile: Tile) -> Direct | None:
        """The tile where it lies; None if there is no room about it for the halo."""
        if self.memory is None:
            return None
        core = self.block.core
        strides = [math.prod(core.shape[i + 1 :]) for i in range(core.ndim)]
        margin = max((reach * strides[axis] for axis, reach in self.halo.items()), default=0)
        start = sum(s.start * n for s, n in zip(tile, strides, strict=True))
        if start < margin or start + math.prod(self.steps) + margin > core.size:
            return None
        return Direct(
            self.memory,
            np.int64(self.lead + start),
            tuple(math.prod(self.steps[i] for i in group) for group in self.groups),
            tuple(strides[group[-1]] for group in self.groups),
        )

    def padded(self, tile: Tile) -> Padded:
        """The tile and its halo, which is a star: corners are not read. On the device."""
        source = tuple(
            s if full else slice(0, 1) for s, full in zip(tile, self.varies, strict=True)
        )
        place = tuple(s.start for s in source)
        if place in self.kept:
            return self.kept[place]
        self.turn = 1 - self.turn
        scratch = self._scratch(self.turn)
        scratch[self.inner] = self.block.core[source]
        for axis in self.halo:
            self._fill_ends(scratch, axis, source)
        # The kernel sees few axes, so that one compilation serves all ranks.
        flat = scratch.reshape([math.prod(scratch.shape[i] for i in g) for g in self.groups])
        halo = tuple(self.halo.get(group[0], 0) for group in self.groups)
        if not all(self.varies) and flat.nbytes <= KEPT:
            own = flat.copy()
            self.kept[place] = Padded(own if on_cpu() else jax.device_put(own), halo)
            return self.kept[place]
        if not on_cpu():
            return Padded(jax.device_put(flat), halo)
        return Padded(_shared((self.number, self.turn), flat), halo)

    def _scratch(self, turn: int) -> NDArray[Any]:
        """One of two buffers: while the kernel reads one, the other is filled."""
        sizes = [n.stop + n.start for n in self.inner]
        raw = _aligned((self.number, turn), math.prod(sizes) * self.dtype.itemsize)
        return raw.view(self.dtype).reshape(sizes)

    def _fill_ends(self, array: NDArray[Any], axis: int, source: Tile) -> None:
        """The rows before and behind the tile: of the block, of a neighbour, or ghosts."""
        reach, n = self.halo[axis], self.block.core.shape[axis]
        start, stop = source[axis].start, source[axis].stop
        scratch = np.moveaxis(
            array[(*self.inner[:axis], slice(None), *self.inner[axis + 1 :])], axis, 0
        )
        across = (*source[:axis], slice(None), *source[axis + 1 :])

        def rows_of(array: NDArray[Any]) -> NDArray[Any]:
            return np.moveaxis(array[across], axis, 0)

        rows = rows_of(self.block.core)
        low, high = self.walls[axis]
        if start >= reach:
            scratch[:reach] = rows[start - reach : start]
        else:
            before = axis in self.block.low
            scratch[:reach] = (
                rows_of(self.block.low[axis])[-reach:] if before else ghosts(low, rows, reach)
            )
        if stop + reach <= n:
            scratch[-reach:] = rows[stop : stop + reach]
        elif axis in self.block.high:
            scratch[-reach:] = rows_of(self.block.high[axis])[:reach]
        else:  # seen from the far end, the rows above are the rows below
            scratch[-reach:][::-1] = ghosts(high, rows[::-1], reach)


class Memory:
    """Memory of an array, or about it, as NumPy takes it for one that may be written to."""

    def __init__(self, array: NDArray[Any], start: int, shape: tuple[int, ...]) -> None:
        self._array = array  # which is not freed as long as this is there
        place = (array.ctypes.data + start * array.itemsize, False)
        self.__array_interface__ = {**array.__array_interface__, "data": place, "shape": shape}


def memory_of(core: NDArray[Any]) -> tuple[jax.Array, int]:
    """The memory of a contiguous array as XLA reads it without a copy, and where in it it begins.

    XLA wants it to begin at a multiple of 64 bytes. So the view begins up to that much earlier, and
    ends as much later, that it has one length for all arrays of a size: one compilation. What lies
    about the array is never read. It is XLA's until the end of the context `released`.
    """
    spare = ALIGNMENT // core.itemsize
    lead = core.ctypes.data % ALIGNMENT // core.itemsize
    memory = Memory(core.reshape(-1), -lead, (core.size + spare,))
    watched = weakref.ref(memory)
    _read.append(watched)
    array = jnp.from_dlpack(np.asarray(memory))
    _scratch.lent.append((array, watched))
    return array, lead


@contextmanager
def released() -> Iterator[None]:
    """At the end XLA has let go of all arrays that this thread has given it to read.

    It does so in a thread of its own, just after the results are there. Whoever has the input may
    then resize or close it; and when Python ends, no thread of XLA's comes to ask for its lock,
    which would abort the process.
    """
    lent, _scratch.lent = _scratch.lent, []
    try:
        yield
    finally:
        mine, _scratch.lent = _scratch.lent, lent
        for array, _ in mine:
            array.delete()
        _await(lambda: any(memory() is not None for _, memory in mine))
        for _, memory in mine:
            if memory() is None:
                _read.remove(memory)


def await_release() -> None:
    """Waits until XLA has let go of what calls were reading that did not come to their end."""
    _await(lambda: any(memory() is not None for memory in list(_read)))


def _await(busy: Callable[[], bool]) -> None:
    latest, pause = time.monotonic() + RELEASED, 0.0
    while busy() and time.monotonic() < latest:
        time.sleep(pause)
        pause = min(pause + 1e-5, 1e-3)


def _aligned(slot: tuple[int, int], size: int) -> NDArray[np.uint8]:
    """``size`` bytes of this thread's scratch ``slot``, at a multiple of 64."""
    raw = _scratch.buffers.get(slot)
    if raw is None or raw.size < size + ALIGNMENT:
        raw = _scratch.buffers[slot] = np.empty(size + ALIGNMENT, np.uint8)
        _scratch.shared = {key: one for key, one in _scratch.shared.items() if key[0] != slot}
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


def _shared(slot: tuple[int, int], array: NDArray[Any]) -> jax.Array:
    """A scratch as XLA reads it, imported once for each shape."""
    key = (slot, array.shape, array.dtype, jax.devices()[0])
    known = _scratch.shared.get(key)
    if known is None or known.is_deleted():  # all arrays of JAX are anybody's to delete
        if len(_scratch.shared) >= SHARED:
            _scratch.shared.clear()
        known = _scratch.shared[key] = jnp.from_dlpack(array)
    return known


class Outputs:
    """Memory for what a kernel makes of tiles of one shape: used again and again by this thread."""

    def __init__(self, count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.count, self.shape, self.dtype = count, shape, dtype
        key = (count, shape, dtype, jax.devices()[0])
        if key not in _scratch.spent and len(_scratch.spent) >= SPENT:
            _scratch.spent.clear()
        self.spent = _scratch.spent.setdefault(key, [])

    def take(self) -> list[jax.Array]:
        """Arrays that may be written over."""
        while self.spent:
            arrays = self.spent.pop()
            if not any(array.is_deleted() for array in arrays):
                return arrays
        # Bound to a device as views of memory are, since results are so too: one compilation.
        device = jax.devices()[0] if on_cpu() else None
        empty = np.empty(self.shape, self.dtype)
        return [jax.device_put(empty, device) for _ in range(self.count)]

    def give_back(self, results: list[jax.Array]) -> None:
        """They were copied out."""
        self.spent.append(results)
