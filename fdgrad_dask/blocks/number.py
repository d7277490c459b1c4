"""The numbers of a formula: products are rounded before they are added."""

from __future__ import annotations

from typing import Any

import jax

from fdgrad_dask.blocks.arithmetic import Arithmetic


class Number:
    """A number in a formula, or an array of them: products are rounded before they are added."""

    def __init__(self, value: Any, arithmetic: Arithmetic) -> None:
        self.value, self.arithmetic = value, arithmetic

    def _new(self, value: Any) -> Number:
        return Number(value, self.arithmetic)

    def __add__(self, other: Any) -> Number:
        return self._new(self.value + _value(other))

    def __sub__(self, other: Any) -> Number:
        return self._new(self.value - _value(other))

    def __neg__(self) -> Number:
        return self._new(-self.value)

    def __mul__(self, other: Any) -> Number:
        return self._new(self.arithmetic.times(self.value, _value(other)))

    def __truediv__(self, other: Any) -> Number:
        return self._new(self.arithmetic.over(self.value, _value(other)))

    def length(self, other: Number) -> Number:
        """√(self² + other²), without squares that overflow or vanish."""
        length = _smooth_length if self.arithmetic.is_smooth else _length
        return self._new(length(self.arithmetic, self.value, other.value))

    __radd__, __rmul__ = __add__, __mul__


def _length(arithmetic: Arithmetic, a: Any, b: Any) -> Any:
    xp = arithmetic.xp
    a, b = xp.abs(a), xp.abs(b)
    long, short = xp.maximum(a, b), xp.minimum(a, b)
    ratio = short / xp.where(long == 0, 1, long)  # divided by one where both are zero
    scaled = arithmetic.times(long, xp.sqrt(arithmetic.times(ratio, ratio) + 1))
    return xp.where(xp.isinf(long), xp.inf, scaled)


_smooth_length = jax.custom_jvp(_length, nondiff_argnums=(0,))


@_smooth_length.defjvp
def _differentiate_length(arithmetic: Arithmetic, numbers: Any, moved: Any) -> tuple[Any, Any]:
    """Along (a, b) over the length, which is no more than one; zero where both are."""
    size = _smooth_length(arithmetic, *numbers)
    return size, sum(arithmetic.over(a, size) * d for a, d in zip(numbers, moved, strict=True))


def _value(number: Any) -> Any:
    return number.value if isinstance(number, Number) else number
