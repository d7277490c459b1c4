"""What an axis is before there are weights: even or uneven, and what stands outside its ends.

Here too are the checks of the options that say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fdgrad_dask.errors import OptionError

Boundary = Literal["periodic", "reflect", "extend"] | float | None

ACCURACIES = (2, 4, 6, 8)
BOUNDARIES = ("periodic", "reflect", "extend")


def boundary_pair(boundary: Any) -> tuple[Boundary, Boundary]:
    """One boundary for both ends, or a pair, as a pair."""
    if isinstance(boundary, (tuple, list)):
        if len(boundary) != 2:
            raise OptionError(
                f"boundary is {boundary!r}; give one value for both ends or a pair for two"
            )
        return boundary[0], boundary[1]
    return boundary, boundary


def check_options(
    order: int, accuracy: int, edge_order: int, low: Boundary, high: Boundary
) -> None:
    if order not in (1, 2):
        raise OptionError(f"order is {order!r}; only first and second derivatives exist: 1 or 2")
    if accuracy not in ACCURACIES:
        raise OptionError(f"accuracy is {accuracy!r}; choose one of 2, 4, 6, 8")
    if edge_order not in (1, 2):
        raise OptionError(
            f"'edge_order' is {edge_order!r}; choose 1 or 2, greater is not supported"
        )
    for end in (low, high):
        number = isinstance(end, (int, float, complex, np.number)) and not isinstance(end, bool)
        if not (end is None or number or (isinstance(end, str) and end in BOUNDARIES)):
            raise OptionError(
                f"boundary is {end!r}; choose None, 'periodic', 'reflect', 'extend', or the "
                "number that stands outside; a pair of them for the two ends"
            )
    if (low == "periodic") != (high == "periodic"):
        raise OptionError(
            f"boundary is ({low!r}, {high!r}); an axis is periodic at both ends or at neither"
        )


def check_period(boundary: Any, period: Any) -> None:
    """Raises if there is a period but no axis that it could belong to."""
    given = boundary.values() if isinstance(boundary, Mapping) else [boundary]
    if period is not None and not any("periodic" in boundary_pair(ends) for ends in given):
        raise OptionError(
            f"period is {period!r}, but boundary is {boundary!r}; say boundary='periodic' too"
        )


def spacing(
    points: Any, n: int, periodic: bool, period: float | None, name: str
) -> tuple[Any, bool]:
    """(step, True) for an even axis, (points, False) for an uneven one.

    Even means what it means to numpy.gradient: all differences equal to the bit, taken in the
    dtype of the coordinate, so that a NaN is read where NumPy reads it.
    """
    if points is None:
        return None, False
    if np.ndim(points) == 0:
        if _traced(points):
            return points, True
        step = np.float64(points)
        gap = None if period is None or not periodic else period - (n - 1) * abs(step)
        if gap is None or abs(gap - abs(step)) <= 1e-6 * abs(step):
            return step, True
        points = step * np.arange(n)
    elif _traced(points):
        if periodic and period is None:
            raise OptionError(
                f"{name} is periodic and its points have no values yet; give period= in units of "
                "the coordinate"
            )
        return points, False
    points = np.asarray(points)
    own = points.astype(np.float64) if points.dtype.kind in "iub" else points
    differences = np.diff(own)
    points = own.astype(np.float64)
    even = bool((differences == differences[0]).all())
    step = differences[0] if own.dtype == np.float64 else (points[-1] - points[0]) / (n - 1)
    if not periodic:
        return (step, True) if even else (points, False)
    span = abs(points[-1] - points[0])
    if period is None:
        if not even:
            raise OptionError(
                f"{name} is periodic but unevenly spaced, so its period cannot be told from its "
                f"points; give period= in units of the coordinate, longer than {span:g}"
            )
        return step, True
    if not period > span:
        raise OptionError(
            f"period {period:g} of {name} must be longer than the {span:g} from its first point "
            "to its last; if these two are the same place, drop one of them"
        )
    even = even and bool(abs(period - span - abs(step)) <= 1e-6 * abs(step))
    return (step, True) if even else (points, False)


def _traced(points: Any) -> bool:
    return not isinstance(points, (int, float, list, tuple, np.generic, np.ndarray))


def extended(points: Any, reach: int, low: Boundary, period: float | None) -> Any:
    """(n,) → (reach + n + reach,): wrapped by the period, or mirrored about the end points."""
    xp = points.__array_namespace__()
    if low == "periodic":
        turn = xp.sign(points[-1] - points[0]) * period
        parts = [points[-reach:] - turn, points, points[:reach] + turn]
    else:
        parts = [
            2 * points[0] - points[reach:0:-1],
            points,
            2 * points[-1] - points[-2 : -reach - 2 : -1],
        ]
    return xp.concatenate(parts)
