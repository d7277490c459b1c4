"""Fields before they are cut into tasks: expanded over all axes, in the chunks of all."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fdgrad_dask.halo.fields import (
    Expanded,
    Expansion,
    expand,
    find_expansion,
    find_kind,
    is_dask,
    is_lazy,
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
