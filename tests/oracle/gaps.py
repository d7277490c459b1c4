"""Derivatives beside missing values, and with respect to a coordinate that is a field."""

from __future__ import annotations

import numpy as np

from oracle.lines import Line, choose_windows, extended, weights
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
    known = ~np.isnan(v.value)
    done = np.zeros(f.value.shape, bool)
    for window in windows:
        at = np.arange(n) + before
        at = at[(at + window[0] >= 0) & (at + window[-1] < len(x))]
        if not len(at):
            continue
        read, own = at[:, None] + np.array(window), at - before
        w, s = weights(x[read], x[at], order)
        fits = known[..., read].all(-1) & ~done[..., own]
        made, new = (w * v.value[..., read]).sum(-1), (s * shift * v.size[..., read]).sum(-1)
        value[..., own] = np.where(fits, made, value[..., own])
        size[..., own] = np.where(fits, new, size[..., own])
        done[..., own] |= fits
    return Sized.of(value, size)


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
    x = z.astype(LONG).reshape(-1, z.shape[-1])
    steps = np.diff(z.reshape(x.shape))
    even = (steps == steps[:, :1]).all(1)  # there the value at the centre is not read
    values, sizes = (a.reshape(x.shape) for a in (f.value, f.size))
    value, size = np.empty_like(values), np.empty_like(sizes)
    shift = 1 if not line.is_rounded else 1 + abs(x).max(1) / abs(np.diff(x)).min(1)
    for own, read, is_centred in choose_windows(line, order, x.shape[1], 0):
        nodes = x[:, read].reshape(-1, read.shape[1])
        w, s = (a.reshape(-1, *read.shape) for a in weights(nodes, x[:, own].ravel(), order))
        terms, parts = w * values[:, read], s * sizes[:, read]
        if is_centred and order == 1:
            terms[even, :, line.accuracy // 2] = parts[even, :, line.accuracy // 2] = 0
        value[:, own], size[:, own] = terms.sum(-1), parts.sum(-1) * np.reshape(shift, (-1, 1))
    return Sized.of(value.reshape(z.shape), size.reshape(z.shape))
