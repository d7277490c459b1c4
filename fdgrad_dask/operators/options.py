"""The options of the operators: their types, which editors and mypy check, and their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, get_args, get_type_hints

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError, did_you_mean
from fdgrad_dask.grids.coordinate import Axis, select_for_axis
from fdgrad_dask.grids.geometry import Curvilinear, Geometry, HorizontalGrid
from fdgrad_dask.grids.horizontal import recognise_circle
from fdgrad_dask.grids.times import convert_period
from fdgrad_dask.halo.compute import length
from fdgrad_dask.stencils.boundary import Boundary, Period, boundary_pair, check_period, full_turn
from fdgrad_dask.stencils.table import StencilTable, stencil

Skip = Literal["one-sided"] | None
# The sense in which a vertical coordinate grows, where its attributes do not say it.
Positive = Literal["up", "down"] | None
# Several dimensions, or None for all that have a coordinate: the result is a Dataset.
Dims = list[Any] | tuple[Any, ...] | None
KINEMATIC = (
    "divergence",
    "vorticity",
    "stretching_deformation",
    "shearing_deformation",
    "total_deformation",
)
# Options that are fields: coordinates of several dimensions.
COORDINATES = ("coordinate", "constant", "pressure")
HELMHOLTZ = ("stream_function", "velocity_potential", "rotational_wind", "divergent_wind")


class GradientOptions(TypedDict, total=False):
    """Options of `gradient`."""

    edge_order: int
    accuracy: int
    order: int
    boundary: Boundary
    period: Period
    datetime_unit: str | None
    skipna: Skip
    coordinate: str | xr.DataArray | None
    upward: bool
    positive: Positive


class GeometryOptions(TypedDict, total=False):
    """Options of operators that take no derivative."""

    geometry: Geometry | None


class InterpolationOptions(GeometryOptions, total=False):
    """Options of `interpolate`."""

    to: str


class HorizontalOptions(TypedDict, total=False):
    """Options of every horizontal operator."""

    edge_order: int
    accuracy: int
    boundary: Boundary
    skipna: Skip
    geometry: Geometry | None


class VerticalOptions(HorizontalOptions, total=False):
    """Options of operators that need a vertical coordinate."""

    vertical: Hashable | None


class LevelOptions(VerticalOptions, total=False):
    """Options of operators whose derivatives may be taken at constant pressure or height."""

    constant: str | xr.DataArray | None


class AdvectionOptions(LevelOptions, total=False):
    """Options of `advection`."""

    positive: Positive


class CurlOptions(VerticalOptions, total=False):
    """Options of `curl`."""

    positive: Positive


class QVectorOptions(VerticalOptions, total=False):
    """Options of `q_vector`."""

    pressure: str | xr.DataArray | None


class CoriolisOptions(LevelOptions, total=False):
    """Options of operators that need the rotation of the Earth."""

    coriolis: float | None


class KinematicsOptions(LevelOptions, total=False):
    """Options of `kinematics`."""

    which: Sequence[str]


class SpectralOptions(GeometryOptions, total=False):
    """Options of operators that take spherical harmonics."""

    truncation: int | None


class HelmholtzOptions(SpectralOptions, total=False):
    """Options of `helmholtz`."""

    parts: Sequence[str]


class PotentialVorticityOptions(QVectorOptions, total=False):
    """Options of `potential_vorticity`."""

    coriolis: float | None
    potential: bool | None


@dataclass(frozen=True)
class Options:
    """Every option with its default, as the caller gave it."""

    edge_order: int = 1
    accuracy: int = 2
    order: int = 1
    boundary: Boundary = None
    period: Period = None
    datetime_unit: str | None = None
    skipna: Skip = None
    coordinate: str | xr.DataArray | None = None
    geometry: Geometry | None = None
    coriolis: float | None = None
    vertical: Hashable | None = None
    constant: str | xr.DataArray | None = None
    pressure: str | xr.DataArray | None = None
    positive: Positive = None
    upward: bool = False
    which: Sequence[str] = KINEMATIC
    to: str = "center"
    potential: bool | None = None
    truncation: int | None = None
    parts: Sequence[str] = HELMHOLTZ

    def make_table(self, axis: Axis, field: xr.DataArray) -> StencilTable:
        """The stencil table for one axis of ``field``."""
        if self.skipna not in (None, "one-sided"):
            raise OptionError(f"skipna is {self.skipna!r}; choose None or 'one-sided'")
        check_period(self.boundary, self.period)
        low, high = boundary_pair(select_for_axis(self.boundary, axis, field))
        period = convert_period(select_for_axis(self.period, axis, field), axis.units, axis.is_time)
        if low == "periodic" and axis.period is not None and period in (None, axis.period):
            _require_gap(axis, axis.period)
        return stencil(
            axis.points,
            length(field, axis.number),
            order=self.order,
            accuracy=self.accuracy,
            edge_order=self.edge_order,
            boundary=(low, high),
            period=axis.period if period is None else period,
            skipna=self.skipna is not None,
            name=repr(axis.name),
        )

    def make_table_on(self, grid: HorizontalGrid, axis: Axis, field: xr.DataArray) -> StencilTable:
        """`make_table`, where a longitude around the globe and an even plane have a period."""
        options = self
        low, high = boundary_pair(select_for_axis(self.boundary, axis, field))
        if not isinstance(grid.geometry, Curvilinear):
            if grid.periodic[1] and axis is grid.x:
                options = replace(self, boundary="periodic", period=360.0)
            elif low == "periodic" and axis.period is None:
                options = replace(self, boundary=(low, high), period=_full_period(axis))
        return options.make_table(axis, field)

    def make_level_table(
        self, axis: Axis, plane: tuple[Axis, ...], field: xr.DataArray
    ) -> StencilTable:
        """The stencil table by the values of a coordinate that varies along the plane, too."""
        *beside, along = (
            boundary_pair(select_for_axis(self.boundary, a, field)) for a in (*plane, axis)
        )
        is_refused = isinstance(self.boundary, Mapping) and along != (None, None)
        if is_refused or any(not isinstance(end, str | None) for ends in beside for end in ends):
            raise OptionError(
                f"boundary is {self.boundary!r}, but beyond the ends nothing is known of "
                f"{axis.name!r}; leave them open, or let the field go on: 'reflect', 'periodic'"
            )
        return replace(self, boundary=None).make_table(axis, field)


def choose_names(option: str, given: str | Sequence[str], known: Collection[str]) -> list[str]:
    """The results that an option such as ``which`` asks for; raises for others, or for none."""
    names = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        close = f" ({did_you_mean(unknown[0], known)})" if unknown else ""
        raise OptionError(
            f"{option} is {names!r}; give a list of some of {', '.join(known)}{close}"
        )
    return names


def required_fields(operator: Callable[..., Any]) -> list[str]:
    """The fields that an operator cannot do without."""
    parameters = inspect.signature(operator).parameters.values()
    return [p.name for p in parameters if p.default is p.empty]


def list_fields(operator: Callable[..., Any]) -> list[str]:
    """The parameters of an operator that are fields; its options are keyword-only."""
    parameters = inspect.signature(operator).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return [name for name in positional if name != "dim"]


def public_signature(operator: Callable[..., Any]) -> inspect.Signature:
    """The signature of an operator with each of its options, for help, completion and the YAML."""
    *fields, _ = inspect.signature(operator).parameters.values()
    (options,) = get_args(get_type_hints(operator)["options"])
    named = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(Options, name),
            annotation=kind.__forward_arg__,
        )
        for name, kind in options.__annotations__.items()
    ]
    returned = inspect.signature(operator).return_annotation
    return inspect.Signature([*fields, *named], return_annotation=returned)


def _require_gap(axis: Axis, period: float) -> None:
    """Raises if the last points of a longitude are the first ones, to their rounding, or beyond."""
    distances = np.abs(axis.points.astype(np.float64) - float(axis.points[0]))
    _, _, repeats = recognise_circle(axis.points * (360.0 / period))
    count = max(repeats, int((distances >= period).sum()))
    if count:
        many = "drop one of them" if count == 1 else f"drop all {count} that repeat others"
        raise CoordinateError(
            f"the period {period:g} of {axis.name!r} must be longer than the {distances[-1]:g} from"
            " its first point to its last, beyond their rounding; if these are the same place, "
            f"{many}: .isel({axis.dim}=slice(None, -{count}))"
        )


def _full_period(axis: Axis) -> float:
    """The length of a periodic axis that is even but for the rounding of its coordinate."""
    turn = full_turn(axis.points)
    if turn is None:
        raise OptionError(
            f"{axis.name!r} is periodic but unevenly spaced, so the gap from its last point to its "
            "first is unknown; interpolate to even spacing, or leave its ends open: "
            "boundary=None"
        )
    return turn
