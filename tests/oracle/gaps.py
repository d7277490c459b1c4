"""Derivatives beside missing values, and with respect to a coordinate that is a field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oracle.lines import Line, differentiate, extended, weights
from oracle.sized import LONG, Sized


def around_gaps(f: Sized, line: Line, order: int) -> Sized:
    """Along the last axis, at accuracy 2: centred where both neighbours are, else one-sided.

    One-sided first with as many points as ``edge_order`` asks for, then with the fewest.
    """
    n, longest = len(line.points), order + line.edge_order
    x, v, before = extended(f, line, max(1, longest - 1))
    windows = [[-1, 0, 1]]
    for width in range(longest, order, -1):
        windows += [list(range(width)), list(range(1 - width, 1))]
    value = np.full(f.value.shape, np.nan, LONG)
    size = np.zeros(f.value.shape, LONG)
    shift = 1 + abs(x).max() / abs(np.diff(x)).min()
    for i in range(n):
        done = np.zeros(f.value.shape[:-1], bool)
        for window in windows:
            read = before + i + np.array(window)
            if read[0] < 0 or read[-1] >= len(x):
                continue
            parts = v.value[..., read]
            fits = ~np.isnan(parts).any(-1) & ~done
            w, s = weights(x[read][None], x[[before + i]], order)
            value[..., i] = np.where(fits, (w[0] * parts).sum(-1), value[..., i])
            new = (s[0] * shift * v.size[..., read]).sum(-1)
            size[..., i] = np.where(fits, new, size[..., i])
            done |= fits
    return Sized(value, size)


def straight(points: np.ndarray, values: np.ndarray, slope: float, order: int) -> Sized:
    """The derivative of a line with gaps, along the last axis, at any accuracy.

    It is there where a point and one beside it are; for a second derivative, three in a row.
    """
    known = np.pad(~np.isnan(values), [(0, 0)] * (values.ndim - 1) + [(2, 2)])
    n = values.shape[-1]
    rows = [known[..., 2 + shift : 2 + shift + n] for shift in (-2, -1, 0, 1, 2)]
    far, left, here, right, beyond = rows
    one = here & (left | right)
    two = here & ((left & right) | (far & left) | (right & beyond))
    is_there = one if order == 1 else two
    step = abs(np.diff(points.astype(LONG))).min()
    span = abs(points.astype(LONG)).max()
    largest = np.nanmax(abs(values), initial=0) + abs(slope) * span
    size = np.full(values.shape, 100 * largest / step**order, LONG)
    return Sized(np.where(is_there, slope if order == 1 else 0.0, np.nan), size)


def along_levels(f: Sized, z: np.ndarray, line: Line, order: int) -> Sized:
    """∂f/∂z along the last axis, where each column has levels of its own."""
    value, size = np.empty(f.value.shape, LONG), np.empty(f.value.shape, LONG)
    for at in np.ndindex(f.value.shape[:-1]):
        own = replace(line, points=z[at])
        made = differentiate(f[at], -1, own, order)
        value[at], size[at] = made.value, made.size
    return Sized(value, size)
