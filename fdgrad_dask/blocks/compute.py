"""One chunk: through kernels of XLA, or in NumPy where these cost more or cannot be had.

NumPy data are NumPy's business, whatever JAX is doing or is set to: both ways have the same
bits, so that which of them is taken is a question of time alone.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import jax
import numpy as np

from fdgrad_dask.blocks.accelerator import compute_on_accelerator, is_accelerated
from fdgrad_dask.blocks.device import compute_on_device, is_jax
from fdgrad_dask.blocks.host import compute_on_host
from fdgrad_dask.blocks.program import Block, Program
from fdgrad_dask.blocks.small import compute_in_numpy, has_large_integers
from fdgrad_dask.blocks.zero_copy import await_release, lending
from fdgrad_dask.stencils.dtypes import needs_numpy

try:
    from jax.extend.core import get_opaque_trace_state
except ImportError:  # before JAX 0.9
    from jax.core import get_opaque_trace_state

SMALL = 1 << 19  # points, times derivatives; NumPy is faster than a kernel up to about this size
DIMENSIONS = 32  # of an array at most, in XLA
LONGEST = 5.0  # seconds that the end of Python waits for kernels that other threads run
GRACE = 0.1  # seconds more for what they are dropping: JAX asks for the interpreter's lock there
# What the user may have set for code of their own, and what holds for ours.
_SETTINGS: tuple[tuple[str, Any, Any], ...] = (
    ("jax_debug_nans", jax.debug_nans, False),
    ("jax_debug_infs", jax.debug_infs, False),
    ("jax_disable_jit", jax.disable_jit, False),
    ("jax_default_device", jax.default_device, None),
    ("jax_numpy_dtype_promotion", jax.numpy_dtype_promotion, "standard"),
    ("jax_numpy_rank_promotion", jax.numpy_rank_promotion, "allow"),
    ("jax_transfer_guard_host_to_device", jax.transfer_guard_host_to_device, "allow"),
    ("jax_transfer_guard_device_to_host", jax.transfer_guard_device_to_host, "allow"),
    ("jax_transfer_guard_device_to_device", jax.transfer_guard_device_to_device, "allow"),
)
_running: set[int] = set()  # threads that run kernels now
_have_run: set[int] = set()  # and those that ever did
_kept: list[jax.Array] = []  # results that other threads may hold when Python ends
_is_over = False  # after a fork, XLA hangs; when Python ends, its threads abort the process


def compute_block(blocks: Sequence[Block], program: Program, dtype: np.dtype[Any]) -> list[Any]:
    """The outputs of ``program`` on one chunk, each of its whole shape and of ``dtype``.

    JAX arrays stay JAX arrays, on the device where they are.
    """
    if any(is_jax(block.core) for block in blocks):
        return compute_on_device(blocks, program, dtype)
    given = {pole.field for pole in program.pole_rows}
    used = {i: blocks[i] for i in range(len(blocks)) if i not in given}
    shape = _joint([block.core.shape for block in used.values()])
    is_foreign = any(_is_foreign(block.core) for block in used.values())
    if is_foreign or _goes_plain(used, shape, program, dtype):
        outputs = compute_in_numpy(used, shape, program, dtype)
    else:
        with _kernels():
            if _is_over:  # since we asked; nobody waits for this thread then
                outputs = compute_in_numpy(used, shape, program, dtype)
            elif is_accelerated():
                return compute_on_accelerator(blocks, shape, program, dtype)
            else:
                outputs = compute_on_host(used, shape, program, dtype)
    for pole in program.poles_here:
        row = (slice(None),) * pole.axis + (slice(pole.end, pole.end + 1 or None),)
        outputs[pole.output][row] = blocks[pole.field].core
    return outputs


def _joint(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of all fields together, of any number of dimensions."""
    along = zip(*shapes, strict=True)
    return tuple(0 if 0 in sizes else max(sizes) for sizes in along)


def _is_foreign(core: Any) -> bool:
    """True for what XLA does not have: masked arrays, some dtypes, arrays of other libraries."""
    return not isinstance(core, np.ndarray) or needs_numpy(core)


def _goes_plain(
    used: dict[int, Block], shape: tuple[int, ...], program: Program, dtype: np.dtype[Any]
) -> bool:
    """True if NumPy is to compute a block, since it is faster there, or XLA cannot."""
    if math.prod(shape) * len(program.derivatives) <= SMALL and program.has_numpy_bits(dtype):
        return True
    if _is_over or len(shape) > DIMENSIONS or program.is_scaled:
        return True
    # NumPy data inside of `jit` are constants; and on a mesh kernels of one device do not run.
    if _trace() != _no_trace() or not jax.sharding.get_abstract_mesh().empty:
        return True
    return any(map(has_large_integers, used.values()))


def _trace() -> Any:
    """What JAX traces in this thread, to be compared."""
    return get_opaque_trace_state(convention="nnx")


@cache
def _no_trace() -> Any:
    """As it is in a thread in which JAX traces nothing, as in a new one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_trace).result()


@contextmanager
def _kernels() -> Iterator[None]:
    """Settings of our own for this block and this thread; those of the user stay as they are."""
    thread = threading.get_ident()
    try:
        _running.add(thread)
        _have_run.add(thread)
        with ExitStack() as stack:
            stack.enter_context(jax.enable_x64(True))
            for name, context, ours in _SETTINGS:
                if getattr(jax.config, name) not in (ours, None):
                    stack.enter_context(context(ours))
            with lending():
                yield
    finally:
        _running.discard(thread)


def _leave_xla() -> None:
    global _is_over
    _is_over = True


os.register_at_fork(after_in_child=_leave_xla)


@atexit.register
def _end() -> None:
    """From here on daemon threads compute in NumPy; waits for the kernels that they still run."""
    _leave_xla()
    latest = time.monotonic() + LONGEST
    others = {each.ident for each in threading.enumerate()} - {threading.get_ident()}
    while _running & others and time.monotonic() < latest:
        time.sleep(0.001)
    if _have_run & others:
        # A thread that drops the last reference to a result asks for the lock inside of JAX, where
        # Python cannot end it. With ours it never is the last one.
        _kept.extend(jax.live_arrays())
        time.sleep(GRACE)
    await_release()
