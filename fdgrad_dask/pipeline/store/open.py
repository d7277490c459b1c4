"""From the section of a config to the class that writes its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.target import Target
from fdgrad_dask.pipeline.store.base import Store
from fdgrad_dask.pipeline.store.folder import Folder
from fdgrad_dask.pipeline.store.icechunk import IcechunkStore
from fdgrad_dask.pipeline.store.netcdf import NetcdfStore
from fdgrad_dask.pipeline.store.place import Place
from fdgrad_dask.pipeline.store.zarr import ZarrStore

_OF: dict[str, Callable[[Target], Store]] = {
    ".zarr": ZarrStore,
    ".icechunk": IcechunkStore,
    ".nc": NetcdfStore,
}
_NEEDS = {".icechunk": ("icechunk", "icechunk"), ".nc": ("netCDF4", "netcdf")}  # package, extra


def store_of(target: Target) -> Store:
    """The store that ``target`` names.

    Raises
    ------
    OutputError
        The package that writes the format is not installed.
    """
    ending = os.path.splitext(target.path)[1]
    package, extra = _NEEDS.get(ending, ("zarr", ""))
    if find_spec(package) is None:
        raise OutputError(
            f"{target.path} needs {package}, which is not installed; "
            f"pip install 'fdgrad_dask[{extra}]', or name a target that ends in .zarr"
        )
    return _OF[ending](target)


def beside(target: Target) -> Place:
    """Where journal and lock of a target lie."""
    return Folder(f"{target.path}.journal")
