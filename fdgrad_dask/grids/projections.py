"""Find and read the grid mapping of a field, in every spelling that files use.

CF names it by the attribute ``grid_mapping``, as ``"crs"`` or ``"crs: x y"``, and describes it by
parameters, by WKT, or both; others write a PROJ string. MetPy and xwrf add a coordinate that holds
the projection itself and no attribute that names it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import xarray as xr

from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.grids.earth import EARTH_RADIUS
from fdgrad_dask.grids.units import conversion_factor

_WKT = ("crs_wkt", "spatial_ref")
_PROJ = ("proj4", "proj4_params", "proj4_string", "proj4text", "proj_params", "proj4_parameters")
_RADII = ("earth_radius", "semi_major_axis", "semi_minor_axis", "inverse_flattening")
_SMALLEST = 1e5  # m; a smaller radius must be in kilometres, but CF prescribes metres


@dataclass(frozen=True)
class GridMapping:
    """The variable that describes a projection: its name and its attributes.

    ``is_carried`` is False if a field names a grid mapping that is not among its coordinates.
    """

    name: Hashable
    attrs: dict[str, Any]
    is_carried: bool = True

    @property
    def kind(self) -> str | None:
        """The CF name of the projection; None if it is described by a CRS alone."""
        kind = self.attrs.get("grid_mapping_name")
        return None if kind in (None, "unknown") else str(kind)

    @property
    def is_described(self) -> bool:
        """True if the attributes describe a projection."""
        return self.kind is not None or self._text is not None

    @property
    def _text(self) -> str | None:
        """The projection as WKT or as a PROJ string."""
        texts = [self.attrs.get(key) for key in (*_WKT, *_PROJ)]
        return next((text for text in texts if isinstance(text, str) and text.strip()), None)

    @cached_property
    def crs(self) -> Any:
        """The projection as a `pyproj.CRS`; raises CoordinateError if pyproj cannot read it."""
        try:
            from pyproj.exceptions import CRSError
        except ImportError:
            raise CoordinateError(
                f"the grid mapping {self.name!r} is {self.kind or 'a CRS'!r}, which needs pyproj, "
                "and that is not installed: pip install pyproj"
            ) from None
        try:
            if self.kind is None and not any(key in self.attrs for key in _WKT):
                return _read_crs(self._text)
            frozen = ((key, _freeze(value)) for key, value in self.attrs.items())
            # Nothing that pyproj reads is a mapping or another thing that cannot be compared.
            return _read_crs(tuple(one for one in frozen if isinstance(one[1], Hashable)))
        except (KeyError, CRSError) as error:
            raise CoordinateError(
                f"the attributes of the grid mapping {self.name!r} are not understood "
                f"({type(error).__name__}: {error}); correct them, or treat the map as the "
                "ground: geometry=Plane()"
            ) from None

    def radii(self) -> tuple[float, float]:
        """Return the equatorial and polar radius in metres; the default if none is given."""
        given = {key: _to_float(self.attrs[key]) for key in _RADII if key in self.attrs}
        major = given.get("earth_radius", given.get("semi_major_axis"))
        if major is None:
            if self._text is None:
                return EARTH_RADIUS, EARTH_RADIUS
            ellipsoid = self.crs.ellipsoid
            return float(ellipsoid.semi_major_metre), float(ellipsoid.semi_minor_metre)
        minor = given.get("semi_minor_axis", major)
        if given.get("inverse_flattening"):
            minor = major * (1 - 1 / given["inverse_flattening"])
        for radius in (major, minor):
            if not _SMALLEST <= radius < np.inf:
                raise CoordinateError(
                    f"the grid mapping {self.name!r} has a radius of {radius:g}, but it needs "
                    "metres; if that is in kilometres, multiply its earth_radius, semi_major_axis "
                    "and semi_minor_axis by 1000"
                )
        return major, minor

    def places(self, x: xr.DataArray, y: xr.DataArray) -> tuple[xr.Variable, xr.Variable] | None:
        """Compute latitude and longitude in degrees over (y, x); None if x and y are these already.

        Raises CoordinateError if the units of x or y are neither a length nor, where that makes
        sense, an angle.
        """
        import pyproj

        crs = self.crs
        is_turned = crs.is_geographic and crs.is_derived
        if crs.is_geographic and not is_turned:
            return None
        geographic = crs.source_crs if is_turned else crs.geodetic_crs
        across, along = (self._in_own_units(one) for one in (x, y))
        turn = pyproj.Transformer.from_crs(crs, geographic, always_xy=True)
        lon, lat = turn.transform(*np.meshgrid(across, along))
        dims = (*y.dims, *x.dims)
        return xr.Variable(dims, lat), xr.Variable(dims, lon)

    def _in_own_units(self, axis: xr.DataArray) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Convert the values of x or y to the units of the projection."""
        values = axis.values.astype(np.float64)
        units = axis.attrs.get("units")
        if self.crs.is_geographic:
            factor = conversion_factor(units, "degree")
        elif (metres := conversion_factor(units, "m")) is not None:
            factor = metres / self.crs.axis_info[0].unit_conversion_factor
        else:
            # A geostationary view has angles, which the satellite's height turns into metres.
            height = {**self.crs.to_cf(), **self.attrs}.get("perspective_point_height")
            radians = conversion_factor(units, "radian")
            factor = None if height is None or radians is None else radians * _to_float(height)
        if factor is None:
            needed = "degrees" if self.crs.is_geographic else "a length, such as m or km"
            raise CoordinateError(
                f"{axis.name!r} has the units {units!r}, but the axes of the grid mapping "
                f"{self.name!r} need {needed}; set units: "
                f".{axis.name}.assign_attrs(units=…), assigned as a coordinate"
            )
        return values if factor == 1 else values * factor


# pyproj needs up to a fifth of a second for a CRS, more than operators need for small fields.
@lru_cache(maxsize=64)
def _read_crs(text_or_parameters: str | tuple[tuple[str, Any], ...] | None) -> Any:
    import pyproj

    if isinstance(text_or_parameters, tuple):
        return pyproj.CRS.from_cf(dict(text_or_parameters))
    return pyproj.CRS.from_user_input(text_or_parameters)


def _freeze(value: Any) -> Any:
    """Convert an attribute of a file to plain numbers or text, which can be compared."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(map(_freeze, value)) if isinstance(value, list | tuple) else value


def find_grid_mapping(field: xr.DataArray) -> GridMapping | None:
    """Find the grid mapping that a field names, or the only one among its coordinates."""
    coords, names = field.coords.variables, _list_named(field, field.dims)
    for name in names:
        if name in coords:
            return GridMapping(name, _read_attributes(coords[name]))
    scalars = {name: _read_attributes(one) for name, one in coords.items() if one.ndim == 0}
    described = [one for name in scalars if (one := GridMapping(name, scalars[name])).is_described]
    if len(described) == 1:
        return described[0]
    return GridMapping(names[0], {}, is_carried=False) if names else None


def label_axes(field: xr.DataArray) -> xr.DataArray:
    """Give x and y with no more attributes than units those that their grid mapping implies.

    rioxarray opens rasters without any. Whole numbers without units may count points, and stay
    what they are.
    """
    for one in (field.coords.variables.get(name) for name in "xy"):
        if one is None or one.ndim != 1 or one.dtype.kind not in "iuf":
            return field
        if not one.attrs.keys().isdisjoint(("standard_name", "axis")):
            return field
    axes = {axis: field[axis.lower()] for axis in "XY"}
    units = {axis: one.attrs.get("units") for axis, one in axes.items()}
    has_units, has_none = all(units.values()), not any(units.values())
    if not (has_units or (has_none and all(one.dtype.kind == "f" for one in axes.values()))):
        return field
    mapping = find_grid_mapping(field)
    if mapping is None or not mapping.is_described:
        return field
    known = {each.get("axis"): each for each in mapping.crs.cs_to_cf()}
    if not axes.keys() <= known.keys():
        return field
    if has_units and any(conversion_factor(units[a], known[a]["units"]) is None for a in axes):
        return field
    return field.assign_coords(
        {one.name: one.assign_attrs({**known[axis], **one.attrs}) for axis, one in axes.items()}
    )


def earth_radii(field: xr.DataArray, given: float = EARTH_RADIUS) -> tuple[float, float]:
    """Return the equatorial and polar radius: as given, else those of the grid mapping."""
    mapping = find_grid_mapping(field)
    major, minor = (EARTH_RADIUS, EARTH_RADIUS) if mapping is None else mapping.radii()
    return (major, minor) if given in (EARTH_RADIUS, major) else (given, given)


def carry_grid_mapping(field: xr.DataArray, dataset: xr.Dataset) -> xr.DataArray:
    """Give a variable of a dataset the grid mapping that it names as a coordinate."""
    names = [name for name in _list_named(field) if name in dataset.data_vars]
    found = {name: dataset.variables[name] for name in names if dataset.variables[name].ndim == 0}
    return field.assign_coords(found) if found else field


def _list_named(field: xr.DataArray, dims: Collection[Hashable] = ()) -> list[str]:
    """List the grid mappings that a field names, that of the dimensions ``dims`` first."""
    named = field.attrs.get("grid_mapping", field.encoding.get("grid_mapping"))
    return [] if named is None else parse_grid_mapping(str(named), dims)


def parse_grid_mapping(text: str, dims: Collection[Hashable] = ()) -> list[str]:
    """Parse an attribute ``grid_mapping``: names of variables, that of the axes ``dims`` first.

    >>> parse_grid_mapping("crs"), parse_grid_mapping("crsOSGB: x y crsWGS84: lat lon")
    (['crs'], ['crsOSGB', 'crsWGS84'])
    """
    parts = re.split(r"([^\s:]+)\s*:", text)
    if len(parts) == 1:
        return text.split()[:1]
    axes = dict(zip(parts[1::2], map(str.split, parts[2::2]), strict=True))
    return sorted(axes, key=lambda name: not set(axes[name]) & set(dims))


def _read_attributes(coordinate: xr.Variable) -> dict[str, Any]:
    """Read the attributes of a grid mapping, or of the projection object that it holds."""
    attrs = dict(coordinate.attrs)
    if coordinate.dtype == object and "grid_mapping_name" not in attrs:
        held = coordinate.values.item()
        for to_attributes in ("to_cf", "to_dict"):  # of pyproj's CRS, of MetPy's CFProjection
            if hasattr(held, to_attributes):
                return attrs | dict(getattr(held, to_attributes)())
    return attrs


def _to_float(value: Any) -> float:
    """Convert a number that a file may hold as text or as an array of one."""
    return float(np.asarray(value).reshape(-1)[0])
