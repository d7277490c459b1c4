"""Memory for large results of XLA on a CPU: what earlier results left, or fresh in huge pages.

XLA takes memory for results in pages of 4 kB, and each costs a fault: of a large array they take
longer than its arithmetic. So XLA is handed arrays of its own to write over: those of results that
are gone by now, or new ones to which nothing was written yet, about which the system is told to
back them by huge pages, as NumPy does for its arrays.
"""

from __future__ import annotations

import ctypes
import re
import sys
import threading
import weakref
from collections.abc import Callable
from functools import cache, lru_cache, partial
from mmap import PAGESIZE
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding
from numpy.typing import NDArray

from fdgrad_dask.blocks.allocator import is_left_alone, maps
from fdgrad_dask.blocks.scratch import Memory

LEAST = 4 << 20  # bytes; from there on NumPy asks for huge pages too
MOST = 512 << 20  # bytes that are left for later results, and that the system may take back
_SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_FREE, _HUGE = 8, 14  # MADV_FREE and MADV_HUGEPAGE of linux/mman.h
_TARGET = "fdgrad_dask_left_as_it_is"
_madvise = getattr(ctypes.CDLL(None), "madvise", None) if sys.platform != "win32" else None
_lock = threading.Lock()


def gives(size: int) -> bool:
    """True where XLA is to be handed memory for a result of ``size`` bytes."""
    return size >= LEAST and maps(size) and _can_be_had()


class _Watch(weakref.ref[Memory]):
    """Whether a result is still seen. Of the callback of such a reference no Python runs.

    In Python, a signal would be handled there, and what it raises would be lost. So the callback is
    `madvise`, to which the reference, a fourth argument, is nothing.
    """

    _as_parameter_ = 0


class _Lent(NamedTuple):
    watch: _Watch
    array: jax.Array


# Results, those made first before all others, and what they lie in.
_lent: list[_Lent] = []


def take(count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> list[jax.Array]:
    """Arrays whose values are whatever is there: to be donated, not to be read."""
    device = jax.devices()[0]

    def fits(each: _Lent) -> bool:
        array = each.array
        return (
            each.watch() is None
            and not array.is_deleted()
            and (array.shape, array.dtype) == (shape, dtype)
            and array.devices() == {device}
        )

    with _lock:
        found = [each for each in _lent if fits(each)][:count]
        _lent[:] = [each for each in _lent if not any(each is one for one in found)]
    return [each.array for each in found] + [
        _fresh(shape, dtype) for _ in range(count - len(found))
    ]


def owned(result: jax.Array, *, again: bool = False) -> NDArray[Any]:
    """What a kernel has made, which is nobody else's: so it may be written to.

    ``again``: when it and all views of it are gone, a later result may lie where it did, or the
    system takes the memory back. Where somebody has said what is to be kept, that holds instead.
    """
    array = np.asarray(result)
    memory = Memory(array, 0, array.shape)
    if again and array.nbytes <= MOST and is_left_alone():
        _lend(memory, result)
    return np.asarray(memory)


def _lend(memory: Memory, array: jax.Array) -> None:
    advice = _advice(array, _FREE)
    callback = partial(_madvise, *advice) if _madvise and advice else None
    with _lock:
        _lent.append(_Lent(_Watch(memory, callback), array))
        size = sum(each.array.nbytes for each in _lent if not each.array.is_deleted())
        while size > MOST:
            size -= _lent.pop(0).array.nbytes


def forget() -> None:
    """The system gets back what results have left."""
    with _lock:
        _lent.clear()


def _fresh(shape: tuple[int, ...], dtype: np.dtype[Any]) -> jax.Array:
    # On the device that results are on, which are handed over too: one compilation for both.
    array: jax.Array = _maker(shape, dtype, jax.devices()[0])()
    # In wait for an array, Python is left to `_handle`; asked for its address, it would not be.
    array.block_until_ready()
    advice = _advice(array, _HUGE)
    if _madvise and advice:
        _madvise(*advice)  # if the system refuses, that costs time only
    return array


@lru_cache(maxsize=256)
def _maker(shape: tuple[int, ...], dtype: np.dtype[Any], device: Any) -> Callable[[], jax.Array]:
    def as_it_is() -> Any:
        made = jax.ffi.ffi_call(_TARGET, jax.ShapeDtypeStruct(shape, dtype))()
        return jax.lax.with_sharding_constraint(made, SingleDeviceSharding(device))

    return jax.jit(as_it_is)


def _advice(array: jax.Array, advice: int) -> tuple[Any, ...]:
    """What `madvise` is told about the pages within an array; nothing if there are none."""
    start = array.unsafe_buffer_pointer()
    first, behind = -(-start // PAGESIZE) * PAGESIZE, (start + array.nbytes) // PAGESIZE * PAGESIZE
    if first >= behind:
        return ()
    return ctypes.c_void_p(first), ctypes.c_size_t(behind - first), ctypes.c_int(advice)


@cache
def _can_be_had() -> bool:
    """Tells XLA of `_handle`; False where there are no huge pages, or XLA will not have it."""
    try:
        if not sys.platform.startswith("linux") or "[never]" in _SWITCH.read_text():
            return False
        if _version()[0] != 0:
            return False
        jax.devices()  # what is refused later, when they are made, leaves JAX without any
        jax.ffi.register_ffi_target(_TARGET, jax.ffi.pycapsule(_handler), platform="cpu")
        _fresh((1,), np.dtype(np.uint8))
    except (OSError, AttributeError, LookupError, jax.errors.JaxRuntimeError):
        return False
    return True


@cache
def _version() -> tuple[int, int]:
    """Of XLA's foreign function interface, as the header says that comes with it."""
    header = Path(jax.ffi.include_dir(), "xla/ffi/api/c_api.h").read_text()
    found = dict(re.findall(r"#define XLA_FFI_API_(MAJOR|MINOR) (\d+)", header))
    return int(found["MAJOR"]), int(found["MINOR"])


# The beginnings of structs of that header, of version 0: what is needed to do nothing. A handler
# says which version it was made for when XLA asks it.


class _Version(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
    ]


class _Metadata(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("version", _Version)]


class _Extension(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("metadata", ctypes.POINTER(_Metadata)),
    ]


class _CallFrame(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("extension", ctypes.POINTER(_Extension)),
    ]


_METADATA = 1


def _handle(frame: Any) -> None:
    """Leaves the result as it is; no error, which is a null pointer."""
    extension = frame.contents.extension
    if extension and extension.contents.type == _METADATA:
        version = extension.contents.metadata.contents.version
        version.major, version.minor = _version()


_handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_CallFrame))(_handle)
