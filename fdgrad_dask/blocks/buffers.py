"""Output buffers of large results, reused after the result they held is garbage-collected.

Allocating a large result can take longer than computing it: glibc returns every block above 32 MB
to the system when it is freed, and the kernel of the system must map each page of the next one. So
XLA writes large results into the buffers of earlier ones. It buys a factor of 2 to 3 for results
of 100 MB, and costs up to 512 MiB that stay with the process.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.allocator import is_default
from fdgrad_dask.blocks.zero_copy import Memory

MIN_SIZE = 32 << 20  # bytes; glibc keeps smaller blocks for reuse by itself
MAX_KEPT = 512 << 20  # bytes of results, alive or not, whose buffers we remember
_lock = threading.Lock()


class _Result(NamedTuple):
    """A result: what NumPy sees of it, and the JAX array in whose buffer it lies.

    The reference has no callback. Python code that runs when an array dies could be interrupted by
    a signal, and the exception would be lost, so whether a result is alive is looked up instead.
    """

    seen: weakref.ref[Memory]
    array: jax.Array


_results: list[_Result] = []  # oldest first


def is_reused(size: int) -> bool:
    """True if the buffer of a result of ``size`` bytes is to be used again."""
    return MIN_SIZE <= size <= MAX_KEPT and is_default()


def take(count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> list[jax.Array]:
    """Take ``count`` arrays to donate to a kernel, of arbitrary values; none if fewer are free.

    XLA then allocates the results: to make a buffer and donate it would write it twice.
    """
    device = jax.devices("cpu")[0]

    def is_free(result: _Result) -> bool:
        array = result.array
        return (
            result.seen() is None
            and not array.is_deleted()  # anybody may delete the arrays of JAX
            and (array.shape, array.dtype) == (shape, dtype)
            and array.devices() == {device}  # not so after JAX has changed its backends
        )

    with _lock:
        free = [result for result in _results if is_free(result)][:count]
        if len(free) < count:
            return []
        _results[:] = [each for each in _results if not any(each is result for result in free)]
    return [result.array for result in free]


def as_numpy(array: jax.Array, *, is_reused: bool) -> NDArray[Any]:
    """View the output of a kernel as a writeable NumPy array.

    Nobody else has seen it, so to write to it is safe. If ``is_reused``, a later result may use
    its buffer as soon as the array and all views of it are gone.
    """
    values = np.asarray(array)
    memory = Memory(values, 0, values.shape)
    if is_reused:
        with _lock:
            _results.append(_Result(weakref.ref(memory), array))
            sizes = [0 if each.array.is_deleted() else each.array.nbytes for each in _results]
            while sum(sizes) > MAX_KEPT:
                _results.pop(0)
                sizes.pop(0)
    return np.asarray(memory)


def clear() -> None:
    """Return all buffers of results that are gone to the allocator."""
    with _lock:
        _results.clear()
