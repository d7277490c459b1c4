"""Which two axes of a field are horizontal, and in which geometry they lie."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fdgrad_dask.errors import CoordinateError, OptionError
from fdgrad_dask.grids.attributes import ratio
from fdgrad_dask.grids.coordinate import Axis, axis_of, check_names, of_axis
from fdgrad_dask.grids.curvilinear import Curved, curved_grid, radii_of
from fdgrad_dask.grids.geometry import (
    EARTH_RADIUS,
    EARTH_ROTATION,
    Curvilinear,
    Geometry,
    Plane,
    Sphere,
    is_pole,
)
from fdgrad_dask.grids.places import (
    LATITUDES,
    LONGITUDES,
    one_of,
    refuse_unstructured,
    refuse_without_axes,
    require_angles,
)
from fdgrad_dask.grids.projections import find_grid_mapping
from fdgrad_dask.stencils.boundary import boundary_pair


@dataclass(frozen=True)
class Horizontal:
    """The horizontal axes of a field, and what turns their coordinates into metres.

    ``h_x``, ``h_y`` (metres in one unit) and ``tangent`` (m-1) are (n,) along y; they are empty on
    a curvilinear grid, which has ``curved`` instead. ``wraps``: x goes around the globe; ``closed``
    says it of y and x on a curvilinear grid. ``poles``: the first, the last row along y is a pole
    with its complete circle. ``repeats``: the last point along x is the first one again, a full
    turn further.
    """

    x: Axis
    y: Axis
    geometry: Geometry
    wraps: bool
    repeats: bool = False
    h_x: NDArray[np.float64] = dataclass_field(default_factory=lambda: np.empty(0))
    h_y: NDArray[np.float64] = dataclass_field(default_factory=lambda: np.empty(0))
    tangent: NDArray[np.float64] = dataclass_field(default_factory=lambda: np.empty(0))
    poles: tuple[bool, bool] = (False, False)
    is_rotated: bool = False
    curved: Curved | None = None
    radius: float = EARTH_RADIUS
    closed: tuple[bool, ...] = (False, False)

    @property
    def is_east(self) -> bool:
        """True if the results are along east and north, not along x and y."""
        if self.curved is not None:
            return self.curved.is_east
        return not isinstance(self.geometry, Plane) and not self.is_rotated

    def attrs(self) -> dict[str, Any]:
        """What was decided, for the attributes of a result."""
        decided: dict[str, Any] = {"geometry": type(self.geometry).__name__.lower()}
        spaced = self.curved is not None and self.curved.spacings is not None
        if not isinstance(self.geometry, Plane) and not spaced:
            decided["earth_radius"] = self.radius
        if self.wraps:
            decided["periodic"] = str(self.x.name)
        return decided

    def coriolis(self, name: Hashable) -> Any:
        """f = 2 Ω sin φ, in s-1, along y, or over the grid as (ny, nx).

        Raises
        ------
        CoordinateError
            There is no latitude.
        """
        is_latitude = isinstance(self.geometry, Sphere) and not self.is_rotated
        latitude = self.y.points if is_latitude else None
        if self.curved is not None:
            latitude = self.curved.latitude
        if latitude is None:
            raise CoordinateError(
                f"the Coriolis parameter of {name!r} needs a latitude, but its axis "
                f"{self.y.name!r} is none; give coriolis= in s-1"
            )
        sine = np.sin(np.deg2rad(latitude.astype(np.float64)))
        # On the equator there is none, also where a coordinate misses it by its rounding.
        return 2 * EARTH_ROTATION * np.where(np.abs(sine) < 1e-7, 0.0, sine)


def horizontal(
    field: xr.DataArray,
    geometry: Geometry | None = None,
    boundary: Any = None,
    is_directed: bool = True,
) -> Horizontal:
    """The horizontal axes of ``field`` in the geometry given, or in that of its coordinates.

    1-D longitude and latitude lie on a sphere, 1-D x and y with a unit of length on a plane, or
    where their grid mapping says if it is known; 2-D longitude and latitude are curvilinear, and so
    is a grid of given dx and dy. A longitude that goes around the globe is periodic unless
    ``boundary`` names it. ``is_directed`` says that the result, or a wind, points to the east and
    north, which is not along the axes of a rotated pole.

    Raises
    ------
    CoordinateError
        There are no such two axes, or their geometry cannot be told.
    """
    check_names(boundary, [field])
    curved = curved_grid(field, geometry, is_directed)
    if curved is not None:
        return _curvilinear(field, curved, boundary)
    lon = one_of(field, "longitude", "grid_longitude", LONGITUDES)
    lat = one_of(field, "latitude", "grid_latitude", LATITUDES)
    if lon is not None and lat is not None:
        refuse_unstructured(field, lon, lat)
        x, y = axis_of(field, lon), axis_of(field, lat)
        require_angles(field.coords[lat], field.coords[lon])
        geometry = geometry or Sphere(radii_of(field)[0])
    else:
        x, y = _planar_axes(field)
        geometry = geometry or _plane(field, x, y)
    assert not isinstance(geometry, Curvilinear)
    geometry = _fit(geometry, x, y)
    is_rotated = field.coords[y.name].attrs.get("standard_name") == "grid_latitude"
    around = repeats = False
    if isinstance(geometry, Sphere) and lon is not None:
        x, around, repeats = _circle(x, _is_free(field, x, boundary))
    h_x, h_y = geometry.scale_factors(y.points)
    ends = is_pole(y.points[[0, -1]])
    return Horizontal(
        x=x,
        y=y,
        geometry=geometry,
        wraps=around,
        repeats=repeats,
        h_x=h_x,
        h_y=h_y,
        tangent=geometry.tangent(y.points),
        poles=(bool(around and ends[0]), bool(around and ends[1])),
        is_rotated=is_rotated,
        radius=geometry.radius if isinstance(geometry, Sphere) else EARTH_RADIUS,
    )


def _curvilinear(field: xr.DataArray, curved: Curved, boundary: Any) -> Horizontal:
    x, y = curved.x, curved.y
    for key in boundary if isinstance(boundary, Mapping) else ():
        if not any(of_axis({key: True}, axis, field) for axis in (x, y)):
            raise OptionError(
                f"boundary names {key!r}; on a curvilinear grid it is for the dimensions "
                f"{y.dim!r} and {x.dim!r}"
            )
    closed = tuple(_is_closed(of_axis(boundary, axis, field)) for axis in (y, x))
    return Horizontal(
        x, y, curved.geometry, closed[1], curved=curved, radius=curved.radii[0], closed=closed
    )


def _is_free(field: xr.DataArray, x: Axis, boundary: Any) -> bool:
    """True if no boundary says that the ends of x are anything but periodic."""
    is_open = isinstance(boundary, Mapping) and any(
        of_axis({key: True}, x, field) and not _is_closed(ends) for key, ends in boundary.items()
    )
    asked = of_axis(boundary, x, field)
    return not is_open and (asked is None or _is_closed(asked))


def _circle(x: Axis, is_free: bool) -> tuple[Axis, bool, bool]:
    """The longitude, whether it is a full circle, and whether its last point repeats the first.

    A circle is recognised to the rounding of its coordinate, as files write 0.083333 for a twelfth.
    Where that is coarser than a thousandth of a step, the even circle that it stands for is taken.
    """
    points = x.points.astype(np.float64)
    steps = np.diff(points)
    span = abs(points[-1] - points[0])
    step = span / len(steps)
    is_even = bool((abs(abs(steps) - step) <= 0.1 * step).all())
    near = 0.1 * step if is_even else 1e-3 * step
    if not is_free:
        return x, False, False
    if abs(span - 360.0) <= near and len(points) > 2:
        return x, False, True
    off = abs(span + step - 360.0)
    if off > near:
        return x, False, False
    if off >= 1e-3 * step:
        turn = np.copysign(360.0 / len(points), steps[0])
        x = replace(x, points=points[0] + turn * np.arange(len(points)))
    return x, True, False


def _is_closed(ends: Any) -> bool:
    return bool(boundary_pair(ends)[0] == "periodic")


def _planar_axes(field: xr.DataArray) -> tuple[Axis, Axis]:
    names = [
        one_of(field, axis, f"projection_{axis.lower()}_coordinate", ())
        or _length_named(field, axis.lower())
        for axis in "XY"
    ]
    if names[0] is None or names[1] is None:
        refuse_without_axes(field)
    return axis_of(field, names[0]), axis_of(field, names[1])


def _length_named(field: xr.DataArray, name: str) -> Hashable | None:
    """``x`` or ``y`` itself, if it is a coordinate in a unit of length."""
    if name not in field.coords or field.coords[name].ndim != 1:
        return None
    return name if ratio(field.coords[name].attrs.get("units"), "m") is not None else None


def _plane(field: xr.DataArray, x: Axis, y: Axis) -> Plane:
    mapping = find_grid_mapping(field)
    if mapping is not None and not mapping.is_carried:
        raise CoordinateError(
            f"{field.name!r} lies on the projection {mapping.name!r}, where a step of the map is "
            "not a step on the ground, but that variable is not among its coordinates; take it "
            f"along: .set_coords({mapping.name!r}) of the dataset, or open that with "
            "decode_coords='all'"
        )
    if mapping is not None:
        raise CoordinateError(
            f"{field.name!r} lies on the projection {mapping.name!r}, where a step of the map is "
            "not a step on the ground, but its attributes have neither a grid_mapping_name with "
            "parameters nor crs_wkt; set them: pyproj.CRS(…).to_cf()"
        )
    return Plane(_metres(x, y))


def _metres(x: Axis, y: Axis) -> float:
    """The metres in one unit of x and of y."""
    metres = ratio(x.units, "m")
    if metres is None or x.units != y.units:
        raise CoordinateError(
            f"{x.name!r} and {y.name!r} have the units {x.units!r} and {y.units!r}, but a "
            "plane needs one unit of length for both; set them, or give geometry=Plane(metres)"
        )
    return metres


def _fit(geometry: Plane | Sphere, x: Axis, y: Axis) -> Plane | Sphere:
    """A geometry that was given, in the units of the coordinates."""
    units = {axis.units for axis in (x, y)}
    if isinstance(geometry, Plane):
        is_open = geometry.metres is None and units not in ({None}, {"1"})
        return Plane(_metres(x, y)) if is_open else geometry
    if any(ratio(one, "m") is not None for one in units):
        raise CoordinateError(
            f"{x.name!r} and {y.name!r} have the units {x.units!r} and {y.units!r}, but a sphere "
            "needs longitude and latitude in degrees; for lengths give geometry=Plane()"
        )
    return geometry
