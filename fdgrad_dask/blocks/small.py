"""Small and thin blocks: in NumPy, which costs microseconds, or by a kernel that reads slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks import buffers
from fdgrad_dask.blocks.arithmetic import Arithmetic
from fdgrad_dask.blocks.fields import SlicedField
from fdgrad_dask.blocks.kernel import evaluate, interned, run_kernel
from fdgrad_dask.blocks.program import Block, Program, numbers
from fdgrad_dask.stencils.dtypes import has_kernel, wide

Blocks = Mapping[int, Block]


def compute_in_numpy(
    used: Blocks, shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The outputs of ``program``, by NumPy alone: with the bits of kernels, and without compiling.

    Dates and durations, masked arrays, long doubles and objects take this road too.
    """
    fields = [slice_field(i, block, program, dtype) for i, block in used.items()]
    masked = any(isinstance(block.core, np.ma.MaskedArray) for block in used.values())
    real = wide(dtype) if has_kernel(dtype) and not masked else np.dtype(np.float64)
    with np.errstate(all="ignore"):
        made = evaluate(fields, numbers(program, real), Arithmetic(np), program)
    if program.formula is None:
        return made
    filled = [np.empty_like(value, dtype, shape=shape) for value in made]
    for output, value in zip(filled, made, strict=True):
        output[...] = value
    return filled


def compute_in_slices(
    used: Blocks, shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> list[NDArray[Any]]:
    """The outputs of ``program`` by one kernel, which computes the edge rows too."""
    outputs = run_kernel(
        [
            slice_field(i, block, program, dtype).for_kernel(in_full=False)
            for i, block in used.items()
        ],
        numbers(program, wide(dtype)),
        np.uint64(0),
        [],
        program=interned(program.structure()),
        places=(),
        shape=shape,
        dtype=dtype,
    )
    return [buffers.as_numpy(output, is_reused=False) for output in outputs]


def slice_field(number: int, block: Block, program: Program, dtype: np.dtype[Any]) -> SlicedField:
    """A field of a NumPy block, in the dtype in which it is computed."""
    dtype = np.dtype(np.float64) if program.is_coordinate(number) else dtype
    keeps_integers = has_large_integers(block) and program.is_alone(number)

    def cast(rows: Any) -> Any:
        if rows.dtype.kind == "M":  # as durations, as NumPy takes them
            return rows.view(rows.dtype.str.replace("M", "m"))
        is_kept = rows.dtype.kind in "mO" or keeps_integers
        return rows if is_kept else rows.astype(dtype, copy=False)

    def cast_number(fill: Any) -> NDArray[Any]:
        if keeps_integers and np.asarray(fill).dtype.kind in "iu":
            return np.asarray(fill)
        made = np.empty((), dtype)
        made[...] = fill
        return made

    return SlicedField.of(number, block, program, cast, cast_number)


def has_large_integers(block: Block) -> bool:
    """True for integers that float64 does not have all of, so that conversion may lose them."""
    rows = [block.core, *block.low.values(), *block.high.values()]
    return any(
        part.dtype.kind in "iu"
        and not isinstance(part, np.ma.MaskedArray)
        and part.dtype.itemsize == 8
        and part.size > 0
        and max(abs(int(part.min())), abs(int(part.max()))) >= 2**53
        for part in rows
    )
