"""Finite-difference gradients of labelled arrays of any size."""

from fdgrad_dask import accessor, errors, operators
from fdgrad_dask.arrays import gradient
from fdgrad_dask.blocks.allocator import tune_memory
from fdgrad_dask.grids.geometry import Curvilinear, Plane, Sphere
from fdgrad_dask.halo.transfer import to_device

__all__ = [
    "Curvilinear",
    "Plane",
    "Sphere",
    "accessor",
    "errors",
    "gradient",
    "operators",
    "to_device",
    "tune_memory",
]


def __dir__() -> list[str]:
    # The rooms of the package are importable, but not what a user is meant to see.
    return __all__
