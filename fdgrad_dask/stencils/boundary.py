"""The spacing of an axis (even or uneven) and its boundary conditions, with their checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from fdgrad_dask.errors import OptionError
from fdgrad_dask.stencils.dtypes import is_extension

# The condition at one end of an axis: the number is the value held outside. Folds are those of
# horizontal operators.
EndBoundary = (
    Literal["periodic", "reflect", "extend", "fold", "fold-T", "fold-F"]
    | SupportsFloat
    | complex
    | None
)
# The option ``boundary``: one condition for both ends, a pair, or either of them by axis; of a
# dimension of faces how these are connected.
EndPair = EndBoundary | tuple[EndBoundary, EndBoundary]
Boundary = EndPair | Mapping[Any, EndPair | Mapping[Any, Any]]
# The option ``period``: a length in units of the coordinate (a duration for dates), or by axis.
Length = float | np.timedelta64 | timedelta
Period = Length | Mapping[Any, Length] | None

ACCURACIES = (2, 4, 6, 8)
EVEN = 1e-4  # of a step; as much may steps differ by the rounding of a coordinate
BOUNDARIES = ("periodic", "reflect", "extend")


def boundary_pair(boundary: Any) -> tuple[EndBoundary, EndBoundary]:
    """One boundary for both ends, or a pair, as a pair."""
    if isinstance(boundary, (tuple, list)):
        if len(boundary) != 2:
            raise OptionError(
                f"boundary is {boundary!r}; give one value for both ends or a pair for two"
            )
        return _plain_number(boundary[0]), _plain_number(boundary[1])
    end = _plain_number(boundary)
    return end, end


def _plain_number(end: Any) -> Any:
    """A number that comes as an array without dimensions as a scalar; if traced, as it is."""
    if getattr(end, "shape", None) != () or isinstance(end, np.number) or not _is_numeric(end):
        return end
    try:
        number = np.asarray(end)[()]
    except TypeError:  # it has no value yet
        return end
    return number if isinstance(number, np.number) else np.float64(number)


def _is_numeric(end: Any) -> bool:
    dtype = np.dtype(end.dtype)
    return dtype.kind in "iufc" or is_extension(dtype)


def check_options(
    order: int, accuracy: int, edge_order: int, low: EndBoundary, high: EndBoundary
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
        number = number or (getattr(end, "shape", None) == () and _is_numeric(end))
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
    """Raises if there is a period but no axis that it could belong to, or if it is no length."""
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
    if period is not None and np.isinf(period):
        raise OptionError(
            f"period of {name} is {period}, but it must be a finite length in units of the "
            "coordinate; leave it out where the spacing is even"
        )
    if np.ndim(points) == 0:
        if _traced(points):
            return _floats_of_traced(points), True
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
        return _floats_of_traced(points), False
    points = np.asarray(points)
    own = floats(points) if points.dtype.kind in "iub" else points
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.diff(own)
        points = own.astype(np.float64)
        even = bool((differences == differences[0]).all())
        step = differences[0] if own.dtype == np.float64 else (points[-1] - points[0]) / (n - 1)
    if not periodic:
        return (step, True) if even else (points, False)
    span = abs(points[-1] - points[0])
    turn = full_turn(own) if period is None else period
    if turn is None:
        raise OptionError(
            f"{name} is periodic but unevenly spaced, so its period cannot be inferred from its "
            f"points; give period= in units of the coordinate, longer than {span:g}"
        )
    if not turn > span:
        raise OptionError(
            f"period {turn:g} of {name} must be longer than the {span:g} from its first point "
            "to its last; if these two are the same place, drop one of them"
        )
    even = even and bool(abs(turn - span - abs(step)) <= 1e-6 * abs(step))
    return (step, True) if even else (points, False)


def step_range(x: Any) -> tuple[float, float] | None:
    """The least and the greatest step of a spacing, which are equal on an even axis.

    ``x`` is a step or points (n,). None where float64 does not have all steps, or some are unknown.
    """
    if type(x) in (float, np.float64):
        return float(x), float(x)
    if type(x) is not np.ndarray or x.ndim != 1 or len(x) < 2:
        return None
    if x.dtype.kind in "iu" and max(-int(x.min()), int(x.max())) <= 2**53:
        x = x.astype(np.float64)
    if x.dtype != np.float64:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        steps = x[1:] - x[:-1]
    least, greatest = float(steps.min()), float(steps.max())
    return (least, greatest) if math.isfinite(least) and math.isfinite(greatest) else None


def full_turn(points: NDArray[Any]) -> float | None:
    """The length of a periodic axis (n,) that is even but for rounding; None if it is uneven."""
    exact = points.astype(np.float64)
    step = (exact[-1] - exact[0]) / (len(exact) - 1)
    slack = EVEN * abs(step)
    if points.dtype.kind == "f":
        slack = max(slack, 2 * float(np.spacing(abs(points).max())))
    if not (step and abs(np.diff(exact) - step).max() <= slack < abs(step) / 8):
        return None
    return float(len(exact) * abs(step))


def regular_points(points: NDArray[Any]) -> NDArray[Any]:
    """Points (n,) that are even but for the rounding of a narrow float dtype, rebuilt in float64.

    By that rounding their distances vary, and a second derivative may be off by as much as its own
    size. Where no point is further from an even axis than one unit of the last place of the
    largest, that axis is meant. All other points come back as they are.
    """
    if points.dtype.kind != "f" or points.dtype.itemsize >= 8 or len(points) < 3:
        return points
    exact = points.astype(np.float64)
    steps = np.diff(exact)
    with np.errstate(invalid="ignore", over="ignore"):
        even = _best_line(exact)
        # Half a unit by rounding once, and as much again where it was summed or scaled before.
        rounding = float(np.spacing(abs(points).max()))
        is_even = bool((steps == steps[0]).all())
        regular = bool((abs(exact - even) <= rounding).all()) and abs(even[1] - even[0]) > (
            4 * rounding
        )
    return even if regular and not is_even else points


def _best_line(exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """The even axis that lies closest to the points by least squares."""
    i = np.arange(len(exact)) - (len(exact) - 1) / 2
    step = (i * (exact - exact[0])).sum() / (i * i).sum()
    return np.asarray((exact - exact[0]).mean() + exact[0] + i * step)


def floats(integers: NDArray[Any]) -> NDArray[np.float64]:
    """Integers as float64: counted from the first one where float64 does not have all of them.

    Only their differences count. Taken in halves, none of them overflows.
    """
    exact = integers.astype(np.float64)
    if not integers.size or integers.dtype.itemsize < 8 or abs(exact).max() <= 2.0**53:
        return exact
    high, low = (integers >> 32).astype(np.int64), (integers & 0xFFFFFFFF).astype(np.int64)
    first = (0,) * integers.ndim
    counted = (high - high[first]) * 2.0**32 + (low - low[first])
    return np.asarray(counted, np.float64)


def _floats_of_traced(points: Any) -> Any:
    """Traced points as floats of at least 4 bytes, as those of the host are at least 8.

    Integers are counted from the first one, in halves, since float32 ends at 2²⁴.
    """
    xp = points.__array_namespace__()
    if points.dtype.kind in "iu" and points.ndim and points.dtype.itemsize >= 4:
        half = 4 * points.dtype.itemsize
        whole, signed = xp.result_type(float), f"int{2 * half}"
        high = (points >> half).astype(signed)
        low = (points & (2**half - 1)).astype(signed)
        return (high - high[0]).astype(whole) * 2.0**half + (low - low[0]).astype(whole)
    if xp.issubdtype(points.dtype, xp.floating) and points.dtype.itemsize >= 4:
        return points
    return points.astype(xp.result_type(float) if points.dtype.itemsize >= 4 else xp.float32)


def _traced(points: Any) -> bool:
    return not isinstance(points, (int, float, list, tuple, np.generic, np.ndarray))


def extended(points: Any, reach: int, low: EndBoundary, period: float | None) -> Any:
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
