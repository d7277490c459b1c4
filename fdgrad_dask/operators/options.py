"""The keyword options of the operators, as types that editors and mypy complete and check."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal, TypedDict

import xarray as xr

from fdgrad_dask.grids.geometry import Geometry
from fdgrad_dask.stencils.boundary import Boundary, Period

Skip = Literal["one-sided"] | None
# Several dimensions, or None for all that have a coordinate: the result is a Dataset.
Dims = list[Any] | tuple[Any, ...] | None


class GradientOptions(TypedDict, total=False):
    """Options of `gradient`."""

    edge_order: int
    accuracy: int
    order: int
    boundary: Boundary
    period: Period
    datetime_unit: str | None
    skipna: Skip
    coordinate: xr.DataArray | None


class HorizontalOptions(TypedDict, total=False):
    """Options of every horizontal operator."""

    edge_order: int
    accuracy: int
    boundary: Boundary
    skipna: Skip
    geometry: Geometry | None


class CoriolisOptions(HorizontalOptions, total=False):
    """Options of operators that need the rotation of the Earth."""

    coriolis: float | None


class VerticalOptions(HorizontalOptions, total=False):
    """Options of operators that need a vertical coordinate."""

    vertical: Hashable | None


class KinematicsOptions(HorizontalOptions, total=False):
    """Options of `kinematics`."""

    which: Sequence[str]


class PotentialVorticityOptions(VerticalOptions, CoriolisOptions, total=False):
    """Options of `potential_vorticity`."""

    potential: bool | None
