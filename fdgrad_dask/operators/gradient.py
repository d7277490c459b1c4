"""`gradient`: the derivative of a labelled field along its coordinates."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Unpack, overload

import xarray as xr

from fdgrad_dask.blocks.central import differentiate_centrally, suits_central
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.attributes import (
    choose_long_name,
    derive_attributes,
    name_derivative,
)
from fdgrad_dask.grids.coordinate import Axis, check_axis_names, find_axis, has_axis
from fdgrad_dask.grids.times import YEARS, as_numbers
from fdgrad_dask.grids.units import divide_units
from fdgrad_dask.grids.vertical import (
    align_levels,
    describe_not_monotonic,
    make_axis,
    resolve_levels,
)
from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.fused_pass import FusedPass, label
from fdgrad_dask.operators.options import Dims, GradientOptions, Options
from fdgrad_dask.operators.verticals import find_sense


@overload
def gradient(
    field: xr.Dataset, dim: Dims | Hashable = None, **options: Unpack[GradientOptions]
) -> xr.Dataset: ...
# A tuple is hashable too, but it always means several dimensions.
@overload
def gradient(  # type: ignore[overload-overlap]
    field: xr.DataArray, dim: Dims = None, **options: Unpack[GradientOptions]
) -> xr.Dataset: ...
@overload
def gradient(
    field: xr.DataArray, dim: Hashable, **options: Unpack[GradientOptions]
) -> xr.DataArray: ...
@takes_fields
def gradient(
    field: xr.DataArray | xr.Dataset,
    dim: Hashable | Sequence[Hashable] | None = None,
    **options: Unpack[GradientOptions],
) -> xr.DataArray | xr.Dataset:
    """∂field/∂dim, in units of the field per unit of the coordinate.

    Parameters
    ----------
    field
        A DataArray, or a Dataset: then each of its variables that has ``dim``.
    dim
        A dimension, a 1-D coordinate along one, or a CF name (``"X"``, ``"longitude"``, a
        standard_name); several in a list; None for all dimensions that have a coordinate. A
        dimension without a coordinate has unit spacing.
    edge_order
        1 or 2: order of the one-sided differences at the two ends of the domain.
    accuracy
        2, 4, 6 or 8: order in the interior; above 2 the edges have it too.
    order
        1, or 2 for the second derivative, by its own compact stencil.
    boundary
        None, ``"periodic"``, ``"reflect"``, ``"extend"``, or the number that stands outside; a
        pair for the two ends; a mapping from dim to any of these.
    period
        Length of a periodic axis in units of its coordinate: 360 for a longitude in degrees,
        n steps for an even axis; elsewhere it must be given. A duration, such as
        ``numpy.timedelta64(365, "D")``, for an axis of dates. A mapping where they differ.
    datetime_unit
        What dates are counted in: W, D, h, m, s (the default), ms, us, ns, ps, fs, as; year,
        decade or century of the calendar that they are in, whose days the units then say:
        ``K (365.2425 days)-1``. A month has no fixed length.
    skipna
        ``"one-sided"``: beside a missing value the difference uses the points that are present,
        and is missing only where no two are, or the point itself is not.
    coordinate
        A field that shares ``dim`` and may vary along others: the derivative is with respect
        to it, so ∂f/∂z on levels whose height is a field. ``"pressure"`` or ``"height"`` is
        that of the levels, from their formula terms; see `fdgrad_dask.vertical_coordinate`.
    upward
        True for the derivative upwards along a vertical coordinate, ``d{name}_dz``: −∂f/∂z where
        that grows downward, as a depth or a pressure does.
    positive
        ``"up"`` or ``"down"``, how that coordinate grows where its attributes do not say it.

    Returns
    -------
    DataArray for one name, Dataset for several, for None and for a Dataset
        The dims, coords and chunks of the input; named ``d{name}_d{dim}``; units worked out.

    Raises
    ------
    CoordinateError
        The coordinate is not strictly monotonic, holds NaN, or is too short.
    OptionError
        An option has no such value.
    TypeError
        The field holds neither numbers nor dates.

    Examples
    --------
    >>> import xarray as xr
    >>> t = xr.DataArray([1.0, 3.0, 7.0], dims="x", coords={"x": [0.0, 1.0, 2.0]}, name="t")
    >>> gradient(t, "x").values
    array([2., 3., 4.])
    >>> gradient(t, "depth")
    Traceback (most recent call last):
    ...
    fdgrad_dask.errors.CoordinateError: no dimension 'depth'; 't' has the dimensions ('x',) ...
    """
    several = list(dim) if isinstance(dim, (list, tuple)) else None
    given = Options(**options)
    fields = [field] if isinstance(field, xr.DataArray) else _of_numbers(field)
    check_axis_names(given.boundary, fields)
    check_axis_names(given.period, fields)
    if given.upward and (dim is None or several is not None):
        raise OptionError("upward goes with one vertical coordinate; name it alone: dim=")
    if isinstance(field, xr.DataArray) and dim is not None and several is None:
        return _derivative(field, dim, given)
    results = []
    for name in [dim] if several is None else several:
        if isinstance(field, xr.Dataset) and dim is not None:
            _require_one_along(name, fields)
    for part in fields:
        dims = [dim] if several is None else several
        if dim is None:
            dims = [name for name in part.dims if name in part.coords]
        elif isinstance(field, xr.Dataset):
            dims = [name for name in dims if has_axis(part, name)]
        results += _derivatives(part, dims, given)
    if not results:
        _refuse_nothing_along("a coordinate", fields)
    if isinstance(field, xr.DataArray):  # xarray need not compare coordinates that are the same
        made = {result.name: result.variable for result in results}
        return xr.Dataset(made, coords=results[0].coords)
    return xr.Dataset({result.name: result for result in results})


def _derivatives(field: xr.DataArray, dims: Sequence[Any], options: Options) -> list[xr.DataArray]:
    """Several derivatives of one field, in one pass."""
    if len(dims) < 2:
        return [_derivative(field, dim, options) for dim in dims]
    if options.coordinate is not None:
        raise OptionError(
            f"coordinate is given, and the dimensions {dims}, but a derivative with respect to it "
            f"is along one of them; give that: dim={dims[0]!r}"
        )
    field = as_numbers(field, options.datetime_unit)
    axes = [find_axis(field, dim, datetime_unit=options.datetime_unit) for dim in dims]
    made = [_differentiate_simply(field, axis, options) for axis in axes]
    if any(one is None for one in made):
        made = _differentiate_together(field, axes, options)
    return [_labelled(field, *one, options.order) for one in zip(made, axes, strict=True)]


def _differentiate_together(
    field: xr.DataArray, axes: Sequence[Axis], options: Options
) -> list[Any]:
    """Several derivatives of one field, of which each value is read once."""
    fused = FusedPass(field, is_metric=False)
    (s,) = fused.fields
    return fused.solve(*(fused.differentiate(s, a, options.make_table(a, field)) for a in axes))


def _derivative(field: xr.DataArray, dim: Hashable, options: Options) -> xr.DataArray:
    """∂field/∂dim with its labels."""
    field, coordinate = as_numbers(field, options.datetime_unit), options.coordinate
    z, what = None, ""
    if coordinate is None:
        axis = find_axis(field, dim, datetime_unit=options.datetime_unit)
    elif (coordinate := resolve_levels(field, coordinate, dim)).ndim == 1:
        axis = make_axis(field, coordinate, dim, options.datetime_unit)
    else:
        if options.boundary is not None:
            raise OptionError("boundary and coordinate exclude each other; leave boundary at None")
        is_dated = coordinate.dtype.kind in "mM"  # as the valid times of several forecasts
        if is_dated:
            coordinate = as_numbers(coordinate, options.datetime_unit)
        field, levels, axis = align_levels(field, coordinate, dim)
        if is_dated:
            units = f"({axis.units})" if options.datetime_unit in YEARS else axis.units
            axis = replace(axis, units=units, is_time=True)
        if options.skipna is not None:
            field = field.where(levels.notnull())
        z, what = levels.data, describe_not_monotonic(axis)
    data = None if z is not None else _differentiate_simply(field, axis, options)
    if data is None:
        data = differentiate(field.data, axis.number, options.make_table(axis, field), z, what)
    result = _labelled(field, data, axis, options.order)
    if options.upward or options.positive is not None:
        level = field.coords.get(axis.name) if coordinate is None else coordinate
        result = _turn_upward(result, field, level, axis, options)
    return result


def _turn_upward(
    result: xr.DataArray, field: xr.DataArray, level: Any, axis: Axis, options: Options
) -> xr.DataArray:
    """A derivative along a vertical coordinate as that upwards."""
    if not options.upward:
        raise OptionError("positive says how the coordinate grows, for upward=True; add that")
    sense = None if level is None else find_sense(level, options.positive)
    if sense is None:
        raise OptionError(
            f"{axis.name!r} does not say whether it is a height or a depth; set its attribute "
            "positive, or give the option positive=: 'up' or 'down'"
        )
    if not sense and options.order == 1:
        result = result.copy(data=-result.data)
    result.attrs["long_name"] += ", upward"
    return result.rename(name_derivative(field.name, "z", options.order))


def _differentiate_simply(field: xr.DataArray, axis: Axis, options: Options) -> Any:
    """The central differences of a small array, as `fdgrad_dask.gradient` takes them.

    None where that is not what is asked for, or where it takes longer.
    """
    o, f, number = options, field.data, axis.number
    is_special = any(one is not None for one in (o.boundary, o.skipna, o.period))
    if is_special or o.accuracy != 2 or o.order != 1:
        return None
    if not suits_central(f, [number], [axis.steps], o.edge_order):
        return None
    return differentiate_centrally(f, number, axis.points, axis.steps, o.edge_order)


def _labelled(field: xr.DataArray, data: Any, axis: Axis, order: int) -> xr.DataArray:
    """A derivative with the labels of the field; the units of time are always said."""
    units = field.attrs.get("units", "1" if axis.is_time else None)
    of = f"derivative of {choose_long_name(field.attrs, field.name)} with respect to {axis.title}"
    long_name = of if order == 1 else f"second {of}"
    attrs = derive_attributes(field, divide_units(units, axis.units, order), long_name)
    return label(field, data, name_derivative(field.name, axis.name, order), attrs)


def _of_numbers(dataset: xr.Dataset) -> list[xr.DataArray]:
    return [field for field in dataset.data_vars.values() if field.dtype.kind in "iufcmM"]


def _require_one_along(name: Hashable, fields: Sequence[xr.DataArray]) -> None:
    if not any(has_axis(field, name) for field in fields):
        _refuse_nothing_along(repr(name), fields)


def _refuse_nothing_along(what: str, fields: Sequence[xr.DataArray]) -> None:
    have = sorted({str(name) for field in fields for name in field.dims})
    known = {repr(field.name) for field in fields}
    hint = f"; of one field it is ds[{what}].fdgrad.gradient(dim)" if what in known else ""
    raise CoordinateError(
        f"no variable of numbers extends along {what}; there are the dimensions {have}{hint}"
    )
