"""Finite-difference gradients of labelled arrays of any size."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import xarray as xr

from fdgrad_dask import errors

if TYPE_CHECKING:
    from fdgrad_dask import accessor, operators
    from fdgrad_dask.arrays import gradient
    from fdgrad_dask.blocks.allocator import tune_memory
    from fdgrad_dask.grids.geometry import Curvilinear, Plane, Sphere
    from fdgrad_dask.grids.parametric import vertical_coordinate
    from fdgrad_dask.grids.staggered import Grid
    from fdgrad_dask.halo.transfer import to_device

__all__ = [
    "Curvilinear",
    "Grid",
    "Plane",
    "Sphere",
    "accessor",
    "errors",
    "gradient",
    "operators",
    "to_device",
    "tune_memory",
    "vertical_coordinate",
]

_MODULES = {
    "Curvilinear": "grids.geometry",
    "Grid": "grids.staggered",
    "Plane": "grids.geometry",
    "Sphere": "grids.geometry",
    "gradient": "arrays",
    "to_device": "halo.transfer",
    "tune_memory": "blocks.allocator",
    "vertical_coordinate": "grids.parametric",
}

if not TYPE_CHECKING:  # for type checkers an unknown name is an error, not Any

    def __getattr__(name: str) -> Any:
        # Importing JAX and dask takes a second, which `fdgrad --help` need not wait for.
        if name in ("accessor", "operators"):
            return import_module(f"fdgrad_dask.{name}")
        if name not in _MODULES:
            raise AttributeError(f"module 'fdgrad_dask' has no attribute {name!r}")
        value = getattr(import_module(f"fdgrad_dask.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def _on_field(field: xr.DataArray) -> "accessor.DataArrayAccessor":
    from fdgrad_dask.accessor import DataArrayAccessor

    return DataArrayAccessor(field)


def _on_dataset(dataset: xr.Dataset) -> "accessor.DatasetAccessor":
    from fdgrad_dask.accessor import DatasetAccessor

    return DatasetAccessor(dataset)


xr.register_dataarray_accessor("fdgrad")(_on_field)
xr.register_dataset_accessor("fdgrad")(_on_dataset)


def __dir__() -> list[str]:
    return __all__
