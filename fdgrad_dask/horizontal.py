"""Which two axes of a field are horizontal, and in which geometry they lie."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.attributes import ratio
from fdgrad_dask.errors import CoordinateError
from fdgrad_dask.geometry import EARTH_RADIUS, EARTH_ROTATION, Geometry, Plane, Sphere
from fdgrad_dask.grid import Axis, axis_of, cf_names, check_names, is_longitude, of_axis

_LATITUDES = ("lat", "latitude")
_LONGITUDES = ("lon", "longitude")


@dataclass(frozen=True)
class Horizontal:
    """The horizontal axes of a field, and what turns their coordinates into metres.

    ``h_x``, ``h_y`` (metres in one unit) and ``tangent`` (m-1) are (n,) along y. ``wraps``: x goes
    around the globe. ``poles``: the first, the last row along y is a pole with its whole circle.
    """

    x: Axis
    y: Axis
    geometry: Geometry
    h_x: NDArray[np.float64]
    h_y: NDArray[np.float64]
    tangent: NDArray[np.float64]
    wraps: bool
    poles: tuple[bool, bool]
    is_rotated: bool

    def attrs(self) -> dict[str, Any]:
        """What was decided, for the attributes of a result."""
        decided: dict[str, Any] = {"geometry": type(self.geometry).__name__.lower()}
        if isinstance(self.geometry, Sphere):
            decided["earth_radius"] = self.geometry.radius
        if self.wraps:
            decided["periodic"] = str(self.x.name)
        return decided

    def coriolis(self, name: Hashable) -> NDArray[np.float64]:
        """f = 2 Ω sin φ along y, in s-1.

        Raises
        ------
        CoordinateError
            y is no latitude.
        """
        if not isinstance(self.geometry, Sphere) or self.is_rotated:
            raise CoordinateError(
                f"the Coriolis parameter of {name!r} needs a latitude, but its axis "
                f"{self.y.name!r} is none; give coriolis= in s-1"
            )
        latitude: NDArray[np.float64] = np.deg2rad(self.y.points.astype(np.float64))
        return np.asarray(2 * EARTH_ROTATION * np.sin(latitude))


def horizontal(
    field: xr.DataArray, geometry: Geometry | None = None, boundary: Any = None
) -> Horizontal:
    """The horizontal axes of ``field`` in the geometry given, or in that of its coordinates.

    1-D longitude and latitude lie on a sphere, 1-D x and y with a unit of length on a plane. A
    longitude that goes around the globe is periodic unless ``boundary`` says what it is.

    Raises
    ------
    CoordinateError
        There are no such two axes, or their geometry cannot be told.
    """
    lon = _one(field, "longitude", "grid_longitude", _LONGITUDES)
    lat = _one(field, "latitude", "grid_latitude", _LATITUDES)
    if lon is not None and lat is not None:
        x, y = axis_of(field, lon), axis_of(field, lat)
        _require_degrees(x, y)
        geometry = geometry or Sphere(_radius(field))
    else:
        x, y = _planar_axes(field)
        geometry = geometry or _plane(field, x, y)
    check_names(boundary, [field])
    h_x, h_y = geometry.scale_factors(y.points)
    asked = of_axis(boundary, x, field)
    wraps = isinstance(geometry, Sphere) and _is_global(field, x) and asked in (None, "periodic")
    ends = np.abs(y.points[[0, -1]].astype(np.float64)) == 90
    standard = field.coords[y.name].attrs.get("standard_name")
    return Horizontal(
        x=x,
        y=y,
        geometry=geometry,
        h_x=h_x,
        h_y=h_y,
        tangent=geometry.tangent(y.points),
        wraps=wraps,
        poles=(bool(wraps and ends[0]), bool(wraps and ends[1])),
        is_rotated=standard == "grid_latitude",
    )


def _require_degrees(x: Axis, y: Axis) -> None:
    if x.dim == y.dim:
        raise CoordinateError(
            f"{x.name!r} and {y.name!r} both run along {x.dim!r}: along a track there is no "
            "gradient across it; give a field over both"
        )
    for axis in (x, y):
        if "rad" in str(axis.units):
            raise CoordinateError(
                f"{axis.name!r} is in {axis.units}; turn it into degrees first: np.rad2deg"
            )


def _planar_axes(field: xr.DataArray) -> tuple[Axis, Axis]:
    names = [_one(field, axis, f"projection_{axis.lower()}_coordinate", ()) for axis in "XY"]
    if names[0] is None or names[1] is None:
        for key in ("latitude", "longitude"):
            for name in cf_names(field, key):
                if field.coords[name].ndim < 2:
                    continue
                raise CoordinateError(
                    f"{name!r} has the dimensions {field.coords[name].dims}; a latitude and a "
                    "longitude of one dimension each are needed here"
                )
        raise CoordinateError(
            f"the horizontal axes of {field.name!r} cannot be told from its coordinates "
            f"{tuple(field.coords)}; give them units (degrees_east, degrees_north; m) or a CF axis"
        )
    return axis_of(field, names[0]), axis_of(field, names[1])


def _is_global(field: xr.DataArray, x: Axis) -> bool:
    """True for a longitude whose span and one step more are the full turn."""
    if not is_longitude(field.coords[x.name]) and str(x.name).lower() not in _LONGITUDES:
        return False
    points = x.points.astype(np.float64)
    span = abs(points[-1] - points[0])
    step = span / (len(points) - 1)
    return bool(abs(span + step - 360.0) < 1e-3 * step)


def _one(field: xr.DataArray, key: str, standard: str, names: tuple[str, ...]) -> Hashable | None:
    """The one 1-D coordinate that is ``key`` by its attributes, or unmistakably by its name."""
    found = [n for k in (key, standard) for n in cf_names(field, k) if field.coords[n].ndim == 1]
    if not found:
        found = [
            name
            for name, coordinate in field.coords.items()
            if str(name).lower() in names
            and coordinate.ndim == 1
            and "units" not in coordinate.attrs
        ]
    return found[0] if found else None


def _radius(field: xr.DataArray) -> float:
    """That of the grid mapping, if the field carries it; else the mean Earth's."""
    mapping = field.attrs.get("grid_mapping", field.encoding.get("grid_mapping"))
    attrs: Any = field.coords[mapping].attrs if mapping in field.coords else {}
    return float(attrs.get("earth_radius", attrs.get("semi_major_axis", EARTH_RADIUS)))


def _plane(field: xr.DataArray, x: Axis, y: Axis) -> Plane:
    mapping = field.attrs.get("grid_mapping", field.encoding.get("grid_mapping"))
    if mapping is not None:
        raise CoordinateError(
            f"{field.name!r} lies on the projection {mapping!r}, where a step "
            "of the map is not a step on the ground; geometry=Plane() takes it as if it were"
        )
    metres = ratio(x.units, "m")
    if metres is None or x.units != y.units:
        raise CoordinateError(
            f"{x.name!r} and {y.name!r} have the units {x.units!r} and {y.units!r}, but a "
            "plane needs one unit of length for both; set them, or give geometry=Plane(metres)"
        )
    return Plane(metres)
