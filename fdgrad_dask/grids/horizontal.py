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
from fdgrad_dask.grids.coordinate import Axis, check_axis_names, find_axis, select_for_axis
from fdgrad_dask.grids.curvilinear import CurvilinearGrid, earth_radii, find_curvilinear_grid
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
    find_1d,
    refuse_unstructured,
    refuse_without_axes,
    require_angles,
)
from fdgrad_dask.grids.projections import find_grid_mapping
from fdgrad_dask.grids.units import conversion_factor
from fdgrad_dask.stencils.boundary import boundary_pair


@dataclass(frozen=True)
class HorizontalGrid:
    """The horizontal axes of a field, and what turns their coordinates into metres.

    Parameters
    ----------
    x, y
        Its axes.
    wraps
        True if x goes around the globe.
    repeats
        True if the last point along x is the first one again, a full turn further.
    h_x, h_y
        Scale factors (n,) along y: metres in one unit of x, of y. Empty on a curvilinear grid.
    tangent
        Curvature (n,) of the lines of equal y, in m-1. Empty on a curvilinear grid.
    poles
        Whether the first, the last row along y is a pole with its complete circle.
    is_rotated
        True about a rotated pole, where x and y are not east and north.
    curvilinear
        The grid, if it is a curvilinear one.
    periodic
        Whether y, x of a curvilinear grid are periodic.
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
    curvilinear: CurvilinearGrid | None = None
    radius: float = EARTH_RADIUS
    periodic: tuple[bool, ...] = (False, False)

    @property
    def is_east(self) -> bool:
        """True if the results are along east and north, not along x and y."""
        if self.curvilinear is not None:
            return self.curvilinear.is_east
        return not isinstance(self.geometry, Plane) and not self.is_rotated

    def attrs(self) -> dict[str, Any]:
        """The attributes of a result that say which geometry was used."""
        decided: dict[str, Any] = {"geometry": type(self.geometry).__name__.lower()}
        has_cell_sizes = self.curvilinear is not None and self.curvilinear.cell_sizes is not None
        if not isinstance(self.geometry, Plane) and not has_cell_sizes:
            decided["earth_radius"] = self.radius
        if self.wraps:
            decided["periodic"] = str(self.x.name)
        return decided

    def coriolis(self, name: Hashable) -> Any:
        """f = 2 Ω sin φ, in s-1, along y, or over the grid as (ny, nx).

        Raises
        ------
        CoordinateError
            The grid has no latitude.
        """
        is_latitude = isinstance(self.geometry, Sphere) and not self.is_rotated
        latitude = self.y.points if is_latitude else None
        if self.curvilinear is not None:
            latitude = self.curvilinear.latitude
        if latitude is None:
            raise CoordinateError(
                f"the Coriolis parameter of {name!r} needs a latitude, but its axis "
                f"{self.y.name!r} is none; give coriolis= in s-1"
            )
        sine = np.sin(np.deg2rad(latitude.astype(np.float64)))
        # Zero on the equator, also where the coordinate misses it by rounding.
        return 2 * EARTH_ROTATION * np.where(np.abs(sine) < 1e-7, 0.0, sine)


def find_horizontal_grid(
    field: xr.DataArray,
    geometry: Geometry | None = None,
    boundary: Any = None,
    is_directed: bool = True,
) -> HorizontalGrid:
    """Find the horizontal axes of ``field`` in the given geometry, or in that of its coordinates.

    1-D longitude and latitude mean a sphere; 1-D x and y with a unit of length mean a plane, or the
    projection that their grid mapping describes; 2-D longitude and latitude, or given dx and dy,
    mean a curvilinear grid. A longitude around the globe is periodic unless ``boundary`` names it.
    ``is_directed``: the result, or a wind, points east and north, which about a rotated pole is not
    along the axes.

    Raises
    ------
    CoordinateError
        The field has no two such axes, or their geometry cannot be determined.
    """
    check_axis_names(boundary, [field])
    curved = find_curvilinear_grid(field, geometry, is_directed)
    if curved is not None:
        return _make_curvilinear(field, curved, boundary)
    lon = find_1d(field, "longitude", "grid_longitude", LONGITUDES)
    lat = find_1d(field, "latitude", "grid_latitude", LATITUDES)
    if lon is not None and lat is not None:
        refuse_unstructured(field, lon, lat)
        x, y = find_axis(field, lon), find_axis(field, lat)
        require_angles(field.coords[lat], field.coords[lon])
        geometry = geometry or Sphere(earth_radii(field)[0])
    else:
        x, y = _find_planar_axes(field)
        geometry = geometry or _find_plane(field, x, y)
    assert not isinstance(geometry, Curvilinear)
    geometry = _check_geometry(geometry, x, y)
    is_rotated = field.coords[y.name].attrs.get("standard_name") == "grid_latitude"
    around = repeats = False
    if isinstance(geometry, Sphere) and lon is not None:
        x, around, repeats = _recognise_circle(x, _is_free(field, x, boundary))
    h_x, h_y = geometry.scale_factors(y.points)
    ends = is_pole(y.points[[0, -1]])
    return HorizontalGrid(
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


def _make_curvilinear(
    field: xr.DataArray, curved: CurvilinearGrid, boundary: Any
) -> HorizontalGrid:
    x, y = curved.x, curved.y
    for key in boundary if isinstance(boundary, Mapping) else ():
        if not any(select_for_axis({key: True}, axis, field) for axis in (x, y)):
            raise OptionError(
                f"boundary names {key!r}; on a curvilinear grid it is for the dimensions "
                f"{y.dim!r} and {x.dim!r}"
            )
    periodic = tuple(_is_periodic(select_for_axis(boundary, axis, field)) for axis in (y, x))
    return HorizontalGrid(
        x,
        y,
        curved.geometry,
        wraps=periodic[1],
        curvilinear=curved,
        radius=curved.radii[0],
        periodic=periodic,
    )


def _is_free(field: xr.DataArray, x: Axis, boundary: Any) -> bool:
    """True unless ``boundary`` sets the ends of x to something other than periodic."""
    is_set = isinstance(boundary, Mapping) and any(
        select_for_axis({key: True}, x, field) and not _is_periodic(ends)
        for key, ends in boundary.items()
    )
    asked = select_for_axis(boundary, x, field)
    return not is_set and (asked is None or _is_periodic(asked))


def _recognise_circle(x: Axis, is_free: bool) -> tuple[Axis, bool, bool]:
    """Recognise a longitude that is a full circle, or whose last point repeats the first.

    Rounding is allowed for, as files write 0.083333 for a twelfth of a degree. Where it exceeds a
    thousandth of a step, the points are replaced by those of the even circle.
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


def _is_periodic(ends: Any) -> bool:
    return bool(boundary_pair(ends)[0] == "periodic")


def _find_planar_axes(field: xr.DataArray) -> tuple[Axis, Axis]:
    names = [
        find_1d(field, axis, f"projection_{axis.lower()}_coordinate", ())
        or _find_length(field, axis.lower())
        for axis in "XY"
    ]
    if names[0] is None or names[1] is None:
        refuse_without_axes(field)
    return find_axis(field, names[0]), find_axis(field, names[1])


def _find_length(field: xr.DataArray, name: str) -> Hashable | None:
    """Return ``x`` or ``y`` itself, if that is a coordinate in a unit of length."""
    if name not in field.coords or field.coords[name].ndim != 1:
        return None
    return (
        name if conversion_factor(field.coords[name].attrs.get("units"), "m") is not None else None
    )


def _find_plane(field: xr.DataArray, x: Axis, y: Axis) -> Plane:
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
    return Plane(_metres_per_unit(x, y))


def _metres_per_unit(x: Axis, y: Axis) -> float:
    """Return the length of one unit of x and y in metres."""
    metres = conversion_factor(x.units, "m")
    if metres is None or x.units != y.units:
        raise CoordinateError(
            f"{x.name!r} and {y.name!r} have the units {x.units!r} and {y.units!r}, but a "
            "plane needs one unit of length for both; set them, or give geometry=Plane(metres)"
        )
    return metres


def _check_geometry(geometry: Plane | Sphere, x: Axis, y: Axis) -> Plane | Sphere:
    """Check a given geometry against the units of the coordinates."""
    units = {axis.units for axis in (x, y)}
    if isinstance(geometry, Plane):
        has_units = geometry.metres is None and units not in ({None}, {"1"})
        return Plane(_metres_per_unit(x, y)) if has_units else geometry
    if any(conversion_factor(unit, "m") is not None for unit in units):
        raise CoordinateError(
            f"{x.name!r} and {y.name!r} have the units {x.units!r} and {y.units!r}, but a sphere "
            "needs longitude and latitude in degrees; for lengths give geometry=Plane()"
        )
    return geometry
