"""NumPy blocks on a GPU: block and halos up, one kernel, the results down.

Several threads of dask overlap the three, since JAX waits for none of them with Python's lock. So
there are no streams here, and no pieces smaller than what the device has room for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.device import compute_on_device
from fdgrad_dask.blocks.host import cut_block, cut_rows
from fdgrad_dask.blocks.program import Block, Program
from fdgrad_dask.stencils.dtypes import in_native_order

SHARE = 8  # a block and its results take no more than this part of the memory; threads share it


def is_accelerated() -> bool:
    """True where JAX computes elsewhere than in the memory of the host."""
    return jax.default_backend() != "cpu"


def has_room(nbytes: int) -> bool:
    """True if arrays of so many bytes, and as many in between, fit on the device."""
    room = _room()
    return room is None or 4 * nbytes <= room


def compute_on_accelerator(
    blocks: Sequence[Block], shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The outputs of ``program`` on a NumPy block, computed on the default device."""
    parts = _rows_of_parts(blocks, shape, program, dtype)
    if len(parts) == 1:
        return [_down(result) for result in _compute_part(blocks, shape, program, dtype)]
    outputs = [np.empty(shape, dtype) for _ in range(program.outputs)]
    for rows in parts:
        box = (rows, *((0, n) for n in shape[1:]))
        part = program.cut({axis: box[axis] for axis in program.axes})
        cut = [cut_block(block, box, program, i) for i, block in enumerate(blocks)]
        results = _compute_part(cut, (rows[1] - rows[0], *shape[1:]), part, dtype)
        for output, result in zip(outputs, results, strict=True):
            output[slice(*rows)] = np.asarray(result)
    return outputs


def _compute_part(
    blocks: Sequence[Block], shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[jax.Array]:
    """What fills the block goes up here; factors are sent once by `compute_on_device`."""
    device = jax.local_devices()[0]
    placed = [
        Block(jax.device_put(in_native_order(block.core), device), block.low, block.high)
        if block.core.shape == shape
        else block
        for block in blocks
    ]
    return compute_on_device(placed, program, dtype)


def _down(result: jax.Array) -> NDArray[Any]:
    """A result as an array that may be written to."""
    array = np.asarray(result)
    if array.flags.owndata:  # copied from a device, for nobody but us
        array.flags.writeable = True
        return array
    return array.copy()


def _rows_of_parts(
    blocks: Sequence[Block], shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[tuple[int, int]]:
    """Where the block is cut along its first axis, so that each part fits on the device."""
    room = _room()
    needed = sum(block.core.nbytes for block in blocks)
    needed += program.outputs * math.prod(shape) * dtype.itemsize
    if room is None or needed * SHARE <= room:
        return [(0, shape[0])]
    return cut_rows((0, shape[0]), shape[0] * room // (needed * SHARE), 0, program)


def _room() -> int | None:
    """Bytes of the device; None if it does not say."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
