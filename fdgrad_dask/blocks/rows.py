"""Rows of arrays, of NumPy or of JAX: cut out, joined, repeated, and set in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def cut(array: Any, axis: int, start: int, stop: int) -> Any:
    """The rows from ``start`` to ``stop``."""
    if isinstance(array, np.ndarray) or not isinstance(array, jax.Array):  # which asks Python
        return array[(slice(None),) * axis + (slice(start, stop),)]
    return lax.slice_in_dim(array, start, stop, axis=axis)


def concatenate(parts: Sequence[Any], axis: int) -> Any:
    """Arrays as one of their own kind; masks are kept."""
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        return np.ma.concatenate(parts, axis)  # type: ignore[no-untyped-call]
    is_numpy = all(isinstance(part, np.ndarray) for part in parts)
    if is_numpy or not any(isinstance(part, jax.Array) for part in parts):
        return np.concatenate(parts, axis)
    return lax.concatenate(parts, axis)


def pad(array: jax.Array, axis: int, before: int, behind: int, unread: int = 0) -> jax.Array:
    """``array`` with so many rows more, or less where they are negative.

    They hold ``unread``, since nobody reads them.
    """
    pads = [(0, 0, 0)] * array.ndim
    pads[axis] = (before, behind, 0)
    return lax.pad(array, np.array(unread, array.dtype), pads)


def set_rows(out: jax.Array, rows: jax.Array, axis: int, start: int) -> jax.Array:
    """``out`` with ``rows`` from row ``start`` on.

    XLA makes it part of the loop that reads it: one branch for each row, beyond which LLVM knows
    that no shift leaves the array, and can use vectors. To concatenate is a pass over memory.
    """
    return lax.dynamic_update_slice_in_dim(out, rows, np.int32(start), axis)


def flip(rows: Any, axis: int) -> Any:
    """The rows in the other order."""
    return lax.rev(rows, (axis,)) if isinstance(rows, jax.Array) else np.flip(rows, axis)


def repeat(row: Any, count: int, axis: int) -> Any:
    """One row as ``count`` rows."""
    if isinstance(row, jax.Array):
        return jnp.broadcast_to(row, (*row.shape[:axis], count, *row.shape[axis + 1 :]))
    if isinstance(row, np.ndarray):
        return row.repeat(count, axis)
    return concatenate([row] * count, axis)  # other libraries have but NumPy's functions
