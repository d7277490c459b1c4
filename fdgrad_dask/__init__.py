"""Finite-difference gradients of labelled arrays of any size."""

from fdgrad_dask import accessor as accessor
from fdgrad_dask import operators as operators
from fdgrad_dask.arrays import gradient as gradient
from fdgrad_dask.blocks.allocator import tune_memory as tune_memory
from fdgrad_dask.grids.geometry import Curvilinear as Curvilinear
from fdgrad_dask.grids.geometry import Plane as Plane
from fdgrad_dask.grids.geometry import Sphere as Sphere
