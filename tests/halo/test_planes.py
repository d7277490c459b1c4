"""Transforms of whole planes: how the chunks are joined, what they are handed, and cut back."""

from __future__ import annotations

from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fdgrad_dask.errors import ChunkError
from fdgrad_dask.halo.planes import transform_planes

F = np.random.default_rng(1).standard_normal((3, 4, 6))


class Anomalies:
    """The sum of fields less its mean over each plane, and that mean."""

    rings = SimpleNamespace(axes=(-1, 1))
    dtype = np.dtype("f8")

    def __init__(self, count):
        self.count = count

    def compute(self, *fields):
        total = sum(fields)
        mean = total.mean((1, 2), keepdims=True) + 0 * total
        return [total - mean, mean][: self.count]

    def compute_in_task(self, *fields):
        made = self.compute(*fields)
        return made[0] if self.count == 1 else made


@pytest.mark.parametrize("count", [1, 2])
def test_planes_are_joined_and_results_cut_as_the_first_lazy_field(count):
    transform = Anomalies(count)
    want = transform.compute(F, F**2)
    for got, each in zip(transform_planes([F, F**2], transform), want, strict=True):
        assert type(got) is np.ndarray
        assert_array_equal(got, each)
    first = da.from_array(F, chunks=((2, 1), 3, 4))
    other = da.from_array(F**2, chunks=(1, 2, 2))
    for fields in ([first, F**2], [first, other]):
        made = transform_planes(fields, transform)
        assert len(made) == count
        for got, each in zip(made, want, strict=True):
            assert got.chunks == ((2, 1), (3, 1), (4, 2))
            np.testing.assert_allclose(got, each)
    (only, *_) = transform_planes([F, other], transform)
    assert only.chunks == ((1, 1, 1), (2, 2), (2, 2, 2))
    np.testing.assert_allclose(only, want[0])


def test_unknown_sizes_do_no_harm_but_in_planes():
    lazy = da.from_array(F, chunks=(1, 2, 3))
    unknown = lazy[lazy[:, 0, 0] > -9]
    (got,) = transform_planes([unknown], Anomalies(1))
    np.testing.assert_allclose(got, Anomalies(1).compute(F)[0])
    (got,) = transform_planes([unknown, unknown], Anomalies(1))
    np.testing.assert_allclose(got, Anomalies(1).compute(F, F)[0])
    broken = lazy[:, lazy[0, :, 0] > -9]
    with pytest.raises(ChunkError, match="the chunks of axis 1 have unknown sizes"):
        transform_planes([broken], Anomalies(1))


def test_masks_that_the_metadata_do_not_know_are_gaps():
    """The values below the mask went into every harmonic, in silence."""
    hidden = da.from_array(np.where(F > 1, 1e20, F), chunks=(1, 2, 3)).map_blocks(
        np.ma.masked_greater, 1e19, meta=np.empty((0, 0, 0))
    )
    (lazy,) = transform_planes([hidden], Anomalies(1))
    (want,) = Anomalies(1).compute(np.where(F > 1, np.nan, F))
    assert_array_equal(lazy.compute(scheduler="sync"), want)
