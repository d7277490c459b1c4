"""What is done with one chunk, wherever it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.device import is_jax
from fdgrad_dask.blocks.numpy_arithmetic import compute_plain
from fdgrad_dask.blocks.program import Block, Derivative, Program
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.stencils.boundary import floats


class Slab(NamedTuple):
    """Rows of a neighbour that a chunk is handed: of which field, along which axis, on which side.

    They are ``reach`` rows out of the rim of the chunk that is number ``at`` along ``axis``.
    """

    field: int
    axis: int
    side: str
    halo_width: int
    at: int

    def cut(self, rim: dict[int, Any]) -> Any:
        """Its rows: the last of the chunk before, or the first of the chunk behind."""
        rows = slice(-self.halo_width, None) if self.side == "low" else slice(self.halo_width)
        return rim[self.axis][(slice(None),) * self.axis + (rows,)]


class Piece(NamedTuple):
    """What the chunks share that are at one place along an axis.

    The derivatives along it by their number, blocks of fields that the graph itself carries, and
    the slabs on either side.
    """

    derivatives: dict[int, Derivative]
    fixed: dict[int, Block]
    slabs: list[Slab]


@dataclass(frozen=True)
class Task:
    """What is done with one chunk."""

    program: Program
    dtype: np.dtype[Any]
    in_numpy: bool

    def whole(self, *cores: Any) -> Any:
        """The one output of a chunk whose walls are all closed."""
        return self.outputs([Block(core) for core in cores])[0]

    def piecewise(self, *given: Any) -> Any:
        """The one output, or a list of several, of a chunk that is cut out of its program.

        Given are its cores, a rim for each of its slabs, and its pieces.
        """
        *parts, pieces = given
        derivatives = {n: d for piece in pieces for n, d in piece.derivatives.items()}
        fixed = {i: block for piece in pieces for i, block in piece.fixed.items()}
        slabs = [slab for piece in pieces for slab in piece.slabs]
        cores = len(parts) - len(slabs)
        numbers = [i for i in range(cores + len(fixed)) if i not in fixed]
        blocks = fixed | {i: Block(core) for i, core in zip(numbers, parts, strict=False)}
        for slab, part in zip(slabs, parts[cores:], strict=True):
            getattr(blocks[slab.field], slab.side)[slab.axis] = slab.cut(part)
        ordered = tuple(derivatives[n] for n in sorted(derivatives))
        task = replace(self, program=replace(self.program, derivatives=ordered))
        outputs = task.outputs([blocks[i] for i in sorted(blocks)])
        return outputs[0] if len(outputs) == 1 else outputs

    def outputs(self, blocks: Sequence[Block]) -> list[Any]:
        for block in blocks:
            _refuse_foreign(block.core)
        for d in self.program.derivatives:
            if d.z is not None:
                check_levels(_joined(blocks[d.z], d.axis), d.axis, d.told, " of its chunk")
        if not self.in_numpy:
            return list(compute_block(blocks, self.program, self.dtype))
        shape = blocks[0].core.shape
        return list(compute_plain(dict(enumerate(blocks)), shape, self.program, self.dtype))


def _refuse_foreign(core: Any) -> None:
    """Raises for chunks whose units, places or gaps arithmetic in memory would drop."""
    if is_jax(core):
        return
    if type(core) not in (np.ndarray, np.memmap, np.ma.MaskedArray):
        kind = f"{type(core).__module__.partition('.')[0]}.{type(core).__name__}"
        raise TypeError(
            f"the data are of {kind}, of which no derivative is taken here; convert them to NumPy: "
            "np.asarray(f), or f.map_blocks(np.asarray) if they are chunks of dask"
        )


def rim(chunk: Any, reaches: dict[int, int]) -> dict[int, Any]:
    """By axis the rows of a chunk that its neighbours need: ``reach`` of them from either end."""
    return {axis: _ends(chunk, axis, reach) for axis, reach in reaches.items()}


def _ends(chunk: Any, axis: int, reach: int) -> Any:
    n = chunk.shape[axis]
    return chunk if n <= 2 * reach else chunk.take(np.r_[:reach, n - reach : n], axis)


def _joined(block: Block, axis: int) -> Any:
    """A block and its slabs as one array."""
    parts = [block.low.get(axis), block.core, block.high.get(axis)]
    join = np.ma.concatenate if isinstance(block.core, np.ma.MaskedArray) else np.concatenate
    return join([part for part in parts if part is not None], axis)


def check_levels(z: NDArray[Any], axis: int, told: str, of: str = "") -> None:
    """Raises unless ``z`` rises, or falls, strictly along ``axis`` everywhere it has values."""
    # In halves, whose differences neither wrap around nor lose digits as those of integers may.
    counted = floats(z) if z.dtype.kind in "iu" else z
    with np.errstate(invalid="ignore"):  # inf − inf, which is found below
        steps = np.diff(counted, axis=axis)
    missing = np.isnan(counted)
    unknown = np.logical_or(
        np.take(missing, range(1, z.shape[axis]), axis),
        np.take(missing, range(z.shape[axis] - 1), axis),
    )
    wrong = ~unknown & ~(steps > 0 if (steps > 0).any() else steps < 0) | np.isinf(steps)
    if wrong.any():
        place = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
        after = tuple(p + (i == axis) for i, p in enumerate(place))
        raise CoordinateError(
            f"{told}: it goes from {z[place]} to {z[after]} at {place}{of}; sort the levels, "
            "or mask these points"
        )
