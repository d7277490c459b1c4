"""Files of the grid beside those of the fields: mesh_mask of NEMO, the static file of MOM6."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.config.redaction import without_secrets
from fdgrad_dask.pipeline.config.source import Picked, Source, Stored
from fdgrad_dask.pipeline.source.formats import opened
from fdgrad_dask.pipeline.source.remote import files_of
from fdgrad_dask.pipeline.source.select import renamed, selected


def numbered(source: Stored) -> dict[int, tuple[str, Stored]]:
    """The files of ``source.coordinates``, by numbers that those of the fields never have."""
    return {-number: (file, source) for number, file in enumerate(files_of(source), 1)}


def with_coordinates(dataset: xr.Dataset, source: Source) -> xr.Dataset:
    """``dataset`` with the variables of ``source.coordinates`` that it has not itself.

    Those that a field names by its attribute ``coordinates`` become coordinates. Dimensions of one
    point go: NEMO repeats its grid along a time.

    Raises
    ------
    InputError
        The files have other points than the fields.
    """
    for number, (file, beside) in (
        numbered(source.coordinates).items() if source.coordinates else ()
    ):
        grid = renamed(opened(file, beside, number), beside.rename)
        single = {str(dim): Picked(index=0) for dim, size in grid.sizes.items() if size == 1}
        grid = selected(grid, single).drop_vars(single, errors="ignore")
        shown = without_secrets(file)
        for dim in {*grid.sizes} & {*dataset.sizes}:
            _require_same_points(dataset, grid, dim, f"{shown} and {source.shown}")
        grid = grid.drop_vars({*grid.variables} & {*dataset.variables})
        dataset = dataset.merge(grid, join="override", compat="override", combine_attrs="override")
    return dataset.set_coords(_named_as_coordinates(dataset)) if source.coordinates else dataset


def _require_same_points(one: xr.Dataset, other: xr.Dataset, dim: Hashable, files: str) -> None:
    sizes = other.sizes[dim], one.sizes[dim]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"{files} have {sizes[0]} and {sizes[1]} points along {dim!r}; give the grid of these "
            f"very points, or another name to {dim!r} by source.coordinates.rename"
        )
    if dim in one.indexes and dim in other.indexes:
        ours, theirs = one.indexes[dim], other.indexes[dim]
        is_number = ours.dtype.kind in "iuf" and theirs.dtype.kind in "iuf"
        near = is_number and np.allclose(ours, theirs, rtol=1e-6, atol=1e-6)  # in float32, maybe
        if not (near or ours.equals(theirs)):
            raise InputError(
                f"{files} have other labels along {dim!r}; give the grid of these very points"
            )


def _named_as_coordinates(dataset: xr.Dataset) -> list[Hashable]:
    """The variables that others name as their coordinates, in the way of CF."""
    named: set[str] = set()
    for each in dataset.data_vars.values():
        named |= {*str(each.encoding.get("coordinates", each.attrs.get("coordinates", ""))).split()}
    return [name for name in dataset.data_vars if name in named]
