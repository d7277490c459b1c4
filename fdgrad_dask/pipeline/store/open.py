"""From the section of a config to the class that writes its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec

from fdgrad_dask.errors import OutputError
from fdgrad_dask.pipeline.config.source import Target
from fdgrad_dask.pipeline.source.remote import is_bucket
from fdgrad_dask.pipeline.store.base import Store
from fdgrad_dask.pipeline.store.bucket import Bucket
from fdgrad_dask.pipeline.store.folder import Folder
from fdgrad_dask.pipeline.store.icechunk import IcechunkStore
from fdgrad_dask.pipeline.store.netcdf import NetcdfStore
from fdgrad_dask.pipeline.store.zarr import ZarrFolder
from fdgrad_dask.pipeline.store.zarr_bucket import ZarrBucket

Place = Folder | Bucket
"""Where the small objects of a run lie beside its target."""

_OF: dict[str, Callable[[Target], Store]] = {
    ".zarr": ZarrFolder,
    ".icechunk": IcechunkStore,
    ".nc": NetcdfStore,
}
_NEEDS = {".icechunk": ("icechunk", "icechunk"), ".nc": ("netCDF4", "netcdf")}  # package, extra


def store_of(target: Target) -> Store:
    """The store that ``target`` names, where what writes it is installed."""
    ending, in_bucket = os.path.splitext(target.path)[1], is_bucket(target.path)
    needed = [_NEEDS[ending]] if ending in _NEEDS else []
    for package, extra in [*needed, *([("obstore", "remote")] if in_bucket else [])]:
        if find_spec(package) is None:
            raise OutputError(
                f"{target.path} needs {package}, which is not installed; "
                f"pip install 'fdgrad_dask[{extra}]', or name a Zarr folder on this machine"
            )
    return ZarrBucket(target) if in_bucket and ending == ".zarr" else _OF[ending](target)


def beside(target: Target) -> Place:
    """Where journal and lock of a target lie."""
    there = f"{target.path}.journal"
    return Bucket(there, target.storage_options) if is_bucket(there) else Folder(there)
