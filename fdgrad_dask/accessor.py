"""``.fdgrad`` on DataArrays and Datasets: a line per operator, which calls the function."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import xarray as xr

from fdgrad_dask import operators


@xr.register_dataarray_accessor("fdgrad")
class DataArrayAccessor:
    """The operators on one field."""

    def __init__(self, field: xr.DataArray) -> None:
        self._field = field

    def gradient(
        self, dim: Hashable | Sequence[Hashable] | None = None, **options: Any
    ) -> xr.DataArray | xr.Dataset:
        """See :func:`fdgrad_dask.operators.gradient`."""
        result: xr.DataArray | xr.Dataset = operators.gradient(self._field, dim, **options)
        return result

    def gradient_magnitude(self, **options: Any) -> xr.DataArray:
        """See :func:`fdgrad_dask.operators.gradient_magnitude`."""
        return operators.gradient_magnitude(self._field, **options)


@xr.register_dataset_accessor("fdgrad")
class DatasetAccessor:
    """The operators on the fields of a dataset."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def gradient(
        self, dim: Hashable | Sequence[Hashable] | None = None, **options: Any
    ) -> xr.Dataset:
        """See :func:`fdgrad_dask.operators.gradient`."""
        result: xr.Dataset = operators.gradient(self._dataset, dim, **options)
        return result

    def gradient_magnitude(self, name: Hashable, **options: Any) -> xr.DataArray:
        """See :func:`fdgrad_dask.operators.gradient_magnitude`."""
        return operators.gradient_magnitude(self._dataset[name], **options)
