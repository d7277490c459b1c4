"""Central differences of small NumPy arrays, without a program: what most calls ask for.

They have the bits of the kernels and of `numpy.gradient`, which makes more passes over the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.blocks import compute
from fdgrad_dask.stencils.weights import weigh

Steps = tuple[float, float] | None  # of `step_range`
STRIP = 1 << 14  # points at a time; what lies between is no more than caches hold
SHORT = 8  # points; along fewer most of the time goes into the two edge rows


def suits_central(f: Any, axes: Sequence[int], steps: Sequence[Steps], edge_order: int) -> bool:
    """True where `differentiate_centrally` has the bits of a program in less time.

    That is with few points, where planning costs more than arithmetic, and along short axes, where
    most rows are edge rows. Weights of float32 data are narrower than those of their points.
    """
    if type(f) is not np.ndarray or not (f.size and axes) or edge_order not in (1, 2):
        return False
    is_double, few = f.dtype == np.float64, 2 * compute.SMALL
    lengths = [f.shape[axis] for axis in axes]
    if not is_double and (f.dtype != np.float32 or edge_order != 1):
        return False
    if min(lengths) <= edge_order or (f.size > few and (few == 0 or max(lengths) >= SHORT)):
        return False
    may_be_uneven = is_double and f.size <= compute.SMALL
    return all(each and _is_moderate(*each, may_be_uneven) for each in steps)


def _is_moderate(least: float, greatest: float, may_be_uneven: bool) -> bool:
    """True if weights of these steps are in the range of their dtype."""
    sizes = sorted((abs(least), abs(greatest)))
    is_monotonic = least > 0 or greatest < 0
    is_taken = least == greatest or (may_be_uneven and is_monotonic)
    return is_taken and sizes[0] > 1e-30 and sizes[1] < 1e30


def differentiate_centrally(
    f: NDArray[Any], axis: int, points: Any, steps: Steps, edge_order: int
) -> NDArray[Any]:
    """∂f/∂x along one axis, by the points (n,) or, where these are even, by their step."""
    assert steps is not None
    # A Python float as step keeps float32 in float32.
    x: Any = steps[0] if steps[0] == steps[1] else points.astype(np.float64, copy=False)
    out, n = np.empty_like(f), f.shape[axis]
    strip = max(1, STRIP * n // f.size)
    with np.errstate(all="ignore"):
        for start in range(1, n - 1, strip):
            _fill(out, f, axis, x, start, min(start + strip, n - 1))
        for end in (0, -1):
            out[_rows(axis, end)] = _one_sided(f, axis, x, end, edge_order)
    return out


def _rows(axis: int, rows: Any) -> Any:
    return (*(slice(None),) * axis, rows)


def _fill(out: NDArray[Any], f: NDArray[Any], axis: int, x: Any, start: int, stop: int) -> None:
    """The rows from ``start`` to ``stop``, none of them at an end."""
    inner = out[_rows(axis, slice(start, stop))]
    before = f[_rows(axis, slice(start - 1, stop - 1))]
    behind = f[_rows(axis, slice(start + 1, stop + 1))]
    if isinstance(x, float):
        np.subtract(behind, before, out=inner)
        np.divide(inner, 2 * x, out=inner)
        return
    weights = weigh([x[start - 1 : stop - 1], x[start:stop], x[start + 1 : stop + 1]], 1, 1)
    low, middle, high = (w.reshape(-1, *(1,) * (f.ndim - axis - 1)) for w in weights)
    np.multiply(low, before, out=inner)
    part = middle * f[_rows(axis, slice(start, stop))]
    inner += part
    inner += np.multiply(high, behind, out=part)


def _one_sided(f: NDArray[Any], axis: int, x: Any, end: int, order: int) -> Any:
    """The row at one ``end`` (0 or -1)."""
    places = range(order + 1) if end == 0 else range(-order - 1, 0)
    rows, is_even = [f[_rows(axis, place)] for place in places], isinstance(x, float)
    if order == 1:
        return (rows[1] - rows[0]) / (x if is_even else x[places[1]] - x[places[0]])
    weights = weigh(
        [0.0, 1.0, 2.0] if is_even else [x[place] for place in places], places.index(end), 1
    )
    low, middle, high = (weight / x if is_even else weight for weight in weights)
    return low * rows[0] + middle * rows[1] + high * rows[2]
