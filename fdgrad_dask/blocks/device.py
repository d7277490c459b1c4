"""Blocks that are JAX arrays: one jitted call, traceable, on the device where the arrays are.

The same kernel as that of NumPy blocks, so that concrete arrays have the same bits, however they
are cut. Under ``jit``, ``vmap`` and ``grad`` XLA may contract a product and a sum into one
operation, which rounds once: there the last bits are the compiler's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import lru_cache, partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks.differentiable import run_differentiable
from fdgrad_dask.blocks.fields import ShiftedField
from fdgrad_dask.blocks.kernel import interned, run, run_kernel
from fdgrad_dask.blocks.program import Block, Program, weights_of
from fdgrad_dask.blocks.sharded import compute_sharded, find_division, is_on_many, send
from fdgrad_dask.stencils.dtypes import in_native_order, wide

SMALL = 1 << 20  # bytes; factors and tables up to this size are sent to a device once


def compute_on_device(
    blocks: Sequence[Block], program: Program, dtype: np.dtype[Any]
) -> list[jax.Array]:
    """The outputs of ``program`` on one block of JAX arrays, of ``dtype``, where the arrays are.

    NumPy arrays among the fields, such as metric terms, go to the device of the others. Concrete
    arrays have the bits of NumPy blocks; traced ones have them but for contracted products.
    """
    given = {pole.field for pole in program.pole_rows}
    used = {i: block for i, block in enumerate(blocks) if i not in given}
    shape = jnp.broadcast_shapes(*(block.core.shape for block in used.values()))
    place = _Place(list(blocks), program, dtype)
    with place.settings():
        if 0 in shape:
            return [jnp.zeros(shape, dtype) for _ in range(program.outputs)]
        real, inverted = wide(place.dtype), program.formula is not None
        to_table = partial(place.put, dtype=real, is_table=True)
        tables = [d.stencil for d in program.derivatives]
        poles = program.poles_here
        is_shared = any(is_on_many(block.core) for block in blocks)
        kernel = partial(compute_sharded, run, program) if is_shared else run_kernel
        if place.is_traced:
            kernel = partial(run_differentiable, kernel, [program.is_factor(i) for i in used])
        results: list[jax.Array] = kernel(
            [place.field(i, block, program) for i, block in used.items()],
            [weights_of(table, to_table, inverted) for table in tables],
            None if place.is_traced else place.put(np.uint64(0), np.dtype(np.uint64)),
            [place.put(blocks[pole.field].core, dtype) for pole in poles],
            program=interned(program.structure()),
            places=tuple((pole.output, pole.axis, pole.end) for pole in poles),
            shape=shape,
            dtype=dtype,
        )
    return results


class _Place:
    """Where a block is computed, in which dtype, and how things that are elsewhere get there."""

    def __init__(self, blocks: list[Block], program: Program, dtype: np.dtype[Any]) -> None:
        like: Any = next(block.core for block in blocks if is_jax(block.core))
        parts = [r for b in blocks for r in (b.core, *b.low.values(), *b.high.values())]
        # All that stencils multiply by, and what stands outside, may be traced too.
        parts += [window.weights for window in program.windows]
        self.is_traced = any(map(is_traced, parts + [end.fill for end in program.ends]))
        # Integers in float64, which has all of them but those of 8 bytes.
        is_float = jnp.issubdtype(blocks[0].core.dtype, jnp.inexact)
        self.dtype = np.dtype(np.float64) if not is_float else dtype
        if dtype.itemsize == 1:
            self.dtype = np.dtype(np.float32)
        z = [blocks[d.z].core for d in program.derivatives if d.z is not None]
        self.needs_x64 = not self.is_traced or wide(self.dtype).itemsize == 8 or bool(z)
        self.needs_x64 &= not any(map(is_traced, z))
        one = not is_traced(like) and len(like.devices()) == 1 and like.committed
        # What JAX may move freely must stay so: its results go with arrays of any device.
        self.device = next(iter(like.devices())) if one else None
        # On a mesh, fields lie as the first one does, and tables on every device.
        cores = [block.core for block in blocks]
        shape = jnp.broadcast_shapes(*(core.shape for core in cores))
        self.division = None if self.is_traced else find_division(cores, shape)

    def settings(self) -> ExitStack:
        """64 bits and the promotion of dtypes that our arithmetic is written for, here and now.

        Traced arrays of 32 bits do without the switch: what becomes of them later, such as their
        transpose, is worked out without it.
        """
        stack = ExitStack()
        if self.needs_x64:
            stack.enter_context(jax.enable_x64(True))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        return stack

    def put(
        self, numbers: Any, dtype: Any, *, is_field: bool = False, is_table: bool = False
    ) -> Any:
        """Numbers as an array beside the others; tables, and what varies along one axis, once."""
        if is_jax(numbers):
            return numbers.astype(dtype)
        numbers = np.asarray(numbers).astype(dtype, copy=False)
        if self.is_traced:
            return numbers  # a constant of what is being traced
        device = self.device
        if self.division is not None:
            device = self.division.place(numbers if is_field else np.empty(()))
        is_small = is_table or sum(n > 1 for n in numbers.shape) <= 1
        if numbers.nbytes > SMALL or not is_small:
            return send(numbers, device)
        key = numbers.tobytes(), numbers.shape, numbers.dtype, device
        if _kept(*key).is_deleted():  # anybody may delete the arrays of JAX
            _kept.cache_clear()
        return _kept(*key)

    def field(self, number: int, block: Block, program: Program) -> ShiftedField:
        """A field as the kernel is shown it."""
        dtype = self.dtype
        if program.is_coordinate(number):
            dtype = result_dtype([], np.float64)
        elif is_large_integer(block.core) and program.is_alone(number):
            dtype = block.core.dtype

        def cast_number(fill: Any) -> Any:
            given = fill if is_jax(fill) else np.asarray(fill)
            is_kept = dtype.kind in "iu" and given.dtype.kind in "iu"
            return self.put(given, given.dtype if is_kept else self.dtype)

        cast = partial(self.put, dtype=dtype, is_field=True)
        return ShiftedField.of(number, block, program, cast, cast_number)


@lru_cache(maxsize=1024)
def _kept(content: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], device: Any) -> jax.Array:
    """A small array on a device, sent there once."""
    array: NDArray[Any] = np.frombuffer(content, dtype).reshape(shape)
    with jax.ensure_compile_time_eval():  # never a tracer, which must not be kept
        return send(array, device)


@contextmanager
def in_double(arrays: Sequence[Any]) -> Iterator[None]:
    """A context in which arithmetic on JAX arrays has the digits that it has in NumPy.

    For concrete floats only: integers become the default float, and what is traced stays as wide
    as its user wants it. JAX's transfer guard, which is about the user's own arrays, lets the
    numbers of a grid through.
    """
    found = [f for f in arrays if is_jax(f)]
    is_plain = found and not any(map(is_traced, found))
    with ExitStack() as stack:
        if is_plain and all(jnp.issubdtype(f.dtype, jnp.inexact) for f in found):
            stack.enter_context(jax.enable_x64(True))
            stack.enter_context(jax.transfer_guard_host_to_device("allow"))
        yield


def result_dtype(fields: Sequence[Any], dtype: Any) -> np.dtype[Any]:
    """The dtype of a result that NumPy has in ``dtype``: 64 bits if a field has them, or the user.

    So floats keep their own, and integers get the default one of JAX.
    """
    if dtype is None:
        own = fields[0].dtype
        dtype = own if jnp.issubdtype(own, jnp.inexact) else float
    if any(jnp.issubdtype(f.dtype, jnp.inexact) and f.dtype == dtype for f in fields if is_jax(f)):
        return cast(np.dtype[Any], np.dtype(dtype))
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))


def is_large_integer(f: Any) -> bool:
    """True for integers of which float64 does not have all."""
    return bool(jnp.issubdtype(f.dtype, jnp.integer)) and f.dtype.itemsize == 8


def rises_or_falls(z: jax.Array, axis: int) -> bool:
    """True if ``z`` does so strictly along ``axis`` everywhere it has values, as seen there."""
    with jax.enable_x64(True):
        return bool(jax.device_get(_rises_or_falls(z, axis)))


@partial(jax.jit, static_argnames="axis")
def _rises_or_falls(z: jax.Array, axis: int) -> jax.Array:
    z = z if jnp.issubdtype(z.dtype, jnp.inexact) else z.astype(jnp.float64)
    steps = jnp.diff(z, axis=axis)
    falls = jnp.where((steps > 0).any(), -1, 1).astype(steps.dtype)
    # NaN for missing values, but also for ∞ − ∞, which is no step.
    missing = jnp.isnan(z)
    n = z.shape[axis]
    unknown = jnp.take(missing, jnp.arange(1, n), axis) | jnp.take(missing, jnp.arange(n - 1), axis)
    return ~((~unknown & ~(steps * falls < 0)) | jnp.isinf(steps)).any()


def is_jax(f: Any) -> bool:
    """True for JAX arrays, traced ones too."""
    return isinstance(f, jax.Array)


def is_traced(f: Any) -> bool:
    """True inside ``jit``, ``vmap`` or ``grad``, where an array has no values yet."""
    return isinstance(f, jax.core.Tracer)


def as_jax(f: np.ndarray) -> jax.Array:
    """``f`` as a JAX array: integers with all digits, floats as the user's switch has them."""
    with jax.enable_x64(True) if f.dtype.kind in "iu" else nullcontext():
        return jnp.asarray(in_native_order(f))
