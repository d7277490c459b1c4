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
    is_monotonic = least > 0 or greatest < 0
    is_taken = least == greatest or (may_be_uneven and is_monotonic)
    return is_taken and 1e-30 < abs(least) < 1e30 and 1e-30 < abs(greatest) < 1e30


def differentiate_centrally(
    f: NDArray[Any], axis: int, points: Any, steps: Steps, edge_order: int
) -> NDArray[Any]:
    """∂f/∂x along one axis, by the points (n,) or, where these are even, by their step."""
    assert steps is not None
    # A Python float as step keeps float32 in float32.
    x: Any = steps[0] if steps[0] == steps[1] else points.astype(np.float64, copy=False)
    result = np.empty_like(f)
    # Strips along an axis that is not the first one in memory would not be contiguous.
    is_first = f.strides[axis] == max(f.strides)
    f, out = f.swapaxes(0, axis), result.swapaxes(0, axis)
    strip = max(1, STRIP * len(f) // f.size) if is_first else len(f)
    with np.errstate(all="ignore"):
        for start in range(1, len(f) - 1, strip):
            _fill(out, f, x, start, min(start + strip, len(f) - 1))
        out[0] = _one_sided(f, x, range(edge_order + 1), 0)
        out[-1] = _one_sided(f, x, range(-edge_order - 1, 0), edge_order)
    return result


def _fill(out: NDArray[Any], f: NDArray[Any], x: Any, start: int, stop: int) -> None:
    """The rows from ``start`` to ``stop``, none of them at an end."""
    inner, before, behind = out[start:stop], f[start - 1 : stop - 1], f[start + 1 : stop + 1]
    if isinstance(x, float):
        np.divide(behind - before, 2 * x, out=inner)
        return
    weights = weigh([x[start - 1 : stop - 1], x[start:stop], x[start + 1 : stop + 1]], 1, 1)
    low, middle, high = (w.reshape(-1, *(1,) * (f.ndim - 1)) for w in weights)
    np.multiply(low, before, out=inner)
    part = middle * f[start:stop]
    inner += part
    inner += np.multiply(high, behind, out=part)


def _one_sided(f: NDArray[Any], x: Any, rows: range, at: int) -> Any:
    """The derivative at number ``at`` of two or three rows, as a row of its own."""
    is_even = isinstance(x, float)
    weights = weigh([float(i) if is_even else x[i] for i in rows], at, 1)
    if len(rows) == 2:
        return (f[rows[1]] - f[rows[0]]) / (x if is_even else weights[0])
    low, middle, high = (weight / x if is_even else weight for weight in weights)
    return low * f[rows[0]] + middle * f[rows[1]] + high * f[rows[2]]
