"""Fields before they are cut into tasks: expanded over all axes, in the chunks of all."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fdgrad_dask.halo.fields import (
    Expanded,
    Expansion,
    expand,
    find_expansion,
    find_kind,
    is_dask,
    is_lazy,
    merge_chunks,
    rechunk_field,
)

F = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("axes", [(1, 3), (3, 1), (0, 1)])
def test_an_array_over_more_axes(axes):
    wanted = F if axes[0] < axes[1] else F.T
    shape = [1] * 4
    shape[axes[0]], shape[axes[1]] = F.shape
    expansion = Expansion(axes, 4)
    assert expansion.spread(F.shape, 1) == tuple(shape)
    assert_array_equal(expansion.apply(F), wanted.reshape(shape))
    assert_array_equal(expand(F, axes, 4), wanted.reshape(shape))

    lazy = expand(da.from_array(F, chunks=(1, 2)), axes, 4)
    assert isinstance(lazy, Expanded)
    assert lazy.shape == tuple(shape)
    assert (lazy.chunks[axes[0]], lazy.chunks[axes[1]]) == ((1, 1), (2, 1))
    assert [lazy.chunks[axis] for axis in range(4) if axis not in axes] == [(1,), (1,)]
    assert_array_equal(lazy.to_dask(), wanted.reshape(shape))
    cut = lazy.rechunk([(5,) if axis not in axes else (shape[axis],) for axis in range(4)])
    assert cut.values.chunks == ((2,), (3,))


def test_what_kind_a_field_is_of():
    lazy = da.from_array(F, chunks=1)
    expanded = expand(lazy, (0, 2), 3)
    assert (is_dask(lazy), is_dask(expanded), is_dask(F)) == (True, False, False)
    assert (is_lazy(lazy), is_lazy(expanded), is_lazy(F)) == (True, True, False)
    assert find_kind(F) is F
    assert find_kind(lazy) is lazy._meta
    assert find_kind(expanded) is lazy._meta
    assert find_expansion(expanded) == Expansion((0, 2), 3)
    assert find_expansion(lazy) is None


def test_fields_in_the_chunks_of_all():
    chunks = [(1, 1), (2, 1)]
    line = F[:1]
    assert rechunk_field(line, chunks, keep_lines=True) is line
    assert rechunk_field(line, chunks, keep_lines=False).chunks == ((1,), (2, 1))
    assert rechunk_field(F, chunks, keep_lines=True).chunks == ((1, 1), (2, 1))
    lazy = da.from_array(F, chunks=-1)
    assert rechunk_field(lazy, chunks, keep_lines=True).chunks == ((1, 1), (2, 1))
    of_two = lazy[:1]
    assert rechunk_field(of_two, chunks, keep_lines=True).chunks == ((1,), (2, 1))
    unknown = lazy[lazy[:, 0] >= 0]
    assert rechunk_field(unknown, chunks, keep_lines=True) is unknown


# -- merge -----------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=9),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_merge_joins_what_is_too_small_and_leaves_the_rest(sizes, first, inner, last):
    merged = merge_chunks(sizes, first, inner, last)
    cuts, old = np.cumsum(merged), np.cumsum(sizes)
    assert set(cuts) <= set(old)
    assert cuts[-1] == old[-1]
    if len(merged) > 1:
        assert merged[0] >= first
        assert merged[-1] >= last
        assert min(merged[1:]) >= inner
    for i, (size, end) in enumerate(zip(merged[:-1], cuts, strict=False)):
        joined = [s for s, cut in zip(sizes, old, strict=True) if end - size < cut <= end]
        assert len(joined) == 1 or sum(joined[:-1]) < (inner if i else first)
    if sizes[0] >= first and sizes[-1] >= max(last, inner) and min(sizes) >= inner:
        assert merged == tuple(sizes)


@pytest.mark.parametrize(
    ("sizes", "least", "want"),
    [
        ((5, 5, 5), (2, 1, 2), (5, 5, 5)),
        ((1, 1, 1, 1), (2, 1, 2), (2, 2)),
        ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
        ((1, 1, 1), (2, 1, 2), (3,)),
        ((2, 1, 2), (2, 2, 2), (2, 3)),
        ((0, 2, 0, 2), (1, 1, 1), (2, 2)),
        ((7,), (9, 9, 9), (7,)),
    ],
)
def test_merge_by_hand(sizes, least, want):
    assert merge_chunks(sizes, *least) == want
