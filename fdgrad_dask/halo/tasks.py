"""What the tasks of a graph compute: the edge rows of a chunk, and the outputs of a chunk."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from dask.array.dispatch import (
    concatenate_lookup,
    einsum_lookup,
    take_lookup,
    tensordot_lookup,
)

from fdgrad_dask.blocks.compute import compute_block
from fdgrad_dask.blocks.device import is_jax, is_traced, rises_or_falls
from fdgrad_dask.blocks.program import Block, Program
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.halo.fields import Expansion
from fdgrad_dask.halo.parameters import ChunkParameters
from fdgrad_dask.stencils.boundary import floats


@dataclass(frozen=True)
class ChunkTask:
    """Computes the outputs of a program on one chunk; ``expansions`` are those of its fields."""

    program: Program
    dtype: np.dtype[Any]
    expansions: tuple[Expansion | None, ...] = ()

    def compute_alone(self, *cores: Any) -> Any:
        """Compute the one output of a chunk that needs no halo."""
        return self.compute([Block(self._expand(i, core)) for i, core in enumerate(cores)])[0]

    def _expand(self, i: int, core: Any) -> Any:
        expansion = self.expansions[i]
        return core if expansion is None else expansion.apply(core)

    def compute_attached(self, *given: Any) -> Any:
        """Compute a chunk from its cores, the edge rows for each of its halos, and its parameters.

        Returns the output, or a list if there are several.
        """
        *arrays, parameters = given
        halos = [halo for each in parameters for halo in each.halos]
        fixed = {i: block for each in parameters for i, block in each.fixed.items()}
        count = len(arrays) - len(halos)
        # The graph passes no chunk of a field whose block is fixed.
        numbers = [i for i in range(count + len(fixed)) if i not in fixed]
        blocks = {
            i: Block(_put_beside(self._expand(i, core), arrays[0]))
            for i, core in zip(numbers, arrays, strict=False)
        }
        for halo, edge_rows in zip(halos, arrays[count:], strict=True):
            rows = edge_rows[halo.axis][(slice(None),) * halo.axis + (halo.rows,)]
            block = blocks[halo.field]
            # Of chunks on several devices it is the halo that moves, and the chunk that stays.
            getattr(block, halo.side)[halo.axis] = _put_beside(rows, block.core)
        return self.compute_part(blocks, parameters)

    def compute_part(self, blocks: dict[int, Block], parameters: Sequence[ChunkParameters]) -> Any:
        """Compute a chunk with the derivatives and the fixed blocks of its parameters."""
        for each in parameters:
            blocks = blocks | each.fixed
        derivatives = {n: d for each in parameters for n, d in each.derivatives.items()}
        ordered = tuple(derivatives[n] for n in sorted(derivatives))
        task = replace(self, program=replace(self.program, derivatives=ordered))
        outputs = task.compute([blocks[i] for i in sorted(blocks)])
        return outputs[0] if len(outputs) == 1 else outputs

    def compute(self, blocks: Sequence[Block]) -> list[Any]:
        """Compute all outputs of one block."""
        for block in blocks:
            refuse_foreign(block.core)
            refuse_complex([block.core, *block.low.values(), *block.high.values()], self.dtype)
            if is_jax(block.core):  # for graphs whose metadata did not say so
                register_jax(type(block.core))
        if self.program.reads_nan:
            blocks = [_fill_masked(block) for block in blocks]
        along = {(d.z, d.axis): d.error_text for d in self.program.derivatives if d.z is not None}
        for (z, axis), error_text in along.items():  # each coordinate once
            check_levels(_joined(blocks[z], axis), axis, error_text, " of its chunk")
        return list(compute_block(blocks, self.program, self.dtype))


def refuse_foreign(core: Any) -> None:
    """Raises for chunks whose units, places or gaps arithmetic in memory would drop."""
    if is_jax(core) or is_duck(core):
        return
    if type(core) not in (np.ndarray, np.memmap, np.ma.MaskedArray):
        kind = f"{type(core).__module__.partition('.')[0]}.{type(core).__name__}"
        raise TypeError(
            f"the data are of {kind}, of which no derivative is taken here; convert them to NumPy: "
            "np.asarray(f), or f.map_blocks(np.asarray) if they are chunks of dask"
        )


def refuse_complex(chunks: Iterable[Any], dtype: np.dtype[Any]) -> None:
    """Raises for complex chunks where the metadata promised reals: the imaginary part would go."""
    if dtype.kind != "c" and any(chunk.dtype.kind == "c" for chunk in chunks):
        raise TypeError(
            "chunks are complex, though the metadata of the dask array say that they are not; say "
            "so before the derivative, f.astype('complex128'), or take their real parts: f.real"
        )


def _fill_masked(block: Block) -> Block:
    low, high = (
        {n: fill_masked(rows) for n, rows in side.items()} for side in (block.low, block.high)
    )
    return Block(fill_masked(block.core), low, high)


def fill_masked(part: Any) -> Any:
    """The same with NaN for what is masked, as xarray has it.

    It fills arrays whose metadata say that they are masked. Of others, such as what netCDF4 reads
    in delayed functions, a formula would take the values below the mask.
    """
    if not isinstance(part, np.ma.MaskedArray) or part.dtype.kind not in "iufc":
        return part
    return np.ma.filled(part.astype(np.result_type(part.dtype, np.float16)), np.nan)


def is_duck(f: Any) -> bool:
    """True for arrays of other libraries that NumPy's functions work on, and that have no units."""
    answers = hasattr(f, "__array_function__") and hasattr(f, "__array_ufunc__")
    return answers and not isinstance(f, np.ndarray) and not hasattr(f, "units")


def take_edge_rows(
    chunk: Any, widths: dict[int, int], expansion: Expansion | None = None
) -> dict[int, Any]:
    """By axis the rows of a chunk that its neighbours need: so many from either end.

    They are copied: a view would keep the chunk in memory until the last neighbour has it.
    """
    refuse_foreign(chunk)
    chunk = chunk if expansion is None else expansion.apply(chunk)
    return {axis: _edge_rows(chunk, axis, width) for axis, width in widths.items()}


def _edge_rows(chunk: Any, axis: int, width: int) -> Any:
    if chunk.shape[axis] <= 2 * width:
        return chunk
    across = (slice(None),) * axis
    ends = [chunk[(*across, slice(width))], chunk[(*across, slice(-width, None))]]
    return concatenate(ends, axis)


def concatenate(parts: Sequence[Any], axis: int) -> Any:
    """The parts as one array of their own kind: masked arrays keep masks, JAX arrays devices."""
    if is_jax(parts[0]):
        register_jax(type(parts[0]))
    return concatenate_lookup.dispatch(type(parts[0]))(parts, axis=axis)


def register_jax(kind: type) -> None:
    """Tell dask how to join chunks that are JAX arrays, which it would turn into NumPy arrays.

    And `pickle` how they travel, or are spilled to the disk, with all their digits. ``kind`` is
    their concrete type: dask remembers what it once did with it, and no longer asks what its base
    class is registered for.
    """
    if concatenate_lookup.dispatch(kind) is _concatenate_jax:
        return
    copyreg.pickle(kind, _reduce_jax)
    concatenate_lookup.register(kind, _concatenate_jax)
    tensordot_lookup.register(kind, jnp.tensordot)
    einsum_lookup.register(kind, _einsum_jax)
    take_lookup.register(kind, jnp.take)


def _reduce_jax(array: jax.Array) -> Any:
    """As JAX does it, where that keeps the dtype: it would load 64 bits as 32."""
    reduced: Any = array.__reduce__()
    if jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype:
        return reduced
    return _load_jax, reduced


def _load_jax(make: Callable[..., jax.Array], arguments: tuple[Any, ...]) -> jax.Array:
    with jax.enable_x64(True):
        array = make(*arguments)
    register_jax(type(array))  # it may travel on
    return array


def _concatenate_jax(parts: Sequence[Any], axis: int = 0) -> jax.Array:
    """The parts as one array on the device of the first."""
    with jax.enable_x64(True):  # which threads of dask's pool do not know of; parts may be NumPy's
        return jnp.concatenate([_put_beside(part, parts[0]) for part in parts], axis)


def _einsum_jax(subscripts: str, *operands: Any, dtype: Any, **options: Any) -> jax.Array:
    """As dask asks for it, which calls it as NumPy's."""
    made: jax.Array = jnp.einsum(subscripts, *operands, preferred_element_type=dtype, **options)
    return made


def _put_beside(rows: Any, core: Any) -> Any:
    """``rows`` on the device of ``core``, if both are JAX arrays."""
    if not (is_jax(rows) and is_jax(core)) or rows.devices() == core.devices():
        return rows
    return jax.device_put(rows, core.sharding)


def _joined(block: Block, axis: int) -> Any:
    """A block with its halos along ``axis``."""
    parts = [block.low.get(axis), block.core, block.high.get(axis)]
    parts = [part for part in parts if part is not None]
    return parts[0] if len(parts) == 1 else concatenate(parts, axis)


def check_levels(z: Any, axis: int, error_text: str, of: str = "") -> None:
    """Raises unless ``z`` rises, or falls, strictly along ``axis`` everywhere it has values.

    What is traced has no values yet and is not checked.
    """
    if is_jax(z):
        if is_traced(z) or rises_or_falls(z, axis):
            return
        z = jax.device_get(z)  # to say where
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
            f"{error_text}: it goes from {z[place]} to {z[after]} at {place}{of}; sort the levels, "
            "or mask these points"
        )
