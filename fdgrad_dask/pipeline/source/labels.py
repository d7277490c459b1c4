"""What a file should say of its variables, and does not: which are coordinates, and attributes."""

from __future__ import annotations

import xarray as xr

from fdgrad_dask.errors import ConfigError
from fdgrad_dask.pipeline.config.operators import did_you_mean
from fdgrad_dask.pipeline.config.source import Source
from fdgrad_dask.pipeline.source.related import named_in


def labelled(dataset: xr.Dataset, source: Source) -> xr.Dataset:
    """``dataset`` with the coordinates and attributes that ``coords`` and ``attrs`` name.

    Raises
    ------
    ConfigError
        They name a variable that does not exist.
    """
    known = [str(name) for name in dataset.variables]
    for key, names in (("coords", source.coords), ("attrs", source.attrs)):
        for name in names:
            if name not in dataset.variables:
                raise ConfigError(
                    f"source.{key}: no variable {name!r}; {did_you_mean(name, known)}"
                )
    if not source.coords and not source.attrs:
        return dataset
    result = dataset.copy().set_coords(list(source.coords))
    for name, given in source.attrs.items():
        attrs = {**result[name].attrs, **given}
        # CF's list of coordinates belongs to the encoding, as xarray has it.
        if coordinates := attrs.pop("coordinates", None):
            result[name].encoding["coordinates"] = coordinates
        result[name].attrs = {key: value for key, value in attrs.items() if value is not None}
    belonging = named_in(result) & set(map(str, result.data_vars))
    return result.set_coords(sorted(belonging))
