"""Finite-difference gradients of labelled arrays of any size."""

from fdgrad_dask import accessor as accessor
from fdgrad_dask import operators as operators
from fdgrad_dask.arrays import gradient as gradient
from fdgrad_dask.geometry import Curvilinear as Curvilinear
from fdgrad_dask.geometry import Plane as Plane
from fdgrad_dask.geometry import Sphere as Sphere
from fdgrad_dask.memory import tune_memory as tune_memory
