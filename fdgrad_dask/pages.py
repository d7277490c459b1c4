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
from functools import cache, partial
from mmap import PAGESIZE
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from fdgrad_dask.memory import is_left_alone, maps

LEAST = 4 << 20  # bytes; from there on NumPy asks for huge pages too
MOST = 512 << 20  # bytes that are left for later results, and that the system may take back
_SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_FREE, _HUGE = 8, 14  # MADV_FREE and MADV_HUGEPAGE of linux/mman.h
_TARGET = "fdgrad_dask_left_as_it_is"
_left: dict[tuple[tuple[int, ...], np.dtype[Any]], list[jax.Array]] = {}


def gives(size: int) -> bool:
    """True where XLA is to be handed memory for a result of ``size`` bytes."""
    return size >= LEAST and maps(size) and _can_be_had()


def take(count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> list[jax.Array]:
    """Arrays whose values are whatever is there: to be donated, not to be read."""
    arrays: list[jax.Array] = []
    # Results end in any thread, at any moment: nothing here relies on what it has just seen.
    while len(arrays) < count:
        try:
            arrays.append(_left[shape, dtype].pop())
        except LookupError:
            arrays.append(_fresh(shape, dtype))
    return arrays


def leave(array: jax.Array) -> None:
    """The result that lay in ``array`` is gone: its memory serves a later one, or the system.

    Where somebody has said what is to be kept, and what to be given back, that holds instead.
    """
    if array.nbytes > MOST or not is_left_alone():
        return
    if array.nbytes + sum(each.nbytes for kept in list(_left.values()) for each in kept) > MOST:
        forget()
    _advise(array, _FREE)
    _left.setdefault((array.shape, array.dtype), []).append(array)


def forget() -> None:
    """The system gets back what results have left."""
    _left.clear()


def _fresh(shape: tuple[int, ...], dtype: np.dtype[Any]) -> jax.Array:
    # On the device that results are on, which are handed over too: one compilation for both.
    array: jax.Array = _as_it_is(shape, dtype, SingleDeviceSharding(jax.devices()[0]))
    # In wait for an array, Python is left to `_handle`; asked for its address, it would not be.
    array.block_until_ready()
    _advise(array, _HUGE)
    return array


@partial(jax.jit, static_argnums=(0, 1, 2))
def _as_it_is(shape: tuple[int, ...], dtype: np.dtype[Any], place: SingleDeviceSharding) -> Any:
    made = jax.ffi.ffi_call(_TARGET, jax.ShapeDtypeStruct(shape, dtype))()
    return jax.lax.with_sharding_constraint(made, place)


def _advise(array: jax.Array, advice: int) -> None:
    """Tells the system about the whole pages of an array; if it refuses, that costs time only."""
    start = array.unsafe_buffer_pointer()
    first, behind = -(-start // PAGESIZE) * PAGESIZE, (start + array.nbytes) // PAGESIZE * PAGESIZE
    if first < behind:
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(first), ctypes.c_size_t(behind - first), ctypes.c_int(advice)
        )


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
