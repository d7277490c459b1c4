"""From the section of a config to the class that writes its format."""

from __future__ import annotations

from fdgrad_dask.pipeline.sections.target import Target
from fdgrad_dask.pipeline.targets.store import Store
from fdgrad_dask.pipeline.targets.zarr import ZarrStore


def store_of(target: Target) -> Store:
    """The store that ``target`` names."""
    return ZarrStore(target)
