"""Finite-difference gradients of labelled arrays of any size."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fdgrad_dask import errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    import xarray as xr

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
            raise AttributeError(
                f"module 'fdgrad_dask' has no attribute {name!r}; operators of labelled fields are "
                "functions of fdgrad_dask.operators, and methods: ds.fdgrad.vorticity('u', 'v'); "
                f"{errors.did_you_mean(name, __all__)}"
            )
        value = getattr(import_module(f"fdgrad_dask.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def _on_field(field: "xr.DataArray") -> "accessor.DataArrayAccessor":
    from fdgrad_dask.accessor import DataArrayAccessor

    return DataArrayAccessor(field)


def _on_dataset(dataset: "xr.Dataset") -> "accessor.DatasetAccessor":
    from fdgrad_dask.accessor import DatasetAccessor

    return DatasetAccessor(dataset)


def _register(xarray: "ModuleType") -> None:
    xarray.register_dataarray_accessor("fdgrad")(_on_field)
    xarray.register_dataset_accessor("fdgrad")(_on_dataset)


class _OnImport:
    """Registers the accessors as soon as xarray is imported.

    To import it here would take four fifths of the time of `fdgrad --help`.
    """

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """What the other finders say, for xarray with a loader that registers afterwards."""
        if name != "xarray":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module: "ModuleType") -> None:
                load(module)
                sys.meta_path.remove(self)
                _register(module)

            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


if "xarray" in sys.modules:
    _register(sys.modules["xarray"])
else:
    sys.meta_path.insert(0, _OnImport())


def __dir__() -> list[str]:
    return __all__
