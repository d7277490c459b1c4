"""`gradient` of a plain array, with the signature of NumPy and JAX, for any kind of array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from fdgrad_dask.blocks.central import differentiate_centrally, suits_central
from fdgrad_dask.blocks.device import as_jax, is_jax, is_traced
from fdgrad_dask.errors import OptionError
from fdgrad_dask.halo.compute import differentiate, is_dask, length
from fdgrad_dask.stencils.boundary import (
    Boundary,
    EndBoundary,
    boundary_pair,
    check_period,
    step_range,
)
from fdgrad_dask.stencils.dtypes import is_extension, needs_numpy
from fdgrad_dask.stencils.table import stencil


def gradient(
    f: Any,
    *varargs: Any,
    axis: int | Sequence[int] | None = None,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Boundary = None,
    period: float | Mapping[int, float] | None = None,
) -> Any:
    """∂f/∂x along each axis, in units of f per unit of x.

    A drop-in for `numpy.gradient` and `jax.numpy.gradient`: NumPy in, NumPy out; JAX in, JAX
    out, under ``jit``, ``vmap`` and ``grad`` too; dask in, dask out, nothing computed.

    Parameters
    ----------
    f
        The array, of any shape; a list is a NumPy array.
    *varargs
        Spacing: nothing (1), one number for all axes, or per axis a number or the coordinates
        (n,) of its points.
    axis
        A number, several, or None for all.
    edge_order
        1 or 2: order of the one-sided differences at the two ends of the domain.
    accuracy
        2, 4, 6 or 8: order in the interior; above 2 the edges have it too.
    boundary
        None, ``"periodic"``, ``"reflect"`` (mirrored about the end point, as in `numpy.pad`),
        ``"extend"`` (the end value goes on), or the number that stands outside; a pair for the
        two ends; a mapping from axis to any of these.
    period
        Length of a periodic axis in units of its coordinate, where spacing is uneven; a mapping
        from axis to lengths where they differ.

    Returns
    -------
    array, or tuple of arrays
        One array for one axis, a tuple for several. Integers become float64, all other dtypes
        are kept. Dates, durations, masked arrays, long doubles and objects give what
        `numpy.gradient` gives.

    Raises
    ------
    TypeError, ValueError
        As `numpy.gradient` does; `OptionError` and `CoordinateError` are ValueErrors.

    Examples
    --------
    >>> import numpy as np
    >>> gradient(np.array([0.0, 1.0, 4.0, 9.0]), edge_order=2)
    array([0., 2., 4., 6.])
    >>> gradient(np.array([0.0, 3.0, 4.0, 3.0]), boundary="periodic")
    array([ 0.,  2.,  0., -2.])
    """
    f = _as_array(f)
    axes = tuple(range(f.ndim)) if axis is None else normalize_axis_tuple(axis, f.ndim)
    given = _spread_over_axes(varargs, len(axes))
    spacings = [_as_spacing(x) for x in given]
    plain = accuracy == 2 and boundary is None
    if plain and period is None and type(f) is np.ndarray:
        steps = list(map(step_range, spacings))
        if suits_central(f, axes, steps, edge_order):
            made = []
            for number, x, each in zip(axes, spacings, steps, strict=True):
                _check_lengths(x, f.shape[number], number)
                made.append(differentiate_centrally(f, number, x, each, edge_order))
            return made[0] if len(made) == 1 else tuple(made)
    unknown = [*spacings, *_list_ends(boundary)]
    if isinstance(f, np.ndarray) and any(is_jax(x) and is_traced(x) for x in unknown):
        f = as_jax(f)  # a traced spacing makes a traced result
    if edge_order > 2:
        raise OptionError(f"'edge_order' greater than 2 not supported; it is {edge_order}")
    check_period(boundary, period)
    if _is_for_numpy(f, spacings) and plain and not is_dask(f):
        # Called by name: the overloads of NumPy have no room for a spacing of any kind.
        return np.gradient(f, *given, axis=axis, edge_order=edge_order)  # type: ignore[call-overload]
    spacings = [_as_floats(x) for x in spacings]
    _refuse_dtype(f, spacings)
    results = []
    for number, x in zip(axes, spacings, strict=True):
        n = length(f, number)
        _check_lengths(x, n, number)
        table = stencil(
            x,
            n,
            accuracy=accuracy,
            edge_order=edge_order,
            boundary=_select_boundary(boundary, number, f.ndim),
            period=_select_period(period, number, f.ndim),
            name=f"axis {number}",
        )
        results.append(differentiate(f, number, table))
    return results[0] if len(results) == 1 else tuple(results)


def _as_array(f: Any) -> Any:
    """Convert ``f`` to an array as NumPy would, without computing or copying anything."""
    if hasattr(f, "dims") and (hasattr(f, "data") or hasattr(f, "data_vars")):
        ways = ["call f.fdgrad.gradient(dim), which keeps them"] if hasattr(f, "coords") else []
        ways += ["give the array alone: f.data"] if hasattr(f, "data") else []
        raise TypeError(
            f"f is a {type(f).__name__}, whose labels and units a gradient of plain arrays would "
            f"drop; {', or '.join(ways)}"
        )
    if is_dask(f) or is_jax(f) or _has_own_numpy(f):
        return f
    if hasattr(f, "compute"):
        raise TypeError(
            f"f is a lazy {type(f).__name__} of {type(f).__module__.partition('.')[0]}, which a "
            "gradient would have to compute; give a dask array, or what f.compute() gives"
        )
    f = np.asanyarray(f)
    return f.view(np.ndarray) if isinstance(f, np.memmap) else f


def _has_own_numpy(f: Any) -> bool:
    """True for arrays with units, on a device or sparse, which implement NumPy's functions."""
    return hasattr(f, "__array_function__") and not isinstance(f, np.ndarray)


def _spread_over_axes(varargs: tuple[Any, ...], axes: int) -> list[Any]:
    if not varargs:
        return [1.0] * axes
    if len(varargs) == 1 and np.ndim(varargs[0]) == 0:
        return list(varargs) * axes
    if len(varargs) == axes:
        return list(varargs)
    raise TypeError(
        f"invalid number of arguments: {len(varargs)} spacings for {axes} axes; give none, one "
        "number for all axes, or one number or 1d array per axis"
    )


def _as_spacing(x: Any) -> Any:
    """Convert a spacing to a number or array on the host; traced ones stay as they are."""
    if is_dask(x):
        raise TypeError(
            "the coordinate is a dask array, but weights are formed from it before anything is "
            "computed; call compute() on the coordinate first"
        )
    if (is_jax(x) and is_traced(x)) or _has_own_numpy(x):
        return x
    x = np.asarray(x) if hasattr(x, "dims") else np.asanyarray(x)
    if is_extension(x.dtype):
        x = x.astype(np.float64)
    return x if x.ndim or x.dtype == object else x[()]


def _as_floats(x: Any) -> Any:
    """Convert objects that are real numbers, such as integers beyond 64 bits, to floats."""
    is_object = isinstance(x, np.ndarray) and x.dtype == object
    return x.astype(np.float64)[()] if is_object and _are_real(x) else x


def _are_real(x: np.ndarray) -> bool:
    return all(isinstance(each, Real) and not isinstance(each, bool) for each in x.flat)


def _list_ends(boundary: Any) -> list[Any]:
    """List the boundary conditions of all ends of all axes."""
    each = boundary.values() if isinstance(boundary, Mapping) else [boundary]
    return [end for ends in each for end in (ends if isinstance(ends, tuple | list) else [ends])]


def _is_for_numpy(f: Any, spacings: list[Any]) -> bool:
    """True if only `numpy.gradient` can handle the kind of ``f`` or of a spacing."""
    if is_jax(f):
        return False
    own = _is_subclass(f) or _has_own_numpy(f) or needs_numpy(f)
    return own or any(map(_needs_numpy, spacings))


def _needs_numpy(x: Any) -> bool:
    """True for a spacing that is not of real numbers of a dtype that XLA has."""
    own = _has_own_numpy(x) or _is_subclass(x)
    return own or np.dtype(x.dtype).kind not in "iuf" or needs_numpy(x)


def _is_subclass(x: Any) -> bool:
    """True for kinds of NumPy arrays that carry more than values, such as units or a mask."""
    return isinstance(x, np.ndarray) and type(x) is not np.ndarray


def _refuse_dtype(f: Any, spacings: list[Any]) -> None:
    """Raise what NumPy raises for a dtype without differences, such as bool."""
    is_masked = isinstance(f, np.ma.MaskedArray)
    if (_has_own_numpy(f) and not is_dask(f)) or (_is_subclass(f) and not is_masked):
        raise TypeError(
            f"{type(f).__name__} is differentiated by its own numpy.gradient, which knows "
            "neither accuracy nor boundary; give a NumPy, JAX or dask array"
        )
    if np.dtype(f.dtype).kind in "bSUV" and not is_extension(f.dtype):
        np.gradient(np.zeros(3, f.dtype))
    for x in spacings:
        own = _has_own_numpy(x) or _is_subclass(x)
        if own or not (np.dtype(x.dtype).kind in "iuf" or is_extension(x.dtype)):
            kind = type(x).__name__ if own else f"dtype {x.dtype}"
            raise TypeError(
                f"spacing of {kind} cannot be turned into weights; give real numbers (dates as "
                "seconds since the first one)"
            )


def _check_lengths(x: Any, n: int, axis: int) -> None:
    if x.ndim > 1:
        raise ValueError(
            f"distances must be either scalars or 1d; those of axis {axis} have {x.ndim} dimensions"
        )
    if x.ndim == 1 and len(x) != n:
        raise ValueError(
            "when 1d, distances must match the length of the corresponding dimension; there are "
            f"{len(x)} for the {n} points of axis {axis}"
        )


def _select_boundary(boundary: Any, axis: int, ndim: int) -> tuple[EndBoundary, EndBoundary]:
    return boundary_pair(_select_for_axis("boundary", boundary, axis, ndim))


def _select_period(period: Any, axis: int, ndim: int) -> float | None:
    period = _select_for_axis("period", period, axis, ndim)
    try:
        return None if period is None else float(period)
    except (TypeError, ValueError):
        way = ", which is not traced: of a closure, or static_argnames" if is_traced(period) else ""
        raise OptionError(
            f"period is {period!r}, but it must be a number, in units of the coordinate{way}"
        ) from None


def _select_for_axis(name: str, option: Any, axis: int, ndim: int) -> Any:
    """Select the value of an option for one axis: one for all, or by number in a mapping."""
    if not isinstance(option, Mapping):
        return option
    unknown = [key for key in option if key not in range(-ndim, ndim)]
    if unknown:
        raise OptionError(f"{name} names axis {unknown[0]!r}; the array has axes 0 to {ndim - 1}")
    return option.get(axis, option.get(axis - ndim))
