"""Long doubles that know how large the terms were that they are made of.

An answer of floating-point arithmetic is off by a few units in the last place of its terms, not of
itself: where these cancel, that is more. So every value carries its `size`, the same expression
with absolute values and without differences; some epsilons times the size is what rounding may do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LONG = np.longdouble
PI = np.arctan2(LONG(0), LONG(-1))


class Sized:
    """Values and their sizes, arrays of one shape."""

    __array_ufunc__ = None  # NumPy arrays on the left leave the arithmetic to us

    def __init__(self, value: Any, size: Any = None) -> None:
        value = np.asarray(value)
        self.value = value.astype(np.clongdouble if value.dtype.kind == "c" else LONG)
        self.size = abs(self.value) if size is None else np.asarray(size, LONG)

    @staticmethod
    def of(value: Any, size: Any) -> Sized:
        """Long doubles as they are."""
        made = object.__new__(Sized)
        made.value, made.size = value, size
        return made

    def __add__(self, other: Any) -> Sized:
        other = sized(other)
        return Sized.of(self.value + other.value, self.size + other.size)

    def __sub__(self, other: Any) -> Sized:
        other = sized(other)
        return Sized.of(self.value - other.value, self.size + other.size)

    def __mul__(self, other: Any) -> Sized:
        other = sized(other)
        return Sized.of(self.value * other.value, self.size * other.size)

    def __truediv__(self, other: Any) -> Sized:
        other = sized(other)
        size = abs(other.value)
        return Sized.of(self.value / other.value, self.size / size * (other.size / size))

    def __neg__(self) -> Sized:
        return Sized.of(-self.value, self.size)

    __radd__, __rmul__ = __add__, __mul__

    def __rtruediv__(self, other: Any) -> Sized:
        return sized(other) / self

    def __getitem__(self, at: Any) -> Sized:
        return Sized.of(self.value[at], self.size[at])

    def mean(self, axis: int) -> Sized:
        """The mean along an axis, which stays with length 1."""
        return Sized.of(self.value.mean(axis, keepdims=True), self.size.mean(axis, keepdims=True))


def sized(given: Any) -> Sized:
    return given if isinstance(given, Sized) else Sized(given)


def hypot(a: Sized, b: Sized) -> Sized:
    return Sized.of(np.hypot(a.value, b.value), a.size + b.size)


def where(condition: Any, a: Sized, b: Sized) -> Sized:
    return Sized.of(np.where(condition, a.value, b.value), np.where(condition, a.size, b.size))


def radians(degrees: Any) -> Any:
    return np.asarray(degrees, LONG) * PI / 180
