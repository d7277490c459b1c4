"""Dtypes: that of a result, that of the arithmetic, and which of them XLA knows."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


def needs_numpy(f: Any) -> bool:
    """True for masked arrays and for dtypes without a counterpart in XLA.

    >>> needs_numpy(np.zeros(3, "datetime64[D]")), needs_numpy(np.zeros(3, "float32"))
    (True, False)
    """
    if isinstance(f, np.ma.MaskedArray):
        return True
    dtype = np.dtype(f.dtype)
    if is_extension(dtype):
        return False
    return dtype.kind not in "iufc" or dtype.itemsize > (16 if dtype.kind == "c" else 8)


def is_extension(dtype: Any) -> bool:
    """True for numbers of other libraries than NumPy, such as bfloat16, int4 and float8.

    NumPy takes their differences in their own arithmetic, which wraps or rounds.
    """
    return _is_extension(np.dtype(dtype))


@cache  # asked dozens of times for each small array
def _is_extension(dtype: np.dtype[Any]) -> bool:
    return dtype.type.__module__ != "numpy" and dtype.names is None and dtype.kind in "Vfiu"


@cache
def has_kernel(dtype: np.dtype[Any]) -> bool:
    """True for the floats that are computed in their own arithmetic, by XLA or as XLA does."""
    return dtype.kind in "fc" and not is_extension(dtype) and not needs_numpy(np.empty(0, dtype))


def result_dtype(of: Any) -> np.dtype[Any]:
    """The dtype of a derivative: integers become float64, as in NumPy, and dates durations."""
    dtype: np.dtype[Any] = np.dtype(of)
    if dtype.kind in "iuO" or is_extension(dtype):
        return np.dtype(np.float64)
    if dtype.kind == "M":
        return np.dtype(dtype.str.replace("M", "m"))
    return dtype.newbyteorder("=")


def in_native_order(f: np.ndarray) -> np.ndarray:
    """``f`` in the byte order of this machine, the only one of XLA; files of netCDF-3 have another.

    >>> in_native_order(np.zeros(3, ">f4")).dtype
    dtype('float32')
    """
    return f if f.dtype.isnative else f.astype(f.dtype.newbyteorder("="))


def wide(of: Any) -> np.dtype[Any]:
    """The real dtype in which data are scaled: at least float32."""
    dtype: np.dtype[Any] = np.dtype(of)
    if dtype.itemsize <= 2:
        return np.dtype(np.float32)
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
