"""Windows: one way to form the derivative at a point, of some points beside it.

The weights are formed here, of concrete points on the host in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from fdgrad_dask.stencils.weights import inverse_power, weigh, weigh_scaled

# Bits. Weights between 2^−112 and 2^112 leave float32 room for the values that they multiply, and
# products of nine such distances fit into float64.
LARGE = 112


class Term(NamedTuple):
    """One value that enters a sum: f[plus], or the difference f[plus] − f[minus]."""

    plus: int
    minus: int | None = None


class Halves(NamedTuple):
    """Integers as floats that have the upper and the lower bits of them, and so all differences."""

    high: Any
    low: Any
    bits: int

    def __sub__(self, other: Halves) -> Any:
        return (self.high - other.high) * 2.0**self.bits + (self.low - other.low)

    @property
    def total(self) -> Any:
        """The integers, as far as a float has them."""
        return self.high * 2.0**self.bits + self.low


@dataclass(frozen=True)
class Stencil:
    """One way to form the derivative: Σ over terms of weight · value, or difference / step.

    ``offsets`` are the points that it reads, and ``origin`` is the point of evaluation: counted
    from the point itself in the interior; in an edge row from the boundary, from the far one if
    negative. ``weights`` is (terms, n), or (terms, 1) where every row has the same; None means
    that they are formed beside the data, from a coordinate that varies along other axes.
    The sum is in units of 2^``exponent``, (n,) or (1,) integers, which keeps weights and their
    products in the range of the data; None where they are so anyway.
    ``adds_to_zero`` is False where the weights do not add up to zero, because a point of known
    value is left out; otherwise the value at the point may be taken off all others first.
    """

    offsets: tuple[int, ...]
    origin: int
    terms: tuple[Term, ...]
    weights: Any = None
    exponent: Any = None
    adds_to_zero: bool = True

    def cut(self, start: int, stop: int) -> Stencil:
        """The same window for the rows ``start`` to ``stop``."""
        if self.weights is None or self.weights.shape[1] == 1:
            return self
        exponent = self.exponent if self.exponent is None else self.exponent[start:stop]
        return replace(self, weights=self.weights[:, start:stop], exponent=exponent)


class Axis(NamedTuple):
    """The points of an axis, or its step if it is even; None if the data bring their weights.

    ``is_extreme`` says that weights, or products on the way to them, may leave the range of
    float32 or float64, so that they are formed in units of a power of two.
    """

    points: Any
    even: bool
    order: int
    is_extreme: bool

    def window(self, offsets: tuple[int, ...], origin: int, x: Sequence[Any] | None) -> Stencil:
        """The window over ``offsets``, of the coordinates ``x`` unless the axis is even.

        On an even axis a window that is centred becomes differences: f₊ − f₋ about the centre,
        which is then not read, or f± − f₀ for the second derivative.
        """
        centred = origin == 0 and len(offsets) % 2 == 1 and offsets[0] == -offsets[-1]
        if len(offsets) == 2:
            terms: tuple[Term, ...] = (Term(offsets[1], offsets[0]),)
        elif self.even and centred:
            steps = range(1, offsets[-1] + 1)
            pairs = [
                (Term(j, -j),) if self.order == 1 else (Term(j, 0), Term(-j, 0)) for j in steps
            ]
            terms = tuple(term for pair in pairs for term in pair)
        else:
            terms = tuple(Term(offset) for offset in offsets)
        if self.points is None:
            return Stencil(offsets, origin, terms)
        exponent = None
        if self.even:
            weights, exponent = self._even_weights(offsets, offsets.index(origin), terms)
        elif self.is_extreme:
            assert x is not None
            weights, exponent = weigh_scaled(_arrays(x), offsets.index(origin), self.order)
        else:
            assert x is not None
            weights = weigh(x, offsets.index(origin), self.order)
        exponent = None if exponent is None else exponent.ravel()
        return Stencil(offsets, origin, terms, columns(weights), exponent)

    def _even_weights(
        self, offsets: tuple[int, ...], origin: int, terms: tuple[Term, ...]
    ) -> tuple[list[Any], Any]:
        """The weights of values, or the steps that differences are divided by."""
        step, exponent = self.points, None
        if self.is_extreme:
            by, power = inverse_power(_arrays([abs(step)])[0])
            step, exponent = step * by, -self.order * power
        column = _weigh_offsets(offsets, origin, self.order)
        if len(offsets) == 2:
            return [column[0] * step], exponent
        if terms[0].minus is not None:
            by_offset = dict(zip(offsets, column, strict=True))
            return [step**self.order / by_offset[term.plus] for term in terms], exponent
        return [weight / step**self.order for weight in column], exponent

    def edge_rows(self, side: int, half: int, width: int) -> tuple[Stencil, ...]:
        """The rows whose centred window would leave the domain, inwards from the boundary."""
        offsets = tuple(range(width)) if side == 1 else tuple(range(-width, 0))
        rows = []
        for i in range(half):
            is_given = self.even or self.points is None
            x = None if is_given else [self.points[offset] for offset in offsets]
            rows.append(self.window(offsets, i if side == 1 else -1 - i, x))
        return tuple(rows)


@cache
def _weigh_offsets(offsets: tuple[int, ...], origin: int, order: int) -> tuple[float, ...]:
    """The weights of an even axis in steps of 1, the same for all axes."""
    return tuple(weigh([float(offset) for offset in offsets], origin, order))


def is_extreme(points: Any, order: int) -> bool:
    """True if weights of distances of this size, or their products, may leave their range.

    So may any that have no values yet.
    """
    if points is None:
        return False
    if not isinstance(points, np.ndarray | np.generic | float):
        return True
    sizes = abs(np.diff(points) if np.ndim(points) else np.asarray(points, np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    most = 2.0 ** (LARGE / order)
    return bool(((sizes > most) | (sizes < 1 / most)).any())


def _arrays(x: Sequence[Any]) -> list[Any]:
    """Numbers of the host as arrays; traced ones are arrays."""
    return [np.asarray(each) if isinstance(each, float | np.generic) else each for each in x]


def columns(weights: Sequence[Any]) -> Any:
    """k numbers or k arrays (n,) → (k, 1) or (k, n)."""
    if all(isinstance(weight, float) for weight in weights):  # so are NumPy's scalars of float64
        return np.array(weights)[:, None]
    xp = np
    for weight in weights:
        if not isinstance(weight, (float, np.generic, np.ndarray)):
            xp = weight.__array_namespace__()
    return xp.stack([xp.reshape(xp.asarray(weight), (-1,)) for weight in weights])
