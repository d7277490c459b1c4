"""NumPy memory that XLA reads without copying it, and waiting until XLA has let go of it."""

from __future__ import annotations

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

ALIGNMENT = 64  # bytes; XLA copies a host buffer that starts elsewhere
PATIENCE = 1.0  # seconds; by then XLA has let go, unless somebody else holds the memory


class Memory:
    """Memory of an array, or around it, that NumPy takes for writeable."""

    def __init__(self, array: NDArray[Any], start: int, shape: tuple[int, ...]) -> None:
        self._array = array  # keeps the memory alive
        address = (array.ctypes.data + start * array.itemsize, False)
        self.__array_interface__ = {**array.__array_interface__, "data": address, "shape": shape}


class _Lent(threading.local):
    """What this thread has lent to XLA since `lending` began."""

    def __init__(self) -> None:
        self.arrays: list[tuple[jax.Array, weakref.ref[Memory]]] = []


_lent = _Lent()
# What all threads have lent. A WeakSet would run Python code when an entry dies, and an interrupt
# that arrives in such a callback is lost.
_in_use: list[weakref.ref[Memory]] = []


def lend(core: NDArray[Any]) -> tuple[jax.Array, int]:
    """Let XLA read a contiguous array where it lies.

    XLA copies what does not start at a multiple of 64 bytes, which most NumPy arrays do not. For a
    block of 100 MB that copy costs more than the derivative. So the view starts up to 63 bytes
    earlier, and it ends as much later that its length depends on the size of the array alone: one
    compilation for all addresses. The kernel never reads the elements outside of the array. The
    price is that XLA holds the memory for a moment longer than the call, see `lending`.

    Returns
    -------
    jax.Array, int
        The memory (n,), and the index at which the array begins in it.
    """
    spare = ALIGNMENT // core.itemsize
    offset = core.ctypes.data % ALIGNMENT // core.itemsize
    memory = Memory(core.reshape(-1), -offset, (core.size + spare,))
    reference = weakref.ref(memory)
    _in_use.append(reference)
    array = jnp.from_dlpack(np.asarray(memory))
    _lent.arrays.append((array, reference))
    return array, offset


@contextmanager
def lending() -> Iterator[None]:
    """At the end XLA has let go of all arrays that this thread has lent.

    It does so in a thread of its own, just after the results are ready. We wait for it, so that
    the caller can resize or close the input, and so that no thread of XLA asks for the lock of an
    interpreter that has ended, which would abort the process.
    """
    outer, _lent.arrays = _lent.arrays, []
    try:
        yield
    finally:
        mine, _lent.arrays = _lent.arrays, outer
        for array, _ in mine:
            array.delete()
        _wait_while(lambda: any(memory() is not None for _, memory in mine))
        for _, memory in mine:
            if memory() is None:
                _in_use.remove(memory)


def await_release() -> None:
    """Wait until XLA has let go of what interrupted calls have lent."""
    _wait_while(lambda: any(memory() is not None for memory in list(_in_use)))


def _wait_while(busy: Callable[[], bool]) -> None:
    latest, pause = time.monotonic() + PATIENCE, 0.0
    while busy() and time.monotonic() < latest:
        time.sleep(pause)
        pause = min(pause + 1e-5, 1e-3)
