"""The operators: labelled fields in, labelled fields out, lazy wherever the input is.

``__all__`` is the one list of them; the accessor, the YAML and ``fdgrad operators`` follow it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from fdgrad_dask.attributes import derivative_name, derived, quotient, title
from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.geometry import Geometry, Sphere
from fdgrad_dask.grid import Axis, as_numbers, axis_of, knows
from fdgrad_dask.halo import differentiate, length
from fdgrad_dask.horizontal import horizontal, is_global
from fdgrad_dask.levels import levels_of
from fdgrad_dask.spacing import boundary_pair, check_period
from fdgrad_dask.stencil import Stencil, stencil

__all__ = ["gradient", "gradient_magnitude"]

Skip = Literal["one-sided"] | None


@dataclass(frozen=True)
class _Scheme:
    """The options of a derivative, as the caller gave them."""

    edge_order: int = 1
    accuracy: int = 2
    order: int = 1
    boundary: Any = None
    period: Any = None
    datetime_unit: str | None = None
    skipna: Skip = None

    def stencil(self, axis: Axis, n: int) -> Stencil:
        """The table for one axis."""
        if self.skipna not in (None, "one-sided"):
            raise OptionError(f"skipna is {self.skipna!r}; choose None or 'one-sided'")
        check_period(self.boundary, self.period)
        low, high = boundary_pair(_of_axis(self.boundary, axis))
        period = _of_axis(self.period, axis)
        return stencil(
            axis.points,
            n,
            order=self.order,
            accuracy=self.accuracy,
            edge_order=self.edge_order,
            boundary=(low, high),
            period=axis.period if period is None else period,
            skipna=self.skipna is not None,
            name=repr(axis.name),
        )


def gradient(
    field: xr.DataArray | xr.Dataset,
    dim: Hashable | Sequence[Hashable] | None = None,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    order: int = 1,
    boundary: Any = None,
    period: Any = None,
    datetime_unit: str | None = None,
    skipna: Skip = None,
    coordinate: xr.DataArray | None = None,
) -> Any:
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
        n steps for an even axis; elsewhere it must be given. A mapping where they differ.
    datetime_unit
        What dates are counted in: W, D, h, m, s (the default), ms, us, ns, ps, fs, as; year,
        decade or century of the calendar that they are in.
    skipna
        ``"one-sided"``: beside a missing value the difference uses the points that are there,
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
    scheme = _Scheme(edge_order, accuracy, order, boundary, period, datetime_unit, skipna)
    several = list(dim) if isinstance(dim, (list, tuple)) else None
    if isinstance(field, xr.DataArray):
        if dim is not None and several is None:
            return _derivative(field, dim, scheme, coordinate)
        fields = [field]
    else:
        variables = list(field.data_vars.values())
        fields = [variable for variable in variables if variable.dtype.kind in "iufcmM"]
    results = []
    for one in fields:
        dims = several if several is not None else [dim]
        if dim is None:
            dims = [name for name in one.dims if name in one.coords]
        elif isinstance(field, xr.Dataset):
            dims = [name for name in dims if knows(one, name)]
        results += [_derivative(one, name, scheme, coordinate) for name in dims]
    if not results:
        raise CoordinateError(_nothing_along(dim, fields))
    return xr.Dataset({result.name: result for result in results})


def gradient_magnitude(
    field: xr.DataArray,
    *,
    edge_order: int = 1,
    accuracy: int = 2,
    boundary: Any = None,
    skipna: Skip = None,
    geometry: Geometry | None = None,
) -> xr.DataArray:
    """|∇f| = √( (1/h_x ∂f/∂x)² + (1/h_y ∂f/∂y)² ), in units of the field per metre.

    On a sphere of radius a, h_x = a cos φ and h_y = a (Batchelor 1967, appendix 2).

    Parameters
    ----------
    field
        Longitude and latitude in degrees, or x and y with a unit of length, found by their CF
        attributes; other dimensions in any order.
    edge_order, accuracy, skipna
        See `gradient`.
    boundary
        See `gradient`; a longitude that goes around the globe is periodic by itself.
    geometry
        `Sphere` or `Plane`, instead of the one that the coordinates tell.

    Returns
    -------
    DataArray
        The dims, coords and chunks of the field. NaN at a pole, where east has no direction.
        The attributes say which geometry and radius were used, and which axis is periodic.

    Raises
    ------
    CoordinateError
        The horizontal axes or their geometry cannot be told.
    """
    field = as_numbers(field, None)
    x, y, geometry = horizontal(field, geometry)
    scheme = _Scheme(edge_order, accuracy, 1, boundary, None, None, skipna)
    wraps = is_global(field, x) and _of_axis(boundary, x) is None
    along_x = replace(scheme, boundary={x.name: "periodic"}, period=360.0) if wraps else scheme
    h_x, h_y = (
        xr.DataArray(h.astype(_real(field)), dims=[y.dim]) for h in geometry.scale_factors(y.points)
    )
    f_x = _along(field, x, along_x) / h_x
    f_y = _along(field, y, scheme) / h_y
    result: xr.DataArray = xr.ufuncs.hypot(f_x, f_y).transpose(*field.dims)
    result.attrs = derived(
        field.attrs,
        quotient(field.attrs.get("units"), "m"),
        f"magnitude of the gradient of {title(field.attrs, field.name)}",
    )
    result.attrs["geometry"] = type(geometry).__name__.lower()
    if isinstance(geometry, Sphere):
        result.attrs["earth_radius"] = geometry.radius
    if wraps:
        result.attrs["periodic"] = str(x.name)
    return result.rename(f"{'f' if field.name is None else field.name}_gradient_magnitude")


def _derivative(
    field: xr.DataArray, dim: Hashable, scheme: _Scheme, coordinate: xr.DataArray | None = None
) -> xr.DataArray:
    """∂field/∂dim with its labels."""
    field = as_numbers(field, scheme.datetime_unit)
    if coordinate is None:
        axis = axis_of(field, dim, datetime_unit=scheme.datetime_unit)
        return _along(field, axis, scheme)
    if coordinate.ndim == 1:
        name = coordinate.name or "z"
        labelled = field.assign_coords({name: coordinate})
        axis = axis_of(labelled, name, datetime_unit=scheme.datetime_unit)
        return _along(field, axis, scheme)
    if scheme.boundary is not None:
        raise OptionError("boundary and coordinate exclude each other; leave boundary at None")
    field, z, axis = levels_of(field, coordinate, dim)
    if scheme.skipna is not None:
        field = field.where(z.notnull())
    return _along(field, axis, scheme, z)


def _along(
    field: xr.DataArray, axis: Axis, scheme: _Scheme, z: xr.DataArray | None = None
) -> xr.DataArray:
    table = scheme.stencil(axis, length(field, axis.number))
    data = differentiate(field.data, axis.number, table, None if z is None else z.data)
    order = scheme.order
    words = f"derivative of {title(field.attrs, field.name)} with respect to {axis.title}"
    return xr.DataArray(
        data,
        coords=field.coords,
        dims=field.dims,
        name=derivative_name(field.name, axis.name, order),
        attrs=derived(
            field.attrs,
            _units_of(field, axis, order),
            words if order == 1 else "second " + words,
        ),
    )


def _units_of(field: xr.DataArray, axis: Axis, order: int) -> str | None:
    """Units of the derivative; those of time are always said, if need be alone."""
    units = field.attrs.get("units")
    if units is None and axis.is_time:
        units = "1"
    return quotient(units, axis.units, order)


def _of_axis(option: Any, axis: Axis) -> Any:
    """The value of an option for one axis: one for all, or by name in a mapping."""
    if not isinstance(option, Mapping):
        return option
    return next((option[key] for key in (axis.asked, axis.name, axis.dim) if key in option), None)


def _real(field: xr.DataArray) -> Any:
    """The dtype for factors that leave the dtype of ``field`` as it is."""
    return np.empty(0, field.dtype).real.dtype if field.dtype.kind in "fc" else np.float64


def _nothing_along(dim: Any, fields: Sequence[xr.DataArray]) -> str:
    have = sorted({str(name) for field in fields for name in field.dims})
    what = "a coordinate" if dim is None else f"{dim!r}"
    return f"no variable of numbers extends along {what}; there are the dimensions {have}"
