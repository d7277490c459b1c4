"""`gradient`: the derivative of a labelled field along its coordinates."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Unpack, overload

import xarray as xr

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.attributes import (
    check_result_name,
    choose_long_name,
    derive_attributes,
    name_derivative,
)
from fdgrad_dask.grids.coordinate import Axis, check_axis_names, find_axis, has_axis
from fdgrad_dask.grids.times import as_numbers
from fdgrad_dask.grids.units import divide_units
from fdgrad_dask.grids.vertical import (
    align_levels,
    describe_not_monotonic,
    make_axis,
    require_dataarray,
)
from fdgrad_dask.halo.compute import differentiate
from fdgrad_dask.operators.entry import takes_fields
from fdgrad_dask.operators.fused_pass import FusedPass, Options
from fdgrad_dask.operators.options import Dims, GradientOptions, Skip
from fdgrad_dask.stencils.boundary import Boundary, Period


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
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    order: int = 1,
    boundary: Boundary = None,
    period: Period = None,
    datetime_unit: str | None = None,
    skipna: Skip = None,
    coordinate: xr.DataArray | None = None,
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
        to it, so ∂f/∂z on levels whose height is a field.

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
    options = Options(edge_order, accuracy, order, boundary, period, datetime_unit, skipna)
    several = list(dim) if isinstance(dim, (list, tuple)) else None
    fields = [field] if isinstance(field, xr.DataArray) else _of_numbers(field)
    check_axis_names(boundary, fields)
    check_axis_names(period, fields)
    if isinstance(field, xr.DataArray) and dim is not None and several is None:
        return _derivative(field, dim, options, coordinate)
    for name in [dim] if several is None else several:
        if isinstance(field, xr.Dataset) and dim is not None:
            _require_one_along(name, fields)
    results = []
    for part in fields:
        dims = several if several is not None else [dim]
        if dim is None:
            dims = [name for name in part.dims if name in part.coords]
        elif isinstance(field, xr.Dataset):
            dims = [name for name in dims if has_axis(part, name)]
        results += _derivatives(part, dims, options, coordinate)
    if not results:
        _refuse_nothing_along("a coordinate", fields)
    return xr.Dataset({result.name: result for result in results})


def _derivatives(
    field: xr.DataArray, dims: Sequence[Any], options: Options, coordinate: xr.DataArray | None
) -> list[xr.DataArray]:
    """Several derivatives of one field, in one pass."""
    if coordinate is not None or len(dims) < 2:
        return [_derivative(field, dim, options, coordinate) for dim in dims]
    field = as_numbers(field, options.datetime_unit)
    axes = [find_axis(field, dim, datetime_unit=options.datetime_unit) for dim in dims]
    fused = FusedPass(field, is_metric=False)
    leaves = [
        fused.differentiate(fused.fields[0], axis, options.table(axis, field)) for axis in axes
    ]
    results = zip(fused.solve_without_equation(*leaves), axes, strict=True)
    return [_labelled(field, data, axis, options.order) for data, axis in results]


def _derivative(
    field: xr.DataArray, dim: Hashable, options: Options, coordinate: xr.DataArray | None
) -> xr.DataArray:
    """∂field/∂dim with its labels."""
    field = as_numbers(field, options.datetime_unit)
    z, what = None, ""
    if coordinate is not None:
        require_dataarray(coordinate)
    if coordinate is None:
        axis = find_axis(field, dim, datetime_unit=options.datetime_unit)
    elif coordinate.ndim == 1:
        axis = make_axis(field, coordinate, dim, options.datetime_unit)
    else:
        if options.boundary is not None:
            raise OptionError("boundary and coordinate exclude each other; leave boundary at None")
        field, z, axis = align_levels(field, coordinate, dim)
        if options.skipna is not None:
            field = field.where(z.notnull())
        what = describe_not_monotonic(axis)
    table = options.table(axis, field)
    data = differentiate(field.data, axis.number, table, None if z is None else z.data, what)
    return _labelled(field, data, axis, options.order)


def _labelled(field: xr.DataArray, data: Any, axis: Axis, order: int) -> xr.DataArray:
    """A derivative with the labels of the field; the units of time are always said."""
    units = field.attrs.get("units")
    if units is None and axis.is_time:
        units = "1"
    words = (
        f"derivative of {choose_long_name(field.attrs, field.name)} with respect to {axis.title}"
    )
    name = name_derivative(field.name, axis.name, order)
    check_result_name(name, field)
    return xr.DataArray(
        data,
        coords=field.coords,
        dims=field.dims,
        name=name,
        attrs=derive_attributes(
            field,
            divide_units(units, axis.units, order),
            words if order == 1 else "second " + words,
        ),
    )


def _of_numbers(dataset: xr.Dataset) -> list[xr.DataArray]:
    return [field for field in dataset.data_vars.values() if field.dtype.kind in "iufcmM"]


def _require_one_along(name: Hashable, fields: Sequence[xr.DataArray]) -> None:
    if not any(has_axis(field, name) for field in fields):
        _refuse_nothing_along(repr(name), fields)


def _refuse_nothing_along(what: str, fields: Sequence[xr.DataArray]) -> None:
    have = sorted({str(name) for field in fields for name in field.dims})
    raise CoordinateError(
        f"no variable of numbers extends along {what}; there are the dimensions {have}"
    )
