"""What is done with one chunk, wherever it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.plain import differentiate_plain
from fdgrad_dask.program import Program
from fdgrad_dask.scratch import Block
from fdgrad_dask.tiles import compute_block


@dataclass(frozen=True)
class Task:
    """What is done with one chunk; ``fixed`` are fields that the graph itself carries."""

    program: Program
    dtype: np.dtype[Any]
    in_numpy: bool
    fixed: dict[int, Block] = field(default_factory=dict)
    slabs: tuple[tuple[int, int, str], ...] = ()

    def __call__(self, *parts: Any) -> Any:
        """The one output, or a list of several, of the cores and then the slabs of a chunk."""
        cores = len(parts) - len(self.slabs)
        numbers = [i for i in range(cores + len(self.fixed)) if i not in self.fixed]
        blocks = {i: Block(core) for i, core in zip(numbers, parts, strict=False)} | self.fixed
        for (i, axis, side), slab in zip(self.slabs, parts[cores:], strict=True):
            getattr(blocks[i], side)[axis] = slab
        outputs = self.outputs([blocks[i] for i in sorted(blocks)])
        return outputs[0] if len(outputs) == 1 else outputs

    def outputs(self, blocks: Sequence[Block]) -> list[Any]:
        for d in self.program.derivatives:
            if d.z is not None:
                check_levels(_joined(blocks[d.z], d.axis), d.axis, d.told, " of its chunk")
        if not self.in_numpy:
            return list(compute_block(blocks, self.program, self.dtype))
        return [
            differentiate_plain(_joined(blocks[d.operand], d.axis), d.axis, d.stencil)
            for d in self.program.derivatives
        ]


def _joined(block: Block, axis: int) -> Any:
    """A block and its slabs as one array."""
    parts = [block.low.get(axis), block.core, block.high.get(axis)]
    join = np.ma.concatenate if isinstance(block.core, np.ma.MaskedArray) else np.concatenate
    return join([part for part in parts if part is not None], axis)


def check_levels(z: NDArray[Any], axis: int, told: str, of: str = "") -> None:
    """Raises unless ``z`` rises, or falls, strictly along ``axis`` everywhere it has values."""
    with np.errstate(invalid="ignore"):  # inf − inf, which is found below
        steps = np.diff(z, axis=axis)
    missing = np.isnan(z)
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
