"""One file, opened: a lazy Dataset whose variables say where they lie when they cannot be read."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec

import xarray as xr
from xarray.core import indexing

from fdgrad_dask.errors import InputError
from fdgrad_dask.pipeline.related import named_in
from fdgrad_dask.pipeline.sources.stored import Stored


def opened(file: str) -> xr.Dataset:
    """The dataset in one file; what its variables say belongs to them is a coordinate.

    Raises
    ------
    InputError
        It cannot be opened.
    """
    try:
        with warnings.catch_warnings():
            # The fill value is dropped, which is right where all values are there.
            warnings.filterwarnings("ignore", ".*non-conforming '_FillValue'")
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated")
            dataset = xr.open_dataset(
                file,
                engine="zarr" if os.path.isdir(file) else None,
                chunks=None,
                cache=False,
                decode_timedelta=False,
            )
    except MemoryError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        if "IO backends" in str(error):  # xarray's answer names its engines over five lines
            cause = "nothing that is installed knows the format"
        missing = find_spec("netCDF4") is None and not os.path.isdir(file)
        advice = (
            "netCDF4 is not installed: pip install 'fdgrad_dask[netcdf]'"
            if missing
            else "give a Zarr folder or a netCDF file that is whole"
        )
        raise InputError(f"{file} cannot be opened ({cause}); {advice}") from error
    belonging = named_in(dataset) & set(map(str, dataset.data_vars))
    return _telling(dataset.set_coords(sorted(belonging)), file)


def _telling(dataset: xr.Dataset, file: str) -> xr.Dataset:
    """Each variable in an array that names it; indexes are in memory already."""

    def told(name: str) -> xr.Variable:
        variable = dataset.variables[name]
        data = indexing.LazilyIndexedArray(Stored(variable, name, file))
        return xr.Variable(variable.dims, data, variable.attrs, variable.encoding)

    fields = {name: told(name) for name in map(str, dataset.data_vars)}
    labels = {name: told(name) for name in map(str, dataset.coords) if name not in dataset.indexes}
    return dataset.assign(fields).assign_coords(labels)
