"""The weights of one window, for any derivative and any number of points.

Pure arithmetic on whatever holds the nodes: Python numbers, NumPy arrays on the host, JAX arrays
inside a kernel. So the same lines serve coordinates of one, two and three dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def weigh(x: Sequence[Any], at: int, order: int) -> list[Any]:
    """Weights of the nodes ``x`` for the derivative at ``x[at]``; one per tap of the window.

    ``x`` holds k numbers or k arrays of one shape; only arithmetic is done on them. For two
    nodes the one weight is their distance, by which the difference is divided.
    """
    if len(x) == 2:
        return [x[1] - x[0]]
    if len(x) == 3:
        h1, h2 = x[1] - x[0], x[2] - x[1]
        if order == 2:
            return [2 / (h1 * (h1 + h2)), -2 / (h1 * h2), 2 / (h2 * (h1 + h2))]
        if at == 0:
            return [
                -(2 * h1 + h2) / (h1 * (h1 + h2)),
                (h1 + h2) / (h1 * h2),
                -h1 / (h2 * (h1 + h2)),
            ]
        if at == 1:
            return [-h2 / (h1 * (h1 + h2)), (h2 - h1) / (h1 * h2), h1 / (h2 * (h1 + h2))]
        return [
            h2 / (h1 * (h1 + h2)),
            -(h2 + h1) / (h1 * h2),
            (2 * h2 + h1) / (h2 * (h1 + h2)),
        ]
    return _fornberg([node - x[at] for node in x], order)


def weigh_scaled(x: Sequence[Any], at: int, order: int) -> tuple[list[Any], Any]:
    """`weigh` in units of a power of two, and its exponent, so that nothing leaves its dtype.

    Products of up to nine distances do so where a single one is far from 1. The nodes are arrays;
    divided by a power of two they keep their bits.
    """
    xp = x[0].__array_namespace__()
    longest = xp.abs(x[0] - x[at])
    for node in x[1:]:
        longest = xp.maximum(longest, xp.abs(node - x[at]))
    by, exponent = inverse_power(longest)
    return weigh([node * by for node in x], at, order), -order * exponent


def inverse_power(size: Any) -> tuple[Any, Any]:
    """2^−k and k for the largest power 2^k that is no more than ``size``, an array of no sign."""
    bits, bias = _fraction_bits(size)
    # Neither is subnormal, which JAX takes for zero: k is limited, and an infinity stays one.
    exponent = (size.view(f"int{8 * size.dtype.itemsize}") >> bits).clip(1, 2 * bias - 1) - bias
    return power_of_two(-exponent, size.dtype), exponent


def power_of_two(exponent: Any, dtype: Any) -> Any:
    """2^exponent as a float, made of its bits, so that it is exact wherever it is formed."""
    real = exponent.astype(f"int{8 * dtype.itemsize}")
    bits, bias = _fraction_bits(real.view(dtype))
    return ((real + bias) << bits).view(dtype)


def _fraction_bits(number: Any) -> tuple[int, int]:
    """The bits of the fraction of a float, and the bias of its exponent."""
    return (23, 127) if number.dtype.itemsize == 4 else (52, 1023)


def _fornberg(x: Sequence[Any], order: int) -> list[Any]:
    """Weights of the nodes ``x``, counted from the point wanted (Fornberg 1988, page 704)."""
    one = x[0] * 0 + 1
    weights: list[list[Any]] = [[one] + [0 * one] * order]
    c1 = one
    for i in range(1, len(x)):
        c2 = one
        for j in range(i):
            c3 = x[i] - x[j]
            c2 = c2 * c3
            row = weights[j]
            if j == i - 1:
                fresh = [
                    c1 * (m * (row[m - 1] if m else 0) - x[i - 1] * row[m]) / c2
                    for m in range(order + 1)
                ]
            weights[j] = [
                (x[i] * row[m] - m * (row[m - 1] if m else 0)) / c3 for m in range(order + 1)
            ]
        weights.append(fresh)
        c1 = c2
    return [row[order] for row in weights]
