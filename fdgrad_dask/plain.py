"""The arithmetic of a stencil in NumPy, for the dtypes that XLA does not have.

Dates and durations, masked arrays, long doubles and objects take this road; so do tests, which
hold the kernels against it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.stencil import Stencil, Wall, Window


def needs_numpy(f: Any) -> bool:
    """True for masked arrays and for dtypes without a counterpart in XLA.

    >>> needs_numpy(np.zeros(3, "datetime64[D]")), needs_numpy(np.zeros(3, "float32"))
    (True, False)
    """
    if isinstance(f, np.ma.MaskedArray):
        return True
    dtype = np.dtype(f.dtype)
    return dtype.kind not in "iufc" or dtype.itemsize > (16 if dtype.kind == "c" else 8)


def differentiate_plain(block: Any, axis: int, stencil: Stencil) -> Any:
    """The derivative of one block along ``axis``, slabs and all, as `compute_block` has it."""
    f = np.moveaxis(np.asanyarray(block), axis, 0)
    if f.dtype.kind == "M":
        f = f.view(f.dtype.str.replace("M", "m"))
    if f.dtype.kind in "iu":
        f = f.astype(np.float64)
    reach = stencil.reach
    lo, hi = (0 if wall else reach for wall in (stencil.low, stencil.high))
    n = len(f) - lo - hi
    masked = isinstance(f, np.ma.MaskedArray)
    join = np.ma.concatenate if masked else np.concatenate
    below, above = f[:0], f[:0]
    if stencil.low and stencil.low.fill is not None:
        below, lo = _outside(stencil.low, f, reach), reach
    if stencil.high and stencil.high.fill is not None:
        above, hi = _outside(stencil.high, f[::-1], reach)[::-1], reach
    f = join([below, f, above])
    dtype = np.dtype(np.float64) if f.dtype == object else f.dtype
    out = (np.ma.empty if masked else np.empty)((n, *f.shape[1:]), dtype)
    first, last = reach - lo, n - (reach - hi)
    rows, columns = slice(first + lo, last + lo), slice(first, last)
    sums = [_sum(f, window, rows, columns) for window in stencil.windows]
    out[columns] = sums[0] if len(sums) == 1 else _first_whole(f, stencil, rows, sums)
    for wall, step, seen in ((stencil.low, 1, f[lo:]), (stencil.high, -1, f[: lo + n])):
        for i, row in enumerate(wall.rows if wall else ()):
            here = i if step == 1 else n - 1 - i
            out[here] = _sum(seen, row, None, slice(None))[0]
    return np.moveaxis(out, 0, axis)


def _first_whole(f: Any, stencil: Stencil, rows: slice, sums: list[Any]) -> Any:
    """The sum of the first window that misses nothing; NaN where all do, or the point itself."""
    there = ~np.isnan(f)
    out = np.full_like(sums[0], np.nan)
    for window, total in reversed(list(zip(stencil.windows, sums, strict=True))):
        whole = there[rows].copy()
        for node in window.nodes:
            whole &= there[rows.start + node : rows.stop + node]
        out = np.where(whole, total, out)
    return out


def ghosts(wall: Wall | None, rows: NDArray[Any], count: int) -> Any:
    """What stands before the first of ``rows``; anything, if edge rows overwrite what it gives."""
    fill = wall.fill if wall else None
    if fill == "periodic":
        return rows[-count:]
    if fill == "reflect":
        return rows[count:0:-1]
    return rows[:1] if fill is None or fill == "extend" else fill


def _outside(wall: Wall, rows: NDArray[Any], count: int) -> NDArray[Any]:
    outside = np.empty((count, *rows.shape[1:]), rows.dtype)
    outside[...] = ghosts(wall, rows, count)
    return outside


def _sum(f: NDArray[Any], window: Window, rows: slice | None, columns: slice) -> Any:
    """Σ over the taps; ``rows`` None means that nodes are positions, not offsets."""

    def at(node: int) -> NDArray[Any]:
        if rows is None:
            return f[node : node + 1] if node != -1 else f[-1:]
        return f[rows.start + node : rows.stop + node]

    total: Any = None
    for tap, weight in zip(window.taps, window.weights, strict=True):
        by = weight if weight.size == 1 else weight[columns]
        by = by.reshape((-1,) + (1,) * (f.ndim - 1))
        value = at(tap.plus) if tap.minus is None else at(tap.plus) - at(tap.minus)
        term = value * by if tap.minus is None else value / by
        total = term if total is None else total + term
    return total
